//! Signals, sd_notify, the watchdog and the log, on real processes and real sockets.
//!
//! A child is this test program itself, told by a variable which part to play.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a child talks to its parent; a skipped test says why")]
#![expect(clippy::panic, reason = "a panic is how a test fails")]

mod child;
mod log;
mod notify;
mod signals;

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for anything: a busy test machine, not the daemon's promise.
const PATIENCE: Duration = Duration::from_secs(20);

/// This program as a child that plays `part`.
fn command(part: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "child::plays_its_part", "--nocapture", "--test-threads=1"]);
    command.env(child::PART, part).env_remove("NOTIFY_SOCKET").env_remove("JOURNAL_STREAM").stdout(Stdio::piped());
    command
}

struct Daemon {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Daemon {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("started");
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, lines }
    }

    /// Reads on until the child says `word`.
    fn hear(&mut self, word: &str) {
        let mut line = String::new();
        while self.lines.read_line(&mut line).expect("read") > 0 {
            if line.contains(word) {
                return;
            }
            line.clear();
        }
        panic!("the child ended without saying {word}");
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("sent");
    }

    fn end(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("waited") {
                return status;
            }
            assert!(Instant::now() < deadline, "the child does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
