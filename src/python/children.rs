//! The handle on agents that a program starts one by one, for `parallel_agents.openclaw`.
//!
//! Whoever waits for an answer does so without holding the interpreter, on a descriptor, so that a signal ends the wait
//! at once; what an interrupted call has started is stopped then, since nobody knows its name.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::convert::{fields_from_py, to_py};
use super::errors;
use super::registry::agent_types;
use crate::workflow::{ChildCall, ChildOrder, ChildQuery, RunError, RunOptions};

/// The agents of one program on one gateway.
#[pyclass(frozen, module = "parallel_agents._core")]
pub(super) struct Children {
    children: crate::workflow::Children,
}

#[pymethods]
impl Children {
    #[new]
    fn new(options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let py = options.py();
        let fields = fields_from_py(options).map_err(|error| errors::option_value(py, &error))?;
        let options = RunOptions::from_json(fields).map_err(|error| errors::input(py, &error))?;
        let children = crate::workflow::Children::new(options).map_err(|error| errors::run(py, &error))?;
        Ok(Self { children })
    }

    /// Starts an agent; the answer of `sessions_spawn`.
    fn spawn<'py>(&self, fields: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
        let py = fields.py();
        let fields = fields_from_py(fields).map_err(|error| errors::option_value(py, &error))?;
        let order = ChildOrder::from_json(fields, &*agent_types(py)?);
        answer(py, self.children.spawn(order.map_err(|error| errors::input(py, &error))?))
    }

    /// The answer of `sessions_list`.
    fn list<'py>(&self, query: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
        let py = query.py();
        let fields = fields_from_py(query).map_err(|error| errors::option_value(py, &error))?;
        let query = ChildQuery::from_json(fields).map_err(|error| errors::input(py, &error))?;
        answer(py, self.children.list(query))
    }

    /// The answer of `sessions_history`.
    fn history<'py>(&self, py: Python<'py>, key: String, limit: Option<usize>) -> PyResult<Bound<'py, PyAny>> {
        answer(py, self.children.history(key, limit))
    }

    /// Stops the agent of a session of this program's own; whether there is one.
    fn cancel<'py>(&self, py: Python<'py>, key: String) -> PyResult<Bound<'py, PyAny>> {
        answer(py, self.children.cancel(key))
    }

    /// Deletes a session of this program's own; whether there is one.
    fn delete<'py>(&self, py: Python<'py>, key: String) -> PyResult<Bound<'py, PyAny>> {
        answer(py, self.children.delete(key))
    }

    /// Stops agents and deletes sessions; what was done and what stays, or `None` if nothing was ever asked.
    fn close<'py>(&self, py: Python<'py>, stop_all: bool) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.children.close(stop_all).map(|call| answer(py, Ok(call))).transpose()
    }

    /// What a person should know, once each.
    fn notices(&self) -> Vec<String> {
        self.children.notices()
    }
}

fn answer(py: Python<'_>, call: Result<ChildCall, RunError>) -> PyResult<Bound<'_, PyAny>> {
    let mut call = call.map_err(|error| errors::run(py, &error))?;
    loop {
        if let Some(answer) = call.poll() {
            return to_py(py, &answer.map_err(|error| errors::run(py, &error))?);
        }
        let waited = py.detach(|| call.wait()).map_err(PyErr::from).and_then(|()| py.check_signals());
        if let Err(interrupted) = waited {
            call.forsake();
            return Err(interrupted);
        }
    }
}
