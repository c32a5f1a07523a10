//! Files: they end, and they carry their own time.
//!
//! OpenCV says `false` for the end of a file and for a failure alike. The container's frame count decides: a file that
//! ends well short of it is truncated or corrupt, and that is [`CameraError::Lost`] after what it has was played.
//! A folder is played file by file in the order of names; a file in it that cannot be played is logged and skipped.

use super::super::{CameraError, Grab, Stream};
use super::edge::{Edge, Learned};
use super::fit::Fit;
use super::{Timeouts, ffmpeg, rate};
use crate::frame::{Frame, Moment};
use opencv::prelude::*;
use opencv::videoio::{self, VideoCapture};
use std::collections::VecDeque;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a folder's files must be called to be played.
const PLAYABLE: [&str; 17] = [
    "mp4", "m4v", "mov", "mkv", "webm", "avi", "ts", "mts", "mpg", "mpeg", "wmv", "flv", "h264", "mjpeg", "mjpg",
    "jpg", "png",
];

/// Time between two files of a folder: more than any model's hold, so that no clip spans two files.
const BETWEEN_FILES: Duration = Duration::from_secs(2);

/// The rate of a file that does not say its own; FFmpeg's own default.
const DEFAULT_RATE: f64 = 25.0;

/// A file may end before the container's count by this part of it, and by this many frames at least: counts are
/// estimated from the duration in some containers, and leading frames that cannot be decoded are counted as well.
const SHORT_PART: f64 = 0.05;
const SHORT_FRAMES: f64 = 5.0;

/// A file that ends with so many equal pictures is spoken of: the recording froze, or its size changed midway and
/// OpenCV repeats the last picture of the old size. It may be a still scene as well, so it is no failure.
const SAME_AT_END: u64 = 15;

/// A longer step between two pictures' times is nonsense in the file (a recording's own clock that jumped).
const LONGEST_STEP: Duration = Duration::from_secs(24 * 3600);

struct Video {
    capture: VideoCapture,
    shown: String,
    /// Nominal time between pictures.
    period: Duration,
    /// Pictures by the container's word; 0 if it gives none.
    count: f64,
    read: u64,
    /// Time of the last picture, and the file's own time of it.
    last: Option<(Moment, f64)>,
}

impl Video {
    fn open(path: &Path, timeouts: Timeouts) -> Result<Self, CameraError> {
        let shown = path.display().to_string();
        let failed = |why: &str| CameraError::Open(format!("{shown}: {why}"));
        let bytes = match fs::File::open(path).and_then(|file| file.metadata()) {
            Ok(facts) if facts.is_dir() => return Err(failed("is a folder in a folder: give its path itself")),
            Ok(facts) if facts.is_file() && facts.len() == 0 => {
                return Err(failed("the file is empty: record or copy it again"));
            }
            Ok(facts) => facts.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(failed("there is no such file: check the path (it is taken from the working directory)"));
            }
            Err(error) => return Err(failed(&format!("cannot be read: {error}"))),
        };
        // An absolute path, or FFmpeg takes what stands before a colon in the name for a protocol.
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let capture = ffmpeg(absolute, timeouts).ok().filter(|capture| capture.is_opened().unwrap_or(false));
        let Some(capture) = capture else {
            return Err(failed(&format!(
                "not a video that can be played ({bytes} bytes): truncated, corrupt, or of an unknown kind; \
                 `ffprobe` says more, else record or copy it again"
            )));
        };
        let period = Duration::from_secs_f64(1.0 / rate(&capture).unwrap_or(DEFAULT_RATE));
        let count = capture.get(videoio::CAP_PROP_FRAME_COUNT).unwrap_or_default().clamp(0.0, 1e9);
        Ok(Self { capture, shown, period, count, read: 0, last: None })
    }

    /// The time of the next picture since the start of the file, or none at its end.
    fn grab(&mut self) -> Result<Option<Moment>, CameraError> {
        if self.capture.grab().unwrap_or(false) {
            self.read += 1;
            let theirs = self.capture.get(videoio::CAP_PROP_POS_MSEC).unwrap_or(f64::NAN) / 1000.0;
            return Ok(Some(self.time(theirs)));
        }
        let (read, count, shown) = (self.read, self.count, &self.shown);
        if read == 0 {
            return Err(CameraError::Lost(format!("{shown}: not one picture can be decoded: truncated or corrupt")));
        }
        if (read as f64) + (count * SHORT_PART).max(SHORT_FRAMES) < count {
            return Err(CameraError::Lost(format!(
                "{shown}: ends after {read} of {count} pictures: truncated or corrupt; record or copy it again"
            )));
        }
        Ok(None)
    }

    /// Repairs the file's time: it must grow, by a believable step; if not, one nominal period is taken.
    fn time(&mut self, theirs: f64) -> Moment {
        let ours = match self.last {
            None => Moment::ZERO,
            Some((ours, before)) => match Duration::try_from_secs_f64(theirs - before) {
                Ok(step) if !step.is_zero() && step < LONGEST_STEP => ours + step,
                _ => ours + self.period,
            },
        };
        self.last = Some((ours, theirs));
        ours
    }
}

