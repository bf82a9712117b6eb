//! How many colours a terminal has, and the nearest ones of those.

use ratatui::style::Color;

/// How many colours the terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// None but its own two.
    Mono,
    /// The sixteen of old.
    Sixteen,
    /// 256.
    Indexed,
    /// All.
    True,
}

/// Names in the user's config.
static DEPTHS: [(&str, Depth); 4] =
    [("none", Depth::Mono), ("16", Depth::Sixteen), ("256", Depth::Indexed), ("all", Depth::True)];

/// Terminals that have all colours and say so only by their names, which ssh lets through.
const TRUE: [&str; 9] = ["direct", "truecolor", "kitty", "alacritty", "foot", "ghostty", "wezterm", "contour", "iterm"];

impl Depth {
    /// The depth of that name.
    ///
    /// # Errors
    /// A sentence that lists the known ones.
    pub fn find(name: &str) -> Result<Self, String> {
        let known = || DEPTHS.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(", ");
        let found = DEPTHS.iter().find(|(n, _)| *n == name);
        found.map(|(_, depth)| *depth).ok_or_else(|| format!("unknown number of colours `{name}`; known: {}", known()))
    }

    /// By what the terminal says of itself: `NO_COLOR`, `COLORTERM` and `TERM`.
    pub fn of_environment(no_color: Option<&str>, colorterm: Option<&str>, term: Option<&str>) -> Self {
        let is = |value: Option<&str>, wanted: &[&str]| value.is_some_and(|v| wanted.iter().any(|w| v.contains(w)));
        if no_color.is_some_and(|v| !v.is_empty()) {
            Self::Mono
        } else if is(colorterm, &["truecolor", "24bit"]) || is(term, &TRUE) {
            Self::True
        } else if is(term, &["256"]) {
            Self::Indexed
        } else if is(term, &["vt100", "vt220", "-mono", "-m"]) {
            Self::Mono
        } else {
            Self::Sixteen
        }
    }

    /// The nearest colour that the terminal has.
    pub(super) fn nearest(self, color: Color) -> Color {
        match (self, color) {
            (Self::Mono, _) => Color::Reset,
            (Self::Indexed, Color::Rgb(r, g, b)) => indexed(r, g, b),
            (Self::Sixteen, Color::Rgb(r, g, b)) => sixteen([r, g, b]),
            _ => color,
        }
    }
}

fn indexed(r: u8, g: u8, b: u8) -> Color {
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

/// The sixteen as most terminals show them, roughly.
const ANSI: [(Color, [u8; 3]); 16] = [
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

fn sixteen(color: [u8; 3]) -> Color {
    let distance = |c: &[u8; 3]| color.iter().zip(c).map(|(a, b)| (i32::from(*a) - i32::from(*b)).pow(2)).sum::<i32>();
    ANSI.iter().min_by_key(|(_, c)| distance(c)).map_or(Color::Reset, |(color, _)| *color)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_colours_are_the_nearest_ones() {
        assert_eq!(Depth::Sixteen.nearest(Color::Rgb(250, 250, 250)), Color::White);
        assert_eq!(Depth::Sixteen.nearest(Color::Rgb(10, 160, 165)), Color::Cyan);
        assert_eq!(Depth::Indexed.nearest(Color::Rgb(255, 0, 0)), Color::Indexed(196));
        assert_eq!(Depth::Indexed.nearest(Color::Rgb(128, 128, 128)), Color::Indexed(244));
        assert_eq!(Depth::Sixteen.nearest(Color::Cyan), Color::Cyan);
        assert_eq!(Depth::Mono.nearest(Color::Cyan), Color::Reset);
    }

    #[test]
    fn terminals_say_how_many_colours_they_have() {
        let depth = |no, colorterm, term| Depth::of_environment(no, colorterm, Some(term));
        assert_eq!(depth(None, Some("truecolor"), "xterm-256color"), Depth::True);
        assert_eq!(depth(None, None, "xterm-kitty"), Depth::True);
        assert_eq!(depth(None, None, "xterm-direct"), Depth::True);
        assert_eq!(depth(None, Some(""), "screen-256color"), Depth::Indexed);
        assert_eq!(depth(None, None, "xterm"), Depth::Sixteen);
        assert_eq!(depth(None, None, "linux"), Depth::Sixteen);
        assert_eq!(depth(None, None, "vt100"), Depth::Mono);
        assert_eq!(depth(Some("1"), Some("truecolor"), "xterm"), Depth::Mono);
        assert_eq!(depth(Some(""), Some("truecolor"), "xterm"), Depth::True, "an empty NO_COLOR is none");
        assert_eq!(Depth::of_environment(None, None, None), Depth::Sixteen);
    }
}
