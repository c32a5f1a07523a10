//! Tells the program which commit it was built from: `FALLD_COMMIT` if the packager gives it, else git's answer.
//!
//! Never fails: outside a git checkout (a source archive, a vendored copy) the program says `unknown`.

#![allow(clippy::print_stdout, reason = "cargo listens to standard output")]

use std::path::Path;
use std::process::Command;

/// Changes whenever HEAD moves to another commit; which of them exist depends on the checkout.
const TRACES: [&str; 3] = ["HEAD", "logs/HEAD", "packed-refs"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=FALLD_COMMIT");
    if std::env::var_os("FALLD_COMMIT").is_some() {
        return;
    }
    // An archive that is unpacked inside another project's checkout has no commit of that project.
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let same = |top: String| Path::new(&top).canonicalize().ok() == Path::new(&here).canonicalize().ok();
    if !git(&["rev-parse", "--show-toplevel"]).is_some_and(same) {
        return;
    }
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return };
    println!("cargo::rustc-env=FALLD_COMMIT={commit}");
    for trace in TRACES {
        // A path that does not exist would make cargo run this each time.
        if let Some(path) = git(&["rev-parse", "--git-path", trace]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

/// The first line that git answers, if it answers.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}
