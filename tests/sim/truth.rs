//! What really became of an attempt, and what must follow it, derived from what the world sent.

use parallel_agents::core::action::{AttemptRef, Report};
use parallel_agents::core::fact::StopReason;
use parallel_agents::core::failure::{Ending, FailureKind};

use super::book::{AttemptPage, Book};
use super::endings::Meaning;

/// What an attempt came to, by what the world sent and why it was being stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    Completed,
    Refused,
    Failed(FailureKind),
    Cancelled,
}

/// An answer counts even if it crosses a stop; of anything else a stopped agent says, only that it may still run.
pub fn truth(page: &AttemptPage) -> Truth {
    let meaning = page.told.as_ref().map(|told| &told.meaning);
    match (meaning, page.stopping.map(|stopping| stopping.why)) {
        (Some(Meaning::Answer(_)), _) => Truth::Completed,
        (Some(Meaning::Asks(_)), _) => Truth::Failed(FailureKind::Question),
        (Some(Meaning::Busy), _) => Truth::Refused,
        (None, _) if page.was_never_ordered() => Truth::Cancelled,
        (Some(Meaning::Unstoppable) | None, _) => Truth::Failed(FailureKind::Permanent),
        (
            Some(Meaning::Fails(_)),
            Some(StopReason::Timeout | StopReason::Idle | StopReason::TaskDeadline | StopReason::RunDeadline),
        ) => Truth::Failed(FailureKind::Timeout),
        (Some(Meaning::Fails(_)), Some(StopReason::Cancel | StopReason::Unneeded)) => Truth::Cancelled,
        (Some(Meaning::Fails(kind)), None) => Truth::Failed(*kind),
    }
}

/// The tier and the truth of each attempt that a task has spent since it was last opened.
fn failures<'a>(book: &'a Book<'_>, index: usize) -> impl Iterator<Item = (usize, Truth)> + 'a {
    let task = &book.tasks[index];
    task.spent[task.spent_before..].iter().map(|attempt| (book.attempts[attempt].tier, truth(&book.attempts[attempt])))
}

/// The tier on which a task goes on after its latest failure, and how often that failure was seen there. The rules
/// are those of the retry policy, applied to the list of all its attempts.
pub fn next_tier(book: &Book<'_>, index: usize) -> Option<(usize, u32, FailureKind)> {
    let policy = &book.scene.settings.retry;
    let spent: Vec<(usize, Truth)> = failures(book, index).collect();
    let (tier, Truth::Failed(kind)) = *spent.last()? else { return None };
    let retries_max = match kind {
        FailureKind::Transient => policy.transient_retries_max,
        FailureKind::ServerError => policy.server_error_retries_max,
        FailureKind::Output => policy.output_retries_max,
        FailureKind::Model | FailureKind::Timeout => 0,
        FailureKind::Permanent
        | FailureKind::Truncated
        | FailureKind::Stopped
        | FailureKind::Question
        | FailureKind::Busy => return None,
    };
    if spent.len() >= policy.attempts_max as usize {
        return None;
    }
    let (mut retries_max, mut repeats_another) = (retries_max, false);
    if kind == FailureKind::Output {
        match first_of_these_words(book, index) {
            None => {}
            Some(earlier) if earlier == tier => retries_max = 0,
            Some(_) => repeats_another = true,
        }
    }
    if repeats_another {
        return None;
    }
    let seen = spent.iter().filter(|failure| **failure == (tier, Truth::Failed(kind))).count();
    let seen = u32::try_from(seen).unwrap_or(u32::MAX);
    let tiers = book.plan().tasks()[index].hierarchy.tiers().len();
    let next = if seen <= retries_max { tier } else { tier + 1 };
    (next < tiers).then_some((next, seen, kind))
}

/// The tier on which an unusable answer was first given that the task's latest attempt has given again.
fn first_of_these_words(book: &Book<'_>, index: usize) -> Option<usize> {
    let task = &book.tasks[index];
    let unusable = |attempt: &&AttemptRef| truth(&book.attempts[*attempt]) == Truth::Failed(FailureKind::Output);
    let text = |attempt: &AttemptRef| book.attempts[attempt].told.as_ref().and_then(|told| told.text.clone());
    let (last, earlier) = task.spent[task.spent_before..].split_last()?;
    let found = earlier.iter().filter(unusable).find(|attempt| text(attempt) == text(last));
    found.map(|attempt| book.attempts[attempt].tier)
}

/// What an attempt cost, as far as the world told; one that certainly never started cost nothing.
pub fn cost(page: &AttemptPage) -> Option<f64> {
    match &page.told {
        None if page.was_never_ordered() => Some(0.0),
        None => None,
        Some(told) => {
            // A run that failed was started, whether or not anybody heard of that.
            let has_run = matches!(&told.report, Report::Ended { ending: Ending::Failed { .. }, .. });
            let may_have_run = has_run || page.adopted_at.is_some() || told.meaning == Meaning::Unstoppable;
            let certain = page.accepted_no.is_none() && !may_have_run;
            told.cost.or(certain.then_some(0.0))
        }
    }
}
