//! Runs that a journal keeps, from the command line: listed, resumed, stopped.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};

use super::bounded;
use super::orchestrate::{PrintFlags, ask, check_approval, print_report};
use super::run::{Finished, Kept, few_lines, play};
use super::{BudgetFlags, CliError, load_agents, print, say};
use crate::agents::registry;
use crate::core::fact::{Event, Fact};
use crate::core::progress::Progress;
use crate::driver::Stopwatch;
use crate::journal::{Durability, Journal, JournalError, RunRow};
use crate::runtime::gateway::Surroundings;
use crate::workflow::{
    Answers, Job, Keeping, Origin, Recalled, RunOptions, TOOLS, durability_of, recall, run_fields, run_id,
    stored_options, wait_pair,
};

/// How long `stop` waits for the run's end before it says that it goes on without it.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// How many tenths of a second pass between two looks at it.
const LOOKS_PAUSE: usize = 5;

/// Which journal is meant.
#[derive(Debug, Clone, PartialEq, Args)]
pub(super) struct JournalFlag {
    /// The journal that keeps runs [default: parallel-agents/journal.sqlite in OpenClaw's state folder]
    #[arg(long, value_name = "PATH")]
    journal: Option<PathBuf>,
}

impl JournalFlag {
    /// How a run that it keeps is named.
    pub(super) fn kept(&self, id: &str) -> Kept {
        Kept { id: id.to_owned(), journal: self.clone(), resume: bounded::command("resume", &[id], self) }
    }

    /// The file that was named, from wherever it is looked for.
    pub(super) fn named(&self) -> Option<PathBuf> {
        let path = self.journal.as_ref()?;
        Some(std::path::absolute(path).unwrap_or_else(|_| path.clone()))
    }

    /// The one that another process was given.
    pub(super) const fn of(named: Option<PathBuf>) -> Self {
        Self { journal: named }
    }

    /// Whether it is the one in our own folder.
    pub(super) fn is_own(&self) -> bool {
        self.journal.is_none()
    }

    pub(super) fn path(&self) -> PathBuf {
        let default = || Surroundings::real().own_folder().join("journal.sqlite");
        self.journal.clone().unwrap_or_else(default)
    }

    /// Where the run with this whole id stands.
    pub(super) fn state(&self, id: &str) -> Result<State, CliError> {
        let rows = Journal::open_read(&self.path())?.runs()?;
        Ok(match rows.iter().find(|row| row.id == id) {
            Some(row) if row.running => State::Running,
            Some(row) if !row.ended => State::Open,
            Some(_) | None => State::Over,
        })
    }
}

/// Where a run stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Running,
    /// Nobody runs it, and something is left to do.
    Open,
    Over,
}

/// Whether and how a new run is kept.
#[derive(Debug, Args)]
pub(super) struct KeepFlags {
    #[command(flatten)]
    pub(super) journal: JournalFlag,
    /// Keep no journal: a run that dies cannot be resumed
    #[arg(long, conflicts_with_all = ["journal", "durability"])]
    pub(super) no_journal: bool,
    /// What the journal survives: process (the death of this process) or power (a power cut too) [default: process]
    #[arg(long, value_name = "LEVEL")]
    pub(super) durability: Option<String>,
}

impl KeepFlags {
    /// Where a new run with these options comes from, and its name.
    pub(super) fn origin(&self, options: &Map<String, Value>) -> Result<(Origin, Option<Kept>), CliError> {
        if self.no_journal {
            return Ok((Origin::New(None), None));
        }
        self.origin_of(options, &run_id()).map(|(origin, kept)| (origin, Some(kept)))
    }

    /// The same for a run that is kept, and has its id already.
    pub(super) fn origin_of(&self, options: &Map<String, Value>, id: &Arc<str>) -> Result<(Origin, Kept), CliError> {
        let journal = Journal::open(&self.journal.path(), durability_of(self.durability.as_deref())?)?;
        let mut options = options.clone();
        options.extend(self.durability.clone().map(|level| ("durability".to_owned(), json!(level))));
        let kept = self.journal.kept(id);
        let keeping =
            Keeping { journal, id: id.clone(), options: stored_options(options), resume: kept.resume.clone() };
        Ok((Origin::New(Some(Box::new(keeping))), kept))
    }
}

