//! Each test is a person.

use super::{MODEL, RATE, Room, tick_time};
use falld::config::PolicyConfig;
use falld::event::Class;
use falld::event::EventType::{Acknowledged, Climb, ClimbEnded, Fall, LongLie, Recovered};
use falld::event::policy::{ClassModel, Policy, PolicyModel, RECOVERED_HOLD, Score, Scores, State};

#[test]
fn sits_down_hard_and_gets_up() {
    let mut room = Room::new();
    // Five high scores: one fewer than an alarm needs.
    room.fall(60.0, 0.02).fall(5.0 / RATE, 0.9);
    assert_eq!(room.policy.state(), State::Suspect);
    room.fall(60.0, 0.1);
    assert_eq!((room.events(), room.policy.state()), (vec![], State::Clear));
}

#[test]
fn lies_down_on_the_bed() {
    let mut room = Room::new();
    // The model wavers while somebody lies down slowly, then sees that they lie where people lie.
    for _ in 0..20 {
        room.fall(0.2, 0.55).fall(1.0 / RATE, 0.7).fall(0.3, 0.4);
    }
    room.fall(8.0 * 3600.0, 0.25);
    assert_eq!((room.events(), room.policy.state()), (vec![], State::Clear));
}

#[test]
fn falls_and_stays_on_the_floor() {
    let mut room = Room::new();
    room.fall(10.0, 0.02).fall(40.0, 0.9);
    let down = 10.0 + 6.0 / RATE;
    assert_eq!(room.events(), [Fall, LongLie]);
    assert!((room.told[0].0 - down).abs() < 1e-6, "the sixth high score raises the alarm: {:?}", room.told);
    assert!((room.told[1].0 - down - 30.0).abs() < 0.07, "thirty seconds later it is a long lie: {:?}", room.told);
    assert_eq!(room.policy.state(), State::LongLie);
    room.fall(3600.0, 0.9);
    assert_eq!(room.events(), [Fall, LongLie], "one long lie for each fall");
}

#[test]
fn falls_before_a_slow_camera() {
    let mut room = Room::new();
    // 7.5 pictures a second: the clip bridges each second tick.
    room.scores_each(2, 10.0, 0.02, 0.0).scores_each(2, 4.0, 0.9, 0.0);
    assert_eq!(room.events(), [Fall]);
    let down = 10.0 + 8.0 / RATE;
    assert!((room.told[0].0 - down).abs() < 1e-6, "the fourth picture ends seven high ticks: {:?}", room.told);
    room.scores_each(2, 4.0, 0.05, 0.0);
    assert_eq!(room.events(), [Fall, Recovered], "and two seconds clear it");
}

#[test]
fn a_slow_camera_wavers() {
    let mut room = Room::new();
    // Each second score is high, 0.2 s apart: no tick between two of them is.
    for _ in 0..200 {
        room.scores_each(3, 0.2, 0.9, 0.0).scores_each(3, 0.2, 0.4, 0.0);
    }
    assert_eq!(room.events(), []);
}

#[test]
fn falls_and_gets_up_again() {
    let mut room = Room::new();
    room.fall(10.0, 0.02).fall(5.0, 0.9).fall(1.7, 0.05);
    assert_eq!(room.policy.state(), State::Down, "not yet nine tenths of two seconds");
    room.fall(0.2, 0.05);
    assert_eq!((room.events(), room.policy.state()), (vec![Fall, Recovered], State::Recovered));
    room.fall(RECOVERED_HOLD.as_secs_f64(), 0.05);
    assert_eq!((room.events(), room.policy.state()), (vec![Fall, Recovered], State::Clear));
}

#[test]
fn lies_still_after_the_fall_has_left_the_clip() {
    let mut room = Room::new();
    room.fall(10.0, 0.02).upright(false).fall(4.0, 0.9).fall(60.0, 0.05);
    assert_eq!(room.events(), [Fall, LongLie], "a low score is no sign that somebody got up");
    room.upright(true).fall(2.0, 0.05);
    assert_eq!(room.events(), [Fall, LongLie, Recovered]);
}

