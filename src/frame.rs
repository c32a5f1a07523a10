//! A picture on its way from a camera to the classifier, and the clock it is stamped with.
//!
//! A [`Frame`] owns one buffer that is reused for the life of a camera: it travels capture → slot → ring and comes
//! back. Nothing on that road allocates.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point on the daemon's monotonic clock: time since its start. In replay: time since the start of the clip.
pub type Moment = Duration;

/// The size of a fitted picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Size {
    /// Bytes of one RGB picture of this size.
    pub const fn bytes(self) -> usize {
        self.width * self.height * 3
    }

    /// Width over height.
    pub fn aspect(self) -> f32 {
        self.width as f32 / self.height as f32
    }
}

/// The part of a fitted picture that a camera fills, in pixels; the rest is padding.
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

/// One fitted picture: RGB, `height × width × 3` bytes, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The pixels, always [`Size::bytes`] long.
    pub pixels: Box<[u8]>,
    /// Place on the cadence's grid; neighbours differ by one unless a tick was missed.
    pub tick: u64,
    /// When the picture was taken, as near as the source lets us know.
    pub captured: Moment,
    /// Where the camera's own picture lies in it.
    pub view: View,
}

impl Frame {
    /// A black frame of the given size, without padding.
    pub fn new(size: Size) -> Self {
        let pixels = vec![0; size.bytes()].into_boxed_slice();
        Self { pixels, tick: 0, captured: Moment::ZERO, view: View::whole(size) }
    }
}

/// Joins the monotonic clock to wall time.
///
/// Intervals are measured on the monotonic clock alone; wall time is read only when a payload is written, so a wall
/// clock that jumps never shortens, lengthens or reorders what falld measured.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    wall: fn() -> SystemTime,
}

impl Clock {
    /// Starts the monotonic clock now.
    pub fn start() -> Self {
        Self::with_wall(SystemTime::now)
    }

    /// Starts the monotonic clock now, with another wall clock: for tests in which wall time jumps.
    pub fn with_wall(wall: fn() -> SystemTime) -> Self {
        Self { start: Instant::now(), wall }
    }

    /// A clock that was started so long ago: for tests of what takes time.
    #[cfg(test)]
    pub(crate) fn started(ago: Duration) -> Self {
        let clock = Self::start();
        Self { start: clock.start.checked_sub(ago).unwrap_or(clock.start), ..clock }
    }

    /// Time since the start.
    pub fn now(&self) -> Moment {
        self.start.elapsed()
    }

    /// The moment of an [`Instant`]; zero for one before the start.
    pub fn moment(&self, instant: Instant) -> Moment {
        instant.saturating_duration_since(self.start)
    }

    /// The wall-clock time that belongs to `moment`, by what the wall clock says now.
    pub fn wall(&self, moment: Moment) -> SystemTime {
        let now = self.now();
        let wall = (self.wall)();
        if moment <= now {
            wall.checked_sub(now - moment).unwrap_or(UNIX_EPOCH)
        } else {
            wall.checked_add(moment - now).unwrap_or(wall)
        }
    }
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
