//! The extension module `parallel_agents._core`: conversions, one error mapping, and a handle on a run.
//!
//! Thin on purpose: what is decided is decided in [`core`](crate::core), what is shown to users in Python.

// The macros of PyO3 take Python objects by value.
#![allow(clippy::needless_pass_by_value, missing_docs)]

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::core::plan::Plan;
use crate::workflow::{LiveSessions, lock};

// Some 90 small allocations a task: with the system's allocator they cost a third of all that a task costs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod bridge;
mod children;
mod convert;
mod doctor;
mod errors;
mod registry;
mod results;
mod run;
mod tools;

/// Task id to session key, of the agents that are under way.
fn live_sessions<'py>(py: Python<'py>, plan: &Plan, live: &LiveSessions) -> PyResult<Bound<'py, PyDict>> {
    let live = lock(live).clone();
    let sessions = PyDict::new(py);
    for (task, key) in plan.tasks().iter().zip(live) {
        if let Some(key) = key {
            sessions.set_item(&*task.id, &*key)?;
        }
    }
    Ok(sessions)
}

#[pymodule]
mod _core {
    use std::path::{Path, PathBuf};

    use pyo3::exceptions::PyValueError;
    use pyo3::prelude::*;
    use pyo3::types::PyDict;
    use serde_json::{Value, json};

    use super::convert::{fields_from_py, to_py};
    use super::registry::agent_types;
    use super::run::task_label;
    use super::{doctor, errors};
    use crate::cli::{Detached, Outcome, Script};
    use crate::core::fact::Event;
    use crate::core::hierarchy::DEFAULT_MODELS;
    use crate::core::task::TaskDraft;
    use crate::journal::Journal;
    use crate::workflow::{InputError, Settings, run_fields, with_causes};

    #[pymodule_export]
    use super::children::Children;
    #[pymodule_export]
    use super::registry::{
        add_agent_type, agent_design, agent_folder, agent_names, agent_type, agent_type_name, agent_types_listed,
        has_agent_type, keep_agent_type, kept_agent_types, load_agent_types, load_kept_agent_types, remove_agent_type,
    };
    #[pymodule_export]
    use super::results::{LazyField, Report};
    #[pymodule_export]
    use super::run::{Engine, Run};
    #[pymodule_export]
    use super::tools::{ToolRun, Toolbox};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("DEFAULT_MODELS", DEFAULT_MODELS)
    }

    /// Checks one task in itself, and that its agent type exists.
    #[pyfunction]
    fn check_task(fields: &Bound<'_, PyDict>) -> PyResult<()> {
        let py = fields.py();
        let task = task_label(fields, 0);
        let fields = fields_from_py(fields).map_err(|error| errors::task_value(py, &task, &error))?;
        let draft = TaskDraft::from_json(0, fields.into()).map_err(InputError::from);
        let draft = draft.map_err(|error| errors::input(py, &error))?;
        let found = agent_types(py)?.get(&draft.agent_type);
        found.map(drop).map_err(|error| errors::agent(py, &error))
    }

    /// How a run of the journal at `path` was started: its whole id, its options, the name of its runtime; and whether it
    /// is over.
    #[pyfunction]
    fn stored_run<'py>(py: Python<'py>, path: PathBuf, run_id: &str) -> PyResult<Bound<'py, PyAny>> {
        let stored = py.detach(|| Journal::open_read(&path)?.read(run_id));
        let stored = stored.map_err(|error| errors::journal(py, &error))?;
        let ended = stored.facts.last().is_some_and(|fact| matches!(fact.event, Event::RunEnded));
        let fields = json!({
            "id": stored.id, "options": stored.options, "runtime": stored.runtime, "ended": ended,
        });
        to_py(py, &fields)
    }

    /// The runs of the journal at `path`, the latest first.
    #[pyfunction]
    fn stored_runs(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyAny>> {
        let runs = py.detach(|| Journal::open_read(&path)?.runs()).map_err(|error| errors::journal(py, &error))?;
        to_py(py, &runs.iter().map(run_fields).collect())
    }

    /// The standing options of runs, of this user. A `ValueError` names the file and the field that cannot be used.
    #[pyfunction]
    fn settings(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        let found = py.detach(Settings::find);
        let found = found.map_err(|error| PyValueError::new_err(with_causes(&error)))?;
        to_py(py, &Value::Object(found.fields))
    }

    /// What people configured in an old folder of the skill, by Python's own reader of Python.
    fn read_old_skill(folder: &Path) -> Result<Value, String> {
        Python::attach(|py| {
            let read = py.import("parallel_agents._old_skill")?.getattr("read_folder")?.call1((folder,))?;
            let text: String = py.import("json")?.call_method1("dumps", (read,))?.extract()?;
            Ok(text)
        })
        .map_err(|error: PyErr| error.to_string())
        .and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()))
    }

    /// Whether Ctrl-C was pressed since somebody last asked.
    fn interrupted() -> bool {
        Python::attach(|py| py.check_signals().is_err())
    }

    /// The command `parallel-agents`. Returns its exit code, or the script or the process that it asks to be started;
    /// Ctrl-C stops the agents first.
    #[pyfunction]
    fn main(py: Python<'_>, arguments: Vec<String>) -> PyResult<Bound<'_, PyAny>> {
        let python = py.import("sys")?.getattr("executable")?.extract::<Option<PathBuf>>()?;
        let outcome = py.detach(|| crate::cli::run(&arguments, python, &read_old_skill, &interrupted));
        match outcome {
            Outcome::Code(code) => Ok(code.into_pyobject(py)?.into_any()),
            Outcome::Doctor(doctor) => {
                let python = doctor::python(py)?;
                let code = py.detach(|| crate::cli::doctor(&doctor, Some(python), &interrupted));
                Ok(code.into_pyobject(py)?.into_any())
            }
            Outcome::Script(script) => {
                let Script { path, arguments, gateway } = script;
                to_py(py, &json!({ "script": path, "arguments": arguments, "gateway": gateway }))
            }
            Outcome::Detached(Detached { order, arguments, log, answer }) => {
                to_py(py, &json!({ "order": order, "arguments": arguments, "log": log, "answer": answer }))
            }
        }
    }
}
