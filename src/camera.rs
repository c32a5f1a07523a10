//! Where pictures come from: two small traits, an opener and a stream, and their errors.
//!
//! A stream blocks; how long is its own promise, and `capture` watches that promise from outside. Adapters:
//! `opencv` (V4L2, RTSP/HTTP, GStreamer, files) and `scripted` (made-up pictures for tests and for a build without
//! OpenCV).

#[cfg(feature = "opencv")]
pub mod opencv;
pub mod scripted;
pub mod source;
pub mod turns;

use crate::frame::{Frame, Moment};

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

/// Opens one camera, again and again. Lives on the capture thread.
pub trait Opener: Send {
    /// Waits until [`Opener::open`] may be called, for where a backend opens one source at a time; keep what is returned until it has
    /// returned. None if `gone` came first.
    fn turn(&self, gone: &dyn Fn() -> bool) -> Option<Turn> {
        let _ = gone;
        Some(Turn::default())
    }

    /// Opens a fresh session. May block up to the configured open timeout, longer with backends that have none.
    fn open(&mut self) -> Result<Box<dyn Stream>, CameraError>;

    /// The source as it may be shown: credentials masked.
    fn describe(&self) -> String;
}

/// Leave to open a source. Dropping it lets the next one begin.
#[derive(Debug, Default)]
pub struct Turn(#[expect(dead_code, reason = "held for its drop")] Option<turns::Served>);

/// One open session of a camera.
pub trait Stream {
    /// Moves to the next picture without decoding more than needed. May block up to the read timeout.
    ///
    /// After an error the session is over: drop it and open another.
    fn grab(&mut self) -> Result<Grab, CameraError>;

    /// Writes the grabbed picture, fitted to the size the opener was made for, into `into.pixels`, and the part of it that
    /// the camera fills into `into.view`. Leaves `tick` and `captured` alone. Does not allocate once the stream's size is
    /// known.
    fn retrieve(&mut self, into: &mut Frame) -> Result<(), CameraError>;

    /// Pictures a second by the source's own word, if it gives a believable one.
    fn rate(&self) -> Option<f64>;
}
