//! Real sources through OpenCV: files whole and broken, folders, RTSP, HTTP, pipelines; and what becomes of them when
//! they hang.
#![cfg(feature = "opencv")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests")]

#[allow(dead_code, reason = "each test file uses its part of the support")]
#[path = "support/camera.rs"]
mod support;
#[allow(dead_code, reason = "each test file uses its part of the support")]
#[path = "support/video.rs"]
mod video;

use falld::cadence::Cadence;
use falld::camera::opencv::{Opener, open_file};
use falld::camera::{CameraError, Grab, Opener as _, Stream};
use falld::capture::Openers;
use falld::config::CameraConfig;
use falld::frame::{Frame, Moment, Size, View};
use falld::health::CameraHealth::{Connecting, Ended, Frozen, Lost, Ok as Fine};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use support::Rig;
use tempfile::TempDir;
use video::{HttpCamera, RtspServer};

const MODEL: Size = Size { width: 256, height: 192 };

fn camera(source: impl AsRef<Path>) -> CameraConfig {
    CameraConfig {
        source: source.as_ref().to_str().unwrap().into(),
        open_timeout_s: 5.0,
        read_timeout_s: 1.0,
        ..CameraConfig::default()
    }
}

fn rig(config: CameraConfig) -> Rig {
    let opener = Opener::new(&config, MODEL, 0);
    let openers: Openers = Box::new(move || Box::new(opener.clone()));
    Rig::of(config, 15.0, MODEL, openers)
}

fn open(path: &Path) -> Result<Box<dyn Stream>, CameraError> {
    open_file(path, MODEL, 0, &[])
}

/// Reads a file to its end: the time of each picture, and how it ended.
fn play(path: &Path) -> (Vec<Moment>, Result<(), CameraError>) {
    let mut stream = open(path).unwrap();
    let mut frame = Frame::new(MODEL);
    let mut times = Vec::new();
    loop {
        match stream.grab() {
            Ok(Grab::Picture { media }) => times.push(media.unwrap()),
            Ok(Grab::End) => return (times, Ok(())),
            Err(error) => return (times, Err(error)),
        }
        if let Err(error) = stream.retrieve(&mut frame) {
            return (times, Err(error));
        }
    }
}

fn refused(path: &Path) -> String {
    let Err(CameraError::Open(says)) = open(path) else { panic!("{} was not refused", path.display()) };
    says
}

#[test]
fn a_file_gives_each_picture_with_its_own_time() {
    let folder = TempDir::new().unwrap();
    for (name, code) in [("a.mp4", b"mp4v"), ("a.avi", b"MJPG")] {
        let path = folder.path().join(name);
        video::write(&path, code, (320, 240), 30.0, 90, 90.0);
        let (times, end) = play(&path);
        assert_eq!(end, Ok(()), "{name}");
        assert_eq!(times.len(), 90, "{name}");
        for (n, time) in times.iter().enumerate() {
            assert!((time.as_secs_f64() - n as f64 / 30.0).abs() < 0.002, "{name}: picture {n} at {time:?}");
        }
        let mut cadence = Cadence::new(15.0);
        let ticks: Vec<u64> = times.iter().filter_map(|&time| cadence.admit(time)).collect();
        assert_eq!(ticks, (0..45).collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn the_picture_is_what_was_recorded_with_its_masks_burnt_in() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("wide ü 1:2.avi");
    video::write(&path, b"MJPG", (320, 160), 15.0, 3, 90.0);
    let mut stream = open_file(&path, MODEL, 7, &[[0.0, 0.0, 0.25, 1.0]]).unwrap();
    let mut frame = Frame::new(MODEL);
    assert_eq!(stream.grab(), Ok(Grab::Picture { media: Some(Moment::ZERO) }));
    stream.retrieve(&mut frame).unwrap();
    assert_eq!(frame.view, View { left: 0, top: 32, width: 256, height: 128 });
    assert_eq!(stream.rate(), Some(15.0));
    let at = |x: usize, y: usize| frame.pixels[(y * MODEL.width + x) * 3];
    assert_eq!((at(100, 10), at(100, 180)), (7, 7), "padding");
    assert_eq!((at(10, 50), at(60, 140)), (0, 0), "mask");
    assert!(at(200, 50).abs_diff(90) < 5, "picture: {}", at(200, 50));
}

#[test]
fn a_file_that_is_no_video_says_so() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("empty.mp4"), []).unwrap();
    fs::write(path("text.mp4"), "this is not a video\n".repeat(100)).unwrap();
    fs::create_dir(path("nothing")).unwrap();
    fs::write(path("nothing/readme.txt"), "no video").unwrap();
    for (name, says) in [
        ("absent.mp4", "no such file"),
        ("empty.mp4", "empty"),
        ("text.mp4", "truncated, corrupt"),
        ("nothing", "no file in this folder"),
    ] {
        let error = refused(&path(name));
        assert!(error.contains(says) && error.contains(name), "{error}");
    }
}

