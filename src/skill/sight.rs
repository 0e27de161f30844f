//! Whether the agent sees a folder: what the gateway says of the skills that it knows.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::NAME;
use crate::runtime::gateway::{GatewayConfig, ask};

/// How long the gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the agent makes of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// It sees the folder.
    Seen,
    /// It does not, for this reason.
    Unseen(String),
    /// Nobody could be asked.
    NotChecked,
}

/// What the gateway knows of skills, if one answers at all.
pub fn ask_gateway() -> Option<Value> {
    let endpoint = GatewayConfig::default().resolve().ok()?;
    if !endpoint.probe() {
        return None;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let asked = async { timeout(PATIENCE, ask(&endpoint, "skills.status", &json!({}))).await };
    runtime.block_on(asked).ok()?.ok().filter(|status| status.get("skills").is_some_and(Value::is_array))
}

impl Sight {
    /// What `skills.status` says of the skill in `folder`.
    pub(super) fn of(status: Option<&Value>, folder: &Path) -> Self {
        let Some(status) = status else { return Self::NotChecked };
        let skills = status.get("skills").and_then(Value::as_array);
        let row = skills.into_iter().flatten().find(|row| row.get("name").and_then(Value::as_str) == Some(NAME));
        let Some(row) = row else {
            return Self::Unseen(
                "the gateway does not know it; a skill is read from its workspace and state folder".to_owned(),
            );
        };
        let place = row.get("baseDir").and_then(Value::as_str).unwrap_or_default();
        let canonical = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if canonical(Path::new(place)) != canonical(folder) {
            return Self::Unseen(format!(
                "the folder of the same name in `{place}` comes before it; remove one of the two"
            ));
        }
        let is = |field: &str| row.get(field).and_then(Value::as_bool) == Some(true);
        if is("disabled") {
            return Self::Unseen(format!(
                "it is disabled; enable it: openclaw config set skills.entries.{NAME}.enabled true"
            ));
        }
        if is("blockedByAllowlist") || is("blockedByAgentFilter") {
            return Self::Unseen(format!(
                "a list of allowed skills in OpenClaw's configuration leaves it out; add `{NAME}` to it"
            ));
        }
        if !is("eligible") {
            let missing = row.get("missing").map(ToString::to_string).unwrap_or_default();
            return Self::Unseen(format!("something that it requires is missing: {missing}"));
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
        Sight::of(Some(&json!({"skills": [{"name": "other"}, row]})), Path::new("/w/skills/parallel-agents"))
    }

    #[test]
    fn what_keeps_an_agent_from_seeing_it_is_named() {
        assert_eq!(of(&json!({})), Sight::Seen);
        let reasons = [
            (json!({"disabled": true}), "openclaw config set"),
            (json!({"blockedByAllowlist": true}), "allowed skills"),
            (json!({"blockedByAgentFilter": true}), "allowed skills"),
            (json!({"eligible": false, "missing": {"bins": ["python3"]}}), "python3"),
            (json!({"baseDir": "/s/skills/parallel-agents"}), "`/s/skills/parallel-agents` comes before it"),
        ];
        for (fields, part) in reasons {
            let Sight::Unseen(reason) = of(&fields) else { panic!("seen in spite of {part}") };
            assert!(reason.contains(part), "{reason}");
        }
        assert_eq!(Sight::of(None, Path::new("/w")), Sight::NotChecked);
        assert!(matches!(Sight::of(Some(&json!({"skills": []})), Path::new("/w")), Sight::Unseen(_)));
    }
}
