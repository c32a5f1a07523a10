//! Stories of the second look: a picture says one thing by its left upper corner, and its mirror image another by the right one.

use super::*;
use crate::classifier::scripted::ScriptedClassifier;
use crate::config::CameraConfig;
use crate::event::EventType;
use crate::event::policy::Score;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const FACTS: SecondLookFacts = SecondLookFacts { from: 0.5, frames: 2 };

/// One person in each picture, whose nose's score, the mean over some last ticks, is the fall score. Counts the pictures that it is asked about.
struct Nose {
    spec: Spec,
    over: usize,
    asked: Arc<AtomicUsize>,
    /// Fails when it has been asked about so many pictures.
    broken_after: usize,
}

impl Classifier for Nose {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn encode(&mut self, batch: &mut Encoding) -> Result<(), ClassifierError> {
        if self.asked.fetch_add(batch.len, Ordering::Relaxed) == self.broken_after {
            return Err(ClassifierError::Inference("as the test says".into()));
        }
        let picture = self.spec.frame.bytes();
        for (pixels, row) in batch.frames.chunks_exact(picture).zip(batch.people.chunks_exact_mut(56)).take(batch.len) {
            row.fill(0.1);
            row[2] = f32::from(pixels[0]) / 255.0;
            row[51..].copy_from_slice(&[0.2, 0.4, 0.8, 0.6, 0.9]);
        }
        Ok(())
    }

    fn score(&mut self, rows: &mut Scoring) -> Result<(), ClassifierError> {
        let ring = self.spec.ticks * 56;
        for (person, logits) in rows.person.chunks_exact(ring).zip(rows.logits.chunks_exact_mut(4)).take(rows.len) {
            let noses = person.chunks_exact(56).rev().take(self.over).map(|row| row[2]);
            let fall = (noses.sum::<f32>() / self.over as f32).clamp(1e-6, 1.0 - 1e-6);
            logits.copy_from_slice(&[(1.0 - fall).ln(), (fall / 2.0).ln(), (fall / 2.0).ln(), -20.0]);
        }
        Ok(())
    }
}

/// Some cameras, what was decided and how many pictures were asked about.
struct Rooms {
    engine: Engine,
    decisions: Vec<Decision>,
    asked: Arc<AtomicUsize>,
}

impl Rooms {
    fn new(cameras: usize, policy: &PolicyConfig) -> Self {
        Self::that_breaks(usize::MAX, cameras, policy)
    }

    fn that_breaks(broken_after: usize, cameras: usize, policy: &PolicyConfig) -> Self {
        Self::that_remember(1, broken_after, cameras, policy)
    }

    fn that_remember(over: usize, broken_after: usize, cameras: usize, policy: &PolicyConfig) -> Self {
        let mut spec = ScriptedClassifier::new().spec().clone();
        (spec.people, spec.scene_row, spec.second_look) = (1, false, Some(FACTS));
        let asked = Arc::new(AtomicUsize::new(0));
        let engine =
            Engine::new(Box::new(Nose { spec, over, asked: asked.clone(), broken_after }), cameras, cameras, policy);
        Self { engine, decisions: Vec::new(), asked }
    }

    /// A tick of every camera: what its picture says of a fall, and what the mirror image.
    fn see(&mut self, tick: u64, said: &[(f32, f32)]) {
        self.try_to_see(tick, said).unwrap();
    }

    fn try_to_see(&mut self, tick: u64, said: &[(f32, f32)]) -> Result<(), ClassifierError> {
        let at = Moment::from_millis(tick * 1000 / 15);
        let frame = |&(picture, mirror): &(f32, f32)| {
            let mut frame = Frame::new(self.engine.spec().frame);
            frame.pixels[0] = (picture * 255.0) as u8;
            frame.pixels[(frame.view.width - 1) * 3] = (mirror * 255.0) as u8;
            (frame.tick, frame.captured) = (tick, at);
            frame
        };
        let mut frames: Vec<_> = said.iter().map(frame).enumerate().collect();
        self.engine.step(&mut frames, &mut || at, &mut self.decisions, &mut |_, _| ())
    }

    fn events(&self) -> Vec<(usize, EventType, u64)> {
        let tick = |at: Moment| (at.as_secs_f64() * 15.0).round() as u64;
        self.decisions.iter().map(|told| (told.camera, told.transition.event, tick(told.captured))).collect()
    }
}

#[test]
fn what_the_mirror_image_denies_calls_nobody() {
    let mut rooms = Rooms::new(1, &PolicyConfig::default());
    for tick in 0..40 {
        rooms.see(tick, &[if tick < 20 { (0.0, 0.0) } else { (0.9, 0.1) }]);
    }
    assert_eq!(rooms.events(), []);
    let Score { least, most } = rooms.engine.scores(0).unwrap().fall;
    assert!(least < 0.15 && most > 0.85, "{least} {most}");
}

