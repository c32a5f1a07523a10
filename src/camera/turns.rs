//! One after the other, in the order in which they came: whoever waits behind somebody slow keeps their place.

use super::Turn;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How soon somebody who waits and is no longer wanted goes away.
const LOOK_UP: Duration = Duration::from_millis(100);

/// A queue for one thing that only one at a time may do.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    waiting: VecDeque<u64>,
    busy: bool,
}

/// Whose turn it is; dropping it ends the turn.
#[derive(Debug)]
pub(super) struct Served(Arc<Shared>);

impl Turns {
    /// Waits for the turn; none if `gone` came first.
    pub fn wait(&self, gone: &dyn Fn() -> bool) -> Option<Turn> {
        let mut state = self.0.lock();
        let ticket = state.next;
        state.next += 1;
        state.waiting.push_back(ticket);
        while state.busy || state.waiting.front() != Some(&ticket) {
            if gone() {
                state.waiting.retain(|other| *other != ticket);
                self.0.changed.notify_all();
                return None;
            }
            (state, _) = self.0.changed.wait_timeout(state, LOOK_UP).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting.pop_front();
        state.busy = true;
        Some(Turn(Some(Served(Arc::clone(&self.0)))))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No critical section here can stop half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.lock().busy = false;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use std::sync::mpsc;

    #[test]
    fn who_came_first_is_served_first_and_who_is_gone_holds_up_nobody() {
        let turns = Turns::default();
        let first = turns.wait(&|| false).unwrap();
        let (sender, order) = mpsc::channel();
        let wait = |name: &'static str, gone: bool| {
            let (theirs, sender) = (turns.clone(), sender.clone());
            let queued = turns.0.lock().waiting.len();
            let thread = std::thread::spawn(move || {
                let turn = theirs.wait(&move || gone);
                sender.send((name, turn.is_some())).unwrap();
            });
            while !gone && turns.0.lock().waiting.len() == queued {
                std::thread::yield_now();
            }
            thread
        };
        let threads = [wait("second", false), wait("gone", true), wait("third", false)];
        assert_eq!(order.recv().unwrap(), ("gone", false));
        drop(first);
        assert_eq!([order.recv().unwrap(), order.recv().unwrap()], [("second", true), ("third", true)]);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}
