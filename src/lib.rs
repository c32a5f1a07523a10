//! falld sees a fall or a climb in a camera's picture, on the device, and publishes a durable alert over MQTT.
//!
//! One frame's road, left to right; arrows never turn back, and stages do not know each other, but for `mqtt`, which empties
//! the store's outbox:
//!
//! ```text
//! camera → capture → slot → detector (classifier, clip, tracker, policy) → store → mqtt
//! ```
//!
//! Two hand-offs carry opposite promises. A *frame* may be forgotten: in [`slot`] the newest wins and each drop is
//! counted. An *alert* may not: [`store`] makes it durable before anybody is told, and it leaves the store only when
//! the broker has acknowledged it. What it looked like, [`evidence`], is drawn beside that road and holds nobody up.

pub mod app;
pub mod bench;
pub mod body;
pub mod cadence;
pub mod camera;
pub mod capture;
pub mod classifier;
pub mod cli;
pub mod clip;
pub mod config;
pub mod detector;
pub mod engine;
pub mod event;
pub mod evidence;
pub mod exit;
pub mod fallen;
pub mod frame;
pub mod health;
pub mod journal;
pub mod lifecycle;
pub mod log;
pub mod metrics;
pub mod model;
pub mod mqtt;
pub mod place;
pub mod posture;
pub mod preflight;
pub mod probe;
pub mod reload;
pub mod replay;
pub mod secret;
pub mod slot;
pub mod store;
pub mod tracker;
pub mod zone;
