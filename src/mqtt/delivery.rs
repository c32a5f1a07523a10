//! Decides what to publish when: a state machine without a clock, a socket or a disk of its own.
//!
//! * At most one event is on its way at a time, over all cameras: a packet id cannot be mistaken.
//! * Each camera has a lane; within it events keep their order. Between lanes the oldest event goes first, so a lane
//!   that the broker refuses (an ACL, a quota) waits for its next try and holds up nobody else.
//! * An event is done when the broker says so. A lost connection, an error reason or silence means: again. So does "no
//!   subscribers" for some minutes: after a power cut falld may be back before whoever is to be alarmed.
//! * A lane holds few events in memory. What does not fit is read from the store when its turn comes.

use crate::frame::Moment;
use crate::store::Row;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Events of one camera that are held in memory, about 500 bytes each.
pub(crate) const LANE: usize = 32;

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input {
    /// The broker has accepted us.
    Connected,
    /// The connection is gone, and with it what was on its way.
    Disconnected,
    /// A new event, durable now.
    Stored(Arc<Row>),
    /// Cameras that have undelivered events.
    Lanes(Vec<String>),
    /// The oldest events of a camera.
    Loaded { camera: String, rows: Vec<Arc<Row>>, complete: bool },
    /// The store could not be read.
    LoadFailed { camera: String },
    /// An event that left its lane waits in the store once more.
    Again(Arc<Row>),
    /// The client handed the event to the socket under this packet id.
    HandedOver { pkid: u16 },
    /// The client would not take the event now.
    NotSent,
    /// Somebody who was away may be back.
    Returned,
    /// The broker's word for a packet id.
    Answered { pkid: u16, verdict: Verdict },
    /// Time passed.
    Tick,
}

/// What the broker says of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has it.
    Taken,
    /// It has it, and nobody subscribes to it: whoever comes later would never hear of it.
    Unheard,
    /// It will not take it, for this reason.
    Refused(String),
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Hand this event to the client, QoS 1.
    Publish(Arc<Row>),
    /// Tell the store. Not heard means that nobody subscribed for as long as our patience lasts.
    Delivered { row: Arc<Row>, sent: Moment, acknowledged: Moment, heard: bool },
    /// Read from the store.
    Load { camera: String, after: u64 },
    /// Ask the store for cameras that wait.
    Survey,
    /// The broker keeps silent: give this connection up.
    Reconnect,
    /// The broker refuses a camera's events. Said on the first refusal only.
    Refused { camera: String, reason: String },
    /// The broker takes them again.
    Accepted { camera: String },
}

/// The machine's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// Silence after a publish that means a stalled broker.
    pub(crate) answer: Duration,
    /// First pause after a refusal; doubles.
    pub(crate) retry_min: Duration,
    /// Longest pause after a refusal.
    pub(crate) retry_max: Duration,
    /// How long an event that nobody subscribes to is kept for somebody who comes late: from when it was stored, or from when
    /// the broker first said so of its camera since it, and whoever listens, came back, whichever is later.
    pub(crate) unheard: Duration,
}

#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<Arc<Row>>,
    /// The queue holds everything that waits.
    complete: bool,
    loading: bool,
    /// An event came while the store was being read: it may be in the answer or not.
    missed: bool,
    /// Highest number that left this lane.
    done: u64,
    /// Failed tries of the head.
    failures: u32,
    blocked_until: Option<Moment>,
    refused: bool,
    /// Since when nobody has subscribed to this lane's events.
    unheard_since: Option<Moment>,
}

#[derive(Debug)]
struct OnItsWay {
    camera: String,
    row: Arc<Row>,
    sent: Moment,
    pkid: Option<u16>,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Delivery {
    patience: Patience,
    connected: bool,
    surveyed: bool,
    on_its_way: Option<OnItsWay>,
    lanes: BTreeMap<String, Lane>,
    /// No publish before this: the client had no room.
    pause_until: Option<Moment>,
}

impl Delivery {
    pub(crate) fn new(patience: Patience) -> Self {
        Self {
            patience,
            connected: false,
            surveyed: false,
            on_its_way: None,
            lanes: BTreeMap::new(),
            pause_until: None,
        }
    }

    /// What to do at the very start.
    pub(crate) fn start(&self) -> Vec<Action> {
        vec![Action::Survey]
    }

