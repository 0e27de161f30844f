//! A task as the caller wrote it, checked field by field. Knows no agent types and no other tasks: those checks are
//! made by [`agents`](crate::agents) and [`plan`](super::plan).

use std::time::Duration;

use serde_json::{Map, Value};
use thiserror::Error;

use super::hierarchy::{HierarchyError, ModelHierarchy, Tier};
use super::output::{NAME_CHARS, OutputFormat, SchemaError, abridged};
use super::usage::Price;

/// The longest timeout of an attempt: seven days. Node's timers end at 24.8 days.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// The longest prompt of a task, before what an attempt adds, in bytes: about a million tokens. From 5 MB on a message
/// stalls the gateway for all agents.
pub const PROMPT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The longest task id, in bytes.
pub const ID_BYTES_MAX: usize = 200;

/// What a caller asks one agent to do. Absent options take their agent type's or the run's defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskDraft {
    /// The caller's id, or none yet.
    pub task_id: Option<String>,
    /// The name of an agent type.
    pub agent_type: String,
    /// What to do.
    pub task_description: String,
    /// Data for the agent.
    pub input_data: Map<String, Value>,
    /// Time for one attempt, from its start.
    pub timeout: Option<Duration>,
    /// Time for all attempts together, from the first one's order.
    pub deadline: Option<Duration>,
    /// The form of the answer.
    pub output_format: OutputFormat,
    /// Higher numbers start first. Default 5.
    pub priority: i64,
    /// Ids of the tasks whose outputs this one builds on.
    pub dependencies: Vec<String>,
    /// The task's own models, in place of the run's.
    pub hierarchy: Option<ModelHierarchy>,
    /// The task's own schema, in place of its agent type's.
    pub output_schema: Option<Value>,
}

/// A task that cannot be used. Every message names the task, the field and the value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TaskError {
    /// A field's value is not what the field takes.
    #[error("task {task}: `{field}` is {value}, expected {expected}")]
    Field {
        /// The task's id in backticks, or its place in the list.
        task: String,
        /// The field.
        field: &'static str,
        /// The offending value.
        value: String,
        /// What the field takes.
        expected: String,
    },
    /// A required field is absent.
    #[error("task {task}: `{field}` is missing; {example}")]
    Missing {
        /// The task's id in backticks, or its place in the list.
        task: String,
        /// The field.
        field: &'static str,
        /// What it may look like.
        example: &'static str,
    },
    /// A field that no task has.
    #[error("task {task}: unknown field `{field}`{hint}; a task has {known}", known = FIELDS.join(", "))]
    Unknown {
        /// The task's id in backticks, or its place in the list.
        task: String,
        /// The field.
        field: String,
        /// The nearest known name, if one is near.
        hint: String,
    },
    /// Its models cannot be used.
    #[error("task {task}: {source}")]
    Models {
        /// The task's id in backticks, or its place in the list.
        task: String,
        /// What is wrong with them.
        source: HierarchyError,
    },
    /// Its schema is none.
    #[error("task {task}: {source}")]
    Schema {
        /// The task's id in backticks, or its place in the list.
        task: String,
        /// What is wrong with it.
        source: SchemaError,
    },
    /// Its prompt is longer than any model reads.
    #[error(
        "task {task}: its prompt has {bytes} bytes, expected at most {PROMPT_BYTES_MAX}; shorten `task_description` or \
         `input_data`, or pass a file's path instead"
    )]
    TooLarge {
        /// The task's id in backticks, or its place in the list.
        task: String,
        /// How long it is.
        bytes: usize,
    },
    /// Its agent type does not exist.
    #[error("task {task}: unknown agent type `{agent_type}`{hint}; `parallel-agents agents list` shows all")]
    AgentType {
        /// The task's id in backticks, or its place in the list.
        task: String,
        /// The name.
        agent_type: String,
        /// The nearest names, if any are near.
        hint: String,
    },
}

/// The fields of a task, in the order of the documentation.
pub const FIELDS: [&str; 12] = [
    "agent_type",
    "task_description",
    "input_data",
    "task_id",
    "timeout_seconds",
    "deadline_seconds",
    "output_format",
    "priority",
    "dependencies",
    "model",
    "models",
    "output_schema",
];

/// ` (did you mean ...?)` for the names nearest to `name`, or nothing.
pub fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    if name.len() > ID_BYTES_MAX {
        // It would take its length times that of all the others, and is no mistake in typing.
        return String::new();
    }
    let mut near: Vec<(f64, &str)> = known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&name.to_lowercase(), candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.8)
        .collect();
    near.sort_by(|one, other| other.0.total_cmp(&one.0));
    let names: Vec<String> = near.iter().take(3).map(|(_, candidate)| format!("`{candidate}`")).collect();
    if names.is_empty() { String::new() } else { format!(" (did you mean {}?)", names.join(" or ")) }
}

