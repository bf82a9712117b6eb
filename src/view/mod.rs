//! The view: an app as a picture. Pure: the same app, look and size give the same cells.
//!
//! `screen` says what stands where, a file for each screen; `panel` draws, a file for each panel. Never touches a clock,
//! a file, a thread, the trainer or a command's effect.

mod canvas;
pub mod experiment;
pub mod glyphs;
mod panel;
mod screen;
pub mod theme;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Borders, Clear, Paragraph, Widget, Wrap};

use crate::app::mouse::Target;
use crate::app::ui::Room;
use crate::app::{App, Overlay, Pane, Screen};
use crate::measurement;
use glyphs::Glyphs;
use theme::Theme;

/// How things look, apart from what they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Colours by role.
    pub theme: Theme,
    /// What pictures are made of.
    pub glyphs: Glyphs,
}

impl Look {
    /// Whether nothing but ASCII and lines can be shown.
    pub fn is_ascii(&self) -> bool {
        self.glyphs == Glyphs::Ascii
    }
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
    let parts = screen::Parts::of(app, area);
    panel::tabs::draw(app, look, parts.tabs, buf);
    panel::header::draw(app, look, parts.header, buf);
    panel::stages::draw(app, look, parts.stages, buf);
    panel::scrub::draw(app, look, parts.scrub, buf);
    panel::footer::draw(app, look, parts.footer, buf);
    for (pane, place) in screen::panes(app, parts.body) {
        draw_pane(app, look, pane, place, buf);
    }
    match &app.ui.overlay {
        Overlay::None => {}
        Overlay::Help(help) => panel::help::draw(help, &app.help_entries(help), look, area, buf),
        Overlay::Palette(palette) => panel::palette::draw(app, palette, look, area, buf),
        Overlay::Confirm(command) => panel::dialog::confirm(app, look, *command, area, buf),
        Overlay::Quit => panel::dialog::quit(look, area, buf),
        Overlay::Schedule(editor) => panel::editor::draw(app, look, editor, area, buf),
        Overlay::Menu => panel::menu::draw(look, area, buf),
    }
    if app.ui.overlay == Overlay::None {
        if app.ui.screen == Screen::Runs {
            panel::run_details::question(app, look, area, buf);
        } else if app.shows_failure() {
            panel::dialog::failure(app, look, area, buf);
        }
    }
    if app.ui.themes.is_open() {
        panel::themes::draw(&app.ui.themes, look, area, buf);
    }
}

/// How much room there is for what is scrolled on a screen of that size.
pub fn room(app: &App, look: &Look, area: Rect) -> Room {
    if area.width < LEAST.0 || area.height < LEAST.1 {
        return Room::default();
    }
    let mut room = Room::default();
    for (pane, place) in screen::panes(app, screen::Parts::of(app, area).body) {
        let inner = frame_of(look, String::new(), false).inner(place);
        if pane == app.pane() {
            room.rows = usize::from(inner.height).max(1);
        }
        if pane == Pane::RunDetails {
            room.details = panel::run_details::beyond(app, look, inner);
        }
        if pane == Pane::Strip {
            room.strip = usize::from(inner.width.saturating_sub(panel::strip::LABELS)).max(1);
        }
    }
    room
}

/// What lies under the mouse, on a screen of that size: the same places that are drawn in.
pub fn hit(app: &App, look: &Look, area: Rect, x: u16, y: u16) -> Target {
    if area.width < LEAST.0 || area.height < LEAST.1 || !area.contains((x, y).into()) {
        return Target::Nothing;
    }
    match &app.ui.overlay {
        Overlay::None => {}
        Overlay::Palette(palette) => return panel::palette::at(app, palette, area, x, y),
        Overlay::Help(help) => return panel::help::at(&app.help_entries(help), area, x, y),
        _ => return Target::Overlay,
    }
    if app.ui.themes.is_open() {
        return Target::Overlay;
    }
    let parts = screen::Parts::of(app, area);
    if parts.scrub.contains((x, y).into()) {
        return panel::scrub::share(parts.scrub, x).map_or(Target::Nothing, Target::Scrub);
    }
    if parts.tabs.contains((x, y).into()) {
        let tab = panel::tabs::places(parts.tabs).find(|(_, from, columns)| (*from..from + columns).contains(&x));
        return tab.map_or(Target::Nothing, |(screen, ..)| Target::Tab(screen));
    }
    if parts.stages.contains((x, y).into()) {
        return panel::stages::step_at(app, parts.stages, x).map_or(Target::Nothing, Target::Ribbon);
    }
    if parts.footer.contains((x, y).into()) {
        return panel::footer::at(app, look, parts.footer, x).map_or(Target::Nothing, Target::Footer);
    }
    let pane = screen::panes(app, parts.body).into_iter().find(|(_, place)| place.contains((x, y).into()));
    let share = |at: u16, from: u16, cells: u16| {
        // Within the frame, from the middle of the first cell to that of the last.
        (f64::from(at) - f64::from(from) - 1.0).max(0.0) / f64::from(cells.saturating_sub(3).max(1))
    };
    pane.map_or(Target::Nothing, |(pane, place)| {
        let mut across = share(x, place.x, place.width).min(1.0);
        let inner = frame_of(look, String::new(), false).inner(place);
        if pane == Pane::Runs
            && let Some(row) = panel::runs::row_at(app, inner, y).filter(|_| inner.contains((x, y).into()))
        {
            return Target::Run(row);
        }
        if pane == Pane::Loss {
            across = panel::loss::share_at(app, inner, x).unwrap_or(across);
        }
        Target::Pane(pane, [across, share(y, place.y, place.height).min(1.0)])
    })
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
        Line::raw(format!("screen too small, {}x{} at least; training goes on", LEAST.0, LEAST.1)),
    ];
    Paragraph::new(lines).wrap(Wrap { trim: true }).style(look.theme.base()).render(area, buf);
}

