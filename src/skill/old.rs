//! A folder as releases up to 3.2.0 laid it out, without a record: what a person configured in it.
//!
//! Nothing of it is executed: who can read Python reads its literals, and hands them in.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::error::SkillError;
use super::place::Here;
use super::{NAME, ReadOld, settings};
use crate::agents::{AgentError, Registry, check_prompt, type_name};

/// The most of a file that is looked at, in bytes.
const HEAD_BYTES: usize = 64 * 1024;

/// Something that a person configured and that has no place in this release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotCarried {
    /// What it is called.
    pub name: String,
    /// Why not.
    pub reason: String,
}

/// What goes over into the state folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Carried {
    /// Name and prompt of agent types that are new.
    pub agents: Vec<(String, String)>,
    /// Options that are not set yet.
    pub settings: Map<String, Value>,
    /// What does not, and why.
    pub missed: Vec<NotCarried>,
}

/// The release of the old skill in `folder`, if it is one. Its modules are enough to know it, where its SKILL.md says
/// nothing any more.
pub(super) fn version(folder: &Path) -> Option<String> {
    let orchestrator = folder.join("ai_orchestrator.py");
    if !orchestrator.is_file() {
        return None;
    }
    let said = match front_matter(folder) {
        Some(front) if field(&front, "name").is_some_and(|name| name != NAME) => return None,
        Some(front) if field(&front, "name").is_some() => field(&front, "version"),
        _ => {
            let has_prompts = || head(&orchestrator).is_some_and(|text| text.contains("AGENT_PROMPTS"));
            if !folder.join("helpers.py").is_file() && !has_prompts() {
                return None;
            }
            None
        }
    };
    let version = said.or_else(|| version_of_meta(folder)).unwrap_or_default();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '+');
    let is_version = !version.is_empty() && version.len() <= 40 && version.chars().all(is_plain);
    Some(if is_version { version } else { "unknown".to_owned() })
}

/// The beginning of a file.
fn head(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes[..bytes.len().min(HEAD_BYTES)]).replace("\r\n", "\n"))
}

fn front_matter(folder: &Path) -> Option<String> {
    let text = head(&folder.join("SKILL.md"))?;
    text.trim_start_matches('\u{feff}').strip_prefix("---\n")?.split("\n---").next().map(str::to_owned)
}

fn field(front: &str, name: &str) -> Option<String> {
    let line = front.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(':'));
    line.map(|value| value.trim().trim_matches(['"', '\'']).to_owned()).filter(|value| !value.is_empty())
}

/// What a registry's client wrote beside the skill.
fn version_of_meta(folder: &Path) -> Option<String> {
    let meta: Value = serde_json::from_str(&fs::read_to_string(folder.join("_meta.json")).ok()?).ok()?;
    meta.get("version").and_then(Value::as_str).map(str::to_owned)
}

pub(super) fn agents_folder(here: &Here) -> PathBuf {
    here.own().join("agents")
}

pub(super) fn settings_path(here: &Here) -> PathBuf {
    here.own().join("settings.json")
}

/// What a person configured in the modules of `folder`.
pub(super) fn read(folder: &Path, here: &Here, read_old: ReadOld<'_>) -> Result<Carried, SkillError> {
    let read_error = |reason| SkillError::ReadOld { folder: folder.to_owned(), reason };
    let found = read_old(folder).map_err(read_error)?;
    let builtin = Registry::builtin();
    let mut registry = Registry::builtin();
    registry.load_kept(&agents_folder(here))?;
    let empty = Map::new();
    let fields = |name: &str| found.get(name).and_then(Value::as_object).unwrap_or(&empty);
    let mut carried = Carried::default();
    for problem in found.get("problems").and_then(Value::as_array).into_iter().flatten() {
        let text = |field: &str| problem.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        carried.missed.push(NotCarried { name: text("name"), reason: text("reason") });
    }
    for (old_name, prompt) in fields("prompts") {
        let prompt = prompt.as_str().unwrap_or_default();
        match agent(old_name, prompt, (&builtin, &registry), &carried.agents) {
            Ok(name) => carried.agents.push((name, prompt.to_owned())),
            Err(reason) => carried.missed.push(NotCarried { name: old_name.clone(), reason }),
        }
    }
    let path = settings_path(here);
    match settings::read(&path) {
        Ok(there) => {
            let (options, not_carried) = settings::of_constants(fields("constants"), &there.unwrap_or_default());
            carried.settings = options;
            carried.missed.extend(not_carried);
        }
        Err(reason) => carried.missed.push(NotCarried { name: path.display().to_string(), reason }),
    }
    Ok(carried)
}

/// The name under which an old agent type can be kept, or why it cannot.
/// `builtin` has only the types of this release, `registry` those that a person keeps, too.
fn agent(
    old_name: &str,
    prompt: &str,
    (builtin, registry): (&Registry, &Registry),
    taken: &[(String, String)],
) -> Result<String, String> {
    let name = type_name(old_name).ok_or("its name has other letters than a to z, digits and underscores")?;
    if builtin.get(&name).is_ok() {
        return Err(
            "the prompt of a built-in type is this release's own; to keep yours beside it: parallel-agents agents add"
                .to_owned(),
        );
    }
    if let Ok(other) = registry.get(&name) {
        return Err(format!("agent type `{name}` exists already ({}) and stays as it is", other.origin));
    }
    if taken.iter().any(|(other, _)| *other == name) {
        return Err(format!("another one is called `{name}` as well"));
    }
    check_prompt(&name, &description(old_name), prompt).map_err(|error: AgentError| error.to_string())?;
    Ok(name)
}

/// The line that agent types which were carried over are listed with.
pub(super) fn description(name: &str) -> String {
    format!("Carried over from release 3 of the skill: {}", name.replace('_', " "))
}

impl NotCarried {
    pub(super) fn fields(&self) -> Value {
        json!({"name": self.name, "reason": self.reason})
    }
}
