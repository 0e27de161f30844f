//! Which agents start, when, and with what.

use parallel_agents::core::action::{Action, AttemptRef};
use parallel_agents::core::budget::Budget;
use parallel_agents::core::fact::{End, Event};

use super::{Moment, Verdict, View, holds};
use crate::book::{Input, Stage};
use crate::endings::{Meaning, token};

/// Never more agents at once than the limit in force, and that never above the caller's bound.
pub fn live_agents_stay_within_the_limit(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let (book, limit) = (view.book, view.book.limit);
    let bound = book.scene.settings.concurrency_max;
    holds!((1..=bound).contains(&limit), "the limit is {limit}, the caller's bound {bound}");
    if let Moment::Fact(fact) = moment
        && let Event::AttemptPlanned { .. } = fact.event
    {
        let open = book.open().count();
        holds!(open < limit, "one more beside {open} agents, the limit is {limit}");
    }
    if let Moment::Action(Action::Spawn(_)) = moment {
        let alive = view.world.alive().filter(|attempt| book.is_open(*attempt)).count();
        holds!(alive < limit, "one more beside {alive} agents that are alive, the limit is {limit}");
    }
    if let Moment::Settled(_) = moment {
        let open = book.open().count();
        holds!(open <= limit, "{open} agents, the limit is {limit}");
    }
    Ok(())
}

/// A refusal lowers the limit to what the runtime bears, never to none; otherwise it rises one by one.
pub fn the_limit_follows_what_the_runtime_bears(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let Moment::Fact(fact) = moment else { return Ok(()) };
    match fact.event {
        Event::AttemptRefused { limit, until, .. } => {
            let others = view.book.open().count() - 1;
            holds!(limit <= view.book.limit.min(others.max(1)), "{limit} although {others} are what it bore");
            holds!(until >= view.book.now, "the next start is tried in the past");
        }
        Event::LimitRaised { limit } => {
            holds!(limit == view.book.limit + 1, "raised from {} to {limit}", view.book.limit);
        }
        _ => {}
    }
    Ok(())
}

/// A task starts when all it depends on has completed, and its prompt carries their outputs, its brief and contract.
pub fn dependencies_come_first_and_their_outputs_with_them(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let book = view.book;
    match moment {
        Moment::Fact(fact) => {
            let Event::AttemptPlanned { attempt, .. } = fact.event else { return Ok(()) };
            for &dependency in book.plan().dependencies(attempt.task_index) {
                let end = &book.tasks[dependency].end;
                holds!(matches!(end, Some(End::Completed { .. })), "dependency {dependency} has the end {end:?}");
            }
        }
        Moment::Action(Action::Spawn(order)) => {
            let index = order.attempt.task_index;
            for &dependency in book.plan().dependencies(index) {
                let word = book.tasks[dependency].spent.last().map(|attempt| token(*attempt)).unwrap_or_default();
                holds!(order.prompt.text().contains(&word), "the prompt lacks {word:?}");
            }
            for (question, answer) in &book.tasks[index].replies {
                let both = order.prompt.text().contains(question) && order.prompt.text().contains(answer);
                holds!(both, "the prompt lacks the answer to {question:?}");
            }
            let task = &book.plan().tasks()[index];
            let begin = format!("{}\n\n{}", task.instructions, task.brief);
            holds!(
                order.prompt.text().starts_with(&begin),
                "the prompt does not begin with the instructions and the brief"
            );
            holds!(order.prompt.text().ends_with(&*task.contract), "the prompt does not end with the contract");
        }
        Moment::Input(_) | Moment::Action(_) | Moment::Settled(_) => {}
    }
    Ok(())
}

/// An agent is ordered only when every earlier one of its task is dead and has given no answer, and never again beside
/// one that would not stop.
pub fn a_task_has_one_agent_at_a_time(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let book = view.book;
    match moment {
        Moment::Fact(fact) => {
            let Event::AttemptPlanned { attempt, .. } = fact.event else { return Ok(()) };
            let page = &book.tasks[attempt.task_index];
            holds!(matches!(page.stage, Stage::Ready | Stage::Delayed(_)), "the task is {:?}", page.stage);
            holds!(attempt.start_no == page.starts + 1, "after {} starts", page.starts);
        }
        Moment::Action(Action::Spawn(order)) => {
            let index = order.attempt.task_index;
            let other = view.world.alive().find(|other| other.task_index == index);
            holds!(other.is_none(), "beside {other:?}, which is alive");
            let unstoppable = book.tasks[index].spent.iter().find(|attempt| {
                let told = book.attempt(**attempt).and_then(|page| page.told.as_ref());
                told.map_or(!book.attempts[*attempt].was_never_ordered(), |told| told.meaning == Meaning::Unstoppable)
            });
            holds!(unstoppable.is_none(), "although {unstoppable:?} may still be running");
            let mut earlier = (1..order.attempt.start_no).map(|start_no| AttemptRef { task_index: index, start_no });
            let answered = earlier.find(|other| view.world.agent(*other).is_some_and(|agent| agent.has_answered));
            holds!(answered.is_none(), "although {answered:?} has answered");
        }
        Moment::Input(_) | Moment::Action(_) | Moment::Settled(_) => {}
    }
    Ok(())
}