#[test]
fn a_truncated_file_plays_what_it_has_and_then_says_so() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("whole.avi");
    video::write(&path, b"MJPG", (320, 240), 15.0, 100, 90.0);
    let bytes = fs::read(&path).unwrap();
    let cut = folder.path().join("cut.avi");
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let (times, end) = play(&cut);
    assert!((30..70).contains(&times.len()), "{} pictures", times.len());
    let CameraError::Lost(says) = end.unwrap_err() else { panic!("a loss was due") };
    assert!(says.contains("of 100 pictures") && says.contains("cut.avi"), "{says}");

    // An mp4 keeps its index at the end: without it nothing can be played.
    let path = folder.path().join("whole.mp4");
    video::write(&path, b"mp4v", (320, 240), 15.0, 100, 90.0);
    let bytes = fs::read(&path).unwrap();
    let cut = folder.path().join("cut.mp4");
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    assert!(refused(&cut).contains("truncated, corrupt"));
}

#[test]
fn a_file_with_a_hole_in_it_is_survived() {
    let folder = TempDir::new().unwrap();
    for (name, code) in [("hole.mp4", b"mp4v"), ("hole.avi", b"MJPG")] {
        let path = folder.path().join(name);
        video::write(&path, code, (320, 240), 15.0, 100, 90.0);
        let mut bytes = fs::read(&path).unwrap();
        let (from, to) = (bytes.len() / 3, bytes.len() / 3 + bytes.len() / 10);
        for (n, byte) in bytes[from..to].iter_mut().enumerate() {
            *byte = (n * 31) as u8;
        }
        fs::write(&path, bytes).unwrap();
        let (times, _) = play(&path);
        assert!(times.len() > 20, "{name}: {} pictures", times.len());
        assert!(times.is_sorted(), "{name}");
    }
}

#[test]
fn a_folder_plays_its_files_in_order_and_skips_what_is_no_video() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    video::write(&path("b.mp4"), b"mp4v", (320, 240), 15.0, 30, 160.0);
    video::write(&path("a.avi"), b"MJPG", (640, 480), 15.0, 30, 60.0);
    fs::write(path("aa.mp4"), "broken").unwrap();
    fs::write(path("notes.txt"), "not a video").unwrap();
    let mut stream = open(folder.path()).unwrap();
    let mut frame = Frame::new(MODEL);
    let mut cadence = Cadence::new(15.0);
    let mut seen = Vec::new();
    while let Grab::Picture { media } = stream.grab().unwrap() {
        stream.retrieve(&mut frame).unwrap();
        seen.push((cadence.admit(media.unwrap()).unwrap(), frame.pixels[0]));
    }
    assert_eq!(seen.len(), 60);
    assert!(seen[..30].iter().all(|(_, level)| level.abs_diff(60) < 6));
    assert!(seen[30..].iter().all(|(_, level)| level.abs_diff(160) < 6));
    assert_eq!(seen[30].0 - seen[29].0, 30, "two seconds between two files: no clip spans them");
}

#[test]
fn a_file_as_a_camera_plays_at_its_own_rate_and_ends() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.mp4");
    video::write(&path, b"mp4v", (320, 240), 30.0, 60, 90.0);
    let mut rig = rig(camera(&path));
    let begun = rig.witness.wait(2, Fine);
    let ended = rig.witness.wait(3, Ended);
    let took = (ended.at - begun.at).as_secs_f64();
    assert!((1.8..6.0).contains(&took), "two seconds of video took {took} s");
    assert_eq!(rig.number("falld_frames_total"), 30.0);
    assert_eq!(rig.number("falld_frames_dropped_total{camera=\"room\",reason=\"cadence\"}"), 30.0);
    rig.stop();
}

#[test]
fn an_absent_device_is_told_from_a_broken_one() {
    let mut opener = Opener::new(&camera("/dev/video99"), MODEL, 0);
    let error = opener.open().err().unwrap().to_string();
    assert!(error.contains("/dev/video99 does not exist"), "{error}");
    let mut opener = Opener::new(&camera("/dev/null"), MODEL, 0);
    let error = opener.open().err().unwrap().to_string();
    assert!(error.contains("gives no video"), "{error}");
}

