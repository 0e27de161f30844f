//! Tasks with unique ids, known dependencies and no cycle. Whoever holds a [`Plan`] need not check again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::hierarchy::ModelHierarchy;
use super::output::{NAME_CHARS, OutputFormat, Schema, abridged};
use super::task::hint;

/// A task that is ready to be planned: its agent type is resolved, its prompt rendered, its schema compiled.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Unique in its plan.
    pub id: Arc<str>,
    /// The agent type's name.
    pub agent_type: Arc<str>,
    /// What every agent of its type is told first.
    pub instructions: Arc<str>,
    /// What the agent is told then, up to what an attempt adds (see [`prompt`](super::prompt)).
    pub brief: Arc<str>,
    /// What it is told last: what its answer must look like.
    pub contract: Arc<str>,
    /// Time for one attempt, from its start.
    pub timeout: Duration,
    /// Time for all its attempts together, from the first one's order.
    pub deadline: Option<Duration>,
    /// The form of the answer.
    pub format: OutputFormat,
    /// What a JSON answer is checked against.
    pub schema: Option<Schema>,
    /// Higher numbers start first.
    pub priority: i64,
    /// Ids of the tasks whose outputs it builds on.
    pub dependencies: Vec<String>,
    /// The models it may use.
    pub hierarchy: Arc<ModelHierarchy>,
}

impl Task {
    /// The length of its prompt before what an attempt adds, in bytes.
    pub fn prompt_bytes(&self) -> usize {
        self.instructions.len() + self.brief.len() + self.contract.len()
    }

    /// Some task.
    #[cfg(test)]
    pub fn sample(id: &str, dependencies: &[&str]) -> Self {
        Self {
            id: id.into(),
            agent_type: "plain".into(),
            instructions: "".into(),
            brief: "Do it.".into(),
            contract: "".into(),
            timeout: Duration::from_secs(60),
            deadline: None,
            format: OutputFormat::Json,
            schema: None,
            priority: 5,
            dependencies: dependencies.iter().map(|&id| id.to_owned()).collect(),
            hierarchy: Arc::default(),
        }
    }
}

/// A checked set of tasks.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    tasks: Vec<Task>,
    dependencies: Vec<Vec<usize>>,
    dependents: Vec<Vec<usize>>,
}

/// A set of tasks that is no plan.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// Two tasks share an id.
    #[error("`task_id` `{0}` is used twice; every task of a run needs an id of its own")]
    DuplicateId(Arc<str>),
    /// A dependency that no task of the plan has.
    #[error("task `{task}`: `dependencies` names `{dependency}`, which is no task of this run{hint}")]
    UnknownDependency {
        /// The task that names it.
        task: Arc<str>,
        /// What it names.
        dependency: String,
        /// The nearest ids, if any are near.
        hint: String,
    },
    /// Tasks that wait for each other.
    #[error("`dependencies` form a cycle: {}; remove one of them", path.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(" -> "))]
    Cycle {
        /// Each waits for the next; the last is the first again.
        path: Vec<Arc<str>>,
    },
}

