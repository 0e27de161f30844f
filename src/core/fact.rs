//! What has happened in a run, in order. Progress and reports are folds over facts; a journal is a list of them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::action::{AttemptRef, Session};
use super::failure::FailureKind;
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
    /// Somebody, or the run's deadline, ended the run early.
    Cancelled {
        /// Why.
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

/// Why an agent is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Its time is up.
    Timeout,
    /// The run was cancelled.
    Cancel,
    /// The run's time is up.
    RunDeadline,
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

impl End {
    /// The documented name of the status.
    pub const fn status(&self) -> &'static str {
        match self {
            Self::Completed { .. } => "completed",
            Self::Failed { .. } => "failed",
            Self::Timeout { .. } => "timeout",
            Self::Cancelled { .. } => "cancelled",
            Self::Skipped { .. } => "skipped",
        }
    }

    /// The answer, if there is one.
    pub fn output(&self) -> Option<&Value> {
        match self {
            Self::Completed { output, .. } => Some(output),
            Self::Failed { .. } | Self::Timeout { .. } | Self::Cancelled { .. } | Self::Skipped { .. } => None,
        }
    }

    /// What an agent wrote, also where it was not usable.
    pub fn raw(&self) -> Option<&str> {
        match self {
            Self::Completed { raw, .. } => Some(raw),
            Self::Failed { raw, .. } | Self::Timeout { raw, .. } | Self::Cancelled { raw, .. } => raw.as_deref(),
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
        }
    }
}
