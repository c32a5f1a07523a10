//! `kill -9` of the whole daemon at random moments: what its store holds reaches the subscriber, and nothing twice under
//! two ids.
//!
//! The real program with the real model on a film that never ends, asked for test events meanwhile. Five rounds;
//! `FALLD_SOAK=1` makes 200. `FALLD_SEED` repeats a run's choices, though not the scheduler's.

#![cfg(all(feature = "opencv", feature = "ort"))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "support is shared by several test programs")]

mod support {
    pub mod broker;
    pub mod dice;
    pub mod falld;
    pub mod proxy;
    pub mod site;
}

use rumqttc::v5::mqttbytes::QoS;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use support::broker::{Mosquitto, OPEN};
use support::dice::Dice;
use support::falld::{Subscriber, until};
use support::proxy::{Mode, Proxy};
use support::site::Site;

/// One life: left alone for a random time, or asked for tests until some are stored, then killed.
async fn life(site: &Site, asker: &Subscriber, dice: &mut Dice) {
    let before = site.stored().len() as u64;
    let mut falld = site.start();
    let topic = "falld/house/room/cmd";
    if dice.roll(4) == 0 {
        // Anywhere: while the model loads, the store opens, the broker greets.
        tokio::time::sleep(Duration::from_millis(dice.roll(3000))).await;
    } else {
        let wanted = before + 1 + dice.roll(8);
        let stored = async {
            // Whoever asks too early is not heard, so ask until enough is there.
            while (site.stored().len() as u64) < wanted {
                falld.must_live();
                asker.client.publish(topic, QoS::AtLeastOnce, false, r#"{"command":"test"}"#).await.unwrap();
                tokio::time::sleep(Duration::from_millis(1 + dice.roll(20))).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), stored).await.expect("events are stored");
        tokio::time::sleep(Duration::from_micros(dice.roll(4000))).await;
    }
    falld.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn falld_is_killed_at_random_points_of_the_road() {
    let rounds = if std::env::var_os("FALLD_SOAK").is_some() { 200 } else { 5 };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    let seed = std::env::var("FALLD_SEED").map_or(now, |seed| seed.parse().unwrap());
    println!("FALLD_SEED={seed}");
    let mut dice = Dice(seed);
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let road = Proxy::start(mosquitto.port, Mode::Pass).await;
    let mut events = Subscriber::new(mosquitto.port, "falld/house/+/event").await;
    let mut site = Site::playing(road.port, "fall.mp4");
    site.anxious();
    site.set("camera.room.repeat", true);
    site.set("policy.cooldown_s", 0.1);
    for _ in 0..rounds {
        // Commands must come through, so the way to falld stays open; what it says back may be lost.
        let mode = [Mode::Pass, Mode::Pass, Mode::SwallowAcks, Mode::CutAtAck];
        road.set(mode[dice.roll(mode.len() as u64) as usize]);
        life(&site, &events, &mut dice).await;
    }
    road.set(Mode::Pass);
    // The last life finishes the work of all of them.
    let falld = site.start();
    falld.ready().await;
    until("the broker is connected", || falld.number("falld_broker_connected") == 1.0).await;
    until("the outbox is empty", || falld.number("falld_outbox_depth") == 0.0).await;
    assert!(falld.stop().success());
    let stored = site.stored();
    let (mut arrived, mut copies) = (BTreeMap::<u64, String>::new(), 0);
    while !stored.iter().all(|id| arrived.values().any(|it| it == id)) {
        let event = events.json().await;
        let (seq, id) = (event["seq"].as_u64().unwrap(), event["id"].as_str().unwrap().to_owned());
        let before = arrived.insert(seq, id.clone());
        assert!(before.is_none_or(|before| before == id), "one number, one event");
        assert!(stored.contains(&id), "{id} was published and is not in the store");
        copies += 1;
    }
    println!("{rounds} kills, {} events stored, all arrived, in {copies} copies", stored.len());
    assert!(stored.len() >= rounds / 2);
}
