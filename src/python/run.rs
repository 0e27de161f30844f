//! The engine of an orchestrator and the handle on one of its runs.
//!
//! A run goes on by itself on its own thread, which never calls Python. Whoever waits for its events does so without
//! holding the interpreter, on a descriptor, so that a signal ends the wait at once.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::convert::{draft_from_task, fields_from_py, to_py};
use super::registry::agent_types;
use super::results::Results;
use super::tools::{ToolRun, Toolbox};
use super::{bridge, errors, lock};
use crate::core::shell::shell_word;
use crate::core::strategy::Word;
use crate::core::task::TaskDraft;
use crate::driver::Wish;
use crate::journal::{Durability, Journal};
use crate::workflow::{
    self, Answers, InputError, Job, Keeping, LiveSessions, Origin, Planner, Recalled, RunError, RunEvent, RunHandle,
    RunOptions, RunSummary, TOOLS, Waiter, durability_of, recall, run_id, sessions_left_fields, stored_options,
    summary_fields, totals_fields, wait_pair,
};

/// The checked options of an orchestrator.
#[pyclass(frozen, module = "parallel_agents._core")]
pub(super) struct Engine {
    options: RunOptions,
    /// The same as they were given, without secrets: what a journal keeps.
    source: Value,
    toolbox: Option<Py<Toolbox>>,
    journal: Option<(PathBuf, Durability)>,
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (options, toolbox=None, journal=None, durability=None))]
    fn new(
        options: &Bound<'_, PyDict>,
        toolbox: Option<Py<Toolbox>>,
        journal: Option<PathBuf>,
        durability: Option<&str>,
    ) -> PyResult<Self> {
        let py = options.py();
        let fields = fields_from_py(options).map_err(|error| errors::option_value(py, &error))?;
        let mut kept = fields.clone();
        // The default is left to whoever resumes it.
        kept.extend(
            durability
                .filter(|level| *level != Durability::Process.name())
                .map(|level| ("durability".to_owned(), json!(level))),
        );
        let source = stored_options(kept);
        let options = RunOptions::from_json(fields).map_err(|error| errors::input(py, &error))?;
        let durability = durability_of(durability).map_err(|error| errors::input(py, &error))?;
        Ok(Self { options, source, toolbox, journal: journal.map(|path| (whole(path), durability)) })
    }

    /// What its runs are carried out by: `gateway`, `rehearsal` or `tools`.
    #[getter]
    fn runtime(&self) -> &'static str {
        if self.toolbox.is_some() { TOOLS } else { self.options.runtime.name() }
    }

    /// Checks the tasks, starts a run of them and puts it into `started`. Nothing is spent if they cannot be run.
    /// `tasks` are `AgentTask`s or what `fields` makes a dict of; none, for a `strategy` that makes them itself.
    #[pyo3(signature = (tasks, started, strategy=None))]
    fn start(
        &self,
        py: Python<'_>,
        tasks: Vec<Bound<'_, PyAny>>,
        started: &Bound<'_, PyList>,
        strategy: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let plan = {
            // Reading a task may run foreign code, which may ask for agent types: the registry is not kept locked.
            let registry = agent_types(py)?.clone();
            let mut planner = Planner::new(&registry, self.options.hierarchy.clone());
            for task in &tasks {
                let draft = match draft_from_task(task)? {
                    Some(draft) => draft,
                    None => draft_from_fields(planner.count(), task)?,
                };
                planner.add(draft).map_err(|error| errors::input(py, &error))?;
            }
            planner.finish().map_err(|error| errors::input(py, &error))?
        };
        let (options, mut source) = self.steered_options(py, strategy)?;
        let registry = agent_types(py)?.clone();
        let job = Job::new(plan, &options, &registry).map_err(|error| errors::input(py, &error))?;
        let (origin, id) = match self.open_journal(py)? {
            None => (Origin::New(None), None),
            Some(journal) => {
                let id = run_id();
                let kept_in = journal.path().display().to_string();
                let resume = if self.toolbox.is_some() {
                    format!("Orchestrator.resume(\"{id}\", \"{kept_in}\", tools=...)")
                } else {
                    format!("parallel-agents resume --journal {} {id}", shell_word(&kept_in))
                };
                let keeping = Keeping { journal, id: id.clone(), options: source.take(), resume };
                (Origin::New(Some(Box::new(keeping))), Some(id))
            }
        };
        self.begin(py, job.from(origin), id, started)
    }

    /// Goes on with a run of the journal and puts it into `started`. `answers` are those to its agents' questions, by task
    /// id; with `has_new_budget` what an earlier budget kept from starting is started; `strategy` is what it was started
    /// with, and whether the caller can say what results count as.
    #[pyo3(signature = (run_id, answers, has_new_budget, started, strategy=None))]
    fn resume(
        &self,
        py: Python<'_>,
        run_id: &str,
        answers: Answers,
        has_new_budget: bool,
        started: &Bound<'_, PyList>,
        strategy: Option<(Bound<'_, PyDict>, bool)>,
    ) -> PyResult<()> {
        let Some((path, durability)) = &self.journal else {
            return Err(errors::run(py, &RunError::Internal("a run was to be resumed without its journal".to_owned())));
        };
        let opened = py.detach(|| Journal::open_existing(path, *durability));
        let journal = opened.map_err(|error| errors::journal(py, &error))?;
        let recalled = py.detach(|| recall(journal, run_id, &answers, has_new_budget));
        let recalled = recalled.map_err(|error| errors::resume(py, &error))?;
        if let Some((strategy, false)) = &strategy {
            let fields = fields_from_py(strategy)?;
            recalled.check_marks(Some(&fields)).map_err(|error| errors::resume(py, &error))?;
        }
        let strategy = strategy.as_ref().map(|(strategy, _)| strategy);
        let Recalled { id, plan, resumed } = recalled;
        let (options, _) = self.steered_options(py, strategy)?;
        let registry = agent_types(py)?.clone();
        let job = Job::resumed(plan, &options, &registry, resumed).map_err(|error| errors::input(py, &error))?;
        self.begin(py, job, Some(id), started)
    }
}

