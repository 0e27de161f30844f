//! Between Python objects and JSON values. What JSON cannot hold is refused with the path to it.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use foldhash::fast::RandomState;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType};
use serde_json::{Map, Number, Value};

use super::lock;
use crate::core::task::{TaskDraft, TaskParts};

/// How deep data may nest. `serde_json` reads no deeper.
const DEPTH_MAX: usize = 120;

/// A dict as a JSON object. Errors begin with the path to the offending value, such as `` `input_data.files[2]` ``.
pub(super) fn fields_from_py(dict: &Bound<'_, PyDict>) -> PyResult<Map<String, Value>> {
    object(dict, "", 0)
}

static AGENT_TASK: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// The draft of an `AgentTask` that is all in order and has neither models nor a schema nor a deadline of its own: read straight from its
/// attributes, many times quicker than by way of JSON. `None` for any other task; what is wrong with it, if anything is,
/// comes out when it is read field by field.
pub(super) fn draft_from_task(task: &Bound<'_, PyAny>) -> PyResult<Option<TaskDraft>> {
    let py = task.py();
    if !task.get_type().is(AGENT_TASK.import(py, "parallel_agents._task", "AgentTask")?) {
        return Ok(None);
    }
    let get = |name| task.getattr_opt(name);
    let text = |name| Ok::<_, PyErr>(get(name)?.and_then(|found| found.cast_into::<PyString>().ok()));
    let rare =
        [intern!(py, "model"), intern!(py, "models"), intern!(py, "output_schema"), intern!(py, "deadline_seconds")];
    for name in rare {
        if get(name)?.is_none_or(|found| !found.is_none()) {
            return Ok(None);
        }
    }
    let (Some(task_id), Some(agent_type), Some(task_description), Some(output_format)) = (
        text(intern!(py, "task_id"))?,
        text(intern!(py, "agent_type"))?,
        text(intern!(py, "task_description"))?,
        text(intern!(py, "output_format"))?,
    ) else {
        return Ok(None);
    };
    let number =
        |found: &Bound<'_, PyAny>| found.is_exact_instance_of::<PyInt>() || found.is_exact_instance_of::<PyFloat>();
    let (Some(timeout), Some(priority)) = (get(intern!(py, "timeout_seconds"))?, get(intern!(py, "priority"))?) else {
        return Ok(None);
    };
    if !number(&timeout) || !priority.is_exact_instance_of::<PyInt>() {
        return Ok(None);
    }
    let (Some(input_data), Some(dependencies)) = (get(intern!(py, "input_data"))?, get(intern!(py, "dependencies"))?)
    else {
        return Ok(None);
    };
    let (Ok(input_data), Ok(dependencies)) = (input_data.cast::<PyDict>(), dependencies.cast::<PyList>()) else {
        return Ok(None);
    };
    let dependencies = if dependencies.is_empty() { Ok(Vec::new()) } else { dependencies.extract::<Vec<String>>() };
    let (Ok(input_data), Ok(dependencies), Ok(priority)) =
        (fields_from_py(input_data), dependencies, priority.extract::<i64>())
    else {
        return Ok(None);
    };
    let (Ok(task_id), Ok(agent_type), Ok(task_description), Ok(output_format)) =
        (task_id.to_str(), agent_type.to_str(), task_description.to_str(), output_format.to_str())
    else {
        return Ok(None);
    };
    let timeout_seconds = timeout.extract()?;
    Ok(TaskDraft::from_parts(TaskParts {
        task_id,
        agent_type,
        task_description,
        input_data,
        timeout_seconds,
        output_format,
        priority,
        dependencies,
    }))
}

