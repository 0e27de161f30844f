//! What a refinement is of, and the tasks that it asks for: the making, the review, the improvement.
//!
//! Who reviews is told neither the wanted score nor earlier ones nor what was changed; who improves is told the objections
//! and no scores. So nobody can write for them. A version is shown whole or not at all: who sees a part can neither judge nor
//! rewrite it. Of objections the first [`SHOWN_BYTES_MAX`] are shown.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::judge::{Bounds, SCORE_MAX};
use crate::core::output::{OutputFormat, Schema};
use crate::core::plan::Task;
use crate::core::prompt::cut;
use crate::core::task::{TaskDraft, TaskError};
use crate::workflow::TaskMaker;

/// The types of agents that make and improve designs.
const CREATOR: &str = "agent_creator";
const REVIEWER: &str = "agent_design_reviewer";
const REFINER: &str = "agent_refiner";
/// The field of a review that holds the score, where none is named.
pub(super) const SCORE: &str = "overall_score";
/// The field that does so where the type of the reviewer promises no other.
const SCORE_ELSE: &str = "score";
/// How long a version may be that is reviewed and improved, and how much of the objections is shown, in bytes as they stand
/// in a prompt.
pub const SHOWN_BYTES_MAX: usize = 256 * 1024;
/// What an author says of its own changes: no part of a version, and no evidence for its reviewer.
const CHANGES: &str = "changes";
/// What a refiner is shown of a design review.
const OBJECTIONS: [&str; 5] =
    ["strengths", "areas_for_improvement", "missing_elements", "recommendations", "revised_system_prompt"];

/// One thing to refine.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    /// What its tasks are named after.
    pub name: Arc<str>,
    /// What it is measured by.
    pub bounds: Bounds,
    /// What its version has already been given: with the target or more there is nothing to do.
    pub score: Option<f64>,
    /// Of what.
    pub work: Work,
}

/// What is refined.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// The design of an agent.
    Design(DesignWork),
    /// The output of a task.
    Task(Box<TaskWork>),
}

/// The design of an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct DesignWork {
    /// What the agent is for.
    pub purpose: String,
    /// Its field of work.
    pub domain: String,
    /// What it must be able to do.
    pub capabilities: Value,
    /// The first version; without one it is made.
    pub design: Option<Arc<Value>>,
}

/// The output of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskWork {
    /// What makes it. It may build on other tasks of its run.
    pub maker: TaskDraft,
    /// What reviews it: its type, its models, its data. Its description is what it is told beside the output.
    pub reviewer: TaskDraft,
    /// The field of the review that holds the score, from 0 to 10.
    pub score: String,
}

/// What a task that makes or improves has come to.
#[derive(Debug)]
pub(super) struct Version {
    pub value: Arc<Value>,
    pub changes: Vec<Value>,
}

impl Goal {
    /// The same, its score the one that the reviewer's type promises: `score`, where that is a score and `overall_score` is
    /// wanted and is none.
    pub(super) fn scored_by(mut self, maker: &TaskMaker) -> Self {
        if let Work::Task(work) = &mut self.work {
            let promises = |score| promised(&work.reviewer, score, maker).is_some();
            if work.score == SCORE && !promises(SCORE) && promises(SCORE_ELSE) {
                SCORE_ELSE.clone_into(&mut work.score);
            }
        }
        self
    }

    /// Why a version cannot be shown, if it cannot.
    pub(super) fn unshown(&self, version: &Value) -> Option<String> {
        let bytes = bytes_shown(version);
        let said = || {
            let what = self.output_field();
            format!(
                "the {what} has {bytes} bytes in a prompt, and one of at most {SHOWN_BYTES_MAX} can be reviewed and \
                 improved: nobody judges or rewrites what is not shown whole"
            )
        };
        (bytes > SHOWN_BYTES_MAX).then(said)
    }

    /// The version it begins with, if one is given.
    pub(super) fn given(&self) -> Option<&Arc<Value>> {
        match &self.work {
            Work::Design(work) => work.design.as_ref(),
            Work::Task(_) => None,
        }
    }

