//! The injected callables, and how each of them wants to be called.

use pyo3::exceptions::PyKeyError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyList, PyString, PyTuple};

use crate::core::output::abridged;
use crate::runtime::tools::{Abilities, Call};

/// How many of a session's latest messages are read.
const HISTORY_MESSAGES: u32 = 20;

/// A callable and what it calls each parameter of ours, as `parallel_agents._tools` found out.
struct Callable<const PARAMETERS: usize> {
    function: Py<PyAny>,
    names: [Name; PARAMETERS],
}

/// What a callable calls a parameter of ours.
enum Name {
    /// It does not take it.
    None,
    /// It goes by position.
    Position,
    /// It goes by this name.
    Keyword(Py<PyString>),
}

impl<const PARAMETERS: usize> Callable<PARAMETERS> {
    fn find(
        callables: &Bound<'_, PyDict>,
        name: &str,
        parameters: [&str; PARAMETERS],
    ) -> PyResult<Option<Callable<PARAMETERS>>> {
        let Some(found) = callables.get_item(name)? else { return Ok(None) };
        let (function, known) = found.extract::<(Py<PyAny>, Bound<'_, PyDict>)>()?;
        let mut names = [const { Name::None }; PARAMETERS];
        for (name, parameter) in names.iter_mut().zip(parameters) {
            *name = match known.get_item(parameter)? {
                None => Name::None,
                Some(position) if position.is_none() => Name::Position,
                Some(keyword) => Name::Keyword(keyword.cast_into::<PyString>()?.unbind()),
            };
        }
        Ok(Some(Self { function, names }))
    }

    fn need(callables: &Bound<'_, PyDict>, name: &str, parameters: [&str; PARAMETERS]) -> PyResult<Self> {
        Self::find(callables, name, parameters)?.ok_or_else(|| PyKeyError::new_err(name.to_owned()))
    }
}

impl Name {
    /// Puts a value where the callable takes it; one that goes by position comes back.
    fn put<'py>(
        &self,
        keywords: &Bound<'py, PyDict>,
        value: impl FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = keywords.py();
        match self {
            Self::None => Ok(None),
            Self::Position => value(py).map(Some),
            Self::Keyword(name) => {
                keywords.set_item(name, value(py)?)?;
                Ok(None)
            }
        }
    }
}

/// A call that is ready to be made.
pub(super) struct Prepared<'py> {
    pub function: Bound<'py, PyAny>,
    pub arguments: Bound<'py, PyTuple>,
    pub keywords: Bound<'py, PyDict>,
}

impl<'py> Prepared<'py> {
    pub fn make(&self) -> PyResult<Bound<'py, PyAny>> {
        self.function.call(&self.arguments, Some(&self.keywords))
    }
}

/// All of them.
#[pyclass(frozen, module = "parallel_agents._core")]
pub(in crate::python) struct Toolbox {
    spawn: Callable<6>,
    list: Callable<2>,
    history: Callable<2>,
    subagents: Option<Callable<0>>,
    sessions: Option<Callable<0>>,
}

const SPAWN: [&str; 6] = ["task", "model", "runTimeoutSeconds", "cleanup", "label", "expectsCompletionMessage"];

#[pymethods]
impl Toolbox {
    /// Takes `name -> (function, names of its parameters)`.
    #[new]
    fn new(callables: &Bound<'_, PyDict>) -> PyResult<Self> {
        Ok(Self {
            spawn: Callable::need(callables, "sessions_spawn", SPAWN)?,
            list: Callable::need(callables, "sessions_list", ["limit", "offset"])?,
            history: Callable::need(callables, "sessions_history", ["sessionKey", "limit"])?,
            subagents: Callable::find(callables, "subagents", [])?,
            sessions: Callable::find(callables, "sessions", [])?,
        })
    }
}

impl Toolbox {
    /// What the callables can do.
    pub fn abilities(&self) -> Abilities {
        let [.., label, _] = &self.spawn.names;
        Abilities {
            label: matches!(label, Name::Keyword(_)),
            stop: self.subagents.is_some(),
            delete: self.sessions.is_some(),
        }
    }

