//! The user's own config: keys, mouse, theme; what the screen looks and feels like, never what is trained.
//!
//! One TOML file: `$RAPTR_CONFIG`, or `raptr-tui/config.toml` in the user's config directory (`~/.config`, or wherever
//! `$XDG_CONFIG_HOME` says). Nobody needs one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::app::keymap::Keymap;
use crate::config::load::{ConfigError, one_line};
use crate::view::glyphs::Glyphs;
use crate::view::theme::Depth;

/// The environment variable that names the file.
const VARIABLE: &str = "RAPTR_CONFIG";

/// What the user has set.
#[derive(Clone, Debug, PartialEq)]
pub struct UserConfig {
    /// Which keys do what.
    pub keymap: Keymap,
    /// Whether the mouse is listened to.
    pub mouse: bool,
    /// Name of the theme, or `auto`; none: `auto`.
    pub theme: Option<String>,
    /// What pictures are made of; none: what the terminal seems to have.
    pub glyphs: Option<Glyphs>,
    /// How many colours; none: as many as the terminal says. What stands here outranks `NO_COLOR`.
    pub colors: Option<Depth>,
}

impl Default for UserConfig {
    fn default() -> Self {
        Self { keymap: Keymap::default(), mouse: true, theme: None, glyphs: None, colors: None }
    }
}

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    keys: BTreeMap<String, Keys>,
    mouse: Option<bool>,
    theme: Option<String>,
    glyphs: Option<String>,
    colors: Option<String>,
}

/// `"x"` or `["x", "f5"]`.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a key as a string, or a list of them")]
enum Keys {
    One(String),
    Many(Vec<String>),
}

/// The file, if there is one.
///
/// # Errors
/// If `$RAPTR_CONFIG` names one that isn't there.
fn file() -> Result<Option<PathBuf>> {
    use etcetera::BaseStrategy;
    if let Some(named) = std::env::var_os(VARIABLE).filter(|name| !name.is_empty()) {
        let file = PathBuf::from(named);
        if file.is_file() {
            return Ok(Some(file));
        }
        let problem = format!("there is no such file; ${VARIABLE} names it");
        return Err(ConfigError { origin: file.display().to_string(), problems: vec![problem] }.into());
    }
    // No home directory: nothing of the user's.
    let base =
        etcetera::choose_base_strategy().ok().map(|base| base.config_dir().join("raptr-tui").join("config.toml"));
    Ok(base.filter(|file| file.is_file()))
}

/// Reads the user's config; what it doesn't say is as shipped.
///
/// # Errors
/// If the file can't be read, or says what can't be: a sentence for each, with the file and the key.
pub fn load() -> Result<UserConfig> {
    let Some(file) = file()? else {
        return Ok(UserConfig::default());
    };
    let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    parse(&file, &text)
}

fn parse(file: &Path, text: &str) -> Result<UserConfig> {
    let wrong = |problems| ConfigError { origin: file.display().to_string(), problems };
    let written: Written = toml::from_str(text).map_err(|error| wrong(vec![one_line(&error.to_string())]))?;
    let changes: Vec<(String, Vec<String>)> = written
        .keys
        .into_iter()
        .map(|(name, keys)| match keys {
            Keys::One(key) => (name, vec![key]),
            Keys::Many(keys) => (name, keys),
        })
        .collect();
    let keymap = Keymap::new(&changes).map_err(wrong)?;
    let glyphs = written.glyphs.map(|name| Glyphs::find(&name)).transpose();
    let glyphs = glyphs.map_err(|problem| wrong(vec![format!("`glyphs`: {problem}")]))?;
    let colors = written.colors.map(|name| Depth::find(&name)).transpose();
    let colors = colors.map_err(|problem| wrong(vec![format!("`colors`: {problem}")]))?;
    // Whether there is such a theme is known only with the user's own at hand.
    Ok(UserConfig { keymap, mouse: written.mouse.unwrap_or(true), theme: written.theme, glyphs, colors })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::actions::{Action, Mode};

    fn parsed(text: &str) -> Result<UserConfig> {
        parse(Path::new("my.toml"), text)
    }

    #[test]
    fn what_it_says_holds_and_the_rest_is_as_shipped() {
        let config =
            parsed("mouse = false\ntheme = \"dark\"\n[keys]\npause = [\"u\", \"f5\"]\nsave = \"ctrl-s\"\n").unwrap();
        assert_eq!((config.mouse, config.theme.as_deref()), (false, Some("dark")));
        assert_eq!(config.keymap.name_of(Action::Toggle, Mode::Run).as_deref(), Some("u"));
        assert_eq!(config.keymap.name_of(Action::Save, Mode::Run).as_deref(), Some("Ctrl-S"));
        let looks = parsed("glyphs = \"block\"\ncolors = \"16\"").unwrap();
        assert_eq!((looks.glyphs, looks.colors), (Some(Glyphs::Block), Some(Depth::Sixteen)));
        assert_eq!(parsed("").unwrap(), UserConfig::default());
    }

    #[test]
    fn what_is_wrong_is_said_with_the_file_and_the_key() {
        for (text, parts) in [
            ("[keys]\npaus = \"x\"", ["`keys.paus`", "list actions"]),
            ("[keys]\npause = \"xx\"", ["`keys.pause`", "`xx` is not a key"]),
            ("[keys]\npause = \"c\"", ["`keys.pause`", "of `save` already"]),
            ("[keys]\npause = 3", ["line 2", "a key as a string, or a list of them"]),
            ("mous = false", ["mous", "unknown field"]),
            ("glyphs = \"dots\"", ["`glyphs`: unknown glyphs `dots`", "braille, block, ascii"]),
            ("colors = \"17\"", ["`colors`: unknown number of colours `17`", "none, 16, 256, all"]),
            ("mouse = 3", ["line 1", "mouse"]),
            ("[keys", ["line 1", "]"]),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.is::<ConfigError>());
            let error = error.to_string();
            for part in parts.iter().chain(&["my.toml"]) {
                assert!(error.contains(part), "{text}: no `{part}` in {error}");
            }
        }
    }
}
