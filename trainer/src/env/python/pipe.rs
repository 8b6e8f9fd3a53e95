//! The two pipes to a worker, with deadlines.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{ChildStdin, ChildStdout};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};

use super::wire::{self, HEADER, Header, Kind};

/// Why no answer came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The worker has closed its end: it ended, or was killed.
    Ended,
    /// Nothing came in time.
    Late,
    /// What came makes no sense.
    Garbage(String),
    /// The system refused.
    System(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ended => f.write_str("it ended"),
            Self::Late => f.write_str("it did not answer in time"),
            Self::Garbage(what) => write!(f, "no frame: {what}"),
            Self::System(what) => f.write_str(what),
        }
    }
}

/// Commands out, answers in.
#[derive(Debug)]
pub(super) struct Pipe {
    commands: ChildStdin,
    answers: ChildStdout,
}

impl Pipe {
    /// Takes over both ends.
    pub(super) fn new(commands: ChildStdin, answers: ChildStdout) -> Result<Self, Fault> {
        ioctl_fionbio(&commands, true).map_err(refused)?;
        ioctl_fionbio(&answers, true).map_err(refused)?;
        Ok(Self { commands, answers })
    }

    /// Sends one command.
    pub(super) fn send(
        &mut self,
        kind: Kind,
        number: u32,
        payload: &[u8],
        until: Instant,
    ) -> Result<(), Fault> {
        let bytes = wire::frame(kind, number, payload);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match self.commands.write(rest) {
                Ok(0) => return Err(Fault::Ended),
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait(self.commands.as_fd(), PollFlags::OUT, until)?;
                }
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Err(Fault::Ended),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::System(error.to_string())),
            }
        }
        Ok(())
    }

    /// The next answer.
    pub(super) fn receive(&mut self, until: Instant) -> Result<(Header, Vec<u8>), Fault> {
        let mut header = [0; HEADER];
        self.fill(&mut header, until)?;
        let header = Header::read(header).map_err(Fault::Garbage)?;
        let mut payload = vec![0; header.length];
        self.fill(&mut payload, until)?;
        Ok((header, payload))
    }

    fn fill(&mut self, buffer: &mut [u8], until: Instant) -> Result<(), Fault> {
        let mut done = 0;
        while done < buffer.len() {
            done += self.read(&mut buffer[done..], until)?;
        }
        Ok(())
    }

    /// Some bytes, as soon as there are any.
    fn read(&mut self, buffer: &mut [u8], until: Instant) -> Result<usize, Fault> {
        loop {
            match self.answers.read(buffer) {
                Ok(0) => return Err(Fault::Ended),
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait(self.answers.as_fd(), PollFlags::IN, until)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::System(error.to_string())),
            }
        }
    }

    /// Waits for the worker to close its end; whatever it still says is not listened to.
    pub(super) fn drain(&mut self, until: Instant) -> Result<(), Fault> {
        let mut ignored = [0; 4096];
        loop {
            match self.read(&mut ignored, until) {
                Ok(_) => {}
                Err(Fault::Ended) => return Ok(()),
                Err(fault) => return Err(fault),
            }
        }
    }
}

fn refused(errno: Errno) -> Fault {
    Fault::System(errno.to_string())
}

/// Waits until the file is ready or was closed at the other end.
fn wait(file: BorrowedFd<'_>, what: PollFlags, until: Instant) -> Result<(), Fault> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left == Duration::ZERO {
            return Err(Fault::Late);
        }
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::from_borrowed_fd(file, what)], Some(&left)) {
            Ok(0) => return Err(Fault::Late),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(refused(errno)),
        }
    }
}
