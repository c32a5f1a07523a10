//! A disk that fills up or cannot be written: events pass by memory, and the store mends itself.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "support is shared by several test programs")]

mod support {
    pub mod broker;
    pub mod falld;
}

use falld::frame::Clock;
use std::path::Path;
use support::broker::{Mosquitto, OPEN};
use support::falld::{Falld, Subscriber, broker_at, firsts, store_in, texts, until};

const EVENTS: &str = "falld/house/+/event";

/// Events in the file, and how many of them wait.
fn in_store(path: &Path) -> (i64, i64) {
    let file = rusqlite::Connection::open(path).unwrap();
    let count = |sql| file.query_row(sql, [], |row| row.get(0)).unwrap();
    (count("SELECT count(*) FROM events WHERE acknowledged_us IS NOT NULL"), count("SELECT count(*) FROM outbox"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disk_becomes_full_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let mut subscriber = Subscriber::new(mosquitto.port, EVENTS).await;
    let store = store_in(folder.path());
    let falld = Falld::start(&store, broker_at(mosquitto.port));
    falld.connected().await;
    let mut ids = vec![falld.fall("bed").0];
    falld.store.limit_pages(Some(1));
    let mut last = 0;
    // The last pages fill, and then nothing goes in any more.
    for _ in 0..200 {
        let (id, stored) = falld.fall("bed");
        assert!(stored.seq > last, "numbers grow");
        last = stored.seq;
        ids.push(id);
    }
    assert_eq!(falld.metrics.store_degraded.get(), 1);
    assert_eq!(firsts(&subscriber.ids(&ids).await), texts(&ids), "published from memory, in order");

    falld.store.limit_pages(None);
    until("the store has recovered", || falld.metrics.store_degraded.get() == 0).await;
    let (_, stored) = falld.fall("bed");
    assert!(stored.durable);
    falld.delivered().await;
    falld.stop().await;
    assert_eq!(in_store(&store.path), (202, 0), "what passed by memory is in the history");
}

/// A small file system of its own, where the machine lets us make one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        Self::mount("size=1m,mode=0777", folder.path()).then(|| Self(folder))
    }

    fn mount(options: &str, folder: &Path) -> bool {
        let mount =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", options, "falld-test"]).arg(folder).output();
        mount.is_ok_and(|done| done.status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _gone = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_disk_is_full_then_read_only() {
    let Some(disk) = SmallDisk::new() else {
        println!("skipped: no right to mount a tmpfs here");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let mut subscriber = Subscriber::new(mosquitto.port, EVENTS).await;
    let store = store_in(disk.0.path());
    let falld = Falld::start(&store, broker_at(mosquitto.port));
    falld.connected().await;
    let mut ids = vec![falld.fall("bed").0];
    let ballast = disk.0.path().join("ballast");
    let mut filler = std::fs::File::create(&ballast).unwrap();
    while std::io::Write::write(&mut filler, &[0; 4096]).is_ok_and(|written| written > 0) {}
    // What the log has already allocated fills up first.
    while falld.metrics.store_degraded.get() == 0 && ids.len() < 1000 {
        ids.push(falld.fall("bed").0);
    }
    assert_eq!(falld.metrics.store_degraded.get(), 1);
    ids.extend((0..5).map(|_| falld.fall("bed").0));
    assert_eq!(firsts(&subscriber.ids(&ids).await), texts(&ids), "published from memory");
    drop(filler);
    std::fs::remove_file(&ballast).unwrap();
    until("the store has recovered", || falld.metrics.store_degraded.get() == 0).await;
    falld.delivered().await;
    falld.stop().await;
    assert_eq!(in_store(&store.path), (i64::try_from(ids.len()).unwrap(), 0));

    // A start on a full disk is refused in words, and so is one on a read-only disk.
    let mut filler = std::fs::File::create(&ballast).unwrap();
    while std::io::Write::write(&mut filler, &[0; 4096]).is_ok_and(|written| written > 0) {}
    let metrics = std::sync::Arc::new(falld::metrics::Metrics::new());
    let refusal = falld::store::Store::open(&store, Clock::start(), metrics).unwrap_err().to_string();
    assert!(refusal.contains("free space"), "{refusal}");
    drop(filler);
    std::fs::remove_file(&ballast).unwrap();
    assert!(SmallDisk::mount("remount,ro", disk.0.path()));
    let metrics = std::sync::Arc::new(falld::metrics::Metrics::new());
    let refusal = falld::store::Store::open(&store, Clock::start(), metrics).unwrap_err().to_string();
    assert!(refusal.contains("read-only") || refusal.contains("Read-only"), "{refusal}");
    assert!(refusal.contains("Mount") && falld::store::Store::check(&store).is_err(), "{refusal}");
}
