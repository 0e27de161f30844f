//! The strategy of a run, from JSON: what a Python call, a plan file and a journal share.
//!
//! The same JSON gives the same strategy again when a run is resumed, which then hears again what it had heard.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::options::Reader;
use super::orchestrate::orchestrate;
use super::prepare::task;
use super::{InputError, gather};
use crate::agents::Registry;
use crate::core::hierarchy::ModelHierarchy;
use crate::core::plan::{Plan, Task};
use crate::core::strategy::Strategy;
use crate::core::task::{TaskDraft, TaskError};

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
}

impl TaskMaker {
    /// Tasks of these agent types; on these models, where a draft names none.
    pub fn new(registry: Registry, hierarchy: ModelHierarchy) -> Self {
        Self { registry, hierarchy: Arc::new(hierarchy) }
    }

    /// The agent types.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The task of a draft, which has an id.
    pub fn make(&self, draft: TaskDraft) -> Result<Task, TaskError> {
        task(0, draft, &self.registry, &self.hierarchy)
    }
}

/// Reads the strategy of a run whose tasks are `given`: none, where it makes them itself.
pub fn steered(spec: Map<String, Value>, given: &Plan, maker: TaskMaker) -> Result<Steered, InputError> {
    let mut reader = Reader { prefix: "strategy.", fields: spec };
    let kind = reader.text("kind")?;
    match kind.as_deref() {
        Some("gather") => gather::read(reader, given, maker),
        Some("orchestrate") => orchestrate(reader, maker),
        other => Err(reader.error("kind", &other.into(), "one of gather, orchestrate")),
    }
}
