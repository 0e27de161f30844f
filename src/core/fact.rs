//! What has happened in a run, in order. Progress and reports are folds over facts; a journal is a list of them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::action::{AttemptRef, Session};
use super::budget::{Cap, Reservation};
use super::failure::FailureKind;
use super::plan::Task;
use super::strategy::Word;
use super::time::Time;
use super::usage::Tokens;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// When.
    pub at: Time,
    /// What.
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The run began with this many tasks.
    RunStarted {
        /// How many.
        tasks: usize,
    },
    /// An agent is about to be started.
    AttemptPlanned {
        /// Which start.
        attempt: AttemptRef,
        /// The number of the attempt if it is spent, 1-based.
        attempt_no: u32,
        /// The tier, 0-based.
        tier: usize,
        /// The model that is asked for.
        model: Arc<str>,
        /// The UUID by which it can be found again.
        key: Arc<str>,
        /// What it is expected to use at the most.
        reserved: Reservation,
    },
    /// The runtime answers, in this life of it: another one after each restart.
    RuntimeMet {
        /// Its life's name.
        boot: Arc<str>,
    },
    /// The runtime took the agent.
    AttemptAccepted {
        /// Which start.
        attempt: AttemptRef,
        /// How the runtime names it.
        session: Session,
    },
    /// The agent works.
    AttemptStarted {
        /// Which start.
        attempt: AttemptRef,
        /// Since when.
        since: Time,
    },
    /// The runtime was busy: nothing is spent, the task waits.
    AttemptRefused {
        /// Which start.
        attempt: AttemptRef,
        /// The runtime's words.
        reason: String,
        /// How many agents may run from now on.
        limit: usize,
        /// When the next start is tried, unless an agent ends first.
        until: Time,
    },
    /// An agent is being stopped.
    AttemptStopping {
        /// Which start.
        attempt: AttemptRef,
        /// Why.
        why: StopReason,
    },
    /// An attempt is over.
    AttemptEnded {
        /// Which start.
        attempt: AttemptRef,
        /// How.
        outcome: Outcome,
        /// The model that really ran.
        model_used: Option<Arc<str>>,
        /// Tokens, if known.
        tokens: Option<Tokens>,
        /// US dollars, if known.
        cost: Option<f64>,
        /// Only the beginning of its answer could be had.
        truncated: bool,
        /// What the agent wrote, usable or not, whole or not.
        answer: Option<Arc<str>>,
    },
    /// The task will be tried again.
    RetryPlanned {
        /// The task.
        task_index: usize,
        /// Why: the failure of its latest attempt.
        reason: String,
        /// The tier of the next attempt.
        tier: usize,
        /// Its model.
        model: Arc<str>,
        /// How long it waits first.
        delay: Duration,
    },
    /// The runtime is tried with more agents at once again.
    LimitRaised {
        /// How many.
        limit: usize,
    },
    /// A task is over. Comes exactly once for each task.
    TaskEnded {
        /// The task.
        task_index: usize,
        /// How.
        end: End,
    },
    /// The budget does not bear the next attempt of a task, which ends because of that.
    BudgetReached {
        /// The task.
        task_index: usize,
        /// What was reached.
        cap: Cap,
        /// What the attempt would have taken at the most.
        needed: Reservation,
    },
    /// A model, or a type of agent, failed so often in a row that it is left alone for a while.
    BreakerOpened {
        /// The model, or the agent type and the kind of its failures.
        circuit: Circuit,
        /// Until when; `None` is for the rest of the run.
        until: Option<Time>,
    },
    /// A task that had ended is open again.
    TaskReopened {
        /// The task.
        task_index: usize,
        /// How it had ended.
        was: Status,
        /// What somebody answered to its question.
        answer: Option<Arc<str>>,
    },
    /// Another process goes on with the run.
    RunResumed {
        /// For how long nobody ran it: that does not count towards its time.
        idle: Duration,
    },
    /// No further agent is started; those that run go on.
    StartsStopped {
        /// Why.
        reason: String,
    },
    /// Tasks are added to the run, behind those it has.
    TasksAdded {
        /// The index of the first.
        first: usize,
        /// Which.
        tasks: Arc<[Task]>,
    },
    /// The run waits for a person's approval.
    ApprovalAsked {
        /// Of what.
        subject: Arc<Value>,
    },
    /// The run's strategy was told what it cannot see in results.
    WordGiven {
        /// What.
        word: Word,
    },
    /// What the run was for is done, as far as it will be.
    OutcomeReached {
        /// What it came to.
        outcome: Arc<Value>,
    },
    /// Somebody, or the run's deadline, ended the run early.
    Cancelled {
        /// Which of them.
        why: StopReason,
        /// In words.
        reason: String,
    },
    /// A session of ours is gone.
    SessionDeleted {
        /// Whose.
        attempt: AttemptRef,
    },
    /// A session of ours stays behind.
    SessionLeft {
        /// Whose.
        attempt: AttemptRef,
        /// The session.
        session: Session,
        /// Why.
        reason: String,
    },
    /// Nothing is left to do.
    RunEnded,
}

