//! Judges whether a fitted picture shows anything: frozen, dark, covered, or fine.
//!
//! Pure: pixels and time go in, a [`CameraHealth`] comes out. It looks only at what the camera sees: padding and masked
//! rectangles are left out. A state is declared when it has lasted for its configured time and withdrawn with the
//! first picture that is clearly better, so states cannot change faster than those times.

use crate::frame::{Moment, Size, View};
use crate::health::CameraHealth;
use std::time::Duration;

/// Mean luminance (of 255) below which nobody can be seen. A lit room is above 60, a room by infrared light above 30,
/// a sensor in the dark with its black level and noise at 2 to 8.
const DARK: f32 = 12.0;

/// Standard deviation of luminance below which a picture is featureless. A hand, a cloth or a sticker on the lens
/// gives a blur of 2 to 6; a bare wall with its shading is above 10, a room above 25.
const FLAT: f32 = 8.0;

/// Share of neighbouring samples that differ by more than [`EDGE`] below which there are no edges. A covered lens has
/// none but noise; the emptiest room has door and skirting board: 1 % or more.
const EDGELESS: f32 = 0.004;

/// Difference of luminance that counts as an edge: above a cheap sensor's noise.
const EDGE: u8 = 16;

/// To be well again, a picture must be better than the limits by this factor: no flutter at the edge.
const CLEARLY: f32 = 1.25;

/// Every so many pixels in both directions are sampled: 3072 of a 256×192 picture, 10 µs.
const STEP: usize = 4;

/// Watches one camera's pictures.
#[derive(Debug)]
pub struct Judge {
    size: Size,
    frozen_after: Duration,
    blind_after: Duration,
    mask: Vec<[f32; 4]>,
    view: Option<View>,
    /// Byte offsets of the sampled pixels; the pixel to the right of each is sampled as well.
    samples: Vec<usize>,
    previous: Box<[u8]>,
    /// Since when the picture has been the same.
    same_since: Option<Moment>,
    /// What the pictures look like without a break, and since when.
    suspect: Option<(CameraHealth, Moment)>,
    now: CameraHealth,
}

impl Judge {
    /// A judge of pictures of `size`; `mask` as in the camera's configuration.
    pub fn new(size: Size, mask: &[[f32; 4]], frozen_after: Duration, blind_after: Duration) -> Self {
        Self {
            size,
            frozen_after,
            blind_after,
            mask: mask.to_vec(),
            view: None,
            samples: Vec::with_capacity(size.width.div_ceil(STEP) * size.height.div_ceil(STEP)),
            previous: vec![0; size.bytes()].into_boxed_slice(),
            same_since: None,
            suspect: None,
            now: CameraHealth::Ok,
        }
    }

    /// Judges one picture: `pixels` fitted, of which `view` is the camera's own part, taken at `at`.
    ///
    /// Does not allocate.
    pub fn look(&mut self, pixels: &[u8], view: View, at: Moment) -> CameraHealth {
        if self.view != Some(view) {
            self.view = Some(view);
            self.place_samples(view);
            self.same_since = None;
        }
        let frozen = self.frozen(pixels, at);
        let looks = match self.looks(pixels) {
            // A shutter, or a sensor clamped at black: the same for ever, and nothing that opening it anew mends.
            CameraHealth::Dark => CameraHealth::Dark,
            // Light that is covered has a sensor's noise; the same grey for ever is a decoder without its key frame.
            _ if frozen => CameraHealth::Frozen,
            other => other,
        };
        let declared = match looks {
            CameraHealth::Dark | CameraHealth::Covered => {
                let since = match self.suspect {
                    // Dark and covered are one suspicion: a hand over the lens may be both by turns.
                    Some((_, since)) => since,
                    None => at,
                };
                self.suspect = Some((looks, since));
                at.saturating_sub(since) >= self.blind_after
            }
            other => {
                self.suspect = None;
                other == CameraHealth::Frozen
            }
        };
        self.now = if declared { looks } else { CameraHealth::Ok };
        self.now
    }

    /// A new session of the camera begins. The time between two sessions does not count towards any state; a state
    /// that was declared holds until a picture shows otherwise.
    pub fn restart(&mut self) {
        if self.now == CameraHealth::Ok {
            self.same_since = None;
            self.suspect = None;
        }
    }

    /// True if the picture has been the same for long enough. A memory comparison with the last picture costs 5 µs
    /// and has no false alarms; a real sensor's noise differs in every frame.
    fn frozen(&mut self, pixels: &[u8], at: Moment) -> bool {
        match self.same_since {
            Some(since) if *pixels == *self.previous => at.saturating_sub(since) >= self.frozen_after,
            _ => {
                self.previous.copy_from_slice(pixels);
                self.same_since = Some(at);
                false
            }
        }
    }

