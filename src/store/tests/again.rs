//! Somebody was away while others heard: who they are told of when they are back.

use super::*;

/// When the broker had each: long after the test, so that retention leaves it alone.
const FIRST_US: i64 = i64::MAX / 2;

/// Asks for `cameras`; what is told again now, first to last.
fn told_again(outbox: &mut Outbox, cameras: &[&str]) -> Vec<Arc<Row>> {
    outbox.tell_again(cameras.iter().map(|&camera| camera.to_owned()).collect());
    until_surveyed(outbox)
}

/// What is told again before the answer to a question that is asked now.
fn until_surveyed(outbox: &mut Outbox) -> Vec<Arc<Row>> {
    outbox.survey();
    let mut told = Vec::new();
    loop {
        match outbox.notices.blocking_recv().unwrap() {
            Notice::Again(row) => told.push(row),
            Notice::Lanes(_) => return told,
            _ => {}
        }
    }
}

fn ids(rows: &[Arc<Row>]) -> Vec<Uuid> {
    rows.iter().map(|row| row.id).collect()
}

/// Although it was stored long ago (`receipt`).
fn waits_since_just_now(store: &Store, row: &Row) -> bool {
    let clock = &store.shared.clock;
    row.again.is_some() && row.age(clock.now(), clock) < Duration::from_secs(60)
}

/// The next word of the incident that `first` began.
fn next(first: &Event, kind: EventType) -> Event {
    Event { id: Uuid::now_v7(), event: kind, ..first.clone() }
}

/// Stores `events` and lets the broker have them.
fn deliver(store: &Store, outbox: &Outbox, events: &[&Event]) {
    for event in events {
        let stored = store.recorder().append(event, &Context::default());
        outbox.delivered(receipt(stored.seq, FIRST_US));
    }
}

#[test]
fn whoever_was_away_is_told_the_last_of_what_goes_on_and_nobody_has_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&config(&folder));
    let mut outbox = store.outbox().unwrap();
    let [bed, hall, stairs, cellar] = ["bed", "hall", "stairs", "cellar"].map(event);
    let long_lie = next(&bed, EventType::LongLie);
    let climb = Event { event: EventType::Climb, class: Class::Climb, ..event("hall") };
    let (answered, up) = (next(&hall, EventType::Acknowledged), next(&stairs, EventType::Recovered));
    let tried = Event { event: EventType::Test, ..event("bed") };
    deliver(&store, &outbox, &[&bed, &hall, &stairs, &cellar, &long_lie, &climb, &answered, &up, &tried]);
    let told = told_again(&mut outbox, &["bed", "hall", "stairs"]);
    assert_eq!(ids(&told), [long_lie.id, climb.id], "the cellar's camera is gone");
    assert!(told.iter().all(|row| row.anchor.is_some() && waits_since_just_now(&store, row)));
    assert_eq!(ids(&told_again(&mut outbox, &[])), [cellar.id], "the others wait already");
    assert_eq!(outbox.depth(), 3);
    // A day is what an alarm is remembered for.
    let other = Connection::open(&store.shared.path).unwrap();
    told.iter().for_each(|row| outbox.delivered(receipt(row.seq, FIRST_US + 9)));
    until_surveyed(&mut outbox);
    other.execute_batch("UPDATE events SET captured_us = captured_us - 2 * 86400000000 WHERE camera = 'bed'").unwrap();
    assert_eq!(ids(&told_again(&mut outbox, &[])), [climb.id]);
}

#[test]
fn an_alert_that_still_waits_is_not_told_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&config(&folder));
    let mut outbox = store.outbox().unwrap();
    let fall = event("bed");
    deliver(&store, &outbox, &[&fall]);
    store.recorder().append(&next(&fall, EventType::LongLie), &Context::default());
    assert_eq!(told_again(&mut outbox, &[]), [], "the fall was told, its long lie says it again");
    assert_eq!(outbox.depth(), 1);
}

#[test]
fn what_is_told_again_outlives_a_kill_and_its_first_delivery_stays_known() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let fall = event("bed");
    {
        let mut store = open(&config);
        let mut outbox = store.outbox().unwrap();
        deliver(&store, &outbox, &[&fall]);
        assert_eq!(ids(&told_again(&mut outbox, &[])), [fall.id]);
    }
    let mut store = open(&config);
    let mut outbox = store.outbox().unwrap();
    let waits = waiting(&mut outbox, "bed");
    assert!(waits.len() == 1 && waits_since_just_now(&store, &waits[0]) && outbox.depth() == 1, "{waits:?}");
    outbox.delivered(receipt(waits[0].seq, FIRST_US + 9));
    assert!(waiting(&mut outbox, "bed").is_empty());
    drop((store, outbox));
    let file = Connection::open(&config.path).unwrap();
    let acknowledged = file.query_row("SELECT acknowledged_us FROM events", [], |row| row.get::<_, i64>(0));
    assert_eq!((acknowledged.unwrap(), count(&config, "outbox")), (FIRST_US, 0));
}

#[test]
fn an_alarm_whose_end_waits_for_the_disk_is_not_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&config(&folder));
    let mut outbox = store.outbox().unwrap();
    let (bed, hall) = (event("bed"), event("hall"));
    deliver(&store, &outbox, &[&bed, &hall]);
    until_surveyed(&mut outbox);
    store.limit_pages(Some(1));
    let tried = || Event { event: EventType::Test, ..event("stairs") };
    while store.recorder().append(&tried(), &Context::default()).durable {}
    store.recorder().append(&next(&bed, EventType::Recovered), &Context::default());
    assert_eq!(told_again(&mut outbox, &[]), [], "the file does not know who got up");
    store.limit_pages(None);
    let told = std::iter::from_fn(|| outbox.notices.blocking_recv()).find_map(|notice| match notice {
        Notice::Again(row) => Some(row.id),
        _ => None,
    });
    assert_eq!(told, Some(hall.id), "once the disk allows");
}
