//! Delivery over MQTT 5: publishes what the store holds until the broker has it, and hears commands.
//!
//! ```text
//! store ──notices──▶ driver (delivery: what to publish when) ──▶ link (connection) ──▶ broker
//!                       ▲ telemetry        │ commands → app        │
//!                       └──────────────────┴───────────── events ◀─┘
//! ```
//!
//! Two tasks. The link polls the client and does nothing else, because a poll that is cut off loses packets; it ends
//! and begins connections, for ever, with backoff. The driver owns all state: it waits in one place, and a synchronous
//! machine (`delivery`) decides. Nothing here waits on a disk, and nobody waits for anything here.
//!
//! Consumers may see an event twice, always with the same id: after a lost acknowledgement nobody can know. Absent on
//! purpose: QoS 2 (it would not make the chain beyond the broker exactly-once) and the client's own queue for events.

mod command;
mod delivery;
mod discovery;
mod driver;
pub mod latency;
mod link;
mod telemetry;
mod tidy;
mod topic;

use crate::config::MqttConfig;
use crate::config::check::LEAST_KEEP_ALIVE_S;
use crate::frame::{Clock, Moment};
use crate::metrics::Metrics;
use crate::store::Outbox;
pub use command::{Command, Order, parse as parse_command};
use driver::Driver;
use link::Link;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, EventLoop};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
pub use telemetry::{CameraState, Facts, Fall, Telemetry};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
pub use topic::Topics;

/// The port that MQTT over TLS has been given (IANA's `secure-mqtt`).
const TLS_PORT: u16 = 8883;

/// What is wrong with the configured connection. Each text names key, value and mend.
#[derive(Debug, thiserror::Error)]
pub enum MqttError {
    /// A file cannot be used.
    #[error("{key} = {}: {error}. Correct the path, or let falld's user read the file", path.display())]
    File {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        path: PathBuf,
        /// What is wrong.
        error: String,
    },
    /// A certificate without its key, or the other way round.
    #[error("mqtt.tls.cert and mqtt.tls.key belong together: set both or none")]
    HalfAnIdentity,
    /// The broker did not accept us.
    #[error("{0}")]
    Unreachable(String),
}

/// How patient delivery is. The defaults suit a house; tests shorten them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// First pause between two connections; doubles, with jitter.
    pub backoff_min: Duration,
    /// Longest pause between two connections.
    pub backoff_max: Duration,
    /// Silence after a publish that means a stalled broker: the connection is begun anew.
    pub answer: Duration,
    /// First pause after the broker refused an event; doubles.
    pub retry_min: Duration,
    /// Longest pause after the broker refused an event.
    pub retry_max: Duration,
    /// How long an event that nobody subscribes to is kept for somebody who comes late.
    pub unheard: Duration,
    /// Between two health messages.
    pub health_every: Duration,
    /// Time for the outbox to drain at shutdown.
    pub grace: Duration,
}

impl Tuning {
    /// After so long without news, what was said of a state holds no more: two health messages may be lost.
    pub(crate) fn expire_after(&self) -> Duration {
        (self.health_every * 3).max(Duration::from_secs(1))
    }
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            backoff_min: Duration::from_millis(250),
            backoff_max: Duration::from_secs(30),
            answer: Duration::from_secs(20),
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_secs(60),
            unheard: Duration::from_secs(600),
            health_every: Duration::from_secs(30),
            grace: Duration::from_secs(3),
        }
    }
}

/// What delivery is made of.
#[derive(Debug)]
pub struct Parts {
    /// The broker.
    pub config: MqttConfig,
    /// The device's id.
    pub device: String,
    /// What waits, from [`crate::store::Store::outbox`]. Keep the store until the task has ended, or its last receipts
    /// are not written and those events are sent again after the next start.
    pub outbox: Outbox,
    /// State and health.
    pub telemetry: Telemetry,
    /// Cameras whose alerts are shown: the topic is announced for these.
    pub evidence: BTreeSet<String>,
    /// Where commands go; bounded, and a full channel refuses the command.
    pub commands: mpsc::Sender<Command>,
    /// The daemon's numbers.
    pub metrics: Arc<Metrics>,
    /// The daemon's clock.
    pub clock: Clock,
    /// Cancelled after the detector has finished: the outbox drains, `offline` goes out, the task ends.
    pub shutdown: CancellationToken,
    /// Patience.
    pub tuning: Tuning,
}

