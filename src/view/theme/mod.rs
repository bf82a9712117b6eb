//! Themes: colours by role, from the files in `themes/` and the user's own.
//!
//! A new theme is a new file there and a line here; tests hold them complete and legible. Nothing is told by colour alone.

mod depth;
mod file;

use ratatui::style::{Color, Style};

pub use depth::Depth;
pub use file::parse;

/// Colours by role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Behind everything; `reset` is the terminal's own.
    pub background: Color,
    /// Ordinary text.
    pub text: Color,
    /// Axes and labels.
    pub dim: Color,
    /// Names and figures that matter.
    pub accent: Color,
    /// Frames.
    pub border: Color,
    /// The frame of the panel with the focus.
    pub focus: Color,
    /// An active layer where no stage colour fits.
    pub active: Color,
    /// As it should be.
    pub good: Color,
    /// To be looked at.
    pub warn: Color,
    /// Wrong.
    pub bad: Color,
    /// Loss of each step.
    pub raw: Color,
    /// Smoothed loss.
    pub smooth: Color,
    /// Loss of the full model.
    pub full: Color,
    /// Entropy floor.
    pub floor: Color,
    /// By stage, around.
    pub stages: Vec<Color>,
}

/// Name and text of every theme.
pub static THEMES: &[(&str, &str)] = &[
    ("default", include_str!("../../../themes/default.toml")),
    ("default-light", include_str!("../../../themes/default-light.toml")),
    ("dark", include_str!("../../../themes/dark.toml")),
    ("light", include_str!("../../../themes/light.toml")),
    ("high-contrast", include_str!("../../../themes/high-contrast.toml")),
    ("colorblind", include_str!("../../../themes/colorblind.toml")),
    ("mono", include_str!("../../../themes/mono.toml")),
];

/// A role: its name in a file, and where a theme keeps it.
type Role = (&'static str, fn(&mut Theme) -> &mut Color);

/// Every role but `stages`, which is several.
static ROLES: [Role; 14] = [
    ("background", |t| &mut t.background),
    ("text", |t| &mut t.text),
    ("dim", |t| &mut t.dim),
    ("accent", |t| &mut t.accent),
    ("border", |t| &mut t.border),
    ("focus", |t| &mut t.focus),
    ("active", |t| &mut t.active),
    ("good", |t| &mut t.good),
    ("warn", |t| &mut t.warn),
    ("bad", |t| &mut t.bad),
    ("raw", |t| &mut t.raw),
    ("smooth", |t| &mut t.smooth),
    ("full", |t| &mut t.full),
    ("floor", |t| &mut t.floor),
];

/// The shipped theme of that name.
///
/// # Errors
/// A sentence that lists the known ones.
pub fn find(name: &str, depth: Depth) -> Result<Theme, String> {
    Ok(parse(name, text_of(name)?)?.at(depth))
}

/// The text of a shipped theme.
fn text_of(name: &str) -> Result<&'static str, String> {
    let known = || THEMES.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(", ");
    let found = THEMES.iter().find(|(n, _)| *n == name);
    found.map(|(_, text)| *text).ok_or_else(|| format!("unknown theme `{name}`; known: {}", known()))
}

impl Theme {
    /// Text on the background.
    pub fn base(&self) -> Style {
        Style::new().fg(self.text).bg(self.background)
    }

    /// The colour of a stage.
    pub fn stage(&self, index: usize) -> Color {
        self.stages.get(index % self.stages.len().max(1)).copied().unwrap_or(self.active)
    }

    /// The theme with no more colours than the terminal has.
    pub fn at(mut self, depth: Depth) -> Self {
        for (_, role) in &ROLES {
            let color = role(&mut self);
            *color = depth.nearest(*color);
        }
        self.stages.iter_mut().for_each(|color| *color = depth.nearest(*color));
        self
    }
}

#[cfg(test)]
mod contrast;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_theme_of_the_table() {
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/themes")).unwrap();
        let name = |f: std::io::Result<std::fs::DirEntry>| f.unwrap().path().file_stem().unwrap().to_owned();
        let mut files: Vec<_> = files.map(name).collect();
        files.sort();
        let mut names: Vec<_> = THEMES.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        assert_eq!(files, names);
        assert!(names.iter().all(|name| find(name, Depth::True).is_ok()));
        assert!(find("pink", Depth::True).unwrap_err().contains("known: default, default-light, dark"));
    }
}