/// Of the tasks that may start, the one with the highest priority does, the first given among equals; only one that breakers
/// hold back is passed over.
pub fn higher_priorities_start_first(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let Moment::Fact(fact) = moment else { return Ok(()) };
    let Event::AttemptPlanned { attempt, .. } = fact.event else { return Ok(()) };
    let tasks = view.book.plan().tasks();
    let started = (-tasks[attempt.task_index].priority, attempt.task_index);
    for (index, page) in view.book.tasks.iter().enumerate() {
        let place = (-tasks[index].priority, index);
        let waits = page.stage == Stage::Ready && place < started;
        holds!(!waits || view.book.is_held(index, view.book.time_told), "task {index} waits with a better place");
    }
    Ok(())
}

/// A task that is to wait does.
pub fn delays_are_kept(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let Moment::Fact(fact) = moment else { return Ok(()) };
    let Event::AttemptPlanned { attempt, .. } = fact.event else { return Ok(()) };
    if let Stage::Delayed(until) = view.book.tasks[attempt.task_index].stage {
        holds!(until <= view.book.now, "it was to wait until {until:?}");
    }
    Ok(())
}

/// No task waits beside free room, unless the runtime has just refused one, breakers hold it back, or agents that run may
/// leave room in the budget.
pub fn free_room_is_used(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let book = view.book;
    // That a hold is over, the machine learns when it is told the time, not when a fact is durable.
    let Moment::Settled(Input::Begin | Input::Restart { .. } | Input::Time | Input::Letter(_)) = moment else {
        return Ok(());
    };
    if book.ended_early.is_some() || book.hold > book.now {
        return Ok(());
    }
    let open = book.open().count();
    // Agents that run may leave room in the budget.
    if open > 0 && book.scene.settings.budget != Budget::default() {
        return Ok(());
    }
    // That a breaker's time is up, it learns in the same way.
    let may_start = |index: &usize| book.tasks[*index].stage == Stage::Ready && !book.is_held(*index, book.time_told);
    let waiting = (0..book.tasks.len()).find(may_start);
    holds!(waiting.is_none() || open >= book.limit, "task {waiting:?} waits beside {open} agents of {}", book.limit);
    Ok(())
}

/// No task waits for one that has ended without completing.
pub fn nothing_waits_in_vain(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let (book, Moment::Settled(_)) = (view.book, moment) else { return Ok(()) };
    let failed = |&dependency: &usize| {
        book.tasks[dependency].end.as_ref().is_some_and(|end| !matches!(end, End::Completed { .. }))
    };
    let in_vain = |index: &usize| {
        book.tasks[*index].stage == Stage::Blocked && book.plan().dependencies(*index).iter().any(failed)
    };
    let found = (0..book.tasks.len()).find(in_vain);
    holds!(found.is_none(), "task {found:?} builds on one that has ended otherwise");
    Ok(())
}

/// No attempt is planned once the run was cancelled, its time was up, or starts were stopped.
pub fn nothing_starts_once_the_run_is_to_end(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let Moment::Fact(fact) = moment else { return Ok(()) };
    let starts = matches!(fact.event, Event::AttemptPlanned { .. } | Event::RetryPlanned { .. });
    holds!(!starts || view.book.ended_early.is_none(), "the run is to end: {:?}", view.book.ended_early);
    holds!(!starts || !view.book.starts_stopped, "nothing is to start any more");
    Ok(())
}

/// An order repeats what its fact says, under a key of its own, and is given once.
pub fn orders_say_what_was_planned(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let book = view.book;
    match moment {
        Moment::Fact(fact) => {
            let Event::AttemptPlanned { attempt, tier, model, key, .. } = &fact.event else { return Ok(()) };
            let tiers = book.plan().tasks()[attempt.task_index].hierarchy.tiers();
            holds!(tiers.get(*tier).is_some_and(|tier| tier.model == *model), "tier {tier} is not {model}");
            holds!(!book.keys.contains(key), "the key {key} was used before");
        }
        Moment::Action(Action::Spawn(order)) => {
            let page = book.attempt(order.attempt).ok_or("it was never planned")?;
            let task = &book.plan().tasks()[order.attempt.task_index];
            holds!(!page.handed_out, "it was ordered before");
            holds!(
                page.key == order.key && order.model.as_ref() == Some(&page.model),
                "planned were {} and {}",
                page.key,
                page.model
            );
            holds!(order.timeout == task.timeout && order.task_id == task.id, "it is not task {}", task.id);
        }
        Moment::Input(_) | Moment::Action(_) | Moment::Settled(_) => {}
    }
    Ok(())
}