/// A file, or the files of a folder.
pub(super) struct FileStream {
    video: Video,
    rest: VecDeque<PathBuf>,
    fit: Fit,
    timeouts: Timeouts,
    /// Where the current file begins in the whole.
    base: Moment,
}

impl FileStream {
    pub(super) fn open(path: &Path, fit: Fit, timeouts: Timeouts) -> Result<Self, CameraError> {
        let fit = fit.watched_by(Edge::new(Learned::default(), Duration::MAX));
        if !path.is_dir() {
            let video = Video::open(path, timeouts)?;
            return Ok(Self { video, rest: VecDeque::new(), fit, timeouts, base: Moment::ZERO });
        }
        let mut rest = list(path)?;
        let Some(video) = next(&mut rest, timeouts) else {
            return Err(CameraError::Open(format!(
                "{}: no file in this folder can be played (looked for .{})",
                path.display(),
                PLAYABLE.join(", .")
            )));
        };
        Ok(Self { video, rest, fit, timeouts, base: Moment::ZERO })
    }
}

/// The playable files of a folder by name.
fn list(folder: &Path) -> Result<VecDeque<PathBuf>, CameraError> {
    let failed = |error: std::io::Error| CameraError::Open(format!("{}: cannot be listed: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default().to_ascii_lowercase();
        if path.is_file() && PLAYABLE.contains(&kind.as_str()) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files.into())
}

/// The next file that can be played.
fn next(rest: &mut VecDeque<PathBuf>, timeouts: Timeouts) -> Option<Video> {
    while let Some(path) = rest.pop_front() {
        match Video::open(&path, timeouts) {
            Ok(video) => return Some(video),
            Err(error) => tracing::warn!(%error, "file skipped"),
        }
    }
    None
}

impl Stream for FileStream {
    fn grab(&mut self) -> Result<Grab, CameraError> {
        loop {
            match self.video.grab() {
                Ok(Some(time)) => return Ok(Grab::Picture { media: Some(self.base + time) }),
                Ok(None) => {
                    if self.fit.same() >= SAME_AT_END {
                        let (file, pictures) = (&self.video.shown, self.fit.same());
                        tracing::warn!(
                            file,
                            pictures,
                            "file ends with one picture again and again: frozen, or its size changed"
                        );
                    }
                }
                Err(error) if self.rest.is_empty() => return Err(error),
                Err(error) => tracing::warn!(%error, "file cut short"),
            }
            let Some(video) = next(&mut self.rest, self.timeouts) else { return Ok(Grab::End) };
            self.base += self.video.last.map_or(Duration::ZERO, |(last, _)| last) + BETWEEN_FILES;
            self.video = video;
            self.fit.forget_format();
        }
    }

    fn retrieve(&mut self, into: &mut Frame) -> Result<(), CameraError> {
        self.fit.retrieve(&mut self.video.capture, &self.video.shown, into)
    }

    fn rate(&self) -> Option<f64> {
        rate(&self.video.capture)
    }
}
