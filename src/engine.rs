//! From frames to decisions: the part of the detector that `run` and `replay` share.
//!
//! One [`Engine`] owns the classifier and, for each camera, its clip and its policy. [`Engine::step`] takes at most one
//! frame of each camera, runs the encoder once for all of them and the head once for everybody followed, both once more
//! for the mirror images of those who are suspected, and says what was decided. It knows no threads, no clocks of its own
//! and no store; time comes with the frames. In the steady state it allocates nothing.

mod heads;
mod second;
mod watch;

use crate::classifier::bundle::SecondLookFacts;
use crate::classifier::{Classifier, ClassifierError, Encoding, Scoring, Spec};
use crate::clip::{Continuity, Movements};
use crate::config::PolicyConfig;
use crate::event::policy::{Policy, Scores, Transition};
use crate::event::{Class, Unfinished};
use crate::fallen::Seen;
use crate::frame::{Frame, Moment};
use crate::zone::{Judged, Zones};
use heads::{Said, said, score};
use watch::Watch;

/// What the policy decided for one camera.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// Index of the camera.
    pub camera: usize,
    /// What to tell.
    pub transition: Transition,
    /// Capture of the deciding frame.
    pub captured: Moment,
    /// When it had been scored.
    pub scored: Moment,
    /// When the policy had decided.
    pub decided: Moment,
}

/// Classifier, clips and policies of all cameras.
pub struct Engine {
    classifier: Box<dyn Classifier>,
    watches: Vec<Watch>,
    encoding: Encoding,
    scoring: Scoring,
    /// The mirror images of those of the running batch that are looked at twice, and what their rings ask.
    mirrored: Encoding,
    doubting: Scoring,
    asked: Vec<Asked>,
    batch: usize,
    spec: Spec,
    /// As the manifest has it, and not above a threshold of the site's.
    second_look: Option<SecondLookFacts>,
}

/// One frame of the running batch.
#[derive(Debug, Clone, Copy)]
struct Asked {
    camera: usize,
    bridged: u32,
    /// Rows it asked for if its clip is ready: none where there is nobody.
    rows: Option<usize>,
    /// As `rows`, if it is looked at twice.
    doubted: Option<usize>,
    scores: Scores,
    /// Whose fall score that is.
    faller: Option<u64>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Engine")
            .field("spec", &self.spec)
            .field("watches", &self.watches.len())
            .finish_non_exhaustive()
    }
}

/// Pictures in one batch: as many as `cameras`, as far as `budget_mb` reaches; never less than one.
pub fn batch_size(spec: &Spec, cameras: usize, budget_mb: u32) -> usize {
    let affordable = (budget_mb as f32 / spec.picture_mb.max(0.1)) as usize;
    affordable.clamp(1, cameras.max(1))
}

impl Engine {
    /// An engine for so many cameras, in batches of at most `batch` pictures.
    pub fn new(classifier: Box<dyn Classifier>, cameras: usize, batch: usize, policy: &PolicyConfig) -> Self {
        let spec = classifier.spec().clone();
        let rows = batch * (spec.people + usize::from(spec.scene_row)).max(1);
        let watches = (0..cameras).map(|_| Watch::new(&spec, policy)).collect();
        let (twice, doubts) = if spec.second_look.is_some() { (batch, rows) } else { (0, 0) };
        Self {
            encoding: Encoding::new(&spec, batch),
            scoring: Scoring::new(&spec, rows),
            mirrored: Encoding::new(&spec, twice),
            doubting: Scoring::new(&spec, doubts),
            asked: Vec::with_capacity(batch),
            watches,
            batch,
            classifier,
            second_look: second::facts(&spec, policy),
            spec,
        }
    }

    /// The model's facts.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Says where a camera tells of what. Refused if the model cannot keep to it.
    pub fn mark(&mut self, camera: usize, zones: Zones) -> Result<(), ClassifierError> {
        if let Some(why) = zones.unfit(&self.spec) {
            return Err(ClassifierError::Bundle(why));
        }
        self.watches[camera].zones = zones;
        Ok(())
    }