impl Plan {
    /// Checks the tasks. The plan keeps their order.
    pub fn new(tasks: Vec<Task>) -> Result<Self, PlanError> {
        let mut index_of: HashMap<&str, usize> = HashMap::with_capacity(tasks.len());
        for (index, task) in tasks.iter().enumerate() {
            if index_of.insert(&task.id, index).is_some() {
                return Err(PlanError::DuplicateId(task.id.clone()));
            }
        }
        let mut dependencies = Vec::with_capacity(tasks.len());
        let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); tasks.len()];
        for (index, task) in tasks.iter().enumerate() {
            let mut own = Vec::with_capacity(task.dependencies.len());
            for name in &task.dependencies {
                let Some(&dependency) = index_of.get(name.as_str()) else {
                    return Err(PlanError::UnknownDependency {
                        task: task.id.clone(),
                        dependency: abridged(name, NAME_CHARS),
                        hint: hint(name, tasks.iter().map(|task| &*task.id)),
                    });
                };
                // The tasks are gone through in order, so one that is named twice has this one last.
                if dependents[dependency].last() != Some(&index) {
                    own.push(dependency);
                    dependents[dependency].push(index);
                }
            }
            dependencies.push(own);
        }
        let plan = Self { tasks, dependencies, dependents };
        match plan.cycle() {
            Some(path) => Err(PlanError::Cycle { path }),
            None => Ok(plan),
        }
    }

    /// The tasks, in the order given.
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// The tasks that task `index` builds on, each once.
    pub fn dependencies(&self, index: usize) -> &[usize] {
        &self.dependencies[index]
    }

    /// The tasks that build on task `index`.
    pub fn dependents(&self, index: usize) -> &[usize] {
        &self.dependents[index]
    }

    /// Adds tasks behind the others, from index `first` on: those that are there already are passed over, so that facts
    /// may be told again.
    ///
    /// # Panics
    /// If they do not fit: ids are new, dependencies are known. Whoever adds tasks has seen to that.
    pub fn grow(&mut self, first: usize, tasks: &[Task]) {
        for task in tasks.iter().skip(self.tasks.len().saturating_sub(first)) {
            let index = self.tasks.len();
            assert!(self.tasks.iter().all(|known| known.id != task.id), "an added task has an id of its own");
            let mut own: Vec<usize> = Vec::with_capacity(task.dependencies.len());
            for name in &task.dependencies {
                let dependency = self.tasks.iter().position(|known| *known.id == **name);
                let dependency = dependency.expect("an added task builds on tasks of its run");
                if !own.contains(&dependency) {
                    own.push(dependency);
                    self.dependents[dependency].push(index);
                }
            }
            self.tasks.push(task.clone());
            self.dependencies.push(own);
            self.dependents.push(Vec::new());
        }
    }

    /// The plan with other models, task by task, as a runtime that knows only some of them needs.
    pub fn with_hierarchies<E>(
        mut self,
        mut replace: impl FnMut(&Arc<ModelHierarchy>) -> Result<Arc<ModelHierarchy>, E>,
    ) -> Result<Self, E> {
        for task in &mut self.tasks {
            task.hierarchy = replace(&task.hierarchy)?;
        }
        Ok(self)
    }

    /// A cycle, if there is one. Kahn's algorithm (1962) leaves exactly the tasks that wait for a cycle; from any of
    /// those, following an unfinished dependency must come round.
    fn cycle(&self) -> Option<Vec<Arc<str>>> {
        let mut waiting: Vec<usize> = self.dependencies.iter().map(Vec::len).collect();
        let mut free: Vec<usize> = (0..self.tasks.len()).filter(|&index| waiting[index] == 0).collect();
        let mut done = free.len();
        while let Some(index) = free.pop() {
            for &dependent in &self.dependents[index] {
                waiting[dependent] -= 1;
                if waiting[dependent] == 0 {
                    done += 1;
                    free.push(dependent);
                }
            }
        }
        if done == self.tasks.len() {
            return None;
        }
        let mut at = waiting.iter().position(|&count| count > 0)?;
        let mut path = Vec::new();
        let mut seen_at: HashMap<usize, usize> = HashMap::new();
        while !seen_at.contains_key(&at) {
            seen_at.insert(at, path.len());
            path.push(self.tasks[at].id.clone());
            at = *self.dependencies[at].iter().find(|&&dependency| waiting[dependency] > 0)?;
        }
        path.drain(..seen_at[&at]);
        path.push(self.tasks[at].id.clone());
        Some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(tasks: &[(&str, &[&str])]) -> Result<Plan, PlanError> {
        Plan::new(tasks.iter().map(|(id, dependencies)| Task::sample(id, dependencies)).collect())
    }

    #[test]
    fn a_plan_knows_both_directions_of_a_dependency_once() {
        let plan = plan(&[("a", &[]), ("b", &["a", "a"]), ("c", &["a", "b"])]).expect("a plan");
        assert_eq!(plan.dependencies(1), [0]);
        assert_eq!(plan.dependents(0), [1, 2]);
    }

    #[test]
    fn an_empty_plan_is_a_plan() {
        assert!(plan(&[]).expect("a plan").tasks().is_empty());
    }

    #[test]
    fn what_is_no_plan_is_refused_with_names() {
        let message = |tasks: &[(&str, &[&str])]| plan(tasks).expect_err("refused").to_string();
        assert_eq!(
            message(&[("a", &[]), ("a", &[])]),
            "`task_id` `a` is used twice; every task of a run needs an id of its own"
        );
        assert_eq!(
            message(&[("creator_1", &[]), ("b", &["creator_2"])]),
            "task `b`: `dependencies` names `creator_2`, which is no task of this run (did you mean `creator_1`?)"
        );
        assert_eq!(
            message(&[("free", &[]), ("x", &["a"]), ("a", &["b"]), ("b", &["c", "free"]), ("c", &["a"])]),
            "`dependencies` form a cycle: `a` -> `b` -> `c` -> `a`; remove one of them"
        );
        assert!(message(&[("a", &["\u{1b}[2J\n"])]).contains("names `\\u{1b}[2J\\n`, which"));
        assert_eq!(message(&[("a", &["a"])]), "`dependencies` form a cycle: `a` -> `a`; remove one of them");
    }
}
