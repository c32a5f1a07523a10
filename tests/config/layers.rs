//! Which layer wins, and what is printed of the result.

use super::parse;
use falld::config::Config;
use falld::config::load::{Loaded, load};
use falld::config::problem::Origin;
use proptest::prelude::*;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

fn with(path: &Path, variables: &[(&str, &str)]) -> Result<Loaded, String> {
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    load(path, true, variables).map_err(|problems| problems.to_string())
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("conf.d")).expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

#[test]
fn later_layers_win_value_by_value() {
    let folder = folder(&[
        (
            "falld.toml",
            "[mqtt]\nhost = \"a\"\nport = 1\nbase = \"x\"\n[camera.bed]\nsource = \"/dev/video0\"\nfps = 30\n",
        ),
        ("conf.d/10-site.toml", "[mqtt]\nport = 2\nbase = \"y\"\n"),
        ("conf.d/20-site.toml", "[camera.bed]\nfps = 15\n[mqtt]\nbase = \"z\"\n"),
        ("conf.d/notes.txt", "not = toml = at all"),
    ]);
    let path = folder.path().join("falld.toml");
    let loaded = with(&path, &[("FALLD__MQTT__BASE", "env"), ("OTHER__MQTT__BASE", "no")]).expect("loaded");
    let mqtt = &loaded.config.mqtt;
    assert_eq!((mqtt.host.as_str(), mqtt.port, mqtt.base.as_str()), ("a", 2, "env"));
    let bed = &loaded.config.camera["bed"];
    assert_eq!((bed.source.as_str(), bed.fps), ("/dev/video0", 15));
    assert_eq!(loaded.files.len(), 3);
    assert_eq!(loaded.origin("mqtt.base"), Origin::Variable("FALLD__MQTT__BASE".into()));
    let site = folder.path().join("conf.d/20-site.toml");
    assert_eq!(loaded.origin("camera.bed.fps"), Origin::File { path: site, line: 2 });
}

#[test]
fn a_missing_file_matters_only_if_it_was_asked_for() {
    let folder = folder(&[]);
    let path = folder.path().join("falld.toml");
    assert_eq!(load(&path, false, []).expect("defaults").config, Config::default());
    let error = load(&path, true, []).expect_err("refused").to_string();
    assert!(error.contains("falld.toml") && error.contains("--config"), "{error}");
    let error = load(folder.path(), true, []).expect_err("refused").to_string();
    assert!(error.contains("not a regular file"), "{error}");
}

#[test]
fn a_problem_in_conf_d_names_that_file() {
    let folder = folder(&[("falld.toml", ""), ("conf.d/10-site.toml", "\n\n[mqtt]\nprot = 2\n")]);
    let error = with(&folder.path().join("falld.toml"), &[]).map(|loaded| loaded.config).expect_err("refused");
    assert!(error.contains("10-site.toml:4") && error.contains("did you mean `port`?"), "{error}");
}

#[test]
fn variables_are_read_as_the_key_needs_them() {
    let folder = folder(&[("falld.toml", "[camera.Living-Room]\nsource = \"/dev/video0\"\n")]);
    let loaded = with(
        &folder.path().join("falld.toml"),
        &[
            ("FALLD__DEVICE__ID", "1234"),
            ("FALLD__MQTT__PORT", "8883"),
            ("FALLD__POLICY__COOLDOWN_S", "12.5"),
            ("FALLD__MODEL__PROVIDERS", "cuda,cpu"),
            ("FALLD__MODEL__REQUIRE", "cpu"),
            ("FALLD__CAMERA__LIVING-ROOM__FPS", "10"),
            ("FALLD__CAMERA__BED__SOURCE", "rtsp://cam/1?a=b"),
            ("FALLD__CAMERA__BED__MASK", "[[0, 0, 0.5, 0.5]]"),
        ],
    )
    .expect("loaded");
    let config = &loaded.config;
    assert_eq!((config.device.id.as_str(), config.mqtt.port, config.policy.cooldown_s), ("1234", 8883, 12.5));
    assert_eq!(config.model.providers.len(), 2);
    assert_eq!(config.camera["Living-Room"].fps, 10);
    assert_eq!(config.camera["bed"].mask, [[0.0, 0.0, 0.5, 0.5]]);
}