#[test]
fn a_refused_address_and_a_silent_one_are_told_apart() {
    let begun = Instant::now();
    let mut opener = Opener::new(&camera("rtsp://u:geheim@127.0.0.1:9/live"), MODEL, 0);
    let error = opener.open().err().unwrap().to_string();
    assert!(error.contains("refused") && error.contains("u:***@") && !error.contains("geheim"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(4));

    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtsp://127.0.0.1:{}/live", silent.local_addr().unwrap().port());
    let mut opener = Opener::new(&CameraConfig { open_timeout_s: 1.0, ..camera(url) }, MODEL, 0);
    let begun = Instant::now();
    let error = opener.open().err().unwrap().to_string();
    assert!(error.contains("no answer in time"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[test]
fn a_camera_that_hangs_on_the_network_is_lost_in_time_and_comes_back() {
    let Some(server) = RtspServer::start(0, None) else { return };
    let mut rig = rig(camera(server.url()));
    rig.witness.wait(2, Fine);
    rig.frame();
    server.freeze();
    let frozen = rig.clock.now();
    let lost = rig.witness.wait(3, Lost);
    let took = lost.at.saturating_sub(frozen);
    assert!(took < Duration::from_secs(3), "lost after {took:?}");
    assert!(lost.detail.contains("no picture for 1.0 s"), "{}", lost.detail);
    assert_eq!(rig.capture().abandoned(), 0, "FFmpeg's own deadline ended the read");
    server.thaw();
    rig.witness.wait(4, Fine);
    assert!(rig.number("falld_capture_reconnects_total") >= 1.0);

    // And the hard way: the server dies, and another one takes its place.
    let port = server.port;
    drop(server);
    rig.witness.wait(5, Lost);
    let _server = RtspServer::start(port, None);
    // While it starts, the loss may be told of once more: for another reason.
    rig.witness.wait_for(Fine);
    rig.stop();
    let mut healths = rig.witness.healths();
    healths.dedup();
    assert_eq!(healths, [Connecting, Fine, Lost, Fine, Lost, Fine]);
}

#[test]
fn a_pipeline_that_hangs_for_ever_is_abandoned_and_the_camera_comes_back() {
    let Some(server) = RtspServer::start(0, None) else { return };
    let pipeline = format!(
        "rtspsrc location={} protocols=tcp latency=0 timeout=0 tcp-timeout=0 ! rtph264depay ! avdec_h264 \
         ! videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false",
        server.url()
    );
    let mut rig = rig(camera(&pipeline));
    rig.witness.wait(2, Fine);
    server.freeze();
    let frozen = rig.clock.now();
    let lost = rig.witness.wait(3, Lost);
    assert!(lost.at.saturating_sub(frozen) < Duration::from_secs(4));
    assert!(lost.detail.contains("no answer to read"), "GStreamer has no deadline: {}", lost.detail);
    assert!(rig.capture().abandoned() > 0);
    server.thaw();
    rig.witness.wait(4, Fine);
    rig.stop();
}

#[test]
fn udp_is_a_matter_of_a_preset() {
    let Some(server) = RtspServer::start(0, Some("udp")) else { return };
    let mut rig = rig(camera(format!("preset:rtsp?transport=udp&latency=20&url={}", server.url())));
    rig.witness.wait(2, Fine);
    rig.frame();
    rig.stop();
}

#[test]
fn udp_by_ffmpeg_needs_the_environment() {
    // OpenCV reads the transport from the environment, which may be set only before there are threads: so this test
    // runs itself again.
    const NAME: &str = "udp_by_ffmpeg_needs_the_environment";
    if std::env::var_os("FALLD_TEST_INNER").is_none() {
        let url = camera("rtsp://x/");
        let udp = CameraConfig { transport: falld::config::RtspTransport::Udp, ..url };
        let variables = falld::camera::source::environment([("x", &udp)]).unwrap();
        let inner = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env("FALLD_TEST_INNER", "1")
            .envs(variables)
            .output()
            .unwrap();
        assert!(
            inner.status.success(),
            "{}{}",
            String::from_utf8_lossy(&inner.stdout),
            String::from_utf8_lossy(&inner.stderr)
        );
        return;
    }
    let (Some(udp), Some(tcp)) = (RtspServer::start(0, Some("udp")), RtspServer::start(0, Some("tcp"))) else { return };
    let mut stream = Opener::new(&camera(udp.url()), MODEL, 0).open().unwrap();
    assert_eq!(stream.grab(), Ok(Grab::Picture { media: None }));
    assert!(Opener::new(&camera(tcp.url()), MODEL, 0).open().is_err(), "udp was asked for, and nothing else tried");
}

#[test]
fn an_http_camera_that_changes_its_size_is_frozen_for_opencv_and_taken_up_again() {
    // OpenCV 4.6 with FFmpeg 5 does not notice the change: it repeats the last picture of the old size.
    let server = HttpCamera::start(|connection, n| {
        let (width, height) = if connection == 0 && n < 40 { (320, 240) } else { (640, 360) };
        Some(video::jpeg(width, height, n))
    });
    let mut rig = rig(CameraConfig { frozen_after_s: 0.5, ..camera(server.url()) });
    rig.witness.wait(2, Fine);
    rig.witness.wait(3, Frozen);
    rig.witness.wait(4, Fine);
    // The wider picture has bars above and below.
    while rig.frame().pixels[..MODEL.width * 3].iter().any(|&value| value != 0) {}
    rig.stop();
    assert_eq!(rig.witness.healths(), [Connecting, Fine, Frozen, Fine]);
}

#[test]
fn an_http_camera_that_becomes_smaller_is_suspected_and_taken_up_again() {
    let server = HttpCamera::start(|connection, n| {
        let (width, height) = if connection == 0 && n < 40 { (640, 360) } else { (320, 240) };
        Some(video::jpeg(width, height, n))
    });
    let mut rig = rig(CameraConfig { frozen_after_s: 0.5, ..camera(server.url()) });
    rig.witness.wait(2, Fine);
    let until = Instant::now() + support::PATIENCE;
    // The narrower picture has no bars.
    while rig.frame().pixels[..MODEL.width * 3].iter().all(|&value| value == 0) {
        assert!(Instant::now() < until, "{:#?}", rig.witness.reports());
    }
    rig.stop();
    assert_eq!(rig.witness.healths(), [Connecting, Fine]);
}

#[test]
fn a_pipeline_that_changes_its_size_is_taken_up_again_without_being_lost() {
    let folder = TempDir::new().unwrap();
    for n in 0..200 {
        let (width, height) = if n < 40 { (320, 240) } else { (640, 360) };
        fs::write(folder.path().join(format!("{n:03}.jpg")), video::jpeg(width, height, n)).unwrap();
    }
    let pipeline = format!(
        "multifilesrc location={}/%03d.jpg caps=image/jpeg,framerate=20/1 loop=true ! jpegdec ! videoconvert \
         ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=true",
        folder.path().display()
    );
    let mut rig = rig(camera(&pipeline));
    rig.witness.wait(2, Fine);
    let until = Instant::now() + support::PATIENCE;
    while rig.number("falld_capture_reconnects_total") < 1.0 {
        assert!(Instant::now() < until, "{:#?}", rig.witness.reports());
        rig.frame();
    }
    rig.stop();
    assert_eq!(rig.witness.healths(), [Connecting, Fine]);
}

#[test]
fn an_http_camera_that_hangs_up_is_called_again() {
    let server = HttpCamera::start(|connection, n| (connection > 0 || n < 30).then(|| video::jpeg(320, 240, n)));
    let mut rig = rig(camera(server.url()));
    rig.witness.wait(2, Fine);
    let lost = rig.witness.wait(3, Lost);
    assert!(lost.detail.contains("ended or the connection broke"), "{}", lost.detail);
    rig.witness.wait(4, Fine);
    rig.stop();
}

#[test]
fn a_pipeline_gives_colour_or_grey() {
    for format in ["BGR", "GRAY8"] {
        let pipeline = format!(
            "videotestsrc is-live=true pattern=smpte horizontal-speed=3 \
             ! video/x-raw,format={format},width=320,height=240,framerate=30/1 ! appsink drop=true max-buffers=1 sync=false"
        );
        let mut rig = rig(camera(&pipeline));
        rig.witness.wait(2, Fine);
        let frame = rig.frame();
        assert!(frame.pixels.iter().any(|&value| value > 200), "{format}: colour bars");
        rig.stop();
    }
    let mut opener = Opener::new(&camera("nosuchelement ! appsink"), MODEL, 0);
    let error = opener.open().err().unwrap().to_string();
    assert!(error.contains("GStreamer cannot start it"), "{error}");
}
