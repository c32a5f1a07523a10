//! What a camera's `source` means: pure text work, without opening anything.
//!
//! `/dev/video0` is a V4L2 device; `rtsp://…` and `http://…` are URLs; a text with ` ! ` is a GStreamer pipeline;
//! `preset:NAME?key=value&…` is a named pipeline (see [`PRESETS`]); anything else is a file or a folder of files.
//! An explicit `backend` overrides the look. Nothing that leaves this module for a log carries a password:
//! [`masked`].

use crate::config::{Backend, CameraConfig, RtspTransport};
use crate::secret::masked;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A source by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A Video4Linux 2 device.
    Device(PathBuf),
    /// A URL for FFmpeg: always treated as live, even if a finite file lies behind it.
    Url(String),
    /// A file for FFmpeg, or a folder of files that are played in the order of their names.
    File(PathBuf),
    /// A GStreamer pipeline: always treated as live.
    Pipeline(String),
}

/// Named pipelines: what to write, and what it is for.
pub const PRESETS: [(&str, &str); 3] = [
    (
        "preset:jetson-csi?sensor=0&width=1280&height=720&fps=30&flip=0",
        "a CSI camera on a Jetson through its image processor (nvarguscamerasrc); every key may be left out",
    ),
    (
        "preset:jetson-rtsp?transport=tcp&codec=h264&latency=100&url=rtsp://…",
        "an RTSP camera decoded by a Jetson's hardware (nvv4l2decoder); `codec` h264 or h265; `url` comes last",
    ),
    (
        "preset:rtsp?transport=udp&codec=h264&latency=100&url=rtsp://…",
        "an RTSP camera through GStreamer, decoded by one thread without delay; `transport` tcp or udp; `url` comes last",
    ),
];

/// The end of a live pipeline: the newest picture waits for us, older ones are dropped, no clock holds it back.
const SINK: &str = "appsink drop=true max-buffers=1 sync=false";

impl Source {
    /// Reads a camera's `source` and `backend`. The error names what is wrong and how to mend it.
    pub fn parse(config: &CameraConfig) -> Result<Self, String> {
        let text = config.source.trim();
        if text.is_empty() {
            return Err("`source` is empty: give a device (/dev/video0), a URL (rtsp://…), a file or a pipeline".into());
        }
        if text.contains('\0') {
            return Err("`source` holds a zero byte: remove it".into());
        }
        if text.starts_with("preset:") {
            return preset(text).map(Self::Pipeline);
        }
        let source = match config.backend {
            Backend::V4l2 => Self::Device(device(text)),
            Backend::Gstreamer => Self::Pipeline(text.to_owned()),
            Backend::Ffmpeg if is_url(text) => Self::Url(text.to_owned()),
            Backend::Ffmpeg => Self::File(file(text)),
            Backend::Auto if text.contains(" ! ") => Self::Pipeline(text.to_owned()),
            Backend::Auto if is_url(text) && !text.starts_with("file://") => Self::Url(text.to_owned()),
            Backend::Auto if text.starts_with("/dev/") || is_number(text) => Self::Device(device(text)),
            Backend::Auto if lacks_scheme(text) => {
                return Err("this looks like an address without its scheme: write rtsp://…, or for a film of that name file://…".into());
            }
            Backend::Auto => Self::File(file(text)),
        };
        match &source {
            Self::Pipeline(pipeline) if !pipeline.contains("appsink") => Err(format!(
                "the pipeline does not end in an appsink: add ` ! videoconvert ! video/x-raw,format=BGR ! {SINK}`"
            )),
            _ => Ok(source),
        }
    }

    /// The source as it may be shown.
    pub fn describe(&self) -> String {
        match self {
            Self::Device(path) | Self::File(path) => masked(&path.to_string_lossy()),
            Self::Url(text) | Self::Pipeline(text) => masked(text),
        }
    }
}

fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    })
}

