//! A decision costs no allocation of ours: counted from the file to the policy's word, with the real model.
//!
//! Alone in its process, without the test harness (`Cargo.toml`), because the count is the whole process's. What OpenCV
//! and ONNX Runtime allocate within C++ is their own.
#![expect(clippy::unwrap_used, clippy::print_stdout, unsafe_code, reason = "a test, and an allocator")]

#[path = "support/counting.rs"]
mod counting;

use counting::{ALLOCATIONS, Counting};
use falld::cadence::Cadence;
use falld::camera::opencv::open_file;
use falld::camera::{Grab, Stream};
use falld::config::{Config, Provider};
use falld::engine::{Decision, Engine};
use falld::frame::{Frame, Moment};
use falld::model;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Two cameras that see the same film, from reading to deciding.
struct Road {
    engine: Engine,
    streams: Vec<Box<dyn Stream>>,
    cadences: Vec<Cadence>,
    spares: Vec<Vec<Frame>>,
    batch: Vec<(usize, Frame)>,
    decisions: Vec<Decision>,
    pictures: u32,
    most_rows: usize,
}

impl Road {
    /// The next picture of every camera; false at the film's end.
    fn step(&mut self) -> bool {
        let at = Moment::from_secs_f64(f64::from(self.pictures) / 15.0);
        self.pictures += 1;
        for camera in 0..self.streams.len() {
            if matches!(self.streams[camera].grab().unwrap(), Grab::End) {
                return false;
            }
            let Some(tick) = self.cadences[camera].admit(at) else { continue };
            let mut frame = self.spares[camera].pop().unwrap();
            self.streams[camera].retrieve(&mut frame).unwrap();
            (frame.tick, frame.captured) = (tick, at);
            self.batch.push((camera, frame));
        }
        let spares = &mut self.spares;
        let mut recycle = |camera: usize, frame| spares[camera].push(frame);
        self.engine.step(&mut self.batch, &mut || at, &mut self.decisions, &mut recycle).unwrap();
        self.decisions.clear();
        for camera in 0..self.streams.len() {
            let _told = self.engine.tick(camera, at);
        }
        self.most_rows = self.most_rows.max(self.engine.logits().len() / self.engine.spec().classes.len());
        true
    }
}

fn main() {
    a_decision_costs_no_allocation();
    println!("a_decision_costs_no_allocation ... ok");
}

fn a_decision_costs_no_allocation() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config = Config::default();
    config.model.path = here.join("models/bundle");
    config.model.providers = vec![Provider::Cpu];
    config.model.runtime =
        std::env::var_os("ORT_DYLIB_PATH").map_or_else(|| here.join(".falld/libonnxruntime.so"), PathBuf::from);
    let engine = model::load(&config, 2).unwrap().engine;
    let spec = engine.spec().clone();
    let film = here.join("tests/data/fall.mp4");
    let open = || open_file(&film, spec.frame, spec.pad, &[[0.0, 0.0, 0.05, 0.05]]).unwrap();
    // The clip holds some frames, a batch one more.
    let spares = || (0..spec.ticks + 2).map(|_| Frame::new(spec.frame)).collect::<Vec<_>>();
    let mut road = Road {
        engine,
        streams: vec![open(), open()],
        cadences: vec![Cadence::new(spec.rate_hz); 2],
        spares: vec![spares(), spares()],
        batch: Vec::with_capacity(2),
        decisions: Vec::with_capacity(8),
        pictures: 0,
        most_rows: 0,
    };
    // Every number of rows has tensors of its own, made at its first use: the film is seen once from end to end.
    while road.step() {}
    road.streams = vec![open(), open()];
    for camera in 0..2 {
        let spares = &mut road.spares[camera];
        road.engine.camera_lost(camera, Moment::from_secs(60), |frame| spares.push(frame));
    }
    road.cadences = vec![Cadence::new(spec.rate_hz); 2];
    road.pictures = 0;
    road.step();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let mut decided = 0;
    while road.step() {
        decided += 1;
    }
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "allocations in {decided} decisions for two cameras");
    assert!(decided > 60, "longer than a clip: {decided}");
    assert!(road.most_rows > 1, "somebody was followed before both cameras");
}
