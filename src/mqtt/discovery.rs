//! Announces the device to Home Assistant (2024.11 or newer), which then makes its entities by itself.
//!
//! One retained message for the device with all of its cameras. Ids come from the configured ids alone, so entities
//! survive restarts and updates. The entities read the same topics as everybody else: no payload exists for Home
//! Assistant only.

use crate::event::{Class, EventType};
use crate::mqtt::topic::Topics;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The announcement of `device` with `cameras` and what each watches for, whose states are not known any more `expire_after` the last was said: so a camera
/// that is gone from the configuration becomes unavailable and does not stay well. Of those in `evidence` the last alert is
/// shown as well. What a camera does not watch for or show has no entity, and one that there may have been is removed; so is every other one of the
/// components announced `before`, each with its platform: of cameras that are gone.
pub(crate) fn announcement(
    topics: &Topics,
    device: &str,
    cameras: &BTreeMap<String, Vec<Class>>,
    evidence: &BTreeSet<String>,
    before: &BTreeMap<String, String>,
    expire_after: Duration,
) -> Vec<u8> {
    let expires = expire_after.as_secs();
    let mut components = Map::new();
    // A platform alone takes an entity away.
    let absent = |platform: &str| json!({"p": platform});
    for (camera, watches) in cameras {
        let state = topics.state(camera);
        let command = topics.command(camera);
        let mut add = |key: &str, platform: &str, name: &str, more: Value| {
            let id = format!("falld_{device}_{camera}_{key}");
            let mut component = json!({"p": platform, "unique_id": id, "name": format!("{camera} {name}")});
            if let (Some(component), Value::Object(more)) = (component.as_object_mut(), more) {
                component.extend(more);
            }
            components.insert(format!("{camera}_{key}"), component);
        };
        let when = |condition: &str| json!(format!("{{{{ 'ON' if {condition} else 'OFF' }}}}"));
        // As its events: what a disarmed camera sees is nobody's alarm.
        let fallen = when("value_json.armed and value_json.fall in ['down', 'long_lie']");
        let climbs = when("value_json.armed and value_json.climbing");
        let safety = |template| {
            json!({
                "device_class": "safety", "state_topic": state, "value_template": template, "expire_after": expires,
            })
        };
        if watches.contains(&Class::Fall) {
            add("fall", "binary_sensor", "fall", safety(fallen));
        }
        if watches.contains(&Class::Climb) {
            add("climb", "binary_sensor", "climb", safety(climbs));
        }
        let blind = json!({
            "device_class": "problem", "entity_category": "diagnostic", "state_topic": state,
            "value_template": when("value_json.health != 'ok'"), "expire_after": expires,
        });
        add("blind", "binary_sensor", "blind", blind);
        // Whoever acts on an event knows from it where its acknowledgement goes.
        let template = format!(
            "{{{{ {{'event_type': value_json.type, 'id': value_json.id, 'incident': value_json.incident, \
             'score': value_json.score, 'place': value_json.place, 't_event': value_json.t_event, \
             't_published': value_json.t_published, 'command_topic': {}}} | to_json }}}}",
            json!(command)
        );
        let types: Vec<&str> = EventType::ALL.iter().map(|event| event.as_str()).collect();
        let event = json!({
            "state_topic": topics.event(camera), "qos": 1, "event_types": types, "value_template": template,
        });
        add("event", "event", "event", event);
        add("ack", "button", "acknowledge", json!({"command_topic": command, "payload_press": r#"{"command":"ack"}"#}));
        let test = json!({
            "command_topic": command, "payload_press": r#"{"command":"test"}"#, "entity_category": "diagnostic",
        });
        add("test", "button", "test alert", test);
        let armed = json!({
            "command_topic": command, "payload_on": r#"{"command":"arm"}"#, "payload_off": r#"{"command":"disarm"}"#,
            "state_topic": state, "value_template": when("value_json.armed"), "state_on": "ON", "state_off": "OFF",
        });
        add("armed", "switch", "armed", armed);
        if evidence.contains(camera) {
            let image = json!({"image_topic": topics.evidence(camera), "content_type": "image/gif"});
            add("evidence", "image", "last alert", image);
        }
        for (key, platform) in [("fall", "binary_sensor"), ("climb", "binary_sensor"), ("evidence", "image")] {
            components.entry(format!("{camera}_{key}")).or_insert_with(|| absent(platform));
        }
    }
    let waiting = json!({
        "p": "sensor", "unique_id": format!("falld_{device}_outbox"), "name": "undelivered events",
        "state_topic": topics.health(), "value_template": "{{ value_json.outbox_depth }}",
        "state_class": "measurement", "entity_category": "diagnostic",
    });
    components.insert("outbox".into(), waiting);
    for (key, platform) in before {
        // Also when it was removed already: Home Assistant may have been away, and forgets nothing that is merely left out.
        components.entry(key.as_str()).or_insert_with(|| absent(platform));
    }
    let version = env!("CARGO_PKG_VERSION");
    let announcement = json!({
        "dev": {"ids": [format!("falld_{device}")], "name": format!("falld {device}"), "mf": "falld", "sw": version},
        "o": {"name": "falld", "sw": version},
        "availability_topic": topics.status(),
        "cmps": components,
    });
    announcement.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::mqtt::command;

    #[test]
    fn the_blueprint_knows_the_events_as_home_assistant_is_told_of_them() {
        let blueprint = include_str!("../../deploy/home-assistant/falld_alert.yaml");
        let cameras = [("bed".into(), Class::ALL.to_vec())].into();
        let topics = Topics::new("falld", "house");
        let bytes =
            announcement(&topics, "house", &cameras, &BTreeSet::new(), &BTreeMap::new(), Duration::from_secs(90));
        let message: Value = serde_json::from_slice(&bytes).unwrap();
        let template = message["cmps"]["bed_event"]["value_template"].as_str().unwrap();
        assert!(template.contains("'command_topic': \"falld/house/bed/cmd\"} | to_json }}"), "{template}");
        for event in EventType::ALL {
            assert!(blueprint.contains(&format!("'{}'", event.as_str())), "it does not know {}", event.as_str());
        }
        let ends = |c: char| !(c.is_ascii_lowercase() || c == '_');
        let read: BTreeSet<&str> =
            blueprint.split("last.").skip(1).filter_map(|rest| rest.split(ends).next()).collect();
        assert!(read.contains("incident"), "{read:?}");
        for attribute in read {
            assert!(template.contains(&format!("'{attribute}':")), "no event has {attribute}");
        }
    }

    #[test]
    fn every_entity_has_an_id_of_its_own_and_commands_that_parse() {
        let topics = Topics::new("falld", "house");
        let cameras = [("bed".into(), Class::ALL.to_vec()), ("hall".into(), vec![Class::Fall])].into();
        let evidence = BTreeSet::from(["bed".into()]);
        let bytes = announcement(&topics, "house", &cameras, &evidence, &BTreeMap::new(), Duration::from_secs(90));
        let message: Value = serde_json::from_slice(&bytes).unwrap();
        let components = message["cmps"].as_object().unwrap();
        assert_eq!(components.len(), 17);
        assert_eq!(components["bed_evidence"]["image_topic"], "falld/house/bed/evidence");
        assert_eq!(components["hall_evidence"], json!({"p": "image"}), "nothing is shown there, nor what was before");
        assert_eq!(components["hall_climb"], json!({"p": "binary_sensor"}), "none is told of there");
        let mut ids: Vec<&str> = components.values().filter_map(|entity| entity["unique_id"].as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 15);
        for entity in components.values() {
            if entity["p"] == "binary_sensor" && entity["unique_id"].is_string() {
                assert_eq!(entity["expire_after"], 90, "{entity}");
            }
            if entity["device_class"] == "safety" {
                // Home Assistant speaks up when one of these is ON.
                let template = entity["value_template"].as_str().unwrap();
                assert!(template.contains("if value_json.armed and "), "a disarmed camera is silent: {entity}");
            }
            for key in ["payload_press", "payload_on", "payload_off"] {
                let Some(payload) = entity[key].as_str() else { continue };
                command::parse("bed", payload.as_bytes(), false).unwrap();
                let camera = topics.command_camera(entity["command_topic"].as_str().unwrap()).unwrap();
                assert!(entity["name"].as_str().unwrap().starts_with(camera));
            }
        }
    }
}