/// Any Python value that JSON can hold: `None`, `bool`, `int`, `float`, `str`, `list`, `tuple`, `dict` with text keys,
/// and their subclasses, text enums included.
fn from_py(value: &Bound<'_, PyAny>, path: &str, depth: usize) -> PyResult<Value> {
    if depth > DEPTH_MAX {
        return Err(refused(path, &format!("nests deeper than {DEPTH_MAX} levels")));
    }
    if value.is_none() {
        return Ok(Value::Null);
    }
    // Booleans are integers in Python and come first.
    if let Ok(boolean) = value.cast::<PyBool>() {
        return Ok(Value::Bool(boolean.is_true()));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return utf8(text, path).map(Value::String);
    }
    if value.is_instance_of::<PyInt>() {
        let whole = value.extract::<i64>().map(Number::from).or_else(|_| value.extract::<u64>().map(Number::from));
        return whole
            .map(Value::Number)
            .map_err(|_| refused(path, &format!("is the integer {value}, which does not fit into 64 bits")));
    }
    if value.is_instance_of::<PyFloat>() {
        let number: f64 = value.extract()?;
        return Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| refused(path, &format!("is `{number}`, which is no number in JSON")));
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        return object(dict, path, depth).map(Value::Object);
    }
    let items = if let Ok(list) = value.cast::<PyList>() {
        list.iter().collect::<Vec<_>>()
    } else if let Ok(tuple) = value.cast::<PyTuple>() {
        tuple.iter().collect()
    } else {
        let class = value.get_type().name()?;
        return Err(refused(path, &format!("is of type `{class}`, which cannot be written as JSON")));
    };
    let item = |(index, item): (usize, &Bound<'_, PyAny>)| from_py(item, &format!("{path}[{index}]"), depth + 1);
    items.iter().enumerate().map(item).collect::<PyResult<Vec<_>>>().map(Value::Array)
}

fn object(dict: &Bound<'_, PyDict>, path: &str, depth: usize) -> PyResult<Map<String, Value>> {
    let mut fields = Map::with_capacity(dict.len());
    for (key, value) in dict.iter() {
        let Ok(name) = key.cast::<PyString>() else {
            let shown = key.repr()?;
            return Err(refused(path, &format!("has the key {shown}, which is not a text")));
        };
        let name = utf8(name, path)?;
        let dot = if path.is_empty() { "" } else { "." };
        let value = from_py(&value, &format!("{path}{dot}{name}"), depth + 1)?;
        fields.insert(name, value);
    }
    Ok(fields)
}

/// A text, unless it holds half of a surrogate pair, which no encoding can carry.
fn utf8(text: &Bound<'_, PyString>, path: &str) -> PyResult<String> {
    text.to_str().map(str::to_owned).map_err(|_| {
        refused(
            path,
            &format!(
                "holds {}, which is not valid Unicode",
                text.repr().map_or_else(|_| "a text".to_owned(), |shown| shown.to_string())
            ),
        )
    })
}

fn refused(path: &str, problem: &str) -> PyErr {
    let place = if path.is_empty() { "it".to_owned() } else { format!("`{path}`") };
    PyTypeError::new_err(format!("{place} {problem}"))
}

/// Names of fields that were seen before, as Python objects: answers of one kind share them.
static KEYS: LazyLock<Mutex<Keys>> = LazyLock::new(Mutex::default);
type Keys = HashMap<Box<str>, Py<PyString>, RandomState>;
/// How many are remembered, and how long one may be, in bytes.
const KEYS_MAX: usize = 1_024;
const KEY_BYTES_MAX: usize = 64;

fn key<'py>(py: Python<'py>, name: &str) -> Bound<'py, PyString> {
    if name.len() > KEY_BYTES_MAX {
        return PyString::new(py, name);
    }
    let mut keys = lock(&KEYS);
    if let Some(known) = keys.get(name) {
        return known.bind(py).clone();
    }
    let new = PyString::new(py, name);
    if keys.len() < KEYS_MAX {
        keys.insert(name.into(), new.clone().unbind());
    }
    new
}

/// A JSON value as a Python object.
pub(super) fn to_py<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(boolean) => PyBool::new(py, *boolean).to_owned().into_any(),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), _, _) => PyInt::new(py, whole).into_any(),
            (None, Some(whole), _) => PyInt::new(py, whole).into_any(),
            (None, None, number) => PyFloat::new(py, number.unwrap_or(f64::NAN)).into_any(),
        },
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Array(items) => {
            let items: PyResult<Vec<_>> = items.iter().map(|item| to_py(py, item)).collect();
            PyList::new(py, items?)?.into_any()
        }
        Value::Object(fields) => {
            let dict = PyDict::new(py);
            for (name, field) in fields {
                dict.set_item(key(py, name), to_py(py, field)?)?;
            }
            dict.into_any()
        }
    })
}
