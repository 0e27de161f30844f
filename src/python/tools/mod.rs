//! A run whose agents are behind injected callables. They are called on the thread that asks for the run's events: a
//! plain loop ([`ToolRun::advance`]) calls them itself, an event loop asks what to call ([`ToolRun::next_call`]) and
//! hands the answers back.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use serde_json::{Value, json};

use super::convert::to_py;
use super::errors;
use super::lock;
use super::results::Results;
use super::run::mark_word;
use crate::core::settings::Cleanup;
use crate::core::strategy::Word;
use crate::driver::{Stepwise, Stopwatch, Wish};
use crate::runtime::tools::{Call, SpawnAnswer, ToolRuntime};
use crate::workflow::{
    Job, Level, LiveSessions, Narrator, RunEvent, TOOLS, Waiter, Waker, sessions_left_fields, stepwise, summary_fields,
    totals_fields, wait_pair,
};

mod answers;
mod callables;

pub(super) use callables::Toolbox;
use callables::{Prepared, brief, is_awaitable};

/// After how many calls without a wait signals are looked for. The callables look themselves whenever Python code runs.
const CALLS_PER_SIGNAL_CHECK: u32 = 64;

/// Something to be told, in order.
enum News {
    Ended(usize),
    Approval(Arc<Value>),
    Notice { level: Level, text: String, exception: Option<PyErr> },
}

struct State {
    run: Stepwise,
    narrator: Narrator,
    news: VecDeque<News>,
    /// Ends of tasks are not told one by one.
    is_quiet: bool,
}

type NumberedCall<'py> = (u64, Bound<'py, PyAny>, Bound<'py, PyTuple>);

#[derive(Default)]
struct OpenCalls {
    latest_no: u64,
    by_no: HashMap<u64, (Call, Stopwatch)>,
}

impl State {
    fn has_news(&self) -> bool {
        !self.news.is_empty()
    }
}

/// A run that goes on while it is asked for events.
#[pyclass(frozen, module = "parallel_agents._core")]
pub(super) struct ToolRun {
    state: Mutex<State>,
    toolbox: Py<Toolbox>,
    results: Results,
    waiter: Waiter,
    waker: Waker,
    live: LiveSessions,
    id: Option<Arc<str>>,
    wishes: Mutex<VecDeque<Wish>>,
    has_wishes: AtomicBool,
    is_cancelled: AtomicBool,
    /// Calls that an event loop makes, by their number.
    open: Mutex<OpenCalls>,
}

impl ToolRun {
    pub fn start(py: Python<'_>, mut job: Job, toolbox: Py<Toolbox>, id: Option<Arc<str>>) -> PyResult<Self> {
        let abilities = toolbox.get().abilities();
        if job.settings.cleanup == Cleanup::Delete && !abilities.delete {
            job.settings.cleanup = Cleanup::Impossible;
        }
        let live = LiveSessions::default();
        let results = Results::new(&job, TOOLS);
        let mut news = VecDeque::new();
        let mut tell = |event| match event {
            // A result of an earlier process.
            RunEvent::TaskEnded(report) => {
                news.push_back(News::Ended(report.task_index));
                results.keep(report);
            }
            RunEvent::Notice { level, text } => news.push_back(News::Notice { level, text, exception: None }),
            RunEvent::TasksAdded { first, tasks } => results.grow(first, &tasks),
            RunEvent::ApprovalAsked(subject) => news.push_back(News::Approval(subject)),
            RunEvent::Ended(_) | RunEvent::Failed(_) => {}
        };
        let begun = stepwise(job, abilities, live.clone(), &mut tell);
        let (run, narrator) = begun.map_err(|error| errors::run(py, &error))?;
        let (waiter, waker) = wait_pair()?;
        Ok(Self {
            state: Mutex::new(State { run, narrator, news, is_quiet: false }),
            toolbox,
            results,
            id,
            waiter,
            waker,
            live,
            wishes: Mutex::default(),
            has_wishes: AtomicBool::new(false),
            is_cancelled: AtomicBool::new(false),
            open: Mutex::default(),
        })
    }

