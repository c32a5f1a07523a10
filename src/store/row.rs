//! One stored event, its times, and the payload made of it.

use crate::event::payload::{EventPayload, LedgerPayload, ModelRef, SCHEMA, rfc3339};
use crate::event::{Class, Event, EventType};
use crate::frame::{Clock, Moment};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// What every event of one process has in common.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Context {
    /// The device's id.
    pub device: String,
    /// The model that decides.
    pub model: ModelRef,
}

/// The stations up to the store, in unix microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) captured: i64,
    pub(crate) scored: i64,
    pub(crate) decided: i64,
    pub(crate) stored: i64,
}

/// One event with its sequence number.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Grows by one with each event.
    pub seq: u64,
    /// Unique for ever.
    pub id: Uuid,
    /// Id of the event that began this incident.
    pub incident: Uuid,
    /// Device and model as they were when it was decided.
    pub context: Context,
    /// The camera.
    pub camera: String,
    /// What happened.
    pub event: EventType,
    /// About which danger.
    pub class: Class,
    /// The score that decided.
    pub score: f32,
    /// The marked place that it is about.
    pub place: Option<String>,
    pub(crate) times: Times,
    /// The moment of `times.stored` if this process stored the event; joins later times to the same wall reading.
    pub(crate) anchor: Option<Moment>,
    /// Since when it waits once more, if it was delivered before and is told again to whoever was away.
    pub(crate) again: Option<Moment>,
}

/// Microseconds since 1970; negative before.
pub(crate) fn unix_us(time: SystemTime) -> i64 {
    let micros = |span: std::time::Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => micros(since),
        Err(error) => -micros(error.duration()),
    }
}

fn signed_us(later: Moment, earlier: Moment) -> i64 {
    let micros = |span: Moment| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    if later >= earlier { micros(later - earlier) } else { -micros(earlier - later) }
}

impl Row {
    /// Reads the wall clock once and derives every time of `event` from it.
    pub(crate) fn new(seq: u64, event: &Event, context: &Context, clock: &Clock) -> Self {
        let now = clock.now();
        let wall = unix_us(clock.wall(now));
        let at = |moment: Moment| wall.saturating_sub(signed_us(now, moment));
        Self {
            seq,
            id: event.id,
            incident: event.incident,
            context: context.clone(),
            camera: event.camera.clone(),
            event: event.event,
            class: event.class,
            score: if event.score.is_finite() { event.score.clamp(0.0, 1.0) } else { 0.0 },
            place: event.place.clone(),
            times: Times {
                captured: at(event.ledger.captured),
                scored: at(event.ledger.scored),
                decided: at(event.ledger.decided),
                stored: wall,
            },
            anchor: Some(now),
            again: None,
        }
    }

    /// Moves the stored stamp to `now`: the commit has returned.
    pub(crate) fn restamp(&mut self, now: Moment) {
        if let Some(anchor) = self.anchor.replace(now) {
            self.times.stored = self.times.stored.saturating_add(signed_us(now, anchor));
        }
    }

    /// Unix microseconds of `moment` on this event's own time base. An event of an earlier process has none: then the
    /// wall clock of now must do.
    pub(crate) fn unix_us(&self, moment: Moment, clock: &Clock) -> i64 {
        match self.anchor {
            Some(anchor) => self.times.stored.saturating_add(signed_us(moment, anchor)),
            None => unix_us(clock.wall(moment)),
        }
    }

    /// The moment of the decision on this process's clock, if this process stored the event.
    pub fn decided(&self) -> Option<Moment> {
        let since = u64::try_from(self.times.stored.saturating_sub(self.times.decided)).ok()?;
        self.anchor.map(|anchor| anchor.saturating_sub(Moment::from_micros(since)))
    }

    /// How long the event has waited for its delivery, or for being told again. Never negative.
    pub fn age(&self, now: Moment, clock: &Clock) -> Moment {
        if let Some(since) = self.again {
            return now.saturating_sub(since);
        }
        let age = self.unix_us(now, clock).saturating_sub(self.times.stored);
        Moment::from_micros(u64::try_from(age).unwrap_or(0))
    }

    /// The payload of a copy that is published at `now`.
    pub fn payload(&self, now: Moment, clock: &Clock) -> EventPayload {
        let published_us = self.unix_us(now, clock);
        EventPayload {
            schema: SCHEMA,
            id: self.id.to_string(),
            seq: self.seq,
            incident: self.incident.to_string(),
            device: self.context.device.clone(),
            camera: self.camera.clone(),
            event: self.event,
            class: self.class,
            score: self.score,
            place: self.place.clone(),
            t_event: rfc3339(self.times.captured),
            t_published: rfc3339(published_us),
            model: self.context.model.clone(),
            ledger: LedgerPayload {
                captured_us: self.times.captured,
                scored_us: self.times.scored,
                decided_us: self.times.decided,
                stored_us: self.times.stored,
                published_us,
            },
        }
    }
}

/// The broker's word for one event, on its way back to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Which event.
    pub seq: u64,
    /// When it was durable, unix microseconds: the stamp taken after the commit.
    pub stored_us: i64,
    /// When the acknowledged copy was published, unix microseconds.
    pub published_us: i64,
    /// When the broker acknowledged it, unix microseconds.
    pub acknowledged_us: i64,
}
