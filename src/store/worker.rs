//! The store's own thread: receipts, reads, retries, retention and checkpoints, away from alerts and from tokio.

use crate::frame::Moment;
use crate::store::open::{self, Opened};
use crate::store::row::{Receipt, Row, unix_us};
use crate::store::{Notice, OpenFile, Shared, StoreError, Writer, database};
use rusqlite::Connection;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Longest pause between two looks at the memory queue, and the rhythm of the worker's heartbeat.
const TICK: Duration = Duration::from_secs(1);
/// When what could not be told again is tried once more: reading what goes on may take half a second.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Retention is about days; an hour is often enough.
const PURGE_EVERY: Duration = Duration::from_secs(3600);
/// Commits between two checkpoints: at two to four pages each, the write-ahead log stays below 2 MB.
const CHECKPOINT_AFTER: u64 = 100;

#[derive(Debug)]
pub(crate) enum Request {
    Survey,
    Load { camera: String, after: u64, limit: usize },
    Delivered(Receipt),
    TellAgain(Vec<String>),
    Stop,
}

#[derive(Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    /// None while the disk has not let the file be opened.
    connection: Option<Connection>,
    keep_days: u32,
    receipts: VecDeque<Receipt>,
    /// Who waits is still to be said: the file could not be read.
    survey_owed: bool,
    /// Somebody who was away is back, and is still to be told again what goes on at these cameras; not before that moment.
    again_owed: Option<(Vec<String>, Moment)>,
    /// Cameras whose file rows could not be read, and the number after which they begin. Newer ones from memory went first.
    unread: HashMap<String, u64>,
    /// Why it could not be read, as it was logged.
    trouble: String,
    purged: Option<Instant>,
    retried: Option<Instant>,
    /// Why the file was refused the last time, as it was logged.
    refusal: String,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, connection: Option<Connection>, keep_days: u32) -> Self {
        Self {
            shared,
            connection,
            keep_days,
            receipts: VecDeque::new(),
            survey_owed: false,
            again_owed: None,
            unread: HashMap::new(),
            trouble: String::new(),
            purged: None,
            retried: None,
            refusal: String::new(),
        }
    }

    pub(crate) fn run(mut self, inbox: &Receiver<Request>) {
        loop {
            let mut request = match inbox.recv_timeout(TICK) {
                Ok(request) => Some(request),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return self.stop(),
            };
            // Receipts that came together are written together.
            while let Some(next) = request {
                match next {
                    Request::Stop => return self.stop(),
                    Request::Delivered(receipt) => self.receipts.push_back(receipt),
                    Request::Survey => self.survey_owed = true,
                    Request::TellAgain(cameras) => self.again_owed = Some((cameras, Moment::ZERO)),
                    Request::Load { camera, after, limit } => self.load(camera, after, limit),
                }
                request = inbox.try_recv().ok();
            }
            self.write_receipts();
            self.tell_again();
            if self.survey_owed {
                self.survey();
            }
            if self.shared.degraded.load(Ordering::Relaxed) && self.retried.is_none_or(|at| at.elapsed() >= TICK) {
                self.retried = Some(Instant::now());
                self.retry();
            }
            self.checkpoint();
            self.purge();
            let now = u64::try_from(self.shared.clock.now().as_micros()).unwrap_or(u64::MAX);
            self.shared.progress.store(now, Ordering::Relaxed);
        }
    }

    /// The last chance of what waits in memory; what it does not save is not given up in silence.
    fn stop(mut self) {
        self.write_receipts();
        self.retry();
        for waiting in self.shared.writer().memory.iter().filter(|waiting| waiting.receipt.is_none()) {
            self.shared.given_up(&waiting.row);
        }
    }

    /// Who waits, once it is known: an outbox that cannot be read is not an empty one.
    fn survey(&mut self) {
        let writer = self.shared.writer();
        let mut cameras = match self.connection.as_ref().map(database::waiting_cameras).transpose() {
            Ok(cameras) => cameras.unwrap_or_default(),
            Err(error) => return unreadable(&error, &mut self.trouble),
        };
        self.survey_owed = false;
        for waiting in &writer.memory {
            if !cameras.contains(&waiting.row.camera) {
                cameras.push(waiting.row.camera.clone());
            }
        }
        self.tell(Notice::Lanes(cameras));
    }

    /// Once all that is known stands in the file, for what waits in memory may have ended an alarm; so may what comes while it is
    /// read, and then it is read anew: a month of events may take some hundred milliseconds, which no alert waits for.
    fn tell_again(&mut self) {
        let (Some((cameras, at)), Some(connection)) = (&mut self.again_owed, &self.connection) else { return };
        let shared = &*self.shared;
        let now = shared.clock.now();
        if now < *at {
            return;
        }
        let last_seq = match &*shared.writer() {
            Writer { memory, last_seq, .. } if memory.is_empty() => *last_seq,
            _ => return,
        };
        if !(self.receipts.is_empty() && self.unread.is_empty()) {
            return;
        }
        let read = database::unfinished(connection, shared.a_day_ago_us());
        let writer = shared.writer();
        if writer.last_seq != last_seq {
            return;
        }
        let told = read.and_then(|open| {
            let ours = |camera| cameras.is_empty() || cameras.contains(camera);
            let asked = open.iter().filter(|incident| !incident.acknowledged && ours(&incident.camera));
            database::tell_again(connection, asked, &shared.process)
        });
        match told {
            Ok(rows) => {
                shared.depth(i64::try_from(rows.len()).unwrap_or(0));
                // Under the lock, so that what ends an alarm comes behind it.
                rows.into_iter().for_each(|row| self.tell(Notice::Again(Arc::new(Row { again: Some(now), ..row }))));
                self.again_owed = None;
            }
            Err(error) => {
                tracing::warn!(%error, "Home Assistant is back, and cannot be told again now what goes on; falld tries again in half a minute");
                *at = now + AGAIN_AFTER;
            }
        }
    }

    /// Reads file and memory under one lock, so that an event that moves from one to the other is seen once.
    fn load(&mut self, camera: String, after: u64, limit: usize) {
        let writer = self.shared.writer();
        let from = self.unread.get(&camera).map_or(after, |&unread| unread.min(after));
        let damaged = |seq| tracing::error!(seq, "an event in the outbox cannot be understood and is left there");
        let read = |file| database::undelivered(file, &camera, from, limit, &self.shared.process, damaged);
        let loaded = self.connection.as_ref().map_or(Ok(Vec::new()), read);
        let waits = |waiting: &&super::Waiting| {
            waiting.receipt.is_none() && waiting.row.camera == camera && waiting.row.seq > after
        };
        let memory = writer.memory.iter().filter(waits).map(|waiting| waiting.row.clone());
        let (mut rows, mut complete) = match loaded {
            Ok(rows) => {
                let complete = rows.len() < limit;
                self.trouble.clear();
                if complete {
                    self.unread.remove(&camera);
                } else if let (Some(unread), Some(last)) = (self.unread.get_mut(&camera), rows.last()) {
                    *unread = last.seq;
                }
                let now = self.shared.clock.now();
                let since = |row: Row| Row { again: row.again.and(Some(now)), ..row };
                (rows.into_iter().map(since).map(Arc::new).collect::<Vec<_>>(), complete)
            }
            Err(error) => {
                unreadable(&error, &mut self.trouble);
                // What is in the file comes once it can be read; what is in memory need not wait for that.
                self.unread.entry(camera.clone()).or_insert(from);
                (Vec::new(), false)
            }
        };
        for row in memory {
            if !rows.iter().any(|known| known.seq == row.seq) {
                rows.push(row);
            }
        }
        rows.retain(|row| !self.receipts.iter().any(|receipt| receipt.seq == row.seq));
        rows.sort_by_key(|row| row.seq);
        if rows.is_empty() && !complete {
            // Nothing of it can be handed out now: asked again after a pause.
            return self.tell(Notice::LoadFailed { camera });
        }
        complete &= rows.len() <= limit;
        rows.truncate(limit);
        self.tell(Notice::Loaded { camera, rows, complete });
    }

    fn write_receipts(&mut self) {
        if self.receipts.is_empty() {
            return;
        }
        let mut writer = self.shared.writer();
        for receipt in &self.receipts {
            if let Some(waiting) = writer.memory.iter_mut().find(|waiting| waiting.row.seq == receipt.seq) {
                waiting.receipt = Some(*receipt);
            }
        }
        let write = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            for receipt in &self.receipts {
                database::deliver(&transaction, receipt)?;
            }
            transaction.commit()
        };
        // Without a file they wait for one.
        let Some(connection) = &mut self.connection else { return };
        match write(connection) {
            Ok(()) => self.receipts.clear(),
            // They stay here and are tried again; after a crash the broker would see duplicates, with the same ids.
            Err(error) => self.shared.failed_by(&error),
        }
        drop(writer);
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
    }

    fn retry(&mut self) {
        if self.connection.is_none() {
            self.reopen();
        }
        let mut writer = self.shared.writer();
        if self.shared.commit(&mut writer, None).is_ok() && self.receipts.is_empty() {
            self.shared.recovered();
        }
    }

    /// The disk refused the file at the start: perhaps not any more.
    fn reopen(&mut self) {
        let Opened { events, receipts, last_seq, depth, lock } = match open::open(&self.shared.path) {
            Ok(opened) => opened,
            Err(error) => return self.refused(&error),
        };
        let shared = self.shared.clone();
        let mut writer = shared.writer();
        // Whoever published from memory meanwhile would take smaller numbers for old ones.
        let mut rows = database::salvage(&events);
        let last_seq = writer.last_seq.max(last_seq);
        if let Err(error) = database::renumber(&events, &mut rows, last_seq) {
            return self.refused(&StoreError::sqlite(&shared.path, &error));
        }
        writer.last_seq = rows.last().map_or(last_seq, |row| row.seq);
        shared.depth(depth);
        rows.into_iter().for_each(|row| self.tell(Notice::Stored(Arc::new(row))));
        writer.file = Some(OpenFile { connection: events, _lock: lock });
        self.connection = Some(receipts);
        // The jump of the numbers must be in the file itself, where a start on a full disk looks for it.
        shared.commits.store(CHECKPOINT_AFTER, Ordering::Relaxed);
    }

    /// A full or read-only disk was told when it began. Anything else is somebody's to mend, and is told once.
    fn refused(&mut self, error: &StoreError) {
        let text = error.to_string();
        if error.is_disk() || text == self.refusal {
            return tracing::debug!(%error, "the store is still without its file");
        }
        self.refusal = text;
        tracing::error!(
            store = %self.shared.path.display(), %error,
            "the store is still without its file, and now for another reason; falld tries again by itself"
        );
    }

    fn checkpoint(&self) {
        let Some(connection) = &self.connection else { return };
        if self.shared.commits.load(Ordering::Relaxed) < CHECKPOINT_AFTER {
            return;
        }
        self.shared.commits.store(0, Ordering::Relaxed);
        // Passive: waits for nobody and makes nobody wait. What it could not do, the next one does.
        if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            tracing::debug!(%error, "checkpoint put off");
        }
    }

    fn purge(&mut self) {
        if self.purged.is_some_and(|at| at.elapsed() < PURGE_EVERY) || self.shared.degraded.load(Ordering::Relaxed) {
            return;
        }
        let keep_us = i64::from(self.keep_days).saturating_mul(86_400_000_000);
        let before = unix_us(self.shared.clock.wall(self.shared.clock.now())).saturating_sub(keep_us);
        let Some(connection) = &self.connection else { return };
        let _writer = self.shared.writer();
        match database::purge(connection, before) {
            // A full batch: there may be more, so the next tick goes on.
            Ok(500) => {}
            Ok(_) => self.purged = Some(Instant::now()),
            Err(error) => {
                self.purged = Some(Instant::now());
                tracing::warn!(%error, "old events cannot be removed");
            }
        }
    }

    fn tell(&self, notice: Notice) {
        // Nobody listens once the publisher has stopped.
        let _unheard = self.shared.notices.send(notice);
    }
}

/// Said once for each reason.
fn unreadable(error: &rusqlite::Error, said: &mut String) {
    let text = error.to_string();
    if *said != text {
        tracing::error!(error = text, "the outbox cannot be read; what waits in it is not lost, and falld tries again");
        *said = text;
    }
}
