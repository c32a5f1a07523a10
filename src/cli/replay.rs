//! `falld replay`: the daemon's stages over clips, as fast as they go.
//!
//! Writes a line of JSON for each alert, a table for a person and, if asked, what each alert looked like. The same clips,
//! bundle and configuration give the same bytes. A clip that cannot be read is named, the others are replayed, and the outcome says so.

use crate::camera::Stream;
use crate::classifier::ClassifierError;
use crate::cli::{Cli, ReplayArgs, complain, say};
use crate::config::{CameraConfig, Config};
use crate::engine::{Decision, Engine};
use crate::evidence;
use crate::exit::Exit;
use crate::model;
use crate::replay::{self, Outcome};
use crate::zone::Zones;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// One alert, as it stands in the output.
#[derive(Debug, Serialize)]
struct Line<'a> {
    clip: &'a str,
    t: f64,
    class: &'static str,
    score: f64,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<&'a str>,
}

/// What a whole replay gave.
#[derive(Debug)]
pub struct Summary {
    /// The table for a person.
    pub table: String,
    /// Clips that could not be read to their end, with the reason.
    pub broken: Vec<(PathBuf, String)>,
}

/// Why a replay could not be done at all.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The model cannot be used.
    #[error(transparent)]
    Model(#[from] ClassifierError),
    /// The output cannot be written.
    #[error("cannot write {}: {error}. Choose another {option}, or make room.", path.display())]
    Output {
        /// The option that names it.
        option: &'static str,
        /// The output.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
}

/// Replays the clips that the command line names.
pub fn replay(cli: &Cli, arguments: &ReplayArgs) -> Exit {
    let mut config = match cli.load_config() {
        Ok(loaded) => loaded.config,
        Err(exit) => return exit,
    };
    if let Some(model) = &arguments.model {
        config.model.path.clone_from(model);
    }
    let camera = match &arguments.camera {
        None => CameraConfig::default(),
        Some(id) => match config.camera.remove(id) {
            Some(camera) => camera,
            None => {
                complain(format_args!("falld: --camera {id}: no such camera is configured; {}", known(&config)));
                return Exit::Usage;
            }
        },
    };
    match run(&config, &camera, arguments) {
        Ok(summary) => {
            // With the alerts on standard output the table would be in their way.
            let said = if arguments.jsonl == Path::new("-") { Exit::Ok } else { say(&summary.table) };
            for (clip, reason) in &summary.broken {
                complain(format_args!("falld: {}: {reason}", clip.display()));
            }
            if summary.broken.is_empty() { said } else { Exit::NoInput }
        }
        Err(error) => {
            complain(format_args!("falld: {error}"));
            match error {
                ReplayError::Model(error) if error.may_pass() => Exit::Failure,
                ReplayError::Model(_) => Exit::Config,
                ReplayError::Output { .. } => Exit::CannotCreate,
            }
        }
    }
}

fn known(config: &Config) -> String {
    let ids: Vec<&str> = config.camera.keys().map(String::as_str).collect();
    if ids.is_empty() {
        return "give a configuration that has one, with --config".into();
    }
    format!("known are {}", ids.join(", "))
}

/// Replays the clips in order, each from a cleared state, as `camera` would have seen them.
fn run(config: &Config, camera: &CameraConfig, arguments: &ReplayArgs) -> Result<Summary, ReplayError> {
    let ReplayArgs { clips, jsonl, evidence, realtime, .. } = arguments;
    let mut engine = model::load(config, 1)?.engine;
    engine.mark(0, Zones::new(camera))?;
    let output = |error: io::Error| ReplayError::Output { option: "--jsonl", path: jsonl.clone(), error };
    if let Some(folder) = evidence {
        std::fs::create_dir_all(folder).map_err(|error| unshown(folder, error))?;
    }
    let mut out: Box<dyn Write> = match jsonl.to_str() {
        Some("-") => Box::new(io::stdout()),
        _ => Box::new(BufWriter::new(File::create(jsonl).map_err(output)?)),
    };
    let bar = progress(clips.len());
    let mut table = String::from("clip                                      length   alerts\n");
    let mut broken = Vec::new();
    let (mut alerts, mut media, mut judged) = (0, Duration::ZERO, 0);
    let begun = Instant::now();
    for (nth, clip) in (1..).zip(clips) {
        let name =
            clip.file_name().map_or_else(|| clip.display().to_string(), |name| name.to_string_lossy().into_owned());
        bar.set_message(name.clone());
        let mut unwritten = None;
        let look = |engine: &Engine, decisions: &[Decision]| {
            bar.tick();
            if let Some(folder) = evidence {
                unwritten =
                    unwritten.take().or_else(|| show(engine, decisions, folder, &format!("{nth} {name}")).err());
            }
        };
        let outcome = match open(clip, camera, &engine) {
            Ok(mut stream) => replay::run(stream.as_mut(), &mut engine, &config.policy, *realtime, look)?,
            Err(reason) => {
                row(&mut table, &name, Duration::ZERO, "cannot be read");
                broken.push((clip.clone(), reason));
                bar.inc(1);
                continue;
            }
        };
        if let Some(error) = unwritten {
            return Err(error);
        }
        for decision in outcome.decisions.iter().filter(|decision| decision.transition.event.is_alert()) {
            let line = Line {
                clip: &name,
                t: round(decision.captured.as_secs_f64(), 3),
                class: decision.transition.class.as_str(),
                score: round(f64::from(decision.transition.score), 4),
                event: decision.transition.event.as_str(),
                place: engine.place(0, decision.transition.place),
            };
            serde_json::to_writer(&mut out, &line).map_err(|error| output(error.into()))?;
            out.write_all(b"\n").map_err(output)?;
            alerts += 1;
        }
        row(&mut table, &name, outcome.length, &describe(&outcome));
        media += outcome.length;
        judged += outcome.judged;
        if let Some(reason) = outcome.broken {
            broken.push((clip.clone(), reason));
        }
        bar.inc(1);
    }
    out.flush().map_err(output)?;
    bar.finish_and_clear();
    let wall = begun.elapsed().as_secs_f64();
    let _ = write!(
        table,
        "\n{}, {:.1} s of video, {judged} frames judged, {}; {:.1} times real time\n",
        count(clips.len(), "clip"),
        media.as_secs_f64(),
        count(alerts, "alert"),
        media.as_secs_f64() / wall.max(1e-9),
    );
    Ok(Summary { table, broken })
}

/// Writes what each alert among `decisions` looked like: `<clip> <seconds> <event>.gif`. Clips are numbered, for two may have one name.
fn show(engine: &Engine, decisions: &[Decision], folder: &Path, clip: &str) -> Result<(), ReplayError> {
    for decision in decisions.iter().filter(|decision| decision.transition.event.is_alert()) {
        let Some(movements) = engine.movements(0, true) else { continue };
        let (at, event) = (decision.captured.as_secs_f64(), decision.transition.event.as_str());
        let path = folder.join(format!("{clip} {at:.1} {event}.gif"));
        let gif = evidence::gif(&movements).map_err(|error| unshown(&path, io::Error::other(error)))?;
        std::fs::write(&path, gif).map_err(|error| unshown(&path, error))?;
    }
    Ok(())
}

fn unshown(path: &Path, error: io::Error) -> ReplayError {
    ReplayError::Output { option: "--evidence", path: path.to_owned(), error }
}

#[cfg(feature = "opencv")]
fn open(clip: &Path, camera: &CameraConfig, engine: &Engine) -> Result<Box<dyn Stream>, String> {
    let spec = engine.spec();
    crate::camera::opencv::open_file(clip, spec.frame, spec.pad, &camera.mask).map_err(|error| error.to_string())
}

#[cfg(not(feature = "opencv"))]
fn open(clip: &Path, _camera: &CameraConfig, _engine: &Engine) -> Result<Box<dyn Stream>, String> {
    Err(format!("{}: this falld was built without OpenCV (feature `opencv`) and reads no files", clip.display()))
}

fn row(table: &mut String, name: &str, length: Duration, what: &str) {
    let _ = writeln!(table, "{name:<40} {:>6.1} s  {what}", length.as_secs_f64());
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The alerts of a clip, or how near it came to one.
fn describe(outcome: &Outcome) -> String {
    let mut text = String::new();
    for decision in outcome.decisions.iter().filter(|decision| decision.transition.event.is_alert()) {
        let comma = if text.is_empty() { "" } else { ", " };
        let (event, score) = (decision.transition.event.as_str(), decision.transition.score);
        let _ = write!(text, "{comma}{event} at {:.1} s ({score:.2})", decision.captured.as_secs_f64());
    }
    if text.is_empty() {
        let (fall, climb) = (outcome.peak_fall, outcome.peak_climb);
        let (peak, at) = if fall.0 >= climb.0 { fall } else { climb };
        let _ = write!(text, "none (highest score {peak:.2} at {:.1} s)", at.as_secs_f64());
    }
    if let Some(reason) = &outcome.broken {
        let _ = write!(text, " — ended early: {reason}");
    }
    text
}

/// Rounded so that the output is short and does not hang on the last bit.
fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

/// A bar on a terminal, nothing elsewhere.
fn progress(clips: usize) -> ProgressBar {
    let bar = ProgressBar::new(clips as u64);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos}/{len} {wide_msg} {elapsed}") {
        bar.set_style(style);
    }
    bar
}
