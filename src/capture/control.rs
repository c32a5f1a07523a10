//! What a camera's supervisor and its session threads share: who may deliver, what the camera's health is, and stop.
//!
//! One mutex guards it all. A session holds it for each hand-over (uncontended: 20 ns), so a session that was abandoned
//! cannot slip a late frame past the supervisor.

use super::health::Judge;
use super::session::End;
use super::{Outlets, Plan};
use crate::cadence::Cadence;
use crate::frame::{Frame, Moment, Size};
use crate::health::{CameraHealth, Report};
use crate::journal::CAMERA_HEALTH;
use crate::metrics::DropReason;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// No beat is owed any more.
const FINISHED: u64 = u64::MAX;

struct State {
    stop: bool,
    /// The session that may deliver. An abandoned session's number is lower.
    generation: u64,
    /// How the current session ended, once it has.
    end: Option<End>,
    abandoned: usize,
    health: Option<CameraHealth>,
    /// Why the camera is lost, as it was last told.
    reason: String,
    /// Another reason that came once: two that take turns are not told at each try.
    doubt: String,
    cadence: Cadence,
    /// Waits here between two sessions, so that a camera that was frozen or dark before is not called well until it
    /// has shown something else. Lost with an abandoned session.
    judge: Option<Judge>,
    /// When the session delivered its first and its latest picture.
    shown: Option<(Moment, Moment)>,
}

pub(super) struct Control {
    camera: Arc<str>,
    size: Size,
    outlets: Outlets,
    state: Mutex<State>,
    changed: Condvar,
    beat_us: AtomicU64,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("camera", &self.camera).finish_non_exhaustive()
    }
}

/// What the supervisor sees of a session.
pub(super) enum Verdict {
    Running,
    Ended(End),
}

/// What the cadence says to a session's frame.
pub(super) enum Admission {
    Tick(u64),
    Refused,
    /// The session is no longer wanted.
    Over,
}

impl State {
    /// True for a reason that differs from the told one and comes for the second time in a row.
    fn another_reason(&mut self, detail: &str) -> bool {
        let again = self.doubt == detail;
        self.doubt.clear();
        if self.reason != detail && !again {
            detail.clone_into(&mut self.doubt);
        }
        self.reason != detail && again
    }
}

impl Control {
    pub(super) fn new(plan: &Plan, outlets: Outlets) -> Self {
        let state = State {
            stop: false,
            generation: 0,
            end: None,
            abandoned: 0,
            health: None,
            reason: String::new(),
            doubt: String::new(),
            cadence: Cadence::new(plan.rate_hz),
            judge: None,
            shown: None,
        };
        let control = Self {
            camera: Arc::clone(&plan.camera),
            size: plan.size,
            outlets,
            state: Mutex::new(state),
            changed: Condvar::new(),
            beat_us: AtomicU64::new(0),
        };
        control.beat();
        control.announce(CameraHealth::Connecting, "");
        control
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic aborts the daemon, and no critical section here can stop half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Moment {
        self.outlets.clock.now()
    }

    fn beat(&self) {
        self.beat_us.store(self.now().as_micros() as u64, Ordering::Relaxed);
    }

    pub(super) fn last_beat(&self) -> Option<Moment> {
        let beat = self.beat_us.load(Ordering::Relaxed);
        (beat != FINISHED).then(|| Moment::from_micros(beat))
    }

    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.lock().stop
    }

    pub(super) fn health(&self) -> CameraHealth {
        self.lock().health.unwrap_or(CameraHealth::Connecting)
    }

    pub(super) fn abandoned(&self) -> usize {
        self.lock().abandoned
    }

