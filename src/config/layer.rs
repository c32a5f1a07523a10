//! One layer of the configuration: a file or the environment, taken apart into single values.
//!
//! Each value is tried alone against [`Config`], so that one typo hides no other, and each problem knows its line. One
//! that fits becomes a source of its own for the `config` crate, which merges them.

use super::Config;
use super::load::table_of;
use super::problem::{Origin, Problem, shown, suggestion};
use config::{ConfigError, Map, Source, Value as Sourced};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

/// The variables that belong to falld start with this; levels are parted by `__`.
pub(super) const PREFIX: &str = "FALLD__";

/// One value that fits the configuration.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub(super) path: Vec<String>,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

impl Source for Leaf {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Sourced>, ConfigError> {
        let Some((section, keys)) = self.path.split_first() else { return Ok(Map::new()) };
        let origin = self.origin.to_string();
        let value: Sourced = self.value.clone().try_into().map_err(|error| ConfigError::Foreign(Box::new(error)))?;
        let value = keys.iter().rev().fold(Sourced::new(Some(&origin), value.kind), |value, key| {
            Sourced::new(Some(&origin), Map::from_iter([(key.clone(), value)]))
        });
        Ok(Map::from_iter([(section.clone(), value)]))
    }
}

/// Takes a file's text apart.
pub(super) fn file(path: &Path, bytes: &[u8], problems: &mut Vec<Problem>) -> Vec<Leaf> {
    let at = |line| Origin::File { path: path.to_owned(), line };
    let mut refuse = |line, what: String, mend: &str| {
        problems.push(Problem { origin: at(line), key: String::new(), value: None, what, mend: mend.into() });
    };
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            refuse(line, "this is not UTF-8 text".into(), "save the file as UTF-8");
            return Vec::new();
        }
    };
    let line_of = |offset: usize| 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    let (table, spans) = match (text.parse::<Table>(), DeTable::parse(text)) {
        (Ok(table), Ok(spans)) => (table, spans),
        (Err(error), _) | (_, Err(error)) => {
            let line = error.span().map_or(0, |span| line_of(span.start));
            let what = format!("this is not TOML: {}", error.message().replace('\n', ", "));
            refuse(line, what, "see https://toml.io for how values are written; texts need quotes");
            return Vec::new();
        }
    };
    let mut leaves = Vec::new();
    flatten(table, &mut Vec::new(), &mut |path, value| {
        let line = offset(spans.get_ref(), path).map_or(0, line_of);
        match refusal(path, &value) {
            None => leaves.push(Leaf { path: path.to_vec(), value, origin: at(line) }),
            Some(refusal) => refusal.tell(path, &value, at(line), problems),
        }
    });
    leaves
}

/// Takes the environment apart. Keys are written in capitals there, so camera ids are matched with `cameras` without
/// regard to case, and are in small letters if they are new.
pub(super) fn environment(
    variables: impl IntoIterator<Item = (String, String)>,
    cameras: &BTreeSet<String>,
    problems: &mut Vec<Problem>,
) -> Vec<Leaf> {
    let mut variables: Vec<_> = variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    variables.sort();
    let mut leaves = Vec::new();
    for (name, text) in variables {
        let mut path: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_lowercase).collect();
        if path.first().is_some_and(|section| section == "camera")
            && let Some(id) = path.get_mut(1)
            && let Some(known) = cameras.iter().find(|known| known.eq_ignore_ascii_case(id))
        {
            id.clone_from(known);
        }
        let origin = Origin::Variable(name);
        let readings = readings(&text);
        let fits = readings.iter().position(|value| refusal(&path, value).is_none());
        match fits {
            Some(index) => leaves.extend(readings.into_iter().nth(index).map(|value| Leaf { path, value, origin })),
            None => {
                for value in readings.iter().take(1) {
                    if let Some(refusal) = refusal(&path, value) {
                        refusal.tell(&path, value, origin.clone(), problems);
                    }
                }
            }
        }
    }
    leaves
}

/// What a variable's text may mean, the likeliest first: TOML, a plain text, a list parted by commas.
fn readings(text: &str) -> Vec<Value> {
    let toml = text.parse::<Value>().ok();
    let list = text.split(',').map(|part| Value::String(part.trim().to_owned())).collect();
    toml.into_iter().chain([Value::String(text.to_owned()), Value::Array(list)]).collect()
}

/// Calls `each` for every value that is no table, and for every empty table.
fn flatten(table: Table, path: &mut Vec<String>, each: &mut impl FnMut(&[String], Value)) {
    for (key, value) in table {
        path.push(key);
        match value {
            Value::Table(inner) if !inner.is_empty() => flatten(inner, path, each),
            value => each(path, value),
        }
        path.pop();
    }
}

/// Where the key's value starts.
fn offset(table: &DeTable<'_>, path: &[String]) -> Option<usize> {
    let (first, rest) = path.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.get_ref().as_ref() == first)?;
    match value.get_ref() {
        DeValue::Table(inner) if !rest.is_empty() => offset(inner, rest),
        _ => Some(key.span().start),
    }
}

/// Why a value does not fit.
enum Refusal {
    UnknownKey { name: String, known: Vec<String> },
    UnknownValue { known: Vec<String> },
    WrongType { expected: String },
    Other(String),
}

