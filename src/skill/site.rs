//! The place of one folder: locked while we work, and changed by one rename.
//!
//! A new folder is made whole in a hidden one beside the place (the stage) and then takes its place. While the lock is
//! held, a stage that is found is that of a call that died. All that is in it is in the folder or in a backup as well, so it
//! can go.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::content::Content;
use super::error::SkillError;
use super::place::Here;
use super::record::Record;
use super::{NAME, RECORD};
use crate::core::shell::shell_path;

const STAGE: &str = "stage";
const ASIDE: &str = "aside";
const FILE_MODE: u32 = 0o644;
const PRIVATE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o755;
const OPEN_MODE: u32 = 0o700;

/// A place that is ours alone until this is dropped.
#[derive(Debug)]
pub(super) struct Site {
    pub folder: PathBuf,
    stage: PathBuf,
    /// Where the old folder waits where two folders cannot change places at once.
    aside: PathBuf,
    /// The folder around it, open: the lock is on it, so that no file of a lock is left.
    parent: File,
}

pub(super) fn write_error(path: &Path) -> impl FnOnce(io::Error) -> SkillError {
    move |source| SkillError::Write { path: path.to_owned(), source }
}

/// The same path for the same folder, as far as that can be told.
pub(super) fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Whether something stands there, a link that leads nowhere included.
pub(super) fn exists(path: &Path) -> Result<bool, SkillError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(SkillError::Read { path: path.to_owned(), source }),
    }
}

/// What may stand beside a folder while it is changed.
fn hidden(folder: &Path, what: &str) -> PathBuf {
    folder.with_file_name(format!(".{NAME}.{what}"))
}

/// Where the skill may be installed and a call that died has left something beside the place.
pub fn leftovers(here: &Here) -> Vec<PathBuf> {
    let places = here.known().into_iter().filter_map(|(_, place)| place.folder(here).ok());
    let is_left = |folder: &PathBuf| {
        let stands = |what: &str| fs::symlink_metadata(hidden(folder, what)).is_ok();
        // A call that is alive has the lock.
        (stands(STAGE) || stands(ASIDE))
            && folder
                .parent()
                .and_then(|around| File::open(around).ok())
                .is_some_and(|around| around.try_lock().is_ok())
    };
    places.filter(is_left).collect()
}

/// Puts back what a call that died had set aside beside `folder`, and removes what it was making, as the next call would.
///
/// # Errors
/// Where that cannot be done, or another call works there.
pub fn tidy(folder: &Path) -> Result<(), SkillError> {
    Site::take(folder).map(drop)
}

impl Site {
    /// Takes the place, whose parent folder exists, and clears up after a call that died here.
    pub fn take(folder: &Path) -> Result<Self, SkillError> {
        let around = folder.parent().unwrap_or(Path::new("/"));
        let parent = File::open(around).map_err(|source| SkillError::Read { path: around.to_owned(), source })?;
        match parent.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SkillError::Busy { folder: around.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(write_error(around)(source)),
        }
        let (stage, aside) = (hidden(folder, STAGE), hidden(folder, ASIDE));
        let site = Self { folder: folder.to_owned(), stage, aside, parent };
        site.clear()?;
        Ok(site)
    }

    /// Puts back what a call that died had set aside, and removes what it was making.
    fn clear(&self) -> Result<(), SkillError> {
        if exists(&self.aside)? {
            if exists(&self.folder)? {
                remove(&self.aside)?;
            } else {
                fs::rename(&self.aside, &self.folder).map_err(write_error(&self.folder))?;
            }
        }
        self.discard()
    }

