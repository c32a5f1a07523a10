//! Where the log goes.

use super::{Daemon, PATIENCE, command};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

const JOURNAL: &str = "/run/systemd/journal";

#[test]
fn to_standard_error_without_colours_when_nobody_watches() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("stderr");
    let mut child = command("log");
    // A stale variable, inherited from a shell under journald, must not swallow the log.
    child.env("JOURNAL_STREAM", "1:1").stderr(File::create(&path).expect("a file"));
    assert!(Daemon::start(&mut child).end().success());
    let said = fs::read_to_string(&path).expect("read");
    assert!(said.contains("INFO") && said.contains("camera lost") && said.contains("camera=\"bed\""), "{said}");
    assert!(said.contains("still there") && said.contains("heard now") && !said.contains("unheard"), "{said}");
    assert!(!said.contains('\u{1b}'), "no colours in a file: {said}");
}

/// A stand-in for journald where there is none: its socket, and the native protocol's fields.
#[test]
fn to_journald_with_fields() {
    if Path::new(JOURNAL).exists() {
        eprintln!("skipped: {JOURNAL} is this machine's own journald");
        return;
    }
    if let Err(error) = fs::create_dir_all(JOURNAL) {
        eprintln!("skipped: {JOURNAL} cannot be made: {error}");
        return;
    }
    let socket = UnixDatagram::bind(Path::new(JOURNAL).join("socket")).expect("bound");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("stderr");
    let stderr = File::create(&path).expect("a file");
    let facts = stderr.metadata().expect("facts");
    let stream = format!("{}:{}", facts.dev(), facts.ino());
    let ended = Daemon::start(command("log").env("JOURNAL_STREAM", stream).stderr(stderr)).end();
    let mut entries = Vec::new();
    socket.set_nonblocking(true).expect("set");
    let mut buffer = [0; 65536];
    while let Ok(len) = socket.recv(&mut buffer) {
        entries.push(String::from_utf8_lossy(&buffer[..len]).into_owned());
    }
    let _ = fs::remove_dir_all(JOURNAL);
    assert!(ended.success());
    let lost = entries.iter().find(|entry| entry.contains("camera lost")).expect("the entry");
    for part in [
        "PRIORITY\n\u{1}\0\0\0\0\0\0\u{0}6\n",
        "SYSLOG_IDENTIFIER",
        "falld",
        "MESSAGE\n",
        "CAMERA\n",
        "bed",
        "CODE_FILE\n",
        "REASON\n",
    ] {
        assert!(lost.contains(part), "{part:?} is not in {lost:?}");
    }
    assert!(!lost.contains("F_CAMERA"));
    let warned = entries.iter().find(|entry| entry.contains("still there")).expect("the entry");
    assert!(warned.contains("PRIORITY\n\u{1}\0\0\0\0\0\0\u{0}4\n"), "{warned:?}");
    assert_eq!(fs::read_to_string(&path).expect("read"), "", "nothing is told twice");
}
