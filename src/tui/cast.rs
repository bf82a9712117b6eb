//! A replay as an asciinema v2 cast: the real view, drawn frame by frame into a file instead of a terminal.
//!
//! Each frame is written as what it changes, by the same library that writes to terminals.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use anyhow::{Context, Result};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use serde_json::json;

use crate::app::{App, Msg, Options, ReplayState};
use crate::player::Player;
use crate::player::tape::Tape;
use crate::view::{self, Look};

/// Seconds of the cast between two frames.
const FRAME: f64 = 1.0 / 15.0;
/// Seconds of the last picture.
const LAST: f64 = 3.0;
/// Seconds that a cast lasts if nobody says how fast it is to be.
const LENGTH: f64 = 60.0;
/// Columns and rows.
const SIZE: (u16, u16) = (120, 36);

/// Bytes that the terminal was sent.
#[derive(Clone, Default)]
struct Sink(Rc<RefCell<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a recording as a cast, so many times faster than it happened; by itself as fast as a minute needs.
///
/// # Errors
/// If it can't be written.
pub fn write(tape: Tape, look: &Look, speed: Option<f64>, out: &mut dyn Write) -> Result<()> {
    let mut player = Player::new(tape, 1.0);
    let length = player.state().length_us as f64 / 1e6;
    let speed = speed.unwrap_or((length / LENGTH).max(1.0));
    let mut app = App::new(Options { read_only: true, is_replay: true });
    app.update(Msg::Marks(player.marks().to_vec()));
    let sink = Sink::default();
    let place = Rect::new(0, 0, SIZE.0, SIZE.1);
    let options = TerminalOptions { viewport: Viewport::Fixed(place) };
    let mut terminal = Terminal::with_options(CrosstermBackend::new(sink.clone()), options)?;
    let run = player.events(0..1).next().map_or(String::new(), |first| match first.event {
        crate::event::Event::Started(started) => started.run,
        _ => String::new(),
    });
    let header = json!({"version": 2, "width": SIZE.0, "height": SIZE.1, "title": run, "idle_time_limit": 2.0,
        "env": {"TERM": "xterm-256color"}});
    writeln!(out, "{header}").context("writing the cast")?;
    writeln!(out, "{}", json!([0.0, "o", "\u{1b}[?25l\u{1b}[2J\u{1b}[H"]))?;
    let step_us = (FRAME * speed * 1e6).max(1.0) as u64;
    let mut seconds = 0.0;
    loop {
        super::play(&mut player, &mut app, step_us);
        let is_over = !player.state().is_playing;
        app.update(Msg::Replay(ReplayState { speed: (speed * 100.0).round() / 100.0, ..player.state() }));
        terminal.draw(|frame| view::draw(frame, &app, look))?;
        let bytes = std::mem::take(&mut *sink.0.borrow_mut());
        if !bytes.is_empty() {
            let text = String::from_utf8_lossy(&bytes);
            writeln!(out, "{}", json!([(seconds * 1e3_f64).round() / 1e3, "o", text])).context("writing the cast")?;
        }
        if is_over {
            break;
        }
        seconds += FRAME;
    }
    writeln!(out, "{}", json!([((seconds + LAST) * 1e3_f64).round() / 1e3, "o", ""])).context("writing the cast")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording;
    use crate::view::glyphs::Glyphs;
    use crate::view::theme::{Depth, find};
    use ratatui::backend::TestBackend;
    use std::path::Path;

    #[test]
    fn a_casts_last_picture_is_what_the_view_draws() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings/steered.jsonl");
        let tape: Tape = recording::read(&file).unwrap().into_iter().collect();
        let look = Look { theme: find("dark", Depth::True).unwrap(), glyphs: Glyphs::Braille };
        let mut cast = Vec::new();
        write(tape.clone(), &look, Some(0.25), &mut cast).unwrap();
        let text = String::from_utf8(cast).unwrap();
        let mut lines = text.lines();
        let header: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
        assert_eq!((header["version"].as_u64(), header["width"].as_u64()), (Some(2), Some(120)));
        let mut screen = vt100::Parser::new(SIZE.1, SIZE.0, 0);
        let (mut last, mut frames) = (0.0, 0);
        for line in lines {
            let (at, kind, data): (f64, String, String) = serde_json::from_str(line).unwrap();
            assert!(at >= last && kind == "o");
            screen.process(data.as_bytes());
            (last, frames) = (at, frames + 1);
        }
        let mut player = Player::new(tape, 0.25);
        let length = player.state().length_us as f64 / 1e6 / 0.25;
        assert!(last >= length && last <= length + LAST + 2.0 * FRAME, "{last} {length}");
        assert!(frames > 4, "{frames}");
        player.seek(crate::app::Seek::End);
        let mut app = App::new(Options { read_only: true, is_replay: true });
        app.run = player.run();
        app.update(Msg::Marks(player.marks().to_vec()));
        app.update(Msg::Replay(ReplayState { is_playing: false, ..player.state() }));
        let mut terminal = Terminal::new(TestBackend::new(SIZE.0, SIZE.1)).unwrap();
        terminal.draw(|frame| view::draw(frame, &app, &look)).unwrap();
        let buffer = terminal.backend().buffer();
        for y in 0..SIZE.1 {
            let wanted: String = (0..SIZE.0).map(|x| buffer[(x, y)].symbol()).collect();
            let got = screen.screen().rows(0, SIZE.0).nth(usize::from(y)).unwrap();
            assert_eq!(got.trim_end(), wanted.trim_end(), "row {y}");
        }
        assert!(text.contains("38;2;"), "in colour");
    }
}
