//! What the service manager is told, over sd_notify. Without a service manager every call is silent and free.

use super::heartbeat::{Heartbeats, stalled};
use crate::frame::{Clock, Moment};
use sd_notify::NotifyState;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Speaks to the service manager. Says each status once.
#[derive(Debug, Default)]
pub struct Notifier {
    status: Mutex<String>,
}

impl Notifier {
    /// A notifier that has said nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The daemon does its work: to be said after the first inference on every camera's road.
    pub fn ready(&self, status: &str) {
        self.keep(status);
        send(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
    }

    /// What goes on, in words; `systemctl status` shows it. Sent only if it changed.
    pub fn status(&self, status: &str) {
        if self.keep(status) {
            send(&[NotifyState::Status(&one_line(status))]);
        }
    }

    /// The shutdown has begun.
    pub fn stopping(&self) {
        self.keep("draining");
        send(&[NotifyState::Stopping, NotifyState::Status("draining")]);
    }

    /// A reload has begun; `ready` ends it.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => send(&[NotifyState::Reloading, now]),
            Err(_) => send(&[NotifyState::Reloading]),
        }
    }

    /// Something long (an engine build) goes on: start or stop may take `more` from now. To be repeated while it lasts.
    pub fn extend_timeout(&self, more: Duration, status: &str) {
        let micros = u32::try_from(more.as_micros()).unwrap_or(u32::MAX);
        self.keep(status);
        send(&[NotifyState::ExtendTimeoutUsec(micros), NotifyState::Status(&one_line(status))]);
    }

    /// True if the status is news.
    fn keep(&self, status: &str) -> bool {
        // Poison carries no information: nothing in here can panic half-way.
        let mut last = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let news = *last != status;
        if news {
            status.clone_into(&mut last);
        }
        news
    }
}

/// How often the watchdog wants food, if the service manager set one: half of its patience.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|patience| patience / 2)
}

/// Feeds the watchdog while every registered loop moves, until `shutdown` is complete and the future is dropped.
///
/// A loop that hangs is told once, by name; then the service manager ends the process. Returns at once without a
/// watchdog.
pub async fn feed(heartbeats: &Heartbeats, clock: Clock, notifier: &Notifier, shutdown: &CancellationToken) {
    let Some(interval) = watchdog_interval() else { return };
    let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut hung = Vec::new();
    loop {
        ticks.tick().await;
        // While it drains, loops end one by one; the stop timeout is what bounds them then.
        let now_hung = if shutdown.is_cancelled() { Vec::new() } else { names(heartbeats, clock.now()) };
        if now_hung.is_empty() {
            send(&[NotifyState::Watchdog]);
        } else if now_hung != hung {
            let names = now_hung.join(", ");
            tracing::error!(%names, "no progress: the watchdog is not fed");
            notifier.status(&format!("no progress: {names}"));
        }
        hung = now_hung;
    }
}

fn names(heartbeats: &Heartbeats, now: Moment) -> Vec<String> {
    stalled(&heartbeats.beats(), now).into_iter().map(str::to_owned).collect()
}

/// A newline would end the assignment and begin another.
fn one_line(status: &str) -> String {
    status.replace(['\n', '\r'], " ")
}

fn send(states: &[NotifyState<'_>]) {
    // A service manager that does not listen is not the daemon's trouble; it has timeouts of its own.
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}
