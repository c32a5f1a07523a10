//! What people read and install cannot go stale: manuals name every metric, transition, state and exit code; the rules
//! for Prometheus use metrics that exist; `make install` puts everything in its place.

#![allow(clippy::print_stderr, reason = "a skipped test says why")]

use falld::event::{Class, EventType};
use falld::exit::Exit;
use falld::health::CameraHealth;
use falld::journal;
use falld::metrics::Metrics;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const OPERATIONS: &str = include_str!("../docs/operations.md");
const INSTALLATION: &str = include_str!("../docs/installation.md");
const RULES: &str = include_str!("../deploy/prometheus-rules.yml");

/// The names of all metrics as Prometheus reads them, without the endings of histograms.
fn metrics() -> BTreeSet<String> {
    let mut metrics = Metrics::new();
    metrics.set_model("0", "int8", "cpu");
    metrics.camera("bed").frame_age.observe(0.1);
    metrics.set_watches("bed", &[Class::Fall]);
    metrics.event("bed", Class::Fall, EventType::Fall);
    let text = metrics.render().expect("rendered");
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let names = samples.filter_map(|line| line.split(['{', ' ']).next());
    names
        .map(|name| ["_bucket", "_sum", "_count"].iter().fold(name, |name, end| name.trim_end_matches(end)).to_owned())
        .collect()
}

/// Every word of the text that begins like a metric.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
    let ours = words.filter(|word| word.starts_with("falld_"));
    ours.map(|word| word.trim_end_matches("_bucket").to_owned()).collect()
}

#[test]
fn the_manual_names_every_metric_and_no_other() {
    let all = metrics();
    assert_eq!(named(OPERATIONS), all);
    assert!(named(RULES).is_subset(&all), "{:?}", named(RULES).difference(&all));
}

#[test]
fn the_manual_names_every_transition_state_and_exit_code() {
    for (name, id) in journal::ALL {
        assert!(OPERATIONS.contains(&format!("| {name} | `{id}` |")), "{name} {id}");
    }
    for health in CameraHealth::ALL {
        assert!(OPERATIONS.contains(&format!("| `{}` |", health.as_str())), "{health:?}");
    }
    let codes = [
        Exit::Ok,
        Exit::Failure,
        Exit::Usage,
        Exit::NoInput,
        Exit::CannotCreate,
        Exit::Config,
        Exit::Interrupted,
        Exit::Terminated,
    ];
    let rows: BTreeSet<&str> =
        OPERATIONS.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next()).collect();
    let written: BTreeSet<&str> = rows.iter().flat_map(|cell| cell.split(", ")).collect();
    for code in codes {
        assert!(written.contains(code.code().to_string().as_str()), "exit code {}", code.code());
    }
}

#[test]
fn the_manual_shows_payloads_that_fit_their_schemas() {
    for kind in ["event", "state", "health"] {
        let (_, after) = OPERATIONS.split_once(&format!("/{kind}`")).expect("the topic");
        let payload = &after[after.find('{').expect("a payload")..];
        let mut values = serde_json::Deserializer::from_str(payload).into_iter::<serde_json::Value>();
        let payload = values.next().expect("a payload").expect("JSON");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("deploy/schemas/{kind}.json"));
        let schema = serde_json::from_str(&fs::read_to_string(path).expect("read")).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        assert!(validator.is_valid(&payload), "{kind}: {payload:#}");
    }
}

#[test]
fn the_installer_s_configurations_hold() {
    let mut text = String::new();
    for block in INSTALLATION.split("\n\n").filter(|block| block.starts_with("    [")) {
        for line in block.lines().filter(|line| !line.contains("password_file")) {
            text.push_str(line.trim_start());
            text.push('\n');
        }
    }
    // The certificate of the example is on no test machine.
    let text = text.replace("[mqtt.tls]\nca = \"/etc/falld/ca.pem\"\n", "");
    assert!(text.contains("jetson-csi") && text.contains("8883"), "{text}");
    let loaded = falld::config::load::from_bytes(Path::new("installation.md"), text.as_bytes());
    assert_eq!(loaded.map(|loaded| loaded.config.camera.len()).map_err(|problems| problems.to_string()), Ok(4));
}

#[test]
fn prometheus_takes_the_rules() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus-rules.yml");
    match Command::new("promtool").args(["check", "rules"]).arg(path).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => eprintln!("skipped: promtool cannot be run here: {error}"),
    }
}

#[test]
fn make_install_puts_everything_in_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for name in ["model/manifest.json", "model/encoder.onnx", "model/head.onnx", "libonnxruntime.so"] {
        fs::create_dir_all(at(name).parent().expect("a parent")).expect("a folder");
        fs::write(at(name), "x").expect("written");
    }
    let install = |model: &str| {
        let set = |key: &str, value: &Path| format!("{key}={}", value.display());
        Command::new("make")
            .arg("install")
            .arg(set("DESTDIR", &at("root")))
            .arg(set("PROGRAM", Path::new(env!("CARGO_BIN_EXE_falld"))))
            .arg(set("MODEL", &at(model)))
            .arg(set("RUNTIME", &at("libonnxruntime.so")))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
    };
    let output = match install("model") {
        Ok(output) => output,
        Err(error) => return eprintln!("skipped: make cannot be run here: {error}"),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (path, mode) in [
        ("usr/bin/falld", 0o755),
        ("usr/lib/falld/libonnxruntime.so", 0o755),
        ("usr/lib/systemd/system/falld.service", 0o644),
        ("usr/lib/sysusers.d/falld.conf", 0o644),
        ("usr/lib/tmpfiles.d/falld.conf", 0o644),
        ("usr/share/falld/model/manifest.json", 0o644),
        ("usr/share/falld/model/head.onnx", 0o644),
        ("usr/share/doc/falld/operations.md", 0o644),
        ("usr/share/doc/falld/falld_alert.yaml", 0o644),
        ("usr/share/doc/falld/falld_blind.yaml", 0o644),
        ("usr/share/doc/falld/schemas/event.json", 0o644),
        ("etc/falld/falld.toml", 0o640),
        ("etc/falld/conf.d", 0o750),
    ] {
        let facts = fs::metadata(at("root").join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(facts.permissions().mode() & 0o777, mode, "{path}");
    }
    // What somebody has written stays.
    let own = at("root/etc/falld/falld.toml");
    fs::write(&own, "[device]\nid = \"house\"\n").expect("written");
    assert!(install("model").expect("make ran").status.success());
    assert!(fs::read_to_string(&own).expect("read").contains("house"));
    let refused = install("absent").expect("make ran");
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("manifest.json is missing"));
}
