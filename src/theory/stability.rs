//! The stability lemma of linear residual networks at random initialisation, as a table.
//!
//! `psi_l = E_x |F_-l(x) - F(x)| / |F(x)|` says how much the output changes when layer l alone is bypassed. The paper
//! bounds the jump of the loss when the last stage begins by the mean of psi over the layers, and its lemma says that this
//! mean falls as `1 / sqrt(L)` with residual connections *and* layer norm, and doesn't fall without either (arXiv
//! 2402.05913, section 5). Here `W_l` is (d, d) with independent entries of variance `1 / d`, the norm
//! is a division by the 2-norm, and the input is a random unit vector. Computed in f64, a function of the seeds alone.

use std::fmt::Write as _;

use serde::Serialize;

use crate::rng::{Purpose, keyed};

/// Inputs that E_x is taken over, each a lane of the products.
const INPUTS: usize = 4;

/// One row of every input's vector.
type Lanes = [f64; INPUTS];

/// A linear network of the lemma.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// `y_l = y_{l-1} + W_l y_{l-1} / |y_{l-1}|`: psi falls.
    ResidualAndNorm,
    /// `y_l = W_l y_{l-1} / |y_{l-1}|`: the output is another one altogether.
    NormAlone,
    /// `y_l = y_{l-1} + W_l y_{l-1}`: every layer matters as much as all others together.
    ResidualAlone,
}

impl Network {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ResidualAndNorm, Self::NormAlone, Self::ResidualAlone];

    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::ResidualAndNorm => "residual + norm",
            Self::NormAlone => "norm alone",
            Self::ResidualAlone => "residual alone",
        }
    }

    /// What mean psi tends to as depth grows, for people.
    pub fn limit(self) -> &'static str {
        match self {
            Self::ResidualAndNorm => "1.8 / sqrt(L)",
            Self::NormAlone => "sqrt(2)",
            Self::ResidualAlone => "1 / sqrt(2)",
        }
    }

    /// One layer // y (d), weight (d, d)
    fn layer(self, weight: &[f64], y: &[Lanes]) -> Vec<Lanes> {
        let norms = norms(y);
        let mut out = vec![[0.0; INPUTS]; y.len()];
        for (out, weights) in out.iter_mut().zip(weight.chunks_exact(y.len())) {
            for (w, y) in weights.iter().zip(y) {
                for (out, y) in out.iter_mut().zip(y) {
                    *out += w * y;
                }
            }
        }
        for (out, y) in out.iter_mut().zip(y) {
            for ((out, y), norm) in out.iter_mut().zip(y).zip(norms) {
                let branch = if self == Self::ResidualAlone { *out } else { *out / norm };
                *out = if self == Self::NormAlone { branch } else { y + branch };
            }
        }
        out
    }
}

/// 2-norms of the inputs' vectors.
fn norms(y: &[Lanes]) -> Lanes {
    let mut squares = [0.0; INPUTS];
    for row in y {
        squares.iter_mut().zip(row).for_each(|(sum, y)| *sum += y * y);
    }
    squares.map(f64::sqrt)
}

/// What is computed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setup {
    /// Width of the networks, d.
    pub width: usize,
    /// Depths, L, in rising order.
    pub depths: Vec<usize>,
    /// Seeds, each with weights and inputs of its own.
    pub seeds: u64,
}

impl Default for Setup {
    /// That of the values in `oracle`.
    fn default() -> Self {
        Self { width: 96, depths: vec![6, 12, 24, 48, 96], seeds: 6 }
    }
}

/// One network at one depth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Which.
    pub network: Network,
    /// Depth, L.
    pub layers: usize,
    /// Mean of psi over layers, inputs and seeds.
    pub mean: f64,
    /// Standard deviation of that mean over seeds.
    pub spread: f64,
    /// `d ln(mean) / d ln(L)` between the depth before and this one.
    pub exponent: Option<f64>,
    /// psi of each layer, input side first. // (L)
    pub psi: Vec<f64>,
    /// Mean norm of the input and behind each layer. // (L + 1)
    pub norms: Vec<f64>,
}

/// The lemma in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// What was computed.
    pub setup: Setup,
    /// Networks in the order of [`Network::ALL`], depths rising.
    pub rows: Vec<Row>,
}