    /// What its versions are called in its outcome.
    pub(super) fn output_field(&self) -> &'static str {
        match &self.work {
            Work::Design(_) => "design",
            Work::Task(_) => "output",
        }
    }

    /// The field of a review that holds the score.
    pub(super) fn score_field(&self) -> &str {
        match &self.work {
            Work::Design(_) => SCORE,
            Work::Task(work) => &work.score,
        }
    }

    /// What makes the first version.
    pub(super) fn create(&self, id: String, maker: &TaskMaker) -> Result<Task, TaskError> {
        let draft = match &self.work {
            Work::Design(work) => {
                let description = format!("Design the agent {}: {}", self.name, work.purpose);
                let more = json!({"domain": work.domain, "capabilities": work.capabilities});
                draft(CREATOR, description, self.told(work, more))
            }
            Work::Task(work) => work.maker.clone(),
        };
        maker.make(TaskDraft { task_id: Some(id), ..draft })
    }

    /// What reviews a version.
    pub(super) fn review(&self, id: String, version: &Value, maker: &TaskMaker) -> Result<Task, TaskError> {
        let draft = match &self.work {
            Work::Design(work) => {
                let description = format!("Review the design of the agent {}.", self.name);
                draft(REVIEWER, description, self.told(work, json!({"design": version})))
            }
            Work::Task(work) => {
                let mut data = work.reviewer.input_data.clone();
                data.insert("task".to_owned(), work.maker.task_description.clone().into());
                if !work.maker.input_data.is_empty() {
                    data.insert("task_input".to_owned(), work.maker.input_data.clone().into());
                }
                data.insert("output".to_owned(), version.clone());
                TaskDraft { input_data: data, output_format: OutputFormat::Json, ..work.reviewer.clone() }
            }
        };
        reviewing(TaskDraft { task_id: Some(id), ..draft }, self.score_field(), maker)
    }

    /// What improves the best version by the objections of its review.
    pub(super) fn improve(
        &self,
        id: String,
        best: &Value,
        objections: &Value,
        maker: &TaskMaker,
    ) -> Result<Task, TaskError> {
        let objections = shown(objections);
        let draft = match &self.work {
            Work::Design(work) => {
                let description =
                    format!("Improve the design of the agent {} by the objections of its review.", self.name);
                draft(REFINER, description, self.told(work, json!({"design": best, "review": objections})))
            }
            Work::Task(work) if work.maker.agent_type == CREATOR => {
                let mut data = work.maker.input_data.clone();
                data.insert("design".to_owned(), best.clone());
                data.insert("review".to_owned(), objections);
                let description = "Improve the design by the objections of its review.".to_owned();
                let agent_type = REFINER.to_owned();
                TaskDraft { agent_type, task_description: description, input_data: data, ..work.maker.clone() }
            }
            Work::Task(work) => {
                let mut data = work.maker.input_data.clone();
                data.insert("output".to_owned(), best.clone());
                data.insert("review".to_owned(), objections);
                let description = format!(
                    "{}\n\nThis was done once: what came of it and what a reviewer objects to it are in the input, as \
                     `output` and `review`. Write the whole output again, better where an objection holds and unchanged \
                     where it was good.",
                    work.maker.task_description.trim_end()
                );
                TaskDraft { task_description: description, input_data: data, ..work.maker.clone() }
            }
        };
        maker.make(TaskDraft { task_id: Some(id), ..draft })
    }

    /// The version in what an author wrote.
    pub(super) fn version(&self, output: &Value) -> Version {
        let mut value = output.clone();
        let changes = match &mut value {
            Value::Object(fields) if self.is_design() => fields.shift_remove(CHANGES),
            _ => None,
        };
        let changes = match changes {
            Some(Value::Array(changes)) => changes,
            Some(Value::Null) | None => Vec::new(),
            Some(other) => vec![other],
        };
        Version { value: Arc::new(value), changes }
    }

    /// What two versions are compared by: a new number makes no new design.
    pub(super) fn substance(&self, version: &Value) -> Value {
        let mut substance = version.clone();
        if let (true, Value::Object(fields)) = (self.is_design(), &mut substance) {
            for field in [CHANGES, "version"] {
                fields.shift_remove(field);
            }
        }
        substance
    }

    /// The score of a review.
    pub(super) fn score_of(&self, review: &Value) -> Option<f64> {
        review.get(self.score_field())?.as_f64().filter(|score| (0.0..=SCORE_MAX).contains(score))
    }

    /// What a review objects, without scores.
    pub(super) fn objections(&self, review: &Value) -> Value {
        let mut objections = review.clone();
        if let (Work::Design(_), Value::Object(fields)) = (&self.work, &mut objections) {
            fields.retain(|name, _| OBJECTIONS.contains(&name.as_str()));
        }
        drop_scores(&mut objections, self.score_field());
        objections
    }

    /// Whether its versions are designs of agents.
    pub(super) fn is_design(&self) -> bool {
        match &self.work {
            Work::Design(_) => true,
            Work::Task(work) => [CREATOR, REFINER].contains(&work.maker.agent_type.as_str()),
        }
    }

    fn told(&self, work: &DesignWork, more: Value) -> Map<String, Value> {
        let mut data = Map::new();
        data.insert("name".to_owned(), (*self.name).into());
        data.insert("purpose".to_owned(), work.purpose.clone().into());
        if let Value::Object(more) = more {
            data.extend(more);
        }
        data
    }
}

