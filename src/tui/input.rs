//! The input thread, and the terminal library's keys as the app's.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result};
use crossbeam_channel::Receiver;
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use crate::app::keys::Key;
use crate::app::mouse::Gesture;

/// Starts to read the terminal. The thread ends with the process, or with the first error, which it sends.
///
/// # Errors
/// If the system can't start the thread.
pub(super) fn spawn() -> Result<Receiver<io::Result<Event>>> {
    let (sender, receiver) = crossbeam_channel::unbounded();
    // The library listens for changes of size from its first look on: none may come before, however late the thread runs.
    crossterm::event::poll(Duration::ZERO).context("reading the terminal")?;
    std::thread::Builder::new()
        .name("input".to_owned())
        .spawn(move || {
            loop {
                let event = crossterm::event::read();
                let is_error = event.is_err();
                if sender.send(event).is_err() || is_error {
                    return;
                }
            }
        })
        .context("starting the input thread")?;
    Ok(receiver)
}

/// The app's name for a key that was pressed.
pub(super) fn key(event: &KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let (control, alt) = (KeyModifiers::CONTROL, KeyModifiers::ALT);
    let held = event.modifiers & (control | alt);
    let is_shift = event.modifiers.contains(KeyModifiers::SHIFT);
    Some(match event.code {
        KeyCode::Char(c) if held == control => Key::Ctrl(c.to_ascii_lowercase()),
        KeyCode::Char(c) if held == alt => Key::Alt(c),
        // Both at once are how some terminals tell AltGr, which makes characters of its own.
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Esc,
        KeyCode::Tab if is_shift => Key::BackTab,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        KeyCode::Insert => Key::Insert,
        KeyCode::Up if is_shift => Key::ShiftUp,
        KeyCode::Down if is_shift => Key::ShiftDown,
        KeyCode::Left if is_shift => Key::ShiftLeft,
        KeyCode::Right if is_shift => Key::ShiftRight,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::F(n) => Key::F(n),
        _ => return None,
    })
}

/// The app's name for what the mouse did; none: nothing that the app answers to.
pub(super) fn gesture(event: &MouseEvent) -> Option<Gesture> {
    Some(match event.kind {
        MouseEventKind::Down(MouseButton::Left) => Gesture::Click,
        MouseEventKind::Drag(MouseButton::Left) => Gesture::Drag,
        MouseEventKind::ScrollUp => Gesture::WheelUp,
        MouseEventKind::ScrollDown => Gesture::WheelDown,
        _ => return None,
    })
}
