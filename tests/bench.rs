//! `falld bench --quick` measures everything once, ends by itself and leaves nothing behind.
#![cfg(all(feature = "opencv", feature = "ort"))]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and says why it is skipped")]

use std::path::Path;
use std::process::{Command, Stdio};

/// True if `program` can be started.
fn installed(program: &str) -> bool {
    let mut asked = Command::new(program);
    asked.arg("-h").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().is_ok()
}

fn bench() -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_falld"));
    command.args(["bench", "--quick", "--model"]).arg(root.join("models/bundle"));
    command.current_dir(root).stdin(Stdio::null());
    if std::env::var_os("ORT_DYLIB_PATH").is_none() {
        command.env("ORT_DYLIB_PATH", root.join(".falld/libonnxruntime.so"));
    }
    command
}

#[test]
fn a_first_look_measures_everything_and_leaves_nothing() {
    for (program, package) in [("/usr/sbin/mosquitto", "mosquitto"), ("ffmpeg", "ffmpeg")] {
        if !installed(program) {
            println!("skipped: {package} is not installed, and falld bench measures with it (apt install {package})");
            return;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bench.md");
    let done = bench().arg("--out").arg(&out).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    let table = std::fs::read_to_string(&out).unwrap_or_else(|error| panic!("no table ({error}): {said}"));
    assert!(done.status.success(), "{table}\n{said}");
    assert_eq!(String::from_utf8_lossy(&done.stdout).trim_end(), table.trim_end());
    for line in [
        "Decision → subscriber, p99",
        "Frame captured → subscriber, p99",
        "A streaming decision over a whole-clip decision",
        "The Python loop",
        "Resident memory of `falld run`",
        "Start → first score",
        "Cameras sustained",
    ] {
        assert!(table.contains(line), "no {line:?} in\n{table}");
    }
    assert!(!table.contains("not measured"), "{table}");
    assert!(table.contains("--peer PYTHON"), "what was skipped says how to have it:\n{table}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["bench.md"]);
}

#[test]
fn a_missing_clip_is_named() {
    let done = bench().args(["--clip", "/nonexistent.mp4"]).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(78), "{said}");
    assert!(said.contains("/nonexistent.mp4") && said.contains("--clip"), "{said}");
}
