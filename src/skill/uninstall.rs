//! A folder that goes: our files are removed, what a person edited or added goes into a backup first.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::backup::Backup;
use super::error::SkillError;
use super::place::{Here, Place};
use super::record::Record;
use super::site::{Site, exists};
use super::tree::{folders_of, is_bookkeeping, scan};
use super::{Caller, RECORD, old};
use crate::core::shell::shell_path;

/// What was removed.
#[derive(Debug, Clone)]
pub struct Removal {
    /// The folder that is gone.
    pub folder: PathBuf,
    /// Its version.
    pub version: String,
    /// How many of its files were removed for good.
    pub removed: usize,
    /// Files that were edited or not ours, by name; and folders that were empty, with a slash behind them.
    pub moved: Vec<String>,
    /// Where those are now.
    pub backup: Option<PathBuf>,
    /// What did not work and is no reason to undo it.
    pub warnings: Vec<String>,
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
    let Some(record) = Record::read(&folder, &place.flags())? else {
        let flags = place.flags();
        return Err(match old::version(&folder) {
            Some(version) => SkillError::Old { folder, version, flags },
            None => SkillError::Foreign { folder, reason: "it has no record".to_owned(), flags },
        });
    };
    let tree = scan(&folder)?;
    let is_ours = |name: &str| record.files.get(name).is_some_and(|digest| tree.files[name].is(digest));
    let is_told = |name: &str| name != RECORD && !is_bookkeeping(name);
    let removed = tree.files.keys().filter(|name| is_told(name) && is_ours(name)).count() + 1;
    let around_ours = folders_of(record.files.keys());
    let rest = tree.part(
        |name| is_told(name) && !is_ours(name),
        |name| is_told(&format!("{name}/")) && !around_ours.contains(name),
    );
    let (moved, mut backup) = (rest.names(), None);
    if !rest.is_empty() {
        let label = format!("{}-{}", caller.today, record.version);
        let planned = Backup::plan(rest, &here.own().join("backups"), &label)?;
        planned.make(&folder)?;
        backup = Some(planned.path);
    }
    site.vanish()?;
    let warnings = site.discard().err().map(|error| site.rests(&error)).into_iter().collect();
    Ok(Removal { folder, version: record.version, removed, moved, backup, warnings, left: left(here) })
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
            "warnings": self.warnings,
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
            let (path, word) = (path.display(), shell_path(path));
            lines.push(format!("left, being yours: {path} ({what}); to delete it: rm -r {word}"));
        }
        lines.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        lines
    }
}
