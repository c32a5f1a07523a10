//! Follows each person from tick to tick and keeps a ring of what the encoder said of them.
//!
//! The rule is the one in `models/README.md` ("Following a person"), and the recipe follows by the same rule when it
//! makes training data; golden files hold the two equal. Deterministic: the same detections give the same people.

use crate::classifier::Spec;
use crate::classifier::bundle::TrackerFacts;
use crate::clip::Rows;

/// A box in units of the picture's height: centre, sides and diagonal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    x: f32,
    y: f32,
    width: f32,
    height: f32,
    diagonal: f32,
}

impl Place {
    /// Of a box `top, left, bottom, right`.
    pub(crate) fn new(bounds: &[f32], aspect: f32) -> Self {
        let [top, left, bottom, right] = [bounds[0], bounds[1] * aspect, bounds[2], bounds[3] * aspect];
        let (width, height) = (right - left, bottom - top);
        Self { x: (left + right) / 2.0, y: (top + bottom) / 2.0, width, height, diagonal: width.hypot(height) }
    }

    /// Shared area over the area of both together.
    pub(crate) fn overlap(self, other: Self) -> f32 {
        let shared = |a: f32, a_size: f32, b: f32, b_size: f32| {
            ((a + a_size / 2.0).min(b + b_size / 2.0) - (a - a_size / 2.0).max(b - b_size / 2.0)).max(0.0)
        };
        let both =
            shared(self.x, self.width, other.x, other.width) * shared(self.y, self.height, other.y, other.height);
        both / (self.width * self.height + other.width * other.height - both + 1e-9)
    }

    /// Above 0 if the two may be the same person; 1 if they coincide.
    fn affinity(self, other: Self, missed: u32, facts: &TrackerFacts) -> f32 {
        let reach = facts.gate * self.diagonal.max(other.diagonal) * (1.0 + facts.gate_growth * missed as f32);
        if reach <= 0.0 {
            return 0.0;
        }
        1.0 - (self.x - other.x).hypot(self.y - other.y) / reach
    }
}

/// Somebody followed, as they were seen last.
#[derive(Debug, Clone, Copy)]
pub struct Followed<'a> {
    /// Of this tracker, never given to two.
    pub id: u64,
    /// What was said of them, f32 `[F]`.
    pub row: &'a [f32],
    /// So many ticks ago.
    pub ago: usize,
}

#[derive(Debug)]
struct Person {
    followed: bool,
    /// Grows from person to person: decides where two are alike.
    born: u64,
    place: Place,
    missed: u32,
    ring: Rows,
    seen: Rows,
}

/// The people of one camera.
#[derive(Debug)]
pub struct Tracker {
    people: Vec<Person>,
    facts: TrackerFacts,
    person_len: usize,
    keypoints: usize,
    ring_len: usize,
    ticks: usize,
    taken: Vec<bool>,
    matched: Vec<bool>,
    born: u64,
}

impl Tracker {
    /// Nobody followed yet.
    pub fn new(spec: &Spec) -> Self {
        let nowhere = Place { x: 0.0, y: 0.0, width: 0.0, height: 0.0, diagonal: 0.0 };
        let people = (0..spec.people)
            .map(|_| Person {
                followed: false,
                born: 0,
                place: nowhere,
                missed: 0,
                ring: Rows::new(spec.ticks, spec.person_len),
                seen: Rows::new(spec.ticks, 1),
            })
            .collect();
        Self {
            people,
            facts: spec.tracker,
            person_len: spec.person_len,
            keypoints: spec.keypoints,
            ring_len: spec.ticks * spec.person_len,
            ticks: spec.ticks,
            taken: vec![false; spec.people],
            matched: vec![false; spec.people],
            born: 0,
        }
    }

    /// Places for people, followed or not.
    pub fn places(&self) -> usize {
        self.people.len()
    }

    /// True if somebody is followed in this place.
    pub fn is_followed(&self, place: usize) -> bool {
        self.people[place].followed
    }

    /// Numbers in one person's ring.
    pub fn ring_len(&self) -> usize {
        self.ring_len
    }

    /// Copies one person's ring, oldest first, and sets the second of each pair in `mask` where they were seen.
    pub fn read(&self, place: usize, into: &mut [f32], mask: &mut [f32]) {
        let person = &self.people[place];
        person.ring.read(into);
        person.seen.read_strided(mask, 2, 1);
    }