    /// True if a camera is there for dangers of this class.
    pub fn watches(&self, camera: usize, class: Class) -> bool {
        self.watches[camera].zones.watches().contains(&class)
    }

    /// The name of a camera's marked place, as a [`Transition`] gives its number.
    pub fn place(&self, camera: usize, place: Option<usize>) -> Option<&str> {
        self.watches[camera].zones.name(place?)
    }

    /// Pictures in one batch at most.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// A camera's policy, to be shown.
    pub fn policy(&self, camera: usize) -> &Policy {
        &self.watches[camera].policy
    }

    /// The last scores of a camera, if its clip has been scored since it was cleared.
    pub fn scores(&self, camera: usize) -> Option<Scores> {
        self.watches[camera].scores
    }

    /// Logits of the rows that the last step scored, f32 `[rows, K]`, the last camera's rows last.
    pub fn logits(&self) -> &[f32] {
        &self.scoring.logits[..self.scoring.len * self.spec.classes.len()]
    }

    /// What the encoder said of the last step's first picture, f32 `[P, F]`.
    pub fn people(&self) -> &[f32] {
        &self.encoding.people[..self.spec.people * self.spec.person_len]
    }

    /// How everybody followed at a camera moved, between its marked places, with its newest picture if `picture` asks for it. None where
    /// nobody is followed.
    pub fn movements(&self, camera: usize, picture: bool) -> Option<Movements> {
        let Watch { clip, zones, .. } = &self.watches[camera];
        let movements = clip.movements(&self.spec, picture)?;
        let places = zones.outlines(self.spec.frame, clip.view(self.spec.frame));
        Some(Movements { places, ..movements })
    }

    /// Goes on with an alarm that an earlier run did not end.
    pub fn resume(&mut self, camera: usize, incident: &Unfinished, now: Moment) {
        let Unfinished { class, long_lie, acknowledged, .. } = *incident;
        self.watches[camera].policy.resume(class, long_lie, acknowledged, now);
    }

    /// A disarmed camera is watched but decides nothing. One that is armed again judges afresh: a danger that is still
    /// going on, of which nobody was told, is news.
    pub fn arm(&mut self, camera: usize, armed: bool) {
        let watch = &mut self.watches[camera];
        if armed && !watch.armed {
            watch.policy.restart();
            watch.fallen.end();
        }
        watch.armed = armed;
    }

    /// True unless the camera was disarmed.
    pub fn armed(&self, camera: usize) -> bool {
        self.watches[camera].armed
    }

    /// Replaces the site's policy and keeps every state.
    pub fn configure(&mut self, policy: &PolicyConfig) {
        self.second_look = second::facts(&self.spec, policy);
        for watch in &mut self.watches {
            watch.policy.configure(&self.spec.policy, self.spec.rate_hz, policy);
        }
    }

    /// The camera gives nothing: its clip is emptied, its suspicion forgotten, its alarm held.
    pub fn camera_lost(&mut self, camera: usize, now: Moment, recycle: impl FnMut(Frame)) -> Option<Transition> {
        let watch = &mut self.watches[camera];
        watch.clear(recycle);
        watch.policy.camera_lost(now).filter(|_| watch.armed)
    }

    /// Time passes, with or without frames.
    pub fn tick(&mut self, camera: usize, now: Moment) -> Option<Transition> {
        let watch = &mut self.watches[camera];
        watch.policy.tick(now).filter(|_| watch.armed)
    }

    /// A caregiver is on it. What goes on at a disarmed camera nobody was told of, and nobody can mean.
    pub fn acknowledge(&mut self, camera: usize, class: Class, now: Moment) -> Option<Transition> {
        let watch = &mut self.watches[camera];
        if watch.armed { watch.policy.acknowledge(class, now) } else { None }
    }

    /// Forgets everything about a camera, as at the start.
    pub fn reset(&mut self, camera: usize, policy: &PolicyConfig) {
        let watch = &mut self.watches[camera];
        watch.clear(|_| {});
        watch.policy = Policy::new(&self.spec.policy, self.spec.rate_hz, policy);
        watch.fallen.end();
        self.second_look = second::facts(&self.spec, policy);
    }

