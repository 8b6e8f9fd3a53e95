//! Any scheme behind a [`Normaliser`]: its networks see observations and states of mean 0 and
//! deviation 1, whatever their units.
//!
//! The replay keeps what the environment gave, so that every update sees old and new episodes through
//! the same numbers: those of this moment.

use candle_core::Tensor;

use super::{Metrics, Scheme, SecondPhase};
use crate::error::LearnError;
use crate::learner::agent::Unroll;
use crate::learner::normaliser::Normaliser;
use crate::learner::view::View;
use crate::nn::{Optimiser, Params};
use crate::replay::{Batch, Rows};

/// See the module.
pub struct Normalised {
    inner: Box<dyn Scheme>,
    normaliser: Normaliser,
}

impl Normalised {
    /// Puts `normaliser` in front of `inner`.
    #[must_use]
    pub fn new(inner: Box<dyn Scheme>, normaliser: Normaliser) -> Self {
        Self { inner, normaliser }
    }

    fn rows(&self, rows: &Rows) -> Rows {
        Rows {
            inputs: self.normaliser.inputs(&rows.inputs),
            state: self.normaliser.states(&rows.state, |_| true),
        }
    }
}

impl Scheme for Normalised {
    fn networks(&self) -> &'static [&'static str] {
        self.inner.networks()
    }

    fn behaviour(&self, rng: &mut dyn rand_core::Rng) -> &'static str {
        self.inner.behaviour(rng)
    }

    fn update(&mut self, batch: &Batch, rng: &mut rand_chacha::ChaCha8Rng) -> Result<Metrics, LearnError> {
        let frames = batch.steps + 1;
        let exists = |row: usize| row % frames < batch.lengths[row / frames];
        let batch = Batch {
            inputs: self.normaliser.inputs(&batch.inputs),
            state: self.normaliser.states(&batch.state, exists),
            // The same episode is other numbers to the networks next time.
            kept: Vec::new(),
            ..batch.clone()
        };
        self.inner.update(&batch, rng)
    }

    fn settle(&mut self, metrics: &Metrics) -> Result<(), LearnError> {
        self.inner.settle(metrics)
    }

    fn unroll(&self, network: &str, view: &View<'_>, start: Option<&Tensor>) -> candle_core::Result<Unroll> {
        let inputs = &self.normaliser.inputs(view.inputs);
        let (frames, lengths) = (view.span.frames, view.span.lengths);
        let exists = |row: usize| lengths.is_none_or(|lengths| row % frames < lengths[row / frames]);
        let state = &self.normaliser.states(view.state, exists);
        self.inner.unroll(network, &View { inputs, state, ..*view }, start)
    }

    fn needs_teacher(&self) -> bool {
        self.inner.needs_teacher()
    }

    fn second_phase(&self) -> Option<SecondPhase> {
        self.inner.second_phase()
    }

    fn distil(&mut self, rows: &Rows) -> Result<Metrics, LearnError> {
        let rows = self.rows(rows);
        self.inner.distil(&rows)
    }

    fn distil_error(&self, rows: &Rows) -> Result<f64, LearnError> {
        self.inner.distil_error(&self.rows(rows))
    }

    fn sync_slow(&self) -> candle_core::Result<()> {
        self.inner.sync_slow()
    }

    fn params(&self) -> Vec<(&'static str, &Params)> {
        self.inner.params()
    }

    fn optimisers(&self) -> Vec<(&'static str, &Optimiser)> {
        self.inner.optimisers()
    }

    fn optimisers_mut(&mut self) -> Vec<(&'static str, &mut Optimiser)> {
        self.inner.optimisers_mut()
    }

    fn normaliser(&self) -> Option<&Normaliser> {
        Some(&self.normaliser)
    }

    fn normaliser_mut(&mut self) -> Option<&mut Normaliser> {
        Some(&mut self.normaliser)
    }
}
