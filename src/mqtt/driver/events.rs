//! The driver's events: out to the broker, and what is known of them once it has them.

use crate::frame::Moment;
use crate::journal;
use crate::mqtt::delivery::{Action, Input, LANE};
use crate::mqtt::driver::{Driver, notes};
use crate::store::{Receipt, Row};
use rumqttc::v5::mqttbytes::QoS;

impl Driver {
    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Publish(row) => self.publish_event(&row),
            Action::Delivered { row, sent, acknowledged, heard } => {
                // What is told again somebody has heard.
                if !heard && row.again.is_none() {
                    self.parts.metrics.events_unheard.inc();
                    tracing::warn!(event_id = %row.id, camera = row.camera, "nobody subscribed: the broker has it, no one was told");
                }
                self.delivered(&row, sent, acknowledged, heard);
            }
            Action::Load { camera, after } => self.parts.outbox.load(&camera, after, LANE),
            Action::Survey => self.parts.outbox.survey(),
            Action::Reconnect => {
                if let Some(connection) = self.connection.take() {
                    connection.give_up.notify_one();
                }
            }
            Action::Refused { camera, reason } => tracing::error!(
                camera,
                reason,
                topic = self.topics.event(&camera),
                "the broker refuses this camera's events; they are kept and tried again (check its ACL and who subscribes)"
            ),
            Action::Accepted { camera } => tracing::info!(camera, "the broker takes this camera's events again"),
        }
    }

    fn publish_event(&mut self, row: &Row) {
        let now = self.parts.clock.now();
        let sent = self.connection.as_ref().is_some_and(|connection| {
            serde_json::to_vec(&row.payload(now, &self.parts.clock)).is_ok_and(|payload| {
                let topic = self.topics.event(&row.camera);
                let client = &connection.client;
                client.try_publish_with_properties(topic, QoS::AtLeastOnce, false, payload, notes::json(None)).is_ok()
            })
        });
        if sent {
            if row.again.is_none()
                && let Some(decided) = row.decided()
            {
                self.parts.metrics.decision_to_publish.observe(now.saturating_sub(decided).as_secs_f64());
            }
        } else {
            // Gives no further publish before its pause is over, so this does not call itself again.
            self.feed(Input::NotSent, now);
        }
    }

    fn delivered(&mut self, row: &Row, sent: Moment, acknowledged: Moment, heard: bool) {
        let clock = &self.parts.clock;
        let receipt = Receipt {
            seq: row.seq,
            stored_us: row.times.stored,
            published_us: row.unix_us(sent, clock),
            acknowledged_us: row.unix_us(acknowledged, clock),
        };
        self.parts.outbox.delivered(receipt);
        let to_ack = acknowledged.saturating_sub(sent);
        self.parts.metrics.publish_to_ack.observe(to_ack.as_secs_f64());
        if row.again.is_some() {
            let (event_id, kind) = (row.id, row.event.as_str());
            if heard {
                tracing::info!(%event_id, camera = row.camera, r#type = kind, "Home Assistant is back: told again what nobody has answered");
            }
            return;
        }
        let millis = |from: i64, to: i64| (to - from) as f64 / 1000.0;
        tracing::info!(
            MESSAGE_ID = journal::EVENT_DELIVERED,
            event_id = %row.id,
            seq = row.seq,
            camera = row.camera,
            r#type = row.event.as_str(),
            class = row.class.as_str(),
            score = %format_args!("{:.3}", row.score),
            latency_ms = millis(row.times.captured, receipt.acknowledged_us),
            decided_to_published_ms = millis(row.times.decided, receipt.published_us),
            published_to_acknowledged_ms = to_ack.as_secs_f64() * 1000.0,
            "event delivered"
        );
    }
}
