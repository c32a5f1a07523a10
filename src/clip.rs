//! The clip: what the encoder said of the last 64 ticks of one camera, for the scene and for everybody followed.
//!
//! Pictures are not kept, but for the newest, which the next one is compared with: 64 of them would be 9 MB a camera.
//! No clip spans a gap: a short one is bridged by repeating the last entry, a longer one empties everything. All
//! buffers are made once; pushing and reading allocate nothing.

mod rings;

use crate::classifier::Spec;
use crate::frame::{Frame, Size, View};

pub use rings::Rings;

/// The last `capacity` rows of fixed length, zero where nothing was pushed yet.
#[derive(Debug, Clone)]
pub struct Rows {
    data: Vec<f32>,
    row: usize,
    next: usize,
}

impl Rows {
    /// `capacity` rows of `row` numbers, all zero.
    pub fn new(capacity: usize, row: usize) -> Self {
        Self { data: vec![0.0; capacity * row], row, next: 0 }
    }

    fn capacity(&self) -> usize {
        self.data.len().checked_div(self.row).unwrap_or(0)
    }

    fn advance(&mut self) -> &mut [f32] {
        let at = self.next;
        self.next = (self.next + 1) % self.capacity().max(1);
        &mut self.data[at * self.row..(at + 1) * self.row]
    }

    /// Replaces the oldest row.
    pub fn push(&mut self, values: &[f32]) {
        self.advance().copy_from_slice(values);
    }

    /// Replaces the oldest row by zeros.
    pub fn push_zero(&mut self) {
        self.advance().fill(0.0);
    }

    /// Replaces the oldest row by the newest one.
    pub fn repeat(&mut self) {
        let capacity = self.capacity();
        if capacity == 0 {
            return;
        }
        let from = (self.next + capacity - 1) % capacity;
        let to = self.next * self.row;
        self.data.copy_within(from * self.row..(from + 1) * self.row, to);
        self.next = (self.next + 1) % capacity;
    }

    /// All zero again.
    pub fn clear(&mut self) {
        self.data.fill(0.0);
        self.next = 0;
    }

    /// Becomes as `other`, which is of the same shape.
    pub fn copy_from(&mut self, other: &Self) {
        self.data.copy_from_slice(&other.data);
        self.next = other.next;
    }

    /// The row that was pushed so many pushes before the newest one.
    pub fn ago(&self, pushes: usize) -> &[f32] {
        let capacity = self.capacity().max(1);
        let at = (self.next + 2 * capacity - 1 - pushes % capacity) % capacity;
        &self.data[at * self.row..(at + 1) * self.row]
    }

    /// Copies rows of one number, oldest first, to every `stride`th place of `into`, starting at `offset`.
    pub fn read_strided(&self, into: &mut [f32], stride: usize, offset: usize) {
        let (newer, older) = self.data.split_at(self.next);
        for (to, from) in into.iter_mut().skip(offset).step_by(stride).zip(older.iter().chain(newer)) {
            *to = *from;
        }
    }

    /// Copies all rows, oldest first.
    pub fn read(&self, into: &mut [f32]) {
        let (newer, older) = self.data.split_at(self.next * self.row);
        into[..older.len()].copy_from_slice(older);
        into[older.len()..].copy_from_slice(newer);
    }
}

/// What a clip holds of everybody followed, taken out of it: how they moved up to the newest tick.
#[derive(Debug, Clone, PartialEq)]
pub struct Movements {
    /// The fitted picture's size.
    pub size: Size,
    /// Ticks a second.
    pub rate_hz: f64,
    /// Ticks held, at most the clip's.
    pub ticks: usize,
    /// Everybody followed.
    pub people: Vec<Movement>,
    /// Outlines of the places that the site marked, corners `[y, x]`, 0 to 1 of the fitted picture.
    pub places: Vec<Vec<[f32; 2]>>,
    /// The newest picture, RGB, if it was asked for.
    pub picture: Option<Box<[u8]>>,
}

/// One person's part of [`Movements`].
#[derive(Debug, Clone, PartialEq)]
pub struct Movement {
    /// f32 `[ticks, F]`, oldest first.
    rows: Vec<f32>,
    /// Whether the person was seen, for each tick.
    seen: Vec<bool>,
}

impl Movement {
    /// What `rows` (f32 `[ticks, F]`) say at those ticks that are `seen`.
    pub fn new(rows: Vec<f32>, seen: Vec<bool>) -> Self {
        Self { rows, seen }
    }

    /// The row f32 `[F]` of the last tick up to `tick` at which the person was seen, at most `patience` ticks before it.
    pub fn at(&self, tick: usize, patience: usize) -> Option<&[f32]> {
        let length = self.rows.len().checked_div(self.seen.len())?;
        let seen = (tick.saturating_sub(patience)..=tick).rev().find(|tick| self.seen.get(*tick) == Some(&true))?;
        Some(&self.rows[seen * length..][..length])
    }
}

