#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::event::{Class, Event, EventType, Ledger};
use crate::frame::Clock;
use crate::store::Context;
use uuid::Uuid;

mod world;

const PATIENCE: Patience = Patience {
    answer: Duration::from_secs(20),
    retry_min: Duration::from_secs(1),
    retry_max: Duration::from_secs(60),
    unheard: Duration::from_secs(600),
};

fn row(seq: u64, camera: &str) -> Arc<Row> {
    let id = Uuid::from_u128(seq.into());
    let ledger = Ledger { captured: Moment::ZERO, scored: Moment::ZERO, decided: Moment::ZERO };
    let event = Event {
        id,
        incident: id,
        camera: camera.into(),
        event: EventType::Fall,
        class: Class::Fall,
        score: 1.0,
        place: None,
        ledger,
    };
    let mut row = Row::new(seq, &event, &Context::default(), &Clock::start());
    row.restamp(at(0));
    Arc::new(row)
}

fn ready() -> Delivery {
    let mut machine = Delivery::new(PATIENCE);
    assert_eq!(machine.start(), [Action::Survey]);
    assert_eq!(machine.apply(Input::Lanes(vec![]), at(0)), []);
    assert_eq!(machine.apply(Input::Connected, at(0)), []);
    machine
}

fn at(seconds: u64) -> Moment {
    Moment::from_secs(seconds)
}

fn answer(verdict: Result<(), &str>) -> Input {
    let verdict = verdict.map_or_else(|reason| Verdict::Refused(reason.into()), |()| Verdict::Taken);
    Input::Answered { pkid: 7, verdict }
}

fn unheard() -> Input {
    Input::Answered { pkid: 7, verdict: Verdict::Unheard }
}

#[test]
fn one_at_a_time_and_in_order() {
    let mut machine = ready();
    let (first, second) = (row(1, "bed"), row(2, "bed"));
    assert_eq!(machine.apply(Input::Stored(first.clone()), at(0)), [Action::Publish(first.clone())]);
    assert_eq!(machine.apply(Input::Stored(second.clone()), at(0)), []);
    assert_eq!(machine.apply(Input::HandedOver { pkid: 7 }, at(1)), []);
    let delivered = Action::Delivered { row: first, sent: at(1), acknowledged: at(2), heard: true };
    assert_eq!(machine.apply(answer(Ok(())), at(2)), [delivered, Action::Publish(second)]);
    assert!(!machine.drained());
}

#[test]
fn a_lost_connection_means_again() {
    let mut machine = ready();
    let first = row(1, "bed");
    machine.apply(Input::Stored(first.clone()), at(0));
    assert_eq!(machine.apply(Input::Disconnected, at(1)), []);
    assert_eq!(machine.apply(answer(Ok(())), at(1)), [], "an answer from an old connection says nothing");
    assert_eq!(machine.apply(Input::Connected, at(2)), [Action::Publish(first)]);
}

#[test]
fn a_silent_broker_is_left() {
    let mut machine = ready();
    let first = row(1, "bed");
    machine.apply(Input::Stored(first.clone()), at(0));
    machine.apply(Input::HandedOver { pkid: 7 }, at(1));
    assert_eq!(machine.deadline(), Some(at(21)));
    assert_eq!(machine.apply(Input::Tick, at(20)), []);
    assert_eq!(machine.apply(Input::Tick, at(21)), [Action::Reconnect]);
    assert_eq!(machine.deadline(), None);
    machine.apply(Input::Disconnected, at(21));
    assert_eq!(machine.apply(Input::Connected, at(22)), [Action::Publish(first)]);
}

