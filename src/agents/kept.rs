//! The user's own agent types: one Markdown file each, in one folder.
//!
//! A folder is read file by file: one that cannot be used is named and passed over. A file is written whole or not at all,
//! under its final name in that folder or nowhere, and follows no link. Which folder it is, callers say.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde_json::Value;

use super::design::{self, Draft, Wishes};
use super::{AgentError, AgentType, Origin, PLAIN, Registry, builtin};

/// How long the file of an agent type may be, in bytes.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// How many files of a folder are read.
pub const FILES_MAX: usize = 1_000;

/// How many names for a file that is being written are tried.
const WRITING_TRIES: u64 = 100;

/// What a folder holds.
#[derive(Debug, Default)]
struct Folder {
    types: Vec<AgentType>,
    passed_over: Vec<AgentError>,
}

impl Folder {
    /// Reads its `*.md` files in the order of their names. A folder that is not there holds none.
    fn read(folder: &Path) -> Result<Self, AgentError> {
        let read_error = |source| AgentError::Read { path: folder.to_owned(), source };
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(read_error(error)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(read_error)?.path();
            if path.extension().is_some_and(|extension| extension == "md") && !is_hidden(&path) {
                paths.push(path);
            }
        }
        paths.sort();
        let mut found = Self::default();
        if paths.len() > FILES_MAX {
            paths.truncate(FILES_MAX);
            found.passed_over.push(AgentError::TooMany { folder: folder.to_owned() });
        }
        for path in paths {
            match read_file(&path) {
                Ok(agent_type) => found.types.push(agent_type),
                Err(error) => found.passed_over.push(error),
            }
        }
        Ok(found)
    }
}

/// A path that stays the same when the process goes to another folder.
fn whole(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn read_file(path: &Path) -> Result<AgentType, AgentError> {
    let read_error = |source| AgentError::Read { path: path.to_owned(), source };
    let place = path.display().to_string();
    if !fs::symlink_metadata(path).map_err(read_error)?.is_file() {
        return Err(AgentError::NoFile { place });
    }
    let mut text = String::new();
    let limit = FILE_BYTES_MAX as u64 + 1;
    File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text)).map_err(read_error)?;
    if text.len() > FILE_BYTES_MAX {
        let bytes =
            fs::symlink_metadata(path).map_or(text.len(), |found| usize::try_from(found.len()).unwrap_or(usize::MAX));
        return Err(AgentError::TooLarge { place, field: "file", bytes, max: FILE_BYTES_MAX });
    }
    Ok(AgentType::from_markdown(&text, &place)?.with_origin(Origin::Kept(path.to_owned())))
}

impl Registry {
    /// Takes the user's own types as the folder holds them now: those of before that are gone from it are gone here. A
    /// file that cannot be used, or whose name another type has, is passed over. Returns what was loaded, and why others
    /// were not.
    pub fn load_kept(&mut self, folder: &Path) -> Result<(Vec<Arc<AgentType>>, Vec<AgentError>), AgentError> {
        let folder = &whole(folder);
        let Folder { types, mut passed_over } = Folder::read(folder)?;
        let kept_there =
            |agent_type: &Arc<AgentType>| agent_type.origin.kept().and_then(Path::parent) == Some(folder.as_path());
        let before: Vec<Arc<str>> =
            self.types.iter().filter(|each| kept_there(each)).map(|each| each.name.clone()).collect();
        for name in &before {
            self.withdraw(name);
        }
        let mut loaded = Vec::new();
        for agent_type in types {
            let (place, name) = (agent_type.origin.to_string(), agent_type.name.clone());
            match self.add(agent_type, false) {
                Ok(agent_type) => loaded.push(agent_type),
                Err(AgentError::Taken { .. }) if self.is_built_in(&name) => {
                    passed_over.push(AgentError::Shadows { place, name });
                }
                Err(AgentError::Taken { name, origin }) => {
                    passed_over.push(AgentError::TakenFile { place, name, origin });
                }
                Err(error) => passed_over.push(error),
            }
        }
        Ok((loaded, passed_over))
    }

    /// Makes an agent type of a design (or of a result that holds one) and keeps it as a file of `folder`.
    ///
    /// A name that exists, in this registry or in the folder, is refused unless `replace` is said. Nothing is added if the
    /// file cannot be written.
    pub fn keep(
        &mut self,
        design: &Value,
        wishes: &Wishes,
        replace: bool,
        folder: &Path,
    ) -> Result<Arc<AgentType>, AgentError> {
        let folder = &whole(folder);
        let name = design::name_of(design, wishes)?;
        let draft = design::draft(design, wishes, replace && builtin::one(&name).is_some())?;
        let kept = Folder::read(folder)?.types;
        let same = kept.iter().find(|agent_type| *agent_type.name == *name);
        let known = self.get(&name).ok();
        if let Some(other) = same.or(known.as_deref()).filter(|_| !replace || name == PLAIN) {
            return Err(AgentError::Taken { name: other.name.clone(), origin: other.origin.to_string() });
        }
        let own = folder.join(format!("{name}.md"));
        let path = same.and_then(|same| same.origin.kept()).unwrap_or(&own).to_owned();
        let is_anothers =
            kept.iter().any(|agent_type| *agent_type.name != *name && agent_type.origin.kept() == Some(path.as_path()));
        if is_anothers {
            return Err(AgentError::FileTaken { path, name: name.into() });
        }
        self.keep_as(path, draft, replace)
    }