    /// How a callable is named in messages.
    pub const fn name(call: &Call) -> &'static str {
        match call {
            Call::Spawn { .. } => "sessions_spawn",
            Call::List { .. } => "sessions_list",
            Call::History { .. } => "sessions_history",
            Call::Children | Call::Cancel { .. } => "subagents",
            Call::Delete { .. } => "sessions",
        }
    }

    /// Makes a call ready.
    pub(super) fn prepare<'py>(&self, py: Python<'py>, call: &Call) -> PyResult<Prepared<'py>> {
        let keywords = PyDict::new(py);
        let mut by_position = None;
        let function = match call {
            Call::Spawn { order, label } => {
                let [task, model, timeout, cleanup, name, expects] = &self.spawn.names;
                by_position = task.put(&keywords, |py| Ok(PyString::new(py, &order.prompt.text()).into_any()))?;
                if let Some(wanted) = &order.model {
                    model.put(&keywords, |py| Ok(PyString::new(py, wanted).into_any()))?;
                }
                timeout.put(&keywords, |py| seconds(py, order.timeout.as_secs_f64()))?;
                cleanup.put(&keywords, |py| Ok(intern!(py, "keep").clone().into_any()))?;
                name.put(&keywords, |py| Ok(PyString::new(py, label).into_any()))?;
                // Otherwise every end starts a turn of the parent, which is paid for.
                expects.put(&keywords, |py| Ok(PyBool::new(py, false).to_owned().into_any()))?;
                &self.spawn.function
            }
            Call::List { offset, limit: rows } => {
                let [limit, first] = &self.list.names;
                limit.put(&keywords, |py| Ok(rows.into_pyobject(py)?.into_any()))?;
                if let Some(offset) = offset {
                    first.put(&keywords, |py| Ok(offset.into_pyobject(py)?.into_any()))?;
                }
                &self.list.function
            }
            Call::History { key, .. } => {
                let [session, limit] = &self.history.names;
                by_position = session.put(&keywords, |py| Ok(PyString::new(py, key).into_any()))?;
                limit.put(&keywords, |py| Ok(HISTORY_MESSAGES.into_pyobject(py)?.into_any()))?;
                &self.history.function
            }
            Call::Children => {
                keywords.set_item(intern!(py, "action"), intern!(py, "list"))?;
                optional(self.subagents.as_ref())?
            }
            Call::Cancel { task_id, .. } => {
                keywords.set_item(intern!(py, "action"), intern!(py, "cancel"))?;
                keywords.set_item(intern!(py, "taskId"), &**task_id)?;
                optional(self.subagents.as_ref())?
            }
            Call::Delete { key, .. } => {
                keywords.set_item(intern!(py, "action"), intern!(py, "delete"))?;
                keywords.set_item(intern!(py, "sessionKey"), &**key)?;
                optional(self.sessions.as_ref())?
            }
        };
        let arguments = match by_position {
            Some(argument) => PyTuple::new(py, [argument])?,
            None => PyTuple::empty(py),
        };
        Ok(Prepared { function: function.bind(py).clone(), arguments, keywords })
    }

    /// Whether the list can be asked for a page other than the first.
    pub fn has_pages(&self) -> bool {
        let [_, offset] = &self.list.names;
        matches!(offset, Name::Keyword(_))
    }
}

/// The function of a callable that is only there if it was injected; nothing asks for it otherwise.
fn optional(callable: Option<&Callable<0>>) -> PyResult<&Py<PyAny>> {
    callable.map(|callable| &callable.function).ok_or_else(|| PyKeyError::new_err("it was not injected"))
}

/// Seconds as a whole number where they are one: runtimes take integers more readily.
fn seconds(py: Python<'_>, seconds: f64) -> PyResult<Bound<'_, PyAny>> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "timeouts are positive and far below 2^53"
    )]
    if seconds.fract() == 0.0 {
        return Ok((seconds as u64).into_pyobject(py)?.into_any());
    }
    Ok(seconds.into_pyobject(py)?.into_any())
}

/// A callable's words, for a notice.
pub(super) fn brief(text: &str) -> String {
    abridged(text, 300)
}

/// Whether an answer must be awaited. What callables usually answer is told apart quickly.
pub(super) fn is_awaitable(answer: &Bound<'_, PyAny>) -> PyResult<bool> {
    if answer.is_exact_instance_of::<PyDict>() || answer.is_exact_instance_of::<PyString>() {
        return Ok(false);
    }
    if answer.is_exact_instance_of::<PyList>() {
        return Ok(false);
    }
    answer.hasattr(intern!(answer.py(), "__await__"))
}
