//! What holds for any scores. A run is a list of stretches; each is a score held for some ticks with some noise, or
//! something else.

use super::{MODEL, RATE, Room, tick_time};
use falld::config::PolicyConfig;
use falld::event::Class;
use falld::event::EventType::{self, Climb, Fall, LongLie, Recovered};
use falld::event::policy::{ClassModel, Policy, PolicyModel, Scores, State, Transition};
use falld::frame::Moment;
use proptest::prelude::*;
use std::time::Duration;

#[derive(Debug, Clone)]
enum Act {
    Hold {
        ticks: u32,
        fall: f32,
        climb: f32,
        noise: f32,
    },
    /// Somebody is at a marked place in all ticks but every `nth`.
    There {
        ticks: u32,
        place: usize,
        nth: u32,
    },
    Away(u32),
    Lost,
    Acknowledge,
}

fn act() -> impl Strategy<Value = Act> {
    let level = prop_oneof![0.0..0.3f32, 0.3..0.6f32, 0.6..1.0f32];
    prop_oneof![
        12 => (1..80u32, level.clone(), level, prop_oneof![Just(0.0f32), Just(0.4f32)])
            .prop_map(|(ticks, fall, climb, noise)| Act::Hold { ticks, fall, climb, noise }),
        3 => (1..30u32, 0..2usize, 2..12u32).prop_map(|(ticks, place, nth)| Act::There { ticks, place, nth }),
        1 => (1..60u32).prop_map(Act::Away),
        1 => Just(Act::Lost),
        1 => Just(Act::Acknowledge),
    ]
}

#[derive(Debug, Clone, PartialEq)]
struct Heard {
    at: Moment,
    event: EventType,
    fall_hits: u32,
    climb_hits: u32,
    /// Of the last 12 ticks, those at the place of the last one.
    there: u32,
}

/// Runs the acts and returns what was told and every state, one for each call.
fn play(model: &PolicyModel, config: &PolicyConfig, acts: &[Act]) -> (Vec<Heard>, Vec<State>) {
    let mut policy = Policy::new(model, RATE, config);
    let (mut heard, mut states, mut tick) = (Vec::new(), vec![policy.state()], 0u64);
    // The hits of the last n ticks, counted by a plain list.
    let (mut fall, mut climb): (Vec<bool>, Vec<bool>) = (Vec::new(), Vec::new());
    let mut places: Vec<Option<usize>> = Vec::new();
    for act in acts {
        let ticks = match act {
            Act::Hold { ticks, .. } | Act::There { ticks, .. } | Act::Away(ticks) => *ticks,
            _ => 1,
        };
        for step in 0..ticks {
            tick += 1;
            let at = tick_time(tick);
            let told = match act {
                Act::Hold { fall: level, climb: other, noise, .. } => {
                    let wobble = ((step * 7919) % 13) as f32 / 12.0 - 0.5;
                    let (a, b) = ((level + noise * wobble).clamp(0.0, 1.0), (other - noise * wobble).clamp(0.0, 1.0));
                    fall.push(a >= config.fall_threshold.unwrap_or(model.fall.enter));
                    climb.push(b >= model.climb.enter);
                    places.push(None);
                    [policy.observe(at, 0, Scores { fall: a.into(), climb: b.into(), upright: None, places: 0 }), None]
                }
                Act::There { place, nth, .. } => {
                    let place = (step % nth != 0).then_some(*place);
                    let score = if place.is_some() { 1.0 } else { 0.1 };
                    fall.push(false);
                    climb.push(place.is_some());
                    places.push(place);
                    let places = place.map_or(0, |place| 1 << place);
                    [
                        policy.observe(at, 0, Scores { fall: 0.1.into(), climb: score.into(), upright: None, places }),
                        None,
                    ]
                }
                Act::Away(_) => [policy.tick(at), None],
                Act::Lost => [policy.camera_lost(at), None],
                Act::Acknowledge => [Class::Fall, Class::Climb].map(|class| policy.acknowledge(class, at)),
            };
            states.push(policy.state());
            let hits = |list: &[bool], n: u32| list.iter().rev().take(n as usize).filter(|hit| **hit).count() as u32;
            let (fall_hits, climb_hits) = (hits(&fall, model.fall.n), hits(&climb, model.climb.n));
            let place = places.iter().rev().flatten().next();
            let there = places.iter().rev().take(12).filter(|at| at.is_some() && at.as_ref() == place).count() as u32;
            let as_heard = |told: Transition| Heard { at, event: told.event, fall_hits, climb_hits, there };
            heard.extend(told.into_iter().flatten().map(as_heard));
        }
    }
    (heard, states)
}

fn config(cooldown_s: f64, long_lie_s: f64) -> PolicyConfig {
    PolicyConfig { cooldown_s, long_lie_s, ..PolicyConfig::default() }
}

/// k hits of n, always solvable: 2 ≤ k ≤ n.
fn counts() -> impl Strategy<Value = (u32, u32)> {
    (2..12u32, 0..12u32).prop_map(|(k, more)| (k, k + more))
}

