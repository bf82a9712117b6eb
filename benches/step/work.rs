//! The work that a step bench times: training steps of an engine on random tokens.

use std::time::Instant;

use raptr_tui::config::Architecture;
use raptr_tui::layer_path::LayerPath;
use raptr_tui::model::{Engine, UpdateRule};
use raptr_tui::objective::{Batch, NO_TARGET};
use raptr_tui::rng::{Purpose, keyed};

use crate::shape::Shape;

const RULE: UpdateRule = UpdateRule {
    learning_rate: 1e-4,
    betas: [0.9, 0.95],
    epsilon: 1e-8,
    weight_decay: 0.1,
    gradient_scale: 1.0,
    zero_gradient_for_skipped: false,
};

/// An engine that trains on random tokens.
pub struct Work<E> {
    shape: &'static Shape,
    pub engine: E,
    step: u64,
}

impl<E: Engine> Work<E> {
    pub fn new(shape: &'static Shape, engine: E) -> Self {
        Self { shape, engine, step: 0 }
    }

    /// Seconds for so many steps on random layer paths of that length, outcomes taken as the trainer takes them.
    pub fn train(&mut self, length: usize, steps: usize) -> f64 {
        let began = Instant::now();
        let mut under_way = 0;
        for _ in 0..steps {
            self.step += 1;
            let (batch, path) = (self.batch(), self.path(length));
            while under_way > self.engine.ahead() {
                self.engine.outcome().unwrap();
                under_way -= 1;
            }
            let done = self.engine.train(std::slice::from_ref(&batch), &path.into(), &RULE, 1.0).unwrap();
            under_way += usize::from(done.is_none());
        }
        for _ in 0..under_way {
            self.engine.outcome().unwrap();
        }
        began.elapsed().as_secs_f64()
    }

    pub fn batch(&self) -> Batch {
        let s = self.shape;
        let mut rng = keyed(0, Purpose::Batch, self.step, 0);
        let n = s.batch * s.context;
        let mut draw = || rng.below(s.vocabulary as u64) as u32;
        let inputs: Vec<u32> = (0..n).map(|_| draw()).collect();
        let mut targets: Vec<i32> = (0..n).map(|_| draw() as i32).collect();
        if s.architecture == Architecture::Encoder {
            // 15 % of the positions, spread evenly.
            targets.iter_mut().enumerate().filter(|(i, _)| i * 3 % 20 >= 3).for_each(|(_, t)| *t = NO_TARGET);
        }
        Batch { sequences: s.batch, context: s.context, inputs, targets, ..Batch::default() }
    }

    /// First and last layer as far as they fit, and others at random.
    fn path(&self, length: usize) -> LayerPath {
        let mut rng = keyed(0, Purpose::LayerPath, self.step, 0);
        let last = self.shape.layers - 1;
        let mut path = LayerPath::from_layers(self.shape.layers, [0, last].into_iter().take(length));
        while path.path_length() < length {
            path.insert(1 + rng.below(last as u64 - 1) as usize);
        }
        path
    }
}