fn draw_pane(app: &App, look: &Look, pane: Pane, area: Rect, buf: &mut ratatui::buffer::Buffer) {
    let panel = panel::of(pane);
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
    let mark = if look.is_ascii() { ">" } else { "▸" };
    let (mark, border) = if has_focus { (mark, theme.focus) } else { (" ", theme.border) };
    let title = plain(look, &title);
    let style =
        if has_focus { Style::new().fg(theme.text).add_modifier(Modifier::BOLD) } else { Style::new().fg(theme.text) };
    let title = Line::from(vec![Span::styled(mark, Style::new().fg(border)), Span::styled(format!("{title} "), style)]);
    let kind = if look.is_ascii() { BorderType::Plain } else { BorderType::Rounded };
    Block::new().borders(Borders::ALL).border_type(kind).border_style(Style::new().fg(border)).title(title)
}

/// The middle of an area, so large or as large as it is.
fn overlay_place(width: u16, height: u16, area: Rect) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

/// A box in the middle for what lies over the screen, cleared.
fn overlay(look: &Look, title: &str, width: u16, height: u16, area: Rect, buf: &mut ratatui::buffer::Buffer) -> Rect {
    let place = overlay_place(width, height, area);
    Clear.render(place, buf);
    buf.set_style(place, look.theme.base());
    let block = frame_of(look, title.to_owned(), true);
    let inner = block.inner(place);
    block.render(place, buf);
    inner
}

/// Draws a line that is being typed with its cursor, the part around that if all is too long. Returns the column behind it.
fn typing(line: &crate::app::line::Line, style: Style, field: Rect, buf: &mut ratatui::buffer::Buffer) -> u16 {
    if field.width == 0 {
        return field.x;
    }
    let (before, after) = line.halves();
    // From the left, whole graphemes go until the cursor has a place.
    let room = usize::from(field.width - 1);
    let mut head = before;
    while Span::raw(head).width() > room {
        let Some((_, rest)) = head.split_at_checked(head.chars().next().map_or(0, char::len_utf8)) else { break };
        head = rest;
    }
    let (x, _) = buf.set_stringn(field.x, field.y, head, room, style);
    let under = after.chars().next().unwrap_or(' ');
    let cursor = style.add_modifier(Modifier::REVERSED);
    let (x, _) = buf.set_stringn(x, field.y, under.to_string(), usize::from(field.right().saturating_sub(x)), cursor);
    let rest = after.strip_prefix(under).unwrap_or("");
    buf.set_stringn(x, field.y, rest, usize::from(field.right().saturating_sub(x)), style).0
}

/// Text for a console whose font has no more than ASCII and box drawing.
fn plain(look: &Look, text: &str) -> String {
    const WORDS: [(&str, &str); 13] = [
        ("◆", "O"),
        ("│", "|"),
        ("…", "..."),
        ("→", "->"),
        ("±", "+-"),
        ("↑", "Up"),
        ("↓", "Down"),
        ("←", "Left"),
        ("├┼┤", "[|]"),
        ("★", "*"),
        ("✎", "!"),
        ("⚠", "!"),
        ("▲", "^"),
    ];
    let replace = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
    if look.is_ascii() { WORDS.iter().fold(text.to_owned(), replace) } else { text.to_owned() }
}

/// A number with a unit after at most four digits, where columns are few: 12.3k.
pub(crate) fn short(value: f64) -> String {
    measurement::short(value).replace(' ', "")
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
