//! `falld check`, as a user runs it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn falld(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_falld")).args(arguments).output().expect("falld runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_good_configuration_is_printed_and_can_be_used_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("falld.toml");
    fs::write(&path, "[camera.bed]\nsource = \"rtsp://anna:s3cret@cam/1\"\n").expect("written");
    let output = falld(&["--config", &path.display().to_string(), "check"]);
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(printed.contains("[camera.bed]") && printed.contains("rtsp://anna:***@cam/1"), "{printed}");
    assert!(!printed.contains("s3cret"));
    fs::write(&path, printed).expect("written");
    assert_eq!(falld(&["check", "--config", &path.display().to_string()]).status.code(), Some(0));
}

#[test]
fn a_bad_one_exits_with_78_and_says_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("falld.toml");
    fs::write(&path, "[mqtt]\nhots = \"a\"\n[policy]\nfall_threshold = 3\n").expect("written");
    let output = falld(&["check", "--config", &path.display().to_string()]);
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(78), String::new()));
    assert!(said.contains("falld.toml:2") && said.contains("falld.toml:4") && said.contains("2 problems"), "{said}");
}

#[test]
fn a_senseless_command_line_exits_with_64() {
    assert_eq!(falld(&["chekc"]).status.code(), Some(64));
    assert_eq!(falld(&["replay", "--jsonl", "-"]).status.code(), Some(64));
    assert_eq!(falld(&[]).status.code(), Some(64));
    assert_eq!(falld(&["--help"]).status.code(), Some(0));
}

#[test]
fn the_version_says_what_was_built() {
    let output = falld(&["--version"]);
    let said = text(&output.stdout);
    assert!(["falld ", "commit:", "target:", "features:", "model:"].iter().all(|part| said.contains(part)), "{said}");
    // In a checkout git has told which commit it is.
    let here = env!("CARGO_MANIFEST_DIR");
    if Path::new(here).join(".git").exists() && option_env!("FALLD_COMMIT").is_some() {
        let commit = said.lines().find_map(|line| line.strip_prefix("commit:")).unwrap_or_default().trim();
        assert!(commit.len() >= 12 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{said}");
    }
    assert_eq!(text(&falld(&["-V"]).stdout).lines().count(), 1);
}

#[test]
fn the_version_says_which_model_would_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/bundle");
    let Ok(bundle) = falld::classifier::bundle::Bundle::read(&folder) else {
        eprintln!("skipped: there is no model bundle in {}", folder.display());
        return;
    };
    let place = tempfile::tempdir().expect("a folder");
    let path = place.path().join("falld.toml");
    fs::write(&path, format!("[model]\npath = \"{}\"\n", folder.display())).expect("written");
    let said = text(&falld(&[&format!("--config={}", path.display()), "--version"]).stdout);
    let spec = bundle.spec;
    let model = format!("model:    {} {} ({}), sha256 {}", spec.name, spec.version, spec.precision, &spec.sha256[..12]);
    assert!(said.contains(&model), "{said}");
    // A configuration that cannot be used is no reason to say nothing: the default place, or this checkout's.
    fs::write(&path, "[model]\npaht = 1\n").expect("written");
    let output = falld(&["--config", &path.display().to_string(), "--version"]);
    let default = falld::place::model(Path::new(falld::place::MODEL)).display().to_string();
    assert!(text(&output.stdout).contains(&default), "{}", text(&output.stdout));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_full_disk_behind_the_output_is_said() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let output = Command::new(env!("CARGO_BIN_EXE_falld")).arg("check").stdout(full).output().expect("falld runs");
    assert_eq!(output.status.code(), Some(73), "{}", text(&output.stderr));
}
