//! The engine by hand: ticks in, decisions out.

use super::*;
use crate::classifier::scripted::ScriptedClassifier;
use crate::event::EventType;

/// Feeds ticks whose first pixel says the fall score, and collects what was decided.
struct Camera {
    engine: Engine,
    decisions: Vec<Decision>,
    recycled: usize,
}

impl Camera {
    fn new() -> Self {
        let engine = Engine::new(Box::new(ScriptedClassifier::new()), 1, 1, &PolicyConfig::default());
        Self { engine, decisions: Vec::new(), recycled: 0 }
    }

    fn feed(&mut self, tick: u64, fall: f32) -> Result<(), ClassifierError> {
        let mut frame = Frame::new(self.engine.spec().frame);
        frame.pixels[0] = (fall * 255.0) as u8;
        frame.tick = tick;
        frame.captured = Moment::from_millis(tick * 1000 / 15);
        let now = frame.captured;
        let recycled = &mut self.recycled;
        let mut frames = vec![(0, frame)];
        self.engine.step(&mut frames, &mut || now, &mut self.decisions, &mut |_, _| *recycled += 1)
    }

    fn events(&self) -> Vec<EventType> {
        self.decisions.iter().map(|decision| decision.transition.event).collect()
    }
}

#[test]
fn somebody_falls_and_one_alert_is_raised() {
    let mut camera = Camera::new();
    for tick in 0..40 {
        camera.feed(tick, if tick < 20 { 0.0 } else { 0.9 }).unwrap();
    }
    assert_eq!(camera.events(), [EventType::Fall]);
    assert_eq!(camera.decisions[0].captured, Moment::from_millis(22 * 1000 / 15), "the third of three hits");
}

#[test]
fn a_slow_camera_is_told_of_as_soon_as_a_fast_one() {
    let mut camera = Camera::new();
    for tick in (0..40).step_by(2) {
        camera.feed(tick, if tick < 20 { 0.0 } else { 0.9 }).unwrap();
    }
    assert_eq!(camera.events(), [EventType::Fall]);
    assert_eq!(camera.decisions[0].captured, Moment::from_millis(22 * 1000 / 15), "two pictures, three ticks");
}

#[test]
fn one_bad_frame_is_forgiven() {
    let mut camera = Camera::new();
    for tick in 0..40 {
        camera.feed(tick, if tick == 20 { 0.99 } else { 0.0 }).unwrap();
    }
    assert_eq!(camera.events(), []);
}

#[test]
fn a_short_stutter_is_bridged_and_a_gap_empties_the_clip() {
    let mut camera = Camera::new();
    camera.feed(0, 0.0).unwrap();
    camera.feed(3, 0.0).unwrap();
    assert!(camera.engine.scores(0).is_some(), "two missed ticks were bridged");
    camera.feed(10, 0.0).unwrap();
    assert!(camera.engine.scores(0).is_none(), "six were not: the clip starts anew with one tick");
    assert_eq!(camera.recycled, 2, "the frames of the old clip came back");
}

#[test]
fn an_empty_room_is_scored_without_the_head() {
    let mut classifier = ScriptedClassifier::new();
    classifier.spec.scene_row = false;
    let mut camera = Camera::new();
    camera.engine = Engine::new(Box::new(classifier), 1, 1, &PolicyConfig::default());
    camera.feed(0, 0.9).unwrap();
    assert!(camera.engine.scores(0).is_none(), "one tick is not enough to score");
    camera.feed(1, 0.9).unwrap();
    let scores = camera.engine.scores(0).unwrap();
    assert_eq!((scores.fall, scores.climb, camera.engine.logits().len()), (0.0, 0.0, 0));
}

#[test]
fn a_disarmed_camera_is_watched_and_decides_nothing() {
    let mut camera = Camera::new();
    camera.engine.arm(0, false);
    for tick in 0..30 {
        camera.feed(tick, 0.9).unwrap();
    }
    assert_eq!(camera.events(), []);
    assert!(camera.engine.scores(0).is_some_and(|scores| scores.fall > 0.8));
}

#[test]
fn a_danger_that_began_while_disarmed_is_told_when_armed() {
    let mut camera = Camera::new();
    camera.engine.arm(0, false);
    for tick in 0..30 {
        camera.feed(tick, 0.9).unwrap();
    }
    camera.engine.arm(0, true);
    for tick in 30..60 {
        camera.feed(tick, if tick == 30 { 0.9 } else { 0.8 }).unwrap();
        camera.engine.arm(0, true);
    }
    assert_eq!(camera.events(), [EventType::Fall], "once, however often it is armed");
    assert!(camera.decisions[0].transition.first);
}

#[test]
fn a_failed_inference_changes_no_clip() {
    let mut classifier = ScriptedClassifier::new();
    classifier.failures = 1;
    let mut camera = Camera::new();
    camera.engine = Engine::new(Box::new(classifier), 1, 1, &PolicyConfig::default());
    assert!(camera.feed(0, 0.9).is_err());
    assert_eq!(camera.recycled, 1);
    camera.feed(1, 0.9).unwrap();
    assert!(camera.engine.scores(0).is_none(), "one tick is not enough to score");
}

#[test]
fn the_batch_follows_from_the_memory_budget() {
    let spec = ScriptedClassifier::new().spec().clone();
    assert_eq!(batch_size(&spec, 8, 3), 3, "three pictures of one mebibyte");
    assert_eq!(batch_size(&spec, 8, 256), 8, "no more than cameras");
    assert_eq!(batch_size(&spec, 8, 0), 1, "never none");
}
