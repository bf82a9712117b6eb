//! The trainer: the one place where a run's state changes.
//!
//! Owns the loop state and the order of things between two steps: commands first ([`Trainer::apply`]), then the duties
//! of the step (growth, stage entry, transition, probe, evaluation, checkpoint), then the step itself ([`Trainer::advance`]).
//! Everything it does is a function of (config, commands) and comes out as events. Never touches a terminal, a channel, a
//! thread or a clock.

pub mod checkpoint;
mod commands;
mod evaluation;
mod growth;
mod measuring;
mod step;
mod transition;

use std::collections::HashMap;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::config::RunConfig;
use crate::cost;
use crate::data::Corpus;
use crate::event::{Cause, Ending, Event, FORMAT, Forked, Score, Started, Why};
use crate::layer_path::LayerPath;
use crate::measure::coefficients::Coefficients;
use crate::method::{self, Context, Method};
use crate::model::{self, Engine, Parameter};
use crate::objective::{self, Batch, Objective};
use crate::schedule::Schedule;
use checkpoint::{Kind, Snapshot, Store};
use step::UnderWay;
use transition::Following;

/// Told to stop in the middle of an evaluation?
pub type Interrupted<'a> = &'a dyn Fn() -> bool;

/// Takes events as they happen.
///
/// # Errors
/// If the event could not be kept; the trainer then stops at once.
pub type Emit<'a> = &'a mut dyn FnMut(Event) -> Result<()>;

/// Everything about the loop that a checkpoint must hold beside the parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoopState {
    /// The next step to be trained.
    pub step: u64,
    /// The table as it now stands.
    pub schedule: Schedule,
    /// Factor on the scheduled learning rate.
    pub learning_rate_scale: f32,
    /// Whether no step may be trained but the granted ones.
    pub paused: bool,
    /// Steps that may be trained while paused.
    pub granted: u64,
    /// The stage and path length that were last announced.
    pub announced: Option<Announced>,
    /// The step before which the cadence's evaluation was last done.
    pub evaluated_at: Option<u64>,
    /// The step before which the cadence's measurements were last done.
    #[serde(default)]
    pub measured_at: Option<u64>,
    /// The step before which a checkpoint was last written by the cadence.
    pub saved_at: Option<u64>,
    /// The step before which a checkpoint was last written because a stage begins there.
    #[serde(default)]
    pub stage_saved_at: Option<u64>,
    /// Loss of the full model if it was evaluated before this very step.
    pub full_loss: Option<f32>,
    /// The transition that is being followed.
    pub following: Option<Following>,
    /// Layers of the full model that exist; none before the first step.
    #[serde(default)]
    pub existing: Option<usize>,
    /// The model before it grew, until the stage it grew for is announced.
    #[serde(default)]
    pub before_growth: Option<Score>,
    /// Recorded events so far, `started` among them.
    pub events: u64,
}

/// What the last [`Event::StageEntered`] said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Announced {
    stage: usize,
    path_length: usize,
    schedule: Schedule,
}

impl Announced {
    /// The fixed layers of that stage; `or` if its table hasn't it.
    fn fixed(&self, or: LayerPath) -> LayerPath {
        self.schedule.stages.get(self.stage).map_or(or, |stage| stage.fixed)
    }
}

impl LoopState {
    /// Before the first step.
    pub fn new(schedule: Schedule) -> Self {
        Self {
            step: 0,
            schedule,
            learning_rate_scale: 1.0,
            paused: false,
            granted: 0,
            announced: None,
            evaluated_at: None,
            measured_at: None,
            saved_at: None,
            stage_saved_at: None,
            full_loss: None,
            following: None,
            existing: None,
            before_growth: None,
            events: 1,
        }
    }
}

/// Trains one run.
pub struct Trainer {
    config: RunConfig,
    corpus: Box<dyn Corpus>,
    objective: &'static dyn Objective,
    method: &'static dyn Method,
    engine: Box<dyn Engine>,
    store: Box<dyn Store>,
    state: LoopState,
    /// What was asked of the engine and not yet told.
    under_way: UnderWay,
    /// The fixed evaluation batches, made once.
    evaluation: Vec<Batch>,
    /// Where a polynomial is learned.
    coefficients: Option<Coefficients>,
    last_checkpoint: Option<String>,
    /// Told of each batch of an evaluation: how many are done, of how many.
    progress: Option<Box<dyn FnMut(u64, u64)>>,
    is_over: bool,
}

impl Trainer {
    /// A trainer before its first step.
    ///
    /// # Errors
    /// If objective and data don't fit, or the engine can't be built.
    pub fn new(config: RunConfig, corpus: Box<dyn Corpus>, store: Box<dyn Store>) -> Result<Self> {
        Self::with_engine(config, corpus, store, model::build)
    }

