//! Which key does what where: the table of actions, and the user's changes to it.
//!
//! The one place where keys are looked up; footer, help and palette show the keys that it says.

use super::actions::{ACTIONS, Action, Binding, Mode, On};
use super::keys::Key;
use super::{Pane, Screen};

/// Where a key is pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// What is shown.
    pub mode: Mode,
    /// Which screen.
    pub screen: Screen,
    /// What has the focus.
    pub pane: Pane,
}

impl Place {
    /// How closely an action is meant here: 0 is not at all.
    pub fn rank(self, binding: &Binding) -> u8 {
        if binding.scope.holds_in(self.mode) { binding.on.rank(self.screen, self.pane) } else { 0 }
    }
}

/// An action with the keys that do it in a place; none may be left.
#[derive(Clone, Debug)]
pub struct Row {
    /// The action.
    pub binding: &'static Binding,
    /// Its keys, the first to be shown.
    pub keys: Vec<Key>,
}

/// Keys to actions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keymap {
    /// Keys that take the place of the table's, by the action's name.
    changed: Vec<(String, Vec<Key>)>,
}

impl Keymap {
    /// The table's keys, changed by the user: pairs of an action's name and its keys, none to leave it to the palette.
    ///
    /// # Errors
    /// A sentence for each name that isn't an action's or comes twice, each key that isn't one, and each key with two meanings.
    pub fn new(changes: &[(String, Vec<String>)]) -> Result<Self, Vec<String>> {
        let (mut map, mut problems) = (Self::default(), Vec::new());
        for (name, keys) in changes {
            if !ACTIONS.iter().any(|b| b.name == name) {
                problems.push(format!("`keys.{name}`: no action has that name; see `raptr-tui list actions`"));
                continue;
            }
            let mut own = Vec::new();
            for text in keys {
                match text.parse() {
                    Ok(key) => own.push(key),
                    Err(problem) => problems.push(format!("`keys.{name}`: {problem}")),
                }
            }
            map.changed.push((name.clone(), own));
        }
        if problems.is_empty() {
            problems = map.problems();
        }
        if problems.is_empty() { Ok(map) } else { Err(problems) }
    }

    /// An action's keys.
    fn keys_of<'a>(&'a self, binding: &'a Binding) -> &'a [Key] {
        self.changed.iter().find(|(name, _)| name == binding.name).map_or(binding.keys, |(_, keys)| keys)
    }

    /// What a key does in a place. The closest meaning goes first: a pane's, then a screen's, then everything's.
    pub fn find(&self, key: Key, place: Place) -> Option<&'static Binding> {
        let here = ACTIONS.iter().filter(|b| self.keys_of(b).contains(&key) && place.rank(b) > 0);
        here.max_by_key(|b| place.rank(b))
    }

    /// What can be done by keys in a place, each with those keys that do it there.
    pub fn here(&self, place: Place) -> impl Iterator<Item = Row> {
        let rows = ACTIONS.iter().filter(move |b| place.rank(b) > 0);
        rows.map(move |binding| {
            let does_it = |key: &Key| self.find(*key, place).is_some_and(|found| std::ptr::eq(found, binding));
            Row { binding, keys: self.keys_of(binding).iter().copied().filter(does_it).collect() }
        })
    }

    /// What can be done in a mode, wherever the focus is, each with its keys.
    pub fn all(&self, mode: Mode) -> impl Iterator<Item = Row> {
        let rows = ACTIONS.iter().filter(move |b| b.scope.holds_in(mode));
        rows.map(|binding| Row { binding, keys: self.keys_of(binding).to_vec() })
    }

    /// An action's first key in a mode, as people read it.
    pub fn name_of(&self, action: Action, mode: Mode) -> Option<String> {
        let row = self.all(mode).find(|row| row.binding.action == action)?;
        row.keys.first().map(|key| key.name())
    }

    /// Keys that mean two things in one place, and ways out that no key is left for.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for mode in [Mode::Run, Mode::Replay, Mode::Experiment] {
            let rows: Vec<Row> = self.all(mode).collect();
            for (at, row) in rows.iter().enumerate() {
                for (nth, key) in row.keys.iter().enumerate() {
                    let mine = row.binding;
                    if row.keys[..nth].contains(key) {
                        problems.push(format!("`keys.{}`: `{key}` stands there twice", mine.name));
                    }
                    for other in rows[..at].iter().filter(|o| o.keys.contains(key)) {
                        let theirs = other.binding;
                        if do_meet(mine.on, theirs.on) {
                            let is_mine = self.changed.iter().any(|(name, _)| name == mine.name);
                            let (name, taken) = if is_mine { (mine, theirs) } else { (theirs, mine) };
                            problems.push(format!(
                                "`keys.{}`: `{key}` is the key of `{}` already; give that another one as well",
                                name.name, taken.name
                            ));
                        }
                    }
                }
            }
            if !rows.iter().any(|r| matches!(r.binding.action, Action::Quit | Action::Interrupt) && !r.keys.is_empty())
            {
                problems
                    .push("`keys.quit`: with neither `quit` nor `interrupt` on a key there is no way out".to_owned());
            }
        }
        // The same names stand in several modes.
        let mut seen = Vec::new();
        problems.retain(|p| {
            !seen.contains(p) && {
                seen.push(p.clone());
                true
            }
        });
        problems
    }
}