/// Computes the table: about `3 seeds d^2 L^2 / 2` multiplications per depth (a second or two for the default).
pub fn table(setup: &Setup) -> Table {
    let mut rows: Vec<Row> = Vec::new();
    for network in Network::ALL {
        for &layers in &setup.depths {
            let mut row = row(network, setup.width, layers, setup.seeds);
            row.exponent = rows
                .last()
                .filter(|before| before.network == network)
                .map(|before| (row.mean / before.mean).ln() / (layers as f64 / before.layers as f64).ln());
            rows.push(row);
        }
    }
    Table { setup: setup.clone(), rows }
}

fn row(network: Network, width: usize, layers: usize, seeds: u64) -> Row {
    let (mut psi, mut norms, mut means) = (vec![0.0; layers], vec![0.0; layers + 1], Vec::new());
    for seed in 0..seeds {
        let (one, norm) = measure(network, width, layers, seed);
        means.push(one.iter().sum::<f64>() / layers as f64);
        psi.iter_mut().zip(one).for_each(|(sum, p)| *sum += p / seeds as f64);
        norms.iter_mut().zip(norm).for_each(|(sum, n)| *sum += n / seeds as f64);
    }
    let mean = means.iter().sum::<f64>() / seeds as f64;
    let squares: f64 = means.iter().map(|m| (m - mean).powi(2)).sum();
    let spread = (squares / (seeds.max(2) - 1) as f64).sqrt();
    Row { network, layers, mean, spread, exponent: None, psi, norms }
}

/// psi of each layer and the norm behind each, of the network of one seed. All networks of a seed have the same weights.
fn measure(network: Network, width: usize, layers: usize, seed: u64) -> (Vec<f64>, Vec<f64>) {
    let scale = (width as f64).sqrt().recip();
    let weights: Vec<Vec<f64>> = (0..layers as u64)
        .map(|layer| {
            let mut rng = keyed(seed, Purpose::InitialWeights, 0, layer);
            (0..width * width).map(|_| scale * rng.normal()).collect()
        })
        .collect();
    let mut rng = keyed(seed, Purpose::Batch, 0, 0);
    let mut input: Vec<Lanes> = (0..width).map(|_| std::array::from_fn(|_| rng.normal())).collect();
    let length = norms(&input);
    input.iter_mut().for_each(|row| row.iter_mut().zip(length).for_each(|(x, n)| *x /= n));

    // What comes into each layer, and the output.
    let mut streams = vec![input];
    for weight in &weights {
        let next = network.layer(weight, &streams[streams.len() - 1]);
        streams.push(next);
    }
    let output = &streams[layers];
    let size = norms(output);
    let psi = (0..layers).map(|layer| {
        let mut y = streams[layer].clone();
        for weight in &weights[layer + 1..] {
            y = network.layer(weight, &y);
        }
        y.iter_mut().zip(output).for_each(|(y, full)| y.iter_mut().zip(full).for_each(|(y, full)| *y -= full));
        norms(&y).iter().zip(size).map(|(change, size)| change / size).sum::<f64>() / INPUTS as f64
    });
    let psi = psi.collect();
    (psi, streams.iter().map(|y| norms(y).iter().sum::<f64>() / INPUTS as f64).collect())
}

impl Table {
    /// The row of a network at a depth.
    pub fn row(&self, network: Network, layers: usize) -> Option<&Row> {
        self.rows.iter().find(|row| (row.network, row.layers) == (network, layers))
    }

