//! From JSON to what is to be refined: agents of which each is one, or a task and its reviewer.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use thiserror::Error;

use super::goal::{DesignWork, Goal, SCORE, TaskWork, Work};
use super::judge::{Bounds, SCORE_MAX};
use crate::core::output::{NAME_CHARS, abridged};
use crate::core::task::{ID_BYTES_MAX, TaskDraft, hint};
use crate::workflow::InputError;

/// The score that is good enough, where none is named.
pub const TARGET: f64 = 8.5;
/// How often a version is improved, where nothing is said.
pub const ITERATIONS_MAX: usize = 3;
/// How often a version may be improved at the most.
const ITERATIONS_BOUND: u64 = 100;
/// How long a name may be, in bytes: what follows it in the ids of tasks needs room.
const NAME_BYTES_MAX: usize = ID_BYTES_MAX - 20;
/// What a reviewer of a task is told, if nobody says.
const REVIEW: &str = "Review what another agent made of the task `task`: it stands in the input as `output`. Judge it as it \
                      stands, by what the task asks for, and name every objection with its place and the change it needs.";

const SPEC_FIELDS: [&str; 6] = ["agents", "task", "reviewer", "score", "target", "iterations_max"];
const AGENT_FIELDS: [&str; 7] = ["name", "current_score", "target", "design", "purpose", "domain", "capabilities"];

/// Something that cannot be refined. Nothing has been spent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GoalError {
    /// A field's value is not what it takes.
    #[error("{place}`{field}` is `{value}`, expected {expected}")]
    Field {
        /// Where it stands, or nothing.
        place: String,
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// What it takes.
        expected: String,
    },
    /// A field that does not exist.
    #[error("{place}unknown field `{field}`{hint}; there are {known}")]
    Unknown {
        /// Where it stands, or nothing.
        place: String,
        /// The field.
        field: String,
        /// The nearest known name, if one is near.
        hint: String,
        /// What there is.
        known: String,
    },
}

/// What a strategy of the kind `refine` refines.
pub fn goals(spec: Map<String, Value>) -> Result<Vec<Goal>, InputError> {
    let mut fields = Fields { place: String::new(), fields: spec };
    let target = fields.score("target")?.unwrap_or(TARGET);
    let improvements_max = fields.iterations_max()?;
    let bounds = Bounds { target, improvements_max };
    let goals = match (fields.take("task"), fields.take("agents")) {
        (Some(task), None) => vec![of_task(task, &mut fields, bounds)?],
        (None, Some(Value::Array(entries))) => of_agents(entries, bounds)?,
        (Some(_), Some(other)) => {
            return Err(fields.error("agents", &other, "nothing beside `task`").into());
        }
        (None, other) => {
            let given = other.unwrap_or_default();
            return Err(fields.error("agents", &given, "a list of objects with `name`").into());
        }
    };
    fields.done(&SPEC_FIELDS)?;
    Ok(goals)
}

fn of_agents(entries: Vec<Value>, bounds: Bounds) -> Result<Vec<Goal>, GoalError> {
    let mut goals: Vec<Goal> = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        let place = format!("agents[{index}]: ");
        let Value::Object(entry) = entry else {
            let fields = Fields { place: String::new(), fields: Map::new() };
            return Err(fields.error(&format!("agents[{index}]"), &entry, "an object with `name`"));
        };
        let goal = of_agent(Fields { place, fields: entry }, bounds)?;
        if goals.iter().any(|other| other.name.trim() == goal.name.trim()) {
            let fields = Fields { place: format!("agents[{index}]: "), fields: Map::new() };
            return Err(fields.error("name", &json!(goal.name), "each name once: the tasks are named after it"));
        }
        goals.push(goal);
    }
    Ok(goals)
}

fn of_agent(mut fields: Fields, bounds: Bounds) -> Result<Goal, GoalError> {
    let name = fields.take("name").unwrap_or_default();
    let Some(name) = name.as_str().filter(|name| is_name(name)) else {
        let expected = format!("the agent's name, 1 to {NAME_BYTES_MAX} bytes without control characters");
        return Err(fields.error("name", &name, &expected));
    };
    let target = fields.score("target")?.unwrap_or(bounds.target);
    let score = fields.score("current_score")?;
    let capabilities = match fields.take("capabilities") {
        None => json!([]),
        Some(list) if list.as_array().is_some_and(|list| list.iter().all(Value::is_string)) => list,
        Some(other) => return Err(fields.error("capabilities", &other, "a list of texts")),
    };
    let design = match fields.take("design") {
        None => None,
        Some(Value::Object(design)) if design.is_empty() => None,
        Some(design @ Value::Object(_)) => Some(Arc::new(design)),
        Some(other) => return Err(fields.error("design", &other, "an object such as an agent_creator writes")),
    };
    let purpose = fields.text("purpose")?.unwrap_or_else(|| format!("what its name says: {name}"));
    let domain = fields.text("domain")?.unwrap_or_else(|| "general".to_owned());
    fields.done(&AGENT_FIELDS)?;
    let work = Work::Design(DesignWork { purpose, domain, capabilities, design });
    Ok(Goal { name: name.into(), bounds: Bounds { target, ..bounds }, score, work })
}

