//! The skill: where it is installed, whether it is whole and of this release, and whether agents see it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use super::Line;
use super::files::Files;
use super::gateway::Seen;
use crate::core::check::Check;

/// The skill's name, and that of its folder.
pub const NAME: &str = "parallel-agents";
/// The file that says what was installed.
pub const RECORD: &str = "parallel-agents.json";
/// How many files a line names.
const NAMES_SHOWN: usize = 3;

/// Where a folder of the skill stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the workspace of an agent.
    Workspace,
    /// In the state folder, for all agents.
    Global,
    /// Somewhere else, by what the gateway says.
    Other,
}

/// The record that stands in a folder of the skill.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Record {
    /// The record's format.
    pub format: u32,
    /// The release that installed it.
    pub version: String,
    /// The files' checksums, in hexadecimal SHA-256.
    pub files: BTreeMap<String, String>,
}

/// A folder of the skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Where.
    pub path: PathBuf,
    /// For whom.
    pub place: Place,
    /// Its record, if it has one that can be read.
    pub record: Option<Record>,
    /// Files that the record names and that are gone.
    pub missing: Vec<String>,
    /// Files that are not as they were installed.
    pub modified: Vec<String>,
}

/// `skill`: one line for all of it.
pub fn skill(files: &Files, seen: &Seen) -> Line {
    const CHECK: Check = Check::Skill;
    if files.skills.is_empty() {
        let found = "not installed: agents do not know how to run teams";
        return Line::yellow(CHECK, found, "parallel-agents skill install");
    }
    let mut findings: Vec<Line> = files.skills.iter().map(folder).collect();
    if let [first, second, ..] = &files.skills[..] {
        let found = format!("{} hides {}", first.path.display(), second.path.display());
        findings.push(if version(first) == version(second) {
            Line::green(CHECK, found)
        } else {
            Line::yellow(CHECK, found, format!("parallel-agents skill uninstall{}", flag(first)))
        });
    }
    findings.push(match seen.said().map(|said| &said.skills) {
        Ok(Ok(status)) => visible(status),
        Ok(Err(_)) | Err(_) => Line::green(CHECK, "whether agents see it, only the gateway can tell"),
    });
    Line::of_all(CHECK, findings)
}

fn version(installed: &Installed) -> Option<&str> {
    installed.record.as_ref().map(|record| record.version.as_str())
}

fn flag(installed: &Installed) -> String {
    match installed.place {
        Place::Workspace => " --workspace".to_owned(),
        Place::Global => " --global".to_owned(),
        Place::Other => {
            format!(" --to {}", super::shell(installed.path.parent().unwrap_or(&installed.path)))
        }
    }
}

fn folder(installed: &Installed) -> Line {
    const CHECK: Check = Check::Skill;
    let (path, ours) = (installed.path.display(), env!("CARGO_PKG_VERSION"));
    let upgrade = format!("parallel-agents skill upgrade{}", flag(installed));
    let Some(record) = &installed.record else {
        let found = format!("{path} has no `{RECORD}`: another release's, or not installed by this command");
        return Line::yellow(CHECK, found, upgrade);
    };
    let named = |names: &[String]| {
        let shown = names.iter().take(NAMES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        match names.len().saturating_sub(NAMES_SHOWN) {
            0 => shown,
            more => format!("{shown} and {more} more"),
        }
    };
    let version = &record.version;
    if !installed.missing.is_empty() {
        let found = format!("{path} ({version}) lacks {}", named(&installed.missing));
        return Line::red(CHECK, found, upgrade);
    }
    if version != ours {
        return Line::yellow(CHECK, format!("{path} is of {version}, and this is {ours}"), upgrade);
    }
    if !installed.modified.is_empty() {
        let found = format!("{path} ({version}) was changed: {}", named(&installed.modified));
        return Line::yellow(CHECK, found, format!("parallel-agents skill verify{}", flag(installed)));
    }
    Line::green(CHECK, format!("{path} is {version}, complete"))
}

/// Whether agents see it, by the gateway's `skills.status`.
fn visible(status: &Value) -> Line {
    const CHECK: Check = Check::Skill;
    let rows = status.pointer("/skills").and_then(Value::as_array);
    let Some(row) = rows.into_iter().flatten().find(|row| row["name"] == NAME) else {
        let found = "the gateway does not list it";
        return Line::yellow(CHECK, found, "openclaw skills list; a folder elsewhere: parallel-agents skill install");
    };
    let is = |name: &str| row[name] == true;
    if is("disabled") {
        let fix = "openclaw config set skills.entries.parallel-agents.enabled true";
        return Line::yellow(CHECK, "it is disabled in the gateway's configuration", fix);
    }
    if is("blockedByAllowlist") || is("blockedByAgentFilter") {
        let fix = "add \"parallel-agents\" to `agents.defaults.skills` (or the agent's own `skills`) with openclaw config set";
        return Line::yellow(CHECK, "the agent's list of skills leaves it out", fix);
    }
    let lacking: Vec<&str> = ["bins", "anyBins", "env", "config", "os"]
        .iter()
        .filter_map(|kind| row["missing"][*kind].as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !lacking.is_empty() {
        let found = format!("the gateway finds no {}", lacking.join(", "));
        return Line::yellow(CHECK, found, "put it on the gateway's PATH, then openclaw gateway restart");
    }
    if is("eligible") && row["modelVisible"] != false {
        Line::green(CHECK, "agents see it")
    } else {
        Line::yellow(CHECK, "agents do not see it", "openclaw skills info parallel-agents")
    }
}

#[cfg(test)]
#[path = "skill_tests.rs"]
mod tests;
