//! Each bad input names its key, its value, its place and its mend.

use super::parse;
use falld::config::load::from_bytes;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What must stand in the message, all on one line, for the text to be refused rightly.
fn refused(text: &str, parts: &[&str]) {
    let error = parse(text).map(|loaded| loaded.config).expect_err(text);
    let right = error.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(right, "{text}\n→ {error}\nlacks {parts:?}");
}

#[test]
fn a_typo_in_a_key() {
    refused("[mqtt]\nhots = \"broker\"", &["falld.toml:2", "mqtt.hots = \"broker\"", "did you mean `host`?"]);
    refused("[policy]\ncooldown = 5", &["policy.cooldown = 5", "did you mean `cooldown_s`?"]);
    refused("[camera.bed]\nsorce = \"/dev/video0\"", &["camera.bed.sorce", "did you mean `source`?"]);
    refused("[log]\ncolour = true", &["log.colour = true", "known are level"]);
}

#[test]
fn an_unknown_section_is_one_problem() {
    let text = "[mqqt]\nhost = \"a\"\nport = 1\n";
    refused(text, &["falld.toml:2", "mqqt: there is no such section", "did you mean `mqtt`?"]);
    assert_eq!(parse(text).expect_err("refused").lines().count(), 1);
    refused("[mqtt.tsl]\nca = \"x\"", &["mqtt.tsl", "did you mean `tls`?"]);
}

#[test]
fn a_wrong_type() {
    refused(
        "[mqtt]\nport = \"8883\"",
        &[
            "falld.toml:2",
            "mqtt.port = \"8883\"",
            "expected a whole number from 0 to 65535, found a text",
            "without quotes",
        ],
    );
    refused("[device]\nid = 7", &["device.id = 7", "expected a text", "write \"7\""]);
    refused("[mqtt]\nport = 70000", &["mqtt.port = 70000", "0 to 65535"]);
    refused("[mqtt]\nport = 18.5", &["mqtt.port = 18.5", "found a number with a point"]);
    refused("[model]\nproviders = \"cpu\"", &["model.providers = \"cpu\"", "expected a list", "write [\"cpu\"]"]);
    refused("[policy]\ncooldown_s = true", &["policy.cooldown_s = true", "expected a number, found true or false"]);
    refused(
        "[camera.a]\nsource = \"x\"\nrepeat = \"yes\"",
        &["camera.a.repeat", "expected true or false", "without quotes"],
    );
    refused("[camera.a]\nsource = \"x\"\nmask = [[0, 0, 1]]", &["camera.a.mask", "four numbers"]);
    refused(
        "[camera.a]\nsource = \"x\"\nrest.bed = [[0, 0, 1, 1]]",
        &["camera.a.rest.bed", "two, [x, y], for a corner"],
    );
    refused("[camera.a]\nsource = \"x\"\nrest.bed = [[0.5]]", &["camera.a.rest.bed", "corners, each [x, y]"]);
    refused("[camera.a]\nsource = \"x\"\nrest = [[0, 0], [1, 1]]", &["camera.a.rest", "expected a section"]);
    refused("[camera.a]\nsource = \"x\"\nevidence = \"film\"", &["camera.a.evidence", "figures", "picture", "none"]);
    refused("mqtt = 5", &["mqtt = 5", "expected a section"]);
    refused("[store.path]\nx = 1", &["store.path", "expected a path"]);
    refused("[store]\npath = 2026-01-01", &["store.path", "expected a text", "found a date"]);
    refused("[device]\nid = \"a\"\n[policy]\nlong_lie_s = nan", &["policy.long_lie_s = nan", "more than 0"]);
}

#[test]
fn an_unknown_value_of_a_choice() {
    refused("[model]\nrequire = \"tensort\"", &["model.require = \"tensort\"", "did you mean `tensorrt`?"]);
    refused("[model]\nproviders = [\"cpu\", \"gpu\"]", &["model.providers", "tensorrt, cuda, cpu"]);
    refused("[camera.a]\nsource = \"x\"\nbackend = \"ffmpg\"", &["did you mean `ffmpeg`?"]);
}