/// Whether there is a place where both are meant equally closely.
fn do_meet(a: On, b: On) -> bool {
    match (a, b) {
        (On::Everywhere, On::Everywhere) => true,
        (On::Panes(a), On::Panes(b)) => a.iter().any(|pane| b.contains(pane)),
        (On::Screens(a), On::Screens(b)) => a.iter().any(|screen| b.contains(screen)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODES: [Mode; 3] = [Mode::Run, Mode::Replay, Mode::Experiment];

    fn changed(changes: &[(&str, &[&str])]) -> Result<Keymap, Vec<String>> {
        let own = |(name, keys): &(&str, &[&str])| {
            ((*name).to_owned(), keys.iter().map(|k| (*k).to_owned()).collect::<Vec<_>>())
        };
        Keymap::new(&changes.iter().map(own).collect::<Vec<_>>())
    }

    #[test]
    fn no_key_means_two_things_in_any_place() {
        assert_eq!(Keymap::default().problems(), Vec::<String>::new());
        for mode in MODES {
            for (screen, pane) in Screen::ALL.iter().flat_map(|s| s.panes().iter().map(|p| (*s, *p))) {
                let place = Place { mode, screen, pane };
                // Whatever is shown to do something does it.
                for row in Keymap::default().here(place) {
                    for key in &row.keys {
                        let found = Keymap::default().find(*key, place).unwrap();
                        assert!(std::ptr::eq(found, row.binding), "{key} in {place:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_user_changes_keys() {
        let map = changed(&[("pause", &["J", "f5"]), ("export", &[])]).unwrap();
        let place = |mode| Place { mode, screen: Screen::Train, pane: Pane::Loss };
        let action = |key, mode| map.find(key, place(mode)).map(|b| b.action);
        assert_eq!(action(Key::Char('J'), Mode::Run), Some(Action::Toggle));
        assert_eq!(action(Key::F(5), Mode::Experiment), Some(Action::Toggle), "the same name in each mode");
        assert_eq!(action(Key::Char(' '), Mode::Run), None);
        assert_eq!(action(Key::Char(' '), Mode::Replay), Some(Action::Toggle), "play is an action of its own");
        assert_eq!(action(Key::Char('w'), Mode::Run), None);
        assert_eq!(map.name_of(Action::Toggle, Mode::Run).as_deref(), Some("J"));
        assert_eq!(map.name_of(Action::Export, Mode::Run), None);
    }

    #[test]
    fn what_is_wrong_is_said_in_a_sentence_each() {
        let wrong = |changes: &[(&str, &[&str])], parts: &[&str]| {
            let problems = changed(changes).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            parts.iter().for_each(|part| assert!(problems[0].contains(part), "no `{part}` in {problems:?}"));
        };
        wrong(&[("paus", &["J"])], &["`keys.paus`", "no action", "list actions"]);
        wrong(&[("pause", &["spce"])], &["`keys.pause`", "`spce` is not a key"]);
        wrong(&[("pause", &["c"])], &["`keys.pause`", "`c` is the key of `save` already"]);
        wrong(&[("save", &["J"]), ("evaluate", &["J"])], &["`J` is the key of"]);
        wrong(&[("pause", &["J", "J"])], &["`keys.pause`", "twice"]);
        wrong(&[("quit", &[]), ("interrupt", &[])], &["no way out"]);
        // Two that change places are no problem.
        assert!(changed(&[("save", &["e"]), ("expand", &["c", "enter"])]).is_ok());
    }
}