fn draft(agent_type: &str, task_description: String, input_data: Map<String, Value>) -> TaskDraft {
    TaskDraft {
        task_id: None,
        agent_type: agent_type.to_owned(),
        task_description,
        input_data,
        timeout: None,
        deadline: None,
        output_format: OutputFormat::Json,
        priority: 5,
        dependencies: Vec::new(),
        hierarchy: None,
        output_schema: None,
    }
}

/// The task of a reviewer: as its type has it, the score within its bounds. A type that promises no such score gets a
/// small contract of ours.
fn reviewing(draft: TaskDraft, score: &str, maker: &TaskMaker) -> Result<Task, TaskError> {
    let own = draft.output_schema.is_some();
    match promised(&draft, score, maker) {
        // Its own contract says it better than a bare schema.
        Some(schema) if !own => {
            let label = draft.label(0);
            let mut task = maker.make(draft)?;
            task.schema = Some(Schema::new(schema).map_err(|source| TaskError::Schema { task: label, source })?);
            Ok(task)
        }
        schema => maker.make(TaskDraft { output_schema: Some(schema.unwrap_or_else(|| small(score))), ..draft }),
    }
}

/// What a reviewer answers, with its score from 0 to 10; `None` if it promises none of that name.
fn promised(reviewer: &TaskDraft, score: &str, maker: &TaskMaker) -> Option<Value> {
    let agent_type = maker.registry().get(&reviewer.agent_type).ok();
    let of_type = agent_type.as_ref().and_then(|agent_type| agent_type.schema_source());
    bounded(reviewer.output_schema.as_ref().or(of_type)?, score)
}

/// How long a value is in a prompt, in bytes.
fn bytes_shown(value: &Value) -> usize {
    format!("{value:#}").len()
}

/// A value as it stands in a prompt: its beginning with a note, if there is no room for it.
fn shown(value: &Value) -> Value {
    if bytes_shown(value) <= SHOWN_BYTES_MAX {
        return value.clone();
    }
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut part = cut(&text, SHOWN_BYTES_MAX);
    // Some characters are longer in JSON.
    while json!(part).to_string().len() > SHOWN_BYTES_MAX {
        part = cut(part, part.len() / 4 * 3);
    }
    format!("{part}\n[cut here: {} of {} bytes shown]", part.len(), text.len()).into()
}

/// The schema with its score from 0 to 10; `None` if it has no numeric field of that name, or one on another scale.
pub(super) fn bounded(schema: &Value, score: &str) -> Option<Value> {
    let mut schema = schema.clone();
    let field = schema.get_mut("properties")?.get_mut(score)?.as_object_mut()?;
    let declared = match field.get("type")? {
        Value::Array(types) => types.iter().find(|one| *one == "number" || *one == "integer")?.clone(),
        single => single.clone(),
    };
    if declared != "number" && declared != "integer" {
        return None;
    }
    let bound = |name: &str, default: f64| field.get(name).map_or(Some(default), Value::as_f64);
    let (min, max) = (bound("minimum", 0.0)?, bound("maximum", SCORE_MAX)?);
    if max > SCORE_MAX || max <= min {
        return None;
    }
    field.insert("type".to_owned(), declared);
    field.insert("minimum".to_owned(), min.max(0.0).into());
    field.insert("maximum".to_owned(), max.into());
    let required = schema.as_object_mut()?.entry("required").or_insert_with(|| json!([])).as_array_mut()?;
    if !required.iter().any(|name| name == score) {
        required.push(score.into());
    }
    Some(schema)
}

/// What a review holds whose type promises no score.
fn small(score: &str) -> Value {
    json!({
        "type": "object",
        "required": [score, "objections"],
        "properties": {
            score: {
                "type": "number", "minimum": 0, "maximum": SCORE_MAX,
                "description": "how well the output does its task, from 0 to 10",
                "examples": [6.5],
            },
            "objections": {
                "type": "array", "items": {"type": "string"},
                "description": "what is wrong or missing, each with its place and the change it needs",
            },
        },
    })
}

/// Takes everything out that gives marks.
fn drop_scores(value: &mut Value, score: &str) {
    match value {
        Value::Object(fields) => {
            let is_mark =
                |name: &str| name == score || ["score", "grade", "rating"].iter().any(|mark| name.contains(mark));
            fields.retain(|name, _| !is_mark(&name.to_lowercase()));
            fields.values_mut().for_each(|field| drop_scores(field, score));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| drop_scores(item, score)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
