//! Whom Home Assistant calls, and how loudly: the alert's blueprint, rendered.

#![allow(clippy::print_stderr, reason = "a skipped test says why")]

use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// RFC 3339, as falld writes it, of `ago` before `now`.
fn before(now: SystemTime, ago: Duration) -> String {
    let since_1970 = (now - ago).duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    falld::event::payload::rfc3339(i64::try_from(since_1970.as_micros()).expect("in this age"))
}

/// What the phone is given for an event of that type which waited for so long; nothing where it cannot be rendered here.
fn told(kind: &str, waited: Duration) -> Option<Value> {
    told_after(kind, waited, &Value::Null)
}

/// The same, where the entity showed that before.
fn told_after(kind: &str, waited: Duration, before_it: &Value) -> Option<Value> {
    let rendered = Command::new("/usr/bin/python3").args(["-c", "import jinja2, yaml"]).stderr(Stdio::null()).status();
    if !rendered.is_ok_and(|status| status.success()) {
        eprintln!("skipped: python3 has no jinja2 and yaml (python3-jinja2, python3-yaml)");
        return None;
    }
    let now = SystemTime::now();
    let event = json!({
        "event_type": kind, "id": "1", "incident": "1", "score": 0.9, "place": null, "t_event": before(now, waited),
        "t_published": before(now, Duration::ZERO), "command_topic": "falld/house/bedroom/cmd",
    });
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut python = Command::new("/usr/bin/python3")
        .args([here.join("tests/support/blueprint.py"), here.join("deploy/home-assistant/falld_alert.yaml")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let asked = json!({"trigger": "told", "event": event, "from": before_it}).to_string();
    python.stdin.take().expect("its input").write_all(asked.as_bytes()).expect("asked");
    let done = python.wait_with_output().expect("ended");
    assert!(done.status.success(), "the blueprint cannot be rendered");
    Some(serde_json::from_slice(&done.stdout).expect("JSON"))
}

#[test]
fn a_fall_rings_a_silent_phone() {
    let Some(call) = told("fall", Duration::from_secs(2)) else { return };
    assert_eq!(call["title"], "Somebody fell");
    assert_eq!(
        (&call["data"]["channel"], &call["data"]["push"]["interruption-level"]),
        (&"alarm_stream".into(), &"critical".into())
    );
    assert!(call["data"]["actions"][0]["action"].as_str().is_some_and(|tap| tap.ends_with(":1")), "{call:#}");
}

#[test]
fn a_fall_from_before_a_long_outage_says_when_it_was_and_rings_no_silent_phone() {
    let hours = Duration::from_secs(5 * 3600);
    let Some(call) = told("fall", hours) else { return };
    assert_eq!(call["title"], "Earlier: Somebody fell");
    let (when, text) = (before(SystemTime::now(), hours), call["message"].as_str().unwrap_or_default());
    // The time may be of the next second, the date of another day only at midnight.
    assert!(text.starts_with("bedroom, ") && text.contains(&when[..4]) && text.matches('-').count() == 2, "{text}");
    assert!(
        call["data"]["channel"] != "alarm_stream" && call["data"]["push"]["interruption-level"] != "critical",
        "{call:#}"
    );
}

#[test]
fn whoever_still_lies_there_after_an_outage_rings_a_silent_phone() {
    let Some(call) = told("long_lie", Duration::from_secs(900)) else { return };
    assert_eq!(
        (&call["title"], &call["data"]["channel"]),
        (&"Earlier: Still on the floor".into(), &"alarm_stream".into())
    );
}

#[test]
fn the_end_of_an_alarm_takes_its_message_away_however_late() {
    let Some(call) = told("recovered", Duration::from_secs(3600)) else { return };
    assert_eq!((&call["message"], &call["data"]["tag"]), (&"clear_notification".into(), &"falld-1".into()));
}

#[test]
fn whoever_was_called_before_home_assistant_restarted_is_not_called_again() {
    // It restores what the entity showed.
    let Some(call) = told_after("fall", Duration::from_secs(90), &json!({"event_type": "fall", "id": "1"})) else {
        return;
    };
    assert_eq!(call, Value::Null);
}

#[test]
fn what_home_assistant_missed_while_it_restarted_rings() {
    // What was shown last was another one, or nothing is known of it: no message yet, or a camera that was away.
    for before_it in [json!({"event_type": "fall", "id": "0"}), json!({}), Value::Null] {
        let Some(call) = told_after("fall", Duration::from_secs(90), &before_it) else { return };
        assert_eq!((&call["title"], &call["data"]["channel"]), (&"Somebody fell".into(), &"alarm_stream".into()));
    }
}
