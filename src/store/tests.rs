#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::event::{Class, EventType, Ledger};
use std::time::Duration;

mod again;
mod opening;

fn config(folder: &tempfile::TempDir) -> StoreConfig {
    StoreConfig { path: folder.path().join("falld.db"), keep_days: 30 }
}

fn open(config: &StoreConfig) -> Store {
    Store::open(config, Clock::start(), Arc::new(Metrics::new())).unwrap()
}

fn event(camera: &str) -> Event {
    let id = Uuid::now_v7();
    let ledger = Ledger { captured: Moment::ZERO, scored: Moment::ZERO, decided: Moment::ZERO };
    Event {
        id,
        incident: id,
        camera: camera.into(),
        event: EventType::Fall,
        class: Class::Fall,
        score: 0.75,
        place: None,
        ledger,
    }
}

/// What waits for `camera`, as the publisher reads it.
fn waiting(outbox: &mut Outbox, camera: &str) -> Vec<Arc<Row>> {
    outbox.load(camera, 0, 1000);
    loop {
        match outbox.notices.blocking_recv() {
            Some(Notice::Loaded { camera: loaded, rows, complete }) => {
                assert!(loaded == camera && complete);
                return rows;
            }
            Some(_) => {}
            None => unreachable!("the store lives"),
        }
    }
}

fn receipt(seq: u64, acknowledged_us: i64) -> Receipt {
    Receipt { seq, stored_us: 1, published_us: 2, acknowledged_us }
}

fn count(config: &StoreConfig, table: &str) -> i64 {
    let file = Connection::open(&config.path).unwrap();
    file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn an_event_survives_and_leaves_only_when_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let context = Context { device: "house".into(), ..Context::default() };
    let sent = event("bed");
    {
        let store = open(&config);
        let stored = store.recorder().append(&sent, &context);
        assert_eq!((stored.seq, stored.durable), (1, true));
    }
    {
        let mut store = open(&config);
        let mut outbox = store.outbox().unwrap();
        let rows = waiting(&mut outbox, "bed");
        assert_eq!((rows.len(), rows[0].id, rows[0].score), (1, sent.id, 0.75));
        assert_eq!(rows[0].anchor, None, "an earlier process stored it");
        assert!(waiting(&mut outbox, "hall").is_empty());
        outbox.delivered(receipt(1, i64::MAX));
    }
    let mut store = open(&config);
    assert!(waiting(&mut store.outbox().unwrap(), "bed").is_empty());
    let file = Connection::open(&config.path).unwrap();
    let times = file.query_row("SELECT stored_us, published_us, acknowledged_us FROM events", [], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    });
    assert_eq!(times.unwrap(), (1, 2, i64::MAX));
    assert_eq!(store.recorder().append(&event("bed"), &context).seq, 2, "numbers go on");
}

#[test]
fn retention_spares_what_was_not_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig { keep_days: 0, ..config(&folder) };
    {
        let mut store = open(&config);
        let recorder = store.recorder();
        for seq in 1..=600 {
            assert_eq!(recorder.append(&event("bed"), &Context::default()).seq, seq);
        }
        let outbox = store.outbox().unwrap();
        (1..600).for_each(|seq| outbox.delivered(receipt(seq, 3)));
    }
    let store = open(&config);
    let begun = std::time::Instant::now();
    while count(&config, "events") > 1 && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!((count(&config, "events"), count(&config, "outbox")), (1, 1));
    assert_eq!(store.recorder().append(&event("bed"), &Context::default()).seq, 601);
}

#[test]
fn a_full_disk_keeps_events_in_memory_and_writes_them_later() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let mut store = open(&config);
    let recorder = store.recorder();
    store.limit_pages(Some(1));
    let mut memory = 0;
    for seq in 1..=100 {
        let stored = recorder.append(&event("bed"), &Context::default());
        assert_eq!(stored.seq, seq);
        memory += u32::from(!stored.durable);
    }
    assert!(memory > 50 && recorder.degraded(), "{memory}");
    let mut outbox = store.outbox().unwrap();
    let rows = waiting(&mut outbox, "bed");
    assert!(rows.iter().map(|row| row.seq).eq(1..=100), "file and memory read as one");
    // One of each kind is delivered meanwhile.
    outbox.delivered(receipt(1, i64::MAX));
    outbox.delivered(receipt(100, i64::MAX));
    assert_eq!(waiting(&mut outbox, "bed").last().unwrap().seq, 99);
    store.limit_pages(None);
    let begun = std::time::Instant::now();
    while recorder.degraded() && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(10));
    }
    drop((store, outbox));
    assert_eq!((count(&config, "events"), count(&config, "outbox")), (100, 98));
}

