//! From the tasks a caller wrote to a checked plan.

use std::collections::HashSet;
use std::sync::Arc;

use super::InputError;
use crate::agents::{self, Registry};
use crate::core::hierarchy::ModelHierarchy;
use crate::core::output::{NAME_CHARS, OutputFormat, Schema, abridged};
use crate::core::plan::{Plan, Task};
use crate::core::task::{PROMPT_BYTES_MAX, TaskDraft, TaskError};

/// The plan of `drafts`: their agent types found in `registry`, their prompts rendered, their schemas compiled. Tasks
/// without models of their own use `hierarchy`; tasks without an id are named after their type and place.
pub fn plan(
    drafts: impl IntoIterator<Item = TaskDraft>,
    registry: &Registry,
    hierarchy: ModelHierarchy,
) -> Result<Arc<Plan>, InputError> {
    let mut planner = Planner::new(registry, hierarchy);
    for draft in drafts {
        planner.add(draft)?;
    }
    planner.finish()
}

/// Makes a plan of drafts that come one by one.
#[derive(Debug)]
pub struct Planner<'registry> {
    registry: &'registry Registry,
    hierarchy: Arc<ModelHierarchy>,
    tasks: Vec<Task>,
    /// The places of those that have no id yet.
    unnamed: Vec<usize>,
}

impl<'registry> Planner<'registry> {
    /// A plan without tasks.
    pub fn new(registry: &'registry Registry, hierarchy: ModelHierarchy) -> Self {
        Self { registry, hierarchy: Arc::new(hierarchy), tasks: Vec::new(), unnamed: Vec::new() }
    }

    /// How many tasks there are.
    pub fn count(&self) -> usize {
        self.tasks.len()
    }

    /// Adds the next task.
    pub fn add(&mut self, draft: TaskDraft) -> Result<(), InputError> {
        let index = self.tasks.len();
        if draft.task_id.is_none() {
            self.unnamed.push(index);
        }
        self.tasks.push(task(index, draft, self.registry, &self.hierarchy)?);
        Ok(())
    }

    /// Names the tasks that have no id, and checks how all of them fit together.
    pub fn finish(mut self) -> Result<Arc<Plan>, InputError> {
        if !self.unnamed.is_empty() {
            let given: HashSet<Arc<str>> = self.tasks.iter().map(|task| task.id.clone()).collect();
            for index in self.unnamed {
                let task = &mut self.tasks[index];
                task.id = generated_id(&task.agent_type, index, &given).into();
            }
        }
        Ok(Arc::new(Plan::new(self.tasks)?))
    }
}

pub(super) fn task(
    index: usize,
    draft: TaskDraft,
    registry: &Registry,
    hierarchy: &Arc<ModelHierarchy>,
) -> Result<Task, TaskError> {
    let label = || draft.label(index);
    let agent_type = registry.get(&draft.agent_type).map_err(|_| TaskError::AgentType {
        task: label(),
        agent_type: abridged(&draft.agent_type, NAME_CHARS),
        hint: registry.hint(&draft.agent_type),
    })?;
    let (brief, contract) = agents::render(&agent_type, &draft);
    let bytes = agent_type.instructions.len() + brief.len() + contract.len();
    if bytes > PROMPT_BYTES_MAX {
        return Err(TaskError::TooLarge { task: label(), bytes });
    }
    let schema_error = |source| TaskError::Schema { task: label(), source };
    let schema = match (draft.output_format, &draft.output_schema) {
        (OutputFormat::Json, Some(source)) => Some(Schema::new(source.clone()).map_err(schema_error)?),
        (OutputFormat::Json, None) => agent_type.schema().map_err(schema_error)?.cloned(),
        (OutputFormat::Markdown | OutputFormat::Code | OutputFormat::Text, _) => None,
    };
    Ok(Task {
        id: draft.task_id.unwrap_or_default().into(),
        agent_type: agent_type.name.clone(),
        instructions: agent_type.instructions.clone(),
        brief: brief.into(),
        contract,
        timeout: draft.timeout.unwrap_or(agent_type.timeout),
        deadline: draft.deadline,
        format: draft.output_format,
        schema,
        priority: draft.priority,
        dependencies: draft.dependencies,
        hierarchy: draft.hierarchy.map_or_else(|| hierarchy.clone(), Arc::new),
    })
}

/// `code_reviewer-3` for the third task; never one that the caller has given to another task.
fn generated_id(agent_type: &str, index: usize, given: &HashSet<Arc<str>>) -> String {
    let mut id = format!("{agent_type}-{}", index + 1);
    while given.contains(id.as_str()) {
        id.push('\'');
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn planned(tasks: &[Value]) -> Result<Arc<Plan>, String> {
        let drafts: Result<Vec<_>, _> =
            tasks.iter().cloned().enumerate().map(|(index, task)| TaskDraft::from_json(index, task)).collect();
        plan(drafts.expect("readable tasks"), &Registry::builtin(), ModelHierarchy::default())
            .map_err(|error| error.to_string())
    }

    fn review(more: &Value) -> Value {
        let mut task = json!({"agent_type": "code_reviewer", "task_description": "Review."});
        for (field, value) in more.as_object().cloned().unwrap_or_default() {
            task[field] = value;
        }
        task
    }

    #[test]
    fn tasks_take_their_types_defaults_and_unique_ids() {
        let plan = planned(&[
            review(&json!({})),
            review(&json!({"task_id": "code_reviewer-1"})),
            review(&json!({"timeout_seconds": 7, "agent_type": "agent_orchestrator"})),
        ])
        .expect("a plan");
        let ids: Vec<&str> = plan.tasks().iter().map(|task| &*task.id).collect();
        assert_eq!(ids, ["code_reviewer-1'", "code_reviewer-1", "agent_orchestrator-3"]);
        assert_eq!(plan.tasks()[0].timeout.as_secs(), 120);
        assert_eq!(plan.tasks()[2].timeout.as_secs(), 7);
        assert!(plan.tasks()[0].schema.is_some());
    }

    #[test]
    fn a_schema_belongs_to_json_alone() {
        let plan = planned(&[review(&json!({"output_format": "text"}))]).expect("a plan");
        assert_eq!(plan.tasks()[0].schema, None);
    }

    #[test]
    fn a_task_too_large_for_any_model_is_refused() {
        let message =
            planned(&[review(&json!({"input_data": {"code": "x".repeat(PROMPT_BYTES_MAX)}}))]).expect_err("large");
        assert!(message.contains("expected at most 4194304; shorten `task_description`"), "{message}");
    }

    #[test]
    fn an_unknown_type_or_a_bad_schema_names_its_task() {
        let message = planned(&[review(&json!({"task_id": "t", "agent_type": "code_reviwer"}))]).expect_err("unknown");
        assert!(
            message.starts_with("task `t`: unknown agent type `code_reviwer` (did you mean `code_reviewer`"),
            "{message}"
        );
        let message = planned(&[review(&json!({"agent_type": "x\n".repeat(1_000)}))]).expect_err("unknown");
        assert!(message.contains("unknown agent type `x\\nx\\n") && message.len() < 500, "{message}");
        let message = planned(&[review(&json!({"output_schema": {"type": 5}}))]).expect_err("no schema");
        assert!(message.starts_with("task number 1: `output_schema` is not a valid JSON Schema"), "{message}");
    }
}