#[test]
fn a_fall_that_both_see_is_told_no_later() {
    let mut rooms = Rooms::new(1, &PolicyConfig::default());
    for tick in 0..40 {
        rooms.see(tick, &[if tick < 20 { (0.0, 0.0) } else { (0.9, 0.9) }]);
    }
    assert_eq!(rooms.events(), [(0, EventType::Fall, 22)], "the third of three hits");
}

#[test]
fn an_alarm_ends_when_both_say_so() {
    let mut rooms = Rooms::new(1, &PolicyConfig::default());
    for tick in 0..60 {
        rooms.see(tick, &[if tick < 10 { (0.9, 0.9) } else { (0.9, 0.0) }]);
        if tick == 10 {
            // Now low scores alone would end it.
            rooms.engine.acknowledge(0, Class::Fall, Moment::from_secs(1));
        }
    }
    assert_eq!(rooms.events(), [(0, EventType::Fall, 3)], "what the mirror image says is not enough");
    for tick in 60..100 {
        rooms.see(tick, &[(0.0, 0.0)]);
    }
    assert_eq!(rooms.events()[1..], [(0, EventType::Recovered, 86)]);
}

#[test]
fn nobody_is_looked_at_twice_who_is_not_suspected() {
    let mut rooms = Rooms::new(1, &PolicyConfig::default());
    for tick in 0..20 {
        rooms.see(tick, &[if tick == 9 { (0.6, 0.6) } else { (0.4, 0.9) }]);
    }
    let asked = rooms.asked.load(Ordering::Relaxed);
    assert_eq!(asked, 20 + 3, "tick 9 and two more");
}

#[test]
fn a_gap_ends_the_second_look() {
    let mut rooms = Rooms::new(1, &PolicyConfig::default());
    for tick in [0, 1, 2, 9] {
        rooms.see(tick, &[(0.9, 0.9)]);
    }
    let before = rooms.asked.load(Ordering::Relaxed);
    rooms.see(10, &[(0.1, 0.1)]);
    assert_eq!(rooms.asked.load(Ordering::Relaxed) - before, 1, "a new clip, and nobody suspected in it");
}

#[test]
fn the_room_that_is_doubted_is_the_one_that_is_looked_at_twice() {
    let mut rooms = Rooms::new(3, &PolicyConfig::default());
    for tick in 0..40 {
        let (calm, down, seeming) = ((0.1, 0.9), (0.9, 0.8), (0.9, 0.1));
        rooms.see(tick, &[calm, seeming, down]);
    }
    assert_eq!(rooms.events(), [(2, EventType::Fall, 3)]);
}

#[test]
fn a_site_that_is_told_of_lower_scores_is_looked_at_twice_from_there() {
    let policy = PolicyConfig { fall_threshold: Some(0.3), ..PolicyConfig::default() };
    let mut rooms = Rooms::new(1, &policy);
    for tick in 0..40 {
        rooms.see(tick, &[(0.4, 0.1)]);
    }
    assert_eq!(rooms.events(), []);
    rooms.engine.configure(&PolicyConfig::default());
    let before = rooms.asked.load(Ordering::Relaxed);
    for tick in 40..60 {
        rooms.see(tick, &[(0.4, 0.1)]);
    }
    assert_eq!(rooms.asked.load(Ordering::Relaxed) - before, 20 + 2, "for two ticks more");
}

#[test]
fn who_looks_once_never_looks_twice_again() {
    let mut rooms = Rooms::new(1, &PolicyConfig::default());
    rooms.engine.look_once();
    rooms.engine.reset(0, &PolicyConfig::default());
    rooms.engine.configure(&PolicyConfig::default());
    for tick in 0..10 {
        rooms.see(tick, &[(0.9, 0.1)]);
    }
    assert_eq!(rooms.asked.load(Ordering::Relaxed), 10);
    assert_eq!(rooms.events(), [(0, EventType::Fall, 3)], "nobody denies it");
}

#[test]
fn a_second_look_that_fails_begins_anew() {
    // Five calm ticks and the first look at the sixth are six pictures: the seventh is its mirror image.
    let mut rooms = Rooms::that_breaks(6, 1, &PolicyConfig::default());
    for tick in 0..5 {
        rooms.see(tick, &[(0.1, 0.1)]);
    }
    assert!(rooms.try_to_see(5, &[(0.9, 0.1)]).is_err());
    for tick in 6..12 {
        rooms.see(tick, &[(0.9, 0.1)]);
    }
    assert_eq!(rooms.events(), [], "it is doubted again");
    for tick in 12..15 {
        rooms.see(tick, &[(0.9, 0.9)]);
    }
    assert_eq!(rooms.events(), [(0, EventType::Fall, 14)]);
}

