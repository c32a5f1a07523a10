//! Each transition is in the journal once, under its id and with its fields.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "support is shared by several test programs")]

mod support {
    pub mod broker;
    pub mod camera;
    pub mod falld;
    pub mod proxy;
}

use falld::camera::CameraError;
use falld::camera::scripted::{Scene, Script, Step};
use falld::config::CameraConfig;
use falld::health::CameraHealth;
use falld::journal;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;
use support::broker::{Mosquitto, OPEN};
use support::camera::Rig;
use support::falld::{Falld, broker_at, store_in, until};
use support::proxy::{Mode, Proxy};
use tracing::field::{Field, Visit};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

type Entry = BTreeMap<String, String>;

/// Everything that was logged with an id, by all threads.
static ENTRIES: LazyLock<Mutex<Vec<Entry>>> = LazyLock::new(Mutex::default);

struct Journal;

struct Fields(Entry);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl<S: tracing::Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields(Entry::new());
        event.record(&mut fields);
        if fields.0.contains_key("MESSAGE_ID") {
            ENTRIES.lock().unwrap().push(fields.0);
        }
    }
}

/// The entries under `id`.
fn under(id: &str) -> Vec<Entry> {
    ENTRIES.lock().unwrap().iter().filter(|entry| entry["MESSAGE_ID"] == id).cloned().collect()
}

/// A gauge is set before its entry is written, so a story that counts entries waits for them, not for the gauge.
async fn written(id: &str, count: usize) {
    until("the journal has the entry", || under(id).len() >= count).await;
}

/// One test, because all share the process's log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transitions_are_logged_once_each() {
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Journal)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let road = Proxy::start(mosquitto.port, Mode::Pass).await;
    let falld = Falld::start(&store_in(folder.path()), broker_at(road.port));
    falld.connected().await;
    let (id, _) = falld.fall("bed");
    falld.delivered().await;

    // Away for several attempts, which is one loss.
    road.set(Mode::Closed);
    until("the loss is noticed", || falld.metrics.broker_connected.get() == 0).await;
    until("three attempts have failed", || road.turned_away() >= 3).await;
    road.set(Mode::Pass);
    written(journal::BROKER_CONNECTED, 2).await;
    assert_eq!((under(journal::BROKER_CONNECTED).len(), under(journal::BROKER_LOST).len()), (2, 1));
    written(journal::EVENT_DELIVERED, 1).await;
    let delivered = under(journal::EVENT_DELIVERED);
    assert_eq!(delivered.len(), 1, "{delivered:?}");
    let entry = &delivered[0];
    assert_eq!((entry["event_id"].as_str(), entry["camera"].as_str()), (id.to_string().as_str(), "bed"));
    assert_eq!((entry["class"].as_str(), entry["score"].as_str()), ("fall", "0.930"));
    assert!(entry["latency_ms"].parse::<f64>().unwrap() > 0.0);

    // A full disk, for many events, is one change.
    falld.store.limit_pages(Some(1));
    for _ in 0..200 {
        falld.fall("bed");
    }
    assert_eq!(falld.metrics.store_degraded.get(), 1);
    falld.store.limit_pages(None);
    written(journal::STORE_RECOVERED, 1).await;
    assert_eq!(falld.metrics.store_degraded.get(), 0);
    assert_eq!((under(journal::STORE_DEGRADED).len(), under(journal::STORE_RECOVERED).len()), (1, 1));
    falld.stop().await;

    // A camera that stays away is lost once.
    let show = |count| Step::Show { scene: Scene::Room, count, every: Duration::from_millis(4) };
    let gone = || Step::Fail(CameraError::Lost("unplugged".into()));
    let script = Script::new().session([show(5), gone()]).session([gone()]).session([show(u64::MAX)]);
    let quick = CameraConfig { open_timeout_s: 0.3, read_timeout_s: 0.3, ..CameraConfig::default() };
    let mut rig = Rig::scripted(&script, quick);
    rig.witness.wait(4, CameraHealth::Ok);
    rig.stop();
    let healths = under(journal::CAMERA_HEALTH);
    let words: Vec<_> = healths.iter().map(|entry| (entry["camera"].as_str(), entry["health"].as_str())).collect();
    assert_eq!(words, [("room", "connecting"), ("room", "ok"), ("room", "lost"), ("room", "ok")]);
    assert!(healths[2]["detail"].contains("unplugged"), "{:?}", healths[2]);
}