#[test]
fn bad_toml_names_its_line() {
    refused("[mqtt]\nhost = broker\n", &["falld.toml:2", "not TOML"]);
    refused("[mqtt\n", &["falld.toml:1", "not TOML"]);
    refused("[device]\nid = \"a\"\n[device]\nid = \"b\"\n", &["falld.toml:3", "duplicate key"]);
    let error =
        from_bytes(Path::new("falld.toml"), b"# fine\n[mqtt]\nhost = \"\xff\"").expect_err("refused").to_string();
    assert!(error.contains("falld.toml:3") && error.contains("UTF-8"), "{error}");
}

#[test]
fn an_impossible_threshold() {
    refused("[policy]\nfall_threshold = 1.5", &["falld.toml:2", "policy.fall_threshold = 1.5", "at most 1"]);
    refused("[policy]\nclimb_threshold = 0", &["policy.climb_threshold = 0", "more than 0"]);
    refused("[policy]\nfall_threshold = -inf", &["policy.fall_threshold", "more than 0"]);
}

#[test]
fn impossible_times_and_sizes() {
    refused("[policy]\ncooldown_s = 0", &["policy.cooldown_s = 0", "more than 0"]);
    refused("[camera.a]\nsource = \"x\"\nread_timeout_s = -1", &["camera.a.read_timeout_s = -1", "larger"]);
    refused("[camera.a]\nsource = \"x\"\nopen_timeout_s = 1e9", &["camera.a.open_timeout_s", "smaller"]);
    refused("[camera.a]\nsource = \"x\"\nwidth = 640", &["camera.a.width = 640", "give height"]);
    refused("[camera.a]\nsource = \"x\"\nmask = [[0.5, 0, 0.1, 1]]", &["camera.a.mask", "left < right"]);
    refused(
        "[camera.a]\nsource = \"x\"\nrest.bed = [[0, 0], [1, 1]]",
        &["falld.toml:3", "camera.a.rest.bed", "enclose nothing"],
    );
    refused(
        "[camera.a]\nsource = \"x\"\nrest.bed = [[0.12, 0.55], [0.48, 0.50], [0.15, 0.88], [0.60, 0.80]]",
        &["camera.a.rest.bed", "its sides cross", "in order around it"],
    );
    refused(
        "[camera.a]\nsource = \"x\"\n[camera.a.climb]\nsill = [[0, 0], [640, 0], [640, 480]]",
        &["falld.toml:4", "camera.a.climb.sill = [[0, 0], [640, 0], [640, 480]]", "not in the picture", "each 0 to 1"],
    );
    let camera = "[camera.a]\nsource = \"x\"\n";
    refused(
        &format!("{camera}falls = \"sometimes\""),
        &["falld.toml:3", "camera.a.falls = \"sometimes\"", "anywhere", "never"],
    );
    refused(
        &format!("{camera}climbs = \"places\""),
        &["falld.toml:3", "camera.a.climbs", "no place is marked", "mark one"],
    );
    let nothing = format!("{camera}falls = \"never\"\nclimbs = \"never\"");
    refused(&nothing, &["falld.toml:4", "camera.a.climbs", "watches for nothing"]);
    refused("[model]\nmemory_budget_mb = 1", &["model.memory_budget_mb = 1", "at least 16"]);
    refused("[model]\nthreads = 0", &["model.threads = 0", "at least 1"]);
    refused("[mqtt]\nport = 0", &["mqtt.port = 0", "at least 1"]);
    refused("[mqtt]\nkeep_alive_s = 4", &["mqtt.keep_alive_s = 4", "at least 5", "larger"]);
}

