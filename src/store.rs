//! The durable store: an alert that was handed over here is never lost.
//!
//! * An event and its outbox row are written in one transaction with `synchronous = FULL`; [`Recorder::append`] returns
//!   after the fsync. Only then is the publisher told.
//! * A row leaves the outbox when the broker has acknowledged it, never before. Retention removes delivered events only. An
//!   alert that nobody has answered comes back into the outbox when somebody returns who may have missed it.
//! * Numbers (`seq`) grow by one, for ever: also over restarts, and over a damaged file that had to be replaced.
//! * A store that cannot be written (full or read-only disk) does not stop anybody: the event waits in memory, is
//!   published from there, and is written as soon as the disk allows. `store_degraded` is 1 meanwhile. Only then does a
//!   crash lose what waits, and a number may be given twice; the id never is.
//! * A disk that is full, read-only or broken already at the start does not stop anybody either: falld works without the file,
//!   numbers jump by a million, and the file is opened as soon as the disk allows. What waited in it is
//!   then published under new numbers.
//! * A damaged file is moved aside as `<name>.corrupt-<time>`, what can be read of its outbox is taken over.
//!
//! The detector's thread writes events; a thread of this module writes receipts, retries, purges and checkpoints, so
//! that neither an alert nor the tokio runtime ever waits for those. Receipts skip the fsync: losing one costs a
//! duplicate with the same id. Deliberately absent: eviction. The policy's cooldown bounds the rate of events.

mod database;
mod error;
mod open;
mod row;
mod worker;

use crate::config::StoreConfig;
use crate::event::{Event, Unfinished};
use crate::frame::{Clock, Moment};
use crate::journal;
use crate::metrics::Metrics;
pub use error::StoreError;
use open::Opened;
pub(crate) use row::unix_us;
pub use row::{Context, Receipt, Row};
use rusqlite::Connection;
use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use tokio::sync::mpsc as tokio_mpsc;
use uuid::Uuid;

/// Events that wait in memory while the store cannot be written; about 5 MB. With the policy's cooldown of 30 s this is
/// more than a day of one camera that alerts without a pause.
const MEMORY_LIMIT: usize = 10_000;

/// What [`Recorder::append`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The event's number.
    pub seq: u64,
    /// When it was stored.
    pub at: Moment,
    /// False while the store cannot be written: the event waits in memory.
    pub durable: bool,
}

/// What the publisher learns from the store.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Notice {
    /// A new event; sent right after its commit. Numbers grow from one such notice to the next, and a `Loaded` holds
    /// exactly what was stored before it.
    Stored(Arc<Row>),
    /// Cameras with undelivered events.
    Lanes(Vec<String>),
    /// The oldest undelivered events of a camera after the asked number.
    Loaded { camera: String, rows: Vec<Arc<Row>>, complete: bool },
    /// Could not be read now.
    LoadFailed { camera: String },
    /// A delivered alert that waits once more, for whoever was away.
    Again(Arc<Row>),
}

#[derive(Debug)]
struct Waiting {
    row: Arc<Row>,
    receipt: Option<Receipt>,
}

#[derive(Debug)]
struct Writer {
    /// None while the disk has not let the file be opened.
    file: Option<OpenFile>,
    last_seq: u64,
    memory: VecDeque<Waiting>,
}

#[derive(Debug)]
struct OpenFile {
    connection: Connection,
    _lock: File,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    process: String,
    clock: Clock,
    metrics: Arc<Metrics>,
    notices: tokio_mpsc::UnboundedSender<Notice>,
    degraded: AtomicBool,
    depth: AtomicI64,
    /// Last progress of the worker, microseconds on the clock.
    progress: AtomicU64,
    commits: AtomicU64,
    writer: Mutex<Writer>,
}

