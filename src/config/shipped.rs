//! The configs that are built into the binary: every file of `configs/`.
//!
//! A new config is a new file there and a line here; a test compares the two.

/// Name and text of every shipped config.
pub static SHIPPED: &[(&str, &str)] = &[
    ("quickstart", include_str!("../../configs/quickstart.toml")),
    ("stacking", include_str!("../../configs/stacking.toml")),
    ("depth-matters", include_str!("../../configs/depth-matters.toml")),
    ("gpt-small", include_str!("../../configs/gpt-small.toml")),
    ("ul2-small", include_str!("../../configs/ul2-small.toml")),
    ("bert-small", include_str!("../../configs/bert-small.toml")),
    ("bert-base", include_str!("../../configs/bert-base.toml")),
    ("ul2-1.6b", include_str!("../../configs/ul2-1.6b.toml")),
    ("polynomial", include_str!("../../configs/polynomial.toml")),
    ("annotated", include_str!("../../configs/annotated.toml")),
];

/// The text of a shipped config.
pub fn find(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}

/// The names, in the order of the table.
pub fn names() -> Vec<&'static str> {
    SHIPPED.iter().map(|(name, _)| *name).collect()
}

/// The first comment line of a config: what it is for.
pub fn about(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim_start_matches('#').trim()
}
