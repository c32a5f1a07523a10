//! Whether every loop moves. Each loop says so by itself, at every turn; nothing here has a timer of its own.
//!
//! A camera that is away is no hang: its loop still turns, waiting and trying again. So a heartbeat belongs to a loop,
//! not to a camera's pictures, and a capture thread that is stuck in a driver is its supervisor's business.

use crate::frame::Moment;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// One loop's sign of life. Cheap enough for every frame: one relaxed store.
#[derive(Debug)]
pub struct Heartbeat {
    last_us: AtomicU64,
    allowed: Duration,
}

impl Heartbeat {
    /// The loop has made progress.
    pub fn beat(&self, now: Moment) {
        self.last_us.store(micros(now), Ordering::Relaxed);
    }
}

/// A sign of life as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// The loop.
    pub name: String,
    /// Its last progress.
    pub last: Moment,
    /// The longest time that may pass without any.
    pub allowed: Duration,
}

/// The loops that have been without progress for longer than they may.
pub fn stalled(beats: &[Beat], now: Moment) -> Vec<&str> {
    let late = |beat: &&Beat| now.saturating_sub(beat.last) > beat.allowed;
    beats.iter().filter(late).map(|beat| beat.name.as_str()).collect()
}

/// All loops that must move.
#[derive(Debug, Default)]
pub struct Heartbeats {
    loops: Mutex<BTreeMap<String, Arc<Heartbeat>>>,
}

impl Heartbeats {
    /// No loops yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a loop, which counts as moving now. One of the same name is replaced.
    pub fn register(&self, name: &str, allowed: Duration, now: Moment) -> Arc<Heartbeat> {
        let heartbeat = Arc::new(Heartbeat { last_us: AtomicU64::new(micros(now)), allowed });
        self.lock().insert(name.to_owned(), Arc::clone(&heartbeat));
        heartbeat
    }

    /// Every loop's last sign of life, by name.
    pub fn beats(&self) -> Vec<Beat> {
        let beat = |(name, heartbeat): (&String, &Arc<Heartbeat>)| Beat {
            name: name.clone(),
            last: Duration::from_micros(heartbeat.last_us.load(Ordering::Relaxed)),
            allowed: heartbeat.allowed,
        };
        self.lock().iter().map(beat).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Heartbeat>>> {
        // Poison carries no information: nothing that holds the lock can panic half-way.
        self.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn micros(moment: Moment) -> u64 {
    u64::try_from(moment.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Heartbeats, stalled};
    use std::time::Duration;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn one_loop_that_hangs_is_named_and_the_others_are_not() {
        let loops = Heartbeats::new();
        let detector = loops.register("detector", s(5), s(0));
        let _capture = loops.register("capture-bed", s(20), s(0));
        assert_eq!(stalled(&loops.beats(), s(5)), Vec::<&str>::new());
        detector.beat(s(19));
        assert_eq!(stalled(&loops.beats(), s(20)), Vec::<&str>::new());
        assert_eq!(stalled(&loops.beats(), s(21)), ["capture-bed"]);
        assert_eq!(stalled(&loops.beats(), s(3600)), ["capture-bed", "detector"]);
    }

    #[test]
    fn a_new_loop_of_the_same_name_starts_afresh() {
        let loops = Heartbeats::new();
        loops.register("capture-bed", s(5), s(0));
        loops.register("capture-bed", s(5), s(100));
        assert_eq!(stalled(&loops.beats(), s(104)), Vec::<&str>::new());
    }
}
