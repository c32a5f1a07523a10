//! From a captured frame to a subscriber, at the camera's pace: every scored frame becomes an event.
//!
//! The stages are the daemon's; only the policy is left out, which would let one frame in a thousand through.

use super::report::{Bar, Row, Section};
use super::scene::Scene;
use super::stats::estimate;
use crate::capture::{Capture, Outlets, Plan};
use crate::event::Ledger;
use crate::frame::{Clock, Moment};
use crate::metrics::Metrics;
use crate::model;
use crate::mqtt::latency::{Road, append};
use crate::slot::{Bell, Slot};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Scored frames that only warm up caches and connections.
const WARM_UP: usize = 15;

pub(super) fn measure(scene: &Scene) -> Result<Section, String> {
    let broker = scene.broker()?;
    let openers = scene.openers()?;
    let count = scene.count(600, 45) + WARM_UP;
    let mut engine = model::load(&scene.config, 1).map_err(|error| error.to_string())?.engine;
    let rate = engine.spec().rate_hz;
    let clock = Clock::start();
    let runtime = Scene::runtime()?;
    let mut road = runtime.block_on(Road::open(&broker, &scene.store("frame"), clock))?;
    let recorder = road.recorder();

    let metrics = Metrics::new();
    let bell = Bell::new();
    let slot = Slot::new(Arc::clone(&bell));
    let outlets =
        Outlets { slot: Arc::clone(&slot), metrics: metrics.camera("bench"), clock, report: Arc::new(|_| {}) };
    let plan = Plan { camera: "bench".into(), config: scene.camera()?, rate_hz: rate, size: engine.spec().frame };
    let capture = Capture::spawn(plan, openers, outlets).map_err(|error| error.to_string())?;

    let mut sent: HashMap<Uuid, Moment> = HashMap::with_capacity(count);
    let mut scored = Vec::with_capacity(count);
    let (mut frames, mut decisions) = (Vec::with_capacity(1), Vec::new());
    let limit = Duration::from_secs_f64(count as f64 / rate * 3.0 + 30.0);
    let begun = Instant::now();
    while scored.len() < count && begun.elapsed() < limit {
        bell.wait(Duration::from_millis(50));
        while let Some(frame) = slot.take() {
            let captured = frame.captured;
            frames.push((0, frame));
            engine
                .step(&mut frames, &mut || clock.now(), &mut decisions, &mut |_, frame| slot.recycle(frame))
                .map_err(|error| error.to_string())?;
            decisions.clear();
            if engine.scores(0).is_some() {
                let at = clock.now();
                let (id, _) = append(&recorder, Ledger { captured, scored: at, decided: at });
                sent.insert(id, captured);
                scored.push((id, at.saturating_sub(captured)));
            }
        }
    }
    capture.stop();
    capture.join();
    if scored.len() < count {
        return Err(format!("only {} of {count} frames were scored within {} s", scored.len(), limit.as_secs()));
    }
    let mut latencies = HashMap::with_capacity(sent.len());
    while latencies.len() < sent.len() {
        let (id, moment) = runtime.block_on(road.arrival())?;
        if let Some(captured) = sent.get(&id) {
            latencies.insert(id, moment.saturating_sub(*captured));
        }
    }
    runtime.block_on(road.close())?;

    let measured = &scored[WARM_UP..];
    let ms = |time: &Duration| time.as_secs_f64() * 1e3;
    let arrived = |share| estimate(measured.iter().filter_map(|(id, _)| latencies.get(id)).map(ms), share);
    let judged = |share| estimate(measured.iter().map(|(_, time)| ms(time)), share);
    Ok(Section {
        rows: vec![
            Row::estimated("Frame captured → subscriber, p50", arrived(0.5), "ms", None),
            Row::estimated("Frame captured → subscriber, p99", arrived(0.99), "ms", Bar::at_most(150.0, "≤ 150 ms")),
            Row::estimated("Frame captured → scored, p50", judged(0.5), "ms", None),
            Row::estimated("Frame captured → scored, p99", judged(0.99), "ms", None),
        ],
        notes: vec![
            "Frame captured → subscriber: the stream is played at 15 pictures a second, and every scored frame becomes \
             an event. \"Captured\" is the moment at which the file's frame is due; of a camera's own delay nothing is \
             known. The policy's k of n, which adds frames by design, is left out."
                .into(),
        ],
        failed: false,
    })
}
