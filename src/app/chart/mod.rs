//! How the person looks at the loss: over what, which part, how smooth, and where the crosshair stands.
//!
//! Owns the choices and what they make of a run; `view` draws. Pure: the same run and choices give the same columns,
//! ranges and readouts. `axis` knows where a step stands, `window` which part is shown, `columns` what of it fits into
//! so many dots, `range` the y axis, `ticks` its round numbers, `readout` what stands at the crosshair.

pub mod axis;
pub mod columns;
pub mod range;
pub mod readout;
pub mod ticks;
pub mod window;

use axis::XAxis;
use columns::Choice;
use window::{Bounds, Window};

use super::App;
use super::history::Smoothing;

/// Steps that a zoomed window shows at least.
const LEAST_STEPS: f64 = 8.0;
/// Moves of the crosshair across the whole window.
const MOVES: f64 = 100.0;

/// How the loss is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ChartView {
    /// Over what.
    pub axis: XAxis,
    /// Which part.
    pub window: Window,
    /// Whether the loss is drawn on a log scale.
    pub is_log: bool,
    /// How the loss is smoothed.
    pub smoothing: Smoothing,
    /// Whether the smoothed line begins anew at each change of path length.
    pub restarts: bool,
    /// Whether outliers leave the chart.
    pub is_robust: bool,
    /// The step that is looked at.
    pub crosshair: Option<u64>,
}

impl ChartView {
    /// The line to be drawn.
    pub fn choice(&self) -> Choice {
        Choice { axis: self.axis, smoothing: self.smoothing, restarts: self.restarts }
    }
}

/// What a person does to the chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChartAction {
    /// The next x axis.
    Axis,
    /// Log scale, or linear.
    Log,
    /// A stronger smoothing.
    Smoother,
    /// A weaker one.
    Rougher,
    /// Begin the smoothed line anew at each change of path length, or don't.
    Restart,
    /// Leave outliers out of the range, or don't.
    Robust,
    /// Half as wide.
    ZoomIn,
    /// Twice as wide.
    ZoomOut,
    /// To the left: the crosshair if there is one, else the window.
    Left,
    /// To the right.
    Right,
    /// Ten times as far to the left.
    FarLeft,
    /// Ten times as far to the right.
    FarRight,
    /// To the change of path length before.
    BoundaryBack,
    /// To the next one.
    BoundaryOn,
    /// Everything, following.
    Reset,
    /// As wide as it is, following.
    Follow,
    /// The crosshair, or none.
    Crosshair,
}

impl App {
    /// The step that the crosshair stands at, for whoever else draws steps.
    pub fn crosshair_step(&self) -> Option<u64> {
        self.ui.chart.crosshair
    }

    /// What the chart's window may be.
    pub fn chart_bounds(&self) -> Bounds {
        let axis = self.ui.chart.axis;
        let now = axis.now(&self.run);
        let references = self.references.iter().map(|r| axis.now(&r.run));
        let end = references.fold(axis.end(&self.run), f64::max);
        let per_step = if self.run.step > 0 { now / self.run.step as f64 } else { axis.at(&self.run, 1) };
        Bounds::new(now.max(20.0 * per_step), end, LEAST_STEPS * per_step)
    }

    /// Left and right end of what the chart shows, in the axis's unit.
    pub fn chart_ends(&self) -> (f64, f64) {
        self.ui.chart.window.ends(&self.chart_bounds())
    }

    /// Does what a person wants of the chart.
    pub fn act_on_chart(&mut self, action: ChartAction) {
        let bounds = self.chart_bounds();
        let view = self.ui.chart;
        let around = view.crosshair.map(|step| view.axis.at(&self.run, step));
        let chart = &mut self.ui.chart;
        match action {
            ChartAction::Axis => self.turn_axis(),
            ChartAction::Log => chart.is_log = !chart.is_log,
            ChartAction::Smoother => chart.smoothing = chart.smoothing.turned(1),
            ChartAction::Rougher => chart.smoothing = chart.smoothing.turned(-1),
            ChartAction::Restart => chart.restarts = !chart.restarts,
            ChartAction::Robust => chart.is_robust = !chart.is_robust,
            ChartAction::ZoomIn => chart.window = view.window.zoomed(0.5, around, &bounds),
            ChartAction::ZoomOut => chart.window = view.window.zoomed(2.0, around, &bounds),
            ChartAction::Left => self.move_chart(-1.0),
            ChartAction::Right => self.move_chart(1.0),
            ChartAction::FarLeft => self.move_chart(-10.0),
            ChartAction::FarRight => self.move_chart(10.0),
            ChartAction::BoundaryBack => self.jump(-1),
            ChartAction::BoundaryOn => self.jump(1),
            ChartAction::Reset => chart.window = Window::All,
            ChartAction::Follow => chart.window = view.window.following(&bounds),
            ChartAction::Crosshair => self.turn_crosshair(),
        }
    }