proptest! {
    #[test]
    fn no_alert_without_k_hits_in_the_last_n((k, n) in counts(), acts in prop::collection::vec(act(), 1..40)) {
        let model = PolicyModel { fall: ClassModel { k, n, ..MODEL.fall }, climb: ClassModel { k, n, ..MODEL.climb } };
        let mut before = 0;
        for heard in play(&model, &config(3.0, 5.0), &acts).0 {
            match heard.event {
                Fall => prop_assert!(heard.fall_hits >= k, "{heard:?}"),
                // A climb that waited for a fall's turn is told one call later.
                Climb => prop_assert!(heard.climb_hits + 1 >= k || heard.there + 1 >= 10, "{heard:?}"),
                _ => {}
            }
            before += 1;
        }
        prop_assert!(before <= acts.len() * 4);
    }

    #[test]
    fn never_two_alerts_of_a_class_within_the_cooldown(
        cooldown in 0.0..10.0f64, long_lie in 0.1..10.0f64, acts in prop::collection::vec(act(), 1..60),
    ) {
        let heard = play(&MODEL, &config(cooldown, long_lie), &acts).0;
        let falls: Vec<_> = heard.iter().filter(|heard| matches!(heard.event, Fall | LongLie)).collect();
        let climbs: Vec<_> = heard.iter().filter(|heard| heard.event == Climb).collect();
        for pair in falls.windows(2) {
            prop_assert!(pair[1].at - pair[0].at >= Duration::from_secs_f64(cooldown), "{pair:?}");
        }
        // A climb may be told one call after it was raised, because a fall of the same tick goes first.
        for pair in climbs.windows(2) {
            prop_assert!(pair[1].at - pair[0].at + tick_time(1) >= Duration::from_secs_f64(cooldown), "{pair:?}");
        }
    }

    #[test]
    fn a_sustained_high_score_alerts_by_exactly_the_promised_tick(
        (k, n) in counts(), quiet in 0..200u32, score in 0.6..=1.0f32,
    ) {
        let model = PolicyModel { fall: ClassModel { k, n, ..MODEL.fall }, ..MODEL };
        let still = Act::Hold { ticks: quiet, fall: 0.1, climb: 0.0, noise: 0.0 };
        let falling = Act::Hold { ticks: k + 30, fall: score, climb: 0.0, noise: 0.0 };
        let heard = play(&model, &config(30.0, 30.0), &[still, falling]).0;
        prop_assert_eq!(heard.first().map(|heard| (heard.event, heard.at)), Some((Fall, tick_time(u64::from(quiet + k)))));
    }

    /// With the long lie out of the way, the i-th fall alert never comes earlier for a higher threshold, whatever the
    /// cooldown; so there are never more of them. (Long lies can shift: a lower threshold sees the same person down
    /// earlier and may let them get up earlier.)
    #[test]
    fn a_higher_threshold_never_adds_alerts(
        low in 0.6..1.0f32, more in 0.0..0.4f32, cooldown in 0.0..10.0f64, acts in prop::collection::vec(act(), 1..60),
    ) {
        let acts: Vec<_> = acts.into_iter().filter(|act| !matches!(act, Act::Acknowledge)).collect();
        let falls = |threshold: f32| -> Vec<Moment> {
            let config = PolicyConfig { fall_threshold: Some(threshold), ..config(cooldown, f64::INFINITY) };
            let heard = play(&MODEL, &config, &acts).0;
            heard.into_iter().filter(|heard| heard.event == Fall).map(|heard| heard.at).collect()
        };
        let (lower, higher) = (falls(low), falls((low + more).min(1.0)));
        prop_assert!(higher.len() <= lower.len());
        prop_assert!(lower.iter().zip(&higher).all(|(lower, higher)| lower <= higher), "{lower:?} {higher:?}");
    }

    #[test]
    fn the_state_never_jumps(
        cooldown in 0.0..5.0f64, long_lie in 0.0..5.0f64, acts in prop::collection::vec(act(), 1..60),
    ) {
        use State::*;
        for pair in play(&MODEL, &config(cooldown, long_lie), &acts).1.windows(2) {
            let road = match (pair[0], pair[1]) {
                (from, to) if from == to => true,
                (Clear, Suspect) | (Suspect, Clear | Down) | (Down, LongLie) | (Down | LongLie, Recovered) => true,
                (Recovered, Clear | Suspect) => true,
                // A climb hides everything but a fall, and shows it again when it ends.
                (Climbing, LongLie) | (LongLie, Clear | Suspect) => false,
                (Climbing, _) | (_, Climbing) => true,
                _ => false,
            };
            prop_assert!(road, "{:?} → {:?}", pair[0], pair[1]);
        }
    }

    #[test]
    fn one_odd_score_changes_nothing_that_anybody_sees(
        down in any::<bool>(), odd in 0.0..=1.0f32, step in 1..5u32,
    ) {
        let mut room = Room::new();
        let usual = if down { 0.9 } else { 0.05 };
        room.scores_each(step, 6.0, usual, 0.0);
        let before = (room.policy.state(), room.events());
        room.scores_each(step, f64::from(step) / RATE, odd, 0.0);
        prop_assert_eq!(&before, &(room.policy.state(), room.events()));
        room.scores_each(step, 6.0, usual, 0.0);
        prop_assert_eq!(before, (room.policy.state(), room.events()));
    }

    #[test]
    fn the_same_scores_give_the_same_story(acts in prop::collection::vec(act(), 1..40)) {
        let config = config(3.0, 5.0);
        prop_assert_eq!(play(&MODEL, &config, &acts), play(&MODEL, &config, &acts));
    }

    #[test]
    fn an_alarm_is_followed_by_its_end_alone(acts in prop::collection::vec(act(), 1..60)) {
        let mut open = false;
        for heard in play(&MODEL, &config(2.0, 4.0), &acts).0 {
            match heard.event {
                Fall => { prop_assert!(!open); open = true; }
                LongLie => open = true,
                Recovered => { prop_assert!(open); open = false; }
                _ => {}
            }
        }
    }
}
