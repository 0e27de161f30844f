//! The engine of an orchestrator and the handle on one of its runs.
//!
//! A run goes on by itself on its own thread, which never calls Python. Whoever waits for its events does so without
//! holding the interpreter, on a descriptor, so that a signal ends the wait at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::bridge;
use super::convert::{fields_from_py, to_py};
use super::errors;
use crate::agents::registry;
use crate::core::plan::Plan;
use crate::core::report::TaskReport;
use crate::core::task::TaskDraft;
use crate::workflow::{
    self, InputError, Level, RunError, RunEvent, RunHandle, RunOptions, RunSummary, Waiter, result_fields,
    summary_fields, wait_pair,
};

/// The checked options of an orchestrator.
#[pyclass(frozen, module = "parallel_agents._core")]
pub(super) struct Engine {
    options: RunOptions,
}

#[pymethods]
impl Engine {
    #[new]
    fn new(options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let py = options.py();
        let fields = fields_from_py(options).map_err(|error| errors::option_value(py, &error))?;
        let options = RunOptions::from_json(fields).map_err(|error| errors::input(py, &error))?;
        Ok(Self { options })
    }

    /// Checks the tasks, starts a run of them and puts it into `started`. Nothing is spent if they cannot be run.
    fn start(&self, py: Python<'_>, tasks: Vec<Bound<'_, PyDict>>, started: &Bound<'_, PyList>) -> PyResult<()> {
        let mut drafts = Vec::with_capacity(tasks.len());
        for (index, task) in tasks.iter().enumerate() {
            let fields =
                fields_from_py(task).map_err(|error| errors::task_value(py, &task_label(task, index), &error))?;
            let draft = TaskDraft::from_json(index, Value::Object(fields)).map_err(InputError::from);
            drafts.push(draft.map_err(|error| errors::input(py, &error))?);
        }
        let options = self.options.clone();
        let plan = workflow::plan(drafts, &registry(), options.hierarchy).map_err(|error| errors::input(py, &error))?;
        let runtime = options.runtime.name();
        let (waiter, waker) = wait_pair()?;
        let ready = Arc::new(Notify::new());
        let wake = {
            let ready = ready.clone();
            move || {
                waker.wake();
                ready.notify_one();
            }
        };
        let RunHandle { events, cancels } = workflow::start(plan.clone(), options.settings, options.runtime, wake)
            .map_err(|error| errors::run(py, &error))?;
        let run = Run {
            events: Mutex::new(events),
            waiter,
            ready,
            cancels,
            is_cancelled: AtomicBool::new(false),
            plan,
            runtime,
            last: Mutex::default(),
            ended: Mutex::default(),
        };
        started.append(Py::new(py, run)?)
    }

    /// `gateway` or `rehearsal`.
    #[getter]
    fn runtime(&self) -> &'static str {
        self.options.runtime.name()
    }
}

/// How errors name a task that has not been read yet.
pub(super) fn task_label(task: &Bound<'_, PyDict>, index: usize) -> String {
    let id = task.get_item("task_id").ok().flatten().and_then(|id| id.extract::<String>().ok());
    id.map_or_else(|| format!("number {}", index + 1), |id| format!("`{id}`"))
}

/// A run that goes on. Dropping it cancels the run.
#[pyclass(frozen, module = "parallel_agents._core")]
pub(super) struct Run {
    events: Mutex<UnboundedReceiver<RunEvent>>,
    waiter: Waiter,
    ready: Arc<Notify>,
    cancels: UnboundedSender<String>,
    is_cancelled: AtomicBool,
    plan: Plan,
    runtime: &'static str,
    /// What the run ended with, told again to whoever asks again.
    last: Mutex<Option<Result<RunSummary, RunError>>>,
    /// Reports of the tasks that have ended, kept so that an interrupt between two lines of Python loses none.
    ended: Mutex<Vec<TaskReport>>,
}

#[pymethods]
impl Run {
    /// The ids of the tasks, in the order given.
    #[getter]
    fn task_ids(&self) -> Vec<String> {
        self.plan.tasks().iter().map(|task| task.id.to_string()).collect()
    }

    /// The next event as `(kind, fields)`, or `None` if there is none yet. The last one is of kind `ended`, and is told
    /// again to whoever asks again; a run that could not be carried out raises instead.
    fn poll<'py>(&self, py: Python<'py>) -> PyResult<Option<(&'static str, Bound<'py, PyAny>)>> {
        let event = lock(&self.events).try_recv();
        match event {
            Ok(event) => self.told(py, event).map(Some),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => self.over(py).map(Some),
        }
    }

    /// Waits, without holding the interpreter, until there may be an event. A signal's exception ends the wait.
    fn wait(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.waiter.wait())?;
        py.check_signals()
    }

    /// The same for an event loop: an awaitable.
    fn ready<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let ready = self.ready.clone();
        bridge::awaitable(py, async move {
            ready.notified().await;
            Ok(())
        })
    }

    /// The results of all tasks that have been told as ended, in that order.
    fn results<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        lock(&self.ended).iter().map(|report| self.result(py, report)).collect()
    }

    /// Ends the run early. Asked again, that changes nothing, unless it insists: then the run ends at once and leaves
    /// behind what still runs.
    fn cancel(&self, reason: String, insist: bool) {
        if !self.is_cancelled.swap(true, Ordering::SeqCst) || insist {
            // A run that is over takes no reason any more, and needs none.
            let _ = self.cancels.send(reason);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is changed by single calls, which a panic cannot cut in half.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Run {
    fn result<'py>(&self, py: Python<'py>, report: &TaskReport) -> PyResult<Bound<'py, PyAny>> {
        let task = &self.plan.tasks()[report.task_index];
        to_py(py, &Value::Object(result_fields(task, report, self.runtime)))
    }

    fn told<'py>(&self, py: Python<'py>, event: RunEvent) -> PyResult<(&'static str, Bound<'py, PyAny>)> {
        match event {
            RunEvent::Notice { level, text } => {
                let level = match level {
                    Level::Info => "info",
                    Level::Warning => "warning",
                };
                Ok(("notice", to_py(py, &json!({"level": level, "text": text}))?))
            }
            RunEvent::TaskEnded(report) => {
                let result = self.result(py, &report);
                lock(&self.ended).push(*report);
                Ok(("result", result?))
            }
            RunEvent::Ended(summary) => self.over_with(py, Ok(summary)),
            RunEvent::Failed(error) => self.over_with(py, Err(error)),
        }
    }

    fn over_with<'py>(
        &self,
        py: Python<'py>,
        end: Result<RunSummary, RunError>,
    ) -> PyResult<(&'static str, Bound<'py, PyAny>)> {
        *lock(&self.last) = Some(end);
        self.over(py)
    }

    fn over<'py>(&self, py: Python<'py>) -> PyResult<(&'static str, Bound<'py, PyAny>)> {
        match &*lock(&self.last) {
            Some(Ok(summary)) => Ok(("ended", to_py(py, &summary_fields(summary))?)),
            Some(Err(error)) => Err(errors::run(py, error)),
            None => Err(errors::run(py, &RunError::Internal("the run ended without a word".to_owned()))),
        }
    }
}
