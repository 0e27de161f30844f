//! A folder that goes: our files are removed, what a person edited or added goes into a backup first.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::backup::Backup;
use super::error::SkillError;
use super::place::{Here, Place};
use super::record::Record;
use super::site::{Site, exists};
use super::tree::{is_bookkeeping, scan};
use super::{Caller, RECORD, old};

/// What was removed.
#[derive(Debug, Clone)]
pub struct Removal {
    /// The folder that is gone.
    pub folder: PathBuf,
    /// Its version.
    pub version: String,
    /// How many of its files were removed for good.
    pub removed: usize,
    /// Files that were edited or not ours, by name.
    pub moved: Vec<String>,
    /// Where those are now.
    pub backup: Option<PathBuf>,
    /// What stays in the state folder, being the person's: each path and what it is.
    pub left: Vec<(PathBuf, &'static str)>,
}

/// Removes the folder.
pub fn uninstall(place: &Place, here: &Here, caller: &Caller<'_>) -> Result<Removal, SkillError> {
    let folder = place.folder(here)?;
    let missing = || SkillError::Missing { folder: folder.clone(), flags: place.flags() };
    if !folder.parent().is_some_and(std::path::Path::is_dir) {
        return Err(missing());
    }
    let site = Site::take(&folder)?;
    if !exists(&folder)? {
        return Err(missing());
    }
    let Some(record) = Record::read(&folder)? else {
        let flags = place.flags();
        return Err(match old::version(&folder) {
            Some(version) => SkillError::Old { folder, version, flags },
            None => SkillError::Foreign { folder, reason: "it has no record".to_owned(), flags },
        });
    };
    let tree = scan(&folder)?;
    let is_ours = |name: &str| record.files.get(name).is_some_and(|digest| tree[name].is(digest));
    let (ours, moved): (Vec<String>, Vec<String>) =
        tree.keys().filter(|name| *name != RECORD && !is_bookkeeping(name)).cloned().partition(|name| is_ours(name));
    let mut backup = None;
    if !moved.is_empty() {
        let label = format!("{}-{}", caller.today, record.version);
        let planned = Backup::plan(&folder, moved.clone(), &here.own().join("backups"), &label)?;
        planned.make(&folder)?;
        backup = Some(planned.path);
    }
    site.vanish()?;
    site.discard()?;
    Ok(Removal { folder, version: record.version, removed: ours.len() + 1, moved, backup, left: left(here) })
}

/// What is in our folder of the state folder.
fn left(here: &Here) -> Vec<(PathBuf, &'static str)> {
    let known = [
        ("agents", "your own agent types"),
        ("settings.json", "your settings"),
        ("journal.sqlite", "your runs"),
        ("backups", "backups of folders of the skill"),
        ("venv", "the private environment that `launch.py setup` made"),
    ];
    let known = known.into_iter().map(|(name, what)| (here.own().join(name), what));
    let logs = logs(here).into_iter().map(|path| (path, "the log of a detached run"));
    known.filter(|(path, _)| path.exists()).chain(logs).collect()
}

/// The logs of detached runs, which stand beside the journal.
fn logs(here: &Here) -> Vec<PathBuf> {
    let is_log = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.strip_suffix(".log").is_some_and(|name| name.starts_with("journal.sqlite-"))
    };
    let entries = std::fs::read_dir(here.own()).into_iter().flatten().flatten();
    let mut logs: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_log).collect();
    logs.sort();
    logs
}

impl Removal {
    /// For `--json`.
    pub fn fields(&self) -> Value {
        let left = self.left.iter().map(|(path, what)| json!({"path": path, "what": what}));
        json!({
            "action": "uninstall", "folder": self.folder, "version": self.version, "removed": self.removed,
            "moved": self.moved, "backup": self.backup, "left": left.collect::<Vec<_>>(),
        })
    }

    /// For people, line by line.
    pub fn lines(&self) -> Vec<String> {
        let mut lines =
            vec![format!("{}: version {} removed ({} files)", self.folder.display(), self.version, self.removed)];
        if let Some(backup) = &self.backup {
            let (count, names) = (self.moved.len(), self.moved.join(", "));
            lines.push(format!("edited or not ours ({count}): {names}; moved to {}", backup.display()));
        }
        for (path, what) in &self.left {
            let path = path.display();
            lines.push(format!("left, being yours: {path} ({what}); to delete it: rm -r {path}"));
        }
        lines
    }
}