#[test]
fn a_knee_at_a_marked_place_is_not_doubted() {
    let mut rooms = Rooms::new(1, &PolicyConfig::default());
    let everywhere = vec![[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]];
    let camera = CameraConfig { climb: [("sill".to_owned(), everywhere)].into(), ..CameraConfig::default() };
    rooms.engine.mark(0, Zones::new(&camera)).unwrap();
    rooms.see(0, &[(0.1, 0.1)]);
    rooms.see(1, &[(0.1, 0.1)]);
    let scores = rooms.engine.scores(0).unwrap();
    assert_eq!((scores.climb.least, scores.places), (1.0, 1), "every joint is there");
    assert_eq!(rooms.asked.load(Ordering::Relaxed), 3, "and the fall score was doubted");
}

#[test]
fn both_looks_say_what_the_recipe_says_that_they_say() {
    let golden = include_str!("../../tests/data/golden/second_look.json");
    for (index, case) in serde_json::from_str::<Vec<serde_json::Value>>(golden).unwrap().iter().enumerate() {
        let number = |key: &str, at: usize| case[key][at].as_u64().unwrap();
        let over = case["over"].as_u64().unwrap() as usize;
        let mut rooms = Rooms::that_remember(over, usize::MAX, 1, &PolicyConfig::default());
        let told = case["told"].as_array().unwrap();
        assert!(told.len() > 50, "case {index}: {}", told.len());
        for (at, told) in told.iter().enumerate() {
            let share = |key| number(key, at) as f32 / 255.0;
            let before = rooms.asked.load(Ordering::Relaxed);
            rooms.see(number("ticks", at), &[(share("pictures"), share("mirrored"))]);
            let twice = rooms.asked.load(Ordering::Relaxed) - before == 2;
            assert_eq!(twice, told[0].as_bool().unwrap(), "case {index}, picture {at}: looked at twice");
            let Score { least, most } =
                rooms.engine.scores(0).map_or(Score { least: 0.0, most: 0.0 }, |scores| scores.fall);
            let expected = [1, 2].map(|which| told[which].as_f64().unwrap() as f32);
            let apart = (least - expected[0]).abs().max((most - expected[1]).abs());
            assert!(apart < 1e-3, "case {index}, picture {at}: {least}, {most} for {expected:?}");
        }
    }
}

/// A mark goes through the picture, a column a tick. The encoder puts the nose where it is and both eyes where it was in the predecessor; the
/// head sees a fall as long as each eye is where the nose was a tick before.
struct Mark(Spec);

impl Classifier for Mark {
    fn spec(&self) -> &Spec {
        &self.0
    }

    fn encode(&mut self, batch: &mut Encoding) -> Result<(), ClassifierError> {
        let (picture, width) = (self.0.frame.bytes(), self.0.frame.width);
        let place = |pixels: &[u8]| {
            let column = pixels[..width * 3].chunks_exact(3).position(|pixel| pixel[0] > 0).unwrap();
            column as f32 / (width - 1) as f32
        };
        let pictures = batch.frames.chunks_exact(picture).zip(batch.previous.chunks_exact(picture));
        for ((frame, previous), row) in pictures.zip(batch.people.chunks_exact_mut(56)).take(batch.len) {
            row.fill(0.1);
            (row[1], row[4], row[7]) = (place(frame), place(previous), place(previous));
            row[51..].copy_from_slice(&[0.2, 0.1, 0.8, 0.7, 0.9]);
        }
        Ok(())
    }

    fn score(&mut self, rows: &mut Scoring) -> Result<(), ClassifierError> {
        let ring = self.0.ticks * 56;
        for (person, logits) in rows.person.chunks_exact(ring).zip(rows.logits.chunks_exact_mut(4)).take(rows.len) {
            let (before, now) = (&person[ring - 112..ring - 56], &person[ring - 56..]);
            let follows = (now[4] - before[1]).abs() < 1e-4 && (now[7] - before[1]).abs() < 1e-4;
            let fall: f32 = if follows { 0.9 } else { 0.1 };
            logits.copy_from_slice(&[(1.0 - fall).ln(), (fall / 2.0).ln(), (fall / 2.0).ln(), -20.0]);
        }
        Ok(())
    }
}

#[test]
fn both_looks_see_the_same_where_picture_and_mirror_image_agree() {
    let mut spec = ScriptedClassifier::new().spec().clone();
    (spec.people, spec.scene_row, spec.second_look) = (1, false, Some(FACTS));
    let mut engine = Engine::new(Box::new(Mark(spec)), 1, 1, &PolicyConfig::default());
    for tick in 0..8_u64 {
        let mut frame = Frame::new(engine.spec().frame);
        frame.pixels[tick as usize * 3] = 255;
        (frame.tick, frame.captured) = (tick, Moment::from_millis(tick * 1000 / 15));
        let now = frame.captured;
        engine.step(&mut vec![(0, frame)], &mut || now, &mut Vec::new(), &mut |_, _| ()).unwrap();
        let Some(scores) = engine.scores(0) else { continue };
        assert!(scores.fall.least > 0.8, "tick {tick}: {:?}", scores.fall);
        assert_eq!(scores.fall.least, scores.fall.most, "tick {tick}");
    }
}