    /// The same with an engine that is built otherwise: for a config and a size of vocabulary, with the initial weights.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_engine(
        config: RunConfig,
        corpus: Box<dyn Corpus>,
        store: Box<dyn Store>,
        build: impl FnOnce(&RunConfig, usize) -> Result<Box<dyn Engine>>,
    ) -> Result<Self> {
        let objective = objective::find(&config.objective.name).map_err(|m| config_error("objective.name", m))?;
        let method = method::find(&config.method.name).map_err(|m| config_error("method.name", m))?;
        objective.check(corpus.vocabulary()).map_err(|m| config_error("objective.name", m))?;
        let engine = build(&config, corpus.vocabulary().size)?;
        let evaluation = (0..config.evaluation.batches as u64)
            .map(|index| objective::evaluation_batch(corpus.as_ref(), objective, &config, index))
            .collect();
        let coefficients = corpus.polynomial().map(|f| Coefficients::new(f, config.seed));
        let state = LoopState::new(config.schedule());
        Ok(Self {
            config,
            corpus,
            objective,
            method,
            engine,
            store,
            state,
            under_way: UnderWay::new(),
            evaluation,
            coefficients,
            last_checkpoint: None,
            progress: None,
            is_over: false,
        })
    }

    /// Goes on from a snapshot instead, with `events` recorded events behind it.
    ///
    /// # Errors
    /// If it is of another model.
    pub fn resume(&mut self, snapshot: Snapshot, file: &str, events: u64) -> Result<()> {
        // Files keep tensors in an order of their own.
        let mut by_name: HashMap<String, Parameter> =
            snapshot.parameters.into_iter().map(|p| (p.name.clone(), p)).collect();
        let mut ordered = Vec::with_capacity(by_name.len());
        for (name, _) in model::shapes(&self.config.model, self.corpus.vocabulary().size) {
            ordered.push(by_name.remove(&name).with_context(|| format!("{file} has no parameter {name}"))?);
        }
        if let Some(name) = by_name.keys().min() {
            bail!("{file} has the parameter {name}, which the model hasn't");
        }
        self.engine.set_parameters(ordered).with_context(|| format!("loading {file}"))?;
        self.state = LoopState { events, ..snapshot.state };
        // Nobody is there yet to say "resume".
        self.state.paused = false;
        self.state.granted = 0;
        self.last_checkpoint = Some(file.to_owned());
        Ok(())
    }

    /// Goes on from another run's snapshot, as [`Self::resume`] does; with `own_table` under the config's table of stages
    /// instead of the one that the snapshot was made under. The steps before count as trained.
    ///
    /// # Errors
    /// As [`Self::resume`], and if the table ends before the snapshot or can't go on with its layers.
    pub fn fork(&mut self, snapshot: Snapshot, file: &str, events: u64, own_table: bool) -> Result<()> {
        self.resume(snapshot, file, events)?;
        if own_table {
            self.state.schedule = self.config.schedule();
        }
        let (step, total) = (self.state.step, self.state.schedule.total_steps());
        if step >= total {
            let problem = format!("must be more than the {step} that are trained already, not {total}");
            return Err(config_error("train.steps", problem));
        }
        let (now, wanted) = (self.existing(), self.method.existing(&self.context()));
        let grows = self.method.existing(&Context { step: 0, ..self.context() }) < self.state.schedule.layers;
        if wanted < now || (wanted > now && !grows) {
            let problem = format!("wants {wanted} layers at step {step}, where the checkpoint has {now}");
            return Err(config_error("method.name", problem));
        }
        // The checkpoint that a fork begins with is one already.
        self.state.stage_saved_at = Some(step);
        Ok(())
    }

    /// Tells of a fork, and writes the checkpoint that it begins with.
    ///
    /// # Errors
    /// If the recording or the checkpoint can't be written.
    pub fn forked(&mut self, forked: Forked, emit: Emit<'_>) -> Result<()> {
        self.emit(emit, Event::Forked(forked))?;
        let saved = self.save(Kind::Fork)?;
        self.emit(emit, saved)
    }

    /// Checksum of the weights as they are.
    ///
    /// # Errors
    /// If the engine fails.
    pub fn weights_checksum(&self) -> Result<String> {
        self.engine.weights_checksum()
    }

    /// Tells of having gone on from a snapshot.
    ///
    /// # Errors
    /// If the recording fails.
    pub fn resumed(&mut self, event: Event, emit: Emit<'_>) -> Result<()> {
        self.emit(emit, event)
    }

    /// The first event of a run; it must be emitted by the caller.
    ///
    /// # Errors
    /// If the engine fails.
    pub fn started(&self, run: &str) -> Result<Event> {
        let vocabulary = self.corpus.vocabulary().size;
        let cost = cost::cost(&self.config, vocabulary, &model::shapes(&self.config.model, vocabulary));
        Ok(Event::Started(Box::new(Started {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run: run.to_owned(),
            method: self.method.name().to_owned(),
            objective: self.objective.name().to_owned(),
            loss_unit: self.objective.loss_unit().to_owned(),
            items: self.objective.items().to_owned(),
            device: self.engine.about(),
            data: self.corpus.about(),
            schedule: self.config.schedule(),
            parameters: cost.parameters,
            tokens_per_step: cost.tokens_per_step,
            layer_flops: cost.layer_flops,
            fixed_flops: cost.fixed_flops,
            floor: objective::floor(self.corpus.as_ref(), self.objective, &self.config),
            data_checksum: self.corpus.checksum(),
            weights: self.engine.weights_checksum()?,
            config: self.config.to_toml(),
        })))
    }

    /// Where the run stands, for its method.
    pub(crate) fn context(&self) -> Context<'_> {
        let (settings, shape) = (&self.config.method, self.config.model.shape());
        Context { settings, shape, schedule: &self.state.schedule, step: self.state.step }
    }

    /// Tells somebody of each batch of an evaluation: how many are done, of how many. Nothing of the run depends on it.
    pub fn on_progress(&mut self, tell: impl FnMut(u64, u64) + 'static) {
        self.progress = Some(Box::new(tell));
    }

    /// What losses are measured in.
    pub fn loss_unit(&self) -> &'static str {
        self.objective.loss_unit()
    }

    /// The loop as it stands.
    pub fn state(&self) -> &LoopState {
        &self.state
    }

    /// The engine, for measurements and exports.
    pub fn engine(&mut self) -> &mut dyn Engine {
        self.engine.as_mut()
    }

    /// The newest checkpoint written or resumed from.
    pub fn last_checkpoint(&self) -> Option<&str> {
        self.last_checkpoint.as_deref()
    }

    /// Whether the run has ended.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether it waits for a command.
    pub fn is_waiting(&self) -> bool {
        self.state.paused && self.state.granted == 0
    }

    fn emit(&mut self, emit: Emit<'_>, event: Event) -> Result<()> {
        self.state.events += 1;
        emit(event)
    }

    fn save(&mut self, kind: Kind) -> Result<Event> {
        let snapshot = Snapshot { state: self.state.clone(), parameters: self.engine.parameters()? };
        let file = self.store.save(&snapshot, kind)?;
        self.last_checkpoint = Some(file.clone());
        Ok(Event::Saved { step: self.state.step, file, weights: self.engine.weights_checksum()? })
    }

    fn finish(&mut self, ending: Ending, emit: Emit<'_>) -> Result<()> {
        self.is_over = true;
        let event = Event::Finished { step: self.state.step, ending, weights: self.engine.weights_checksum()? };
        self.emit(emit, event)
    }

    /// The duties of the next step and the step itself; or, behind the last step, the run's end. If `interrupted` says so
    /// in the middle of the duties, they are dropped whole (and done anew later): call [`Self::apply`] first. The step may be
    /// told of only when a few more were asked for, or by [`Self::settle`].
    ///
    /// # Errors
    /// As [`Self::apply`]. A non-finite loss is no error: it ends the run as [`Event::Failed`].
    pub fn advance(&mut self, interrupted: Interrupted<'_>, emit: Emit<'_>) -> Result<()> {
        if self.is_quiet() {
            return self.step(emit);
        }
        self.settle(emit)?;
        if self.is_over {
            return Ok(());
        }
        let is_last = self.state.step == self.state.schedule.total_steps();
        self.save_stage(emit)?;
        if !is_last && !self.grow(interrupted, emit)? {
            return Ok(());
        }
        let before = self.state.clone();
        let Some(events) = self.duties(interrupted)? else {
            self.state = before;
            return Ok(());
        };
        events.into_iter().try_for_each(|event| self.emit(emit, event))?;
        if self.is_due_to_save() {
            self.state.saved_at = Some(self.state.step);
            let saved = self.save(Kind::Passing)?;
            self.emit(emit, saved)?;
        }
        if self.state.step == self.state.schedule.total_steps() {
            return self.finish(Ending::Completed, emit);
        }
        self.step(emit)
    }

    /// Whether there is nothing to do before the next step, and there is one.
    fn is_quiet(&self) -> bool {
        self.state.step < self.state.schedule.total_steps()
            && !self.is_stage_new()
            && self.state.existing.is_some_and(|now| self.method.existing(&self.context()) <= now)
            && self.probe_due(false).is_none()
            && !self.is_due_to_evaluate()
            && !self.is_due_to_measure(false)
            && !self.is_due_to_save()
    }

    /// Writes a checkpoint where another stage begins: with the weights and the table of before, so that a fork from there
    /// is free to go on in another way. It counts for the cadence's as well.
    fn save_stage(&mut self, emit: Emit<'_>) -> Result<()> {
        let step = self.state.step;
        let stage = self.state.schedule.stage_at(step);
        let is_over = step == self.state.schedule.total_steps();
        let is_entered = self.state.announced.as_ref().is_some_and(|before| before.stage != stage);
        if is_over || !is_entered || !self.config.checkpoint.stages || self.state.stage_saved_at == Some(step) {
            return Ok(());
        }
        self.state.stage_saved_at = Some(step);
        if self.is_due_to_save() {
            self.state.saved_at = Some(step);
        }
        let saved = self.save(Kind::Stage(stage))?;
        self.emit(emit, saved)
    }

    fn is_due_to_evaluate(&self) -> bool {
        let (step, every) = (self.state.step, self.config.evaluation.every);
        let is_last = step == self.state.schedule.total_steps();
        (is_last || (every > 0 && step.is_multiple_of(every))) && self.state.evaluated_at != Some(step)
    }

    fn is_due_to_save(&self) -> bool {
        let (step, every) = (self.state.step, self.config.checkpoint.every);
        let is_last = step == self.state.schedule.total_steps();
        let is_cadence = every > 0 && step > 0 && step.is_multiple_of(every);
        (is_last || is_cadence) && self.state.saved_at != Some(step)
    }

    /// What must happen between steps before the next one is trained, as events; none if interrupted.
    fn duties(&mut self, interrupted: Interrupted<'_>) -> Result<Option<Vec<Event>>> {
        let mut events = Vec::new();
        let step = self.state.step;
        let is_last = step == self.state.schedule.total_steps();
        let length = |state: &LoopState| state.announced.as_ref().map(|a| a.path_length);
        let before = length(&self.state);
        if !is_last && !self.enter_stage(interrupted, &mut events)? {
            return Ok(None);
        }
        let is_transition = before.is_some() && before != length(&self.state);
        if !self.probe(is_last, interrupted, &mut events)? {
            return Ok(None);
        }
        if self.is_due_to_evaluate() {
            let layers = self.state.schedule.layers;
            let current = self.state.schedule.lookup(step).path_length;
            let lengths = if current == layers || !self.is_whole() { vec![current] } else { vec![current, layers] };
            let Some(scores) = self.evaluate(&lengths, self.config.evaluation.batches, interrupted)? else {
                return Ok(None);
            };
            self.state.evaluated_at = Some(step);
            self.state.full_loss = full_score(&scores, layers).map(|score| score.loss);
            events.push(Event::Evaluated { step, why: if is_last { Why::Final } else { Why::Cadence }, scores });
            if !self.coefficients(&lengths, interrupted, &mut events)? {
                return Ok(None);
            }
        }
        if !self.measure_on_cadence(is_transition, interrupted, &mut events)? {
            return Ok(None);
        }
        Ok(Some(events))
    }

    /// Ends the run in an error, keeping the state before the failing step.
    ///
    /// # Errors
    /// If the recording fails.
    pub fn fail(&mut self, cause: Cause, reason: String, emit: Emit<'_>) -> Result<()> {
        self.is_over = true;
        if cause == Cause::Diverged
            && let Ok(saved) = self.save(Kind::Passing)
        {
            self.emit(emit, saved)?;
        }
        let last_checkpoint = self.last_checkpoint.clone();
        let step = self.state.step;
        self.emit(emit, Event::Failed { step, cause, reason, last_checkpoint })
    }
}

/// A loss that is no number: the run has diverged.
#[derive(Debug)]
pub struct NotFinite(pub String);

impl std::fmt::Display for NotFinite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotFinite {}

/// The row for the full model, if it is among the scores.
pub(crate) fn full_score(scores: &[Score], layers: usize) -> Option<&Score> {
    scores.iter().find(|score| score.path_length == layers)
}

/// An error whose key the user can mend.
fn config_error(key: &str, problem: String) -> anyhow::Error {
    crate::config::load::ConfigError { origin: "config".to_owned(), problems: vec![format!("`{key}` {problem}")] }
        .into()
}
