//! A line chart as SVG: lines with bands, level marks, axes, a legend.
//!
//! Owns what of the data is shown and how lines are told apart; plotters draws. The same chart gives the same bytes. Knows
//! nothing of runs.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::measurement::short;

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
    /// Where something changed along the x axis, and what is written there.
    pub changes: Vec<(f64, String)>,
    /// Whether the curves are of training: their first steps fall so steeply that they would flatten all that follows, and
    /// are cut.
    pub is_training: bool,
}

/// Colours that can be told apart with every common colour blindness (Okabe and Ito).
const COLORS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(138, 138, 0),
    RGBColor(128, 128, 128),
];
/// Lengths of dashes and gaps, beside the colour, so that nothing is told by colour alone; 0: none.
const DASHES: [(u32, u32); 4] = [(0, 0), (8, 4), (3, 4), (14, 5)];
const SIZE: (u32, u32) = (900, 540);

/// What of the data is shown.
struct Range {
    x: [f64; 2],
    y: [f64; 2],
}

impl Range {
    fn of(chart: &Chart) -> Option<Self> {
        let points = || chart.lines.iter().flat_map(|line| &line.points);
        let range = |values: &mut dyn Iterator<Item = f64>| {
            values.filter(|v| v.is_finite()).fold([f64::INFINITY, f64::NEG_INFINITY], |[l, h], v| [l.min(v), h.max(v)])
        };
        let x = range(&mut points().map(|p| p[0]));
        let settled = if chart.is_training { x[0] + 0.1 * (x[1] - x[0]) } else { x[0] };
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

    /// Decimals that tell labels of the y axis apart.
    fn digits(&self) -> usize {
        let step = (self.y[1] - self.y[0]) / 8.0;
        (1.0 - step.log10().floor()).clamp(0.0, 8.0) as usize
    }
}

/// What a picture kept in memory can fail with is never seen; the type has to be named all the same.
type Failed = DrawingAreaErrorKind<std::io::Error>;

impl Chart {
    /// The chart as SVG; without a point it says so.
    pub fn to_svg(&self) -> String {
        let mut svg = String::new();
        let drawn = {
            let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            self.draw(&root).and_then(|()| root.present())
        };
        match drawn {
            Ok(()) => svg,
            Err(error) => format!("<svg xmlns=\"http://www.w3.org/2000/svg\"><!-- {error} --></svg>\n"),
        }
    }

