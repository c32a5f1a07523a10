//! The detector's way out: events become durable and are logged, states go on the board.

use super::board::Board;
use crate::detector::{Outlet, Shown};
use crate::event::Event;
use crate::store::{Context, Recorder};
use tokio::sync::mpsc::UnboundedSender;

pub(super) struct AppOutlet {
    recorder: Recorder,
    context: Context,
    board: Board,
    first: UnboundedSender<String>,
}

impl AppOutlet {
    pub(super) fn new(recorder: Recorder, context: Context, board: Board, first: UnboundedSender<String>) -> Self {
        Self { recorder, context, board, first }
    }
}

impl Outlet for AppOutlet {
    fn event(&mut self, event: Event) {
        let stored = self.recorder.append(&event, &self.context);
        let latency = stored.at.saturating_sub(event.ledger.captured);
        let (kind, class) = (event.event.as_str(), event.class.as_str());
        let latency = format!("{:.1}", latency.as_secs_f64() * 1e3);
        let score = format!("{:.2}", event.score);
        if event.event.is_alert() {
            tracing::warn!(camera = event.camera, event_id = %event.id, class, score,
                latency_ms = latency, durable = stored.durable, "{kind}");
        } else {
            tracing::info!(camera = event.camera, event_id = %event.id, class, score,
                latency_ms = latency, durable = stored.durable, "{kind}");
        }
    }

    fn shown(&mut self, camera: &str, shown: Shown) {
        self.board.shown(camera, shown);
    }

    fn first_score(&mut self, camera: &str) {
        // The supervisor is gone only when the daemon is ending.
        drop(self.first.send(camera.to_owned()));
    }
}