fn of_task(task: Value, fields: &mut Fields, bounds: Bounds) -> Result<Goal, InputError> {
    let maker = draft(task, None, None, fields)?;
    let reviewer = match fields.take("reviewer") {
        None => {
            return Err(fields.error("reviewer", &Value::Null, "an agent type, for example \"code_reviewer\"").into());
        }
        Some(Value::String(agent_type)) => json!({ "agent_type": agent_type }),
        Some(other) => other,
    };
    let reviewer = draft(reviewer, Some("reviewer"), Some(REVIEW), fields)?;
    let score = fields.text("score")?.unwrap_or_else(|| SCORE.to_owned());
    let name = maker.task_id.clone().unwrap_or_default();
    if !is_name(&name) {
        let expected = format!("a name of at most {NAME_BYTES_MAX} bytes without control characters");
        return Err(fields.error("task.task_id", &json!(name), &expected).into());
    }
    for (what, draft) in [("task.dependencies", &maker), ("reviewer.dependencies", &reviewer)] {
        if !draft.dependencies.is_empty() {
            let expected = "none: what it builds on goes into `input_data`";
            return Err(fields.error(what, &json!(draft.dependencies), expected).into());
        }
    }
    let work = Work::Task(Box::new(TaskWork { maker, reviewer, score }));
    Ok(Goal { name: name.into(), bounds, score: None, work })
}

/// A task, named after its agent type or as given if it has no id of its own.
fn draft(
    mut task: Value,
    name: Option<&str>,
    description: Option<&str>,
    fields: &Fields,
) -> Result<TaskDraft, InputError> {
    let Some(given) = task.as_object_mut() else {
        let field = name.unwrap_or("task");
        return Err(fields.error(field, &task, "a task: an object with `agent_type`").into());
    };
    let id = name.map(Value::from).or_else(|| given.get("agent_type").cloned()).unwrap_or_default();
    for (field, default) in [("task_id", id), ("task_description", description.map(Value::from).unwrap_or_default())] {
        if given.get(field).is_none_or(Value::is_null) && default.is_string() {
            given.insert(field.to_owned(), default);
        }
    }
    Ok(TaskDraft::from_json(0, task)?)
}

fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control)
}

/// Reads fields one by one, and refuses what is left over.
struct Fields {
    place: String,
    fields: Map<String, Value>,
}

impl Fields {
    fn take(&mut self, field: &str) -> Option<Value> {
        self.fields.shift_remove(field).filter(|value| !value.is_null())
    }

    fn error(&self, field: &str, value: &Value, expected: &str) -> GoalError {
        GoalError::Field {
            place: self.place.clone(),
            field: field.to_owned(),
            value: abridged(&value.to_string(), 80),
            expected: expected.to_owned(),
        }
    }

    fn score(&mut self, field: &str) -> Result<Option<f64>, GoalError> {
        let Some(value) = self.take(field) else { return Ok(None) };
        match value.as_f64().filter(|score| (0.0..=SCORE_MAX).contains(score)) {
            Some(score) => Ok(Some(score)),
            None => Err(self.error(field, &value, "a score from 0 to 10")),
        }
    }

    fn iterations_max(&mut self) -> Result<usize, GoalError> {
        let Some(value) = self.take("iterations_max") else { return Ok(ITERATIONS_MAX) };
        let count = value.as_u64().filter(|count| *count <= ITERATIONS_BOUND).and_then(|count| count.try_into().ok());
        let expected = || format!("a whole number from 0 to {ITERATIONS_BOUND}");
        count.ok_or_else(|| self.error("iterations_max", &value, &expected()))
    }

