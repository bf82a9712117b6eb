//! Measurements of a model beside its loss.
//!
//! Each takes an engine and fixed inputs, changes nothing, and gives plain numbers. Never touches the loop's state, a file
//! or a clock.

pub mod coefficients;
pub mod psi;