    fn looks(&self, pixels: &[u8]) -> CameraHealth {
        if self.samples.is_empty() {
            return CameraHealth::Ok;
        }
        let (mut sum, mut squares, mut edges) = (0_u64, 0_u64, 0_u32);
        for &sample in &self.samples {
            let here = luminance(&pixels[sample..sample + 3]);
            let right = luminance(&pixels[sample + 3..sample + 6]);
            sum += u64::from(here);
            squares += u64::from(here) * u64::from(here);
            edges += u32::from(here.abs_diff(right) > EDGE);
        }
        let count = self.samples.len() as f32;
        let mean = sum as f32 / count;
        let deviation = (squares as f32 / count - mean * mean).max(0.0).sqrt();
        let edges = edges as f32 / count;
        let blind = matches!(self.now, CameraHealth::Dark | CameraHealth::Covered);
        let limit = if blind { CLEARLY } else { 1.0 };
        if mean < DARK * limit {
            CameraHealth::Dark
        } else if deviation < FLAT * limit && edges < EDGELESS * limit {
            CameraHealth::Covered
        } else {
            CameraHealth::Ok
        }
    }

    fn place_samples(&mut self, view: View) {
        self.samples.clear();
        let right = (view.left + view.width).min(self.size.width).saturating_sub(1);
        let bottom = (view.top + view.height).min(self.size.height);
        for y in (view.top..bottom).step_by(STEP) {
            for x in (view.left..right).step_by(STEP) {
                // A sample and its right neighbour must both be the camera's own.
                if !self.masked(view, x, y) && !self.masked(view, x + 1, y) {
                    self.samples.push((y * self.size.width + x) * 3);
                }
            }
        }
    }

    fn masked(&self, view: View, x: usize, y: usize) -> bool {
        // A pixel of margin: shrinking blends the mask's border into the picture.
        let (dx, dy) = (1.5 / view.width as f32, 1.5 / view.height as f32);
        let fx = ((x - view.left) as f32 + 0.5) / view.width as f32;
        let fy = ((y - view.top) as f32 + 0.5) / view.height as f32;
        self.mask
            .iter()
            .any(|&[left, top, right, bottom]| fx > left - dx && fx < right + dx && fy > top - dy && fy < bottom + dy)
    }
}

