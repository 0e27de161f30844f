//! A request that agents plan for, from the command line: the plan is shown and asked for on the terminal, the report stands on
//! standard output.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use clap::Args;
use serde_json::{Map, Value, json};

use super::journal::KeepFlags;
use super::run::{Finished, JsonFlags, Said, few_lines, play, print_results, tell_checks, tell_questions};
use super::{CliError, RunFlags, load_agents, print, say};
use crate::agents::registry;
use crate::core::plan::Plan;
use crate::workflow::{
    Job, RunOptions, RuntimeChoice, Settings, asks_for_approval, next_input, orchestration, printable, shown_plan,
};

/// The longest line that is read from the terminal, in bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// What is printed of an orchestration in place of its report.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct PrintFlags {
    /// Print plan, results and report as one JSON document, however long it is
    #[arg(long, conflicts_with_all = ["json", "output_bytes"])]
    full: bool,
    #[command(flatten)]
    pub json: JsonFlags,
}

/// What is asked for, and within which limits.
#[derive(Debug, Args)]
pub(super) struct OrchestrateFlags {
    /// Show each plan on the terminal, and run nothing of it without a yes
    #[arg(long)]
    approve: bool,
    /// Tasks of one plan [default: 50]
    #[arg(long, value_name = "N")]
    tasks_max: Option<u64>,
    /// How often a plan is made anew: one that does not hold, or for what has failed [default: 2]
    #[arg(long, value_name = "N")]
    replans_max: Option<u64>,
    #[command(flatten)]
    print: PrintFlags,
    #[command(flatten)]
    flags: RunFlags,
    #[command(flatten)]
    keep: KeepFlags,
}

/// `parallel-agents orchestrate`.
pub(super) fn orchestrate(
    request: &str,
    flags: &OrchestrateFlags,
    interrupted: &dyn Fn() -> bool,
) -> Result<i32, CliError> {
    load_agents(&flags.flags.agents)?;
    let mut spec = Map::new();
    spec.insert("request".to_owned(), json!(request));
    spec.insert("approval".to_owned(), json!(flags.approve));
    spec.extend(flags.tasks_max.map(|count| ("tasks_max".to_owned(), json!(count))));
    spec.extend(flags.replans_max.map(|count| ("replans_max".to_owned(), json!(count))));
    let mut options = Map::new();
    flags.flags.apply(&mut options);
    Settings::find()?.beneath(&mut options);
    options.insert("strategy".to_owned(), orchestration(spec, &registry()).into());
    let checked = RunOptions::from_stored(options.clone())?;
    let job = Job::new(Arc::new(Plan::default()), &checked, &registry())?;
    if flags.approve {
        check_terminal()?;
    }
    let (origin, kept) = flags.keep.origin(&options)?;
    if matches!(checked.runtime, RuntimeChoice::Rehearsal(_)) {
        say("rehearsal: no AI is called, the plan and the results are made up");
    }
    let asking = |subject: &Value, is_over: &mut dyn FnMut() -> bool| ask(subject, interrupted, is_over);
    let few = few_lines();
    let tell: &dyn Fn(&str) = if flags.print.json.limit().is_some() { &few } else { &say };
    let finished = play(job.from(origin), checked.runtime, kept, interrupted, &asking, tell)?;
    print_report(&finished, flags.print)?;
    Ok(finished.exit_code())
}

/// That a run with this strategy has somebody to ask, if it needs one.
pub(super) fn check_approval(strategy: Option<&Value>) -> Result<(), CliError> {
    if strategy.is_some_and(asks_for_approval) { check_terminal() } else { Ok(()) }
}

fn check_terminal() -> Result<(), CliError> {
    if io::stdin().is_terminal() && io::stderr().is_terminal() { Ok(()) } else { Err(CliError::NoTerminal) }
}

/// The report of an orchestration, unless JSON is wanted.
pub(super) fn print_report(finished: &Finished, flags: PrintFlags) -> Result<(), CliError> {
    let report = finished.orchestration().and_then(|outcome| outcome.get("report")).and_then(Value::as_str);
    match report {
        Some(report) if !flags.full && flags.json.limit().is_none() => {
            say(&finished.totals());
            tell_questions(finished);
            tell_checks(finished);
            let outcome = |name: &str| finished.orchestration()?.get(name)?.as_str();
            let error = outcome("error").map(|error| format!(": {}", printable(error))).unwrap_or_default();
            say(&format!("the orchestration is {}{error}", outcome("status").unwrap_or("over")));
            print(&printable(report))
        }
        Some(_) | None => print_results(finished, flags.json),
    }
}

/// Shows a plan and reads what a person says to it, for as long as the run waits for it.
pub(super) fn ask(subject: &Value, interrupted: &dyn Fn() -> bool, is_over: &mut dyn FnMut() -> bool) -> Said {
    say(&shown_plan(subject));
    loop {
        // Nobody who could not see it says yes.
        let _ = write!(io::stderr(), "Run this plan? [y, or why not] ");
        let _ = io::stderr().flush();
        let line = match read_line(interrupted, is_over) {
            Ok(line) => line,
            Err(silence) => {
                say("");
                return silence;
            }
        };
        match line.trim() {
            "" => {}
            "y" | "Y" | "yes" | "Yes" | "YES" => return Said::Word(true, String::new()),
            "n" | "N" | "no" | "No" | "NO" => return Said::Word(false, String::new()),
            reason => return Said::Word(false, reason.to_owned()),
        }
    }
}

/// A line of standard input, or why there is none.
fn read_line(interrupted: &dyn Fn() -> bool, is_over: &mut dyn FnMut() -> bool) -> Result<String, Said> {
    let mut line = Vec::new();
    loop {
        match next_input() {
            Err(_) if line.is_empty() => return Err(Said::Left),
            Ok(Some(b'\n')) | Err(_) => return Ok(String::from_utf8_lossy(&line).into_owned()),
            Ok(Some(byte)) if line.len() < LINE_BYTES_MAX => line.push(byte),
            Ok(None) if interrupted() => return Err(Said::Interrupted),
            Ok(None) if is_over() => return Err(Said::Over),
            Ok(Some(_) | None) => {}
        }
    }
}
