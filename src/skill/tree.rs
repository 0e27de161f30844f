//! What stands in a folder: every file with its digest, links as links.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read;
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

/// All that stands in `folder`, by its name in it, without what Python compiled.
pub(super) fn scan(folder: &Path) -> Result<BTreeMap<String, Found>, SkillError> {
    let mut found = BTreeMap::new();
    walk(folder, "", 0, &mut found)?;
    Ok(found)
}

fn walk(folder: &Path, prefix: &str, depth: usize, found: &mut BTreeMap<String, Found>) -> Result<(), SkillError> {
    let read_error = |source| SkillError::Read { path: folder.to_owned(), source };
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
            walk(&path, &format!("{name}/"), depth + 1, found)?;
        } else if kind.is_file() {
            let digest = file_sha256(&path).map_err(|source| SkillError::Read { path, source })?;
            found.insert(name, Found::File(digest));
        } else {
            found.insert(name, Found::Other);
        }
        if found.len() > FILES_MAX {
            return Err(SkillError::Odd { path: folder.to_owned(), what: "more than 20000 files" });
        }
    }
    Ok(())
}
