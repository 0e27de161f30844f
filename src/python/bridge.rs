//! Where awaitables of ours are carried out, for pyo3-async-runtimes: one thread of our own.
//!
//! Its ready-made runtime fails in two places that this one is for. A thread that reaches for the interpreter while it
//! goes away takes the process down, so what is under way is counted, and the interpreter's exit waits for it. And
//! threads do not survive a fork, so a child process starts a thread of its own.

use std::future::pending;
use std::pin::Pin;
use std::process;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyCFunction;
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::generic::{self, ContextExt, Runtime};
use tokio::runtime::{Builder, Handle};
use tokio::task::{JoinError, JoinHandle};

use super::lock;

/// How long an interpreter's exit waits for the bridge at the most: 1 s.
const SETTLE_LOOKS: u32 = 1_000;
const SETTLE_PAUSE: Duration = Duration::from_millis(1);

static HOME: Mutex<Option<Home>> = Mutex::new(None);
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

struct Home {
    /// The process that the thread lives in.
    process_id: u32,
    handle: Handle,
}

/// An awaitable for `work`. Needs a running event loop.
pub(super) fn awaitable<T>(
    py: Python<'_>,
    work: impl Future<Output = PyResult<T>> + Send + 'static,
) -> PyResult<Bound<'_, PyAny>>
where
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    make_home(py)?;
    generic::future_into_py::<Bridge, _, T>(py, work)
}

/// Sees to it that there is a thread in this process. Called with the interpreter held, which orders its callers.
fn make_home(py: Python<'_>) -> PyResult<()> {
    let mut home = lock(&HOME);
    let process_id = process::id();
    if home.as_ref().is_some_and(|home| home.process_id == process_id) {
        return Ok(());
    }
    let runtime = Builder::new_current_thread().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name("parallel-agents-bridge".to_owned())
        .spawn(move || runtime.block_on(pending::<()>()))?;
    if home.is_none() {
        let settle = PyCFunction::new_closure(py, None, None, |arguments, _| settle(arguments.py()))?;
        py.import("atexit")?.call_method1("register", (settle,))?;
    }
    // What a parent process had under way is not under way here.
    UNDER_WAY.store(0, Ordering::SeqCst);
    *home = Some(Home { process_id, handle });
    Ok(())
}

fn settle(py: Python<'_>) {
    py.detach(|| {
        for _ in 0..SETTLE_LOOKS {
            if UNDER_WAY.load(Ordering::SeqCst) == 0 {
                break;
            }
            #[expect(clippy::disallowed_methods, reason = "there is no event loop left to wait on")]
            thread::sleep(SETTLE_PAUSE);
        }
    });
}

/// The runtime.
struct Bridge;

/// Counts one piece of work until it and all it holds is gone.
struct Counted<Work> {
    // Dropped in this order.
    work: Option<Work>,
    _mark: Mark,
}

struct Mark;

impl Drop for Mark {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<Work> Counted<Work> {
    fn new(work: Work) -> Self {
        UNDER_WAY.fetch_add(1, Ordering::SeqCst);
        Self { work: Some(work), _mark: Mark }
    }
}

fn start(work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    // What runs on the bridge already takes no lock: a fork may come at any time.
    if let Ok(handle) = Handle::try_current() {
        return handle.spawn(work);
    }
    let handle = lock(&HOME).as_ref().map(|home| home.handle.clone());
    handle.expect("`awaitable` has made a home").spawn(work)
}

impl Runtime for Bridge {
    type JoinError = JoinError;
    type JoinHandle = JoinHandle<()>;

    fn spawn<F>(work: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut counted = Counted::new(work);
        start(async move {
            if let Some(work) = counted.work.take() {
                work.await;
            }
            drop(counted);
        })
    }

    /// Nothing else waits for the bridge's thread, so it may block for the interpreter.
    fn spawn_blocking<F>(work: F) -> JoinHandle<()>
    where
        F: FnOnce() + Send + 'static,
    {
        let mut counted = Counted::new(work);
        start(async move {
            if let Some(work) = counted.work.take() {
                work();
            }
            drop(counted);
        })
    }
}

impl ContextExt for Bridge {
    /// Our awaitables ask for no context.
    fn scope<F, R>(_locals: TaskLocals, work: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        Box::pin(work)
    }

    fn get_task_locals() -> Option<TaskLocals> {
        None
    }
}
