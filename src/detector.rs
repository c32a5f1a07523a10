//! The detector's thread: takes the newest frame of every camera, asks the engine, and hands events on.
//!
//! It waits for frames for a bounded time, so that gaps, long lies and orders are seen without frames too. It blocks
//! on inference and, for each event, on one durable commit; never on the broker. What it knows of the world behind it
//! is the [`Outlet`].

mod orders;

use crate::clip::Movements;
use crate::config::EvidenceStyle;
use crate::engine::{Decision, Engine};
use crate::event::policy::{State, Transition};
use crate::event::{Class, Event, EventType, Ledger, Unfinished};
use crate::frame::{Clock, Frame, Moment};
use crate::metrics::{CameraMetrics, DropReason, Metrics};
use crate::slot::{Bell, Slot};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;
use uuid::Uuid;

pub use orders::Order;

/// Longest wait for a frame: bounds how late a gap or an order is seen.
const WAIT: Duration = Duration::from_millis(50);
/// Failed inferences in a row after which the daemon stops, so that its supervisor starts it afresh, if they took `FAILING` at
/// least: several cameras make many batches a second. One may be a hiccup of the GPU; a second of failures is not.
const MAX_FAILURES: u32 = 15;
/// Fifteen failures of one camera at 15 pictures a second, and a little less.
const FAILING: Duration = Duration::from_millis(900);
/// Pictures for so long without as many scores as an alarm looks at are too few; the first score takes a second.
const SLOW_AFTER: Duration = Duration::from_secs(5);

/// What a camera shows of its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Where it stands.
    pub state: State,
    /// Somebody climbs, whatever else is the matter.
    pub climbing: bool,
    /// A caregiver is on it.
    pub acknowledged: bool,
    /// The incident that is going on, if somebody was told of it.
    pub incident: Option<Uuid>,
    /// False while it only watches.
    pub armed: bool,
    /// Pictures come, and so seldom or with such pauses that no alarm could have gathered its scores for some time.
    pub slow: bool,
}

/// Where events and states go.
pub trait Outlet: Send {
    /// Makes an event durable and lets it be published. May block for one commit.
    fn event(&mut self, event: Event);
    /// How everybody moved before an event that calls somebody; comes after the event itself. Must not block.
    fn evidence(&mut self, camera: &str, event: Uuid, movements: Movements);
    /// What a camera shows has changed.
    fn shown(&mut self, camera: &str, shown: Shown);
    /// A camera's frame has been scored for the first time.
    fn first_score(&mut self, camera: &str);
}

/// One camera as the detector sees it.
#[derive(Debug)]
pub struct Input {
    /// The camera's id.
    pub id: String,
    /// Its newest frame.
    pub slot: Arc<Slot<Frame>>,
    /// Its numbers.
    pub metrics: CameraMetrics,
    /// A silence that its capture does not call a loss.
    pub patience: Duration,
    /// What is shown of its alerts.
    pub evidence: EvidenceStyle,
}

/// Why the detector stopped by itself.
#[derive(Debug, thiserror::Error)]
#[error("{failures} inferences failed in a row; the last one: {last}. Restart falld; see `falld doctor`.")]
pub struct Failed {
    failures: u32,
    last: String,
}

struct Seen {
    /// When the newest picture was taken from its slot, and when the camera took it.
    last: Moment,
    captured: Moment,
    lost: bool,
    scored: bool,
    /// Pictures scored without a break.
    run: u32,
    /// When the last test was raised.
    tested: Option<Moment>,
    /// Since when pictures have come without as many scores in a row as an alarm of a fall looks at.
    unscored_since: Option<Moment>,
    shown: Option<Shown>,
    /// What somebody was told of and has not heard the end of.
    incidents: HashMap<Class, Uuid>,
}

/// Everything the detector's thread owns.
pub struct Detector<O> {
    engine: Engine,
    inputs: Vec<Input>,
    seen: Vec<Seen>,
    outlet: O,
    clock: Clock,
    metrics: Arc<Metrics>,
    heartbeat: Arc<AtomicU64>,
    frames: Vec<(usize, Frame)>,
    /// The cameras of the running batch.
    taken: Vec<usize>,
    decisions: Vec<Decision>,
    failures: u32,
    failing_since: Moment,
    turn: usize,
}

