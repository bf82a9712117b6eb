//! What can be measured beside the loss, and what comes of it: the table of names, and one result.
//!
//! Owns the names that configs, commands, the screen's menu and error texts share. How each is measured is `measure`'s, a
//! file for each; when, `trainer`'s. Plain values.

use serde::{Deserialize, Serialize};

/// Something that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Loss by path length, over several layer paths each.
    Curve,
    /// Loss at the path lengths that a change of stage would lead to.
    Forecast,
    /// How much each layer matters to the output.
    Stability,
    /// Norms of the residual stream.
    Norms,
    /// Gradients and updates by layer.
    Gradients,
    /// Loss with layers dropped.
    Pruning,
    /// How well each degree of a polynomial is learned.
    Coefficients,
}

/// Every one, in the order of the menu: itself, its key there, its name in configs and commands, and what it is.
pub static WHATS: &[(What, char, &str, &str)] = &[
    (What::Curve, 'c', "curve", "loss by path length, several layer paths each"),
    (What::Forecast, 'f', "forecast", "loss at the path lengths that + - n and p lead to"),
    (What::Stability, 's', "stability", "psi: how much the output changes without each layer; L1 against L2"),
    (What::Norms, 'r', "norms", "norm of the residual stream by depth"),
    (What::Gradients, 'g', "gradients", "gradient norm and update over weight, by layer, of the next step"),
    (What::Pruning, 'p', "pruning", "loss with layers dropped: random, evenly spaced, all but the first"),
    (What::Coefficients, 'd', "coefficients", "error of each degree (objective polynomial)"),
];

/// The series of [`What::Forecast`]: the screen looks for it by name.
pub const FORECAST: &str = "forecast: loss by path length";

impl What {
    /// Its name in configs and commands.
    pub fn name(self) -> &'static str {
        WHATS.iter().find(|(what, ..)| *what == self).map_or("", |(_, _, name, _)| name)
    }

    /// The one of that name.
    ///
    /// # Errors
    /// The known names, separated by commas.
    pub fn named(name: &str) -> Result<Self, String> {
        let known = || WHATS.iter().map(|(_, _, its, _)| *its).collect::<Vec<_>>().join(", ");
        WHATS.iter().find(|(_, _, its, _)| *its == name).map(|(what, ..)| *what).ok_or_else(known)
    }
}

/// A series of numbers that say something about the model beside its loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Steps trained so far.
    pub step: u64,
    /// What was measured, as in "coefficient error by degree".
    pub name: String,
    /// Active layers of the network it was measured on.
    pub path_length: usize,
    /// What each value is of, as in "1".
    pub labels: Vec<String>,
    /// One for each label.
    pub values: Vec<f32>,
    /// Standard deviation for each value that is a mean (over layer paths, or batches); empty: there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spreads: Vec<f32>,
}

impl Measurement {
    /// Labels and values as a line, for people.
    pub fn line(&self) -> String {
        let each = self.labels.iter().zip(&self.values).enumerate().map(|(i, (label, value))| {
            let spread = self.spreads.get(i).map_or(String::new(), |s| format!(" ±{}", number(*s)));
            format!("{label}: {}{spread}", number(*value))
        });
        each.collect::<Vec<_>>().join("  ")
    }

    /// The value of a label.
    pub fn value(&self, label: &str) -> Option<f32> {
        self.labels.iter().position(|l| l == label).and_then(|i| self.values.get(i).copied())
    }
}

/// A number with a unit's prefix, three digits: 12.3 M, as in 12.3 MFLOP.
pub fn short(value: f64) -> String {
    for (scale, unit) in [(1e18, " E"), (1e15, " P"), (1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")] {
        if value >= scale {
            let digits = if value / scale < 10.0 { 2 } else { usize::from(value / scale < 100.0) };
            return format!("{:.digits$}{unit}", value / scale);
        }
    }
    format!("{value:.0}")
}

/// A number of any size in few characters: four decimals where they say something.
pub fn number(value: f32) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 1e-3 => format!("{value:.1e}"),
        size if size < 100.0 => format!("{value:.4}"),
        size if size < 1e5 => format!("{value:.1}"),
        _ => format!("{value:.2e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole_and_says_what_serde_says() {
        let (mut keys, mut names) = (Vec::new(), Vec::new());
        for &(what, key, name, about) in WHATS {
            assert_eq!(serde_json::to_string(&what).unwrap(), format!("\"{name}\""));
            assert!(what.name() == name && !about.is_empty());
            keys.push(key);
            names.push(name);
        }
        let error = serde_json::from_str::<What>("\"guess\"").unwrap_err().to_string();
        assert!(error.contains("unknown variant `guess`"), "{error}");
        // What serde knows is in the table.
        assert_eq!(error.matches('`').count() / 2 - 1, names.len(), "{error}");
        assert!(names.iter().all(|name| error.contains(&format!("`{name}`"))), "{error}");
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), names.len(), "a key of the menu means two things");
    }

    #[test]
    fn a_series_is_a_line_and_old_ones_have_no_spreads() {
        let old = r#"{"step":3,"name":"n","path_length":4,"labels":["1","2"],"values":[0.5,1e-5]}"#;
        let m: Measurement = serde_json::from_str(old).unwrap();
        assert_eq!((m.line().as_str(), m.value("1"), m.value("3")), ("1: 0.5000  2: 1.0e-5", Some(0.5), None));
        assert!(!serde_json::to_string(&m).unwrap().contains("spreads"));
        let m = Measurement { spreads: vec![0.25, 123.456], ..m };
        assert_eq!(m.line(), "1: 0.5000 ±0.2500  2: 1.0e-5 ±123.5");
    }
}
