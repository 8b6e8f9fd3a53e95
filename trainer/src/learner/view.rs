//! What the networks of a scheme may look at, and the inputs that schemes put together from it.

use candle_core::Result;

use super::agent::Span;
use crate::env::EnvSpec;
use crate::nn::Sparse;
use crate::nn::sparse::Builder;

/// Everything visible over a span of frames. Which network looks at what is its scheme's affair.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Agent inputs `[B·T·N, I]`: observation, last action, agent id.
    pub inputs: &'a Sparse,
    /// `[B·T, S]`
    pub state: &'a Sparse,
    /// Teacher views `[B·T·N, V]`; of width 0 where the scheme does not ask for them.
    pub teacher: &'a Sparse,
    /// `[B·T·N, A]`
    pub available: &'a [bool],
    /// How many rows.
    pub span: Span<'a>,
}

/// V + A + N, the width of [`View::privileged`].
#[must_use]
pub fn privileged_dim(spec: &EnvSpec) -> usize {
    spec.teacher_dim + spec.n_actions() + spec.n_agents
}

impl View<'_> {
    /// A, the number of actions.
    fn actions(&self) -> usize {
        self.available.len() / self.inputs.rows().max(1)
    }

    /// A teacher's inputs `[B·T·N, V + A + N]`: the teacher view in the place of the observation.
    ///
    /// # Errors
    /// If there is not one view per row.
    pub fn privileged(&self) -> Result<Sparse> {
        let width = self.inputs.width();
        let obs = width - self.actions() - self.span.agents;
        Sparse::join(&[(self.teacher, 0..self.teacher.width()), (self.inputs, obs..width)])
    }

    /// The agent inputs with the available actions behind them, `[B·T·N, I + A]`.
    ///
    /// # Errors
    /// If there is not one mask per row.
    pub fn with_available(&self) -> Result<Sparse> {
        let actions = self.actions();
        let mut masks = Builder::new(actions);
        for row in self.available.chunks_exact(actions.max(1)) {
            row.iter().enumerate().for_each(|(action, &yes)| masks.push(action, f32::from(u8::from(yes))));
            masks.end_row();
        }
        let masks = masks.build();
        Sparse::join(&[(self.inputs, 0..self.inputs.width()), (&masks, 0..actions)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_put_together_in_their_order() -> Result<()> {
        // Two agents, two actions, an observation of 1 and a teacher view of 3.
        let inputs = Sparse::from_dense(5, &[0.5, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0]);
        let teacher = Sparse::from_dense(3, &[0.0, 0.0, 7.0, 8.0, 0.0, 0.0]);
        let state = Sparse::from_dense(1, &[1.0]);
        let available = [true, false, true, true];
        let span = Span { episodes: 1, frames: 1, agents: 2, lengths: None };
        let view = View { inputs: &inputs, state: &state, teacher: &teacher, available: &available, span };
        let rows = |sparse: Sparse| sparse.to_tensor(candle_core::DType::F32)?.to_vec2::<f32>();
        assert_eq!(
            rows(view.privileged()?)?,
            [[0.0, 0.0, 7.0, 1.0, 0.0, 1.0, 0.0], [8.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0]]
        );
        assert_eq!(
            rows(view.with_available()?)?,
            [[0.5, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0]]
        );
        let other = View { teacher: &state, ..view };
        assert!(other.privileged().is_err());
        Ok(())
    }
}
