//! What people ask of a running detector, a bounded number in a turn.

use super::{Detector, Outlet};
use crate::config::PolicyConfig;
use crate::event::policy::Transition;
use crate::event::{Class, EventType, Ledger};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;
use uuid::Uuid;

/// Orders obeyed in one turn, so that a flood of them does not keep pictures waiting.
pub(super) const ORDERS_A_TURN: usize = 16;
/// One test of a camera in so long: each costs a commit, and a fall must not wait behind a hundred of them.
pub(super) const TEST_EVERY: Duration = Duration::from_secs(2);

/// What somebody wants of a running detector.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// A caregiver is on it: no escalation of what is happening on this camera. Names the incident, or means the
    /// present one.
    Acknowledge(String, Option<Uuid>),
    /// Try the whole road: an event of type `test`.
    Test(String),
    /// Decide again, or only watch.
    Arm(String, bool),
    /// Another policy of the site.
    Configure(PolicyConfig),
}

impl<O: Outlet> Detector<O> {
    pub(super) fn obey(&mut self, orders: &Receiver<Order>) {
        for _ in 0..ORDERS_A_TURN {
            match orders.try_recv() {
                Ok(order) => self.follow(order),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    fn follow(&mut self, order: Order) {
        let now = self.clock.now();
        let at = Ledger { captured: now, scored: now, decided: now };
        match order {
            Order::Acknowledge(id, incident) => {
                let Some(camera) = self.find(&id) else { return };
                let meant = |class: &Class| match incident {
                    None => true,
                    // None of the camera's, if it is over.
                    Some(incident) => self.seen[camera].incidents.get(class) == Some(&incident),
                };
                let classes = Class::ALL.into_iter().filter(meant).collect::<Vec<_>>();
                self.acknowledge(camera, &classes, at);
            }
            Order::Test(id) => {
                if let Some(camera) = self.find(&id) {
                    let tested = &mut self.seen[camera].tested;
                    if tested.is_some_and(|at| now.saturating_sub(at) < TEST_EVERY) {
                        return tracing::warn!(
                            camera = id,
                            "test refused: the last one was less than {TEST_EVERY:?} ago"
                        );
                    }
                    *tested = Some(now);
                    let (event, class) = (EventType::Test, Class::Fall);
                    let transition = Transition { event, class, score: 0.0, place: None, first: true };
                    self.tell(camera, transition, at);
                }
            }
            Order::Arm(id, armed) => {
                if let Some(camera) = self.find(&id) {
                    if !armed {
                        // Whoever disarms is on it. Said, so that a restart does not bring back what nobody hears the
                        // end of.
                        self.acknowledge(camera, &Class::ALL, at);
                        self.seen[camera].incidents.clear();
                    }
                    self.engine.arm(camera, armed);
                    tracing::info!(camera = id, armed, "camera armed or disarmed");
                }
            }
            Order::Configure(policy) => self.engine.configure(&policy),
        }
    }

    /// Somebody is on it: told of each class that is going on, or after a restart one would go on as if nobody had come.
    pub(super) fn acknowledge(&mut self, camera: usize, classes: &[Class], at: Ledger) {
        for class in classes {
            if let Some(transition) = self.engine.acknowledge(camera, *class, at.decided) {
                self.tell(camera, transition, at);
            }
        }
    }

    fn find(&self, id: &str) -> Option<usize> {
        let found = self.inputs.iter().position(|input| input.id == id);
        if found.is_none() {
            tracing::warn!(camera = id, "an order names a camera that is not configured");
        }
        found
    }
}
