//! `falld bench`: what falld reaches on this machine, against its bars and against a plain Python loop, in one run.
//!
//! One measurement a file; each joins the daemon's own stages anew and returns a [`report::Section`]. Everything that
//! runs beside it (mosquitto, the loop, a whole falld) is a child that ends with its guard. Inference is on the
//! processor with one thread, because that is what the bars speak of. Deliberately absent: judging. A figure that could
//! not be taken is said to be so, and nothing is tuned here.

pub mod machine;
pub mod report;
pub mod stats;

#[cfg(all(feature = "opencv", feature = "ort"))]
mod cameras;
#[cfg(all(feature = "opencv", feature = "ort"))]
mod child;
#[cfg(all(feature = "opencv", feature = "ort"))]
mod daemon;
#[cfg(all(feature = "opencv", feature = "ort"))]
mod delivery;
#[cfg(all(feature = "opencv", feature = "ort"))]
mod frame;
#[cfg(all(feature = "opencv", feature = "ort"))]
mod peer;
#[cfg(all(feature = "opencv", feature = "ort"))]
mod scene;
#[cfg(all(feature = "opencv", feature = "ort"))]
mod streaming;

use crate::config::Config;
use report::Section;
use std::path::{Path, PathBuf};

/// What to measure with.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The model and everything else that a camera's road needs; cameras, store and broker of it are not touched.
    pub config: Config,
    /// A clip with a person in it; every stream is made of it.
    pub clip: PathBuf,
    /// A Python that can run the loop.
    pub peer: Option<PathBuf>,
    /// An existing folder on the disk that stores are measured on; left as it was.
    pub folder: PathBuf,
    /// Few samples.
    pub quick: bool,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Where, when and with what.
    pub facts: Vec<(String, String)>,
    /// The figures.
    pub sections: Vec<Section>,
}

/// The folder within `parent` that this process works in; it is gone when [`run`] returns.
pub fn scratch(parent: &Path) -> PathBuf {
    parent.join(format!(".falld-bench-{}", std::process::id()))
}

/// Measures everything. `progress` is told what begins. Fails only if nothing at all can be measured, with a text for
/// people.
#[cfg(all(feature = "opencv", feature = "ort"))]
pub fn run(plan: &Plan, progress: &mut dyn FnMut(&str)) -> Result<Outcome, String> {
    let scene = scene::Scene::prepare(plan)?;
    let mut outcome = Outcome { facts: scene.facts(), sections: Vec::new() };
    type Measurement = (&'static str, fn(&scene::Scene) -> Result<Section, String>);
    let measurements: [Measurement; 6] = [
        ("decision to subscriber", delivery::measure),
        ("frame captured to subscriber", frame::measure),
        ("streaming against whole clips", streaming::measure),
        ("speed of the Python loop", peer::measure),
        ("start, memory and size", daemon::measure),
        ("cameras sustained", cameras::measure),
    ];
    for (index, (what, measure)) in measurements.into_iter().enumerate() {
        progress(&format!("{}/{} {what}", index + 1, measurements.len()));
        outcome.sections.push(measure(&scene).unwrap_or_else(|why| Section::failed(what, &why)));
    }
    Ok(outcome)
}

/// Says what this build lacks.
#[cfg(not(all(feature = "opencv", feature = "ort")))]
pub fn run(_plan: &Plan, _progress: &mut dyn FnMut(&str)) -> Result<Outcome, String> {
    Err("this falld was built without cameras or without inference, so there is nothing to measure. Build it with the \
         features `opencv` and `ort` (they are on by default)."
        .into())
}
