//! One person as the encoder tells them: where the parts of their body are. Points are `[y, x]`, 0 to 1 of the fitted picture.
//!
//! A row is f32 `[F]`: `y, x, score` for each of COCO's 17 keypoints, the box as `top, left, bottom, right`, its score. Only for
//! models that tell bodies so ([`Spec::has_bodies`](crate::classifier::Spec::has_bodies)).

/// COCO's keypoints.
pub const KEYPOINTS: usize = 17;
const SHOULDERS: [usize; 2] = [5, 6];
const HIPS: [usize; 2] = [11, 12];
const KNEES: [usize; 2] = [13, 14];
/// Keypoints joined by a bone, as COCO's skeleton joins them below the head.
pub const LIMBS: [(usize, usize); 12] =
    [(5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16)];
/// A joint counts from this score on; the encoder's lying bodies seldom reach more.
const SURE: f32 = 0.1;

/// From the shoulders to the hips, the middle of each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trunk {
    /// Between the shoulders.
    pub shoulders: [f32; 2],
    /// Between the hips.
    pub hips: [f32; 2],
}

impl Trunk {
    /// Halfway between shoulders and hips.
    pub fn middle(self) -> [f32; 2] {
        [0, 1].map(|axis| (self.shoulders[axis] + self.hips[axis]) / 2.0)
    }
}

/// The trunk, if a shoulder and a hip are seen.
pub fn trunk(row: &[f32]) -> Option<Trunk> {
    let middle = |joints: [usize; 2]| {
        let seen = joints.into_iter().filter_map(|keypoint| joint(row, keypoint, SURE));
        let (y, x, count) = seen.fold((0.0, 0.0, 0.0), |(y, x, count), at| (y + at[0], x + at[1], count + 1.0));
        (count > 0.0).then(|| [y / count, x / count])
    };
    Some(Trunk { shoulders: middle(SHOULDERS)?, hips: middle(HIPS)? })
}

/// The knees that are seen.
pub fn knees(row: &[f32]) -> impl Iterator<Item = [f32; 2]> {
    KNEES.into_iter().filter_map(|keypoint| joint(row, keypoint, SURE))
}

/// The middle of the trunk; where no trunk is seen, of the box.
pub fn centre(row: &[f32]) -> [f32; 2] {
    if let Some(trunk) = trunk(row) {
        return trunk.middle();
    }
    let [top, left, bottom, right] = bounds(row);
    [(top + bottom) / 2.0, (left + right) / 2.0]
}

/// The box: top, left, bottom, right.
pub fn bounds(row: &[f32]) -> [f32; 4] {
    std::array::from_fn(|side| row[3 * KEYPOINTS + side])
}

/// How sure the encoder is that somebody is there.
pub fn score(row: &[f32]) -> f32 {
    row[3 * KEYPOINTS + 4]
}

/// A keypoint, if its score is at least `sure`.
pub fn joint(row: &[f32], keypoint: usize, sure: f32) -> Option<[f32; 2]> {
    (row[3 * keypoint + 2] >= sure).then(|| [row[3 * keypoint], row[3 * keypoint + 1]])
}
