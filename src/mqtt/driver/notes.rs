//! The driver's other messages: commands and their answers, status, state, evidence, health, announcement.
//!
//! All at QoS 0: only the latest counts, a lost one is repaired by the next (but evidence, which is sent once), and packet ids
//! stay for events alone.

use crate::event::payload::SCHEMA;
use crate::frame::Moment;
use crate::mqtt::command::{self, ReplyTo, Response};
use crate::mqtt::delivery::Input;
use crate::mqtt::driver::{Driver, SUBSCRIBES_WITHIN};
use crate::mqtt::telemetry::DeliveryFacts;
use crate::mqtt::{Parts, discovery, tidy, topic};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Publish, PublishProperties};
use std::time::Duration;

/// The broker forgets evidence after a day: what happened is in the events.
const SHOWN_FOR_S: u32 = 86_400;
/// What a publish of evidence has beside topic and picture, in bytes: header and properties, generously.
const ENVELOPE: usize = 256;

/// One message that is not an event.
struct Note {
    topic: String,
    payload: Vec<u8>,
    retain: bool,
    properties: PublishProperties,
}

/// The properties of every JSON payload.
pub(super) fn json(expiry: Option<Duration>) -> PublishProperties {
    PublishProperties {
        payload_format_indicator: Some(1),
        message_expiry_interval: expiry.map(|expiry| u32::try_from(expiry.as_secs()).unwrap_or(u32::MAX)),
        content_type: Some("application/json".into()),
        user_properties: vec![("schema".into(), SCHEMA.to_string())],
        ..PublishProperties::default()
    }
}

impl Driver {
    pub(super) fn message(&mut self, publish: &Publish, now: Moment) {
        let topic = String::from_utf8_lossy(&publish.topic);
        if topic == topic::HOME_ASSISTANT_STATUS && publish.payload == "online" {
            self.announce(true);
            self.states(true);
            // An alert that nobody heard need not wait out its pause.
            self.feed(Input::Returned, now);
            // A retained one greets whoever connects: nobody has come back.
            if !publish.retain {
                self.returned = Some(now + SUBSCRIBES_WITHIN);
            }
        }
        let Some(camera) = self.topics.command_camera(&topic).map(str::to_owned) else { return };
        let live = self.connection.as_ref().is_some_and(|connection| connection.listening);
        let outcome = command::parse(&camera, &publish.payload, publish.retain).and_then(|command| {
            if !live {
                return Err("it waited at the broker while falld was away; give it again if it still holds".into());
            }
            let known = self.parts.telemetry.cameras();
            // While nothing is known of any camera, the detector judges.
            if !known.is_empty() && !known.contains(&camera) {
                return Err(format!("there is no camera `{camera}`; there are: {}", known.join(", ")));
            }
            tracing::info!(camera, order = ?command.order, "command");
            self.parts.commands.try_send(command).map_err(|_| "too many commands at once".to_owned())
        });
        if let Err(reason) = &outcome {
            tracing::warn!(camera, reason, "command refused");
        }
        let Some(ReplyTo { topic, correlation }) = command::reply_to(publish, &self.topics) else { return };
        let response = Response::new(&camera, outcome.as_ref().map_err(String::as_str).copied());
        let Ok(payload) = serde_json::to_vec(&response) else { return };
        let correlation_data = correlation.map(Into::into);
        let properties = PublishProperties { correlation_data, ..json(Some(Duration::from_secs(60))) };
        // A response that finds no room is lost, as QoS 0 messages may be.
        let _sent = self.send(Note { topic, payload, retain: false, properties });
    }

    pub(super) fn status(&self, status: &str) {
        let properties = PublishProperties {
            payload_format_indicator: Some(1),
            content_type: Some("text/plain".into()),
            ..PublishProperties::default()
        };
        // A full queue means that the connection hangs; the next one says it again.
        let _sent = self.send(Note { topic: self.topics.status(), payload: status.into(), retain: true, properties });
    }

