//! What attempts come to, and what follows them.

use std::time::Duration;

use parallel_agents::core::action::{Action, AttemptRef};
use parallel_agents::core::fact::{End, Event, Outcome, StopReason};
use parallel_agents::core::failure::FailureKind;

use super::{Moment, Verdict, View, holds};
use crate::book::{Book, Input, Stage};
use crate::simulation::OVERSLEPT_MAX;
use crate::truth::{self, Truth, next_tier, truth};

/// Attempts are numbered without a gap, and there are at most as many as the policy allows.
pub fn attempts_are_bounded_and_numbered(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let Moment::Fact(fact) = moment else { return Ok(()) };
    let Event::AttemptPlanned { attempt, attempt_no, .. } = fact.event else { return Ok(()) };
    let page = &view.book.tasks[attempt.task_index];
    let (spent, before) = (page.spent.len(), page.spent_before);
    let max = view.book.scene.settings.retry.attempts_max as usize;
    holds!(attempt_no as usize == spent + 1, "{spent} were spent");
    holds!(spent - before < max, "at most {max} are allowed each time that it is open");
    Ok(())
}

/// What the runtime refused as busy is refused and spends nothing; nothing else is.
pub fn busy_refusals_spend_no_attempt(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let Moment::Fact(fact) = moment else { return Ok(()) };
    let (attempt, refused) = match &fact.event {
        Event::AttemptRefused { attempt, .. } => (attempt, true),
        Event::AttemptEnded { attempt, .. } => (attempt, false),
        _ => return Ok(()),
    };
    let page = view.book.attempt(*attempt).ok_or("it was never planned")?;
    holds!((truth(page) == Truth::Refused) == refused, "the world said {:?}", page.told);
    Ok(())
}

/// An attempt's outcome is what the world reported of it, and its figures are.
pub fn outcomes_are_what_the_world_reported(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let Moment::Fact(fact) = moment else { return Ok(()) };
    let Event::AttemptEnded { attempt, outcome, cost, .. } = &fact.event else { return Ok(()) };
    holds!(view.book.is_open(*attempt), "it is not open");
    let page = &view.book.attempts[attempt];
    let said = match outcome {
        Outcome::Completed => Truth::Completed,
        Outcome::Failed { kind, .. } => Truth::Failed(*kind),
        Outcome::NeedsInput { .. } => Truth::Failed(FailureKind::Question),
        Outcome::Cancelled => Truth::Cancelled,
    };
    holds!(said == truth(page), "it is {:?}, by {:?}", truth(page), page.told);
    holds!(*cost == truth::cost(page), "it cost {:?}", truth::cost(page));
    Ok(())
}

/// A failure is followed by what the policy says: the same tier again within its bounds, else the next, else the end.
pub fn retries_follow_the_policy(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let Moment::Fact(fact) = moment else { return Ok(()) };
    let (book, policy) = (view.book, &view.book.scene.settings.retry);
    match &fact.event {
        Event::RetryPlanned { task_index, tier, delay, .. } => {
            let Some((next, seen, kind)) = next_tier(book, *task_index) else {
                return Err("nothing may follow".to_owned());
            };
            holds!(*tier == next, "tier {next} follows {seen} times {kind:?}");
            let last = book.tasks[*task_index].spent.last().map(|attempt| book.attempts[attempt].tier);
            let at_once = kind == FailureKind::Output || last != Some(next);
            let cap = policy.delay_first.saturating_mul(1 << (seen - 1).min(20)).min(policy.delay_max);
            holds!(*delay <= if at_once { Duration::ZERO } else { cap }, "after {seen} times {kind:?}");
        }
        Event::TaskEnded { task_index, end: End::Failed { .. } | End::Timeout { .. } }
            if book.ended_early.is_none() && !may_end_before_its_retries_do(book, *task_index) =>
        {
            let next = next_tier(book, *task_index);
            holds!(next.is_none(), "it should have gone on: {next:?}");
        }
        _ => {}
    }
    Ok(())
}

