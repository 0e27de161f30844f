//! What is a person's and leaves a folder: copied, whole or not at all, into the state folder first.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::SkillError;
use super::site::{copy, exists, make_folder, remove, sync_folders, write_error};
use super::tree::{Found, scan};

/// A backup that is to be made, or stands there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backup {
    /// Its folder.
    pub path: PathBuf,
    /// What goes into it, by its name in the folder of the skill.
    pub names: Vec<String>,
    is_there: bool,
}

impl Backup {
    /// The backup of these files of `folder`, in a folder of `backups` that is called `label`, or has a number behind it
    /// if another one is called so. One with the same files in it is taken for it: that of a call that died.
    pub fn plan(folder: &Path, names: Vec<String>, backups: &Path, label: &str) -> Result<Self, SkillError> {
        let found = scan(folder)?;
        let wanted = found.into_iter().filter(|(name, _)| names.contains(name)).collect();
        let mut number = 1;
        loop {
            let label = if number == 1 { label.to_owned() } else { format!("{label}-{number}") };
            let path = backups.join(label);
            if !exists(&path)? {
                return Ok(Self { path, names, is_there: false });
            }
            if path.is_dir() && has_no_links(&wanted) && scan(&path)? == wanted {
                return Ok(Self { path, names, is_there: true });
            }
            number += 1;
        }
    }

    /// Makes it.
    pub fn make(&self, folder: &Path) -> Result<(), SkillError> {
        if self.is_there {
            return Ok(());
        }
        let backups = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(backups).map_err(write_error(backups))?;
        let label = self.path.file_name().unwrap_or_default().to_string_lossy();
        let partial = backups.join(format!(".{label}.partial"));
        remove(&partial)?;
        make_folder(&partial)?;
        for name in &self.names {
            copy(&folder.join(name), &partial.join(name))?;
        }
        sync_folders(&partial)?;
        fs::rename(&partial, &self.path).map_err(write_error(&self.path))?;
        sync_folders(backups)
    }
}

fn has_no_links(found: &std::collections::BTreeMap<String, Found>) -> bool {
    found.values().all(|found| matches!(found, Found::File(_)))
}