    /// Takes in what happened at `now`; says what to do, in order.
    pub(crate) fn apply(&mut self, input: Input, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        self.expire(now);
        match input {
            Input::Connected => {
                self.connected = true;
                self.on_its_way = None;
                self.pause_until = None;
                // Rights may have changed with the connection.
                self.lanes.values_mut().for_each(Lane::anew);
            }
            Input::Disconnected => {
                self.connected = false;
                self.fail_on_its_way();
            }
            Input::Stored(row) => self.stored(row),
            Input::Lanes(cameras) => {
                self.surveyed = true;
                for camera in cameras {
                    self.lanes.entry(camera).or_insert_with(Lane::unread);
                }
                // Whoever was not named has nothing older than what came by itself.
            }
            Input::Loaded { camera, rows, complete } => self.loaded(&camera, rows, complete),
            Input::LoadFailed { camera } => {
                if let Some(lane) = self.lanes.get_mut(&camera) {
                    lane.loading = false;
                    lane.blocked_until = Some(now + self.patience.retry_min);
                }
            }
            Input::Again(row) => self.again(row),
            Input::HandedOver { pkid } => {
                if let Some(event) = &mut self.on_its_way {
                    event.sent = now;
                    event.pkid = Some(pkid);
                }
            }
            Input::NotSent => {
                self.on_its_way = None;
                self.pause_until = Some(now + self.patience.retry_min);
            }
            Input::Returned => self.lanes.values_mut().for_each(Lane::anew),
            Input::Answered { pkid, verdict } => actions.extend(self.answered(pkid, verdict, now)),
            Input::Tick => {}
        }
        actions.extend(self.overdue(now));
        actions.extend(self.reads());
        actions.extend(self.next(now).map(Action::Publish));
        actions
    }

    /// When to call with [`Input::Tick`] at the latest.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        let answer = self.on_its_way.as_ref().map(|event| event.sent + self.patience.answer);
        let retries = self.lanes.values().filter_map(|lane| lane.blocked_until);
        retries.chain(answer).chain(self.pause_until).min()
    }

    /// True if nothing waits that a connection could deliver now.
    pub(crate) fn drained(&self) -> bool {
        self.surveyed
            && self.on_its_way.is_none()
            && self.lanes.values().all(|lane| lane.refused || (lane.complete && lane.queue.is_empty()))
    }

    /// True if an event that left before `at` has no answer yet.
    pub(crate) fn sent_before(&self, at: Moment) -> bool {
        self.on_its_way.as_ref().is_some_and(|event| event.sent < at)
    }

