//! What opening does with a damaged file, and what it refuses.

use super::*;
use std::os::unix::fs::FileExt;

#[test]
fn a_damaged_file_is_moved_aside_and_its_outbox_saved() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    {
        let store = open(&config);
        for seq in 1..=50 {
            assert_eq!(store.recorder().append(&event("bed"), &Context::default()).seq, seq);
        }
    }
    spoil(&config, &pages(&config, "events_by_acknowledgement"));

    let mut store = open(&config);
    assert_eq!(waiting(&mut store.outbox().unwrap(), "bed").len(), 50, "saved");
    assert_eq!(store.recorder().append(&event("bed"), &Context::default()).seq, 51);
    let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().any(|name| name.to_string_lossy().starts_with("falld.db.corrupt-")));
}

#[test]
fn broken_pages_cost_what_lies_on_them_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let ids = some_delivered(&config, 300);
    let leaves = behind(&pages(&config, "events"));
    spoil(&config, &[leaves[0], leaves[3]]);
    spoil(&config, &pages(&config, "outbox"));
    assert_eq!(gaps(&config, &ids), 2, "two pages of events are lost, and the outbox's index names what lies between");
}

#[test]
fn a_broken_outbox_is_read_from_the_events_on_both_sides_of_a_broken_page() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let ids = some_delivered(&config, 300);
    let leaf = behind(&pages(&config, "events"))[1];
    for name in ["outbox", "outbox_by_camera"] {
        spoil(&config, &pages(&config, name));
    }
    spoil(&config, &[leaf]);
    assert_eq!(gaps(&config, &ids), 1);
}

#[test]
fn a_broken_outbox_costs_no_event_and_sends_none_twice() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let ids = some_delivered(&config, 60);
    for name in ["outbox", "outbox_by_camera"] {
        spoil(&config, &pages(&config, name));
    }
    let saved = waiting(&mut open(&config).outbox().unwrap(), "bed");
    assert!(saved.iter().map(|row| row.id).eq(ids));
}

/// The second half of the pages: behind those of the first third of the events.
fn behind(pages: &[u64]) -> Vec<u64> {
    assert!(pages.len() > 9, "{pages:?}");
    pages[pages.len() / 2..].to_vec()
}

/// In how many places something of `ids` is missing from what a new store took over: their first and last are there, in
/// their order.
fn gaps(config: &StoreConfig, ids: &[Uuid]) -> usize {
    let saved = waiting(&mut open(config).outbox().unwrap(), "bed");
    let places = saved.iter().map(|row| ids.iter().position(|id| *id == row.id).unwrap()).collect::<Vec<_>>();
    assert!(places.is_sorted() && places[0] == 0 && *places.last().unwrap() == ids.len() - 1, "{places:?}");
    places.windows(2).filter(|two| two[1] > two[0] + 1).count()
}

/// `count` events, of which the first third has been delivered; the ids of the others.
fn some_delivered(config: &StoreConfig, count: u64) -> Vec<Uuid> {
    let mut store = open(config);
    let mut ids = Vec::new();
    for _ in 0..count {
        let sent = event("bed");
        store.recorder().append(&sent, &Context::default());
        ids.push(sent.id);
    }
    let outbox = store.outbox().unwrap();
    (1..=count / 3).for_each(|seq| outbox.delivered(receipt(seq, 3)));
    ids.split_off(usize::try_from(count / 3).unwrap())
}

/// The leaf pages of a table or an index, in their order, once everything is in the file.
fn pages(config: &StoreConfig, name: &str) -> Vec<u64> {
    let file = Connection::open(&config.path).unwrap();
    file.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let sql = "SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = 'leaf' ORDER BY path";
    let mut leaves = file.prepare(sql).unwrap();
    leaves.query_map([name], |row| row.get::<_, i64>(0)).unwrap().map(|page| page.unwrap().unsigned_abs()).collect()
}

/// Noise over pages of the file.
fn spoil(config: &StoreConfig, pages: &[u64]) {
    let bytes = std::fs::OpenOptions::new().write(true).open(&config.path).unwrap();
    for page in pages {
        bytes.write_all_at(&[0xa5; 4096], (page - 1) * 4096).unwrap();
    }
}

