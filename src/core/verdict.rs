//! The end of one attempt, judged in full: its own meaning, the form of its answer, and whether we were stopping it.

use std::sync::Arc;

use serde_json::Value;

use super::fact::{Outcome, StopReason};
use super::failure::{Ending, Failure, FailureKind};
use super::output;
use super::plan::Task;

/// A usable answer, as a value and as it was written; or why there is none.
pub(super) type Verdict = Result<(Value, Arc<str>), Unread>;

/// Why there is no value, and the text there was instead.
#[derive(Debug)]
pub(super) struct Unread {
    pub failure: Failure,
    pub answer: Option<Arc<str>>,
}

/// What the end of an attempt of `task` comes to. `stopping` is why we were stopping it, if we were, and
/// `cancel_reason` why the run ends early, if it does. An answer that crossed our stop counts: it is paid for.
pub(super) fn verdict(task: &Task, ending: Ending, stopping: Option<StopReason>, cancel_reason: &str) -> Verdict {
    let unstoppable = matches!(ending, Ending::Unstoppable { .. });
    let cut = matches!(ending, Ending::Cut(_));
    let read = ending.judge().map_err(|failure| Unread { failure, answer: None }).and_then(|text| {
        if let Some(question) = output::question(&text, task.format, &task.contract) {
            return Err(Unread { failure: Failure::new(FailureKind::Question, question), answer: Some(text.into()) });
        }
        match output::read(&text, task.format, task.schema.as_ref()) {
            Ok(value) => Ok((value, text.into())),
            Err(complaint) => {
                let failure =
                    if cut { truncated(&text, &complaint) } else { Failure::new(FailureKind::Output, complaint) };
                Err(Unread { failure, answer: Some(text.into()) })
            }
        }
    });
    read.map_err(|unread| match (stopping, unread) {
        (None, unread) => unread,
        (Some(_), unread) if unstoppable || unread.failure.kind == FailureKind::Question => unread,
        // The runtime never started it: there was nothing to stop.
        (Some(_), unread) if unread.failure.kind == FailureKind::Busy => unread,
        // What a stopped agent says of its own end is only the echo of our stop.
        (Some(why), Unread { answer, .. }) => Unread { failure: stopped(task, why, cancel_reason), answer },
    })
}

/// The agent may have done all that was asked of it: the tool that reads its answer shows only the beginning.
fn truncated(text: &str, complaint: &str) -> Failure {
    let characters = text.chars().count();
    let reason = format!(
        "the answer was cut after {characters} characters on its way, and what is left cannot be read ({complaint}); the \
         gateway runtime brings answers whole: Orchestrator(gateway=Gateway())"
    );
    Failure::new(FailureKind::Truncated, reason)
}

/// Why a task ends that has had its time.
pub(super) fn deadline_passed(task: &Task) -> String {
    format!("the task's time of {} s is up", task.deadline.unwrap_or_default().as_secs_f64())
}

fn stopped(task: &Task, why: StopReason, cancel_reason: &str) -> Failure {
    match why {
        StopReason::Timeout => {
            let seconds = task.timeout.as_secs_f64();
            Failure::new(FailureKind::Timeout, format!("no answer within {seconds} s; stopped"))
        }
        StopReason::Idle => Failure::new(FailureKind::Timeout, "nothing was heard of the agent for too long; stopped"),
        StopReason::TaskDeadline => Failure::new(FailureKind::Timeout, deadline_passed(task)),
        StopReason::RunDeadline => Failure::new(FailureKind::Timeout, cancel_reason),
        StopReason::Cancel | StopReason::Unneeded => Failure::new(FailureKind::Stopped, cancel_reason),
    }
}

/// The same verdict again, from the fact that told it: what an earlier process found out and did not live to act on.
pub(super) fn recalled(task: &Task, outcome: Outcome, answer: Option<Arc<str>>) -> Verdict {
    let failure = match outcome {
        Outcome::Completed => {
            let text = answer.clone().unwrap_or_default();
            match output::read(&text, task.format, task.schema.as_ref()) {
                Ok(value) => return Ok((value, text)),
                Err(complaint) => Failure::new(FailureKind::Output, complaint),
            }
        }
        Outcome::Failed { kind, reason } => Failure::new(kind, reason),
        Outcome::NeedsInput { question } => Failure::new(FailureKind::Question, question),
        Outcome::Cancelled => Failure::new(FailureKind::Stopped, ""),
    };
    Err(Unread { failure, answer })
}

/// How a fact tells it. Only what ended because somebody cancelled the run, or
/// because it is no longer needed, is cancelled.
pub(super) fn outcome(verdict: &Verdict, stopping: Option<StopReason>) -> Outcome {
    match verdict {
        Ok(_) => Outcome::Completed,
        Err(Unread { failure, .. })
            if matches!(stopping, Some(StopReason::Cancel | StopReason::Unneeded))
                && failure.kind == FailureKind::Stopped =>
        {
            Outcome::Cancelled
        }
        Err(Unread { failure, .. }) if failure.kind == FailureKind::Question => {
            Outcome::NeedsInput { question: failure.reason.clone() }
        }
        Err(Unread { failure, .. }) => Outcome::Failed { kind: failure.kind, reason: failure.reason.clone() },
    }
}
