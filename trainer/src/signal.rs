//! Asking a running training to stop or to save, with the usual Unix signals.
//!
//! | signal | effect |
//! |---|---|
//! | first `SIGINT` or `SIGTERM` | finish the update, save, leave with 130 or 143 |
//! | second of either | leave at once with the same code; the last checkpoint stays valid |
//! | `SIGUSR1` | save and go on |
//!
//! The handlers set flags and nothing else; the training loop reads them between two updates.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;

/// Why a run was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// `SIGINT`: a person pressed Ctrl-C.
    Interrupt,
    /// `SIGTERM`: a scheduler wants the machine back.
    Terminate,
}

impl Stop {
    /// The exit code of a run that saved and stopped for this reason.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }

    /// The reason that has this exit code.
    #[must_use]
    pub fn of_exit_code(code: u8) -> Option<Self> {
        [Self::Interrupt, Self::Terminate].into_iter().find(|stop| stop.exit_code() == code)
    }
}

/// The flags behind the installed handlers; a clone reads the same flags.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    stop: Arc<AtomicUsize>,
    save: Arc<AtomicBool>,
}

impl Signals {
    /// Flags without handlers, for tests and for programs that embed the trainer.
    #[must_use]
    pub fn detached() -> Self {
        Self::default()
    }

    /// Installs the handlers for the whole process. Call it once, early.
    ///
    /// # Errors
    /// If the system refuses a handler.
    pub fn install() -> io::Result<Self> {
        let signals = Self::default();
        let armed = Arc::new(AtomicBool::new(false));
        for (signal, stop) in [(SIGINT, Stop::Interrupt), (SIGTERM, Stop::Terminate)] {
            let code = i32::from(stop.exit_code());
            // Handlers run in the order of registration: leave where armed, else arm.
            flag::register_conditional_shutdown(signal, code, Arc::clone(&armed))?;
            flag::register(signal, Arc::clone(&armed))?;
            flag::register_usize(signal, Arc::clone(&signals.stop), usize::from(stop.exit_code()))?;
        }
        flag::register(SIGUSR1, Arc::clone(&signals.save))?;
        Ok(signals)
    }

    /// Whether, and why, the run was asked to stop.
    #[must_use]
    pub fn stop(&self) -> Option<Stop> {
        u8::try_from(self.stop.load(Ordering::SeqCst)).ok().and_then(Stop::of_exit_code)
    }

    /// Asks for a stop from inside the program.
    pub fn request_stop(&self, stop: Stop) {
        self.stop.store(usize::from(stop.exit_code()), Ordering::SeqCst);
    }

    /// Whether a checkpoint was asked for since the last call.
    #[must_use]
    pub fn take_save(&self) -> bool {
        self.save.swap(false, Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use signal_hook::low_level::raise;

    use super::*;

    /// Names the case that a child process of this test binary is to play.
    const CASE: &str = "DDN_SIGNAL_CASE";

    /// Exit code of a child that got as far as its last line.
    const REACHED_END: i32 = 77;

    #[test]
    fn child() {
        let Ok(case) = std::env::var(CASE) else {
            return;
        };
        let signals = Signals::install().unwrap();
        match case.as_str() {
            "save" => {
                assert!(!signals.take_save());
                raise(SIGUSR1).unwrap();
                assert!(signals.take_save());
                assert!(!signals.take_save(), "taken twice");
                assert_eq!(signals.stop(), None);
            }
            "stop" => {
                raise(SIGTERM).unwrap();
                assert_eq!(signals.clone().stop(), Some(Stop::Terminate));
            }
            "twice" => {
                raise(SIGTERM).unwrap();
                raise(SIGINT).unwrap();
            }
            other => panic!("no case {other}"),
        }
        std::process::exit(REACHED_END);
    }

    fn play(case: &str) -> Option<i32> {
        let test = ["--exact", "signal::tests::child", "--nocapture"];
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(test).env(CASE, case).output().unwrap().status.code()
    }

    #[test]
    fn the_first_signal_asks_the_second_leaves() {
        assert_eq!(play("save"), Some(REACHED_END));
        assert_eq!(play("stop"), Some(REACHED_END));
        assert_eq!(play("twice"), Some(130));
    }

    #[test]
    fn a_stop_asked_for_inside_is_seen() {
        let signals = Signals::detached();
        assert_eq!(signals.stop(), None);
        signals.request_stop(Stop::Interrupt);
        assert_eq!(signals.stop().map(Stop::exit_code), Some(130));
    }
}
