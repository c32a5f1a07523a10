//! A broker, a store and a network that do what they like: everything arrives all the same, in order.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// One step of a broker, a store and a network that do what they like.
#[derive(Debug, Clone, Copy)]
enum Step {
    Fall(bool),
    Again(bool),
    Answer(bool),
    Break,
    Connect,
    Read,
    ReadFails,
    Wait(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => any::<bool>().prop_map(Step::Fall),
        2 => any::<bool>().prop_map(Step::Again),
        5 => prop::bool::weighted(0.8).prop_map(Step::Answer),
        1 => Just(Step::Break),
        2 => Just(Step::Connect),
        3 => Just(Step::Read),
        1 => Just(Step::ReadFails),
        1 => any::<u8>().prop_map(Step::Wait),
    ]
}

/// A store, a broker and a network by their bare promises.
#[derive(Debug)]
struct World {
    machine: Delivery,
    now: Moment,
    outbox: BTreeMap<u64, Arc<Row>>,
    reads: VecDeque<(String, u64)>,
    survey: bool,
    connected: bool,
    flying: Option<Arc<Row>>,
    delivered: Vec<Arc<Row>>,
    /// How often one was told again.
    again: u64,
    seq: u64,
}

impl World {
    fn feed(&mut self, input: Input) {
        let actions = self.machine.apply(input, self.now);
        self.obey(actions);
    }

    fn obey(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Publish(row) => {
                    assert!(self.connected && self.flying.is_none(), "one at a time, on a connection");
                    assert!(self.outbox.contains_key(&row.seq), "published again after its delivery");
                    self.flying = Some(row);
                }
                Action::Delivered { row, .. } => {
                    assert!(self.outbox.remove(&row.seq).is_some(), "delivered once");
                    self.delivered.push(row);
                }
                Action::Load { camera, after } => self.reads.push_back((camera, after)),
                Action::Survey => self.survey = true,
                Action::Reconnect => {
                    self.connected = false;
                    self.flying = None;
                }
                Action::Refused { .. } | Action::Accepted { .. } => {}
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Fall(bed) => {
                self.seq += 1;
                let row = row(self.seq, if bed { "bed" } else { "hall" });
                self.outbox.insert(self.seq, row.clone());
                self.feed(Input::Stored(row));
            }
            Step::Again(bed) => {
                let camera = if bed { "bed" } else { "hall" };
                let Some(last) = self.delivered.iter().rfind(|row| row.camera == camera).cloned() else { return };
                // What waits behind one that is told again is newer, and is told first.
                if self.delivered.iter().all(|row| row.camera != camera || !self.outbox.contains_key(&row.seq)) {
                    self.again += 1;
                    self.outbox.insert(last.seq, last.clone());
                    self.feed(Input::Again(last));
                }
            }
            Step::Answer(good) => {
                if self.flying.take().is_some() {
                    self.feed(Input::HandedOver { pkid: 7 });
                    self.feed(answer(if good { Ok(()) } else { Err("QuotaExceeded") }));
                }
            }
            Step::Break => {
                self.connected = false;
                self.flying = None;
                self.feed(Input::Disconnected);
            }
            Step::Connect if !self.connected => {
                self.connected = true;
                self.feed(Input::Connected);
            }
            Step::Connect => {}
            Step::Read if std::mem::take(&mut self.survey) => {
                let mut cameras: Vec<String> = self.outbox.values().map(|row| row.camera.clone()).collect();
                cameras.dedup();
                self.feed(Input::Lanes(cameras));
            }
            Step::Read => {
                let Some((camera, after)) = self.reads.pop_front() else { return };
                let matching = self.outbox.values().filter(|row| row.camera == camera && row.seq > after);
                let rows: Vec<_> = matching.take(LANE).cloned().collect();
                let complete = rows.len() < LANE;
                self.feed(Input::Loaded { camera, rows, complete });
            }
            Step::ReadFails => {
                if let Some((camera, _)) = self.reads.pop_front() {
                    self.feed(Input::LoadFailed { camera });
                }
            }
            Step::Wait(seconds) => {
                self.now += at(seconds.into());
                self.feed(Input::Tick);
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_everything_arrives_in_order(
        before in 0..80_u64, steps in prop::collection::vec(step(), 0..300),
    ) {
        let outbox = (1..=before).map(|seq| (seq, row(seq, if seq % 3 == 0 { "bed" } else { "hall" }))).collect();
        let mut world = World {
            machine: Delivery::new(PATIENCE), now: at(0), outbox, reads: VecDeque::new(), survey: false,
            connected: false, flying: None, delivered: Vec::new(), again: 0, seq: before,
        };
        let actions = world.machine.start();
        world.obey(actions);
        for step in steps {
            world.step(step);
            prop_assert!(world.machine.lanes.values().all(|lane| lane.queue.len() <= LANE + 1), "memory is bounded");
        }
        // At last all goes well.
        for _ in 0..2000 {
            for step in [Step::Connect, Step::Read, Step::Answer(true), Step::Wait(30)] {
                world.step(step);
            }
        }
        prop_assert!(world.outbox.is_empty(), "left behind: {:?}", world.outbox.keys());
        prop_assert!(world.machine.drained());
        prop_assert_eq!(world.delivered.len() as u64, world.seq + world.again);
        let mut known = BTreeSet::new();
        let firsts: Vec<_> = world.delivered.iter().filter(|row| known.insert(row.seq)).collect();
        prop_assert_eq!(firsts.len() as u64, world.seq);
        for camera in ["bed", "hall"] {
            let lane = firsts.iter().filter(|row| row.camera == camera);
            prop_assert!(lane.map(|row| row.seq).is_sorted(), "order within a camera");
        }
    }
}
