//! The injected callables, made ready by `parallel_agents._tools` to be called by position.

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use crate::core::output::abridged;
use crate::runtime::tools::{Abilities, Call};

/// A callable, and which of the parameters that a call of it may pass it takes.
struct Callable<const PARAMETERS: usize> {
    function: Py<PyAny>,
    takes: [bool; PARAMETERS],
}

impl<const PARAMETERS: usize> Callable<PARAMETERS> {
    fn find(
        calls: &Bound<'_, PyDict>,
        name: &str,
        parameters: [&str; PARAMETERS],
    ) -> PyResult<Option<Callable<PARAMETERS>>> {
        let Some(found) = calls.get_item(name)? else { return Ok(None) };
        let (function, names) = found.extract::<(Py<PyAny>, Vec<String>)>()?;
        let takes = parameters.map(|parameter| names.iter().any(|each| each == parameter));
        Ok(Some(Self { function, takes }))
    }

    fn need(calls: &Bound<'_, PyDict>, name: &str, parameters: [&str; PARAMETERS]) -> PyResult<Self> {
        Self::find(calls, name, parameters)?.ok_or_else(|| PyKeyError::new_err(name.to_owned()))
    }

    /// A call with those of `values` that it takes.
    fn with<'py>(&self, py: Python<'py>, values: [Bound<'py, PyAny>; PARAMETERS]) -> PyResult<Prepared<'py>> {
        let arguments = if self.takes.iter().all(|takes| *takes) {
            PyTuple::new(py, values)?
        } else {
            let taken = values.into_iter().zip(self.takes).filter_map(|(value, takes)| takes.then_some(value));
            PyTuple::new(py, taken.collect::<Vec<_>>())?
        };
        Ok(Prepared { function: self.function.bind(py).clone(), arguments })
    }
}

/// A call that is ready to be made.
pub(super) struct Prepared<'py> {
    pub function: Bound<'py, PyAny>,
    pub arguments: Bound<'py, PyTuple>,
}

impl<'py> Prepared<'py> {
    pub fn make(&self) -> PyResult<Bound<'py, PyAny>> {
        self.function.call1(&self.arguments)
    }
}

/// All of them.
#[pyclass(frozen, module = "parallel_agents._core")]
pub(in crate::python) struct Toolbox {
    spawn: Callable<4>,
    first_page: Callable<1>,
    next_page: Callable<2>,
    history: Callable<1>,
    children: Option<Callable<0>>,
    cancel: Option<Callable<1>>,
    delete: Option<Callable<1>>,
}

#[pymethods]
impl Toolbox {
    /// Takes `call -> (function, those parameters that it takes, by position)`.
    #[new]
    fn new(calls: &Bound<'_, PyDict>) -> PyResult<Self> {
        Ok(Self {
            spawn: Callable::need(calls, "spawn", ["task", "model", "runTimeoutSeconds", "label"])?,
            first_page: Callable::need(calls, "first_page", ["limit"])?,
            next_page: Callable::need(calls, "next_page", ["limit", "offset"])?,
            history: Callable::need(calls, "history", ["sessionKey"])?,
            children: Callable::find(calls, "children", [])?,
            cancel: Callable::find(calls, "cancel", ["taskId"])?,
            delete: Callable::find(calls, "delete", ["sessionKey"])?,
        })
    }
}

impl Toolbox {
    /// What the callables can do.
    pub fn abilities(&self) -> Abilities {
        let [.., label] = self.spawn.takes;
        // A child is stopped by the name that its label finds.
        Abilities { label, stop: label && self.children.is_some(), delete: self.delete.is_some() }
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
        let text = |text: &str| PyString::new(py, text).into_any();
        match call {
            Call::Spawn { order, label } => {
                let model = order.model.as_ref().map_or_else(|| py.None().into_bound(py), |model| text(model));
                let timeout = seconds(py, order.timeout.as_secs_f64())?;
                self.spawn.with(py, [text(&order.prompt.text()), model, timeout, text(label)])
            }
            Call::List { offset: None, limit } => self.first_page.with(py, [limit.into_pyobject(py)?.into_any()]),
            Call::List { offset: Some(offset), limit } => {
                let (limit, offset) = (limit.into_pyobject(py)?, offset.into_pyobject(py)?);
                self.next_page.with(py, [limit.into_any(), offset.into_any()])
            }
            Call::History { key, .. } => self.history.with(py, [text(key)]),
            Call::Children => optional(self.children.as_ref())?.with(py, []),
            Call::Cancel { task_id, .. } => optional(self.cancel.as_ref())?.with(py, [text(task_id)]),
            Call::Delete { key, .. } => optional(self.delete.as_ref())?.with(py, [text(key)]),
        }
    }

    /// Whether the list can be told how many rows are wanted.
    pub fn takes_limit(&self) -> bool {
        let [limit] = self.first_page.takes;
        limit
    }

    /// Whether the list can be asked for a page other than the first.
    pub fn has_pages(&self) -> bool {
        let [_, offset] = self.next_page.takes;
        offset
    }
}

/// A callable that is only there if it was injected; nothing asks for it otherwise.
fn optional<const PARAMETERS: usize>(callable: Option<&Callable<PARAMETERS>>) -> PyResult<&Callable<PARAMETERS>> {
    callable.ok_or_else(|| PyKeyError::new_err("it was not injected"))
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
    answer.hasattr(pyo3::intern!(answer.py(), "__await__"))
}
