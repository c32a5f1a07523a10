//! What is shown of an alert: the clip's movements, as far as the site allows.

use super::*;

/// A row as the encoder says it: every joint in the middle of the picture, a box around it, sure of it.
const PERSON: [f32; 56] = {
    let mut row = [0.5; 56];
    (row[51], row[52], row[53], row[54], row[55]) = (0.2, 0.4, 0.9, 0.6, 0.9);
    row
};

/// A model that sees somebody in each picture.
fn somebody() -> ScriptedClassifier {
    let mut classifier = ScriptedClassifier::new();
    classifier.spec.people = 1;
    classifier.people = PERSON.to_vec();
    classifier
}

#[test]
fn an_alert_is_shown_with_how_everybody_moved_up_to_it() {
    let mut room = Room::new(1, 1, somebody());
    room.watch(6, 0.9);
    room.ear.heard(|heard| {
        let [(camera, event, movements)] = &heard.evidence[..] else { panic!("{:?}", heard.evidence) };
        assert_eq!((camera.as_str(), *event), ("bed", heard.events[0].id));
        // The model asks from its second picture on, and three hits raise the alarm.
        assert_eq!((movements.ticks, movements.people.len(), &movements.picture), (4, 1, &None));
        assert!((0..4).all(|tick| movements.people[0].at(tick, 0) == Some(&PERSON[..])));
        assert_eq!(movements.people[0].at(4, 0), None);
    });
    // A test shows what the camera sees; that somebody is on it shows nothing.
    room.turn(&[Order::Test("bed".into()), Order::Acknowledge("bed".into(), None)]).unwrap();
    assert_eq!(room.ear.events(), [EventType::Fall, EventType::Test, EventType::Acknowledged]);
    assert_eq!(room.ear.heard(|heard| heard.evidence.len()), 2);
}

#[test]
fn the_picture_is_shown_where_the_site_says_so_and_nothing_where_it_says_nothing() {
    for (style, wanted) in [(EvidenceStyle::Picture, Some(true)), (EvidenceStyle::None, None)] {
        let mut room = Room::new(1, 1, somebody());
        room.detector.inputs[0].evidence = style;
        room.watch(6, 0.9);
        let shown = room.ear.heard(|heard| heard.evidence.first().map(|(_, _, all)| all.picture.is_some()));
        assert_eq!((room.ear.events().len(), shown), (1, wanted));
        room.turn(&[Order::Test("bed".into())]).unwrap();
        let tested = room.ear.heard(|heard| heard.evidence.last().map(|(_, _, all)| all.picture.is_some()));
        assert_eq!(tested, wanted.map(|_| false), "a test shows figures at most");
    }
    // Where nobody is followed there is nothing to show.
    let mut room = Room::new(1, 1, ScriptedClassifier::new());
    room.watch(6, 0.9);
    assert_eq!(room.ear.heard(|heard| (heard.events.len(), heard.evidence.len())), (1, 0));
}
