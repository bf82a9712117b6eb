//! The looks that the screen can have: the shipped themes and the user's own, in what colours and glyphs the terminal has.

use std::path::{Path, PathBuf};

use super::background;
use crate::app::themes::Choice;
use crate::view::Look;
use crate::view::glyphs::Glyphs;
use crate::view::theme::{self, Depth, THEMES, Theme};

/// The name that leaves the choice between light and dark to the terminal.
const AUTO: &str = "auto";
/// What that name chooses from: on a dark background, and on a light one.
const BY_BACKGROUND: [&str; 2] = ["default", "default-light"];

/// What the user wants of the looks; what isn't said is found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// A theme's name, or `auto`.
    pub theme: Option<String>,
    /// How many colours.
    pub depth: Option<Depth>,
    /// Which glyphs.
    pub glyphs: Option<Glyphs>,
}

/// Every theme, and what it is drawn with.
#[derive(Clone, Debug, PartialEq)]
pub struct Looks {
    themes: Vec<(Choice, Theme)>,
    /// Index of the theme to begin with.
    first: usize,
    /// Nobody named a theme: the terminal's background chooses.
    is_auto: bool,
    glyphs: Glyphs,
    /// Colours even under `NO_COLOR`: the user's own config outranks it.
    forces_color: bool,
}

/// The folder of the user's own themes.
pub fn user_themes() -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    etcetera::choose_base_strategy().ok().map(|base| base.config_dir().join("raptr-tui").join("themes"))
}

impl Looks {
    /// The shipped themes and those of a folder, as the terminal can show them.
    ///
    /// # Errors
    /// A sentence: a theme of that name doesn't exist, or a file of the folder says what can't be.
    pub fn gather(wishes: &Wishes, folder: Option<&Path>) -> Result<Self, String> {
        Self::of(wishes, folder, &|name| std::env::var(name).ok())
    }

    fn of(wishes: &Wishes, folder: Option<&Path>, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let value = |name: &str| variable(name);
        let depth = wishes.depth.unwrap_or_else(|| {
            let [no_color, colorterm, term] = ["NO_COLOR", "COLORTERM", "TERM"].map(value);
            Depth::of_environment(no_color.as_deref(), colorterm.as_deref(), term.as_deref())
        });
        let mut themes = Vec::new();
        for (name, text) in THEMES {
            themes.push((choice(name, text), theme::parse(name, text)?.at(depth)));
        }
        for (name, text) in folder.map_or(Ok(Vec::new()), files)? {
            let theme = theme::parse(&format!("{name}.toml"), &text)?.at(depth);
            // A file with a shipped theme's name takes its place.
            themes.retain(|(choice, _)| choice.name != name);
            themes.push((choice(&name, &text), theme));
        }
        let is_auto = wishes.theme.as_deref().is_none_or(|name| name == AUTO);
        let is_light = value("COLORFGBG").and_then(|v| background::of_variable(&v)).unwrap_or(false);
        let first = wishes.theme.as_deref().filter(|_| !is_auto).unwrap_or(BY_BACKGROUND[usize::from(is_light)]);
        let known = || themes.iter().map(|(choice, _)| choice.name.as_str()).collect::<Vec<_>>().join(", ");
        let at = themes.iter().position(|(choice, _)| choice.name == first);
        let first = at.ok_or_else(|| format!("unknown theme `{first}`; known: {AUTO}, {}", known()))?;
        let glyphs = wishes.glyphs.unwrap_or_else(|| glyphs(variable));
        let forces_color = wishes.depth.is_some_and(|d| d != Depth::Mono);
        Ok(Self { themes, first, is_auto, glyphs, forces_color })
    }

    /// The themes by name.
    pub fn choices(&self) -> Vec<Choice> {
        self.themes.iter().map(|(choice, _)| choice.clone()).collect()
    }

    /// Index of the theme to begin with.
    pub(super) fn first(&self) -> usize {
        self.first
    }

    /// Whether the terminal's background is to choose.
    pub(super) fn is_auto(&self) -> bool {
        self.is_auto
    }

    /// Whether colours are shown even under `NO_COLOR`.
    pub(super) fn forces_color(&self) -> bool {
        self.forces_color
    }

    /// Index of the theme for a light or a dark background.
    pub(super) fn for_background(&self, is_light: bool) -> usize {
        let name = BY_BACKGROUND[usize::from(is_light)];
        self.themes.iter().position(|(choice, _)| choice.name == name).unwrap_or(self.first)
    }

    /// The look that was asked for.
    pub fn named(&self) -> Look {
        self.at(self.first)
    }

    /// The look with a theme; beyond the last, with the first.
    pub fn at(&self, index: usize) -> Look {
        let index = if index < self.themes.len() { index } else { self.first };
        Look { theme: self.themes[index].1.clone(), glyphs: self.glyphs }
    }
}

/// A theme by name, and what its first line says.
fn choice(name: &str, text: &str) -> Choice {
    let first = text.lines().next().and_then(|line| line.strip_prefix('#'));
    Choice { name: name.to_owned(), about: first.unwrap_or("").trim().to_owned() }
}

