//! Store and delivery as falld runs them, and an independent subscriber that knows nothing of falld's code.

use crate::support::broker::PATIENCE;
use falld::config::{MqttConfig, StoreConfig};
use falld::event::{Class, Event, EventType, Ledger};
use falld::frame::Clock;
use falld::metrics::Metrics;
use falld::mqtt::{self, Command, Delivery, Parts, Telemetry, Tuning};
use falld::store::{Context, Recorder, Store, Stored};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish};
use rumqttc::v5::{AsyncClient, Event as MqttEvent, MqttOptions};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Short pauses: minutes of a house in a second of a test.
pub fn quick() -> Tuning {
    Tuning {
        backoff_min: Duration::from_millis(20),
        backoff_max: Duration::from_millis(200),
        answer: Duration::from_millis(400),
        retry_min: Duration::from_millis(50),
        retry_max: Duration::from_millis(200),
        unheard: Duration::from_secs(10),
        health_every: Duration::from_millis(500),
        grace: Duration::from_secs(5),
    }
}

/// A broker on loopback.
pub fn broker_at(port: u16) -> MqttConfig {
    MqttConfig { host: "127.0.0.1".into(), port, keep_alive_s: 5, will_delay_s: 0, ..MqttConfig::default() }
}

pub fn store_in(folder: &Path) -> StoreConfig {
    StoreConfig { path: folder.join("falld.db"), ..StoreConfig::default() }
}

/// falld without cameras.
#[derive(Debug)]
pub struct Falld {
    pub store: Store,
    pub recorder: Recorder,
    pub delivery: Delivery,
    pub telemetry: Telemetry,
    pub commands: mpsc::Receiver<Command>,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
    shutdown: CancellationToken,
    context: Context,
}

/// A fall that `camera` sees now.
pub fn fall_now(clock: &Clock, camera: &str) -> Event {
    let now = clock.now();
    let id = Uuid::now_v7();
    let ledger = Ledger {
        captured: now.saturating_sub(Duration::from_millis(6)),
        scored: now.saturating_sub(Duration::from_millis(1)),
        decided: now,
    };
    Event {
        id,
        incident: id,
        camera: camera.into(),
        event: EventType::Fall,
        class: Class::Fall,
        score: 0.93,
        place: None,
        ledger,
    }
}

impl Falld {
    pub fn start(store: &StoreConfig, mqtt: MqttConfig) -> Self {
        Self::start_with(store, mqtt, quick(), Clock::start())
    }

    pub fn start_with(store: &StoreConfig, config: MqttConfig, tuning: Tuning, clock: Clock) -> Self {
        // A story that fails shows what falld said meanwhile.
        let filter = tracing_subscriber::EnvFilter::new("falld=debug,rumqttc=info");
        let _begun = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let metrics = Arc::new(Metrics::new());
        let mut store = Store::open(store, clock, metrics.clone()).unwrap();
        let telemetry = Telemetry::new("house", clock);
        let (sender, commands) = mpsc::channel(8);
        let shutdown = CancellationToken::new();
        let delivery = mqtt::spawn(Parts {
            config,
            device: "house".into(),
            outbox: store.outbox().unwrap(),
            telemetry: telemetry.clone(),
            evidence: BTreeSet::from(["bed".into(), "hall".into()]),
            commands: sender,
            metrics: metrics.clone(),
            clock,
            shutdown: shutdown.clone(),
            tuning,
        });
        let mut context = Context { device: "house".into(), ..Context::default() };
        context.model.name = "scripted".into();
        context.model.version = "1".into();
        context.model.sha256 = "0".repeat(64);
        Self { recorder: store.recorder(), store, delivery, telemetry, commands, metrics, clock, shutdown, context }
    }

    /// Decides a fall seen by `camera` now.
    pub fn fall(&self, camera: &str) -> (Uuid, Stored) {
        let event = fall_now(&self.clock, camera);
        (event.id, self.tell(&event))
    }

    /// Decides `event`.
    pub fn tell(&self, event: &Event) -> Stored {
        self.recorder.append(event, &self.context)
    }

    pub async fn connected(&self) {
        until("the broker is connected", || self.metrics.broker_connected.get() == 1).await;
    }

    /// Waits until the broker has everything.
    pub async fn delivered(&self) {
        until("the outbox is empty", || self.metrics.outbox_depth.get() == 0).await;
    }

    /// SIGTERM, as the application would handle it.
    pub async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.delivery.task).await.expect("shutdown ends").unwrap();
        drop(self.store);
    }
}

/// Waits for a condition that changes by itself.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "waited in vain until {what}");
}

/// Somebody who listens.
#[derive(Debug)]
pub struct Subscriber {
    pub client: AsyncClient,
    messages: mpsc::UnboundedReceiver<Publish>,
    task: JoinHandle<()>,
}

impl Subscriber {
    /// Subscribes to `filter` at QoS 1; returns once the broker has said yes.
    pub async fn new(port: u16, filter: &str) -> Self {
        Self::with(MqttOptions::new(format!("listener-{}", Uuid::now_v7()), "127.0.0.1", port), filter).await
    }

    pub async fn with(mut options: MqttOptions, filter: &str) -> Self {
        options.set_keep_alive(Duration::from_secs(5));
        // Evidence is larger than what the client takes otherwise.
        options.set_max_packet_size(Some(1 << 20));
        let mut network = options.network_options();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        let (client, mut eventloop) = AsyncClient::new(options, 16);
        client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        let (sender, messages) = mpsc::unbounded_channel();
        let (ready, subscribed) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let mut ready = Some(ready);
            while let Ok(event) = eventloop.poll().await {
                match event {
                    MqttEvent::Incoming(Packet::SubAck(_)) => {
                        let _known = ready.take().map(|ready| ready.send(()));
                    }
                    MqttEvent::Incoming(Packet::Publish(publish)) => {
                        let _unread = sender.send(publish);
                    }
                    _ => {}
                }
            }
        });
        tokio::time::timeout(PATIENCE, subscribed).await.expect("the broker answers").expect("subscribed");
        Self { client, messages, task }
    }

    /// The next message.
    pub async fn next(&mut self) -> Publish {
        let message = tokio::time::timeout(PATIENCE, self.messages.recv()).await;
        message.expect("a message in time").expect("the subscription lives")
    }

    /// The next message's JSON.
    pub async fn json(&mut self) -> serde_json::Value {
        serde_json::from_slice(&self.next().await.payload).unwrap()
    }

    /// Ids in the order of arrival, until each of `ids` has come.
    pub async fn ids(&mut self, ids: &[Uuid]) -> Vec<String> {
        let mut seen = Vec::new();
        while !ids.iter().all(|id| seen.contains(&id.to_string())) {
            seen.push(self.json().await["id"].as_str().unwrap().to_owned());
        }
        seen
    }

    /// What has arrived and nobody took.
    pub fn pending(&mut self) -> usize {
        let mut count = 0;
        while self.messages.try_recv().is_ok() {
            count += 1;
        }
        count
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Ids without repetitions, in the order of their first arrival.
pub fn firsts(seen: &[String]) -> Vec<String> {
    let mut firsts: Vec<String> = Vec::new();
    for id in seen {
        if !firsts.contains(id) {
            firsts.push(id.clone());
        }
    }
    firsts
}

pub fn texts(ids: &[Uuid]) -> Vec<String> {
    ids.iter().map(Uuid::to_string).collect()
}
