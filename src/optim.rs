//! Parameters with their AdamW state, one update, and norms of gradients.
//!
//! Decoupled weight decay (Loshchilov and Hutter 2019) on matrices only; bias correction from the parameter's own count
//! of updates, so that a layer that was skipped for long does not take too large a first step. Knows nothing of layers:
//! who is updated is the engine's to say.

use crate::kernels::adamw::{self, Factors};

pub use crate::kernels::adamw::sum_of_squares;

/// A named parameter with its AdamW state, in host memory: what checkpoints and exports hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// As in `h.3.attn.qkv.weight`.
    pub name: String,
    /// Row-major shape; matrices are (in, out), as in GPT-2's files.
    pub shape: Vec<usize>,
    /// The weights.
    pub weight: Vec<f32>,
    /// First moment, as long as the weights.
    pub first_moment: Vec<f32>,
    /// Second moment, as long as the weights.
    pub second_moment: Vec<f32>,
    /// Updates this parameter has had (its own count: a skipped layer's does not move when frozen).
    pub updates: u64,
}

/// What one optimizer step is to do with the gradient at hand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UpdateRule {
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// Decay rates of the moments.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay of matrices.
    pub weight_decay: f64,
    /// Factor on the gradient (clipping: [`Self::clipped`]), at most 1.
    pub gradient_scale: f64,
    /// Whether inactive layers are updated as with a zero gradient instead of left alone.
    pub zero_gradient_for_skipped: bool,
}

impl UpdateRule {
    /// The same, for a gradient of that 2-norm that is to have the norm `clip` at most (0: any).
    #[must_use]
    pub fn clipped(self, clip: f64, gradient_norm: f32) -> Self {
        let norm = f64::from(gradient_norm);
        let scale = if clip > 0.0 && norm > clip { clip / norm } else { 1.0 };
        Self { gradient_scale: self.gradient_scale * scale, ..self }
    }

    /// The scalar factors of a parameter of so many dimensions in its update number `updates`: computed in f64, then once
    /// to f32.
    pub(crate) fn factors(&self, dimensions: usize, updates: u64) -> Factors {
        let count = i32::try_from(updates).unwrap_or(i32::MAX);
        let [beta1, beta2] = self.betas;
        let decay = if dimensions >= 2 { self.weight_decay } else { 0.0 };
        Factors {
            betas: [beta1 as f32, beta2 as f32],
            gains: [(1.0 - beta1) as f32, (1.0 - beta2) as f32],
            keep: (1.0 - self.learning_rate * decay) as f32,
            rate: (self.learning_rate / (1.0 - beta1.powi(count))) as f32,
            root: (1.0 / (1.0 - beta2.powi(count)).sqrt()) as f32,
            epsilon: self.epsilon as f32,
            scale: self.gradient_scale as f32,
        }
    }
}

/// One AdamW update of a parameter; without a gradient, as with a gradient of zeros.
pub fn adamw(p: &mut Parameter, gradient: Option<&[f32]>, rule: &UpdateRule) {
    p.updates += 1;
    let factors = rule.factors(p.shape.len(), p.updates);
    adamw::update(&mut p.weight, &mut p.first_moment, &mut p.second_moment, gradient.unwrap_or(&[]), &factors);
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: UpdateRule = UpdateRule {
        learning_rate: 0.01,
        betas: [0.9, 0.95],
        epsilon: 1e-8,
        weight_decay: 0.1,
        gradient_scale: 1.0,
        zero_gradient_for_skipped: false,
    };

    fn parameter(shape: &[usize], value: f32) -> Parameter {
        let n = shape.iter().product();
        Parameter {
            name: "p".into(),
            shape: shape.to_vec(),
            weight: vec![value; n],
            first_moment: vec![0.0; n],
            second_moment: vec![0.0; n],
            updates: 0,
        }
    }

    /// The published update rule (Algorithm 2), in f64.
    fn closed_form(mut w: f64, gradients: &[f64], decay: f64) -> f64 {
        let (mut m, mut v) = (0.0, 0.0);
        for (t, g) in gradients.iter().enumerate() {
            m = 0.9 * m + 0.1 * g;
            v = 0.95 * v + 0.05 * g * g;
            let (mh, vh): (f64, f64) = (m / (1.0 - 0.9f64.powi(t as i32 + 1)), v / (1.0 - 0.95f64.powi(t as i32 + 1)));
            w -= 0.01 * (mh / (vh.sqrt() + 1e-8) + decay * w);
        }
        w
    }

    #[test]
    fn follows_the_published_rule_and_decays_matrices_only() {
        let gradients = [0.5, -0.2, 0.1, 3.0];
        for (shape, decay) in [(&[2, 3][..], 0.1), (&[6][..], 0.0)] {
            let mut p = parameter(shape, 0.7);
            for g in gradients {
                adamw(&mut p, Some(&[g as f32; 6]), &RULE);
            }
            let right = closed_form(0.7, &gradients, decay);
            assert!(p.weight.iter().all(|&w| (f64::from(w) - right).abs() < 1e-6), "{:?} {right}", p.weight);
            assert_eq!(p.updates, 4);
        }
    }

    #[test]
    fn the_first_step_has_the_learning_rates_size_and_clipping_scales_the_gradient() {
        let mut p = parameter(&[1], 0.0);
        adamw(&mut p, Some(&[123.0]), &RULE);
        assert!((p.weight[0] + 0.01).abs() < 1e-7);
        let (mut a, mut b) = (parameter(&[4], 1.0), parameter(&[4], 1.0));
        adamw(&mut a, Some(&[2.0; 4]), &UpdateRule { gradient_scale: 0.25, ..RULE });
        adamw(&mut b, Some(&[0.5; 4]), &RULE);
        assert_eq!(a, b);
    }

    #[test]
    fn clipping_gives_a_larger_gradient_the_wanted_norm_and_leaves_others() {
        let scale = |clip, norm| RULE.clipped(clip, norm).gradient_scale;
        assert_eq!([scale(1.0, 4.0), scale(1.0, 1.0), scale(1.0, 0.5), scale(0.0, 9.0)], [0.25, 1.0, 1.0, 1.0]);
        let half = UpdateRule { gradient_scale: 0.5, ..RULE };
        assert_eq!(half.clipped(1.0, 4.0).gradient_scale, 0.125);
    }

    #[test]
    fn without_a_gradient_moments_decay_and_the_weight_moves_on() {
        let mut p = parameter(&[2, 2], 1.0);
        adamw(&mut p, Some(&[1.0; 4]), &RULE);
        let before = p.clone();
        adamw(&mut p, None, &RULE);
        assert!((p.first_moment[0] - 0.9 * before.first_moment[0]).abs() < 1e-9);
        assert!(p.weight[0] < before.weight[0]);
        let right = closed_form(1.0, &[1.0, 0.0], 0.1);
        assert!((f64::from(p.weight[0]) - right).abs() < 1e-6);
    }

    #[test]
    fn squares_are_summed_in_double_precision() {
        let values = vec![0.1f32; 10_000];
        let right = 10_000.0 * f64::from(0.1f32) * f64::from(0.1f32);
        assert!((sum_of_squares(&values) - right).abs() < 1e-9);
    }
}