/// Makes a closed store's file one of the first, before places had names.
fn age(config: &StoreConfig) {
    let file = Connection::open(&config.path).unwrap();
    file.execute_batch("ALTER TABLE events DROP COLUMN place; ALTER TABLE events DROP COLUMN first_seq").unwrap();
}

#[test]
fn a_file_of_an_older_falld_goes_on_with_what_waits_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let old = event("bed");
    open(&config).recorder().append(&old, &Context::default());
    age(&config);
    assert!(Store::check(&config).is_ok());

    let climb = Event { event: EventType::Climb, place: Some("window".into()), ..event("bed") };
    open(&config).recorder().append(&climb, &Context::default());
    let rows = waiting(&mut open(&config).outbox().unwrap(), "bed");
    let told: Vec<_> = rows.iter().map(|row| (row.seq, row.id, row.place.as_deref())).collect();
    assert_eq!(told, [(1, old.id, None), (2, climb.id, Some("window"))]);
}

#[test]
fn a_damaged_file_of_an_older_falld_is_saved_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let ids = some_delivered(&config, 60);
    age(&config);
    spoil(&config, &pages(&config, "events_by_acknowledgement"));
    let saved = waiting(&mut open(&config).outbox().unwrap(), "bed");
    assert!(saved.iter().map(|row| row.id).eq(ids));
}

#[test]
fn a_cut_between_the_two_renames_of_a_replacement_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let sent = event("bed");
    open(&config).recorder().append(&sent, &Context::default());
    std::fs::rename(&config.path, folder.path().join("falld.db.new")).unwrap();
    std::fs::write(folder.path().join("falld.db-wal"), "the damaged file's").unwrap();

    let mut store = open(&config);
    let rows = waiting(&mut store.outbox().unwrap(), "bed");
    assert!(rows.iter().map(|row| row.id).eq([sent.id]));
    assert_eq!(store.recorder().append(&event("bed"), &Context::default()).seq, 2);
}

#[test]
fn a_file_of_noise_is_moved_aside_and_numbers_jump_up() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    std::fs::write(&config.path, [0x5a; 20_000]).unwrap();
    assert!(Store::check(&config).unwrap_err().to_string().contains("moves a damaged file aside"));
    let store = open(&config);
    assert!(store.progress() > Moment::ZERO, "opening is progress, before the worker's first turn");
    assert!(store.recorder().append(&event("bed"), &Context::default()).seq > 1_700_000_000);
    assert!(Store::check(&config).is_ok());
}

#[test]
fn what_cannot_work_is_refused_with_a_mend() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let metrics = || Arc::new(Metrics::new());
    assert!(Store::check(&config).is_ok());
    let first = open(&config);
    let second = Store::open(&config, Clock::start(), metrics()).unwrap_err().to_string();
    assert!(second.contains("another falld"), "{second}");
    drop(first);

    Connection::open(&config.path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let newer = Store::open(&config, Clock::start(), metrics()).unwrap_err().to_string();
    assert!(newer.contains("newer falld") && newer.contains("99"), "{newer}");
    assert!(Store::check(&config).is_err());

    let nowhere = StoreConfig { path: "/proc/falld/falld.db".into(), ..config };
    let refusal = Store::open(&nowhere, Clock::start(), metrics()).unwrap_err().to_string();
    assert!(refusal.contains("/proc/falld/falld.db") && refusal.contains("store.path"), "{refusal}");
}

#[test]
fn a_broken_disk_is_no_reason_to_leave_a_house_unwatched() {
    let path = std::path::Path::new("/var/lib/falld/falld.db");
    let system = |code| StoreError::folder(path, &std::io::Error::from_raw_os_error(code));
    let sqlite =
        |code| StoreError::sqlite(path, &rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None));
    let (io, rights) = (rustix::io::Errno::IO, rustix::io::Errno::ACCESS);
    assert!(system(io.raw_os_error()).is_disk() && sqlite(rusqlite::ffi::SQLITE_IOERR).is_disk());
    assert!(!system(rights.raw_os_error()).is_disk() && !sqlite(rusqlite::ffi::SQLITE_PERM).is_disk());
    assert!(!sqlite(rusqlite::ffi::SQLITE_ERROR).is_disk(), "another program's database is a wrong path");
}