    /// The person in this place; nobody if their ring holds no tick at which they were seen.
    pub fn newest(&self, place: usize) -> Option<Followed<'_>> {
        let Person { born, ring, seen, .. } = &self.people[place];
        let ago = (0..self.ticks).find(|ago| seen.ago(*ago) == [1.0])?;
        Some(Followed { id: *born, row: ring.ago(ago), ago })
    }

    /// Follows as `other` does, which is of the same model.
    pub fn copy_from(&mut self, other: &Self) {
        for (person, other) in self.people.iter_mut().zip(&other.people) {
            person.copy_from(other);
        }
        self.born = other.born;
    }

    /// Forgets everybody.
    pub fn clear(&mut self) {
        for person in &mut self.people {
            person.forget();
        }
    }

    /// A missed tick: everybody's last entry once more.
    pub fn repeat(&mut self) {
        for person in &mut self.people {
            person.ring.repeat();
            person.seen.repeat();
        }
    }

    /// One tick's detections, f32 `[P, F]`, best first; `aspect` is the picture's width over its height.
    pub fn observe(&mut self, detections: &[f32], aspect: f32) {
        let count = self.people.len();
        self.taken.fill(false);
        self.matched.fill(false);
        let score = self.keypoints * 3 + 4;
        let bounds = self.keypoints * 3;
        let score_of = |index: usize| detections[index * self.person_len + score];
        let usable = |index: usize| score_of(index) >= self.facts.min_score;
        let place_of = |index: usize| {
            let row = &detections[index * self.person_len..(index + 1) * self.person_len];
            Place::new(&row[bounds..bounds + 4], aspect)
        };

        // Those seen last choose first, of them the nearest pair: somebody lost for long takes nobody else's place.
        loop {
            let mut best: Option<(f32, usize, usize)> = None;
            for (who, person) in self.people.iter().enumerate() {
                if !person.followed || self.matched[who] {
                    continue;
                }
                for index in (0..count).filter(|index| !self.taken[*index] && usable(*index)) {
                    let affinity = person.place.affinity(place_of(index), person.missed, &self.facts);
                    let better = affinity > 0.0
                        && best.is_none_or(|(other, rival, _)| {
                            let rival = &self.people[rival];
                            // Of two that are as near, the one followed longer.
                            (rival.missed, affinity, rival.born) > (person.missed, other, person.born)
                        });
                    if better {
                        best = Some((affinity, who, index));
                    }
                }
            }
            let Some((_, who, index)) = best else { break };
            self.matched[who] = true;
            self.taken[index] = true;
            let row = &detections[index * self.person_len..(index + 1) * self.person_len];
            self.people[who].see(row, place_of(index));
        }

        // Those not matched were missed at this tick.
        for (who, person) in self.people.iter_mut().enumerate() {
            if person.followed && !self.matched[who] {
                person.missed += 1;
                if person.missed > self.facts.max_missed {
                    person.forget();
                } else {
                    person.ring.push_zero();
                    person.seen.push_zero();
                }
            }
        }

        // What is left over is somebody new if it is clear, and not a person found twice: a phantom that is followed would
        // take over whoever passes it.
        for index in (0..count).filter(|index| usable(*index)) {
            let place = place_of(index);
            let twice = || {
                (0..count).any(|other| self.taken[other] && place.overlap(place_of(other)) > self.facts.start_overlap)
            };
            if self.taken[index] || score_of(index) < self.facts.start_score || twice() {
                continue;
            }
            let free = self.people.iter().position(|person| !person.followed);
            let longest_missed = || {
                (0..self.people.len())
                    .filter(|who| !self.matched[*who])
                    .max_by_key(|who| (self.people[*who].missed, std::cmp::Reverse(self.people[*who].born)))
            };
            let Some(who) = free.or_else(longest_missed) else { continue };
            self.matched[who] = true;
            self.taken[index] = true;
            let row = &detections[index * self.person_len..(index + 1) * self.person_len];
            let person = &mut self.people[who];
            person.forget();
            person.followed = true;
            person.born = self.born;
            self.born += 1;
            person.see(row, place);
        }
    }
}

impl Person {
    fn see(&mut self, row: &[f32], place: Place) {
        self.place = place;
        self.missed = 0;
        self.ring.push(row);
        self.seen.push(&[1.0]);
    }

    fn copy_from(&mut self, other: &Self) {
        (self.followed, self.born, self.place, self.missed) = (other.followed, other.born, other.place, other.missed);
        self.ring.copy_from(&other.ring);
        self.seen.copy_from(&other.seen);
    }