    /// Looks at nothing twice from now on: for comparisons with programs that do not.
    pub fn look_once(&mut self) {
        (self.spec.second_look, self.second_look) = (None, None);
    }

    /// Scores one batch: at most one frame of each camera and at most [`batch`](Self::batch) frames.
    ///
    /// Drains `frames`; decisions are appended to `decisions`; frames that fall out of a clip go to `recycle` with
    /// their camera. `clock` reads the time for the ledger. After an error of the encoder the frames of the batch are in
    /// no clip; after any other they are, unscored.
    pub fn step(
        &mut self,
        frames: &mut Vec<(usize, Frame)>,
        clock: &mut dyn FnMut() -> Moment,
        decisions: &mut Vec<Decision>,
        recycle: &mut dyn FnMut(usize, Frame),
    ) -> Result<(), ClassifierError> {
        debug_assert!(frames.len() <= self.batch, "the caller cuts batches");
        self.load(frames, recycle);
        if let Err(error) = self.classifier.encode(&mut self.encoding) {
            for (camera, frame) in frames.drain(..) {
                recycle(camera, frame);
            }
            return Err(error);
        }
        self.store(frames, recycle);
        let looked = self.look().and_then(|()| self.look_again());
        if looked.is_err() {
            // The one look's rings have a tick that the other's may lack.
            self.asked.iter().for_each(|asked| self.watches[asked.camera].second.end());
        }
        looked?;
        let scored = clock();
        for asked in self.asked.iter().filter(|asked| asked.rows.is_some()) {
            let (camera, watch) = (asked.camera, &mut self.watches[asked.camera]);
            watch.scores = Some(asked.scores);
            let captured = watch.clip.last().map_or(scored, |frame| frame.captured);
            if let Some(transition) =
                watch.decide(captured, asked.bridged, asked.scores, asked.faller).filter(|_| watch.armed)
            {
                decisions.push(Decision { camera, transition, captured, scored, decided: clock() });
            }
        }
        Ok(())
    }

    /// Copies frames, their predecessors and the carried state into the encoder's buffers.
    fn load(&mut self, frames: &[(usize, Frame)], recycle: &mut dyn FnMut(usize, Frame)) {
        let picture = self.spec.frame.bytes();
        let state = self.spec.state_len();
        self.encoding.len = frames.len();
        for (index, (camera, frame)) in frames.iter().enumerate() {
            let watch = &mut self.watches[*camera];
            if watch.clip.continuity(frame.tick) == Continuity::Fresh {
                watch.clear(|frame| recycle(*camera, frame));
            }
            let previous = watch.clip.last().unwrap_or(frame);
            let at = index * picture..(index + 1) * picture;
            self.encoding.frames[at.clone()].copy_from_slice(&frame.pixels);
            self.encoding.previous[at].copy_from_slice(&previous.pixels);
            self.encoding.state[index * state..(index + 1) * state].copy_from_slice(&watch.state);
        }
    }

    /// Puts what the encoder said into the clips and asks the clips for rows.
    fn store(&mut self, frames: &mut Vec<(usize, Frame)>, recycle: &mut dyn FnMut(usize, Frame)) {
        let (people, scene) = (self.spec.people * self.spec.person_len, self.spec.scene_len);
        let state = self.spec.state_len();
        self.scoring.len = 0;
        self.asked.clear();
        for (index, (camera, frame)) in frames.drain(..).enumerate() {
            let watch = &mut self.watches[camera];
            let said = &self.encoding.people[index * people..(index + 1) * people];
            let grid = &self.encoding.scene[index * scene..(index + 1) * scene];
            watch.state.copy_from_slice(&self.encoding.state[index * state..(index + 1) * state]);
            let bridged = watch.clip.continuity(frame.tick).bridged();
            if self.second_look.is_some() {
                watch.second.follow(watch.clip.rings());
            }
            if let Some(frame) = watch.clip.push(frame, said, grid, self.spec.frame) {
                recycle(camera, frame);
            }
            let rings = watch.clip.rings();
            let rows = rings.ready().then(|| rings.rows(&mut self.scoring));
            self.asked.push(Asked { camera, bridged, rows, doubted: None, scores: Scores::NONE, faller: None });
        }
    }

