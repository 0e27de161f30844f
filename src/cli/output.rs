//! `parallel-agents output`: one task's whole output from the journal, also while its run goes on.

use std::io::{self, IsTerminal};

use serde_json::Value;

use super::journal::JournalFlag;
use super::run::Finished;
use super::{CliError, print, say};
use crate::core::output::abridged;
use crate::core::task::hint;
use crate::journal::Journal;
use crate::workflow::printable;

/// How much of a name is shown in a list, in characters.
const NAME_CHARS: usize = 200;

/// Prints the output of a task, or lists all tasks.
pub(super) fn output(run: &str, task: Option<&str>, is_raw: bool, journal: &JournalFlag) -> Result<i32, CliError> {
    let stored = Journal::open_read(&journal.path())?.read(run)?;
    let finished = Finished::of(&stored, journal.kept(&stored.id));
    let Some(task) = task else { return list(&finished) };
    let tasks = stored.plan.tasks();
    let Some(index) = tasks.iter().position(|known| *known.id == *task) else {
        let hint = hint(task, tasks.iter().map(|known| &*known.id));
        return Err(CliError::NoTask { run: stored.id, task: abridged(task, NAME_CHARS), hint });
    };
    let Some(report) = finished.reports.iter().find(|report| report.task_index == index) else {
        say(&format!("task `{task}` of run {} has not ended yet", stored.id));
        return Ok(1);
    };
    let end = &report.end;
    match (if is_raw { None } else { end.output() }, end.raw()) {
        (Some(Value::String(text)), _) => print_text(text)?,
        (Some(value), _) => print_text(&format!("{value:#}"))?,
        (None, Some(raw)) if is_raw => print_text(raw)?,
        (None, raw) => {
            let reason = end.reason().unwrap_or("its agent wrote nothing");
            let raw =
                raw.filter(|raw| !raw.is_empty()).map(|_| "; --raw prints what its agent wrote").unwrap_or_default();
            say(&format!("task `{task}` has no output, it is {}: {reason}{raw}", end.status().name()));
            return Ok(1);
        }
    }
    Ok(0)
}

/// Whatever an agent wrote: byte for byte, but for a terminal, which it must not drive.
fn print_text(text: &str) -> Result<(), CliError> {
    if io::stdout().is_terminal() { print(&printable(text)) } else { print(text) }
}

/// One line for each task: its status, the bytes of its output, its id.
fn list(finished: &Finished) -> Result<i32, CliError> {
    for (index, id) in finished.task_ids().enumerate() {
        let report = finished.reports.iter().find(|report| report.task_index == index);
        let status = report.map_or("open", |report| report.end.status().name());
        let bytes = report.and_then(|report| report.end.output()).map_or(0, |output| match output {
            Value::String(text) => text.len(),
            value => value.to_string().len(),
        });
        print(&format!("{status:11} {bytes:>10}  {id}"))?;
    }
    Ok(0)
}
