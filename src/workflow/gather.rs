//! The strategy of a fan-out: once every task of the run has ended, one more sums up what completed.
//!
//! A dependency would not do: it skips what builds on a task that failed, and one failed item is not to cost the summary.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};

use super::InputError;
use super::options::Reader;
use super::steered::{Steered, TaskMaker};
use crate::core::fact::End;
use crate::core::output::abridged;
use crate::core::plan::{Plan, Task};
use crate::core::strategy::{KeptBack, Next, Strategy};
use crate::core::task::TaskDraft;

/// How much of the reason for which a task has no result the one that sums up is told, in characters.
const REASON_CHARS: usize = 300;

/// The id of the one that sums up, where it has none.
const SUMMARY: &str = "summary";

/// Where the one that sums up finds which results are missing, and why.
const MISSING: &str = "without_result";

#[derive(Debug)]
struct Gather {
    /// What sums up, without dependencies and without what is missing.
    summary: TaskDraft,
    /// Whether it does so although tasks have failed.
    allow_failures: bool,
    maker: TaskMaker,
    /// All the others.
    given: Plan,
    /// Those that have not ended for good, with their places in the run.
    open: HashMap<Arc<str>, usize>,
    /// Those that completed, in the order of the run.
    completed: BTreeMap<usize, String>,
    missing: BTreeMap<Arc<str>, String>,
}

/// Reads it: `task` is the one that sums up, whose id no other has, `allow_failures` whether it does so although others have failed (default:
/// yes).
pub(super) fn read(mut reader: Reader, given: &Plan, maker: TaskMaker) -> Result<Steered, InputError> {
    let task = reader.take("task").unwrap_or_default();
    let allow_failures = reader.choice("allow_failures", &[("true", true), ("false", false)])?;
    reader.done(&["kind", "task", "allow_failures"])?;
    let mut summary = TaskDraft::from_json(given.tasks().len(), task)?;
    summary.task_id.get_or_insert_with(|| SUMMARY.to_owned());
    // What cannot be asked is found out now, and not when all the others are paid for.
    let made = maker.make(summary.clone())?;
    // A run that goes on may have it already.
    let others = given.tasks().iter().map(|task| &task.id).filter(|id| **id != made.id);
    let open = (0..).zip(others).map(|(place, id)| (id.clone(), place)).collect();
    let (completed, missing) = (BTreeMap::new(), BTreeMap::new());
    let gather = Gather { summary, allow_failures, maker, given: given.clone(), open, completed, missing };
    Ok(Steered { strategy: Box::new(gather), first: Vec::new() })
}

impl Gather {
    /// What builds on a task that did not complete has no result either.
    fn skip_dependents(&mut self, id: &str) {
        let index = self.given.tasks().iter().position(|task| *task.id == *id);
        let mut ended: Vec<usize> = index.into_iter().collect();
        while let Some(index) = ended.pop() {
            for &dependent in self.given.dependents(index) {
                let task = self.given.tasks()[dependent].id.clone();
                if self.open.remove(&task).is_some() {
                    self.missing.insert(task, format!("skipped: task `{id}` did not complete"));
                    ended.push(dependent);
                }
            }
        }
    }

    /// The one that sums up, if it is its turn and there is something to sum up.
    fn summary(&self) -> Option<Task> {
        let may = self.open.is_empty() && !self.completed.is_empty();
        if !may || (!self.allow_failures && !self.missing.is_empty()) {
            return None;
        }
        let dependencies = self.completed.values().cloned().collect();
        let mut draft = TaskDraft { dependencies, ..self.summary.clone() };
        if !self.missing.is_empty() {
            draft.task_description = format!(
                "{}\n\n{} of {} results are missing: `{MISSING}` in the input says which and why. Do not guess them.",
                draft.task_description,
                self.missing.len(),
                self.missing.len() + self.completed.len(),
            );
            draft.input_data.insert(MISSING.to_owned(), json!(self.missing));
        }
        // Should the reasons not fit beside the rest, it is told how many there are.
        self.maker.make(draft.clone()).ok().or_else(|| {
            draft.input_data.insert(MISSING.to_owned(), json!(self.missing.len()));
            self.maker.make(draft).ok()
        })
    }
}

impl Strategy for Gather {
    fn ended(&mut self, task: &Task, end: &End) -> Next {
        let Some(place) = self.open.remove(&task.id) else { return Next::default() };
        match end {
            End::Completed { .. } => {
                self.completed.insert(place, task.id.to_string());
            }
            other => {
                let reason = abridged(other.reason().unwrap_or_default(), REASON_CHARS);
                self.missing.insert(task.id.clone(), format!("{}: {reason}", other.status().name()));
                self.skip_dependents(&task.id);
            }
        }
        Next { add: self.summary().into_iter().collect(), ..Next::default() }
    }

    fn grows(&self) -> bool {
        true
    }

