//! Measurements of a run: learning curves as files, and what a person sees while it runs.
//!
//! ```text
//! Record ─► Recorder ─► metrics.jsonl                    a function of config and seed
//!                   ├─► events.out.tfevents.0.ddn        the same values for TensorBoard
//!                   └─► timing.jsonl                     seconds; differs from run to run
//! ```
//!
//! A checkpoint holds the [`Positions`] of the first two files. A run that resumes cuts them back
//! to there, so that no row is missing and none is there twice.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::error::MetricsError;

pub mod curve;
pub mod progress;
pub mod tensorboard;

/// Name of the file of measurements in a run directory.
pub const METRICS: &str = "metrics.jsonl";

/// Name of the file of durations in a run directory.
pub const TIMING: &str = "timing.jsonl";

/// Columns that every record has.
const COLUMNS: [&str; 3] = ["t_env", "episode", "update"];

type Result<T> = std::result::Result<T, MetricsError>;

/// One point in time of a run: named values, after so many steps.
///
/// As JSON it is one object: `t_env`, `episode`, `update`, then the values by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Environment steps so far.
    pub t_env: u64,
    /// Episodes so far.
    pub episode: u64,
    /// Gradient steps so far.
    pub update: u64,
    /// What was measured. One that is not finite is written as `null` and read back as NaN.
    pub values: BTreeMap<String, f64>,
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(COLUMNS.len() + self.values.len()))?;
        for (column, count) in COLUMNS.into_iter().zip([self.t_env, self.episode, self.update]) {
            map.serialize_entry(column, &count)?;
        }
        for (key, value) in &self.values {
            map.serialize_entry(key, &value.is_finite().then_some(value))?;
        }
        map.end()
    }
}

impl Record {
    /// The record of one line of `metrics.jsonl`.
    ///
    /// # Errors
    /// In words, if the line is no such record.
    pub fn from_json(line: &str) -> std::result::Result<Self, String> {
        #[derive(Deserialize)]
        struct Line {
            t_env: u64,
            episode: u64,
            update: u64,
            #[serde(flatten)]
            values: BTreeMap<String, Option<f64>>,
        }
        let Line { t_env, episode, update, values } =
            serde_json::from_str(line).map_err(|error| error.to_string())?;
        let values = values.into_iter().map(|(key, value)| (key, value.unwrap_or(f64::NAN))).collect();
        Ok(Self { t_env, episode, update, values })
    }

    /// Names of the values that are not finite.
    #[must_use]
    pub fn non_finite(&self) -> Vec<&str> {
        let finite = self.values.iter().filter(|(_, value)| !value.is_finite());
        finite.map(|(key, _)| key.as_str()).collect()
    }

    fn to_line(&self) -> Result<Vec<u8>> {
        if let Some(key) = COLUMNS.into_iter().find(|column| self.values.contains_key(*column)) {
            return Err(MetricsError::Key(key.to_owned()));
        }
        let mut line = serde_json::to_vec(self).expect("strings and numbers always serialise");
        line.push(b'\n');
        Ok(line)
    }
}

/// All records of a `metrics.jsonl`. A last line without its end, as a running process may leave
/// it, is passed over.
///
/// # Errors
/// If the file cannot be read or another line is no record.
pub fn read(path: &Path) -> Result<Vec<Record>> {
    let text = fs::read_to_string(path).map_err(failed("read", path))?;
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let parse = |(index, line): (usize, &str)| {
        Record::from_json(line).map_err(|reason| MetricsError::Line {
            path: path.to_owned(),
            line: index + 1,
            reason,
        })
    };
    whole.enumerate().map(parse).collect()
}

/// How far the files of a run had come when a checkpoint was saved.
///
/// The durations are not among them: they would make a checkpoint depend on the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Positions {
    /// Length of `metrics.jsonl`.
    pub metrics_bytes: u64,
    /// Length of the TensorBoard file.
    pub events_bytes: u64,
}

/// A file that only grows, by whole pieces.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: File,
    len: u64,
}

impl Log {
    /// Opens, and cuts to `len`, the file at `path`; `None` leaves its length alone.
    fn open(path: PathBuf, len: Option<u64>) -> Result<Self> {
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = file.map_err(failed("open", &path))?;
        let have = file.metadata().map_err(failed("inspect", &path))?.len();
        let len = len.unwrap_or(have);
        if have < len {
            return Err(MetricsError::Short { path, have, want: len });
        }
        file.set_len(len).and_then(|()| file.seek(SeekFrom::Start(len))).map_err(failed("cut", &path))?;
        Ok(Self { path, file, len })
    }

