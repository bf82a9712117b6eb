//! Experiments: methods compared over seeds, each run an ordinary run, every verdict with its error.
//!
//! `definition` says what is compared (`length`: over how many steps; `comparable`: what all must share), `runner` trains
//! it and goes on where it was left, `figures` reads a run's recording, `results`, `rivals`, `measured` and `fitness` say
//! what came of it (`statistics`, `ngram`), `text`, `charts` and `output` show that; `compare` does the same for any runs.
//! `stability` is an experiment without arms: the paper's theory beside small transformers. Never draws on the screen.

mod charts;
mod comparable;
pub mod compare;
pub mod definition;
pub mod dir;
pub mod figures;
pub mod fitness;
mod length;
pub mod measured;
pub mod ngram;
mod output;
pub mod results;
pub mod rivals;
pub mod runner;
pub mod shipped;
pub mod stability;
pub mod statistics;
pub mod text;

#[cfg(test)]
mod by_hand;