impl TaskDraft {
    /// Reads one task from the JSON object that a plan file or a Python dict holds. `index` is its place in the list,
    /// 0-based, which names it in errors as long as it has no id.
    pub fn from_json(index: usize, value: Value) -> Result<Self, TaskError> {
        let id = value.get("task_id").and_then(Value::as_str);
        let task = id.map_or_else(|| format!("number {}", index + 1), |id| format!("`{}`", abridged(id, 60)));
        let Value::Object(mut fields) = value else {
            return Err(TaskError::Field {
                task,
                field: "tasks",
                value: shown(&value),
                expected: "an object with `agent_type` and `task_description`".to_owned(),
            });
        };
        let mut reader = Reader { task, fields: &mut fields };
        let draft = reader.draft()?;
        if let Some(field) = fields.keys().next() {
            let task = id_or_number(&draft, index);
            return Err(TaskError::Unknown { task, hint: hint(field, FIELDS), field: abridged(field, NAME_CHARS) });
        }
        Ok(draft)
    }

    /// The draft of a task that is all in order, much quicker than [`from_json`](Self::from_json); `None` for any other,
    /// of which `from_json` says what is wrong.
    pub fn from_parts(parts: TaskParts<'_>) -> Option<Self> {
        let TaskParts { task_id, agent_type, task_description, timeout_seconds, output_format, priority, .. } = parts;
        if !is_id(task_id) || agent_type.trim().is_empty() || task_description.trim().is_empty() {
            return None;
        }
        Some(Self {
            task_id: Some(task_id.to_owned()),
            agent_type: agent_type.to_owned(),
            task_description: task_description.to_owned(),
            input_data: parts.input_data,
            timeout: Some(timeout(timeout_seconds)?),
            deadline: None,
            output_format: OutputFormat::from_name(output_format)?,
            priority,
            dependencies: parts.dependencies,
            hierarchy: None,
            output_schema: None,
        })
    }

    /// How errors name this task.
    pub fn label(&self, index: usize) -> String {
        id_or_number(self, index)
    }
}

/// The fields of a task without models or a schema of its own, read already.
#[derive(Debug, Clone)]
pub struct TaskParts<'a> {
    /// `task_id`.
    pub task_id: &'a str,
    /// `agent_type`.
    pub agent_type: &'a str,
    /// `task_description`.
    pub task_description: &'a str,
    /// `input_data`.
    pub input_data: Map<String, Value>,
    /// `timeout_seconds`.
    pub timeout_seconds: f64,
    /// `output_format`.
    pub output_format: &'a str,
    /// `priority`.
    pub priority: i64,
    /// `dependencies`.
    pub dependencies: Vec<String>,
}

fn is_id(id: &str) -> bool {
    !id.trim().is_empty() && id.len() <= ID_BYTES_MAX && !id.chars().any(char::is_control)
}

fn timeout(seconds: f64) -> Option<Duration> {
    let timeout = if seconds > 0.0 { Duration::try_from_secs_f64(seconds).ok()? } else { return None };
    (!timeout.is_zero() && timeout <= TIMEOUT_MAX).then_some(timeout)
}

fn id_or_number(draft: &TaskDraft, index: usize) -> String {
    draft.task_id.as_ref().map_or_else(|| format!("number {}", index + 1), |id| format!("`{id}`"))
}

/// A value as an error shows it: in backticks and never long.
fn shown(value: &Value) -> String {
    format!("`{}`", abridged(&value.to_string(), 80))
}

struct Reader<'fields> {
    task: String,
    fields: &'fields mut Map<String, Value>,
}