/// Whether somebody meant an address: a scheme whose `://` is not whole, or a login.
fn lacks_scheme(text: &str) -> bool {
    let scheme = text.split([':', '/']).next().unwrap_or_default();
    let rest = &text[scheme.len()..];
    let known = ["rtsp", "rtsps", "http", "https", "rtmp", "srt"].contains(&scheme.to_ascii_lowercase().as_str());
    let login = text.find(':').zip(text.rfind('@')).is_some_and(|(colon, at)| colon < at);
    known && (rest.starts_with(':') || rest.starts_with("//"))
        || login && !text.starts_with(['/', '.', '~']) && !text.starts_with("file:")
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

fn device(text: &str) -> PathBuf {
    if is_number(text) { format!("/dev/video{text}").into() } else { text.into() }
}

fn file(text: &str) -> PathBuf {
    Path::new(text.strip_prefix("file://").unwrap_or(text)).into()
}

/// Expands `preset:NAME?key=value&…` into its pipeline.
fn preset(text: &str) -> Result<String, String> {
    let body = text.trim_start_matches("preset:");
    let (name, query) = body.split_once('?').unwrap_or((body, ""));
    let keys: &[&str] = match name {
        "jetson-csi" => &["sensor", "width", "height", "fps", "flip"],
        "jetson-rtsp" | "rtsp" => &["transport", "codec", "latency", "url"],
        _ => {
            let known: Vec<_> = PRESETS.iter().map(|(preset, _)| preset.split('?').next().unwrap_or(preset)).collect();
            return Err(format!("there is no preset `{}`: use one of {}", masked(name), known.join(", ")));
        }
    };
    let values = values(query, keys).map_err(|error| format!("preset `{name}`: {error}"))?;
    let number = |key: &str, default: u32| match values.get(key) {
        None => Ok(default),
        Some(value) => value.parse().map_err(|_| format!("preset `{name}`: `{key}={value}` must be a whole number")),
    };
    if name == "jetson-csi" {
        let (sensor, flip) = (number("sensor", 0)?, number("flip", 0)?);
        let (width, height, fps) = (number("width", 1280)?, number("height", 720)?, number("fps", 30)?);
        return Ok(format!(
            "nvarguscamerasrc sensor-id={sensor} ! video/x-raw(memory:NVMM),width={width},height={height},\
             framerate={fps}/1,format=NV12 ! nvvidconv flip-method={flip} ! video/x-raw,format=BGRx ! videoconvert \
             ! video/x-raw,format=BGR ! {SINK}"
        ));
    }
    let url = values.get("url").copied().unwrap_or_default();
    if !url.starts_with("rtsp://") && !url.starts_with("rtsps://") {
        return Err(format!("preset `{name}`: give the camera's address as the last key, `url=rtsp://…`"));
    }
    if url.contains(['"', '\\']) {
        return Err(format!("preset `{name}`: write quotes and backslashes in `url` as %22 and %5C"));
    }
    let codec = match values.get("codec").copied().unwrap_or("h264") {
        codec @ ("h264" | "h265") => codec,
        other => return Err(format!("preset `{name}`: `codec={other}` must be h264 or h265")),
    };
    let transport = match values.get("transport").copied().unwrap_or("tcp") {
        transport @ ("tcp" | "udp") => transport,
        other => return Err(format!("preset `{name}`: `transport={other}` must be tcp or udp")),
    };
    let latency = number("latency", 100)?;
    let depayed = format!("protocols={transport} latency={latency} ! rtp{codec}depay ! {codec}parse");
    Ok(if name == "jetson-rtsp" {
        format!(
            "rtspsrc location=\"{url}\" {depayed} ! nvv4l2decoder enable-max-performance=1 ! nvvidconv \
             ! video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR ! {SINK}"
        )
    } else {
        format!(
            "rtspsrc location=\"{url}\" {depayed} ! avdec_{codec} max-threads=1 ! videoconvert \
             ! video/x-raw,format=BGR ! {SINK}"
        )
    })
}

/// The `key=value` pairs of a preset. `url` takes the rest of the text, `&` and all.
fn values<'a>(query: &'a str, keys: &[&str]) -> Result<BTreeMap<&'a str, &'a str>, String> {
    let mut values = BTreeMap::new();
    let mut rest = query;
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or_else(|| format!("`{}` lacks its `=value`", masked(rest)))?;
        if !keys.contains(&key) {
            return Err(format!("there is no key `{}`: use {}", masked(key), keys.join(", ")));
        }
        let (value, next) = if key == "url" { (after, "") } else { after.split_once('&').unwrap_or((after, "")) };
        values.insert(key, value);
        rest = next;
    }
    Ok(values)
}

/// Why two RTSP cameras of one process must agree.
pub const ONE_TRANSPORT: &str = "OpenCV knows one RTSP transport a process";

/// The transport that OpenCV's FFmpeg is to use for this camera; none if it opens no RTSP address by itself.
pub fn transport(config: &CameraConfig) -> Option<RtspTransport> {
    matches!(Source::parse(config), Ok(Source::Url(url)) if url.starts_with("rtsp")).then_some(config.transport)
}

/// Environment variables that OpenCV should find for these cameras, or why the cameras cannot live in one process.
///
/// OpenCV takes these settings from the process's environment alone, and changing the environment of a process with
/// threads is unsound: set them before the first thread starts (or run the program again with them). A variable that
/// is set already should be left as it is.
pub fn environment<'a>(
    cameras: impl IntoIterator<Item = (&'a str, &'a CameraConfig)>,
) -> Result<Vec<(&'static str, String)>, String> {
    let (mut tcp, mut udp, mut devices) = (None, None, None::<f64>);
    for (id, config) in cameras {
        match transport(config) {
            Some(RtspTransport::Tcp) => tcp = Some(id),
            Some(RtspTransport::Udp) => udp = Some(id),
            None => {}
        }
        if let Ok(Source::Device(_)) = Source::parse(config) {
            devices = Some(devices.unwrap_or(1.0).max(config.read_timeout_s));
        }
    }
    // FFmpeg writes a line to stderr for each damaged packet; what matters is told in our own words, once.
    let mut variables = vec![("OPENCV_FFMPEG_LOGLEVEL", "-8".to_owned())];
    match (tcp, udp) {
        (Some(tcp), Some(udp)) => {
            return Err(format!(
                "camera.{udp}.transport = \"udp\" beside camera.{tcp}.transport = \"tcp\": {ONE_TRANSPORT}. Give both \
                 the same, or write camera.{udp}.source = \"preset:rtsp?transport=udp&url=rtsp://…\""
            ));
        }
        // Without the variable OpenCV prefers TCP by itself.
        (None, Some(_)) => variables.push(("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;udp".to_owned())),
        _ => {}
    }
    if let Some(seconds) = devices {
        variables.push(("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", format!("{}", seconds.ceil().max(1.0))));
    }
    Ok(variables)
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
