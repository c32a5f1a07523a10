//! Who went down and has not been seen to get up: while there is such a person, no alarm of a fall ends by itself.
//!
//! A low score says nothing, since a fall leaves the model's clip after four seconds. Nor does somebody upright: whoever lies
//! is often lost by the encoder, which finds the one who comes in. So from the alarm on it is remembered who
//! fell and who was seen low, also when the tracker follows them no longer; then their place is left, and somebody's feet have to stand
//! in it for a while. Only people who are followed can be upright: what is found faintly and starts nobody may be a chair. What is found
//! low keeps the alarm however faint it is, for the encoder's lying bodies are.
//!
//! The price: who is lost while down, and is found again elsewhere, has to be acknowledged. What this cannot know: who was down before a
//! restart.

use crate::body;
use crate::classifier::Spec;
use crate::posture::{self, Posture};
use crate::tracker::Followed;

/// After so long upright without a break nobody is taken for down any more.
const UP_S: f64 = 1.0;
/// So long must somebody stand where one was lost: whoever walks past a place has left it before.
const THERE_S: f64 = 2.0;
/// Who comes back after longer may be somebody else whom the tracker took for them.
const AWAY_S: f64 = 0.5;

/// Somebody who went down.
#[derive(Debug, Clone, Copy)]
struct Down {
    /// Nobody once they are followed no longer: then `bounds` is the place where they were.
    who: Option<u64>,
    bounds: [f32; 4],
    /// For how many ticks they have not been seen.
    away: usize,
    /// For how many ticks they have been upright, or somebody has stood in the place.
    upright: u32,
    /// Nothing speaks against their being up at this tick.
    up: bool,
}

/// Those who are down at one camera. Does not allocate after [`Fallen::new`].
#[derive(Debug)]
pub struct Fallen {
    down: Vec<Down>,
    most: usize,
    limits: Limits,
}

/// In ticks.
#[derive(Debug, Clone, Copy)]
struct Limits {
    up: u32,
    there: u32,
    away: usize,
}

/// One tick as the encoder saw it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a, People> {
    /// What was found, f32 `[P, F]`.
    pub detections: &'a [f32],
    /// Who is followed.
    pub followed: People,
    /// Ticks since the last one, bridged ones among them.
    pub ticks: u32,
}

impl Fallen {
    /// Nobody is down.
    pub fn new(spec: &Spec) -> Self {
        // As many as are followed at once, and as many who no longer are.
        let most = 2 * spec.people;
        let ticks = |seconds: f64| (seconds * spec.rate_hz).round().max(1.0);
        let limits = Limits { up: ticks(UP_S) as u32, there: ticks(THERE_S) as u32, away: ticks(AWAY_S) as usize };
        Self { down: Vec::with_capacity(most), most, limits }
    }

    /// An alarm is open in which `who` falls at this tick, whatever they look like.
    pub fn falls(&mut self, who: Followed<'_>) {
        self.add(who);
    }

    /// No alarm is open any more.
    pub fn end(&mut self) {
        self.down.clear();
    }

    /// True if everybody who could be down is seen upright, and somebody is; those whom `rests` names may be low. `alarm`: one
    /// is open. `None` if the model does not tell bodies.
    pub fn all_upright<'a>(
        &mut self,
        alarm: bool,
        seen: Seen<'_, impl Iterator<Item = Followed<'a>> + Clone>,
        spec: &Spec,
        rests: impl Fn(&[f32]) -> bool,
    ) -> Option<bool> {
        if !spec.has_bodies() {
            return None;
        }
        let Seen { detections, followed, ticks } = seen;
        let is_low = |row: &[f32]| posture::of(row, spec) == Posture::Low && !rests(row);
        let is_found = |row: &&[f32]| body::score(row) >= spec.tracker.min_score;
        let low = detections.chunks_exact(spec.person_len).filter(is_found).any(is_low);
        let here = followed.clone().filter(|person| person.ago == 0);
        let upright = here.clone().any(|person| posture::of(person.row, spec) == Posture::Upright);
        if alarm {
            here.filter(|person| is_low(person.row)).for_each(|person| self.add(person));
        }
        let limits = self.limits;
        self.down.retain_mut(|down| down.look(followed.clone(), ticks, limits, spec, &rests));
        Some(upright && !low && self.down.iter().all(|down| down.up))
    }

    fn add(&mut self, Followed { id, row, ago }: Followed<'_>) {
        let bounds = body::bounds(row);
        let fresh = Down { who: Some(id), bounds, away: ago, upright: 0, up: false };
        let own = self.down.iter().position(|down| down.who == Some(id));
        // Who is found again where somebody was lost is that one, or one lying person would leave place after place.
        let lost = || self.down.iter().position(|down| down.who.is_none() && meet(down.bounds, bounds));
        match own.or_else(lost) {
            Some(known) => self.down[known] = fresh,
            None => {
                if self.down.len() == self.most {
                    let oldest = self.down.iter().position(|down| down.who.is_none()).unwrap_or(0);
                    self.down.remove(oldest);
                }
                self.down.push(fresh);
            }
        }
    }
}

impl Down {
    /// Takes one tick in; false once they are down no more.
    fn look<'a>(
        &mut self,
        mut followed: impl Iterator<Item = Followed<'a>> + Clone,
        ticks: u32,
        limits: Limits,
        spec: &Spec,
        rests: &impl Fn(&[f32]) -> bool,
    ) -> bool {
        let is_up = |person: &Followed<'_>| {
            let up = || posture::of(person.row, spec) == Posture::Upright;
            person.ago == 0 && (up() || rests(person.row))
        };
        let own = followed.clone().find(|person| self.who == Some(person.id));
        let another = |person: &Followed<'_>| {
            person.ago == 0 && self.away > limits.away && !meet(self.bounds, body::bounds(person.row))
        };
        let (standing, long) = match own.filter(|person| !another(person)) {
            Some(person) => {
                self.away = person.ago;
                if person.ago == 0 {
                    self.bounds = body::bounds(person.row);
                }
                (is_up(&person), limits.up)
            }
            None => {
                self.who = None;
                let there = |person: Followed<'_>| is_up(&person) && holds(self.bounds, feet(body::bounds(person.row)));
                (followed.any(there), limits.there)
            }
        };
        self.upright = if standing { self.upright + ticks } else { 0 };
        // Who is followed is believed at once; in a place it takes all that time.
        self.up = standing && self.who.is_some();
        self.upright < long
    }
}

/// Where a box stands, `[y, x]`.
fn feet([_, left, bottom, right]: [f32; 4]) -> [f32; 2] {
    [bottom, (left + right) / 2.0]
}

/// True if a point is in a box, or so near below it as somebody stands whose lying body filled it.
fn holds([top, left, bottom, right]: [f32; 4], [y, x]: [f32; 2]) -> bool {
    let near = NEAR * (bottom - top).max(right - left);
    (top..=bottom + near).contains(&y) && (left..=right).contains(&x)
}

/// Of a place's longer side.
const NEAR: f32 = 0.25;

/// True if two boxes share something.
fn meet(a: [f32; 4], b: [f32; 4]) -> bool {
    (0..2).all(|axis| a[axis].max(b[axis]) < a[axis + 2].min(b[axis + 2]))
}

#[cfg(test)]
mod tests;
