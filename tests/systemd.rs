//! The systemd files, judged by systemd itself where it is installed.

#![expect(clippy::print_stderr, reason = "a skipped test says why")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const UNIT: &str = include_str!("../systemd/falld.service");

/// The worst exposure that the unit may have, on systemd's scale from 0 to 100.
const EXPOSURE: &str = "25";

/// Runs one of systemd's tools, or says why not.
fn systemd(tool: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(tool).args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: {tool} cannot be run here: {error}");
            None
        }
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn the_unit_has_no_key_that_systemd_does_not_know() {
    // The program must exist for systemd to be content, so the one just built stands in.
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("falld.service");
    fs::write(&path, UNIT.replace("/usr/bin/falld", env!("CARGO_BIN_EXE_falld"))).expect("written");
    let unit = path.display().to_string();
    let Some(output) = systemd("systemd-analyze", &["verify", "--man=no", &unit]) else { return };
    // It exits 0 on unknown keys: whatever it prints is a failure.
    assert_eq!((said(&output), output.status.success()), (String::new(), true));
}

#[test]
fn the_unit_is_not_more_exposed_than_promised() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/falld.service").display().to_string();
    let threshold = format!("--threshold={EXPOSURE}");
    let Some(output) = systemd("systemd-analyze", &["security", "--offline=true", "--no-pager", &threshold, &unit])
    else {
        return;
    };
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn users_and_folders_are_understood() {
    let root = tempfile::tempdir().expect("a folder");
    fs::create_dir(root.path().join("etc")).expect("a folder");
    let root_is = format!("--root={}", root.path().display());
    let file = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name).display().to_string();
    let Some(output) = systemd("systemd-sysusers", &[&root_is, &file("falld.sysusers")]) else { return };
    assert!(output.status.success(), "{}", said(&output));
    let passwd = fs::read_to_string(root.path().join("etc/passwd")).expect("users");
    assert!(passwd.contains("falld:"), "{passwd}");
    let group = fs::read_to_string(root.path().join("etc/group")).expect("groups");
    assert!(
        ["video", "render"]
            .iter()
            .all(|name| group.lines().any(|line| line.starts_with(name) && line.ends_with("falld")))
    );
    let Some(output) = systemd("systemd-tmpfiles", &["--create", &root_is, &file("falld.tmpfiles")]) else { return };
    assert!(output.status.success(), "{}", said(&output));
    for made in ["etc/falld/conf.d", "var/lib/falld", "var/cache/falld"] {
        assert!(root.path().join(made).is_dir(), "{made}: doctor runs before the service makes its folders");
    }
}

#[test]
fn hardening_leaves_cameras_and_gpu_reachable() {
    let set = |key: &str| UNIT.lines().any(|line| line.starts_with(&format!("{key}=")));
    for hides in
        ["PrivateDevices", "DeviceAllow", "DevicePolicy", "ProtectClock", "ProcSubset", "MemoryDenyWriteExecute"]
    {
        assert!(!set(hides), "{hides} hides cameras or the GPU");
    }
    assert!(UNIT.contains("SupplementaryGroups=video render"));
    assert!(UNIT.contains("RestartPreventExitStatus=78"));
}
