//! The injected callables, and how each of them wants to be called.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use crate::core::output::abridged;
use crate::runtime::tools::{Abilities, Call};

/// Rows of one page of the list: the most that the gateway's own tool gives.
const PAGE_ROWS: u32 = 200;
/// How many of a session's latest messages are read.
const HISTORY_MESSAGES: u32 = 20;

/// A callable and the names of its parameters, as `parallel_agents._tools` found them out.
struct Callable {
    function: Py<PyAny>,
    /// What it calls each parameter of ours; one that is missing is left out, one without a name goes by position.
    names: Py<PyDict>,
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
    spawn: Callable,
    list: Callable,
    history: Callable,
    subagents: Option<Callable>,
    sessions: Option<Callable>,
}

#[pymethods]
impl Toolbox {
    /// Takes `name -> (function, names of its parameters)`.
    #[new]
    fn new(callables: &Bound<'_, PyDict>) -> PyResult<Self> {
        let find = |name: &str| -> PyResult<Option<Callable>> {
            let Some(found) = callables.get_item(name)? else { return Ok(None) };
            let (function, names) = found.extract::<(Py<PyAny>, Py<PyDict>)>()?;
            Ok(Some(Callable { function, names }))
        };
        let need = |name: &str| find(name)?.ok_or_else(|| pyo3::exceptions::PyKeyError::new_err(name.to_owned()));
        Ok(Self {
            spawn: need("sessions_spawn")?,
            list: need("sessions_list")?,
            history: need("sessions_history")?,
            subagents: find("subagents")?,
            sessions: find("sessions")?,
        })
    }
}

impl Toolbox {
    /// What the callables can do.
    pub fn abilities(&self, py: Python<'_>) -> PyResult<Abilities> {
        Ok(Abilities {
            label: self.spawn.names.bind(py).contains("label")?,
            stop: self.subagents.is_some(),
            delete: self.sessions.is_some(),
        })
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
        let callable = match call {
            Call::Spawn { order, label } => {
                let names = self.spawn.names.bind(py);
                let prompt = PyString::new(py, &order.prompt).into_any();
                by_position = place(names, intern!(py, "task"), prompt, &keywords)?;
                if let Some(model) = &order.model {
                    put(names, intern!(py, "model"), &keywords, || Ok(PyString::new(py, model).into_any()))?;
                }
                put(names, intern!(py, "runTimeoutSeconds"), &keywords, || seconds(py, order.timeout.as_secs_f64()))?;
                put(names, intern!(py, "cleanup"), &keywords, || Ok(intern!(py, "keep").clone().into_any()))?;
                put(names, intern!(py, "label"), &keywords, || Ok(PyString::new(py, label).into_any()))?;
                // Otherwise every end starts a turn of the parent, which is paid for.
                put(names, intern!(py, "expectsCompletionMessage"), &keywords, || false_object(py))?;
                &self.spawn
            }
            Call::List { offset } => {
                let names = self.list.names.bind(py);
                put(names, intern!(py, "limit"), &keywords, || Ok(PAGE_ROWS.into_pyobject(py)?.into_any()))?;
                if let Some(offset) = offset {
                    put(names, intern!(py, "offset"), &keywords, || Ok(offset.into_pyobject(py)?.into_any()))?;
                }
                &self.list
            }
            Call::History { key, .. } => {
                let names = self.history.names.bind(py);
                let key = PyString::new(py, key).into_any();
                by_position = place(names, intern!(py, "sessionKey"), key, &keywords)?;
                put(names, intern!(py, "limit"), &keywords, || Ok(HISTORY_MESSAGES.into_pyobject(py)?.into_any()))?;
                &self.history
            }
            Call::Children => {
                keywords.set_item(intern!(py, "action"), intern!(py, "list"))?;
                self.subagents.as_ref().unwrap_or(&self.spawn)
            }
            Call::Cancel { task_id, .. } => {
                keywords.set_item(intern!(py, "action"), intern!(py, "cancel"))?;
                keywords.set_item(intern!(py, "taskId"), &**task_id)?;
                self.subagents.as_ref().unwrap_or(&self.spawn)
            }
            Call::Delete { key, .. } => {
                keywords.set_item(intern!(py, "action"), intern!(py, "delete"))?;
                keywords.set_item(intern!(py, "sessionKey"), &**key)?;
                self.sessions.as_ref().unwrap_or(&self.spawn)
            }
        };
        let arguments = match by_position {
            Some(argument) => PyTuple::new(py, [argument])?,
            None => PyTuple::empty(py),
        };
        Ok(Prepared { function: callable.function.bind(py).clone(), arguments, keywords })
    }

    /// Whether the list can be asked for a page other than the first.
    pub fn has_pages(&self, py: Python<'_>) -> PyResult<bool> {
        self.list.names.bind(py).contains(intern!(py, "offset"))
    }
}

/// Puts a parameter where the callable takes it: under its own name, or by position, which the caller does.
fn place<'py>(
    names: &Bound<'py, PyDict>,
    parameter: &Bound<'py, PyString>,
    value: Bound<'py, PyAny>,
    keywords: &Bound<'py, PyDict>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    match names.get_item(parameter)? {
        Some(name) if !name.is_none() => {
            keywords.set_item(name, value)?;
            Ok(None)
        }
        Some(_) | None => Ok(Some(value)),
    }
}

/// Puts a parameter under the callable's own name, if it has one for it.
fn put<'py>(
    names: &Bound<'py, PyDict>,
    parameter: &Bound<'py, PyString>,
    keywords: &Bound<'py, PyDict>,
    value: impl FnOnce() -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<()> {
    match names.get_item(parameter)? {
        Some(name) => keywords.set_item(name, value()?),
        None => Ok(()),
    }
}

fn false_object(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    Ok(false.into_pyobject(py)?.to_owned().into_any())
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
