//! A canvas of dots, eight to a cell, drawn with the glyphs that the terminal has. What lies in a higher layer hides what
//! is below in the same cell, so a line stays a line where it crosses a cloud of dots, with colour and without.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;

use super::glyphs::Glyphs;

/// Braille's dots by row and column of a cell.
const DOTS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// What a dot belongs to, the lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    /// Each step.
    Raw,
    /// Other runs.
    Reference,
    /// What joins marks.
    Join,
    /// The line that matters.
    Line,
}

/// Dots over an area of cells.
pub(super) struct Canvas {
    area: Rect,
    cells: Vec<Option<Cell>>,
    glyphs: Glyphs,
}

#[derive(Clone, Copy)]
struct Cell {
    dots: u8,
    layer: Layer,
    color: Color,
}

impl Canvas {
    pub fn new(area: Rect, glyphs: Glyphs) -> Self {
        Self { area, cells: vec![None; usize::from(area.width) * usize::from(area.height)], glyphs }
    }

    /// Dots across and down.
    pub fn size(&self) -> (i32, i32) {
        (i32::from(self.area.width) * 2, i32::from(self.area.height) * 4)
    }

    /// Sets a dot; outside is ignored. // (0, 0) is the upper left
    pub fn dot(&mut self, x: i32, y: i32, layer: Layer, color: Color) {
        let (width, height) = self.size();
        if !(0..width).contains(&x) || !(0..height).contains(&y) {
            return;
        }
        let cell = &mut self.cells[((y / 4) * i32::from(self.area.width) + x / 2) as usize];
        let dot = DOTS[(y % 4) as usize][(x % 2) as usize];
        match cell {
            Some(cell) if cell.layer > layer => {}
            Some(cell) if cell.layer == layer => (cell.dots, cell.color) = (cell.dots | dot, color),
            _ => *cell = Some(Cell { dots: dot, layer, color }),
        }
    }

    /// A vertical line.
    pub fn column(&mut self, x: i32, from: i32, to: i32, layer: Layer, color: Color) {
        let (_, height) = self.size();
        for y in from.min(to).max(0)..=from.max(to).min(height - 1) {
            self.dot(x, y, layer, color);
        }
    }

    /// A line between two dots, of which `is_drawn` tells by the column which are set: dashes.
    pub fn line(
        &mut self,
        from: (i32, i32),
        to: (i32, i32),
        layer: Layer,
        color: Color,
        is_drawn: impl Fn(i32) -> bool,
    ) {
        let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()).clamp(1, 4096);
        for i in 0..=steps {
            let at = |a: i32, b: i32| a + ((b - a) as f64 * f64::from(i) / f64::from(steps)).round() as i32;
            let x = at(from.0, to.0);
            if is_drawn(x) {
                self.dot(x, at(from.1, to.1), layer, color);
            }
        }
    }

    /// Puts the dots where something is set; the rest stays as it was.
    pub fn render(&self, buf: &mut Buffer) {
        let width = usize::from(self.area.width);
        for (index, cell) in self.cells.iter().enumerate().filter_map(|(i, c)| Some((i, c.as_ref()?))) {
            let x = self.area.x + (index % width) as u16;
            let y = self.area.y + (index / width) as u16;
            // ASCII can't show where in its cell a dot lies; what it belongs to it can.
            let symbol = match (self.glyphs, cell.layer) {
                (Glyphs::Ascii, Layer::Raw) if cell.dots.count_ones() > 2 => ':',
                (Glyphs::Ascii, Layer::Raw | Layer::Join) => '.',
                (Glyphs::Ascii, Layer::Reference) => '~',
                (Glyphs::Ascii, Layer::Line) => '*',
                (glyphs, _) => glyphs.of_dots(cell.dots),
            };
            if let Some(cell_of) = buf.cell_mut((x, y)) {
                cell_of.set_char(symbol).set_fg(cell.color);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_hides_what_is_below_it_and_dashes_have_gaps() {
        let area = Rect::new(0, 0, 4, 1);
        let mut canvas = Canvas::new(area, Glyphs::Braille);
        canvas.column(0, 0, 3, Layer::Raw, Color::Red);
        canvas.line((0, 1), (7, 1), Layer::Line, Color::Blue, |x| x < 4);
        // Below a line nothing is added.
        canvas.dot(0, 3, Layer::Raw, Color::Red);
        let mut buf = Buffer::empty(area);
        canvas.render(&mut buf);
        assert_eq!((buf[(0, 0)].symbol(), buf[(0, 0)].fg), ("⠒", Color::Blue));
        assert_eq!((buf[(1, 0)].symbol(), buf[(2, 0)].symbol()), ("⠒", " "));
        let mut plain = Canvas::new(area, Glyphs::Ascii);
        plain.column(0, 0, 3, Layer::Raw, Color::Red);
        plain.dot(2, 0, Layer::Line, Color::Red);
        plain.render(&mut buf);
        assert_eq!((buf[(0, 0)].symbol(), buf[(1, 0)].symbol()), (":", "*"));
    }
}
