//! A board in QEMU, whose serial line is the process's standard input and output.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ddn_trainer::signal::Signals;

use crate::error::FleetError;
use crate::link::{Broken, Line};

/// How long a signal may go unseen.
const GLANCE: Duration = Duration::from_millis(100);
/// How much of what QEMU complains about is shown.
const SHOWN: usize = 400;

/// The machine, and how to make it.
#[derive(Clone, Debug)]
pub struct Machine {
    /// `qemu-system-arm`, or where it is.
    pub qemu: PathBuf,
    /// The image, an ELF file.
    pub firmware: PathBuf,
}

impl Machine {
    /// QEMU's name of the board.
    pub const NAME: &'static str = "mps2-an386";

    fn command(&self) -> Command {
        let mut command = Command::new(&self.qemu);
        command.args([
            "-machine",
            Self::NAME,
            "-nodefaults",
            "-display",
            "none",
            "-serial",
            "stdio",
            "-kernel",
        ]);
        command.arg(&self.firmware);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// One running board; it ends with this value.
#[derive(Debug)]
pub struct Qemu {
    child: Child,
    to: Option<ChildStdin>,
    from: Receiver<Vec<u8>>,
    said: Option<JoinHandle<String>>,
    bytes: VecDeque<u8>,
    signals: Signals,
}

impl Qemu {
    /// Switches board number `board` on. Waiting for it ends when `signals` say so.
    ///
    /// # Errors
    /// If there is no such image, or no QEMU.
    pub fn start(board: usize, machine: &Machine, signals: Signals) -> Result<Self, FleetError> {
        check_image(&machine.firmware)?;
        let start = |source| FleetError::Start { board, qemu: machine.qemu.clone(), source };
        let mut child = machine.command().spawn().map_err(start)?;
        let (to, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (sender, from) = channel();
        if let Some(mut out) = out {
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(count) = out.read(&mut buffer) {
                    if count == 0 || sender.send(buffer[..count].to_vec()).is_err() {
                        break;
                    }
                }
            });
        }
        let said = err.map(|mut err| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                // What was read before an error is kept.
                let _ = err.read_to_end(&mut text);
                String::from_utf8_lossy(&text).trim().to_owned()
            })
        });
        Ok(Self { child, to, from, said, bytes: VecDeque::new(), signals })
    }

    /// Cuts the board's power.
    pub fn kill(&mut self) {
        // Fails only where it has ended already.
        let _ = self.child.kill();
    }

    fn ended(&mut self) -> Broken {
        if let Some(stop) = self.signals.stop() {
            return Broken::Stopped(stop);
        }
        self.kill();
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        let said = self.said.take().and_then(|said| said.join().ok()).unwrap_or_default();
        let start = said.char_indices().rev().nth(SHOWN).map_or(0, |(at, _)| at);
        let said = if said.is_empty() { said } else { format!("; it said: {}", &said[start..]) };
        Broken::Ended { status, said }
    }
}

fn check_image(path: &Path) -> Result<(), FleetError> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(FleetError::Usage(format!(
            "no firmware at {}: {error}; in examples/firmware, `DDN_POLICY=FILE cargo build --release --bin agent` makes it",
            path.display()
        ))),
    }
}

impl Line for Qemu {
    fn send(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let sent = self.to.as_mut().is_some_and(|to| to.write_all(bytes).and_then(|()| to.flush()).is_ok());
        if sent { Ok(()) } else { Err(self.ended()) }
    }

    fn receive(&mut self, wait: Duration) -> Result<Option<u8>, Broken> {
        let until = Instant::now() + wait;
        loop {
            if let Some(byte) = self.bytes.pop_front() {
                return Ok(Some(byte));
            }
            if let Some(stop) = self.signals.stop() {
                return Err(Broken::Stopped(stop));
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.from.recv_timeout(left.min(GLANCE)) {
                Ok(bytes) => self.bytes.extend(bytes),
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
                Err(RecvTimeoutError::Timeout) if left.is_zero() => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.kill();
        // Nothing is left of the process once it was waited for.
        let _ = self.child.wait();
    }
}
