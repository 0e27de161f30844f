//! `parallel-agents wait`: waits for the end of a run that another process runs, and prints its results as `run --json` does.

use std::time::Duration;

use serde_json::{Value, json};

use super::bounded;
use super::detach::log_path;
use super::journal::{JournalFlag, State};
use super::run::{Finished, SizeFlag};
use super::{CliError, print, say};
use crate::driver::Stopwatch;
use crate::journal::Journal;
use crate::workflow::wait_pair;

/// What the command ends with while the run goes on.
pub(super) const STILL_RUNNING: i32 = 5;
/// How many tenths of a second pass between two looks at a run.
const LOOKS_PAUSE: usize = 3;
/// The longest wait that is really ended: a year.
const TIMEOUT_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);

/// Waits until the run is over, or `timeout` passes.
pub(super) fn wait(
    run: &str,
    timeout: Option<f64>,
    size: SizeFlag,
    journal: &JournalFlag,
    interrupted: &dyn Fn() -> bool,
) -> Result<i32, CliError> {
    let path = journal.path();
    let id = Journal::open_read(&path)?.id_of(run)?;
    let kept = journal.kept(&id);
    let timeout = timeout.map(seconds).transpose()?;
    let (waiter, _waker) = wait_pair()?;
    let since = Stopwatch::start();
    loop {
        let mut state = journal.state(&id)?;
        if state == State::Open {
            // Its process may have ended it and gone between the two things that one look is made of.
            state = journal.state(&id)?;
        }
        if state != State::Running {
            let finished = Finished::of(&Journal::open_read(&path)?.read(&id)?, kept);
            print(&bounded::document(&finished, size.limit()))?;
            return Ok(finished.exit_code());
        }
        if timeout.is_some_and(|timeout| since.elapsed() >= timeout) {
            let finished = Finished::of(&Journal::open_read(&path)?.read(&id)?, kept);
            print(&progress(&finished, size, journal).to_string())?;
            return Ok(STILL_RUNNING);
        }
        for _ in 0..LOOKS_PAUSE {
            if interrupted() {
                say(&format!("run {id} goes on; only the waiting has ended"));
                return Ok(130);
            }
            let left = timeout.map(|timeout| timeout.saturating_sub(since.elapsed()));
            waiter.wait(left)?;
        }
    }
}

fn seconds(timeout: f64) -> Result<Duration, CliError> {
    if timeout >= TIMEOUT_MAX.as_secs_f64() {
        return Ok(TIMEOUT_MAX);
    }
    Duration::try_from_secs_f64(timeout).map_err(|_| CliError::Timeout(timeout.to_string()))
}

/// Where a run stands that goes on, and what can be done meanwhile.
fn progress(finished: &Finished, size: SizeFlag, journal: &JournalFlag) -> Value {
    let Some(kept) = &finished.kept else { return Value::Null };
    let progress = &finished.summary.progress;
    let command = |name: &str| kept.command(name, &[&kept.id]);
    json!({
        "run_id": kept.id,
        "status": "running",
        "note": "it goes on by itself; wait again, or do something else meanwhile",
        "progress": {
            "total": progress.tasks,
            "done": progress.done(),
            "completed": progress.completed,
            "agents": progress.live,
            "attempts": progress.attempts,
            "cost": (progress.cost_unknown == 0).then_some(progress.cost_known),
        },
        "wait": format!("{}{}", command("wait"), size.typed()),
        "output": kept.command("output", &[&kept.id, "TASK"]),
        "stop": command("stop"),
        "log": log_path(&journal.path(), &kept.id).filter(|path| path.exists()).map(|path| path.display().to_string()),
    })
}
