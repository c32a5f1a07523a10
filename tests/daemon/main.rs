//! The whole road: the real `falld run` with the real model on a clip as its camera, a real broker, and a subscriber that
//! knows nothing of falld's code.
//!
//! Each story has a process, a broker and a store of its own. Where the road is the matter and not the model's
//! judgement, the site is [`anxious`](support::site::Site::anxious).

#![cfg(all(feature = "opencv", feature = "ort"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, dead_code, reason = "support is shared by several test programs")]

mod commands;
mod purpose;
mod setup;
#[path = "../support"]
mod support {
    pub mod broker;
    pub mod falld;
    pub mod site;
    pub mod video;
}

use rumqttc::v5::mqttbytes::v5::Publish;
use rustix::process::Signal;
use serde_json::Value;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};
use support::broker::{Mosquitto, OPEN, PATIENCE, free_port};
use support::falld::{Subscriber, until};
use support::site::{Site, of_repository};

fn value(message: &Publish) -> Value {
    serde_json::from_slice(&message.payload).unwrap()
}

fn topic(message: &Publish) -> &str {
    std::str::from_utf8(&message.topic).unwrap()
}

fn hold(schema: &str, value: &Value) {
    let text = std::fs::read_to_string(of_repository(&format!("deploy/schemas/{schema}.json"))).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap();
    if let Err(error) = validator.validate(value) {
        panic!("{schema}: {error}\n{value:#}");
    }
}

/// The next message that `wanted` likes.
async fn heard(subscriber: &mut Subscriber, mut wanted: impl FnMut(&Publish) -> bool) -> Publish {
    loop {
        let message = subscriber.next().await;
        if wanted(&message) {
            return message;
        }
    }
}

/// The next state of `camera` that `wanted` likes.
async fn state(subscriber: &mut Subscriber, camera: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let path = format!("falld/house/{camera}/state");
    value(&heard(subscriber, |message| topic(message) == path && wanted(&value(message))).await)
}

