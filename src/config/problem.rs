//! What is wrong with a configuration: each problem names its key, value, place and mend.

use crate::secret::masked;
use std::fmt;
use std::path::PathBuf;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: it is the built-in default.
    Default,
    /// In a file; the line counts from 1, and is 0 for the file as a whole.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// In an environment variable.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: 0 } => write!(f, "{}", path.display()),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub origin: Origin,
    /// The key, dotted; empty if the file as a whole cannot be read.
    pub key: String,
    /// The value as TOML, secrets masked.
    pub value: Option<String>,
    /// What is wrong with it.
    pub what: String,
    /// How to mend it.
    pub mend: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        match &self.value {
            Some(value) => write!(f, "{} = {value}: ", self.key)?,
            None if self.key.is_empty() => {}
            None => write!(f, "{}: ", self.key)?,
        }
        write!(f, "{}; {}", self.what, self.mend)
    }
}

/// Everything that is wrong, in the order of the layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The longest value that a message repeats; a certificate pasted into the wrong key need not fill the screen.
const SHOWN: usize = 120;

/// A value as it may be shown: TOML, masked, on one line, not longer than needed. A password written in place of its
/// file is not shown at all.
pub(super) fn shown(key: &str, value: &toml::Value) -> String {
    let name = key.rsplit('.').next().unwrap_or_default();
    if ["pass", "pwd", "secret", "token"].iter().any(|secret| name.contains(secret)) && !name.ends_with("_file") {
        return "***".into();
    }
    // A text is masked before TOML puts its own quotes and backslashes into it.
    let text = match value {
        toml::Value::String(text) => toml::Value::String(masked(text)).to_string(),
        value => masked(&value.to_string()),
    };
    let text = text.replace(['\n', '\r'], " ");
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The known name that was probably meant.
pub(super) fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let near = |candidate: &str| strsim::damerau_levenshtein(&name, candidate);
    let alike = |candidate: &str| name.len() >= 4 && (candidate.contains(&name) || name.contains(candidate));
    // Two slips in a short word, one in three letters of a long one.
    let most = (name.chars().count() / 3).max(2);
    let fits = |candidate: &&str| alike(candidate) || near(candidate) <= most;
    known.into_iter().filter(fits).min_by_key(|candidate| near(candidate))
}