#[test]
fn another_falls_in_a_room_where_nobody_was_seen_getting_up() {
    let mut room = Room::with(&PolicyConfig { long_lie_s: 3600.0, ..PolicyConfig::default() });
    room.upright(false).fall(10.0, 0.02).fall(4.0, 0.9).fall(60.0, 0.05).fall(4.0, 0.9);
    assert_eq!(room.events(), [Fall, Fall], "the old alarm does not hide the new fall");
    room.fall(10.0, 0.05).upright(true).fall(2.0, 0.05);
    assert_eq!(room.events(), [Fall, Fall, Recovered]);
    assert_eq!(room.first, [true, false, false], "one incident, which that ends");
}

#[test]
fn carer_acknowledges_and_helps_the_person_out_of_the_picture() {
    let mut room = Room::new();
    room.fall(10.0, 0.02).upright(false).fall(4.0, 0.9).acknowledge().fall(3.0, 0.05);
    assert_eq!(room.events(), [Fall, Acknowledged, Recovered], "nobody need be seen after that");
}

#[test]
fn a_flicker_neither_clears_nor_raises() {
    let mut room = Room::new();
    room.fall(5.0, 0.9);
    for _ in 0..10 {
        room.fall(1.5, 0.05).fall(0.5, 0.5);
    }
    assert_eq!(room.policy.state(), State::Down);
    room.fall(1.0, 0.05).fall(1.0 / RATE, 0.9).fall(1.0, 0.05);
    assert_eq!(room.policy.state(), State::Recovered, "one odd score does not keep an alarm alive either");
}

#[test]
fn camera_dies_while_person_is_down() {
    let mut room = Room::new();
    room.fall(5.0, 0.9).lose_camera().away(20.0);
    assert_eq!((room.events(), room.policy.state()), (vec![Fall], State::Down));
    room.away(20.0);
    assert_eq!((room.events(), room.policy.state()), (vec![Fall, LongLie], State::LongLie));
    room.away(24.0 * 3600.0);
    assert_eq!((room.events(), room.policy.state()), (vec![Fall, LongLie], State::LongLie));
    room.fall(3.0, 0.01);
    assert_eq!((room.events(), room.policy.state()), (vec![Fall, LongLie, Recovered], State::Recovered));
}

#[test]
fn camera_dies_while_somebody_may_be_falling() {
    let mut room = Room::new();
    room.fall(4.0 / RATE, 0.9);
    assert_eq!(room.policy.state(), State::Suspect);
    room.lose_camera();
    assert_eq!(room.policy.state(), State::Clear);
    room.away(0.5).fall(5.0 / RATE, 0.9);
    assert_eq!(room.events(), [], "scores from before and after a gap do not add up");
    room.fall(1.0 / RATE, 0.9);
    assert_eq!(room.events(), [Fall]);
}

#[test]
fn a_gap_tears_the_window_even_if_nobody_reports_it() {
    let mut room = Room::new();
    room.fall(4.0 / RATE, 0.9);
    room.tick += 30;
    room.fall(4.0 / RATE, 0.9);
    assert_eq!(room.events(), []);
}

#[test]
fn falls_again_during_the_cooldown() {
    let mut room = Room::new();
    room.fall(5.0, 0.9).fall(3.0, 0.05).fall(4.0, 0.9);
    assert_eq!(room.events(), [Fall, Recovered]);
    assert_eq!(room.policy.state(), State::Down, "the state is right although the alert is held back");
    room.fall(25.0, 0.9);
    assert_eq!(room.events(), [Fall, Recovered, Fall], "still down when the cooldown ends: the alert is made good");
    assert!((room.told[2].0 - room.told[0].0 - 30.0).abs() < 0.07);
}

