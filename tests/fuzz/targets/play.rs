//! A run of the machine in a world that answers at once, with what must hold of every run whatever agents answer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parallel_agents::core::action::{Action, Report, Session, SpawnOrder};
use parallel_agents::core::failure::Ending;
use parallel_agents::core::hierarchy::{ModelHierarchy, Tier};
use parallel_agents::core::output::{OutputFormat, STUCK_TEXT, Schema};
use parallel_agents::core::plan::{Plan, Task};
use parallel_agents::core::prompt::MATERIALS_BYTES_MAX;
use parallel_agents::core::report::{Reporter, TaskReport};
use parallel_agents::core::run::RunMachine;
use parallel_agents::core::settings::RunSettings;
use parallel_agents::core::task::PROMPT_BYTES_MAX;
use parallel_agents::core::time::Time;
use parallel_agents::core::usage::{Price, Usage};
use parallel_agents::runtime::gateway::End;
use parallel_agents::workflow::result_fields;

use super::{WORDS_MAX, assert_shows_well};

/// When every run begins.
pub const BEGIN: Time = Time::from_millis(1_700_000_000_000);
/// Steps that no run of a few tasks needs.
const STEPS_MAX: u32 = 20_000;

/// Agents that say this, and no more.
pub fn replied(text: &str) -> End {
    let ending = Ending::Replied(text.to_owned());
    End { ending, usage: Usage::default(), model_used: None, partial: None }
}

/// A task that is told `brief`, and last what its answer must look like.
pub fn task(id: &str, format: OutputFormat, schema: Option<Schema>, dependencies: &[&str]) -> Task {
    let price = Price { input: 1.0, output: 5.0, cache_read: 0.1, cache_write: 2.0 };
    let tiers =
        [("a/b", None), ("c/d", Some(price))].map(|(model, price)| Tier { model: model.into(), price }).to_vec();
    Task {
        id: id.into(),
        agent_type: "plain".into(),
        instructions: "".into(),
        brief: "Do it.".into(),
        contract: format!("## Output\nAnswer well.\n\n{STUCK_TEXT}").into(),
        timeout: Duration::from_secs(60),
        deadline: None,
        format,
        schema,
        priority: 5,
        dependencies: dependencies.iter().map(|&id| id.to_owned()).collect(),
        hierarchy: Arc::new(ModelHierarchy::new(tiers).expect("two models")),
    }
}

/// Plays `plan` to its end, each attempt ending as `end` says as soon as it is started. Gives the report of each task.
pub fn play(plan: &Arc<Plan>, mut end: impl FnMut(&SpawnOrder) -> End) -> Vec<TaskReport> {
    let mut now = BEGIN;
    let mut machine = RunMachine::new(plan.clone(), RunSettings::default(), 7, now);
    let mut reports = VecDeque::new();
    let mut fold = Fold::new(plan);
    for _ in 0..STEPS_MAX {
        while let Some(fact) = machine.poll_fact() {
            fold.take(&fact);
        }
        while let Some(action) = machine.poll_action() {
            match action {
                Action::Spawn(order) => {
                    let attempt = order.attempt;
                    assert!(order.prompt.bytes() <= PROMPT_BYTES_MAX + 3 * MATERIALS_BYTES_MAX, "a prompt is bounded");
                    let session = Session { key: order.key.clone(), run_id: order.key.clone() };
                    let End { ending, usage, model_used, partial } = end(&order);
                    if !matches!(ending, Ending::Refused(_)) {
                        reports.push_back(Report::Spawned { attempt, session });
                    }
                    reports.push_back(Report::Ended { attempt, ending, usage, model_used, partial });
                }
                Action::Look(attempt) => reports.push_back(Report::Queued { attempt }),
                Action::Delete { attempt, .. } => reports.push_back(Report::Deleted { attempt }),
                // It has ended, and that is on its way.
                Action::Stop(_) => {}
                Action::Adopt(_) => panic!("nothing was ordered before this run"),
            }
        }
        if machine.is_finished() {
            return fold.done();
        }
        if let Some(report) = reports.pop_front() {
            machine.handle_report(report, now);
        } else {
            now = now.max(machine.next_deadline().expect("a run that is not over waits for something"));
            machine.handle_time(now);
        }
    }
    panic!("the run has not ended after {STEPS_MAX} steps");
}

/// The reports of a run's tasks, and what must hold of each.
pub struct Fold<'plan> {
    plan: &'plan Plan,
    reporter: Reporter,
    reports: Vec<TaskReport>,
}

impl<'plan> Fold<'plan> {
    pub fn new(plan: &'plan Plan) -> Self {
        Self { plan, reporter: Reporter::new(plan), reports: Vec::new() }
    }

    pub fn take(&mut self, fact: &parallel_agents::core::fact::Fact) {
        let Some(report) = self.reporter.apply(fact) else { return };
        if let Some(reason) = report.end.reason() {
            assert_shows_well(reason, WORDS_MAX);
        }
        for attempt in &report.attempts {
            assert!(attempt.cost.is_none_or(|cost| cost.is_finite() && cost >= 0.0), "a cost of {:?}", attempt.cost);
        }
        let task = &self.plan.tasks()[report.task_index];
        if let (Some(schema), Some(output)) = (&task.schema, report.end.output()) {
            assert_eq!(schema.complaints(output), Vec::<String>::new(), "the output of a task fits its schema");
        }
        assert!(!result_fields(task, &report, "fuzz").is_empty());
        self.reports.push(report);
    }

    /// All of them, in the order of the tasks.
    pub fn done(mut self) -> Vec<TaskReport> {
        self.reports.sort_by_key(|report| report.task_index);
        let ended: Vec<usize> = self.reports.iter().map(|report| report.task_index).collect();
        assert!(ended.iter().copied().eq(0..self.plan.tasks().len()), "each task ends once: {ended:?}");
        self.reports
    }
}
