//! Reads the configuration: defaults, then the file, then `conf.d/*.toml` beside it in name order, then the environment.
//!
//! Nothing that was written is ever ignored: unknown keys and variables are refused with the name that was probably
//! meant. All problems are told at once. Layers are merged value by value, so a later file may change one key of a
//! camera. The merge is ours because a problem must name its line and its neighbours: the `config` crate stops at the
//! first one and quietly takes `"12"` for 12.

use super::layer::{self, Leaf};
use super::problem::{Origin, Problem, Problems, shown};
use super::{CameraConfig, Config, check};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Where the configuration is looked for if the command line names no other place.
pub const DEFAULT_PATH: &str = "/etc/falld/falld.toml";

/// A configuration is a few kilobytes; a file beyond this is something else.
const LARGEST: u64 = 1 << 20;

/// A value that somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Where.
    pub origin: Origin,
    /// The value as TOML, secrets masked.
    pub shown: String,
}

/// A configuration that has passed every check, and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
    /// What was written, by dotted key.
    pub written: BTreeMap<String, Written>,
    table: Table,
}

/// Loads and checks the configuration. A missing `path` is an error only if it was asked for by name (`explicit`).
pub fn load(
    path: &Path,
    explicit: bool,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let mut leaves: Vec<Leaf> = Vec::new();
    let mut files = Vec::new();
    for (file, wanted) in files_of(path, explicit, &mut problems) {
        match read(&file) {
            Ok(bytes) => {
                leaves.extend(layer::file(&file, &bytes, &mut problems));
                files.push(file);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && !wanted => {}
            Err(error) => problems.push(unreadable(&file, &error)),
        }
    }
    let cameras: Vec<String> = leaves
        .iter()
        .filter(|leaf| leaf.path.first().is_some_and(|section| section == "camera"))
        .filter_map(|leaf| leaf.path.get(1).cloned())
        .collect();
    let variables = text_of(environment, &mut problems);
    leaves.extend(layer::environment(variables, &cameras, &mut problems));
    finish(leaves, files, problems)
}

/// Loads a configuration from one text, as if it stood in a file of that name. Touches no file but those it names.
pub fn from_bytes(name: &Path, bytes: &[u8]) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let leaves = layer::file(name, bytes, &mut problems);
    finish(leaves, vec![name.to_owned()], problems)
}

fn finish(leaves: Vec<Leaf>, files: Vec<PathBuf>, mut problems: Vec<Problem>) -> Result<Loaded, Problems> {
    let mut table = Table::new();
    let mut written = BTreeMap::new();
    for Leaf { path, value, origin } in leaves {
        let key = path.join(".");
        let shown = shown(&key, &value);
        written.insert(key, Written { origin, shown });
        insert(&mut table, &path, value);
    }
    // Each value fits by itself, and values do not constrain one another in serde's eyes.
    let config = Config::deserialize(Value::Table(table.clone())).unwrap_or_else(|error| {
        let (key, value) = (String::new(), None);
        let (what, mend) = (error.message().to_owned(), "compare the files that were read".to_owned());
        problems.push(Problem { origin: Origin::Default, key, value, what, mend });
        Config::default()
    });
    let loaded = Loaded { config, files, written, table };
    // With a broken layer, a value that seems to be missing may stand in it: complain only of what is written.
    let broken = !problems.is_empty();
    let more = check::check(&loaded);
    problems.extend(more.into_iter().filter(|problem| !broken || loaded.under(&problem.key).is_some()));
    if problems.is_empty() { Ok(loaded) } else { Err(Problems(problems)) }
}

impl Loaded {
    /// The whole configuration as TOML, defaults included and secrets masked: what `falld check` prints.
    pub fn effective(&self) -> String {
        let mut table = table_of(&Config::default());
        for camera in self.config.camera.keys() {
            insert(
                &mut table,
                &["camera".to_owned(), camera.clone()],
                Value::Table(table_of(&CameraConfig::default())),
            );
        }
        merge(&mut table, self.table.clone());
        if let Some(Value::Table(cameras)) = table.get_mut("camera") {
            for (_, camera) in cameras.iter_mut() {
                if let Some(Value::String(source)) = camera.get_mut("source") {
                    *source = super::mask::mask(source);
                }
            }
        }
        toml::to_string(&table).unwrap_or_default()
    }

    /// Where the key, or what stands under it, was written; else where its section was.
    pub fn origin(&self, key: &str) -> Origin {
        let section = key.rsplit_once('.').map_or("", |(section, _)| section);
        let written = self.under(key).or_else(|| self.under(section));
        written.map_or(Origin::Default, |written| written.origin.clone())
    }

    fn under(&self, key: &str) -> Option<&Written> {
        let inside = |name: &str| name == key || name.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        self.written.iter().find(|(name, _)| inside(name)).map(|(_, written)| written)
    }
}

/// A configuration as a table of its values. Every section is a struct of plain values, which TOML can hold.
pub(crate) fn table_of(section: &impl Serialize) -> Table {
    Table::try_from(section).unwrap_or_default()
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn insert(table: &mut Table, path: &[String], value: Value) {
    let mut nested = value;
    for key in path.iter().rev() {
        nested = Value::Table(Table::from_iter([(key.clone(), nested)]));
    }
    if let Value::Table(nested) = nested {
        merge(table, nested);
    }
}

/// The file and those of `conf.d` beside it; true for those that must be there.
fn files_of(path: &Path, explicit: bool, problems: &mut Vec<Problem>) -> Vec<(PathBuf, bool)> {
    let mut files = vec![(path.to_owned(), explicit)];
    let folder = path.parent().unwrap_or(Path::new("")).join("conf.d");
    let list = fs::read_dir(&folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>());
    match list {
        Ok(mut more) => {
            more.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
            more.sort();
            files.extend(more.into_iter().map(|file| (file, true)));
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
        Err(error) => problems.push(unreadable(&folder, &error)),
    }
    files
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let facts = fs::metadata(path)?;
    if !facts.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if facts.len() > LARGEST {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    fs::read(path)
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    let mend = match error.kind() {
        io::ErrorKind::NotFound => "give another path with --config, or create it (deploy/falld.toml is a start)",
        io::ErrorKind::PermissionDenied => "let the user that runs falld read it",
        _ => "give a readable TOML file",
    };
    Problem {
        origin: Origin::File { path: path.to_owned(), line: 0 },
        key: String::new(),
        value: None,
        what: format!("cannot be read: {error}"),
        mend: mend.into(),
    }
}

fn text_of(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    problems: &mut Vec<Problem>,
) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    for (name, value) in environment {
        if !name.as_encoded_bytes().starts_with(layer::PREFIX.as_bytes()) {
            continue;
        }
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => variables.push((name, value)),
            (name, _) => problems.push(Problem {
                origin: Origin::Variable(name.unwrap_or_else(|name| name.to_string_lossy().into_owned())),
                key: String::new(),
                value: None,
                what: "this is not UTF-8 text".into(),
                mend: "write it in UTF-8".into(),
            }),
        }
    }
    variables
}
