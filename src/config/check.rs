//! What the types cannot say: ids, ranges, files, and values that contradict one another.
//!
//! Everything that is wrong is told at once. The only look outside is at the files that the configuration names;
//! whether a camera, a broker or a model answers is for `falld doctor`.

mod camera;

use super::Provider;
use super::load::Loaded;
use super::problem::{Problem, suggestion};
use std::fmt::Display;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Words that stand where a camera's id would stand in a topic.
pub const RESERVED_IDS: [&str; 2] = ["status", "health"];

/// Log levels, from silence to everything.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The shortest keep-alive, in seconds: the MQTT library panics on a shorter one.
pub const LEAST_KEEP_ALIVE_S: u16 = 5;

/// A day: no time that falld waits for is longer, and a larger number is a slip of units.
const DAY_S: f64 = 86_400.0;

/// The largest memory budget, in MiB: more than any board or server gives one inference.
const MOST_MEMORY_MB: u32 = 1 << 20;

/// Everything that is wrong with a configuration whose types are right.
pub fn check(loaded: &Loaded) -> Vec<Problem> {
    let mut check = Check { loaded, problems: Vec::new() };
    check.device();
    check.cameras();
    check.model();
    check.policy();
    check.store();
    check.mqtt();
    check.tls();
    check.metrics();
    check.log();
    check.problems
}

/// What is wrong with the files of the connection to the broker. falld watches without it, and reads them anew each time it connects.
pub fn files(loaded: &Loaded) -> Vec<Problem> {
    let mut check = Check { loaded, problems: Vec::new() };
    let (mqtt, tls) = (&loaded.config.mqtt, loaded.config.mqtt.tls.as_ref());
    let secret = true;
    let files = [
        ("mqtt.password_file", Some(&mqtt.password_file), None, secret),
        ("mqtt.tls.ca", tls.map(|tls| &tls.ca), Some("CERTIFICATE"), !secret),
        ("mqtt.tls.cert", tls.map(|tls| &tls.cert), Some("CERTIFICATE"), !secret),
        ("mqtt.tls.key", tls.map(|tls| &tls.key), Some("PRIVATE KEY"), secret),
    ];
    for (key, path, pem, secret) in files {
        let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) else { continue };
        if check.file(key, path, pem) && secret {
            check.secret(key, path);
        }
    }
    check.problems
}

/// True for a text that may stand in a topic and in a Home Assistant id.
pub fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// The text with everything that may not stand in an id replaced.
fn as_id(text: &str) -> String {
    let id: String = text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    if id.chars().all(|c| c == '_') { "camera_1".into() } else { id }
}

