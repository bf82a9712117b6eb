//! What messages do to the app: the pure update. What keys do is in `input`, what actions do in `perform`.

use std::borrow::Borrow;

use super::run::Run;
use super::{App, Msg, Overlay, Request};
use crate::event::{Command, Event, Stamped};

impl App {
    /// Takes in a message; what must be done outside comes back.
    pub fn update(&mut self, msg: Msg) -> Vec<Request> {
        match msg {
            Msg::Event(stamped) => {
                if let Event::Applied { command, .. } | Event::Refused { command, .. } = &stamped.event
                    && let Some(at) = self.pending.iter().position(|c| c == command)
                {
                    self.pending.remove(at);
                    if let Event::Refused { reason, .. } = &stamped.event {
                        self.ui.notice = Some(format!("refused: {reason}"));
                    }
                    if let Command::Measure { what } = command
                        && self.ui.asked.take_if(|asked| asked == what).is_some()
                    {
                        self.ui.shows_next = matches!(stamped.event, Event::Applied { .. });
                    }
                }
                self.heard += 1;
                self.show_events([&stamped]);
                self.show_what_was_asked(&stamped.event);
                self.leave_if_over()
            }
            Msg::Key { key, us } => self.key(key, us),
            Msg::Mouse { target, gesture, us } => self.mouse(target, gesture, us),
            Msg::Paste(text) => {
                self.paste(&text);
                Vec::new()
            }
            Msg::Replay(state) => {
                self.replay = Some(state);
                Vec::new()
            }
            Msg::Marks(marks) => {
                self.replay_marks = marks;
                Vec::new()
            }
            Msg::Notice(notice) => {
                self.ui.notice = Some(notice);
                Vec::new()
            }
            Msg::Reference(reference) => {
                self.compare_with(*reference);
                Vec::new()
            }
            Msg::Runs(news) => self.take_news(news),
            Msg::Tick { us } => {
                self.tick(us);
                Vec::new()
            }
            Msg::Machine(sample) => {
                self.sample(sample);
                Vec::new()
            }
            Msg::Ended => {
                self.has_ended = true;
                self.leave_if_over()
            }
        }
    }

    /// Folds events into what is shown. What a person reads in a list that grows at its top stays where it is.
    pub fn show_events(&mut self, events: impl IntoIterator<Item: Borrow<Stamped>>) {
        let before = (self.ui.scroll > 0 && self.is_newest_first()).then(|| self.lines());
        let stage = self.run.stage.index;
        events.into_iter().for_each(|stamped| self.run.apply(stamped.borrow()));
        self.ui.scroll += before.map_or(0, |before| self.lines().saturating_sub(before));
        self.keep_up();
        if matches!(self.ui.overlay, Overlay::Confirm(_)) && self.run.stage.index != stage {
            // The question was about the stage that has just ended by itself.
            self.ui.overlay = Overlay::None;
            self.ui.notice = Some(format!("stage {} has ended meanwhile: nothing was changed", stage + 1));
        }
    }

    /// Shows the run at another place of its recording.
    pub fn show_run(&mut self, run: Run) {
        self.run = run;
        self.keep_up();
    }

    /// Whatever looks at the run looks at how it is now.
    fn keep_up(&mut self) {
        if let Overlay::Schedule(editor) = &mut self.ui.overlay {
            editor.follow(&self.run);
        }
        self.ui.has_read_failure &= self.run.failure.is_some();
    }

    /// Opens the page of a series that a person asked for, once it is there, unless something else lies over the screen.
    fn show_what_was_asked(&mut self, event: &Event) {
        if let Some(page) = self.run.page_of(event)
            && std::mem::take(&mut self.ui.shows_next)
            && self.ui.overlay == Overlay::None
        {
            self.show_page(page);
        }
    }

