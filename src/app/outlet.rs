//! The detector's way out: events become durable and are logged, states go on the board, movements to be drawn.

use super::board::Board;
use crate::clip::Movements;
use crate::detector::{Outlet, Shown};
use crate::event::{Event, EventType};
use crate::evidence::{Request, Requests};
use crate::journal;
use crate::store::{Context, Recorder};
use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

pub(super) struct AppOutlet {
    recorder: Recorder,
    context: Context,
    board: Board,
    evidence: Requests,
    first: UnboundedSender<String>,
}

impl AppOutlet {
    pub(super) fn new(
        recorder: Recorder,
        context: Context,
        board: Board,
        evidence: Requests,
        first: UnboundedSender<String>,
    ) -> Self {
        Self { recorder, context, board, evidence, first }
    }
}

impl Outlet for AppOutlet {
    fn event(&mut self, event: Event) {
        let stored = self.recorder.append(&event, &self.context);
        let latency = stored.at.saturating_sub(event.ledger.captured);
        let (kind, class) = (event.event.as_str(), event.class.as_str());
        let place = event.place.as_deref();
        let (camera, event_id, durable) = (&*event.camera, event.id, stored.durable);
        let score = format!("{:.3}", event.score);
        let latency_ms = format!("{:.1}", latency.as_secs_f64() * 1e3);
        match event.event {
            EventType::Fall | EventType::LongLie | EventType::Climb => tracing::warn!(
                MESSAGE_ID = journal::ALERT_RAISED,
                camera, %event_id, class, place, %score, %latency_ms, durable, r#type = kind, "alert raised: {kind}"
            ),
            EventType::Recovered => tracing::info!(
                MESSAGE_ID = journal::RECOVERED,
                camera, %event_id, class, %score, %latency_ms, durable, r#type = kind, "{kind}"
            ),
            EventType::ClimbEnded | EventType::Acknowledged | EventType::Test => tracing::info!(
                camera, %event_id, class, %score, %latency_ms, durable, r#type = kind, "{kind}"
            ),
        }
    }

    fn evidence(&mut self, camera: &str, event: Uuid, movements: Movements) {
        self.evidence.leave(Request { camera: camera.to_owned(), event, movements });
    }

    fn shown(&mut self, camera: &str, shown: Shown) {
        if shown.slow {
            // It will not have a first score, and must not keep the others from working.
            self.first_score(camera);
        }
        self.board.shown(camera, shown);
    }

    fn first_score(&mut self, camera: &str) {
        // The supervisor is gone only when the daemon is ending.
        drop(self.first.send(camera.to_owned()));
    }
}