impl<O: Outlet> Detector<O> {
    /// A detector over `inputs`, in the order of the engine's cameras. `heartbeat` receives the monotonic milliseconds
    /// of the last turn of the loop.
    pub fn new(
        engine: Engine,
        inputs: Vec<Input>,
        outlet: O,
        clock: Clock,
        metrics: Arc<Metrics>,
        heartbeat: Arc<AtomicU64>,
    ) -> Self {
        // The model has been loaded, which may have taken minutes: that is progress.
        heartbeat.store(clock.now().as_millis() as u64, Ordering::Relaxed);
        let seen = inputs
            .iter()
            .map(|_| Seen {
                last: clock.now(),
                captured: clock.now(),
                lost: false,
                scored: false,
                run: 0,
                tested: None,
                unscored_since: None,
                shown: None,
                incidents: HashMap::new(),
            })
            .collect();
        let (frames, taken) = (Vec::with_capacity(engine.batch()), Vec::with_capacity(engine.batch()));
        let decisions = Vec::with_capacity(inputs.len());
        let (failures, failing_since, turn) = (0, clock.now(), 0);
        Self {
            engine,
            inputs,
            seen,
            outlet,
            clock,
            metrics,
            heartbeat,
            frames,
            taken,
            decisions,
            failures,
            failing_since,
            turn,
        }
    }

    /// Goes on with what an earlier run did not end, and shows it: somebody on the floor does not get up because falld was
    /// restarted.
    pub fn resume(&mut self, unfinished: Vec<Unfinished>) {
        let now = self.clock.now();
        for incident in unfinished {
            // The camera may have been taken out of the configuration.
            let Some(camera) = self.inputs.iter().position(|input| input.id == incident.camera) else { continue };
            let (id, class) = (incident.incident, incident.class);
            tracing::info!(camera = incident.camera, incident = %id, class = class.as_str(), "an alarm goes on after the restart");
            self.engine.resume(camera, &incident, now);
            self.seen[camera].incidents.insert(class, id);
            if !self.engine.watches(camera, class) {
                // Whoever says that the camera watches no more for it is on it, as whoever disarms: nobody is called again, and it ends.
                self.acknowledge(camera, &[class], Ledger { captured: now, scored: now, decided: now });
            }
        }
        self.show();
    }

    /// Runs until every slot is closed and empty.
    pub fn run(mut self, bell: &Bell, orders: &Receiver<Order>) -> Result<(), Failed> {
        let mut more = false;
        loop {
            if !more {
                bell.wait(WAIT);
            }
            self.heartbeat.store(self.clock.now().as_millis() as u64, Ordering::Relaxed);
            // Closed is read before the frames are taken: what was put before the closing is still judged.
            let closed = self.inputs.iter().all(|input| input.slot.is_closed());
            self.obey(orders);
            more = self.judge_round()?;
            self.pass_time();
            self.show();
            if closed && !more {
                return Ok(());
            }
        }
    }

