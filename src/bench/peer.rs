//! The same bundle in a plain Python loop: processor and wall time for each judged frame, in turns.

use super::child::Program;
use super::report::{Bar, Row, Section};
use super::scene::{Scene, cpu_time};
use super::stats::estimate;
use crate::camera::opencv;
use crate::engine::Engine;
use crate::event::Ledger;
use crate::frame::Clock;
use crate::mqtt::latency::{Road, append};
use crate::store::Recorder;
use crate::{model, replay};
use serde::Deserialize;
use std::path::Path;
use std::time::{Duration, Instant};

const LOOP: &str = include_str!("../../tests/peer/loop.py");
/// The loop takes some seconds for a stream; a slow board may take ten times as long.
const LIMIT: Duration = Duration::from_secs(300);

/// What the loop says of itself.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Said {
    frames: u64,
    cpu_s: f64,
    wall_s: f64,
    pub(super) peak_kib: u64,
    pub(super) anon_kib: u64,
}

/// Milliseconds for one frame: of the processor, and on the wall.
#[derive(Debug, Clone, Copy)]
struct Cost {
    cpu: f64,
    wall: f64,
}

pub(super) fn measure(scene: &Scene) -> Result<Section, String> {
    let Some(python) = &scene.peer else {
        return Ok(Section {
            rows: vec![Row::told("The Python loop", "skipped")],
            notes: vec![
                "The Python loop was skipped: name a Python that has the packages of tests/peer/requirements.txt with \
                 `--peer PYTHON` (`make bench` makes one in .falld/peer)."
                    .into(),
            ],
            failed: false,
        });
    };
    let broker = scene.broker()?;
    let stream = scene.stream()?;
    let mut engine = model::load(&scene.config, 1).map_err(|error| error.to_string())?.engine;
    // As the loop does.
    engine.look_once();
    let runtime = Scene::runtime()?;
    let road = runtime.block_on(Road::open(&broker, &scene.store("peer"), Clock::start()))?;
    let rounds = scene.count(7, 1);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(falld(scene, &mut engine, &road.recorder(), stream)?);
        let said = run_loop(scene, python, stream)?;
        let per_frame = 1e3 / said.frames.max(1) as f64;
        theirs.push(Cost { cpu: said.cpu_s * per_frame, wall: said.wall_s * per_frame });
    }
    runtime.block_on(road.close())?;
    let of = |costs: &[Cost], pick: fn(&Cost) -> f64| estimate(costs.iter().map(pick), 0.5);
    let ratio = |pick: fn(&Cost) -> f64| {
        estimate(ours.iter().zip(&theirs).map(|(ours, theirs)| pick(ours) / pick(theirs)), 0.5)
    };
    let cpu: fn(&Cost) -> f64 = |cost| cost.cpu;
    let wall: fn(&Cost) -> f64 = |cost| cost.wall;
    Ok(Section {
        rows: vec![
            Row::estimated("Processor time a frame, falld over the loop", ratio(cpu), "×", Bar::at_most(1.0, "≤ 1")),
            Row::estimated("Processor time a frame, falld", of(&ours, cpu), "ms", None),
            Row::estimated("Processor time a frame, the loop", of(&theirs, cpu), "ms", None),
            Row::estimated("Wall time a frame, falld over the loop", ratio(wall), "×", None),
            Row::estimated("Wall time a frame, falld", of(&ours, wall), "ms", None),
            Row::estimated("Wall time a frame, the loop", of(&theirs, wall), "ms", None),
        ],
        notes: vec![
            "The loop is tests/peer/loop.py (cv2, onnxruntime, paho-mqtt; streaming; none of falld's store, supervision \
             or metrics). Both read the same stream as fast as they go, with one thread for inference, and publish \
             their alerts to the same broker; falld also stores them. Neither looks at anybody twice. n counts rounds, \
             in turns; processor time is user and system of the whole process, without start and loading."
                .into(),
        ],
        failed: false,
    })
}

/// The stream through the daemon's stages.
fn falld(scene: &Scene, engine: &mut Engine, recorder: &Recorder, stream: &Path) -> Result<Cost, String> {
    let spec = &scene.bundle.spec;
    let (cpu, begun) = (cpu_time(), Instant::now());
    let mut file = opencv::open_file(stream, spec.frame, spec.pad, &[]).map_err(|error| error.to_string())?;
    let outcome = replay::run(file.as_mut(), engine, &scene.config.policy, false, |_, _| {});
    let outcome = outcome.map_err(|error| error.to_string())?;
    for decision in outcome.decisions.iter().filter(|decision| decision.transition.event.is_alert()) {
        let (captured, scored, decided) = (decision.captured, decision.scored, decision.decided);
        append(recorder, Ledger { captured, scored, decided });
    }
    let per_frame = 1e3 / outcome.judged.max(1) as f64;
    Ok(Cost { cpu: (cpu_time() - cpu).as_secs_f64() * per_frame, wall: begun.elapsed().as_secs_f64() * per_frame })
}

/// The stream through the loop.
pub(super) fn run_loop(scene: &Scene, python: &Path, stream: &Path) -> Result<Said, String> {
    let port = scene.broker()?.port.to_string();
    let script = scene.folder().join("loop.py");
    std::fs::write(&script, LOOP).map_err(|error| format!("{}: {error}", script.display()))?;
    let program = Program::start("loop", python, scene.folder(), |command| {
        // One thread each, as the figures say.
        command.env("OMP_NUM_THREADS", "1").env("OPENBLAS_NUM_THREADS", "1");
        command.arg(&script).arg(&scene.config.model.path).arg(port).arg(stream);
    })?;
    let said = program.finish(LIMIT).map_err(|error| {
        format!("{error}. The loop needs the packages of tests/peer/requirements.txt in {}.", python.display())
    })?;
    let line = said.lines().last().unwrap_or_default();
    serde_json::from_str(line).map_err(|error| format!("the loop said {line:?}: {error}"))
}
