//! `falld run`: the daemon.

use super::{Cli, complain, refused, with_opencv_settings};
use crate::app::{self, AppError};
use crate::exit::Exit;
use crate::journal::FAILED;
use crate::preflight::{self, Outlook};
use crate::{lifecycle, log};

/// Runs until told to stop. Problems of the set-up end with exit code 78, so that systemd does not try again.
pub fn run(cli: Cli) -> Exit {
    let loaded = match cli.config_to_run() {
        Ok(loaded) => loaded,
        Err(problems) => return refused(&problems),
    };
    if let Err(problem) = with_opencv_settings(&loaded.config) {
        complain(format_args!("falld: {problem}"));
        return Exit::Config;
    }
    let handle = match log::init(&loaded.config.log.level) {
        Ok(handle) => handle,
        Err(error) => {
            complain(format_args!("falld: {error}"));
            return Exit::Config;
        }
    };
    let outlook = preflight::look(&loaded);
    warn(&outlook);
    if let Some(problem) = &outlook.problem {
        tracing::error!(MESSAGE_ID = FAILED, "{problem}");
        return Exit::Config;
    }
    let reread = Box::new(move || {
        let loaded = cli.config_to_run().map_err(|problems| problems.to_string())?;
        warn(&preflight::look(&loaded));
        Ok(loaded.config)
    });
    let exit = match app::run(loaded.config, handle, reread) {
        Ok(()) => Exit::Ok,
        Err(AppError::Setup(text)) => {
            tracing::error!(MESSAGE_ID = FAILED, "{text}");
            Exit::Config
        }
        Err(AppError::Failed(text)) => {
            tracing::error!(MESSAGE_ID = FAILED, "{text}");
            Exit::Failure
        }
    };
    lifecycle::end(exit)
}

/// Notes are for `check`: what they say of the model, `app` finds out for itself.
fn warn(outlook: &Outlook) {
    for warning in &outlook.warnings {
        tracing::warn!("{warning}");
    }
    for fault in &outlook.faults {
        tracing::error!(
            "{fault}. falld watches all the same; it reads the file anew whenever it connects to the broker"
        );
    }
}
