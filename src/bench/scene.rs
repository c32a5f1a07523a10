//! What every measurement stands on: a scratch folder, a broker, a stream as a camera sends it, the model's facts.

use super::child::{self, Mosquitto, Program};
use super::{Plan, machine};
use crate::camera::opencv::Opener;
use crate::capture::Openers;
use crate::classifier::bundle::Bundle;
use crate::config::{CameraConfig, Config, MetricsConfig, MqttConfig, Provider, StoreConfig};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

/// Length of the stream that is made of the clip: several ways round, so that opening the file again is rare.
pub(super) const STREAM_S: u32 = 30;
/// Making it takes a few seconds on a slow board.
const MAKING: Duration = Duration::from_secs(180);
/// What a network camera's second stream sends.
const FILTER: &str = "scale=640:480:force_original_aspect_ratio=decrease,pad=640:480:-1:-1,fps=15";

/// A folder that goes with its guard.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn make(folder: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        // The daemon may run elsewhere, and FFmpeg takes what stands before a colon for a protocol.
        std::path::absolute(folder).map(Self).map_err(|error| format!("{}: {error}", folder.display()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left says where it is by its name.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

/// Everything prepared. Children go first, then their folder.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) config: Config,
    pub(super) bundle: Bundle,
    pub(super) clip: PathBuf,
    pub(super) peer: Option<PathBuf>,
    pub(super) quick: bool,
    /// Resident memory of this process before it did anything, in KiB: its libraries.
    pub(super) libraries_kib: u64,
    stream: OnceLock<Result<PathBuf, String>>,
    mosquitto: Result<Mosquitto, String>,
    scratch: Scratch,
}

impl Scene {
    /// Fails if the bundle or the clip cannot be used: nothing could be measured.
    pub(super) fn prepare(plan: &Plan) -> Result<Self, String> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let libraries_kib = machine::value(&status, "VmHWM").unwrap_or_default();
        let bundle = Bundle::open(&plan.config.model.path).map_err(|error| error.to_string())?;
        let clip = std::path::absolute(&plan.clip).map_err(|error| format!("{}: {error}", plan.clip.display()))?;
        if !clip.is_file() {
            return Err(format!("{}: there is no such clip; name one with --clip", plan.clip.display()));
        }
        let scratch = Scratch::make(&super::scratch(&plan.folder))?;
        let mut config = Config { camera: Default::default(), ..plan.config.clone() };
        config.model.path = std::path::absolute(&config.model.path).unwrap_or(config.model.path);
        config.model.providers = vec![Provider::Cpu];
        config.model.require = None;
        config.model.threads = 1;
        config.metrics = MetricsConfig { listen: String::new() };
        let mosquitto = Mosquitto::start(&scratch.0);
        Ok(Self {
            config,
            bundle,
            clip,
            peer: plan.peer.clone(),
            quick: plan.quick,
            libraries_kib,
            stream: OnceLock::new(),
            mosquitto,
            scratch,
        })
    }

    pub(super) fn facts(&self) -> Vec<(String, String)> {
        let fact = |name: &str, value: String| (name.to_owned(), value);
        let spec = &self.bundle.spec;
        let mut facts = machine::facts();
        facts.push(fact(
            "Model",
            format!(
                "{} {} ({}, {}…), {}×{} at {} Hz, {} ticks; processor, one thread",
                spec.name,
                spec.version,
                spec.precision,
                &spec.sha256[..12],
                spec.frame.width,
                spec.frame.height,
                spec.rate_hz,
                spec.ticks
            ),
        ));
        let name = self.clip.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        facts.push(fact("Clip", format!("{name}, as a {STREAM_S} s stream of H.264, 640×480, 15 pictures a second")));
        facts
    }

    /// A number of samples: `full`, or `quick` for a first look.
    pub(super) fn count(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.scratch.0
    }

    /// The broker, or why there is none.
    pub(super) fn broker(&self) -> Result<MqttConfig, String> {
        let mosquitto = self.mosquitto.as_ref().map_err(Clone::clone)?;
        Ok(MqttConfig { host: "127.0.0.1".into(), port: mosquitto.port, ..MqttConfig::default() })
    }

    /// A store of its own for one measurement.
    pub(super) fn store(&self, name: &str) -> StoreConfig {
        StoreConfig { path: self.folder().join(format!("{name}.db")), ..StoreConfig::default() }
    }

    /// The clip as a network camera would send it, made on first use.
    pub(super) fn stream(&self) -> Result<&Path, String> {
        let made = self.stream.get_or_init(|| make(&self.clip, self.folder()));
        made.as_deref().map_err(Clone::clone)
    }

    /// The stream as a camera that never ends.
    pub(super) fn camera(&self) -> Result<CameraConfig, String> {
        let source = self.stream()?.to_str().ok_or("the scratch folder's name is no text")?.to_owned();
        Ok(CameraConfig { source, repeat: true, ..CameraConfig::default() })
    }

    /// Openers of that camera.
    pub(super) fn openers(&self) -> Result<Openers, String> {
        let opener = Opener::new(&self.camera()?, self.bundle.spec.frame, self.bundle.spec.pad);
        Ok(Box::new(move || Box::new(opener.clone())))
    }

    /// Runs a future on a small runtime.
    pub(super) fn runtime() -> Result<tokio::runtime::Runtime, String> {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| error.to_string())
    }
}

fn make(clip: &Path, folder: &Path) -> Result<PathBuf, String> {
    let ffmpeg = child::find("ffmpeg").ok_or(
        "ffmpeg is not installed, and makes a camera's stream of the clip: `apt install ffmpeg` (or `make bench`)",
    )?;
    let stream = folder.join("stream.mp4");
    let mut why = String::new();
    for encoder in [
        &["-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "30", "-b:v", "1M"][..],
        &["-c:v", "mpeg4", "-g", "30", "-b:v", "2M"][..],
    ] {
        let program = Program::start("ffmpeg", &ffmpeg, folder, |command| {
            command.args(["-v", "error", "-y", "-stream_loop", "-1", "-i"]).arg(clip);
            command.args(["-t", &STREAM_S.to_string(), "-an", "-vf", FILTER, "-pix_fmt", "yuv420p"]);
            command.args(encoder).arg(&stream);
        })?;
        match program.finish(MAKING) {
            Ok(_) => return Ok(stream),
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// Processor time that this process has used, all threads together.
pub(super) fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.max(0).unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}
