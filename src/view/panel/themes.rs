//! The theme picker: every theme, and samples of the one that is tried, which the whole screen wears already.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::Look;
use crate::app::themes::Themes;
use crate::view::{overlay, plain};

/// Lines below the list: a gap, samples, stages, keys.
const BELOW: u16 = 4;

pub(in crate::view) fn draw(themes: &Themes, look: &Look, area: Rect, buf: &mut Buffer) {
    let count = themes.choices.len() as u16;
    let inner = overlay(look, "Themes", 78, count.saturating_add(BELOW + 2), area, buf);
    let (theme, rows) = (&look.theme, inner.height.saturating_sub(BELOW).max(1));
    // The one that is shown stays in view.
    let first = (themes.shown as u16).saturating_sub(rows - 1);
    let put = |y: u16, spans: Vec<Span<'_>>, buf: &mut Buffer| {
        if y < inner.height {
            Line::from(spans).render(Rect { y: inner.y + y, height: 1, ..inner }, buf);
        }
    };
    for (index, choice) in themes.choices.iter().enumerate().skip(usize::from(first)).take(usize::from(rows)) {
        let is_shown = index == themes.shown;
        let mark = match (is_shown, look.is_ascii()) {
            (false, _) => " ",
            (true, true) => ">",
            (true, false) => "▸",
        };
        let style = Style::new().fg(if is_shown { theme.focus } else { theme.text });
        let style = if is_shown { style.add_modifier(Modifier::BOLD) } else { style };
        let name = Span::styled(format!("{mark} {:<15}", choice.name), style);
        let about = Span::styled(plain(look, &choice.about), Style::new().fg(theme.dim));
        put(index as u16 - first, vec![name, about], buf);
    }
    let colored = |text: &'static str, color| Span::styled(text, Style::new().fg(color));
    let samples = [
        ("text ", theme.text),
        ("dim ", theme.dim),
        ("accent ", theme.accent),
        ("good ", theme.good),
        ("warn ", theme.warn),
        ("bad ", theme.bad),
        ("loss ", theme.raw),
        ("ema ", theme.smooth),
        ("full ", theme.full),
    ];
    let samples = samples.into_iter().map(|(text, color)| colored(text, color));
    put(rows + 1, std::iter::once(Span::raw("  ")).chain(samples).collect(), buf);
    let block = if look.is_ascii() { "####" } else { "████" };
    let stages = theme.stages.iter().map(|color| colored(block, *color));
    put(rows + 2, std::iter::once(Span::raw("  ")).chain(stages).collect(), buf);
    let keys = plain(look, "  ↑ ↓ try    Enter keep    Esc back");
    put(rows + 3, vec![Span::styled(keys, Style::new().fg(theme.dim))], buf);
}
