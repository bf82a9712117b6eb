//! Other runs beside this one: the full models' losses at equal steps, FLOPs and time.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::loss::swatch;
use super::{Look, Panel};
use crate::app::chart::axis::XAxis;
use crate::app::compare::{MEASURES, Reference, Row, doubt, row};
use crate::app::{App, Pane};
use crate::view::{duration, plain, short};

pub(super) struct Compare;

impl Panel for Compare {
    fn title(&self, _: &App, width: u16) -> String {
        let long = "Beside other runs: full models' loss, this/that";
        if long.len() <= usize::from(width) { long.to_owned() } else { "Other runs".to_owned() }
    }

    fn draw(&self, app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
        let mut lines: Vec<Line<'static>> = Vec::new();
        for (index, reference) in app.references.iter().enumerate() {
            lines.extend(beside(app, look, index, reference));
        }
        if lines.is_empty() {
            let dim = Style::new().fg(look.theme.dim);
            lines.push(Line::styled(" none yet: --compare RUN puts one beside this,", dim));
            lines.push(Line::styled(" at equal steps, equal FLOPs and equal time", dim));
        } else {
            let note = " on a straight line between two evaluations; one run has no spread";
            lines.push(Line::styled(note, Style::new().fg(look.theme.dim)));
        }
        let rows = usize::from(area.height);
        let scroll = app.scroll(Pane::Compare).min(lines.len().saturating_sub(rows));
        for (y, line) in lines.into_iter().skip(scroll).take(rows).enumerate() {
            line.render(Rect { y: area.y + y as u16, height: 1, ..area }, buf);
        }
    }
}

/// A reference's head, and a line for each measure.
fn beside(app: &App, look: &Look, index: usize, reference: &Reference) -> Vec<Line<'static>> {
    let theme = &look.theme;
    let dim = Style::new().fg(theme.dim);
    let (dashes, style) = swatch(look, index);
    let mut head = vec![Span::styled(format!(" {dashes} {}", reference.name), style.add_modifier(Modifier::BOLD))];
    if let Some(started) = &reference.run.started {
        head.push(Span::styled(format!("  {}, {} steps", started.method, reference.run.step), dim));
    }
    let mut lines = vec![Line::from(head)];
    if let Some(why) = doubt(&app.run, &reference.run) {
        lines.push(Line::styled(format!(" ! {why}"), Style::new().fg(theme.warn)));
    }
    let rows: Vec<Row> = MEASURES.iter().filter_map(|axis| row(&app.run, &reference.run, *axis)).collect();
    if rows.is_empty() {
        lines.push(Line::styled(" not yet evaluated where both have been", dim));
    }
    lines.extend(rows.iter().map(|r| figures(app, look, r)));
    lines
}

/// This run, the other, the difference and who leads; how much sooner or later the same loss was there.
fn figures(app: &App, look: &Look, r: &Row) -> Line<'static> {
    let theme = &look.theme;
    let dim = |text: String| Span::styled(plain(look, &text), Style::new().fg(theme.dim));
    let (word, color): (&str, Color) = match r.difference() {
        d if d.abs() < 5e-5 => ("even", theme.text),
        d if d < 0.0 => ("ahead", theme.good),
        _ => ("behind", theme.warn),
    };
    let mut spans = vec![
        dim(format!(" = {:<5} {:>7} ", r.axis.name(&app.run), amount(r.axis, r.at))),
        Span::styled(format!("{:.4}", r.mine), Style::new().fg(theme.full)),
        dim("/".to_owned()),
        Span::styled(format!("{:.4}", r.theirs), Style::new().fg(theme.text)),
        Span::styled(format!(" {:+.4} {word:<6}", r.difference()), Style::new().fg(color)),
    ];
    if let Some(ratio) = r.ratio {
        spans.push(dim(format!(" {ratio:.2}x to equal loss")));
    }
    Line::from(spans)
}

fn amount(axis: XAxis, at: f64) -> String {
    match axis {
        XAxis::Time => duration(at),
        XAxis::Steps => format!("{at:.0}"),
        XAxis::Tokens | XAxis::Flops => short(at),
    }
}
