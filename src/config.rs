//! The configuration: one struct, its defaults, and nothing else. Loading and checking live in `load` and `check`.
//!
//! Sources, later ones win: built-in defaults, `falld.toml`, `conf.d/*.toml` in name order, the environment as
//! `FALLD__SECTION__KEY`. Unknown keys are refused. Model facts are not here: they live in the model's manifest.

pub mod check;
mod layer;
pub mod load;
pub mod problem;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Everything that can be configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Who this device is.
    pub device: DeviceConfig,
    /// Cameras by id.
    pub camera: BTreeMap<String, CameraConfig>,
    /// The model and where it runs.
    pub model: ModelConfig,
    /// When to alert, where the site differs from the model's manifest.
    pub policy: PolicyConfig,
    /// The durable store of events.
    pub store: StoreConfig,
    /// The broker.
    pub mqtt: MqttConfig,
    /// The Prometheus endpoint.
    pub metrics: MetricsConfig,
    /// The log.
    pub log: LogConfig,
}

/// Who this device is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceConfig {
    /// Part of every topic (`falld/<id>/…`) and of the MQTT client id: letters, digits, `_`, `-`; ASCII.
    pub id: String,
}

impl Default for DeviceConfig {
    fn default() -> Self {
        Self { id: "falld".into() }
    }
}

/// How a source is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// By the look of the source: `/dev/video*` V4L2; a URL or a file FFmpeg; a text with ` ! ` GStreamer.
    #[default]
    Auto,
    /// Video4Linux 2.
    V4l2,
    /// FFmpeg: RTSP, HTTP, files.
    Ffmpeg,
    /// A GStreamer pipeline that ends in `appsink`.
    Gstreamer,
}

/// How RTSP packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum RtspTransport {
    /// Over the RTSP connection: no lost packets.
    #[default]
    Tcp,
    /// Datagrams: less delay on a clean network.
    Udp,
}

/// What is shown of a camera's alerts beside their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceStyle {
    /// Nothing.
    None,
    /// The last seconds' movements as stick figures, between the outlines of marked places.
    #[default]
    Figures,
    /// The same, over the last picture: it leaves the device.
    Picture,
}

/// The corners of a place in a camera's picture, in order around it: `[x, y]`, each 0 to 1, from the left and the top.
pub type Outline = Vec<[f32; 2]>;

/// Where in a camera's picture falls are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Falls {
    /// Everywhere but where people rest.
    #[default]
    Anywhere,
    /// Nowhere: small children fall all day.
    Never,
}

/// Where in a camera's picture climbs are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Climbs {
    /// Everywhere.
    #[default]
    Anywhere,
    /// Where a place is marked for it, whatever the model says elsewhere.
    Places,
    /// Nowhere: no child lives here.
    Never,
}

/// One camera.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CameraConfig {
    /// Device path, URL, GStreamer pipeline or file.
    pub source: String,
    /// How to open it.
    pub backend: Backend,
    /// RTSP transport.
    pub transport: RtspTransport,
    /// Width asked of a V4L2 device, in pixels; 0 leaves it to the device.
    pub width: u32,
    /// Height asked of a V4L2 device, in pixels; 0 leaves it to the device.
    pub height: u32,
    /// Frame rate asked of a V4L2 device, in hertz; 0 leaves it to the device.
    pub fps: u32,
    /// Rectangles to black out before anything else sees the picture: `[left, top, right, bottom]`, 0 to 1.
    pub mask: Vec<[f32; 4]>,
    /// Where falls are told of.
    pub falls: Falls,
    /// Where climbs are told of.
    pub climbs: Climbs,
    /// Where people rest, by name: nobody has fallen there.
    pub rest: BTreeMap<String, Outline>,
    /// Where nobody belongs who has not climbed, by name.
    pub climb: BTreeMap<String, Outline>,
    /// What is shown of an alert.
    pub evidence: EvidenceStyle,
    /// Longest time to open the source, in seconds.
    pub open_timeout_s: f64,
    /// Longest time between two pictures, in seconds.
    pub read_timeout_s: f64,
    /// The same picture, unless it is dark, for so long is a frozen camera, in seconds.
    pub frozen_after_s: f64,
    /// A black or featureless picture for so long is a dark or covered camera, in seconds.
    pub blind_after_s: f64,
    /// A file starts again at its end instead of ending (for demonstrations).
    pub repeat: bool,
}

