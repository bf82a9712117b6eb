//! The view: an app as a picture. Pure: the same app, look and size give the same cells.
//!
//! Owns the layout for every size and the table of panels; each panel is a file of its own. Never touches a clock, a
//! file, a thread, the trainer or a command's effect.

mod canvas;
pub mod experiment;
mod panel;
pub mod theme;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Borders, Clear, Paragraph, Widget};

use crate::app::{App, Overlay, PANES, Pane};
use theme::Theme;

/// How things look, apart from what they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Colours by role.
    pub theme: Theme,
    /// Plain ASCII instead of blocks and braille.
    pub ascii: bool,
}

/// The least size that shows more than one line.
const LEAST: (u16, u16) = (40, 10);

/// Draws the whole screen.
pub fn draw(frame: &mut Frame<'_>, app: &App, look: &Look) {
    let area = frame.area();
    let buf = frame.buffer_mut();
    buf.set_style(area, look.theme.base());
    if area.width < LEAST.0 || area.height < LEAST.1 {
        return too_small(app, look, area, buf);
    }
    let ribbon = if area.height >= 16 { 2 } else { 1 };
    let [header, stages, body, footer] = Layout::vertical([
        Constraint::Length(if area.width >= 170 || (area.width >= 100 && area.height < 24) { 1 } else { 2 }),
        Constraint::Length(ribbon),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area);
    panel::header::draw(app, look, header, buf);
    panel::stages::draw(app, look, stages, buf);
    panel::footer::draw(app, look, footer, buf);
    draw_body(app, look, body, buf);
    match &app.ui.overlay {
        Overlay::None => {}
        Overlay::Help(line) => panel::help::draw(app, look, *line, area, buf),
        Overlay::Confirm(command) => panel::dialog::confirm(app, look, *command, area, buf),
        Overlay::Quit => panel::dialog::quit(look, area, buf),
        Overlay::Menu => panel::menu::draw(look, area, buf),
        Overlay::Measured { page, line } => panel::measured::draw(app, look, *page, *line, area, buf),
    }
    if app.run.failure.is_some() && app.ui.overlay == Overlay::None {
        panel::dialog::failure(app, look, area, buf);
    }
}

fn too_small(app: &App, look: &Look, area: Rect, buf: &mut ratatui::buffer::Buffer) {
    let loss = app.run.last.map_or(String::new(), |(loss, ..)| format!(" loss {loss:.3}"));
    let lines = vec![
        Line::raw(format!(
            "{} step {}/{}{loss}",
            plain(look, app.state().text().1),
            app.run.step,
            app.run.total_steps()
        )),
        Line::raw("screen too small; training goes on"),
    ];
    Paragraph::new(lines).style(look.theme.base()).render(area, buf);
}

/// The panels, by size: all, the most important, or one.
fn draw_body(app: &App, look: &Look, body: Rect, buf: &mut ratatui::buffer::Buffer) {
    if app.ui.expanded || body.width < 60 || body.height < 14 {
        return draw_pane(app, look, app.pane(), body, buf);
    }
    let layers = app.run.layers().max(1) as u16;
    let strip_height = (layers.div_ceil(2) + 3).min(body.height * 2 / 5).max(5);
    if body.width < 100 || body.height < 24 {
        let [chart, strip, log] =
            Layout::vertical([Constraint::Min(7), Constraint::Length(strip_height), Constraint::Length(5)]).areas(body);
        draw_pane(app, look, Pane::Loss, chart, buf);
        draw_pane(app, look, Pane::Strip, strip, buf);
        // The last place shows whichever list has the focus.
        let list = match app.pane() {
            Pane::Loss | Pane::Strip => Pane::Log,
            pane => pane,
        };
        return draw_pane(app, look, list, log, buf);
    }
    let [top, bottom] =
        Layout::vertical([Constraint::Min(0), Constraint::Length((body.height / 4).clamp(7, 12))]).areas(body);
    let [left, right] = Layout::horizontal([Constraint::Percentage(64), Constraint::Percentage(36)]).areas(top);
    let [chart, strip] = Layout::vertical([Constraint::Min(8), Constraint::Length(strip_height)]).areas(left);
    let [log, transitions] =
        Layout::horizontal([Constraint::Min(0), Constraint::Length(72.min(bottom.width * 3 / 5))]).areas(bottom);
    draw_pane(app, look, Pane::Loss, chart, buf);
    draw_pane(app, look, Pane::Strip, strip, buf);
    draw_pane(app, look, Pane::Layers, right, buf);
    draw_pane(app, look, Pane::Log, log, buf);
    draw_pane(app, look, Pane::Transitions, transitions, buf);
}

fn draw_pane(app: &App, look: &Look, pane: Pane, area: Rect, buf: &mut ratatui::buffer::Buffer) {
    let Some(panel) = PANES.iter().position(|p| *p == pane).and_then(|i| panel::PANELS.get(i)) else {
        return;
    };
    let has_focus = app.pane() == pane;
    let block = frame_of(look, panel.title(app, area.width.saturating_sub(4)), has_focus);
    let inner = block.inner(area);
    block.render(area, buf);
    if inner.width > 0 && inner.height > 0 {
        panel.draw(app, look, inner, buf);
    }
}

/// A panel's frame; the focus shows in its colour and in a mark.
fn frame_of(look: &Look, title: String, has_focus: bool) -> Block<'static> {
    let theme = &look.theme;
    let mark = if look.ascii { ">" } else { "▸" };
    let (mark, border) = if has_focus { (mark, theme.focus) } else { (" ", theme.border) };
    let title = plain(look, &title);
    let style =
        if has_focus { Style::new().fg(theme.text).add_modifier(Modifier::BOLD) } else { Style::new().fg(theme.text) };
    let title = Line::from(vec![Span::styled(mark, Style::new().fg(border)), Span::styled(format!("{title} "), style)]);
    let kind = if look.ascii { BorderType::Plain } else { BorderType::Rounded };
    Block::new().borders(Borders::ALL).border_type(kind).border_style(Style::new().fg(border)).title(title)
}

/// A box in the middle for what lies over the screen, cleared.
fn overlay(look: &Look, title: &str, width: u16, height: u16, area: Rect, buf: &mut ratatui::buffer::Buffer) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    let place = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    Clear.render(place, buf);
    buf.set_style(place, look.theme.base());
    let block = frame_of(look, title.to_owned(), true);
    let inner = block.inner(place);
    block.render(place, buf);
    inner
}

/// Text for a console whose font has no more than ASCII and box drawing.
fn plain(look: &Look, text: &str) -> String {
    const WORDS: [(&str, &str); 8] =
        [("◆", "O"), ("│", "|"), ("…", "..."), ("→", "->"), ("±", "+-"), ("↑", "Up"), ("↓", "Down"), ("←", "Left")];
    let replace = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
    if look.ascii { WORDS.iter().fold(text.to_owned(), replace) } else { text.to_owned() }
}

/// A number with a unit after at most four digits: 12.3k.
pub(crate) fn short(value: f64) -> String {
    for (scale, unit) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if value >= scale {
            let digits = if value / scale < 10.0 { 2 } else { usize::from(value / scale < 100.0) };
            return format!("{:.digits$}{unit}", value / scale);
        }
    }
    format!("{value:.0}")
}

/// Seconds as people read them.
pub(crate) fn duration(seconds: f64) -> String {
    let s = seconds.clamp(0.0, 3.6e8) as u64;
    match s {
        0..3600 => format!("{}:{:02}", s / 60, s % 60),
        3600..86_400 => format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60),
        _ => format!("{} d {} h", s / 86_400, s / 3600 % 24),
    }
}
