//! Runs the daemon's own stages over a clip, in media time: camera, cadence, engine.
//!
//! Deterministic: the same clip, bundle and configuration give the same alerts at the same times, however fast the
//! machine is. No frame is dropped for lateness, because nothing here is late.

use crate::cadence::Cadence;
use crate::camera::{CameraError, Grab, Stream};
use crate::classifier::ClassifierError;
use crate::config::PolicyConfig;
use crate::engine::{Decision, Engine};
use crate::frame::{Frame, Moment};
use std::time::Instant;

/// What a clip gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Every event that the policy decided, in order.
    pub decisions: Vec<Decision>,
    /// Pictures in the clip.
    pub pictures: u64,
    /// Pictures that the cadence kept and the model judged.
    pub judged: u64,
    /// Media time of the last picture.
    pub length: Moment,
    /// The highest fall and climb score of the clip, and when.
    pub peak_fall: (f32, Moment),
    /// As `peak_fall`, for climbing.
    pub peak_climb: (f32, Moment),
    /// Why the clip ended early, if it did.
    pub broken: Option<String>,
}

/// Runs one clip through camera 0 of `engine`, from a cleared state to the end of `stream`.
///
/// With `realtime`, pictures come no faster than their media time. `judged` is called after each judged picture with
/// what was decided there.
pub fn run(
    stream: &mut dyn Stream,
    engine: &mut Engine,
    policy: &PolicyConfig,
    realtime: bool,
    mut judged: impl FnMut(&Engine, &[Decision]),
) -> Result<Outcome, ClassifierError> {
    engine.reset(0, policy);
    let start = Instant::now();
    let mut cadence = Cadence::new(engine.spec().rate_hz);
    let rate = stream.rate().unwrap_or(engine.spec().rate_hz);
    let mut spare: Vec<Frame> = Vec::new();
    let mut batch = Vec::with_capacity(1);
    let mut outcome = Outcome {
        decisions: Vec::new(),
        pictures: 0,
        judged: 0,
        length: Moment::ZERO,
        peak_fall: (0.0, Moment::ZERO),
        peak_climb: (0.0, Moment::ZERO),
        broken: None,
    };
    loop {
        let media = match stream.grab() {
            Ok(Grab::Picture { media }) => media,
            Ok(Grab::End) => break,
            Err(error) => {
                outcome.broken = Some(error.to_string());
                break;
            }
        };
        let at = media.unwrap_or_else(|| Moment::from_secs_f64(outcome.pictures as f64 / rate));
        outcome.pictures += 1;
        outcome.length = at;
        if realtime && let Some(wait) = at.checked_sub(start.elapsed()) {
            std::thread::sleep(wait);
        }
        let Some(tick) = cadence.admit(at) else { continue };
        let mut frame = spare.pop().unwrap_or_else(|| Frame::new(engine.spec().frame));
        match stream.retrieve(&mut frame) {
            Ok(()) => {}
            Err(error @ CameraError::Changed(_)) => {
                outcome.broken = Some(error.to_string());
                break;
            }
            // One picture that cannot be decoded is a missed tick, as it is for a live camera.
            Err(_) => {
                spare.push(frame);
                continue;
            }
        }
        let told = outcome.decisions.len();
        frame.tick = tick;
        frame.captured = at;
        batch.push((0, frame));
        engine.step(&mut batch, &mut || at, &mut outcome.decisions, &mut |_, frame| spare.push(frame))?;
        outcome.judged += 1;
        if let Some(scores) = engine.scores(0) {
            if scores.fall.least > outcome.peak_fall.0 {
                outcome.peak_fall = (scores.fall.least, at);
            }
            if scores.climb.least > outcome.peak_climb.0 {
                outcome.peak_climb = (scores.climb.least, at);
            }
        }
        if let Some(transition) = engine.tick(0, at) {
            outcome.decisions.push(Decision { camera: 0, transition, captured: at, scored: at, decided: at });
        }
        judged(engine, &outcome.decisions[told..]);
    }
    Ok(outcome)
}
