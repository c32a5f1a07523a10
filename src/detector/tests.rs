//! The detector's turns by hand: pictures in, orders in, and what its outlet hears.

mod disarmed;
mod evidence;

use super::orders::{ORDERS_A_TURN, TEST_EVERY};
use super::*;
use crate::classifier::scripted::ScriptedClassifier;
use crate::classifier::{Classifier, ClassifierError, Encoding, Scoring, Spec};
use crate::config::{CameraConfig, Falls, PolicyConfig};
use crate::zone::Zones;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, OnceLock, PoisonError};

#[derive(Debug, Default)]
struct Heard {
    events: Vec<Event>,
    evidence: Vec<(String, Uuid, Movements)>,
    shown: Vec<(String, Shown)>,
    firsts: Vec<String>,
}

#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Heard>>);

impl Ear {
    fn heard<T>(&self, read: impl FnOnce(&mut Heard) -> T) -> T {
        read(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn events(&self) -> Vec<EventType> {
        self.heard(|heard| heard.events.iter().map(|event| event.event).collect())
    }
}

impl Outlet for Ear {
    fn event(&mut self, event: Event) {
        self.heard(|heard| heard.events.push(event));
    }

    fn evidence(&mut self, camera: &str, event: Uuid, movements: Movements) {
        self.heard(|heard| heard.evidence.push((camera.into(), event, movements)));
    }

    fn shown(&mut self, camera: &str, shown: Shown) {
        self.heard(|heard| heard.shown.push((camera.into(), shown)));
    }

    fn first_score(&mut self, camera: &str) {
        self.heard(|heard| heard.firsts.push(camera.into()));
    }
}

const CAMERAS: [&str; 3] = ["bed", "hall", "stairs"];

struct Room {
    detector: Detector<Ear>,
    ear: Ear,
    ticks: [u64; 3],
}

impl Room {
    fn new(cameras: usize, batch: usize, classifier: impl Classifier + 'static) -> Self {
        let policy = PolicyConfig::default();
        let engine = Engine::new(Box::new(classifier), cameras, batch, &policy);
        let (bell, metrics) = (Bell::new(), Arc::new(Metrics::new()));
        let inputs = CAMERAS[..cameras]
            .iter()
            .map(|id| Input {
                id: (*id).into(),
                slot: Slot::new(Arc::clone(&bell)),
                metrics: metrics.camera(id),
                patience: Duration::from_secs(1),
                evidence: EvidenceStyle::Figures,
            })
            .collect();
        let ear = Ear::default();
        let beat = Arc::new(AtomicU64::new(0));
        let clock = Clock::started(Duration::from_secs(60));
        let detector = Detector::new(engine, inputs, ear.clone(), clock, metrics, beat);
        Self { detector, ear, ticks: [0; 3] }
    }

    /// The camera's next picture.
    fn picture(&mut self, camera: usize, fall: f32) {
        let mut frame = Frame::new(self.detector.engine.spec().frame);
        frame.pixels[0] = (fall * 255.0) as u8;
        frame.tick = self.ticks[camera];
        frame.captured = self.detector.clock.now();
        self.ticks[camera] += 1;
        self.detector.inputs[camera].slot.put(frame);
    }

    /// Pictures of camera 0, each judged in a turn of its own.
    fn watch(&mut self, count: usize, fall: f32) {
        for _ in 0..count {
            self.picture(0, fall);
            self.turn(&[]).unwrap();
        }
    }

    /// One turn of the loop, as `run` makes it.
    fn turn(&mut self, orders: &[Order]) -> Result<(), Failed> {
        let (sender, inbox) = std::sync::mpsc::channel();
        for order in orders {
            sender.send(order.clone()).unwrap();
        }
        self.detector.obey(&inbox);
        while self.detector.judge_round()? {}
        self.detector.pass_time();
        self.detector.show();
        Ok(())
    }

    fn last_shown(&self) -> Shown {
        self.ear.heard(|heard| heard.shown.last().unwrap().1)
    }
}

fn failing(failures: u32) -> ScriptedClassifier {
    let mut classifier = ScriptedClassifier::new();
    classifier.failures = failures;
    classifier
}

#[test]
fn a_gap_empties_the_clip_and_holds_the_alarm() {
    let mut room = Room::new(1, 1, ScriptedClassifier::new());
    room.watch(6, 0.9);
    assert_eq!(room.ear.events(), [EventType::Fall]);
    let last = room.detector.seen[0].last;
    while room.detector.clock.now() - last <= Duration::from_millis(510) {
        std::thread::sleep(Duration::from_millis(5));
    }
    room.turn(&[]).unwrap();
    assert_eq!(room.detector.engine.scores(0), None, "the clip is empty");
    assert_eq!(room.last_shown().state, State::Down, "and the alarm is held");
    assert_eq!(room.last_shown().incident, Some(room.ear.heard(|heard| heard.events[0].id)));
    // The camera comes back, and the person still lies there: nothing new.
    room.ticks[0] += 10;
    room.watch(6, 0.9);
    assert!(room.detector.engine.scores(0).is_some());
    assert_eq!(room.ear.events(), [EventType::Fall]);
}

#[test]
fn fifteen_failed_inferences_stop_the_detector() {
    let mut room = Room::new(1, 1, failing(MAX_FAILURES));
    for failure in 1..MAX_FAILURES {
        room.picture(0, 0.0);
        assert!(room.turn(&[]).is_ok(), "failure {failure} is borne");
    }
    room.detector.failing_since -= FAILING;
    room.picture(0, 0.0);
    let error = room.turn(&[]).unwrap_err().to_string();
    assert!(error.contains("15 inferences failed in a row") && error.contains("falld doctor"), "{error}");
}

#[test]
fn a_hiccup_is_no_longer_for_many_cameras_than_for_one() {
    let mut room = Room::new(1, 1, failing(3 * MAX_FAILURES));
    for _ in 0..3 * MAX_FAILURES {
        room.picture(0, 0.0);
        assert!(room.turn(&[]).is_ok(), "so many batches of many cameras fail in a moment");
    }
    room.picture(0, 0.0);
    room.turn(&[]).unwrap();
    assert_eq!(room.detector.failures, 0);
}

#[test]
fn a_good_inference_forgives_those_that_failed() {
    let mut room = Room::new(1, 1, failing(MAX_FAILURES - 1));
    room.watch(MAX_FAILURES as usize + 5, 0.9);
    assert_eq!(room.detector.failures, 0);
    let numbers = &room.detector.inputs[0].metrics;
    assert_eq!(numbers.drops(DropReason::Inference), u64::from(MAX_FAILURES) - 1, "each drop is counted");
    assert_eq!(room.ear.events(), [EventType::Fall], "and sees what comes after them");
}

#[test]
fn batches_take_turns_so_that_nobody_starves() {
    let mut room = Room::new(3, 1, ScriptedClassifier::new());
    for camera in 0..3 {
        room.picture(camera, 0.0);
    }
    for _ in 0..3 {
        // The first camera is quick: its next picture is there before the others have had their turn.
        room.picture(0, 0.0);
        assert!(room.detector.judge().unwrap());
    }
    for camera in [1, 2] {
        assert!(room.detector.inputs[camera].slot.take().is_none(), "{} was not judged", CAMERAS[camera]);
    }
}

#[test]
fn one_batch_takes_every_camera() {
    let mut room = Room::new(3, 3, ScriptedClassifier::new());
    for _ in 0..3 {
        for camera in 0..3 {
            room.picture(camera, 0.0);
        }
        assert!(room.detector.judge().unwrap());
        assert!(!room.detector.judge().unwrap(), "nothing was left over");
    }
    assert_eq!(room.ear.heard(|heard| heard.firsts.clone()), CAMERAS, "each said once");
}

#[test]
fn an_acknowledgement_of_another_incident_is_ignored() {
    let mut room = Room::new(1, 1, ScriptedClassifier::new());
    room.watch(6, 0.9);
    let incident = room.ear.heard(|heard| heard.events[0].incident);
    room.turn(&[Order::Acknowledge("bed".into(), Some(Uuid::now_v7()))]).unwrap();
    assert_eq!(room.ear.events(), [EventType::Fall]);
    assert!(!room.last_shown().acknowledged);
    room.turn(&[Order::Acknowledge("bed".into(), Some(incident))]).unwrap();
    assert_eq!(room.ear.events(), [EventType::Fall, EventType::Acknowledged]);
    assert!(room.last_shown().acknowledged);
    assert_eq!(room.ear.heard(|heard| heard.events[1].incident), incident);
}

#[test]
fn an_order_for_a_camera_that_is_not_there_does_nothing() {
    let mut room = Room::new(1, 1, ScriptedClassifier::new());
    let id = || "cellar".to_owned();
    room.turn(&[Order::Test(id()), Order::Arm(id(), false), Order::Acknowledge(id(), None)]).unwrap();
    assert_eq!(room.ear.events(), []);
    assert!(room.last_shown().armed);
}

#[test]
fn what_lies_in_the_slots_is_judged_before_the_end() {
    let mut room = Room::new(1, 1, ScriptedClassifier::new());
    room.watch(2, 0.9);
    room.watch(1, 0.9);
    room.picture(0, 0.9);
    let slot = Arc::clone(&room.detector.inputs[0].slot);
    slot.close();
    let (bell, (_orders, inbox)) = (Bell::new(), std::sync::mpsc::channel());
    room.detector.run(&bell, &inbox).unwrap();
    assert!(slot.take().is_none());
    assert_eq!(room.ear.events(), [EventType::Fall]);
}

/// A camera that is faster than the model: with each answer the next picture waits. It asks for a test, and ends when it
/// is heard or when its film is over.
struct Tireless {
    inner: ScriptedClassifier,
    camera: Arc<OnceLock<Arc<Slot<Frame>>>>,
    orders: Sender<Order>,
    ear: Arc<OnceLock<Ear>>,
    left: Arc<AtomicU64>,
}

impl Classifier for Tireless {
    fn spec(&self) -> &Spec {
        self.inner.spec()
    }

    fn encode(&mut self, batch: &mut Encoding) -> Result<(), ClassifierError> {
        let (camera, ear) = (self.camera.get().unwrap(), self.ear.get().unwrap());
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 || !ear.events().is_empty() {
            camera.close();
        } else {
            self.orders.send(Order::Test("bed".into())).unwrap();
            self.left.store(left - 1, Ordering::Relaxed);
            let mut frame = Frame::new(self.spec().frame);
            frame.tick = 1000 - left;
            camera.put(frame);
        }
        self.inner.encode(batch)
    }

    fn score(&mut self, rows: &mut Scoring) -> Result<(), ClassifierError> {
        self.inner.score(rows)
    }
}

#[test]
fn orders_are_obeyed_while_the_cameras_are_faster_than_the_model() {
    let (camera, ear, left) = (Arc::default(), Arc::default(), Arc::new(AtomicU64::new(1000)));
    let (orders, inbox) = std::sync::mpsc::channel();
    let classifier = Tireless {
        inner: ScriptedClassifier::new(),
        camera: Arc::clone(&camera),
        orders,
        ear: Arc::clone(&ear),
        left: Arc::clone(&left),
    };
    let mut room = Room::new(1, 1, classifier);
    assert!(camera.set(Arc::clone(&room.detector.inputs[0].slot)).is_ok() && ear.set(room.ear.clone()).is_ok());
    room.picture(0, 0.0);
    room.detector.run(&Bell::new(), &inbox).unwrap();
    assert_eq!(room.ear.events().first(), Some(&EventType::Test));
    assert!(left.load(Ordering::Relaxed) > 900, "it was heard while pictures came, not after the last one");
}

#[test]
fn a_flood_of_tests_is_one_test_and_leaves_room_for_pictures() {
    let mut room = Room::new(1, 1, ScriptedClassifier::new());
    let (sender, inbox) = std::sync::mpsc::channel();
    for _ in 0..2 * ORDERS_A_TURN {
        sender.send(Order::Test("bed".into())).unwrap();
    }
    room.detector.obey(&inbox);
    assert_eq!(inbox.try_iter().count(), ORDERS_A_TURN, "the rest waits for the next turn");
    assert_eq!(room.ear.events(), [EventType::Test]);
    *room.detector.seen[0].tested.as_mut().unwrap() -= TEST_EVERY;
    room.turn(&[Order::Test("bed".into())]).unwrap();
    assert_eq!(room.ear.events(), [EventType::Test; 2]);
}

#[test]
fn an_acknowledgement_of_one_incident_leaves_the_other() {
    let mut room = Room::new(1, 1, ScriptedClassifier::new());
    room.watch(6, 0.9);
    let climb = Uuid::now_v7();
    room.detector.seen[0].incidents.insert(Class::Climb, climb);
    room.turn(&[Order::Acknowledge("bed".into(), Some(climb))]).unwrap();
    assert_eq!((room.ear.events(), room.last_shown().acknowledged), (vec![EventType::Fall], false));
}

#[test]
fn a_fall_of_an_earlier_run_goes_on_under_its_id() {
    let mut room = Room::new(1, 1, ScriptedClassifier::new());
    let incident = Uuid::now_v7();
    let before =
        Unfinished { camera: "bed".into(), class: Class::Fall, incident, long_lie: false, acknowledged: false };
    let gone = Unfinished { camera: "cellar".into(), ..before.clone() };
    room.detector.resume(vec![gone, before]);
    assert_eq!((room.last_shown().state, room.last_shown().incident), (State::Down, Some(incident)));
    room.turn(&[Order::Acknowledge("bed".into(), Some(incident))]).unwrap();
    assert_eq!(room.ear.events(), [EventType::Acknowledged]);
    assert_eq!(room.ear.heard(|heard| heard.events[0].incident), incident);
}

#[test]
fn an_alarm_of_before_ends_where_the_camera_no_longer_watches_for_it() {
    let mut room = Room::new(1, 1, ScriptedClassifier::new());
    let climbs = CameraConfig { falls: Falls::Never, ..CameraConfig::default() };
    room.detector.engine.mark(0, Zones::new(&climbs)).unwrap();
    let (camera, class, incident) = ("bed".into(), Class::Fall, Uuid::now_v7());
    room.detector.resume(vec![Unfinished { camera, class, incident, long_lie: false, acknowledged: false }]);
    assert_eq!(room.ear.events(), [EventType::Acknowledged], "so that no restart brings it back");
    room.watch(40, 0.9);
    assert_eq!(room.ear.events(), [EventType::Acknowledged, EventType::Recovered]);
    assert!(room.ear.heard(|heard| heard.events.iter().all(|event| event.incident == incident)));
    assert_eq!((room.last_shown().state, room.last_shown().incident), (State::Recovered, None));
}

#[test]
fn pictures_too_seldom_for_a_clip_are_slow_until_an_alarm_could_be_raised() {
    let mut room = Room::new(1, 1, ScriptedClassifier::new());
    let slow = |room: &Room| (room.last_shown().slow, room.detector.inputs[0].metrics.slow.get());
    for _ in 0..3 {
        room.ticks[0] += 5;
        room.watch(1, 0.9);
    }
    assert_eq!(slow(&room), (false, 0), "it may be a stutter");
    // Five seconds like these.
    let since = room.detector.seen[0].unscored_since.as_mut().unwrap();
    *since -= SLOW_AFTER;
    room.ticks[0] += 5;
    room.watch(1, 0.9);
    assert_eq!(slow(&room), (true, 1));
    assert_eq!(room.ear.events(), [], "and nothing was judged");
    // Pauses that leave a score or two between them are no better: an alarm looks at four.
    for _ in 0..3 {
        room.watch(3, 0.0);
        assert_eq!(slow(&room), (true, 1));
        room.ticks[0] += 5;
    }
    room.watch(5, 0.0);
    assert_eq!(slow(&room), (false, 0));
    // A camera that gives nothing at all is the capture's to tell of.
    room.ticks[0] += 5;
    room.watch(1, 0.0);
    room.detector.seen[0].last -= SLOW_AFTER + Duration::from_millis(1);
    room.turn(&[]).unwrap();
    assert_eq!((slow(&room), room.detector.seen[0].unscored_since), ((false, 0), None));
}

#[test]
fn a_camera_of_one_picture_in_six_seconds_is_slow_where_the_capture_waits_ten() {
    let mut room = Room::new(1, 1, ScriptedClassifier::new());
    room.detector.inputs[0].patience = Duration::from_secs(10);
    let six = Duration::from_secs(6);
    room.watch(1, 0.9);
    assert!(!room.last_shown().slow, "the first picture says nothing yet");
    let seen = &mut room.detector.seen[0];
    seen.last -= six;
    *seen.unscored_since.as_mut().unwrap() -= six;
    // The second one is on its way.
    room.turn(&[]).unwrap();
    assert!(room.last_shown().slow, "nobody else calls this camera unwell");
    room.ticks[0] += 90;
    room.watch(1, 0.9);
    assert!(room.last_shown().slow, "and its picture begins a clip that never fills");
    // Silent for longer than that it is lost, and the capture's to tell of.
    room.detector.seen[0].last -= 2 * six;
    room.turn(&[]).unwrap();
    assert!(!room.last_shown().slow);
}

#[test]
fn a_fall_whose_alert_is_owed_does_not_pass_for_the_one_before() {
    let mut room = Room::new(1, 1, ScriptedClassifier::new());
    room.watch(6, 0.9);
    assert!(room.last_shown().incident.is_some());
    room.watch(40, 0.0);
    assert_eq!(room.ear.events(), [EventType::Fall, EventType::Recovered]);
    room.ear.heard(|heard| assert_eq!(heard.events[0].incident, heard.events[1].incident));
    // Within the cooldown.
    room.watch(6, 0.9);
    assert_eq!((room.last_shown().state, room.last_shown().incident), (State::Down, None));
}
