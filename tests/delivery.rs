//! No alert is ever lost: stories of store and delivery against real brokers.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "support is shared by several test programs")]

mod support {
    pub mod broker;
    pub mod falld;
    pub mod proxy;
}

use falld::config::TlsConfig;
use falld::frame::Clock;
use falld::mqtt::{self, Order, Tuning};
use rumqttc::v5::MqttOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::PublishProperties;
use serde_json::Value;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use support::broker::{self, Mosquitto, OPEN};
use support::falld::{Falld, Subscriber, broker_at, firsts, quick, store_in, texts, until};
use support::proxy::{Mode, Proxy};
use uuid::Uuid;

const EVENTS: &str = "falld/house/+/event";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broker_is_absent_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let road = Proxy::start(mosquitto.port, Mode::Closed).await;
    let falld = Falld::start(&store_in(folder.path()), broker_at(road.port));
    let begun = Instant::now();
    let ids: Vec<Uuid> = (0..5).map(|_| falld.fall("bed").0).collect();
    // Far longer than five commits take, and the broker stays away until it is over.
    assert!(begun.elapsed() < Duration::from_secs(10), "detection waited for the broker: {:?}", begun.elapsed());
    assert_eq!(falld.metrics.outbox_depth.get(), 5);

    let mut subscriber = Subscriber::new(mosquitto.port, EVENTS).await;
    road.set(Mode::Pass);
    assert_eq!(subscriber.ids(&ids).await, texts(&ids), "once each, in order");
    falld.delivered().await;
    falld.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broker_dies_between_publish_and_puback() {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let road = Proxy::start(mosquitto.port, Mode::CutAtAck).await;
    let mut subscriber = Subscriber::new(mosquitto.port, EVENTS).await;
    let falld = Falld::start(&store_in(folder.path()), broker_at(road.port));
    falld.connected().await;
    let ids = [falld.fall("bed").0, falld.fall("bed").0];
    let mut seen = subscriber.ids(&ids).await;
    falld.delivered().await;
    while seen.iter().filter(|id| **id == ids[0].to_string()).count() < 2 {
        seen.push(subscriber.json().await["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(firsts(&seen), texts(&ids), "in order, and twice only with the same id");
    falld.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broker_loses_its_session() {
    let folder = tempfile::tempdir().unwrap();
    let mut mosquitto = Mosquitto::start(folder.path(), OPEN);
    let road = Proxy::start(mosquitto.port, Mode::SwallowAcks).await;
    let falld = Falld::start(&store_in(folder.path()), broker_at(road.port));
    falld.connected().await;
    let ids: Vec<Uuid> = (0..50).map(|_| falld.fall("bed").0).collect();
    until("one event is on its way", || road.publishes() > 0).await;

    // It never wrote anything down: the new one knows neither falld nor the event.
    road.set(Mode::Closed);
    mosquitto.kill();
    let mosquitto = Mosquitto::start_on(mosquitto.port, folder.path(), OPEN);
    let mut subscriber = Subscriber::new(mosquitto.port, EVENTS).await;
    road.set(Mode::Pass);
    assert_eq!(firsts(&subscriber.ids(&ids).await), texts(&ids));
    falld.delivered().await;
    falld.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broker_refuses_the_login() {
    let folder = tempfile::tempdir().unwrap();
    let passwords = folder.path().join("passwords");
    broker::add_user(&passwords, "falld", "right");
    broker::add_user(&passwords, "nurse", "night");
    let lines = format!("allow_anonymous false\npassword_file {}\n", passwords.display());
    let mosquitto = Mosquitto::start(folder.path(), &lines);
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "wrong\n").unwrap();

    let mut config = broker_at(mosquitto.port);
    config.username = "falld".into();
    config.password_file = secret.clone();
    let refusal = mqtt::probe(&config, "house").await.unwrap_err().to_string();
    assert!(refusal.contains("mqtt.password_file") && !refusal.contains("wrong"), "{refusal}");

    let falld = Falld::start(&store_in(folder.path()), config.clone());
    let (id, stored) = falld.fall("bed");
    assert!(stored.durable);
    let mut nurse = MqttOptions::new("nurse", "127.0.0.1", mosquitto.port);
    nurse.set_credentials("nurse", "night");
    let mut subscriber = Subscriber::with(nurse, EVENTS).await;
    assert_eq!(falld.metrics.broker_connected.get(), 0);

    // The mend needs no restart.
    std::fs::write(&secret, "right\n").unwrap();
    assert_eq!(subscriber.ids(&[id]).await, texts(&[id]));
    mqtt::probe(&config, "house").await.unwrap();
    falld.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broker_stalls_for_minutes() {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let road = Proxy::start(mosquitto.port, Mode::SwallowAcks).await;
    let mut subscriber = Subscriber::new(mosquitto.port, EVENTS).await;
    let falld = Falld::start(&store_in(folder.path()), broker_at(road.port));
    falld.connected().await;
    // More than delivery keeps in memory, while three times the patience for an answer passes.
    let begun = Instant::now();
    let mut ids: Vec<Uuid> = (0..200).map(|_| falld.fall("bed").0).collect();
    let per_event = begun.elapsed() / 200;
    assert!(per_event < Duration::from_millis(100), "detection waited for the broker: {per_event:?} an event");
    until("the event was tried three times", || road.publishes() >= 3).await;
    ids.push(falld.fall("bed").0);
    assert_eq!(falld.metrics.outbox_depth.get(), 201);
    assert_eq!(falld.delivery.progress().stalled(falld.clock.now()), None, "waiting is not hanging");

    road.set(Mode::Pass);
    assert_eq!(firsts(&subscriber.ids(&ids).await), texts(&ids), "all, in order");
    falld.delivered().await;
    falld.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broker_freezes_and_thaws() {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let road = Proxy::start(mosquitto.port, Mode::Pass).await;
    let mut subscriber = Subscriber::new(mosquitto.port, EVENTS).await;
    let mut config = broker_at(road.port);
    // A shorter one than the client library takes. Only the keep-alive can tell: no answer is missed for long enough.
    config.keep_alive_s = 1;
    let tuning = Tuning { answer: Duration::from_secs(60), ..quick() };
    let falld = Falld::start_with(&store_in(folder.path()), config, tuning, Clock::start());
    falld.connected().await;
    road.set(Mode::Frozen);
    let begun = Instant::now();
    let ids: Vec<Uuid> = (0..10).map(|_| falld.fall("bed").0).collect();
    assert!(begun.elapsed() < Duration::from_secs(10), "detection waited for the broker: {:?}", begun.elapsed());
    until("the dead broker is noticed", || falld.metrics.broker_connected.get() == 0).await;
    road.set(Mode::Pass);
    assert_eq!(firsts(&subscriber.ids(&ids).await), texts(&ids));
    falld.delivered().await;
    falld.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acl_denial_keeps_the_event() {
    let folder = tempfile::tempdir().unwrap();
    let acl = folder.path().join("acl");
    let rights = "topic read #\ntopic write falld/house/status\ntopic write falld/house/hall/event\n";
    std::fs::write(&acl, rights).unwrap();
    let mosquitto = Mosquitto::start(folder.path(), &format!("{OPEN}acl_file {}\n", acl.display()));
    let mut subscriber = Subscriber::new(mosquitto.port, EVENTS).await;
    let falld = Falld::start(&store_in(folder.path()), broker_at(mosquitto.port));
    let (denied, _) = falld.fall("bed");
    let allowed: Vec<Uuid> = (0..3).map(|_| falld.fall("hall").0).collect();
    // The refused camera holds up nobody else.
    assert_eq!(subscriber.ids(&allowed).await, texts(&allowed));
    until("the others are delivered", || falld.metrics.outbox_depth.get() == 1).await;

    std::fs::write(&acl, format!("{rights}topic write falld/house/bed/event\n")).unwrap();
    mosquitto.reload();
    assert_eq!(subscriber.ids(&[denied]).await, texts(&[denied]));
    falld.delivered().await;
    falld.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caregiver_comes_later_than_the_alert() {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let road = Proxy::start(mosquitto.port, Mode::Pass).await;
    let falld = Falld::start(&store_in(folder.path()), broker_at(road.port));
    let ids = [falld.fall("bed").0, falld.fall("bed").0];
    until("the broker was asked twice", || road.publishes() >= 2).await;
    assert_eq!(falld.metrics.outbox_depth.get(), 2, "taken by the broker, heard by nobody");
    let mut subscriber = Subscriber::new(mosquitto.port, EVENTS).await;
    assert_eq!(subscriber.ids(&ids).await, texts(&ids));
    falld.delivered().await;
    falld.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn home_assistant_comes_back_and_hears_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let mut config = broker_at(mosquitto.port);
    config.home_assistant = true;
    let pause = 3 * broker::PATIENCE;
    let tuning = Tuning { retry_min: pause, retry_max: pause, unheard: 2 * pause, ..quick() };
    let road = Proxy::start(mosquitto.port, Mode::Pass).await;
    config.port = road.port;
    // `online` comes behind the subscriptions on the same connection: then falld listens.
    let mut status = Subscriber::new(mosquitto.port, "falld/house/status").await;
    let falld = Falld::start_with(&store_in(folder.path()), config, tuning, Clock::start());
    let (id, _) = falld.fall("bed");
    until("the broker was asked", || road.publishes() >= 1).await;
    assert_eq!(status.next().await.payload, "online");
    let mut home = Subscriber::new(mosquitto.port, EVENTS).await;
    home.client.publish("homeassistant/status", QoS::AtMostOnce, false, "online").await.unwrap();
    assert_eq!(home.ids(&[id]).await, texts(&[id]), "long before the pause is over");
    falld.delivered().await;
    falld.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_ever_subscribes_and_the_operator_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let tuning = Tuning { unheard: Duration::from_millis(200), ..quick() };
    let falld = Falld::start_with(&store_in(folder.path()), broker_at(mosquitto.port), tuning, Clock::start());
    falld.fall("bed");
    falld.delivered().await;
    assert_eq!(falld.metrics.events_unheard.get(), 1);
    assert!(falld.metrics.render().unwrap().contains("falld_events_unheard_total 1"));
    falld.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_with_own_ca_and_client_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    broker::certificates(folder.path());
    let plain = broker::free_port();
    let lines = format!(
        "{OPEN}cafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\nlistener {plain} 127.0.0.1\n{OPEN}",
        file("ca.crt").display(),
        file("server.crt").display(),
        file("server.key").display()
    );
    let mosquitto = Mosquitto::start(folder.path(), &lines);
    let mut config = broker_at(mosquitto.port);
    config.host = "localhost".into();

    let stranger = TlsConfig { ca: file("stranger.crt"), ..TlsConfig::default() };
    config.tls = Some(stranger);
    let refusal = mqtt::probe(&config, "house").await.unwrap_err().to_string();
    assert!(refusal.contains("mqtt.tls.ca"), "{refusal}");

    config.tls = Some(TlsConfig { ca: file("ca.crt"), ..TlsConfig::default() });
    mqtt::probe(&config, "house").await.expect_err("a client without a certificate");

    config.tls = Some(TlsConfig { ca: file("nothing.crt"), ..TlsConfig::default() });
    let refusal = mqtt::check(&config, "house").unwrap_err().to_string();
    assert!(refusal.contains("mqtt.tls.ca") && refusal.contains("nothing.crt"), "{refusal}");

    config.tls = Some(TlsConfig { ca: file("ca.crt"), cert: file("client.crt"), key: file("client.key") });
    let mut subscriber = Subscriber::new(plain, EVENTS).await;
    let falld = Falld::start(&store_in(folder.path()), config);
    let (id, _) = falld.fall("bed");
    assert_eq!(subscriber.ids(&[id]).await, texts(&[id]));
    falld.delivered().await;
    falld.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_broker_delivers() {
    let folder = tempfile::tempdir().unwrap();
    let port = broker::embedded();
    let mut subscriber = Subscriber::new(port, EVENTS).await;
    let falld = Falld::start(&store_in(folder.path()), broker_at(port));
    let ids: Vec<Uuid> = (0..20).map(|_| falld.fall("bed").0).collect();
    assert_eq!(subscriber.ids(&ids).await, texts(&ids));
    falld.delivered().await;
    falld.stop().await;
}

static JUMP_S: AtomicI64 = AtomicI64::new(0);

fn jumping_wall() -> SystemTime {
    let now = SystemTime::now();
    let jump = JUMP_S.load(Ordering::SeqCst);
    let span = Duration::from_secs(jump.unsigned_abs());
    if jump < 0 { now - span } else { now + span }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_jumps_a_year() {
    const YEAR: i64 = 365 * 86_400;
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let road = Proxy::start(mosquitto.port, Mode::Closed).await;
    let mut subscriber = Subscriber::new(mosquitto.port, EVENTS).await;
    let clock = Clock::with_wall(jumping_wall);
    let falld = Falld::start_with(&store_in(folder.path()), broker_at(road.port), quick(), clock);
    until("frames can be older than their events", || falld.clock.now() > Duration::from_millis(10)).await;
    let mut ids = Vec::new();
    for jump in [0, YEAR, -YEAR] {
        JUMP_S.store(jump, Ordering::SeqCst);
        ids.push(falld.fall("bed").0);
    }
    JUMP_S.store(YEAR, Ordering::SeqCst);
    road.set(Mode::Pass);
    for id in &ids {
        let event = subscriber.json().await;
        assert_eq!(event["id"], id.to_string());
        let at = |station: &str| event["ledger"][station].as_i64().unwrap();
        let stations = ["captured_us", "scored_us", "decided_us", "stored_us", "published_us"].map(at);
        assert!(stations.is_sorted(), "{stations:?}");
        assert_eq!(stations[1] - stations[0], 5_000);
        assert!(stations[4] - stations[0] < 60_000_000, "no interval is a year long: {stations:?}");
    }
    falld.delivered().await;
    falld.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retained_commands_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let mut caregiver = Subscriber::new(mosquitto.port, "answers/#").await;
    // `online` comes behind the subscription on the same connection: then falld listens.
    let mut status = Subscriber::new(mosquitto.port, "falld/house/status").await;
    let client = caregiver.client.clone();
    let send = async |payload: &str, retain: bool| {
        let properties = PublishProperties {
            response_topic: Some("answers/nurse".into()),
            correlation_data: Some(b"7".to_vec().into()),
            ..PublishProperties::default()
        };
        let topic = "falld/house/bed/cmd";
        let payload = payload.to_owned();
        client.publish_with_properties(topic, QoS::AtLeastOnce, retain, payload, properties).await.unwrap();
    };
    // What the broker has handed on to somebody else it will not hand to falld as news.
    let mut overheard = Subscriber::new(mosquitto.port, "falld/house/bed/cmd").await;
    send(r#"{"command":"disarm"}"#, true).await;
    overheard.next().await;
    let mut falld = Falld::start(&store_in(folder.path()), broker_at(mosquitto.port));
    assert_eq!(status.next().await.payload, "online");
    let incident = Uuid::now_v7();
    send(r#"{"command":"arm"}"#, true).await;
    send("{not json", false).await;
    send(&"x".repeat(100_000), false).await;
    send(&format!(r#"{{"command":"ack","incident":"{incident}"}}"#), false).await;
    let command = tokio::time::timeout(broker::PATIENCE, falld.commands.recv()).await.unwrap().unwrap();
    assert_eq!((command.camera.as_str(), command.order, command.incident), ("bed", Order::Ack, Some(incident)));
    assert!(falld.commands.try_recv().is_err(), "nothing else was obeyed");
    let mut results = Vec::new();
    while results.len() < 3 {
        let answer = caregiver.next().await;
        assert_eq!(answer.properties.unwrap().correlation_data.unwrap().as_ref(), b"7");
        let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
        results.push(answer["result"].as_str().unwrap().to_owned());
    }
    assert_eq!(results, ["refused", "refused", "accepted"]);

    // What is said while falld is away is not obeyed when it comes back: it might silence another incident.
    falld.stop().await;
    assert_eq!(status.next().await.payload, "offline");
    send(r#"{"command":"ack"}"#, false).await;
    while overheard.next().await.payload != r#"{"command":"ack"}"# {}
    let mut falld = Falld::start(&store_in(folder.path()), broker_at(mosquitto.port));
    assert_eq!(status.next().await.payload, "online");
    send(r#"{"command":"test"}"#, false).await;
    let command = tokio::time::timeout(broker::PATIENCE, falld.commands.recv()).await.unwrap().unwrap();
    assert_eq!(command.order, Order::Test);
    falld.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_while_falld_was_away_silences_nobody_when_it_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    // As EMQX does unless it is told otherwise.
    let mosquitto = Mosquitto::start(folder.path(), &format!("{OPEN}queue_qos0_messages true\n"));
    let mut status = Subscriber::new(mosquitto.port, "falld/house/status").await;
    let mut nurse = Subscriber::new(mosquitto.port, "answers/nurse").await;
    let road = Proxy::start(mosquitto.port, Mode::Pass).await;
    let mut falld = Falld::start(&store_in(folder.path()), broker_at(road.port));
    assert_eq!(status.next().await.payload, "online");
    road.set(Mode::Closed);
    assert_eq!(status.next().await.payload, "offline");
    let client = nurse.client.clone();
    let say = async |order: &str| {
        let properties =
            PublishProperties { response_topic: Some("answers/nurse".into()), ..PublishProperties::default() };
        let payload = format!(r#"{{"command":"{order}"}}"#);
        let topic = "falld/house/bed/cmd";
        client.publish_with_properties(topic, QoS::AtLeastOnce, false, payload, properties).await.unwrap();
    };
    for order in ["disarm", "ack", "test"] {
        say(order).await;
    }
    // The broker answers a client's packets in turn: once this has gone through it, the orders wait in the session.
    client.publish("answers/nurse", QoS::AtLeastOnce, false, "all said").await.unwrap();
    assert_eq!(nurse.next().await.payload, "all said");
    road.set(Mode::Pass);
    for _ in 0..3 {
        let answer = nurse.json().await;
        assert!(answer["reason"].as_str().is_some_and(|reason| reason.contains("while falld was away")), "{answer}");
    }
    // What is said now acts now.
    assert_eq!(status.next().await.payload, "online");
    say("arm").await;
    assert_eq!(nurse.json().await["result"], "accepted");
    assert_eq!(falld.commands.recv().await.map(|command| command.order), Some(Order::Arm));
    assert!(falld.commands.try_recv().is_err(), "nothing else was obeyed");
    falld.stop().await;
}
