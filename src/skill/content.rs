//! What the folder holds, embedded: every file of the skill, and a wheel if one goes with it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::error::SkillError;
use super::record::Record;
use super::tree::{Tree, sha256};
use super::zip::is_wheel_of;
use super::{RECORD, VERSION};

/// The longest wheel that a folder takes, in bytes: registries take no more.
pub(super) const WHEEL_BYTES_MAX: u64 = 50 * 1024 * 1024;
const WHEELS: &str = "wheels/";

macro_rules! files {
    ($($name:literal from $path:literal)*) => {
        [$(($name, include_bytes!(concat!("../../", $path)).as_slice())),*]
    };
}

const FILES: [(&str, &[u8]); 16] = files![
    "SKILL.md" from "SKILL.md"
    "USAGE-GUIDE.md" from "USAGE-GUIDE.md"
    "README.md" from "skill/README.md"
    "ai_orchestrator.py" from "skill/ai_orchestrator.py"
    "helpers.py" from "skill/helpers.py"
    "launch.py" from "skill/launch.py"
    "examples/README.md" from "examples/README.md"
    "examples/agents/plain_words_editor.md" from "examples/agents/plain_words_editor.md"
    "examples/code_review.py" from "examples/code_review.py"
    "examples/content_team.py" from "examples/content_team.py"
    "examples/full_stack_team.py" from "examples/full_stack_team.py"
    "examples/mass_agent_creation.py" from "examples/mass_agent_creation.py"
    "examples/orchestrated_job.py" from "examples/orchestrated_job.py"
    "examples/own_agent_types.py" from "examples/own_agent_types.py"
    "examples/refinement_to_a_target.py" from "examples/refinement_to_a_target.py"
    "examples/simple_parallel_research.py" from "examples/simple_parallel_research.py"
];

/// The modules that only work together: after an upgrade they are all of one version.
pub(super) fn is_module(name: &str) -> bool {
    matches!(name, "ai_orchestrator.py" | "helpers.py" | "launch.py")
}

/// A version of the skill: its files by name.
#[derive(Debug, Clone)]
pub struct Content {
    /// Its version.
    pub version: String,
    /// Names within the folder, with `/`, and bytes.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Content {
    /// The version that this library carries.
    pub fn ours() -> Self {
        let files = FILES.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        Self { version: VERSION.to_owned(), files }
    }

    /// The same, with the wheel of this version for machines that do not have the package.
    pub fn with_wheel(mut self, wheel: &Path) -> Result<Self, SkillError> {
        let refused = |reason: String| SkillError::Wheel { path: wheel.to_owned(), reason };
        let name = wheel.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let length = fs::metadata(wheel).map_err(|source| SkillError::Read { path: wheel.to_owned(), source })?.len();
        if length > WHEEL_BYTES_MAX {
            return Err(refused(format!("it has {length} bytes, expected at most {WHEEL_BYTES_MAX}")));
        }
        let bytes = fs::read(wheel).map_err(|source| SkillError::Read { path: wheel.to_owned(), source })?;
        is_wheel_of(&name, &bytes, &self.version).map_err(refused)?;
        self.files.insert(format!("{WHEELS}{name}"), bytes);
        Ok(self)
    }

    /// The same, with the wheels that a folder of this very version holds.
    pub(super) fn with_wheels_of(mut self, record: &Record, folder: &Path) -> Self {
        if record.version == self.version && !self.files.keys().any(|name| name.starts_with(WHEELS)) {
            for (name, digest) in record.files.iter().filter(|(name, _)| name.starts_with(WHEELS)) {
                if let Ok(bytes) = fs::read(folder.join(name))
                    && sha256(&bytes) == *digest
                {
                    self.files.insert(name.clone(), bytes);
                }
            }
        }
        self
    }

    /// The record of a folder with this content.
    pub(super) fn record(&self, python: Option<String>) -> Record {
        let files = self.files.iter().map(|(name, bytes)| (name.clone(), sha256(bytes))).collect();
        Record { version: self.version.clone(), python, files }
    }

    /// Where something stands in a tree that one of these files needs for itself.
    pub(super) fn in_the_way(&self, tree: &Tree) -> Option<String> {
        let is_folder_of =
            |outer: &str, inner: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
        let names = || self.files.keys().map(String::as_str).chain([RECORD]);
        let mut files = tree.files.keys();
        let file = files.find(|found| names().any(|name| is_folder_of(found, name) || is_folder_of(name, found)));
        file.or_else(|| tree.folders.keys().find(|folder| names().any(|name| name == *folder))).cloned()
    }
}
