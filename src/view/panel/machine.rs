//! The machine: what a step's time goes to, how fast that is, and what the process uses. What isn't known has no line.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{Look, Panel};
use crate::app::App;
use crate::app::machine::Gpu;
use crate::measurement;
use crate::view::{plain, short};

pub(super) struct Machine;

/// A line: what, and how much of it.
type Line = (&'static str, String);

/// Bytes as people read them.
fn bytes(n: u64) -> String {
    match n as f64 / f64::from(1 << 20) {
        mib if mib < 1024.0 => format!("{mib:.0} MiB"),
        mib => format!("{:.1} GiB", mib / 1024.0),
    }
}

/// Milliseconds, three digits of them.
fn ms(seconds: f64) -> String {
    let ms = 1e3 * seconds;
    let digits = if ms < 10.0 { 2 } else { usize::from(ms < 100.0) };
    format!("{ms:.digits$} ms")
}

/// A bar of so many cells, filled by a share.
fn bar(share: f64, columns: usize, ascii: bool) -> String {
    let filled = (share.clamp(0.0, 1.0) * columns as f64).round() as usize;
    let [full, empty] = if ascii { ["=", "."] } else { ["━", "─"] };
    full.repeat(filled) + &empty.repeat(columns - filled)
}

fn lines(app: &App, ascii: bool) -> Vec<Line> {
    let run = &app.run;
    let mut lines: Vec<Line> = Vec::new();
    if let Some(seconds) = run.step_seconds() {
        let rate = run.tokens_per_second().map_or(String::new(), |r| {
            let items = run.started.as_ref().map_or("items", |s| s.items.as_str());
            format!("   {} {items}/s", short(r))
        });
        lines.push(("step", format!("{}{rate}", ms(seconds))));
    }
    if let Some(fit) = run.step_time() {
        let layers = fit.layer_seconds * run.stage.path_length as f64;
        // Noise can make the fixed part of a short fit negative.
        let share = (fit.fixed_seconds / (fit.fixed_seconds + layers).max(1e-12)).clamp(0.0, 1.0);
        let fixed = ms(fit.fixed_seconds).replace(" ms", "");
        lines.push(("fit", format!("{fixed} + {} a layer, r2 {:.2}", ms(fit.layer_seconds), fit.r2)));
        lines.push(("layers", format!("{} {:.0}% of a step", bar(1.0 - share, 12, ascii), 100.0 * (1.0 - share))));
        lines.push((
            "speed-up",
            format!("{:.2}x so far, {:.2}x by the plan", fit.measured_speed_up, fit.predicted_speed_up),
        ));
    }
    if let Some(rate) = run.flops_per_second() {
        lines.push(("compute", format!("{}FLOP/s", measurement::short(rate))));
    }
    if let Some(now) = app.machine.now() {
        // Where a run uses one, that is what matters: before what a small panel cuts off.
        if let Some(gpu) = now.gpu {
            lines.extend(graphics(&gpu, ascii));
        }
        if let Some(used) = now.processors {
            let all = now.processor_count.unwrap_or(1) as f64;
            let threads = now.threads.map_or(String::new(), |n| format!("  {n} threads"));
            lines.push(("CPU", format!("{} {used:.1} of {all:.0}{threads}", bar(used / all, 12, ascii))));
        }
        if let Some(memory) = now.memory {
            let share = now.total_memory.map_or(0.0, |all| memory as f64 / all as f64);
            let peak = now.peak_memory.map_or(String::new(), |p| format!(", peak {}", bytes(p)));
            lines.push(("memory", format!("{} {}{peak}", bar(share, 12, ascii), bytes(memory))));
        }
        if let Some(free) = now.free_disk {
            lines.push(("disk", format!("{} free", bytes(free))));
        }
    }
    if let Some(started) = &run.started {
        lines.push(("on", started.device.clone()));
    }
    lines
}

/// What the GPU does.
fn graphics(gpu: &Gpu, ascii: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(used) = gpu.utilisation {
        let degrees = if ascii { " C" } else { " °C" };
        let heat = gpu.temperature.map_or(String::new(), |t| format!("  {t}{degrees}"));
        lines.push(("GPU", format!("{} {:.0}%{heat}", bar(used, 12, ascii), 100.0 * used)));
    }
    if let Some((used, all)) = gpu.memory.zip(gpu.total_memory) {
        let [used, all] = [used, all.max(1)].map(|bytes| bytes as f64 / f64::from(1 << 30));
        lines.push(("GPU mem", format!("{} {used:.1} of {all:.1} GiB", bar(used / all, 12, ascii))));
    }
    lines
}

impl Panel for Machine {
    fn title(&self, _: &App, _: u16) -> String {
        "Machine".to_owned()
    }

    fn draw(&self, app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
        let theme = &look.theme;
        let is_low = app.alarms.is_disk_low();
        for (row, (what, text)) in lines(app, look.is_ascii()).iter().take(usize::from(area.height)).enumerate() {
            let y = area.y + row as u16;
            buf.set_stringn(area.x, y, format!("{what:>8} "), usize::from(area.width), Style::new().fg(theme.dim));
            let style = if is_low && *what == "disk" {
                Style::new().fg(theme.bad).add_modifier(Modifier::BOLD)
            } else {
                Style::new().fg(theme.text)
            };
            if area.width > 9 {
                buf.set_stringn(area.x + 9, y, plain(look, text), usize::from(area.width - 9), style);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!((bytes(5 << 20), bytes(3 << 29)), ("5 MiB".to_owned(), "1.5 GiB".to_owned()));
        assert_eq!([0.00512, 0.0512, 5.12].map(ms), ["5.12 ms", "51.2 ms", "5120 ms"]);
        let gpu = Gpu {
            memory: Some(9 << 30),
            total_memory: Some(144 << 30),
            utilisation: Some(0.97),
            temperature: Some(61),
        };
        let lines = graphics(&gpu, true);
        assert_eq!(lines[0], ("GPU", "============ 97%  61 C".to_owned()));
        assert_eq!(lines[1], ("GPU mem", "=........... 9.0 of 144.0 GiB".to_owned()));
        assert_eq!(graphics(&Gpu::default(), false), []);
        assert_eq!((bar(0.25, 4, true), bar(7.0, 3, false)), ("=...".to_owned(), "━━━".to_owned()));
    }
}
