//! How tasks end, and what is said of it.

use parallel_agents::core::action::{Action, Report};
use parallel_agents::core::fact::{End, Event, Status, StopReason};
use parallel_agents::core::failure::FailureKind;
use parallel_agents::core::report::{AttemptReport, TaskReport};
use parallel_agents::core::usage::Tokens;

use super::{Moment, Verdict, View, holds};
use crate::book::{AttemptPage, Book, Stage, Told};
use crate::endings::Meaning;
use crate::truth::{Truth, truth};

/// Every task ends exactly once, all of them before the run does.
pub fn a_task_ends_once(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let Moment::Fact(fact) = moment else { return Ok(()) };
    let tasks = &view.book.tasks;
    match fact.event {
        Event::TaskEnded { task_index, .. } => {
            holds!(tasks[task_index].end.is_none(), "it has ended before: {:?}", tasks[task_index].end);
        }
        Event::RunEnded => {
            holds!(!view.book.ended, "the run has ended before");
            let open = tasks.iter().position(|task| task.end.is_none());
            holds!(open.is_none(), "task {open:?} has not ended");
        }
        _ => {}
    }
    Ok(())
}

/// After a task's end nothing of it happens but that its sessions are found and put away.
pub fn nothing_of_a_task_happens_after_its_end(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let book = view.book;
    let task = match moment {
        Moment::Fact(fact) => match fact.event {
            Event::AttemptPlanned { attempt, .. }
            | Event::AttemptStarted { attempt, .. }
            | Event::AttemptRefused { attempt, .. }
            | Event::AttemptStopping { attempt, .. }
            | Event::AttemptEnded { attempt, .. } => attempt.task_index,
            Event::RetryPlanned { task_index, .. } => task_index,
            Event::AttemptAccepted { .. }
            | Event::SessionDeleted { .. }
            | Event::SessionLeft { .. }
            | Event::TaskEnded { .. }
            | Event::RunStarted { .. }
            | Event::LimitRaised { .. }
            | Event::Cancelled { .. }
            | Event::TasksAdded { .. }
            | Event::ApprovalAsked { .. }
            | Event::WordGiven { .. }
            | Event::OutcomeReached { .. }
            | Event::RuntimeMet { .. }
            | Event::RunResumed { .. }
            | Event::BudgetReached { .. }
            | Event::BreakerOpened { .. }
            | Event::TaskReopened { .. }
            | Event::StartsStopped { .. }
            | Event::RunEnded => return Ok(()),
        },
        Moment::Action(Action::Spawn(order)) => order.attempt.task_index,
        // One that was given up may yet be found, and then it is stopped.
        Moment::Action(Action::Adopt(_) | Action::Look(_) | Action::Stop(_) | Action::Delete { .. })
        | Moment::Input(_)
        | Moment::Settled(_) => return Ok(()),
    };
    holds!(book.tasks[task].stage != Stage::Ended, "task {task} has ended");
    Ok(())
}

fn last<'a>(book: &'a Book<'_>, index: usize) -> Option<&'a AttemptPage> {
    let task = &book.tasks[index];
    task.spent[task.spent_before..].last().map(|attempt| &book.attempts[attempt])
}

