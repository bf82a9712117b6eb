//! Entering and leaving the terminal, and the panic hook that leaves it only for those who own it.
//!
//! ratatui's own set-up restores the terminal whenever *any* thread panics, which would tear the screen down under a
//! trainer's panic that the screen survives; and its `clear` asks the terminal where the cursor is and waits for the
//! answer. Neither is used here.

use std::cell::Cell;
use std::io::{self, Stdout, Write};
use std::sync::Once;

use anyhow::{Context, Result};
use crossterm::event::{DisableFocusChange, EnableFocusChange};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use crossterm::{cursor, execute, queue};
use ratatui::backend::{Backend, ClearType, CrosstermBackend};
use ratatui::{Frame, Terminal};

thread_local! {
    /// Whether this thread's panics are caught and shown by somebody else.
    static IS_SURVIVABLE: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread: its panics neither close the screen nor print.
pub fn mark_survivable_thread() {
    IS_SURVIVABLE.with(|flag| flag.set(true));
}

fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if IS_SURVIVABLE.with(Cell::get) {
                return;
            }
            restore();
            before(info);
        }));
    });
}

/// Puts the terminal back as it was found. Does no harm twice.
fn restore() {
    let mut out = io::stdout();
    let _ = execute!(out, EndSynchronizedUpdate, DisableFocusChange, LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
}

/// The screen, entered. Leaves when dropped.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    is_entered: bool,
}

impl Screen {
    /// Takes over the terminal.
    ///
    /// # Errors
    /// If it can't be.
    pub fn enter() -> Result<Self> {
        install_panic_hook();
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout())).context("reading the terminal's size")?;
        let mut screen = Self { terminal, is_entered: false };
        screen.take_over()?;
        Ok(screen)
    }

    fn take_over(&mut self) -> Result<()> {
        enable_raw_mode().context("switching the terminal to raw mode")?;
        self.is_entered = true;
        execute!(io::stdout(), EnterAlternateScreen, EnableFocusChange, cursor::Hide).context("entering the screen")
    }

    /// Takes over the terminal again, as after a suspension.
    ///
    /// # Errors
    /// If it can't be.
    pub fn enter_again(&mut self) -> Result<()> {
        self.take_over()?;
        self.forget()
    }

    /// Forgets what was drawn, so that the next frame draws everything.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn forget(&mut self) -> Result<()> {
        self.terminal.backend_mut().clear_region(ClearType::All).context("clearing the screen")?;
        // An empty previous frame: every cell of the next one is new.
        self.terminal.swap_buffers();
        self.terminal.current_buffer_mut().reset();
        self.terminal.swap_buffers();
        Ok(())
    }

    /// Draws one frame, all at once for terminals that can.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn draw(&mut self, render: impl FnOnce(&mut Frame<'_>)) -> Result<()> {
        queue!(io::stdout(), BeginSynchronizedUpdate)?;
        self.terminal.draw(render)?;
        execute!(io::stdout(), EndSynchronizedUpdate)?;
        Ok(())
    }

    /// Gives the terminal back.
    pub fn leave(&mut self) {
        if std::mem::take(&mut self.is_entered) {
            restore();
            let _ = io::stdout().flush();
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}
