//! Who went down and has not been seen to get up: while there is such a person, no alarm of a fall ends by itself.
//!
//! A low score says nothing, since a fall leaves the model's clip after four seconds. Nor does somebody upright: whoever lies
//! is often lost by the encoder, which finds the one who comes in. So from the alarm on it is remembered who
//! fell and who was seen low, also when the tracker follows them no longer; then their place is left, and somebody has to be
//! upright there. Only people who are followed can be upright: what is found faintly and starts nobody may be a chair. What is found
//! low keeps the alarm however faint it is, for the encoder's lying bodies are.
//!
//! The price: who is lost while down, and is found again elsewhere, has to be acknowledged.

use crate::body;
use crate::classifier::Spec;
use crate::posture::{self, Posture};
use crate::tracker::Followed;

/// After so long upright nobody is taken for down any more.
const UP_S: f64 = 1.0;
/// Who comes back after longer may be somebody else whom the tracker took for them.
const AWAY_S: f64 = 0.5;

/// Somebody who went down.
#[derive(Debug, Clone, Copy)]
struct Down {
    /// Nobody once they are followed no longer: then somebody has to be upright where they were.
    who: Option<u64>,
    bounds: [f32; 4],
    /// For how many ticks they have not been seen.
    away: usize,
    /// Ticks in which they, or at their place somebody, were seen upright since they were seen low.
    upright: u32,
    /// Seen upright at this tick.
    up: bool,
}

/// Those who are down at one camera. Does not allocate after [`Fallen::new`].
#[derive(Debug)]
pub struct Fallen {
    down: Vec<Down>,
    most: usize,
    up_ticks: u32,
    away_ticks: usize,
}

impl Fallen {
    /// Nobody is down.
    pub fn new(spec: &Spec) -> Self {
        // As many as are followed at once, and as many who no longer are.
        let most = 2 * spec.people;
        let ticks = |seconds: f64| (seconds * spec.rate_hz).round().max(1.0);
        Self { down: Vec::with_capacity(most), most, up_ticks: ticks(UP_S) as u32, away_ticks: ticks(AWAY_S) as usize }
    }

    /// An alarm begins: `who` fell, whatever they look like.
    pub fn begin(&mut self, who: Followed<'_>) {
        self.add(who);
    }

    /// No alarm is open any more.
    pub fn end(&mut self) {
        self.down.clear();
    }

    /// One tick, in which the encoder found `detections`, f32 `[P, F]`, and so the people `followed`; `alarm` if one is open.
    /// True if everybody who could be down is seen upright, and somebody is; those whom `rests` names may be low. `None` if
    /// the model does not tell bodies.
    pub fn all_upright<'a>(
        &mut self,
        alarm: bool,
        detections: &[f32],
        followed: impl Iterator<Item = Followed<'a>> + Clone,
        spec: &Spec,
        rests: impl Fn(&[f32]) -> bool,
    ) -> Option<bool> {
        if !spec.has_bodies() {
            return None;
        }
        let is_low = |row: &[f32]| posture::of(row, spec) == Posture::Low && !rests(row);
        let is_found = |row: &&[f32]| body::score(row) >= spec.tracker.min_score;
        let low = detections.chunks_exact(spec.person_len).filter(is_found).any(is_low);
        let seen = followed.clone().filter(|person| person.ago == 0);
        let upright = seen.clone().any(|person| posture::of(person.row, spec) == Posture::Upright);
        if alarm {
            seen.filter(|person| is_low(person.row)).for_each(|person| self.add(person));
        }
        let (up_ticks, away_ticks) = (self.up_ticks, self.away_ticks);
        self.down.retain_mut(|down| {
            down.look(followed.clone(), away_ticks, spec);
            down.upright < up_ticks
        });
        Some(upright && !low && self.down.iter().all(|down| down.up))
    }

    fn add(&mut self, Followed { id, row, ago }: Followed<'_>) {
        let known = self.down.iter().any(|down| down.who == Some(id));
        if !known && self.down.len() < self.most {
            self.down.push(Down { who: Some(id), bounds: body::bounds(row), away: ago, upright: 0, up: false });
        }
    }
}

impl Down {
    fn look<'a>(&mut self, mut followed: impl Iterator<Item = Followed<'a>> + Clone, away_ticks: usize, spec: &Spec) {
        let own = followed.clone().find(|person| self.who == Some(person.id));
        let is_up = |person: &Followed<'_>| person.ago == 0 && posture::of(person.row, spec) == Posture::Upright;
        match own {
            Some(person)
                if !(is_up(&person) && self.away > away_ticks && !meet(self.bounds, body::bounds(person.row))) =>
            {
                self.up = is_up(&person);
                if person.ago == 0 {
                    self.bounds = body::bounds(person.row);
                }
                self.away = person.ago;
                if person.ago == 0 && posture::of(person.row, spec) == Posture::Low {
                    self.upright = 0;
                }
            }
            _ => {
                self.who = None;
                self.up = followed.any(|person| is_up(&person) && meet(self.bounds, body::bounds(person.row)));
                if !self.up {
                    // Whoever walks past is not there for long.
                    self.upright = 0;
                }
            }
        }
        self.upright += u32::from(self.up);
    }
}

/// True if two boxes share something.
fn meet(a: [f32; 4], b: [f32; 4]) -> bool {
    (0..2).all(|axis| a[axis].max(b[axis]) < a[axis + 2].min(b[axis + 2]))
}

#[cfg(test)]
mod tests;