/// The opened store. Dropping it stops its thread; events are safe at any moment.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    requests: mpsc::Sender<worker::Request>,
    notices: Option<tokio_mpsc::UnboundedReceiver<Notice>>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens or creates the store. A full, read-only or broken disk leaves it [`Recorder::degraded`] until the disk allows;
    /// whatever else would mean that alerts are not durable is refused with a mend.
    pub fn open(config: &StoreConfig, clock: Clock, metrics: Arc<Metrics>) -> Result<Self, StoreError> {
        let (opened, refusal) = match open::open(&config.path) {
            Ok(opened) => (Some(opened), None),
            Err(error) if error.is_disk() => (None, Some(error)),
            Err(error) => return Err(error),
        };
        let (notices, receiver) = tokio_mpsc::unbounded_channel();
        let (file, receipts, last_seq, depth) = match opened {
            Some(Opened { events, receipts, last_seq, depth, lock }) => {
                (Some(OpenFile { connection: events, _lock: lock }), Some(receipts), last_seq, depth)
            }
            None => (None, None, open::beyond(&config.path), 0),
        };
        metrics.outbox_depth.set(depth);
        metrics.store_degraded.set(0);
        let shared = Arc::new(Shared {
            path: config.path.clone(),
            process: Uuid::now_v7().to_string(),
            clock,
            metrics,
            notices,
            degraded: AtomicBool::new(false),
            depth: AtomicI64::new(depth),
            // Open is progress: loading a model before may have taken minutes.
            progress: AtomicU64::new(u64::try_from(clock.now().as_micros()).unwrap_or(u64::MAX)),
            commits: AtomicU64::new(0),
            writer: Mutex::new(Writer { file, last_seq, memory: VecDeque::new() }),
        });
        if let Some(refusal) = refusal {
            shared.degraded_by(&refusal);
        }
        let (requests, inbox) = mpsc::channel();
        let worker = worker::Worker::new(shared.clone(), receipts, config.keep_days);
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || worker.run(&inbox))
            .map_err(|error| StoreError::folder(&config.path, &error))?;
        Ok(Self { shared, requests, notices: Some(receiver), thread: Some(thread) })
    }

    /// Looks whether [`Store::open`] would work, changing nothing: for `doctor`.
    pub fn check(config: &StoreConfig) -> Result<(), StoreError> {
        open::check(&config.path)
    }

    /// The detector's handle.
    pub fn recorder(&self) -> Recorder {
        Recorder { shared: self.shared.clone() }
    }

    /// The publisher's handle: the first caller gets it, later ones get nothing.
    pub fn outbox(&mut self) -> Option<Outbox> {
        let notices = self.notices.take()?;
        Some(Outbox { shared: self.shared.clone(), requests: self.requests.clone(), notices })
    }

    /// Incidents of earlier runs that somebody was told of and that have not ended. Older ones than a day are forgotten.
    pub fn unfinished(&self) -> Vec<Unfinished> {
        let shared = &*self.shared;
        let writer = shared.writer();
        let read = match &writer.file {
            Some(file) => database::unfinished(&file.connection, shared.a_day_ago_us()),
            None => Err(rusqlite::Error::InvalidPath(shared.path.clone())),
        };
        read.unwrap_or_else(|error| {
            tracing::error!(%error, "what was going on before this start cannot be read: an open alarm is shown as cleared");
            Vec::new()
        })
    }

    /// Time of the worker's last progress. It moves at least every two seconds unless a disk hangs.
    pub fn progress(&self) -> Moment {
        Moment::from_micros(self.shared.progress.load(Ordering::Relaxed))
    }

    /// Limits the file to so many pages, or lifts the limit: a full disk for tests, on any machine.
    #[doc(hidden)]
    pub fn limit_pages(&self, pages: Option<u32>) {
        let pages = pages.unwrap_or(1_073_741_823);
        let writer = self.shared.writer();
        if let Some(file) = &writer.file {
            // The answer is the limit now in force, of no interest here.
            let _limit = file.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()));
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Fails only if the worker is gone already.
        let _gone = self.requests.send(worker::Request::Stop);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// Writes events. Lives with the detector.
#[derive(Debug, Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

impl Recorder {
    /// Makes `event` durable, then wakes the publisher. Blocks for one commit; never on the broker.
    ///
    /// Cannot fail: if the disk refuses, the event waits in memory and `durable` is false.
    pub fn append(&self, event: &Event, context: &Context) -> Stored {
        let shared = &*self.shared;
        let mut writer = shared.writer();
        let seq = writer.last_seq + 1;
        writer.last_seq = seq;
        let mut row = Row::new(seq, event, context, &shared.clock);
        let outcome = shared.commit(&mut writer, Some(&row));
        let at = shared.clock.now();
        row.restamp(at);
        let row = Arc::new(row);
        let durable = outcome.is_ok();
        shared.depth(1);
        if let Err(error) = outcome {
            shared.remember(&mut writer, row.clone());
            shared.failed_by(&error);
        }
        // Under the lock, so that notices come in the order of the numbers. Nobody listens in replay.
        let _unheard = shared.notices.send(Notice::Stored(row));
        drop(writer);
        Stored { seq, at, durable }
    }

    /// True while the store cannot be written.
    pub fn degraded(&self) -> bool {
        self.shared.degraded.load(Ordering::Relaxed)
    }
}

/// The publisher's side: what waits, and what was delivered. Never blocks.
#[derive(Debug)]
pub struct Outbox {
    shared: Arc<Shared>,
    requests: mpsc::Sender<worker::Request>,
    notices: tokio_mpsc::UnboundedReceiver<Notice>,
}

impl Outbox {
    /// The next notice; never none, since `shared` holds the sender.
    pub(crate) async fn notice(&mut self) -> Option<Notice> {
        self.notices.recv().await
    }

