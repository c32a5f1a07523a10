//! The names under which the journal keeps falld's transitions: one MESSAGE_ID for each, so that an operator finds them
//! without reading texts (`journalctl MESSAGE_ID=…`). See `docs/operations.md`.
//!
//! They are for ever: a text may change, an id never does, and none is used for anything else. Each is logged exactly
//! once for each change, by the stage that knows of it first. Fields beside them: `CAMERA`, `EVENT_ID`, `CLASS`,
//! `SCORE` (0 to 1) and `LATENCY_MS` where they make sense.

/// The daemon has begun.
pub const STARTED: &str = "f494799354ca4589b32ad98ebd78ca9a";
/// Every camera has been judged once, or is known to be blind: falls are seen from now on.
pub const READY: &str = "4991b464e88c45ea8e18ac5727690bb9";
/// The daemon has ended in good order.
pub const STOPPED: &str = "c7ec7689b60d45caa2fb113a977e3eca";
/// The daemon ends because of an error.
pub const FAILED: &str = "464432fa49374eb097ee595a485dc97b";
/// A fall, a long lie or a climb is alerted.
pub const ALERT_RAISED: &str = "e9f662d2080a46af9536f9c5607683dd";
/// The person got up.
pub const RECOVERED: &str = "a2b7426c32764598a8a5272c7aaa3e4d";
/// The broker has acknowledged an event; `LATENCY_MS` counts from the capture.
pub const EVENT_DELIVERED: &str = "d39ab9b81c7b46bea69b0786496d07bd";
/// A camera's health is another one; field `HEALTH`.
pub const CAMERA_HEALTH: &str = "56f8daed2c554f41a1eaa7cad087e0a8";
/// The broker took our connection.
pub const BROKER_CONNECTED: &str = "4c474510a83b4b178e849c8726cf0e2e";
/// The broker is gone, or could not be reached at the start; field `REASON`.
pub const BROKER_LOST: &str = "e9c810d2950743ff8b2b250f46e8006f";
/// The store cannot be written; events live in memory.
pub const STORE_DEGRADED: &str = "cff267d078f447928002d43e97e928d7";
/// The store can be written again.
pub const STORE_RECOVERED: &str = "b38db60e92d045fa9e64a6c6b3b65b3e";
/// SIGHUP changed what may change; field `CHANGED`.
pub const RELOADED: &str = "46c15febe4cc46fda702c5b5fc3c7bd8";
/// SIGHUP asked for something that cannot be; the old configuration holds.
pub const RELOAD_REFUSED: &str = "6585f8b8249d42afb840ed962bbba8f0";

/// Every transition by its name and id.
pub const ALL: [(&str, &str); 14] = [
    ("started", STARTED),
    ("ready", READY),
    ("stopped", STOPPED),
    ("failed", FAILED),
    ("alert raised", ALERT_RAISED),
    ("recovered", RECOVERED),
    ("event delivered", EVENT_DELIVERED),
    ("camera health", CAMERA_HEALTH),
    ("broker connected", BROKER_CONNECTED),
    ("broker lost", BROKER_LOST),
    ("store degraded", STORE_DEGRADED),
    ("store recovered", STORE_RECOVERED),
    ("reloaded", RELOADED),
    ("reload refused", RELOAD_REFUSED),
];

#[cfg(test)]
mod tests {
    use super::ALL;
    use std::collections::BTreeSet;

    #[test]
    fn ids_are_what_journald_takes_and_differ() {
        for (name, id) in ALL {
            let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            assert!(id.len() == 32 && id.bytes().all(hexadecimal), "{name}: {id}");
        }
        assert_eq!(ALL.iter().map(|(_, id)| id).collect::<BTreeSet<_>>().len(), ALL.len());
    }
}
