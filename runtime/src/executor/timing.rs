//! What an executor reports.

/// How well the loop keeps the schedule. Counts stop at their largest value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// Polls.
    pub polls: u32,
    /// Steps asked for, those after a reset included.
    pub steps: u32,
    /// Fallback actions asked for.
    pub fallbacks: u32,
    /// Polls that found slots missed, tolerated or not.
    pub overruns: u32,
    /// Slots missed.
    pub missed: u32,
    /// Polls at which the clock had gone back.
    pub backwards: u32,
    /// Ticks by which the earliest step or fallback came before its slot, as a negative number; 0 if none did.
    pub earliest: i32,
    /// Ticks by which the latest one came after it; 0 if none did. `latest - earliest` is the jitter, peak to peak.
    pub latest: i32,
}

impl Timing {
    pub(super) const fn new() -> Self {
        Self {
            polls: 0,
            steps: 0,
            fallbacks: 0,
            overruns: 0,
            missed: 0,
            backwards: 0,
            earliest: 0,
            latest: 0,
        }
    }

    pub(super) fn poll(&mut self) {
        self.polls = self.polls.saturating_add(1);
    }

    pub(super) fn backwards(&mut self) {
        self.backwards = self.backwards.saturating_add(1);
    }

    pub(super) fn step(&mut self, late: i32, missed: u32) {
        self.steps = self.steps.saturating_add(1);
        self.serve(late, missed);
    }

    pub(super) fn fall_back(&mut self, late: i32, missed: u32) {
        self.fallbacks = self.fallbacks.saturating_add(1);
        self.serve(late, missed);
    }

    fn serve(&mut self, late: i32, missed: u32) {
        self.overruns = self.overruns.saturating_add(u32::from(missed > 0));
        self.missed = self.missed.saturating_add(missed);
        self.earliest = self.earliest.min(late);
        self.latest = self.latest.max(late);
    }
}
