//! Between Python objects and JSON values. What JSON cannot hold is refused with the path to it.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Map, Number, Value};

/// How deep data may nest. `serde_json` reads no deeper.
const DEPTH_MAX: usize = 120;

/// A dict as a JSON object. Errors begin with the path to the offending value, such as `` `input_data.files[2]` ``.
pub(super) fn fields_from_py(dict: &Bound<'_, PyDict>) -> PyResult<Map<String, Value>> {
    object(dict, "", 0)
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
                dict.set_item(name, to_py(py, field)?)?;
            }
            dict.into_any()
        }
    })
}
