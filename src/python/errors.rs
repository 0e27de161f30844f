//! The one mapping from our errors to Python's exceptions, which `parallel_agents._errors` defines.

use pyo3::PyErr;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::agents::AgentError;
use crate::core::check::Check;
use crate::core::task::TaskError;
use crate::journal::JournalError;
use crate::workflow::{InputError, ResumeError, RunError, with_causes};

static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

/// An exception of the class `class` of `parallel_agents._errors`.
fn exception(py: Python<'_>, class: &str, message: &str) -> PyErr {
    explained(py, class, message, None)
}

/// The same, explained by a line of `parallel-agents doctor`: its message ends with which.
fn explained(py: Python<'_>, class: &str, message: &str, check: Option<Check>) -> PyErr {
    let message = Check::pointed(message.to_owned(), check);
    let module = MODULE.get_or_try_init(py, || py.import("parallel_agents._errors").map(Bound::unbind));
    let raised = module.and_then(|module| module.bind(py).getattr(class)).and_then(|class| class.call1((message,)));
    let raised = raised.and_then(|exception| {
        if let Some(check) = check {
            exception.setattr("doctor", check.id())?;
        }
        Ok(exception)
    });
    match raised {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}

/// Maps an error in the input.
pub(super) fn input(py: Python<'_>, error: &InputError) -> PyErr {
    let class = match error {
        InputError::Task(TaskError::AgentType { .. }) => "AgentTypeError",
        InputError::Models(_) | InputError::Task(TaskError::Models { .. }) => "ModelError",
        InputError::Task(
            TaskError::Field { .. }
            | TaskError::Missing { .. }
            | TaskError::Unknown { .. }
            | TaskError::Schema { .. }
            | TaskError::TooLarge { .. },
        )
        | InputError::Plan(_)
        | InputError::Goal(_) => "PlanError",
        InputError::Retry(_)
        | InputError::Until(_)
        | InputError::Rehearsal(_)
        | InputError::Address(_)
        | InputError::Option { .. }
        | InputError::UnknownOption { .. } => "OptionError",
    };
    explained(py, class, &error.to_string(), error.check())
}

/// Maps an error of an agent type.
pub(super) fn agent(py: Python<'_>, error: &AgentError) -> PyErr {
    explained(py, "AgentTypeError", &with_causes(error), error.check())
}

/// Maps an error of a run.
pub(super) fn run(py: Python<'_>, error: &RunError) -> PyErr {
    let class = match error {
        RunError::Gateway(_) => "GatewayError",
        RunError::Models(_) => "ModelError",
        RunError::Journal(error) => return journal(py, error),
        RunError::Internal(_) => "InternalError",
    };
    explained(py, class, &with_causes(error), error.check())
}

/// Maps an error of a journal.
pub(super) fn journal(py: Python<'_>, error: &JournalError) -> PyErr {
    explained(py, "JournalError", &with_causes(error), error.check())
}

/// Maps why a run cannot go on.
pub(super) fn resume(py: Python<'_>, error: &ResumeError) -> PyErr {
    match error {
        ResumeError::Journal(error) => journal(py, error),
        ResumeError::Input(error) => input(py, error),
        ResumeError::NoMarks { .. } => exception(py, "OptionError", &error.to_string()),
        ResumeError::NoTask { .. } | ResumeError::NoQuestion { .. } | ResumeError::NoAnswer { .. } => {
            exception(py, "PlanError", &error.to_string())
        }
    }
}

/// Maps a value of the task named `task` that JSON cannot hold.
pub(super) fn task_value(py: Python<'_>, task: &str, error: &PyErr) -> PyErr {
    exception(py, "PlanError", &format!("task {task}: {}", error.value(py)))
}

/// Maps a value of an option that JSON cannot hold.
pub(super) fn option_value(py: Python<'_>, error: &PyErr) -> PyErr {
    exception(py, "OptionError", &error.value(py).to_string())
}

/// Maps a value of an agent type that JSON cannot hold.
pub(super) fn agent_value(py: Python<'_>, name: &str, error: &PyErr) -> PyErr {
    exception(py, "AgentTypeError", &format!("agent type {name}: {}", error.value(py)))
}
