//! The results of a run, made into Python objects one by one and only where somebody asks.

use std::sync::{Arc, Mutex};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};

use super::convert::to_py;
use super::lock;
use crate::core::plan::Plan;
use crate::core::report::TaskReport;
use crate::workflow::result_field;

/// What the core knows of a task's end. Its fields become Python objects when they are read.
#[pyclass(frozen, module = "parallel_agents._core")]
pub(super) struct Report {
    plan: Arc<Plan>,
    task: Box<TaskReport>,
    runtime: &'static str,
}

#[pymethods]
impl Report {
    /// The field of that name; `None` for one that there is not.
    fn field<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let (task, end) = (&self.plan.tasks()[self.task.task_index], &self.task.end);
        match name {
            // Big ones are not copied first.
            "output" => end.output().map_or_else(|| Ok(py.None().into_bound(py)), |output| to_py(py, output)),
            "raw" => Ok(end.raw().into_pyobject(py)?),
            _ => to_py(py, &result_field(task, &self.task, self.runtime, name).unwrap_or_default()),
        }
    }
}

enum Slot {
    Open,
    Ended(Box<TaskReport>),
    Made(Py<PyAny>),
}

/// The results of one run.
pub(super) struct Results {
    plan: Arc<Plan>,
    runtime: &'static str,
    slots: Mutex<Vec<Slot>>,
}

static FROM_CORE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

impl Results {
    /// None yet.
    pub fn new(plan: Arc<Plan>, runtime: &'static str) -> Self {
        let slots = plan.tasks().iter().map(|_| Slot::Open).collect();
        Self { plan, runtime, slots: Mutex::new(slots) }
    }

    /// A task has ended.
    pub fn keep(&self, report: Box<TaskReport>) {
        let index = report.task_index;
        lock(&self.slots)[index] = Slot::Ended(report);
    }

    /// The result of a task, if it has ended: always the same object.
    pub fn get<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Option<Bound<'py, PyAny>>> {
        let from_core = FROM_CORE.get_or_try_init(py, || {
            py.import("parallel_agents._task")?.getattr("result_from_core").map(Bound::unbind)
        })?;
        let report = match &mut lock(&self.slots)[index] {
            Slot::Open => return Ok(None),
            Slot::Made(made) => return Ok(Some(made.bind(py).clone())),
            slot @ Slot::Ended(_) => match std::mem::replace(slot, Slot::Open) {
                Slot::Ended(report) => report,
                Slot::Open | Slot::Made(_) => return Ok(None),
            },
        };
        let report = Report { plan: self.plan.clone(), task: report, runtime: self.runtime };
        let made = from_core.bind(py).call1((report,))?;
        lock(&self.slots)[index] = Slot::Made(made.clone().unbind());
        Ok(Some(made))
    }

    /// Task id to result, of all tasks that have ended, in the order of the tasks.
    pub fn all<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let all = PyDict::new(py);
        for (index, task) in self.plan.tasks().iter().enumerate() {
            if let Some(result) = self.get(py, index)? {
                all.set_item(PyString::new(py, &task.id), result)?;
            }
        }
        Ok(all)
    }
}