    /// A notice that is here already.
    pub(crate) fn try_notice(&mut self) -> Option<Notice> {
        self.notices.try_recv().ok()
    }

    /// Asks for the cameras that wait.
    pub(crate) fn survey(&self) {
        self.ask(worker::Request::Survey);
    }

    /// Asks for the oldest events of `camera` after `after`.
    pub(crate) fn load(&self, camera: &str, after: u64, limit: usize) {
        self.ask(worker::Request::Load { camera: camera.into(), after, limit });
    }

    /// Somebody who was away is back: asks for the last alert of what goes on at `cameras` and nobody has acknowledged. No camera
    /// means every one.
    pub(crate) fn tell_again(&self, cameras: Vec<String>) {
        self.ask(worker::Request::TellAgain(cameras));
    }

    /// The broker has acknowledged an event.
    pub(crate) fn delivered(&self, receipt: Receipt) {
        self.shared.depth(-1);
        self.ask(worker::Request::Delivered(receipt));
    }

    /// Events that wait.
    pub(crate) fn depth(&self) -> i64 {
        self.shared.depth.load(Ordering::Relaxed)
    }

    /// True while the store cannot be written.
    pub(crate) fn degraded(&self) -> bool {
        self.shared.degraded.load(Ordering::Relaxed)
    }

    fn ask(&self, request: worker::Request) {
        // The worker lives as long as the store; without it the row stays in the outbox, which is safe.
        let _stopped = self.requests.send(request);
    }
}

impl Shared {
    /// A panic elsewhere leaves the writer as sound as the last commit did.
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was told before this is forgotten.
    fn a_day_ago_us(&self) -> i64 {
        const A_DAY_US: i64 = 86_400_000_000;
        unix_us(self.clock.wall(self.clock.now())).saturating_sub(A_DAY_US)
    }

    /// Writes what waits in memory and then `row`, all in one transaction.
    fn commit(&self, writer: &mut Writer, row: Option<&Row>) -> rusqlite::Result<()> {
        let Some(file) = &mut writer.file else { return Err(rusqlite::Error::InvalidPath(self.path.clone())) };
        let transaction = file.connection.transaction()?;
        for waiting in &writer.memory {
            database::insert(&transaction, &waiting.row, waiting.receipt.as_ref(), &self.process)?;
        }
        if let Some(row) = row {
            database::insert(&transaction, row, None, &self.process)?;
        }
        transaction.commit()?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        writer.memory.clear();
        Ok(())
    }

    fn remember(&self, writer: &mut Writer, row: Arc<Row>) {
        if writer.memory.len() >= MEMORY_LIMIT {
            let delivered = writer.memory.iter().position(|waiting| waiting.receipt.is_some());
            if let Some(lost) = writer.memory.remove(delivered.unwrap_or(0))
                && lost.receipt.is_none()
            {
                self.given_up(&lost.row);
                // A lane that holds it publishes it all the same, and counts it then.
                if Arc::strong_count(&lost.row) == 1 {
                    self.depth(-1);
                }
            }
        }
        writer.memory.push_back(Waiting { row, receipt: None });
    }

    /// The one way to lose an event: the store could not be written until memory was full, or until the end.
    fn given_up(&self, row: &Row) {
        self.metrics.events_lost.inc();
        let (camera, kind) = (&*row.camera, row.event.as_str());
        tracing::error!(event_id = %row.id, camera, r#type = kind, "event given up: the store could not be written");
    }

    fn depth(&self, change: i64) {
        let depth = self.depth.fetch_add(change, Ordering::Relaxed) + change;
        self.metrics.outbox_depth.set(depth);
    }

    /// What SQLite said while the store was at work, with the mend.
    fn failed_by(&self, error: &rusqlite::Error) {
        if !self.degraded.load(Ordering::Relaxed) {
            self.degraded_by(&StoreError::sqlite(&self.path, error));
        }
    }

    fn degraded_by(&self, error: &dyn std::fmt::Display) {
        if !self.degraded.swap(true, Ordering::Relaxed) {
            self.metrics.store_degraded.set(1);
            tracing::error!(
                MESSAGE_ID = journal::STORE_DEGRADED, store = %self.path.display(), %error,
                "the store cannot be written: events are published from memory and would not survive a crash. falld tries \
                 again by itself; if it stays so, restart falld once falld_outbox_depth is 0: a damaged file is replaced then"
            );
        }
    }

    fn recovered(&self) {
        if self.degraded.swap(false, Ordering::Relaxed) {
            self.metrics.store_degraded.set(0);
            tracing::info!(
                MESSAGE_ID = journal::STORE_RECOVERED, store = %self.path.display(), "the store can be written again"
            );
        }
    }
}

#[cfg(test)]
mod tests;
