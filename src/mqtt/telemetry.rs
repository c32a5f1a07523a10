//! What is published beside the events: only the latest counts, and a lost state is repaired by the next.
//!
//! Stages set their facts here without ever waiting for the broker; the driver publishes what changed, and every state
//! again after each connect and with each health message. QoS 0: only events use packet ids. Evidence is handed over once: a
//! broker that hangs up on a message so large must not be made to do so again and again.

use crate::event::Class;
use crate::event::payload::{ModelRef, SCHEMA, rfc3339};
use crate::frame::{Clock, Moment};
use crate::health::CameraHealth;
use crate::store::unix_us;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use uuid::Uuid;

/// Where a person stands with respect to falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fall {
    /// Nothing.
    #[default]
    Clear,
    /// Some hits, not enough.
    Suspect,
    /// Fell.
    Down,
    /// Fell and stays down.
    LongLie,
    /// Got up again.
    Recovered,
}

/// The state of one camera.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CameraState {
    /// What its picture is worth.
    pub health: CameraHealth,
    /// Why, in words, where it helps.
    pub detail: Option<String>,
    /// Falls.
    pub fall: Fall,
    /// Somebody climbs.
    pub climbing: bool,
    /// A caregiver has acknowledged the present incident.
    pub acknowledged: bool,
    /// Id of the present incident, if somebody was told of it.
    pub incident: Option<String>,
    /// False while alerts are switched off.
    pub armed: bool,
    /// The dangers that it is there for: of no other it raises an alarm.
    pub watches: Vec<Class>,
}

impl Default for CameraState {
    fn default() -> Self {
        Self {
            health: CameraHealth::Connecting,
            detail: None,
            fall: Fall::Clear,
            climbing: false,
            acknowledged: false,
            incident: None,
            armed: true,
            watches: Class::ALL.to_vec(),
        }
    }
}

/// What the daemon knows of itself and does not change often.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// The loaded model.
    pub model: ModelRef,
    /// The execution provider that runs it.
    pub provider: String,
}

#[derive(Serialize)]
struct StatePayload<'state> {
    schema: u32,
    device: &'state str,
    camera: &'state str,
    #[serde(flatten)]
    state: &'state CameraState,
    since: String,
}

/// What only the driver knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeliveryFacts {
    pub(crate) outbox_depth: i64,
    pub(crate) outbox_oldest_s: f64,
    pub(crate) store_degraded: bool,
    pub(crate) connects: u64,
}

#[derive(Serialize)]
struct HealthPayload<'facts> {
    schema: u32,
    device: &'facts str,
    version: &'static str,
    time: String,
    uptime_s: u64,
    #[serde(flatten)]
    facts: &'facts Facts,
    cameras: usize,
    cameras_ok: usize,
    store: &'static str,
    outbox_depth: i64,
    outbox_oldest_s: f64,
    connects: u64,
}

#[derive(Debug, Default)]
struct Board {
    facts: Facts,
    cameras: BTreeMap<String, Entry>,
    /// What waits to be shown, the newest of each camera.
    evidence: BTreeMap<String, Shown>,
}

/// What is shown of one event.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) event: Uuid,
    pub(crate) gif: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    state: CameraState,
    since: Moment,
    changed: bool,
}

/// The board on which stages leave their facts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Telemetry {
    device: Arc<str>,
    clock: Clock,
    board: Arc<Mutex<Board>>,
    wake: Arc<Notify>,
}

impl Telemetry {
    /// An empty board of `device`.
    pub fn new(device: &str, clock: Clock) -> Self {
        Self { device: device.into(), clock, board: Arc::default(), wake: Arc::default() }
    }

    /// The state of `camera` now. The same state again is no news. Never waits.
    pub fn set_state(&self, camera: &str, state: CameraState) {
        let since = self.clock.now();
        let mut board = self.board();
        match board.cameras.get_mut(camera) {
            Some(entry) if entry.state == state => return,
            // The same state in other words began when it began.
            Some(entry) if CameraState { detail: state.detail.clone(), ..entry.state.clone() } == state => {
                *entry = Entry { state, since: entry.since, changed: true };
            }
            Some(entry) => *entry = Entry { state, since, changed: true },
            None => {
                board.cameras.insert(camera.to_owned(), Entry { state, since, changed: true });
            }
        }
        drop(board);
        self.wake.notify_one();
    }

    /// What is to be shown of an event of `camera`, a GIF. Takes the place of what was not shown yet. Never waits.
    pub fn set_evidence(&self, camera: &str, event: Uuid, gif: Vec<u8>) {
        self.board().evidence.insert(camera.to_owned(), Shown { event, gif });
        self.wake.notify_one();
    }

    /// Hands what waits to be shown to `publish`, which gives back what it could not take now.
    pub(crate) fn publish_evidence(&self, mut publish: impl FnMut(&str, Shown) -> Option<Shown>) {
        let mut board = self.board();
        let waiting = std::mem::take(&mut board.evidence);
        board.evidence = waiting
            .into_iter()
            .filter_map(|(camera, shown)| publish(&camera, shown).map(|shown| (camera, shown)))
            .collect();
    }

    /// The daemon's own facts, shown in `health`.
    pub fn set_facts(&self, facts: Facts) {
        self.board().facts = facts;
    }

    /// The configured cameras that have said something.
    pub(crate) fn cameras(&self) -> Vec<String> {
        self.board().cameras.keys().cloned().collect()
    }

    /// What each of them watches for.
    pub(crate) fn watches(&self) -> BTreeMap<String, Vec<Class>> {
        self.board().cameras.iter().map(|(id, entry)| (id.clone(), entry.state.watches.clone())).collect()
    }

    /// Waits until something changed.
    pub(crate) async fn changed(&self) {
        self.wake.notified().await;
    }

    /// Hands states to `publish` as `(camera, payload)`: those that changed, or all. One that it does not take counts
    /// as changed.
    pub(crate) fn publish(&self, all: bool, mut publish: impl FnMut(&str, Vec<u8>) -> bool) {
        for (camera, entry) in self.board().cameras.iter_mut().filter(|(_, entry)| all || entry.changed) {
            let payload = StatePayload {
                schema: SCHEMA,
                device: &self.device,
                camera,
                state: &entry.state,
                since: rfc3339(unix_us(self.clock.wall(entry.since))),
            };
            let taken = serde_json::to_vec(&payload).is_ok_and(|payload| publish(camera, payload));
            entry.changed = !taken;
        }
    }

    /// The health payload.
    pub(crate) fn health(&self, delivery: DeliveryFacts) -> Vec<u8> {
        let board = self.board();
        let now = self.clock.now();
        let payload = HealthPayload {
            schema: SCHEMA,
            device: &self.device,
            version: env!("CARGO_PKG_VERSION"),
            time: rfc3339(unix_us(self.clock.wall(now))),
            uptime_s: now.as_secs(),
            facts: &board.facts,
            cameras: board.cameras.len(),
            cameras_ok: board.cameras.values().filter(|entry| entry.state.health == CameraHealth::Ok).count(),
            store: if delivery.store_degraded { "degraded" } else { "ok" },
            outbox_depth: delivery.outbox_depth,
            outbox_oldest_s: delivery.outbox_oldest_s,
            connects: delivery.connects,
        };
        serde_json::to_vec(&payload).unwrap_or_default()
    }

    /// A panic elsewhere leaves the board as it was.
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