    fn draw(&self, root: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), Failed> {
        root.fill(&WHITE)?;
        let (title, rest) = root.split_vertically(52);
        title.draw(&Text::new(self.title.clone(), (16, 8), ("sans-serif", 20)))?;
        title.draw(&Text::new(self.subtitle.clone(), (16, 32), ("sans-serif", 13)))?;
        let Some(range) = Range::of(self) else {
            return rest.draw(&Text::new("no evaluation yet", (16, 20), ("sans-serif", 14)));
        };
        let ([x0, x1], [y0, y1]) = (range.x, range.y);
        let mut chart = ChartBuilder::on(&rest)
            .margin(10)
            .margin_right(30)
            .x_label_area_size(44)
            .y_label_area_size(70)
            .build_cartesian_2d(x0..x1, y0..y1)?;
        let digits = range.digits();
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.1))
            .x_desc(&self.x)
            .y_desc(&self.y)
            .x_label_formatter(&|x| short(*x))
            .y_label_formatter(&|y| format!("{y:.digits$}"))
            .label_style(("sans-serif", 13))
            .draw()?;
        for mark in self.marks.iter().filter(|m| m.value >= y0 && m.value <= y1) {
            let ends = [(x0, mark.value), (x1, mark.value)];
            chart.draw_series(DashedLineSeries::new(ends, 1, 4, BLACK.mix(0.6).into()))?;
            let text = format!("{} {:.3}", mark.label, mark.value);
            chart.draw_series(std::iter::once(Text::new(text, (x0, mark.value), ("sans-serif", 12))))?;
        }
        for (x, text) in self.changes.iter().filter(|(x, _)| (x0..=x1).contains(x)) {
            chart.draw_series(DashedLineSeries::new([(*x, y0), (*x, y1)], 2, 4, BLACK.mix(0.4).into()))?;
            chart.draw_series(std::iter::once(Text::new(text.clone(), (*x, y1), ("sans-serif", 12))))?;
        }
        for (index, line) in self.lines.iter().enumerate() {
            let color = COLORS[index % COLORS.len()];
            let (dash, gap) = DASHES[index / COLORS.len() % DASHES.len()];
            // A coordinate far outside needs no more precision, and some viewers mind huge ones.
            let far = 2.0 * (y1 - y0);
            let at = move |p: &[f64; 3], side: f64| (p[0], (p[1] + side * p[2]).clamp(y0 - far, y1 + far));
            if line.points.iter().any(|p| p[2] > 0.0) {
                let above = line.points.iter().map(|p| at(p, 1.0));
                let band: Vec<_> = above.chain(line.points.iter().rev().map(|p| at(p, -1.0))).collect();
                chart.draw_series(std::iter::once(Polygon::new(band, color.mix(0.15))))?;
            }
            let points = line.points.iter().map(|p| at(p, 0.0));
            let style = color.stroke_width(2);
            let drawn = if dash == 0 {
                chart.draw_series(LineSeries::new(points, style))?
            } else {
                chart.draw_series(DashedLineSeries::new(points, dash, gap, style))?
            };
            let last = line.points.last().map_or(String::new(), |p| format!(" {:.4}", p[1]));
            drawn
                .label(format!("{}{last}", line.label))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], color.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.2))
            .label_font(("sans-serif", 13))
            .draw()?;
        Ok(())
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
            changes: vec![(50.0, "stage 2".to_owned()), (900.0, "stage 3".to_owned())],
            is_training: true,
        }
    }

    #[test]
    fn the_first_steps_do_not_flatten_the_rest() {
        let range = Range::of(&chart()).unwrap();
        // From the second point on: 1 + 10 / 11 - 0.5 (a level of 1.2 lies below it) to 2 + 10 / 2 + 0.5, and a margin.
        assert_eq!(range.x, [0.0, 100.0]);
        let margin = 0.05 * (7.5 - 1.2);
        assert!((range.y[0] - (1.2 - margin)).abs() < 1e-9 && (range.y[1] - (7.5 + margin)).abs() < 1e-9);
        assert!(Range::of(&Chart { lines: Vec::new(), ..chart() }).is_none());
    }

    #[test]
    fn only_trainings_cut_their_first_steps() {
        let high = |is_training| Range::of(&Chart { is_training, marks: Vec::new(), ..chart() }).unwrap().y[1];
        // The highest point with its band is 2 + 10 + .5; from x = 10 on it is 2 + 5 + .5. Both and a twentieth.
        assert!(high(false) > 12.5 && high(true) < 8.0 && high(true) > 7.5, "{} {}", high(false), high(true));
    }

    #[test]
    fn a_chart_is_well_formed_and_holds_every_line() {
        let svg = chart().to_svg();
        assert!(svg.contains("a &lt; b") && svg.contains("full 1.9091") && svg.contains("raptr 2.9091"));
        // Two bands, and two curves beside axes, level and legend.
        assert_eq!(svg.matches("<polygon").count(), 2);
        let curves = |color: &str| svg.lines().filter(|l| l.starts_with("<polyline") && l.contains(color)).count();
        assert_eq!((curves("#0072B2"), curves("#D55E00")), (2, 2));
        assert!(svg.contains("floor 1.200") && !svg.contains("far"));
        assert!(svg.contains("stage 2") && !svg.contains("stage 3"), "what lies on the chart");
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        assert_eq!(svg, chart().to_svg(), "the same chart gives the same bytes");
        let empty = Chart { lines: Vec::new(), ..chart() }.to_svg();
        assert!(empty.contains("no evaluation yet") && empty.trim_end().ends_with("</svg>"));
    }
}
