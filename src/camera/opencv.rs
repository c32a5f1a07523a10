//! Cameras and files through OpenCV: V4L2 devices, RTSP and HTTP (FFmpeg), GStreamer pipelines, files and folders.
//!
//! How long a call may block: FFmpeg keeps `open_timeout_s` and `read_timeout_s` itself (40 ms late at most); V4L2
//! waits ten seconds, or as long as [`environment`](super::source::environment) says; GStreamer waits for ever. That is
//! why `capture` watches from outside. FFmpeg is named explicitly for URLs and files: left to itself OpenCV tries each
//! backend in turn, also those without timeouts.
//!
//! A change of size or pixel format midway is [`CameraError::Changed`], as far as OpenCV lets us see it. FFmpeg's
//! backend in OpenCV 4.6 with FFmpeg 5 (Debian 12) and later versions keeps the first size: a larger picture makes it
//! repeat the last one of the old size, which `capture` sees as frozen and cures by opening anew; a lower one leaves the
//! lower edge as it was, which is suspected after `frozen_after_s`. GStreamer's backend tells the truth.
//!
//! FFmpeg's backend decodes H.264 with as many threads as there are processors, and holds back one picture for each but
//! the first; OpenCV 4.6 has no way to say otherwise. On many cores a pipeline (`preset:rtsp`) is some pictures quicker.
//!
//! Not here: hardware decoding (write a pipeline, see [`PRESETS`](super::source::PRESETS)) and audio.

mod edge;
mod file;
mod fit;

use super::source::Source;
use super::turns::Turns;
use super::{CameraError, Grab, Opener as Open, Stream, Turn};
use crate::config::CameraConfig;
use crate::frame::{Frame, Size};
use crate::secret::masked;
use edge::{Edge, Learned};
use fit::Fit;
use opencv::core::Vector;
use opencv::prelude::*;
use opencv::videoio::{self, VideoCapture};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, LazyLock, Once};
use std::time::{Duration, Instant};

/// Opens one camera or file. Clone it for each session: the clones share what was learned of the camera.
#[derive(Clone)]
pub struct Opener {
    config: CameraConfig,
    source: Result<Source, String>,
    size: Size,
    pad: u8,
    learned: Learned,
}

impl Opener {
    /// An opener of `config`'s source for pictures of `size`, padded with grey `pad`. Does not touch the source; a
    /// source that cannot work is refused by `open`.
    pub fn new(config: &CameraConfig, size: Size, pad: u8) -> Self {
        prepare();
        Self { config: config.clone(), source: Source::parse(config), size, pad, learned: Learned::default() }
    }
}

/// Opens a file or a folder of files for replay. Blocks as long as the disk does, but at most 30 s an open or read.
pub fn open_file(path: &Path, size: Size, pad: u8, mask: &[[f32; 4]]) -> Result<Box<dyn Stream>, CameraError> {
    prepare();
    let slow = Duration::from_secs(30);
    Ok(Box::new(file::FileStream::open(path, Fit::new(size, pad, mask), Timeouts { open: slow, read: slow })?))
}

#[derive(Debug, Clone, Copy)]
struct Timeouts {
    open: Duration,
    read: Duration,
}

impl Timeouts {
    /// The parameters that FFmpeg's backend takes.
    fn params(self) -> [i32; 4] {
        let ms = |time: Duration| i32::try_from(time.as_millis()).unwrap_or(i32::MAX).max(1);
        [videoio::CAP_PROP_OPEN_TIMEOUT_MSEC, ms(self.open), videoio::CAP_PROP_READ_TIMEOUT_MSEC, ms(self.read)]
    }
}

/// FFmpeg's backend opens one source at a time, in no order, behind a lock of the whole process that it holds until the source has
/// answered: a camera that is dead would make others overdue that only wait for it. A folder's later films are opened within a read, and wait
/// there.
static FFMPEG: LazyLock<Turns> = LazyLock::new(Turns::default);

impl Open for Opener {
    fn turn(&self, gone: &dyn Fn() -> bool) -> Option<Turn> {
        match self.source {
            Ok(Source::Url(_) | Source::File(_)) => FFMPEG.wait(gone),
            _ => Some(Turn::default()),
        }
    }

