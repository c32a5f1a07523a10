//! What the head says of rings, as scores.

use crate::classifier::{Classifier, ClassifierError, Scoring, Spec};
use crate::clip::Rings;
use crate::frame::View;
use crate::zone::{Judged, Zones};

/// Asks the head about `rows`, if there are any.
pub(super) fn score(classifier: &mut dyn Classifier, rows: &mut Scoring, spec: &Spec) -> Result<(), ClassifierError> {
    if rows.len == 0 {
        return Ok(());
    }
    classifier.score(rows)?;
    if rows.logits[..rows.len * spec.classes.len()].iter().any(|logit| !logit.is_finite()) {
        return Err(ClassifierError::Inference("the head answered with numbers that are not finite".into()));
    }
    Ok(())
}

/// The greatest of what the rows of `rings`, from `first` on, say.
pub(super) fn greatest(rows: &Scoring, first: usize, rings: &Rings, zones: &Zones, spec: &Spec, view: View) -> Judged {
    let mut greatest = Judged { fall: 0.0, climb: 0.0, places: 0 };
    for (logits, person) in rows.logits.chunks_exact(spec.classes.len()).skip(first).zip(rings.newest()) {
        let judged = zones.judge(shares(logits, spec), person, spec, view);
        greatest.fall = greatest.fall.max(judged.fall);
        greatest.climb = greatest.climb.max(judged.climb);
        greatest.places |= judged.places;
    }
    greatest
}

/// Softmax of one row: p(fall) + p(fallen), and p(climb).
fn shares(logits: &[f32], spec: &Spec) -> (f32, f32) {
    let top = logits.iter().copied().fold(f32::MIN, f32::max);
    let share = |logit: f32| ((logit - top) / spec.temperature).exp();
    let sum = logits.iter().copied().map(share).sum::<f32>();
    let of = |name: &str| spec.class(name).map_or(0.0, |class| share(logits[class]) / sum);
    (of("fall") + of("fallen"), of("climb"))
}
