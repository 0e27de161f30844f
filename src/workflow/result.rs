//! One task's result as callers see it, on the command line and in Python: the documented keys, once.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::{RunSummary, SessionLeft};
use crate::core::fact::End;
use crate::core::plan::Task;
use crate::core::report::{AttemptReport, TaskReport};
use crate::core::time::Time;
use crate::core::usage::Tokens;

/// What costs are counted in.
const CURRENCY: &str = "USD";

/// The last millisecond of the year 9999, since the epoch.
const LAST_MILLISECOND: u64 = 253_402_300_799_999;

/// The result of `task`: `task_id agent_type status output execution_time timestamp error session_key metadata` and
/// `raw`, with times in seconds and `timestamp` in ISO 8601, UTC.
pub fn result_fields(task: &Task, report: &TaskReport, runtime: &str) -> Map<String, Value> {
    RESULT_FIELDS
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), result_field(task, report, runtime, name)?)))
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
pub fn result_field(task: &Task, report: &TaskReport, runtime: &str, name: &str) -> Option<Value> {
    Some(match name {
        "task_id" => json!(*task.id),
        "agent_type" => json!(*task.agent_type),
        "status" => json!(report.end.status()),
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

/// The end of a run: `attempts refusals cost currency sessions_left`, the cost `null` as soon as one attempt's is not
/// known.
pub fn summary_fields(summary: &RunSummary) -> Value {
    let progress = &summary.progress;
    json!({
        "attempts": progress.attempts,
        "refusals": progress.refusals,
        "cost": (progress.cost_unknown == 0).then_some(progress.cost_known),
        "currency": CURRENCY,
        "sessions_left": sessions_left_fields(summary),
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
        End::Completed { .. } | End::Failed { .. } | End::Timeout { .. } | End::Cancelled { .. } => None,
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
    })
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
