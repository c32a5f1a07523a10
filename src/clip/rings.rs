//! What was said of the last ticks of one camera: a ring for the scene and one for everybody followed.

use super::{Movement, Rows};
use crate::classifier::{Scoring, Spec};
use crate::frame::Size;
use crate::tracker::{Followed, Tracker};

/// The rings of one camera.
#[derive(Debug)]
pub struct Rings {
    scene: Rows,
    exists: Rows,
    people: Tracker,
    ticks: usize,
    capacity: usize,
    min_ticks: usize,
    scene_row: bool,
}

impl Rings {
    /// Empty rings for the model's shapes.
    pub fn new(spec: &Spec) -> Self {
        Self {
            scene: Rows::new(spec.ticks, spec.scene_len),
            exists: Rows::new(spec.ticks, 1),
            people: Tracker::new(spec),
            ticks: 0,
            capacity: spec.ticks,
            min_ticks: spec.min_ticks,
            scene_row: spec.scene_row,
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.scene.clear();
        self.exists.clear();
        self.people.clear();
        self.ticks = 0;
    }

    /// Becomes as `other`, which is of the same model, and goes its own way from there on.
    pub fn copy_from(&mut self, other: &Self) {
        self.scene.copy_from(&other.scene);
        self.exists.copy_from(&other.exists);
        self.people.copy_from(&other.people);
        self.ticks = other.ticks;
    }

    /// Adds what was said of one tick, of pictures of `size`: `people` is f32 `[P, F]`, `scene` f32 `[G]`. The `bridged` ticks
    /// before it repeat the last entry.
    pub fn push(&mut self, bridged: u32, people: &[f32], scene: &[f32], size: Size) {
        for _ in 0..bridged {
            self.scene.repeat();
            self.exists.repeat();
            self.people.repeat();
            self.ticks += 1;
        }
        self.scene.push(scene);
        self.exists.push(&[1.0]);
        self.people.observe(people, size.aspect());
        self.ticks = (self.ticks + 1).min(self.capacity);
    }

    /// True once there are enough ticks to score.
    pub fn ready(&self) -> bool {
        self.ticks >= self.min_ticks
    }

    /// Adds these rings' rows to `rows`: the scene by itself if the model wants it, then each person followed.
    /// Returns how many were added.
    pub fn rows(&self, rows: &mut Scoring) -> usize {
        let before = rows.len;
        if self.scene_row {
            self.row(rows, None);
        }
        for person in self.followed() {
            self.row(rows, Some(person));
        }
        rows.len - before
    }

    /// Whom each of [`rows`](Self::rows) is about, in their order, and nobody for the scene.
    pub fn newest(&self) -> impl Iterator<Item = Option<Followed<'_>>> {
        self.scene_row.then_some(None).into_iter().chain(self.followed().map(|person| self.people.newest(person)))
    }

    /// Everybody followed.
    pub fn people(&self) -> impl Iterator<Item = Followed<'_>> + Clone {
        self.followed().filter_map(|person| self.people.newest(person))
    }

    /// How everybody followed moved, and the ticks held. None where nobody is followed, or the model does not tell bodies.
    pub(super) fn movements(&self, spec: &Spec) -> Option<(Vec<Movement>, usize)> {
        if !spec.has_bodies() {
            return None;
        }
        let missing = self.capacity - self.ticks;
        let take = |person: usize| {
            let (mut rows, mut mask) = (vec![0.0; self.people.ring_len()], vec![0.0; self.capacity * 2]);
            self.people.read(person, &mut rows, &mut mask);
            let seen = mask.chunks_exact(2).skip(missing).map(|pair| pair[1] > 0.0).collect();
            Movement::new(rows.split_off(missing * spec.person_len), seen)
        };
        let people: Vec<Movement> = self.followed().map(take).collect();
        (!people.is_empty()).then_some((people, self.ticks))
    }

    fn followed(&self) -> impl Iterator<Item = usize> + Clone {
        (0..self.people.places()).filter(|person| self.people.is_followed(*person))
    }

    fn row(&self, rows: &mut Scoring, person: Option<usize>) {
        fn nth(data: &mut [f32], index: usize, length: usize) -> &mut [f32] {
            &mut data[index * length..(index + 1) * length]
        }
        let index = rows.len;
        let scene = self.scene.data.len();
        self.scene.read(nth(&mut rows.scene, index, scene));
        let place = nth(&mut rows.person, index, self.people.ring_len());
        let mask = nth(&mut rows.mask, index, self.capacity * 2);
        mask.fill(0.0);
        match person {
            Some(person) => self.people.read(person, place, mask),
            None => place.fill(0.0),
        }
        self.exists.read_strided(mask, 2, 0);
        rows.len += 1;
    }
}