#[test]
fn a_duplicate_camera() {
    let twice = "[camera.a]\nsource = \"/dev/video0\"\n[camera.a]\nsource = \"/dev/video1\"\n";
    refused(twice, &["falld.toml:3", "duplicate key"]);
    let same = "[camera.a]\nsource = \"/dev/video0\"\n[camera.b]\nsource = \"/dev/video0\"\n";
    refused(same, &["falld.toml:4", "camera.b.source", "camera.a has the same source"]);
}

#[test]
fn ids_that_cannot_stand_in_a_topic() {
    refused("[device]\nid = \"küche\"", &["device.id = \"küche\"", "ASCII", "write \"k_che\""]);
    refused(
        "[camera.\"wohn zimmer\"]\nsource = \"x\"",
        &["falld.toml:2", "camera.wohn zimmer", "[camera.wohn_zimmer]"],
    );
    refused("[camera.status]\nsource = \"x\"", &["camera.status", "cannot name a camera"]);
    refused("[camera.\"\"]\nsource = \"x\"", &["ASCII"]);
    refused("[camera.a]\n", &["falld.toml:1", "camera.a.source", "no source"]);
    refused("[mqtt]\nbase = \"falld/#\"", &["mqtt.base = \"falld/#\"", "write \"falld\""]);
}

#[test]
fn values_that_contradict_one_another() {
    refused(
        "[model]\nproviders = [\"cpu\"]\nrequire = \"cuda\"",
        &["falld.toml:3", "model.require = \"cuda\"", "add \"cuda\""],
    );
    refused("[model]\nproviders = []", &["model.providers = []", "name at least \"cpu\""]);
    refused("[model]\nproviders = [\"cpu\", \"cpu\"]", &["named twice"]);
    refused("[mqtt]\nhost = \"mqtt://broker.lan:1883\"", &["mqtt.host", "write \"broker.lan\""]);
    refused("[mqtt]\nhost = \"broker.lan:8883\"", &["host = \"broker.lan\" and port = 8883"]);
    refused("[metrics]\nlisten = \"9746\"", &["metrics.listen = \"9746\"", "127.0.0.1:9746"]);
    refused("[log]\nlevel = \"inof\"", &["log.level = \"inof\"", "write \"info\""]);
    refused("[log]\nlevel = \"info,falld::mqtt=loud\"", &["`loud` is no level"]);
    refused("[camera.a]\nsource = \"videotestsrc ! videoconvert\"", &["camera.a.source", "appsink"]);
    refused("[camera.a]\nsource = \"videotestsrc\"\nbackend = \"gstreamer\"", &["falld.toml:2", "camera.a.source"]);
    refused("[camera.a]\nsource = \"preset:jetson\"", &["camera.a.source = \"preset:jetson\"", "preset:jetson-csi"]);
    refused("[camera.a]\nsource = \"preset:rtsp?url=http://x\"", &["falld.toml:2", "preset `rtsp`", "url=rtsp://"]);
    let mixed = "[camera.a]\nsource = \"rtsp://a/\"\n[camera.b]\nsource = \"rtsp://b/\"\ntransport = \"udp\"";
    refused(mixed, &["falld.toml:5", "camera.b.transport = \"udp\"", "camera.a uses tcp", "give both the same"]);
    let alone = mixed.replace("rtsp://a/", "/dev/video0");
    parse(&alone).expect("one RTSP camera has nobody to disagree with");
}

