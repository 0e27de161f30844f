//! One task's result as callers see it, on the command line and in Python: the documented keys, once.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::start::NotStarted;
use super::{RunSummary, SessionLeft};
use crate::core::budget::Ledger;
use crate::core::check::Check;
use crate::core::fact::End;
use crate::core::plan::Task;
use crate::core::report::{AttemptReport, TaskReport};
use crate::core::time::Time;
use crate::core::usage::Tokens;
use crate::journal::RunRow;

/// What costs are counted in.
const CURRENCY: &str = "USD";

/// The last millisecond of the year 9999, since the epoch.
const LAST_MILLISECOND: u64 = 253_402_300_799_999;

/// The result of `task`: `task_id agent_type status output execution_time timestamp error session_key metadata` and
/// `raw`, with times in seconds and `timestamp` in ISO 8601, UTC.
pub fn result_fields(task: &Task, report: &TaskReport, runtime: &str) -> Map<String, Value> {
    RESULT_FIELDS
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), result_field(&task.id, &task.agent_type, report, runtime, name)?)))
        .collect()
}

/// The names of a result's fields.
pub const RESULT_FIELDS: [&str; 10] = [
    "task_id",
    "agent_type",
    "status",
    "output",
    "execution_time",
    "timestamp",
    "error",
    "session_key",
    "metadata",
    "raw",
];

/// One of them; `None` if there is no such field.
pub fn result_field(id: &str, agent_type: &str, report: &TaskReport, runtime: &str, name: &str) -> Option<Value> {
    Some(match name {
        "task_id" => json!(id),
        "agent_type" => json!(agent_type),
        "status" => json!(report.end.status().name()),
        "output" => report.end.output().cloned().unwrap_or_default(),
        "execution_time" => seconds(report.execution_time()),
        "timestamp" => json!(iso8601(report.ended)),
        "error" => json!(report.end.reason()),
        "session_key" => {
            let session = report.attempts.last().and_then(|attempt| attempt.session.as_ref());
            json!(session.map(|session| &*session.key))
        }
        "metadata" => metadata(report, runtime),
        "raw" => json!(report.end.raw()),
        _ => return None,
    })
}

/// The end of a run, or where it stands: `run_id tasks attempts refusals retries restarts resumed cost currency budget
/// sessions_left`. `run_id` is `null` without a journal, `cost` as soon as one attempt's is not known, `budget` without one.
pub fn summary_fields(summary: &RunSummary, run_id: Option<&str>) -> Value {
    let progress = &summary.progress;
    json!({
        "run_id": run_id,
        "started": summary.started.map(iso8601),
        "ended": summary.latest.filter(|_| progress.ended).map(iso8601),
        "tasks": {
            "total": progress.tasks,
            "completed": progress.completed,
            "failed": progress.failed,
            "timeout": progress.timeout,
            "needs_input": progress.needs_input,
            "cancelled": progress.cancelled,
            "skipped": progress.skipped,
        },
        "attempts": progress.attempts,
        "refusals": progress.refusals,
        "retries": summary.retries,
        "breakers_opened": summary.breakers_opened,
        "restarts": summary.lives.saturating_sub(1),
        "resumed": summary.resumed,
        "cost": (progress.cost_unknown == 0).then_some(progress.cost_known),
        "currency": CURRENCY,
        "budget": summary.spending.as_ref().map(|ledger| budget_fields(ledger, &summary.not_started)),
        "sessions_left": sessions_left_fields(summary),
    })
}

/// What was spent of a budget: each cap with what was spent of it, `overrun` (what attempts used above what was reserved for
/// them: the most by which a cap can have been passed), attempts whose cost is unknown and that count with what was
/// reserved, and the tasks that were not started with what they would have taken at the most.
fn budget_fields(ledger: &Ledger, not_started: &[NotStarted]) -> Value {
    let (usd, tokens, attempts) = ledger.spent();
    let (caps, overrun) = (ledger.budget(), ledger.overrun());
    json!({
        "usd": {"cap": caps.usd, "spent": ledger.is_usd_known().then_some(usd), "overrun": overrun.usd},
        "tokens": {"cap": caps.tokens, "spent": tokens, "overrun": overrun.tokens},
        "attempts": {"cap": caps.attempts, "spent": attempts},
        "seconds": {"cap": caps.time.map(|time| time.as_secs_f64())},
        "attempts_unpriced": ledger.unpriced(),
        "not_started": not_started.iter().map(|task| json!({
            "task_id": *task.task_id, "cap": task.cap.name(), "usd": task.needed.usd, "tokens": task.needed.tokens,
        })).collect::<Vec<_>>(),
    })
}

