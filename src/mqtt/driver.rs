//! The task that owns all delivery state: waits in one place ([`Driver::wait`]), acts in another ([`Driver::act`]).

mod events;
mod notes;

use crate::event::Class;
use crate::frame::Moment;
use crate::journal;
use crate::mqtt::delivery::{Delivery, Input, Patience};
use crate::mqtt::link::LinkEvent;
use crate::mqtt::tidy::Remains;
use crate::mqtt::{Parts, Topics, topic};
use crate::store::Notice;
use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, RetainForwardRule};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A broker that came up a moment ago may not answer the first time.
const LOOKS: u8 = 2;
/// The driver wakes at least so often: for the watchdog, and for gauges that age.
const TICK: Duration = Duration::from_secs(1);
/// Home Assistant subscribes to events so long after it says that it is back, at most.
const SUBSCRIBES_WITHIN: Duration = Duration::from_secs(2);

pub(super) struct Driver {
    parts: Parts,
    topics: Topics,
    events: mpsc::Receiver<LinkEvent>,
    stop: CancellationToken,
    progress: Arc<AtomicU64>,
    machine: Delivery,
    connection: Option<Connection>,
    connects: u64,
    /// The largest packet that the broker takes, in bytes.
    largest: usize,
    /// The last trouble that was said, so that it is said once.
    trouble: Option<String>,
    next_tick: Moment,
    next_health: Moment,
    /// Whether the last health said that the store is degraded.
    told_degraded: bool,
    /// When to try again what nobody heard, and to tell again what Home Assistant may have missed: it has come back, and subscribes a
    /// little later.
    returned: Option<Moment>,
    /// Cameras that Home Assistant knows of.
    announced: BTreeMap<String, Vec<Class>>,
    /// The look for what earlier configurations left on the broker; nothing is announced before it is over, for an announcement
    /// takes the place of the one that it looks for.
    looking: JoinSet<Option<Remains>>,
    /// How often it may still be made. A broker that takes the user's name for the client's id ends falld's connection for each.
    looks: u8,
    /// What it found.
    remains: Remains,
    /// Set by the shutdown: when draining ends at the latest.
    drain_until: Option<Moment>,
    /// Since when events wait of which none is known here: the outbox cannot be read.
    unread_since: Option<Moment>,
}

#[derive(Debug)]
struct Connection {
    client: AsyncClient,
    give_up: Arc<Notify>,
    /// Whether the broker has answered our subscription. Only an earlier one can have brought what comes before that.
    listening: bool,
}

enum Wake {
    Link(Option<LinkEvent>),
    Store(Notice),
    Telemetry,
    Remains(Option<Remains>),
    Time,
    Shutdown,
}

impl Driver {
    pub(super) fn new(
        parts: Parts,
        topics: Topics,
        events: mpsc::Receiver<LinkEvent>,
        stop: CancellationToken,
        progress: Arc<AtomicU64>,
    ) -> Self {
        let Parts { tuning, .. } = &parts;
        let patience = Patience {
            answer: tuning.answer,
            retry_min: tuning.retry_min,
            retry_max: tuning.retry_max,
            unheard: tuning.unheard,
        };
        Self {
            machine: Delivery::new(patience),
            parts,
            topics,
            events,
            stop,
            progress,
            connection: None,
            connects: 0,
            largest: usize::MAX,
            trouble: None,
            next_tick: Moment::ZERO,
            next_health: Moment::ZERO,
            told_degraded: false,
            returned: None,
            announced: BTreeMap::new(),
            looking: JoinSet::new(),
            looks: LOOKS,
            remains: Remains::default(),
            drain_until: None,
            unread_since: None,
        }
    }

