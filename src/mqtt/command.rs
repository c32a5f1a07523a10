//! Commands from outside: a payload that anybody with the right to publish may have written.
//!
//! Nothing here trusts its input: it is small, retained ones are ignored (they would act again at every restart), what waited
//! at the broker while falld was away is refused (it would act on what happens later), and whatever does not parse is refused with a reason. A response goes where the sender asked for it, except onto our own
//! topics, where it could pass for an alert.

use crate::event::payload::SCHEMA;
use crate::mqtt::topic::Topics;
use rumqttc::v5::mqttbytes::v5::Publish;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Largest payload that is looked at; a command takes less than a hundred bytes.
const MAX_BYTES: usize = 4096;
/// Longest correlation data that is sent back.
const MAX_CORRELATION: usize = 256;

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// "I'm on it": stops the escalation of the incident.
    Ack,
    /// Try the whole road.
    Test,
    /// Alert again.
    Arm,
    /// Do not alert.
    Disarm,
}

/// One command to one camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The camera's id as the topic names it; not checked against the configuration.
    pub camera: String,
    /// What to do.
    pub order: Order,
    /// For [`Order::Ack`]: only this incident; absent means the present one.
    pub incident: Option<Uuid>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    command: Order,
    incident: Option<String>,
}

/// Reads one command. The error is a reason for the log and the response.
pub fn parse(camera: &str, payload: &[u8], retained: bool) -> Result<Command, String> {
    if retained {
        return Err("retained commands are ignored; publish it without retain".into());
    }
    if payload.len() > MAX_BYTES {
        return Err(format!("{} bytes; a command has at most {MAX_BYTES}", payload.len()));
    }
    let body: Body = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
    let incident = match (&body.incident, body.command) {
        (None, _) => None,
        (Some(text), Order::Ack) => {
            Some(Uuid::parse_str(text).map_err(|error| format!("incident is no UUID: {error}"))?)
        }
        (Some(_), _) => return Err("incident belongs to `ack` alone".into()),
    };
    Ok(Command { camera: camera.to_owned(), order: body.command, incident })
}

/// Where a response goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReplyTo {
    pub(crate) topic: String,
    pub(crate) correlation: Option<Vec<u8>>,
}

/// The response address of a command, if it has one that we may use.
pub(crate) fn reply_to(publish: &Publish, topics: &Topics) -> Option<ReplyTo> {
    let properties = publish.properties.as_ref()?;
    let topic = properties.response_topic.clone()?;
    let usable = !topic.is_empty()
        && topic.len() <= 512
        && !topic.starts_with('$')
        && !topic.contains(['+', '#', '\0'])
        && !topics.is_ours(&topic);
    let correlation = properties.correlation_data.as_ref().filter(|data| data.len() <= MAX_CORRELATION);
    usable.then(|| ReplyTo { topic, correlation: correlation.map(|data| data.to_vec()) })
}

/// The response.
#[derive(Debug, Serialize)]
pub(crate) struct Response<'reason> {
    schema: u32,
    camera: &'reason str,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'reason str>,
}

impl<'reason> Response<'reason> {
    pub(crate) fn new(camera: &'reason str, outcome: Result<(), &'reason str>) -> Self {
        let result = if outcome.is_ok() { "accepted" } else { "refused" };
        Self { schema: SCHEMA, camera, result, reason: outcome.err() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_four_orders_are_read() {
        for (text, order) in
            [("ack", Order::Ack), ("test", Order::Test), ("arm", Order::Arm), ("disarm", Order::Disarm)]
        {
            let command = parse("bed", format!(r#"{{"command":"{text}"}}"#).as_bytes(), false).unwrap();
            assert_eq!(command, Command { camera: "bed".into(), order, incident: None });
        }
        let incident = Uuid::now_v7();
        let text = format!(r#"{{"command":"ack","incident":"{incident}"}}"#);
        assert_eq!(parse("bed", text.as_bytes(), false).unwrap().incident, Some(incident));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("", "EOF"),
            ("ack", "expected"),
            (r#"{"command":"explode"}"#, "unknown variant `explode`"),
            (r#"{"command":"ack","incident":"7"}"#, "no UUID"),
            (r#"{"command":"arm","incident":"7"}"#, "`ack` alone"),
            (r#"{"command":"ack","force":true}"#, "unknown field `force`"),
        ] {
            let error = parse("bed", text.as_bytes(), false).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(parse("bed", br#"{"command":"test"}"#, true).unwrap_err().contains("retain"));
        assert!(parse("bed", &[b' '; MAX_BYTES + 1], false).unwrap_err().contains("bytes"));
    }

    proptest! {
        #[test]
        fn no_payload_does_harm(payload in proptest::collection::vec(any::<u8>(), 0..600), retained: bool) {
            let _either = parse("bed", &payload, retained);
        }

        #[test]
        fn no_json_does_harm(
            key in "command|incident|[a-z]{0,8}", value in r#""ack"|"test"|null|[0-9]{1,30}|\[\]|"[ -~]{0,40}""#,
        ) {
            let _either = parse("bed", format!(r#"{{"command":"ack","{key}":{value}}}"#).as_bytes(), false);
        }
    }
}
