//! What a person sees while a study runs: all cells, those that train, and the time left.

use std::io::Write as _;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::cells::Cell;
use crate::metrics::progress::{Progress, clock, grouped};

/// How a cell stands.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Not begun by this process.
    Waiting,
    /// A job has it.
    Running,
    /// Saved before its end: at a rung, or by a signal.
    Paused,
    /// Trained and tested.
    Done,
    /// Halving left it behind.
    Dropped {
        /// At how many steps.
        rung: u64,
    },
    /// Another process trains it.
    Elsewhere,
    /// It cannot be trained.
    Failed(String),
}

/// One cell on the screen.
struct Line {
    name: String,
    t_max: u64,
    state: State,
    progress: Progress,
    /// Whether this round has yet to take it up.
    due: bool,
}

/// The screen; see the [module](self).
pub struct Overview {
    lines: Mutex<Vec<Line>>,
    until: Mutex<u64>,
    /// Told of every change.
    changed: Condvar,
    bar: ProgressBar,
    /// Lines instead of a bar, one each so often.
    plain: Option<Duration>,
    quiet: bool,
    began: Instant,
}

impl Overview {
    /// A bar where standard error is a terminal, else a line each `every`.
    #[must_use]
    pub fn stderr(cells: &[Cell], every: Duration) -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(5);
        let plain = target.is_hidden().then_some(every);
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(ProgressStyle::with_template("{msg}").expect("a template that is tested"));
        Self { plain, ..Self::new(cells, bar) }
    }

    /// Shows nothing.
    #[must_use]
    pub fn hidden(cells: &[Cell]) -> Self {
        Self { plain: Some(Duration::MAX), quiet: true, ..Self::new(cells, ProgressBar::hidden()) }
    }

    fn new(cells: &[Cell], bar: ProgressBar) -> Self {
        let line = |cell: &Cell| Line {
            name: cell.name.dir.display().to_string(),
            t_max: cell.config.t_max,
            state: State::Waiting,
            progress: Progress::hidden(),
            due: true,
        };
        Self {
            lines: Mutex::new(cells.iter().map(line).collect()),
            until: Mutex::new(u64::MAX),
            changed: Condvar::new(),
            bar,
            plain: None,
            quiet: false,
            began: Instant::now(),
        }
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A round begins, in which `alive` go to `until` steps.
    pub fn round(&self, alive: &[usize], until: u64) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
        for (index, line) in self.lines().iter_mut().enumerate() {
            line.due = alive.contains(&index);
        }
    }

    /// How cell `index` stands.
    #[must_use]
    pub fn state(&self, index: usize) -> State {
        self.lines()[index].state.clone()
    }

    /// Whether this round has yet to take up cell `index`.
    #[must_use]
    pub fn is_due(&self, index: usize) -> bool {
        self.lines()[index].due
    }

    /// What the training of cell `index` tells.
    #[must_use]
    pub fn progress(&self, index: usize) -> Progress {
        self.lines()[index].progress.clone()
    }

    /// Cell `index` stands otherwise now; what a person waits for is told at once.
    pub fn set(&self, index: usize, state: State) {
        let told = {
            let mut lines = self.lines();
            let cells = lines.len();
            let line = &mut lines[index];
            line.due = false;
            let was = std::mem::replace(&mut line.state, state.clone());
            let name = line.name.clone();
            let done = lines.iter().filter(|line| line.state == State::Done).count();
            match state {
                _ if was == state => None,
                State::Done => Some(format!("done     {name}  ({done} of {cells})")),
                State::Failed(why) => Some(format!("failed   {name}: {why}")),
                State::Elsewhere => Some(format!("skipped  {name}: another process trains it")),
                State::Dropped { rung } => Some(format!("left     {name}  at {} steps", grouped(rung))),
                State::Waiting | State::Running | State::Paused => None,
            }
        };
        self.changed.notify_all();
        if let Some(text) = told {
            self.note(&text);
        }
    }

    /// Shows one line.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.bar.suspend(|| {
                let _ = writeln!(std::io::stderr().lock(), "{text}");
            });
        }
    }

    /// Shows how it goes for as long as `busy`.
    pub fn watch(&self, busy: impl Fn() -> bool) {
        let mut shown = Instant::now();
        while busy() {
            drop(self.changed.wait_timeout(self.lines(), Duration::from_millis(100)));
            match self.plain {
                None => self.bar.set_message(self.text(true)),
                Some(every) if shown.elapsed() >= every => {
                    shown = Instant::now();
                    self.note(&self.text(false));
                }
                Some(_) => {}
            }
        }
        self.bar.finish_and_clear();
    }

    /// The counts, and each cell that trains; over several lines, or in one.
    fn text(&self, many: bool) -> String {
        let lines = self.lines();
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut made, mut left) = (0, 0);
        for line in lines.iter() {
            let (from, at) = line.progress.span();
            made += at.saturating_sub(from);
            if line.state == State::Running || line.due {
                left += line.t_max.min(until).saturating_sub(at);
            }
        }
        let count = |wanted: fn(&State) -> bool| lines.iter().filter(|line| wanted(&line.state)).count();
        let running: Vec<&Line> = lines.iter().filter(|line| line.state == State::Running).collect();
        let mut text = format!(
            "{} of {} cells done, {} running, {} waiting",
            count(|state| *state == State::Done),
            lines.len(),
            running.len(),
            lines.iter().filter(|line| line.due && line.state != State::Running).count(),
        );
        for (what, number) in [
            ("failed", count(|state| matches!(state, State::Failed(_)))),
            ("left behind", count(|state| matches!(state, State::Dropped { .. }))),
        ] {
            if number > 0 {
                text += &format!(", {number} {what}");
            }
        }
        let seconds = self.began.elapsed().as_secs_f64();
        if made > 0 {
            let rate = made as f64 / seconds;
            text += &format!("; {}/s, {} left", grouped(rate as u64), clock((left as f64 / rate) as u64));
        }
        for line in running {
            let (_, at) = line.progress.span();
            let percent = 100.0 * (at as f64 / line.t_max.max(1) as f64).min(1.0);
            text += if many { "\n  " } else { "; " };
            text += &format!("{} {percent:.0} %", line.name);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ExperimentConfig;
    use crate::study::cells::CellName;

    fn overview(count: usize) -> Overview {
        let text = "t_max = 1000\n[env]\nkind = \"matrix-game\"\n[scheme]\nkind = \"plain\"\n[mixer]\nkind = \"vdn\"\n";
        let cell = |seed: u64| Cell {
            name: CellName {
                dir: format!("a/b/seed_{seed}").into(),
                task: "a".into(),
                algorithm: "b".into(),
                setting: String::new(),
                setting_index: 0,
                seed,
            },
            config: ExperimentConfig::from_text(text, "test", &[]).unwrap(),
        };
        Overview::hidden(&(1..=count as u64).map(cell).collect::<Vec<_>>())
    }

    #[test]
    fn one_line_says_how_all_cells_stand() {
        let overview = overview(5);
        overview.round(&[0, 1, 2, 3, 4], u64::MAX);
        overview.set(0, State::Running);
        overview.progress(0).start(0, 1000);
        overview.progress(0).update(0, &[]);
        assert_eq!(overview.text(false), "0 of 5 cells done, 1 running, 4 waiting; a/b/seed_1 0 %");
        overview.progress(0).update(250, &[]);
        overview.set(1, State::Running);
        overview.set(1, State::Done);
        overview.set(2, State::Failed("no such map".into()));
        overview.set(3, State::Running);
        let text = overview.text(false);
        assert!(text.starts_with("1 of 5 cells done, 2 running, 1 waiting, 1 failed; "), "{text}");
        assert!(text.contains("/s, ") && text.ends_with(" left; a/b/seed_1 25 %; a/b/seed_4 0 %"), "{text}");
        assert!(overview.text(true).ends_with(" left\n  a/b/seed_1 25 %\n  a/b/seed_4 0 %"));
    }
}
