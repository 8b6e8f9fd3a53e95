//! What a check comes to.

/// What was measured on the way, for a person to read.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckReport {
    /// Name of the environment.
    pub env: String,
    /// Floats of an observation, of the state, and of a teacher view; 0 is "not offered".
    pub dims: [usize; 3],
    /// Episodes of random play.
    pub episodes: usize,
    /// Steps of random play.
    pub steps: usize,
    /// Speed of `step` alone, on this thread.
    pub steps_per_second: f64,
    /// Mean return of uniform random play.
    pub mean_return: f64,
    /// Mean length of an episode, steps.
    pub mean_length: f64,
    /// Shortest and longest episode, steps.
    pub lengths: (usize, usize),
    /// Every episode reached the limit and was cut there.
    pub always_cut: bool,
    /// Whether it can save and restore an episode.
    pub saves: bool,
    /// What is allowed, but looks like a slip.
    pub hints: Vec<String>,
}

impl std::fmt::Display for CheckReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { env, episodes, steps, .. } = self;
        writeln!(f, "{env}: {episodes} episodes, {steps} steps of random play, all checks passed")?;
        let [obs, state, teacher] = self.dims.map(|dim| match dim {
            0 => "not offered".to_owned(),
            dim => dim.to_string(),
        });
        writeln!(f, "  observation   {obs}")?;
        writeln!(f, "  state         {state}")?;
        writeln!(f, "  teacher view  {teacher}")?;
        writeln!(f, "  mean return   {:.3}", self.mean_return)?;
        let (shortest, longest) = self.lengths;
        writeln!(f, "  length        {:.1} ({shortest} to {longest})", self.mean_length)?;
        writeln!(f, "  steps/s       {:.0}", self.steps_per_second)?;
        writeln!(f, "  save, restore {}", if self.saves { "yes" } else { "not offered" })?;
        for hint in &self.hints {
            writeln!(f, "  hint: {hint}")?;
        }
        Ok(())
    }
}