/// How a frame follows the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuity {
    /// The first frame, or the first after a gap: the clip starts anew.
    Fresh,
    /// So many ticks were missed and bridged (0 in the steady state).
    Follows(u64),
}

impl Continuity {
    /// Ticks that were missed and bridged before the frame.
    pub fn bridged(self) -> u32 {
        match self {
            Self::Fresh => 0,
            Self::Follows(missed) => u32::try_from(missed).unwrap_or(u32::MAX),
        }
    }
}

/// One camera's clip.
#[derive(Debug)]
pub struct Clip {
    last: Option<Frame>,
    rings: Rings,
    hold_ticks: u64,
}

impl Clip {
    /// An empty clip for the model's shapes.
    pub fn new(spec: &Spec) -> Self {
        Self { last: None, rings: Rings::new(spec), hold_ticks: spec.hold_ticks as u64 }
    }

    /// The newest frame.
    pub fn last(&self) -> Option<&Frame> {
        self.last.as_ref()
    }

    /// What was said of its frames.
    pub fn rings(&self) -> &Rings {
        &self.rings
    }

    /// Which part of the newest fitted picture, which is of `size`, the camera fills.
    pub fn view(&self, size: Size) -> View {
        self.last().map_or(View::whole(size), |frame| frame.view)
    }

    /// Forgets everything but the frame's buffer, which `recycle` takes.
    pub fn clear(&mut self, recycle: impl FnOnce(Frame)) {
        if let Some(frame) = self.last.take() {
            recycle(frame);
        }
        self.rings.clear();
    }

    /// How a frame at `tick` would follow.
    pub fn continuity(&self, tick: u64) -> Continuity {
        match self.last() {
            Some(last) if tick > last.tick && tick - last.tick - 1 <= self.hold_ticks => {
                Continuity::Follows(tick - last.tick - 1)
            }
            _ => Continuity::Fresh,
        }
    }

    /// Adds a frame and what the encoder said of it: `people` is f32 `[P, F]`, `scene` f32 `[G]`.
    ///
    /// Missed ticks before it are bridged. The caller has cleared the clip if [`continuity`](Self::continuity) said
    /// so. Returns the frame before, for reuse.
    pub fn push(&mut self, frame: Frame, people: &[f32], scene: &[f32], size: Size) -> Option<Frame> {
        self.rings.push(self.continuity(frame.tick).bridged(), people, scene, size);
        self.last.replace(frame)
    }

    /// How everybody followed moved, with the newest picture if `picture` asks for it, and without places, of which a clip knows nothing.
    /// None where nobody is followed, or the model does not tell bodies.
    pub fn movements(&self, spec: &Spec, picture: bool) -> Option<Movements> {
        let (people, ticks) = self.rings.movements(spec)?;
        let picture = self.last().filter(|_| picture).map(|frame| frame.pixels.clone());
        let (size, rate_hz, places) = (spec.frame, spec.rate_hz, Vec::new());
        Some(Movements { size, rate_hz, ticks, people, places, picture })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_out_oldest_first_and_zero_before_the_start() {
        let mut rows = Rows::new(3, 2);
        let mut out = [9.0; 6];
        rows.push(&[1.0, 1.5]);
        rows.read(&mut out);
        assert_eq!(out, [0.0, 0.0, 0.0, 0.0, 1.0, 1.5]);
        for value in [2.0, 3.0, 4.0] {
            rows.push(&[value, value + 0.5]);
        }
        rows.read(&mut out);
        assert_eq!(out, [2.0, 2.5, 3.0, 3.5, 4.0, 4.5]);
        rows.repeat();
        rows.read(&mut out);
        assert_eq!(out, [3.0, 3.5, 4.0, 4.5, 4.0, 4.5]);
    }

    #[test]
    fn the_newest_rows_are_told_by_their_age() {
        let mut rows = Rows::new(3, 1);
        for value in [1.0, 2.0, 3.0, 4.0] {
            rows.push(&[value]);
            assert_eq!(rows.ago(0), [value]);
        }
        assert_eq!([0, 1, 2].map(|pushes| rows.ago(pushes)[0]), [4.0, 3.0, 2.0]);
        rows.repeat();
        assert_eq!([0, 1, 2].map(|pushes| rows.ago(pushes)[0]), [4.0, 4.0, 3.0]);
    }

    #[test]
    fn rows_of_one_number_spread_over_a_mask() {
        let mut rows = Rows::new(3, 1);
        rows.push(&[1.0]);
        rows.push(&[1.0]);
        let mut mask = [0.0; 6];
        rows.read_strided(&mut mask, 2, 1);
        assert_eq!(mask, [0.0, 0.0, 0.0, 1.0, 0.0, 1.0]);
    }
}
