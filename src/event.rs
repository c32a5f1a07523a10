//! What falld tells people: the event, its type, and the ledger of how fast it travelled.

pub mod payload;
pub mod policy;

use crate::frame::Moment;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The danger an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Somebody fell or lies after a fall.
    Fall,
    /// Somebody climbs.
    Climb,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 2] = [Self::Fall, Self::Climb];

    /// The class as it stands in topics, payloads and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fall => "fall",
            Self::Climb => "climb",
        }
    }

    /// The class that `text` names.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventType {
    /// A fall was decided: the alarm is raised.
    Fall,
    /// The person has been on the floor for the configured time and nobody acknowledged.
    LongLie,
    /// The person got up: the alarm clears.
    Recovered,
    /// A climb was decided: the alarm is raised.
    Climb,
    /// The climb is over: the alarm clears.
    ClimbEnded,
    /// A caregiver said "I'm on it".
    Acknowledged,
    /// Somebody tried the whole road on purpose.
    Test,
}

impl EventType {
    /// The type as it stands in payloads, logs and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fall => "fall",
            Self::LongLie => "long_lie",
            Self::Recovered => "recovered",
            Self::Climb => "climb",
            Self::ClimbEnded => "climb_ended",
            Self::Acknowledged => "acknowledged",
            Self::Test => "test",
        }
    }

    /// Every type, in the order of the payload's schema.
    pub const ALL: [Self; 7] =
        [Self::Fall, Self::LongLie, Self::Recovered, Self::Climb, Self::ClimbEnded, Self::Acknowledged, Self::Test];

    /// The type that `text` names.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == text)
    }

    /// True for the types that call somebody: they are what `replay` prints and what a cooldown bounds.
    pub const fn is_alert(self) -> bool {
        matches!(self, Self::Fall | Self::LongLie | Self::Climb)
    }
}

/// When an event passed each station, on the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ledger {
    /// The deciding frame was taken.
    pub captured: Moment,
    /// The classifier had scored it.
    pub scored: Moment,
    /// The policy had decided.
    pub decided: Moment,
}

/// One event, before it is stored. The store gives it its sequence number.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Unique for ever; consumers de-duplicate by it. UUID v7.
    pub id: Uuid,
    /// The event that began this incident: equal to `id` for the first one.
    pub incident: Uuid,
    /// The camera's id.
    pub camera: String,
    /// What happened.
    pub event: EventType,
    /// About which danger.
    pub class: Class,
    /// The score that decided, 0 to 1.
    pub score: f32,
    /// The marked place where somebody climbs, by the name that the site gave it.
    pub place: Option<String>,
    /// Its times so far.
    pub ledger: Ledger,
}

/// An incident that somebody was told of and that has not ended, as the store remembers it over a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The camera's id.
    pub camera: String,
    /// About which danger.
    pub class: Class,
    /// The event that began it.
    pub incident: Uuid,
    /// The long lie was told.
    pub long_lie: bool,
    /// A caregiver is on it.
    pub acknowledged: bool,
}
