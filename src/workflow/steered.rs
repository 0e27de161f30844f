//! The strategy of a run, from JSON: what a Python call, a plan file and a journal share.
//!
//! The same JSON gives the same strategy again when a run is resumed, which then hears again what it had heard.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::options::Reader;
use super::orchestrate::orchestrate;
use super::prepare::task;
use super::refine::{Refinements, goals};
use super::{InputError, gather};
use crate::agents::Registry;
use crate::core::budget::Budget;
use crate::core::hierarchy::ModelHierarchy;
use crate::core::join::Join;
use crate::core::plan::{Plan, Task};
use crate::core::strategy::Strategy;
use crate::core::task::{TaskDraft, TaskError};
use crate::core::until::{Spelling, Until};

/// A strategy, and the tasks that its run begins with if nobody gives it any.
#[derive(Debug)]
pub struct Steered {
    /// What watches the run.
    pub strategy: Box<dyn Strategy>,
    /// What it begins with.
    pub first: Vec<Task>,
}

/// Makes the tasks that a strategy adds.
#[derive(Debug, Clone)]
pub struct TaskMaker {
    registry: Registry,
    hierarchy: Arc<ModelHierarchy>,
    /// The tasks that the run has already: their agent types may be gone by now.
    made: Arc<Plan>,
    budget: Budget,
}

impl TaskMaker {
    /// Tasks of these agent types; on these models, where a draft names none.
    pub fn new(registry: Registry, hierarchy: ModelHierarchy) -> Self {
        Self { registry, hierarchy: Arc::new(hierarchy), made: Arc::default(), budget: Budget::default() }
    }

    /// The same for a run that has these tasks already, and this budget.
    #[must_use]
    pub fn for_run(self, plan: &Arc<Plan>, budget: Budget) -> Self {
        Self { made: plan.clone(), budget, ..self }
    }

    /// The caps of the whole run.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The agent types.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The task of a draft, which has an id. Where it cannot be made any more, it is the one that the run has already.
    pub fn make(&self, draft: TaskDraft) -> Result<Task, TaskError> {
        let id = draft.task_id.clone().unwrap_or_default();
        let made = || self.made.tasks().iter().find(|task| *task.id == *id).cloned();
        task(0, draft, &self.registry, &self.hierarchy).or_else(|error| made().ok_or(error))
    }
}

/// Reads the strategy of a run whose tasks are `given`: none, where it makes them itself.
pub fn steered(spec: Map<String, Value>, given: &Plan, maker: TaskMaker) -> Result<Steered, InputError> {
    let mut reader = Reader { prefix: "", fields: spec };
    let kind = reader.text("kind")?;
    match kind.as_deref() {
        Some("join") => join(reader, given),
        Some("gather") => gather::read(reader, given, maker),
        Some("refine") => Refinements::steered(goals(reader.fields)?, &maker),
        Some("orchestrate") => orchestrate(reader, maker),
        other => Err(reader.error("kind", &other.into(), "one of join, gather, refine, orchestrate")),
    }
}

/// `until` as a text, such as `first(2)`; or the join's name, and what stands in its brackets by `k`, `by`, `caller` (the name
/// of the caller's function) and `enough`.
fn join(mut reader: Reader, given: &Plan) -> Result<Steered, InputError> {
    let name = match reader.take("until").unwrap_or_default() {
        Value::String(name) => name,
        other => other.to_string(),
    };
    let arguments = Spelling {
        k: reader.take("k"),
        by: reader.take("by"),
        caller: reader.text("caller")?,
        enough: reader.take("enough"),
        name: String::new(),
    };
    reader.done(&["until", "k", "by", "caller", "enough"])?;
    let is_text = arguments == Spelling::default();
    let spelling = if is_text { Spelling::of(&name)? } else { Spelling { name, ..arguments } };
    let until = Until::new(&spelling, given.tasks().len())?;
    Ok(Steered { strategy: Box::new(Join::new(until, given)), first: Vec::new() })
}
