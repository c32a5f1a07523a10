//! Home Assistant goes away and comes back, and hears what it missed: stories of store and delivery against a real broker.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "support is shared by several test programs")]

mod support {
    pub mod broker;
    pub mod falld;
}

use falld::event::{Event, EventType};
use rumqttc::v5::mqttbytes::QoS;
use serde_json::Value;
use support::broker::{Mosquitto, OPEN};
use support::falld::{Falld, Subscriber, broker_at, fall_now, store_in};
use uuid::Uuid;

const EVENTS: &str = "falld/house/+/event";

/// Home Assistant has come up: so it says itself.
async fn birth(home: &Subscriber) {
    home.client.publish("homeassistant/status", QoS::AtMostOnce, false, "online").await.unwrap();
}

/// A falld that listens for it.
async fn falld_at(mosquitto: &Mosquitto, folder: &std::path::Path) -> Falld {
    let mut config = broker_at(mosquitto.port);
    config.home_assistant = true;
    // `online` comes behind the subscriptions on the same connection: then falld listens.
    let mut status = Subscriber::new(mosquitto.port, "falld/house/status").await;
    let falld = Falld::start(&store_in(folder), config);
    while status.next().await.payload != "online" {}
    falld
}

fn next(first: &Event, kind: EventType) -> Event {
    Event { id: Uuid::now_v7(), event: kind, ..first.clone() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn home_assistant_comes_back_while_somebody_lies_there() {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let mut nurse = Subscriber::new(mosquitto.port, EVENTS).await;
    let falld = falld_at(&mosquitto, folder.path()).await;
    // The broker has somebody to give it to, and takes it. Home Assistant has kept no session.
    falld.fall("bed");
    let told = nurse.json().await;
    falld.delivered().await;

    let mut home = Subscriber::new(mosquitto.port, EVENTS).await;
    birth(&home).await;
    let again = home.json().await;
    for same in ["id", "incident", "seq", "t_event", "type", "ledger/stored_us"] {
        let pointer = format!("/{same}");
        assert_eq!(again.pointer(&pointer), told.pointer(&pointer), "{same}");
    }
    let published = |event: &Value| event["t_published"].as_str().unwrap().to_owned();
    assert!(published(&again) > published(&told), "for how long it waited is told by this copy");
    assert_eq!(nurse.json().await, again);
    falld.delivered().await;
    assert!(falld.metrics.render().unwrap().contains("falld_decision_to_publish_seconds_count 1"));
    falld.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_return_tells_the_last_alert_of_what_goes_on_once_and_nothing_that_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let mut home = Subscriber::new(mosquitto.port, EVENTS).await;
    let falld = falld_at(&mosquitto, folder.path()).await;
    let [bed, hall, stairs] = ["bed", "hall", "stairs"].map(|camera| fall_now(&falld.clock, camera));
    let long_lie = next(&bed, EventType::LongLie);
    let (answered, up) = (next(&hall, EventType::Acknowledged), next(&bed, EventType::Recovered));
    let mut expected = Vec::new();
    for event in [&bed, &hall, &answered, &long_lie] {
        falld.tell(event);
        expected.push(event.id);
    }
    falld.delivered().await;
    // A network that hesitates brings Home Assistant back several times: that is one return.
    birth(&home).await;
    birth(&home).await;
    expected.push(long_lie.id);
    let mut seen = Vec::new();
    let ids = async |home: &mut Subscriber, seen: &mut Vec<String>, count| {
        while seen.len() < count {
            seen.push(home.json().await["id"].as_str().unwrap().to_owned());
        }
    };
    ids(&mut home, &mut seen, expected.len()).await;
    falld.tell(&up);
    falld.tell(&stairs);
    falld.delivered().await;
    // A copy of another alert would come before that of the newest one.
    birth(&home).await;
    expected.extend([up.id, stairs.id, stairs.id]);
    ids(&mut home, &mut seen, expected.len()).await;
    assert_eq!(seen, support::falld::texts(&expected));
    falld.delivered().await;
    falld.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_birth_that_was_retained_is_no_return() {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let mut home = Subscriber::new(mosquitto.port, EVENTS).await;
    home.client.publish("homeassistant/status", QoS::AtLeastOnce, true, "online").await.unwrap();
    let falld = falld_at(&mosquitto, folder.path()).await;
    let fall = fall_now(&falld.clock, "bed");
    falld.tell(&fall);
    falld.delivered().await;
    home.json().await;
    falld.stop().await;
    let falld = falld_at(&mosquitto, folder.path()).await;
    // Longer than a return takes to be answered: health is said every half second.
    let mut health = Subscriber::new(mosquitto.port, "falld/house/health").await;
    for _ in 0..7 {
        health.next().await;
    }
    assert_eq!(home.pending(), 0);
    falld.stop().await;
}
