//! A line chart as SVG: lines with bands, level marks, axes, a legend.
//!
//! Owns the picture: a text file that any browser shows, light or dark as the reader has it. The same chart gives the same
//! bytes. Knows nothing of runs.

use std::fmt::Write as _;

use crate::plan::short;

/// A curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// For the legend.
    pub label: String,
    /// x, y, and the height of the band above and below, x rising.
    pub points: Vec<[f64; 3]>,
}

/// A level across the chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Written on it.
    pub label: String,
    /// Its y.
    pub value: f64,
}

/// A chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// Above it.
    pub title: String,
    /// Below the title.
    pub subtitle: String,
    /// The x axis.
    pub x: String,
    /// The y axis.
    pub y: String,
    /// The curves, in the legend's order.
    pub lines: Vec<Line>,
    /// Levels; those far outside the curves are left out.
    pub marks: Vec<Mark>,
}

/// Colours that can be told apart with every common colour blindness (Okabe and Ito), on light and dark.
const COLORS: [&str; 8] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a00", "#808080"];
/// Beside the colour, so that nothing is told by colour alone.
const DASHES: [&str; 4] = ["", "6 3", "2 3", "8 3 2 3"];

const SIZE: (f64, f64) = (800.0, 480.0);
/// Left, top, right, bottom of the plot.
const PLOT: [f64; 4] = [70.0, 60.0, 780.0, 425.0];

/// Data to picture.
struct Scale {
    x: [f64; 2],
    y: [f64; 2],
}

impl Scale {
    fn of(chart: &Chart) -> Option<Self> {
        let points = || chart.lines.iter().flat_map(|line| &line.points);
        let range = |values: &mut dyn Iterator<Item = f64>| {
            values.filter(|v| v.is_finite()).fold([f64::INFINITY, f64::NEG_INFINITY], |[l, h], v| [l.min(v), h.max(v)])
        };
        let x = range(&mut points().map(|p| p[0]));
        // The first steps fall so steeply that they would flatten all that follows.
        let settled = x[0] + 0.1 * (x[1] - x[0]);
        let [mut low, mut high] =
            range(&mut points().filter(|p| p[0] >= settled).flat_map(|p| [p[1] - p[2], p[1] + p[2]]));
        if !(x[0] <= x[1] && low <= high) {
            return None;
        }
        let span = (high - low).max(1e-6);
        // A level is taken in if the curves keep half of the height.
        for mark in &chart.marks {
            if mark.value > low - 0.5 * span && mark.value < high + 0.5 * span {
                (low, high) = (low.min(mark.value), high.max(mark.value));
            }
        }
        let margin = 0.05 * (high - low).max(1e-6);
        Some(Self { x: [x[0], if x[1] > x[0] { x[1] } else { x[0] + 1.0 }], y: [low - margin, high + margin] })
    }

    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let share = |v: f64, [low, high]: [f64; 2]| (v - low) / (high - low);
        let [left, top, right, bottom] = PLOT;
        (left + share(x, self.x) * (right - left), bottom - share(y, self.y) * (bottom - top))
    }
}