    /// The next call to make now; what happens on the way to it is kept to be told.
    fn take_call(&self) -> Option<Call> {
        let mut state = lock(&self.state);
        let State { run, narrator, news, is_quiet } = &mut *state;
        let mut tell = |event| match event {
            RunEvent::TaskEnded(report) => {
                let index = report.task_index;
                self.results.keep(report);
                if !*is_quiet {
                    news.push_back(News::Ended(index));
                }
            }
            RunEvent::Notice { level, text } => news.push_back(News::Notice { level, text, exception: None }),
            RunEvent::TasksAdded { first, tasks } => self.results.grow(first, &tasks),
            RunEvent::ApprovalAsked(subject) => news.push_back(News::Approval(subject)),
            // The end of such a run is seen, not told.
            RunEvent::Ended(_) | RunEvent::Failed(_) => {}
        };
        let mut observe = |told| narrator.observe(told, &mut tell);
        if self.has_wishes.swap(false, Ordering::SeqCst) {
            for wish in lock(&self.wishes).drain(..) {
                match wish {
                    Wish::End(reason) => run.cancel(&reason, &mut observe),
                    Wish::Tell(word) => run.tell(&word, &mut observe),
                    Wish::Leave => run.leave(&mut observe),
                }
            }
        }
        let call = run.next_call(&mut observe);
        while let Some(text) = run.next_notice() {
            tell(RunEvent::Notice { level: Level::Warning, text });
        }
        call
    }

