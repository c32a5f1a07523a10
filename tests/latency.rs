//! Decision to subscriber over loopback mosquitto, stored durably, QoS 1. The promise is p50 ≤ 2 ms and p99 ≤ 10 ms;
//! a busy test machine gets room, `falld bench` reports the figures.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "support is shared by several test programs")]

mod support {
    pub mod broker;
    pub mod falld;
}

use falld::mqtt::latency::{disk_floor, measure, quantile};
use std::time::Duration;
use support::broker::{Mosquitto, OPEN};
use support::falld::{broker_at, store_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_is_there_in_milliseconds() {
    let count = std::env::var("FALLD_LATENCY_EVENTS").map_or(200, |count| count.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let config = broker_at(mosquitto.port);
    let samples = measure(&config, &store_in(folder.path()), count, Duration::from_millis(2)).await.unwrap();
    assert_eq!(samples.len(), count);
    let floor = disk_floor(folder.path(), count).unwrap();
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
        let stored = quantile(samples.iter().map(|sample| sample.stored), share);
        let received = quantile(samples.iter().map(|sample| sample.received), share);
        let disk = quantile(floor.iter().copied(), share);
        println!("{name}: disk alone {disk:?}, stored {stored:?}, received {received:?}");
    }
    let median = quantile(samples.iter().map(|sample| sample.received), 0.5);
    assert!(median < Duration::from_millis(50), "{median:?}");
}