#[test]
fn what_memory_has_no_room_for_waits_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::new());
    let mut store = Store::open(&config(&folder), Clock::start(), Arc::clone(&metrics)).unwrap();
    let (recorder, mut outbox) = (store.recorder(), store.outbox().unwrap());
    store.limit_pages(Some(1));
    let total = MEMORY_LIMIT as i64 + 100;
    for _ in 0..total {
        recorder.append(&event("bed"), &Context::default());
        // The publisher's lanes are full: it holds none of them.
        while outbox.try_notice().is_some() {}
    }
    let lost = metrics.events_lost.get() as i64;
    assert!(lost > 0);
    assert_eq!((outbox.depth(), metrics.outbox_depth.get()), (total - lost, total - lost));
}

#[test]
fn a_number_that_is_taken_swallows_no_alert() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    assert!(
        open::beyond(&config.path) > 1_700_000_000,
        "no file, no number: those of the next runs differ all the same"
    );
    let store = open(&config);
    let recorder = store.recorder();
    assert!(recorder.append(&event("bed"), &Context::default()).durable);
    store.shared.writer().last_seq = 0;
    let second = recorder.append(&event("bed"), &Context::default());
    assert_eq!((second.seq, second.durable, recorder.degraded()), (1, false, true), "kept in memory, and seen");
    drop((store, recorder));
    // A commit whose outcome is unknown is repeated.
    let file = Connection::open(&config.path).unwrap();
    let row = Row::new(2, &event("bed"), &Context::default(), &Clock::start());
    (0..2).for_each(|_| database::insert(&file, &row, None, "").unwrap());
    assert_eq!((count(&config, "events"), count(&config, "outbox")), (2, 2));
}

#[test]
fn what_a_full_disk_takes_with_it_at_the_end_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let metrics = Arc::new(Metrics::new());
    let mut store = Store::open(&config, Clock::start(), Arc::clone(&metrics)).unwrap();
    store.limit_pages(Some(1));
    let recorder = store.recorder();
    let stored: Vec<Stored> = (0..100).map(|_| recorder.append(&event("bed"), &Context::default())).collect();
    let memory: Vec<u64> = stored.iter().filter(|stored| !stored.durable).map(|stored| stored.seq).collect();
    // The newest was published from memory: nobody misses it.
    let outbox = store.outbox().unwrap();
    outbox.delivered(receipt(*memory.last().unwrap(), i64::MAX));
    drop(store);
    assert_eq!(metrics.events_lost.get(), memory.len() as u64 - 1);
}

/// The next answer to a load: rows by number, and whether that was all; none if it failed.
fn loaded(outbox: &mut Outbox) -> Option<(Vec<u64>, bool)> {
    loaded_or_surveyed(outbox, &mut None)
}

/// As `loaded`; an answer to a survey that comes first goes to `cameras`.
fn loaded_or_surveyed(outbox: &mut Outbox, cameras: &mut Option<Vec<String>>) -> Option<(Vec<u64>, bool)> {
    loop {
        match outbox.notices.blocking_recv().unwrap() {
            Notice::Loaded { rows, complete, .. } => return Some((rows.iter().map(|row| row.seq).collect(), complete)),
            Notice::LoadFailed { .. } => return None,
            Notice::Lanes(known) => *cameras = Some(known),
            Notice::Stored(_) | Notice::Again(_) => {}
        }
    }
}

#[test]
fn an_outbox_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let mut store = open(&config);
    let (recorder, mut outbox) = (store.recorder(), store.outbox().unwrap());
    recorder.append(&event("bed"), &Context::default());
    let mut cameras = None;
    let other = Connection::open(&config.path).unwrap();
    other.execute_batch("ALTER TABLE outbox RENAME TO away").unwrap();
    outbox.survey();
    outbox.load("bed", 0, 10);
    assert_eq!(loaded_or_surveyed(&mut outbox, &mut cameras), None, "nothing is known");
    assert!(!recorder.append(&event("bed"), &Context::default()).durable);
    outbox.load("bed", 0, 10);
    assert_eq!(
        loaded_or_surveyed(&mut outbox, &mut cameras),
        Some((vec![2], false)),
        "an alert in memory does not wait for the file"
    );
    other.execute_batch("ALTER TABLE away RENAME TO outbox").unwrap();
    // The publisher asks for what comes after the one that it has.
    outbox.load("bed", 2, 10);
    let (rows, complete) = loaded_or_surveyed(&mut outbox, &mut cameras).unwrap();
    assert!(rows.contains(&1) && complete, "{rows:?}");
    while cameras.is_none() {
        if let Notice::Lanes(known) = outbox.notices.blocking_recv().unwrap() {
            cameras = Some(known);
        }
    }
    assert_eq!(cameras.unwrap(), ["bed"], "the survey was owed, and came");
}

