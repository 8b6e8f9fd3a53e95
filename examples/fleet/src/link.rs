//! Requests and replies over a line that may lose or change bytes.
//!
//! A request is sent again, with the same number, when nothing whole comes back in time, when what comes back is
//! broken, or when the board says that what it got was. Replies with other numbers are late and are dropped.

use std::time::{Duration, Instant};

use ddn_fleet_board::{Frame, Receiver, Reply, Request};
use ddn_trainer::signal::Stop;

use crate::error::FleetError;

/// Bytes to and from one board.
pub trait Line {
    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// [`Broken`] if the line is gone.
    fn send(&mut self, bytes: &[u8]) -> Result<(), Broken>;

    /// The next byte, or `None` if there is none within `wait`.
    ///
    /// # Errors
    /// [`Broken`] if the line is gone, or the run is to stop.
    fn receive(&mut self, wait: Duration) -> Result<Option<u8>, Broken>;
}

/// Why a line carries nothing any more.
#[derive(Clone, Debug, PartialEq)]
pub enum Broken {
    /// The other end is gone.
    Ended {
        /// How it ended.
        status: String,
        /// The last it said; empty, or text with what goes before it.
        said: String,
    },
    /// A signal asked for an end.
    Stopped(Stop),
}

/// How long to wait for a board.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For one answer.
    pub wait: Duration,
    /// How often a request is sent before the board is given up.
    pub tries: u32,
}

/// One board behind a line.
pub struct Link<L> {
    board: usize,
    line: L,
    patience: Patience,
    receiver: Receiver,
    sequence: u16,
    during: &'static str,
    sent: Vec<u8>,
}

impl<L: Line> Link<L> {
    /// The board of this number behind `line`.
    pub fn new(board: usize, line: L, patience: Patience) -> Self {
        let receiver = Receiver::new();
        Self { board, line, patience, receiver, sequence: 0, during: "hello", sent: Vec::new() }
    }

    /// The number of the board.
    pub fn board(&self) -> usize {
        self.board
    }

    /// The line itself.
    pub fn line(&mut self) -> &mut L {
        &mut self.line
    }

    /// Sends a request; [`Link::finish`] waits for the reply.
    ///
    /// # Errors
    /// If the line is gone.
    pub fn begin(&mut self, request: Request<'_>) -> Result<(), FleetError> {
        self.during = request.name();
        // Late repetitions of what was answered long ago.
        while self.receive(Duration::ZERO)?.is_some() {}
        self.receiver = Receiver::new();
        self.sequence = self.sequence.wrapping_add(1);
        self.sent.clear();
        let frame = Frame { kind: request.kind(), sequence: self.sequence, payload: &request.payload() };
        frame.send(|byte| self.sent.push(byte)).map_err(|error| FleetError::Usage(error.to_string()))?;
        self.line.send(&self.sent).map_err(|broken| self.gone(broken))
    }

    /// The reply to the request that was begun.
    ///
    /// # Errors
    /// If the board refuses it, cannot be reached, or is silent for longer than the patience.
    pub fn finish(&mut self) -> Result<Reply, FleetError> {
        let (board, during, Patience { wait, tries }) = (self.board, self.during, self.patience);
        let mut broken = 0;
        for again in (0..tries).rev() {
            match self.listen(&mut broken)? {
                Some(Reply::Refuse(why)) => return Err(FleetError::Refused { board, during, why }),
                Some(reply) => return Ok(reply),
                None if again > 0 => self.line.send(&self.sent).map_err(|broken| self.gone(broken))?,
                None => {}
            }
        }
        Err(FleetError::Silent { board, during, tries, broken, wait })
    }

    /// The reply to the last request; `None` when it should be sent again.
    fn listen(&mut self, broken: &mut u32) -> Result<Option<Reply>, FleetError> {
        let (board, during, sequence) = (self.board, self.during, self.sequence);
        let until = Instant::now() + self.patience.wait;
        while let Some(byte) = self.receive(until.saturating_duration_since(Instant::now()))? {
            let Some(frame) = self.receiver.push(byte) else { continue };
            let reply = frame.map(|frame| (frame.sequence, Reply::parse(frame.kind, frame.payload)));
            match reply {
                Err(_) => {
                    *broken += 1;
                    return Ok(None);
                }
                Ok((_, Some(Reply::Again))) => return Ok(None),
                Ok((number, Some(reply))) if number == sequence => return Ok(Some(reply)),
                Ok((number, None)) if number == sequence => return Err(FleetError::Answer { board, during }),
                Ok(_) => {}
            }
        }
        Ok(None)
    }

    fn receive(&mut self, wait: Duration) -> Result<Option<u8>, FleetError> {
        self.line.receive(wait).map_err(|broken| self.gone(broken))
    }

    fn gone(&self, broken: Broken) -> FleetError {
        let (board, during) = (self.board, self.during);
        match broken {
            Broken::Ended { status, said } => FleetError::Died { board, during, status, said },
            Broken::Stopped(stop) => FleetError::Stopped(stop),
        }
    }
}

#[cfg(test)]
mod tests;
