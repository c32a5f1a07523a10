//! The start-up probe: a drawn person walks through a made-up clip, and the manifest knows what the model says of it.
//!
//! A wrong file, a wrong runtime or a broken INT8 kernel is found before the first real frame: the encoder must find the
//! person where it did when the bundle was made, through all its convolutions, and the head must give the same logits.
//! The clip is drawn in whole numbers, so that every machine draws the same; `models/README.md` has the drawing.

use crate::classifier::bundle::{ProbeFacts, ProbePerson};
use crate::classifier::{ClassifierError, Spec};
use crate::config::PolicyConfig;
use crate::engine::Engine;
use crate::frame::{Frame, Moment, Size};

/// The drawing's own size; others are scaled to.
const CANVAS: (i64, i64) = (256, 192);
/// The distance of somebody who was not found: the whole picture.
const NOWHERE: f32 = 1.0;

/// How near the model came to what its manifest promises.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// Greatest difference of a logit.
    pub logits: f32,
    /// Greatest distance of a corner of the drawn person's box, and of the joints on average, in picture heights and widths.
    pub person: Option<f32>,
}

impl std::fmt::Display for Agreement {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:.4}", self.logits)?;
        self.person.map_or(Ok(()), |person| write!(out, ", its person by {person:.4}"))
    }
}

/// A stroke with round ends: from, to, radius, colour.
type Limb = ((i64, i64), (i64, i64), i64, [u8; 3]);

/// The walker at tick `t`, back to front.
fn walker(t: i64) -> [Limb; 14] {
    let (x, s) = (60 + 2 * t, ((3 * t) % 32 - 16).abs() - 8);
    let (hair, skin, shirt, sleeve, trousers, shoe) =
        ([60, 40, 30], [215, 165, 135], [40, 70, 150], [30, 55, 120], [45, 45, 50], [20, 20, 20]);
    [
        ((x - 5, 112), (x - 8 - s, 150), 6, trousers),
        ((x - 8 - s, 150), (x - 10 - s, 176), 5, trousers),
        ((x + 5, 112), (x + 8 + s, 150), 6, trousers),
        ((x + 8 + s, 150), (x + 10 + s, 176), 5, trousers),
        ((x - 10 - s, 179), (x - 16 - s, 180), 4, shoe),
        ((x + 10 + s, 179), (x + 16 + s, 180), 4, shoe),
        ((x - 13, 66), (x - 20 + s, 90), 5, sleeve),
        ((x - 20 + s, 90), (x - 20 + s, 110), 4, skin),
        ((x + 13, 66), (x + 20 + s, 90), 5, sleeve),
        ((x + 20 + s, 90), (x + 20 + s, 110), 4, skin),
        ((x, 69), (x, 107), 16, shirt),
        ((x, 56), (x, 50), 5, skin),
        ((x, 44), (x, 38), 10, skin),
        ((x - 5, 34), (x + 5, 34), 8, hair),
    ]
}

/// Draws frame `t` of the probe clip.
pub fn paint(frame: &mut Frame, size: Size, t: u64) {
    let (width, height) = (size.width as i64, size.height as i64);
    for (index, pixel) in frame.pixels.chunks_exact_mut(3).enumerate() {
        let (x, y) = (index as i64 % width * CANVAS.0 / width, index as i64 / width * CANVAS.1 / height);
        let chequer = (x / 16 + y / 16) % 2 * 8;
        let wall = (150 + y / 4 + chequer) as u8;
        let floor = [120, 90, 70].map(|value: i64| (value + chequer) as u8);
        pixel.copy_from_slice(&if y > 140 { floor } else { [wall; 3] });
    }
    let fit = |(x, y): (i64, i64)| (x * width / CANVAS.0, y * height / CANVAS.1);
    for (from, to, radius, colour) in walker(t as i64) {
        stroke(frame, (width, height), fit(from), fit(to), (radius * height / CANVAS.1).max(1), colour);
    }
}