    /// Zooms so that what lies at a share of the chart's width stays there: for the wheel.
    pub fn zoom_chart(&mut self, share: f64, factor: f64) {
        let (from, to) = self.chart_ends();
        let around = from + share.clamp(0.0, 1.0) * (to - from);
        self.ui.chart.window = self.ui.chart.window.zoomed(factor, Some(around), &self.chart_bounds());
    }

    /// Puts the crosshair at a share of the chart's width: for a click.
    pub fn point_at_chart(&mut self, share: f64) {
        let (from, to) = self.chart_ends();
        let step = self.ui.chart.axis.step_at(&self.run, from + share.clamp(0.0, 1.0) * (to - from));
        self.ui.chart.crosshair = (!self.run.history.is_empty()).then_some(step);
    }

    /// The window's ends stay at their steps.
    fn turn_axis(&mut self) {
        let (old, new) = (self.ui.chart.axis, self.ui.chart.axis.next());
        let run = &self.run;
        let moved = |x: f64| match old.now(run) {
            // What isn't trained yet has no steps to go by.
            now if x > now => new.now(run) + (x - now) / now.max(f64::MIN_POSITIVE) * new.now(run),
            _ => new.at(run, old.step_at(run, x)),
        };
        let window = match self.ui.chart.window {
            Window::All => Window::All,
            Window::Tail(_) => {
                let (from, _) = self.chart_ends();
                Window::Tail(new.now(run) - moved(from))
            }
            Window::Still(from, to) => Window::Still(moved(from), moved(to)),
        };
        self.ui.chart.axis = new;
        let bounds = self.chart_bounds();
        let (from, to) = window.ends(&bounds);
        // A clock that stood still, a run without FLOPs: there is nothing to zoom into.
        let is_sound = from.is_finite() && to.is_finite() && to - from >= bounds.least * 0.5;
        self.ui.chart.window = if is_sound { window } else { Window::All };
    }

    fn turn_crosshair(&mut self) {
        if self.ui.chart.crosshair.take().is_some() {
            return;
        }
        let share = if self.ui.chart.window.follows() { 1.0 } else { 0.5 };
        self.point_at_chart(share);
    }

    /// A move: of the crosshair by a hundredth of the window, but a step at least; of the window by a tenth.
    fn move_chart(&mut self, by: f64) {
        let bounds = self.chart_bounds();
        let (from, to) = self.chart_ends();
        let axis = self.ui.chart.axis;
        let Some(step) = self.ui.chart.crosshair else {
            self.ui.chart.window = self.ui.chart.window.panned(by / 10.0, &bounds);
            return;
        };
        let shown = axis.step_at(&self.run, to).saturating_sub(axis.step_at(&self.run, from));
        let stride = ((shown as f64 / MOVES).round().max(1.0) * by.abs()) as u64;
        let last = self.run.history.last().map_or(0, super::history::Bucket::last);
        let step = if by < 0.0 { step.saturating_sub(stride) } else { step.saturating_add(stride).min(last) };
        self.look_at(step);
    }

    /// The crosshair to the next change of path length or the one before; there is one from then on.
    fn jump(&mut self, by: i64) {
        let last = self.run.history.last().map_or(0, super::history::Bucket::last);
        let now = self.ui.chart.crosshair.unwrap_or(last);
        let changes = || self.run.changes.iter().map(|c| c.step);
        let to = if by > 0 { changes().find(|s| *s > now) } else { changes().rfind(|s| *s < now) };
        if let Some(step) = to {
            self.look_at(step.min(last));
        }
    }

    /// The crosshair to a step, and the window so that it is seen.
    pub fn look_at(&mut self, step: u64) {
        let x = self.ui.chart.axis.at(&self.run, step);
        self.ui.chart.crosshair = Some(step);
        self.ui.chart.window = self.ui.chart.window.showing(x, &self.chart_bounds());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Msg, Options};
    use crate::event::{Event, Stamped};
    use crate::layer_path::LayerPath;
    use crate::schedule::{Schedule, Stage};

