//! The list of what can be opened: rows as they were found, and in the order in which they are shown.
//!
//! Plain values; whoever reads directories fills them in.

use crate::event::Ending;

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A run in the directory of runs.
    Run,
    /// A recording that ships with the program.
    Recording,
    /// A config that ships with the program: a run that could be.
    Config,
}

impl Kind {
    /// Every one, in the order of the list.
    pub const ALL: [Self; 3] = [Self::Run, Self::Recording, Self::Config];
}

/// How a run stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Nothing has been trained.
    #[default]
    New,
    /// This program trains it.
    Here,
    /// Another program trains it.
    Live,
    /// It ended in good order.
    Over(Ending),
    /// It ended in an error.
    Failed,
    /// It ended without a word.
    CutOff,
    /// Its recording can't be read, and why.
    Unreadable(String),
}

impl Standing {
    /// Mark and word.
    pub fn text(&self) -> (&'static str, &'static str) {
        match self {
            Self::New => (" ", ""),
            Self::Here => ("●", "open here"),
            Self::Live => ("●", "live"),
            Self::Over(Ending::Completed) => ("✓", "finished"),
            Self::Over(Ending::Stopped) => ("■", "stopped"),
            Self::Over(Ending::Aborted) => ("■", "aborted"),
            Self::Failed => ("✗", "failed"),
            Self::CutOff => ("✗", "cut off"),
            Self::Unreadable(_) => ("✗", "unreadable"),
        }
    }
}

/// Something that can be opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What it is.
    pub kind: Kind,
    /// Its name, unique among its kind.
    pub name: String,
    /// What it is for, of a config.
    pub about: String,
    /// How it stands.
    pub standing: Standing,
    /// The method's name.
    pub method: String,
    /// The objective's name.
    pub objective: String,
    /// Steps trained, and steps in all.
    pub steps: (u64, u64),
    /// The full model's last loss.
    pub full_loss: Option<f32>,
    /// Share of FLOPs that its first table of stages saves, up to where it has come.
    pub saves: Option<f64>,
    /// Seconds since its last event, when the list was made.
    pub age: Option<u64>,
    /// The run it was forked from, and at which step.
    pub parent: Option<(String, u64)>,
}

impl Row {
    /// A row that says no more than what it is.
    pub fn new(kind: Kind, name: &str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            about: String::new(),
            standing: Standing::New,
            method: String::new(),
            objective: String::new(),
            steps: (0, 0),
            full_loss: None,
            saves: None,
            age: None,
            parent: None,
        }
    }

    /// Whether every word of a filter occurs in it.
    fn matches(&self, filter: &str) -> bool {
        let parent = self.parent.as_ref().map_or("", |(name, _)| name);
        let all = [&self.name, &self.about, &self.method, &self.objective, self.standing.text().1, parent]
            .map(str::to_lowercase);
        filter.to_lowercase().split_whitespace().all(|word| all.iter().any(|text| text.contains(word)))
    }
}

/// A row's place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index into the rows.
    pub row: usize,
    /// How deep it stands below the run that it comes from.
    pub depth: usize,
}

/// The rows that a filter leaves, in order: runs by their last event, the newest first, each followed by its forks; then
/// the other kinds as they came.
pub fn arranged(rows: &[Row], filter: &str) -> Vec<Place> {
    let shown: Vec<usize> = (0..rows.len()).filter(|&i| rows[i].matches(filter)).collect();
    let mut places = Vec::with_capacity(shown.len());
    let mut runs: Vec<usize> = shown.iter().copied().filter(|&i| rows[i].kind == Kind::Run).collect();
    runs.sort_by(|&a, &b| (rows[a].age, &rows[a].name).cmp(&(rows[b].age, &rows[b].name)));
    // By parent, so that a thousand runs are gone through once; a parent that isn't shown leaves its forks at the top.
    let named: std::collections::HashMap<&str, usize> = runs.iter().map(|&i| (rows[i].name.as_str(), i)).collect();
    let mut forks: std::collections::HashMap<usize, Vec<usize>> = std::collections::HashMap::new();
    let mut tops = Vec::new();
    for &run in &runs {
        match rows[run].parent.as_ref().and_then(|(name, _)| named.get(name.as_str())).filter(|&&p| p != run) {
            Some(&parent) => forks.entry(parent).or_default().push(run),
            None => tops.push(run),
        }
    }
    let mut left: Vec<Place> = tops.iter().rev().map(|&row| Place { row, depth: 0 }).collect();
    while let Some(place) = left.pop() {
        places.push(place);
        let below = forks.remove(&place.row).unwrap_or_default();
        left.extend(below.iter().rev().map(|&row| Place { row, depth: place.depth + 1 }));
    }
    for kind in &Kind::ALL[1..] {
        places.extend(shown.iter().filter(|&&i| rows[i].kind == *kind).map(|&row| Place { row, depth: 0 }));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, age: u64, parent: Option<&str>) -> Row {
        let parent = parent.map(|p| (p.to_owned(), 8));
        Row { age: Some(age), parent, ..Row::new(Kind::Run, name) }
    }

    fn names(rows: &[Row], filter: &str) -> Vec<String> {
        arranged(rows, filter).iter().map(|p| format!("{}{}", "-".repeat(p.depth), rows[p.row].name)).collect()
    }

    #[test]
    fn forks_stand_below_their_parent_and_the_newest_first() {
        let rows = [
            Row::new(Kind::Config, "quickstart"),
            run("old", 500, None),
            run("fork-of-fork", 5, Some("fork")),
            run("new", 50, None),
            run("fork", 90, Some("old")),
            run("orphan", 70, Some("gone")),
            Row::new(Kind::Recording, "steered"),
        ];
        let expected = ["new", "orphan", "old", "-fork", "--fork-of-fork", "steered", "quickstart"];
        assert_eq!(names(&rows, ""), expected);
        assert_eq!(names(&rows, "FORK old"), ["fork"], "alone, if its parent isn't shown");
        assert_eq!(names(&rows, "nothing"), [""; 0]);
    }

    #[test]
    fn runs_that_claim_each_other_as_parents_are_no_endless_list() {
        let rows = [run("a", 1, Some("b")), run("b", 2, Some("a")), run("c", 3, Some("c"))];
        assert_eq!(names(&rows, ""), ["c"]);
    }
}
