//! Ticks at round numbers: 1, 2 and 5 times a power of ten; on a log scale too; of time at what clocks show.

/// A tick: where, and what is written there.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// In the axis's unit.
    pub value: f64,
    /// For people.
    pub label: String,
}

/// The most ticks that are ever made, whatever was asked for.
const MOST: usize = 64;

/// The least round step (1, 2, 5 times a power of ten) that is no less than `step`.
fn round_up(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    // A hair of grace: 0.1 + 0.2 must not be taken for more than 0.3.
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= step * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

/// Multiples of `step` between `low` and `high`.
fn multiples(low: f64, high: f64, step: f64) -> Vec<f64> {
    let first = (low / step - 1e-9).ceil();
    (0..MOST).map(|i| (first + i as f64) * step).take_while(|v| *v <= high + step * 1e-9).collect()
}

/// At most `most` ticks between `low` and `high` at round numbers no finer than `least`.
pub fn linear(low: f64, high: f64, most: usize, least: f64) -> Vec<Tick> {
    let Some(step) = step(low, high, most, least) else {
        return Vec::new();
    };
    labelled(multiples(low, high, step), step)
}

fn step(low: f64, high: f64, most: usize, least: f64) -> Option<f64> {
    let span = high - low;
    if !(span.is_finite() && span > 0.0 && most > 0) {
        return None;
    }
    let mut step = round_up((span / most as f64).max(least).max(f64::MIN_POSITIVE * 1e9));
    // A span may hold one more multiple than it is steps long.
    while step.is_finite() && multiples(low, high, step).len() > most {
        step = round_up(step * 1.5);
    }
    Some(step)
}

fn labelled(values: Vec<f64>, step: f64) -> Vec<Tick> {
    let largest = values.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    values.into_iter().map(|value| Tick { value, label: label(value, step, largest) }).collect()
}

/// A number among others that are `step` apart and no larger than `largest`: as many digits as tell them apart.
fn label(value: f64, step: f64, largest: f64) -> String {
    if value.abs() < step * 1e-6 {
        return "0".to_owned();
    }
    let digits = |unit: f64| (-(step / unit).log10() - 1e-9).ceil().clamp(0.0, 9.0) as usize;
    let (scale, unit) = [(1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")]
        .into_iter()
        // Four digits are read as they are.
        .find(|(scale, _)| largest >= *scale && largest >= 1e4)
        .unwrap_or((1.0, ""));
    let plain = digits(1.0);
    if scale > 1.0 && digits(scale) > 2 && largest < 1e7 {
        return format!("{value:.plain$}");
    }
    if largest < 1e-4 {
        return format!("{value:.*e}", (largest / step).log10().ceil().clamp(0.0, 9.0) as usize);
    }
    format!("{:.*}{unit}", digits(scale), value / scale)
}

/// At most `most` ticks of a log scale between `low` and `high`, both above zero: 1, 2, 5 of each decade, the powers of
/// ten alone, or every so many of them; round numbers apart by a step where the range is less than a decade.
pub fn logarithmic(low: f64, high: f64, most: usize) -> Vec<Tick> {
    if !(low > 0.0 && high.is_finite() && high > low && most > 0) {
        return Vec::new();
    }
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let decades: Vec<i32> = (first..=last).collect();
    for (multiples, every) in [(&[1.0, 2.0, 5.0][..], 1), (&[1.0], 1), (&[1.0], 2), (&[1.0], 5), (&[1.0], 10)] {
        let powers = decades.iter().filter(|d| d.rem_euclid(every) == 0);
        let values: Vec<f64> = powers
            .flat_map(|d| multiples.iter().map(move |m| m * 10f64.powi(*d)))
            .filter(|v| *v >= low * (1.0 - 1e-9) && *v <= high * (1.0 + 1e-9))
            .collect();
        if values.len() <= most {
            let fine = linear(low, high, most, 0.0);
            // Within a decade or so steps tell more.
            if values.len() < 3 && fine.len() > values.len() {
                return fine;
            }
            return values.into_iter().map(|value| Tick { value, label: label(value, value, value) }).collect();
        }
    }
    Vec::new()
}

/// Steps of a clock, seconds.
const CLOCK: [f64; 21] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 10_800.0, 21_600.0,
    43_200.0, 86_400.0, 172_800.0, 432_000.0, 864_000.0,
];

/// At most `most` ticks of seconds.
pub fn time(low: f64, high: f64, most: usize) -> Vec<Tick> {
    let span = high - low;
    if !(span.is_finite() && span > 0.0 && most > 0) {
        return Vec::new();
    }
    let Some(step) = CLOCK.into_iter().find(|step| multiples(low, high, *step).len() <= most) else {
        return linear(low / 86_400.0, high / 86_400.0, most, 0.0)
            .into_iter()
            .map(|t| Tick { value: t.value * 86_400.0, label: format!("{}d", t.label) })
            .collect();
    };
    // Less than a second apart there is no clock.
    if span < 2.0 {
        let fine = linear(low, high, most, 0.0).into_iter();
        let with_unit = |label: String| if label == "0" { label } else { label + "s" };
        return fine.map(|t| Tick { label: with_unit(t.label), ..t }).collect();
    }
    multiples(low, high, step).into_iter().map(|value| Tick { value, label: clock(value, step) }).collect()
}

fn clock(seconds: f64, step: f64) -> String {
    let s = seconds.round().max(0.0) as u64;
    match s {
        0 => "0".to_owned(),
        _ if s.is_multiple_of(86_400) => format!("{}d", s / 86_400),
        1..3600 => format!("{}:{:02}", s / 60, s % 60),
        3600..86_400 => format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60),
        _ if step >= 3600.0 => format!("{}d{}h", s / 86_400, s / 3600 % 24),
        _ => format!("{}d{}:{:02}:{:02}", s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|t| t.label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_tell_each_other_apart() {
        assert_eq!(labels(&linear(0.0, 3000.0, 7, 1.0)), ["0", "500", "1000", "1500", "2000", "2500", "3000"]);
        assert_eq!(labels(&linear(0.0, 30_000.0, 4, 1.0)), ["0", "10k", "20k", "30k"]);
        assert_eq!(labels(&linear(0.0, 15_500.0, 4, 1.0)), ["0", "5k", "10k", "15k"]);
        assert_eq!(labels(&linear(12_345.0, 12_350.5, 6, 1.0)), ["12345", "12346", "12347", "12348", "12349", "12350"]);
        assert_eq!(labels(&linear(0.71, 0.735, 6, 0.0)), ["0.710", "0.715", "0.720", "0.725", "0.730", "0.735"]);
        assert_eq!(labels(&linear(-1.0, 1.0, 5, 0.0)), ["-1.0", "-0.5", "0", "0.5", "1.0"]);
        assert_eq!(labels(&linear(0.0, 2.4e12, 4, 0.0)), ["0", "1T", "2T"]);
        // Nothing lies between two steps.
        assert_eq!(labels(&linear(3.0, 5.0, 9, 1.0)), ["3", "4", "5"]);
        // Both ends count: ten steps of one would be eleven ticks.
        assert_eq!(labels(&linear(0.0, 10.0, 10, 0.0)), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(linear(1.0, 1.0, 5, 0.0), []);
        assert_eq!(linear(f64::NAN, 1.0, 5, 0.0), []);
    }

    #[test]
    fn log_ticks_are_1_2_5_or_powers_or_steps_within_a_decade() {
        assert_eq!(labels(&logarithmic(0.5, 12.0, 8)), ["0.5", "1", "2", "5", "10"]);
        assert_eq!(labels(&logarithmic(0.001, 2000.0, 7)), ["0.001", "0.01", "0.1", "1", "10", "100", "1000"]);
        assert_eq!(labels(&logarithmic(0.72, 0.98, 6)), ["0.75", "0.80", "0.85", "0.90", "0.95"]);
        assert_eq!(logarithmic(0.0, 1.0, 5), []);
    }

    #[test]
    fn time_has_a_clocks_ticks() {
        assert_eq!(labels(&time(0.0, 62.0, 5)), ["0", "0:15", "0:30", "0:45", "1:00"]);
        assert_eq!(labels(&time(0.0, 7300.0, 4)), ["0", "1:00:00", "2:00:00"]);
        assert_eq!(labels(&time(0.0, 1.0, 3)), ["0", "0.5s", "1.0s"]);
        assert_eq!(labels(&time(0.0, 200_000.0, 3)), ["0", "1d", "2d"]);
        assert!(time(0.0, 1e9, 5).len() <= 5);
    }

    proptest! {
        #[test]
        fn there_are_never_too_many_and_none_outside(low in -1e6f64..1e6, span in 1e-6f64..1e9, most in 1usize..20) {
            for ticks in [linear(low, low + span, most, 0.0), time(low.abs(), low.abs() + span, most)] {
                prop_assert!(ticks.len() <= most);
                prop_assert!(ticks.windows(2).all(|w| w[1].value > w[0].value && w[0].label != w[1].label), "{ticks:?}");
            }
            let ticks = linear(low, low + span, most, 0.0);
            prop_assert!(ticks.iter().all(|t| t.value >= low - span * 1e-6 && t.value <= low + span * (1.0 + 1e-6)));
            let positive = low.abs() + 1e-3;
            prop_assert!(logarithmic(positive, positive + span, most).len() <= most);
        }
    }
}