#[test]
fn a_refused_camera_waits_and_holds_up_nobody() {
    let mut machine = ready();
    let (bed, hall) = (row(1, "bed"), row(2, "hall"));
    machine.apply(Input::Stored(bed.clone()), at(0));
    machine.apply(Input::Stored(hall.clone()), at(0));
    machine.apply(Input::HandedOver { pkid: 7 }, at(0));
    let refused = Action::Refused { camera: "bed".into(), reason: "NotAuthorized".into() };
    assert_eq!(machine.apply(answer(Err("NotAuthorized")), at(0)), [refused, Action::Publish(hall)]);
    machine.apply(Input::HandedOver { pkid: 7 }, at(0));
    machine.apply(answer(Ok(())), at(0));
    assert!(machine.drained(), "a shutdown does not wait for what the broker refuses");
    // Pauses double up to a limit, and the refusal is said once.
    let mut now = at(0);
    for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert_eq!(machine.deadline(), Some(now + at(pause)));
        now += at(pause);
        assert_eq!(machine.apply(Input::Tick, now), [Action::Publish(bed.clone())]);
        machine.apply(Input::HandedOver { pkid: 7 }, now);
        assert_eq!(machine.apply(answer(Err("NotAuthorized")), now), []);
    }
    now += at(60);
    machine.apply(Input::Tick, now);
    machine.apply(Input::HandedOver { pkid: 7 }, now);
    let delivered = Action::Delivered { row: bed, sent: now, acknowledged: now, heard: true };
    assert_eq!(machine.apply(answer(Ok(())), now), [delivered, Action::Accepted { camera: "bed".into() }]);
}

#[test]
fn what_nobody_hears_waits_for_somebody_who_comes_late() {
    let mut machine = ready();
    let (first, second) = (row(1, "bed"), row(2, "bed"));
    machine.apply(Input::Stored(first.clone()), at(0));
    machine.apply(Input::Stored(second.clone()), at(0));
    machine.apply(Input::HandedOver { pkid: 7 }, at(0));
    let refused = Action::Refused { camera: "bed".into(), reason: "nobody subscribes to them".into() };
    assert_eq!(machine.apply(unheard(), at(0)), [refused]);
    assert_eq!(machine.apply(Input::Tick, at(1)), [Action::Publish(first.clone())]);
    machine.apply(Input::HandedOver { pkid: 7 }, at(1));
    let heard = Action::Delivered { row: first, sent: at(1), acknowledged: at(1), heard: true };
    let accepted = Action::Accepted { camera: "bed".into() };
    assert_eq!(machine.apply(answer(Ok(())), at(1)), [heard, accepted, Action::Publish(second)]);
}

#[test]
fn a_new_fall_does_not_wait_out_the_pause_of_an_old_event() {
    let mut machine = ready();
    let (first, second) = (row(1, "bed"), row(2, "bed"));
    machine.apply(Input::Stored(first.clone()), at(0));
    let mut now = at(0);
    for pause in [1, 2, 4, 8, 16] {
        machine.apply(Input::HandedOver { pkid: 7 }, now);
        machine.apply(unheard(), now);
        now += at(pause);
        machine.apply(Input::Tick, now);
    }
    machine.apply(Input::HandedOver { pkid: 7 }, now);
    machine.apply(unheard(), now);
    assert_eq!(machine.deadline(), Some(now + at(32)));
    // Somebody listens by now, and somebody falls.
    now += at(1);
    assert_eq!(machine.apply(Input::Stored(second.clone()), now), [Action::Publish(first)]);
    machine.apply(Input::HandedOver { pkid: 7 }, now);
    assert_eq!(machine.apply(answer(Ok(())), now).last(), Some(&Action::Publish(second)));
}

#[test]
fn nobody_hears_for_ten_minutes() {
    let mut machine = ready();
    let (first, second) = (row(1, "bed"), row(2, "bed"));
    machine.apply(Input::Stored(first.clone()), at(0));
    machine.apply(Input::Stored(second.clone()), at(0));
    machine.apply(Input::HandedOver { pkid: 7 }, at(0));
    machine.apply(unheard(), at(0));
    machine.apply(Input::Tick, at(600));
    machine.apply(Input::HandedOver { pkid: 7 }, at(600));
    let gone =
        |row: &Arc<Row>| Action::Delivered { row: row.clone(), sent: at(600), acknowledged: at(600), heard: false };
    assert_eq!(machine.apply(unheard(), at(600)), [gone(&first), Action::Publish(second.clone())]);
    // The next one does not wait ten minutes more.
    machine.apply(Input::HandedOver { pkid: 7 }, at(600));
    assert_eq!(machine.apply(unheard(), at(600)), [gone(&second)]);
    assert!(machine.drained());
}

