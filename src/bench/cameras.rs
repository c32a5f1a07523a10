//! How many cameras one process sustains: more and more of them, until a frame is displaced or missed.

use super::report::{Row, Section, number};
use super::scene::{Scene, cpu_time};
use crate::capture::{self, Capture, Outlets, Plan};
use crate::clip::Movements;
use crate::detector::{Detector, Input, Outlet, Shown};
use crate::event::Event;
use crate::frame::Clock;
use crate::metrics::{CameraMetrics, DropReason, Metrics};
use crate::model;
use crate::slot::{Bell, Slot};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Numbers of cameras that are tried, one after the other.
const TRIED: [usize; 11] = [1, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32];
/// Files open, decoders start, every clip fills up to its first score.
const WARM_UP: Duration = Duration::from_secs(2);
/// A camera's frames may be off by one at each end of the count.
const EDGE: u64 = 2;

/// Nobody is told: delivery has its own measurement.
struct Silent;

impl Outlet for Silent {
    fn event(&mut self, _: Event) {}
    fn evidence(&mut self, _: &str, _: Uuid, _: Movements) {}
    fn shown(&mut self, _: &str, _: Shown) {}
    fn first_score(&mut self, _: &str) {}
}

/// What so many cameras gave in one trial.
#[derive(Debug, Clone, Copy)]
struct Trial {
    cameras: usize,
    frames: u64,
    wanted: u64,
    displaced: u64,
    /// Processors' worth of time.
    cpu: f64,
}

impl Trial {
    fn sustained(&self) -> bool {
        self.displaced == 0 && self.frames + EDGE * self.cameras as u64 >= self.wanted
    }

    fn row(&self) -> Row {
        let Self { cameras, frames, wanted, displaced, cpu } = self;
        let told = format!("{displaced} displaced, {frames} of {wanted} frames, {} of a core", percent(*cpu));
        Row::told(format!("{cameras} camera{}", if *cameras == 1 { "" } else { "s" }), told)
    }
}

fn percent(share: f64) -> String {
    format!("{} %", number(share * 100.0))
}

pub(super) fn measure(scene: &Scene) -> Result<Section, String> {
    let time = Duration::from_secs(scene.count(10, 3) as u64);
    let tried: &[usize] = if scene.quick { &[1, 4] } else { &TRIED };
    let mut most: Option<Trial> = None;
    let mut rows = Vec::new();
    for &cameras in tried {
        let mut trial = run(scene, cameras, time)?;
        if !trial.sustained() && !scene.quick {
            rows.push(trial.row());
            trial = run(scene, cameras, time)?;
        }
        rows.push(trial.row());
        if !trial.sustained() {
            break;
        }
        most = Some(trial);
    }
    let count = most.map_or(0, |trial| trial.cameras);
    let more = if Some(&count) == tried.last() { " (no more were tried)" } else { "" };
    let row = Row::judged("Cameras sustained, 640×480 at 15 fps", format!("{count}{more}"), "≥ 4", count >= 4);
    rows.insert(0, row);
    if let Some(trial) = most {
        rows.insert(1, Row::told("Processor time for these", format!("{} of a core", percent(trial.cpu))));
    }
    Ok(Section {
        rows,
        notes: vec![format!(
            "Cameras: so many captures of the stream and one detector in one process, {} s each after {} s to warm up. \
             Sustained means that no frame was displaced by a newer one and that none was missed for lateness of the \
             decoder. A number that fails is tried a second time.",
            time.as_secs(),
            WARM_UP.as_secs()
        )],
        failed: false,
    })
}

fn run(scene: &Scene, cameras: usize, time: Duration) -> Result<Trial, String> {
    let engine = model::load(&scene.config, cameras).map_err(|error| error.to_string())?.engine;
    let (size, rate_hz) = (engine.spec().frame, engine.spec().rate_hz);
    let clock = Clock::start();
    let metrics = Arc::new(Metrics::new());
    let bell = Bell::new();
    let (mut captures, mut inputs, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..cameras {
        let id = format!("bench{index}");
        let slot = Slot::new(Arc::clone(&bell));
        let counts = metrics.camera(&id);
        let config = scene.camera()?;
        let (patience, evidence) = (capture::patience(&config), config.evidence);
        inputs.push(Input { id: id.clone(), slot: Arc::clone(&slot), metrics: counts.clone(), patience, evidence });
        numbers.push(counts.clone());
        let outlets = Outlets { slot, metrics: counts, clock, report: Arc::new(|_| {}) };
        let plan = Plan { camera: id.into(), config, rate_hz, size };
        captures.push(Capture::spawn(plan, scene.openers()?, outlets).map_err(|error| error.to_string())?);
    }
    let detector = Detector::new(engine, inputs, Silent, clock, Arc::clone(&metrics), Arc::new(AtomicU64::new(0)));
    let (_orders, inbox) = mpsc::channel();
    let ringing = Arc::clone(&bell);
    let thread = std::thread::Builder::new()
        .name("detector".into())
        .spawn(move || detector.run(&ringing, &inbox))
        .map_err(|error| error.to_string())?;

    std::thread::sleep(WARM_UP);
    let (before, begun, cpu) = (counts(&numbers), Instant::now(), cpu_time());
    std::thread::sleep(time);
    let (after, took, cpu) = (counts(&numbers), begun.elapsed().as_secs_f64(), cpu_time() - cpu);

    for capture in &captures {
        capture.stop();
    }
    for capture in captures {
        capture.join();
    }
    match thread.join() {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("the detector panicked".into()),
    }
    Ok(Trial {
        cameras,
        frames: after.0 - before.0,
        wanted: (took * rate_hz.min(15.0)) as u64 * cameras as u64,
        displaced: after.1 - before.1,
        cpu: cpu.as_secs_f64() / took,
    })
}

/// Frames that reached the detector's slots, and those displaced there, of all cameras.
fn counts(cameras: &[CameraMetrics]) -> (u64, u64) {
    let frames = cameras.iter().map(|camera| camera.frames.get()).sum();
    (frames, cameras.iter().map(|camera| camera.drops(DropReason::Displaced)).sum())
}