    fn outcome(&self, kept_back: &KeptBack) -> Option<Value> {
        let waits = |id: &&Arc<str>| self.open.contains_key(*id);
        let waiting: Vec<&str> = kept_back.keys().filter(waits).map(|id| &**id).collect();
        let completed: Vec<&String> = self.completed.values().collect();
        Some(json!({"completed": completed, MISSING: self.missing, "waiting": waiting}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::Registry;
    use crate::core::hierarchy::ModelHierarchy;
    use crate::workflow::{plan, steered};

    fn gather(allow_failures: bool) -> (Arc<Plan>, Box<dyn Strategy>) {
        let item = |id: &str, dependencies: Value| {
            let item = json!({"task_id": id, "agent_type": "plain", "task_description": "Do it.",
                "output_format": "text", "dependencies": dependencies});
            TaskDraft::from_json(0, item).expect("a task")
        };
        let items = [item("b", json!([])), item("a", json!([])), item("on_a", json!(["a"]))];
        let plan = plan(items, &Registry::builtin(), ModelHierarchy::default()).expect("a plan");
        let summary = json!({"task_id": "summary", "agent_type": "plain", "task_description": "Sum up.",
            "output_format": "text"});
        let spec = json!({"kind": "gather", "task": summary, "allow_failures": allow_failures});
        let maker = TaskMaker::new(Registry::builtin(), ModelHierarchy::default());
        let Value::Object(spec) = spec else { unreachable!("an object") };
        let steered = steered(spec, &plan, maker).expect("a strategy");
        assert!(steered.first.is_empty());
        (plan, steered.strategy)
    }

    fn end(completes: bool) -> End {
        if completes {
            return End::Completed { output: Arc::new(json!("done")), raw: "done".into() };
        }
        End::Failed { reason: "it broke".to_owned(), raw: None }
    }

    fn told(plan: &Plan, strategy: &mut dyn Strategy, ends: &[(&str, bool)]) -> Vec<Task> {
        let mut added = Vec::new();
        for (id, completes) in ends {
            let task = plan.tasks().iter().find(|task| *task.id == **id).expect("a task");
            added.extend(strategy.ended(task, &end(*completes)).add);
        }
        added
    }

    #[test]
    fn what_sums_up_comes_last_and_builds_on_what_completed_in_the_order_of_the_run() {
        let (plan, mut strategy) = gather(true);
        assert!(told(&plan, &mut *strategy, &[("a", true), ("on_a", true)]).is_empty());
        let added = told(&plan, &mut *strategy, &[("b", true)]);
        assert_eq!(added.len(), 1);
        assert_eq!(added[0].dependencies, ["b", "a", "on_a"]);
        assert!(!added[0].brief.contains(MISSING));
        assert!(told(&plan, &mut *strategy, &[("b", true)]).is_empty(), "once");
    }

    #[test]
    fn what_failed_and_what_was_skipped_because_of_it_is_named() {
        let (plan, mut strategy) = gather(true);
        let added = told(&plan, &mut *strategy, &[("b", true), ("a", false)]);
        assert_eq!(added.len(), 1);
        assert_eq!(added[0].dependencies, ["b"]);
        for words in ["2 of 3 results are missing", "failed: it broke", "skipped: task `a` did not complete"] {
            assert!(added[0].brief.contains(words), "{words}: {}", added[0].brief);
        }
    }

    #[test]
    fn there_is_none_if_nothing_completed_or_nothing_may_be_missing() {
        let (plan, mut strategy) = gather(true);
        assert!(told(&plan, &mut *strategy, &[("b", false), ("a", false)]).is_empty());
        let (plan, mut strategy) = gather(false);
        assert!(told(&plan, &mut *strategy, &[("b", true), ("a", false)]).is_empty());
    }

    #[test]
    fn what_may_yet_come_is_waited_for() {
        let (plan, mut strategy) = gather(true);
        assert!(told(&plan, &mut *strategy, &[("b", true)]).is_empty());
        let mut kept_back = KeptBack::default();
        let asks = End::NeedsInput { question: "which?".to_owned(), raw: None };
        kept_back.keep("a".into(), asks, false);
        let outcome = strategy.outcome(&kept_back).expect("an outcome");
        assert_eq!(outcome, json!({"completed": ["b"], "without_result": {}, "waiting": ["a"]}));
    }

    #[test]
    fn a_summary_that_cannot_be_asked_for_is_refused_at_once() {
        let plan = Plan::default();
        let maker = || TaskMaker::new(Registry::builtin(), ModelHierarchy::default());
        for (task, expected) in [
            (json!({"agent_type": "plian", "task_description": "Sum up."}), "unknown agent type `plian`"),
            (json!({"agent_type": "plain"}), "`task_description` is missing"),
            (json!(7), "`tasks` is `7`"),
        ] {
            let spec = json!({"kind": "gather", "task": task});
            let Value::Object(spec) = spec else { unreachable!("an object") };
            let error = steered(spec, &plan, maker()).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
