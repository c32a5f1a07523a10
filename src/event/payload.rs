//! The event as subscribers receive it: JSON, schema version 1, described by `deploy/schemas/event.json`.
//!
//! Fields are only ever added under one schema version. Times are unix microseconds that were derived from one reading
//! of the wall clock per event plus monotonic differences: a wall clock that is set while the event travels changes no
//! interval in it.

use crate::event::{Class, EventType};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::macros::format_description;

/// Version of every payload that falld publishes.
pub const SCHEMA: u32 = 1;

/// Which model decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct ModelRef {
    /// The bundle's name.
    pub name: String,
    /// The bundle's version.
    pub version: String,
    /// Hash of the bundle.
    pub sha256: String,
}

/// When the event passed each station, in unix microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerPayload {
    /// The deciding frame was taken.
    pub captured_us: i64,
    /// The classifier had scored it.
    pub scored_us: i64,
    /// The policy had decided.
    pub decided_us: i64,
    /// The event was durable; in memory, if the store could not be written.
    pub stored_us: i64,
    /// This copy was handed to the MQTT client.
    pub published_us: i64,
}

/// One event on its topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventPayload {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Unique for ever; de-duplicate by it.
    pub id: String,
    /// Grows by one with each event of this device.
    pub seq: u64,
    /// Id of the event that began this incident.
    pub incident: String,
    /// The device.
    pub device: String,
    /// The camera.
    pub camera: String,
    /// What happened.
    #[serde(rename = "type")]
    pub event: EventType,
    /// About which danger.
    pub class: Class,
    /// The score that decided, 0 to 1.
    pub score: f32,
    /// The marked place where somebody climbs.
    pub place: Option<String>,
    /// When the deciding frame was taken: RFC 3339, UTC, milliseconds.
    pub t_event: String,
    /// When this copy was published: RFC 3339, UTC, milliseconds.
    pub t_published: String,
    /// Which model decided.
    pub model: ModelRef,
    /// How fast the event travelled.
    pub ledger: LedgerPayload,
}

/// `micros` since 1970 as RFC 3339 in UTC with milliseconds; 1970 itself for times outside the years 1 to 9999.
pub fn rfc3339(micros: i64) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000)
        .ok()
        .filter(|time| (1..=9999).contains(&time.year()))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_milliseconds() {
        assert_eq!(rfc3339(1_700_000_000_123_456), "2023-11-14T22:13:20.123Z");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(i64::MAX), "1970-01-01T00:00:00.000Z");
    }
}