/// Whether something else than its own failures keeps a task from going on.
fn may_end_before_its_retries_do(book: &Book<'_>, index: usize) -> bool {
    let page = &book.tasks[index];
    let in_time = page.deadline.is_none_or(|deadline| book.now < deadline);
    book.starts_stopped
        || page.over_budget
        || !in_time
        || book.retries >= book.retries_max()
        || (page.stage == Stage::Ready && book.is_given_up(index))
}

/// The run makes no more retries than its floor and its share of the tasks that have started.
pub fn retries_are_bounded_over_the_run(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let (book, Moment::Fact(fact)) = (view.book, moment) else { return Ok(()) };
    if let Event::RetryPlanned { .. } = fact.event {
        holds!(book.retries < book.retries_max(), "{} were made for {} tasks", book.retries, book.started.len());
    }
    Ok(())
}

/// The tier of an attempt is the one that was planned, or the next whose model is not left alone: it climbs one by one and
/// never comes down, and a busy refusal leaves it alone.
pub fn tiers_only_climb(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let Moment::Fact(fact) = moment else { return Ok(()) };
    let Event::AttemptPlanned { attempt, tier, .. } = &fact.event else { return Ok(()) };
    let page = &view.book.tasks[attempt.task_index];
    holds!(*tier >= page.tier, "tier {} was planned", page.tier);
    for passed_over in page.tier..*tier {
        let shut = view.book.shut(attempt.task_index, passed_over, view.book.now);
        holds!(shut.is_some(), "tier {passed_over} was passed over, and no breaker keeps it shut");
    }
    Ok(())
}

/// An unusable answer is shown to the next attempt on its tier, with what is wrong; the next tier starts afresh.
pub fn objections_go_to_the_same_tier_only(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let Moment::Action(Action::Spawn(order)) = moment else { return Ok(()) };
    let (book, index) = (view.book, order.attempt.task_index);
    let tier = book.attempt(order.attempt).ok_or("it was never planned")?.tier;
    let objects = order.prompt.text().contains("## Your previous answer was not usable");
    let unusable = |attempt: &&AttemptRef| {
        let page = &book.attempts[*attempt];
        page.tier == tier && truth(page) == Truth::Failed(FailureKind::Output)
    };
    let task = &book.tasks[index];
    if let Some(attempt) = task.spent[task.spent_before..].iter().rfind(unusable) {
        holds!(objects, "no objection to the answer of {attempt:?}");
        let shown = told_text(book, *attempt).is_some_and(|text| order.prompt.text().contains(text));
        holds!(shown, "the objection does not show the answer of {attempt:?}");
    } else {
        holds!(!objects, "an objection to nothing");
    }
    Ok(())
}

fn told_text<'a>(book: &'a Book<'_>, attempt: AttemptRef) -> Option<&'a str> {
    book.attempts[&attempt].told.as_ref()?.text.as_deref().map(str::trim)
}

/// An agent is stopped once, and only because its time is up, the run was cancelled, or the run's time is up.
pub fn stops_have_their_reason(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let Moment::Fact(fact) = moment else { return Ok(()) };
    let Event::AttemptStopping { attempt, why } = fact.event else { return Ok(()) };
    let (book, settings) = (view.book, &view.book.scene.settings);
    holds!(book.is_open(attempt), "it is not open");
    let page = &book.attempts[&attempt];
    holds!(page.stopping.is_none(), "it is being stopped: {:?}", page.stopping);
    holds!(page.stopped_before <= Some(why), "it was being stopped: {:?}", page.stopped_before);
    if page.stopped_before == Some(why) {
        return Ok(());
    }
    match why {
        StopReason::Timeout => {
            let timeout = book.plan().tasks()[attempt.task_index].timeout;
            let since = page.since.ok_or("it was not seen to work")?;
            holds!(since + timeout + settings.grace <= book.now, "it works since {since:?} only");
        }
        StopReason::Idle => {
            let idle_max = settings.idle_max.ok_or("agents may be idle")?;
            let active = page.active.ok_or("its runtime tells of no activity")?;
            holds!(active + idle_max <= book.now, "it did something at {active:?}");
        }
        StopReason::TaskDeadline => {
            let deadline = book.tasks[attempt.task_index].deadline;
            holds!(deadline.is_some_and(|deadline| deadline <= book.now), "its task has time until {deadline:?}");
        }
        StopReason::Cancel => holds!(book.cancels > 0, "nobody cancelled"),
        StopReason::Unneeded => holds!(book.is_enough(), "it may be needed"),
        StopReason::RunDeadline => {
            let over =
                book.ended_early == Some(StopReason::RunDeadline) || book.begun + settings.run_time_max <= book.now;
            holds!(over, "the run has time left");
        }
    }
    Ok(())
}

