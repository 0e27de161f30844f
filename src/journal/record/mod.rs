//! What is written of tasks and facts: format 2. Types of their own, so that the core may change without changing files.
//!
//! A change here is a new format: readers of a format refuse what they do not know, and the golden files in
//! `tests/journal/` hold today's writer to it. Format 2 added runs that grow to format 1.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

mod body;
mod fact;
mod task;

pub(super) use fact::Record;
pub(super) use task::{SharedIn, SharedOut, TaskRecord};

/// A longer text stands in the table of texts, in bytes. A record with two that are a bit shorter still fits where
/// SQLite keeps it whole (1,002 bytes of a page of 4 KiB).
const INLINE_MAX: usize = 512;

/// A text in a record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Text<'a> {
    Inline(#[serde(borrow)] Cow<'a, str>),
    Stored(Stored),
}

/// The name of a text in the table of texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    /// In hexadecimal digits.
    pub sha256: Arc<str>,
}

/// Long texts on their way into the journal.
#[derive(Debug, Default)]
pub(super) struct TextsOut {
    /// Texts that are to be stored, with their names.
    pub texts: Vec<(Arc<str>, Arc<str>)>,
    /// The latest text: an agent's answer is written with its attempt and again with its task.
    latest: Option<(Arc<str>, Arc<str>)>,
}

impl TextsOut {
    /// A text that others share.
    pub(super) fn shared<'a>(&mut self, text: &'a Arc<str>) -> Text<'a> {
        if text.len() <= INLINE_MAX {
            return Text::Inline(Cow::Borrowed(text));
        }
        let known = self.latest.as_ref().filter(|(_, known)| Arc::ptr_eq(known, text)).map(|(hash, _)| hash.clone());
        Text::Stored(Stored { sha256: known.unwrap_or_else(|| self.store(text.clone())) })
    }

    /// A text.
    pub(super) fn text<'a>(&mut self, text: &'a str) -> Text<'a> {
        self.owned(Cow::Borrowed(text))
    }

    /// A text that was made for its record.
    pub(super) fn owned<'a>(&mut self, text: Cow<'a, str>) -> Text<'a> {
        if text.len() <= INLINE_MAX {
            return Text::Inline(text);
        }
        Text::Stored(Stored { sha256: self.store(Arc::from(text.as_ref())) })
    }

    fn store(&mut self, text: Arc<str>) -> Arc<str> {
        let hash: Arc<str> = hash_of(&text).into();
        self.latest = Some((hash.clone(), text.clone()));
        self.texts.push((hash.clone(), text));
        hash
    }
}

fn hash_of(text: &str) -> String {
    let mut hash = String::with_capacity(64);
    for byte in digest(&SHA256, text.as_bytes()).as_ref() {
        // Writing to a String cannot fail.
        let _ = write!(hash, "{byte:02x}");
    }
    hash
}

/// Texts on their way out of the journal: looked up where they are stored, equal ones shared.
pub(super) struct TextsIn<'c> {
    /// Looks a stored text up.
    find: &'c mut dyn FnMut(&str) -> Result<Option<String>, rusqlite::Error>,
    stored: HashMap<Arc<str>, Arc<str>>,
    names: HashSet<Arc<str>>,
}

/// A record that cannot be read.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// SQLite failed.
    Database(rusqlite::Error),
    /// It holds what it must not.
    Content(String),
}

impl From<rusqlite::Error> for Unreadable {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::InvalidColumnType(..) => Self::Content(error.to_string()),
            error => Self::Database(error),
        }
    }
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self::Content(error.to_string())
    }
}

impl<'c> TextsIn<'c> {
    pub(super) fn new(find: &'c mut dyn FnMut(&str) -> Result<Option<String>, rusqlite::Error>) -> Self {
        Self { find, stored: HashMap::new(), names: HashSet::new() }
    }

    /// The text, shared with all others that are stored under the same name.
    pub(super) fn get(&mut self, text: Text<'_>) -> Result<Arc<str>, Unreadable> {
        let Stored { sha256 } = match text {
            Text::Inline(text) => return Ok(text.into()),
            Text::Stored(stored) => stored,
        };
        if let Some(text) = self.stored.get(&sha256) {
            return Ok(text.clone());
        }
        let found = (self.find)(&sha256).map_err(Unreadable::Database)?;
        let text: Arc<str> =
            found.ok_or_else(|| Unreadable::Content(format!("its text `{sha256}` is missing")))?.into();
        self.stored.insert(sha256, text.clone());
        Ok(text)
    }

    /// The text, for whoever wants it alone.
    pub(super) fn string(&mut self, text: Text<'_>) -> Result<String, Unreadable> {
        match text {
            Text::Inline(text) => Ok(text.into_owned()),
            Text::Stored(_) => self.get(text).map(|text| text.as_ref().to_owned()),
        }
    }

    /// The text, if there is one.
    pub(super) fn maybe(&mut self, text: Option<Text<'_>>) -> Result<Option<Arc<str>>, Unreadable> {
        text.map(|text| self.get(text)).transpose()
    }

    /// A short text of which there are many alike, such as a model's name: equal ones are one.
    pub(super) fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let shared: Arc<str> = name.into();
        self.names.insert(shared.clone());
        shared
    }

    /// A text of which there may be many alike: equal ones are one.
    pub(super) fn alike(&mut self, text: Text<'_>) -> Result<Arc<str>, Unreadable> {
        match text {
            Text::Inline(text) => Ok(self.name(&text)),
            Text::Stored(_) => self.get(text),
        }
    }
}
