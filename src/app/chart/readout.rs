//! What stands at the crosshair: exact figures of one step, as far back as steps are kept one by one.

use super::XAxis;
use crate::app::App;
use crate::app::run::Run;
use crate::layer_path::LayerPath;

/// The figures at the crosshair.
#[derive(Clone, Debug, PartialEq)]
pub struct Readout {
    /// First and last step that the figures are of: the same where steps are kept one by one.
    pub steps: (u64, u64),
    /// Where the step stands on the x axis.
    pub x: f64,
    /// Least and highest loss of a subnetwork; none if it was not finite.
    pub loss: Option<(f32, f32)>,
    /// The smoothed loss behind the last step.
    pub smooth: Option<f32>,
    /// 0-based stage and path length.
    pub stage: Option<(usize, usize)>,
    /// The step's layers, if it is recent.
    pub path: Option<LayerPath>,
    /// The nearest evaluation of the full model: steps trained and loss.
    pub full: Option<(u64, f32)>,
    /// Of each reference, at the same x.
    pub references: Vec<Beside>,
}

/// A reference at the crosshair.
#[derive(Clone, Debug, PartialEq)]
pub struct Beside {
    /// Its place among the references.
    pub index: usize,
    /// Its smoothed loss there; none beyond its end.
    pub smooth: Option<f32>,
    /// Its full model's loss there, between two evaluations on a straight line.
    pub full: Option<f64>,
}

/// The smoothed loss of a run at x; none before its beginning or beyond its end.
fn smooth_at(app: &App, run: &Run, x: f64) -> Option<f32> {
    let view = &app.ui.chart;
    if x > view.axis.now(run) {
        return None;
    }
    run.history.at(view.axis.step_at(run, x))?.smoothed(view.smoothing, view.restarts)
}

/// What stands at the crosshair, if there is one and a step was trained.
pub fn readout(app: &App) -> Option<Readout> {
    let (run, axis) = (&app.run, app.ui.chart.axis);
    let step = app.ui.chart.crosshair?;
    let bucket = run.history.at(step)?;
    let step = step.min(bucket.last());
    let x = axis.at(run, step);
    let path = run.paths.binary_search_by_key(&step, |p| p.step).ok().map(|at| run.paths[at].path);
    let change = run.changes.iter().rev().find(|c| c.step <= step);
    Some(Readout {
        steps: (bucket.step, bucket.last()),
        x,
        loss: (!bucket.is_gap()).then_some((bucket.low, bucket.high)),
        smooth: bucket.smoothed(app.ui.chart.smoothing, app.ui.chart.restarts),
        stage: change.map(|c| (c.stage, c.to)),
        path,
        full: run.full.iter().min_by_key(|f| f.step.abs_diff(step)).map(|f| (f.step, f.loss)),
        references: beside(app, axis, x),
    })
}

fn beside(app: &App, axis: XAxis, x: f64) -> Vec<Beside> {
    let of = |(index, reference): (usize, &crate::app::compare::Reference)| Beside {
        index,
        smooth: smooth_at(app, &reference.run, x),
        full: reference.run.full_at(axis, x),
    };
    app.references.iter().enumerate().map(of).collect()
}
