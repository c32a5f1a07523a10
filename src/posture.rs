//! Whether the people in a picture are upright, from their keypoints. Pure geometry, used only to end an alarm.
//!
//! A fall leaves the clip after four seconds, and the fall score sinks, whether the person got up or lies still. So a
//! low score alone ends no alarm: somebody must be seen upright, and nobody low. Sitting and kneeling count as upright.
//! What this cannot see: who lies with the head straight away from a high camera looks upright to it.

use crate::body::{self, Trunk};
use crate::classifier::Spec;

/// What is seen of the people in one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posture {
    /// Nobody whose trunk is seen.
    Nobody,
    /// Everybody's trunk is nearer to upright than to lying.
    Upright,
    /// Somebody's trunk is nearer to lying, or upside down.
    Low,
}

/// The posture of one picture's people, f32 `[P, F]`; those whom `rests` names may be low. `None` if the model does not tell
/// COCO's keypoints.
pub fn of(people: &[f32], spec: &Spec, rests: impl Fn(&[f32]) -> bool) -> Option<Posture> {
    if !spec.has_bodies() {
        return None;
    }
    let mut posture = Posture::Nobody;
    for row in people.chunks_exact(spec.person_len) {
        if body::score(row) < spec.tracker.min_score {
            continue;
        }
        match body::trunk(row).map(|trunk| is_upright(trunk, spec.frame.aspect())) {
            Some(true) if posture == Posture::Nobody => posture = Posture::Upright,
            Some(false) if !rests(row) => posture = Posture::Low,
            _ => {}
        }
    }
    Some(posture)
}

/// True if the trunk is within 45° of upright.
fn is_upright(Trunk { shoulders, hips }: Trunk, aspect: f32) -> bool {
    hips[0] - shoulders[0] > (hips[1] - shoulders[1]).abs() * aspect
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::Classifier;
    use crate::classifier::scripted::ScriptedClassifier;

    fn spec() -> Spec {
        Spec { people: 2, ..ScriptedClassifier::new().spec().clone() }
    }

    /// A person whose shoulders are at `(y, x)` and whose hips are at `(y, x)`.
    fn person(shoulders: (f32, f32), hips: (f32, f32), score: f32) -> Vec<f32> {
        let mut row = vec![0.0; 56];
        for (joints, (y, x)) in [([5, 6], shoulders), ([11, 12], hips)] {
            for joint in joints {
                row[3 * joint..3 * joint + 3].copy_from_slice(&[y, x, 0.5]);
            }
        }
        row[55] = score;
        row
    }

    fn posture(people: &[Vec<f32>]) -> Option<Posture> {
        of(&people.concat(), &spec(), |_| false)
    }

    #[test]
    fn who_stands_is_upright_and_who_lies_is_not() {
        let nobody = person((0.0, 0.0), (0.0, 0.0), 0.0);
        let stands = person((0.3, 0.5), (0.5, 0.52), 0.9);
        let lies = person((0.8, 0.3), (0.82, 0.5), 0.9);
        let upside_down = person((0.9, 0.5), (0.7, 0.5), 0.9);
        assert_eq!(posture(&[nobody.clone(), nobody.clone()]), Some(Posture::Nobody));
        assert_eq!(posture(&[stands.clone(), nobody.clone()]), Some(Posture::Upright));
        assert_eq!(posture(&[lies.clone(), nobody.clone()]), Some(Posture::Low));
        assert_eq!(posture(&[upside_down, nobody]), Some(Posture::Low));
        assert_eq!(posture(&[stands.clone(), lies.clone()]), Some(Posture::Low), "a carer beside the fallen");
        assert_eq!(posture(&[lies, stands]), Some(Posture::Low));
    }

    #[test]
    fn a_trunk_that_is_not_seen_says_nothing() {
        let mut legs = person((0.3, 0.5), (0.5, 0.5), 0.9);
        for joint in [5, 6] {
            legs[3 * joint + 2] = 0.05;
        }
        assert_eq!(posture(&[legs]), Some(Posture::Nobody));
    }

    #[test]
    fn who_rests_may_be_low_and_who_sits_up_in_bed_is_upright() {
        let (stands, lies) = (person((0.3, 0.5), (0.5, 0.52), 0.9), person((0.8, 0.3), (0.82, 0.5), 0.9));
        assert_eq!(of(&[stands.clone(), lies.clone()].concat(), &spec(), |row| row == lies), Some(Posture::Upright));
        assert_eq!(of(&[lies.clone(), lies].concat(), &spec(), |_| true), Some(Posture::Nobody));
        assert_eq!(of(&[stands.clone(), stands].concat(), &spec(), |_| true), Some(Posture::Upright));
    }

    #[test]
    fn a_model_without_keypoints_says_nothing() {
        assert_eq!(of(&[], ScriptedClassifier::new().spec(), |_| false), None);
    }
}
