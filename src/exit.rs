//! How the program ends: every exit code, in one place. The numbers are those of sysexits(3).

use std::process::{ExitCode, Termination};

/// An exit code and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything was done.
    Ok = 0,
    /// It failed at run time; starting again may help, and systemd does.
    Failure = 1,
    /// The command line makes no sense.
    Usage = 64,
    /// An input file is missing or broken: a clip for `replay`.
    NoInput = 66,
    /// An output cannot be written.
    CannotCreate = 73,
    /// The configuration, the model or a required execution provider must be mended first; starting again cannot help,
    /// and systemd does not (`RestartPreventExitStatus=78`).
    Config = 78,
    /// A second SIGINT cut the shutdown short.
    Interrupted = 130,
    /// A second SIGTERM cut the shutdown short.
    Terminated = 143,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}
