//! One decision by streaming against one on the whole clip: the same pictures, the same process, one thread, in turns.

use super::report::{Bar, Row, Section};
use super::scene::Scene;
use super::stats::estimate;
use crate::camera::{Grab, opencv};
use crate::classifier::ort::OrtClassifier;
use crate::classifier::{Classifier, ClassifierError, Encoding, Scoring, Spec};
use crate::frame::Frame;
use crate::model;
use crate::tracker::Tracker;
use std::time::{Duration, Instant};

pub(super) fn measure(scene: &Scene) -> Result<Section, String> {
    let spec = &scene.bundle.spec;
    if !spec.states.is_empty() {
        return Err("a model with carried state has no whole-clip form in one batch".into());
    }
    let text = |error: ClassifierError| error.to_string();
    let pictures = pictures(scene)?;
    let mut engine = model::load(&scene.config, 1).map_err(text)?.engine;
    // As the whole clip is.
    engine.look_once();
    let classifier = OrtClassifier::load(&scene.bundle, &scene.config.model, spec.ticks).map_err(text)?;
    let mut whole = Whole::new(classifier, &pictures);
    let mut spare: Vec<Frame> = Vec::new();
    let mut batch = Vec::with_capacity(1);
    let mut tick = 0;
    let mut stream = |timed: bool| -> Result<Duration, ClassifierError> {
        let mut frame = spare.pop().unwrap_or_else(|| Frame::new(spec.frame));
        frame.pixels.copy_from_slice(&pictures[tick as usize % pictures.len()].pixels);
        (frame.tick, frame.captured) = (tick, Duration::from_secs_f64(tick as f64 / spec.rate_hz));
        tick += 1;
        let now = frame.captured;
        batch.push((0, frame));
        let begun = Instant::now();
        engine.step(&mut batch, &mut || now, &mut Vec::new(), &mut |_, frame| spare.push(frame))?;
        Ok(if timed { begun.elapsed() } else { Duration::ZERO })
    };
    for _ in 0..spec.ticks {
        stream(false).map_err(text)?;
    }
    whole.decide().map_err(text)?;
    let pairs = scene.count(40, 2);
    let (mut streamed, mut wholes, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..pairs {
        // One of 64 is as often disturbed as one whole clip is; the median of a few stands for it.
        let mut few = [Duration::ZERO; 5];
        for time in &mut few {
            *time = stream(true).map_err(text)?;
        }
        few.sort();
        let one = few[few.len() / 2].as_secs_f64() * 1e3;
        let begun = Instant::now();
        whole.decide().map_err(text)?;
        let all = begun.elapsed().as_secs_f64() * 1e3;
        streamed.push(one);
        wholes.push(all);
        ratios.push(one / all);
    }
    Ok(Section {
        rows: vec![
            Row::estimated(
                "A streaming decision over a whole-clip decision, median",
                estimate(ratios, 0.5),
                "×",
                Bar::at_most(0.05, "≤ 1/20"),
            ),
            Row::estimated("A streaming decision, median", estimate(streamed, 0.5), "ms", None),
            Row::estimated("A whole-clip decision, median", estimate(wholes, 0.5), "ms", None),
        ],
        notes: vec![format!(
            "Streaming: the encoder on 1 picture and the head on the rings, everything that the daemon does for a frame \
             after it was read. Whole clip: the encoder on {} pictures in one batch, the tracker, and the head. In \
             turns; each pair's streaming time is the median of five. Nobody is looked at twice: while somebody is \
             suspected, a streaming decision takes twice as long.",
            spec.ticks
        )],
        failed: false,
    })
}

/// The stream's first pictures, as many as a clip has; a short stream starts again.
fn pictures(scene: &Scene) -> Result<Vec<Frame>, String> {
    let spec = &scene.bundle.spec;
    let path = scene.stream()?;
    let mut pictures = Vec::with_capacity(spec.ticks);
    while pictures.len() < spec.ticks {
        let before = pictures.len();
        let mut stream = opencv::open_file(path, spec.frame, spec.pad, &[]).map_err(|error| error.to_string())?;
        while pictures.len() < spec.ticks
            && let Grab::Picture { .. } = stream.grab().map_err(|error| error.to_string())?
        {
            let mut frame = Frame::new(spec.frame);
            stream.retrieve(&mut frame).map_err(|error| error.to_string())?;
            pictures.push(frame);
        }
        if pictures.len() == before {
            return Err("the clip has no picture".into());
        }
    }
    Ok(pictures)
}

/// The whole clip in one batch.
struct Whole {
    classifier: OrtClassifier,
    spec: Spec,
    encoding: Encoding,
    rows: Scoring,
}

impl Whole {
    fn new(classifier: OrtClassifier, pictures: &[Frame]) -> Self {
        let spec = classifier.spec().clone();
        let mut encoding = Encoding::new(&spec, pictures.len());
        encoding.len = pictures.len();
        let bytes = spec.frame.bytes();
        for (index, frame) in pictures.iter().enumerate() {
            let at = index * bytes..(index + 1) * bytes;
            encoding.previous[at.clone()].copy_from_slice(&pictures[index.saturating_sub(1)].pixels);
            encoding.frames[at].copy_from_slice(&frame.pixels);
        }
        let rows = Scoring::new(&spec, spec.people + 1);
        Self { classifier, spec, encoding, rows }
    }

    fn decide(&mut self) -> Result<(), ClassifierError> {
        let (spec, rows) = (&self.spec, &mut self.rows);
        self.classifier.encode(&mut self.encoding)?;
        let mut tracker = Tracker::new(spec);
        for people in self.encoding.people.chunks_exact((spec.people * spec.person_len).max(1)) {
            tracker.observe(people, spec.frame.aspect());
        }
        let (ring, mask, scene) = (tracker.ring_len(), 2 * spec.ticks, self.encoding.scene.len());
        rows.len = usize::from(spec.scene_row);
        for place in (0..spec.people).filter(|place| tracker.is_followed(*place)) {
            let index = rows.len;
            let person = &mut rows.person[index * ring..(index + 1) * ring];
            tracker.read(place, person, &mut rows.mask[index * mask..(index + 1) * mask]);
            rows.len += 1;
        }
        for index in 0..rows.len {
            rows.scene[index * scene..(index + 1) * scene].copy_from_slice(&self.encoding.scene);
            let exists = rows.mask[index * mask..(index + 1) * mask].iter_mut().step_by(2);
            exists.for_each(|exists| *exists = 1.0);
        }
        if rows.len > 0 { self.classifier.score(rows) } else { Ok(()) }
    }
}