    /// Keeps a prompt as an agent type, as a file of `folder`. A name that exists is refused.
    pub fn keep_prompt(
        &mut self,
        name: &str,
        description: &str,
        prompt: &str,
        folder: &Path,
    ) -> Result<Arc<AgentType>, AgentError> {
        let draft = design::of_prompt(name, description, prompt)?;
        if let Ok(other) = self.get(name) {
            return Err(AgentError::Taken { name: other.name.clone(), origin: other.origin.to_string() });
        }
        self.keep_as(whole(folder).join(format!("{name}.md")), draft, false)
    }

    /// Writes the file of a type and adds it, in the place of any of its name. A file that is there is replaced only if
    /// that is said.
    fn keep_as(&mut self, path: PathBuf, draft: Draft, replace: bool) -> Result<Arc<AgentType>, AgentError> {
        let Draft { agent_type, markdown } = draft;
        write_file(&path, &markdown, replace).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => AgentError::FileTaken { path: path.clone(), name: agent_type.name.clone() },
            _ => AgentError::Write { path: path.clone(), source },
        })?;
        self.add(agent_type.with_origin(Origin::Kept(path)), true)
    }

    /// Takes a type out, and deletes its file if it is one of the user's own. What it had replaced is back.
    pub fn remove(&mut self, name: &str) -> Result<(), AgentError> {
        let agent_type = self.get(name)?;
        match &agent_type.origin {
            Origin::BuiltIn => return Err(AgentError::BuiltIn { name: agent_type.name.clone() }),
            Origin::Given(_) => {}
            Origin::Kept(path) => match fs::remove_file(path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(AgentError::Write { path: path.clone(), source }),
            },
        }
        self.withdraw(name);
        Ok(())
    }

    /// What a file is known as, if it is one of the user's own types.
    pub(super) fn kept_at(&self, file: &Path) -> Option<Origin> {
        let file = file.canonicalize().ok()?;
        let is_it = |path: &Path| path.canonicalize().is_ok_and(|path| path == file);
        self.types.iter().map(|each| &each.origin).find(|origin| origin.kept().is_some_and(is_it)).cloned()
    }

    fn is_built_in(&self, name: &str) -> bool {
        self.get(name).is_ok_and(|agent_type| agent_type.origin == Origin::BuiltIn)
    }

    /// Takes a type out; a built-in one of its name stands in its place again.
    fn withdraw(&mut self, name: &str) {
        if let Some(index) = self.types.iter().position(|agent_type| *agent_type.name == *name) {
            match builtin::one(name) {
                Some(built_in) => self.types[index] = built_in,
                None => drop(self.types.remove(index)),
            }
        }
    }
}

/// Writes a file, whole or not at all, for its owner alone. One of that name is an error unless `replace` is said, and is
/// not followed if it is a link.
fn write_file(path: &Path, text: &str, replace: bool) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let (mut file, writing) = writing_file(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let placed = written.and_then(|()| if replace { fs::rename(&writing, path) } else { place_new(&writing, path) });
    if placed.is_err() {
        // What matters is why it could not be written.
        let _ = fs::remove_file(&writing);
    }
    placed
}

/// A new file beside `path`.
fn writing_file(path: &Path) -> io::Result<(File, PathBuf)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut tries = 0;
    loop {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        let writing = path.with_file_name(name);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&writing) {
            Ok(file) => return Ok((file, writing)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < WRITING_TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Removes the half-written files that dead processes have left in a folder. Returns how many.
///
/// # Errors
/// Where the folder cannot be read, or such a file not be removed.
pub fn sweep(folder: &Path) -> io::Result<usize> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut swept = 0;
    for entry in entries {
        let entry = entry?;
        let writer = entry.file_name().to_str().and_then(writer_of);
        if entry.file_type()?.is_file() && writer.is_some_and(is_dead) {
            fs::remove_file(entry.path())?;
            swept += 1;
        }
    }
    Ok(swept)
}

/// The process that writes a file of this name, if it is one that `writing_file` makes.
fn writer_of(name: &str) -> Option<Pid> {
    let (file, writer) = name.strip_prefix('.')?.rsplit_once('.')?;
    let (process, no) = writer.split_once('-')?;
    let is_ours = Path::new(file).extension().is_some_and(|extension| extension == "md") && no.parse::<u64>().is_ok();
    Pid::from_raw(process.parse().ok().filter(|process| is_ours && *process > 0)?)
}

fn is_dead(process: Pid) -> bool {
    test_kill_process(process) == Err(Errno::SRCH)
}

/// Gives a file its name unless there is one of that name.
fn place_new(writing: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(writing, path) {
        Ok(()) => {
            // A second name of the same file; it is hidden and read by nobody.
            let _ = fs::remove_file(writing);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // A file system without links.
        Err(_) if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) => {
            fs::rename(writing, path)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[path = "kept_tests.rs"]
mod tests;
