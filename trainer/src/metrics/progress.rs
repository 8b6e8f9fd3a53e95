//! What a person sees while a run trains: a bar on a terminal, a line now and then elsewhere.
//!
//! Everything that is shown goes through one [`Progress`], logs included ([`Progress::logs`]), so
//! that nothing writes across the bar.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;

/// Where plain lines go.
type Out = Arc<Mutex<Box<dyn Write + Send>>>;

/// The one owner of the terminal.
#[derive(Clone)]
pub struct Progress {
    bar: ProgressBar,
    /// `None` on a terminal.
    plain: Option<Out>,
    every: Duration,
    pace: Arc<Mutex<Pace>>,
}

/// What the speed is computed from.
#[derive(Debug)]
struct Pace {
    from: u64,
    at: u64,
    t_max: u64,
    began: Instant,
    shown: Option<Instant>,
}

impl Progress {
    /// A bar where standard error is a terminal, else a line each `every`.
    #[must_use]
    pub fn stderr(every: Duration) -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(5);
        if target.is_hidden() {
            return Self::plain(Box::new(io::stderr()), every);
        }
        let bar = ProgressBar::with_draw_target(None, target);
        Self { plain: None, ..Self::new(bar, every) }
    }

    /// A line each `every` to `out`.
    #[must_use]
    pub fn plain(out: Box<dyn Write + Send>, every: Duration) -> Self {
        let plain = Some(Arc::new(Mutex::new(out)));
        Self { plain, ..Self::new(ProgressBar::hidden(), every) }
    }

    /// Shows nothing.
    #[must_use]
    pub fn hidden() -> Self {
        Self::plain(Box::new(io::sink()), Duration::MAX)
    }

    /// Where it went on, and where it is, in environment steps.
    #[must_use]
    pub fn span(&self) -> (u64, u64) {
        let pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        (pace.from, pace.at)
    }

    fn new(bar: ProgressBar, every: Duration) -> Self {
        let pace = Pace { from: 0, at: 0, t_max: 0, began: Instant::now(), shown: None };
        Self { bar, plain: None, every, pace: Arc::new(Mutex::new(pace)) }
    }

    /// Begins, or goes on, at `t_env` of `t_max` steps.
    pub fn start(&self, t_env: u64, t_max: u64) {
        let pace = Pace { from: t_env, at: t_env, t_max, began: Instant::now(), shown: None };
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner) = pace;
        let template = "{wide_bar:.cyan} {percent:>3} %  {msg}";
        self.bar.set_style(ProgressStyle::with_template(template).expect("a template that is tested"));
        self.bar.set_length(t_max);
        self.bar.set_position(t_env);
    }

    /// Shows that the run is at `t_env`, with a few values that a person wants to see.
    pub fn update(&self, t_env: u64, values: &[(&str, f64)]) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        pace.at = t_env;
        let text = status(&pace, t_env, now - pace.began, values);
        if self.plain.is_none() {
            self.bar.set_position(t_env);
            self.bar.set_message(text);
        } else if pace.shown.is_none_or(|shown| now - shown >= self.every) {
            pace.shown = Some(now);
            // The last wave may go past the end.
            let percent = 100.0 * (t_env as f64 / pace.t_max.max(1) as f64).min(1.0);
            self.note(&format!("{percent:5.1} %  {text}"));
        }
    }

    /// Shows one line, above the bar where there is one.
    pub fn note(&self, line: &str) {
        self.show(format!("{line}\n").as_bytes());
    }

    /// Takes the bar away; what comes after is up to the caller.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// A writer for the log subscriber that does not write across the bar.
    #[must_use]
    pub fn logs(&self) -> Logs {
        Logs(self.clone())
    }

    /// A display that fails is no reason to end a training: errors are passed over.
    fn show(&self, bytes: &[u8]) {
        match &self.plain {
            None => self.bar.suspend(|| {
                let _ = io::stderr().lock().write_all(bytes);
            }),
            Some(out) => {
                let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = out.write_all(bytes).and_then(|()| out.flush());
            }
        }
    }
}

/// A [`MakeWriter`] whose lines go through a [`Progress`].
#[derive(Clone)]
pub struct Logs(Progress);

impl<'a> MakeWriter<'a> for Logs {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.show(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn status(pace: &Pace, t_env: u64, elapsed: Duration, values: &[(&str, f64)]) -> String {
    let done = t_env.saturating_sub(pace.from);
    let rate = done as f64 / elapsed.as_secs_f64().max(1e-9);
    let mut text = format!("step {} of {}", grouped(t_env), grouped(pace.t_max));
    if done > 0 {
        let left = Duration::try_from_secs_f64(pace.t_max.saturating_sub(t_env) as f64 / rate);
        let left = left.map_or_else(|_| "?".to_owned(), |left| clock(left.as_secs()));
        let _ = write!(text, "  {}/s  {left} left", grouped(rate as u64));
    }
    for (name, value) in values {
        let _ = write!(text, "  {name} {value:.2}");
    }
    text
}

/// `1234567` as `1 234 567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Seconds as `59 s`, `2 min 05 s` or `3 h 07 min`.
pub(crate) fn clock(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s:02} s"),
        (h, m, _) => format!("{h} h {m:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that a test can look at while a progress owns the other end.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Shared {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn numbers_are_for_people() {
        let numbers = [0, 999, 1_000, 1_234_567].map(grouped);
        assert_eq!(numbers, ["0", "999", "1 000", "1 234 567"]);
        assert_eq!([59, 125, 11_220].map(clock), ["59 s", "2 min 05 s", "3 h 07 min"]);
    }

    #[test]
    fn speed_counts_from_where_the_run_went_on() {
        let pace = Pace { from: 1_000, at: 1_000, t_max: 5_000, began: Instant::now(), shown: None };
        let text = status(&pace, 3_000, Duration::from_secs(10), &[("test_lpn_return", 7.126)]);
        assert_eq!(text, "step 3 000 of 5 000  200/s  10 s left  test_lpn_return 7.13");
        let text = status(&pace, 1_000, Duration::ZERO, &[]);
        assert_eq!(text, "step 1 000 of 5 000");
    }

    #[test]
    fn lines_come_now_and_then_and_notes_at_once() {
        let out = Shared::default();
        let progress = Progress::plain(Box::new(out.clone()), Duration::from_secs(3600));
        progress.start(0, 1_000);
        progress.update(0, &[]);
        progress.update(10, &[]);
        progress.note("saved");
        progress.logs().write_all(b"INFO resumed\n").unwrap();
        progress.finish();
        assert_eq!(out.text(), "  0.0 %  step 0 of 1 000\nsaved\nINFO resumed\n");
    }

    #[test]
    fn the_bar_can_be_drawn() {
        let progress = Progress::new(ProgressBar::hidden(), Duration::ZERO);
        progress.start(5, 10);
        progress.update(7, &[("loss", 1.0)]);
        assert_eq!(progress.bar.position(), 7);
        progress.finish();
    }
}