    fn forget(&mut self) {
        self.followed = false;
        self.missed = 0;
        self.ring.clear();
        self.seen.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::Classifier;
    use crate::classifier::scripted::ScriptedClassifier;

    const LEN: usize = 56;

    fn tracker(people: usize) -> Tracker {
        let mut spec = ScriptedClassifier::new().spec().clone();
        spec.people = people;
        spec.ticks = 4;
        Tracker::new(&spec)
    }

    /// A detection whose first number names the person.
    fn detection(name: f32, y: f32, x: f32) -> [f32; LEN] {
        let mut row = [0.0; LEN];
        row[0] = name;
        row[51..56].copy_from_slice(&[y - 0.1, x - 0.05, y + 0.1, x + 0.05, 0.9]);
        row
    }

    fn nobody() -> [f32; LEN] {
        [0.0; LEN]
    }

    fn ring(tracker: &Tracker, place: usize) -> (Vec<f32>, Vec<f32>) {
        let (mut ring, mut mask) = (vec![0.0; 4 * LEN], vec![0.0; 8]);
        tracker.read(place, &mut ring, &mut mask);
        let names = ring.chunks(LEN).map(|row| row[0]).collect();
        (names, mask.chunks(2).map(|pair| pair[1]).collect())
    }

    #[test]
    fn two_people_keep_their_rings_when_the_encoder_swaps_their_order() {
        let mut tracker = tracker(2);
        let (left, right) = (detection(1.0, 0.5, 0.2), detection(2.0, 0.5, 0.8));
        tracker.observe(&[left, right].concat(), 1.0);
        tracker.observe(&[right, left].concat(), 1.0);
        assert_eq!(ring(&tracker, 0).0, [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(ring(&tracker, 1).0, [0.0, 0.0, 2.0, 2.0]);
    }

    #[test]
    fn a_person_lost_for_a_tick_is_found_again() {
        let mut tracker = tracker(2);
        tracker.observe(&[detection(1.0, 0.5, 0.5), nobody()].concat(), 1.0);
        tracker.observe(&[nobody(), nobody()].concat(), 1.0);
        tracker.observe(&[detection(1.0, 0.55, 0.5), nobody()].concat(), 1.0);
        let (names, seen) = ring(&tracker, 0);
        assert_eq!(names, [0.0, 1.0, 0.0, 1.0]);
        assert_eq!(seen, [0.0, 1.0, 0.0, 1.0]);
        assert!(!tracker.is_followed(1));
    }

    #[test]
    fn who_is_not_seen_is_where_they_were_seen_last() {
        let mut tracker = tracker(2);
        tracker.observe(&[detection(1.0, 0.5, 0.5), nobody()].concat(), 1.0);
        tracker.observe(&[detection(2.0, 0.5, 0.5), nobody()].concat(), 1.0);
        tracker.observe(&[nobody(), nobody()].concat(), 1.0);
        tracker.repeat();
        assert_eq!(tracker.newest(0).map(|person| (person.row[0], person.ago)), Some((2.0, 2)));
        assert!(tracker.newest(1).is_none());
    }

    #[test]
    fn somebody_unseen_for_long_is_forgotten() {
        let mut tracker = tracker(1);
        tracker.observe(&detection(1.0, 0.5, 0.5), 1.0);
        for _ in 0..45 {
            tracker.observe(&nobody(), 1.0);
            assert!(tracker.is_followed(0));
        }
        tracker.observe(&nobody(), 1.0);
        assert!(!tracker.is_followed(0));
    }

    #[test]
    fn a_newcomer_takes_the_place_of_the_one_just_missed_when_all_are_taken() {
        let mut tracker = tracker(1);
        tracker.observe(&detection(1.0, 0.2, 0.1), 1.0);
        tracker.observe(&detection(2.0, 0.8, 0.9), 1.0);
        let (names, seen) = ring(&tracker, 0);
        assert_eq!(names, [0.0, 0.0, 0.0, 2.0]);
        assert_eq!(seen, [0.0, 0.0, 0.0, 1.0], "the ring starts anew");
    }

    #[test]
    fn a_faint_detection_goes_on_with_a_person_but_starts_none() {
        let mut tracker = tracker(1);
        let mut faint = detection(1.0, 0.5, 0.5);
        faint[55] = 0.35;
        tracker.observe(&faint, 1.0);
        assert!(!tracker.is_followed(0));
        tracker.observe(&detection(2.0, 0.5, 0.5), 1.0);
        tracker.observe(&faint, 1.0);
        faint[55] = 0.29;
        tracker.observe(&faint, 1.0);
        assert_eq!(ring(&tracker, 0), (vec![0.0, 2.0, 1.0, 0.0], vec![0.0, 1.0, 1.0, 0.0]));
    }

    #[test]
    fn a_person_found_twice_is_one() {
        let mut tracker = tracker(2);
        tracker.observe(&[detection(1.0, 0.5, 0.5), detection(2.0, 0.53, 0.51)].concat(), 1.0);
        assert!(tracker.is_followed(0) && !tracker.is_followed(1));
    }

    #[test]
    fn somebody_lost_takes_over_nobody_who_passes() {
        let mut tracker = tracker(2);
        tracker.observe(&[detection(1.0, 0.5, 0.5), detection(2.0, 0.5, 0.2)].concat(), 1.0);
        tracker.observe(&[detection(1.0, 0.5, 0.4), nobody()].concat(), 1.0);
        tracker.observe(&[detection(1.0, 0.5, 0.29), nobody()].concat(), 1.0);
        assert_eq!(ring(&tracker, 0).0, [0.0, 1.0, 1.0, 1.0]);
        assert_eq!(ring(&tracker, 1).0, [0.0, 2.0, 0.0, 0.0]);
    }
}