    /// Makes the new folder, whole and on the disk, beside the place. `keep` are files of the folder that stay, by name
    /// there and name in the new one; `folders` are to be there in any case.
    pub fn stage(
        &self,
        content: &Content,
        record: &Record,
        keep: &[(String, String)],
        folders: &BTreeMap<String, u32>,
    ) -> Result<(), SkillError> {
        self.discard()?;
        make_folder(&self.stage)?;
        make_folders(&self.stage, folders)?;
        let is_kept = |name: &str| keep.iter().any(|(_, kept)| kept == name);
        for (name, bytes) in content.files.iter().filter(|(name, _)| !is_kept(name)) {
            write_new(&self.stage.join(name), bytes)?;
        }
        for (name, kept) in keep {
            take_over(&self.folder.join(name), &self.stage.join(kept))?;
        }
        write_new(&self.stage.join(RECORD), record.to_text().as_bytes())?;
        sync_folders(&self.stage)
    }

    /// Writes one more file into the new folder.
    pub fn stage_file(&self, name: &str, bytes: &[u8]) -> Result<(), SkillError> {
        write_new(&self.stage.join(name), bytes)
    }

    /// Gives those of these folders that are in the new one their modes: the last of its making.
    pub fn stage_modes(&self, folders: &BTreeMap<String, u32>) -> Result<(), SkillError> {
        set_modes(&self.stage, folders)
    }

    /// Gives the new folder its name. What stood there is then where the new one was made.
    pub fn swap(&self) -> Result<(), SkillError> {
        let (stage, folder) = (&self.stage, &self.folder);
        if exists(folder)? {
            if renameat_with(CWD, stage, CWD, folder, RenameFlags::EXCHANGE).is_err() {
                // A file system where two folders cannot change places at once.
                fs::rename(folder, &self.aside).map_err(write_error(folder))?;
                fs::rename(stage, folder).map_err(write_error(folder))?;
                fs::rename(&self.aside, stage).map_err(write_error(&self.aside))?;
            }
        } else {
            fs::rename(stage, folder).map_err(write_error(folder))?;
        }
        self.parent.sync_all().map_err(write_error(folder))
    }

    /// Takes the folder away, by one rename.
    pub fn vanish(&self) -> Result<(), SkillError> {
        self.discard()?;
        fs::rename(&self.folder, &self.stage).map_err(write_error(&self.folder))?;
        self.parent.sync_all().map_err(write_error(&self.folder))
    }

    /// Removes what is beside the place: a new folder that is not wanted, or the old one after the swap.
    pub fn discard(&self) -> Result<(), SkillError> {
        remove(&self.stage)
    }

    /// What to tell when that failed and all else is done.
    pub fn rests(&self, error: &SkillError) -> String {
        let why = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
        format!("rests of the old folder stay: {error}{why}; remove them: rm -r {}", shell_path(&self.stage))
    }
}

/// Removes a folder with all that is in it, following no link.
pub(super) fn remove(path: &Path) -> Result<(), SkillError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(SkillError::Read { path: path.to_owned(), source }),
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).or_else(|_| remove_closed(path)),
        Ok(_) => fs::remove_file(path).map_err(write_error(path)),
    }
}

/// The same where a folder in it may be closed to changes. An error names what stays.
fn remove_closed(folder: &Path) -> Result<(), SkillError> {
    // Whether that was allowed shows below.
    let _ = fs::set_permissions(folder, Permissions::from_mode(OPEN_MODE));
    let read_error = |source| SkillError::Read { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(read_error)? {
        let entry = entry.map_err(read_error)?;
        if entry.file_type().map_err(read_error)?.is_dir() {
            remove_closed(&entry.path())?;
        } else {
            fs::remove_file(entry.path()).map_err(write_error(&entry.path()))?;
        }
    }
    fs::remove_dir(folder).map_err(write_error(folder))
}

/// Makes these folders, each after those around it. What they may be used for is set when all is in them.
pub(super) fn make_folders(within: &Path, folders: &BTreeMap<String, u32>) -> Result<(), SkillError> {
    for name in folders.keys().filter(|name| !name.is_empty()) {
        make_folders_of(&within.join(name).join("inner"))?;
    }
    Ok(())
}

/// Gives those of these folders that are there their modes, each before those around it.
pub(super) fn set_modes(within: &Path, folders: &BTreeMap<String, u32>) -> Result<(), SkillError> {
    for (name, mode) in folders.iter().rev() {
        let path = if name.is_empty() { within.to_owned() } else { within.join(name) };
        if !exists(&path)? {
            continue;
        }
        let set = File::open(&path).and_then(|folder| {
            folder.set_permissions(Permissions::from_mode(*mode))?;
            folder.sync_all()
        });
        set.map_err(write_error(&path))?;
    }
    Ok(())
}

/// A folder that is new, with those around it in the same tree. Modes do not depend on the process's mask.
pub(super) fn make_folder(path: &Path) -> Result<(), SkillError> {
    DirBuilder::new().mode(FOLDER_MODE).create(path).map_err(write_error(path))?;
    fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE)).map_err(write_error(path))
}

