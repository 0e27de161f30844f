//! What a caller gets for each task: a fold over the facts of its run.

use std::sync::Arc;
use std::time::Duration;

use super::action::{AttemptRef, Session};
use super::fact::{End, Event, Fact, Outcome};
use super::plan::Plan;
use super::time::Time;
use super::usage::Tokens;

/// One attempt of a task, as its result shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptReport {
    /// 1-based.
    pub no: u32,
    /// The tier it ran on, 0-based.
    pub tier: usize,
    /// The model that was asked for.
    pub model: Arc<str>,
    /// The model that really ran, as far as the runtime tells.
    pub model_used: Option<Arc<str>>,
    /// How the runtime named it.
    pub session: Option<Session>,
    /// When it was ordered.
    pub ordered: Time,
    /// When it began to work, if that was seen.
    pub started: Option<Time>,
    /// When it ended.
    pub ended: Option<Time>,
    /// `completed`, `cancelled`, or the kind of its failure.
    pub outcome: &'static str,
    /// Why it failed.
    pub reason: Option<String>,
    /// Tokens, if known.
    pub tokens: Option<Tokens>,
    /// US dollars, if known.
    pub cost: Option<f64>,
    /// Only the beginning of its answer could be had.
    pub truncated: bool,
}

/// What became of one task.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskReport {
    /// Its index in the plan.
    pub task_index: usize,
    /// How it ended.
    pub end: End,
    /// All its attempts, in order.
    pub attempts: Vec<AttemptReport>,
    /// When the run began.
    pub run_started: Time,
    /// When the task ended.
    pub ended: Time,
}

impl TaskReport {
    /// From the first order to the end; zero for a task that never had an agent.
    pub fn execution_time(&self) -> Duration {
        self.attempts.first().map_or(Duration::ZERO, |attempt| self.ended.since(attempt.ordered))
    }

    /// From the run's begin until the first agent worked, or was ordered where its start was not seen.
    pub fn queued(&self) -> Duration {
        let first = self.attempts.first();
        first.map_or(self.ended, |attempt| attempt.started.unwrap_or(attempt.ordered)).since(self.run_started)
    }

    /// The sum over all attempts; `None` if no attempt's tokens are known.
    pub fn tokens(&self) -> Option<Tokens> {
        self.attempts.iter().filter_map(|attempt| attempt.tokens).reduce(Tokens::plus)
    }

    /// The sum over all attempts; `None` as soon as one of them is not known.
    pub fn cost(&self) -> Option<f64> {
        // The library's own sum of none is minus zero.
        self.attempts.iter().try_fold(0.0, |sum, attempt| Some(sum + attempt.cost?))
    }
}

/// The fold. Give it every fact in order; it hands a report out with each task's end.
#[derive(Debug)]
pub struct Reporter {
    run_started: Time,
    attempts: Vec<Vec<AttemptReport>>,
    starts: Vec<u32>,
    /// Whether a task that has ended may be open again.
    remembers: bool,
}

impl Reporter {
    /// A fold for runs of `plan`.
    pub fn new(plan: &Plan) -> Self {
        let tasks = plan.tasks().len();
        Self {
            run_started: Time::default(),
            attempts: vec![Vec::new(); tasks],
            starts: vec![0; tasks],
            remembers: false,
        }
    }

    /// A fold for facts among which tasks may be opened again after their end.
    pub fn remembering(plan: &Plan) -> Self {
        Self { remembers: true, ..Self::new(plan) }
    }

    /// Takes one more fact in. Returns the report of the task that it ends, if it ends one.
    pub fn apply(&mut self, fact: &Fact) -> Option<TaskReport> {
        match &fact.event {
            Event::RunStarted { .. } => self.run_started = fact.at,
            Event::TasksAdded { first, tasks } => {
                let count = self.starts.len().max(first + tasks.len());
                self.attempts.resize(count, Vec::new());
                self.starts.resize(count, 0);
            }
            Event::AttemptPlanned { attempt, attempt_no, tier, model, .. } => {
                self.starts[attempt.task_index] = attempt.start_no;
                let attempts = &mut self.attempts[attempt.task_index];
                // Most tasks need one, and a list grows by four.
                attempts.reserve_exact(1);
                attempts.push(AttemptReport {
                    no: *attempt_no,
                    tier: *tier,
                    model: model.clone(),
                    model_used: None,
                    session: None,
                    ordered: fact.at,
                    started: None,
                    ended: None,
                    outcome: "running",
                    reason: None,
                    tokens: None,
                    cost: None,
                    truncated: false,
                });
            }
            Event::AttemptAccepted { attempt, session } => {
                if let Some(current) = self.current(*attempt) {
                    current.session = Some(session.clone());
                }
            }
            Event::AttemptStarted { attempt, since } => {
                if let Some(current) = self.current(*attempt) {
                    current.started = Some(*since);
                }
            }
            Event::AttemptRefused { attempt, .. } => {
                self.attempts[attempt.task_index].pop();
            }
            Event::AttemptEnded { attempt, outcome, model_used, tokens, cost, truncated, .. } => {
                let current = self.current(*attempt)?;
                (current.outcome, current.reason) = match outcome {
                    Outcome::Completed => ("completed", None),
                    Outcome::Failed { kind, reason } => (kind.name(), Some(reason.clone())),
                    Outcome::NeedsInput { question } => ("needs_input", Some(question.clone())),
                    Outcome::Cancelled => ("cancelled", None),
                };
                current.ended = Some(fact.at);
                current.model_used.clone_from(model_used);
                current.tokens = *tokens;
                current.cost = *cost;
                current.truncated = *truncated;
            }
            Event::TaskEnded { task_index, end } => {
                return Some(TaskReport {
                    task_index: *task_index,
                    end: end.clone(),
                    attempts: if self.remembers {
                        self.attempts[*task_index].clone()
                    } else {
                        std::mem::take(&mut self.attempts[*task_index])
                    },
                    run_started: self.run_started,
                    ended: fact.at,
                });
            }
            Event::AttemptStopping { .. }
            | Event::RetryPlanned { .. }
            | Event::LimitRaised { .. }
            | Event::Cancelled { .. }
            | Event::ApprovalAsked { .. }
            | Event::WordGiven { .. }
            | Event::OutcomeReached { .. }
            | Event::RuntimeMet { .. }
            | Event::RunResumed { .. }
            | Event::BudgetReached { .. }
            | Event::BreakerOpened { .. }
            | Event::StartsStopped { .. }
            | Event::TaskReopened { .. }
            | Event::SessionDeleted { .. }
            | Event::SessionLeft { .. }
            | Event::RunEnded => {}
        }
        None
    }

    fn current(&mut self, attempt: AttemptRef) -> Option<&mut AttemptReport> {
        if self.starts[attempt.task_index] != attempt.start_no {
            return None;
        }
        self.attempts[attempt.task_index].last_mut()
    }
}
