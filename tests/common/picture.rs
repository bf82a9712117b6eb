//! What the view draws, as text: for snapshots, and for looking at it by hand.
#![allow(dead_code)] // each test file uses its part

use std::fmt::Write;

use raptr_tui::app::App;
use raptr_tui::view::glyphs::Glyphs;
use raptr_tui::view::theme::{Depth, find};
use raptr_tui::view::{Look, draw};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

pub fn look(theme: &str) -> Look {
    Look { theme: find(theme, Depth::True).unwrap(), glyphs: Glyphs::Braille }
}

pub fn render(app: &App, look: &Look, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, app, look)).unwrap();
    terminal.backend().buffer().clone()
}

pub fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let row: String = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect();
        out.push_str(row.trim_end());
        out.push('\n');
    }
    out
}

/// Text, then each row's runs of one style: what a colour-only difference shows in.
pub fn picture(buffer: &Buffer) -> String {
    let mut out = text(buffer);
    for y in 0..buffer.area.height {
        let style = |x: u16| {
            let cell = &buffer[(x, y)];
            format!("{}/{}/{}", cell.fg, cell.bg, cell.modifier.bits())
        };
        let mut x = 0;
        let _ = write!(out, "{y:>3}");
        while x < buffer.area.width {
            let now = style(x);
            let run = (x..buffer.area.width).take_while(|&x| style(x) == now).count();
            let _ = write!(out, " {run}x{now}");
            x += run as u16;
        }
        out.push('\n');
    }
    out
}
