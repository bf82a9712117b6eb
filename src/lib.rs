//! A terminal workbench for progressive-subnetwork pretraining.
//!
//! RaPTr (Random Path Training, Panigrahi et al., arXiv 2402.05913) keeps the full model from step 0, trains only a random
//! sub-path of its layers in each step, and lets path lengths grow in stages. This library is the workbench; the program
//! `raptr-tui` is its command line.
//!
//! ```text
//! configs/*.toml -> RunConfig -> data -> objective -> Trainer -> Event -> Stamped -> App -> view -> terminal
//!                       |                                ^          |      (tee)     fold   pure
//!                       '-> schedule, method ------------'          |        '-> events.jsonl -> replay -> App
//!                                                        '------ Command <- App::update <- keys
//! ```
//!
//! One [`event::Event`] goes out, one [`event::Command`] comes back; screen, headless output, recording, replay and tests
//! read the same events. Every random draw is keyed by (seed, purpose, step), so that nothing a person does between steps
//! can shift what a step sees.
//!
//! Modules, each using only those before it:
//!
//! * core, plain values: [`layer_path`], [`subnetwork`], [`measurement`], [`note`], [`rng`], [`theory`], [`schedule`],
//!   [`method`], [`config`], [`event`], [`experiment_event`], [`learning_rate`], [`cost`], [`step_time`]
//! * training: [`data`], [`objective`], [`kernels`], [`gpu`], [`optim`], [`model`], [`measure`], [`trainer`]
//! * shell, with files, threads and the clock: [`faults`], [`suspension`], [`recording`], [`run_dir`], [`fork`], [`session`], [`signals`],
//!   [`rerun`], [`plan`], [`export`], [`headless`], [`experiment`]
//! * screen: [`app`], [`player`], [`view`], [`user_config`], [`tui`]
//! * both sides: [`cli`], [`verbs`]
//!
//! Words: a *layer* is a whole transformer block; a *layer path* the set of layers active in one step; *path length* how
//! many they are; a *stage* a row of the *schedule*; a *run* a directory; a *session* a live run's trainer thread; a
//! *recording* a run's event log; *replay* shows it again, *rerun* trains it again.

pub mod app;
pub mod cli;
pub mod config;
pub mod cost;
pub mod data;
pub mod event;
pub mod experiment;
pub mod experiment_event;
pub mod export;
pub mod faults;
pub mod fork;
pub mod gpu;
pub mod headless;
pub mod kernels;
pub mod layer_path;
pub mod learning_rate;
pub mod measure;
pub mod measurement;
pub mod method;
pub mod model;
pub mod note;
pub mod objective;
pub mod optim;
pub mod plan;
pub mod player;
pub mod recording;
pub mod rerun;
pub mod rng;
pub mod run_dir;
pub mod schedule;
pub mod session;
pub mod signals;
pub mod step_time;
pub mod subnetwork;
pub mod suspension;
pub mod theory;
pub mod trainer;
pub mod tui;
pub mod user_config;
pub mod verbs;
pub mod view;
