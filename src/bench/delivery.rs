//! From a decision to a subscriber: stored durably, QoS 1, over a real broker.

use super::report::{Bar, Row, Section};
use super::scene::Scene;
use super::stats::estimate;
use crate::mqtt::latency;
use std::time::Duration;

/// Between two alerts: longer than one takes, so that each meets an idle road, as alerts do.
const PAUSE: Duration = Duration::from_millis(2);

pub(super) fn measure(scene: &Scene) -> Result<Section, String> {
    let broker = scene.broker()?;
    let count = scene.count(2000, 100);
    let floor = latency::disk_floor(scene.folder(), count).map_err(|error| format!("the disk's floor: {error}"))?;
    let samples = Scene::runtime()?.block_on(latency::measure(&broker, &scene.store("delivery"), count, PAUSE))?;
    let ms = |time: &Duration| time.as_secs_f64() * 1e3;
    let received = |share| estimate(samples.iter().map(|sample| ms(&sample.received)), share);
    let stored = |share| estimate(samples.iter().map(|sample| ms(&sample.stored)), share);
    let disk = |share| estimate(floor.iter().map(ms), share);
    Ok(Section {
        rows: vec![
            Row::estimated("Decision → subscriber, p50", received(0.5), "ms", Bar::at_most(2.0, "≤ 2 ms")),
            Row::estimated("Decision → subscriber, p99", received(0.99), "ms", Bar::at_most(10.0, "≤ 10 ms")),
            Row::estimated("Decision → stored durably, p50", stored(0.5), "ms", None),
            Row::estimated("Decision → stored durably, p99", stored(0.99), "ms", None),
            Row::estimated("The disk alone (8 KiB, fdatasync), p50", disk(0.5), "ms", None),
            Row::estimated("The disk alone (8 KiB, fdatasync), p99", disk(0.99), "ms", None),
        ],
        notes: vec![
            "Decision → subscriber: an event is committed to SQLite (`synchronous = FULL`) on a real disk, published \
             at QoS 1 to mosquitto on loopback, and timed until another client has it; one after the other."
                .into(),
        ],
        failed: false,
    })
}
