//! `deploy/falld.toml` is equal to the defaults, and its examples hold.

use super::parse;
use falld::config::{CameraConfig, Config, PolicyConfig, Provider, TlsConfig};
use std::collections::BTreeSet;

const SAMPLE: &str = include_str!("../../deploy/falld.toml");

/// The sample with its commented lines made real: the defaults (`#key = …`), and the examples (`# key = …`) as well.
fn uncommented(examples: bool) -> String {
    let is_setting = |text: &str| {
        let key = text.split(" = ").next().unwrap_or_default();
        text.contains(" = ") && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte == b'.')
            || text.starts_with('[') && text.ends_with(']')
    };
    let line = |line: &'static str| match line.strip_prefix('#') {
        Some(text) if is_setting(text) => text,
        Some(text) if examples && text.strip_prefix(' ').is_some_and(is_setting) => &text[1..],
        _ => line,
    };
    SAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sample_as_it_is_changes_nothing() {
    assert_eq!(parse(SAMPLE).expect("loaded").config, Config::default());
}

#[test]
fn its_commented_values_are_the_defaults() {
    assert_eq!(parse(&uncommented(false)).expect("loaded").config, Config::default());
}

#[test]
fn its_examples_hold() {
    // The certificate of the example is on no test machine.
    let text = uncommented(true).replace("[mqtt.tls]\n", "").replace("ca = \"/etc/falld/ca.pem\"", "");
    let text = text.replace("\ncert = \"\"", "").replace("\nkey = \"\"", "");
    let config = parse(&text).expect("loaded").config;
    let camera = &config.camera["living_room"];
    let CameraConfig { source, rest, climb, .. } = camera.clone();
    assert_eq!((rest["sofa"].len(), climb["window"].len()), (4, 4));
    assert_eq!(*camera, CameraConfig { source, rest, climb, ..CameraConfig::default() });
    assert_eq!(config.model.require, Some(Provider::Tensorrt));
    assert_eq!(config.policy.fall_threshold, Some(0.85));
}

#[test]
fn it_names_every_key() {
    let mut full = Config::default();
    let camera = CameraConfig {
        rest: [("sofa".into(), Vec::new())].into(),
        climb: [("window".into(), Vec::new())].into(),
        ..CameraConfig::default()
    };
    full.camera.insert("living_room".into(), camera);
    full.model.require = Some(Provider::Tensorrt);
    full.policy = PolicyConfig { fall_threshold: Some(0.85), climb_threshold: Some(0.9), ..full.policy };
    full.mqtt.tls = Some(TlsConfig::default());
    let sample = uncommented(true).parse().expect("a table");
    let all = toml::Table::try_from(&full).expect("a table");
    assert_eq!(keys(&sample, ""), keys(&all, ""));
}

fn keys(table: &toml::Table, at: &str) -> BTreeSet<String> {
    let below = |(key, value): (&String, &toml::Value)| match value {
        toml::Value::Table(inner) => keys(inner, &format!("{at}{key}.")),
        _ => BTreeSet::from([format!("{at}{key}")]),
    };
    table.iter().flat_map(below).collect()
}
