//! A disarmed camera: it watches, and tells nobody.

use super::*;

#[test]
fn a_test_travels_even_from_a_disarmed_camera_and_is_its_own_incident() {
    let mut room = Room::new(1, 1, ScriptedClassifier::new());
    room.turn(&[]).unwrap();
    assert_eq!(room.detector.inputs[0].metrics.armed.get(), 1);
    room.turn(&[Order::Arm("bed".into(), false), Order::Test("bed".into())]).unwrap();
    assert_eq!(room.ear.events(), [EventType::Test]);
    assert_eq!(room.detector.inputs[0].metrics.armed.get(), 0, "the operator sees it");
    room.ear.heard(|heard| assert_eq!(heard.events[0].id, heard.events[0].incident));
    assert!(!room.last_shown().armed);
    room.watch(6, 0.9);
    assert_eq!(room.ear.events(), [EventType::Test]);
    assert_eq!(room.last_shown().state, State::Down, "what it sees is shown all the same");
}

#[test]
fn who_disarms_a_camera_while_somebody_is_down_is_on_it() {
    let mut room = Room::new(1, 1, ScriptedClassifier::new());
    room.watch(6, 0.9);
    room.turn(&[Order::Arm("bed".into(), false)]).unwrap();
    assert_eq!(room.ear.events(), [EventType::Fall, EventType::Acknowledged], "the store knows, over a restart");
    room.turn(&[Order::Arm("bed".into(), false)]).unwrap();
    assert_eq!(room.ear.events().len(), 2, "and once");
}

#[test]
fn who_disarms_a_camera_or_says_that_they_are_on_it_means_the_fall_and_the_climb() {
    for order in [Order::Arm("bed".into(), false), Order::Acknowledge("bed".into(), None)] {
        let mut room = Room::new(1, 1, ScriptedClassifier::new());
        let going_on = |class| Unfinished {
            camera: "bed".into(),
            class,
            incident: Uuid::now_v7(),
            long_lie: false,
            acknowledged: false,
        };
        room.detector.resume(vec![going_on(Class::Fall), going_on(Class::Climb)]);
        room.turn(&[order]).unwrap();
        let told = room.ear.heard(|heard| heard.events.iter().map(|told| (told.event, told.class)).collect::<Vec<_>>());
        let both = [Class::Fall, Class::Climb].map(|class| (EventType::Acknowledged, class));
        assert_eq!(told, both, "or a restart would bring back the climb");
    }
}

#[test]
fn a_fall_at_a_disarmed_camera_is_nobodys_to_acknowledge() {
    let mut room = Room::new(1, 1, ScriptedClassifier::new());
    let disarm = Order::Arm("bed".into(), false);
    room.turn(std::slice::from_ref(&disarm)).unwrap();
    room.watch(6, 0.9);
    assert_eq!(room.last_shown().state, State::Down, "push-ups, perhaps");
    // Home automation says what it wants more than once.
    room.turn(&[Order::Acknowledge("bed".into(), None), disarm]).unwrap();
    assert_eq!(room.ear.events(), [], "an answer to an alarm that nobody heard");
    assert!(!room.last_shown().acknowledged);
}

#[test]
fn a_disarmed_camera_shows_no_incident_of_before() {
    let mut room = Room::new(1, 1, ScriptedClassifier::new());
    room.watch(6, 0.9);
    assert!(room.last_shown().incident.is_some());
    room.turn(&[Order::Arm("bed".into(), false)]).unwrap();
    assert_eq!(room.last_shown().incident, None, "whoever disarmed hears no more of it");
    room.watch(40, 0.0);
    assert_eq!(room.last_shown().state, State::Recovered);
    room.watch(6, 0.9);
    assert_eq!((room.last_shown().state, room.last_shown().incident), (State::Down, None));
    assert_eq!(room.ear.events(), [EventType::Fall, EventType::Acknowledged]);
}
