//! The experiments that are built into the binary: every file of `configs/experiments/`.
//!
//! A new experiment is a new file there and a line here; a test compares the two.

/// Name and text of every shipped experiment.
pub static SHIPPED: &[(&str, &str)] = &[
    ("bert-small", include_str!("../../configs/experiments/bert-small.toml")),
    ("horizon", include_str!("../../configs/experiments/horizon.toml")),
    ("flops-sweep", include_str!("../../configs/experiments/flops-sweep.toml")),
    ("stages", include_str!("../../configs/experiments/stages.toml")),
    ("transitions", include_str!("../../configs/experiments/transitions.toml")),
    ("depth-matters", include_str!("../../configs/experiments/depth-matters.toml")),
    ("fixed-set", include_str!("../../configs/experiments/fixed-set.toml")),
];

/// The text of a shipped experiment.
pub fn find(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}

/// The names, in the order of the table.
pub fn names() -> Vec<&'static str> {
    SHIPPED.iter().map(|(name, _)| *name).collect()
}
