//! `parallel-agents run --detach`: the run goes on in a process of its own, which the Python side starts.
//!
//! The first process reads and checks everything, and hands it over on standard input: a plan may have come from there, and a
//! token must stand on no command line. The second says on its standard output that the journal has the run, and nothing else.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::journal::{JournalFlag, KeepFlags};
use super::run::{MADE_UP, SizeFlag, nobody, play};
use super::{CliError, job, load_agents, print, read_input, say};
use crate::workflow::{RunOptions, RuntimeChoice, kept_line, run_id};

/// A run that another process is to carry out.
#[derive(Debug, Clone, PartialEq)]
pub struct Detached {
    /// What that process is given on its standard input.
    pub order: String,
    /// The arguments of this command for it.
    pub arguments: Vec<String>,
    /// The file that takes its standard error.
    pub log: PathBuf,
    /// What is printed once its journal has it.
    pub answer: String,
}

/// The run, as one process hands it to the other.
#[derive(Serialize, Deserialize)]
struct Order {
    id: String,
    tasks: Vec<Value>,
    options: Map<String, Value>,
    agents: Vec<PathBuf>,
    /// If it is not the usual one.
    journal: Option<PathBuf>,
    durability: Option<String>,
}

/// Where such a run tells of its progress: beside its journal.
pub(super) fn log_path(journal: &Path, id: &str) -> Option<PathBuf> {
    let journal = std::path::absolute(journal).ok()?;
    let mut name = journal.file_name()?.to_owned();
    name.push(format!("-{id}.log"));
    Some(journal.with_file_name(name))
}

/// A run that is checked.
pub(super) fn detach(
    tasks: Vec<Value>,
    options: Map<String, Value>,
    agents: &[PathBuf],
    keep: &KeepFlags,
    size: SizeFlag,
) -> Result<Detached, CliError> {
    let journal = keep.journal.path();
    let id = run_id().to_string();
    let log = log_path(&journal, &id).filter(|log| log.to_str().is_some());
    let log = log.ok_or_else(|| CliError::NoLog { path: journal.clone() })?;
    // Opened, so that it is told here if it cannot be.
    let (_, kept) = keep.origin_of(&options, &id.as_str().into())?;
    let command = |name: &str| kept.command(name, &[&id]);
    let answer = json!({
        "run_id": id,
        "status": "running",
        "tasks": tasks.len(),
        "wait": format!("{}{}", command("wait"), size.typed()),
        "output": kept.command("output", &[&id, "TASK"]),
        "stop": command("stop"),
        "log": log,
    });
    let (agents, durability) = (agents.to_vec(), keep.durability.clone());
    let order = Order { id, tasks, options, agents, journal: keep.journal.named(), durability };
    let order = serde_json::to_string(&order).map_err(|error| CliError::Write(error.into()))?;
    Ok(Detached { order, arguments: vec!["detached".to_owned()], log, answer: answer.to_string() })
}

/// The second process.
pub(super) fn run(interrupted: &dyn Fn() -> bool) -> Result<i32, CliError> {
    let path = || "-".to_owned();
    let text = read_input(interrupted).map_err(|source| CliError::Read { what: "run", path: path(), source })?;
    let order: Order =
        serde_json::from_str(&text).map_err(|source| CliError::Json { what: "run", path: path(), source })?;
    load_agents(&order.agents)?;
    let checked = RunOptions::from_stored(order.options.clone())?;
    let keep = KeepFlags { journal: JournalFlag::of(order.journal), no_journal: false, durability: order.durability };
    let log = log_path(&keep.journal.path(), &order.id);
    let (origin, kept) = keep.origin_of(&order.options, &order.id.as_str().into())?;
    let job = job(order.tasks, &checked)?.from(origin);
    if matches!(checked.runtime, RuntimeChoice::Rehearsal(_)) {
        say(MADE_UP);
    }
    let (kept_line, is_told) = (kept_line(&order.id), Cell::new(false));
    let tell = |line: &str| {
        say(line);
        if !is_told.get() && line.starts_with(&kept_line) {
            is_told.set(true);
            // Whoever waits for it may have gone.
            let _ = print(&order.id);
        }
    };
    let finished = play(job, checked.runtime, Some(kept), interrupted, &nobody, &tell)?;
    say(&finished.totals());
    let code = finished.exit_code();
    if let (0, Some(log)) = (code, log) {
        drop_log(&log);
    }
    Ok(code)
}

/// Removes the log of a run that has ended well, unless something in it is still to be read.
fn drop_log(log: &Path) {
    let is_needed = |text: String| text.lines().any(|line| line.starts_with("warning") || line.contains("Error"));
    if fs::read_to_string(log).is_ok_and(|text| !is_needed(text)) {
        // One that stays does no harm.
        let _ = fs::remove_file(log);
    }
}
