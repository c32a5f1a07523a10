use super::*;
use crate::posture::tests::{person, spec};

/// A room in which `seen` are followed, each by their number.
struct Room {
    fallen: Fallen,
    spec: Spec,
    seen: Vec<(u64, Vec<f32>, usize)>,
    /// From one picture to the next.
    ticks: u32,
}

/// With the head straight away from the camera: looks upright.
fn lies_away(x: f32) -> Vec<f32> {
    person((0.6, x), (0.75, x), 0.9)
}

fn stands(x: f32) -> Vec<f32> {
    person((0.3, x), (0.75, x), 0.9)
}

/// Their trunk is not seen.
fn hidden(x: f32) -> Vec<f32> {
    let mut row = stands(x);
    for joint in [5, 6] {
        row[3 * joint + 2] = 0.0;
    }
    row
}

fn lies(x: f32) -> Vec<f32> {
    person((0.8, x - 0.1), (0.8, x + 0.1), 0.9)
}

impl Room {
    fn new() -> Self {
        let spec = spec();
        Self { fallen: Fallen::new(&spec), spec, seen: Vec::new(), ticks: 1 }
    }

    /// The person of this number, whom the room shows, falls.
    fn fall(&mut self, id: u64) {
        let (id, row, ago) = self.seen.iter().find(|seen| seen.0 == id).unwrap();
        self.fallen.falls(Followed { id: *id, row, ago: *ago });
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
            let seen = Seen { detections: &found, followed, ticks: self.ticks };
            upright = self.fallen.all_upright(true, seen, &self.spec, |_| false);
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
    assert!(!room.shows(&[(2, stands(0.3))]).after(29, &[]), "somebody stands where the fallen one lay");
    assert!(room.after(1, &[]), "long enough");
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
    // Behind them for as long as you like, and through their place for less than two seconds, again and again.
    assert!(!room.shows(&[(1, person((0.1, 0.3), (0.55, 0.3), 0.9))]).after(100, &[]));
    for _ in 0..5 {
        room.shows(&[(1, stands(0.3))]).after(29, &[]);
        assert!(!room.shows(&[(1, stands(0.8))]).after(10, &[]));
    }
}

#[test]
fn whom_the_tracker_takes_for_the_fallen_one_must_stand_where_they_lay() {
    let after_away = |ticks: usize, first: Vec<f32>| {
        let mut room = Room::new();
        room.shows(&[(0, lies(0.3))]).fall(0);
        room.after(30, &[]);
        room.after(ticks, &[0]);
        room.shows(&[(0, first)]).after(1, &[]);
        room.shows(&[(0, stands(0.8))]).after(60, &[])
    };
    assert!(!after_away(20, stands(0.8)), "after a second somebody else, under the same number");
    assert!(!after_away(20, hidden(0.8)), "at first only a part of them");
    assert!(after_away(5, stands(0.8)), "lost for a moment on the way up");
}

#[test]
fn who_lies_with_the_head_straight_away_from_the_camera_has_not_got_up() {
    let mut room = Room::new();
    room.shows(&[(0, lies_away(0.5))]).fall(0);
    assert!(!room.after(100, &[]), "looks upright, and has not moved");
    room.after(60, &[0]);
    assert!(!room.shows(&[(1, lies_away(0.5))]).after(100, &[]), "nor has who is found there again");
    assert!(room.shows(&[(1, stands(0.5))]).after(1, &[]));
}

#[test]
fn who_walks_through_the_place_of_the_lost_one_is_not_taken_for_them() {
    let mut room = Room::new();
    room.shows(&[(0, lies_away(0.5))]).fall(0);
    room.after(30, &[]);
    room.shows(&[(1, stands(0.5))]).after(14, &[]);
    assert!(!room.shows(&[(1, stands(0.8))]).after(60, &[]));
    assert!(!room.shows(&[]).after(60, &[]));
    room.shows(&[(2, lies_away(0.5))]).after(30, &[]);
    assert!(room.shows(&[(2, stands(0.5))]).after(1, &[]), "the place is where it was");
}

#[test]
fn who_bends_over_the_lost_one_is_not_taken_for_them() {
    let mut room = Room::new();
    room.shows(&[(0, lies(0.3))]).fall(0);
    room.after(30, &[]);
    room.shows(&[(1, person((0.65, 0.4), (0.7, 0.55), 0.9))]).after(10, &[]);
    assert!(!room.shows(&[(1, stands(0.5))]).after(60, &[]));
}

#[test]
fn who_is_seen_low_for_a_moment_holds_up_nobody() {
    let mut room = Room::new();
    room.shows(&[(0, lies(0.3)), (1, stands(0.8))]).fall(0);
    room.after(30, &[]);
    assert!(!room.shows(&[(0, stands(0.3)), (1, person((0.6, 0.7), (0.65, 0.85), 0.9))]).after(14, &[]));
    assert!(room.shows(&[(0, stands(0.3)), (1, person((0.5, 0.8), (0.65, 0.8), 0.9))]).after(1, &[]));
    room.shows(&[(0, stands(0.3)), (1, lies(0.8))]).after(20, &[]);
    assert!(!room.shows(&[(0, stands(0.3))]).after(1, &[]), "for a second: somebody else is down");
}

#[test]
fn a_slow_camera_takes_as_long() {
    let mut room = Room::new();
    room.ticks = 3;
    room.shows(&[(0, lies(0.3))]).fall(0);
    room.after(10, &[]);
    assert!(!room.shows(&[(1, stands(0.3))]).after(10, &[]));
    assert!(room.after(1, &[]), "31 ticks");
}

#[test]
fn who_was_never_seen_low_is_up_when_they_walk() {
    let mut room = Room::new();
    room.shows(&[(0, stands(0.35))]).fall(0);
    assert!(!room.after(30, &[]), "may lie there");
    assert!(room.shows(&[(0, stands(0.6))]).after(1, &[]));
}

#[test]
fn who_bends_down_on_the_way_up_is_up_from_there() {
    let mut room = Room::new();
    room.shows(&[(0, lies(0.3))]).fall(0);
    room.after(30, &[]);
    assert!(room.shows(&[(0, stands(0.3))]).after(20, &[]));
    room.shows(&[(0, person((0.6, 0.2), (0.65, 0.35), 0.9))]).after(1, &[]);
    assert!(room.shows(&[(0, stands(0.3))]).after(1, &[]));
}

#[test]
fn glimpses_of_somebody_upright_do_not_add_up() {
    let mut room = Room::new();
    room.shows(&[(0, lies(0.3))]).fall(0);
    room.after(30, &[]);
    for _ in 0..20 {
        assert!(room.shows(&[(0, stands(0.3))]).after(10, &[]));
        room.shows(&[(0, hidden(0.3))]).after(1, &[]);
    }
    assert!(!room.shows(&[(1, stands(0.8))]).after(60, &[]));
}

#[test]
fn whoever_falls_again_is_remembered_anew() {
    let mut room = Room::new();
    room.shows(&[(0, lies(0.3))]).fall(0);
    room.after(30, &[]);
    assert!(room.shows(&[(0, stands(0.3))]).after(15, &[]));
    room.fall(0);
    assert!(!room.shows(&[(1, stands(0.8))]).after(60, &[]), "behind the sofa");
}

#[test]
fn who_gets_up_and_falls_elsewhere_lies_there() {
    let mut room = Room::new();
    room.shows(&[(0, lies(0.3))]).fall(0);
    room.after(30, &[]);
    assert!(room.shows(&[(0, stands(0.3))]).after(10, &[]));
    room.shows(&[(0, lies_away(0.8))]).fall(0);
    assert!(!room.after(100, &[]), "with the head straight away from the camera");
}

#[test]
fn one_who_is_lost_and_found_again_and_again_leaves_one_place() {
    let mut room = Room::new();
    room.shows(&[(0, lies(0.3))]).fall(0);
    for id in 1..9 {
        room.shows(&[(id, stands(0.8))]).after(50, &[]);
        room.shows(&[(10 + id, lies(0.31))]).after(20, &[]);
    }
    assert!(room.shows(&[(18, stands(0.31))]).after(1, &[]));
}

#[test]
fn of_too_many_those_who_came_first_are_remembered() {
    let mut room = Room::new();
    let places = [0.0, 0.3, 0.6, 0.9, 1.2, 1.5];
    for (id, x) in (0..).zip(places) {
        room.shows(&[(id, lies(x))]).fall(id);
        room.shows(&[]).after(1, &[]);
    }
    let up = places.map(|x| room.shows(&[(9, stands(x))]).after(30, &[]));
    assert_eq!(up, [false, false, false, true, true, true], "four of them");
}

#[test]
fn what_is_too_faint_to_be_followed_is_nobody_upright() {
    let (mut fallen, spec) = (Fallen::new(&spec()), spec());
    let coat = person((0.3, 0.5), (0.5, 0.5), 0.9);
    let mut all_upright = |detections: &[f32], followed: &[Followed<'_>]| {
        let seen = Seen { detections, followed: followed.iter().copied(), ticks: 1 };
        fallen.all_upright(true, seen, &spec, |_| false)
    };
    assert_eq!(all_upright(&coat, &[]), Some(false));
    let followed = [Followed { id: 0, row: &coat, ago: 0 }];
    assert_eq!(all_upright(&coat, &followed), Some(true));
    let faint = person((0.8, 0.3), (0.8, 0.5), 0.4);
    assert_eq!(all_upright(&[coat.clone(), faint].concat(), &followed), Some(false), "a faint low one");
}

#[test]
fn who_rests_may_be_low_and_who_sits_up_in_bed_is_upright() {
    let (mut fallen, spec) = (Fallen::new(&spec()), spec());
    let (stands, lies) = (stands(0.5), lies(0.3));
    let mut all_upright = |rows: &[&Vec<f32>], rests: &dyn Fn(&[f32]) -> bool| {
        let found: Vec<f32> = rows.iter().flat_map(|row| row.iter().copied()).collect();
        let followed = rows.iter().zip(0..).map(|(row, id)| Followed { id, row, ago: 0 });
        fallen.all_upright(true, Seen { detections: &found, followed, ticks: 1 }, &spec, rests)
    };
    assert_eq!(all_upright(&[&stands, &lies], &|row| row == lies), Some(true));
    assert_eq!(all_upright(&[&lies, &lies], &|_| true), Some(false), "nobody is upright");
    assert_eq!(all_upright(&[&stands, &stands], &|_| true), Some(true));
}

#[test]
fn who_is_helped_back_into_a_marked_bed_is_down_no_more() {
    let mut room = Room::new();
    room.shows(&[(0, lies(0.3)), (1, stands(0.8))]).fall(0);
    assert!(!room.after(60, &[]));
    let (bed, carer) = (lies(0.5), stands(0.8));
    let found = [bed.clone(), carer.clone()].concat();
    let followed = [(0, &bed), (1, &carer)].map(|(id, row)| Followed { id, row, ago: 0 });
    let seen = Seen { detections: &found, followed: followed.into_iter(), ticks: 1 };
    assert_eq!(room.fallen.all_upright(true, seen, &room.spec, |row| row == bed), Some(true));
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
    let seen = Seen { detections: &[], followed: std::iter::empty(), ticks: 1 };
    assert_eq!(Fallen::new(&spec).all_upright(true, seen, &spec, |_| false), None);
}
