use super::*;
use crate::posture::tests::{person, spec};

/// A room in which `seen` are followed, each by their number.
struct Room {
    fallen: Fallen,
    spec: Spec,
    seen: Vec<(u64, Vec<f32>, usize)>,
}

fn stands(x: f32) -> Vec<f32> {
    person((0.3, x), (0.6, x), 0.9)
}

fn lies(x: f32) -> Vec<f32> {
    person((0.8, x - 0.1), (0.8, x + 0.1), 0.9)
}

impl Room {
    fn new() -> Self {
        let spec = spec();
        Self { fallen: Fallen::new(&spec), spec, seen: Vec::new() }
    }

    /// The alarm about the person of this number, whom the room shows.
    fn fall(&mut self, id: u64) {
        let (id, row, ago) = self.seen.iter().find(|seen| seen.0 == id).unwrap();
        self.fallen.begin(Followed { id: *id, row, ago: *ago });
    }

    fn shows(&mut self, seen: &[(u64, Vec<f32>)]) -> &mut Self {
        self.seen = seen.iter().map(|(id, row)| (*id, row.clone(), 0)).collect();
        self
    }

    /// Whether all are upright after so many ticks, in which those `lost` are followed and not seen.
    fn after(&mut self, ticks: usize, lost: &[u64]) -> bool {
        let mut upright = None;
        for _ in 0..ticks {
            for (id, _, ago) in &mut self.seen {
                *ago = if lost.contains(id) { *ago + 1 } else { 0 };
            }
            let found: Vec<f32> =
                self.seen.iter().filter(|seen| seen.2 == 0).flat_map(|seen| seen.1.iter().copied()).collect();
            let followed = self.seen.iter().map(|(id, row, ago)| Followed { id: *id, row, ago: *ago });
            upright = self.fallen.all_upright(true, &found, followed, &self.spec, |_| false);
        }
        upright.unwrap()
    }
}

#[test]
fn who_gets_up_again_is_up() {
    let mut room = Room::new();
    room.shows(&[(0, lies(0.5))]).fall(0);
    assert!(!room.after(30, &[]));
    assert!(room.shows(&[(0, stands(0.5))]).after(1, &[]), "at once");
    assert!(room.after(30, &[]));
    assert!(!room.shows(&[(0, lies(0.5))]).after(1, &[]), "and down again");
}

#[test]
fn a_carer_beside_the_fallen_ends_nothing() {
    let mut room = Room::new();
    room.shows(&[(0, lies(0.3)), (1, stands(0.8))]).fall(0);
    assert!(!room.after(60, &[]));
    assert!(!room.after(40, &[0]), "the fallen one is lost by the encoder");
    assert!(!room.shows(&[(1, stands(0.8))]).after(600, &[]), "and by the tracker");
    assert!(room.shows(&[(2, stands(0.3))]).after(15, &[]), "somebody stands where the fallen one lay");
    assert!(room.shows(&[(2, stands(0.8))]).after(1, &[]), "and may go");
}

#[test]
fn who_fell_behind_the_sofa_was_never_seen_low() {
    let mut room = Room::new();
    room.shows(&[(0, stands(0.3))]).fall(0);
    room.after(5, &[]);
    room.after(45, &[0]);
    assert!(!room.shows(&[(1, stands(0.8))]).after(60, &[]));
}

#[test]
fn who_walks_past_the_fallen_one_takes_no_alarm_away() {
    let mut room = Room::new();
    room.shows(&[(0, lies(0.3))]).fall(0);
    room.after(2, &[]);
    room.shows(&[(1, stands(0.3))]).after(14, &[]);
    room.shows(&[(1, stands(0.8))]).after(1, &[]);
    room.shows(&[(1, stands(0.3))]).after(14, &[]);
    assert!(!room.shows(&[(1, stands(0.8))]).after(1, &[]));
}

#[test]
fn whom_the_tracker_takes_for_the_fallen_one_must_stand_where_they_lay() {
    let mut room = Room::new();
    room.shows(&[(0, lies(0.3))]).fall(0);
    room.after(2, &[]);
    room.after(20, &[0]);
    assert!(!room.shows(&[(0, stands(0.8))]).after(60, &[]), "after a second somebody else, under the same number");
    let mut room = Room::new();
    room.shows(&[(0, lies(0.3))]).fall(0);
    room.after(2, &[]);
    room.after(5, &[0]);
    assert!(room.shows(&[(0, stands(0.8))]).after(60, &[]), "lost for a moment on the way up");
}

#[test]
fn what_is_too_faint_to_be_followed_is_nobody_upright() {
    let (mut fallen, spec) = (Fallen::new(&spec()), spec());
    let coat = person((0.3, 0.5), (0.5, 0.5), 0.9);
    assert_eq!(fallen.all_upright(true, &coat, std::iter::empty(), &spec, |_| false), Some(false));
    let followed = [Followed { id: 0, row: &coat, ago: 0 }];
    assert_eq!(fallen.all_upright(true, &coat, followed.into_iter(), &spec, |_| false), Some(true));
    let faint = person((0.8, 0.3), (0.8, 0.5), 0.4);
    let both = [coat.clone(), faint].concat();
    assert_eq!(fallen.all_upright(true, &both, followed.into_iter(), &spec, |_| false), Some(false), "a faint low one");
}

#[test]
fn who_rests_may_be_low_and_who_sits_up_in_bed_is_upright() {
    let (mut fallen, spec) = (Fallen::new(&spec()), spec());
    let (stands, lies) = (stands(0.5), lies(0.3));
    let mut all_upright = |rows: &[&Vec<f32>], rests: &dyn Fn(&[f32]) -> bool| {
        let found: Vec<f32> = rows.iter().flat_map(|row| row.iter().copied()).collect();
        let followed = rows.iter().zip(0..).map(|(row, id)| Followed { id, row, ago: 0 });
        fallen.all_upright(true, &found, followed, &spec, rests)
    };
    assert_eq!(all_upright(&[&stands, &lies], &|row| row == lies), Some(true));
    assert_eq!(all_upright(&[&lies, &lies], &|_| true), Some(false), "nobody is upright");
    assert_eq!(all_upright(&[&stands, &stands], &|_| true), Some(true));
}

#[test]
fn an_alarm_that_is_over_is_forgotten() {
    let mut room = Room::new();
    room.shows(&[(0, lies(0.3))]).fall(0);
    room.after(2, &[]);
    room.fallen.end();
    assert!(room.shows(&[(1, stands(0.8))]).after(1, &[]));
}

#[test]
fn a_model_without_keypoints_says_nothing() {
    use crate::classifier::Classifier;
    use crate::classifier::scripted::ScriptedClassifier;
    let spec = ScriptedClassifier::new().spec().clone();
    assert_eq!(Fallen::new(&spec).all_upright(true, &[], std::iter::empty(), &spec, |_| false), None);
}