/// A run of a journal in a list: `run_id started runtime tasks done completed latest state`, the state `running` while a
/// process runs it, `ended`, or `open`: resume it.
pub fn run_fields(run: &RunRow) -> Value {
    json!({
        "run_id": run.id,
        "state": if run.running { "running" } else if run.ended { "ended" } else { "open" },
        "started": iso8601(run.started),
        "latest": run.latest.map(iso8601),
        "runtime": run.runtime,
        "tasks": run.tasks,
        "done": run.done,
        "completed": run.completed,
    })
}

/// The counts of a run for an orchestrator's statistics: `attempts completed failed execution_time`, the last in seconds.
pub fn totals_fields(summary: &RunSummary) -> Value {
    let progress = &summary.progress;
    json!({
        "attempts": progress.attempts,
        "completed": progress.completed,
        "failed": progress.failed + progress.timeout,
        "execution_time": seconds(summary.execution_time),
    })
}

/// The sessions that stay behind: `task_id session_key reason` each.
pub fn sessions_left_fields(summary: &RunSummary) -> Value {
    let left = |left: &SessionLeft| json!({"task_id": *left.task_id, "session_key": *left.key, "reason": left.reason});
    summary.sessions_left.iter().map(left).collect()
}

fn metadata(report: &TaskReport, runtime: &str) -> Value {
    let last = report.attempts.last();
    let skipped_because = match &report.end {
        End::Skipped { because_of, .. } => Some(&**because_of),
        End::Completed { .. }
        | End::Failed { .. }
        | End::Timeout { .. }
        | End::NeedsInput { .. }
        | End::Cancelled { .. } => None,
    };
    json!({
        "model_requested": last.map(|attempt| &*attempt.model),
        "model_used": last.and_then(|attempt| attempt.model_used.as_deref()),
        "tier": last.map(|attempt| attempt.tier),
        "attempts": report.attempts.iter().map(attempt).collect::<Vec<_>>(),
        "tokens": report.tokens().map(tokens),
        "cost": report.cost(),
        "currency": CURRENCY,
        "queued_seconds": seconds(report.queued()),
        "runtime": runtime,
        "truncated": last.is_some_and(|attempt| attempt.truncated),
        "skipped_because": skipped_because,
        "doctor": result_check(report, runtime).map(Check::id),
    })
}

/// The line of `parallel-agents doctor` that explains a failure which the gateway's settings caused. What a rehearsal makes
/// up needs no explanation.
pub fn result_check(report: &TaskReport, runtime: &str) -> Option<Check> {
    match &report.end {
        End::Failed { reason, .. } | End::Timeout { reason, .. } if runtime != "rehearsal" => {
            let last = report.attempts.last().and_then(|attempt| attempt.reason.as_deref());
            Check::of_failure(reason).or_else(|| last.and_then(Check::of_failure))
        }
        End::Failed { .. }
        | End::Timeout { .. }
        | End::Completed { .. }
        | End::Skipped { .. }
        | End::NeedsInput { .. }
        | End::Cancelled { .. } => None,
    }
}

fn attempt(attempt: &AttemptReport) -> Value {
    json!({
        "no": attempt.no,
        "tier": attempt.tier,
        "model": *attempt.model,
        "model_used": attempt.model_used.as_deref(),
        "session_key": attempt.session.as_ref().map(|session| &*session.key),
        "run_id": attempt.session.as_ref().map(|session| &*session.run_id),
        "outcome": attempt.outcome,
        "reason": attempt.reason,
        "started": attempt.started.unwrap_or(attempt.ordered).as_seconds(),
        "ended": attempt.ended.map(Time::as_seconds),
        "tokens": attempt.tokens.map(tokens),
        "cost": attempt.cost,
    })
}

fn tokens(tokens: Tokens) -> Value {
    json!({
        "input": tokens.input,
        "output": tokens.output,
        "cache_read": tokens.cache_read,
        "cache_write": tokens.cache_write,
        "total": tokens.total,
    })
}

fn seconds(span: Duration) -> Value {
    json!(span.as_secs_f64())
}

/// A time that only a rehearsal reaches is told as the last one that can be told.
fn iso8601(time: Time) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(time.as_millis().min(LAST_MILLISECOND));
    humantime::format_rfc3339_millis(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_too_late_to_be_told() {
        assert_eq!(iso8601(Time::from_millis(1_700_000_000_123)), "2023-11-14T22:13:20.123Z");
        assert_eq!(iso8601(Time::from_millis(u64::MAX)), "9999-12-31T23:59:59.999Z");
    }
}
