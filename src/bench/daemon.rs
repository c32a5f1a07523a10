//! A whole falld: how soon it sees, and how much memory it holds, beside the Python loop.

use super::child::Program;
use super::machine::value;
use super::peer::run_loop;
use super::report::{Bar, Row, Section, number};
use super::scene::Scene;
use super::stats::estimate;
use crate::classifier::ort::find_runtime;
use crate::config::DeviceConfig;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest wait for the first score.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn measure(scene: &Scene) -> Result<Section, String> {
    let mut starts = Vec::new();
    let rounds = scene.count(6, 1);
    let mut memory = Memory::default();
    // Longer than the stream, so that the file is opened a second time.
    let seconds = scene.count(40, 4);
    for round in 0..rounds {
        let falld = Falld::start(scene)?;
        starts.push(falld.ready_after.as_secs_f64());
        // The last one stays long enough to have done everything it does.
        if round + 1 == rounds {
            std::thread::sleep(Duration::from_secs(seconds as u64));
            memory = falld.memory()?;
        }
    }
    let mib = |kib: u64| kib as f64 / 1024.0;
    let peak = mib(memory.peak);
    let mut rows = vec![
        Row {
            samples: format!("1 run of {seconds} s"),
            ..Row::judged("Resident memory of `falld run`, one camera, peak", mb(peak), "≤ 200 MB", peak <= 190.7)
        },
        Row::told("… at the end of the run", mb(mib(memory.resident))),
        Row::told("… of it in no file (heap, stacks, tensors)", mb(mib(memory.anonymous))),
        Row::told("… held by the linked libraries before falld does anything", mb(mib(scene.libraries_kib))),
    ];
    if let Some(python) = &scene.peer {
        let said = run_loop(scene, python, scene.stream()?)?;
        let theirs = mib(said.peak_kib);
        rows.push(Row::told("Resident memory of the loop, peak", mb(theirs)));
        rows.push(Row::told("… of it in no file", mb(mib(said.anon_kib))));
        let ratio = peak / theirs;
        let figure = format!("{} ×", number(ratio));
        rows.push(Row::judged("Peak memory, falld over the loop", figure, "≤ 1/3", ratio <= 1.0 / 3.0));
    }
    let start = estimate(starts, 0.5);
    rows.push(Row::estimated("Start → first score, median", start, "s", None::<Bar>));
    rows.extend(sizes(scene));
    let first = scene.bundle.spec.min_ticks as f64 / scene.bundle.spec.rate_hz;
    Ok(Section {
        rows,
        notes: vec![
            format!(
                "Memory: `falld run` as a process of its own with one camera, store and broker; VmHWM, VmRSS and \
                 RssAnon of /proc. What lies in files (program and libraries, most of them OpenCV's on Debian) is \
                 shared with whoever else uses them. Compared with the loop's peak over the same stream.",
            ),
            format!(
                "Start → first score: from the start of the process to READY=1, which falld says after the first score \
                 of its camera; {} s of it are the {} pictures that the model wants first.",
                number(first),
                scene.bundle.spec.min_ticks
            ),
        ],
        failed: false,
    })
}

fn mb(mib: f64) -> String {
    format!("{} MB", number(mib * 1.048_576))
}

#[derive(Debug, Clone, Copy, Default)]
struct Memory {
    peak: u64,
    resident: u64,
    anonymous: u64,
}

/// A running daemon that has scored its first frame.
struct Falld {
    program: Program,
    ready_after: Duration,
}

impl Falld {
    fn start(scene: &Scene) -> Result<Self, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let folder = scene.folder();
        let mut config = scene.config.clone();
        config.device = DeviceConfig { id: "falld-bench-run".into() };
        config.store = scene.store("run");
        config.mqtt = scene.broker()?;
        config.camera.insert("bench".into(), scene.camera()?);
        if config.model.runtime.as_os_str().is_empty() {
            config.model.runtime = find_runtime(&config.model).map_err(|error| text(&error))?;
        }
        let path = folder.join("run.toml");
        let written = toml::to_string(&config).map_err(|error| text(&error))?;
        std::fs::write(&path, written).map_err(|error| text(&error))?;
        let address = folder.join("notify");
        // Left by the run before.
        let _absent = std::fs::remove_file(&address);
        let socket = UnixDatagram::bind(&address).map_err(|error| format!("{}: {error}", address.display()))?;
        socket.set_read_timeout(Some(Duration::from_millis(200))).map_err(|error| text(&error))?;
        let program = std::env::current_exe().map_err(|error| text(&error))?;
        let begun = Instant::now();
        let program = Program::start("falld", &program, folder, |command| {
            command.arg("run").arg("--config").arg(&path).env("NOTIFY_SOCKET", &address);
        })?;
        let mut falld = Self { program, ready_after: Duration::ZERO };
        let mut message = [0; 4096];
        while begun.elapsed() < PATIENCE {
            let length = socket.recv(&mut message).unwrap_or(0);
            if message[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                falld.ready_after = begun.elapsed();
                return Ok(falld);
            }
            if falld.program.ended().is_some() {
                break;
            }
        }
        Err(format!("`falld run` gave no first score: {}", falld.program.said()))
    }

    fn memory(mut self) -> Result<Memory, String> {
        if let Some(status) = self.program.ended() {
            return Err(format!("`falld run` ended with {status}: {}", self.program.said()));
        }
        let path = format!("/proc/{}/status", self.program.id());
        let status = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let kib = |key| value(&status, key).ok_or_else(|| format!("{path} has no {key}"));
        Ok(Memory { peak: kib("VmHWM")?, resident: kib("VmRSS")?, anonymous: kib("RssAnon")? })
    }
}

fn sizes(scene: &Scene) -> Vec<Row> {
    let size = |paths: &[PathBuf]| {
        let bytes: u64 = paths.iter().filter_map(|path| path.metadata().ok()).map(|facts| facts.len()).sum();
        format!("{} MB", number(bytes as f64 / 1e6))
    };
    let in_bundle = |name: &str| Path::new(&scene.config.model.path).join(name);
    let manifest = &scene.bundle.manifest;
    let networks = [in_bundle(&manifest.encoder.file), in_bundle(&manifest.head.file)];
    let mut rows = vec![Row::told("Size of the model (both networks)", size(&networks))];
    if let Ok(program) = std::env::current_exe() {
        rows.push(Row::told("Size of the program", size(&[program])));
    }
    if let Ok(runtime) = find_runtime(&scene.config.model) {
        let runtime = runtime.canonicalize().unwrap_or(runtime);
        rows.push(Row::told("Size of ONNX Runtime", size(&[runtime])));
    }
    rows
}