/// The status that a task has earned.
fn status(book: &Book<'_>, index: usize) -> Status {
    let page = &book.tasks[index];
    let last = last(book, index).map(truth);
    if last == Some(Truth::Completed) {
        return Status::Completed;
    }
    if last == Some(Truth::Failed(FailureKind::Question)) && matches!(page.stage, Stage::Live(_)) {
        return Status::NeedsInput;
    }
    let live = matches!(page.stage, Stage::Live(attempt) if !book.attempts[&attempt].was_never_ordered());
    let is_unneeded = last == Some(Truth::Cancelled)
        && matches!(page.stage, Stage::Live(attempt) if book.attempts[&attempt].stopping.is_some_and(|stopping| stopping.why == StopReason::Unneeded));
    if is_unneeded {
        return Status::Cancelled;
    }
    if let Some(why) = book.ended_early {
        return if live && why == StopReason::RunDeadline { Status::Timeout } else { Status::Cancelled };
    }
    if book.is_enough() {
        // What was skipped because of the very end that was enough is told after it.
        let dependencies = book.plan().dependencies(index);
        let skips = |&dependency: &usize| {
            book.was_in_vain(dependency) || matches!(book.tasks[dependency].end, Some(End::Skipped { .. }))
        };
        return if dependencies.iter().any(skips) { Status::Skipped } else { Status::Cancelled };
    }
    let completed = |&dependency: &usize| matches!(book.tasks[dependency].end, Some(End::Completed { .. }));
    if !book.plan().dependencies(index).iter().all(completed) {
        return Status::Skipped;
    }
    let unstarted = if page.is_retried { Status::Failed } else { Status::Cancelled };
    let in_time = page.deadline.is_none_or(|deadline| book.now < deadline);
    match page.stage {
        Stage::Ready | Stage::Delayed(_) if page.over_budget => return unstarted,
        Stage::Ready | Stage::Delayed(_) if !in_time => return Status::Timeout,
        Stage::Ready | Stage::Delayed(_) if book.starts_stopped || book.is_given_up(index) => return unstarted,
        Stage::Live(_) if last == Some(Truth::Cancelled) && book.starts_stopped => return Status::Cancelled,
        Stage::Live(_) if last == Some(Truth::Cancelled) && !in_time => return Status::Timeout,
        Stage::Ready | Stage::Delayed(_) | Stage::Live(_) | Stage::Blocked | Stage::Ended => {}
    }
    match last {
        Some(Truth::Failed(FailureKind::Timeout)) => Status::Timeout,
        Some(Truth::Failed(FailureKind::Stopped)) => Status::Cancelled,
        Some(Truth::Failed(_) | Truth::Completed | Truth::Refused | Truth::Cancelled) | None => Status::Failed,
    }
}

/// A task's status is the one it has earned; its output, its text and the task that it was skipped for are the true
/// ones.
pub fn ends_tell_the_truth(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let Moment::Fact(fact) = moment else { return Ok(()) };
    let Event::TaskEnded { task_index: index, end } = &fact.event else { return Ok(()) };
    let book = view.book;
    holds!(end.status() == status(book, *index), "it is {:?}", status(book, *index));
    match end {
        End::Completed { output, raw } => {
            let told = last(book, *index).and_then(|page| page.told.as_ref());
            let Some(Told { meaning: Meaning::Answer(value), text, .. }) = told else {
                return Err("the world gave no answer".to_owned());
            };
            holds!(**output == *value, "the answer is {value}");
            holds!(text.as_deref() == Some(&**raw), "the text is {text:?}");
        }
        End::NeedsInput { question, raw } => {
            let told = last(book, *index).and_then(|page| page.told.as_ref());
            let Some(Told { meaning: Meaning::Asks(asked), text, .. }) = told else {
                return Err("nobody asked anything".to_owned());
            };
            holds!(question == asked && raw.as_deref() == text.as_deref(), "it asked {asked:?}");
        }
        End::Failed { reason, raw } | End::Timeout { reason, raw } | End::Cancelled { reason, raw } => {
            holds!(!reason.is_empty(), "it has no reason");
            let task = &book.tasks[*index];
            let unusable = task.spent[task.spent_before..].iter().rev().find_map(|attempt| {
                let told = book.attempts[attempt].told.as_ref();
                let told = told.filter(|told| {
                    matches!(told.meaning, Meaning::Fails(FailureKind::Output | FailureKind::Truncated))
                });
                told.and_then(|told| told.text.as_deref())
            });
            holds!(raw.as_deref() == unusable, "it wrote {unusable:?} last");
        }
        End::Skipped { reason, because_of } => {
            let of = |&&dependency: &&usize| match &book.tasks[dependency].end {
                Some(End::Skipped { because_of: root, .. }) => root == because_of,
                Some(End::Failed { .. } | End::Timeout { .. } | End::NeedsInput { .. } | End::Cancelled { .. }) => {
                    book.plan().tasks()[dependency].id == *because_of
                }
                Some(End::Completed { .. }) | None => false,
            };
            holds!(book.plan().dependencies(*index).iter().any(|dependency| of(&dependency)), "it builds on others");
            holds!(reason.contains(&format!("`{because_of}`")), "the reason does not name the task");
        }
    }
    Ok(())
}