fn make_folders_of(path: &Path) -> Result<(), SkillError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    if exists(folder)? {
        return Ok(());
    }
    make_folders_of(folder)?;
    make_folder(folder)
}

/// Writes a file that is not there yet, onto the disk.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), SkillError> {
    write_as(path, bytes, FILE_MODE)
}

fn write_as(path: &Path, bytes: &[u8], mode: u32) -> Result<(), SkillError> {
    make_folders_of(path)?;
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = file.and_then(|mut file| {
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(write_error(path))
}

/// Writes a file whole or not at all, in the place of one that is there, or to which a link there leads. A private one
/// is its owner's alone.
pub(super) fn write_over(path: &Path, bytes: &[u8], is_private: bool) -> Result<(), SkillError> {
    let path = &match path.canonicalize() {
        Ok(path) => path,
        // One that leads nowhere yet.
        Err(_) => match fs::read_link(path) {
            Ok(aim) => path.parent().map_or(aim.clone(), |folder| folder.join(aim)),
            Err(_) => path.to_owned(),
        },
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let writing = path.with_file_name(format!(".{name}.{}", std::process::id()));
    remove(&writing)?;
    write_as(&writing, bytes, if is_private { PRIVATE_MODE } else { FILE_MODE })?;
    let placed = fs::rename(&writing, path).map_err(write_error(path));
    if placed.is_err() {
        // What matters is why it could not be written.
        let _ = fs::remove_file(&writing);
    }
    placed
}

/// Puts the very file under a second name: its bytes, times and mode stay. A link stays a link.
pub(super) fn take_over(from: &Path, to: &Path) -> Result<(), SkillError> {
    make_folders_of(to)?;
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    copy(from, to)
}

/// A copy with the times and the mode of its original.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), SkillError> {
    make_folders_of(to)?;
    let found = fs::symlink_metadata(from).map_err(|source| SkillError::Read { path: from.to_owned(), source })?;
    if found.is_symlink() {
        let aim = fs::read_link(from).map_err(|source| SkillError::Read { path: from.to_owned(), source })?;
        return symlink(aim, to).map_err(write_error(to));
    }
    if !found.is_file() {
        return Err(SkillError::Odd { path: from.to_owned(), what: "something that is neither file nor link" });
    }
    let copied = fs::copy(from, to).and_then(|_| {
        let file = File::options().write(true).open(to).or_else(|_| File::open(to))?;
        file.set_modified(found.modified()?)?;
        file.sync_all()
    });
    copied.map_err(write_error(to))
}

/// Waits until the names in `folder` are on the disk.
pub(super) fn sync_folder(folder: &Path) -> Result<(), SkillError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(write_error(folder))
}

/// Waits until the names in `folder` and in the folders in it are on the disk.
pub(super) fn sync_folders(folder: &Path) -> Result<(), SkillError> {
    let synced = || -> io::Result<Vec<PathBuf>> {
        let mut inner = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                inner.push(entry.path());
            }
        }
        File::open(folder)?.sync_all()?;
        Ok(inner)
    };
    synced().map_err(write_error(folder))?.iter().try_for_each(|inner| sync_folders(inner))
}