#[test]
fn falls_and_gets_up_twice_during_the_cooldown() {
    let mut room = Room::new();
    room.fall(5.0, 0.9).fall(3.0, 0.05).fall(4.0, 0.9).fall(60.0, 0.05);
    assert_eq!(room.events(), [Fall, Recovered], "nobody was told of the second fall, so nobody is told of its end");
    assert_eq!(room.policy.state(), State::Clear);
}

#[test]
fn an_owed_alert_without_fresh_scores_is_told_by_its_long_lie() {
    let mut room = Room::new();
    room.fall(5.0, 0.9).fall(3.0, 0.05).fall(1.0, 0.9).fall(60.0, 0.5);
    assert_eq!(room.events(), [Fall, Recovered, LongLie]);
}

#[test]
fn child_climbs_down_again() {
    let mut room = Room::new();
    room.scores(5.0, 0.02, 0.05).scores(3.0, 0.02, 0.9);
    assert_eq!((room.events(), room.policy.state()), (vec![Climb], State::Climbing));
    room.scores(3.0, 0.02, 0.05);
    assert_eq!((room.events(), room.policy.state()), (vec![Climb, ClimbEnded], State::Clear));
}

/// Whoever is at a marked place scores as a climb, and this model wants 20 of 24 of those.
fn room_with_places() -> Room {
    let model = PolicyModel { climb: ClassModel { k: 20, n: 24, ..MODEL.climb }, ..MODEL };
    Room { policy: Policy::new(&model, RATE, &PolicyConfig::default()), ..Room::new() }
}

impl Room {
    fn at(&mut self, place: usize, ticks: u32) -> &mut Self {
        self.at_each(1 << place, ticks)
    }

    fn at_each(&mut self, places: u64, ticks: u32) -> &mut Self {
        self.at = places;
        self.scores(f64::from(ticks) / RATE, 0.02, 1.0);
        self.at = 0;
        self
    }

    fn nowhere(&mut self, ticks: u32) -> &mut Self {
        self.scores(f64::from(ticks) / RATE, 0.02, 0.1)
    }
}

#[test]
fn child_on_a_marked_sill_is_told_by_its_place_sooner_than_the_model_would() {
    let mut room = room_with_places();
    room.nowhere(75).at(1, 9);
    assert_eq!(room.events(), []);
    room.nowhere(1).at(1, 1);
    assert_eq!((room.events(), room.places.clone()), (vec![Climb], vec![Some(1)]), "a knee was lost for a moment");
    room.nowhere(45);
    assert_eq!((room.events(), room.places.clone()), (vec![Climb, ClimbEnded], vec![Some(1), None]));
}

#[test]
fn child_on_a_marked_sill_waits_no_longer_than_a_model_that_wants_fewer_ticks() {
    let mut room = Room::new();
    room.nowhere(75).at(1, 7);
    assert_eq!(room.events(), []);
    room.at(1, 1);
    assert_eq!((room.events(), room.places.clone()), (vec![Climb], vec![Some(1)]), "this one wants 8 of 10");
}

#[test]
fn child_swings_a_knee_past_a_marked_sill() {
    let mut room = room_with_places();
    for _ in 0..5 {
        room.at(0, 4).nowhere(6);
    }
    assert_eq!(room.events(), []);
}

#[test]
fn two_places_are_not_one_climb() {
    let mut room = room_with_places();
    for _ in 0..5 {
        room.at(0, 4).at(1, 4).nowhere(3);
    }
    assert_eq!(room.events(), []);
}

#[test]
fn child_has_a_knee_in_each_of_two_panes_and_one_is_lost_now_and_then() {
    let mut room = room_with_places();
    room.nowhere(75).at_each(0b10, 2).at_each(0b11, 3).at_each(0b10, 2).at_each(0b11, 3);
    assert_eq!((room.events(), room.places.clone()), (vec![Climb], vec![Some(1)]));
}

#[test]
fn child_on_the_table_has_a_knee_in_the_window_for_a_moment() {
    let mut room = room_with_places();
    room.scores(19.0 / RATE, 0.02, 0.9).at(0, 1);
    assert_eq!((room.events(), room.places.clone()), (vec![Climb], vec![None]), "one glimpse names no place");
}

