//! Whether a person is upright, from their keypoints. Pure geometry, used only to end an alarm.
//!
//! Sitting and kneeling count as upright. What this cannot see: who lies with the head straight away from a high camera looks
//! upright to it.

use crate::body::{self, Trunk};
use crate::classifier::Spec;

/// How a person is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posture {
    /// The trunk is not seen.
    Unknown,
    /// The trunk is nearer to upright than to lying.
    Upright,
    /// The trunk is nearer to lying, or upside down.
    Low,
}

/// The posture of one person, f32 `[F]`, of a model that [tells bodies](Spec::has_bodies).
pub fn of(person: &[f32], spec: &Spec) -> Posture {
    match body::trunk(person) {
        None => Posture::Unknown,
        Some(trunk) if is_upright(trunk, spec.frame.aspect()) => Posture::Upright,
        Some(_) => Posture::Low,
    }
}

/// True if the trunk is within 45° of upright.
fn is_upright(Trunk { shoulders, hips }: Trunk, aspect: f32) -> bool {
    hips[0] - shoulders[0] > (hips[1] - shoulders[1]).abs() * aspect
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::classifier::Classifier;
    use crate::classifier::scripted::ScriptedClassifier;

    pub(crate) fn spec() -> Spec {
        Spec { people: 2, ..ScriptedClassifier::new().spec().clone() }
    }

    /// A person whose shoulders are at `(y, x)` and whose hips are at `(y, x)`, in a box around them.
    pub(crate) fn person(shoulders: (f32, f32), hips: (f32, f32), score: f32) -> Vec<f32> {
        let mut row = vec![0.0; 56];
        for (joints, (y, x)) in [([5, 6], shoulders), ([11, 12], hips)] {
            for joint in joints {
                row[3 * joint..3 * joint + 3].copy_from_slice(&[y, x, 0.5]);
            }
        }
        let (top, bottom) = (shoulders.0.min(hips.0), shoulders.0.max(hips.0));
        let (left, right) = (shoulders.1.min(hips.1), shoulders.1.max(hips.1));
        row[51..].copy_from_slice(&[top - 0.1, left - 0.05, bottom + 0.1, right + 0.05, score]);
        row
    }

    #[test]
    fn who_stands_is_upright_and_who_lies_is_not() {
        let stands = person((0.3, 0.5), (0.5, 0.52), 0.9);
        let lies = person((0.8, 0.3), (0.82, 0.5), 0.9);
        let upside_down = person((0.9, 0.5), (0.7, 0.5), 0.9);
        assert_eq!(of(&stands, &spec()), Posture::Upright);
        assert_eq!(of(&lies, &spec()), Posture::Low);
        assert_eq!(of(&upside_down, &spec()), Posture::Low);
    }

    #[test]
    fn a_trunk_that_is_not_seen_says_nothing() {
        let mut legs = person((0.3, 0.5), (0.5, 0.5), 0.9);
        for joint in [5, 6] {
            legs[3 * joint + 2] = 0.05;
        }
        assert_eq!(of(&legs, &spec()), Posture::Unknown);
    }
}