impl Default for CameraConfig {
    fn default() -> Self {
        Self {
            source: String::new(),
            backend: Backend::Auto,
            transport: RtspTransport::Tcp,
            width: 0,
            height: 0,
            fps: 0,
            mask: Vec::new(),
            falls: Falls::Anywhere,
            climbs: Climbs::Anywhere,
            rest: BTreeMap::new(),
            climb: BTreeMap::new(),
            evidence: EvidenceStyle::Figures,
            open_timeout_s: 10.0,
            read_timeout_s: 5.0,
            frozen_after_s: 30.0,
            blind_after_s: 5.0,
            repeat: false,
        }
    }
}

/// An ONNX Runtime execution provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// NVIDIA TensorRT.
    Tensorrt,
    /// NVIDIA CUDA.
    Cuda,
    /// The processor.
    Cpu,
}

/// The model and where it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// The bundle's folder.
    pub path: PathBuf,
    /// `libonnxruntime.so`; empty searches beside the program, in `/usr/lib/falld` and the system's folders.
    pub runtime: PathBuf,
    /// Execution providers in the order of wishes.
    pub providers: Vec<Provider>,
    /// Refuse to start on any other provider. Absent: take the first that serves, and say so.
    pub require: Option<Provider>,
    /// Memory for one inference, in MiB: bounds the batch and the GPU arena.
    pub memory_budget_mb: u32,
    /// Threads of one inference on the processor.
    pub threads: usize,
    /// Where TensorRT keeps its engines.
    pub cache: PathBuf,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            path: crate::place::MODEL.into(),
            runtime: PathBuf::new(),
            providers: vec![Provider::Tensorrt, Provider::Cuda, Provider::Cpu],
            require: None,
            memory_budget_mb: 256,
            threads: 1,
            cache: "/var/cache/falld/engines".into(),
        }
    }
}

/// When to alert. Absent thresholds are the model's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// Fall score that counts as a hit, 0 to 1.
    pub fall_threshold: Option<f32>,
    /// Climb score that counts as a hit, 0 to 1.
    pub climb_threshold: Option<f32>,
    /// Least time between two alerts of one class on one camera, in seconds.
    pub cooldown_s: f64,
    /// Time on the floor after which an unacknowledged fall is repeated as a long lie, in seconds.
    pub long_lie_s: f64,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self { fall_threshold: None, climb_threshold: None, cooldown_s: 30.0, long_lie_s: 30.0 }
    }
}

/// The durable store of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// The SQLite file.
    pub path: PathBuf,
    /// Delivered events are kept for so many days.
    pub keep_days: u32,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { path: "/var/lib/falld/falld.db".into(), keep_days: 30 }
    }
}

/// The broker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MqttConfig {
    /// Host name or address.
    pub host: String,
    /// Port; 8883 is usual with TLS.
    pub port: u16,
    /// User name; empty for none.
    pub username: String,
    /// File that holds the password (mode 0600), or a systemd credential's path; empty for none.
    pub password_file: PathBuf,
    /// Client id; empty makes `falld-<device id>`. It must stay the same for the session to survive.
    pub client_id: String,
    /// First part of every topic.
    pub base: String,
    /// Transport security; absent means plain TCP.
    pub tls: Option<TlsConfig>,
    /// Keep-alive, in seconds, at least 5: a dead broker is noticed after up to twice this time.
    pub keep_alive_s: u16,
    /// How long the broker keeps our session while we are away, in seconds.
    pub session_expiry_s: u32,
    /// How long the broker waits before it says that we are gone, in seconds.
    pub will_delay_s: u32,
    /// Announce the device to Home Assistant under `homeassistant/`; the broker's ACL must allow it.
    pub home_assistant: bool,
}

impl Default for MqttConfig {
    fn default() -> Self {
        Self {
            host: "localhost".into(),
            port: 1883,
            username: String::new(),
            password_file: PathBuf::new(),
            client_id: String::new(),
            base: "falld".into(),
            tls: None,
            keep_alive_s: 15,
            session_expiry_s: 86_400,
            will_delay_s: 10,
            home_assistant: false,
        }
    }
}

/// Transport security.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// The certificate authority that signed the broker's certificate, PEM.
    pub ca: PathBuf,
    /// Our certificate, PEM; empty if the broker asks for none.
    pub cert: PathBuf,
    /// Our key, PEM; empty if the broker asks for none.
    pub key: PathBuf,
}

/// The Prometheus endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// Address and port to serve `/metrics` on; empty serves nothing.
    pub listen: String,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9746".into() }
    }
}

/// The log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,falld::mqtt=debug`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".into() }
    }
}
