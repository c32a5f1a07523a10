//! Measures the promise "decided, stored durably, at the subscriber" against a real broker: for `bench`.

use crate::config::{MqttConfig, StoreConfig};
use crate::event::{Class, Event, EventType, Ledger};
use crate::frame::{Clock, Moment};
use crate::metrics::Metrics;
use crate::mqtt::{self, Delivery, Parts, Telemetry, Topics, Tuning, link};
use crate::store::{Context, Recorder, Store};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event as MqttEvent};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A device of its own, so that a measurement on a household's broker looks like nobody's alert.
const DEVICE: &str = "falld-bench";
/// Longest wait for one event.
const PATIENCE: Duration = Duration::from_secs(10);

/// One event's way, each from its decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Until the commit had returned.
    pub stored: Duration,
    /// Until an independent subscriber had it.
    pub received: Duration,
}

/// The value below which the share `quantile` (0 to 1) of `times` lies; zero for none.
pub fn quantile(times: impl IntoIterator<Item = Duration>, quantile: f64) -> Duration {
    let mut sorted: Vec<Duration> = times.into_iter().collect();
    sorted.sort_unstable();
    let rank = (sorted.len().saturating_sub(1) as f64 * quantile.clamp(0.0, 1.0)).round() as usize;
    sorted.get(rank).copied().unwrap_or_default()
}

/// What the disk under `folder` takes for one commit's worth of appended bytes to be durable: the least that "stored"
/// can cost there, whatever the program.
pub fn disk_floor(folder: &Path, count: usize) -> std::io::Result<Vec<Duration>> {
    let path = folder.join(format!(".falld-bench-{}", std::process::id()));
    let mut file = File::create(&path)?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        // Two pages: an event and its outbox row.
        file.write_all(&[0x5a; 8192])?;
        let begun = Instant::now();
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    std::fs::remove_file(&path)?;
    Ok(times)
}

/// The road from a decision to an independent subscriber: a durable store, delivery, the broker, another client.
#[derive(Debug)]
pub struct Road {
    clock: Clock,
    arrivals: mpsc::UnboundedReceiver<(Uuid, Moment)>,
    store: Store,
    delivery: Delivery,
    shutdown: CancellationToken,
}

impl Road {
    /// Opens the store at `store` and connects to the broker of `config`, twice: as falld and as the subscriber.
    /// Errors are texts for people.
    pub async fn open(config: &MqttConfig, store: &StoreConfig, clock: Clock) -> Result<Self, String> {
        let metrics = Arc::new(Metrics::new());
        let arrivals = subscribe(config, clock).await?;
        let mut store = Store::open(store, clock, metrics.clone()).map_err(|error| error.to_string())?;
        let (commands, _ignored) = mpsc::channel(1);
        let shutdown = CancellationToken::new();
        let delivery = mqtt::spawn(Parts {
            config: MqttConfig { client_id: String::new(), session_expiry_s: 0, ..config.clone() },
            device: DEVICE.into(),
            outbox: store.outbox().ok_or("the outbox is taken")?,
            telemetry: Telemetry::new(DEVICE, clock),
            evidence: BTreeSet::new(),
            commands,
            metrics,
            clock,
            shutdown: shutdown.clone(),
            tuning: Tuning::default(),
        });
        Ok(Self { clock, arrivals, store, delivery, shutdown })
    }

    /// What the detector's thread writes with.
    pub fn recorder(&self) -> Recorder {
        self.store.recorder()
    }

    /// The next event that the subscriber receives, and when; an error after ten seconds without one.
    pub async fn arrival(&mut self) -> Result<(Uuid, Moment), String> {
        let arrival = tokio::time::timeout(PATIENCE, self.arrivals.recv()).await;
        arrival
            .map_err(|_| format!("no event arrived within {} s", PATIENCE.as_secs()))?
            .ok_or_else(|| "the subscriber lost its connection".into())
    }

    /// Says goodbye to the broker and closes the store.
    pub async fn close(self) -> Result<(), String> {
        self.shutdown.cancel();
        self.delivery.task.await.map_err(|error| error.to_string())
    }
}

/// Sends `count` events one by one, `pause` apart, through the store at `store` and the broker of `config`, and times
/// each until another client has received it. Errors are texts for people.
pub async fn measure(
    config: &MqttConfig,
    store: &StoreConfig,
    count: usize,
    pause: Duration,
) -> Result<Vec<Sample>, String> {
    let mut road = Road::open(config, store, Clock::start()).await?;
    let clock = road.clock;
    let mut samples = Vec::with_capacity(count);
    // The first ones make connections and caches.
    for number in 0..count + 10 {
        let recorder = road.recorder();
        let sent = tokio::task::spawn_blocking(move || {
            let decided = clock.now();
            let (id, stored) = append(&recorder, Ledger { captured: decided, scored: decided, decided });
            (id, decided, stored)
        })
        .await;
        let (id, decided, stored) = sent.map_err(|error| error.to_string())?;
        let received = loop {
            let (arrived, moment) = road.arrival().await?;
            if arrived == id {
                break moment;
            }
        };
        if number >= 10 {
            let since = |moment: Moment| moment.saturating_sub(decided);
            samples.push(Sample { stored: since(stored), received: since(received) });
        }
        tokio::time::sleep(pause).await;
    }
    road.close().await?;
    Ok(samples)
}

/// What the detector's thread does with a decision: makes it durable. Returns the event's id and when it was stored.
pub fn append(recorder: &Recorder, ledger: Ledger) -> (Uuid, Moment) {
    let id = Uuid::now_v7();
    let event = Event {
        id,
        incident: id,
        camera: "bench".into(),
        event: EventType::Test,
        class: Class::Fall,
        score: 1.0,
        place: None,
        ledger,
    };
    let stored = recorder.append(&event, &Context { device: DEVICE.into(), ..Context::default() });
    (id, stored.at)
}

/// Another client; gives each event's id and the moment of its arrival.
async fn subscribe(config: &MqttConfig, clock: Clock) -> Result<mpsc::UnboundedReceiver<(Uuid, Moment)>, String> {
    let topics = Topics::new(&config.base, DEVICE);
    let mut config = config.clone();
    config.client_id = format!("{DEVICE}-subscriber");
    config.session_expiry_s = 0;
    let mut options = link::options(&config, DEVICE, &Topics::new(&config.base, &config.client_id))
        .map_err(|error| error.to_string())?;
    options.set_clean_start(true);
    let (client, mut eventloop) = AsyncClient::new(options, 4);
    client.try_subscribe(topics.event("bench"), QoS::AtLeastOnce).map_err(|error| error.to_string())?;
    loop {
        match eventloop.poll().await {
            Ok(MqttEvent::Incoming(Packet::SubAck(_))) => break,
            Ok(_) => {}
            Err(error) => return Err(link::explain(&error, &config, false)),
        }
    }
    let (sender, arrivals) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        // Held, because the event loop ends with its last client.
        let _client = client;
        while let Ok(event) = eventloop.poll().await {
            let MqttEvent::Incoming(Packet::Publish(publish)) = event else { continue };
            let moment = clock.now();
            let payload: Option<serde_json::Value> = serde_json::from_slice(&publish.payload).ok();
            let id = payload.and_then(|payload| Uuid::parse_str(payload.get("id")?.as_str()?).ok());
            if id.is_some_and(|id| sender.send((id, moment)).is_err()) {
                return;
            }
        }
    });
    Ok(arrivals)
}
