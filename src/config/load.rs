//! Reads the configuration: defaults, then the file, then `conf.d/*.toml` beside it in name order, then the environment.
//!
//! Sources, their precedence, the merge value by value and the typed result are the `config` crate's. What is ours is
//! what a person at a keyboard needs and a library cannot give: nothing that was written is ever ignored, unknown keys
//! and variables are refused with the name that was probably meant, every problem names its line, and all are told at
//! once. `layer` looks at each value before it becomes a source.

use super::layer::{self, Leaf};
use super::problem::{Origin, Problem, Problems, shown};
use super::{CameraConfig, Config, check};
use crate::secret::masked;
use ::config::{Config as Merged, ConfigError, File, FileFormat};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
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
    /// What is wrong with the files of the connection to the broker, without which falld runs.
    pub faults: Vec<Problem>,
    table: Table,
}

/// Loads and checks the configuration, and the files of the connection to the broker. A missing `path` is an error only if it was asked for by
/// name (`explicit`).
pub fn load(
    path: &Path,
    explicit: bool,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, Problems> {
    load_to_run(path, explicit, environment)?.without_faults()
}

/// As [`load`]; files of the connection to the broker that cannot be used are [faults](Loaded::faults) and no error.
pub fn load_to_run(
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
    let variables = text_of(environment, &mut problems);
    let variables = layer::environment(variables, &cameras(&leaves), &mut problems);
    leaves.extend(variables);
    finish(leaves, files, problems)
}

/// Loads a configuration from one text, as if it stood in a file of that name. Touches no file but those it names.
pub fn from_bytes(name: &Path, bytes: &[u8]) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let leaves = layer::file(name, bytes, &mut problems);
    finish(leaves, vec![name.to_owned()], problems)?.without_faults()
}

fn finish(leaves: Vec<Leaf>, files: Vec<PathBuf>, mut problems: Vec<Problem>) -> Result<Loaded, Problems> {
    let mut written = BTreeMap::new();
    for leaf in &leaves {
        let key = leaf.path.join(".");
        let shown = shown(&key, &leaf.value);
        written.insert(key, Written { origin: leaf.origin.clone(), shown });
    }
    // Each value fits by itself, and values do not constrain one another in serde's eyes.
    let (config, table) = merge(leaves).unwrap_or_else(|error| {
        let (key, value) = (String::new(), None);
        let (what, mend) = (error.to_string(), "compare the files that were read".to_owned());
        problems.push(Problem { origin: Origin::Default, key, value, what, mend });
        (Config::default(), Table::new())
    });
    let mut loaded = Loaded { config, files, written, faults: Vec::new(), table };
    let faults = check::files(&loaded);
    // With a broken layer, a value that seems to be missing may stand in it: complain only of what is written.
    let broken = !problems.is_empty();
    let more = check::check(&loaded);
    problems.extend(more.into_iter().filter(|problem| !broken || loaded.under(&problem.key).is_some()));
    if problems.is_empty() {
        loaded.faults = faults;
        return Ok(loaded);
    }
    problems.extend(faults);
    Err(Problems(problems))
}

/// The ids of the cameras that are written of.
fn cameras(leaves: &[Leaf]) -> BTreeSet<String> {
    let sections = leaves.iter().filter(|leaf| leaf.path.first().is_some_and(|section| section == "camera"));
    sections.filter_map(|leaf| leaf.path.get(1).cloned()).collect()
}

/// One source after the other, the defaults first: as what the program reads, and as the values that were written.
fn merge(leaves: Vec<Leaf>) -> Result<(Config, Table), ConfigError> {
    let mut defaults = Config::default();
    defaults.camera.extend(cameras(&leaves).into_iter().map(|id| (id, CameraConfig::default())));
    let defaults = table_of(&defaults).to_string();
    let first = Merged::builder().add_source(File::from_str(&defaults, FileFormat::Toml));
    let merged = leaves.into_iter().fold(first, |builder, leaf| builder.add_source(leaf)).build()?;
    Ok((merged.clone().try_deserialize()?, merged.try_deserialize()?))
}

impl Loaded {
    fn without_faults(self) -> Result<Self, Problems> {
        if self.faults.is_empty() { Ok(self) } else { Err(Problems(self.faults)) }
    }

    /// The whole configuration as TOML, defaults included and secrets masked: what `falld check` prints.
    pub fn effective(&self) -> String {
        let mut table = self.table.clone();
        if let Some(Value::Table(cameras)) = table.get_mut("camera") {
            for (_, camera) in cameras.iter_mut() {
                if let Some(Value::String(source)) = camera.get_mut("source") {
                    *source = masked(source);
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
