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
    // Into the file with everything; then noise over an index page that the rows do not need.
    let file = Connection::open(&config.path).unwrap();
    file.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'events_by_acknowledgement'";
    let page: i64 = file.query_row(root, [], |row| row.get(0)).unwrap();
    drop(file);
    let bytes = std::fs::OpenOptions::new().write(true).open(&config.path).unwrap();
    bytes.write_all_at(&[0xa5; 4096], (page.unsigned_abs() - 1) * 4096).unwrap();

    let mut store = open(&config);
    assert_eq!(waiting(&mut store.outbox().unwrap(), "bed").len(), 50, "saved");
    assert_eq!(store.recorder().append(&event("bed"), &Context::default()).seq, 51);
    let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().any(|name| name.to_string_lossy().starts_with("falld.db.corrupt-")));
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
