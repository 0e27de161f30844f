//! A run from the command line: its progress on standard error, its results on standard output.

use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};
use tokio::sync::mpsc::error::TryRecvError;

use super::bounded;
use super::journal::JournalFlag;
use super::{CliError, print, say};
use crate::agents::registry;
use crate::core::check::Check;
use crate::core::fact::End;
use crate::core::output::abridged;
use crate::core::plan::Plan;
use crate::core::report::TaskReport;
use crate::core::shell::shell_word;
use crate::core::strategy::Word;
use crate::core::task::TaskDraft;
use crate::driver::Wish;
use crate::journal::StoredRun;
use crate::runtime::gateway::GatewayConfig;
use crate::workflow::{
    self, Job, Level, RunError, RunEvent, RunHandle, RunOptions, RunSummary, RuntimeChoice, result_check,
    result_fields, summary_fields, wait_pair,
};

/// How much of a caption the demo shows.
const CAPTION_CHARS: usize = 1_000;

/// What is told beside a document of bounded size: with its line for all, less than a fifth of it.
const PROGRESS_LINES: usize = 20;
const PROGRESS_CHARS: usize = 200;

/// What is told of a rehearsal.
pub(super) const MADE_UP: &str = "rehearsal: no AI is called, the results are made up";

/// Why a run ends after Ctrl-C.
const INTERRUPTED: &str = "interrupted by Ctrl-C";

/// How a run is named that a journal keeps.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub id: String,
    /// Where.
    pub journal: JournalFlag,
    /// The command that goes on with it.
    pub resume: String,
}

impl Kept {
    /// The command that answers what the agent of a task asks.
    pub fn answer(&self, task: &str) -> String {
        format!("{} --answer {}", self.resume, shell_word(&format!("{task}=YOUR ANSWER")))
    }
}

/// What a finished run leaves.
pub(super) struct Finished {
    plan: Arc<Plan>,
    pub kept: Option<Kept>,
    runtime: String,
    pub reports: Vec<Arc<TaskReport>>,
    pub summary: RunSummary,
    interrupted: bool,
    /// Whether nothing is left to do.
    over: bool,
}

impl Finished {
    /// A run as its journal has it.
    pub fn of(stored: &StoredRun, kept: Kept) -> Self {
        let (reports, summary) = workflow::look(stored);
        let (plan, runtime, over) = (stored.plan.clone(), stored.runtime.clone(), summary.progress.ended);
        Self { plan, kept: Some(kept), runtime, reports, summary, interrupted: false, over }
    }

    /// One that has never run.
    #[cfg(test)]
    pub fn made(plan: Arc<Plan>, reports: Vec<Arc<TaskReport>>, kept: Option<Kept>, summary: RunSummary) -> Self {
        Self { plan, kept, runtime: "made".to_owned(), reports, summary, interrupted: false, over: true }
    }

    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Whether somebody or its deadline ended it early.
    pub fn is_cut_short(&self) -> bool {
        self.interrupted || self.summary.ended_early.is_some()
    }

    /// The ids of its tasks, in the order of the plan.
    pub fn task_ids(&self) -> impl Iterator<Item = &str> {
        self.plan.tasks().iter().map(|task| &*task.id)
    }

    pub fn task_id(&self, report: &TaskReport) -> &str {
        &self.plan.tasks()[report.task_index].id
    }

    pub fn agent_type(&self, report: &TaskReport) -> &str {
        &self.plan.tasks()[report.task_index].agent_type
    }

    pub fn completed(&self) -> usize {
        self.reports.iter().filter(|report| matches!(report.end, End::Completed { .. })).count()
    }

    pub fn exit_code(&self) -> i32 {
        if self.interrupted {
            return 130;
        }
        let is_met = match self.orchestration() {
            Some(outcome) => Some(outcome.get("status").and_then(Value::as_str) == Some("completed")),
            None => self.summary.outcome.as_ref().and_then(|outcome| outcome.get("met")?.as_bool()),
        };
        i32::from(!(self.over && is_met.unwrap_or(self.completed() == self.reports.len())))
    }

    /// What it came to, if it was an orchestration.
    pub fn orchestration(&self) -> Option<&Value> {
        let outcome = self.summary.outcome.as_deref();
        outcome.filter(|outcome| outcome.get("kind").and_then(Value::as_str) == Some("orchestration"))
    }

    /// `N of M tasks completed, ...`.
    pub fn totals(&self) -> String {
        let progress = &self.summary.progress;
        let cost =
            if progress.cost_unknown == 0 { format!("${:.4}", progress.cost_known) } else { "cost unknown".to_owned() };
        let attempts = if progress.attempts == 1 { "attempt" } else { "attempts" };
        let count = progress.attempts;
        format!("{} of {} tasks completed, {count} {attempts}, {cost}", self.completed(), self.reports.len())
    }
}

/// Whether one document of bounded size is wanted, and of which.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct JsonFlags {
    /// Print one JSON document of bounded size, for an agent's shell tool: outputs that have no room are cut, with the
    /// command that prints the rest
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    size: SizeFlag,
}