/// Colours every pixel at most `radius` away from the line between two points.
fn stroke(frame: &mut Frame, size: (i64, i64), from: (i64, i64), to: (i64, i64), radius: i64, colour: [u8; 3]) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx * dx + dy * dy;
    let reach = |a: i64, b: i64, end: i64| (a.min(b) - radius).max(0)..(a.max(b) + radius + 1).clamp(0, end);
    for y in reach(from.1, to.1, size.1) {
        for x in reach(from.0, to.0, size.0) {
            let (px, py) = (x - from.0, y - from.1);
            let along = px * dx + py * dy;
            let inside = if along <= 0 {
                px * px + py * py <= radius * radius
            } else if along >= length {
                (x - to.0).pow(2) + (y - to.1).pow(2) <= radius * radius
            } else {
                (px * dy - py * dx).pow(2) <= radius * radius * length
            };
            if inside {
                let at = (y * size.0 + x) as usize * 3;
                frame.pixels[at..at + 3].copy_from_slice(&colour);
            }
        }
    }
}

/// Runs the probe clip through camera 0 and compares; the camera is reset after.
pub fn run(engine: &mut Engine, facts: &ProbeFacts, policy: &PolicyConfig) -> Result<Agreement, ClassifierError> {
    let size = engine.spec().frame;
    let rate = engine.spec().rate_hz;
    let classes = engine.spec().classes.len();
    let mut frames = Vec::with_capacity(1);
    let mut decisions = Vec::new();
    let mut spare = Vec::new();
    engine.reset(0, policy);
    for tick in 0..facts.ticks {
        let mut frame = spare.pop().unwrap_or_else(|| Frame::new(size));
        paint(&mut frame, size, tick);
        frame.tick = tick;
        frame.captured = Moment::from_secs_f64(tick as f64 / rate);
        let now = frame.captured;
        frames.push((0, frame));
        engine.step(&mut frames, &mut || now, &mut decisions, &mut |_, frame| spare.push(frame))?;
    }
    let answered = engine.logits().get(..classes).map_or_else(|| vec![0.0; classes], <[f32]>::to_vec);
    let person = facts.person.as_ref().map(|promised| apart(promised, engine.people(), engine.spec()));
    engine.reset(0, policy);
    let logits = answered.iter().zip(&facts.logits).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max);
    if logits > facts.tolerance {
        return Err(disagreement(&format!(
            "the probe clip gave {answered:?}, the manifest promises {:?} within {}",
            facts.logits, facts.tolerance
        )));
    }
    if let (Some(apart), Some(promised)) = (person, &facts.person)
        && apart > promised.tolerance
    {
        let said = if apart < NOWHERE { format!("found {apart:.3} of the picture away") } else { "not found".into() };
        return Err(disagreement(&format!(
            "the person drawn in the probe clip was {said}, the manifest promises them within {} of their place",
            promised.tolerance
        )));
    }
    Ok(Agreement { logits, person })
}

fn disagreement(what: &str) -> ClassifierError {
    ClassifierError::Probe(format!(
        "the model does not answer as it did when it was made: {what}. The ONNX Runtime, its execution provider or the \
         bundle is broken: run `falld doctor`, try `model.require = \"cpu\"`, or install bundle and runtime again."
    ))
}

/// Distance of the person found nearest to the promised one among `people` (f32 `[P, F]`) that are sure enough;
/// [`NOWHERE`] if none is.
fn apart(promised: &ProbePerson, people: &[f32], spec: &Spec) -> f32 {
    let joints = 3 * spec.keypoints;
    people
        .chunks_exact(spec.person_len.max(1))
        .filter(|row| row[joints + 4] >= 0.5 * promised.row[joints + 4])
        .map(|row| {
            let off = |at: usize| (row[at] - promised.row[at]).abs();
            let corner = (joints..joints + 4).map(off).fold(0.0, f32::max);
            let way = (0..spec.keypoints).map(|joint| off(3 * joint).hypot(off(3 * joint + 1))).sum::<f32>();
            corner.max(way / spec.keypoints.max(1) as f32)
        })
        .fold(NOWHERE, f32::min)
}
