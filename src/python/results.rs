//! The results of a run, made into Python objects only where somebody asks.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use pyo3::exceptions::PyAttributeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyString, PyType};

use super::convert::to_py;
use super::lock;
use crate::core::plan::{Plan, Task};
use crate::core::report::TaskReport;
use crate::workflow::{Job, result_field};

/// What the core knows of a task's end. Its fields become Python objects when they are read.
#[pyclass(frozen, module = "parallel_agents._core")]
pub(super) struct Report {
    id: Arc<str>,
    agent_type: Arc<str>,
    task: Arc<TaskReport>,
    runtime: &'static str,
}

static STATUS: PyOnceLock<Py<PyType>> = PyOnceLock::new();

impl Report {
    fn field<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let end = &self.task.end;
        match name {
            // Big ones are not copied first.
            "output" => end.output().map_or_else(|| Ok(py.None().into_bound(py)), |output| to_py(py, output)),
            "raw" => Ok(end.raw().into_pyobject(py)?),
            "status" => STATUS.import(py, "parallel_agents._task", "AgentStatus")?.call1((end.status().name(),)),
            _ => {
                to_py(py, &result_field(&self.id, &self.agent_type, &self.task, self.runtime, name).unwrap_or_default())
            }
        }
    }
}

/// A field of a result, as an attribute of its class: read from the result's report when it is first asked for, and an
/// attribute of the result itself from then on.
#[pyclass(frozen, module = "parallel_agents._core")]
pub(super) struct LazyField {
    name: Py<PyString>,
}

#[pymethods]
impl LazyField {
    #[new]
    fn new(name: Py<PyString>) -> Self {
        Self { name }
    }

    fn __get__<'py>(
        slf: Bound<'py, Self>,
        instance: Option<Bound<'py, PyAny>>,
        _owner: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let Some(instance) = instance else { return Ok(slf.into_any()) };
        let name = slf.get().name.bind(py);
        let Some(report) = instance.getattr_opt(intern!(py, "_report"))? else {
            return Err(PyAttributeError::new_err(format!("it has no attribute '{name}'")));
        };
        let value = report.cast::<Report>()?.get().field(py, name.to_str()?)?;
        instance.setattr(name, &value)?;
        Ok(value)
    }
}

/// The results of one run.
pub(super) struct Results {
    plan: Mutex<Arc<Plan>>,
    runtime: &'static str,
    /// Tasks whose results need no mark of the caller's.
    marked: HashSet<Arc<str>>,
    ended: Mutex<Vec<Option<Arc<TaskReport>>>>,
}

impl Results {
    /// None yet.
    pub fn new(job: &Job, runtime: &'static str) -> Self {
        let ended = Mutex::new(vec![None; job.plan.tasks().len()]);
        Self { plan: Mutex::new(job.plan.clone()), runtime, marked: job.marked(), ended }
    }

    /// Whether the caller's function is yet to say what the result of a task counts as.
    pub fn wants_mark(&self, task_id: &str) -> bool {
        !self.marked.contains(task_id)
    }

    /// The tasks, those that were added among them.
    pub fn plan(&self) -> Arc<Plan> {
        lock(&self.plan).clone()
    }

    /// Tasks are added.
    pub fn grow(&self, first: usize, tasks: &[Task]) {
        let mut plan = lock(&self.plan);
        Arc::make_mut(&mut plan).grow(first, tasks);
        lock(&self.ended).resize(plan.tasks().len(), None);
    }

    /// A task has ended.
    pub fn keep(&self, report: Arc<TaskReport>) {
        let index = report.task_index;
        lock(&self.ended)[index] = Some(report);
    }

    /// The report of a task, if it has ended.
    pub fn get(&self, index: usize) -> Option<Report> {
        let task = lock(&self.ended)[index].clone()?;
        // Its plan is not held: one that others hold is copied whenever it grows.
        let (id, agent_type) = {
            let plan = lock(&self.plan);
            let of = &plan.tasks()[index];
            (of.id.clone(), of.agent_type.clone())
        };
        Some(Report { id, agent_type, task, runtime: self.runtime })
    }

    /// The reports of all tasks, in their order; `None` for one that has not ended.
    pub fn all<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let reports: Vec<Option<Report>> = (0..self.plan().tasks().len()).map(|index| self.get(index)).collect();
        PyList::new(py, reports)
    }
}
