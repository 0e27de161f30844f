//! Whether the agent sees a folder: what the gateway says of the skills that it knows.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::NAME;
use super::site::canonical;
use crate::runtime::gateway::GatewayConfig;
use crate::runtime::gateway::interview::interview;

/// How long the gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the agent makes of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// It sees the folder.
    Seen,
    /// It does not, for this reason.
    Unseen {
        /// In words.
        why: String,
        /// What to do about it.
        fix: String,
    },
    /// Nobody could be asked.
    NotChecked,
}

/// What the gateway answers to `skills.status`, if one answers at all.
pub fn ask_gateway() -> Option<Value> {
    let endpoint = GatewayConfig::default().resolve().ok()?;
    if !endpoint.probe() {
        return None;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let interview = runtime.block_on(interview(&endpoint, &[("skills.status", json!({}))], PATIENCE)).ok()?;
    interview.answers.into_iter().next()?.ok()
}

/// What it says of our skill.
pub(super) fn row(status: Option<&Value>) -> Option<&Value> {
    let rows = status?.get("skills")?.as_array()?;
    rows.iter().find(|row| row.get("name").and_then(Value::as_str) == Some(NAME))
}

impl Sight {
    /// What `skills.status` says of the skill in `folder`, which `flags` name.
    pub(super) fn of(status: Option<&Value>, folder: &Path, flags: &str) -> Self {
        let unseen = |why: &str, fix: &str| Self::Unseen { why: why.to_owned(), fix: fix.to_owned() };
        if status.and_then(|status| status.get("skills")?.as_array()).is_none() {
            return Self::NotChecked;
        }
        let Some(row) = row(status) else {
            return unseen(
                "the gateway does not know it, and reads skills from its workspace and state folder",
                "parallel-agents skill install",
            );
        };
        let place = row.get("baseDir").and_then(Value::as_str).unwrap_or_default();
        if canonical(Path::new(place)) != canonical(folder) {
            return unseen(
                &format!("the folder of the same name in `{place}` comes before it"),
                &format!("remove one of the two: parallel-agents skill uninstall{flags}"),
            );
        }
        let is = |field: &str| row.get(field).and_then(Value::as_bool) == Some(true);
        if is("disabled") {
            return unseen("it is disabled", &format!("openclaw config set skills.entries.{NAME}.enabled true"));
        }
        if is("blockedByAllowlist") || is("blockedByAgentFilter") {
            return unseen(
                "a list of allowed skills in OpenClaw's configuration leaves it out",
                &format!(
                    "add \"{NAME}\" to `agents.defaults.skills`, or the agent's own `skills`, with openclaw config set"
                ),
            );
        }
        let kinds = ["bins", "anyBins", "env", "config", "os"]
            .iter()
            .filter_map(|kind| row.get("missing")?.get(kind)?.as_array());
        let missing: Vec<&str> = kinds.flatten().filter_map(Value::as_str).collect();
        if !missing.is_empty() {
            return unseen(
                &format!("the gateway finds no {}", missing.join(", ")),
                "put it on the gateway's PATH, then openclaw gateway restart",
            );
        }
        if !is("eligible") || row.get("modelVisible").and_then(Value::as_bool) == Some(false) {
            return unseen("the gateway keeps it from agents", &format!("openclaw skills info {NAME}"));
        }
        Self::Seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &Value) -> Sight {
        let mut row = json!({"name": NAME, "baseDir": "/w/skills/parallel-agents", "eligible": true});
        for (field, value) in fields.as_object().expect("fields") {
            row[field] = value.clone();
        }
        Sight::of(
            Some(&json!({"skills": [{"name": "other"}, row]})),
            Path::new("/w/skills/parallel-agents"),
            " --global",
        )
    }

    #[test]
    fn what_keeps_an_agent_from_seeing_it_is_named() {
        assert_eq!(of(&json!({})), Sight::Seen);
        let reasons = [
            (json!({"disabled": true}), "openclaw config set"),
            (json!({"blockedByAllowlist": true}), "allowed skills"),
            (json!({"blockedByAgentFilter": true}), "allowed skills"),
            (json!({"blockedByAllowlist": true}), "agents.defaults.skills"),
            (json!({"eligible": false, "missing": {"bins": ["python3"]}}), "the gateway finds no python3"),
            (json!({"eligible": false}), "openclaw skills info parallel-agents"),
            (json!({"modelVisible": false}), "openclaw skills info parallel-agents"),
            (json!({"baseDir": "/s/skills/parallel-agents"}), "`/s/skills/parallel-agents` comes before it"),
            (json!({"baseDir": "/s/skills/parallel-agents"}), "parallel-agents skill uninstall --global"),
        ];
        for (fields, part) in reasons {
            let Sight::Unseen { why, fix } = of(&fields) else { panic!("seen in spite of {part}") };
            assert!(why.contains(part) || fix.contains(part), "{why}; {fix}");
        }
        assert_eq!(Sight::of(None, Path::new("/w"), ""), Sight::NotChecked);
        assert!(matches!(Sight::of(Some(&json!({"skills": []})), Path::new("/w"), ""), Sight::Unseen { .. }));
    }
}
