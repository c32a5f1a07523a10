//! What the installer meets: mistakes in the configuration, and `falld doctor`.

use super::broker;
use super::support::broker::{Mosquitto, OPEN, certificates, free_port};
use super::support::falld::{Subscriber, until};
use super::support::site::{Site, of_repository};
use std::os::unix::fs::PermissionsExt;

const CONFIG: i32 = 78;

/// Runs a daemon that cannot start; gives what it said.
fn refused(site: &Site) -> String {
    let (code, _, complained) = site.ask(&["run"]);
    assert_eq!(code, CONFIG, "{complained}");
    complained
}

#[test]
fn bad_configuration_ends_with_78_and_the_mend() {
    let port = free_port();

    let mut site = Site::playing(port, "everyday.mp4");
    site.set("policy.cooldwon_s", 10.0);
    let said = refused(&site);
    assert!(said.contains("cooldwon_s") && said.contains("cooldown_s"), "{said}");
    assert!(said.contains("falld.toml"), "the file is named: {said}");

    let site = Site::new(port);
    let said = refused(&site);
    assert!(said.contains("no camera is configured") && said.contains("[camera.<id>]"), "{said}");

    let mut site = Site::playing(port, "everyday.mp4");
    site.set("model.runtime", "/no/such/libonnxruntime.so");
    let said = refused(&site);
    assert!(said.contains("model.runtime") && said.contains("/no/such/libonnxruntime.so"), "{said}");

    let mut site = Site::playing(port, "everyday.mp4");
    let model = site.path("model");
    std::fs::create_dir(&model).unwrap();
    for entry in std::fs::read_dir(of_repository("models/bundle")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), model.join(entry.file_name())).unwrap();
    }
    let head = model.join("head.onnx");
    let mut bytes = std::fs::read(&head).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&head, bytes).unwrap();
    site.set("model.path", model.to_str().unwrap());
    let said = refused(&site);
    assert!(
        said.contains("head.onnx") && said.contains("SHA-256") && said.contains("install the bundle again"),
        "{said}"
    );

    let mut site = Site::playing(port, "everyday.mp4");
    site.set("store.path", "/proc/no/falld.db");
    let said = refused(&site);
    assert!(said.contains("store.path") && said.contains("/proc/no"), "{said}");
}

#[test]
fn doctor_passes_on_a_good_site_and_fails_on_an_absent_camera() {
    let (_folder, mosquitto) = broker();
    let mut site = Site::playing(mosquitto.port, "everyday.mp4");
    let pictures = site.path("pictures");
    let (code, said, complained) = site.ask(&["doctor", "--pictures", pictures.to_str().unwrap()]);
    let line = |said: &str, part: &str| {
        said.lines().find(|line| line.get(6..).is_some_and(|it| it.starts_with(part))).map(str::to_owned)
    };
    // A machine that two other stories share may be too slow, and doctor is right to say so.
    let slow = line(&said, "speed").is_some_and(|line| line.starts_with("FAIL"));
    assert_eq!(code, i32::from(slow), "{said}{complained}");
    for part in ["configuration", "model", "camera room", "store", "broker"] {
        assert!(line(&said, part).is_some_and(|line| line.starts_with("pass")), "{part} passes in\n{said}");
    }
    assert!(line(&said, "picture room").is_some_and(|line| line.ends_with("room.png: 1 seen in it")), "{said}");
    assert!(std::fs::read(pictures.join("room.png")).unwrap().starts_with(b"\x89PNG"), "a picture for any viewer");
    for part in ["disk", "clock"] {
        assert!(line(&said, part).is_some_and(|line| !line.starts_with("FAIL")), "{part} does not fail in\n{said}");
    }
    assert_eq!(said.trim_end().lines().last().unwrap().contains("falld would see and tell"), !slow, "{said}");

    site.camera("hall", "/dev/video99");
    site.set("mqtt.port", i64::from(free_port()));
    let (code, said, _) = site.ask(&["doctor"]);
    assert_eq!(code, 1, "{said}");
    let hall = line(&said, "camera hall").unwrap();
    assert!(hall.starts_with("FAIL") && hall.contains("is the camera plugged in?"), "{said}");
    assert!(line(&said, "camera room").unwrap().starts_with("pass"), "the others are looked at as well: {said}");
    let broker = line(&said, "broker").unwrap();
    assert!(broker.starts_with("FAIL") && broker.contains("mqtt."), "the mend names its keys: {said}");
    assert!(said.contains("NOT"), "{said}");
    assert!(!site.path("falld.db").exists(), "doctor leaves nothing behind");
}

/// A power cut has left an empty certificate, and the password did not outlive it either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_broker_s_files_falld_watches_and_tells_when_they_are_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    certificates(folder.path());
    let plain = free_port();
    let lines = format!(
        "{OPEN}certfile {}\nkeyfile {}\nlistener {plain} 127.0.0.1\n{OPEN}",
        file("server.crt").display(),
        file("server.key").display()
    );
    let mosquitto = Mosquitto::start(folder.path(), &lines);
    let mut events = Subscriber::new(plain, "falld/house/+/event").await;
    let mut site = Site::playing(mosquitto.port, "fall.mp4");
    site.anxious();
    site.set("camera.room.repeat", true);
    let (ca, password) = (site.path("ca.pem"), site.path("password"));
    std::fs::write(&ca, "").unwrap();
    site.set("mqtt.tls.ca", ca.to_str().unwrap());
    site.set("mqtt.username", "falld");
    site.set("mqtt.password_file", password.to_str().unwrap());

    // The installer is not let off.
    for question in ["check", "doctor"] {
        let (code, _, said) = site.ask(&[question]);
        assert_eq!(code, CONFIG, "{question}: {said}");
        assert!(said.contains("mqtt.tls.ca") && said.contains("mqtt.password_file"), "{question}: {said}");
    }
    let falld = site.start();
    until("the store has an event", || !site.stored().is_empty()).await;
    falld.ready().await;
    assert_eq!(falld.number("falld_broker_connected"), 0.0);
    assert!(falld.number("falld_outbox_depth") >= 1.0);
    let log = falld.log();
    let errors: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
    for (key, mend) in [("mqtt.tls.ca", "give the file in PEM form"), ("mqtt.password_file", "correct the path")] {
        let told = |line: &&&str| line.contains(key) && line.contains(mend) && line.contains("falld.toml:");
        assert_eq!(errors.iter().filter(told).count(), 1, "{key} once, with place and mend:\n{log}");
    }
    assert_eq!(falld.said("broker lost"), 1, "{log}");

    std::fs::copy(file("ca.crt"), &ca).unwrap();
    std::fs::write(&password, "secret\n").unwrap();
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(events.json().await["id"], site.stored()[0].as_str());
    assert!(falld.stop().success());
}