    /// Whether the file is empty or ends with a line's end.
    fn ends_a_line(&mut self) -> Result<bool> {
        let Some(last) = self.len.checked_sub(1) else {
            return Ok(true);
        };
        let mut byte = [0];
        let read = self.file.seek(SeekFrom::Start(last)).and_then(|_| self.file.read_exact(&mut byte));
        read.map_err(failed("read", &self.path))?;
        Ok(byte == *b"\n")
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            // Takes back the part that was written, so that the file stays readable.
            let _ = self.file.set_len(self.len).and_then(|()| self.file.seek(SeekFrom::Start(self.len)));
            return Err(failed("write", &self.path)(error));
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.file.sync_data().map_err(failed("sync", &self.path))
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> MetricsError {
    let path = path.to_owned();
    move |source| MetricsError::Io { doing, path, source }
}

fn seconds_since_1970() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

/// Appends to the files of one run directory. Its owner holds the run's lock.
#[derive(Debug)]
pub struct Recorder {
    metrics: Log,
    events: Log,
    timing: Log,
}

impl Recorder {
    /// Begins the files of a new run in `dir`, which is made where it is missing.
    ///
    /// # Errors
    /// If measurements are already there, or the disk fails.
    pub fn create(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).map_err(failed("create", dir))?;
        for name in [METRICS, tensorboard::FILE_NAME] {
            let path = dir.join(name);
            if fs::metadata(&path).is_ok_and(|file| file.len() > 0) {
                return Err(MetricsError::Exists { path });
            }
        }
        Self::resume(dir, &Positions::default())
    }

    /// Cuts the files in `dir` back to where they were, and goes on from there.
    ///
    /// # Errors
    /// If a file is shorter than that, a position is inside a line, or the disk fails.
    pub fn resume(dir: &Path, positions: &Positions) -> Result<Self> {
        // All is checked before anything is cut.
        for (name, want) in
            [(METRICS, positions.metrics_bytes), (tensorboard::FILE_NAME, positions.events_bytes)]
        {
            let path = dir.join(name);
            let have = match fs::metadata(&path) {
                Ok(file) => file.len(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                Err(error) => return Err(failed("inspect", &path)(error)),
            };
            if have < want {
                return Err(MetricsError::Short { path, have, want });
            }
        }
        let mut metrics = Log::open(dir.join(METRICS), None)?;
        metrics.len = positions.metrics_bytes;
        if !metrics.ends_a_line()? {
            let text = fs::read(&metrics.path).map_err(failed("read", &metrics.path))?;
            let before = text.iter().take(usize::try_from(metrics.len).unwrap_or(usize::MAX));
            let line = before.filter(|byte| **byte == b'\n').count() + 1;
            let reason = format!("the checkpoint's position, byte {}, is inside this line", metrics.len);
            return Err(MetricsError::Line { path: metrics.path, line, reason });
        }
        let metrics = Log::open(metrics.path, Some(positions.metrics_bytes))?;
        let mut events = Log::open(dir.join(tensorboard::FILE_NAME), Some(positions.events_bytes))?;
        if events.len == 0 {
            events.append(&tensorboard::header(seconds_since_1970()))?;
        }
        let timing = Log::open(dir.join(TIMING), None)?;
        Ok(Self { metrics, events, timing })
    }

    /// Writes one record to both files. Values that are not finite are reported as a warning.
    ///
    /// # Errors
    /// If a value has the name of a column, or the disk fails.
    pub fn write(&mut self, record: &Record) -> Result<()> {
        let line = record.to_line()?;
        let non_finite = record.non_finite();
        if !non_finite.is_empty() {
            tracing::warn!(t_env = record.t_env, "not finite: {}", non_finite.join(", "));
        }
        self.metrics.append(&line)?;
        self.events.append(&tensorboard::scalars(seconds_since_1970(), record.t_env, &record.values))
    }

    /// Writes durations and rates, which differ from run to run, to a file of their own.
    ///
    /// # Errors
    /// As for [`Recorder::write`].
    pub fn write_timing(&mut self, record: &Record) -> Result<()> {
        self.timing.append(&record.to_line()?)
    }

    /// Brings all that was written to the disk.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn flush(&mut self) -> Result<()> {
        self.metrics.flush()?;
        self.events.flush()?;
        self.timing.flush()
    }

    /// Brings all that was written to the disk and says how far that is, for a checkpoint.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn positions(&mut self) -> Result<Positions> {
        self.flush()?;
        Ok(Positions { metrics_bytes: self.metrics.len, events_bytes: self.events.len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(t_env: u64) -> Record {
        let values = [("td_loss", 0.1 + t_env as f64), ("a/b \"c\"", -1e-300), ("test_lpn_return", 3.0)];
        let values = values.map(|(key, value)| (key.to_owned(), value)).into();
        Record { t_env, episode: t_env / 10, update: t_env / 20, values }
    }

    fn bytes(dir: &Path, name: &str) -> Vec<u8> {
        fs::read(dir.join(name)).unwrap()
    }

    #[test]
    fn a_line_is_what_it_should_be_and_reads_back() {
        let line = String::from_utf8(record(100).to_line().unwrap()).unwrap();
        assert_eq!(
            line,
            "{\"t_env\":100,\"episode\":10,\"update\":5,\"a/b \\\"c\\\"\":-1e-300,\
             \"td_loss\":100.1,\"test_lpn_return\":3.0}\n"
        );
        assert_eq!(Record::from_json(&line).unwrap(), record(100));
    }

    #[test]
    fn what_is_not_finite_is_null() {
        let mut record = record(1);
        record.values.insert("nan".to_owned(), f64::NAN);
        record.values.insert("inf".to_owned(), f64::INFINITY);
        assert_eq!(record.non_finite(), ["inf", "nan"]);
        let line = String::from_utf8(record.to_line().unwrap()).unwrap();
        assert!(line.contains("\"inf\":null,\"nan\":null"), "{line}");
        assert!(Record::from_json(&line).unwrap().values["inf"].is_nan());
    }

    #[test]
    fn a_column_cannot_be_overwritten() {
        let mut record = record(1);
        record.values.insert("update".to_owned(), 1.0);
        assert!(matches!(record.to_line(), Err(MetricsError::Key(key)) if key == "update"));
    }

    #[test]
    fn a_resumed_run_has_the_rows_of_one_that_never_stopped() {
        let (straight, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut recorder = Recorder::create(straight.path()).unwrap();
        for t_env in 0..20 {
            recorder.write(&record(t_env)).unwrap();
        }
        let mut recorder = Recorder::create(stopped.path()).unwrap();
        for t_env in 0..10 {
            recorder.write(&record(t_env)).unwrap();
        }
        let positions = recorder.positions().unwrap();
        // Rows after the checkpoint, the last one torn.
        for t_env in 10..13 {
            recorder.write(&record(t_env)).unwrap();
        }
        recorder.metrics.append(b"{\"t_env\":13,\"epi").unwrap();
        recorder.events.append(&[3, 0, 0]).unwrap();
        drop(recorder);
        assert_eq!(read(&stopped.path().join(METRICS)).unwrap().len(), 13);
        let mut recorder = Recorder::resume(stopped.path(), &positions).unwrap();
        for t_env in 10..20 {
            recorder.write(&record(t_env)).unwrap();
        }
        assert_eq!(bytes(straight.path(), METRICS), bytes(stopped.path(), METRICS));
        let rows = read(&stopped.path().join(METRICS)).unwrap();
        assert_eq!(rows, (0..20).map(record).collect::<Vec<_>>());
        let events = bytes(stopped.path(), tensorboard::FILE_NAME);
        assert_eq!(events.len(), bytes(straight.path(), tensorboard::FILE_NAME).len());
        assert_eq!(tensorboard::tests::payloads(&events).len(), 1 + 20);
    }

    #[test]
    fn a_new_run_does_not_write_over_an_old_one() {
        let dir = tempfile::tempdir().unwrap();
        Recorder::create(dir.path()).unwrap().write(&record(1)).unwrap();
        let error = Recorder::create(dir.path()).unwrap_err();
        assert!(matches!(error, MetricsError::Exists { .. }), "{error}");
    }

    #[test]
    fn positions_that_do_not_fit_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::create(dir.path()).unwrap();
        recorder.write(&record(1)).unwrap();
        let right = recorder.positions().unwrap();
        let before = (bytes(dir.path(), METRICS), bytes(dir.path(), tensorboard::FILE_NAME));
        let resume = |positions: Positions| Recorder::resume(dir.path(), &positions).unwrap_err();

        let error = resume(Positions { metrics_bytes: right.metrics_bytes + 1, ..right });
        assert!(matches!(error, MetricsError::Short { .. }), "{error}");
        let error = resume(Positions { events_bytes: right.events_bytes + 1, metrics_bytes: 0 });
        assert!(matches!(error, MetricsError::Short { .. }), "{error}");
        let error = resume(Positions { metrics_bytes: right.metrics_bytes - 1, ..right });
        assert!(error.to_string().contains("line 1: the checkpoint's position"), "{error}");
        assert_eq!(before, (bytes(dir.path(), METRICS), bytes(dir.path(), tensorboard::FILE_NAME)));
    }

    #[test]
    fn durations_do_not_move_the_positions() {
        let dir = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::create(dir.path()).unwrap();
        let before = recorder.positions().unwrap();
        recorder.write_timing(&record(1)).unwrap();
        assert_eq!(recorder.positions().unwrap(), before);
        assert_eq!(read(&dir.path().join(TIMING)).unwrap(), [record(1)]);
    }

    #[test]
    fn a_line_that_is_no_record_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(METRICS);
        fs::write(&path, "{\"t_env\":1,\"episode\":1,\"update\":1}\n{\"t_env\":-1}\n").unwrap();
        let error = read(&path).unwrap_err();
        assert!(matches!(error, MetricsError::Line { line: 2, .. }), "{error}");
    }
}