    /// Scores what the clips asked for.
    fn look(&mut self) -> Result<(), ClassifierError> {
        score(self.classifier.as_mut(), &mut self.scoring, &self.spec)?;
        let (spec, mut first) = (&self.spec, 0);
        let people = spec.people * spec.person_len;
        for (index, asked) in self.asked.iter_mut().enumerate() {
            let Some(rows) = asked.rows else { continue };
            let Watch { clip, policy, fallen, zones, .. } = &mut self.watches[asked.camera];
            let (rings, view) = (clip.rings(), clip.view(spec.frame));
            let detections = &self.encoding.people[index * people..(index + 1) * people];
            let rests = |person: &[f32]| zones.rests(person, spec, view);
            let seen = Seen { detections, followed: rings.people(), ticks: asked.bridged + 1 };
            let upright = fallen.all_upright(policy.is_down(), seen, spec, rests);
            let Said { greatest, faller } = said(&self.scoring, first, rings, zones, spec, view);
            let Judged { fall, climb, places } = greatest;
            asked.scores = Scores { fall: fall.into(), climb: climb.into(), upright, places };
            asked.faller = faller;
            first += rows;
        }
        Ok(())
    }

    /// Asks about the mirror images of those who are suspected.
    fn look_again(&mut self) -> Result<(), ClassifierError> {
        let Some(facts) = self.second_look else { return Ok(()) };
        let (spec, picture) = (&self.spec, self.spec.frame.bytes());
        let nth = |index: usize, length: usize| index * length..(index + 1) * length;
        let (people, scene) = (spec.people * spec.person_len, spec.scene_len);
        self.mirrored.len = 0;
        for (index, asked) in self.asked.iter_mut().enumerate() {
            let most = asked.scores.fall.most.max(asked.scores.climb.most);
            if self.watches[asked.camera].second.doubts(most, facts) {
                let (from, to) = (nth(index, picture), nth(self.mirrored.len, picture));
                second::mirror(&self.encoding.frames[from.clone()], spec.frame, &mut self.mirrored.frames[to.clone()]);
                second::mirror(&self.encoding.previous[from], spec.frame, &mut self.mirrored.previous[to]);
                self.mirrored.len += 1;
                asked.doubted = Some(0);
            }
        }
        if self.mirrored.len == 0 {
            return Ok(());
        }
        self.classifier.encode(&mut self.mirrored)?;
        self.doubting.len = 0;
        let suspects = self.asked.iter_mut().enumerate().filter(|(_, asked)| asked.doubted.is_some());
        for ((index, asked), said) in suspects.zip(self.mirrored.people.chunks_exact_mut(people)) {
            let second = &mut self.watches[asked.camera].second;
            second.push(asked.bridged, said, &self.encoding.scene[nth(index, scene)], spec);
            asked.doubted = Some(second.rings().rows(&mut self.doubting));
        }
        score(self.classifier.as_mut(), &mut self.doubting, spec)?;
        let mut first = 0;
        for asked in self.asked.iter_mut().filter(|asked| asked.doubted.is_some()) {
            let Watch { clip, second, zones, .. } = &self.watches[asked.camera];
            let other = said(&self.doubting, first, second.rings(), zones, spec, clip.view(spec.frame)).greatest;
            asked.scores.fall = asked.scores.fall.and(other.fall);
            // A knee at a marked place is the site's word, and not the model's: the first look says alone.
            if asked.scores.places | other.places == 0 {
                asked.scores.climb = asked.scores.climb.and(other.climb);
            }
            first += asked.doubted.unwrap_or(0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod second_tests;
#[cfg(test)]
mod tests;
