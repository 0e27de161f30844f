//! The engine of an orchestrator and the handle on one of its runs.
//!
//! A run goes on by itself on its own thread, which never calls Python. Whoever waits for its events does so without
//! holding the interpreter, on a descriptor, so that a signal ends the wait at once.

use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::convert::{fields_from_py, to_py};
use super::errors;
use crate::agents::registry;
use crate::core::plan::Plan;
use crate::core::report::TaskReport;
use crate::core::task::TaskDraft;
use crate::workflow::{
    self, InputError, Level, RunError, RunEvent, RunHandle, RunOptions, Waiter, result_fields, summary_fields,
    wait_pair,
};

/// How long an interpreter's exit waits for the bridge at the most: 1 s.
const SETTLE_LOOKS: u32 = 1_000;
const SETTLE_PAUSE: Duration = Duration::from_millis(1);

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

    /// Checks the tasks and starts a run of them. Nothing is spent if they cannot be run.
    fn start(&self, py: Python<'_>, tasks: Vec<Bound<'_, PyDict>>) -> PyResult<Run> {
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
        Ok(Run { events: Mutex::new(events), waiter, ready, cancels, plan, runtime, ended: Mutex::default() })
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

/// Waits, at the interpreter's exit, until no task of the event loops' bridge can reach for the interpreter any more: a
/// thread that does so while the interpreter goes away takes the process down.
fn settle_at_exit(py: Python<'_>) -> PyResult<()> {
    static ONCE: Once = Once::new();
    if ONCE.is_completed() {
        return Ok(());
    }
    let settle = PyCFunction::new_closure(py, None, None, |arguments, _| {
        let metrics = pyo3_async_runtimes::tokio::get_runtime().metrics();
        arguments.py().detach(|| {
            for _ in 0..SETTLE_LOOKS {
                if metrics.num_alive_tasks() == 0 {
                    break;
                }
                #[expect(clippy::disallowed_methods, reason = "there is no event loop left to wait on")]
                std::thread::sleep(SETTLE_PAUSE);
            }
        });
    })?;
    py.import("atexit")?.call_method1("register", (settle,))?;
    ONCE.call_once(|| {});
    Ok(())
}

/// A run that goes on. Dropping it cancels the run.
#[pyclass(frozen, module = "parallel_agents._core")]
pub(super) struct Run {
    events: Mutex<UnboundedReceiver<RunEvent>>,
    waiter: Waiter,
    ready: Arc<Notify>,
    cancels: UnboundedSender<String>,
    plan: Plan,
    runtime: &'static str,
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

    /// The next event as `(kind, fields)`, or `None` if there is none yet. The last one is of kind `ended`; a run that
    /// could not be carried out raises instead.
    fn poll<'py>(&self, py: Python<'py>) -> PyResult<Option<(&'static str, Bound<'py, PyAny>)>> {
        let event = lock(&self.events).try_recv();
        match event {
            Ok(event) => self.told(py, event).map(Some),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(errors::run(py, &RunError::Internal("the run is over".to_owned()))),
        }
    }

    /// Waits, without holding the interpreter, until there may be an event. A signal's exception ends the wait.
    fn wait(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.waiter.wait())?;
        py.check_signals()
    }

    /// The same for an event loop: an awaitable.
    fn ready<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        settle_at_exit(py)?;
        let ready = self.ready.clone();
        pyo3_async_runtimes::tokio::future_into_py(py, async move {
            ready.notified().await;
            Ok(())
        })
    }

    /// The results of all tasks that have been told as ended, in that order.
    fn results<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        lock(&self.ended).iter().map(|report| self.result(py, report)).collect()
    }

    /// Ends the run early. Asked twice, it ends at once and leaves behind what still runs.
    fn cancel(&self, reason: String) {
        // A run that is over takes no reason any more, and needs none.
        let _ = self.cancels.send(reason);
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
            RunEvent::Ended(summary) => Ok(("ended", to_py(py, &summary_fields(&summary))?)),
            RunEvent::Failed(error) => Err(errors::run(py, &error)),
        }
    }
}
