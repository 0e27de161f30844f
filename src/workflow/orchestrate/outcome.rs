//! What an orchestration came to, and what a person is shown before it goes on: facts, told as JSON and as text.

use std::fmt::Write;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Brief;
use super::step::{Stage, Step};
use super::strategy::Orchestrate;
use crate::agents::is_unseen;
use crate::core::fact::End;
use crate::core::output::abridged;
use crate::core::strategy::KeptBack;

/// How much of the request, of an output and of a reason a report of ours holds, in characters.
const REQUEST_CHARS: usize = 500;
const OUTPUT_CHARS: usize = 1_000;
const REASON_CHARS: usize = 1_000;
/// How much of a task's description a person is shown on a terminal, in characters.
const DESCRIPTION_CHARS: usize = 1_000;

/// Between what an agent wrote and what is known.
const OWN_LINE: &str = "What follows is from the run itself, not from an agent:";

/// How an orchestration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Every step completed and reached its target, or a later plan made up for it and completed.
    Completed,
    /// Some did.
    Partial,
    /// Nothing did, or there was no plan that holds.
    Failed,
    /// A person did not approve of a plan.
    Rejected,
    /// An agent asks a person.
    NeedsInput,
    /// The budget does not bear what is left.
    Budget,
    /// It was ended early.
    Cancelled,
}

