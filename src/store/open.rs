//! Opening the store: the folder, the lock, the schema, and what happens to a damaged file.

use crate::store::StoreError;
use crate::store::database::{self, Sync};
use crate::store::row::{Row, unix_us};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How far numbers jump where the last one is not known for sure.
const LEAP: u64 = 1_000_000;

/// What the successor of a damaged file is called until it takes its place.
const NEW: &str = ".new";

/// An opened store: one connection for events, one for receipts, and the lock that keeps a second falld out.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) events: Connection,
    pub(crate) receipts: Connection,
    pub(crate) last_seq: u64,
    /// Events that wait.
    pub(crate) depth: i64,
    pub(crate) lock: File,
}

/// Opens or creates the store at `path`. A damaged file is moved aside, what can still be read of its outbox is taken
/// over, and a new file goes on with greater numbers.
pub(crate) fn open(path: &Path) -> Result<Opened, StoreError> {
    let folder = folder(path);
    std::fs::create_dir_all(&folder).map_err(|error| StoreError::folder(path, &error))?;
    let lock = lock(path)?;
    // The power failed between the two renames of a replacement: its new file is whole, and all there is.
    if !path.exists() && suffixed(path, NEW).exists() {
        install(path, unix_s()).map_err(|error| StoreError::folder(path, &error))?;
    }
    let events = match connect(path, Sync::Full) {
        Ok(events) => events,
        Err(Trouble::Damaged(error)) => replace(path, &error)?,
        Err(Trouble::Refused(error)) => return Err(error),
    };
    sync_folder(&folder).map_err(|error| StoreError::folder(path, &error))?;
    let fault = |error| StoreError::sqlite(path, &error);
    let receipts = Connection::open(path).map_err(fault)?;
    database::prepare(&receipts, Sync::Normal).map_err(fault)?;
    let last_seq = database::last_seq(&events).map_err(fault)?;
    let depth = database::depth(&events).map_err(fault)?;
    Ok(Opened { events, receipts, last_seq, depth, lock })
}

/// A number above every one in the file at `path`, which cannot be opened now. What is read is the file alone, which works
/// on any disk; the write-ahead log beside it holds far fewer events than the leap.
pub(crate) fn beyond(path: &Path) -> u64 {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let name = path.as_os_str().as_bytes().iter();
    let name: String =
        name.map(|&byte| if safe(byte) { char::from(byte).into() } else { format!("%{byte:02X}") }).collect();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let known = Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)
        .and_then(|file| database::last_seq(&file))
        .unwrap_or_else(|_| unix_s());
    known + LEAP
}

/// Looks whether the store could be opened and written, without leaving anything behind. Safe beside a running falld.
pub(crate) fn check(path: &Path) -> Result<(), StoreError> {
    if !path.exists() {
        return probe(path).map_err(|error| StoreError::folder(path, &error));
    }
    let fault = |error| StoreError::sqlite(path, &error);
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(fault)?;
    let version = database::version(&connection).map_err(fault)?;
    if version > database::SCHEMA_VERSION {
        return Err(StoreError::newer(path, version));
    }
    database::writable(&connection).map_err(fault)
}

/// What the system says of a new file beside `path`.
pub(crate) fn probe(path: &Path) -> std::io::Result<()> {
    let probe = folder(path).join(format!(".falld-probe-{}", std::process::id()));
    File::create(&probe)?;
    std::fs::remove_file(&probe)
}

enum Trouble {
    /// The file is not a sound database.
    Damaged(String),
    /// Something that moving the file aside would not mend.
    Refused(StoreError),
}

fn connect(path: &Path, sync: Sync) -> Result<Connection, Trouble> {
    let fault = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Trouble::Damaged(error.to_string()),
        _ => Trouble::Refused(StoreError::sqlite(path, &error)),
    };
    let mut connection = Connection::open(path).map_err(fault)?;
    let version = database::version(&connection).map_err(fault)?;
    if version > database::SCHEMA_VERSION {
        return Err(Trouble::Refused(StoreError::newer(path, version)));
    }
    database::prepare(&connection, sync).map_err(fault)?;
    // A month of events is a few megabytes: the check takes milliseconds.
    let health: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0)).map_err(fault)?;
    if health != "ok" {
        return Err(Trouble::Damaged(health));
    }
    if version == 0 {
        database::create(&mut connection, 0, &[]).map_err(fault)?;
    }
    database::complete(&connection).map_err(fault)?;
    // Proves that the file can be written, at start and not at the first fall.
    database::writable(&connection).map_err(fault)?;
    Ok(connection)
}

/// What was salvaged is in the new file before the damaged one is touched: a disk that fills up or fails meanwhile loses
/// nothing of it, and the next try begins where this one did.
fn replace(path: &Path, error: &str) -> Result<Connection, StoreError> {
    let (rows, last) = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map(|old| (database::salvage(&old), database::last_seq(&old).ok()))
        .unwrap_or_default();
    let now = unix_s();
    let last = last.filter(|&last| last > 0).unwrap_or(now).max(rows.iter().map(|row| row.seq).max().unwrap_or(0));
    build(&suffixed(path, NEW), last, &rows).map_err(|error| StoreError::sqlite(path, &error))?;
    let aside = install(path, now).map_err(|error| StoreError::folder(path, &error))?;
    tracing::error!(
        store = %path.display(), moved_to = %aside.display(), salvaged = rows.len(), error,
        "the store was damaged: moved aside and begun anew; events that were not delivered may be missing"
    );
    match connect(path, Sync::Full) {
        Ok(connection) => Ok(connection),
        Err(Trouble::Damaged(error)) => Err(StoreError::Damaged { path: path.into(), error }),
        Err(Trouble::Refused(error)) => Err(error),
    }
}

fn build(new: &Path, last: u64, rows: &[Row]) -> rusqlite::Result<()> {
    for end in ["", "-journal"] {
        // Left by a try that was cut off. What cannot be removed is in SQLite's way too, and SQLite says so.
        let _absent = std::fs::remove_file(suffixed(new, end));
    }
    let mut connection = Connection::open(new)?;
    database::create(&mut connection, last, rows)?;
    connection.close().map_err(|(_, error)| error)
}

/// Moves the file aside, if it is still there, and its successor into its place. The old log goes before the new file
/// comes, which would be read with it. Gives the name of what was moved aside.
fn install(path: &Path, now: u64) -> std::io::Result<PathBuf> {
    let aside = suffixed(path, &format!(".corrupt-{now}"));
    let folder = folder(path);
    sync_folder(&folder)?;
    for end in ["", "-wal", "-shm"] {
        let from = suffixed(path, end);
        if from.exists() {
            std::fs::rename(&from, suffixed(&aside, end))?;
        }
    }
    sync_folder(&folder)?;
    std::fs::rename(suffixed(path, NEW), path)?;
    Ok(aside)
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let file = File::create(suffixed(path, ".lock")).map_err(|error| StoreError::folder(path, &error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::InUse { path: path.into() }),
        Err(error) => Err(StoreError::folder(path, &error.into())),
    }
}

fn folder(path: &Path) -> PathBuf {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).into()
}

/// Seconds since 1970, where no last number is known: above every number a device can have reached by counting.
fn unix_s() -> u64 {
    unix_us(SystemTime::now()).unsigned_abs() / 1_000_000
}

/// Makes the name of a new file, or of one moved aside, as durable as its contents.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
