//! `falld bench`: measures this machine and writes the table.

use super::{BenchArgs, Cli, build_facts, complain, say};
use crate::bench::{self, Plan, report};
use crate::exit::Exit;
use crate::lifecycle;
use std::path::{Path, PathBuf};

/// Measures, prints, and writes the report if a file is named. A figure below its bar is a result, not a failure; one
/// that could not be taken is.
pub fn bench(cli: &Cli, arguments: &BenchArgs) -> Exit {
    let mut config = match cli.load_config() {
        Ok(loaded) => loaded.config,
        Err(exit) => return exit,
    };
    if let Some(model) = &arguments.model {
        config.model.path.clone_from(model);
    }
    let folder = folder(arguments.out.as_deref());
    let on_disk = !is_in_memory(&folder);
    let plan = Plan {
        config,
        clip: arguments.clip.clone(),
        peer: arguments.peer.clone(),
        folder: folder.clone(),
        quick: arguments.quick,
    };
    if let Err(error) = tidy_when_interrupted(bench::scratch(&folder)) {
        complain(format_args!("falld bench: {error}"));
        return Exit::Failure;
    }
    let outcome = match bench::run(&plan, &mut |what| complain(format_args!("falld bench: {what}"))) {
        Ok(outcome) => outcome,
        Err(error) => {
            complain(format_args!("falld bench: {error}"));
            return Exit::Config;
        }
    };
    let mut facts = vec![("Date".to_owned(), today()), ("falld".to_owned(), build())];
    facts.extend(outcome.facts);
    if cfg!(debug_assertions) {
        facts.push(("Beware".into(), "a debug build: it says nothing of the daemon's speed".into()));
    }
    if arguments.quick {
        facts.push(("Beware".into(), "`--quick`: too few samples to judge by".into()));
    }
    if !on_disk {
        facts.push(("Beware".into(), format!("{} lies in memory: nothing there is durable", folder.display())));
    }
    let text = report::render(&facts, &outcome.sections);
    let said = say(&text);
    if let Some(out) = &arguments.out
        && let Err(error) = std::fs::write(out, &text)
    {
        complain(format_args!("falld bench: cannot write {}: {error}", out.display()));
        return Exit::CannotCreate;
    }
    if outcome.sections.iter().any(|section| section.failed) { Exit::Failure } else { said }
}

/// Where stores are measured: beside the report, else in the temporary folder if that is a real disk, else here.
fn folder(out: Option<&Path>) -> PathBuf {
    let here = PathBuf::from(".");
    match out.and_then(Path::parent) {
        Some(parent) if parent.as_os_str().is_empty() => here,
        Some(parent) => parent.to_owned(),
        None => Some(std::env::temp_dir()).filter(|folder| !is_in_memory(folder)).unwrap_or(here),
    }
}

/// True for tmpfs and ramfs, whose fsync costs nothing.
fn is_in_memory(folder: &Path) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    // The type's width differs between machines.
    rustix::fs::statfs(folder).is_ok_and(|facts| [TMPFS, RAMFS].contains(&(facts.f_type as u64 & 0xffff_ffff)))
}

/// A signal ends the process, and the measurements' children with it; their folder goes too.
fn tidy_when_interrupted(scratch: PathBuf) -> std::io::Result<()> {
    let signals = lifecycle::listen()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    std::thread::Builder::new().name("interrupted".into()).spawn(move || {
        runtime.block_on(signals.shutdown.cancelled());
        // What cannot be removed says by its name what it is.
        let _left = std::fs::remove_dir_all(scratch);
        std::process::exit(Exit::Interrupted.code().into());
    })?;
    Ok(())
}

/// The build's facts on one line.
fn build() -> String {
    let facts = build_facts();
    let lines = facts.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join(", ")
}

fn today() -> String {
    let now = time::OffsetDateTime::now_utc();
    let (hour, minute) = (now.hour(), now.minute());
    format!("{} {hour:02}:{minute:02} UTC", now.date())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_lie_beside_the_report() {
        assert_eq!(folder(Some(Path::new("docs/bench.md"))), Path::new("docs"));
        assert_eq!(folder(Some(Path::new("bench.md"))), Path::new("."));
        assert!(!is_in_memory(&folder(None)) || folder(None) == Path::new("."));
    }
}
