//! A run's figures as comma-separated values: one file for each subject, one row for each thing that was recorded.
//!
//! RFC 4180, with a header row; figures as the shortest text that reads back to the same bits.

use std::io::{self, Write};

use super::Subject;
use super::figures::{Figures, SMOOTHING};
use crate::event::Why;

/// Writes a subject's table.
///
/// # Errors
/// If it can't be written.
pub fn write(figures: &Figures, subject: Subject, out: &mut dyn Write) -> io::Result<()> {
    match subject {
        Subject::Loss => loss(figures, out),
        Subject::Evaluations => evaluations(figures, out),
        Subject::Measured => measured(figures, out),
        Subject::Transitions => transitions(figures, out),
        Subject::Layers => layers(figures, out),
    }
}

/// A field: in quotes where it needs them.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

fn or_empty<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |v| v.to_string())
}

fn loss(figures: &Figures, out: &mut dyn Write) -> io::Result<()> {
    let (items, per_step) = figures.items();
    writeln!(
        out,
        "steps,{items},flops,seconds,stage,path_length,layer_path,loss,ema_{SMOOTHING},learning_rate,gradient_norm"
    )?;
    for s in &figures.steps {
        let (seen, length) = (s.steps * per_step, s.path.path_length());
        write!(out, "{},{seen},{:e},{},{},{length},{},", s.steps, s.flops, s.seconds, s.stage + 1, s.path)?;
        writeln!(out, "{},{},{},{}", s.loss, s.smooth, s.learning_rate, s.gradient_norm)?;
    }
    Ok(())
}

fn evaluations(figures: &Figures, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "steps,why,path_length,is_full_model,loss,spread,batches")?;
    for e in &figures.evaluations {
        let why = match e.why {
            Why::Cadence => "cadence",
            Why::Command => "command",
            Why::Curve => "curve",
            Why::Transition => "transition",
            Why::Probe => "probe",
            Why::Final => "final",
        };
        for s in &e.scores {
            let is_full = s.path_length == figures.depth();
            writeln!(out, "{},{why},{},{is_full},{},{},{}", e.steps, s.path_length, s.loss, s.spread, s.batches)?;
        }
    }
    Ok(())
}

fn measured(figures: &Figures, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "steps,name,path_length,label,value,spread")?;
    for m in &figures.measured {
        for (index, (label, value)) in m.labels.iter().zip(&m.values).enumerate() {
            let (name, label, spread) = (field(&m.name), field(label), or_empty(m.spreads.get(index)));
            writeln!(out, "{},{name},{},{label},{value},{spread}", m.step, m.path_length)?;
        }
    }
    Ok(())
}

fn transitions(figures: &Figures, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "step,stage,from_path_length,to_path_length,before,entered,peak,after,full_before,full_after,recovered_after,\
         followed_until"
    )?;
    for t in &figures.transitions {
        let [before, after] = [0, 1].map(|i| or_empty(t.full.map(|full| full[i])));
        write!(out, "{},{},{},{},{},{},", t.at, t.stage + 1, t.from, t.to, t.before, t.entered)?;
        let recovered = or_empty(t.recovered_after);
        writeln!(out, "{},{},{before},{after},{recovered},{}", t.peak, t.after, t.step)?;
    }
    Ok(())
}

fn layers(figures: &Figures, out: &mut dyn Write) -> io::Result<()> {
    let steps = figures.steps.len().max(1) as f64;
    writeln!(out, "layer,steps_active,share,expected_share,last_active_step")?;
    for (index, l) in figures.layers.iter().enumerate() {
        let (share, expected) = (l.active as f64 / steps, l.expected / steps);
        writeln!(out, "{},{},{share},{expected},{}", index + 1, l.active, or_empty(l.last))?;
    }
    Ok(())
}