#[test]
fn what_cannot_be_understood_holds_up_nothing_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let mut store = open(&config);
    let recorder = store.recorder();
    for _ in 0..4 {
        recorder.append(&event("bed"), &Context::default());
    }
    let other = Connection::open(&config.path).unwrap();
    other.execute_batch("UPDATE events SET type = 'of another version' WHERE seq = 1").unwrap();
    other.execute_batch("UPDATE events SET device = CAST(x'ff' AS TEXT) WHERE seq = 2").unwrap();
    let mut outbox = store.outbox().unwrap();
    outbox.load("bed", 0, 2);
    assert_eq!(loaded(&mut outbox), Some((vec![3, 4], false)), "two rows of the two asked for");
    outbox.load("bed", 4, 2);
    assert_eq!(loaded(&mut outbox), Some((vec![], true)));
}

/// The same event, seen so many seconds after the clock's start.
fn seen_at(second: u64, event: &Event) -> Event {
    Event { ledger: Ledger { captured: Moment::from_secs(second), ..event.ledger }, ..event.clone() }
}

#[test]
fn the_last_word_is_the_last_told_whatever_the_clock_said_and_an_end_is_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let end = |first: &Event| Event { id: Uuid::now_v7(), event: EventType::Recovered, ..first.clone() };
    let (bed, bed_again) = (event("bed"), event("bed"));
    let (hall, hall_again) = (event("hall"), event("hall"));
    let stairs = event("stairs");
    let told = [
        seen_at(11, &bed),
        seen_at(12, &end(&bed)),
        // Told while these two waited for a disk, which then get younger numbers.
        seen_at(13, &bed_again),
        // The power failed after the end, and the clock is behind.
        seen_at(12, &hall),
        seen_at(13, &end(&hall)),
        seen_at(1, &hall_again),
        // The clock was set back between the fall and its end.
        seen_at(12, &stairs),
        seen_at(1, &end(&stairs)),
    ];
    let store = open(&config);
    for event in &told {
        store.recorder().append(event, &Context::default());
    }
    {
        let writer = store.shared.writer();
        let connection = &writer.file.as_ref().unwrap().connection;
        let mut waited = database::salvage(connection);
        waited.truncate(2);
        for last in [20, 30] {
            database::renumber(connection, &mut waited, last).unwrap();
        }
        assert_eq!(waited.iter().map(|row| row.seq).collect::<Vec<_>>(), [31, 32]);
    }
    let unfinished: Vec<Uuid> = store.unfinished().iter().map(|left| left.incident).collect();
    assert_eq!(unfinished, [bed_again.id, hall_again.id]);
}

#[test]
fn a_restart_knows_what_was_going_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let mut second = 0;
    let mut tell = |store: &Store, first: &Event, kind, class| {
        second += 1;
        let next = Event { id: Uuid::now_v7(), event: kind, class, ..first.clone() };
        store.recorder().append(&seen_at(second, &next), &Context::default());
    };
    let (bed, hall, stairs) = (event("bed"), event("hall"), event("stairs"));
    {
        let store = open(&config);
        for first in [&bed, &hall, &stairs] {
            store.recorder().append(first, &Context::default());
        }
        tell(&store, &bed, EventType::LongLie, Class::Fall);
        tell(&store, &bed, EventType::Acknowledged, Class::Fall);
        tell(&store, &hall, EventType::Recovered, Class::Fall);
        tell(&store, &stairs, EventType::Climb, Class::Climb);
        let test = Event { incident: Uuid::now_v7(), ..stairs.clone() };
        tell(&store, &test, EventType::Test, Class::Fall);
    }
    let open = |event: &Event, class, told| Unfinished {
        camera: event.camera.clone(),
        class,
        incident: event.incident,
        long_lie: told,
        acknowledged: told,
    };
    let expected =
        [open(&stairs, Class::Fall, false), open(&bed, Class::Fall, true), open(&stairs, Class::Climb, false)];
    assert_eq!(self::open(&config).unfinished(), expected);
    // Who is known to have fallen anew is neither acknowledged nor known to lie for long.
    let again = open(&bed, Class::Fall, false);
    tell(&self::open(&config), &bed, EventType::Fall, Class::Fall);
    assert!(self::open(&config).unfinished().contains(&again));
    // One whose call was owed is told by the long lie, after the acknowledgement of the first.
    tell(&self::open(&config), &bed, EventType::Acknowledged, Class::Fall);
    tell(&self::open(&config), &bed, EventType::LongLie, Class::Fall);
    assert!(self::open(&config).unfinished().contains(&Unfinished { long_lie: true, ..again }));
    // Two days ago is forgotten.
    let other = Connection::open(&config.path).unwrap();
    other.execute_batch("UPDATE events SET captured_us = captured_us - 2 * 86400000000").unwrap();
    assert_eq!(self::open(&config).unfinished(), []);
}
