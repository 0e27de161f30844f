//! From what a caller wrote to a run that goes on by itself: resolves agent types, checks the plan, chooses and
//! connects the runtime, and starts the thread that drives it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use crate::core::check::Check;
use crate::core::hierarchy::HierarchyError;
use crate::core::plan::PlanError;
use crate::core::retry::RetryError;
use crate::core::task::TaskError;
use crate::core::until::UntilError;
use crate::journal::JournalError;
use crate::runtime::gateway::GatewayError;
use crate::runtime::rehearsal::RehearsalError;

mod adapted;
mod children;
mod example;
mod gather;
mod look;
mod narrate;
mod options;
mod orchestrate;
mod own_types;
mod prepare;
pub mod refine;
mod result;
mod resume;
mod settings;
mod start;
mod steered;
mod wait;

#[doc(hidden)]
pub use children::retold;
pub use children::{ChildCall, ChildOrder, ChildQuery, Children};
pub use look::look;
pub use narrate::{LiveSessions, Narrator};
pub use options::{RunOptions, durability_of, stored_options};
pub use orchestrate::{asks_for_approval, orchestration, printable, shown_plan};
pub use own_types::{load_own_types, own_folder, passed_over_line, read_own_types};
pub use prepare::{Planner, plan};
pub use result::{
    result_check, result_field, result_fields, run_fields, sessions_left_fields, summary_fields, totals_fields,
};
pub use resume::{Answers, Recalled, ResumeError, recall};
pub use settings::{Settings, SettingsError};
pub use start::{
    Job, Keeping, Level, Origin, Resumed, RunEvent, RunHandle, RunSummary, RuntimeChoice, SessionLeft, TOOLS,
    kept_line, run_id, start, stepwise,
};
pub use steered::{Steered, TaskMaker, steered};
pub use wait::{Waiter, Waker, next_input, wait_pair};

/// Input that no run can be made of. Nothing has been spent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InputError {
    /// A task is wrong in itself.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The tasks do not fit together.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The retry policy contradicts itself.
    #[error(transparent)]
    Retry(#[from] RetryError),
    /// The models are not a hierarchy.
    #[error(transparent)]
    Models(#[from] HierarchyError),
    /// What the run waits for cannot be waited for.
    #[error(transparent)]
    Until(#[from] UntilError),
    /// The rehearsal cannot be played.
    #[error(transparent)]
    Rehearsal(#[from] RehearsalError),
    /// The gateway's address cannot be used.
    #[error("{0}")]
    Address(String),
    /// Something that cannot be refined.
    #[error(transparent)]
    Goal(#[from] refine::GoalError),
    /// An option has a value it does not take.
    #[error("`{field}` is `{value}`, expected {expected}")]
    Option {
        /// The option.
        field: String,
        /// Its value.
        value: String,
        /// What it takes.
        expected: String,
    },
    /// An option that does not exist.
    #[error("unknown option `{field}`{hint}; there are {known}")]
    UnknownOption {
        /// The option.
        field: String,
        /// The nearest known name, if one is near.
        hint: String,
        /// What there is.
        known: String,
    },
}

impl InputError {
    /// The line of `parallel-agents doctor` that explains it. None does: each names the value and the way out itself, and
    /// models that no gateway knows are found out later.
    pub const fn check(&self) -> Option<Check> {
        match self {
            Self::Models(error) => error.check(),
            Self::Task(_)
            | Self::Plan(_)
            | Self::Retry(_)
            | Self::Until(_)
            | Self::Rehearsal(_)
            | Self::Address(_)
            | Self::Goal(_)
            | Self::Option { .. }
            | Self::UnknownOption { .. } => None,
        }
    }
}

/// A run that could not be carried out. Nothing has been spent.
#[derive(Debug, Error)]
pub enum RunError {
    /// No gateway to run it on.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The gateway knows none of the models.
    #[error(transparent)]
    Models(#[from] HierarchyError),
    /// The journal cannot be used, or does not hold the run.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The thread that drives the run could not be made, or it panicked: a defect of ours.
    #[error("internal error: {0}; please report it")]
    Internal(String),
}

impl RunError {
    /// The line of `parallel-agents doctor` that explains it, if one does.
    pub const fn check(&self) -> Option<Check> {
        match self {
            Self::Gateway(error) => Some(error.check()),
            Self::Models(error) => error.check(),
            Self::Journal(error) => error.check(),
            Self::Internal(_) => None,
        }
    }
}

/// The message with its causes behind it, each once, for places that show one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Locks what is changed by single calls, which a panic cannot cut in half: one elsewhere leaves it whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_surroundings_is_explained_by_the_doctor_and_one_of_the_input_by_itself() {
        let unusable = || HierarchyError::NoneUsable { wanted: Vec::new(), known: Vec::new() };
        let missing = || JournalError::Missing { path: "/j".into() };
        let insecure = GatewayError::Insecure { url: "ws://far/".to_owned() };
        let option = || InputError::Option { field: String::new(), value: String::new(), expected: String::new() };
        assert_eq!(RunError::Gateway(insecure).check(), Some(Check::Runtime));
        assert_eq!(RunError::Models(unusable()).check(), Some(Check::Models));
        assert_eq!(RunError::Journal(missing()).check(), Some(Check::Journal));
        assert_eq!(RunError::Internal(String::new()).check(), None);
        assert_eq!(ResumeError::Journal(missing()).check(), Some(Check::Journal));
        let (run, task) = (String::new, String::new);
        for error in [
            ResumeError::Input(option()),
            ResumeError::NoTask { run: run(), task: task(), hint: String::new() },
            ResumeError::NoQuestion { run: run(), task: task(), status: "completed" },
            ResumeError::NoMarks { run: run(), until: String::new() },
            ResumeError::NoAnswer { task: task() },
        ] {
            assert_eq!(error.check(), None, "{error}");
        }
        for error in [
            InputError::Models(HierarchyError::Empty),
            InputError::Retry(RetryError::NoAttempts),
            InputError::Plan(PlanError::DuplicateId("a".into())),
            InputError::Address(String::new()),
            option(),
            InputError::UnknownOption { field: String::new(), hint: String::new(), known: String::new() },
        ] {
            assert_eq!(error.check(), None, "{error}");
        }
        assert_eq!(InputError::Models(unusable()).check(), Some(Check::Models));
    }
}
