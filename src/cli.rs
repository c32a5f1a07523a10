//! The command line: what can be asked of the program, and what it says of itself.

pub mod bench;
pub mod check;
pub mod doctor;
pub mod replay;
pub mod run;

use crate::classifier::bundle::Bundle;
use crate::config::load::{DEFAULT_PATH, Loaded, load, load_to_run};
use crate::config::problem::Problems;
use crate::config::{Config, ModelConfig};
use crate::exit::Exit;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The commit that this program was built from, or `unknown`.
pub const COMMIT: &str = match option_env!("FALLD_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// The facts of this build, as `--version` shows them. `build.rs` asks git for the commit; a packager without git gives
/// it as `FALLD_COMMIT`.
pub fn build_facts() -> String {
    let features: Vec<&str> = [("opencv", cfg!(feature = "opencv")), ("ort", cfg!(feature = "ort"))]
        .iter()
        .filter(|f| f.1)
        .map(|f| f.0)
        .collect();
    format!(
        "{}\ncommit:   {}\ntarget:   {}-{}\nprofile:  {}\nfeatures: {}",
        env!("CARGO_PKG_VERSION"),
        COMMIT,
        std::env::consts::ARCH,
        std::env::consts::OS,
        if cfg!(debug_assertions) { "debug" } else { "release" },
        if features.is_empty() { "none".to_owned() } else { features.join(", ") },
    )
}

/// falld sees a fall in a camera's picture, on the device, and publishes a durable alert over MQTT.
#[derive(Debug, Parser)]
#[command(name = "falld", version, long_version = build_facts(), arg_required_else_help = true)]
pub struct Cli {
    /// The configuration file; conf.d/*.toml beside it and FALLD__SECTION__KEY follow.
    #[arg(long, global = true, value_name = "PATH", help = format!("Configuration file [default: {DEFAULT_PATH}]"))]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be asked.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch the cameras and alert, until told to stop
    Run,
    /// Check the configuration and print what holds
    Check,
    /// Try camera, model, broker, store, clock and disk, and say how to mend what fails
    Doctor(DoctorArgs),
    /// Run recorded clips through the same stages and write a line for each alert
    Replay(ReplayArgs),
    /// Measure this machine
    Bench(BenchArgs),
}

/// Arguments of `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct DoctorArgs {
    /// Build what the execution provider needs (TensorRT engines), with progress
    #[arg(long)]
    pub prepare: bool,
    /// Where a PNG of each camera goes: what falld sees, with masks, marked places, people and a ruler. It shows the room
    #[arg(long, value_name = "DIR")]
    pub pictures: Option<PathBuf>,
}

/// Arguments of `replay`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ReplayArgs {
    /// The model's folder, in place of model.path
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Go as fast as the clip was recorded, not as fast as possible
    #[arg(long)]
    pub realtime: bool,
    /// Where the alerts go, a JSON object a line; - is standard output
    #[arg(long, value_name = "OUT")]
    pub jsonl: PathBuf,
    /// Where a GIF of each alert goes: the last seconds' movements over the last picture
    #[arg(long, value_name = "DIR")]
    pub evidence: Option<PathBuf>,
    /// Take the clips for this camera's: with its mask and the places marked in its picture
    #[arg(long, value_name = "ID")]
    pub camera: Option<String>,
    /// Clips, each from a cleared state
    #[arg(required = true, value_name = "CLIP")]
    pub clips: Vec<PathBuf>,
}

/// Arguments of `bench`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct BenchArgs {
    /// The model's folder, in place of model.path
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// A clip with a person in it
    #[arg(long, value_name = "FILE", default_value = "tests/data/fall.mp4")]
    pub clip: PathBuf,
    /// A Python with the packages of tests/peer/requirements.txt, to compare with the plain loop
    #[arg(long, value_name = "PYTHON")]
    pub peer: Option<PathBuf>,
    /// Write the table to this file as well
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Seconds in place of minutes, for a first look: too few samples to judge by
    #[arg(long)]
    pub quick: bool,
}

