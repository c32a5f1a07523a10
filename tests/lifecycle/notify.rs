//! What a service manager hears.

use super::{Daemon, PATIENCE, command};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

/// A service manager's ear.
struct Manager {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("bound");
        socket.set_read_timeout(Some(PATIENCE)).expect("set");
        Self { socket, folder }
    }

    fn of<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("NOTIFY_SOCKET", self.folder.path().join("notify"))
    }

    fn hear(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let len = self.socket.recv(&mut buffer).expect("a datagram in time");
        String::from_utf8_lossy(&buffer[..len]).lines().map(str::to_owned).collect()
    }
}

#[test]
fn states_are_told_in_order_and_each_status_once() {
    let manager = Manager::new();
    let daemon = Daemon::start(manager.of(&mut command("notify")));
    assert_eq!(manager.hear(), ["EXTEND_TIMEOUT_USEC=90000000", "STATUS=building the engine"]);
    assert_eq!(manager.hear(), ["READY=1", "STATUS=watching 1 camera"]);
    assert_eq!(
        manager.hear(),
        ["STATUS=bed: lost READY=0"],
        "the repeated status is not told, a newline cannot inject"
    );
    let reloading = manager.hear();
    assert!(reloading[0] == "RELOADING=1" && reloading[1].starts_with("MONOTONIC_USEC="), "{reloading:?}");
    assert_eq!(manager.hear(), ["READY=1", "STATUS=watching 1 camera"]);
    assert_eq!(manager.hear(), ["STOPPING=1", "STATUS=draining"]);
    assert!(daemon.end().success());
}

#[test]
fn the_watchdog_is_fed_while_every_loop_moves_and_not_after() {
    let manager = Manager::new();
    let _daemon = Daemon::start(manager.of(&mut command("watchdog")).env("WATCHDOG_USEC", "100000"));
    for _ in 0..5 {
        assert_eq!(manager.hear(), ["WATCHDOG=1"]);
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let heard = manager.hear();
        if heard == ["STATUS=no progress: detector"] {
            break;
        }
        assert_eq!(heard, ["WATCHDOG=1"]);
        assert!(Instant::now() < deadline, "the hung loop was never noticed");
    }
    manager.socket.set_read_timeout(Some(Duration::from_millis(500))).expect("set");
    assert!(manager.socket.recv(&mut [0; 64]).is_err(), "a hung loop starves the watchdog");
}

#[test]
fn without_a_service_manager_nothing_is_fed_and_nothing_fails() {
    let mut daemon = Daemon::start(command("watchdog").env_remove("WATCHDOG_USEC"));
    daemon.hear("no watchdog");
    assert!(daemon.end().success());
    assert!(Daemon::start(&mut command("notify")).end().success());
}
