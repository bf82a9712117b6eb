//! A theme's file: a colour for each role, or only those in which it differs from another theme, its `base`.

use ratatui::style::Color;
use toml::{Table, Value};

use super::{ROLES, Theme, text_of};

/// A theme from its file's text; `origin` names it in errors. One with a `base` states only what differs.
///
/// # Errors
/// A sentence that names the file and the role, and says what would be right.
pub fn parse(origin: &str, text: &str) -> Result<Theme, String> {
    let mut table: Table = toml::from_str(text).map_err(|e| format!("theme {origin}: {}", e.message()))?;
    let mut theme = match table.remove("base") {
        None => {
            let names = ROLES.iter().map(|(name, _)| *name).chain(["stages"]);
            let missing: Vec<String> = names.filter(|n| !table.contains_key(*n)).map(|n| format!("`{n}`")).collect();
            if !missing.is_empty() {
                let missing = missing.join(", ");
                return Err(format!(
                    "theme {origin}: lacks {missing}; state them, or a theme to start from, as base = \"dark\""
                ));
            }
            blank()
        }
        Some(base) => {
            let base = base.as_str().ok_or_else(|| format!("theme {origin}: `base` must be a theme's name"))?;
            parse(base, text_of(base).map_err(|e| format!("theme {origin}: `base`: {e}"))?)?
        }
    };
    for (name, value) in &table {
        if name == "stages" {
            let list = value.as_array().filter(|list| !list.is_empty());
            let list = list.ok_or_else(|| format!("theme {origin}: `stages` must be a list of colours"))?;
            theme.stages = list.iter().map(|value| color(origin, name, value)).collect::<Result<_, _>>()?;
        } else if let Some((_, role)) = ROLES.iter().find(|(role, _)| role == name) {
            *role(&mut theme) = color(origin, name, value)?;
        } else {
            let known = ROLES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            return Err(format!("theme {origin}: unknown role `{name}`; known: base, {known}, stages"));
        }
    }
    Ok(theme)
}

/// A theme that says nothing yet.
fn blank() -> Theme {
    let c = Color::Reset;
    Theme {
        background: c,
        text: c,
        dim: c,
        accent: c,
        border: c,
        focus: c,
        active: c,
        good: c,
        warn: c,
        bad: c,
        raw: c,
        smooth: c,
        full: c,
        floor: c,
        stages: Vec::new(),
    }
}

fn color(origin: &str, role: &str, value: &Value) -> Result<Color, String> {
    let parsed = value.as_str().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| {
        format!("theme {origin}: `{role}` must be a colour, as \"light blue\", \"#88c0d0\" or \"244\", not {value}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_theme_with_a_base_states_what_differs() {
        let dark = parse("dark", text_of("dark").unwrap()).unwrap();
        let mine = parse("mine", "base = \"dark\"\naccent = \"#ff8800\"\nstages = [\"red\", \"244\"]").unwrap();
        assert_eq!(mine.accent, Color::Rgb(255, 136, 0));
        assert_eq!(mine.stages, [Color::Red, Color::Indexed(244)]);
        assert_eq!(Theme { accent: dark.accent, stages: dark.stages.clone(), ..mine }, dark);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, wanted) in [
            ("accent = ", "theme mine.toml: "),
            ("accent = \"red\"", "lacks `background`, `text`, `dim`"),
            ("base = \"pink\"", "`base`: unknown theme `pink`; known: default"),
            ("base = 3", "`base` must be a theme's name"),
            ("base = \"dark\"\naccnt = \"red\"", "unknown role `accnt`; known: base, background, text"),
            ("base = \"dark\"\ngood = \"reddish\"", "`good` must be a colour, as \"light blue\", \"#88c0d0\""),
            ("base = \"dark\"\ngood = 5", "not 5"),
            ("base = \"dark\"\nstages = []", "`stages` must be a list"),
        ] {
            let error = parse("mine.toml", text).unwrap_err();
            assert!(error.contains(wanted) && error.starts_with("theme mine.toml: "), "{error}");
        }
    }
}