    /// Of 400 steps in two stages, so many; a millisecond each.
    fn app(steps: u64) -> App {
        let mut app = App::new(Options::default());
        let none = LayerPath::none(4);
        let schedule = Schedule { layers: 4, stages: vec![Stage::new(100, 2, none), Stage::new(300, 4, none)] };
        let mut send = |us: u64, event: Event| {
            app.update(Msg::Event(Stamped { seq: 0, us, event }));
        };
        let started = serde_json::json!({"event": "started", "format": 1, "version": "", "run": "", "method": "",
            "objective": "", "device": "", "data": "", "schedule": schedule, "parameters": 1, "tokens_per_step": 10,
            "layer_flops": 3.0, "fixed_flops": 1.0, "floor": null, "data_checksum": "", "weights": "", "config": ""});
        send(0, serde_json::from_value(started).unwrap());
        for step in 0..steps {
            let stage = usize::from(step >= 100);
            let path_length = [2, 4][stage];
            if step % 100 == 0 && step <= 100 {
                let (expected, schedule) = (vec![0.5; 4], schedule.clone());
                send(step * 1000, Event::StageEntered { step, stage, path_length, by_hand: false, expected, schedule });
            }
            let path = LayerPath::from_layers(4, 0..path_length);
            let loss = 5.0 - step as f32 / 100.0;
            let event = Event::Stepped { step, stage, path, loss, learning_rate: 1e-3, gradient_norm: 1.0 };
            send((step + 1) * 1000, event);
        }
        app
    }

    fn act(app: &mut App, actions: &[ChartAction]) {
        actions.iter().for_each(|action| app.act_on_chart(*action));
    }

    #[test]
    fn a_crosshair_moves_by_steps_and_carries_the_window_along() {
        use ChartAction::*;
        let mut app = app(200);
        act(&mut app, &[Crosshair]);
        assert_eq!(app.crosshair_step(), Some(199));
        act(&mut app, &[Left, Right, Right]);
        assert_eq!(app.crosshair_step(), Some(199), "not beyond the newest step");
        act(&mut app, &[ZoomIn, ZoomIn, ZoomIn, ZoomIn]);
        // Zoomed to a dozen steps one move is one step.
        act(&mut app, &[Left]);
        assert_eq!(app.crosshair_step(), Some(198));
        act(&mut app, &[FarLeft, FarLeft]);
        assert_eq!(app.crosshair_step(), Some(178));
        let (from, to) = app.chart_ends();
        assert!((from..=to).contains(&178.0), "{from} {to}");
        act(&mut app, &[BoundaryBack]);
        assert_eq!(app.crosshair_step(), Some(100));
        act(&mut app, &[BoundaryBack, BoundaryBack]);
        assert_eq!(app.crosshair_step(), Some(0));
        act(&mut app, &[BoundaryOn]);
        assert_eq!(app.crosshair_step(), Some(100));
        let readout = readout::readout(&app).unwrap();
        assert_eq!((readout.steps, readout.loss, readout.stage), ((100, 100), Some((4.0, 4.0)), Some((1, 4))));
        act(&mut app, &[Crosshair]);
        assert_eq!(app.crosshair_step(), None);
    }

    #[test]
    fn the_window_stays_at_its_steps_when_the_axis_turns() {
        use ChartAction::*;
        let mut app = app(200);
        act(&mut app, &[ZoomIn, Left, Left]);
        let (from, to) = app.chart_ends();
        assert_eq!((from, to), (80.0, 180.0));
        act(&mut app, &[Axis, Axis, Axis]);
        // A step took a millisecond.
        assert_eq!(app.ui.chart.axis, axis::XAxis::Time);
        let (from, to) = app.chart_ends();
        assert!((from - 0.08).abs() < 1e-9 && (to - 0.18).abs() < 1e-9, "{from} {to}");
        act(&mut app, &[Axis, Follow]);
        assert_eq!(app.chart_ends(), (100.0, 200.0));
        act(&mut app, &[Reset]);
        assert_eq!(app.chart_ends(), (0.0, 200.0));
        // Out of all that was trained is what is planned.
        act(&mut app, &[ZoomOut, ZoomOut]);
        assert_eq!(app.chart_ends(), (0.0, 400.0));
    }

    #[test]
    fn a_step_and_its_place_are_each_others_inverse() {
        let app = app(200);
        for axis in axis::XAxis::ALL {
            for step in [0, 1, 57, 100, 199] {
                assert_eq!(axis.step_at(&app.run, axis.at(&app.run, step)), step, "{axis:?}");
            }
        }
        // Two layers for a hundred steps, four from then on: by hand.
        let places = axis::XAxis::ALL.map(|axis| axis.at(&app.run, 150));
        assert_eq!(places, [150.0, 1500.0, 100.0 * 7.0 + 50.0 * 13.0, 0.15]);
        // What is planned goes on at four layers.
        assert_eq!(axis::XAxis::Flops.end(&app.run), 100.0 * 7.0 + 300.0 * 13.0);
    }

    #[test]
    fn nothing_is_no_trouble() {
        let mut app = App::new(Options::default());
        for action in [ChartAction::Crosshair, ChartAction::ZoomIn, ChartAction::Axis, ChartAction::Left] {
            app.act_on_chart(action);
        }
        app.zoom_chart(0.5, 0.5);
        app.point_at_chart(2.0);
        assert_eq!(app.crosshair_step(), None);
        assert_eq!(readout::readout(&app), None);
    }
}
