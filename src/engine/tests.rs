//! The engine by hand: ticks in, decisions out.

use super::*;
use crate::classifier::scripted::ScriptedClassifier;
use crate::config::CameraConfig;
use crate::event::EventType;
use crate::frame::{Size, View};
use crate::posture::tests::person;
use std::sync::{Arc, Mutex};

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
        self.feed_in(View::whole(self.engine.spec().frame), tick, fall)
    }

    /// As `feed`, where the camera's own picture fills `view` alone.
    fn feed_in(&mut self, view: View, tick: u64, fall: f32) -> Result<(), ClassifierError> {
        let mut frame = Frame::new(self.engine.spec().frame);
        frame.view = view;
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
    assert_eq!((scores.fall, scores.climb, camera.engine.logits().len()), (0.0.into(), 0.0.into(), 0));
}

#[test]
fn a_disarmed_camera_is_watched_and_decides_nothing() {
    let mut camera = Camera::new();
    camera.engine.arm(0, false);
    for tick in 0..30 {
        camera.feed(tick, 0.9).unwrap();
    }
    assert_eq!(camera.events(), []);
    assert!(camera.engine.scores(0).is_some_and(|scores| scores.fall.least > 0.8));
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

/// A camera that sees one person, upright, with trunk and knees in the upper left quarter of its picture, and that quarter marked as
/// `rest` or `climb`.
fn marked(kind: &str) -> Camera {
    let mut row = vec![0.0; 56];
    for (joint, y) in [(5, 0.22), (6, 0.22), (11, 0.3), (12, 0.3), (13, 0.38), (14, 0.38)] {
        row[3 * joint..3 * joint + 3].copy_from_slice(&[y, 0.3, 0.5]);
    }
    row[51..56].copy_from_slice(&[0.2, 0.2, 0.4, 0.4, 0.9]);
    let mut classifier = ScriptedClassifier::new();
    classifier.spec.people = 1;
    classifier.spec.scene_row = false;
    classifier.people = row;
    let mut camera = Camera::new();
    camera.engine = Engine::new(Box::new(classifier), 1, 1, &PolicyConfig::default());
    let quarter = [("quarter".to_owned(), vec![[0.0, 0.0], [0.5, 0.0], [0.5, 0.5], [0.0, 0.5]])].into();
    let config = match kind {
        "rest" => CameraConfig { rest: quarter, ..CameraConfig::default() },
        _ => CameraConfig { climb: quarter, ..CameraConfig::default() },
    };
    camera.engine.mark(0, Zones::new(&config)).unwrap();
    camera
}

#[test]
fn nobody_falls_where_people_rest() {
    let mut camera = marked("rest");
    for tick in 0..40 {
        camera.feed(tick, 0.9).unwrap();
    }
    assert_eq!(camera.events(), []);
    assert_eq!(camera.engine.scores(0).map(|scores| scores.fall.least), Some(0.0));
    let elsewhere = View { left: 0, top: 0, width: 4, height: 4 };
    for tick in 40..60 {
        camera.feed_in(elsewhere, tick, 0.9).unwrap();
    }
    assert_eq!(camera.events(), [EventType::Fall], "the same person, in a picture of which the bed is another part");
}

#[test]
fn an_alerts_figures_stand_between_the_marked_places() {
    let mut camera = marked("rest");
    camera.feed(0, 0.0).unwrap();
    let places = |camera: &Camera| camera.engine.movements(0, false).unwrap().places;
    assert_eq!(places(&camera), [[[0.0, 0.0], [0.0, 0.5], [0.5, 0.5], [0.5, 0.0]]]);
    // Eight by eight pictures, of which the camera fills the lower half.
    camera.feed_in(View { left: 0, top: 4, width: 8, height: 4 }, 1, 0.0).unwrap();
    assert_eq!(places(&camera), [[[0.5, 0.0], [0.5, 0.5], [0.75, 0.5], [0.75, 0.0]]]);
}

#[test]
fn who_is_where_only_climbers_are_climbs_whatever_the_model_says() {
    let mut camera = marked("climb");
    camera.feed(0, 0.0).unwrap();
    camera.feed(1, 0.0).unwrap();
    assert_eq!(camera.events(), [], "one bad picture is forgiven here too");
    for tick in 2..10 {
        camera.feed(tick, 0.0).unwrap();
    }
    assert_eq!(camera.events(), [EventType::Climb]);
    let transition = camera.decisions[0].transition;
    assert_eq!((transition.score, camera.engine.place(0, transition.place)), (1.0, Some("quarter")));
}

#[test]
fn a_model_without_bodies_refuses_marked_places() {
    let mut camera = Camera::new();
    let config = CameraConfig { rest: [("bed".to_owned(), Vec::new())].into(), ..CameraConfig::default() };
    let error = camera.engine.mark(0, Zones::new(&config)).unwrap_err();
    assert!(error.to_string().contains("scripted 1 tells no bodies"), "{error}");
    let mut spec = camera.engine.spec().clone();
    spec.people = 1;
    assert!(Zones::new(&config).unfit(&spec).is_some_and(|why| why.contains("the scene as a whole")));
    camera.engine.mark(0, Zones::default()).unwrap();
}

/// Sees the same two people at every camera, one in the left and one in the right half of the picture, and says of each the fall
/// score that stands where their nose would be.
struct Couple {
    spec: Spec,
    left: f32,
    right: f32,
}

impl Classifier for Couple {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn encode(&mut self, batch: &mut Encoding) -> Result<(), ClassifierError> {
        for people in batch.people.chunks_exact_mut(2 * 56) {
            for (row, (x, fall)) in people.chunks_exact_mut(56).zip([(0.25, self.left), (0.75, self.right)]) {
                for joint in 0..17 {
                    row[3 * joint..3 * joint + 3].copy_from_slice(&[0.5, x, 0.5]);
                }
                row[0] = fall;
                row[51..56].copy_from_slice(&[0.4, x - 0.1, 0.6, x + 0.1, 0.9]);
            }
        }
        Ok(())
    }

    fn score(&mut self, rows: &mut Scoring) -> Result<(), ClassifierError> {
        score_by_nose(&self.spec, rows);
        Ok(())
    }
}

/// Says of each the fall score that stands where their nose would be.
fn score_by_nose(spec: &Spec, rows: &mut Scoring) {
    let ring = spec.ticks * 56;
    for (person, logits) in rows.person.chunks_exact(ring).zip(rows.logits.chunks_exact_mut(4)).take(rows.len) {
        let fall = person[ring - 56].clamp(0.01, 0.99);
        logits.copy_from_slice(&[(1.0 - fall).ln(), fall.ln(), -99.0, -99.0]);
    }
}

#[test]
fn each_camera_has_places_of_its_own_and_each_person_a_score_of_their_own() {
    let half = |left: f32| vec![[left, 0.0], [left + 0.5, 0.0], [left + 0.5, 1.0], [left, 1.0]];
    let bed = |left: f32| {
        let rest = [("bed".to_owned(), half(left))].into();
        Zones::new(&CameraConfig { rest, ..CameraConfig::default() })
    };
    for (left, right) in [(0.9, 0.2), (0.2, 0.9)] {
        let mut spec = ScriptedClassifier::new().spec().clone();
        (spec.people, spec.scene_row) = (2, false);
        let mut engine = Engine::new(Box::new(Couple { spec, left, right }), 3, 3, &PolicyConfig::default());
        engine.mark(0, bed(0.0)).unwrap();
        engine.mark(2, bed(0.5)).unwrap();
        for tick in 0..3 {
            let frame = || Frame { tick, ..Frame::new(Size { width: 8, height: 8 }) };
            let mut frames = (0..3).map(|camera| (camera, frame())).collect();
            engine.step(&mut frames, &mut || Moment::ZERO, &mut Vec::new(), &mut |_, _| {}).unwrap();
        }
        let fall = |camera: usize| (engine.scores(camera).unwrap().fall.least * 10.0).round() / 10.0;
        assert_eq!([fall(0), fall(1), fall(2)], [right, 0.9, left]);
    }
}

#[test]
fn who_gets_up_and_sits_on_a_marked_sofa_has_recovered() {
    let mut camera = marked("rest");
    let fallen = Unfinished {
        camera: "room".into(),
        incident: uuid::Uuid::nil(),
        class: Class::Fall,
        long_lie: false,
        acknowledged: false,
    };
    camera.engine.resume(0, &fallen, Moment::ZERO);
    for tick in 0..40 {
        camera.feed(tick, 0.0).unwrap();
    }
    assert_eq!(camera.events(), [EventType::Recovered]);
}

/// Sees whoever `shown` holds, f32 `[2, 56]`, and says of each the fall score that stands where their nose would be.
struct Shown {
    spec: Spec,
    shown: Arc<Mutex<Vec<f32>>>,
}

impl Classifier for Shown {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn encode(&mut self, batch: &mut Encoding) -> Result<(), ClassifierError> {
        batch.people.copy_from_slice(&self.shown.lock().unwrap());
        Ok(())
    }

    fn score(&mut self, rows: &mut Scoring) -> Result<(), ClassifierError> {
        score_by_nose(&self.spec, rows);
        Ok(())
    }
}

#[test]
fn who_comes_in_ends_no_alarm_of_one_whom_the_encoder_has_lost() {
    let shown = Arc::new(Mutex::new(vec![0.0; 2 * 56]));
    let mut spec = ScriptedClassifier::new().spec().clone();
    (spec.people, spec.scene_row) = (2, false);
    let mut camera = Camera::new();
    camera.engine = Engine::new(Box::new(Shown { spec, shown: shown.clone() }), 1, 1, &PolicyConfig::default());
    let seen = |fall: f32, mut person: Vec<f32>| {
        person[0] = fall;
        person
    };
    let nobody = || vec![0.0; 56];
    let stands = |x: f32, fall| seen(fall, person((0.3, x), (0.75, x), 0.9));
    let lies = |x: f32, fall| seen(fall, person((0.8, x - 0.1), (0.8, x + 0.1), 0.9));
    let mut tick = 0;
    let mut watch = |camera: &mut Camera, seconds: u64, people: [Vec<f32>; 2]| {
        *shown.lock().unwrap() = people.concat();
        for _ in 0..15 * seconds {
            camera.feed(tick, 0.0).unwrap();
            tick += 1;
        }
    };
    watch(&mut camera, 2, [lies(0.2, 0.99), nobody()]);
    assert_eq!(camera.events(), [EventType::Fall]);
    watch(&mut camera, 10, [nobody(), stands(0.8, 0.01)]);
    assert_eq!(camera.events(), [EventType::Fall], "somebody else is upright");
    watch(&mut camera, 5, [stands(0.2, 0.01), stands(0.8, 0.01)]);
    assert_eq!(camera.events(), [EventType::Fall, EventType::Recovered]);
    // Behind the sofa: never seen low, and nobody else is.
    watch(&mut camera, 2, [stands(0.2, 0.99), stands(0.8, 0.01)]);
    for x in [0.8, 0.5, 0.8, 0.5] {
        watch(&mut camera, 10, [nobody(), stands(x, 0.01)]);
    }
    assert_eq!(camera.events().last(), Some(&EventType::LongLie), "whoever fell is still to be seen");
}