/// Name and text of every theme in a folder, by name; a folder that isn't there has none.
fn files(folder: &Path) -> Result<Vec<(String, String)>, String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.extension().is_some_and(|e| e == "toml")
            && let Some(name) = path.file_stem()
        {
            let text = std::fs::read_to_string(&path).map_err(|e| format!("theme {}: {e}", path.display()))?;
            found.push((name.to_string_lossy().into_owned(), text));
        }
    }
    found.sort();
    Ok(found)
}

/// What the terminal's font has, as far as its name and the locale tell.
fn glyphs(variable: &dyn Fn(&str) -> Option<String>) -> Glyphs {
    let is_plain = variable("TERM").is_some_and(|t| t == "linux" || t.starts_with("vt"));
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(|n| variable(n)).find(|v| !v.is_empty());
    // One that names no charset, as C does in most containers, says nothing of the terminal.
    let charset = locale.and_then(|l| Some(l.split_once('.')?.1.to_lowercase().replace('-', "")));
    let is_other = charset.is_some_and(|c| !c.starts_with("utf8"));
    if is_plain || is_other { Glyphs::Ascii } else { Glyphs::Braille }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(wishes: &Wishes, folder: Option<&Path>, variables: &[(&str, &str)]) -> Result<Looks, String> {
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Looks::of(wishes, folder, &find)
    }

    fn named(name: &str) -> Wishes {
        Wishes { theme: Some(name.to_owned()), ..Wishes::default() }
    }

    #[test]
    fn a_theme_is_found_by_name_or_by_the_background() {
        let name = |looks: &Looks| looks.choices()[looks.first()].name.clone();
        let dark = looks(&named("dark"), None, &[("COLORFGBG", "0;15")]).unwrap();
        assert_eq!((name(&dark), dark.is_auto()), ("dark".to_owned(), false));
        for (variables, wanted) in
            [(&[][..], "default"), (&[("COLORFGBG", "0;15")], "default-light"), (&[("COLORFGBG", "15;0")], "default")]
        {
            for wishes in [Wishes::default(), named("auto")] {
                let looks = looks(&wishes, None, variables).unwrap();
                assert_eq!((name(&looks), looks.is_auto()), (wanted.to_owned(), true));
            }
        }
        let auto = looks(&Wishes::default(), None, &[]).unwrap();
        assert_eq!(auto.choices()[auto.for_background(true)].name, "default-light");
        let error = looks(&named("pink"), None, &[]).unwrap_err();
        assert!(error.starts_with("unknown theme `pink`; known: auto, default, "), "{error}");
    }

    #[test]
    fn the_users_themes_stand_beside_the_shipped_ones_or_in_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("mine.toml", "# Mine.\nbase = \"dark\"\naccent = \"#ff8800\"");
        write("mono.toml", "base = \"light\"");
        write("notes.txt", "no theme");
        let mine = looks(&named("mine"), Some(folder.path()), &[("COLORTERM", "truecolor")]).unwrap();
        let names: Vec<String> = mine.choices().into_iter().map(|c| c.name).collect();
        assert_eq!(names.len(), THEMES.len() + 1);
        assert_eq!(mine.choices()[mine.first()].about, "Mine.");
        assert_eq!(mine.at(mine.first()).theme.accent, ratatui::style::Color::Rgb(255, 136, 0));
        let mono = looks(&named("mono"), Some(folder.path()), &[("COLORTERM", "truecolor")]).unwrap();
        assert_eq!(mono.at(mono.first()).theme, theme::find("light", Depth::True).unwrap());
        write("mine.toml", "base = \"dark\"\naccent = \"orangish\"");
        let error = looks(&named("dark"), Some(folder.path()), &[]).unwrap_err();
        assert!(error.contains("theme mine.toml: `accent` must be a colour"), "{error}");
    }

    #[test]
    fn colours_and_glyphs_are_those_of_the_terminal_unless_the_user_says() {
        let of = |variables: &[(&str, &str)]| looks(&named("dark"), None, variables).unwrap();
        assert_eq!(of(&[("NO_COLOR", "1")]).at(0).theme, theme::find("mono", Depth::True).unwrap());
        assert_eq!(of(&[("TERM", "linux")]).at(0).glyphs, Glyphs::Ascii);
        assert_eq!(of(&[("LANG", "de_DE.ISO-8859-1")]).at(0).glyphs, Glyphs::Ascii);
        for locale in ["de_DE.UTF-8", "C.utf8", "C", "", "POSIX"] {
            assert_eq!(of(&[("LANG", locale)]).at(0).glyphs, Glyphs::Braille, "{locale}");
        }
        assert_eq!(of(&[("LC_ALL", "C.UTF-8"), ("LANG", "de_DE.ISO-8859-1")]).at(0).glyphs, Glyphs::Braille);
        let wishes = Wishes { depth: Some(Depth::True), glyphs: Some(Glyphs::Block), ..named("dark") };
        let forced = looks(&wishes, None, &[("NO_COLOR", "1"), ("TERM", "linux")]).unwrap();
        assert_eq!(forced.at(forced.first()).theme, theme::find("dark", Depth::True).unwrap());
        assert_eq!((forced.at(0).glyphs, forced.forces_color()), (Glyphs::Block, true));
        assert_eq!(forced.at(999), forced.at(forced.first()));
    }
}