struct Check<'a> {
    loaded: &'a Loaded,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn refuse(
        &mut self,
        key: impl Into<String>,
        value: impl Display,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) {
        let key = key.into();
        let value = self.loaded.written.get(&key).map_or_else(|| value.to_string(), |written| written.shown.clone());
        let (origin, what, mend) = (self.loaded.origin(&key), what.into(), mend.into());
        let value = (!value.is_empty()).then_some(value);
        self.problems.push(Problem { origin, key, value, what, mend });
    }

    /// A number that must lie above `above` (or at it, if `inclusive`) and not beyond `most`.
    fn range(&mut self, key: impl Into<String>, value: f64, (above, inclusive): (f64, bool), most: f64, unit: &str) {
        if !(value <= most && (value > above || inclusive && value == above)) {
            let bound = if inclusive { "at least" } else { "more than" };
            let key = key.into();
            let mend = if value <= above { "give a larger number" } else { "give a smaller number" };
            self.refuse(key, value, format!("expected {bound} {above} and at most {most}{unit}"), mend);
        }
    }

    fn seconds(&mut self, key: impl Into<String>, value: f64) {
        self.range(key, value, (0.0, false), DAY_S, " seconds");
    }

    fn device(&mut self) {
        let id = &self.loaded.config.device.id;
        if !is_id(id) {
            let mend = format!("write \"{}\"", as_id(id));
            self.refuse(
                "device.id",
                "\"\"",
                "expected letters, digits, _ and - of ASCII, as it stands in topics",
                mend,
            );
        }
    }

    fn model(&mut self) {
        let model = &self.loaded.config.model;
        if model.path.as_os_str().is_empty() {
            self.refuse("model.path", "\"\"", "there is no model", "give the folder that holds manifest.json");
        }
        if model.providers.is_empty() {
            self.refuse("model.providers", "[]", "the list is empty", "name at least \"cpu\"");
        }
        for (index, provider) in model.providers.iter().enumerate() {
            if model.providers[..index].contains(provider) {
                let what = format!("\"{}\" is named twice", name(*provider));
                self.refuse("model.providers", "", what, "remove one of them");
            }
        }
        if let Some(required) = model.require
            && !model.providers.contains(&required)
        {
            let name = name(required);
            let mend = format!("add \"{name}\" to the list, or require one that is in it");
            self.refuse("model.require", format!("\"{name}\""), "model.providers does not name it", mend);
        }
        self.range(
            "model.memory_budget_mb",
            model.memory_budget_mb.into(),
            (16.0, true),
            MOST_MEMORY_MB.into(),
            " MiB",
        );
        self.range("model.threads", model.threads as f64, (1.0, true), 1024.0, "");
    }

    fn policy(&mut self) {
        let policy = &self.loaded.config.policy;
        for (key, value) in [("fall_threshold", policy.fall_threshold), ("climb_threshold", policy.climb_threshold)] {
            if let Some(value) = value {
                self.range(format!("policy.{key}"), value.into(), (0.0, false), 1.0, "");
            }
        }
        self.seconds("policy.cooldown_s", policy.cooldown_s);
        self.seconds("policy.long_lie_s", policy.long_lie_s);
    }

    fn store(&mut self) {
        let store = &self.loaded.config.store;
        if store.path.as_os_str().is_empty() {
            self.refuse(
                "store.path",
                "\"\"",
                "alerts need a place to be kept",
                "give a file, as /var/lib/falld/falld.db",
            );
        } else if store.path.is_dir() {
            let mend = format!("write \"{}\"", store.path.join("falld.db").display());
            self.refuse("store.path", "", "this is a folder", mend);
        }
        self.range("store.keep_days", store.keep_days.into(), (1.0, true), 36_500.0, " days");
    }

    fn mqtt(&mut self) {
        let mqtt = &self.loaded.config.mqtt;
        let host = mqtt.host.as_str();
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/') {
            let bare = host.rsplit("://").next().unwrap_or_default().split(['/', ':']).next().unwrap_or_default();
            let mend = if bare.is_empty() { "write \"localhost\"".into() } else { format!("write \"{bare}\"") };
            self.refuse("mqtt.host", "\"\"", "expected a bare host name or address", mend);
        } else if let Some((bare, port)) = host.split_once(':')
            && port.parse::<u16>().is_ok()
        {
            let mend = format!("write host = \"{bare}\" and port = {port}");
            self.refuse("mqtt.host", "", "the port has a key of its own", mend);
        }
        self.range("mqtt.port", mqtt.port.into(), (1.0, true), 65535.0, "");
        self.range(
            "mqtt.keep_alive_s",
            mqtt.keep_alive_s.into(),
            (LEAST_KEEP_ALIVE_S.into(), true),
            65535.0,
            " seconds",
        );
        self.range("mqtt.session_expiry_s", mqtt.session_expiry_s.into(), (1.0, true), u32::MAX.into(), " seconds");
        let base = mqtt.base.as_str();
        let stray = base.is_empty() || base.starts_with(['/', '$']) || base.ends_with('/') || base.contains("//");
        if stray || base.contains(['+', '#', '\0']) || base.contains(char::is_whitespace) {
            let what = "expected topic levels parted by single /, without +, #, spaces and without / or $ at the start";
            self.refuse("mqtt.base", "\"\"", what, "write \"falld\"");
        }
        if mqtt.client_id.contains(|c: char| c.is_control() || c.is_whitespace()) {
            let mend = "leave it empty: falld makes one from device.id";
            self.refuse("mqtt.client_id", "", "spaces and control characters are refused by brokers", mend);
        }
        if !mqtt.password_file.as_os_str().is_empty() && mqtt.username.is_empty() {
            let what = "a password without mqtt.username is never sent";
            self.refuse("mqtt.password_file", "", what, "give mqtt.username as well");
        }
    }

    fn tls(&mut self) {
        let Some(tls) = &self.loaded.config.mqtt.tls else { return };
        if tls.ca.as_os_str().is_empty() {
            let what = "the broker's certificate cannot be judged without its authority";
            self.refuse("mqtt.tls.ca", "\"\"", what, "give the CA certificate, as /etc/falld/ca.pem");
        }
        match (tls.cert.as_os_str().is_empty(), tls.key.as_os_str().is_empty()) {
            (true, true) | (false, false) => {}
            (false, true) => {
                self.refuse("mqtt.tls.cert", "", "a certificate needs its key", "give mqtt.tls.key as well")
            }
            (true, false) => {
                self.refuse("mqtt.tls.key", "", "a key needs its certificate", "give mqtt.tls.cert as well")
            }
        }
    }

    fn metrics(&mut self) {
        let listen = &self.loaded.config.metrics.listen;
        if !listen.is_empty() && listen.parse::<SocketAddr>().is_err() {
            let mend = "write \"127.0.0.1:9746\", \"[::1]:9746\", or \"\" for no endpoint";
            self.refuse("metrics.listen", "", "expected an address and a port", mend);
        }
    }

    fn log(&mut self) {
        if let Err(what) = check_level(&self.loaded.config.log.level) {
            let bare = self.loaded.config.log.level.split([',', '=']).next().unwrap_or_default().trim();
            let near = suggestion(bare, LEVELS).unwrap_or("info");
            self.refuse(
                "log.level",
                "\"\"",
                what,
                format!("write \"{near}\", or a filter as \"info,falld::mqtt=debug\""),
            );
        }
    }

    /// True if the file can be read and, if a label is given, holds PEM of that kind.
    fn file(&mut self, key: &str, path: &Path, pem: Option<&str>) -> bool {
        match fs::read(path) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                let Some(label) = pem else { return true };
                // `BEGIN RSA PRIVATE KEY` and `BEGIN PRIVATE KEY` are both keys.
                let found = text.lines().any(|line| line.starts_with("-----BEGIN ") && line.contains(label));
                if !found {
                    let mend = "give the file in PEM form";
                    self.refuse(key, "", format!("the file holds no PEM {}", label.to_lowercase()), mend);
                }
                found
            }
            Err(error) => {
                let mend = "correct the path, or let the user that runs falld read the file";
                self.refuse(key, "", format!("the file cannot be read: {error}"), mend);
                false
            }
        }
    }

    /// A secret must not be readable by others. systemd's credentials are left alone.
    fn secret(&mut self, key: &str, path: &Path) {
        let Ok(facts) = fs::metadata(path) else { return };
        let mode = facts.permissions().mode() & 0o777;
        if mode & 0o077 != 0 && !is_credential(path) {
            let what = format!("others can read this secret (mode {mode:04o})");
            self.refuse(key, "", what, format!("run: chmod 600 {}", path.display()));
        }
    }
}

const fn name(provider: Provider) -> &'static str {
    match provider {
        Provider::Tensorrt => "tensorrt",
        Provider::Cuda => "cuda",
        Provider::Cpu => "cpu",
    }
}

/// True for one of systemd's credentials. They are guarded by their folder and by access lists, which show as group
/// rights.
fn is_credential(path: &Path) -> bool {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY");
    folder.is_some_and(|folder| path.starts_with(folder)) || path.starts_with("/run/credentials")
}

/// Says why a text is no log filter. Stricter than the filter itself, which takes a mistyped level for a module.
pub fn check_level(level: &str) -> Result<(), String> {
    if level.trim().is_empty() {
        return Err("expected a level".into());
    }
    for part in level.split(',') {
        let rank = part.rsplit_once('=').map_or(part, |(_, rank)| rank).trim();
        if !LEVELS.iter().any(|known| rank.eq_ignore_ascii_case(known)) {
            return Err(format!("`{rank}` is no level; known are {}", LEVELS.join(", ")));
        }
    }
    match tracing_subscriber::EnvFilter::builder().parse(level) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
