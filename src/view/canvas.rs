//! A canvas of dots, eight to a cell, drawn with the glyphs that the terminal has. Later, brighter layers win a cell's
//! colour.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;

use super::glyphs::Glyphs;

/// Braille's dots by row and column of a cell.
const DOTS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// Dots over an area of cells.
pub(super) struct Canvas {
    area: Rect,
    cells: Vec<(u8, Color)>,
    glyphs: Glyphs,
}

impl Canvas {
    pub fn new(area: Rect, glyphs: Glyphs) -> Self {
        Self { area, cells: vec![(0, Color::Reset); usize::from(area.width) * usize::from(area.height)], glyphs }
    }

    /// Dots across and down.
    pub fn size(&self) -> (i32, i32) {
        (i32::from(self.area.width) * 2, i32::from(self.area.height) * 4)
    }

    /// Sets a dot; outside is ignored. // (0, 0) is the upper left
    pub fn dot(&mut self, x: i32, y: i32, color: Color) {
        let (width, height) = self.size();
        if !(0..width).contains(&x) || !(0..height).contains(&y) {
            return;
        }
        let cell = (y / 4) * i32::from(self.area.width) + x / 2;
        let cell = &mut self.cells[cell as usize];
        cell.0 |= DOTS[(y % 4) as usize][(x % 2) as usize];
        cell.1 = color;
    }

    /// A vertical line.
    pub fn column(&mut self, x: i32, from: i32, to: i32, color: Color) {
        let (_, height) = self.size();
        for y in from.min(to).max(0)..=from.max(to).min(height - 1) {
            self.dot(x, y, color);
        }
    }

    /// A line between two dots.
    pub fn line(&mut self, from: (i32, i32), to: (i32, i32), color: Color) {
        let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()).clamp(1, 4096);
        for i in 0..=steps {
            let at = |a: i32, b: i32| a + ((b - a) as f64 * f64::from(i) / f64::from(steps)).round() as i32;
            self.dot(at(from.0, to.0), at(from.1, to.1), color);
        }
    }

    /// Puts the dots where something is set; the rest stays as it was.
    pub fn render(&self, buf: &mut Buffer) {
        for (index, &(dots, color)) in self.cells.iter().enumerate().filter(|(_, c)| c.0 != 0) {
            let x = self.area.x + (index % usize::from(self.area.width)) as u16;
            let y = self.area.y + (index / usize::from(self.area.width)) as u16;
            if let Some(cell) = buf.cell_mut((x, y)) {
                cell.set_char(self.glyphs.of_dots(dots)).set_fg(color);
            }
        }
    }
}
