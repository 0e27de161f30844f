//! What the interpreter knows of itself and of this package, for `parallel-agents doctor`.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::Value;

use super::convert::fields_from_py;
use crate::doctor;

/// This Python, as `parallel_agents._doctor` tells it.
pub(super) fn python(py: Python<'_>) -> PyResult<doctor::Python> {
    let facts = py.import("parallel_agents._doctor")?.getattr("facts")?.call0()?;
    let fields = fields_from_py(facts.cast::<PyDict>()?)?;
    serde_json::from_value(Value::Object(fields))
        .map_err(|error| pyo3::exceptions::PyRuntimeError::new_err(error.to_string()))
}
