//! The supervisor: waits in one place for whatever happens, and tells systemd.

use super::{App, AppError, Ears, Reread, failed};
use crate::detector::Order;
use crate::frame::Moment;
use crate::health::CameraHealth;
use crate::journal;
use crate::lifecycle::heartbeat::Heartbeat;
use crate::mqtt::{self, Command, Delivery};
use crate::reload;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::TrySendError;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// The status line and the heartbeats are refreshed so often.
const ROUND: Duration = Duration::from_secs(1);
/// One inference may take so long (a GPU that was asleep) before the detector counts as hung.
const DETECTOR_MAY_TAKE: Duration = Duration::from_secs(20);
/// A capture's supervisor beats each second.
const CAPTURE_MAY_TAKE: Duration = Duration::from_secs(15);
/// The store's thread moves every two seconds unless a disk hangs.
const STORE_MAY_TAKE: Duration = Duration::from_secs(30);

struct Beats {
    detector: Arc<Heartbeat>,
    store: Arc<Heartbeat>,
    delivery: Arc<Heartbeat>,
    captures: Vec<Arc<Heartbeat>>,
}

impl App {
    /// Runs until a signal, the end of every camera, or the detector's failure.
    pub(super) async fn supervise(
        &mut self,
        mut ears: Ears,
        delivery: &Delivery,
        reread: Reread,
    ) -> Result<(), AppError> {
        let beats = self.register();
        let mut waiting: BTreeSet<String> = self.config.camera.keys().cloned().collect();
        let mut ready = false;
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shutdown = self.signals.shutdown.clone();
        let reload = Arc::clone(&self.signals.reload);
        let (clock, progress) = (self.clock, delivery.progress());
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                outcome = &mut ears.detector => {
                    return match outcome {
                        Ok(Ok(())) => Ok(()),
                        Ok(Err(error)) => Err(failed(error)),
                        Err(_) => Err(failed("the detector ended without a word")),
                    };
                }
                Some(report) = ears.reports.recv() => {
                    // A camera that cannot see will not have a first score; it must not keep the others from working.
                    if !matches!(report.health, CameraHealth::Connecting | CameraHealth::Ok) {
                        waiting.remove(&*report.camera);
                    }
                    self.board.set_health(&report.camera, report.health, &report.detail);
                }
                Some(camera) = ears.firsts.recv() => {
                    waiting.remove(&camera);
                }
                // While the detector has no room, commands wait in their channel, which says so to whoever sends more.
                Some(command) = ears.commands.recv(), if self.owed.is_empty() => self.command(command),
                () = reload.notified() => self.reload(&reread, ready),
                _ = round.tick() => {
                    self.beat(&beats, progress.stalled(clock.now()).is_none());
                    if ready {
                        self.notifier.status(&self.board.summary());
                    }
                }
            }
            self.hand_over();
            if !ready && waiting.is_empty() {
                ready = true;
                let summary = self.board.summary();
                tracing::info!(MESSAGE_ID = journal::READY, summary, "ready");
                self.notifier.ready(&summary);
            }
        }
    }

    fn register(&self) -> Beats {
        let now = self.clock.now();
        Beats {
            detector: self.heartbeats.register("detector", DETECTOR_MAY_TAKE, now),
            store: self.heartbeats.register("store", STORE_MAY_TAKE, now),
            delivery: self.heartbeats.register("mqtt", STORE_MAY_TAKE, now),
            captures: self
                .config
                .camera
                .keys()
                .map(|id| self.heartbeats.register(&format!("capture {id}"), CAPTURE_MAY_TAKE, now))
                .collect(),
        }
    }

    /// Copies each loop's own sign of life; nothing is made up here.
    fn beat(&self, beats: &Beats, delivery_moves: bool) {
        beats.detector.beat(Moment::from_millis(self.detector_beat.load(Ordering::Relaxed)));
        beats.store.beat(self.store.progress());
        if delivery_moves {
            beats.delivery.beat(self.clock.now());
        }
        for (beat, capture) in beats.captures.iter().zip(&self.captures) {
            // A file that was played to its end owes no sign of life.
            beat.beat(capture.heartbeat().last().unwrap_or(self.clock.now()));
        }
    }

    fn command(&mut self, command: Command) {
        let Command { camera, order, incident } = command;
        let order = match order {
            mqtt::Order::Ack => Order::Acknowledge(camera, incident),
            mqtt::Order::Test => Order::Test(camera),
            mqtt::Order::Arm => Order::Arm(camera, true),
            mqtt::Order::Disarm => Order::Arm(camera, false),
        };
        self.order(order);
    }

    fn order(&mut self, order: Order) {
        self.owed.push_back(order);
        self.hand_over();
    }

    /// Gives the detector the orders for which it has room.
    fn hand_over(&mut self) {
        while let Some(order) = self.owed.pop_front() {
            match self.orders.try_send(order) {
                Ok(()) => self.bell.ring(),
                Err(TrySendError::Full(order)) => return self.owed.push_front(order),
                // The detector is gone only when the daemon is ending.
                Err(TrySendError::Disconnected(_)) => {}
            }
        }
    }

    /// SIGHUP: policy and log level change at once; anything else is refused as a whole.
    fn reload(&mut self, reread: &Reread, ready: bool) {
        if ready {
            self.notifier.reloading();
        }
        match reread()
            .and_then(|new| reload::changes(&self.config, &new).map(|it| (new, it)).map_err(|e| e.to_string()))
        {
            Ok((new, changes)) => {
                if let Some(level) = &changes.level
                    && let Err(error) = self.log.set_level(level)
                {
                    tracing::error!(%error, "the log level was not changed");
                }
                if let Some(policy) = changes.policy {
                    self.order(Order::Configure(policy));
                }
                let changed = changes.keys.join(", ");
                tracing::info!(MESSAGE_ID = journal::RELOADED, changed, "configuration read again");
                self.config = new;
            }
            Err(error) => tracing::error!(
                MESSAGE_ID = journal::RELOAD_REFUSED,
                %error,
                "the reload was refused; the old configuration holds"
            ),
        }
        // A reload before the first score must not tell systemd that falld is at work.
        if ready {
            self.notifier.ready(&self.board.summary());
        }
    }
}
