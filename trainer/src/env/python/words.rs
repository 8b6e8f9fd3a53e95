//! What a worker says of its own accord.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind};
use std::process::ChildStderr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Lines that a message repeats.
const LAST_WORDS: usize = 50;

/// Bytes of a line that are kept.
const LONGEST_LINE: u64 = 1000;

/// What the worker writes to its standard error: logged, and its end kept for messages.
#[derive(Debug)]
pub(super) struct Words {
    lines: Arc<Mutex<VecDeque<String>>>,
    all_read: Receiver<()>,
}

impl Words {
    pub(super) fn of(errors: ChildStderr, pid: u32) -> Self {
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let (finished, all_read) = channel();
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            let mut errors = BufReader::new(errors);
            let mut line = Vec::new();
            loop {
                line.clear();
                match std::io::Read::take(&mut errors, LONGEST_LINE).read_until(b'\n', &mut line) {
                    Ok(0) => break,
                    Ok(_) => {
                        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                        tracing::debug!(pid, "{text}");
                        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                        if kept.len() == LAST_WORDS {
                            kept.pop_front();
                        }
                        kept.push_back(text);
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            _ = finished.send(());
        });
        Self { lines, all_read }
    }

    /// Waits until everything was read, which is when nobody is left to write; not for long.
    pub(super) fn wait(&self) -> bool {
        // True as well where that was waited for before.
        self.all_read.recv_timeout(Duration::from_secs(1)) != Err(RecvTimeoutError::Timeout)
    }

    /// The last lines of a worker that has ended, indented; nothing where it said nothing.
    pub(super) fn last(&self) -> String {
        self.wait();
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.is_empty() {
            return String::new();
        }
        let lines: Vec<_> = lines.iter().map(|line| format!("\n  {line}")).collect();
        format!("; its last words:{}", lines.concat())
    }
}
