//! Why a store could not be opened: what, where, and how to mend it.

use crate::store::open::probe;
use rusqlite::ErrorCode;
use std::path::{Path, PathBuf};

/// Why the store could not be opened. Each text says what, where and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or file cannot be made or moved.
    #[error("store.path = {}: {error}. {mend}", path.display())]
    Folder {
        /// The configured file.
        path: PathBuf,
        /// What the system said.
        error: String,
        /// What to do.
        mend: &'static str,
    },
    /// SQLite refuses the file.
    #[error("store.path = {}: {error}. {mend}", path.display())]
    Sqlite {
        /// The configured file.
        path: PathBuf,
        /// What SQLite said.
        error: String,
        /// What to do.
        mend: &'static str,
    },
    /// A new file is damaged as well: the disk is.
    #[error("store.path = {}: a new file is damaged too ({error}). Check the disk (dmesg, smartctl)", path.display())]
    Damaged {
        /// The configured file.
        path: PathBuf,
        /// What SQLite said.
        error: String,
    },
    /// Another falld uses it.
    #[error("store.path = {}: another falld is using it. Stop it, or give this one its own store", path.display())]
    InUse {
        /// The configured file.
        path: PathBuf,
    },
    /// Written by a newer falld.
    #[error(
        "store.path = {}: written by a newer falld (schema {version}). Install that version again, or move the file \
         away once everything in it is delivered", path.display()
    )]
    Newer {
        /// The configured file.
        path: PathBuf,
        /// The file's schema version.
        version: i64,
    },
}

const FREE: &str = "Free space on that file system, or inodes if `df -i` says that those are used up";
const FULL: &str = "That file system is full: free space on it";
const MOUNT: &str = "Mount the file system writable, or set store.path to one that is";
const CHECK: &str = "Check the disk (dmesg, smartctl)";
const RIGHTS: &str = "Let falld's user write the file and its folder, on a file system that is mounted writable";
const CLOSE: &str = "Close the program that holds it";

impl StoreError {
    pub(crate) fn folder(path: &Path, error: &std::io::Error) -> Self {
        Self::Folder { path: path.into(), error: error.to_string(), mend: mend(error) }
    }

    pub(crate) fn sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        let mend = match error.sqlite_error_code() {
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) if is_read_only(path) => MOUNT,
            // SQLite does not say why it cannot make the files that it needs beside this one.
            Some(ErrorCode::CannotOpen) => {
                unreadable(path).or_else(|| probe(path).err()).map_or(RIGHTS, |cause| mend(&cause))
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => RIGHTS,
            Some(ErrorCode::DiskFull) => FREE,
            // SQLite says no more than "disk I/O error" where there is no room for its shared memory.
            Some(ErrorCode::SystemIoFailure) if is_full(path) => FULL,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => CLOSE,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                "`falld run` moves a damaged file aside and begins a new one; if it is no store at all, correct the path"
            }
            Some(ErrorCode::SystemIoFailure) => CHECK,
            _ => "Is it falld's own file? Correct the path, or check the disk (dmesg, smartctl)",
        };
        Self::Sqlite { path: path.into(), error: error.to_string(), mend }
    }

    /// True if the disk is full, read-only or fails: nobody's mistake, and no reason to leave a house unwatched.
    pub(crate) fn is_disk(&self) -> bool {
        matches!(self, Self::Folder { mend, .. } | Self::Sqlite { mend, .. } if [FREE, FULL, MOUNT, CHECK].contains(mend))
    }

    /// True for what passes by itself: another program's lock. Then a later start may work.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Folder { mend, .. } | Self::Sqlite { mend, .. } => *mend == CLOSE,
            Self::InUse { .. } => true,
            Self::Damaged { .. } | Self::Newer { .. } => false,
        }
    }

    pub(crate) fn newer(path: &Path, version: i64) -> Self {
        Self::Newer { path: path.into(), version }
    }
}

/// Why the file itself cannot be opened, if that is the disk's fault: a memory card after a power cut may have lost this file alone.
fn unreadable(path: &Path) -> Option<std::io::Error> {
    let cause = std::fs::OpenOptions::new().read(true).write(true).open(path).err()?;
    (mend(&cause) == CHECK).then_some(cause)
}

fn mend(error: &std::io::Error) -> &'static str {
    use rustix::io::Errno;
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let broken = [Errno::IO, Errno::UCLEAN, Errno::BADMSG, Errno::NODEV, Errno::NXIO].map(Errno::raw_os_error);
    match error.kind() {
        PermissionDenied => "Give falld's user the folder (chown falld: /var/lib/falld)",
        ReadOnlyFilesystem => MOUNT,
        StorageFull | QuotaExceeded => FREE,
        _ if error.raw_os_error().is_some_and(|code| broken.contains(&code)) => CHECK,
        _ => "Set store.path to a file in a folder that falld can write",
    }
}

/// True if the file system that holds `path` has no room left.
fn is_full(path: &Path) -> bool {
    // One page is what the smallest write takes.
    rustix::fs::statvfs(path).is_ok_and(|facts| facts.f_bavail * facts.f_frsize < 4096)
}

/// True if the file system that holds `path`, or its folder, is mounted read-only.
fn is_read_only(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(path);
    let facts = rustix::fs::statvfs(path).or_else(|_| rustix::fs::statvfs(folder));
    facts.is_ok_and(|facts| facts.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}