/// Round numbers within a range, four to eight of them.
fn ticks([low, high]: [f64; 2]) -> Vec<f64> {
    let rough = (high - low) / 6.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|s| s * power).find(|s| *s >= rough).unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    (first..).map(|i| i as f64 * step).take_while(|v| *v <= high * (1.0 + 1e-12)).take(12).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Chart {
    /// The chart as SVG; without a point it says so.
    pub fn to_svg(&self) -> String {
        let mut svg = String::new();
        let (width, height) = SIZE;
        let _ = write!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <style>svg {{ color: #222; background: #fff; }} @media (prefers-color-scheme: dark) {{ svg {{ color: #ddd; background: #181818; }} }}</style>\n"
        );
        let [left, top, right, bottom] = PLOT;
        let _ = writeln!(
            svg,
            "<clipPath id=\"plot\"><rect x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{}\"/></clipPath>",
            right - left,
            bottom - top
        );
        let mut write_text = |x: f64, y: f64, more: &str, text: &str| {
            let _ =
                writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"currentColor\" {more}>{}</text>", escape(text));
        };
        write_text(left, 22.0, "font-size=\"16\" font-weight=\"bold\"", &self.title);
        write_text(left, 40.0, "", &self.subtitle);
        write_text((left + right) / 2.0, height - 10.0, "text-anchor=\"middle\"", &self.x);
        let turned = format!("text-anchor=\"middle\" transform=\"rotate(-90 16 {:.1})\"", (top + bottom) / 2.0);
        write_text(16.0, (top + bottom) / 2.0, &turned, &self.y);
        match Scale::of(self) {
            Some(scale) => {
                axes(&mut svg, &scale);
                self.draw(&mut svg, &scale);
            }
            None => {
                let _ = writeln!(
                    svg,
                    "<text x=\"{left}\" y=\"{}\" fill=\"currentColor\">no evaluation yet</text>",
                    top + 20.0
                );
            }
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn draw(&self, svg: &mut String, scale: &Scale) {
        let [left, top, right, _] = PLOT;
        for mark in self.marks.iter().filter(|m| m.value >= scale.y[0] && m.value <= scale.y[1]) {
            let (_, y) = scale.place(scale.x[0], mark.value);
            let _ = writeln!(
                svg,
                "<line x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"currentColor\" stroke-dasharray=\"1 3\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" fill=\"currentColor\">{} {:.3}</text>",
                left + 6.0,
                y - 4.0,
                escape(&mark.label),
                mark.value
            );
        }
        for (index, line) in self.lines.iter().enumerate() {
            let color = COLORS[index % COLORS.len()];
            let dash = DASHES[index / 2 % DASHES.len()];
            let at = |p: &[f64; 3], shift: f64| {
                let (x, y) = scale.place(p[0], p[1] + shift * p[2]);
                // Far above the plot a coordinate needs no more precision; some viewers mind huge ones.
                format!("{x:.1},{:.1}", y.clamp(-1e4, 1e4))
            };
            if line.points.iter().any(|p| p[2] > 0.0) {
                let band = line.points.iter().map(|p| at(p, 1.0)).chain(line.points.iter().rev().map(|p| at(p, -1.0)));
                let band: Vec<String> = band.collect();
                let _ = writeln!(
                    svg,
                    "<polygon clip-path=\"url(#plot)\" fill=\"{color}\" fill-opacity=\"0.18\" points=\"{}\"/>",
                    band.join(" ")
                );
            }
            let points: Vec<String> = line.points.iter().map(|p| at(p, 0.0)).collect();
            let _ = writeln!(
                svg,
                "<polyline clip-path=\"url(#plot)\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\" points=\"{}\"/>",
                points.join(" ")
            );
            let (x, y) = (right - 190.0, top + 14.0 + 17.0 * index as f64);
            let last = line.points.last().map_or(String::new(), |p| format!(" {:.4}", p[1]));
            let _ = writeln!(
                svg,
                "<line x1=\"{x}\" y1=\"{:.1}\" x2=\"{}\" y2=\"{:.1}\" stroke=\"{color}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>\n\
                 <text x=\"{}\" y=\"{y:.1}\" fill=\"currentColor\">{}{last}</text>",
                y - 4.0,
                x + 28.0,
                y - 4.0,
                x + 34.0,
                escape(&line.label)
            );
        }
    }
}

fn axes(svg: &mut String, scale: &Scale) {
    let [left, top, right, bottom] = PLOT;
    let _ = writeln!(svg, "<path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"currentColor\"/>");
    for value in ticks(scale.x) {
        let (x, _) = scale.place(value, scale.y[0]);
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"currentColor\">{}</text>",
            bottom + 18.0,
            short(value)
        );
    }
    let ticks = ticks(scale.y);
    let step = ticks.windows(2).map(|w| w[1] - w[0]).next().unwrap_or(1.0);
    let digits = (-step.log10().floor()).clamp(0.0, 8.0) as usize;
    for value in ticks {
        let (_, y) = scale.place(scale.x[0], value);
        let _ = writeln!(
            svg,
            "<line x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"currentColor\" stroke-opacity=\"0.12\"/>\n\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"currentColor\">{value:.digits$}</text>",
            left - 6.0,
            y + 4.0
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let line = |label: &str, y: f64| Line {
            label: label.to_owned(),
            points: (0..=10).map(|i| [f64::from(i) * 10.0, y + 10.0 / f64::from(i + 1), 0.5]).collect(),
        };
        Chart {
            title: "a < b".to_owned(),
            subtitle: String::new(),
            x: "steps".to_owned(),
            y: "loss".to_owned(),
            lines: vec![line("full", 1.0), line("raptr", 2.0)],
            marks: vec![
                Mark { label: "floor".to_owned(), value: 1.2 },
                Mark { label: "far".to_owned(), value: -900.0 },
            ],
        }
    }

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(ticks([0.0, 100.0]), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        let got = ticks([0.63, 0.91]);
        assert!(got.iter().zip([0.65, 0.7, 0.75, 0.8, 0.85, 0.9]).all(|(a, b)| (a - b).abs() < 1e-9), "{got:?}");
        for (low, high) in [(1e-9, 3e-9), (-5.0, 7.0), (1e12, 9e15)] {
            let n = ticks([low, high]).len();
            assert!((3..=12).contains(&n), "{low} {high}: {n}");
        }
    }

    #[test]
    fn points_lie_where_they_belong() {
        let scale = Scale { x: [0.0, 100.0], y: [1.0, 3.0] };
        assert_eq!(scale.place(0.0, 1.0), (PLOT[0], PLOT[3]));
        assert_eq!(scale.place(100.0, 3.0), (PLOT[2], PLOT[1]));
        assert_eq!(scale.place(50.0, 2.0), ((PLOT[0] + PLOT[2]) / 2.0, (PLOT[1] + PLOT[3]) / 2.0));
    }

    #[test]
    fn a_chart_is_well_formed_and_holds_every_line() {
        let svg = chart().to_svg();
        assert!(svg.contains("a &lt; b") && svg.contains(">full 1.9091<") && svg.contains(">raptr 2.9091<"));
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<polygon").count()), (2, 2));
        assert!(svg.contains("floor 1.200") && !svg.contains("far"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        // Every element is closed: as many ends as beginnings.
        let open = svg.matches('<').count() - svg.matches("</").count();
        assert_eq!(open, svg.matches("/>").count() + svg.matches("</").count());
        assert_eq!(svg, chart().to_svg());
        let empty = Chart { lines: Vec::new(), ..chart() }.to_svg();
        assert!(empty.contains("no evaluation yet") && empty.ends_with("</svg>\n"));
    }
}