/// Nobody has heard the first event for ten minutes.
fn given_up() -> Delivery {
    let mut machine = ready();
    machine.apply(Input::Stored(row(1, "bed")), at(0));
    for now in [at(0), at(600)] {
        machine.apply(Input::Tick, now);
        machine.apply(Input::HandedOver { pkid: 7 }, now);
        machine.apply(unheard(), now);
    }
    assert!(machine.drained());
    machine
}

#[test]
fn a_fall_long_after_nobody_listened_has_minutes_of_its_own() {
    let mut machine = given_up();
    // Six hours later, and still nobody listens.
    let (hours, mut second) = (at(21_600), row(2, "bed"));
    Arc::make_mut(&mut second).restamp(hours);
    machine.apply(Input::Stored(second.clone()), hours);
    machine.apply(Input::HandedOver { pkid: 7 }, hours);
    machine.apply(unheard(), hours);
    let later = hours + at(300);
    assert_eq!(machine.apply(Input::Tick, later), [Action::Publish(second.clone())], "somebody may come yet");
    machine.apply(Input::HandedOver { pkid: 7 }, later);
    let heard = Action::Delivered { row: second, sent: later, acknowledged: later, heard: true };
    assert_eq!(machine.apply(answer(Ok(())), later)[0], heard);
}

#[test]
fn a_fall_that_waited_for_the_broker_has_minutes_of_its_own_too() {
    let mut machine = given_up();
    machine.apply(Input::Disconnected, at(700));
    let mut second = row(2, "bed");
    Arc::make_mut(&mut second).restamp(at(1000));
    machine.apply(Input::Stored(second.clone()), at(1000));
    // The broker is back after a quarter of an hour, and Home Assistant a minute later.
    machine.apply(Input::Connected, at(1900));
    machine.apply(Input::HandedOver { pkid: 7 }, at(1900));
    machine.apply(unheard(), at(1900));
    assert_eq!(machine.apply(Input::Tick, at(1960)), [Action::Publish(second)]);
}

#[test]
fn minutes_without_the_broker_are_not_minutes_in_which_nobody_listened() {
    let mut machine = ready();
    let first = row(1, "bed");
    // Home Assistant stops, a minute later the broker does.
    machine.apply(Input::Stored(first.clone()), at(0));
    machine.apply(Input::HandedOver { pkid: 7 }, at(0));
    machine.apply(unheard(), at(0));
    machine.apply(Input::Disconnected, at(60));
    // Both are back after an hour, the broker first.
    assert_eq!(machine.apply(Input::Connected, at(3600)), [Action::Publish(first.clone())]);
    machine.apply(Input::HandedOver { pkid: 7 }, at(3600));
    assert_eq!(machine.apply(unheard(), at(3600)), [], "it is kept");
    assert_eq!(machine.apply(Input::Returned, at(3605)), [Action::Publish(first)]);
}

#[test]
fn whoever_was_away_and_returns_need_not_wait_out_the_pause() {
    let mut machine = ready();
    let first = row(1, "bed");
    machine.apply(Input::Stored(first.clone()), at(0));
    machine.apply(Input::HandedOver { pkid: 7 }, at(0));
    machine.apply(unheard(), at(0));
    assert_eq!(machine.apply(Input::Returned, at(0)), [Action::Publish(first)]);
}

#[test]
fn whoever_returns_waits_for_the_answer_to_what_left_before() {
    let mut machine = ready();
    machine.apply(Input::Stored(row(1, "bed")), at(1));
    machine.apply(Input::HandedOver { pkid: 7 }, at(1));
    assert!(machine.sent_before(at(2)), "who subscribed at 2 may not have heard it, and in the store it waits");
    assert!(!machine.sent_before(at(1)), "what left afterwards they hear");
    machine.apply(answer(Ok(())), at(3));
    assert!(!machine.sent_before(at(2)));
}

