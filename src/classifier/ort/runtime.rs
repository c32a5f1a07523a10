//! Finds and opens `libonnxruntime.so`, once for the process.

use super::chain;
use crate::classifier::ClassifierError;
use crate::config::ModelConfig;
use crate::place;
use ort::environment::Environment;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

/// ONNX Runtime allows one environment in a process; it lives as long as the process.
static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
/// Keeps two threads from opening the library at once.
static OPENING: Mutex<()> = Mutex::new(());

const NAME: &str = "libonnxruntime.so";

/// The library that would be opened: `model.runtime` if set, else the first that exists of `ORT_DYLIB_PATH`, the
/// program's folder, `/usr/lib/falld`, `/usr/local/lib`, the system's folders, and a checkout's `.falld`.
pub fn find(config: &ModelConfig) -> Result<PathBuf, ClassifierError> {
    if !config.runtime.as_os_str().is_empty() {
        return Ok(config.runtime.clone());
    }
    let beside = std::env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned));
    let multiarch = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let named = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    let folders = beside
        .into_iter()
        .chain(["/usr/lib/falld", "/usr/local/lib", &multiarch, "/usr/lib"].map(PathBuf::from))
        .chain(place::checkout().map(|root| root.join(".falld")))
        .map(|folder| folder.join(NAME));
    named.into_iter().chain(folders).find(|path| path.is_file()).ok_or_else(|| {
        ClassifierError::Runtime(format!(
            "model.runtime: {NAME} was not found beside falld, in /usr/lib/falld, /usr/local/lib, {multiarch} or \
             /usr/lib. Install ONNX Runtime 1.17 or newer (in a checkout, `make build` fetches it) or set model.runtime to its path."
        ))
    })
}

/// The process's environment, opened on first use.
pub(super) fn environment(config: &ModelConfig) -> Result<&'static Environment, ClassifierError> {
    let _opening = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = ENVIRONMENT.get() {
        return Ok(environment);
    }
    let path = find(config)?;
    let refuse = |reason: String| {
        ClassifierError::Runtime(format!(
            "model.runtime: cannot use {}: {reason}. Install ONNX Runtime 1.17 or newer for this machine.",
            path.display()
        ))
    };
    let environment = ort::init_from(&path)
        .map_err(|error| refuse(chain(&error)))?
        .with_name("falld")
        .with_telemetry(false)
        .build()
        .map_err(|error| refuse(chain(&error)))?;
    Ok(ENVIRONMENT.get_or_init(|| environment))
}
