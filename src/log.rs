//! The log: to journald with structured fields when the service manager reads it, else to standard error.
//!
//! Log changes, not conditions: a camera that stays away is one line. Fields become journal fields in capitals without
//! a prefix (`camera = "bed"` is `CAMERA=bed`), so `journalctl -t falld CAMERA=bed` finds them. Transitions carry a
//! MESSAGE_ID of [`crate::journal`], which standard error leaves out.

use crate::config::check::check_level;
use std::io::{self, IsTerminal};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt, reload};

/// The name under which journald files what falld says.
pub const IDENTIFIER: &str = "falld";

/// Libraries that tell conditions at `info`; a filter that names them wins.
const QUIET: &str = "ort=warn,rumqttc=warn,hyper=warn";

/// Changes the filter while the daemon runs.
#[derive(Debug, Clone)]
pub struct LogHandle {
    filter: reload::Handle<EnvFilter, Registry>,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter makes no sense.
    #[error("log.level: {0}")]
    Level(String),
    /// Somebody else already logs in this process.
    #[error("the log is already set up: {0}")]
    Taken(#[from] TryInitError),
    /// The filter is gone.
    #[error("the log's filter cannot be changed: {0}")]
    Gone(#[from] reload::Error),
}

/// Starts to log. Call it once, before anything that logs.
pub fn init(level: &str) -> Result<LogHandle, LogError> {
    let (filter, handle) = reload::Layer::new(filter(level)?);
    let journal = journal_reads_stderr().then(journald).transpose().unwrap_or(None);
    let output = match journal {
        Some(journal) => journal.boxed(),
        None => standard_error().boxed(),
    };
    tracing_subscriber::registry().with(filter).with(output).try_init()?;
    Ok(LogHandle { filter: handle })
}

impl LogHandle {
    /// Logs by another filter from now on. A filter that makes no sense changes nothing.
    pub fn set_level(&self, level: &str) -> Result<(), LogError> {
        Ok(self.filter.reload(filter(level)?)?)
    }
}

fn filter(level: &str) -> Result<EnvFilter, LogError> {
    check_level(level).map_err(LogError::Level)?;
    EnvFilter::builder().parse(format!("{QUIET},{level}")).map_err(|error| LogError::Level(error.to_string()))
}

fn journald() -> io::Result<tracing_journald::Layer> {
    // The library's own mapping files `info` under notice, among what administrators should read.
    let priorities =
        PriorityMappings { info: Priority::Informational, debug: Priority::Debug, ..PriorityMappings::new() };
    let layer = tracing_journald::layer()?.with_field_prefix(None).with_priority_mappings(priorities);
    Ok(layer.with_syslog_identifier(IDENTIFIER.into()))
}

fn standard_error<S>() -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    fmt::layer().compact().with_writer(io::stderr).with_ansi(colours).fmt_fields(debug_fn(|out, field, value| {
        match field.name() {
            "message" => write!(out, "{value:?}"),
            "MESSAGE_ID" => Ok(()),
            // Where a record of the `log` crate comes from; its target says as much.
            name if name.starts_with("log.") => Ok(()),
            name => write!(out, " {}={value:?}", name.trim_start_matches("r#")),
        }
    }))
}

/// True if standard error is journald's: `JOURNAL_STREAM` names its device and inode. A variable inherited by a process
/// whose output goes elsewhere does not count.
fn journal_reads_stderr() -> bool {
    let Some((device, inode)) = std::env::var("JOURNAL_STREAM").ok().and_then(|stream| {
        let (device, inode) = stream.split_once(':')?;
        Some((device.parse::<u64>().ok()?, inode.parse::<u64>().ok()?))
    }) else {
        return false;
    };
    rustix::fs::fstat(io::stderr()).is_ok_and(|facts| (facts.st_dev, facts.st_ino) == (device, inode))
}