    /// Closes the slot: the detector sees that no more will come.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.generation += 1;
        self.outlets.slot.close();
        self.beat_us.store(FINISHED, Ordering::Relaxed);
    }

    /// Reports and logs a health that differs from the last one, and a loss for another reason.
    pub(super) fn announce(&self, health: CameraHealth, detail: &str) {
        self.announce_locked(&mut self.lock(), health, detail);
    }

    fn announce_locked(&self, state: &mut State, health: CameraHealth, detail: &str) {
        let known = state.health.replace(health) == Some(health);
        // A picture's detail is a measurement that moves; a loss's says what to mend, and that may be another thing by now.
        if known && (health != CameraHealth::Lost || !state.another_reason(detail)) {
            return;
        }
        detail.clone_into(&mut state.reason);
        state.doubt.clear();
        self.outlets.metrics.blind.set(i64::from(health != CameraHealth::Ok));
        let (camera, word) = (&*self.camera, health.as_str());
        match health {
            CameraHealth::Lost
            | CameraHealth::Frozen
            | CameraHealth::Dark
            | CameraHealth::Covered
            | CameraHealth::Slow => {
                tracing::warn!(MESSAGE_ID = CAMERA_HEALTH, camera, health = word, detail, "camera {word}");
            }
            CameraHealth::Connecting | CameraHealth::Ok | CameraHealth::Ended => {
                let detail = (!detail.is_empty()).then_some(detail);
                tracing::info!(MESSAGE_ID = CAMERA_HEALTH, camera, health = word, detail, "camera {word}");
            }
        }
        let report = Report {
            camera: Arc::clone(&self.camera),
            health,
            detail: detail.to_owned(),
            at: self.outlets.clock.now(),
        };
        (self.outlets.report)(report);
    }

    // --- the supervisor's side ---

    /// A new session; only it may deliver from now on. With the last session's judge, if there is one.
    pub(super) fn begin(&self) -> (u64, Option<Judge>) {
        let mut state = self.lock();
        state.generation += 1;
        (state.end, state.shown) = (None, None);
        (state.generation, state.judge.take())
    }

    /// How long the last session gave pictures; asked once.
    pub(super) fn lasted(&self) -> Duration {
        self.lock().shown.take().map_or(Duration::ZERO, |(first, latest)| latest.saturating_sub(first))
    }

    /// Waits at most `limit` for the session's end. After a stop the session is given `grace`, then abandoned.
    pub(super) fn watch(&self, generation: u64, limit: Duration, grace: Duration) -> Verdict {
        self.beat();
        let waits = |state: &mut State| state.end.is_none() && !state.stop;
        let (mut state, _) =
            self.changed.wait_timeout_while(self.lock(), limit, waits).unwrap_or_else(PoisonError::into_inner);
        if state.stop && state.end.is_none() {
            (state, _) = self
                .changed
                .wait_timeout_while(state, grace, |state| state.end.is_none())
                .unwrap_or_else(PoisonError::into_inner);
            if state.end.is_none() {
                debug_assert_eq!(state.generation, generation);
                state.generation += 1;
                state.abandoned += 1;
                return Verdict::Ended(End::Stopped);
            }
        }
        state.end.take().map_or(Verdict::Running, Verdict::Ended)
    }

    /// Gives the session up. False if it has ended meanwhile.
    pub(super) fn abandon(&self, generation: u64) -> bool {
        let mut state = self.lock();
        if state.generation != generation || state.end.is_some() {
            return false;
        }
        state.generation += 1;
        state.abandoned += 1;
        true
    }

    /// Waits `time`, or until the stop: then false.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut state = self.lock();
        loop {
            self.beat();
            let left = until.saturating_duration_since(Instant::now());
            if state.stop || left.is_zero() {
                return !state.stop;
            }
            (state, _) =
                self.changed.wait_timeout(state, left.min(super::BEAT)).unwrap_or_else(PoisonError::into_inner);
        }
    }

    // --- a session's side ---

    /// Whether the session is still wanted.
    pub(super) fn wants(&self, generation: u64) -> bool {
        let state = self.lock();
        state.generation == generation && !state.stop
    }

    /// The session is open. False if it is no longer wanted.
    pub(super) fn opened(&self, generation: u64, reconnect: bool) -> bool {
        let state = self.lock();
        let ours = state.generation == generation && !state.stop;
        if ours && reconnect {
            self.outlets.metrics.reconnects.inc();
        }
        ours
    }

    /// Sleeps until `due`. False if the session is no longer wanted.
    pub(super) fn sleep_until(&self, generation: u64, due: Moment) -> bool {
        let ours = |state: &State| state.generation == generation && !state.stop;
        let left = due.saturating_sub(self.now());
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), left, |state| ours(state))
            .unwrap_or_else(PoisonError::into_inner);
        ours(&state)
    }

    /// Asks the cadence about a frame taken at `at`.
    pub(super) fn admit(&self, generation: u64, at: Moment) -> Admission {
        let mut state = self.lock();
        if state.generation != generation || state.stop {
            return Admission::Over;
        }
        match state.cadence.admit(at) {
            Some(tick) => Admission::Tick(tick),
            None => {
                self.outlets.metrics.dropped(DropReason::Cadence);
                Admission::Refused
            }
        }
    }

    /// A picture that could not be decoded.
    pub(super) fn undecodable(&self) {
        self.outlets.metrics.dropped(DropReason::Decode);
    }

    /// Takes a judged frame and returns one to write the next picture into; none if the session is no longer wanted.
    pub(super) fn deliver(&self, generation: u64, frame: Frame, health: CameraHealth, detail: &str) -> Option<Frame> {
        let mut state = self.lock();
        if state.generation != generation || state.stop {
            return None;
        }
        let now = self.now();
        state.shown = Some((state.shown.map_or(now, |(first, _)| first), now));
        self.announce_locked(&mut state, health, detail);
        if health != CameraHealth::Ok {
            self.outlets.metrics.dropped(DropReason::Blind);
            return Some(frame);
        }
        self.outlets.metrics.frames.inc();
        match self.outlets.slot.put(frame) {
            Some(displaced) => {
                self.outlets.metrics.dropped(DropReason::Displaced);
                Some(displaced)
            }
            None => Some(self.frame()),
        }
    }

    /// A frame to write into: one that came back, or at first a new one.
    pub(super) fn frame(&self) -> Frame {
        self.outlets.slot.spare().unwrap_or_else(|| Frame::new(self.size))
    }

    /// The session's last word. If it was abandoned, nobody listens: its thread just ends.
    pub(super) fn finish(&self, generation: u64, end: End, judge: Option<Judge>) {
        let mut state = self.lock();
        if state.generation == generation {
            state.end = Some(end);
            state.judge = judge;
        } else {
            state.abandoned = state.abandoned.saturating_sub(1);
            tracing::info!(camera = %self.camera, hanging = state.abandoned, "an abandoned read returned");
        }
        drop(state);
        self.changed.notify_all();
    }
}