/// The running delivery.
#[derive(Debug)]
pub struct Delivery {
    /// Ends after a shutdown.
    pub task: JoinHandle<()>,
    progress: Progress,
}

/// Last signs of life, for a watchdog. Waiting for an absent broker is life.
#[derive(Debug, Clone)]
pub struct Progress {
    driver: Arc<AtomicU64>,
    link: Arc<AtomicU64>,
    link_limit: Duration,
}

impl Delivery {
    /// A handle for the watchdog that outlives this one.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl Progress {
    /// The task that has hung for too long at `now`, if one has.
    pub fn stalled(&self, now: Moment) -> Option<&'static str> {
        let late = |stamp: &AtomicU64, limit: Duration| {
            now.saturating_sub(Moment::from_micros(stamp.load(Ordering::Relaxed))) > limit
        };
        // The driver wakes every second whatever happens.
        if late(&self.driver, Duration::from_secs(10)) {
            return Some("mqtt driver");
        }
        late(&self.link, self.link_limit).then_some("mqtt connection")
    }
}

/// Starts delivery on the current tokio runtime. What is wrong with the connection's files was said before the start (see
/// `preflight`); they are read anew at each connection, so here nothing can fail.
pub fn spawn(parts: Parts) -> Delivery {
    let topics = Topics::new(&parts.config.base, &parts.device);
    // Small on purpose: a flood of messages waits in the socket, not in our memory.
    let (sender, events) = mpsc::channel(64);
    let now = u64::try_from(parts.clock.now().as_micros()).unwrap_or(u64::MAX);
    let keep_alive = Duration::from_secs(parts.config.keep_alive_s.max(LEAST_KEEP_ALIVE_S).into());
    let progress = Progress {
        driver: Arc::new(now.into()),
        link: Arc::new(now.into()),
        link_limit: keep_alive * 3 + parts.tuning.backoff_max + Duration::from_secs(15),
    };
    let stop = CancellationToken::new();
    let link = Link {
        config: parts.config.clone(),
        device: parts.device.clone(),
        topics: topics.clone(),
        clock: parts.clock,
        tuning: parts.tuning,
        events: sender,
        stop: stop.clone(),
        progress: progress.link.clone(),
    };
    let driver = Driver::new(parts, topics, events, stop, progress.driver.clone());
    let task = tokio::spawn(async move {
        let link = tokio::spawn(link.run());
        driver.run().await;
        // A panic in the link aborts the daemon; there is nothing to add here.
        let _ended = link.await;
    });
    Delivery { task, progress }
}

/// Looks whether the configured files can be used, without connecting. Gives warnings.
pub fn check(config: &MqttConfig, device: &str) -> Result<Vec<String>, MqttError> {
    link::options(config, device, &Topics::new(&config.base, device))?;
    let mut warnings = Vec::new();
    if config.tls.is_none() && config.port == TLS_PORT {
        let what = "that is MQTT's port for TLS, and mqtt.tls is not set";
        warnings.push(format!(
            "mqtt.port = {TLS_PORT}: {what}; add [mqtt.tls] with the ca that signed the broker's certificate"
        ));
    }
    if config.tls.is_none()
        && !config.username.is_empty()
        && !matches!(config.host.as_str(), "localhost" | "127.0.0.1" | "::1")
    {
        warnings.push(format!("mqtt.host = {}: the password travels unencrypted; set mqtt.tls", config.host));
    }
    Ok(warnings)
}

/// Connects once under another client id and disconnects: for `doctor`. Gives the time it took.
pub async fn probe(config: &MqttConfig, device: &str) -> Result<Duration, MqttError> {
    let begun = std::time::Instant::now();
    // Without a will, which would say `offline` in the daemon's name.
    let options = link::login(config, format!("{}-doctor", link::client_id(config, device)))?;
    let (client, mut eventloop) = AsyncClient::new(options, 4);
    loop {
        match eventloop.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => break,
            Ok(_) => {}
            Err(error) => return Err(MqttError::Unreachable(link::explain(&error, config, false))),
        }
    }
    let took = begun.elapsed();
    goodbye(&client, &mut eventloop).await;
    Ok(took)
}

/// Ends a connection that holds nothing; whether the broker hears of it changes nothing.
async fn goodbye(client: &AsyncClient, eventloop: &mut EventLoop) {
    if client.try_disconnect().is_ok() {
        let closed = async { while eventloop.poll().await.is_ok() {} };
        let _late = tokio::time::timeout(Duration::from_millis(500), closed).await;
    }
}
