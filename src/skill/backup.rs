//! What is a person's and leaves a folder: copied, whole or not at all, into the state folder first.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::SkillError;
use super::site::{copy, exists, make_folder, make_folders, remove, set_modes, sync_folder, sync_folders, write_error};
use super::tree::{Found, Tree, scan};

/// A backup that is to be made, or stands there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backup {
    /// Its folder.
    pub path: PathBuf,
    /// What goes into it: of the tree of the folder of the skill.
    pub tree: Tree,
    is_there: bool,
}

impl Backup {
    /// The backup of `tree`, in a folder of `backups` that is called `label`, or has a number behind it if another one
    /// is called so. One with the same in it is taken for it: that of a call that died.
    pub fn plan(tree: Tree, backups: &Path, label: &str) -> Result<Self, SkillError> {
        let mut number = 1;
        loop {
            let label = if number == 1 { label.to_owned() } else { format!("{label}-{number}") };
            let path = backups.join(label);
            if !exists(&path)? {
                return Ok(Self { path, tree, is_there: false });
            }
            if path.is_dir() && has_no_links(&tree) && scan(&path)? == tree {
                return Ok(Self { path, tree, is_there: true });
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
        make_folders(&partial, &self.tree.folders)?;
        for name in self.tree.files.keys() {
            copy(&folder.join(name), &partial.join(name))?;
        }
        sync_folders(&partial)?;
        set_modes(&partial, &self.tree.folders)?;
        fs::rename(&partial, &self.path).map_err(write_error(&self.path))?;
        sync_folder(backups)
    }
}

fn has_no_links(tree: &Tree) -> bool {
    tree.files.values().all(|found| matches!(found, Found::File(_)))
}
