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

/// One fitted picture: RGB, `height × width × 3` bytes, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The pixels, always [`Size::bytes`] long.
    pub pixels: Box<[u8]>,
    /// Place on the cadence's grid; neighbours differ by one unless a tick was missed.
    pub tick: u64,
    /// When the picture was taken, as near as the source lets us know.
    pub captured: Moment,
}

impl Frame {
    /// A black frame of the given size.
    pub fn new(size: Size) -> Self {
        Self { pixels: vec![0; size.bytes()].into_boxed_slice(), tick: 0, captured: Moment::ZERO }
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