impl Engine {
    fn open_journal(&self, py: Python<'_>) -> PyResult<Option<Journal>> {
        let Some((path, durability)) = &self.journal else { return Ok(None) };
        py.detach(|| Journal::open(path, *durability)).map(Some).map_err(|error| errors::journal(py, &error))
    }

    /// The options of a run with this strategy, and what a journal keeps of them.
    fn steered_options(&self, py: Python<'_>, strategy: Option<&Bound<'_, PyDict>>) -> PyResult<(RunOptions, Value)> {
        let (mut options, mut source) = (self.options.clone(), self.source.clone());
        if let Some(fields) = strategy {
            let fields = fields_from_py(fields).map_err(|error| errors::option_value(py, &error))?;
            source["strategy"] = Value::Object(fields.clone());
            options.strategy = Some(fields);
        }
        Ok((options, source))
    }

    fn begin(&self, py: Python<'_>, job: Job, id: Option<Arc<str>>, started: &Bound<'_, PyList>) -> PyResult<()> {
        if let Some(toolbox) = &self.toolbox {
            self.options.check_prices(&job.plan).map_err(|error| errors::input(py, &error))?;
            let run = ToolRun::start(py, job, toolbox.clone_ref(py), id)?;
            return started.append(Py::new(py, run)?);
        }
        let results = Results::new(&job, self.options.runtime.name());
        let (waiter, waker) = wait_pair()?;
        let ready = Arc::new(Notify::new());
        let wake = {
            let ready = ready.clone();
            move || {
                waker.wake();
                ready.notify_one();
            }
        };
        let started_run = workflow::start(job, self.options.runtime.clone(), wake);
        let RunHandle { events, wishes, live } = started_run.map_err(|error| errors::run(py, &error))?;
        let run = Run {
            events: Mutex::new(events),
            waiter,
            ready,
            wishes,
            is_cancelled: AtomicBool::new(false),
            results,
            live,
            id,
            last: Mutex::default(),
        };
        started.append(Py::new(py, run)?)
    }
}

