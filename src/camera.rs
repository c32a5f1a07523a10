//! Where pictures come from: two small traits, an opener and a stream, and their errors.
//!
//! A stream blocks; how long is its own promise, and `capture` watches that promise from outside. Adapters:
//! `opencv` (V4L2, RTSP/HTTP, GStreamer, files) and `scripted` (made-up pictures for tests and for a build without
//! OpenCV).

#[cfg(feature = "opencv")]
pub mod opencv;
pub mod scripted;
pub mod source;

use crate::frame::{Frame, Moment, Size};

/// Why a camera gave no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CameraError {
    /// The source could not be opened. Says what was tried and how to mend it.
    #[error("{0}")]
    Open(String),
    /// The source was open and then stopped giving pictures: unplugged, network gone, corrupt data, or the end of a
    /// live stream. OpenCV does not tell these apart.
    #[error("{0}")]
    Lost(String),
    /// The source changed in a way that needs a new session (size or pixel format midway).
    #[error("{0}")]
    Changed(String),
}

/// What a successful grab knows about its picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grab {
    /// A picture is waiting to be retrieved. Files know its time since the start of the file; live sources do not,
    /// and the moment of the grab counts.
    Picture {
        /// Time since the start of the file, for sources that carry their own time.
        media: Option<Moment>,
    },
    /// A finite source is at its end.
    End,
}

/// The part of a fitted picture that a camera fills, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl View {
    /// A view without padding.
    pub const fn whole(size: Size) -> Self {
        Self { left: 0, top: 0, width: size.width, height: size.height }
    }

    /// A picture of size `from` in the middle of one of size `into`, as large as its aspect allows.
    pub fn letterbox(from: Size, into: Size) -> Self {
        let scale = (into.width as f64 / from.width.max(1) as f64).min(into.height as f64 / from.height.max(1) as f64);
        let width = ((from.width as f64 * scale).round() as usize).clamp(1, into.width);
        let height = ((from.height as f64 * scale).round() as usize).clamp(1, into.height);
        Self { left: (into.width - width) / 2, top: (into.height - height) / 2, width, height }
    }
}

/// Opens one camera, again and again. Lives on the capture thread.
pub trait Opener: Send {
    /// Opens a fresh session. May block up to the configured open timeout, longer with backends that have none.
    fn open(&mut self) -> Result<Box<dyn Stream>, CameraError>;

    /// The source as it may be shown: credentials masked.
    fn describe(&self) -> String;
}

/// One open session of a camera.
pub trait Stream {
    /// Moves to the next picture without decoding more than needed. May block up to the read timeout.
    ///
    /// After an error the session is over: drop it and open another.
    fn grab(&mut self) -> Result<Grab, CameraError>;

    /// Writes the grabbed picture, fitted to the size the opener was made for, into `into.pixels`.
    /// Leaves `tick` and `captured` alone. Does not allocate once the stream's size is known.
    fn retrieve(&mut self, into: &mut Frame) -> Result<(), CameraError>;

    /// Which part of the fitted picture the camera fills; the rest is padding. Known after the first `retrieve`.
    fn view(&self) -> View;

    /// Pictures a second by the source's own word, if it gives a believable one.
    fn rate(&self) -> Option<f64>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letterbox_keeps_the_aspect_and_sits_in_the_middle() {
        let model = Size { width: 256, height: 192 };
        let cases = [
            ((640, 480), (0, 0, 256, 192)),
            ((1920, 1080), (0, 24, 256, 144)),
            ((480, 640), (56, 0, 144, 192)),
            ((100, 100), (32, 0, 192, 192)),
            ((641, 480), (0, 0, 256, 192)),
            ((10_000, 1), (0, 95, 256, 1)),
        ];
        for ((w, h), (left, top, width, height)) in cases {
            let view = View::letterbox(Size { width: w, height: h }, model);
            assert_eq!(view, View { left, top, width, height }, "{w}×{h}");
        }
    }
}