/// An agent that works for longer than its timeout and the grace is being stopped, and so is one of which nothing was heard
/// for too long; a task that has had its time has ended or is being stopped.
pub fn deadlines_are_kept(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let (book, Moment::Settled(Input::Time)) = (view.book, moment) else { return Ok(()) };
    for (attempt, page) in book.open() {
        let allowed = book.plan().tasks()[attempt.task_index].timeout + book.scene.settings.grace;
        // One that was taken up may have answered since: there is time to find out.
        let given = page.adopted_at.is_none_or(|at| at + book.scene.settings.stop_patience <= book.now);
        let late = given && page.since.is_some_and(|since| since + allowed <= book.now);
        holds!(!late || page.stopping.is_some(), "{attempt:?} works since {:?}", page.since);
        if let (Some(idle_max), Some(active), Some(_)) = (book.scene.settings.idle_max, page.active, page.since) {
            let seen = page.active.max(page.active_heard).max(page.started_at).max(page.adopted_at).unwrap_or(active);
            let idle = seen + idle_max + idle_max / 3 + 2 * OVERSLEPT_MAX <= book.now;
            holds!(!idle || page.stopping.is_some(), "{attempt:?} does nothing since {active:?}");
        }
    }
    for (index, task) in book.tasks.iter().enumerate() {
        let late = task.deadline.is_some_and(|deadline| deadline <= book.now);
        let ends = match task.stage {
            Stage::Live(attempt) => book.attempts[&attempt].stopping.is_some(),
            Stage::Ready | Stage::Delayed(_) => false,
            Stage::Blocked | Stage::Ended => true,
        };
        holds!(!late || ends, "task {index} goes on past its time: {:?}", task.stage);
    }
    Ok(())
}

/// When an agent was not seen to work for as long as it may work, the runtime is asked about it.
pub fn agents_that_show_no_start_are_looked_for(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let (book, Moment::Settled(Input::Time)) = (view.book, moment) else { return Ok(()) };
    if !book.is_durable() {
        return Ok(());
    }
    for (attempt, page) in book.open() {
        let allowed = book.plan().tasks()[attempt.task_index].timeout + book.scene.settings.grace;
        let waits = page.since.is_none() && page.stopping.is_none();
        holds!(!waits || book.now < page.look_since + allowed, "{attempt:?} was not looked for");
    }
    Ok(())
}

/// A stop that is not confirmed is given up when the agreed patience is over, neither earlier nor later, unless the
/// run is cancelled twice.
pub fn stops_are_waited_for_as_long_as_agreed(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let (book, patience) = (view.book, view.book.scene.settings.stop_patience);
    match moment {
        Moment::Fact(fact) => {
            let Event::AttemptEnded { attempt, .. } = &fact.event else { return Ok(()) };
            let page = book.attempt(*attempt).ok_or("it was never planned")?;
            if page.told.is_none() && !page.was_never_ordered() {
                let stopping = page.stopping.ok_or("given up although nobody stopped it")?;
                let over = stopping.at + patience <= book.now;
                let twice = matches!(view.input, Input::Cancel) && book.cancels >= 2;
                holds!(over || twice, "given up after a stop at {:?}, patience {patience:?}", stopping.at);
            }
        }
        Moment::Settled(Input::Time) => {
            for (attempt, page) in book.open() {
                let late = page.stopping.is_some_and(|stopping| stopping.at + patience <= book.now);
                holds!(!late, "{attempt:?} is still waited for: {:?}", page.stopping);
            }
        }
        Moment::Input(_) | Moment::Action(_) | Moment::Settled(_) => {}
    }
    Ok(())
}
