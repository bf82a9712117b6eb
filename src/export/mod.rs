//! Exports: a run in another tool's format. A new format is a new file here and a value of `cli::Format`.

pub mod hf;
pub mod svg;
