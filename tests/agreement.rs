//! The daemon's road and the recipe's own runner say the same of the shipped clips: two programs, one model.
#![cfg(all(feature = "opencv", feature = "ort"))]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use falld::cadence::Cadence;
use falld::camera::{Grab, opencv};
use falld::config::{Config, Provider};
use falld::frame::Frame;
use falld::model;
use serde_json::Value;
use std::path::Path;

/// Decoders, resizing and INT8 kernels differ in the last bit; a whole percent of a score does not matter, five do.
const TOLERANCE: f64 = 0.05;

fn agree(name: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = root.join("tests/data");
    let mut config = Config::default();
    config.model.path = root.join("models/bundle");
    config.model.providers = vec![Provider::Cpu];
    let mut engine = model::load(&config, 1).unwrap().engine;
    let (size, pad, rate) = (engine.spec().frame, engine.spec().pad, engine.spec().rate_hz);
    let mut stream = opencv::open_file(&data.join(format!("{name}.mp4")), size, pad, &[]).unwrap();
    let mut cadence = Cadence::new(rate);
    let mut scores = Vec::new();
    while let Grab::Picture { media } = stream.grab().unwrap() {
        let at = media.unwrap();
        let Some(tick) = cadence.admit(at) else { continue };
        let mut frame = Frame::new(size);
        stream.retrieve(&mut frame).unwrap();
        (frame.tick, frame.captured) = (tick, at);
        engine.step(&mut vec![(0, frame)], &mut || at, &mut Vec::new(), &mut |_, _| {}).unwrap();
        scores.push((at.as_secs_f64(), engine.scores(0)));
    }
    let expected: Value =
        serde_json::from_str(&std::fs::read_to_string(data.join(format!("{name}.expected.json"))).unwrap()).unwrap();
    let expected = expected["scores"].as_array().unwrap();
    assert!(expected.len() > 10, "{name}");
    for theirs in expected {
        let t = theirs["t"].as_f64().unwrap();
        let (_, ours) = scores.iter().min_by(|a, b| (a.0 - t).abs().total_cmp(&(b.0 - t).abs())).unwrap();
        let ours = ours.map_or((0.0, 0.0), |scores| (f64::from(scores.fall.least), f64::from(scores.climb.least)));
        let (fall, climb) = (theirs["fall"].as_f64().unwrap(), theirs["climb"].as_f64().unwrap());
        let apart = (ours.0 - fall).abs().max((ours.1 - climb).abs());
        assert!(apart <= TOLERANCE, "{name} at {t} s: ours {ours:?}, the recipe's ({fall}, {climb})");
    }
}

#[test]
fn the_fall_scores_as_it_did_in_the_recipe() {
    agree("fall");
}

#[test]
fn the_everyday_clip_scores_as_it_did_in_the_recipe() {
    agree("everyday");
}