impl Reader<'_> {
    fn draft(&mut self) -> Result<TaskDraft, TaskError> {
        Ok(TaskDraft {
            task_id: self.task_id()?,
            agent_type: self.text("agent_type", "for example \"code_reviewer\"")?,
            task_description: self.text("task_description", "say what the agent is to do")?,
            input_data: match self.take("input_data") {
                None => Map::new(),
                Some(Value::Object(data)) => data,
                Some(other) => return Err(self.error("input_data", &other, "an object")),
            },
            timeout: self.timeout("timeout_seconds")?,
            deadline: self.timeout("deadline_seconds")?,
            output_format: self.output_format()?,
            priority: match self.take("priority") {
                None => 5,
                Some(value) => value
                    .as_i64()
                    .ok_or_else(|| self.error("priority", &value, "a whole number; higher starts first"))?,
            },
            dependencies: self.dependencies()?,
            hierarchy: self.hierarchy()?,
            output_schema: match self.take("output_schema") {
                None => None,
                Some(schema @ Value::Object(_)) => Some(schema),
                Some(other) => return Err(self.error("output_schema", &other, "a JSON Schema object")),
            },
        })
    }

    /// Removes a field. `null` means absent, as `None` does in Python.
    fn take(&mut self, field: &str) -> Option<Value> {
        self.fields.shift_remove(field).filter(|value| !value.is_null())
    }

    fn error(&self, field: &'static str, value: &Value, expected: impl Into<String>) -> TaskError {
        TaskError::Field { task: self.task.clone(), field, value: shown(value), expected: expected.into() }
    }

    fn text(&mut self, field: &'static str, example: &'static str) -> Result<String, TaskError> {
        match self.take(field) {
            None => Err(TaskError::Missing { task: self.task.clone(), field, example }),
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(text),
            Some(other) => Err(self.error(field, &other, format!("a text that is not empty, {example}"))),
        }
    }

    fn task_id(&mut self) -> Result<Option<String>, TaskError> {
        match self.take("task_id") {
            None => Ok(None),
            Some(Value::String(id)) if is_id(&id) => Ok(Some(id)),
            Some(other) => {
                let expected = format!("a name of 1 to {ID_BYTES_MAX} bytes without control characters");
                Err(self.error("task_id", &other, expected))
            }
        }
    }

    fn timeout(&mut self, field: &'static str) -> Result<Option<Duration>, TaskError> {
        let Some(value) = self.take(field) else { return Ok(None) };
        value.as_f64().and_then(timeout).map(Some).ok_or_else(|| {
            let expected = format!("a number of seconds above 0, at most {}", TIMEOUT_MAX.as_secs());
            self.error(field, &value, expected)
        })
    }

    fn output_format(&mut self) -> Result<OutputFormat, TaskError> {
        let Some(value) = self.take("output_format") else { return Ok(OutputFormat::default()) };
        value.as_str().and_then(OutputFormat::from_name).ok_or_else(|| {
            let names = OutputFormat::ALL.map(OutputFormat::name).join(", ");
            self.error("output_format", &value, format!("one of {names}"))
        })
    }

    fn dependencies(&mut self) -> Result<Vec<String>, TaskError> {
        let Some(value) = self.take("dependencies") else { return Ok(Vec::new()) };
        value
            .as_array()
            .and_then(|ids| ids.iter().map(|id| id.as_str().map(str::to_owned)).collect())
            .ok_or_else(|| self.error("dependencies", &value, "a list of task ids"))
    }

    fn hierarchy(&mut self) -> Result<Option<ModelHierarchy>, TaskError> {
        match hierarchy_from_json(self.take("model"), self.take("models")) {
            Ok(hierarchy) => Ok(hierarchy),
            Err(ModelsFault::Field { field, value, expected }) => Err(self.error(field, &value, expected)),
            Err(ModelsFault::Hierarchy(source)) => Err(TaskError::Models { task: self.task.clone(), source }),
        }
    }
}

/// What is wrong with the options `model` and `models`.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelsFault {
    /// A value that one of them does not take.
    Field {
        /// Which.
        field: &'static str,
        /// The value.
        value: Value,
        /// What it takes.
        expected: &'static str,
    },
    /// They make no hierarchy.
    Hierarchy(HierarchyError),
}

/// The hierarchy that the options `model` and `models` name; `None` without either.
pub fn hierarchy_from_json(model: Option<Value>, models: Option<Value>) -> Result<Option<ModelHierarchy>, ModelsFault> {
    let fault = |field, value, expected| Err(ModelsFault::Field { field, value, expected });
    let hierarchy = match (model, models) {
        (None, None) => return Ok(None),
        (Some(model), Some(_)) => {
            return fault("model", model, "to stand alone: give either `model` or `models`");
        }
        (Some(Value::String(name)), None) => ModelHierarchy::of_names([name.as_str()]),
        (Some(other), None) => return fault("model", other, "a model's name"),
        (None, Some(models)) => match tiers_from_json(&models) {
            Some(tiers) => ModelHierarchy::new(tiers),
            None => return fault("models", models, MODELS_EXPECTED),
        },
    };
    hierarchy.map(Some).map_err(ModelsFault::Hierarchy)
}

/// What a `models` option takes, in words.
const MODELS_EXPECTED: &str = "a list of model names, or of objects {\"model\": ..., \"price\": {\"input\": ..., \
                                   \"output\": ...}} with US dollars per million tokens";

/// Tiers from a JSON list of names or of objects with prices; `None` if it is neither.
fn tiers_from_json(value: &Value) -> Option<Vec<Tier>> {
    value.as_array()?.iter().map(tier_from_json).collect()
}

