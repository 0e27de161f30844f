//! What stands in a folder: every file with its digest, links as links, and the folders with their modes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ring::digest::{Context, SHA256, digest};

use super::error::SkillError;

/// How many files a folder may hold: more is no skill.
const FILES_MAX: usize = 20_000;
/// How deep folders may nest.
const DEPTH_MAX: usize = 32;
/// What Python leaves beside modules that it has compiled.
const CACHE: &str = "__pycache__";

/// Whether OpenClaw or a registry's client wrote a file beside the skill, for itself: it goes and stays with the folder.
pub(super) fn is_bookkeeping(name: &str) -> bool {
    name == "_meta.json" || name.starts_with(".openclaw/") || name.starts_with(".clawhub/")
}

/// What stands under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A file, by the SHA-256 of its bytes.
    File(String),
    /// A link, or something stranger. It is never followed.
    Other,
}

impl Found {
    pub(super) fn is(&self, digest: &str) -> bool {
        matches!(self, Self::File(found) if found == digest)
    }
}

/// The SHA-256 of some bytes, in hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(digest(&SHA256, bytes).as_ref())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn file_sha256(path: &Path) -> std::io::Result<String> {
    let (mut file, mut context, mut buffer) = (File::open(path)?, Context::new(&SHA256), vec![0_u8; 64 * 1024]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hexadecimal(context.finish().as_ref())),
            count => context.update(&buffer[..count]),
        }
    }
}

/// All that stands in a folder, by its name in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tree {
    pub files: BTreeMap<String, Found>,
    /// The mode of each folder. That of the whole is under the empty name.
    pub folders: BTreeMap<String, u32>,
}

/// The folders around a name, the nearest first, and last the whole.
fn around(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| {
        if name.is_empty() { None } else { Some(name.rsplit_once('/').map_or("", |(folder, _)| folder)) }
    })
    .skip(1)
}

/// The folders that stand around some files.
pub(super) fn folders_of<'a>(names: impl Iterator<Item = &'a String>) -> BTreeSet<&'a str> {
    names.flat_map(|name| around(name)).collect()
}

impl Tree {
    /// Some of it, with the folders around.
    pub fn part(&self, has_file: impl Fn(&str) -> bool, has_folder: impl Fn(&str) -> bool) -> Self {
        let is_in = |(name, _): &(&String, &Found)| has_file(name);
        let files: BTreeMap<String, Found> =
            self.files.iter().filter(is_in).map(|(name, found)| (name.clone(), found.clone())).collect();
        let mut wanted = folders_of(files.keys());
        for name in self.folders.keys().filter(|name| has_folder(name)) {
            wanted.extend(std::iter::once(name.as_str()).chain(around(name)));
        }
        let folders = self.folders.iter().filter(|(name, _)| name.is_empty() || wanted.contains(name.as_str()));
        let folders = folders.map(|(name, mode)| (name.clone(), *mode)).collect();
        Self { files, folders }
    }

    /// Its files, and the folders in which nothing is, with a slash behind them.
    pub fn names(&self) -> Vec<String> {
        let filled = folders_of(self.files.keys().chain(self.folders.keys()));
        let empty = self.folders.keys().filter(|name| !name.is_empty() && !filled.contains(name.as_str()));
        let mut names: Vec<String> = self.files.keys().cloned().chain(empty.map(|name| format!("{name}/"))).collect();
        names.sort();
        names
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.folders.keys().all(String::is_empty)
    }
}

/// All that stands in `folder`, without what Python compiled.
pub(super) fn scan(folder: &Path) -> Result<Tree, SkillError> {
    let mut found = Tree::default();
    walk(folder, "", 0, &mut found)?;
    Ok(found)
}

fn walk(folder: &Path, name: &str, depth: usize, found: &mut Tree) -> Result<(), SkillError> {
    let read_error = |source| SkillError::Read { path: folder.to_owned(), source };
    let mode = fs::metadata(folder).map_err(read_error)?.permissions().mode() & 0o7777;
    found.folders.insert(name.to_owned(), mode);
    let prefix = if name.is_empty() { String::new() } else { format!("{name}/") };
    for entry in fs::read_dir(folder).map_err(read_error)? {
        let entry = entry.map_err(read_error)?;
        let path = entry.path();
        let kind = entry.file_type().map_err(read_error)?;
        let Some(name) = entry.file_name().to_str().map(|name| format!("{prefix}{name}")) else {
            return Err(SkillError::Odd { path, what: "a name that is no UTF-8" });
        };
        if kind.is_dir() {
            if entry.file_name() == CACHE {
                continue;
            }
            if depth == DEPTH_MAX {
                return Err(SkillError::Odd { path, what: "folders nested that deep" });
            }
            walk(&path, &name, depth + 1, found)?;
        } else if kind.is_file() {
            let digest = file_sha256(&path).map_err(|source| SkillError::Read { path, source })?;
            found.files.insert(name, Found::File(digest));
        } else {
            found.files.insert(name, Found::Other);
        }
        if found.files.len() + found.folders.len() > FILES_MAX {
            return Err(SkillError::Odd { path: folder.to_owned(), what: "more than 20000 files" });
        }
    }
    Ok(())
}
