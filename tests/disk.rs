//! A disk that fills up or cannot be written: events pass by memory, and the store mends itself.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "support is shared by several test programs")]

mod support {
    pub mod broker;
    pub mod falld;
}

use falld::config::StoreConfig;
use falld::frame::Clock;
use falld::metrics::Metrics;
use falld::store::{Context, Store};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use support::broker::{Mosquitto, OPEN};
use support::falld::{Falld, Subscriber, broker_at, fall_now, firsts, store_in, texts, until};
use uuid::Uuid;

const EVENTS: &str = "falld/house/+/event";

/// One story at a time: a child that another one starts holds copies of this one's open files until it has become its own
/// program, and for that moment a disk cannot be made read-only nor the store's lock be taken.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Events in the file, and how many of them wait.
fn in_store(path: &Path) -> (i64, i64) {
    let file = rusqlite::Connection::open(path).unwrap();
    let count = |sql| file.query_row(sql, [], |row| row.get(0)).unwrap();
    (count("SELECT count(*) FROM events WHERE acknowledged_us IS NOT NULL"), count("SELECT count(*) FROM outbox"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disk_becomes_full_and_recovers() {
    let _alone = ALONE.lock().await;
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
        Self::mount("size=1m,nr_inodes=64,mode=0777", folder.path()).then(|| Self(folder))
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

/// Writes until nothing more goes in.
fn fill(ballast: &Path) {
    let mut filler = std::fs::File::create(ballast).unwrap();
    while std::io::Write::write(&mut filler, &[0; 4096]).is_ok_and(|written| written > 0) {}
}

/// A small disk for the store, and a broker, in its folder, with who listens there. None where nothing can be mounted, which is said.
async fn site() -> Option<(SmallDisk, tempfile::TempDir, Mosquitto, Subscriber)> {
    let Some(disk) = SmallDisk::new() else {
        println!("skipped: no right to mount a tmpfs here");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let subscriber = Subscriber::new(mosquitto.port, EVENTS).await;
    Some((disk, folder, mosquitto, subscriber))
}

/// Falls of a run whose power fails before anybody hears of them.
fn unheard(store: &StoreConfig, count: usize) -> Vec<Uuid> {
    let clock = Clock::start();
    let store = Store::open(store, clock, Arc::new(Metrics::new())).unwrap();
    let fall = |_| {
        let event = fall_now(&clock, "bed");
        assert!(store.recorder().append(&event, &Context::default()).durable);
        event.id
    };
    (0..count).map(fall).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_disk_becomes_full_and_recovers() {
    let _alone = ALONE.lock().await;
    let Some((disk, _folder, mosquitto, mut subscriber)) = site().await else { return };
    let store = store_in(disk.0.path());
    let falld = Falld::start(&store, broker_at(mosquitto.port));
    falld.connected().await;
    let mut ids = vec![falld.fall("bed").0];
    let ballast = disk.0.path().join("ballast");
    fill(&ballast);
    // What the log has already allocated fills up first.
    while falld.metrics.store_degraded.get() == 0 && ids.len() < 1000 {
        ids.push(falld.fall("bed").0);
    }
    assert_eq!(falld.metrics.store_degraded.get(), 1);
    ids.extend((0..5).map(|_| falld.fall("bed").0));
    assert_eq!(firsts(&subscriber.ids(&ids).await), texts(&ids), "published from memory");
    std::fs::remove_file(&ballast).unwrap();
    until("the store has recovered", || falld.metrics.store_degraded.get() == 0).await;
    falld.delivered().await;
    falld.stop().await;
    assert_eq!(in_store(&store.path), (i64::try_from(ids.len()).unwrap(), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn falld_starts_on_a_disk_that_takes_nothing() {
    let _alone = ALONE.lock().await;
    let Some((disk, _folder, mosquitto, mut subscriber)) = site().await else { return };
    let store = store_in(disk.0.path());
    let (mut early, mut last) = (unheard(&store, 40), 0);
    for obstacle in ["full", "read-only", "out of inodes"] {
        let ballast = disk.0.path().join("ballast");
        match obstacle {
            "full" => fill(&ballast),
            "read-only" => assert!(SmallDisk::mount("remount,ro", disk.0.path())),
            _ => {
                std::fs::create_dir(&ballast).unwrap();
                let full =
                    (0..100).map(|name| std::fs::write(ballast.join(name.to_string()), "")).any(|made| made.is_err());
                assert!(full);
            }
        }
        let mend = Store::check(&store).unwrap_err().to_string();
        assert!(mend.contains("space") || mend.contains("Mount the file system writable"), "{mend}");
        let falld = Falld::start(&store, broker_at(mosquitto.port));
        falld.connected().await;
        assert_eq!(falld.metrics.store_degraded.get(), 1, "{obstacle}");
        let (id, stored) = falld.fall("bed");
        assert!(!stored.durable && stored.seq > 1_000_000 + last, "{obstacle}: {stored:?}");
        assert_eq!(firsts(&subscriber.ids(&[id]).await), texts(&[id]), "published from memory, {obstacle}");
        match obstacle {
            "full" => std::fs::remove_file(&ballast).unwrap(),
            "read-only" => assert!(SmallDisk::mount("remount,rw", disk.0.path())),
            _ => std::fs::remove_dir_all(&ballast).unwrap(),
        }
        until("the store has its file", || falld.metrics.store_degraded.get() == 0).await;
        assert_eq!(firsts(&subscriber.ids(&early).await), texts(&early), "what waited in the file comes");
        early.clear();
        let (id, later) = falld.fall("bed");
        assert!(later.durable && later.seq > stored.seq, "{obstacle}: {later:?}");
        assert_eq!(firsts(&subscriber.ids(&[id]).await), texts(&[id]));
        last = later.seq;
        falld.delivered().await;
        falld.stop().await;
    }
    assert_eq!(in_store(&store.path), (46, 0), "all of it is in the history");
}

/// Noise over an index page that salvaging does not need.
fn damage(path: &Path) {
    let file = rusqlite::Connection::open(path).unwrap();
    file.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'events_by_acknowledgement'";
    let page: i64 = file.query_row(root, [], |row| row.get(0)).unwrap();
    drop(file);
    let bytes = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    bytes.write_all_at(&[0xa5; 4096], (page.unsigned_abs() - 1) * 4096).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_store_on_a_disk_without_room_for_its_successor_loses_nothing() {
    /// Room to read the damaged file, whose shared memory takes 32 KiB, and not to write another.
    const ROOM: u64 = 40 << 10;
    let _alone = ALONE.lock().await;
    let Some((disk, _folder, mosquitto, mut subscriber)) = site().await else { return };
    let store = store_in(disk.0.path());
    let ids = unheard(&store, 40);
    damage(&store.path);
    let ballast = disk.0.path().join("ballast");
    fill(&ballast);
    let filled = std::fs::metadata(&ballast).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&ballast).unwrap().set_len(filled - ROOM).unwrap();

    let falld = Falld::start(&store, broker_at(mosquitto.port));
    assert_eq!(falld.metrics.store_degraded.get(), 1);
    std::fs::remove_file(&ballast).unwrap();
    until("the store has its new file", || falld.metrics.store_degraded.get() == 0).await;
    assert_eq!(firsts(&subscriber.ids(&ids).await), texts(&ids), "what was salvaged arrives");
    assert!(falld.fall("bed").1.seq > 40, "numbers grow");
    falld.delivered().await;
    falld.stop().await;
    assert_eq!(in_store(&store.path), (41, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_in_an_outbox_that_cannot_be_read_is_seen_to_wait() {
    let _alone = ALONE.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let mut subscriber = Subscriber::new(mosquitto.port, EVENTS).await;
    let store = store_in(folder.path());
    let ids = unheard(&store, 1);
    let other = rusqlite::Connection::open(&store.path).unwrap();
    other.execute_batch("ALTER TABLE events RENAME COLUMN device TO away").unwrap();
    let falld = Falld::start(&store, broker_at(mosquitto.port));
    falld.connected().await;
    until("its age shows", || falld.metrics.outbox_oldest_age.get() > 0.5).await;
    other.execute_batch("ALTER TABLE events RENAME COLUMN away TO device").unwrap();
    assert_eq!(subscriber.ids(&ids).await, texts(&ids));
    falld.delivered().await;
    until("nothing waits", || falld.metrics.outbox_oldest_age.get() == 0.0).await;
    falld.stop().await;
}