#[test]
fn child_climbs_and_falls() {
    let mut room = Room::new();
    room.scores(3.0, 0.02, 0.9).scores(1.0, 0.9, 0.05);
    assert_eq!((room.events(), room.policy.state()), (vec![Climb, Fall], State::Down));
    room.scores(2.0, 0.9, 0.05);
    assert_eq!((room.events(), room.policy.state()), (vec![Climb, Fall, ClimbEnded], State::Down));
}

#[test]
fn a_fall_is_told_before_a_climb_of_the_same_tick() {
    let mut model = MODEL;
    model.climb = model.fall;
    let mut room = Room { policy: Policy::new(&model, RATE, &PolicyConfig::default()), ..Room::new() };
    room.scores(6.0 / RATE, 0.9, 0.9);
    assert_eq!(room.events(), [Fall]);
    room.scores(1.0 / RATE, 0.0, 0.0);
    assert_eq!(room.events(), [Fall, Climb]);
}

#[test]
fn carer_acknowledges_and_long_lie_stays_quiet() {
    let mut room = Room::new();
    room.fall(10.0, 0.9).acknowledge();
    assert_eq!((room.events(), room.policy.acknowledged()), (vec![Fall, Acknowledged], true));
    room.acknowledge().fall(3600.0, 0.9);
    assert_eq!((room.events(), room.policy.state()), (vec![Fall, Acknowledged], State::Down));
    room.fall(60.0, 0.05).fall(40.0, 0.9);
    assert_eq!(room.events(), [Fall, Acknowledged, Recovered, Fall, LongLie], "the next fall escalates again");
}

#[test]
fn carer_acknowledges_an_empty_room() {
    let mut room = Room::new();
    room.fall(10.0, 0.02).acknowledge().fall(40.0, 0.9);
    assert_eq!(room.events(), [Fall, LongLie]);
}

#[test]
fn carer_acknowledges_the_first_fall_while_the_second_is_still_untold() {
    let mut room = Room::new();
    // Up after 12 s, down again after 18: the cooldown of 30 s still holds the second alert back.
    room.fall(12.0, 0.9).fall(4.0, 0.05).fall(4.0, 0.9).acknowledge();
    assert_eq!((room.events(), room.policy.acknowledged()), (vec![Fall, Recovered], false));
    room.fall(20.0, 0.9);
    assert_eq!(room.events(), [Fall, Recovered, Fall], "what nobody was told of cannot be meant");
    room.acknowledge();
    assert_eq!(room.events(), [Fall, Recovered, Fall, Acknowledged]);
}

#[test]
fn carer_acknowledges_the_first_fall_and_the_second_is_told_in_the_same_incident() {
    let mut room = Room::new();
    // Lies still, tries to rise after 10 s and drops again: the cooldown of 30 s holds that back.
    room.fall(10.0, 0.02).upright(false).fall(4.0, 0.9).fall(6.0, 0.05).fall(4.0, 0.9).acknowledge();
    assert_eq!(
        (room.events(), room.policy.acknowledged()),
        (vec![Fall, Acknowledged], false),
        "the first fall is meant"
    );
    room.acknowledge();
    room.fall(30.0, 0.9);
    assert_eq!(room.events(), [Fall, Acknowledged, Fall], "somebody is on the first one, not on the second");
    room.acknowledge().fall(60.0, 0.05);
    assert_eq!(room.events(), [Fall, Acknowledged, Fall, Acknowledged, Recovered]);
    assert_eq!(room.first, [true, false, false, false, false]);
}

#[test]
fn carer_acknowledges_a_climb_and_not_the_fall_beside_it() {
    let mut room = Room::new();
    room.scores(5.0, 0.9, 0.9).acknowledge_one(Class::Climb);
    assert_eq!(room.events(), [Fall, Climb, Acknowledged]);
    room.scores(40.0, 0.9, 0.9);
    assert_eq!(room.events(), [Fall, Climb, Acknowledged, LongLie]);
}