#[test]
fn what_is_told_again_goes_behind_what_is_on_its_way() {
    let mut machine = ready();
    let (fall, test) = (row(1, "bed"), row(2, "bed"));
    machine.apply(Input::Stored(fall.clone()), at(0));
    machine.apply(Input::HandedOver { pkid: 7 }, at(0));
    machine.apply(answer(Ok(())), at(0));
    machine.apply(Input::Stored(test.clone()), at(9));
    machine.apply(Input::HandedOver { pkid: 7 }, at(9));
    assert_eq!(machine.apply(Input::Again(fall.clone()), at(9)), [], "one at a time");
    assert_eq!(machine.apply(Input::Stored(test), at(9)), [], "and what is known stays known");
    assert_eq!(machine.apply(answer(Ok(())), at(9)).last(), Some(&Action::Publish(fall)));
    machine.apply(Input::HandedOver { pkid: 7 }, at(9));
    machine.apply(answer(Ok(())), at(9));
    assert!(machine.drained());
}

#[test]
fn a_lane_that_nobody_has_read_yet_reads_what_is_told_again() {
    let mut machine = Delivery::new(PATIENCE);
    machine.apply(Input::Lanes(vec![]), at(0));
    machine.apply(Input::Lanes(vec!["bed".into()]), at(0));
    machine.apply(Input::Connected, at(0));
    let (fall, end) = (row(1, "bed"), row(2, "bed"));
    assert_eq!(machine.apply(Input::Again(fall.clone()), at(0)), [], "it is in the answer that is awaited");
    let rows = vec![fall.clone(), end];
    let loaded = Input::Loaded { camera: "bed".into(), rows, complete: true };
    assert_eq!(machine.apply(loaded, at(0)), [Action::Publish(fall)]);
    assert_eq!(machine.lanes["bed"].queue.len(), 2, "once");
}

#[test]
fn what_could_not_be_read_before_comes_after_what_was_in_memory() {
    let mut machine = Delivery::new(PATIENCE);
    machine.apply(Input::Lanes(vec!["bed".into()]), at(0));
    machine.apply(Input::Connected, at(0));
    let (old, new) = (row(1, "bed"), row(2, "bed"));
    let loaded = |row: &Arc<Row>, complete| Input::Loaded { camera: "bed".into(), rows: vec![row.clone()], complete };
    assert_eq!(machine.apply(loaded(&new, false), at(0)), [Action::Publish(new.clone())]);
    machine.apply(Input::HandedOver { pkid: 7 }, at(0));
    let load = Action::Load { camera: "bed".into(), after: 2 };
    assert_eq!(machine.apply(answer(Ok(())), at(0)).last(), Some(&load));
    assert_eq!(machine.apply(loaded(&old, true), at(1)), [Action::Publish(old)]);
    machine.apply(Input::HandedOver { pkid: 7 }, at(1));
    machine.apply(answer(Ok(())), at(1));
    assert!(machine.drained());
}

#[test]
fn an_event_that_costs_the_connection_goes_behind_the_others() {
    let mut machine = ready();
    let (bed, hall) = (row(1, "bed"), row(2, "hall"));
    machine.apply(Input::Stored(bed.clone()), at(0));
    machine.apply(Input::Stored(hall.clone()), at(0));
    machine.apply(Input::Disconnected, at(1));
    assert_eq!(machine.apply(Input::Connected, at(2)), [Action::Publish(hall)]);
}

#[test]
fn a_pause_that_is_over_does_not_keep_the_driver_awake() {
    let mut machine = ready();
    machine.apply(Input::Stored(row(1, "bed")), at(0));
    machine.apply(Input::HandedOver { pkid: 7 }, at(0));
    machine.apply(answer(Err("QuotaExceeded")), at(0));
    machine.apply(Input::Disconnected, at(0));
    machine.apply(Input::Tick, at(5));
    assert_eq!(machine.deadline(), None);
}
