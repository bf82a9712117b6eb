//! The desk: whoever fetches what the Runs screen asks for; and what the shell does with what comes back.
//!
//! Owns the switching between what is shown: a run that is trained goes on behind a recording that is looked at, and
//! comes back. Never opens anything itself.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError, never};

use super::{Export, Options, Shell, Source, machine};
use crate::app::machine::Sample;
use crate::app::runs::{Behind, News, Runs, Wish};
use crate::app::{self, App, Msg, Screen, Tie};
use crate::event::{Command, Event, Stamped};
use crate::player::Player;

/// Something to be shown.
pub struct Opening {
    /// Where its events come from.
    pub source: Source,
    /// Its export.
    pub export: Export,
}

/// Fulfils wishes.
pub trait Desk {
    /// Fulfils a wish, at once or through [`Self::news`]. What is to be shown comes back.
    ///
    /// # Errors
    /// A sentence, if it can't be.
    fn wish(&mut self, wish: Wish) -> Result<Option<Opening>, String>;

    /// What was found out since.
    fn news(&mut self) -> Option<News>;

    /// Sees every event of the run that is trained here, or shown if none is.
    fn watch(&mut self, event: &Stamped);

    /// Whether there is anybody to fulfil wishes.
    fn is_manned(&self) -> bool {
        true
    }
}

impl<D: Desk> Desk for &mut D {
    fn wish(&mut self, wish: Wish) -> Result<Option<Opening>, String> {
        (**self).wish(wish)
    }

    fn news(&mut self) -> Option<News> {
        (**self).news()
    }

    fn watch(&mut self, event: &Stamped) {
        (**self).watch(event);
    }

    fn is_manned(&self) -> bool {
        (**self).is_manned()
    }
}

/// A desk at which nothing can be had: somebody just watches.
pub(super) struct Watching<W>(pub(super) W);

impl<W: FnMut(&Stamped)> Desk for Watching<W> {
    fn wish(&mut self, _: Wish) -> Result<Option<Opening>, String> {
        Err("other runs can't be opened from here".to_owned())
    }

    fn news(&mut self) -> Option<News> {
        None
    }

    fn watch(&mut self, event: &Stamped) {
        (self.0)(event);
    }

    fn is_manned(&self) -> bool {
        false
    }
}

/// What a source is to the shell: the app that it is shown by, events, commands, the player, the export.
pub(super) struct Shown {
    pub(super) app: App,
    pub(super) events: Receiver<Stamped>,
    pub(super) commands: Option<Sender<Command>>,
    pub(super) player: Option<Player>,
    pub(super) export: Export,
    /// What is read of the machine. A recording tells what is in it, and nothing of where it is shown.
    pub(super) samples: Receiver<Sample>,
}

impl Shown {
    /// Of a source, or of none.
    pub(super) fn of(opening: Option<Opening>, options: &Options) -> Self {
        let (source, export) = match opening {
            Some(Opening { source, export }) => (Some(source), export),
            None => (None, Arc::clone(&options.export)),
        };
        let samples = match &source {
            Some(Source::Live { dir, gpu, .. }) => machine::spawn(dir.clone(), *gpu),
            _ => never(),
        };
        let (events, commands, player, tie) = match source {
            None => (never(), None, None, Tie::Nothing),
            Some(Source::Live { events, commands, .. }) => (events, Some(commands), None, Tie::Trains),
            Some(Source::Replay { tape, speed, growth: None }) => {
                (never(), None, Some(Player::new(tape, speed)), Tie::Watches)
            }
            Some(Source::Replay { tape, speed, growth: Some(events) }) => {
                (events, None, Some(Player::following(tape, speed)), Tie::Watches)
            }
        };
        let (is_replay, is_watched) = (player.is_some(), tie == Tie::Watches);
        let mut app = App::new(app::Options { read_only: options.read_only || is_watched, is_replay });
        app.tie = tie;
        if tie == Tie::Nothing {
            app.ui.screen = Screen::Runs;
        }
        if let Some(player) = &player {
            app.show_run(player.run());
            app.update(Msg::Marks(player.marks().to_vec()));
            app.update(Msg::Replay(player.state()));
        }
        Self { app, events, commands, player, export, samples }
    }