    /// Tells Home Assistant, again or if it does not know of every camera yet.
    pub(super) fn announce(&mut self, again: bool) {
        if !self.parts.config.home_assistant || self.connection.is_none() || !self.looking.is_empty() {
            return;
        }
        let cameras = self.parts.telemetry.watches();
        if again || cameras != self.announced {
            let (device, expire_after) = (&self.parts.device, self.parts.tuning.expire_after());
            let (evidence, before) = (&self.parts.evidence, &self.remains.components);
            let payload = discovery::announcement(&self.topics, device, &cameras, evidence, before, expire_after);
            let topic = topic::discovery(&self.parts.device);
            if self.send(Note { topic, payload, retain: true, properties: json(None) }) {
                self.announced = cameras;
            }
        }
    }

    pub(super) fn states(&self, all: bool) {
        if self.connection.is_none() {
            return;
        }
        self.parts.telemetry.publish(all, |camera, payload| {
            let properties = json(Some(self.parts.tuning.expire_after()));
            self.send(Note { topic: self.topics.state(camera), payload, retain: true, properties })
        });
    }

    /// Begins the look for what earlier configurations left, if it may still be made.
    pub(super) fn look(&mut self) {
        if self.looks > 0 && self.looking.is_empty() && self.connection.is_some() {
            self.looks -= 1;
            let Parts { config, device, .. } = &self.parts;
            self.looking.spawn(tidy::look(config.clone(), device.clone(), self.topics.clone()));
        }
    }

    /// Takes back what an earlier configuration showed: evidence of cameras whose alerts are shown no more, and everything of those that are gone.
    pub(super) fn forget(&self) {
        let cameras = self.parts.telemetry.cameras();
        let configured = |camera: &String| cameras.contains(camera) || self.parts.evidence.contains(camera);
        // While nothing is known of any camera, none is known to be gone.
        let gone = self.remains.cameras.iter().filter(|camera| !cameras.is_empty() && !configured(camera));
        let hidden = cameras.iter().filter(|camera| !self.parts.evidence.contains(*camera));
        let states = gone.clone().map(|camera| self.topics.state(camera));
        for topic in states.chain(hidden.chain(gone).map(|camera| self.topics.evidence(camera))) {
            let properties = PublishProperties::default();
            // A full queue means that the connection hangs; the next one says it again.
            let _sent = self.send(Note { topic, payload: Vec::new(), retain: true, properties });
        }
    }

    /// What is shown of alerts, once no event waits: it comes behind its own and holds up no other. It is never sent twice, and
    /// not at all if the broker says that it takes nothing so large.
    pub(super) fn evidence(&self) {
        if self.connection.is_none() || !self.machine.drained() {
            return;
        }
        self.parts.telemetry.publish_evidence(|camera, shown| {
            let topic = self.topics.evidence(camera);
            let size = topic.len() + shown.gif.len() + ENVELOPE;
            if size > self.largest {
                let (event_id, largest) = (shown.event, self.largest);
                tracing::warn!(camera, %event_id, size, largest, "the broker takes nothing so large: no evidence of this event");
                return None;
            }
            let properties = PublishProperties {
                message_expiry_interval: Some(SHOWN_FOR_S),
                content_type: Some("image/gif".into()),
                user_properties: vec![("event".into(), shown.event.to_string())],
                ..PublishProperties::default()
            };
            let note = Note { topic, payload: shown.gif.clone(), retain: true, properties };
            (!self.send(note)).then_some(shown)
        });
    }

    /// Health and every state again. They are retained for whoever comes late, and gone by themselves when nobody renews them:
    /// a camera that was taken out of the configuration must not stay on the broker as a healthy one.
    pub(super) fn health(&mut self, now: Moment) {
        self.next_health = now + self.parts.tuning.health_every;
        self.states(true);
        self.told_degraded = self.parts.outbox.degraded();
        let payload = self.parts.telemetry.health(DeliveryFacts {
            outbox_depth: self.parts.outbox.depth(),
            outbox_oldest_s: self.oldest(now).as_secs_f64(),
            store_degraded: self.told_degraded,
            connects: self.connects,
        });
        let properties = json(Some(self.parts.tuning.expire_after()));
        let _sent = self.send(Note { topic: self.topics.health(), payload, retain: true, properties });
    }

    /// False if the message could not be queued.
    fn send(&self, note: Note) -> bool {
        let Note { topic, payload, retain, properties } = note;
        self.connection.as_ref().is_some_and(|connection| {
            connection.client.try_publish_with_properties(topic, QoS::AtMostOnce, retain, payload, properties).is_ok()
        })
    }
}
