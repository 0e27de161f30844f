//! What a call is about, read from its JSON.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::agents::{PLAIN, Registry};
use crate::core::hierarchy::ModelHierarchy;
use crate::core::prompt::Prompt;
use crate::core::settings::Cleanup;
use crate::core::task::{TIMEOUT_MAX, TaskDraft};
use crate::workflow::options::Reader;
use crate::workflow::{InputError, plan};

/// Rows of one list where the caller names no number, as the gateway's own tool has it.
const ROWS_DEFAULT: usize = 100;
/// How errors name the task of a spawn.
const TASK: &str = "sessions_spawn";

/// An agent to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildOrder {
    /// All that it is told.
    pub prompt: String,
    /// The model; `None` for the gateway's default.
    pub model: Option<Arc<str>>,
    /// Its time; zero for the gateway's default.
    pub timeout: Duration,
    /// What happens to its session.
    pub cleanup: Cleanup,
    /// The caller's label. The gateway is told one of ours, by which a lost spawn is found again.
    pub label: Option<String>,
    /// The caller's own id for it. The gateway is not told: it forbids ids that are not configured.
    pub agent_id: Option<String>,
}

impl ChildOrder {
    /// Reads `task`, and optionally `agent_type`, `model`, `timeout` in seconds, `cleanup`, `label`, `agent_id`.
    pub fn from_json(fields: Map<String, Value>, registry: &Registry) -> Result<Self, InputError> {
        let mut reader = Reader { prefix: "", fields };
        let Some(task) = reader.text("task")? else {
            return Err(reader.error("task", &Value::Null, "what the agent is to do"));
        };
        let agent_type = reader.text("agent_type")?.unwrap_or_else(|| PLAIN.to_owned());
        let model = reader.text("model")?;
        let expected = format!("a number of seconds from 0 to {}", TIMEOUT_MAX.as_secs());
        let timeout = match reader.number("timeout", &expected)? {
            None => Duration::ZERO,
            Some(seconds) => match Duration::try_from_secs_f64(seconds) {
                Ok(timeout) if timeout <= TIMEOUT_MAX => timeout,
                Ok(_) | Err(_) => return Err(reader.error("timeout", &json!(seconds), expected)),
            },
        };
        let cleanup = reader.choice("cleanup", &[("keep", Cleanup::Keep), ("delete", Cleanup::Delete)])?;
        let (label, agent_id) = (reader.text("label")?, reader.text("agent_id")?);
        reader.done(&["task", "agent_type", "model", "timeout", "cleanup", "label", "agent_id"])?;
        let prompt = prompt(&task, &agent_type, registry)?;
        Ok(Self { prompt, model: model.map(Into::into), timeout, cleanup, label, agent_id })
    }
}

/// What an agent of `agent_type` is told; without a type the task itself, as it stands.
fn prompt(task: &str, agent_type: &str, registry: &Registry) -> Result<String, InputError> {
    let format = if agent_type == PLAIN { "text" } else { "json" };
    let draft = json!({
        "task_id": TASK, "agent_type": agent_type, "task_description": task, "output_format": format,
    });
    let plan = plan(vec![TaskDraft::from_json(0, draft)?], registry, ModelHierarchy::default())?;
    Ok(Prompt::new(&plan.tasks()[0], &[], &[], None).text())
}

/// Which sessions are asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ChildQuery {
    /// Rows at the most.
    pub limit: usize,
    /// Rows to pass over.
    pub offset: usize,
    /// Only sessions of this label.
    pub label: Option<String>,
    /// Only the program's own.
    pub own: bool,
    /// What else the gateway's tool is told.
    pub more: Map<String, Value>,
}

impl ChildQuery {
    /// Reads `limit`, `offset`, `label`, `own` and `more`.
    pub fn from_json(fields: Map<String, Value>) -> Result<Self, InputError> {
        let mut reader = Reader { prefix: "", fields };
        let count = |value: Option<u64>| value.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        let limit = count(reader.whole("limit", 1, 100_000)?).unwrap_or(ROWS_DEFAULT);
        let offset = count(reader.whole("offset", 0, u64::from(u32::MAX))?).unwrap_or(0);
        let label = reader.text("label")?;
        let own = reader.choice("own", &[("false", false), ("true", true)])?;
        let more = match reader.take("more") {
            Some(Value::Object(more)) => more,
            Some(_) | None => Map::new(),
        };
        reader.done(&["limit", "offset", "label", "own", "more"])?;
        Ok(Self { limit, offset, label, own, more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &Value) -> Result<ChildOrder, String> {
        let fields = fields.as_object().cloned().expect("an object");
        ChildOrder::from_json(fields, &Registry::builtin()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_bare_task_is_told_as_it_stands_and_leaves_the_rest_to_the_gateway() {
        let order = read(&json!({"task": " Count to three. "})).expect("an order");
        assert_eq!(order.prompt, " Count to three. ");
        assert_eq!((order.model, order.timeout, order.cleanup), (None, Duration::ZERO, Cleanup::Keep));
    }

    #[test]
    fn an_agent_type_stands_around_its_task() {
        let order = read(&json!({"task": "Plan it.", "agent_type": "agent_orchestrator", "timeout": 600}));
        let order = order.expect("an order");
        let instructions = Registry::builtin().get("agent_orchestrator").expect("built in").instructions.clone();
        assert!(order.prompt.starts_with(&*instructions));
        assert!(order.prompt.contains("## Task\nPlan it."));
        assert!(order.prompt.contains("## Output"));
        assert_eq!(order.timeout, Duration::from_secs(600));
    }

    #[test]
    fn every_bad_argument_is_named_with_its_value() {
        for (fields, expected) in [
            (json!({}), "`task` is `null`, expected what the agent is to do"),
            (json!({"task": "  "}), "`task` is `\"  \"`, expected a text"),
            (json!({"task": 5}), "`task` is `5`, expected a text"),
            (json!({"task": "t", "timeout": -1}), "`timeout` is `-1.0`, expected a number of seconds from 0 to 604800"),
            (json!({"task": "t", "timeout": "soon"}), "`timeout` is `\"soon\"`"),
            (json!({"task": "t", "cleanup": "burn"}), "`cleanup` is `\"burn\"`, expected one of keep, delete"),
            (json!({"task": "t", "agent_type": "agent_orchestrato"}), "(did you mean `agent_orchestrator`"),
        ] {
            let message = read(&fields).expect_err(expected);
            assert!(message.contains(expected), "{message:?} should contain {expected:?}");
        }
    }

    #[test]
    fn a_list_has_a_hundred_rows_unless_told_otherwise() {
        let query = ChildQuery::from_json(Map::new()).expect("a query");
        assert_eq!((query.limit, query.offset, query.own), (100, 0, false));
        let Value::Object(fields) = json!({"limit": 0}) else { panic!("an object") };
        let message = ChildQuery::from_json(fields).expect_err("no rows").to_string();
        assert!(message.starts_with("`limit` is `0`, expected a whole number from 1"), "{message}");
    }
}
