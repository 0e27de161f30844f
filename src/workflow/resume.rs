//! A run of an earlier process, from its journal: what happened, and what of it is to go on.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use thiserror::Error;

use super::InputError;
use super::start::Resumed;
use crate::core::check::Check;
use crate::core::fact::{Event, Fact, Status};
use crate::core::output::{NAME_CHARS, abridged};
use crate::core::plan::Plan;
use crate::core::run::Reopening;
use crate::core::strategy::Word;
use crate::core::task::hint;
use crate::journal::{Journal, JournalError};

/// Answers of a person to the questions of agents, by the id of their task.
pub type Answers = BTreeMap<String, String>;

/// Why a run cannot go on. Nothing has been started.
#[derive(Debug, Error)]
pub enum ResumeError {
    /// Its journal cannot be used, does not hold it, or another process runs it.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What it is to go on with is wrong.
    #[error(transparent)]
    Input(#[from] InputError),
    /// An answer to a task that the run does not have.
    #[error("run `{run}` has no task `{task}`{hint}")]
    NoTask {
        /// The run.
        run: String,
        /// The task.
        task: String,
        /// The nearest ids, if any are near.
        hint: String,
    },
    /// An answer to a task that asked nothing.
    #[error("task `{task}` of run `{run}` asks nothing, it is {status}; answer only tasks that are needs_input")]
    NoQuestion {
        /// The run.
        run: String,
        /// The task.
        task: String,
        /// Where it stands.
        status: &'static str,
    },
    /// Nobody can say what its results count as.
    #[error(
        "run `{run}` goes by what a function of its program makes of each result (`until`: {until}); resume it from Python \
         with the same one: Orchestrator.resume(\"{run}\", journal=..., until=...)"
    )]
    NoMarks {
        /// The run.
        run: String,
        /// What it waits for.
        until: String,
    },
    /// An empty answer.
    #[error("the answer to task `{task}` is empty, expected what its agent is to know")]
    NoAnswer {
        /// The task.
        task: String,
    },
}

impl ResumeError {
    /// The line of `parallel-agents doctor` that explains it, if one does.
    pub const fn check(&self) -> Option<Check> {
        match self {
            Self::Journal(error) => error.check(),
            Self::Input(error) => error.check(),
            Self::NoTask { .. } | Self::NoQuestion { .. } | Self::NoMarks { .. } | Self::NoAnswer { .. } => None,
        }
    }
}

/// A run that is ready to go on.
#[derive(Debug)]
pub struct Recalled {
    /// Its whole id.
    pub id: Arc<str>,
    /// Its tasks.
    pub plan: Arc<Plan>,
    /// What happened, and what is opened again.
    pub resumed: Resumed,
}

impl Recalled {
    /// That it goes on without a function of the caller's which says what results count as. `strategy` is the run's own.
    pub fn check_marks(&self, strategy: Option<&Map<String, Value>>) -> Result<(), ResumeError> {
        let text = |name| strategy?.get(name)?.as_str();
        match text("caller") {
            Some(caller) if !self.resumed.is_over() => {
                let until = format!("{}(<{}>)", text("until").unwrap_or_default(), caller.trim_matches(['<', '>']));
                Err(ResumeError::NoMarks { run: self.id.to_string(), until: abridged(&until, NAME_CHARS) })
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Takes the run `id` out of its journal, which this process holds from now on. Tasks with an answer are opened again;
/// with `has_new_budget` those too that an earlier budget kept from starting.
pub fn recall(journal: Journal, id: &str, answers: &Answers, has_new_budget: bool) -> Result<Recalled, ResumeError> {
    let (stored, log) = journal.resume(id)?;
    let ends = Ends::of(&stored.facts);
    let mut reopening = Vec::new();
    for (task, answer) in answers {
        let Some(index) = stored.plan.tasks().iter().position(|known| *known.id == **task) else {
            let known = stored.plan.tasks().iter().map(|known| &*known.id);
            return Err(ResumeError::NoTask { run: stored.id, task: task.clone(), hint: hint(task, known) });
        };
        match ends.status.get(&index) {
            Some(Status::NeedsInput) => {}
            other => {
                let status = other.map_or("not over", |status| status.name());
                return Err(ResumeError::NoQuestion { run: stored.id, task: task.clone(), status });
            }
        }
        if answer.trim().is_empty() {
            return Err(ResumeError::NoAnswer { task: task.clone() });
        }
        reopening.push(Reopening { task_index: index, answer: Some(answer.as_str().into()) });
    }
    if has_new_budget {
        let kept_back = ends.over_budget.iter().filter(|index| ends.status.contains_key(*index));
        reopening.extend(kept_back.map(|&task_index| Reopening { task_index, answer: None }));
    }
    let resumed =
        Resumed { facts: stored.facts, log, reopening, stop: None, weighs_again: has_new_budget && ends.has_refusal };
    Ok(Recalled { id: stored.id.into(), plan: stored.plan, resumed })
}

/// How tasks have ended, and which of them for want of money.
#[derive(Default)]
struct Ends {
    status: BTreeMap<usize, Status>,
    over_budget: Vec<usize>,
    /// Whether the budget's latest word on tasks that were to be added was no, and nothing came after it.
    has_refusal: bool,
}

impl Ends {
    fn of(facts: &[Fact]) -> Self {
        let mut ends = Self::default();
        for fact in facts {
            match &fact.event {
                Event::TaskEnded { task_index, end } => {
                    ends.status.insert(*task_index, end.status());
                }
                Event::BudgetReached { task_index, .. } => ends.over_budget.push(*task_index),
                // A later budget bore it.
                Event::AttemptPlanned { attempt, .. } => {
                    ends.over_budget.retain(|index| *index != attempt.task_index);
                }
                Event::TaskReopened { task_index, .. } => {
                    ends.status.remove(task_index);
                    ends.over_budget.retain(|index| index != task_index);
                }
                Event::WordGiven { word: Word::Budget { complaint } } => ends.has_refusal = complaint.is_some(),
                Event::TasksAdded { .. } => ends.has_refusal = false,
                Event::RunStarted { .. }
                | Event::RunResumed { .. }
                | Event::RunEnded
                | Event::RuntimeMet { .. }
                | Event::AttemptAccepted { .. }
                | Event::AttemptStarted { .. }
                | Event::AttemptRefused { .. }
                | Event::AttemptStopping { .. }
                | Event::AttemptEnded { .. }
                | Event::RetryPlanned { .. }
                | Event::LimitRaised { .. }
                | Event::BreakerOpened { .. }
                | Event::StartsStopped { .. }
                | Event::Cancelled { .. }
                | Event::ApprovalAsked { .. }
                | Event::WordGiven { .. }
                | Event::OutcomeReached { .. }
                | Event::SessionDeleted { .. }
                | Event::SessionLeft { .. } => {}
            }
        }
        ends
    }
}
