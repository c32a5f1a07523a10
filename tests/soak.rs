//! The daemon's memory does not grow: the film again and again through capture, slot, engine and policy.
//!
//! Twenty seconds; `FALLD_SOAK=1` makes an hour. Alone in its file, because the memory is the whole process's.
#![cfg(all(feature = "opencv", feature = "ort"))]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking")]

use falld::camera::opencv::Opener;
use falld::capture::{self, Capture, Openers, Outlets, Plan};
use falld::clip::Movements;
use falld::config::{CameraConfig, Config, Provider};
use falld::detector::{Detector, Input, Order, Outlet, Shown};
use falld::event::Event;
use falld::evidence;
use falld::frame::Clock;
use falld::metrics::Metrics;
use falld::model;
use falld::slot::{Bell, Slot};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Growth that is none: allocators and decoders breathe.
const BREATH: u64 = 5 << 20;

/// Bytes in memory.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

struct Nowhere;

impl Outlet for Nowhere {
    fn event(&mut self, _event: Event) {}
    fn evidence(&mut self, _camera: &str, _event: Uuid, movements: Movements) {
        // Drawn each time, so that it has to stay flat as well.
        assert!(evidence::gif(&movements).is_ok_and(|gif| gif.len() < 200_000));
    }
    fn shown(&mut self, _camera: &str, _shown: Shown) {}
    fn first_score(&mut self, _camera: &str) {}
}

#[test]
fn memory_stays_flat() {
    let limit = if std::env::var_os("FALLD_SOAK").is_some() { 3600 } else { 20 };
    let warm = Duration::from_secs(if limit > 60 { 120 } else { 10 });
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config = Config::default();
    config.model.path = here.join("models/bundle");
    config.model.providers = vec![Provider::Cpu];
    config.model.runtime =
        std::env::var_os("ORT_DYLIB_PATH").map_or_else(|| here.join(".falld/libonnxruntime.so"), PathBuf::from);
    config.policy.cooldown_s = 1.0;
    let engine = model::load(&config, 1).unwrap().engine;
    let spec = engine.spec().clone();

    let (clock, metrics, bell) = (Clock::start(), Arc::new(Metrics::new()), Bell::new());
    let slot = Slot::new(Arc::clone(&bell));
    let source = here.join("tests/data/fall.mp4").to_str().unwrap().to_owned();
    let camera = CameraConfig { source, repeat: true, ..CameraConfig::default() };
    let opener = Opener::new(&camera, spec.frame, spec.pad);
    let openers: Openers = Box::new(move || Box::new(opener.clone()));
    let (patience, evidence) = (capture::patience(&camera), camera.evidence);
    let plan = Plan { camera: "room".into(), config: camera, rate_hz: spec.rate_hz, size: spec.frame };
    let numbers = metrics.camera("room");
    let outlets = Outlets { slot: Arc::clone(&slot), metrics: numbers.clone(), clock, report: Arc::new(|_report| {}) };
    let capture = Capture::spawn(plan, openers, outlets).unwrap();
    let inputs = vec![Input { id: "room".into(), slot, metrics: numbers.clone(), patience, evidence }];
    let detector = Detector::new(engine, inputs, Nowhere, clock, metrics, Arc::new(AtomicU64::new(0)));
    let (_orders, inbox) = std::sync::mpsc::channel::<Order>();
    let ring = Arc::clone(&bell);
    let thread = std::thread::spawn(move || detector.run(&ring, &inbox));

    let begun = Instant::now();
    let mut settled = 0;
    while begun.elapsed() < warm + Duration::from_secs(limit) {
        // Time is what this test is made of.
        std::thread::sleep(Duration::from_millis(500));
        assert!(!thread.is_finished(), "the detector has ended");
        if settled == 0 && begun.elapsed() >= warm {
            settled = resident();
        }
    }
    let (now, frames) = (resident(), numbers.frames.get());
    capture.stop();
    capture.join();
    bell.ring();
    thread.join().unwrap().unwrap();
    println!("{frames} frames; resident {:.1} MB, then {:.1} MB", settled as f64 / 1e6, now as f64 / 1e6);
    assert!(frames > limit * 2, "the film was watched: {frames} frames");
    assert!(now < settled + BREATH, "memory grew from {settled} to {now} bytes in {limit} s");
}
