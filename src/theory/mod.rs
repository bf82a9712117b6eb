//! The paper's theory where it can be computed without training anything.
//!
//! Plain arithmetic over numbers that are drawn here; never touches a tensor, a file or a clock. What is measured on a model
//! is `measure`'s business.

pub mod oracle;
pub mod stability;