    fn open(&mut self) -> Result<Box<dyn Stream>, CameraError> {
        let source = self.source.as_ref().map_err(|error| CameraError::Open(error.clone()))?;
        let fit = Fit::new(self.size, self.pad, &self.config.mask);
        let seconds = |value: f64| Duration::try_from_secs_f64(value).unwrap_or_default();
        let timeouts =
            Timeouts { open: seconds(self.config.open_timeout_s), read: seconds(self.config.read_timeout_s) };
        let shown = source.describe();
        let begun = Instant::now();
        let opened = match source {
            Source::File(path) => return Ok(Box::new(file::FileStream::open(path, fit, timeouts)?)),
            Source::Url(url) => ffmpeg(url, timeouts),
            Source::Pipeline(pipeline) => VideoCapture::from_file(pipeline, videoio::CAP_GSTREAMER),
            Source::Device(path) => {
                check_device(path)?;
                let asked = [
                    (videoio::CAP_PROP_FRAME_WIDTH, self.config.width),
                    (videoio::CAP_PROP_FRAME_HEIGHT, self.config.height),
                    (videoio::CAP_PROP_FPS, self.config.fps),
                ];
                let mut params = Vector::new();
                for (property, value) in asked {
                    if let Ok(value @ 1..) = i32::try_from(value) {
                        params.push(property);
                        params.push(value);
                    }
                }
                VideoCapture::from_file_with_params(path, videoio::CAP_V4L2, &params)
            }
        };
        match opened {
            Ok(capture) if capture.is_opened().unwrap_or(false) => {
                let fit = match source {
                    Source::Url(_) => {
                        fit.watched_by(Edge::new(Arc::clone(&self.learned), seconds(self.config.frozen_after_s)))
                    }
                    _ => fit,
                };
                Ok(Box::new(Live { capture, fit, shown, timeout: timeouts.read, seen: false }))
            }
            failed => {
                let why = failed.err().map(|error| format!(" ({})", masked(&error.message)));
                let hint = match source {
                    Source::Url(_) if ran_out(begun, timeouts.open) => {
                        "no answer in time: is the camera on, and the address right?"
                    }
                    Source::Url(_) => "refused: check address, path, user and password",
                    Source::Pipeline(_) => {
                        "GStreamer cannot start it: try it with `gst-launch-1.0`, and look for a missing plugin"
                    }
                    _ => {
                        "the device gives no video: is another program using it, and does it take the asked size and rate?"
                    }
                };
                Err(CameraError::Open(format!("cannot open {shown}{}: {hint}", why.unwrap_or_default())))
            }
        }
    }

    fn describe(&self) -> String {
        self.source.as_ref().map_or_else(|_| masked(&self.config.source), Source::describe)
    }
}

fn ffmpeg(source: impl AsRef<OsStr>, timeouts: Timeouts) -> opencv::Result<VideoCapture> {
    VideoCapture::from_file_with_params(source, videoio::CAP_FFMPEG, &Vector::from_slice(&timeouts.params()))
}

/// True if a call that failed did so by its deadline: FFmpeg's clock has another resolution than ours.
fn ran_out(begun: Instant, deadline: Duration) -> bool {
    begun.elapsed() >= deadline.mul_f64(0.95)
}

/// Tells an absent device from a forbidden one: OpenCV says neither.
fn check_device(path: &Path) -> Result<(), CameraError> {
    let shown = path.display();
    match std::fs::OpenOptions::new().read(true).write(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(CameraError::Open(match error.kind() {
            std::io::ErrorKind::NotFound => format!("{shown} does not exist: is the camera plugged in?"),
            std::io::ErrorKind::PermissionDenied => {
                format!("{shown}: not allowed: add falld's user to the group `video`")
            }
            _ => format!("{shown}: {error}"),
        })),
    }
}

/// A camera that has no end and no time of its own.
struct Live {
    capture: VideoCapture,
    fit: Fit,
    shown: String,
    timeout: Duration,
    /// The first picture may take longer: pipelines start, decoders wait for a key frame.
    seen: bool,
}

impl Stream for Live {
    fn grab(&mut self) -> Result<Grab, CameraError> {
        let begun = Instant::now();
        let grabbed = self.capture.grab();
        // A picture after the deadline is an old one that FFmpeg's decoder still held when it gave up.
        if ran_out(begun, self.timeout) && (self.seen || !matches!(grabbed, Ok(true))) {
            return Err(CameraError::Lost(format!(
                "{}: no picture for {:.1} s: camera or network stalled",
                self.shown,
                self.timeout.as_secs_f64()
            )));
        }
        match grabbed {
            Ok(true) => {
                self.seen = true;
                Ok(Grab::Picture { media: None })
            }
            Ok(false) => Err(CameraError::Lost(format!("{}: the stream ended or the connection broke", self.shown))),
            Err(error) => Err(CameraError::Lost(format!("{}: {}", self.shown, masked(&error.message)))),
        }
    }

    fn retrieve(&mut self, into: &mut Frame) -> Result<(), CameraError> {
        self.fit.retrieve(&mut self.capture, &self.shown, into)
    }

    fn rate(&self) -> Option<f64> {
        rate(&self.capture)
    }
}

/// The rate by the source's word. Live streams say 0, 90 000 (the RTP clock) or a thousand when they do not know.
fn rate(capture: &VideoCapture) -> Option<f64> {
    capture.get(videoio::CAP_PROP_FPS).ok().filter(|fps| (0.5..=240.0).contains(fps))
}

/// Settings that OpenCV keeps for the whole process; made once.
///
/// One thread for resizing: each camera has its own already, and pictures are small. No log: what OpenCV writes to
/// stderr is neither structured nor free of credentials, and every failure is told in our own words.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Neither can fail but for a broken OpenCV, which the first open would show.
        let _ = opencv::core::set_num_threads(1);
        let _ = opencv::core::set_log_level(opencv::core::LogLevel::LOG_LEVEL_SILENT);
    });
}
