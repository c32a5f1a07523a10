//! The first signal drains, the second ends, SIGHUP reloads.

use super::{Daemon, command};
use rustix::process::Signal;
use std::time::{Duration, Instant};

#[test]
fn sigterm_drains() {
    let mut daemon = Daemon::start(&mut command("drain"));
    daemon.hear("listening");
    daemon.signal(Signal::TERM);
    daemon.hear("drained");
    assert!(daemon.end().success());
}

#[test]
fn sigint_drains() {
    let mut daemon = Daemon::start(&mut command("drain"));
    daemon.hear("listening");
    daemon.signal(Signal::INT);
    daemon.hear("drained");
    assert!(daemon.end().success());
}

#[test]
fn sighup_reloads_and_ends_nothing() {
    let mut daemon = Daemon::start(&mut command("drain"));
    daemon.hear("listening");
    daemon.signal(Signal::HUP);
    daemon.hear("reloading");
    daemon.signal(Signal::HUP);
    daemon.hear("reloading");
    daemon.signal(Signal::TERM);
    daemon.hear("drained");
    assert!(daemon.end().success());
}

#[test]
fn a_second_signal_ends_a_daemon_that_hangs() {
    for (second, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut daemon = Daemon::start(&mut command("hang"));
        daemon.hear("listening");
        daemon.signal(Signal::TERM);
        daemon.hear("draining");
        let started = Instant::now();
        daemon.signal(second);
        assert_eq!(daemon.end().code(), Some(code));
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
