//! The second look: while somebody is suspected, the mirror images of the pictures are asked about as well.
//!
//! Who falls to the left falls as surely as who falls to the right, so where a picture and its mirror image say different things
//! one of them is wrong, and nobody is called. What was said before the tick that rouses suspicion holds for both looks: from that tick on
//! each goes its own way. It costs a second run of both networks, as long as it lasts.

use crate::classifier::Spec;
use crate::classifier::bundle::SecondLookFacts;
use crate::clip::Rings;
use crate::config::PolicyConfig;
use crate::frame::Size;

/// One camera's second look.
#[derive(Debug)]
pub(super) struct SecondLook {
    rings: Rings,
    on: bool,
    /// Frames since somebody was last suspected.
    quiet: u32,
}

impl SecondLook {
    pub(super) fn new(spec: &Spec) -> Self {
        Self { rings: Rings::new(spec), on: false, quiet: 0 }
    }

    /// What the second look says, while there is one.
    pub(super) fn rings(&self) -> &Rings {
        &self.rings
    }

    /// Nobody is suspected any more.
    pub(super) fn end(&mut self) {
        self.on = false;
    }

    /// Keeps the first look's `rings` as they stand before a tick, as long as nobody is suspected.
    pub(super) fn follow(&mut self, rings: &Rings) {
        if !self.on {
            self.rings.copy_from(rings);
        }
    }

    /// Whether a frame is looked at twice of which the first look says at most `score`.
    pub(super) fn doubts(&mut self, score: f32, facts: SecondLookFacts) -> bool {
        self.quiet = if score >= facts.from { 0 } else { self.quiet.saturating_add(1) };
        self.on = self.quiet == 0 || (self.on && self.quiet <= facts.frames);
        self.on
    }

    /// Adds what was said of a tick's mirror image, `people` f32 `[P, F]`, and of the scene, `scene` f32 `[G]`, as the first look says it.
    pub(super) fn push(&mut self, bridged: u32, people: &mut [f32], scene: &[f32], spec: &Spec) {
        for row in people.chunks_exact_mut(spec.person_len) {
            turn_back(row, spec.keypoints);
        }
        self.rings.push(bridged, people, scene, spec.frame);
    }
}

/// When a model's pictures are looked at twice; with a site's threshold below it, from there on: no alert comes without one.
pub(super) fn facts(spec: &Spec, policy: &PolicyConfig) -> Option<SecondLookFacts> {
    let site = [policy.fall_threshold, policy.climb_threshold];
    spec.second_look
        .map(|facts| SecondLookFacts { from: site.into_iter().flatten().fold(facts.from, f32::min), ..facts })
}

/// The mirror image of an RGB picture.
pub(super) fn mirror(picture: &[u8], size: Size, into: &mut [u8]) {
    for (from, to) in picture.chunks_exact(size.width * 3).zip(into.chunks_exact_mut(size.width * 3)) {
        for (from, to) in from.chunks_exact(3).rev().zip(to.chunks_exact_mut(3)) {
            to.copy_from_slice(from);
        }
    }
}

/// What is said of a person in a mirror image, f32 `[F]`, as if it had been said of the picture: what was left is right, in COCO's order of
/// keypoints, in which all but the nose come in pairs.
fn turn_back(row: &mut [f32], keypoints: usize) {
    let (joints, rest) = row.split_at_mut(3 * keypoints);
    for x in joints.iter_mut().skip(1).step_by(3) {
        *x = 1.0 - *x;
    }
    for pair in joints.get_mut(3..).unwrap_or_default().chunks_exact_mut(6) {
        let (left, right) = pair.split_at_mut(3);
        left.swap_with_slice(right);
    }
    if let [_, left, _, right, ..] = rest {
        (*left, *right) = (1.0 - *right, 1.0 - *left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_image_is_mirrored_pixel_by_pixel() {
        let size = Size { width: 3, height: 2 };
        let picture: Vec<u8> = (0..18).collect();
        let (mut once, mut twice) = ([0; 18], [0; 18]);
        mirror(&picture, size, &mut once);
        assert_eq!(once, [6, 7, 8, 3, 4, 5, 0, 1, 2, 15, 16, 17, 12, 13, 14, 9, 10, 11]);
        mirror(&once, size, &mut twice);
        assert_eq!(picture, twice);
    }

    #[test]
    fn what_was_left_is_right() {
        let mut row: Vec<f32> = (0..56).map(|at| at as f32 / 100.0).collect();
        let before = row.clone();
        turn_back(&mut row, 17);
        let joint = |row: &[f32], which: usize| [row[3 * which], row[3 * which + 1], row[3 * which + 2]];
        let turned = |[y, x, score]: [f32; 3]| [y, 1.0 - x, score];
        assert_eq!(joint(&row, 0), turned(joint(&before, 0)), "the nose");
        assert_eq!(joint(&row, 15), turned(joint(&before, 16)), "the left ankle");
        assert_eq!(joint(&row, 16), turned(joint(&before, 15)), "the right ankle");
        assert_eq!(row[51..], [0.51, 1.0 - 0.54, 0.53, 1.0 - 0.52, 0.55], "top, left, bottom, right, score");
    }
}