    fn leave_if_over(&self) -> Vec<Request> {
        if self.ui.is_leaving && self.is_over() { vec![Request::Quit] } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::actions::{ACTIONS, Scope};
    use super::super::keys::Key;
    use super::super::{Options, Pane, ReplayState, Screen, State};
    use super::*;
    use crate::event::{Cause, Ending, What};
    use crate::layer_path::LayerPath;
    use crate::schedule::{Schedule, Stage};

    fn app() -> App {
        let mut app = App::new(Options::default());
        let fixed = LayerPath::from_layers(12, [0, 11]);
        let stages = [6, 8, 12].map(|path_length| Stage::new(10, path_length, fixed)).to_vec();
        let schedule = Schedule { layers: 12, stages };
        event(
            &mut app,
            Event::StageEntered {
                step: 0,
                stage: 0,
                path_length: 6,
                by_hand: false,
                expected: vec![0.5; 12],
                schedule,
            },
        );
        app
    }

    fn event(app: &mut App, event: Event) -> Vec<Request> {
        app.update(Msg::Event(Stamped { seq: 0, us: 0, event }))
    }

    fn press(app: &mut App, key: Key) -> Vec<Request> {
        app.update(Msg::Key { key, us: 0 })
    }

    #[test]
    fn a_command_is_pending_until_it_is_answered() {
        let mut app = app();
        assert_eq!(press(&mut app, Key::Char(' ')), [Request::Train(Command::Pause)]);
        assert_eq!(app.state(), State::Pausing);
        event(&mut app, Event::Applied { step: 3, command: Command::Pause });
        assert_eq!((app.state(), app.pending.len()), (State::Paused, 0));
        assert_eq!(press(&mut app, Key::Char(' ')), [Request::Train(Command::Resume)]);
        let reason = "no".to_owned();
        event(&mut app, Event::Refused { step: 3, command: Command::Resume, reason });
        assert!(app.pending.is_empty() && app.ui.notice.as_ref().unwrap().contains("refused: no"));
    }

    #[test]
    fn path_lengths_of_this_and_later_stages() {
        let mut app = app();
        let set = |stage, path_length| vec![Request::Train(Command::SetPathLength { stage, path_length })];
        assert_eq!(press(&mut app, Key::Char('+')), set(0, 7));
        assert_eq!(press(&mut app, Key::Char('+')), set(0, 8), "counts on from what was asked");
        press(&mut app, Key::Char(']'));
        press(&mut app, Key::Char(']'));
        assert_eq!(press(&mut app, Key::Char('+')), []);
        assert!(app.ui.notice.as_ref().unwrap().contains("between 2 and 12"));
        assert_eq!(press(&mut app, Key::Char('-')), set(2, 11));
        press(&mut app, Key::Esc);
        assert_eq!(press(&mut app, Key::Char('-')), set(0, 7));
    }

    #[test]
    fn stages_are_changed_only_once_confirmed() {
        let mut app = app();
        let forecast = Request::Train(Command::Measure { what: What::Forecast });
        assert_eq!(press(&mut app, Key::Char('n')), [forecast]);
        assert_eq!(press(&mut app, Key::Char('x')), []);
        assert_eq!(press(&mut app, Key::Char('n')), [], "one forecast is under way already");
        assert_eq!(press(&mut app, Key::Char('y')), [Request::Train(Command::NextStage)]);
        assert_eq!(press(&mut app, Key::Char('.')), [Request::Train(Command::Step { steps: 1 })]);
    }

    #[test]
    fn a_question_about_a_stage_goes_with_the_stage() {
        let mut app = app();
        press(&mut app, Key::Char('n'));
        assert_eq!(app.ui.overlay, Overlay::Confirm(Command::NextStage));
        let schedule = app.run.schedule.clone().unwrap();
        let entered = Event::StageEntered {
            step: 10,
            stage: 1,
            path_length: 8,
            by_hand: false,
            expected: vec![0.5; 12],
            schedule,
        };
        event(&mut app, entered);
        assert_eq!(app.ui.overlay, Overlay::None);
        assert!(app.ui.notice.as_ref().unwrap().contains("stage 1 has ended meanwhile"));
        assert_eq!(press(&mut app, Key::Char('y')), [], "and so does the answer");
    }

    #[test]
    fn news_of_a_failure_are_read_once() {
        let mut app = app();
        let reason = "the loss is no number".to_owned();
        event(&mut app, Event::Failed { step: 3, cause: Cause::Diverged, reason, last_checkpoint: None });
        assert!(app.shows_failure());
        press(&mut app, Key::Char('3'));
        assert!(!app.shows_failure() && app.ui.screen == Screen::Loss, "a key does what it does anyway");
        assert_eq!(app.state(), State::Failed);
    }

    #[test]
    fn what_one_reads_stays_where_it_is_while_more_comes() {
        let mut app = app();
        let saved = |n: u64| Event::Saved { step: n, file: format!("file-{n}"), weights: String::new() };
        (0..20).for_each(|n| drop(event(&mut app, saved(n))));
        app.ui.screen = Screen::Log;
        press(&mut app, Key::Up);
        press(&mut app, Key::Up);
        let read = |app: &App| app.ui.log.lines(&app.run).iter().rev().nth(app.ui.scroll).unwrap().text.clone();
        assert_eq!(read(&app), "saved file-17");
        event(&mut app, saved(20));
        assert_eq!(read(&app), "saved file-17");
        press(&mut app, Key::PageDown);
        event(&mut app, saved(21));
        assert_eq!(read(&app), "saved file-21", "at the end the newest is read");
    }

    #[test]
    fn whoever_looks_back_at_a_run_whose_trainer_is_gone_sees_it_as_it_was() {
        let mut app = app();
        app.options.is_replay = true;
        let at = |share| ReplayState { share, ..ReplayState::default() };
        app.update(Msg::Replay(at(0.5)));
        app.update(Msg::Ended);
        assert_eq!(app.state(), State::Running);
        app.update(Msg::Replay(at(1.0)));
        assert_eq!(app.state(), State::Lost);
    }

    #[test]
    fn each_screen_keeps_its_focus() {
        let mut app = app();
        press(&mut app, Key::Tab);
        assert_eq!((app.ui.screen, app.pane()), (Screen::Train, Pane::Strip));
        press(&mut app, Key::Char('3'));
        assert_eq!((app.ui.screen, app.pane()), (Screen::Loss, Pane::Loss));
        press(&mut app, Key::Tab);
        assert_eq!(app.pane(), Pane::Transitions);
        press(&mut app, Key::Char('1'));
        assert_eq!((app.ui.screen, app.pane()), (Screen::Train, Pane::Strip));
    }

    fn series(name: &str) -> Event {
        let (labels, values) = (vec!["1".to_owned(), "2".to_owned()], vec![0.5, 0.25]);
        let (name, spreads) = (name.to_owned(), Vec::new());
        Event::Measured(crate::event::Measurement { step: 0, name, path_length: 12, labels, values, spreads })
    }

    #[test]
    fn what_was_asked_for_is_shown_and_pages_are_turned() {
        let mut app = app();
        assert_eq!(press(&mut app, Key::Char('M')), []);
        let norms = Command::Measure { what: What::Norms };
        assert_eq!(press(&mut app, Key::Char('r')), [Request::Train(norms)]);
        assert_eq!((app.state(), &app.ui.overlay), (State::Evaluating, &Overlay::None));
        event(&mut app, series("by the cadence"));
        assert_eq!(app.ui.screen, Screen::Train, "nobody asked for that");
        event(&mut app, Event::Applied { step: 0, command: norms });
        assert_eq!(app.ui.screen, Screen::Train);
        event(&mut app, series("norms"));
        assert_eq!((app.ui.screen, app.pane(), app.ui.page), (Screen::Eval, Pane::Measured, 1));
        event(&mut app, series("more of it"));
        assert_eq!(app.ui.page, 1);
        for (key, page) in [(Key::Right, 2), (Key::Right, 0), (Key::Left, 2), (Key::Left, 1)] {
            press(&mut app, key);
            assert_eq!(app.ui.page, page);
        }
        press(&mut app, Key::Down);
        press(&mut app, Key::Down);
        assert_eq!(app.scroll(Pane::Measured), 1, "no further than its last line");
        press(&mut app, Key::Char('1'));
        // A refusal shows its reason, not the next series that comes.
        press(&mut app, Key::Char('M'));
        press(&mut app, Key::Char('d'));
        let command = Command::Measure { what: What::Coefficients };
        event(&mut app, Event::Refused { step: 0, command, reason: "no".to_owned() });
        event(&mut app, series("by the cadence"));
        assert_eq!(app.ui.screen, Screen::Train);
        // A newer series takes the place of the older.
        assert_eq!(app.run.measured.len(), 3);
    }

    #[test]
    fn esc_gives_up_an_evaluation_once() {
        let mut app = app();
        assert_eq!(press(&mut app, Key::Esc), []);
        press(&mut app, Key::Char('E'));
        assert_eq!(press(&mut app, Key::Esc), [Request::Train(Command::Cancel)]);
        assert_eq!(press(&mut app, Key::Esc), []);
        event(&mut app, Event::Refused { step: 0, command: Command::Evaluate, reason: "cut short".to_owned() });
        event(&mut app, Event::Applied { step: 0, command: Command::Cancel });
        assert_eq!((app.state(), app.pending.len()), (State::Running, 0));
    }

    #[test]
    fn leaving_waits_for_the_run_to_end() {
        let mut app = app();
        assert_eq!(press(&mut app, Key::Char('q')), []);
        assert_eq!(press(&mut app, Key::Char('s')), [Request::Train(Command::Stop)]);
        event(&mut app, Event::Applied { step: 3, command: Command::Stop });
        let over = Event::Finished { step: 3, ending: Ending::Stopped, weights: String::new() };
        assert_eq!(event(&mut app, over), [Request::Quit]);
    }

    #[test]
    fn a_second_interrupt_aborts_if_it_comes_soon() {
        let mut app = app();
        let interrupt = |app: &mut App, us| app.update(Msg::Key { key: Key::Ctrl('c'), us });
        assert_eq!(interrupt(&mut app, 0), [Request::Train(Command::Stop)]);
        assert_eq!(interrupt(&mut app, 5_000_000), [Request::Train(Command::Stop)]);
        assert_eq!(interrupt(&mut app, 6_000_000), [Request::Train(Command::Abort)]);
    }

    #[test]
    fn a_read_only_screen_and_a_replay_change_nothing() {
        for options in [Options { read_only: true, is_replay: false }, Options { read_only: true, is_replay: true }] {
            let mut app = App { options, ..app() };
            for binding in ACTIONS.iter().filter(|b| b.scope == Scope::Run && !b.keys.is_empty()) {
                let requests = press(&mut app, binding.keys[0]);
                assert!(!requests.iter().any(|r| matches!(r, Request::Train(_))), "{binding:?}");
                assert_eq!(app.ui.overlay, Overlay::None);
            }
        }
    }

    #[test]
    fn the_end_of_the_trainer_without_a_word_is_shown() {
        let mut app = app();
        app.update(Msg::Ended);
        assert_eq!(app.state(), State::Lost);
        assert_eq!(press(&mut app, Key::Char('q')), [Request::Quit]);
    }
}