fn tier_from_json(value: &Value) -> Option<Tier> {
    if let Some(name) = value.as_str() {
        return Some(Tier { model: name.into(), price: None });
    }
    let fields = value.as_object()?;
    if fields.keys().any(|field| field != "model" && field != "price") {
        return None;
    }
    let price = match fields.get("price") {
        None | Some(Value::Null) => None,
        Some(price) => Some(price_from_json(price.as_object()?)?),
    };
    Some(Tier { model: fields.get("model")?.as_str()?.into(), price })
}

fn price_from_json(fields: &Map<String, Value>) -> Option<Price> {
    if fields.keys().any(|field| !matches!(field.as_str(), "input" | "output" | "cache_read" | "cache_write")) {
        return None;
    }
    let dollars = |field: &str| fields.get(field).map(Value::as_f64);
    let input = dollars("input")??;
    let output = dollars("output")??;
    let cache = |field: &str| dollars(field).map_or(Some(input), |dollars| dollars);
    Some(Price { input, output, cache_read: cache("cache_read")?, cache_write: cache("cache_write")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<TaskDraft, String> {
        TaskDraft::from_json(2, value).map_err(|error| error.to_string())
    }

    #[test]
    fn the_shortest_task_takes_every_default() {
        let draft = read(json!({"agent_type": "code_reviewer", "task_description": "look"})).expect("a task");
        assert_eq!(draft.priority, 5);
        assert_eq!(draft.output_format, OutputFormat::Json);
        assert_eq!((draft.task_id, draft.timeout, draft.hierarchy), (None, None, None));
    }

    #[test]
    fn null_means_absent() {
        let nulls: Map<String, Value> = FIELDS[2..].iter().map(|field| ((*field).to_owned(), Value::Null)).collect();
        let mut task = Value::Object(nulls);
        task["agent_type"] = json!("x");
        task["task_description"] = json!("y");
        assert!(read(task).is_ok());
    }

    #[test]
    fn tiers_come_as_names_or_with_prices() {
        let task = json!({"agent_type": "x", "task_description": "y",
            "models": ["a/b", {"model": "c/d", "price": {"input": 1, "output": 5, "cache_read": 0.1}}]});
        let hierarchy = read(task).expect("a task").hierarchy.expect("models");
        let price = hierarchy.tiers()[1].price.expect("a price");
        assert_eq!((price.output, price.cache_read, price.cache_write), (5.0, 0.1, 1.0));
    }

    #[test]
    fn every_bad_field_is_named_with_its_value() {
        let cases = [
            (json!(7), "task number 3: `tasks` is `7`, expected an object with"),
            (json!({"task_description": "y"}), "task number 3: `agent_type` is missing"),
            (json!({"agent_type": "x", "task_description": " "}), "`task_description` is `\" \"`, expected a text"),
            (json!({"task_id": "t", "timeout_seconds": -1}), "task `t`: `timeout_seconds` is `-1`, expected a number"),
            (json!({"timeout_seconds": 1e9}), "at most 604800"),
            (json!({"timeout_seconds": 1e-12}), "expected a number of seconds above 0"),
            (json!({"task_id": "a\nb"}), "`task_id` is `\"a\\nb\"`, expected a name of 1 to 200 bytes"),
            (
                json!({"output_format": "xml"}),
                "`output_format` is `\"xml\"`, expected one of json, markdown, code, text",
            ),
            (json!({"priority": "high"}), "`priority` is `\"high\"`, expected a whole number"),
            (json!({"dependencies": "a"}), "`dependencies` is `\"a\"`, expected a list of task ids"),
            (json!({"input_data": []}), "`input_data` is `[]`, expected an object"),
            (json!({"model": "a/b", "models": ["c/d"]}), "give either `model` or `models`"),
            (json!({"models": []}), "models: the list is empty"),
            (json!({"models": [{"model": "a/b", "prise": {}}]}), "expected a list of model names"),
            (json!({"output_schema": "x"}), "`output_schema` is `\"x\"`, expected a JSON Schema object"),
            (json!({"depandencies": []}), "unknown field `depandencies` (did you mean `dependencies`?)"),
            (json!({"a\nb": []}), "unknown field `a\\nb`;"),
        ];
        for (fields, expected) in cases {
            let mut task = json!({"agent_type": "x", "task_description": "y"});
            match fields {
                Value::Object(fields)
                    if fields.contains_key("task_description") && !fields.contains_key("agent_type") =>
                {
                    task = Value::Object(fields);
                }
                Value::Object(fields) => {
                    for (field, value) in fields {
                        task[field] = value;
                    }
                }
                other => task = other,
            }
            let message = read(task).expect_err(expected);
            assert!(message.contains(expected), "{message:?} should contain {expected:?}");
        }
    }
}