/// The path from the root: the working directory may be another one when a run starts.
fn whole(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// A task that is not read quickly, or that is wrong: read field by field.
fn draft_from_fields(index: usize, task: &Bound<'_, PyAny>) -> PyResult<TaskDraft> {
    let py = task.py();
    let fields = py.import("parallel_agents._task")?.getattr("task_fields")?.call1((task, index))?;
    let fields = fields.cast::<PyDict>()?;
    let read = fields_from_py(fields).map_err(|error| errors::task_value(py, &task_label(fields, index), &error))?;
    let draft = TaskDraft::from_json(index, Value::Object(read)).map_err(InputError::from);
    draft.map_err(|error| errors::input(py, &error))
}

/// How errors name a task that has not been read yet.
pub(super) fn task_label(task: &Bound<'_, PyDict>, index: usize) -> String {
    let id = task.get_item("task_id").ok().flatten().and_then(|id| id.extract::<String>().ok());
    id.map_or_else(|| format!("number {}", index + 1), |id| format!("`{id}`"))
}

/// What a caller's function makes of a result.
pub(super) fn mark_word(task_id: &str, mark: &Bound<'_, PyDict>) -> PyResult<Word> {
    let mut fields = fields_from_py(mark).map_err(|error| errors::option_value(mark.py(), &error))?;
    Ok(Word::Mark { task: task_id.into(), mark: fields.remove("mark").unwrap_or_default() })
}

/// A run that goes on by itself. Dropping it cancels the run.
#[pyclass(frozen, module = "parallel_agents._core")]
pub(super) struct Run {
    events: Mutex<UnboundedReceiver<RunEvent>>,
    waiter: Waiter,
    ready: Arc<Notify>,
    wishes: UnboundedSender<Wish>,
    is_cancelled: AtomicBool,
    /// Kept here, so that an interrupt between two lines of Python loses none.
    results: Results,
    live: LiveSessions,
    id: Option<Arc<str>>,
    /// What the run ended with, told again to whoever asks again.
    last: Mutex<Option<Result<RunSummary, RunError>>>,
}

#[pymethods]
impl Run {
    /// The ids of the tasks, in the order given.
    #[getter]
    fn task_ids(&self) -> Vec<String> {
        self.results.plan().tasks().iter().map(|task| task.id.to_string()).collect()
    }

    /// The next event as `(kind, content)`, or `None` if there is none yet: a `result`, a `notice`, or `ended`, which is
    /// the last one and told again to whoever asks again; a run that could not be carried out raises instead.
    fn poll<'py>(&self, py: Python<'py>) -> PyResult<Option<(&'static str, Bound<'py, PyAny>)>> {
        let event = loop {
            let event = lock(&self.events).try_recv();
            match event {
                Ok(RunEvent::TasksAdded { first, tasks }) => self.results.grow(first, &tasks),
                event => break event,
            }
        };
        match event {
            Ok(event) => self.told(py, event).map(Some),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => self.over(py).map(Some),
        }
    }

    /// Waits, without holding the interpreter, until there may be an event. A signal's exception ends the wait.
    #[expect(unused_variables, reason = "a run on a thread of its own tells every end: that costs it nothing")]
    fn advance(&self, py: Python<'_>, quiet: bool) -> PyResult<()> {
        py.detach(|| self.waiter.wait(None))?;
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

    /// What became of each task, in the order of the tasks; `None` for one that has not ended.
    fn reports<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.results.all(py)
    }

    /// Task id to session key, of the agents that are under way.
    fn live_sessions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        super::live_sessions(py, &self.results.plan(), &self.live)
    }

    /// Its name in the journal, if it is kept in one.
    #[getter]
    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// What it came to, once it is over: attempts, costs, what its budget did not bear.
    fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let report = match &*lock(&self.last) {
            Some(Ok(summary)) => summary_fields(summary, self.id.as_deref()),
            Some(Err(_)) | None => json!({}),
        };
        to_py(py, &report)
    }

    /// What its strategy came to, once it is over; `None` where there is none.
    fn outcome<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let outcome = match &*lock(&self.last) {
            Some(Ok(summary)) => summary.outcome.clone(),
            Some(Err(_)) | None => None,
        };
        outcome.map(|outcome| to_py(py, &outcome)).transpose()
    }

    /// Tells its strategy that a person approves of what it asked about, or does not.
    fn approve(&self, approved: bool, reason: String) {
        let word = Word::Approval { approved, reason: reason.into() };
        // A run that is over asks nothing any more.
        let _ = self.wishes.send(Wish::Tell(word));
    }

    /// Tells its strategy what the caller's function makes of the result of a task: `{"mark": ...}`.
    fn mark(&self, task_id: &str, mark: &Bound<'_, PyDict>) -> PyResult<()> {
        let _ = self.wishes.send(Wish::Tell(mark_word(task_id, mark)?));
        Ok(())
    }

    /// Whether its strategy is yet to hear what the result of a task counts as: not, if an earlier process told it.
    fn wants_mark(&self, task_id: &str) -> bool {
        self.results.wants_mark(task_id)
    }

    /// Sessions that stay behind, once the run is over: `task_id session_key reason`.
    fn sessions_left<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let left = match &*lock(&self.last) {
            Some(Ok(summary)) => sessions_left_fields(summary),
            Some(Err(_)) | None => json!([]),
        };
        to_py(py, &left)
    }

    /// Ends the run early. Asked again, that changes nothing, unless it insists: then the run ends at once and leaves
    /// behind what still runs.
    fn cancel(&self, reason: String, insist: bool) {
        if !self.is_cancelled.swap(true, Ordering::SeqCst) || insist {
            // A run that is over takes no reason any more, and needs none.
            let _ = self.wishes.send(Wish::End(reason));
        }
    }

    /// Leaves the run as it stands, for whoever resumes it from its journal. Agents that run go on.
    fn leave(&self) {
        let _ = self.wishes.send(Wish::Leave);
    }
}