    fn wish(&self, wish: Wish) {
        lock(&self.wishes).push_back(wish);
        self.has_wishes.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    fn hand_over(&self, answer: impl FnOnce(&mut ToolRuntime, crate::core::time::Time)) {
        lock(&self.state).run.answer(answer);
    }

    /// Makes a call on this thread. An exception that is no `Exception` interrupts it, and is passed on.
    fn make(&self, py: Python<'_>, call: Call) -> PyResult<()> {
        // Only what a look costs matters.
        let since = matches!(call, Call::List { .. }).then(Stopwatch::start);
        let answer = self.toolbox.get().prepare(py, &call).and_then(|prepared| prepared.make()).and_then(|answer| {
            if is_awaitable(&answer)? {
                py.import("parallel_agents._tools")?.call_method1("awaited", (answer,))
            } else {
                Ok(answer)
            }
        });
        self.answer(py, call, answer, since.map(Stopwatch::elapsed).unwrap_or_default())
    }

    fn answer(&self, py: Python<'_>, call: Call, answer: PyResult<Bound<'_, PyAny>>, cost: Duration) -> PyResult<()> {
        let answer = match answer {
            Ok(answer) => Ok(answer),
            Err(error) if error.is_instance_of::<PyException>(py) => Err(self.note_exception(py, &call, error)),
            Err(error) => {
                self.interrupted(call);
                return Err(error);
            }
        };
        match call {
            Call::Spawn { order, .. } => {
                let answer = match answer {
                    Ok(answer) => {
                        let shown = || SpawnAnswer::Unreadable(answers::shown(&answer));
                        answers::spawned(answer.clone()).unwrap_or_else(|_| shown())
                    }
                    Err(raised) => SpawnAnswer::Raised(raised),
                };
                self.hand_over(|tools, now| tools.spawned(order.attempt, answer, now));
            }
            Call::List { offset, limit } => self.take_page(py, answer, (offset, limit), cost),
            Call::History { attempt, .. } => {
                let reply = read(py, answer, answers::reply);
                self.hand_over(|tools, now| tools.replied(attempt, reply, now));
            }
            Call::Children => {
                let children = read(py, answer, answers::children);
                self.hand_over(|tools, now| tools.children(children, now));
            }
            Call::Cancel { attempt, .. } => {
                let done = read(py, answer, answers::done).and_then(|done| done);
                self.hand_over(|tools, now| tools.cancelled(attempt, done, now));
            }
            Call::Delete { attempt, .. } => {
                let done = read(py, answer, answers::done).and_then(|done| done);
                self.hand_over(|tools, _| tools.deleted(attempt, done));
            }
        }
        Ok(())
    }

    fn take_page(
        &self,
        py: Python<'_>,
        answer: Result<Bound<'_, PyAny>, String>,
        (offset, limit): (Option<u64>, usize),
        cost: Duration,
    ) {
        let since = Stopwatch::start();
        let page = read(py, answer, answers::page).and_then(|page| {
            let plain = page.rows.iter().all(PyAnyMethods::is_exact_instance_of::<PyDict>);
            let taken = if plain { self.take_dicts(&page.rows) } else { self.take_rows(&page.rows) };
            taken.map(|()| page).map_err(|error| answers::raised(py, &error))
        });
        match page {
            Ok(page) => {
                let toolbox = self.toolbox.get();
                let count = page.rows.len();
                // Where nothing is said of more, a page that is not full is the last.
                let has_more = page.has_more.unwrap_or(!toolbox.takes_limit() || count >= limit);
                let first = offset.unwrap_or(0);
                let follows = page.next.or_else(|| first.checked_add(u64::try_from(count).ok()?));
                let is_sure = page.has_more.is_some() || toolbox.takes_limit();
                let may_follow = has_more && is_sure && count > 0 && toolbox.has_pages();
                let next = follows.filter(|next| may_follow && *next > first);
                let cost = cost + since.elapsed();
                self.hand_over(|tools, now| tools.page(next, !has_more, cost, now));
            }
            Err(error) => self.hand_over(|tools, now| tools.look_failed(&brief(&error), now)),
        }
    }

    /// Hands the rows over that somebody waits for. Reading a dict runs no foreign code, so the run may be locked.
    fn take_dicts(&self, rows: &[Bound<'_, PyAny>]) -> PyResult<()> {
        let mut state = lock(&self.state);
        let now = state.run.now();
        for row in rows {
            if state.run.has_seen_all() {
                break;
            }
            let key = answers::row_key(row)?;
            // One with half characters is nobody's here.
            if let Some(key) = key.as_ref().and_then(|key| key.to_str().ok())
                && state.run.awaits(key)
            {
                let text = answers::row_text(row, state.run.seeks_labels(), state.run.seeks_updates())?;
                state.run.answer_at(now, |tools, now| tools.row(&text.row(key), now));
            }
        }
        Ok(())
    }

    /// The same for rows whose reading may run foreign code: the run is not locked meanwhile.
    fn take_rows(&self, rows: &[Bound<'_, PyAny>]) -> PyResult<()> {
        for row in rows {
            let key = answers::row_key(row)?;
            let Some(key) = key.as_ref().and_then(|key| key.to_str().ok()) else { continue };
            let (is_awaited, seeks_updates) = {
                let state = lock(&self.state);
                (state.run.awaits(key), state.run.seeks_updates())
            };
            if is_awaited {
                let text = answers::row_text(row, true, seeks_updates)?;
                self.hand_over(|tools, now| tools.row(&text.row(key), now));
            }
        }
        Ok(())
    }

    /// The exception's words; the exception itself is told, with its traceback.
    fn note_exception(&self, py: Python<'_>, call: &Call, error: PyErr) -> String {
        let raised = answers::raised(py, &error);
        let text = format!("`{}` raised {raised}", Toolbox::name(call));
        lock(&self.state).news.push_back(News::Notice { level: Level::Info, text, exception: Some(error) });
        raised
    }

    fn interrupted(&self, call: Call) {
        let reason = || "it was interrupted".to_owned();
        self.hand_over(|tools, now| match call {
            Call::Spawn { order, .. } => tools.spawned(order.attempt, SpawnAnswer::Interrupted, now),
            Call::List { .. } => tools.look_interrupted(now),
            Call::History { attempt, .. } => tools.replied(attempt, Err(reason()), now),
            Call::Children => tools.children(Err(reason()), now),
            Call::Cancel { attempt, .. } => tools.cancelled(attempt, Err(reason()), now),
            Call::Delete { attempt, .. } => tools.deleted(attempt, Err(reason())),
        });
    }
}

/// An answer read; what cannot be read is told in words.
fn read<'py, T>(
    py: Python<'py>,
    answer: Result<Bound<'py, PyAny>, String>,
    reader: impl FnOnce(Bound<'py, PyAny>) -> PyResult<T>,
) -> Result<T, String> {
    answer.and_then(|answer| reader(answer).map_err(|error| answers::raised(py, &error)))
}

#[pymethods]
impl ToolRun {
    /// The ids of the tasks, in the order given.
    #[getter]
    fn task_ids(&self) -> Vec<String> {
        self.results.plan().tasks().iter().map(|task| task.id.to_string()).collect()
    }

    /// Goes on, calling the callables on this thread, until there is an event; with `quiet`, until the run is over or
    /// there is something to be told about it.
    fn advance(&self, py: Python<'_>, quiet: bool) -> PyResult<()> {
        lock(&self.state).is_quiet = quiet;
        let mut calls = 0_u32;
        loop {
            if let Some(call) = self.take_call() {
                self.make(py, call)?;
                calls = calls.wrapping_add(1);
                if calls.is_multiple_of(CALLS_PER_SIGNAL_CHECK) {
                    py.check_signals()?;
                }
                if !lock(&self.state).has_news() {
                    continue;
                }
            }
            let pause = {
                let state = lock(&self.state);
                if state.has_news() || state.run.is_finished() {
                    return Ok(());
                }
                state.run.pause()
            };
            py.detach(|| self.waiter.wait(pause))?;
            py.check_signals()?;
        }
    }

    /// The next event as `(kind, content)`, or `None` if there is none yet: a `result`, a `notice`, or `ended`, which is
    /// the last one and told again to whoever asks again.
    fn poll<'py>(&self, py: Python<'py>) -> PyResult<Option<(&'static str, Bound<'py, PyAny>)>> {
        let (news, is_over) = {
            let mut state = lock(&self.state);
            (state.news.pop_front(), state.run.is_finished())
        };
        match news {
            Some(News::Ended(index)) => Ok(Some(("result", (index, self.results.get(index)).into_bound_py_any(py)?))),
            Some(News::Approval(subject)) => Ok(Some(("approval", to_py(py, &subject)?))),
            Some(News::Notice { level, text, exception }) => {
                let notice = to_py(py, &json!({"level": level.name(), "text": text}))?;
                if let Some(exception) = exception {
                    notice.set_item("exception", exception.into_value(py))?;
                }
                Ok(Some(("notice", notice)))
            }
            None if is_over => {
                // Making objects may run foreign code, so the run is not locked meanwhile; so it is everywhere here.
                let totals = totals_fields(&lock(&self.state).narrator.summary());
                Ok(Some(("ended", to_py(py, &totals)?)))
            }
            None => Ok(None),
        }
    }

    /// The next call that an event loop is to make now: its number, the callable, its arguments.
    fn next_call<'py>(&self, py: Python<'py>) -> PyResult<Option<NumberedCall<'py>>> {
        let Some(call) = self.take_call() else { return Ok(None) };
        let Prepared { function, arguments } = match self.toolbox.get().prepare(py, &call) {
            Ok(prepared) => prepared,
            Err(error) => {
                self.answer(py, call, Err(error), Duration::ZERO)?;
                return self.next_call(py);
            }
        };
        let mut open = lock(&self.open);
        open.latest_no += 1;
        let number = open.latest_no;
        open.by_no.insert(number, (call, Stopwatch::start()));
        Ok(Some((number, function, arguments)))
    }