    /// The first event that waits in each lane and is known here: none of its lane waits for longer.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Row> {
        self.lanes.values().filter_map(|lane| lane.queue.front()).map(Arc::as_ref)
    }

    /// The lane of `camera`. Before the survey it may have older events in the store.
    fn lane(&mut self, camera: &str) -> &mut Lane {
        let surveyed = self.surveyed;
        self.lanes.entry(camera.to_owned()).or_insert_with(|| if surveyed { Lane::empty() } else { Lane::unread() })
    }

    /// It goes behind what waits here, of which nothing ends its alarm: an alarm that had ended would not be told again. At most
    /// one of each class comes on top of what a lane holds.
    fn again(&mut self, row: Arc<Row>) {
        let lane = self.lane(&row.camera);
        // A lane that has not come so far reads it from the store.
        if lane.complete || row.seq <= lane.last() {
            lane.queue.push_back(row);
        }
    }

    fn stored(&mut self, row: Arc<Row>) {
        let lane = self.lane(&row.camera);
        if row.seq <= lane.last() {
            return; // It came with a read from the store, which overtook this notice.
        }
        lane.missed |= lane.loading;
        // Something new is worth a try at once: whoever was away or refused us may be back.
        lane.blocked_until = None;
        if lane.complete && lane.queue.len() < LANE {
            lane.queue.push_back(row);
        } else {
            lane.complete = false;
        }
    }

    fn loaded(&mut self, camera: &str, rows: Vec<Arc<Row>>, complete: bool) {
        let Some(lane) = self.lanes.get_mut(camera) else { return };
        lane.loading = false;
        // Nothing was queued while it was read, but what is told again. Older numbers than those that left already are no mistake: a file that could
        // not be read lets newer events from memory go first.
        lane.queue.extend(rows);
        lane.complete = complete && !lane.missed;
    }

    fn answered(&mut self, pkid: u16, verdict: Verdict, now: Moment) -> Option<Action> {
        if self.on_its_way.as_ref()?.pkid != Some(pkid) {
            return None;
        }
        let OnItsWay { camera, row, sent, .. } = self.on_its_way.take()?;
        let lane = self.lanes.get_mut(&camera)?;
        let heard = verdict != Verdict::Unheard;
        let reason = match verdict {
            Verdict::Refused(reason) => reason,
            Verdict::Unheard if now < lane.unheard_since(&row, now) + self.patience.unheard => {
                "nobody subscribes to them".into()
            }
            Verdict::Taken | Verdict::Unheard => {
                lane.queue.pop_front();
                lane.done = lane.done.max(row.seq);
                lane.failures = 0;
                if heard {
                    lane.unheard_since = None;
                } else if lane.complete && lane.queue.is_empty() {
                    // What comes next begins anew, also one that was stored long before the broker could be asked.
                    (lane.unheard_since, lane.refused) = (None, false);
                }
                return Some(Action::Delivered { row, sent, acknowledged: now, heard });
            }
        };
        let pause = self.patience.retry_min.saturating_mul(1 << lane.failures.min(16));
        lane.blocked_until = Some(now + pause.min(self.patience.retry_max));
        lane.failures = lane.failures.saturating_add(1);
        let first = !std::mem::replace(&mut lane.refused, true);
        first.then_some(Action::Refused { camera, reason })
    }

    /// A silent broker, and lanes that the broker takes again.
    fn overdue(&mut self, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        for (camera, lane) in &mut self.lanes {
            if lane.refused && lane.failures == 0 {
                lane.refused = false;
                if lane.unheard_since.is_none() {
                    actions.push(Action::Accepted { camera: camera.clone() });
                }
            }
        }
        if self.on_its_way.as_ref().is_some_and(|event| now >= event.sent + self.patience.answer) {
            self.connected = false;
            self.fail_on_its_way();
            actions.push(Action::Reconnect);
        }
        actions
    }

    /// An event that takes the connection with it moves behind the others' heads, or it would hold them up for ever.
    fn fail_on_its_way(&mut self) {
        if let Some(lane) = self.on_its_way.take().and_then(|event| self.lanes.get_mut(&event.camera)) {
            lane.failures = lane.failures.saturating_add(1);
        }
    }

    fn expire(&mut self, now: Moment) {
        let pauses = self.lanes.values_mut().map(|lane| &mut lane.blocked_until).chain([&mut self.pause_until]);
        for pause in pauses.filter(|pause| pause.is_some_and(|until| now >= until)) {
            *pause = None;
        }
    }

    fn reads(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        for (camera, lane) in &mut self.lanes {
            if lane.complete || lane.loading || !lane.queue.is_empty() || lane.blocked_until.is_some() {
                continue;
            }
            lane.loading = true;
            lane.missed = false;
            actions.push(Action::Load { camera: camera.clone(), after: lane.done });
        }
        actions
    }

    fn next(&mut self, now: Moment) -> Option<Arc<Row>> {
        if !self.connected || self.on_its_way.is_some() || self.pause_until.is_some() {
            return None;
        }
        let open = self.lanes.iter().filter(|(_, lane)| lane.blocked_until.is_none()).filter_map(|(camera, lane)| {
            let row = lane.queue.front()?;
            Some(((lane.failures, row.seq), camera, row.clone()))
        });
        let (_, camera, row) = open.min_by_key(|(rank, ..)| *rank)?;
        self.on_its_way = Some(OnItsWay { camera: camera.clone(), row: row.clone(), sent: now, pkid: None });
        Some(row)
    }
}

impl Lane {
    /// Nothing waits.
    fn empty() -> Self {
        Self { complete: true, ..Self::default() }
    }

    /// What waits is in the store alone.
    fn unread() -> Self {
        Self::default()
    }

    /// Highest number that this lane has seen.
    fn last(&self) -> u64 {
        self.queue.iter().map(|row| row.seq).fold(self.done, u64::max)
    }

    /// The broker or a listener has come back: what waits is tried at once, and the time in which nobody listened begins anew.
    fn anew(&mut self) {
        (self.blocked_until, self.unheard_since) = (None, None);
    }

    /// Since when nobody has subscribed to `row`, which the broker has just said: not before it was there.
    fn unheard_since(&mut self, row: &Row, now: Moment) -> Moment {
        let lane = *self.unheard_since.get_or_insert(now);
        row.anchor.map_or(lane, |stored| stored.max(lane))
    }
}

#[cfg(test)]
mod tests;