impl Run {
    /// The index of a task that has ended, and its report.
    fn told_result<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyAny>> {
        (index, self.results.get(index)).into_bound_py_any(py)
    }

    fn told<'py>(&self, py: Python<'py>, event: RunEvent) -> PyResult<(&'static str, Bound<'py, PyAny>)> {
        match event {
            RunEvent::Notice { level, text } => {
                Ok(("notice", to_py(py, &json!({"level": level.name(), "text": text}))?))
            }
            RunEvent::TaskEnded(report) => {
                let index = report.task_index;
                self.results.keep(report);
                Ok(("result", self.told_result(py, index)?))
            }
            RunEvent::TasksAdded { first, tasks } => {
                self.results.grow(first, &tasks);
                Ok(("notice", to_py(py, &Value::Null)?))
            }
            RunEvent::ApprovalAsked(subject) => Ok(("approval", to_py(py, &subject)?)),
            RunEvent::Ended(summary) => self.over_with(py, Ok(*summary)),
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
        let totals = match &*lock(&self.last) {
            Some(Ok(summary)) => totals_fields(summary),
            Some(Err(error)) => return Err(errors::run(py, error)),
            None => return Err(errors::run(py, &RunError::Internal("the run ended without a word".to_owned()))),
        };
        Ok(("ended", to_py(py, &totals)?))
    }
}