/// `parallel-agents runs`.
pub(super) fn runs(journal: &JournalFlag, as_json: bool) -> Result<i32, CliError> {
    let rows = match Journal::open_read(&journal.path()) {
        Ok(mut journal) => journal.runs()?,
        Err(JournalError::Missing { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    if as_json {
        print(&format!("{:#}", rows.iter().map(run_fields).collect::<Value>()))?;
        return Ok(0);
    }
    if rows.is_empty() {
        say("no run is kept yet");
    }
    for row in &rows {
        let RunRow { id, tasks, done, completed, runtime, .. } = row;
        let fields = run_fields(row);
        let (state, latest) = (text(&fields, "state"), text(&fields, "latest"));
        // Its clock runs ahead of ours.
        let mark = if runtime == "rehearsal" { "  rehearsal, on its own clock" } else { "" };
        print(&format!("{id:22} {state:8} {done}/{tasks} done, {completed} completed  {latest}{mark}"))?;
    }
    Ok(0)
}

fn text<'a>(fields: &'a Value, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or("-")
}

/// What a person wants different when a run goes on.
#[derive(Debug, Args)]
pub(super) struct ResumeFlags {
    /// The answer to a task's question, as TASK=TEXT. May be repeated
    #[arg(long = "answer", value_name = "TASK=TEXT")]
    answers: Vec<String>,
    /// Agents at once
    #[arg(long, value_name = "N")]
    max_concurrent: Option<u64>,
    /// Time for the whole run, in seconds
    #[arg(long, value_name = "SECONDS")]
    deadline: Option<f64>,
    /// The gateway's address
    #[arg(long, value_name = "URL")]
    gateway_url: Option<String>,
    #[command(flatten)]
    budget: BudgetFlags,
    /// The run's own agent types: a Markdown file or a folder of them. May be repeated
    #[arg(long = "agents", value_name = "PATH")]
    agents: Vec<PathBuf>,
    #[command(flatten)]
    print: PrintFlags,
    #[command(flatten)]
    journal: JournalFlag,
}

/// `parallel-agents resume`: as `run`, for a run that is kept.
pub(super) fn resume(
    run: Option<String>,
    flags: &ResumeFlags,
    interrupted: &dyn Fn() -> bool,
) -> Result<i32, CliError> {
    load_agents(&flags.agents)?;
    let path = flags.journal.path();
    let run = match run {
        Some(run) => run,
        None => latest_open(&path)?,
    };
    let answers = flags.answers.iter().map(|answer| read_answer(answer)).collect::<Result<Answers, _>>()?;
    let mut changes = Map::new();
    changes.extend(flags.max_concurrent.map(|count| ("max_concurrent".to_owned(), json!(count))));
    changes.extend(flags.deadline.map(|seconds| ("deadline_seconds".to_owned(), json!(seconds))));
    changes.extend(flags.budget.fields().map(|budget| ("budget".to_owned(), budget)));
    let few = few_lines();
    let tell: &dyn Fn(&str) = if flags.print.json.limit().is_some() { &few } else { &say };
    let changes = Changes { answers, options: changes, gateway_url: flags.gateway_url.as_deref(), stop: None };
    let finished = go_on(&flags.journal, &run, changes, tell, interrupted)?;
    print_report(&finished, flags.print)?;
    Ok(finished.exit_code())
}

/// `parallel-agents stop`: ends a run that another process runs, or that none does any more.
pub(super) fn stop(
    run: &str,
    reason: &str,
    journal: &JournalFlag,
    interrupted: &dyn Fn() -> bool,
) -> Result<i32, CliError> {
    let path = journal.path();
    let (id, was_running) = match Journal::open_existing(&path, Durability::Process)?.request_stop(run, reason) {
        Ok(()) => (Journal::open_read(&path)?.id_of(run)?, true),
        // Its agents may be alive all the same.
        Err(JournalError::NotRunning { id }) => (id, false),
        Err(error) => return Err(error.into()),
    };
    let (waiter, _waker) = wait_pair()?;
    let since = Stopwatch::start();
    loop {
        match journal.state(&id)? {
            State::Running => {}
            State::Open => break,
            State::Over => {
                say(&format!("run {id} is {}", if was_running { "stopped" } else { "over" }));
                return Ok(0);
            }
        }
        for _ in 0..LOOKS_PAUSE {
            if interrupted() {
                return Ok(130);
            }
            waiter.wait(None)?;
        }
        if since.elapsed() > STOP_PATIENCE {
            say(&format!("run {id} still stops its agents"));
            return Ok(1);
        }
    }
    // Nobody runs it: it is taken up to stop what its process has left.
    load_agents(&[])?;
    let changes = Changes { stop: Some(reason), ..Changes::default() };
    let finished = go_on(journal, &id, changes, &say, interrupted)?;
    say(&format!("run {id} is stopped"));
    Ok(if finished.exit_code() == 130 { 130 } else { 0 })
}

/// What is different when a run goes on.
#[derive(Default)]
struct Changes<'a> {
    /// To what its agents asked.
    answers: Answers,
    /// Options in place of its own.
    options: Map<String, Value>,
    gateway_url: Option<&'a str>,
    /// Why it is taken up only to be ended, if it is.
    stop: Option<&'a str>,
}

/// Runs what is left of a run.
fn go_on(
    journal_flag: &JournalFlag,
    run: &str,
    changes: Changes<'_>,
    tell: &dyn Fn(&str),
    interrupted: &dyn Fn() -> bool,
) -> Result<Finished, CliError> {
    let Changes { answers, options: changes, gateway_url, stop } = changes;
    let path = &journal_flag.path();
    let stored = Journal::open_read(path)?.read(run)?;
    if stored.runtime == TOOLS {
        let stored = stored.id;
        return Err(if stop.is_some() { CliError::ToolsStop { run: stored } } else { CliError::Tools { run: stored } });
    }
    let mut options = stored.options.as_object().cloned().unwrap_or_default();
    let has_new_budget = changes.contains_key("budget");
    let is_over = stored.facts.last().is_some_and(|fact| matches!(fact.event, Event::RunEnded));
    if stop.is_none() && (!is_over || has_new_budget || !answers.is_empty()) {
        check_approval(options.get("strategy"))?;
    }
    options.extend(changes);
    if let Some(url) = gateway_url {
        let mut gateway = options.get("gateway").and_then(Value::as_object).cloned().unwrap_or_default();
        gateway.insert("url".to_owned(), json!(url));
        options.insert("gateway".to_owned(), Value::Object(gateway));
    }
    let durability = options.shift_remove("durability");
    let options = RunOptions::from_stored(options)?;
    let durability = durability_of(durability.as_ref().and_then(Value::as_str))?;
    let journal = Journal::open_existing(path, durability)?;
    let recalled = recall(journal, run, &answers, has_new_budget)?;
    if stop.is_none() {
        recalled.check_marks(options.strategy.as_ref())?;
    }
    let Recalled { id, plan, mut resumed } = recalled;
    resumed.stop = stop.map(str::to_owned);
    say(&format!("run {id}: {} of {} tasks were done", done(&resumed.facts), plan.tasks().len()));
    let kept = journal_flag.kept(&id);
    let job = Job::resumed(plan, &options, &registry(), resumed)?;
    play(job, options.runtime, Some(kept), interrupted, &|subject, is_over| ask(subject, interrupted, is_over), tell)
}

fn done(facts: &[Fact]) -> usize {
    let mut progress = Progress::default();
    for fact in facts {
        progress.apply(fact);
    }
    progress.done()
}

fn latest_open(path: &Path) -> Result<String, CliError> {
    let rows = Journal::open_read(path)?.runs()?;
    let open = rows.iter().find(|row| !row.ended && !row.running);
    open.map(|row| row.id.clone()).ok_or_else(|| CliError::NoneOpen { path: path.to_owned() })
}

fn read_answer(answer: &str) -> Result<(String, String), CliError> {
    let (task, text) = answer.split_once('=').ok_or_else(|| CliError::Answer(answer.to_owned()))?;
    Ok((task.to_owned(), text.to_owned()))
}
