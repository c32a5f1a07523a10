//! `falld check`: says everything that is wrong with the configuration, or prints what holds.
//!
//! What is merely unwise, or stands outside the configuration, goes to standard error beside it.

use super::{Cli, complain, say};
use crate::config::load::Loaded;
use crate::exit::Exit;
use crate::preflight;

/// Checks and prints. The output is TOML that loads to the same configuration, but for the masked secrets.
pub fn check(cli: &Cli) -> Exit {
    let loaded = match cli.load_config() {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    if loaded.config.camera.is_empty() {
        complain("falld: note: no camera is configured: nothing would be watched; add [camera.<id>] with a source");
    }
    let outlook = preflight::look(&loaded);
    for note in &outlook.notes {
        complain(format_args!("falld: note: {note}"));
    }
    for warning in &outlook.warnings {
        complain(format_args!("falld: warning: {warning}"));
    }
    if let Some(problem) = outlook.problem.as_ref().or(outlook.faults.first()) {
        complain(format_args!("falld: {problem}"));
        return Exit::Config;
    }
    say(format_args!("{}\n{}", origins(&loaded), loaded.effective().trim_end()))
}

/// Which layers made the configuration, as comments.
fn origins(loaded: &Loaded) -> String {
    let mut lines: Vec<String> = loaded.files.iter().map(|file| format!("# from {}", file.display())).collect();
    let variables = loaded.written.values().filter_map(|written| match &written.origin {
        crate::config::problem::Origin::Variable(name) => Some(format!("# from {name}")),
        _ => None,
    });
    lines.extend(variables);
    if lines.is_empty() {
        lines.push("# no file was read: these are the defaults".into());
    }
    lines.join("\n")
}
