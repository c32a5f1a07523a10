//! One person as a stick figure: COCO's 17 keypoints and a box, as the encoder says them.

use super::canvas::Canvas;
use crate::body::{self, KEYPOINTS, LIMBS};
use std::ops::Range;

/// Nose, eyes and ears.
const HEAD: Range<usize> = 0..5;
const SHOULDERS: Range<usize> = 5..7;
/// A joint is drawn from this score on; those of lying bodies seldom reach 0.1.
const SURE: f32 = 0.05;
/// Of the box's diagonal: a head's diameter and the width of a limb.
const SKULL: f32 = 0.11;
const LIMB: f32 = 0.022;
/// Pixels that a limb has at least.
const THINNEST: f32 = 3.0;

/// Draws `row` (f32 `[F]`: `y, x, score` for each keypoint, then the box) in the colour of `person`.
pub(super) fn draw(canvas: &mut Canvas, row: &[f32], person: usize, strength: f32) {
    let Some(bounds) = row.get(3 * KEYPOINTS..3 * KEYPOINTS + 4) else { return };
    let (width, height) = canvas.extent();
    let joint = |keypoint: usize| body::joint(row, keypoint, SURE).map(|[y, x]| [x * width, y * height]);
    let middle = |joints: Range<usize>| {
        let sum =
            joints.filter_map(joint).fold([0.0, 0.0, 0.0], |sum, at| [sum[0] + at[0], sum[1] + at[1], sum[2] + 1.0]);
        (sum[2] > 0.0).then(|| [sum[0] / sum[2], sum[1] / sum[2]])
    };
    let diagonal = ((bounds[2] - bounds[0]) * height).hypot((bounds[3] - bounds[1]) * width);
    let limb = (diagonal * LIMB).max(THINNEST);
    let head = middle(HEAD);
    let bones = LIMBS.iter().map(|&(from, to)| (joint(from), joint(to)));
    for bone in bones.chain([(head, middle(SHOULDERS))]) {
        if let (Some(from), Some(to)) = bone {
            canvas.stroke(from, to, limb, person, strength);
        }
    }
    if let Some(head) = head {
        canvas.stroke(head, head, (diagonal * SKULL).max(2.0 * THINNEST), person, strength);
    }
}
