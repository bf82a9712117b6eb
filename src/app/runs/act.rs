//! What actions and keys of the Runs screen do to the app.

use super::{News, Wish, list};
use crate::app::keys::Key;
use crate::app::{App, Pane, Request, Screen, Tie};

/// What is done on the Runs screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// What is most natural for the row.
    Open,
    /// Go on with a run.
    Resume,
    /// Show a recording.
    Replay,
    /// Fork a run.
    Fork,
    /// Show it beside the run that is open, or no longer.
    Compare,
    /// Type a filter.
    Filter,
    /// To the first row.
    First,
    /// To the last row.
    Last,
}

/// Rows that First and Last go over.
const ALL: isize = isize::MAX;

impl App {
    /// Takes in what was found out.
    pub(in crate::app) fn take_news(&mut self, news: News) -> Vec<Request> {
        if let News::Compared(reference) = news {
            if self.run.started.is_some() && reference.run.started == self.run.started {
                self.ui.notice = Some(format!("{} is the run that is shown", reference.name));
                return Vec::new();
            }
            self.compare_with(*reference);
            return Vec::new();
        }
        let (wishes, told) = self.ui.runs.take(news);
        if let Some(sentence) = told {
            self.ui.notice = Some(sentence);
        }
        asked(wishes)
    }

    /// What a key does where something is typed or asked on the Runs screen; none: what it does elsewhere.
    pub(in crate::app) fn key_in_runs(&mut self, key: Key) -> Option<Vec<Request>> {
        if self.ui.screen != Screen::Runs {
            return None;
        }
        self.ui.runs.key(key).map(asked)
    }

    /// Does something on the Runs screen.
    pub(in crate::app) fn act_on_runs(&mut self, act: Act) -> Vec<Request> {
        if self.ui.screen != Screen::Runs {
            // Asked for by its name from elsewhere: first look at what it would be done to.
            return self.show(Screen::Runs);
        }
        let runs = &mut self.ui.runs;
        let done = match act {
            Act::Open => Ok(runs.open()),
            Act::Resume => runs.resume().map(|()| Vec::new()),
            Act::Fork => runs.fork().map(|()| Vec::new()),
            Act::Replay => runs.replay().map(|wish| vec![wish]),
            Act::Compare => return self.compare_chosen(),
            Act::Filter => {
                runs.is_typing = true;
                Ok(Vec::new())
            }
            Act::First => Ok(runs.go(-ALL)),
            Act::Last => Ok(runs.go(ALL)),
        };
        done.map(asked).unwrap_or_else(|why| {
            self.ui.notice = Some(why);
            Vec::new()
        })
    }

    /// Shows the chosen run beside the one that is open; once more: no longer.
    fn compare_chosen(&mut self) -> Vec<Request> {
        let (notice, wishes) = match self.ui.runs.compare() {
            Ok(Wish::Compare(_, name)) if self.references.iter().any(|r| r.name == name) => {
                self.references.retain(|r| r.name != name);
                (format!("{name} is no longer shown beside it"), Vec::new())
            }
            Ok(Wish::Compare(kind, name)) => {
                let notice = format!("{name} is shown beside it, on the Loss screen (3)");
                (notice, vec![Wish::Compare(kind, name)])
            }
            Ok(wish) => return asked(vec![wish]),
            Err(why) => (why, Vec::new()),
        };
        self.ui.notice = Some(notice);
        asked(wishes)
    }

    /// The same with a row of the list, by its place.
    pub(in crate::app) fn compare_row(&mut self, at: usize) -> Vec<Request> {
        let Some(row) = self.ui.runs.rows.as_deref().and_then(|rows| rows.get(at)) else {
            return Vec::new();
        };
        let before = self.ui.runs.chosen.replace((row.kind, row.name.clone()));
        let requests = self.compare_chosen();
        self.ui.runs.chosen = before;
        requests
    }

    /// Chooses a row of the list, by its place.
    pub(in crate::app) fn choose_row(&mut self, at: usize) -> Vec<Request> {
        let runs = &self.ui.runs;
        let id = |place: &list::Place| runs.row(*place).map(|row| (row.kind, row.name.clone()));
        let shown = runs.shown();
        let now = shown.iter().position(|place| id(place) == runs.chosen).unwrap_or(0);
        let Some(to) = shown.iter().position(|place| place.row == at) else {
            return Vec::new();
        };
        asked(self.ui.runs.go(to as isize - now as isize))
    }

    /// Moves by lines on the Runs screen, down if positive.
    pub(in crate::app) fn scroll_in_runs(&mut self, by: isize) -> Vec<Request> {
        if self.pane() != Pane::RunDetails {
            return asked(self.ui.runs.go(by));
        }
        let most = self.ui.room.details;
        let line = &mut self.ui.runs.line;
        *line = line.saturating_add_signed(by).min(most);
        Vec::new()
    }

    /// A fork's parent is shown beside it from the beginning on: asked for once.
    pub fn company(&mut self) -> Option<Wish> {
        let parent = &self.run.forked.as_ref()?.parent;
        let is_new = self.ui.runs.parent.as_ref() != Some(parent);
        is_new.then(|| {
            self.ui.runs.parent = Some(parent.clone());
            Wish::Compare(list::Kind::Run, parent.clone())
        })
    }

    /// What leaving means while another run is trained behind what is shown: back to that one.
    pub(in crate::app) fn return_or_quit(&self) -> Vec<Request> {
        if self.ui.runs.behind.is_some() { vec![Request::Runs(Wish::Return)] } else { vec![Request::Quit] }
    }

    /// Whether nothing is lost if the screen is left at once.
    pub(in crate::app) fn is_idle(&self) -> bool {
        self.options.is_replay || self.is_over() || self.tie != Tie::Trains
    }
}

pub(in crate::app) fn asked(wishes: Vec<Wish>) -> Vec<Request> {
    wishes.into_iter().map(Request::Runs).collect()
}