impl Verdict {
    /// The documented name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::NeedsInput => "needs_input",
            Self::Budget => "budget",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The end of an orchestration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ending {
    pub verdict: Verdict,
    /// The agent's report, or why there is none.
    pub report: Result<String, String>,
    /// What went wrong.
    pub error: Option<String>,
}

/// What an orchestration came to: `kind status error report plan replans`.
pub(super) fn outcome(run: &Orchestrate, kept_back: &KeptBack) -> Value {
    let held =
        |why: &str| Ending { verdict: Verdict::Budget, report: Err(why.to_owned()), error: Some(why.to_owned()) };
    let ending = run.ending().cloned().or_else(|| run.held().map(held)).unwrap_or_else(|| cut_short(kept_back));
    let steps: Vec<&Step> = run.steps.iter().chain(&run.proposed).collect();
    let open = run.open();
    let plan: Vec<Value> = steps.iter().map(|step| row(step, kept_back, &run.replaced_by(step.id(), &open))).collect();
    let replans: Vec<Value> = run
        .replans
        .iter()
        .map(|replan| json!({"plan": replan.plan_no, "reason": replan.reason, "complaints": replan.complaints}))
        .collect();
    let text = match &ending.report {
        Ok(text) => text.clone(),
        Err(why) => own_report(&run.brief, &steps, why),
    };
    json!({
        "kind": "orchestration",
        "status": ending.verdict.name(),
        "error": ending.error,
        "report": format!("{}\n\n{OWN_LINE}\n\n{}", without_own_line(&text).trim(), table(&plan)),
        "plan": plan,
        "replans": replans,
    })
}

/// The end of one that did not come to its own.
fn cut_short(kept_back: &KeptBack) -> Ending {
    let is_over_budget = |id: &Arc<str>| kept_back.is_over_budget(id);
    let first = |is: &dyn Fn(&Arc<str>, &End) -> bool| kept_back.iter().find(|(id, end)| is(id, end));
    let was_cut =
        |id: &Arc<str>, end: &End| matches!(end, End::Cancelled { .. } | End::Timeout { .. }) && !is_over_budget(id);
    let asks = |_: &Arc<str>, end: &End| matches!(end, End::NeedsInput { .. });
    let found = first(&was_cut)
        .map(|found| (Verdict::Cancelled, found))
        .or_else(|| first(&asks).map(|found| (Verdict::NeedsInput, found)))
        .or_else(|| first(&|id, _| is_over_budget(id)).map(|found| (Verdict::Budget, found)))
        .or_else(|| first(&|_, _| true).map(|found| (Verdict::Failed, found)));
    let (verdict, error) = if let Some((verdict, (id, end))) = found {
        let reason = abridged(end.reason().unwrap_or("no reason is given"), REASON_CHARS);
        (verdict, format!("task `{id}`: {reason}"))
    } else {
        let reason = kept_back.why_cut_short().map(|reason| format!(": {}", abridged(reason, REASON_CHARS)));
        (Verdict::Cancelled, format!("the run was ended early{}", reason.unwrap_or_default()))
    };
    Ending { verdict, report: Err(error.clone()), error: Some(error) }
}

/// The text without lines that say they are ours.
fn without_own_line(text: &str) -> String {
    let bare = |line: &str| -> String {
        line.chars().filter(|each| each.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let own = bare(OWN_LINE);
    let lines = text.lines().map(|line| {
        if bare(line).contains(&own) { "[a line was removed that only the run itself writes]" } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A step, and what became of it.
fn row(step: &Step, kept_back: &KeptBack, replaced_by: &[&str]) -> Value {
    let (status, reason) = step.status(kept_back);
    let mut row = step.shown();
    row.insert("plan".to_owned(), json!(step.plan_no));
    row.insert("status".to_owned(), json!(status.name()));
    row.insert("error".to_owned(), json!(reason));
    row.insert("score".to_owned(), json!(step.score().map(|(score, _)| score)));
    row.insert("reached".to_owned(), json!(step.score().map(|(_, is_reached)| is_reached)));
    row.insert("replaced_by".to_owned(), json!(replaced_by));
    row.insert("task".to_owned(), json!(step.task_id()));
    row.insert("output_task".to_owned(), json!(step.output_task().filter(|_| step.has_completed())));
    row.into()
}

/// A report out of the facts alone.
fn own_report(brief: &Brief, steps: &[&Step], why: &str) -> String {
    let mut text = format!(
        "This report was compiled without an agent: {}.\n\nThe request was: {}\n",
        abridged(why, REASON_CHARS),
        abridged(&brief.request, REQUEST_CHARS)
    );
    for step in steps {
        // Writing to a String cannot fail.
        let _ = match &step.stage {
            Stage::Completed { output } => {
                let output = output.as_str().map_or_else(|| output.to_string(), str::to_owned);
                write!(text, "\n`{}` completed:\n> {}\n", step.id(), abridged(&output, OUTPUT_CHARS))
            }
            Stage::Ended { status, reason } => {
                write!(text, "\n`{}` is {}:\n> {}\n", step.id(), status.name(), abridged(reason, REASON_CHARS))
            }
            Stage::Waiting | Stage::Running => Ok(()),
        };
    }
    text
}

/// The steps with their status, in Markdown: facts, whatever an agent says above.
fn table(plan: &[Value]) -> String {
    if plan.is_empty() {
        return "No task was planned.".to_owned();
    }
    let mut table = "| task | agent type | plan | status | score |\n|---|---|---|---|---|".to_owned();
    for row in plan {
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let plan_no = row.get("plan").and_then(Value::as_u64).unwrap_or_default();
        let score = match (row.get("score").and_then(Value::as_f64), row.get("target").and_then(Value::as_f64)) {
            (Some(score), Some(target)) => format!("{score} of {target}"),
            _ => String::new(),
        };
        let (id, agent_type, status) = (text("task_id"), text("agent_type"), text("status"));
        // Writing to a String cannot fail.
        let _ = write!(table, "\n| {id} | {agent_type} | {plan_no} | {status} | {score} |");
    }
    table
}

/// What a person is asked to approve of: `request plan rationale steps worst_cost currency`. `worst_cost` is what first
/// attempts may take at the most, and unknown where a price is: of a step's task, or of the first version and its review.
pub(super) fn proposal(
    brief: &Brief,
    plan_no: usize,
    (steps, prices): (&[Step], &[Option<f64>]),
    rationale: &str,
) -> Value {
    let shown = |(step, price): (&Step, &Option<f64>)| {
        let mut row = step.shown();
        row.insert("worst_cost".to_owned(), json!(price));
        Value::Object(row)
    };
    json!({
        "request": brief.request,
        "plan": plan_no,
        "rationale": rationale,
        "steps": steps.iter().zip(prices).map(shown).collect::<Vec<_>>(),
        "worst_cost": prices.iter().copied().sum::<Option<f64>>(),
        "currency": "USD",
    })
}

/// The same for a terminal.
pub fn shown_plan(proposal: &Value) -> String {
    let text = |row: &Value, name: &str| in_short(row.get(name).and_then(Value::as_str).unwrap_or_default());
    let steps = proposal.get("steps").and_then(Value::as_array).cloned().unwrap_or_default();
    let plan_no = proposal.get("plan").and_then(Value::as_u64).unwrap_or_default();
    let mut shown = format!("Plan {plan_no}, {} tasks: {}", steps.len(), text(proposal, "rationale"));
    for step in &steps {
        let cost =
            step.get("worst_cost").and_then(Value::as_f64).map(|cost| format!(", at most ${cost:.4} for a start"));
        let target = step.get("target").and_then(Value::as_f64).map(|target| format!(", until it scores {target}"));
        let before: Vec<String> = step
            .get("dependencies")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|id| id.as_str().map(in_short))
            .collect();
        let after = if before.is_empty() { String::new() } else { format!(", after {}", before.join(", ")) };
        // Writing to a String cannot fail.
        let _ = write!(
            shown,
            "\n  {} ({}{after}{}{})\n    {}",
            text(step, "task_id"),
            text(step, "agent_type"),
            target.unwrap_or_default(),
            cost.unwrap_or_default(),
            text(step, "task_description"),
        );
        let input = step.get("input_data").filter(|input| input.as_object().is_some_and(|input| !input.is_empty()));
        if let Some(input) = input {
            let _ = write!(shown, "\n    data: {}", in_short(&input.to_string()));
        }
    }
    if let Some(cost) = proposal.get("worst_cost").and_then(Value::as_f64) {
        let _ = write!(shown, "\nThe first attempts may cost ${cost:.4} together.");
    }
    shown
}

/// The beginning of a text in one line for a terminal, and how much of it is not shown.
fn in_short(text: &str) -> String {
    let shown = printable(&abridged(text, DESCRIPTION_CHARS));
    match text.chars().count().saturating_sub(DESCRIPTION_CHARS) {
        0 => shown,
        more => format!("{shown} ({more} more characters are not shown)"),
    }
}

/// Whether a character is not seen, or changes how others are. Joiners, variations and signs of format that other texts may
/// hold are among them: who approves sees which characters there are.
fn is_hidden(character: char) -> bool {
    is_unseen(character)
        || matches!(character,
            '\u{180b}'..='\u{180f}' | '\u{200c}'..='\u{200d}' | '\u{e0100}'..='\u{e01ef}' | '\u{600}'..='\u{605}' | '\u{6dd}'
            | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{110bd}' | '\u{110cd}')
}

/// A text of agents that drives no terminal and hides nothing: only its line breaks and tabs are kept.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) && !matches!(character, '\n' | '\t') {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}
