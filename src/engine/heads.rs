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

/// What the rows of one camera say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    /// The greatest of each.
    pub(super) greatest: Judged,
    /// Whose fall score that is, if anybody's.
    pub(super) faller: Option<u64>,
}

/// What the rows of `rings`, from `first` on, say.
pub(super) fn said(rows: &Scoring, first: usize, rings: &Rings, zones: &Zones, spec: &Spec, view: View) -> Said {
    let mut said = Said { greatest: Judged { fall: 0.0, climb: 0.0, places: 0 }, faller: None };
    let greatest = &mut said.greatest;
    for (logits, person) in rows.logits.chunks_exact(spec.classes.len()).skip(first).zip(rings.newest()) {
        let judged = zones.judge(shares(logits, spec), person.map(|person| (person.row, person.ago)), spec, view);
        if judged.fall > greatest.fall {
            (greatest.fall, said.faller) = (judged.fall, person.map(|person| person.id));
        }
        greatest.climb = greatest.climb.max(judged.climb);
        greatest.places |= judged.places;
    }
    said
}

/// Softmax of one row: p(fall) + p(fallen), and p(climb).
fn shares(logits: &[f32], spec: &Spec) -> (f32, f32) {
    let top = logits.iter().copied().fold(f32::MIN, f32::max);
    let share = |logit: f32| ((logit - top) / spec.temperature).exp();
    let sum = logits.iter().copied().map(share).sum::<f32>();
    let of = |name: &str| spec.class(name).map_or(0.0, |class| share(logits[class]) / sum);
    (of("fall") + of("fallen"), of("climb"))
}
