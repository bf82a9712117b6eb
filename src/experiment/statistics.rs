//! Means over seeds, and what a difference between two arms is worth.
//!
//! Owns Student's t and the rule by which a difference is called better, worse, or can't be told. Plain numbers in,
//! plain numbers out.

use serde::{Deserialize, Serialize};

/// The probability that an interval holds the true difference, if differences over seeds are normal.
pub const CONFIDENCE: f64 = 0.95;

/// Mean and standard deviation over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation (n - 1 in the denominator); none for fewer than two.
    pub std: Option<f64>,
}

/// The mean and standard deviation of `values`; none if there are none.
pub fn summary(values: &[f64]) -> Option<Summary> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
    let std = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
    Some(Summary { n, mean, std })
}

/// What a difference of losses says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The whole interval lies below zero: a lower loss.
    Better,
    /// The whole interval lies above zero.
    Worse,
    /// The interval holds zero, there are fewer than two seeds, or a divergence speaks against what the interval says.
    CantTell,
}

impl Verdict {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::CantTell => "can't tell",
        }
    }
}

/// A difference of losses, paired by seed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Seeds that both have: what follows is of these.
    pub n: usize,
    /// Seeds in all; on those beyond `n` one of the two diverged, or both did.
    #[serde(default)]
    pub seeds: usize,
    /// Mean of the differences.
    pub mean: f64,
    /// Standard error of that mean; none for fewer than two.
    pub standard_error: Option<f64>,
    /// Half the width of the interval around the mean that holds the true difference with [`CONFIDENCE`] (Student's t,
    /// n - 1 degrees of freedom).
    pub half_width: Option<f64>,
    /// What that says.
    pub verdict: Verdict,
}

/// The difference of losses, paired by seed, each none where that run diverged; none without a pair.
///
/// A run that diverged is worse than any that didn't: whoever alone diverges on a seed isn't called better for the seeds
/// that are left, nor the other worse.
pub fn difference(pairs: &[(Option<f64>, Option<f64>)]) -> Option<Difference> {
    let both: Vec<f64> = pairs.iter().filter_map(|(a, b)| Some((*a)? - (*b)?)).collect();
    let a_alone = pairs.iter().any(|pair| matches!(pair, (None, Some(_))));
    let b_alone = pairs.iter().any(|pair| matches!(pair, (Some(_), None)));
    let Summary { n, mean, std } = summary(&both)?;
    let standard_error = std.map(|s| s / (n as f64).sqrt());
    let half_width = standard_error.map(|error| error * t_quantile(n - 1));
    let verdict = match half_width {
        Some(half) if mean + half < 0.0 && !a_alone => Verdict::Better,
        Some(half) if mean - half > 0.0 && !b_alone => Verdict::Worse,
        _ => Verdict::CantTell,
    };
    Some(Difference { n, seeds: pairs.len(), mean, standard_error, half_width, verdict })
}

