//! The hand-off of frames: one place, the newest wins.
//!
//! `put` never waits and returns what it displaced, so that the writer counts the drop and reuses the buffer. A frame
//! may be forgotten here; an alert never passes through a slot. All slots of a detector share one [`Bell`].

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Wakes the one reader of several slots.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    /// A bell that has not been rung.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Wakes the reader, or lets its next wait return at once.
    pub fn ring(&self) {
        *lock(&self.rung) = true;
        self.changed.notify_one();
    }

    /// Waits until the bell has been rung since the last wait, at most for `limit`. True if it was rung.
    pub fn wait(&self, limit: Duration) -> bool {
        let rung = lock(&self.rung);
        let (mut rung, _) =
            self.changed.wait_timeout_while(rung, limit, |rung| !*rung).unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *rung)
    }
}

#[derive(Debug)]
struct Inner<T> {
    newest: Option<T>,
    spare: VecDeque<T>,
    closed: bool,
}

/// One place for the newest value, with a few spare values that travel back to the writer.
#[derive(Debug)]
pub struct Slot<T> {
    inner: Mutex<Inner<T>>,
    bell: Arc<Bell>,
}

/// Spare values kept for the writer; more are dropped. Two are in flight at most: one read, one displaced.
const SPARES: usize = 4;

impl<T> Slot<T> {
    /// An empty slot that rings `bell` on every `put`.
    pub fn new(bell: Arc<Bell>) -> Arc<Self> {
        let inner = Inner { newest: None, spare: VecDeque::with_capacity(SPARES), closed: false };
        Arc::new(Self { inner: Mutex::new(inner), bell })
    }

    /// Leaves `value` as the newest and returns the one it displaced, if nobody had taken it.
    ///
    /// On a closed slot the value itself comes back.
    pub fn put(&self, value: T) -> Option<T> {
        let displaced = {
            let mut inner = lock(&self.inner);
            if inner.closed {
                return Some(value);
            }
            inner.newest.replace(value)
        };
        self.bell.ring();
        displaced
    }

    /// Takes the newest value, if there is one.
    pub fn take(&self) -> Option<T> {
        lock(&self.inner).newest.take()
    }

    /// Gives a value that is no longer needed back to the writer.
    pub fn recycle(&self, value: T) {
        let mut inner = lock(&self.inner);
        if inner.spare.len() < SPARES {
            inner.spare.push_back(value);
        }
    }

    /// A value to write into, if the reader gave one back.
    pub fn spare(&self) -> Option<T> {
        lock(&self.inner).spare.pop_front()
    }

    /// No more values will be accepted; what lies in the slot can still be taken. Wakes the reader.
    pub fn close(&self) {
        lock(&self.inner).closed = true;
        self.bell.ring();
    }

    /// True once the slot has been closed.
    pub fn is_closed(&self) -> bool {
        lock(&self.inner).closed
    }
}

/// A panic aborts the daemon, and no critical section here can panic half-way, so poison carries no information.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_frame_wins_and_the_displaced_one_comes_back() {
        let slot = Slot::new(Bell::new());
        assert_eq!(slot.put(1), None);
        assert_eq!(slot.put(2), Some(1));
        assert_eq!(slot.take(), Some(2));
        assert_eq!(slot.take(), None);
    }

    #[test]
    fn a_closed_slot_hands_the_frame_back_and_still_gives_what_it_holds() {
        let slot = Slot::new(Bell::new());
        assert_eq!(slot.put(1), None);
        slot.close();
        assert_eq!(slot.put(2), Some(2));
        assert_eq!(slot.take(), Some(1));
    }

    #[test]
    fn a_ring_before_the_wait_is_not_lost() {
        let bell = Bell::new();
        let slot = Slot::new(Arc::clone(&bell));
        slot.put(());
        assert!(bell.wait(Duration::ZERO));
        assert!(!bell.wait(Duration::ZERO));
    }

    #[test]
    fn buffers_travel_back_to_the_writer() {
        let slot = Slot::new(Bell::new());
        assert_eq!(slot.spare(), None);
        slot.recycle(7);
        assert_eq!(slot.spare(), Some(7));
    }
}