    /// As many batches as it takes to judge each camera once. True if pictures may still wait: with cameras that are
    /// faster than the model they always do, and orders, gaps and the heartbeat must have their turn all the same.
    fn judge_round(&mut self) -> Result<bool, Failed> {
        for _ in 0..self.inputs.len().div_ceil(self.engine.batch()) {
            if !self.judge()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// One batch of what is ready. True if there was any.
    fn judge(&mut self) -> Result<bool, Failed> {
        // Batches smaller than the number of cameras begin where the last one ended, so that nobody starves.
        let cameras = self.inputs.len();
        let first = self.turn;
        self.taken.clear();
        for offset in 0..cameras {
            let camera = (first + offset) % cameras;
            if self.frames.len() == self.engine.batch() {
                break;
            }
            if let Some(frame) = self.inputs[camera].slot.take() {
                let seen = &mut self.seen[camera];
                // A film's picture may be late; that is no gap.
                (seen.last, seen.captured) = (self.clock.now(), frame.captured);
                seen.lost = false;
                seen.unscored_since.get_or_insert(frame.captured);
                self.frames.push((camera, frame));
                self.taken.push(camera);
                self.turn = (camera + 1) % cameras;
            }
        }
        if self.frames.is_empty() {
            return Ok(false);
        }
        let begun = self.clock.now();
        let (clock, inputs) = (self.clock, &self.inputs);
        let outcome =
            self.engine.step(&mut self.frames, &mut || clock.now(), &mut self.decisions, &mut |camera, frame| {
                inputs[camera].slot.recycle(frame)
            });
        self.metrics.inference.observe((self.clock.now() - begun).as_secs_f64());
        match outcome {
            Ok(()) => self.failures = 0,
            Err(error) => {
                self.failures += 1;
                if self.failures == 1 {
                    self.failing_since = begun;
                    tracing::error!(%error, "inference failed");
                }
                for &camera in &self.taken {
                    self.inputs[camera].metrics.dropped(DropReason::Inference);
                }
                if self.failures >= MAX_FAILURES && begun.saturating_sub(self.failing_since) >= FAILING {
                    return Err(Failed { failures: self.failures, last: error.to_string() });
                }
                return Ok(true);
            }
        }
        for index in 0..self.decisions.len() {
            let decision = self.decisions[index];
            let ledger = Ledger { captured: decision.captured, scored: decision.scored, decided: decision.decided };
            self.tell(decision.camera, decision.transition, ledger);
        }
        self.decisions.clear();
        let now = self.clock.now();
        let enough = self.engine.spec().policy.fall.n;
        for &camera in &self.taken {
            let seen = &mut self.seen[camera];
            let age = now.saturating_sub(seen.captured);
            self.inputs[camera].metrics.frame_age.observe(age.as_secs_f64());
            if self.engine.scores(camera).is_none() {
                seen.run = 0;
                continue;
            }
            seen.run = seen.run.saturating_add(1);
            // A score now and then raises no alarm.
            if seen.run >= enough {
                seen.unscored_since = None;
            }
            if !std::mem::replace(&mut seen.scored, true) {
                self.outlet.first_score(&self.inputs[camera].id);
            }
        }
        Ok(true)
    }

    /// Gaps and everything else that time alone brings.
    fn pass_time(&mut self) {
        let now = self.clock.now();
        let spec = self.engine.spec();
        // A gap is what the clip cannot bridge, and no less than half a second: a camera may stutter.
        let gap = spec.bridge().max(Duration::from_millis(500));
        for camera in 0..self.inputs.len() {
            if now.saturating_sub(self.seen[camera].last) > SLOW_AFTER.max(self.inputs[camera].patience) {
                // No pictures at all is what the capture speaks of, and not before its patience is over: until then
                // pictures that come one by one are too few, however far apart.
                self.seen[camera].unscored_since = None;
            }
            let told = if !self.seen[camera].lost && now.saturating_sub(self.seen[camera].last) > gap {
                self.seen[camera].lost = true;
                let slot = &self.inputs[camera].slot;
                self.engine.camera_lost(camera, now, |frame| slot.recycle(frame))
            } else {
                self.engine.tick(camera, now)
            };
            if let Some(transition) = told {
                self.tell(camera, transition, Ledger { captured: now, scored: now, decided: now });
            }
        }
    }

    fn tell(&mut self, camera: usize, transition: Transition, ledger: Ledger) {
        let Transition { event, class, score, place, first } = transition;
        let id = Uuid::now_v7();
        let incident = if event == EventType::Test {
            id
        } else {
            let incidents = &mut self.seen[camera].incidents;
            if first {
                incidents.insert(class, id);
            }
            let incident = incidents.get(&class).copied().unwrap_or(id);
            if matches!(event, EventType::Recovered | EventType::ClimbEnded) {
                incidents.remove(&class);
            }
            incident
        };
        let input = &self.inputs[camera];
        self.metrics.event(&input.id, class, event);
        let place = self.engine.place(camera, place).map(str::to_owned);
        self.outlet.event(Event { id, incident, camera: input.id.clone(), event, class, score, place, ledger });
        // A test shows the installer how the camera sees them, and never the picture: whoever may ask for one is no reason to
        // look into a room.
        let shown = input.evidence != EvidenceStyle::None && (event.is_alert() || event == EventType::Test);
        let picture = input.evidence == EvidenceStyle::Picture && event.is_alert();
        if shown && let Some(movements) = self.engine.movements(camera, picture) {
            self.outlet.evidence(&input.id, id, movements);
        }
    }

    /// Shows each camera's state when it has changed.
    fn show(&mut self) {
        let now = self.clock.now();
        for (camera, seen) in self.seen.iter_mut().enumerate() {
            let policy = self.engine.policy(camera);
            let state = policy.state();
            let class = match state {
                State::Down | State::LongLie => Some(Class::Fall),
                State::Climbing => Some(Class::Climb),
                State::Clear | State::Suspect | State::Recovered => None,
            };
            let shown = Shown {
                state,
                climbing: policy.climbing(),
                acknowledged: policy.acknowledged(),
                incident: class.and_then(|class| seen.incidents.get(&class).copied()),
                armed: self.engine.armed(camera),
                slow: seen.unscored_since.is_some_and(|since| now.saturating_sub(since) > SLOW_AFTER),
            };
            if seen.shown != Some(shown) {
                seen.shown = Some(shown);
                let metrics = &self.inputs[camera].metrics;
                metrics.slow.set(shown.slow.into());
                metrics.armed.set(shown.armed.into());
                self.outlet.shown(&self.inputs[camera].id, shown);
            }
        }
    }
}

impl<O> std::fmt::Debug for Detector<O> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Detector").field("inputs", &self.inputs).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