#[test]
fn an_alarm_of_an_earlier_run_escalates_and_ends() {
    let resumed = |long_lie, acknowledged| {
        let mut room = Room::new();
        room.policy.resume(Class::Fall, long_lie, acknowledged, tick_time(room.tick));
        assert_eq!(room.policy.state(), if long_lie { State::LongLie } else { State::Down });
        room.upright(false).fall(40.0, 0.05);
        room
    };
    let mut room = resumed(false, false);
    assert_eq!(room.events(), [LongLie], "an empty clip says nothing of who lies there");
    room.upright(true).fall(3.0, 0.05);
    assert_eq!(room.events(), [LongLie, Recovered]);
    assert_eq!(resumed(true, false).events(), [], "it was told before");
    assert_eq!(resumed(false, true).events(), [Recovered], "a carer may have taken the person out of the picture");
}

#[test]
fn somebody_getting_up_as_the_long_lie_falls_due_is_left_in_peace() {
    let mut room = Room::new();
    room.fall(29.5, 0.9).fall(5.0, 0.05);
    assert_eq!(room.events(), [Fall, Recovered]);
}

#[test]
fn thresholds_change_while_somebody_is_down() {
    let mut room = Room::new();
    room.fall(5.0, 0.9);
    let strict = PolicyConfig { fall_threshold: Some(0.95), long_lie_s: 60.0, ..PolicyConfig::default() };
    room.policy.configure(&MODEL, RATE, &strict);
    room.fall(40.0, 0.9);
    assert_eq!((room.events(), room.policy.state()), (vec![Fall], State::Down));
    room.fall(20.0, 0.9);
    assert_eq!(room.events(), [Fall, LongLie]);
}

#[test]
fn scores_that_are_no_numbers_count_for_nothing() {
    let mut room = Room::new();
    room.fall(60.0, f32::NAN);
    assert_eq!(room.policy.state(), State::Clear);
    room.fall(5.0, 0.9).fall(10.0, f32::NAN);
    assert_eq!((room.events(), room.policy.state()), (vec![Fall], State::Down));
}

#[test]
fn impossible_numbers_in_a_manifest_are_named() {
    for (bad, named) in [
        (ClassModel { enter: 0.3, exit: 0.6, k: 6, n: 8 }, "exit < enter"),
        (ClassModel { enter: 1.5, exit: 0.6, k: 6, n: 8 }, "enter ≤ 1"),
        (ClassModel { enter: f32::NAN, exit: 0.3, k: 6, n: 8 }, "enter = NaN"),
        (ClassModel { enter: 0.6, exit: 0.3, k: 1, n: 8 }, "2 ≤ k"),
        (ClassModel { enter: 0.6, exit: 0.3, k: 9, n: 8 }, "k ≤ n"),
        (ClassModel { enter: 0.6, exit: 0.3, k: 9, n: 129 }, "n ≤ 128"),
    ] {
        let error = PolicyModel { climb: bad, ..MODEL }.check().expect_err(named);
        assert!(error.contains(named) && error.starts_with("policy.climb"), "{error}");
    }
    assert_eq!(MODEL.check(), Ok(()));
}

#[test]
fn two_looks_that_differ_begin_nothing_and_end_nothing() {
    let mut policy = Policy::new(&MODEL, RATE, &PolicyConfig::default());
    let mut tick = 0;
    let mut see = |least: f32, most: f32| -> Vec<_> {
        let fall = Score::from(most).and(least);
        let scores = Scores { fall, climb: 0.0.into(), upright: None, places: 0 };
        let told = (0..60).filter_map(|_| {
            tick += 1;
            policy.observe(tick_time(tick), 0, scores)
        });
        told.map(|told| told.event).collect()
    };
    assert_eq!(see(0.1, 0.99), []);
    assert_eq!(see(0.99, 0.99), [Fall]);
    assert_eq!(see(0.1, 0.99), []);
    assert_eq!(see(0.1, 0.1), [Recovered]);
}