/// A broker in a folder of its own.
fn broker() -> (tempfile::TempDir, Mosquitto) {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    (folder, mosquitto)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fall_on_the_camera_reaches_the_subscriber() {
    let (_folder, mosquitto) = broker();
    let mut events = Subscriber::new(mosquitto.port, "falld/house/+/event").await;
    let mut shown = Subscriber::new(mosquitto.port, "falld/house/+/evidence").await;
    // The film again and again: whoever watches a busy machine misses some pictures, not every fall.
    let mut site = Site::playing(mosquitto.port, "fall.mp4");
    site.set("camera.room.repeat", true);
    let falld = site.start();
    let message = events.next().await;
    let event = value(&message);
    hold("event", &event);
    assert_eq!(topic(&message), "falld/house/room/event");
    assert_eq!((&event["type"], &event["class"]), (&"fall".into(), &"fall".into()), "{event}");
    assert_eq!(event["model"]["sha256"].as_str().unwrap().len(), 64, "{event}");
    let at = |station: &str| event["ledger"][station].as_i64().unwrap();
    let ledger = ["captured_us", "scored_us", "decided_us", "stored_us", "published_us"].map(at);
    assert!(ledger.is_sorted(), "{event:#}");
    assert!(ledger[4] - ledger[0] < 5_000_000, "from the picture to the subscriber in seconds: {event:#}");
    assert_eq!(site.stored().first().map(String::as_str), event["id"].as_str());
    // What the caregiver sees of it.
    let evidence = shown.next().await;
    assert_eq!(topic(&evidence), "falld/house/room/evidence");
    assert!(evidence.payload.starts_with(b"GIF89a") && evidence.payload.len() < 100_000, "{}", evidence.payload.len());
    assert_eq!(evidence.properties.unwrap().user_properties[0].1, event["id"].as_str().unwrap());
    // What the operator sees of it.
    until("the broker has acknowledged", || falld.number("falld_outbox_depth") == 0.0).await;
    assert!(falld.number("falld_frames_total{camera=\"room\"}") > 10.0);
    assert!(falld.number("falld_events_total{camera=\"room\",class=\"fall\",type=\"fall\"}") >= 1.0);
    assert!(falld.get("/healthz").unwrap().contains("200 OK"));
    until("one line for each event", || falld.said("durable=true") == site.stored().len()).await;
    assert!(falld.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_drains_and_says_offline() {
    let (_folder, mosquitto) = broker();
    let mut status = Subscriber::new(mosquitto.port, "falld/house/status").await;
    let mut site = Site::playing(mosquitto.port, "everyday.mp4");
    site.set("camera.room.repeat", true);
    let falld = site.start();
    assert_eq!(status.next().await.payload, "online");
    falld.ready().await;
    let begun = Instant::now();
    falld.signal(Signal::TERM);
    assert_eq!(status.next().await.payload, "offline");
    assert!(falld.end().success());
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_cameras_share_one_batch() {
    let (_folder, mosquitto) = broker();
    let mut house = Subscriber::new(mosquitto.port, "falld/house/#").await;
    let mut site = Site::playing(mosquitto.port, "fall.mp4");
    site.set("camera.room.repeat", true);
    site.camera("hall", "/dev/video99");
    site.anxious();
    let falld = site.start();
    let (mut lost, mut alerted) = (None, false);
    while lost.is_none() || !alerted {
        let message = house.next().await;
        match topic(&message) {
            "falld/house/room/event" => alerted = true,
            "falld/house/hall/event" => panic!("an absent camera is no fall: {:#}", value(&message)),
            "falld/house/hall/state" if value(&message)["health"] == "lost" => lost = Some(value(&message)),
            _ => {}
        }
    }
    let lost = lost.unwrap();
    hold("state", &lost);
    assert!(lost["detail"].as_str().unwrap().contains("/dev/video99 does not exist"), "{lost}");
    // It is looked for again and again, and told of once.
    assert_eq!(falld.said("camera lost"), 1, "{}", falld.log());
    assert!(falld.get("/healthz").unwrap().contains("1 of 2 cameras ok; hall lost"));
    assert!(falld.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_with_two_pictures_a_second_is_slow_and_not_well() {
    let (_folder, mosquitto) = broker();
    let mut house = Subscriber::new(mosquitto.port, "falld/house/#").await;
    let mut site = Site::new(mosquitto.port);
    let film = site.path("slow.avi");
    support::video::write(&film, b"MJPG", (320, 240), 2.0, 120, 90.0);
    site.camera("room", film.to_str().unwrap());
    site.anxious();
    let falld = site.start();
    let slow = state(&mut house, "room", |state| state["health"] == "slow").await;
    hold("state", &slow);
    assert!(slow["detail"].as_str().unwrap().contains("too few pictures"), "{slow}");
    // It keeps nobody from working, and nobody takes it for well.
    falld.ready().await;
    assert!(falld.get("/healthz").unwrap().contains("0 of 1 cameras ok; room slow"));
    assert_eq!(falld.number("falld_camera_slow{camera=\"room\"}"), 1.0);
    assert_eq!(falld.said("camera slow"), 1, "{}", falld.log());
    assert!(site.stored().is_empty(), "nothing is judged by single pictures");
    assert!(falld.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_comes_later_and_gets_the_alert() {
    let port = free_port();
    let mut site = Site::playing(port, "fall.mp4");
    site.anxious();
    site.set("camera.room.repeat", true);
    let falld = site.start();
    until("the store has an event", || !site.stored().is_empty()).await;
    let folder = tempfile::tempdir().unwrap();
    let _mosquitto = Mosquitto::start_on(port, folder.path(), OPEN);
    let mut events = Subscriber::new(port, "falld/house/+/event").await;
    assert_eq!(events.json().await["id"], site.stored()[0].as_str());
    assert!(falld.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_the_commit_the_alert_comes_after_the_restart() {
    let port = free_port();
    let mut site = Site::playing(port, "fall.mp4");
    site.anxious();
    let falld = site.start();
    until("the store has an event", || !site.stored().is_empty()).await;
    falld.kill();
    let committed = site.stored();
    let folder = tempfile::tempdir().unwrap();
    let _mosquitto = Mosquitto::start_on(port, folder.path(), OPEN);
    let mut events = Subscriber::new(port, "falld/house/+/event").await;
    // The restarted one has no eye for new falls: what comes is what was owed.
    site.camera("room", "/dev/video99");
    let falld = site.start();
    for id in &committed {
        let event = events.json().await;
        assert_eq!(event["id"], id.as_str());
        hold("event", &event);
    }
    assert!(falld.stop().success());
    assert_eq!(events.pending(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_somebody_lies_there_falld_does_not_say_that_all_is_clear() {
    let (_folder, mosquitto) = broker();
    let mut site = Site::playing(mosquitto.port, "fall.mp4");
    site.anxious();
    let falld = site.start();
    until("the store has an event", || !site.stored().is_empty()).await;
    falld.kill();
    let fall = site.stored().remove(0);
    let mut house = Subscriber::new(mosquitto.port, "falld/house/#").await;
    site.camera("room", "/dev/video99");
    let falld = site.start();
    // The killed one may have left a state of its own on the broker; the new one's first says that the camera connects.
    let first = state(&mut house, "room", |state| state["health"] != "ok").await;
    assert_eq!((&first["fall"], &first["incident"]), (&"down".into(), &fall.into()), "{first:#}");
    hold("state", &first);
    assert!(falld.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ready_is_said_after_the_first_score() {
    let mut site = Site::playing(free_port(), "everyday.mp4");
    site.set("camera.room.repeat", true);
    let socket = UnixDatagram::bind(site.path("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let falld = site.start_with(|command| {
        command.env("NOTIFY_SOCKET", site.path("notify"));
    });
    let hear = || {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).expect("a datagram in time");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert!(hear().contains("STATUS=loading the model"));
    let ready = loop {
        let said = hear();
        if said.contains("READY=1") {
            break said;
        }
    };
    assert!(ready.contains("STATUS=1 of 1 cameras ok"), "{ready}");
    assert!(falld.number("falld_frame_age_seconds_count{camera=\"room\"}") >= 1.0, "a frame was scored before");
    falld.signal(Signal::TERM);
    while !hear().contains("STOPPING=1") {}
    assert!(falld.end().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_camera_that_ends_ends_the_daemon_with_0() {
    let (_folder, mosquitto) = broker();
    let mut house = Subscriber::new(mosquitto.port, "falld/house/#").await;
    let site = Site::playing(mosquitto.port, "everyday.mp4");
    let falld = site.start();
    state(&mut house, "room", |state| state["health"] == "ok").await;
    heard(&mut house, |message| message.payload == "offline").await;
    assert!(falld.end().success());
}

/// A server that takes connections and never says a word: the library's read hangs, and nobody can end it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_hangs_does_not_hold_up_the_end() {
    let silence = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut site = Site::new(free_port());
    site.camera("room", &format!("http://127.0.0.1:{}/stream", silence.local_addr().unwrap().port()));
    let falld = site.start();
    let accepted = tokio::task::spawn_blocking(move || silence.accept().map(|pair| (pair, silence)));
    let _connection = tokio::time::timeout(PATIENCE, accepted).await.expect("falld opens its camera").unwrap().unwrap();
    let begun = Instant::now();
    assert!(falld.stop().success());
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
}