/// What a circuit breaker watches.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Circuit {
    /// A model, whoever uses it.
    Model(Arc<str>),
    /// A type of agent that ends in one kind of failure, whatever model it runs on.
    Agents(Arc<str>, FailureKind),
}

/// Why an agent is stopped, mildest first: a harder reason takes the place of a milder one, never the reverse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopReason {
    /// Nothing was heard of it for too long.
    Idle,
    /// Its time is up.
    Timeout,
    /// Its task's time is up.
    TaskDeadline,
    /// Its task is no longer needed.
    Unneeded,
    /// The run's time is up.
    RunDeadline,
    /// The run was cancelled.
    Cancel,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With a usable answer.
    Completed,
    /// It failed.
    Failed {
        /// How that is treated.
        kind: FailureKind,
        /// Why.
        reason: String,
    },
    /// It cannot go on without an answer from a person.
    NeedsInput {
        /// What it asks.
        question: String,
    },
    /// It was stopped because the run was cancelled.
    Cancelled,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// With an answer in the promised form.
    Completed {
        /// The value.
        output: Arc<Value>,
        /// What the agent wrote.
        raw: Arc<str>,
    },
    /// Without one.
    Failed {
        /// Why.
        reason: String,
        /// What an agent wrote that was not usable, if one wrote anything.
        raw: Option<Arc<str>>,
    },
    /// Without one, because the last attempt ran out of time.
    Timeout {
        /// Why.
        reason: String,
        /// What an agent wrote that was not usable, if one wrote anything.
        raw: Option<Arc<str>>,
    },
    /// Its agent cannot go on without an answer from a person.
    NeedsInput {
        /// What it asks.
        question: String,
        /// What it wrote.
        raw: Option<Arc<str>>,
    },
    /// It was not finished when the run was cancelled.
    Cancelled {
        /// Why.
        reason: String,
        /// What an agent wrote that was not usable, if one wrote anything.
        raw: Option<Arc<str>>,
    },
    /// It was never started, because a task it builds on did not complete.
    Skipped {
        /// Why.
        reason: String,
        /// The id of that task.
        because_of: Arc<str>,
    },
}

/// How a task ended, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// With an answer.
    Completed,
    /// Without one.
    Failed,
    /// Out of time.
    Timeout,
    /// It waits for somebody's answer.
    NeedsInput,
    /// It was cut short.
    Cancelled,
    /// It was never started.
    Skipped,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Completed, Self::Failed, Self::Timeout, Self::NeedsInput, Self::Cancelled, Self::Skipped];

    /// The documented name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::NeedsInput => "needs_input",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

impl End {
    /// Its status.
    pub const fn status(&self) -> Status {
        match self {
            Self::Completed { .. } => Status::Completed,
            Self::Failed { .. } => Status::Failed,
            Self::Timeout { .. } => Status::Timeout,
            Self::NeedsInput { .. } => Status::NeedsInput,
            Self::Cancelled { .. } => Status::Cancelled,
            Self::Skipped { .. } => Status::Skipped,
        }
    }

    /// The answer, if there is one.
    pub fn output(&self) -> Option<&Value> {
        match self {
            Self::Completed { output, .. } => Some(output),
            Self::Failed { .. }
            | Self::Timeout { .. }
            | Self::NeedsInput { .. }
            | Self::Cancelled { .. }
            | Self::Skipped { .. } => None,
        }
    }

    /// What an agent wrote, also where it was not usable.
    pub fn raw(&self) -> Option<&str> {
        match self {
            Self::Completed { raw, .. } => Some(raw),
            Self::Failed { raw, .. }
            | Self::Timeout { raw, .. }
            | Self::NeedsInput { raw, .. }
            | Self::Cancelled { raw, .. } => raw.as_deref(),
            Self::Skipped { .. } => None,
        }
    }

    /// Why there is no answer, if there is none.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Completed { .. } => None,
            Self::Failed { reason, .. }
            | Self::Timeout { reason, .. }
            | Self::Cancelled { reason, .. }
            | Self::Skipped { reason, .. } => Some(reason),
            Self::NeedsInput { question, .. } => Some(question),
        }
    }
}