    /// Whether it is a run that is still being trained here.
    pub(super) fn is_trained(&self) -> bool {
        self.commands.is_some() && !self.app.has_ended
    }
}

impl<D: Desk> Shell<D> {
    /// Fulfils a wish of the Runs screen.
    pub(super) fn serve(&mut self, wish: Wish) {
        let is_change = matches!(wish, Wish::Start(_) | Wish::Resume(_) | Wish::Fork { .. });
        if wish == Wish::Return {
            if let Some(behind) = self.behind.take() {
                self.show(behind);
            }
            self.shown.app.ui.screen = Screen::Train;
        } else if is_change && self.options.read_only {
            self.tell(News::Refused("read-only: no run can be begun from here".to_owned()));
        } else {
            match self.desk.wish(wish) {
                Ok(None) => {}
                Ok(Some(opening)) => {
                    let fresh = Shown::of(Some(opening), &self.options);
                    let is_trained = fresh.is_trained();
                    let before = self.show(fresh);
                    if is_trained {
                        self.shown.app.ui.runs.choose_anew();
                    }
                    // At most one run is trained: what is left behind is that one, or need not be kept; and where another
                    // is trained from now on, the one that was there has ended.
                    if before.is_trained() {
                        self.behind = Some(before);
                    } else if is_trained {
                        self.behind = None;
                    }
                }
                Err(why) => self.tell(News::Refused(why)),
            }
        }
        self.tell_behind();
    }

    /// Shows something else; what was shown comes back. What the person has chosen for the screen stays chosen.
    fn show(&mut self, mut next: Shown) -> Shown {
        next.app.keymap = self.shown.app.keymap.clone();
        next.app.references = std::mem::take(&mut self.shown.app.references);
        next.app.ui.keep_from(&mut self.shown.app.ui);
        std::mem::replace(&mut self.shown, next)
    }

    /// Takes in what was found out, and asks what follows from it.
    fn tell(&mut self, news: News) {
        for request in self.shown.app.update(Msg::Runs(news)) {
            if let app::Request::Runs(wish) = request
                && let Err(why) = self.desk.wish(wish)
            {
                self.shown.app.ui.notice = Some(why);
            }
        }
    }

    /// Takes in what has happened elsewhere: at the desk, and to the run that is trained behind what is shown. Returns
    /// whether that has changed the picture.
    pub(super) fn look_behind(&mut self) -> bool {
        let mut has_changed = false;
        if let Some(wish) = self.shown.app.company()
            && let Err(why) = self.desk.wish(wish)
        {
            // The parent may be gone; the fork is whole without it.
            tracing::info!("{why}");
        }
        while let Some(news) = self.desk.news() {
            self.tell(news);
            has_changed = true;
        }
        if let Some(behind) = &mut self.behind {
            loop {
                match behind.events.try_recv() {
                    Ok(event) => {
                        self.desk.watch(&event);
                        if let Event::Failed { reason, .. } = &event.event {
                            self.shown.app.ui.notice = Some(format!("the run that is trained has failed: {reason}"));
                        }
                        behind.app.update(Msg::Event(event));
                    }
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        if !behind.app.has_ended {
                            behind.events = never();
                            behind.app.update(Msg::Ended);
                        }
                        break;
                    }
                }
            }
        }
        self.tell_behind() | has_changed
    }

    /// Tells what is shown of the run behind it.
    fn tell_behind(&mut self) -> bool {
        let behind = self.behind.as_ref().map(|b| Behind {
            name: b.app.run.started.as_ref().map_or_else(String::new, |s| s.run.clone()),
            state: b.app.state(),
            steps: (b.app.run.step, b.app.run.total_steps()),
        });
        let runs: &mut Runs = &mut self.shown.app.ui.runs;
        let is_new = runs.behind != behind;
        runs.behind = behind;
        is_new
    }
}
