//! What is really published fits `deploy/schemas`, and the retained topics tell who is there.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "support is shared by several test programs")]

mod support {
    pub mod broker;
    pub mod falld;
    pub mod proxy;
}

use falld::event::{Class, Event, EventType, Ledger};
use falld::frame::Clock;
use falld::health::CameraHealth;
use falld::mqtt::{CameraState, Fall, Tuning, parse_command};
use falld::store::Context;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Publish, PublishProperties};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use support::broker::{self, Mosquitto, OPEN};
use support::falld::{Falld, Subscriber, broker_at, quick, store_in};
use support::proxy::{Mode, Proxy};
use uuid::Uuid;

fn validator(name: &str) -> jsonschema::Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("deploy/schemas/{name}.json"));
    let schema = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

fn hold(name: &str, value: &Value) {
    if let Err(error) = validator(name).validate(value) {
        panic!("{name}: {error}\n{value:#}");
    }
}

/// The message on `topic`, whatever else comes before it.
async fn on(subscriber: &mut Subscriber, topic: &str) -> Publish {
    loop {
        let message = subscriber.next().await;
        if message.topic == topic.as_bytes() {
            return message;
        }
    }
}

fn value(message: &Publish) -> Value {
    serde_json::from_slice(&message.payload).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_published_fits_its_schema() {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let mut subscriber = Subscriber::new(mosquitto.port, "falld/house/#").await;
    let falld = Falld::start(&store_in(folder.path()), broker_at(mosquitto.port));
    let mut state = CameraState { health: CameraHealth::Ok, ..CameraState::default() };
    falld.telemetry.set_state("bed", state.clone());
    state.fall = Fall::Down;
    state.detail = Some("ünlit".into());
    falld.telemetry.set_state("hall", state);
    let now = falld.clock.now();
    let ledger = Ledger { captured: now, scored: now, decided: now };
    let mut context = Context { device: "house".into(), ..Context::default() };
    context.model.name = "tiny".into();
    for (event, score) in EventType::ALL.into_iter().zip([0.0, 1.0, 0.5, f32::NAN, 7.0, -1.0, 0.9]) {
        let id = Uuid::now_v7();
        let place = (event == EventType::Climb).then(|| "Fenster".to_owned());
        let event = Event { id, incident: id, camera: "bed".into(), event, class: Class::Climb, score, place, ledger };
        falld.recorder.append(&event, &context);
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let wanted = ["status", "health", "state", "event"];
    while seen.get("event") != Some(&7) || wanted.iter().any(|kind| !seen.contains_key(*kind)) {
        let message = subscriber.next().await;
        let topic = String::from_utf8(message.topic.to_vec()).unwrap();
        let kind = topic.rsplit('/').next().unwrap().to_owned();
        let properties = message.properties.clone().unwrap();
        assert_eq!(properties.payload_format_indicator, Some(1));
        if kind == "status" {
            hold("status", &json!(String::from_utf8(message.payload.to_vec()).unwrap()));
        } else {
            hold(&kind, &value(&message));
            assert_eq!(properties.content_type.as_deref(), Some("application/json"));
            assert_eq!(properties.user_properties, [("schema".to_owned(), "1".to_owned())]);
        }
        assert_eq!(properties.message_expiry_interval.is_some(), ["health", "state"].contains(&&*kind));
        assert_eq!(message.qos == QoS::AtLeastOnce, kind == "event");
        *seen.entry(kind).or_default() += 1;
    }
    falld.stop().await;
}

#[test]
fn every_health_of_a_camera_fits_the_schema_and_no_other_word_does() {
    let validator = validator("state");
    let mut state = serde_json::to_value(CameraState::default()).unwrap();
    let facts = json!({"schema": 1, "device": "house", "camera": "bed", "since": "2026-11-24T07:00:00.000Z"});
    state.as_object_mut().unwrap().extend(facts.as_object().unwrap().clone());
    assert_eq!(state["health"], "connecting");
    for health in CameraHealth::ALL {
        state["health"] = serde_json::to_value(health).unwrap();
        assert_eq!(state["health"], health.as_str());
        assert!(validator.is_valid(&state), "{state}");
    }
    state["health"] = "seeing".into();
    assert!(!validator.is_valid(&state));
}

#[test]
fn the_command_schema_and_the_parser_agree() {
    let schema = validator("command");
    let id = Uuid::now_v7().to_string();
    for (command, good) in [
        (json!({"command": "ack"}), true),
        (json!({"command": "ack", "incident": id}), true),
        (json!({"command": "ack", "incident": null}), true),
        (json!({"command": "test"}), true),
        (json!({"command": "arm"}), true),
        (json!({"command": "disarm"}), true),
        (json!({"command": "disarm", "incident": id}), false),
        (json!({"command": "ack", "incident": "yesterday"}), false),
        (json!({"command": "ack", "force": true}), false),
        (json!({"command": "shout"}), false),
        (json!({}), false),
        (json!(["ack"]), false),
    ] {
        assert_eq!(schema.is_valid(&command), good, "{command}");
        assert_eq!(parse_command("bed", command.to_string().as_bytes(), false).is_ok(), good, "{command}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_says_who_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let road = Proxy::start(mosquitto.port, Mode::Pass).await;
    let status = "falld/house/status";
    let mut subscriber = Subscriber::new(mosquitto.port, status).await;
    // What is retained outlives the time in which a slow machine connects.
    let tuning = Tuning { health_every: Duration::from_secs(1), ..quick() };
    let falld = Falld::start_with(&store_in(folder.path()), broker_at(road.port), tuning, Clock::start());
    assert_eq!(subscriber.next().await.payload, "online");
    falld.telemetry.set_state("bed", CameraState { health: CameraHealth::Ok, ..CameraState::default() });

    // The road breaks: the broker says it; falld comes back and says so.
    road.set(Mode::Closed);
    assert_eq!(subscriber.next().await.payload, "offline");
    road.set(Mode::Pass);
    assert_eq!(subscriber.next().await.payload, "online");

    // The state that the break may have swallowed is there again.
    Subscriber::new(mosquitto.port, "falld/house/bed/state").await.next().await;

    // Whoever comes late finds everything.
    let mut late = Subscriber::new(mosquitto.port, "falld/house/#").await;
    let state = on(&mut late, "falld/house/bed/state").await;
    assert!(state.retain && value(&state)["health"] == "ok");
    // It is renewed without a change, and gone by itself when nobody does that: the camera may be gone.
    let expiry = |message: &Publish| message.properties.as_ref().and_then(|it| it.message_expiry_interval);
    assert!(expiry(&state).is_some());
    let renewed = on(&mut late, "falld/house/bed/state").await;
    assert!(!renewed.retain && expiry(&renewed).is_some());

    falld.stop().await;
    assert_eq!(subscriber.next().await.payload, "offline");
}

/// How often falld has connected, as its next health message says.
async fn connects(subscriber: &mut Subscriber) -> u64 {
    value(&on(subscriber, "falld/house/health").await)["connects"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_waits_for_the_broker_and_for_whoever_comes_late() {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let road = Proxy::start(mosquitto.port, Mode::Closed).await;
    let mut subscriber = Subscriber::new(mosquitto.port, "falld/house/#").await;
    let falld = Falld::start(&store_in(folder.path()), broker_at(road.port));
    // What an earlier configuration showed of another camera.
    let stairs = "falld/house/stairs/evidence";
    subscriber.client.publish(stairs, QoS::AtLeastOnce, true, "GIF89a, of the room").await.unwrap();
    assert_eq!(on(&mut subscriber, stairs).await.payload, "GIF89a, of the room");
    falld.telemetry.set_state("stairs", CameraState::default());
    let older = Uuid::now_v7();
    falld.telemetry.set_evidence("bed", older, b"GIF89a, older".to_vec());
    let (event, _) = falld.fall("bed");
    falld.telemetry.set_evidence("bed", event, b"GIF89a".to_vec());
    road.set(Mode::Pass);
    assert_eq!(on(&mut subscriber, stairs).await.payload, "", "taken back");
    let shown = |message: &Publish| {
        assert_eq!((&*message.payload, message.qos), (&b"GIF89a"[..], QoS::AtMostOnce), "the newest, once");
        let properties = message.properties.clone().unwrap();
        assert_eq!(properties.content_type.as_deref(), Some("image/gif"));
        assert_eq!(properties.user_properties, [("event".to_owned(), event.to_string())]);
        // Counted down by the broker.
        assert!((86_000..=86_400).contains(&properties.message_expiry_interval.unwrap()), "gone after a day");
    };
    shown(&on(&mut subscriber, "falld/house/bed/evidence").await);
    let mut late = Subscriber::new(mosquitto.port, "falld/house/bed/evidence").await;
    shown(&late.next().await);
    // Health comes again and again, evidence does not.
    connects(&mut subscriber).await;
    connects(&mut subscriber).await;
    assert_eq!(late.pending(), 0);
    falld.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_takes_nothing_so_large_gets_the_event_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), &format!("{OPEN}max_packet_size 4000\n"));
    let mut subscriber = Subscriber::new(mosquitto.port, "falld/house/#").await;
    let falld = Falld::start(&store_in(folder.path()), broker_at(mosquitto.port));
    falld.connected().await;
    falld.telemetry.set_evidence("bed", Uuid::now_v7(), vec![0; 5000]);
    let (event, _) = falld.fall("bed");
    assert_eq!(value(&on(&mut subscriber, "falld/house/bed/event").await)["id"], event.to_string());
    // What is small enough goes on its way.
    falld.telemetry.set_evidence("bed", event, vec![0; 3000]);
    assert_eq!(on(&mut subscriber, "falld/house/bed/evidence").await.payload.len(), 3000);
    assert_eq!(connects(&mut subscriber).await, 1, "nothing broke the connection");
    falld.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_at_which_the_broker_hangs_up_is_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    // It takes 64 KiB and does not say so.
    let port = broker::embedded();
    let mut subscriber = Subscriber::new(port, "falld/house/#").await;
    let falld = Falld::start(&store_in(folder.path()), broker_at(port));
    falld.connected().await;
    falld.telemetry.set_evidence("bed", Uuid::now_v7(), vec![0; 100_000]);
    let mut patience = 40;
    while connects(&mut subscriber).await < 2 {
        patience -= 1;
        assert!(patience > 0, "it never hung up");
    }
    let (event, _) = falld.fall("bed");
    assert_eq!(value(&on(&mut subscriber, "falld/house/bed/event").await)["id"], event.to_string());
    falld.delivered().await;
    connects(&mut subscriber).await;
    assert_eq!(connects(&mut subscriber).await, 2, "it hung up once");
    falld.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_drains_the_outbox() {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let mut subscriber = Subscriber::new(mosquitto.port, "falld/house/+/event").await;
    let falld = Falld::start(&store_in(folder.path()), broker_at(mosquitto.port));
    falld.connected().await;
    let ids: Vec<Uuid> = (0..100).map(|_| falld.fall("bed").0).collect();
    let metrics = falld.metrics.clone();
    falld.stop().await;
    assert_eq!(metrics.outbox_depth.get(), 0);
    assert_eq!(subscriber.ids(&ids).await.len(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_does_not_wait_for_an_absent_broker() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = broker_at(support::broker::free_port());
    let falld = Falld::start(&store_in(folder.path()), nobody);
    falld.fall("bed");
    let begun = std::time::Instant::now();
    falld.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_never_lands_on_our_own_topics() {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let mut subscriber = Subscriber::new(mosquitto.port, "falld/house/+/event").await;
    let mut falld = Falld::start_with(&store_in(folder.path()), broker_at(mosquitto.port), quick(), Clock::start());
    let mut status = Subscriber::new(mosquitto.port, "falld/house/status").await;
    assert_eq!(status.next().await.payload, "online");
    let properties =
        PublishProperties { response_topic: Some("falld/house/bed/event".into()), ..PublishProperties::default() };
    let (topic, payload) = ("falld/house/bed/cmd", r#"{"command":"test"}"#);
    subscriber.client.publish_with_properties(topic, QoS::AtLeastOnce, false, payload, properties).await.unwrap();
    tokio::time::timeout(support::broker::PATIENCE, falld.commands.recv()).await.unwrap().unwrap();
    let (id, _) = falld.fall("bed");
    assert_eq!(subscriber.json().await["id"], id.to_string(), "the first message is an event");
    falld.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn home_assistant_is_told_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let mut home = Subscriber::new(mosquitto.port, "homeassistant/device/#").await;
    let mut config = broker_at(mosquitto.port);
    config.home_assistant = true;
    let falld = Falld::start(&store_in(folder.path()), config);
    falld.telemetry.set_state("bed", CameraState::default());
    let mut announced = value(&on(&mut home, "homeassistant/device/house/config").await);
    while announced["cmps"].get("bed_fall").is_none() {
        announced = value(&on(&mut home, "homeassistant/device/house/config").await);
    }
    assert_eq!(announced["cmps"]["bed_fall"]["state_topic"], "falld/house/bed/state");
    // It comes up later and asks.
    home.client.publish("homeassistant/status", QoS::AtMostOnce, false, "online").await.unwrap();
    assert_eq!(value(&on(&mut home, "homeassistant/device/house/config").await), announced);
    falld.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_camera_leaves_neither_picture_nor_entities_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let road = Proxy::start(mosquitto.port, Mode::Closed).await;
    let mut everything = Subscriber::new(mosquitto.port, "#").await;
    // What falld left there under its last configuration, and another device.
    let announced =
        json!({"cmps": {"attic_fall": {"p": "binary_sensor", "unique_id": "x"}, "bed_fall": {"p": "binary_sensor"}}});
    let picture = vec![b'x'; 90_000];
    for (topic, payload) in [
        ("falld/house/attic/state", b"{}".to_vec()),
        ("falld/house/attic/evidence", picture.clone()),
        ("falld/house/bed/evidence", picture.clone()),
        ("falld/household/attic/evidence", picture.clone()),
        ("homeassistant/device/house/config", announced.to_string().into_bytes()),
    ] {
        everything.client.publish(topic, QoS::AtLeastOnce, true, payload).await.unwrap();
        on(&mut everything, topic).await;
    }
    let mut config = broker_at(road.port);
    config.home_assistant = true;
    let falld = Falld::start(&store_in(folder.path()), config.clone());
    falld.telemetry.set_state("bed", CameraState { watches: vec![Class::Fall], ..CameraState::default() });
    road.set(Mode::Pass);
    let mut cleared = Vec::new();
    let message = loop {
        let message = everything.next().await;
        if message.topic.starts_with(b"homeassistant/") {
            break message;
        }
        if message.payload.is_empty() {
            cleared.push(String::from_utf8(message.topic.to_vec()).unwrap());
        }
    };
    assert_eq!(cleared, ["falld/house/attic/state", "falld/house/attic/evidence"]);
    let components = &value(&message)["cmps"];
    assert_eq!(components["attic_fall"], json!({"p": "binary_sensor"}), "Home Assistant takes it away");
    assert_eq!(components["bed_fall"]["state_topic"], "falld/house/bed/state");
    // The others' pictures stay.
    for topic in ["falld/house/bed/evidence", "falld/household/attic/evidence"] {
        assert_eq!(Subscriber::new(mosquitto.port, topic).await.next().await.payload, picture);
    }
    falld.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_falld_may_not_read_what_it_left_nothing_is_taken_back_and_nothing_else_suffers() {
    let folder = tempfile::tempdir().unwrap();
    let acl = folder.path().join("acl");
    let rights =
        "topic write falld/house/#\ntopic read falld/house/+/cmd\ntopic write homeassistant/device/house/config\n";
    std::fs::write(&acl, format!("topic readwrite #\nuser falld\n{rights}")).unwrap();
    let mosquitto = Mosquitto::start(folder.path(), &format!("{OPEN}acl_file {}\n", acl.display()));
    let mut everything = Subscriber::new(mosquitto.port, "#").await;
    let attic = "falld/house/attic/evidence";
    everything.client.publish(attic, QoS::AtLeastOnce, true, "GIF89a").await.unwrap();
    on(&mut everything, attic).await;
    let mut config = broker_at(mosquitto.port);
    config.home_assistant = true;
    config.username = "falld".into();
    let falld = Falld::start(&store_in(folder.path()), config);
    falld.telemetry.set_state("bed", CameraState::default());
    let (id, _) = falld.fall("bed");
    assert_eq!(value(&on(&mut everything, "falld/house/bed/event").await)["id"], id.to_string());
    let announced = value(&on(&mut everything, "homeassistant/device/house/config").await);
    assert!(announced["cmps"].get("bed_event").is_some(), "{announced:#}");
    assert_eq!(Subscriber::new(mosquitto.port, attic).await.next().await.payload, "GIF89a");
    falld.stop().await;
}