    /// The table as text for people: mean psi by depth, the last local exponent, norms of the output.
    pub fn to_text(&self) -> String {
        let Setup { width, depths, seeds } = &self.setup;
        let mut text = format!(
            "Linear networks at random initialisation, width {width}, {seeds} seeds: mean over layers of\n\
             psi_l = E|F_-l(x) - F(x)| / |F(x)|, F_-l the network without layer l\n\n{:<18}",
            "L"
        );
        let columns = |text: &mut String, cells: Vec<String>| cells.iter().for_each(|c| *text += &format!("{c:>9}"));
        columns(&mut text, depths.iter().map(usize::to_string).collect());
        text += "   tends to         exponent\n";
        for network in Network::ALL {
            let rows: Vec<&Row> = self.rows.iter().filter(|row| row.network == network).collect();
            let _ = write!(text, "{:<18}", network.name());
            columns(&mut text, rows.iter().map(|row| format!("{:.3}", row.mean)).collect());
            let exponent = rows.last().and_then(|row| row.exponent);
            let _ = writeln!(
                text,
                "   {:<16} {}",
                network.limit(),
                exponent.map_or_else(|| "-".to_owned(), |e| format!("{e:.2}"))
            );
            let _ = write!(text, "{:<18}", "  |F(x)|");
            let size = |row: &&Row| row.norms[row.layers];
            let cell = |n: f64| if n < 1e4 { format!("{n:.2}") } else { format!("{n:.1e}") };
            columns(&mut text, rows.iter().map(|row| cell(size(row))).collect());
            text += "\n";
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::oracle::{self, oracle};
    use super::*;

    #[test]
    fn the_default_table_agrees_with_the_oracle_values() {
        let table = table(&Setup::default());
        for network in Network::ALL {
            for layers in oracle::DEPTHS {
                let (row, value) = (table.row(network, layers).unwrap(), oracle(network, 96, layers).unwrap());
                // Both are means over six seeds.
                let (expected, limit) = (value.mean, value.tolerance(6));
                let off = (row.mean - expected).abs();
                assert!(off < limit, "{network:?} {layers}: {} instead of {expected}, limit {limit}", row.mean);
            }
        }
        // The lemma: O(1 / sqrt(L)) with both, no fall without either.
        let mean = |network, layers| table.row(network, layers).unwrap().mean;
        let slope = |network| (mean(network, 96) / mean(network, 6)).ln() / 16.0f64.ln();
        assert!((slope(Network::ResidualAndNorm) + 0.37).abs() < 0.05, "{}", slope(Network::ResidualAndNorm));
        assert!(slope(Network::NormAlone).abs() < 0.04, "{}", slope(Network::NormAlone));
        assert!(slope(Network::ResidualAlone).abs() < 0.07, "{}", slope(Network::ResidualAlone));
        // The slope steepens towards -1/2; between the two deepest the oracle has -0.48.
        let last = table.row(Network::ResidualAndNorm, 96).unwrap().exponent.unwrap();
        assert!((last + 0.48).abs() < 0.15 && last < slope(Network::ResidualAndNorm), "{last}");
        let text = table.to_text();
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(text.contains("residual + norm") && text.contains("-0.4"), "{text}");
    }

    #[test]
    fn norms_grow_as_the_root_of_depth_with_both_and_double_without_the_norm() {
        let table = table(&Setup { depths: vec![24], ..Setup::default() });
        let norms = |network| &table.row(network, 24).unwrap().norms;
        for (l, norm) in norms(Network::ResidualAndNorm).iter().enumerate() {
            // A single |W u| has a relative deviation of 1 / sqrt(2 d), here over 24 vectors: 1.5 %.
            assert!((norm / ((l + 1) as f64).sqrt() - 1.0).abs() < 0.06, "{l}: {norm}");
        }
        assert!(norms(Network::NormAlone)[1..].iter().all(|n| (n - 1.0).abs() < 0.06));
        let last = norms(Network::ResidualAlone)[24];
        // 2^12, with the spread of a product of 24 random factors.
        assert!((last.log2() - 12.0).abs() < 0.6, "{last}");
    }

    #[test]
    fn the_last_layers_psi_is_the_root_of_one_over_depth_plus_one_and_the_firsts_about_four_fifths() {
        let table = table(&Setup { depths: vec![6, 24], ..Setup::default() });
        for layers in [6, 24] {
            let psi = &table.row(Network::ResidualAndNorm, layers).unwrap().psi;
            let exact = (layers as f64 + 1.0).sqrt().recip();
            assert!((psi[layers - 1] / exact - 1.0).abs() < 0.06, "{layers}: {} {exact}", psi[layers - 1]);
            assert!((psi[0] - 0.8).abs() < 0.1, "{layers}: {}", psi[0]);
            assert!(psi[0] > psi[layers / 2] && psi[layers / 2] > psi[layers - 1]);
        }
    }

    #[test]
    fn one_layer_by_hand() {
        // W = [[0, 2], [1, 0]], y = (3, 4), |y| = 5: W y / |y| = (1.6, 0.6).
        let (weight, y) = ([0.0, 2.0, 1.0, 0.0], [[3.0; INPUTS], [4.0; INPUTS]]);
        let of = |network: Network| network.layer(&weight, &y).iter().map(|row| row[0]).collect::<Vec<_>>();
        let near = |a: Vec<f64>, b: [f64; 2]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(near(of(Network::ResidualAndNorm), [4.6, 4.6]));
        assert!(near(of(Network::NormAlone), [1.6, 0.6]));
        assert!(near(of(Network::ResidualAlone), [11.0, 7.0]));
    }

    #[test]
    fn a_table_is_a_function_of_its_setup() {
        let setup = Setup { width: 8, depths: vec![2, 3], seeds: 2 };
        assert_eq!(table(&setup), table(&setup));
        assert_eq!(table(&setup).rows.len(), 6);
    }
}