/// Tries one value alone against the whole configuration.
fn refusal(path: &[String], value: &Value) -> Option<Refusal> {
    let nested =
        path.iter().rev().fold(value.clone(), |value, key| Value::Table(Table::from_iter([(key.clone(), value)])));
    let error = match Config::deserialize(nested) {
        // serde also reads a section from a list of its values, and a text from a date. Neither is meant.
        Ok(config) => {
            let section = path.iter().try_fold(Value::Table(table_of(&config)), |at, key| at.get(key).cloned());
            let list_for_section = value.is_array() && section.is_some_and(|section| section.is_table());
            let expected = if list_for_section { "a section" } else { "a text, in quotes" };
            let refused = list_for_section || value.is_datetime();
            return refused.then(|| Refusal::WrongType { expected: expected.into() });
        }
        Err(error) => error,
    };
    let message = error.message();
    let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    // serde's own words; the test of bad inputs holds them.
    Some(if message.starts_with("unknown field") {
        let mut names = quoted(message);
        let name = if names.is_empty() { String::new() } else { names.remove(0) };
        Refusal::UnknownKey { name, known: names }
    } else if message.starts_with("unknown variant") {
        let known = message.rsplit_once(", expected ").map_or_else(Vec::new, |(_, known)| quoted(known));
        Refusal::UnknownValue { known }
    } else if let Some((_, expected)) = message.rsplit_once(", expected ") {
        Refusal::WrongType { expected: in_words(expected) }
    } else {
        Refusal::Other(message.to_owned())
    })
}

/// What serde expected, in a user's words.
fn in_words(expected: &str) -> String {
    match expected {
        "u16" => "a whole number from 0 to 65535".into(),
        "u32" => "a whole number from 0 to 4294967295".into(),
        "u64" | "usize" => "a whole number, not negative".into(),
        "f32" | "f64" => "a number".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list".into(),
        "path string" => "a path, in quotes".into(),
        "a string" | "string or table" => "a text, in quotes".into(),
        other if other.starts_with("struct ") || other == "a map" => "a section".into(),
        "fewer elements in array" => "four numbers for a mask and two, [x, y], for a corner".into(),
        "an array of length 2" => "a list of corners, each [x, y]".into(),
        other if other.starts_with("an array of length ") || other.contains("fixed-size") => {
            "a list of four numbers: left, top, right, bottom".into()
        }
        other => other.replace('`', ""),
    }
}

impl Refusal {
    fn tell(self, path: &[String], value: &Value, origin: Origin, problems: &mut Vec<Problem>) {
        let key = path.join(".");
        let text = shown(&key, value);
        let kind = match value {
            Value::String(_) => "a text",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number with a point",
            Value::Boolean(_) => "true or false",
            Value::Datetime(_) => "a date",
            Value::Array(_) => "a list",
            Value::Table(_) => "a section",
        };
        let one_of = |known: &[String]| format!("known are {}", known.join(", "));
        let meant = |name: &str, known: &[String]| {
            suggestion(name, known.iter().map(String::as_str))
                .map_or_else(|| one_of(known), |near| format!("did you mean `{near}`?"))
        };
        let problem = match self {
            Self::UnknownKey { name, known } => {
                // A camera may bear the name of an unknown key; its id is never the unknown one.
                let camera = path.first().is_some_and(|section| section == "camera");
                let skip = |index: usize| camera && index == 1;
                let depth = path.iter().enumerate().position(|(index, part)| !skip(index) && *part == name);
                let depth = depth.unwrap_or(path.len().saturating_sub(1));
                let key = path[..=depth].join(".");
                let (what, value) = if depth + 1 < path.len() || matches!(value, Value::Table(_)) {
                    ("there is no such section".to_owned(), None)
                } else {
                    ("there is no such key".to_owned(), Some(text))
                };
                Problem { origin, key, value, what, mend: meant(&name, &known) }
            }
            Self::UnknownValue { known } => {
                let given = match value {
                    Value::String(given) => given.clone(),
                    Value::Array(given) => given
                        .iter()
                        .filter_map(Value::as_str)
                        .find(|given| !known.iter().any(|known| known == given))
                        .unwrap_or_default()
                        .to_owned(),
                    _ => String::new(),
                };
                let what = format!("expected one of {}", known.join(", "));
                Problem { origin, key, value: Some(text), what, mend: meant(&given, &known) }
            }
            Self::WrongType { expected } => {
                let number = expected.contains("number") && !matches!(value, Value::Array(_));
                let mend = match value {
                    Value::String(_) if number || expected.starts_with("true") => "write it without quotes".to_owned(),
                    Value::Integer(_) | Value::Float(_) if expected.contains("quotes") => {
                        format!("write \"{text}\"")
                    }
                    Value::String(_) if expected == "a list" => format!("write [{text}]"),
                    _ => format!("give {expected}"),
                };
                Problem { origin, key, value: Some(text), what: format!("expected {expected}, found {kind}"), mend }
            }
            Self::Other(what) => {
                let mend = "see the comments in deploy/falld.toml".into();
                Problem { origin, key, value: Some(text), what, mend }
            }
        };
        let same = |known: &Problem| (&known.origin, &known.key) == (&problem.origin, &problem.key);
        let twin = |known: &Problem| problem.value.is_none() && known.value.is_none() && known.key == problem.key;
        // An unknown section is one problem, however many keys it holds.
        if !problems.iter().any(|known| same(known) || twin(known)) {
            problems.push(problem);
        }
    }
}
