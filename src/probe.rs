//! The start-up probe: a made-up clip whose logits the manifest knows.
//!
//! A wrong file, a wrong runtime or a broken INT8 kernel is found before the first real frame. The clip's formula
//! stands in `models/README.md`.

use crate::classifier::ClassifierError;
use crate::classifier::bundle::ProbeFacts;
use crate::config::PolicyConfig;
use crate::engine::Engine;
use crate::frame::{Frame, Moment, Size};

/// Writes frame `t` of the probe clip.
pub fn paint(frame: &mut Frame, size: Size, t: u64) {
    let t = t as usize;
    for (index, pixel) in frame.pixels.chunks_exact_mut(3).enumerate() {
        let (x, y) = (index % size.width, index / size.width);
        let chequer = ((x / 16 + y / 16 + t) % 2) * 64;
        for (channel, value) in pixel.iter_mut().enumerate() {
            *value = ((x * (3 + channel) + y * (5 - channel) + t * 7 + chequer) % 256) as u8;
        }
    }
}

/// Runs the probe clip through camera 0 and compares. Returns the greatest difference; the camera is reset after.
pub fn run(engine: &mut Engine, facts: &ProbeFacts, policy: &PolicyConfig) -> Result<f32, ClassifierError> {
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
    engine.reset(0, policy);
    let furthest = answered.iter().zip(&facts.logits).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max);
    if furthest > facts.tolerance {
        return Err(ClassifierError::Probe(format!(
            "the model does not answer as it did when it was made: the probe clip gave {answered:?}, the manifest \
             promises {:?} within {}. The ONNX Runtime, its execution provider or the bundle is broken: run `falld \
             doctor`, try `model.require = \"cpu\"`, or install bundle and runtime again.",
            facts.logits, facts.tolerance
        )));
    }
    Ok(furthest)
}
