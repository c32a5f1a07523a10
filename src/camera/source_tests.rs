use super::*;
use proptest::prelude::*;

fn camera(source: &str) -> CameraConfig {
    CameraConfig { source: source.into(), ..CameraConfig::default() }
}

fn parsed(source: &str) -> Source {
    Source::parse(&camera(source)).unwrap_or_else(|error| panic!("{source}: {error}"))
}

#[test]
fn a_source_is_known_by_its_look() {
    assert_eq!(parsed("/dev/video0"), Source::Device("/dev/video0".into()));
    assert_eq!(parsed("2"), Source::Device("/dev/video2".into()));
    assert_eq!(parsed("/dev/v4l/by-id/usb-cam"), Source::Device("/dev/v4l/by-id/usb-cam".into()));
    assert_eq!(parsed("rtsp://cam/live"), Source::Url("rtsp://cam/live".into()));
    assert_eq!(parsed("http://cam/mjpeg"), Source::Url("http://cam/mjpeg".into()));
    assert_eq!(parsed("file:///srv/a.mp4"), Source::File("/srv/a.mp4".into()));
    assert_eq!(parsed("clips/a b.mp4"), Source::File("clips/a b.mp4".into()));
    assert_eq!(parsed("rtsp/12:30.mp4"), Source::File("rtsp/12:30.mp4".into()));
    assert_eq!(parsed("./12:30@noon.mp4"), Source::File("./12:30@noon.mp4".into()));
    assert_eq!(parsed("videotestsrc ! appsink"), Source::Pipeline("videotestsrc ! appsink".into()));
}

#[test]
fn an_explicit_backend_overrides_the_look() {
    let config = CameraConfig { backend: Backend::Ffmpeg, ..camera("/dev/video0") };
    assert_eq!(Source::parse(&config), Ok(Source::File("/dev/video0".into())));
}

#[test]
fn a_source_that_cannot_work_says_how_to_mend_it() {
    for (source, says) in [
        ("  ", "empty"),
        ("a\0b", "zero byte"),
        ("anna:secret@10.0.0.5:554/live", "rtsp://"),
        ("rtsp//anna:secret@10.0.0.5/live", "rtsp://"),
        ("RTSP:10.0.0.5/live", "rtsp://"),
        ("videotestsrc ! autovideosink", "appsink"),
        ("preset:jetson", "preset:jetson-csi"),
        ("preset:jetson-csi?sensor=x", "whole number"),
        ("preset:jetson-csi?sensors=1", "sensor, width"),
        ("preset:jetson-csi?sensor", "=value"),
        ("preset:jetson-rtsp?codec=h264", "url=rtsp://"),
        ("preset:rtsp?transport=quic&url=rtsp://c", "tcp or udp"),
        ("preset:jetson-rtsp?codec=vp9&url=rtsp://c", "h264 or h265"),
        ("preset:rtsp?url=rtsp://c/\" ! filesink location=/etc/passwd", "%22"),
    ] {
        let error = Source::parse(&camera(source)).unwrap_err();
        assert!(error.contains(says), "{source}: {error}");
    }
}

#[test]
fn a_jetson_camera_is_a_preset() {
    let Source::Pipeline(pipeline) = parsed("preset:jetson-csi?sensor=1&width=1920&height=1080") else {
        panic!("a preset is a pipeline");
    };
    assert_eq!(
        pipeline,
        "nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),width=1920,height=1080,framerate=30/1,format=NV12 \
         ! nvvidconv flip-method=0 ! video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR \
         ! appsink drop=true max-buffers=1 sync=false"
    );
    let Source::Pipeline(pipeline) = parsed("preset:jetson-rtsp?codec=h265&url=rtsp://u:p@c/s?a=1&b=2") else {
        panic!("a preset is a pipeline");
    };
    assert!(pipeline.starts_with(
        "rtspsrc location=\"rtsp://u:p@c/s?a=1&b=2\" protocols=tcp latency=100 ! rtph265depay ! h265parse"
    ));
    assert!(pipeline.contains("nvv4l2decoder"));
}

#[test]
fn every_documented_preset_expands() {
    for (preset, _) in PRESETS {
        assert!(matches!(parsed(preset), Source::Pipeline(_)), "{preset}");
    }
}

#[test]
fn passwords_are_never_shown() {
    for (source, shown) in [
        ("rtsp://anna:12/34@cam", "rtsp://anna:***@cam"),
        ("srt://host?passphrase=s3cret", "srt://host?passphrase=***"),
        (
            "rtspsrc location=\"rtsp://a:b@c/d\" user-pw=\"s3cret\" ! appsink",
            "rtspsrc location=\"rtsp://a:***@c/d\" user-pw=\"***\" ! appsink",
        ),
        ("rtspsrc user-pw = s3cret ! appsink", "rtspsrc user-pw = *** ! appsink"),
    ] {
        assert_eq!(parsed(source).describe(), shown);
    }
}

#[test]
fn a_refused_preset_shows_no_password_either() {
    for source in [
        "preset:rtsp://admin:hunter2@cam/live",
        "preset:rtsp?rtsp://admin:hunter2@cam/live?a=b",
        "preset:rtsp?rtsp://admin:hunter2@cam/live",
    ] {
        let error = Source::parse(&camera(source)).unwrap_err();
        assert!(error.contains("admin:***@cam") && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn one_process_has_one_rtsp_transport() {
    let tcp = camera("rtsp://a/");
    let udp = CameraConfig { transport: RtspTransport::Udp, ..camera("rtsp://b/") };
    let usb = CameraConfig { read_timeout_s: 2.5, ..camera("/dev/video0") };
    let quiet = ("OPENCV_FFMPEG_LOGLEVEL", "-8".to_owned());
    assert_eq!(environment([("a", &tcp)]), Ok(vec![quiet.clone()]));
    assert_eq!(
        environment([("b", &udp), ("usb", &usb)]),
        Ok(vec![
            quiet,
            ("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;udp".into()),
            ("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "3".into()),
        ])
    );
    let error = environment([("a", &tcp), ("b", &udp)]).unwrap_err();
    assert!(error.contains("camera.b.transport") && error.contains("preset:rtsp?transport=udp"), "{error}");
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in ".{0,80}") {
        let _ = Source::parse(&camera(&text)).map(|source| source.describe());
    }
}