/// How long the document may be.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct SizeFlag {
    /// How long that document may be, in bytes [default: 24000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(bounded::BYTES_MIN..))]
    output_bytes: Option<u64>,
}

impl SizeFlag {
    /// The bytes.
    pub fn limit(self) -> usize {
        self.output_bytes.map_or(bounded::BYTES, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// As it is typed behind a command, if it was given.
    pub fn typed(self) -> String {
        self.output_bytes.map(|bytes| format!(" --output-bytes {bytes}")).unwrap_or_default()
    }
}

impl JsonFlags {
    /// The bytes of the document that is wanted, if one is. To say how long it may be is to want it.
    pub fn limit(self) -> Option<usize> {
        (self.json || self.size.output_bytes.is_some()).then(|| self.size.limit())
    }

    pub fn size(self) -> SizeFlag {
        self.size
    }
}

/// Tells of a run what has room beside a document of bounded size.
pub(super) fn few_lines() -> impl Fn(&str) {
    let left = Cell::new(PROGRESS_LINES);
    move |line| {
        match left.get() {
            0 => return,
            1 => say("further progress is not told beside --json"),
            _ => say(&abridged(line, PROGRESS_CHARS)),
        }
        left.set(left.get() - 1);
    }
}

/// `parallel-agents run`: one JSON document on standard output.
pub(super) fn run(
    job: Job,
    choice: RuntimeChoice,
    kept: Option<Kept>,
    json: JsonFlags,
    interrupted: &dyn Fn() -> bool,
) -> Result<i32, CliError> {
    if matches!(choice, RuntimeChoice::Rehearsal(_)) {
        say(MADE_UP);
    }
    let finished = match json.limit() {
        None => play(job, choice, kept, interrupted, &nobody, &say)?,
        Some(_) => play(job, choice, kept, interrupted, &nobody, &few_lines())?,
    };
    print_results(&finished, json)?;
    Ok(finished.exit_code())
}

/// The results as they are wanted.
pub(super) fn print_results(finished: &Finished, json: JsonFlags) -> Result<(), CliError> {
    match json.limit() {
        None => print_document(finished),
        Some(limit) => {
            say(&finished.totals());
            tell_checks(finished);
            print(&bounded::document(finished, limit))
        }
    }
}

/// The results as one JSON document, and what a person may want to do about them.
pub(super) fn print_document(finished: &Finished) -> Result<(), CliError> {
    say(&finished.totals());
    tell_questions(finished);
    tell_checks(finished);
    let result = |report: &Arc<TaskReport>| {
        let task = &finished.plan.tasks()[report.task_index];
        Value::Object(result_fields(task, report, &finished.runtime))
    };
    let mut document = json!({
        "results": finished.reports.iter().map(result).collect::<Vec<_>>(),
        "summary": summary_fields(&finished.summary, finished.kept.as_ref().map(|kept| kept.id.as_str())),
    });
    if let Some(outcome) = &finished.summary.outcome {
        document["outcome"] = Value::clone(outcome);
    }
    print(&format!("{document:#}"))
}

/// What explains the failures that the gateway's settings caused.
pub(super) fn tell_checks(finished: &Finished) {
    let found = |report: &Arc<TaskReport>| result_check(report, &finished.runtime);
    let checks: BTreeSet<Check> = finished.reports.iter().filter_map(found).collect();
    for check in checks {
        say(&format!("why they failed: {}", check.pointer()));
    }
}

/// How the questions of agents are answered.
pub(super) fn tell_questions(finished: &Finished) {
    for report in &finished.reports {
        if let (End::NeedsInput { .. }, Some(kept)) = (&report.end, &finished.kept) {
            say(&format!("to answer: {}", kept.answer(finished.task_id(report))));
        }
    }
}

/// `parallel-agents demo`: for people, on standard output.
pub(super) fn demo(
    drafts: Vec<TaskDraft>,
    options: RunOptions,
    real_command: &str,
    interrupted: &dyn Fn() -> bool,
) -> Result<i32, CliError> {
    let rehearsal = matches!(options.runtime, RuntimeChoice::Rehearsal(_));
    print(if rehearsal {
        "REHEARSAL: no AI is called and nothing is paid. Times, prices and texts are made up.\n"
    } else {
        "Running on the gateway: five agents, each writes one post.\n"
    })?;
    let plan = workflow::plan(drafts, &registry(), options.hierarchy.clone())?;
    let job = Job::new(plan, &options, &registry())?;
    let finished = play(job, options.runtime, None, interrupted, &nobody, &|line| {
        // The demo's own table follows; a line that cannot be written will fail there.
        let _ = print(line);
    })?;
    if let Some((report, caption)) = finished.reports.iter().find_map(|report| match &report.end {
        End::Completed { output, .. } => output.get("caption").and_then(Value::as_str).map(|text| (report, text)),
        End::Failed { .. }
        | End::Timeout { .. }
        | End::NeedsInput { .. }
        | End::Cancelled { .. }
        | End::Skipped { .. } => None,
    }) {
        let writer = &finished.plan.tasks()[report.task_index].id;
        print(&format!("\nThe caption by `{writer}`:\n  {}", abridged(caption, CAPTION_CHARS)))?;
    }
    print(&format!("\n{}", finished.totals()))?;
    if rehearsal {
        match GatewayConfig::default().resolve() {
            Ok(endpoint) if endpoint.probe() => {
                print(&format!("A gateway was found: {}. To run it for real:\n  {real_command}", endpoint.found()))?;
            }
            Ok(_) => print("No OpenClaw gateway is running on this machine; with one, this can be run for real.")?,
            Err(error) => print(&format!("No OpenClaw gateway can be used as it is configured: {error}"))?,
        }
    }
    Ok(finished.exit_code())
}

/// What a person says to what is to be approved.
#[derive(Debug)]
pub(super) enum Said {
    /// Yes; or no, and why not.
    Word(bool, String),
    /// Nothing, after Ctrl-C.
    Interrupted,
    /// Nothing, and nothing more will come: the input has ended.
    Left,
    /// The run ended before they could.
    Over,
}

/// Nobody approves of anything.
pub(super) fn nobody(_: &Value, _: &mut dyn FnMut() -> bool) -> Said {
    Said::Word(false, String::new())
}

/// Runs to the end. `ask` says whether a person approves of something; it is told whether the run has ended meanwhile.
pub(super) fn play(
    job: Job,
    choice: RuntimeChoice,
    kept: Option<Kept>,
    interrupted: &dyn Fn() -> bool,
    ask: &dyn Fn(&Value, &mut dyn FnMut() -> bool) -> Said,
    tell: &dyn Fn(&str),
) -> Result<Finished, CliError> {
    let (runtime, mut plan) = (choice.name().to_owned(), job.plan.clone());
    let (waiter, waker) = wait_pair()?;
    let RunHandle { mut events, wishes, .. } = workflow::start(job, choice, move || waker.wake())?;
    let mut reports = Vec::new();
    let mut was_interrupted = false;
    // What happened while a person was asked.
    let mut passed = VecDeque::new();
    let summary = loop {
        match passed.pop_front().map_or_else(|| events.try_recv(), Ok) {
            Ok(RunEvent::Notice { level, text }) => tell(&match level {
                Level::Info => text,
                Level::Warning => format!("warning: {text}"),
            }),
            Ok(RunEvent::TaskEnded(report)) => {
                reports.push(report);
                tell(&line(&plan, &reports));
            }
            Ok(RunEvent::TasksAdded { first, tasks }) => Arc::make_mut(&mut plan).grow(first, &tasks),
            Ok(RunEvent::ApprovalAsked(subject)) => {
                let mut is_over = || {
                    passed.extend(std::iter::from_fn(|| events.try_recv().ok()));
                    passed.iter().any(|event| matches!(event, RunEvent::Ended(_) | RunEvent::Failed(_)))
                };
                let wish = match (ask(&subject, &mut is_over), &kept) {
                    (Said::Word(approved, reason), _) => Wish::Tell(Word::Approval { approved, reason: reason.into() }),
                    (Said::Interrupted, _) => {
                        was_interrupted = true;
                        Wish::End(INTERRUPTED.to_owned())
                    }
                    (Said::Left, Some(kept)) => {
                        // Dropped, it would end the run.
                        std::mem::forget(wishes);
                        return Err(CliError::Unanswered { resume: kept.resume.clone() });
                    }
                    (Said::Left, None) => Wish::End("nobody is left to approve of the plan".to_owned()),
                    (Said::Over, _) => continue,
                };
                // A run that is over asks nothing any more.
                let _ = wishes.send(wish);
            }
            Ok(RunEvent::Ended(summary)) => break *summary,
            Ok(RunEvent::Failed(error)) => return Err(error.into()),
            Err(TryRecvError::Empty) => {
                waiter.wait(None)?;
                if interrupted() {
                    was_interrupted = true;
                    tell("stopping the agents; Ctrl-C again leaves them behind");
                    // A run that is over takes no reason any more.
                    let _ = wishes.send(Wish::End(INTERRUPTED.to_owned()));
                }
            }
            Err(TryRecvError::Disconnected) => {
                return Err(RunError::Internal("the run's thread ended without a result".to_owned()).into());
            }
        }
    };
    reports.sort_by_key(|report| report.task_index);
    Ok(Finished { plan, kept, runtime, reports, summary, interrupted: was_interrupted, over: true })
}

/// One line for the task that ended last.
fn line(plan: &Plan, reports: &[Arc<TaskReport>]) -> String {
    let Some(report) = reports.last() else { return String::new() };
    let task = &plan.tasks()[report.task_index];
    let model = report.attempts.last().map_or_else(String::new, |attempt| {
        let used: &Arc<str> = attempt.model_used.as_ref().unwrap_or(&attempt.model);
        format!("  {used}")
    });
    let count = format!("[{}/{}]", reports.len(), plan.tasks().len());
    let seconds = report.execution_time().as_secs_f64();
    let reason = report.end.reason().map(|reason| format!("  {reason}")).unwrap_or_default();
    format!("{count:>8} {:9} {:24} {seconds:6.1} s{model}{reason}", report.end.status().name(), task.id)
}