    /// Runs until a shutdown is complete.
    pub(super) async fn run(mut self) {
        for action in self.machine.start() {
            self.act(action);
        }
        while !self.finished() {
            let wake = self.wait().await;
            let now = self.parts.clock.now();
            self.progress.store(u64::try_from(now.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
            match wake {
                // The link ends only after the driver has.
                Wake::Link(None) => return,
                Wake::Link(Some(event)) => self.link(event, now),
                Wake::Store(notice) => self.store(notice, now),
                Wake::Telemetry => {
                    self.announce(false);
                    self.states(false);
                    self.evidence();
                }
                Wake::Remains(found) => {
                    match found {
                        Some(found) => (self.remains, self.looks) = (found, 0),
                        None => self.look(),
                    }
                    self.forget();
                    self.announce(true);
                }
                Wake::Time => self.tick(now),
                Wake::Shutdown => self.drain_until = Some(now + self.parts.tuning.grace),
            }
        }
        self.goodbye().await;
    }

    /// The only place that waits. Every branch may be cut off without a loss.
    async fn wait(&mut self) -> Wake {
        let now = self.parts.clock.now();
        // Absolute, so that a flood of messages cannot put the tick off for ever.
        let deadlines = [self.machine.deadline(), self.drain_until].into_iter().flatten();
        let pause = deadlines.fold(self.next_tick, Moment::min).saturating_sub(now);
        tokio::select! {
            event = self.events.recv() => Wake::Link(event),
            Some(notice) = self.parts.outbox.notice() => Wake::Store(notice),
            () = self.parts.telemetry.changed() => Wake::Telemetry,
            // A panic in it aborts the daemon.
            Some(found) = self.looking.join_next() => Wake::Remains(found.unwrap_or_default()),
            () = self.parts.shutdown.cancelled(), if self.drain_until.is_none() => Wake::Shutdown,
            () = tokio::time::sleep(pause) => Wake::Time,
        }
    }

    fn finished(&mut self) -> bool {
        let Some(until) = self.drain_until else { return false };
        let now = self.parts.clock.now();
        // Events that were stored before the shutdown may still be in the channel.
        while let Some(notice) = self.parts.outbox.try_notice() {
            self.store(notice, now);
        }
        now >= until || self.connection.is_none() || self.machine.drained()
    }

    fn feed(&mut self, input: Input, now: Moment) {
        for action in self.machine.apply(input, now) {
            self.act(action);
        }
    }

    fn store(&mut self, notice: Notice, now: Moment) {
        let input = match notice {
            Notice::Stored(row) => Input::Stored(row),
            Notice::Lanes(cameras) => Input::Lanes(cameras),
            Notice::Loaded { camera, rows, complete } => Input::Loaded { camera, rows, complete },
            Notice::LoadFailed { camera } => Input::LoadFailed { camera },
            Notice::Again(row) => Input::Again(row),
        };
        self.feed(input, now);
    }

    fn link(&mut self, event: LinkEvent, now: Moment) {
        match event {
            LinkEvent::Connected { client, give_up, session_present, largest } => {
                self.largest = largest;
                self.connection = Some(Connection { client, give_up, listening: false });
                self.connected(session_present, now);
            }
            LinkEvent::Lost { reason } => {
                self.connection = None;
                self.parts.metrics.broker_connected.set(0);
                let waiting = self.parts.outbox.depth();
                match self.trouble.replace(reason.clone()) {
                    None => tracing::warn!(
                        MESSAGE_ID = journal::BROKER_LOST,
                        reason,
                        waiting,
                        "broker lost; events wait in the store"
                    ),
                    Some(known) if known != reason => {
                        tracing::warn!(reason, waiting, "the broker is still away, for another reason");
                    }
                    Some(_) => {}
                }
                self.feed(Input::Disconnected, now);
            }
            LinkEvent::HandedOver { pkid } => self.feed(Input::HandedOver { pkid }, now),
            LinkEvent::Answered { pkid, verdict } => {
                self.feed(Input::Answered { pkid, verdict }, now);
                self.evidence();
            }
            LinkEvent::Subscribed { refused } => {
                if let Some(connection) = &mut self.connection {
                    connection.listening = true;
                }
                if let Some(reason) = refused {
                    tracing::warn!(
                        reason,
                        "the broker refuses our subscription: commands will not arrive (check its ACL)"
                    );
                }
            }
            LinkEvent::Message(publish) => self.message(&publish, now),
            LinkEvent::Closed => self.connection = None,
        }
    }

    fn connected(&mut self, session_present: bool, now: Moment) {
        self.connects += 1;
        self.trouble = None;
        self.parts.metrics.broker_connected.set(1);
        let broker = format!("{}:{}", self.parts.config.host, self.parts.config.port);
        let waiting = self.parts.outbox.depth();
        tracing::info!(MESSAGE_ID = journal::BROKER_CONNECTED, broker, session_present, waiting, "broker connected");
        // An alert goes before everything else.
        self.feed(Input::Connected, now);
        let mut filters = vec![Filter {
            path: self.topics.commands(),
            // A command acts now or never: at QoS 1 the broker would keep an "I'm on it" while we are away, and it
            // would silence the next incident. Some keep it at QoS 0 too: what comes before their answer is refused.
            qos: QoS::AtMostOnce,
            nolocal: true,
            // Keeps the mark on live retained messages too, so that they are recognised and refused.
            preserve_retain: true,
            retain_forward_rule: RetainForwardRule::Never,
        }];
        if self.parts.config.home_assistant {
            filters.push(Filter::new(topic::HOME_ASSISTANT_STATUS, QoS::AtMostOnce));
        }
        if let Some(Connection { client, .. }) = &self.connection
            && let Err(error) = client.try_subscribe_many(filters)
        {
            tracing::warn!(%error, "no room to subscribe: commands will not arrive");
        }
        self.status("online");
        self.look();
        self.announce(true);
        self.health(now);
        self.forget();
        self.evidence();
    }

    fn tick(&mut self, now: Moment) {
        self.next_tick = now + TICK;
        // An event that left before Home Assistant subscribed is not in the store's hands before the broker has answered: told again it
        // would be taken for one that waits.
        let returned = self.returned.take_if(|at| now >= *at && !self.machine.sent_before(*at)).is_some();
        if returned {
            // What others heard the broker took for delivered.
            self.parts.outbox.tell_again(self.parts.telemetry.cameras());
        }
        self.feed(if returned { Input::Returned } else { Input::Tick }, now);
        let unread = self.parts.outbox.depth() > 0 && self.machine.waiting().next().is_none();
        self.unread_since = unread.then(|| self.unread_since.unwrap_or(now));
        self.parts.metrics.outbox_oldest_age.set(self.oldest(now).as_secs_f64());
        self.states(false);
        self.evidence();
        if now >= self.next_health || self.told_degraded != self.parts.outbox.degraded() {
            self.health(now);
        }
    }

    fn oldest(&self, now: Moment) -> Moment {
        let unread = self.unread_since.map_or(Moment::ZERO, |since| now.saturating_sub(since));
        self.machine.waiting().map(|row| row.age(now, &self.parts.clock)).max().unwrap_or(unread)
    }

    /// Says `offline`, closes the connection, ends the link.
    async fn goodbye(mut self) {
        self.evidence();
        self.status("offline");
        if let Some(connection) = self.connection.take()
            && connection.client.try_disconnect().is_ok()
        {
            let closed = async {
                while let Some(event) = self.events.recv().await {
                    if matches!(event, LinkEvent::Closed | LinkEvent::Lost { .. }) {
                        break;
                    }
                }
            };
            // A broker that hangs must not hold up the shutdown.
            let _late = tokio::time::timeout(Duration::from_secs(1), closed).await;
        }
        self.parts.metrics.broker_connected.set(0);
        self.stop.cancel();
        let waiting = self.parts.outbox.depth();
        if waiting > 0 {
            tracing::info!(waiting, "stopped with undelivered events; they are in the store");
        }
    }
}
