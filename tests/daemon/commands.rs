//! What people ask of a running daemon: a test, silence, other thresholds.

use super::support::falld::{Subscriber, until};
use super::support::site::Site;
use super::{broker, heard, hold, state, topic, value};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::PublishProperties;
use rustix::process::Signal;
use std::time::Duration;

async fn command(subscriber: &Subscriber, camera: &str, payload: &str) {
    let properties = PublishProperties {
        response_topic: Some("answers/me".into()),
        correlation_data: Some("7".into()),
        ..PublishProperties::default()
    };
    let topic = format!("falld/house/{camera}/cmd");
    let payload = payload.to_owned();
    subscriber.client.publish_with_properties(topic, QoS::AtLeastOnce, false, payload, properties).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn test_command_travels_the_whole_road() {
    let (_folder, mosquitto) = broker();
    let mut events = Subscriber::new(mosquitto.port, "falld/house/+/event").await;
    let mut answers = Subscriber::new(mosquitto.port, "answers/me").await;
    let mut status = Subscriber::new(mosquitto.port, "falld/house/status").await;
    let mut site = Site::playing(mosquitto.port, "everyday.mp4");
    site.set("camera.room.repeat", true);
    let falld = site.start();
    heard(&mut status, |message| message.payload == "online").await;
    falld.ready().await;
    command(&events, "room", r#"{"command":"test"}"#).await;
    let answer = answers.json().await;
    hold("response", &answer);
    assert_eq!(answer["result"], "accepted");
    let event = events.json().await;
    hold("event", &event);
    assert_eq!((&event["type"], &event["camera"]), (&"test".into(), &"room".into()));
    assert_eq!(site.stored(), [event["id"].as_str().unwrap()]);
    // Of a camera that is not there, and in words that are none.
    for (camera, payload, reason) in
        [("cellar", r#"{"command":"test"}"#, "there are: room"), ("room", "help", "expected")]
    {
        command(&events, camera, payload).await;
        let answer = answers.json().await;
        hold("response", &answer);
        assert_eq!(answer["result"], "refused", "{answer}");
        assert!(answer["reason"].as_str().unwrap().contains(reason), "{answer}");
    }
    assert!(falld.stop().success());
    assert_eq!(events.pending(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disarmed_camera_keeps_silent() {
    let (_folder, mosquitto) = broker();
    let mut house = Subscriber::new(mosquitto.port, "falld/house/#").await;
    let mut site = Site::playing(mosquitto.port, "fall.mp4");
    site.set("camera.room.repeat", true);
    site.set("policy.climb_threshold", 1.0);
    site.set("policy.fall_threshold", 1.0);
    let falld = site.start();
    state(&mut house, "room", |state| state["health"] == "ok").await;
    command(&house, "room", r#"{"command":"disarm"}"#).await;
    let disarmed = state(&mut house, "room", |state| state["armed"] == false).await;
    hold("state", &disarmed);
    // From now on every fall is taken for one, and nobody is told.
    site.anxious();
    falld.signal(Signal::HUP);
    let down = heard(&mut house, |message| {
        assert_ne!(topic(message), "falld/house/room/event", "a disarmed camera told {:#}", value(message));
        topic(message) == "falld/house/room/state" && value(message)["fall"] == "down"
    });
    assert_eq!(value(&down.await)["armed"], false);
    assert!(site.stored().is_empty(), "nothing was stored either");
    // Who is on it now, or disarms once more as home automation does, answers to nothing that was told.
    command(&house, "room", r#"{"command":"ack"}"#).await;
    command(&house, "room", r#"{"command":"disarm"}"#).await;
    // Armed again, a fall that is still going on is news.
    command(&house, "room", r#"{"command":"arm"}"#).await;
    let event = value(&heard(&mut house, |message| topic(message) == "falld/house/room/event").await);
    assert_eq!(event["type"], "fall", "{event:#}");
    assert!(falld.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_changes_the_threshold_and_refuses_a_new_camera() {
    let (_folder, mosquitto) = broker();
    let mut events = Subscriber::new(mosquitto.port, "falld/house/+/event").await;
    let mut site = Site::playing(mosquitto.port, "fall.mp4");
    site.set("camera.room.repeat", true);
    site.set("policy.fall_threshold", 1.0);
    site.set("policy.climb_threshold", 1.0);
    let falld = site.start();
    falld.ready().await;
    site.camera("hall", "/dev/video99");
    site.anxious();
    falld.signal(Signal::HUP);
    until("the reload was refused", || falld.said("the reload was refused") == 1).await;
    let log = falld.log();
    assert!(log.contains("camera.hall can only change with a restart"), "{log}");
    assert!(site.stored().is_empty(), "nothing was half applied");
    // Without the new camera the same threshold is taken.
    let mut site = site.without("camera.hall");
    falld.signal(Signal::HUP);
    until("the configuration was read", || falld.said("configuration read again") == 1).await;
    assert!(falld.log().contains("policy.fall_threshold"));
    assert_eq!(events.json().await["type"], "fall");
    // A file with a mistake changes nothing and ends nothing.
    site.set("policy.fall_treshold", 0.5);
    falld.signal(Signal::HUP);
    until("the reload was refused", || falld.said("the reload was refused") == 2).await;
    let log = falld.log();
    assert!(log.contains("fall_treshold"), "the mistake is named: {log}");
    tokio::time::timeout(Duration::from_secs(20), async { assert!(falld.stop().success()) }).await.unwrap();
}