#[test]
fn a_bad_variable_is_named() {
    let folder = folder(&[("falld.toml", "")]);
    let path = folder.path().join("falld.toml");
    for (name, value, parts) in [
        ("FALLD__MQTT__PROT", "1", ["FALLD__MQTT__PROT", "mqtt.prot = 1", "did you mean `port`?"]),
        ("FALLD__MQTT__PORT", "abc", ["FALLD__MQTT__PORT", "mqtt.port = \"abc\"", "0 to 65535"]),
        ("FALLD__MQTT", "abc", ["FALLD__MQTT:", "mqtt = \"abc\"", "a section"]),
        ("FALLD__", "abc", ["FALLD__:", "no such key", "known are"]),
        (
            "FALLD__POLICY__FALL_THRESHOLD",
            "2",
            ["FALLD__POLICY__FALL_THRESHOLD", "policy.fall_threshold = 2", "at most 1"],
        ),
    ] {
        let error = with(&path, &[(name, value)]).map(|loaded| loaded.config).expect_err(name);
        assert!(parts.iter().all(|part| error.contains(part)), "{error}\nlacks one of {parts:?}");
    }
}

#[test]
fn what_is_printed_loads_to_the_same_configuration() {
    let text = "[camera.a]\nsource = \"/dev/video0\"\nmask = [[0.1, 0.2, 0.3, 0.4]]\n\
                rest.bed = [[0.1, 0.5], [0.4, 0.5], [0.3, 0.8]]\n[policy]\nfall_threshold = 0.7\n";
    let loaded = parse(text).expect("loaded");
    let printed = loaded.effective();
    assert!(printed.contains("fall_threshold = 0.7\n"), "{printed}");
    assert_eq!(parse(&printed).expect("loaded again").config, loaded.config);
    assert_eq!(parse(&parse("").expect("loaded").effective()).expect("loaded again").config, Config::default());
}

#[test]
fn secrets_are_masked_in_what_is_printed() {
    for (source, shown) in [
        ("rtsp://anna:s3cret@cam/1", "rtsp://anna:***@cam/1"),
        ("rtsp://cam/user=admin_password=s3cret_channel=1", "rtsp://cam/user=admin_password=***"),
        ("srt://host?passphrase=s3cret", "srt://host?passphrase=***"),
        ("rtspsrc user-pw=\"s3cret\" ! appsink", "rtspsrc user-pw=\"***\" ! appsink"),
        ("rtspsrc user-pw='s3cret' ! appsink", "rtspsrc user-pw='***' ! appsink"),
        ("rtspsrc user-pw = s3cret ! appsink", "rtspsrc user-pw = *** ! appsink"),
    ] {
        let printed = parse(&format!("[camera.a]\nsource = {source:?}")).expect("loaded").effective();
        assert!(!printed.contains("s3cret"), "{printed}");
        assert_eq!(parse(&printed).expect("loaded again").config.camera["a"].source, shown);
    }
}

proptest! {
    #[test]
    fn any_variable_is_accepted_or_refused_by_name(
        section in prop_oneof![Just("MQTT".to_owned()), Just("CAMERA__BED".to_owned()), Just("POLICY".to_owned()), any::<String>()],
        key in prop_oneof![Just("PORT".to_owned()), Just("MASK".to_owned()), Just("TLS__CA".to_owned()), any::<String>()],
        value in any::<String>(),
    ) {
        let name = format!("FALLD__{section}__{key}");
        if let Err(problems) = load(Path::new("/absent/falld.toml"), false, [(name.clone().into(), value.into())]) {
            prop_assert!(problems.to_string().contains(&name), "{problems}");
        }
    }
}