impl Cli {
    /// Reads the command line. `Err` holds how to exit when everything that was asked has been printed, or nothing made
    /// sense.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Exit> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        Self::try_parse_from(&arguments).map_err(|error| {
            if error.kind() == ErrorKind::DisplayVersion {
                let text = error.to_string();
                // `-V` is for scripts: one line.
                let model = text.contains("commit:").then(|| model_facts(config_in(&arguments)));
                return say(format_args!("{}{}", text.trim_end(), model.unwrap_or_default()));
            }
            // Nobody is left to be told if the terminal is gone.
            let _ = error.print();
            if error.use_stderr() { Exit::Usage } else { Exit::Ok }
        })
    }

    /// Loads and checks the configuration for the daemon, which runs without a broker.
    pub fn config_to_run(&self) -> Result<Loaded, Problems> {
        config_to_run(self.config.as_deref())
    }

    /// Loads and checks the configuration. On failure everything has been said on standard error.
    pub fn load_config(&self) -> Result<Loaded, Exit> {
        let path = self.config.as_deref();
        let loaded = load(path.unwrap_or(Path::new(DEFAULT_PATH)), path.is_some(), std::env::vars_os());
        loaded.map_err(|problems| refused(&problems))
    }
}

fn config_to_run(path: Option<&Path>) -> Result<Loaded, Problems> {
    load_to_run(path.unwrap_or(Path::new(DEFAULT_PATH)), path.is_some(), std::env::vars_os())
}

/// Says everything that is wrong on standard error.
fn refused(problems: &Problems) -> Exit {
    let count = problems.0.len();
    let plural = if count == 1 { "problem" } else { "problems" };
    complain(format_args!("{problems}\nfalld: the configuration has {count} {plural}"));
    Exit::Config
}

/// The configuration file that the arguments name; they need make no sense otherwise.
fn config_in(arguments: &[OsString]) -> Option<PathBuf> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--config" {
            return arguments.next().map(PathBuf::from);
        }
        if let Some(path) = argument.to_str().and_then(|text| text.strip_prefix("--config=")) {
            return Some(path.into());
        }
    }
    None
}

/// The model that would run, as its manifest tells; a broken configuration leaves the default place.
fn model_facts(config: Option<PathBuf>) -> String {
    let folder =
        config_to_run(config.as_deref()).map_or_else(|_| ModelConfig::default(), |loaded| loaded.config.model).path;
    let Ok(Bundle { folder, spec, .. }) = Bundle::read(&folder) else {
        return format!("\nmodel:    none that can be read in {}", folder.display());
    };
    let sha256 = spec.sha256.get(..12).unwrap_or(&spec.sha256);
    format!("\nmodel:    {} {} ({}), sha256 {sha256}, in {}", spec.name, spec.version, spec.precision, folder.display())
}

/// OpenCV takes some settings from the process's environment alone, and the environment of a process with threads must
/// not change: so this process, which has none yet, becomes itself again with them.
fn with_opencv_settings(config: &Config) -> Result<(), String> {
    use std::os::unix::process::CommandExt as _;
    let cameras = config.camera.iter().map(|(id, camera)| (id.as_str(), camera));
    let wanted = crate::camera::source::environment(cameras)?;
    let missing: Vec<_> = wanted.into_iter().filter(|(name, _)| std::env::var_os(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let again = |program: &Path| {
        std::process::Command::new(program).args(std::env::args_os().skip(1)).envs(missing.clone()).exec()
    };
    let mut error = again(&program);
    if error.kind() == io::ErrorKind::NotFound {
        // An upgrade has replaced the file since the start; the kernel still has the old one.
        error = again(Path::new("/proc/self/exe"));
    }
    Err(format!("cannot start again with OpenCV's settings: {error}"))
}

/// Says something on standard error.
pub fn complain(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes a result to standard output. A reader that has seen enough (`| head`) is no failure.
pub fn say(text: impl Display) -> Exit {
    match writeln!(io::stdout(), "{text}").and_then(|()| io::stdout().flush()) {
        Ok(()) => Exit::Ok,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
        Err(error) => {
            complain(format_args!("falld: standard output: {error}"));
            Exit::CannotCreate
        }
    }
}
