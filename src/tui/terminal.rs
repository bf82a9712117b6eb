//! Entering and leaving the terminal, and the panic hook that leaves it only for those who own it.
//!
//! ratatui's own set-up restores the terminal whenever *any* thread panics, which would tear the screen down under a
//! trainer's panic that the screen survives; and its `clear` asks the terminal where the cursor is and waits for the
//! answer. Neither is used here.

use std::cell::Cell;
use std::io::{self, Stdout, Write};
use std::sync::Once;

use anyhow::{Context, Result};
use crossterm::event::{DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use crossterm::{Command, cursor, execute, queue};
use ratatui::backend::{Backend, ClearType, CrosstermBackend};
use ratatui::layout::Rect;
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

/// Asks for clicks, drags and the wheel, or for none of them. Not for every move of the mouse, as crossterm's own command
/// does: over ssh that is a stream for nothing.
struct Mouse(bool);

impl Command for Mouse {
    fn write_ansi(&self, f: &mut impl std::fmt::Write) -> std::fmt::Result {
        let sign = if self.0 { 'h' } else { 'l' };
        [1000, 1002, 1006].iter().try_for_each(|mode| write!(f, "\x1b[?{mode}{sign}"))
    }

    #[cfg(windows)]
    fn execute_winapi(&self) -> io::Result<()> {
        use crossterm::event::{DisableMouseCapture, EnableMouseCapture};
        if self.0 { EnableMouseCapture.execute_winapi() } else { DisableMouseCapture.execute_winapi() }
    }

    #[cfg(windows)]
    fn is_ansi_code_supported(&self) -> bool {
        false
    }
}

/// Puts the terminal back as it was found. Does no harm twice.
fn restore() {
    let mut out = io::stdout();
    let _ = execute!(
        out,
        EndSynchronizedUpdate,
        Mouse(false),
        DisableBracketedPaste,
        DisableFocusChange,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = disable_raw_mode();
}

/// The screen, entered. Leaves when dropped.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    is_entered: bool,
    /// Whether the terminal reports the mouse.
    has_mouse: bool,
}

impl Screen {
    /// Takes over the terminal.
    ///
    /// # Errors
    /// If it can't be.
    pub fn enter() -> Result<Self> {
        install_panic_hook();
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout())).context("reading the terminal's size")?;
        let mut screen = Self { terminal, is_entered: false, has_mouse: false };
        screen.take_over()?;
        // Whoever was killed here may have left a picture.
        screen.forget()?;
        Ok(screen)
    }

    fn take_over(&mut self) -> Result<()> {
        enable_raw_mode().context("switching the terminal to raw mode")?;
        self.is_entered = true;
        let mouse = Mouse(self.has_mouse);
        execute!(io::stdout(), EnterAlternateScreen, EnableFocusChange, EnableBracketedPaste, mouse, cursor::Hide)
            .context("entering the screen")
    }

    /// Takes over the terminal again, as after a suspension.
    ///
    /// # Errors
    /// If it can't be.
    pub fn enter_again(&mut self) -> Result<()> {
        self.take_over()?;
        self.forget()
    }

    /// Asks the terminal for the mouse, or leaves it to it.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn set_mouse(&mut self, wanted: bool) -> Result<()> {
        if std::mem::replace(&mut self.has_mouse, wanted) != wanted {
            execute!(io::stdout(), Mouse(wanted)).context("asking for the mouse")?;
        }
        Ok(())
    }

    /// The cells that are drawn.
    pub fn area(&mut self) -> Rect {
        self.terminal.get_frame().area()
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

    /// The panic hook has given the terminal back. Twice would move the cursor onto what was said since.
    pub fn was_left(&mut self) {
        self.is_entered = false;
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
