//! One step of an orchestration: what was planned, the task that it is, and what became of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::compile::Planned;
use super::step_id;
use crate::core::fact::{End, Status};
use crate::core::output::OutputFormat;
use crate::core::plan::Task;
use crate::core::task::{TaskDraft, TaskError};
use crate::workflow::steered::TaskMaker;

/// A step of a plan that holds.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub planned: Planned,
    /// Which plan it is of, from 1 on.
    pub plan_no: usize,
    /// Its task, whose dependencies are known once it starts.
    pub task: Task,
    pub stage: Stage,
    /// Whether it came to nothing and no later plan has made up for it.
    pub is_open: bool,
}

/// Where a step is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stage {
    /// It waits for others, or for the approval of its plan.
    Waiting,
    Running,
    Completed {
        output: Arc<Value>,
    },
    /// It came to nothing.
    Ended {
        status: Status,
        reason: String,
    },
}

impl Step {
    pub fn new(planned: Planned, plan_no: usize, maker: &TaskMaker) -> Result<Self, TaskError> {
        let task = maker.make(TaskDraft {
            task_id: Some(step_id(&planned.id)),
            agent_type: planned.agent_type.clone(),
            task_description: planned.description.clone(),
            input_data: planned.input.clone(),
            timeout: None,
            deadline: None,
            output_format: OutputFormat::Json,
            priority: planned.priority,
            dependencies: Vec::new(),
            hierarchy: None,
            output_schema: None,
        })?;
        Ok(Self { planned, plan_no, task, stage: Stage::Waiting, is_open: false })
    }

    pub fn id(&self) -> &str {
        &self.planned.id
    }

    pub fn has_completed(&self) -> bool {
        matches!(self.stage, Stage::Completed { .. })
    }

    pub fn is_waiting(&self) -> bool {
        self.stage == Stage::Waiting
    }

    pub fn is_running(&self) -> bool {
        self.stage == Stage::Running
    }

    /// The id of the task whose output is this step's.
    pub fn output_task(&self) -> String {
        self.task.id.to_string()
    }

    /// Whether a task is one of its own.
    pub fn knows(&self, task_id: &str) -> bool {
        *self.task.id == *task_id
    }

    /// The ids of its tasks that are part of the run.
    pub fn task_ids(&self) -> Vec<&str> {
        let is_part = !matches!(self.stage, Stage::Waiting | Stage::Ended { status: Status::Skipped, .. });
        if is_part { vec![&self.task.id] } else { Vec::new() }
    }

    /// What it needs at the least.
    pub fn tasks(&self) -> Vec<Task> {
        vec![self.task.clone()]
    }

    /// The tasks that it starts with, which build on these.
    pub fn start(&mut self, dependencies: Vec<String>) -> Vec<Task> {
        self.stage = Stage::Running;
        self.task.dependencies = dependencies;
        vec![self.task.clone()]
    }

    /// Takes in how one of its tasks ended; what follows within the step.
    pub fn ended(&mut self, _: &Task, end: &End) -> Vec<Task> {
        self.stage = match end {
            End::Completed { output, .. } => Stage::Completed { output: output.clone() },
            other => Stage::Ended {
                status: other.status(),
                reason: other.reason().unwrap_or("no reason is given").to_owned(),
            },
        };
        self.is_open = !self.has_completed();
        Vec::new()
    }

    /// How the task ended that it waits for, if that was kept back.
    pub fn kept_end<'a>(&self, kept_back: &'a BTreeMap<Arc<str>, End>) -> Option<&'a End> {
        kept_back.iter().find(|(id, _)| self.knows(id)).map(|(_, end)| end)
    }

    /// It is not run, because of what it builds on.
    pub fn skip(&mut self, reason: String) {
        self.stage = Stage::Ended { status: Status::Skipped, reason };
        self.is_open = true;
    }

    /// What became of it, and why; of one that has not ended, as `kept_back` says.
    pub fn status(&self, kept_back: Option<&End>) -> (Status, Option<String>) {
        match (&self.stage, kept_back) {
            (Stage::Completed { .. }, _) => (Status::Completed, None),
            (Stage::Ended { status, reason }, _) => (*status, Some(reason.clone())),
            (Stage::Running, Some(end)) => (end.status(), end.reason().map(str::to_owned)),
            (Stage::Waiting | Stage::Running, _) => (Status::Skipped, Some("it was not started".to_owned())),
        }
    }

    /// Its plan, as it is shown to people and to agents.
    pub fn shown(&self) -> Map<String, Value> {
        let Planned { id, agent_type, description, input, dependencies, priority, target } = &self.planned;
        let shown = json!({
            "task_id": id, "agent_type": agent_type, "task_description": description, "input_data": input,
            "dependencies": dependencies, "priority": priority, "target": target,
        });
        shown.as_object().cloned().unwrap_or_default()
    }
}