/// The t for which `P(|T| <= t) =` [`CONFIDENCE`] at that many degrees of freedom, at least 1.
pub fn t_quantile(degrees: usize) -> f64 {
    let (mut low, mut high) = (0.0, 20.0);
    // Bisection to the last bit: the probability rises with t.
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if within(middle, degrees.max(1)) < CONFIDENCE { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// `P(|T| <= t)` for Student's t with a whole number of degrees of freedom: the finite sums of Abramowitz and Stegun,
/// 26.7.3 and 26.7.4.
fn within(t: f64, degrees: usize) -> f64 {
    let angle = (t / (degrees as f64).sqrt()).atan();
    let (sine, cosine) = angle.sin_cos();
    let is_odd = degrees % 2 == 1;
    // Odd: cos + 2/3 cos^3 + 2*4/(3*5) cos^5 + ...; even: 1 + 1/2 cos^2 + 1*3/(2*4) cos^4 + ...
    let mut term = if is_odd { cosine } else { 1.0 };
    let mut sum = if degrees == 1 { 0.0 } else { term };
    let mut power = if is_odd { 3 } else { 2 };
    while power <= degrees.saturating_sub(2) {
        term *= cosine * cosine * (power - 1) as f64 / power as f64;
        sum += term;
        power += 2;
    }
    if is_odd { (angle + sine * sum) * std::f64::consts::FRAC_2_PI } else { sine * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables_and_of_closed_forms() {
        // Two-sided 5 %: any statistics book's table.
        for (degrees, expected) in [
            (1, 12.706),
            (2, 4.303),
            (3, 3.182),
            (4, 2.776),
            (5, 2.571),
            (7, 2.365),
            (9, 2.262),
            (10, 2.228),
            (29, 2.045),
            (30, 2.042),
            (120, 1.980),
        ] {
            let got = t_quantile(degrees);
            assert!((got - expected).abs() < 6e-4, "{degrees}: {got} != {expected}");
        }
        // Cauchy: P(|T| <= t) = 2/pi atan t. Two degrees: t / sqrt(2 + t^2).
        assert!((t_quantile(1) - (0.475 * std::f64::consts::PI).tan()).abs() < 1e-9);
        assert!((t_quantile(2) - (2.0 * 0.95f64.powi(2) / (1.0 - 0.95f64.powi(2))).sqrt()).abs() < 1e-9);
    }

    #[test]
    fn mean_and_deviation_are_those_of_a_sample() {
        let s = summary(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert_eq!((s.n, s.mean), (8, 5.0));
        assert!((s.std.unwrap() - (32.0f64 / 7.0).sqrt()).abs() < 1e-12);
        assert_eq!(summary(&[3.0]), Some(Summary { n: 1, mean: 3.0, std: None }));
        assert_eq!(summary(&[]), None);
    }

    #[test]
    fn a_verdict_needs_two_seeds_and_an_interval_without_zero() {
        let difference = |all: &[f64]| difference(&all.iter().map(|d| (Some(*d), Some(0.0))).collect::<Vec<_>>());
        // Mean -0.2, standard deviation 0.1, n 3: error 0.0577, half width 0.0577 * 4.3027 = 0.2484.
        let d = difference(&[-0.1, -0.2, -0.3]).unwrap();
        assert!((d.mean + 0.2).abs() < 1e-12 && (d.standard_error.unwrap() - 0.057_735).abs() < 1e-6);
        assert!((d.half_width.unwrap() - 0.248_41).abs() < 1e-4);
        assert_eq!(d.verdict, Verdict::CantTell);
        assert_eq!(difference(&[-0.19, -0.2, -0.21]).unwrap().verdict, Verdict::Better);
        assert_eq!(difference(&[0.19, 0.2, 0.21]).unwrap().verdict, Verdict::Worse);
        assert_eq!(difference(&[-5.0]).unwrap().verdict, Verdict::CantTell);
        // Equal to the bit on every seed: no difference to be told.
        assert_eq!(difference(&[0.0, 0.0]).unwrap().verdict, Verdict::CantTell);
    }

    #[test]
    fn whoever_alone_diverges_is_not_called_better() {
        // Seeds 1 and 2 differ by 1 to within 0.01 (half width 12.7 * 0.005 = 0.06); the rest is what becomes of seed 3.
        let verdict = |sign: f64, third: (Option<f64>, Option<f64>)| {
            let d = difference(&[(Some(3.0 + sign), Some(3.0)), (Some(3.01 + sign), Some(3.0)), third]).unwrap();
            assert_eq!((d.n, d.seeds), (2, 3));
            assert!((d.mean - sign - 0.005).abs() < 1e-12 && d.half_width.unwrap() < 0.07);
            d.verdict
        };
        assert_eq!(verdict(-1.0, (None, Some(3.0))), Verdict::CantTell);
        assert_eq!(verdict(1.0, (None, Some(3.0))), Verdict::Worse);
        assert_eq!(verdict(-1.0, (Some(2.0), None)), Verdict::Better);
        assert_eq!(verdict(1.0, (Some(4.0), None)), Verdict::CantTell);
        assert_eq!(verdict(-1.0, (None, None)), Verdict::Better);
        assert_eq!(verdict(1.0, (None, None)), Verdict::Worse);
        assert_eq!(difference(&[(None, Some(3.0)), (Some(2.0), None)]), None);
    }
}
