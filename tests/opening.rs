//! Cameras are opened one after the other, since FFmpeg's backend of OpenCV opens one at a time: a dead one is waited for and blamed
//! on nobody else. Alone in its process, for the wait is the process's.
#![cfg(feature = "opencv")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests")]

#[allow(dead_code, reason = "each test file uses its part of the support")]
#[path = "support/camera.rs"]
mod support;
#[allow(dead_code, reason = "each test file uses its part of the support")]
#[path = "support/video.rs"]
mod video;

use falld::camera::opencv::Opener;
use falld::config::CameraConfig;
use falld::frame::Size;
use falld::health::CameraHealth::{Connecting, Ended, Lost, Ok as Fine};
use std::net::TcpListener;
use support::Rig;
use tempfile::TempDir;

const MODEL: Size = Size { width: 256, height: 192 };

fn rig(source: String, open_timeout_s: f64) -> Rig {
    let config = CameraConfig { source, open_timeout_s, ..CameraConfig::default() };
    let opener = Opener::new(&config, MODEL, 0);
    Rig::of(config, 15.0, MODEL, Box::new(move || Box::new(opener.clone())))
}

#[test]
fn a_dead_camera_makes_no_other_overdue() {
    let folder = TempDir::new().unwrap();
    let film = folder.path().join("a.mp4");
    video::write(&film, b"mp4v", (320, 240), 15.0, 15, 90.0);
    // It accepts us, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut dead = rig(format!("rtsp://{}/live", silent.local_addr().unwrap()), 3.0);
    let _connection = silent.accept().unwrap();
    let mut other = rig(film.to_str().unwrap().into(), 1.5);
    let lost = dead.witness.wait(2, Lost);
    assert!(lost.detail.contains("no answer"), "{}", lost.detail);
    other.witness.wait_for(Ended);
    assert_eq!(other.witness.healths(), [Connecting, Fine, Ended]);
    let opened = other.witness.reports()[1].at;
    assert!(
        opened >= lost.at || lost.at.saturating_sub(opened).as_millis() < 500,
        "it waited for the dead one's answer"
    );
    dead.stop();
    other.stop();
}
