//! What SIGHUP may change: the alert policy and the log level. Everything else would tear down a camera, a session or a
//! model, so it waits for a restart, and a reload that asks for it is refused as a whole: nothing is half applied.

use crate::config::load::table_of;
use crate::config::{Config, PolicyConfig};
use std::collections::BTreeSet;
use std::fmt;
use toml::{Table, Value};

/// Keys that may change while falld runs. All of `policy` is read at each tick; the log's filter has a handle.
const LIVE: [&str; 2] = ["policy.", "log."];

/// What a reload changes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    /// The new policy, if it differs.
    pub policy: Option<PolicyConfig>,
    /// The new log level, if it differs.
    pub level: Option<String>,
    /// The keys that differ, for the log.
    pub keys: Vec<String>,
}

/// The keys that differ and need a restart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct NeedsRestart(pub Vec<String>);

impl fmt::Display for NeedsRestart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.join(", ");
        write!(f, "{keys} can only change with a restart; nothing was changed: run `systemctl restart falld`")
    }
}

/// Compares two checked configurations.
pub fn changes(old: &Config, new: &Config) -> Result<Changes, NeedsRestart> {
    let mut keys = BTreeSet::new();
    differing(&table_of(old), &table_of(new), "", &mut keys);
    let (live, fixed): (Vec<String>, Vec<String>) =
        keys.into_iter().partition(|key| LIVE.iter().any(|prefix| key.starts_with(prefix)));
    if !fixed.is_empty() {
        return Err(NeedsRestart(fixed));
    }
    Ok(Changes {
        policy: (old.policy != new.policy).then(|| new.policy.clone()),
        level: (old.log.level != new.log.level).then(|| new.log.level.clone()),
        keys: live,
    })
}

fn differing(old: &Table, new: &Table, at: &str, keys: &mut BTreeSet<String>) {
    for key in old.keys().chain(new.keys()) {
        match (old.get(key), new.get(key)) {
            (Some(Value::Table(old)), Some(Value::Table(new))) => differing(old, new, &format!("{at}{key}."), keys),
            (old, new) if old != new => {
                keys.insert(format!("{at}{key}"));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Changes, changes};
    use crate::config::{CameraConfig, Config};

    #[test]
    fn policy_and_log_level_change_while_it_runs() {
        let old = Config::default();
        let mut new = old.clone();
        new.policy.fall_threshold = Some(0.8);
        new.log.level = "debug".into();
        let changed = changes(&old, &new).expect("live");
        assert_eq!(changed.policy, Some(new.policy.clone()));
        assert_eq!(changed.level.as_deref(), Some("debug"));
        assert_eq!(changed.keys, ["log.level", "policy.fall_threshold"]);
        assert_eq!(changes(&old, &old), Ok(Changes::default()));
    }

    #[test]
    fn the_rest_is_refused_by_name_and_as_a_whole() {
        let old = Config::default();
        let mut new = old.clone();
        new.policy.cooldown_s = 5.0;
        new.mqtt.host = "broker".into();
        new.camera.insert("bed".into(), CameraConfig::default());
        let refused = changes(&old, &new).expect_err("needs a restart");
        assert_eq!(refused.0, ["camera.bed", "mqtt.host"]);
        assert!(refused.to_string().starts_with("camera.bed, mqtt.host can only change with a restart"));
    }
}