/// Near enough to BT.601 for a threshold, without multiplications.
fn luminance(rgb: &[u8]) -> u8 {
    ((u16::from(rgb[0]) + 2 * u16::from(rgb[1]) + u16::from(rgb[2])) / 4) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use CameraHealth::{Covered, Dark, Frozen, Ok};

    const SIZE: Size = Size { width: 64, height: 48 };
    const WHOLE: View = View { left: 0, top: 0, width: 64, height: 48 };

    fn judge() -> Judge {
        Judge::new(SIZE, &[], Duration::from_secs(30), Duration::from_secs(5))
    }

    fn second(n: f64) -> Moment {
        Moment::from_secs_f64(n)
    }

    /// A room: a bright half, a dark half, and noise that differs from `n` to `n`.
    fn room(n: u8) -> Vec<u8> {
        let pixel = |i: usize| if i / 3 % 64 < 30 { 180 } else { 70 } + (i as u8).wrapping_mul(n) % 8;
        (0..SIZE.bytes()).map(pixel).collect()
    }

    fn flat(level: u8, n: u8) -> Vec<u8> {
        (0..SIZE.bytes()).map(|i| level + (i as u8).wrapping_mul(n) % 4).collect()
    }

    #[test]
    fn a_room_is_fine_for_hours() {
        let mut judge = judge();
        for n in 0..7200 {
            assert_eq!(judge.look(&room((n % 7) as u8 + 1), WHOLE, second(f64::from(n) / 2.0)), Ok);
        }
    }

    #[test]
    fn the_same_picture_for_half_a_minute_is_frozen_and_the_next_one_thaws_it() {
        let mut judge = judge();
        for n in 0..30 {
            assert_eq!(judge.look(&room(1), WHOLE, second(n.into())), Ok, "second {n}");
        }
        assert_eq!(judge.look(&room(1), WHOLE, second(30.0)), Frozen);
        assert_eq!(judge.look(&room(1), WHOLE, second(300.0)), Frozen);
        assert_eq!(judge.look(&room(2), WHOLE, second(301.0)), Ok);
    }

    #[test]
    fn a_shutter_whose_black_never_changes_is_dark_and_not_frozen() {
        let mut judge = judge();
        for n in 0..300_u16 {
            let expected = if n < 5 { Ok } else { Dark };
            assert_eq!(judge.look(&flat(0, 0), WHOLE, second(n.into())), expected, "second {n}");
        }
        assert_eq!(judge.look(&room(1), WHOLE, second(300.0)), Ok);
    }

    #[test]
    fn a_grey_that_never_changes_is_a_stream_to_open_anew() {
        let mut judge = judge();
        for n in 0..60_u8 {
            let expected = match n {
                0..5 => Ok,
                5..30 => Covered,
                _ => Frozen,
            };
            assert_eq!(judge.look(&flat(128, 0), WHOLE, second(n.into())), expected, "second {n}");
        }
    }

    #[test]
    fn a_frozen_picture_at_the_limit_of_darkness_does_not_flutter() {
        let mut judge = judge();
        // A mean of 13, with a room's edges.
        let dim: Vec<u8> = (0..SIZE.bytes()).map(|i| if i / 3 % 64 < 30 { 25 } else { 3 }).collect();
        for n in 0..120_u8 {
            let expected = if n < 30 { Ok } else { Frozen };
            assert_eq!(judge.look(&dim, WHOLE, second(n.into())), expected, "second {n}");
        }
    }

    #[test]
    fn a_dark_room_and_a_hand_on_the_lens_are_told_apart_after_five_seconds() {
        for (level, expected) in [(3, Dark), (90, Covered), (250, Covered)] {
            let mut judge = judge();
            for n in 0..5 {
                assert_eq!(judge.look(&flat(level, n + 1), WHOLE, second(n.into())), Ok, "level {level}, second {n}");
            }
            assert_eq!(judge.look(&flat(level, 9), WHOLE, second(5.0)), expected, "level {level}");
            assert_eq!(judge.look(&room(1), WHOLE, second(6.0)), Ok);
        }
    }

    #[test]
    fn a_flicker_of_the_light_is_nothing() {
        let mut judge = judge();
        for n in 0..100_u8 {
            let picture = if n.is_multiple_of(4) { room(n + 1) } else { flat(2, n + 1) };
            assert_eq!(judge.look(&picture, WHOLE, second(n.into())), Ok);
        }
    }

    #[test]
    fn a_night_that_hovers_at_the_limit_does_not_flutter() {
        let mut judge = judge();
        let mut changes = 0;
        let mut last = Ok;
        for n in 0..200_u8 {
            let now = judge.look(&flat(9 + n % 3, n % 5 + 1), WHOLE, second(f64::from(n) / 2.0));
            changes += u32::from(now != last);
            last = now;
        }
        assert_eq!((last, changes), (Dark, 1));
    }

    #[test]
    fn a_new_session_starts_afresh_unless_a_state_was_declared() {
        let mut judge = judge();
        judge.look(&flat(3, 1), WHOLE, second(0.0));
        judge.restart();
        assert_eq!(judge.look(&flat(3, 2), WHOLE, second(60.0)), Ok);
        assert_eq!(judge.look(&flat(3, 3), WHOLE, second(65.0)), Dark);
        judge.restart();
        assert_eq!(judge.look(&flat(3, 4), WHOLE, second(90.0)), Dark);

        judge.look(&room(1), WHOLE, second(91.0));
        judge.restart();
        assert_eq!(judge.look(&room(1), WHOLE, second(300.0)), Ok);
        assert_eq!(judge.look(&room(1), WHOLE, second(330.0)), Frozen);
        judge.restart();
        assert_eq!(judge.look(&room(1), WHOLE, second(400.0)), Frozen);
        assert_eq!(judge.look(&room(2), WHOLE, second(401.0)), Ok);
    }

    #[test]
    fn padding_and_masks_do_not_hide_a_covered_lens() {
        let mut judge = Judge::new(SIZE, &[[0.0, 0.0, 0.5, 1.0]], Duration::from_secs(30), Duration::from_secs(5));
        let view = View { left: 0, top: 8, width: 64, height: 32 };
        let picture = |n: u8| -> Vec<u8> {
            (0..SIZE.bytes())
                .map(|i| {
                    let (x, y) = (i / 3 % 64, i / 3 / 64);
                    let seen = (8..40).contains(&y) && x >= 32;
                    if seen { 100 + (i as u8).wrapping_mul(n) % 4 } else { 0 }
                })
                .collect()
        };
        for n in 0..5 {
            judge.look(&picture(n + 1), view, second(n.into()));
        }
        assert_eq!(judge.look(&picture(9), view, second(5.0)), Covered);
    }
}