#[test]
fn files_that_are_missing_or_open_to_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, text: &str, mode: u32| {
        fs::write(path(name), text).expect("written");
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).expect("mode");
    };
    write("password", "s3cret", 0o644);
    write("ca.pem", "-----BEGIN CERTIFICATE-----\n", 0o644);
    write("key.pem", "-----BEGIN RSA PRIVATE KEY-----\n", 0o600);
    let password = format!("[mqtt]\nusername = \"a\"\npassword_file = \"{}\"", path("password"));
    refused(&password, &["mqtt.password_file", "0644", "chmod 600"]);
    refused(&password.replace("password\"", "absent\""), &["mqtt.password_file", "cannot be read"]);
    refused(&password.replace("username = \"a\"", ""), &["give mqtt.username"]);
    fs::set_permissions(path("password"), fs::Permissions::from_mode(0o600)).expect("mode");
    parse(&password).expect("accepted");
    let tls =
        |ca: &str, cert: &str, key: &str| format!("[mqtt.tls]\nca = \"{ca}\"\ncert = \"{cert}\"\nkey = \"{key}\"");
    parse(&tls(&path("ca.pem"), &path("ca.pem"), &path("key.pem"))).expect("accepted");
    refused(&tls(&path("ca.pem"), &path("ca.pem"), ""), &["falld.toml:3", "mqtt.tls.cert", "give mqtt.tls.key"]);
    refused(&tls(&path("ca.pem"), "", &path("key.pem")), &["mqtt.tls.key", "give mqtt.tls.cert"]);
    refused(&tls(&path("key.pem"), "", ""), &["mqtt.tls.ca", "no PEM certificate"]);
    refused(&tls(&path("gone.pem"), "", ""), &["mqtt.tls.ca", "cannot be read"]);
    refused("[mqtt.tls]", &["mqtt.tls.ca", "give the CA certificate"]);
}

#[test]
fn all_problems_are_told_at_once_and_none_is_invented() {
    let text = "[camera.a]\nsorce = \"x\"\n[mqtt]\nport = \"a\"\n[policy]\nfall_threshold = 7\n";
    let error = parse(text).expect_err("refused");
    assert_eq!(error.lines().count(), 3, "the missing source is the misspelt one: {error}");
}

#[test]
fn a_secret_is_never_repeated() {
    let text = "[camera.a]\nsource = \"rtsp://anna:s3cret@cam/1\"\n[camera.b]\nsource = \"rtsp://anna:s3cret@cam/1\"\n";
    let error = parse(text).expect_err("refused");
    assert!(error.contains("***") && !error.contains("s3cret"), "{error}");
    let error = parse("[camera.a]\nurl = \"rtsp://anna:s3cret@cam/1\"").expect_err("refused");
    assert!(!error.contains("s3cret"), "{error}");
    // With both kinds of quotes in it, TOML writes the text with backslashes.
    let error = parse("[camera.a]\nurl = \"rtspsrc user-pw=\\\"s3'cret pw\\\" ! appsink\"").expect_err("refused");
    assert!(error.contains("***") && !error.contains("cret") && !error.contains(" pw"), "{error}");
    refused("[mqtt]\npassword = \"s3cret\"", &["mqtt.password = ***", "did you mean `password_file`?"]);
}

fn fragment() -> impl Strategy<Value = String> {
    let known = [
        "[mqtt]",
        "[camera.a]",
        "[policy]",
        "port = ",
        "source = ",
        "mask = [[",
        "]]",
        "\"",
        "'",
        "0.5",
        "nan",
        "\n",
        "#",
        "{",
        "}",
        "=",
        ".",
        "\"\"\"",
        "\\u",
        "1e400",
        "2026-11-24",
        "true",
        "[[camera]]",
        "require = \"cpu\"",
    ];
    prop_oneof![4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

proptest! {
    #[test]
    fn any_bytes_are_accepted_or_refused_with_reasons(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(problems) = from_bytes(Path::new("falld.toml"), &bytes) {
            prop_assert!(!problems.to_string().is_empty());
        }
    }

    #[test]
    fn any_near_miss_is_accepted_or_refused_with_reasons(parts in prop::collection::vec(fragment(), 0..30)) {
        match from_bytes(Path::new("falld.toml"), parts.concat().as_bytes()) {
            Ok(loaded) => prop_assert!(!loaded.effective().is_empty()),
            Err(problems) => prop_assert!(problems.0.iter().all(|problem| !problem.mend.is_empty())),
        }
    }
}