    fn text(&mut self, field: &str) -> Result<Option<String>, GoalError> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.error(field, &other, "a text")),
        }
    }

    fn done(self, known: &[&str]) -> Result<(), GoalError> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(field) => Err(GoalError::Unknown {
                hint: hint(field, known.iter().copied()),
                field: abridged(field, NAME_CHARS),
                known: known.join(", "),
                place: self.place,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(spec: Value) -> Result<Vec<Goal>, String> {
        let Value::Object(spec) = spec else { panic!("a spec is an object") };
        goals(spec).map_err(|error| error.to_string())
    }

    #[test]
    fn an_entry_takes_every_default() {
        let goals = read(json!({"agents": [{"name": "mail_sorter", "design": {}}]})).expect("goals");
        let bounds = Bounds { target: 8.5, improvements_max: 3 };
        assert_eq!((&*goals[0].name, goals[0].bounds, goals[0].score), ("mail_sorter", bounds, None));
        let Work::Design(work) = &goals[0].work else { panic!("a design") };
        assert_eq!((work.purpose.as_str(), &work.design), ("what its name says: mail_sorter", &None));
    }

    #[test]
    fn a_task_is_named_after_its_id_or_its_type() {
        for (id, name) in [(json!(null), "code_reviewer"), (json!("t"), "t")] {
            let task = json!({"agent_type": "code_reviewer", "task_description": "Look", "task_id": id});
            let goals = read(json!({"task": task, "reviewer": "code_reviewer", "target": 9})).expect("goals");
            assert_eq!((&*goals[0].name, goals[0].bounds.target), (name, 9.0));
        }
    }

    #[test]
    fn every_fault_is_named_with_its_value_and_the_way_out() {
        let task = json!({"agent_type": "plain", "task_description": "x"});
        let agent = |fields: Value| json!({"agents": [{"name": "a"}, fields]});
        for (spec, expected) in [
            (json!({}), "`agents` is `null`, expected a list of objects with `name`"),
            (json!({"agents": {}}), "`agents` is `{}`, expected a list"),
            (json!({"agents": [], "task": task}), "`agents` is `[]`, expected nothing beside `task`"),
            (json!({"agents": [], "targt": 1}), "unknown field `targt` (did you mean `target`?); there are agents"),
            (
                json!({"agents": [], "iterations_max": 101}),
                "`iterations_max` is `101`, expected a whole number from 0 to",
            ),
            (json!({"agents": [], "iterations_max": true}), "`iterations_max` is `true`"),
            (json!({"agents": [], "target": -1}), "`target` is `-1`, expected a score from 0 to 10"),
            (json!({"agents": ["a"]}), "`agents[0]` is `\"a\"`, expected an object with `name`"),
            (agent(json!({"purpose": "b"})), "agents[1]: `name` is `null`, expected the agent's name"),
            (agent(json!({"name": " "})), "agents[1]: `name` is `\" \"`"),
            (agent(json!({"name": "a"})), "agents[1]: `name` is `\"a\"`, expected each name once"),
            (agent(json!({"name": "a "})), "expected each name once"),
            (agent(json!({"name": "b\nc"})), "without control characters"),
            (agent(json!({"name": "b", "target": "nine"})), "agents[1]: `target` is `\"nine\"`, expected a score"),
            (agent(json!({"name": "b", "current_score": 85})), "agents[1]: `current_score` is `85`"),
            (
                agent(json!({"name": "b", "capabilities": "all"})),
                "`capabilities` is `\"all\"`, expected a list of texts",
            ),
            (agent(json!({"name": "b", "design": "x"})), "`design` is `\"x\"`, expected an object"),
            (agent(json!({"name": "b", "purpose": 5})), "`purpose` is `5`, expected a text"),
            (agent(json!({"name": "b", "current": 5})), "agents[1]: unknown field `current`"),
            (json!({"task": task}), "`reviewer` is `null`, expected an agent type, for example \"code_reviewer\""),
            (json!({"task": task, "reviewer": 5}), "`reviewer` is `5`, expected a task"),
            (json!({"task": "x", "reviewer": "plain"}), "`task` is `\"x\"`, expected a task"),
            (json!({"task": task, "reviewer": "plain", "score": 5}), "`score` is `5`, expected a text"),
            (
                json!({"task": task, "reviewer": {"agent_type": "plain", "dependencies": ["b"]}}),
                "`reviewer.dependencies` is `[\"b\"]`, expected none: what it builds on goes into `input_data`",
            ),
            (json!({"task": {"agent_type": "plain"}, "reviewer": "plain"}), "`task_description` is missing"),
        ] {
            let message = read(spec).expect_err(expected);
            assert!(message.contains(expected), "{message:?} should contain {expected:?}");
        }
    }
}
