//! `falld doctor`: says whether this device would see and tell, one line for each part, with the mend.
//!
//! What the installer runs before leaving. Every check really does what the daemon does: opens the camera and looks at
//! pictures, runs the model's probe, connects to the broker, opens the store. Nothing is published, and nothing changed but for the
//! pictures that `--pictures` asks for.

#[cfg_attr(not(feature = "opencv"), path = "doctor/blind.rs")]
mod cameras;
#[cfg(feature = "opencv")]
mod picture;

use crate::cli::{Cli, DoctorArgs, complain, say, with_opencv_settings};
use crate::config::Config;
use crate::engine::Engine;
use crate::exit::Exit;
use crate::frame::Frame;
use crate::model;
use crate::mqtt;
use crate::preflight;
use crate::store::Store;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Works.
    Pass,
    /// Works, and something should be looked at.
    Warn,
    /// Does not work.
    Fail,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub part: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen, and for a warning or failure how to mend it.
    pub text: String,
}

impl Finding {
    fn new(part: impl Into<String>, verdict: Verdict, text: impl Into<String>) -> Self {
        Self { part: part.into(), verdict, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.verdict {
            Verdict::Pass => "pass",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        write!(out, "{word}  {:<18} {}", self.part, self.text)
    }
}

/// Looks at everything and says it. Exit 0 unless something fails.
pub fn doctor(cli: &Cli, arguments: &DoctorArgs) -> Exit {
    let loaded = match cli.load_config() {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    // As the daemon does, or an RTSP camera over UDP would be tried over TCP.
    if let Err(problem) = with_opencv_settings(&loaded.config) {
        complain(format_args!("falld: {problem}"));
        return Exit::Config;
    }
    let files = loaded.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>();
    let from = if files.is_empty() { "defaults and environment".to_owned() } else { files.join(", ") };
    say(Finding::new("configuration", Verdict::Pass, from));
    let warnings = preflight::look(&loaded).warnings;
    for warning in &warnings {
        say(Finding::new("configuration", Verdict::Warn, warning.as_str()));
    }
    let unwise = if warnings.is_empty() { Verdict::Pass } else { Verdict::Warn };
    if arguments.prepare {
        // Loading the model builds what the provider needs; the line after it says how long that took.
        complain("preparing the execution provider; TensorRT takes minutes the first time");
    }
    let worst = run(&loaded.config, arguments.pictures.as_deref(), |finding| {
        let _ = say(finding);
    });
    match worst.max(unwise) {
        Verdict::Pass => say("falld would see and tell."),
        Verdict::Warn => say("falld would see and tell; the warnings are worth a look."),
        Verdict::Fail => {
            say("falld would NOT see or tell: mend what fails and run `falld doctor` again.");
            Exit::Failure
        }
    }
}

/// Runs every check and hands each finding on as soon as it is there. Returns the worst verdict. What the cameras see is drawn into the
/// folder `pictures`, if there is one.
pub fn run(config: &Config, pictures: Option<&Path>, mut say: impl FnMut(&Finding)) -> Verdict {
    let mut worst = Verdict::Pass;
    let mut tell = |finding: Finding| {
        worst = worst.max(finding.verdict);
        say(&finding);
    };
    let (finding, engine) = model(config);
    tell(finding);
    if let Some(mut engine) = engine {
        tell(speed(&mut engine, config.camera.len()));
        if config.camera.is_empty() {
            tell(Finding::new("camera", Verdict::Fail, "no camera is configured: add [camera.<id>] with a source"));
        }
        for (id, camera) in &config.camera {
            let (finding, frame) = cameras::look(id, camera, engine.spec());
            tell(finding);
            if let (Some(folder), Some(frame)) = (pictures, frame) {
                tell(cameras::draw(&folder.join(format!("{id}.png")), id, camera, frame, &mut engine));
            }
        }
    } else {
        tell(Finding::new("camera", Verdict::Warn, "not looked at: the model says how its pictures must be"));
    }
    tell(store(config));
    tell(disk(&config.store.path));
    tell(broker(config));
    tell(clock());
    worst
}

fn model(config: &Config) -> (Finding, Option<Engine>) {
    let begun = Instant::now();
    match model::for_cameras(config) {
        Ok(loaded) => {
            let spec = &loaded.bundle.spec;
            let text = format!(
                "{} {} ({}) on {}; probe off by {}, loaded in {:.1} s",
                spec.name,
                spec.version,
                spec.precision,
                loaded.provider,
                loaded.agreement,
                begun.elapsed().as_secs_f64()
            );
            // A wish that was refused is worth a look.
            let refused = loaded.refused;
            let verdict = if refused { Verdict::Warn } else { Verdict::Pass };
            let text =
                if refused { format!("{text}. Without a GPU, say so: model.providers = [\"cpu\"]") } else { text };
            (Finding::new("model", verdict, text), Some(loaded.engine))
        }
        Err(error) => (Finding::new("model", Verdict::Fail, error.to_string()), None),
    }
}

/// Times decisions on made-up pictures: the probe's, which cost what real ones cost.
fn speed(engine: &mut Engine, cameras: usize) -> Finding {
    const DECISIONS: u64 = 45;
    let (size, rate) = (engine.spec().frame, engine.spec().rate_hz);
    let mut times = Vec::new();
    for tick in 0..DECISIONS {
        let mut frame = Frame::new(size);
        crate::probe::paint(&mut frame, size, tick);
        frame.tick = tick;
        frame.captured = Duration::from_secs_f64(tick as f64 / rate);
        let (now, begun) = (frame.captured, Instant::now());
        if let Err(error) = engine.step(&mut vec![(0, frame)], &mut || now, &mut Vec::new(), &mut |_, _| {}) {
            return Finding::new("speed", Verdict::Fail, error.to_string());
        }
        times.push(begun.elapsed());
    }
    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() * 9 / 10]);
    let text = format!("a decision takes {:.1} ms (9 of 10 under {:.1} ms)", millis(median), millis(worst));
    room(&text, 1.0 / rate / median.as_secs_f64().max(1e-9), cameras, rate)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// What it means that `affordable` cameras can be judged one after the other, where `cameras` are configured.
fn room(took: &str, affordable: f64, cameras: usize, rate: f64) -> Finding {
    let text = format!("{took}: room for {:.0} camera(s) at {rate:.0} pictures/s", affordable.floor());
    if affordable < 1.0 {
        let mend = "; this machine is too slow: use a GPU provider or more model.threads";
        return Finding::new("speed", Verdict::Fail, text + mend);
    }
    if affordable < cameras as f64 {
        // Not a failure: cameras share a batch, which costs less than one after the other.
        let mend = format!(
            "; {cameras} are configured: use fewer cameras, a GPU provider or more model.threads if \
             falld_frames_dropped_total{{reason=\"displaced\"}} grows"
        );
        return Finding::new("speed", Verdict::Warn, text + &mend);
    }
    Finding::new("speed", Verdict::Pass, text)
}

fn store(config: &Config) -> Finding {
    match Store::check(&config.store) {
        Ok(()) => Finding::new("store", Verdict::Pass, format!("{} can be written", config.store.path.display())),
        Err(error) => Finding::new("store", Verdict::Fail, error.to_string()),
    }
}

/// A day of events is some kilobytes: what fills a disk is something else, so warn early.
fn disk(path: &Path) -> Finding {
    const WARN: u64 = 500 << 20;
    const FAIL: u64 = 20 << 20;
    let folder = path.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(folder) {
        Ok(status) => {
            let free = status.f_bavail * status.f_frsize;
            let text = format!("{} MiB free on {}", free >> 20, folder.display());
            match free {
                0..FAIL => Finding::new("disk", Verdict::Fail, text + ": events cannot be stored; free space"),
                FAIL..WARN => Finding::new("disk", Verdict::Warn, text + ": free space before it is full"),
                _ => Finding::new("disk", Verdict::Pass, text),
            }
        }
        Err(error) => Finding::new("disk", Verdict::Warn, format!("{}: {error}", folder.display())),
    }
}

fn broker(config: &Config) -> Finding {
    const PATIENCE: Duration = Duration::from_secs(10);
    let place = format!("{}:{}", config.mqtt.host, config.mqtt.port);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Finding::new("broker", Verdict::Fail, error.to_string()),
    };
    let probe = mqtt::probe(&config.mqtt, &config.device.id);
    match runtime.block_on(async { tokio::time::timeout(PATIENCE, probe).await }) {
        Ok(Ok(took)) => {
            let secured = if config.mqtt.tls.is_some() { "TLS" } else { "plain TCP" };
            let text = format!("{place} accepted us over {secured} in {:.0} ms", took.as_secs_f64() * 1e3);
            Finding::new("broker", Verdict::Pass, text)
        }
        Ok(Err(error)) => Finding::new("broker", Verdict::Fail, error.to_string()),
        Err(_) => Finding::new(
            "broker",
            Verdict::Fail,
            format!(
                "{place} did not answer within {} s: check mqtt.host, mqtt.port and the network",
                PATIENCE.as_secs()
            ),
        ),
    }
}

/// Event times are read by people: a device that believes it is 1970 confuses them.
fn clock() -> Finding {
    /// 2026-01-01, before this falld was made.
    const BUILT: u64 = 1_767_225_600;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if now < BUILT {
        return Finding::new(
            "clock",
            Verdict::Fail,
            "the clock is before 2026: set it, and enable time synchronisation",
        );
    }
    let synchronised = Path::new("/run/systemd/timesync/synchronized").exists();
    let other = ["/run/chrony", "/run/ntpd.pid"].iter().any(|path| Path::new(path).exists());
    if synchronised || other {
        return Finding::new("clock", Verdict::Pass, "synchronised");
    }
    Finding::new(
        "clock",
        Verdict::Warn,
        "plausible, but no time synchronisation was found: `timedatectl set-ntp true` (alerts work without it)",
    )
}

#[cfg(test)]
mod tests {
    use super::{Verdict, room};

    #[test]
    fn more_cameras_than_there_is_room_for_are_worth_a_look() {
        assert_eq!(room("", 4.9, 4, 15.0).verdict, Verdict::Pass);
        let crowded = room("", 4.9, 5, 15.0);
        assert_eq!(crowded.verdict, Verdict::Warn);
        assert!(
            crowded.text.contains("room for 4 camera(s)") && crowded.text.contains("5 are configured"),
            "{crowded}"
        );
        assert_eq!(room("", 0.9, 1, 15.0).verdict, Verdict::Fail);
    }
}