/// A task's report lists the attempts that the world saw, with the tier, model, session, tokens and cost of each.
pub fn reports_agree_with_the_world(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let book = view.book;
    if !matches!(moment, Moment::Settled(_)) {
        return Ok(());
    }
    for report in book.reports_of_step.iter().filter_map(|&index| book.tasks[index].report.as_ref()) {
        let page = &book.tasks[report.task_index];
        holds!(Some(&report.end) == page.end.as_ref(), "the end is {:?}", page.end);
        holds!(report.run_started == book.run_started && report.ended == book.now, "the times are wrong: {report:?}");
        let spent = page.spent.len() - page.spent_before;
        holds!(report.attempts.len() == spent, "{spent} attempts were spent: {report:?}");
        one_by_one(book, report)?;
    }
    Ok(())
}

fn one_by_one(book: &Book<'_>, report: &TaskReport) -> Verdict {
    let task = &book.tasks[report.task_index];
    let places = task.spent_before..;
    for ((place, said), attempt) in places.zip(&report.attempts).zip(&task.spent[task.spent_before..]) {
        let page = &book.attempts[attempt];
        let AttemptReport { no, tier, model, session, ordered, started, ended, outcome, .. } = said;
        holds!(*no as usize == place + 1, "attempt {place} has the number {no}");
        holds!(*tier == page.tier && *model == page.model, "attempt {no} ran on tier {} as {}", page.tier, page.model);
        let name = match truth(page) {
            Truth::Completed => "completed",
            Truth::Refused => "busy",
            Truth::Failed(kind) => kind.name(),
            Truth::Cancelled => "cancelled",
        };
        holds!(*outcome == name, "attempt {no} was {name}, not {outcome}");
        holds!(*ordered == page.planned_at, "attempt {no} was ordered at {:?}", page.planned_at);
        holds!(*started == page.since, "attempt {no} started at {:?}, not at {started:?}", page.since);
        holds!(*ended == page.over.as_ref().map(|over| over.at), "attempt {no} ended at {:?}", page.over);
        let known = page.session.as_ref().filter(|_| page.session_in_time || session.is_some());
        holds!(session.as_ref() == known, "attempt {no} had {known:?}, not {session:?}");
        let (tokens, model_used) = match page.told.as_ref().map(|told| &told.report) {
            Some(Report::Ended { usage, model_used, .. }) => (usage.tokens, model_used.clone()),
            None if page.was_never_ordered() => (Some(Tokens::default()), None),
            Some(_) | None => (None, None),
        };
        holds!(
            said.tokens == tokens && said.model_used == model_used,
            "attempt {no} used {tokens:?} of {model_used:?}"
        );
    }
    Ok(())
}

/// Progress is what an independent count of the world's doings comes to.
pub fn progress_agrees_with_a_count(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let book = view.book;
    if !matches!(moment, Moment::Settled(_)) {
        return Ok(());
    }
    let mut count = book.count.clone();
    count.ended = view.machine.is_finished();
    // While a fact is not durable, an agent may be planned that was not ordered.
    count.live =
        if book.is_durable() { book.open().filter(|(_, page)| page.handed_out).count() } else { book.progress.live };
    holds!(book.progress == count, "{:?} against a count of {count:?}", book.progress);
    holds!(book.progress.done() <= book.tasks.len(), "more ends than tasks");
    Ok(())
}
