//! A new folder: whole, or none.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::content::Content;
use super::error::SkillError;
use super::place::{Here, Place};
use super::record::Record;
use super::site::{Site, exists, write_error};
use super::tree::scan;
use super::{Caller, old};

/// What was installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The folder.
    pub folder: PathBuf,
    /// The version.
    pub version: String,
    /// How many files it holds, beside its record.
    pub files: usize,
    /// The Python that its record names.
    pub python: Option<String>,
}

impl Installed {
    /// For `--json`.
    pub fn fields(&self) -> Value {
        json!({
            "action": "install", "folder": self.folder, "version": self.version, "files": self.files,
            "python": self.python,
        })
    }
}

/// Puts `content` where there is nothing yet.
pub fn install(place: &Place, here: &Here, content: &Content, caller: &Caller<'_>) -> Result<Installed, SkillError> {
    let folder = place.folder(here)?;
    refuse_what_is_there(&folder, place)?;
    let around = folder.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(around).map_err(write_error(around))?;
    let site = Site::take(&folder)?;
    refuse_what_is_there(&folder, place)?;
    let record = content.record(python_of(caller));
    site.stage(content, &record, &[], &BTreeMap::new())?;
    site.swap()?;
    // It is installed. What stood there had nothing in it, and the next call removes it.
    let _ = site.discard();
    Ok(Installed { folder, version: record.version, files: record.files.len(), python: record.python })
}

/// The Python for the record, if its path can be written there.
pub(super) fn python_of(caller: &Caller<'_>) -> Option<String> {
    caller.python.as_deref().and_then(Path::to_str).filter(|python| !python.is_empty()).map(str::to_owned)
}

fn refuse_what_is_there(folder: &Path, place: &Place) -> Result<(), SkillError> {
    if !exists(folder)? {
        return Ok(());
    }
    let flags = place.flags();
    if !folder.is_dir() {
        return Err(SkillError::InTheWay { path: folder.to_owned() });
    }
    if Record::read(folder, &flags)?.is_some() || old::version(folder).is_some() {
        return Err(SkillError::Exists { folder: folder.to_owned(), flags });
    }
    if scan(folder)?.is_empty() {
        return Ok(());
    }
    Err(SkillError::Foreign { folder: folder.to_owned(), reason: "it has no record".to_owned(), flags })
}
