//! What earlier configurations have left on the broker: retained messages of cameras that are configured no more, and entities
//! that Home Assistant was told of.
//!
//! Looked for at the start, on a connection of its own that nobody waits for. Whatever a broker makes of it (an ACL that
//! forbids to read, a hang-up), delivery does not notice; and a picture may be larger than what falld takes otherwise. Where
//! nothing may be read, nothing is taken back. The driver, whose topics these are, acts on what is found.

use crate::config::MqttConfig;
use crate::mqtt::topic::{self, Topics};
use crate::mqtt::{goodbye, link};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Packet, Publish};
use rumqttc::v5::{AsyncClient, Event};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The largest packet that is looked at: an alert's picture takes some 100 kB.
const MAX_PACKET: u32 = 1 << 20;
/// Brokers send what is retained at once when they are asked; after so long without any there is no more.
const QUIET: Duration = Duration::from_secs(1);
/// The whole look takes no longer.
const LONGEST: Duration = Duration::from_secs(10);

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Remains {
    /// Cameras of which a state or evidence is retained.
    pub(crate) cameras: BTreeSet<String>,
    /// Components of the last announcement to Home Assistant, each with its platform.
    pub(crate) components: BTreeMap<String, String>,
}

impl Remains {
    fn note(&mut self, publish: &Publish, device: &str, topics: &Topics) {
        let topic = String::from_utf8_lossy(&publish.topic);
        if let Some(camera) = topics.retained_camera(&topic) {
            self.cameras.insert(camera.to_owned());
        } else if topic == topic::discovery(device)
            && let Ok(Value::Object(announced)) = serde_json::from_slice(&publish.payload)
            && let Some(Value::Object(components)) = announced.get("cmps")
        {
            let platforms = components.iter().filter_map(|(key, it)| Some((key.clone(), it["p"].as_str()?.to_owned())));
            self.components.extend(platforms);
        }
    }
}

/// Looks for what is retained of `device`. Nothing if the broker did not let it look.
pub(crate) async fn look(config: MqttConfig, device: String, topics: Topics) -> Option<Remains> {
    let mut remains = Remains::default();
    let id = format!("{}-tidy", link::client_id(&config, &device));
    let asked = config.clone();
    let mut options = tokio::task::spawn_blocking(move || link::login(&asked, id)).await.ok()?.ok()?;
    options.set_max_packet_size(Some(MAX_PACKET));
    let (client, mut eventloop) = AsyncClient::new(options, 4);
    let announced = config.home_assistant.then(|| topic::discovery(&device));
    let filters = topics.retained().into_iter().chain(announced).map(|path| Filter::new(path, QoS::AtMostOnce));
    client.try_subscribe_many(filters).ok()?;
    let mut answered = false;
    let latest = Instant::now() + LONGEST;
    let mut until = latest;
    while let Ok(Ok(event)) = timeout_at(until, eventloop.poll()).await {
        match event {
            Event::Incoming(Packet::SubAck(_)) => answered = true,
            // What is said meanwhile is of cameras that are there.
            Event::Incoming(Packet::Publish(publish)) if publish.retain => remains.note(&publish, &device, &topics),
            _ => continue,
        }
        until = latest.min(Instant::now() + QUIET);
    }
    goodbye(&client, &mut eventloop).await;
    answered.then_some(remains)
}
