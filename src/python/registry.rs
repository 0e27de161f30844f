//! The agent types, for `parallel_agents._agents` and `_registry`.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::Value;

use super::convert::{fields_from_py, to_py};
use super::errors;
use crate::agents::{AgentError, AgentType, Registry, Wishes, registry, registry_mut, type_name};
use crate::workflow::{load_own_types, own_folder, passed_over_line, read_own_types};

/// The agent types, the user's own among them. What is passed over is told to the package's logger.
pub(super) fn agent_types(py: Python<'_>) -> PyResult<std::sync::RwLockReadGuard<'static, Registry>> {
    tell(py, &read_own_types())?;
    Ok(registry())
}

fn tell(py: Python<'_>, lines: &[String]) -> PyResult<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let logger = py.import("logging")?.call_method1("getLogger", ("parallel_agents",))?;
    for line in lines {
        logger.call_method1("warning", ("%s", line))?;
    }
    Ok(())
}

fn folder_or_own(py: Python<'_>, folder: Option<PathBuf>) -> PyResult<PathBuf> {
    folder.or_else(own_folder).ok_or_else(|| errors::agent(py, &AgentError::NoFolder))
}

/// All agent types, as dicts, in the order of the registry.
#[pyfunction]
#[pyo3(name = "agent_types")]
pub(super) fn agent_types_listed(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyAny>>> {
    let types: Vec<Value> = agent_types(py)?.list(None).map(|agent_type| agent_type.describe()).collect();
    types.iter().map(|agent_type| to_py(py, agent_type)).collect()
}

/// The names of all agent types, in the order of the registry.
#[pyfunction]
pub(super) fn agent_names(py: Python<'_>) -> PyResult<Vec<String>> {
    Ok(agent_types(py)?.list(None).map(|agent_type| agent_type.name.to_string()).collect())
}

/// Whether there is an agent type of that name.
#[pyfunction]
pub(super) fn has_agent_type(py: Python<'_>, name: &str) -> PyResult<bool> {
    Ok(agent_types(py)?.get(name).is_ok())
}

/// One agent type, as a dict with its prompt and schema.
#[pyfunction]
pub(super) fn agent_type<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let found = agent_types(py)?.get(name);
    to_py(py, &found.map_err(|error| errors::agent(py, &error))?.describe())
}

/// What an agent type was designed as.
#[pyfunction]
pub(super) fn agent_design<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let found = agent_types(py)?.get(name);
    to_py(py, &found.map_err(|error| errors::agent(py, &error))?.design())
}

/// The name of the agent type that is made of a design of this name, if there can be one.
#[pyfunction]
pub(super) fn agent_type_name(name: &str) -> Option<String> {
    type_name(name)
}

/// Adds an agent type from its fields.
#[pyfunction]
pub(super) fn add_agent_type(fields: &Bound<'_, PyDict>, prompt: &str, replace: bool) -> PyResult<()> {
    let py = fields.py();
    let name = fields.get_item("name")?.map_or_else(|| "without a name".to_owned(), |name| name.to_string());
    let fields = fields_from_py(fields).map_err(|error| errors::agent_value(py, &name, &error))?;
    let agent_type = AgentType::new(fields.into(), prompt, &name).map_err(|error| errors::agent(py, &error))?;
    tell(py, &read_own_types())?;
    let added = registry_mut().add(agent_type, replace);
    added.map(drop).map_err(|error| errors::agent(py, &error))
}

/// Adds the agent types of a Markdown file, or of all Markdown files of a folder. Returns their names.
#[pyfunction]
pub(super) fn load_agent_types(py: Python<'_>, path: PathBuf, replace: bool) -> PyResult<Vec<String>> {
    tell(py, &read_own_types())?;
    let added = registry_mut().load(&path, replace);
    let added = added.map_err(|error| errors::agent(py, &error))?;
    Ok(added.into_iter().map(|agent_type| agent_type.name.to_string()).collect())
}

/// Makes an agent type of a design and keeps it in `folder`, or in the user's own. Returns its name.
#[pyfunction]
#[pyo3(signature = (design, name, description, category, timeout_seconds, replace, folder))]
pub(super) fn keep_agent_type(
    design: &Bound<'_, PyDict>,
    name: Option<String>,
    description: Option<String>,
    category: Option<String>,
    timeout_seconds: Option<f64>,
    replace: bool,
    folder: Option<PathBuf>,
) -> PyResult<String> {
    let py = design.py();
    let design = fields_from_py(design).map_err(|error| errors::agent_value(py, "of a design", &error))?;
    let folder = folder_or_own(py, folder)?;
    tell(py, &read_own_types())?;
    let wishes = Wishes { name, description, category, timeout_seconds };
    let kept = py.detach(|| registry_mut().keep(&Value::Object(design), &wishes, replace, &folder));
    kept.map(|agent_type| agent_type.name.to_string()).map_err(|error| errors::agent(py, &error))
}

/// Reads the agent types that `folder`, or the user's own, keeps now. Returns their names.
#[pyfunction]
#[pyo3(signature = (folder))]
pub(super) fn load_kept_agent_types(py: Python<'_>, folder: Option<PathBuf>) -> PyResult<Vec<String>> {
    let Some(folder) = folder else {
        let (names, lines) = load_own_types().map_err(|error| errors::agent(py, &error))?;
        tell(py, &lines)?;
        return Ok(names);
    };
    tell(py, &read_own_types())?;
    // Unlike one's own folder, one that is named must be there.
    let found = std::fs::read_dir(&folder).map_err(|source| AgentError::Read { path: folder.clone(), source });
    let loaded = found.and_then(|_| registry_mut().load_kept(&folder));
    let (loaded, passed_over) = loaded.map_err(|error| errors::agent(py, &error))?;
    tell(py, &passed_over.iter().map(passed_over_line).collect::<Vec<_>>())?;
    Ok(loaded.into_iter().map(|agent_type| agent_type.name.to_string()).collect())
}

/// Takes an agent type out, and deletes its file if it is one of the user's own.
#[pyfunction]
pub(super) fn remove_agent_type(py: Python<'_>, name: &str) -> PyResult<()> {
    tell(py, &read_own_types())?;
    let removed = registry_mut().remove(name);
    removed.map_err(|error| errors::agent(py, &error))
}

/// The names and files of the user's own agent types.
#[pyfunction]
pub(super) fn kept_agent_types(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let kept: Vec<(String, PathBuf)> = agent_types(py)?
        .list(None)
        .filter_map(|agent_type| Some((agent_type.name.to_string(), agent_type.origin.kept()?.to_owned())))
        .collect();
    let dict = PyDict::new(py);
    for (name, path) in kept {
        dict.set_item(name, path)?;
    }
    Ok(dict)
}

/// The folder that keeps the user's own agent types.
#[pyfunction]
pub(super) fn agent_folder(py: Python<'_>) -> PyResult<PathBuf> {
    folder_or_own(py, None)
}
