//! Themes: colours by role, from the files in `themes/`.
//!
//! A new theme is a new file there and a line here; tests hold them complete and legible. Nothing is told by colour alone.

use ratatui::style::{Color, Style};
use serde::Deserialize;

/// Colours by role.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
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
    ("default", include_str!("../../themes/default.toml")),
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("high-contrast", include_str!("../../themes/high-contrast.toml")),
    ("colorblind", include_str!("../../themes/colorblind.toml")),
    ("mono", include_str!("../../themes/mono.toml")),
];

/// How many colours the terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The sixteen of old.
    Sixteen,
    /// 256.
    Indexed,
    /// All.
    True,
}

/// The theme of that name.
///
/// # Errors
/// A sentence that lists the known ones.
pub fn find(name: &str, depth: Depth) -> Result<Theme, String> {
    let known = || THEMES.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(", ");
    let (_, text) =
        THEMES.iter().find(|(n, _)| *n == name).ok_or_else(|| format!("unknown theme `{name}`; known: {}", known()))?;
    let theme: Theme = toml::from_str(text).map_err(|e| format!("theme {name}: {e}"))?;
    Ok(theme.at(depth))
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
    fn at(mut self, depth: Depth) -> Self {
        let roles = [
            &mut self.background,
            &mut self.text,
            &mut self.dim,
            &mut self.accent,
            &mut self.border,
            &mut self.focus,
            &mut self.active,
            &mut self.good,
            &mut self.warn,
            &mut self.bad,
            &mut self.raw,
            &mut self.smooth,
            &mut self.full,
            &mut self.floor,
        ];
        for role in roles.into_iter().chain(&mut self.stages) {
            *role = reduce(*role, depth);
        }
        self
    }
}

/// The nearest colour that the terminal has.
fn reduce(color: Color, depth: Depth) -> Color {
    let Color::Rgb(r, g, b) = color else {
        return color;
    };
    match depth {
        Depth::True => color,
        Depth::Indexed => {
            // The 6 x 6 x 6 cube at 16..232 and the greys at 232..256.
            let level = |v: u8| -> u8 {
                if v < 48 {
                    0
                } else if v < 115 {
                    1
                } else {
                    (v - 35) / 40
                }
            };
            let spread = r.max(g).max(b) - r.min(g).min(b);
            if spread < 12 {
                let grey = (u16::from(r) + u16::from(g) + u16::from(b)) / 3;
                return Color::Indexed(if grey < 8 {
                    16
                } else if grey > 246 {
                    231
                } else {
                    232 + ((grey - 8) / 10).min(23) as u8
                });
            }
            Color::Indexed(16 + 36 * level(r) + 6 * level(g) + level(b))
        }
        Depth::Sixteen => {
            const ANSI: [(Color, [i32; 3]); 16] = [
                (Color::Black, [0, 0, 0]),
                (Color::Red, [170, 0, 0]),
                (Color::Green, [0, 170, 0]),
                (Color::Yellow, [170, 120, 0]),
                (Color::Blue, [0, 0, 170]),
                (Color::Magenta, [170, 0, 170]),
                (Color::Cyan, [0, 170, 170]),
                (Color::Gray, [170, 170, 170]),
                (Color::DarkGray, [95, 95, 95]),
                (Color::LightRed, [255, 85, 85]),
                (Color::LightGreen, [85, 255, 85]),
                (Color::LightYellow, [255, 255, 85]),
                (Color::LightBlue, [85, 85, 255]),
                (Color::LightMagenta, [255, 85, 255]),
                (Color::LightCyan, [85, 255, 255]),
                (Color::White, [255, 255, 255]),
            ];
            let distance = |c: &[i32; 3]| {
                let d = |a: u8, b: i32| (i32::from(a) - b).pow(2);
                d(r, c[0]) + d(g, c[1]) + d(b, c[2])
            };
            ANSI.iter().min_by_key(|(_, c)| distance(c)).map_or(Color::Reset, |(color, _)| *color)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(color: Color) -> Option<f64> {
        let Color::Rgb(r, g, b) = color else {
            return None;
        };
        let linear = |v: u8| {
            let v = f64::from(v) / 255.0;
            if v <= 0.03928 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        };
        Some(0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b))
    }

    #[test]
    fn every_theme_is_complete_and_legible() {
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/themes")).unwrap();
        let mut files: Vec<String> =
            files.map(|f| f.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
        files.sort();
        let mut names: Vec<&str> = THEMES.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        assert_eq!(files, names);
        for name in names {
            let theme = find(name, Depth::True).unwrap();
            assert!(theme.stages.len() >= 6, "{name}");
            let Some(back) = luminance(theme.background) else {
                continue;
            };
            // WCAG 2: 4.5 : 1 for text, 3 : 1 for what is drawn.
            let contrast = |c: Color| {
                let l = luminance(c).unwrap();
                (l.max(back) + 0.05) / (l.min(back) + 0.05)
            };
            for color in
                [theme.text, theme.dim, theme.accent, theme.good, theme.warn, theme.bad, theme.full, theme.focus]
            {
                assert!(contrast(color) >= 4.5, "{name}: {color:?} has contrast {:.2}", contrast(color));
            }
            for color in [theme.smooth, theme.floor, theme.raw].into_iter().chain(theme.stages.iter().copied()) {
                assert!(contrast(color) >= 3.0, "{name}: {color:?} has contrast {:.2}", contrast(color));
            }
        }
    }

    #[test]
    fn fewer_colours_are_the_nearest_ones() {
        assert_eq!(reduce(Color::Rgb(250, 250, 250), Depth::Sixteen), Color::White);
        assert_eq!(reduce(Color::Rgb(10, 160, 165), Depth::Sixteen), Color::Cyan);
        assert_eq!(reduce(Color::Rgb(255, 0, 0), Depth::Indexed), Color::Indexed(196));
        assert_eq!(reduce(Color::Rgb(128, 128, 128), Depth::Indexed), Color::Indexed(244));
        assert_eq!(reduce(Color::Cyan, Depth::Sixteen), Color::Cyan);
        assert!(find("pink", Depth::True).unwrap_err().contains("known: default, dark"));
    }
}