    /// A call was answered.
    fn answered<'py>(&self, py: Python<'py>, number: u64, answer: Bound<'py, PyAny>) -> PyResult<()> {
        let call = lock(&self.open).by_no.remove(&number);
        call.map_or(Ok(()), |(call, since)| self.answer(py, call, Ok(answer), since.elapsed()))
    }

    /// A call raised an exception; one that is no `Exception` interrupts it.
    fn raised(&self, py: Python<'_>, number: u64, exception: Bound<'_, PyAny>) {
        if let Some((call, since)) = lock(&self.open).by_no.remove(&number) {
            // An interruption is passed on by who made the call.
            let _ = self.answer(py, call, Err(PyErr::from_value(exception)), since.elapsed());
        }
    }

    /// Numbers of calls that are to be interrupted: starts that are no longer wanted, and, once agents are to be stopped,
    /// looks and readings that may hang.
    fn withdrawn(&self) -> Vec<u64> {
        let (attempts, is_hurried) = lock(&self.state).run.take_withdrawn();
        let is_withdrawn = |call: &Call| match call {
            Call::Spawn { order, .. } => attempts.contains(&order.attempt),
            Call::List { .. } | Call::History { .. } => is_hurried,
            Call::Children | Call::Cancel { .. } | Call::Delete { .. } => false,
        };
        let open = lock(&self.open);
        open.by_no.iter().filter(|(_, (call, _))| is_withdrawn(call)).map(|(number, _)| *number).collect()
    }

    /// Seconds until something happens by itself; `None` while only an answer can.
    fn pause(&self) -> Option<f64> {
        let state = lock(&self.state);
        if state.has_news() || state.run.is_finished() {
            return Some(0.0);
        }
        state.run.pause().map(|pause| pause.as_secs_f64())
    }

    /// The descriptor that becomes readable when another thread wants something of the run.
    fn fileno(&self) -> i32 {
        self.waiter.descriptor()
    }

    /// Takes note of what made the descriptor readable.
    fn drain(&self) -> PyResult<()> {
        Ok(self.waiter.drain()?)
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
        let report = summary_fields(&lock(&self.state).narrator.summary(), self.id.as_deref());
        to_py(py, &report)
    }

    /// What its strategy came to, once it is over; `None` where there is none.
    fn outcome<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let outcome = lock(&self.state).narrator.summary().outcome;
        outcome.map(|outcome| to_py(py, &outcome)).transpose()
    }

    /// Tells its strategy that a person approves of what it asked about, or does not.
    fn approve(&self, approved: bool, reason: String) {
        self.wish(Wish::Tell(Word::Approval { approved, reason: reason.into() }));
    }

    /// Tells its strategy what the caller's function makes of the result of a task: `{"mark": ...}`.
    fn mark(&self, task_id: &str, mark: &Bound<'_, PyDict>) -> PyResult<()> {
        self.wish(Wish::Tell(mark_word(task_id, mark)?));
        Ok(())
    }

    /// Whether its strategy is yet to hear what the result of a task counts as: not, if an earlier process told it.
    fn wants_mark(&self, task_id: &str) -> bool {
        self.results.wants_mark(task_id)
    }

    /// Sessions that stay behind, once the run is over: `task_id session_key reason`.
    fn sessions_left<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let left = sessions_left_fields(&lock(&self.state).narrator.summary());
        to_py(py, &left)
    }

    /// Ends the run early. Asked again, that changes nothing, unless it insists: then the run ends at once and leaves
    /// behind what still runs.
    fn cancel(&self, reason: String, insist: bool) {
        if !self.is_cancelled.swap(true, Ordering::SeqCst) || insist {
            self.wish(Wish::End(reason));
        }
    }

    /// Leaves the run as it stands, for whoever resumes it from its journal. Agents that run go on.
    fn leave(&self) {
        self.wish(Wish::Leave);
    }
}
