//! What an agent answers in a rehearsal: the example of its contract, each text marked as rehearsed.

use serde_json::{Value, json};

use crate::agents::{registry, sample};
use crate::core::output::{OutputFormat, Schema};
use crate::core::plan::Task;

/// What every rehearsed text begins with.
pub(super) const MARK: &str = "[rehearsal, no AI]";

/// An answer to `task`. Where its texts must be as they are, none is marked.
pub(super) fn example(task: &Task, with: &str) -> Value {
    match task.format {
        OutputFormat::Json => {
            let plain = plain(task);
            let mut marked = plain.clone();
            mark(&mut marked, with);
            if fits(task, &marked) { marked } else { plain }
        }
        OutputFormat::Code => format!("```\n// {with}\n```").into(),
        OutputFormat::Markdown | OutputFormat::Text => {
            format!("{with} The answer of {} would stand here.", task.agent_type).into()
        }
    }
}

/// Whether the task's contract takes the value.
pub(super) fn fits(task: &Task, value: &Value) -> bool {
    task.schema.as_ref().is_none_or(|schema| schema.complaints(value).is_empty())
}

/// The example of the agent type, if it fits what the task asks for; else the smallest value that may.
fn plain(task: &Task) -> Value {
    let wanted = task.schema.as_ref().map(Schema::source);
    let agent_type = registry().get(&task.agent_type).ok();
    let example = agent_type
        .as_ref()
        .filter(|agent_type| agent_type.schema_source().map(shape) == wanted.map(shape))
        .and_then(|agent_type| agent_type.example())
        .filter(|example| fits(task, example));
    example.unwrap_or_else(|| wanted.map_or_else(|| json!({}), sample))
}

/// The fields that a schema promises.
fn shape(schema: &Value) -> Vec<&str> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

/// Puts `with` before every text but those that name and describe an agent type.
pub(super) fn mark(value: &mut Value, with: &str) {
    match value {
        Value::String(text) => *text = format!("{with} {text}"),
        Value::Array(items) => items.iter_mut().for_each(|item| mark(item, with)),
        Value::Object(fields) => {
            // An agent type can be made of a rehearsed design, too.
            let is_read = |name: &str| name == "agent_name" || name.ends_with("_schema");
            fields.iter_mut().filter(|(name, _)| !is_read(name)).for_each(|(_, field)| mark(field, with));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
