//! How a run grows, and what its strategy hears.

use std::collections::VecDeque;

use parallel_agents::core::action::Action;
use parallel_agents::core::fact::Event;
use parallel_agents::core::strategy::Word;

use super::{Moment, Verdict, View, holds};
use crate::book::{Deletion, Input, Stage};
use crate::steering::outcome;

/// A task is added once, as the strategy wanted it, and nothing happens to it before the fact that adds it; all that it
/// wants is added at once.
pub fn an_added_task_comes_once_and_as_it_was_wanted(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let book = view.book;
    match moment {
        Moment::Fact(fact) => {
            let index = match &fact.event {
                Event::TasksAdded { first, tasks } => {
                    let steered = book.steered.as_ref().ok_or("it has no strategy")?;
                    holds!(*first == book.tasks.len() && !tasks.is_empty(), "there are {} tasks", book.tasks.len());
                    let wanted = steered.wanted.iter().take(tasks.len());
                    holds!(wanted.eq(tasks.iter().map(|task| &task.id)), "it wanted {:?}", steered.wanted);
                    let again = tasks.iter().find(|task| book.plan().tasks().iter().any(|known| known.id == task.id));
                    holds!(again.is_none(), "`{}` is there already", again.map_or("", |task| &task.id));
                    return Ok(());
                }
                Event::AttemptPlanned { attempt, .. } => attempt.task_index,
                Event::TaskEnded { task_index, .. } | Event::TaskReopened { task_index, .. } => *task_index,
                _ => return Ok(()),
            };
            holds!(index < book.tasks.len(), "there are only {} tasks", book.tasks.len());
        }
        Moment::Settled(_) if book.may_grow() && !view.machine.is_finished() => {
            let wanted = book.steered.as_ref().map(|steered| &steered.wanted);
            holds!(wanted.is_none_or(VecDeque::is_empty), "not added: {wanted:?}");
        }
        Moment::Input(_) | Moment::Action(_) | Moment::Settled(_) => {}
    }
    Ok(())
}

/// Nothing is added and nothing is asked once the run was cancelled, its strategy has enough, or starts were stopped.
pub fn nothing_is_added_once_the_run_is_to_end(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let Moment::Fact(fact) = moment else { return Ok(()) };
    let grows = matches!(fact.event, Event::TasksAdded { .. } | Event::ApprovalAsked { .. } | Event::WordGiven { .. });
    holds!(!grows || view.book.may_grow(), "it is to end: {:?}", view.book.cancelled_by);
    Ok(())
}

/// A strategy is told every end that is final, and every word, once, in the order of the facts, and nothing else.
pub fn a_strategy_hears_what_is_final_once_and_in_order(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let (Moment::Settled(_), Some(steered)) = (moment, &view.book.steered) else { return Ok(()) };
    let log = steered.log.read();
    holds!(log.iter().map(|(what, _)| what).eq(&steered.told), "it has heard {:?}, not {:?}", *log, steered.told);
    Ok(())
}

/// What a strategy hears again it has heard before, and says the same to it.
pub fn a_restored_strategy_has_heard_the_same(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let (Moment::Settled(Input::Restart { .. }), Some(steered)) = (moment, &view.book.steered) else { return Ok(()) };
    let (log, before) = (steered.log.read(), &steered.predecessor);
    let count = steered.recalled;
    holds!(log.len() >= count && before.len() >= count, "{} of {count} things, before {}", log.len(), before.len());
    holds!(log[..count] == before[..count], "it has heard {:?}, before {before:?}", *log);
    Ok(())
}

/// The run stays open for as long as its strategy waits for a word, and no longer; it is given what it waits for, and
/// nothing else.
pub fn a_run_waits_for_words_and_no_longer(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let (book, Some(steered)) = (view.book, &view.book.steered) else { return Ok(()) };
    match moment {
        Moment::Fact(fact) => match &fact.event {
            Event::RunEnded => holds!(!book.awaits_word(), "its strategy waits for a word"),
            Event::ApprovalAsked { .. } => holds!(steered.asked && !steered.is_asked_now, "it was not asked for now"),
            Event::WordGiven { word: Word::Budget { .. } } => holds!(steered.counts, "nobody asked about the budget"),
            Event::WordGiven { word } => {
                let given = matches!(view.input, Input::Word(given) if given == word);
                holds!(given && steered.word_due, "nobody waits for that");
            }
            _ => {}
        },
        Moment::Settled(_) if book.may_grow() && !view.machine.is_finished() => {
            holds!(!steered.asked || steered.is_asked_now, "nobody is asked for the approval");
            holds!(!steered.counts, "the strategy is not told of the budget");
            holds!(!steered.word_due, "the word was not given");
        }
        Moment::Input(_) | Moment::Action(_) | Moment::Settled(_) => {}
    }
    if let Moment::Settled(_) = moment {
        let waits = view.machine.awaits_word();
        holds!(view.machine.is_finished() || waits == book.awaits_word(), "whether it waits for a word: {waits}");
    }
    // What is left then is to delete sessions.
    if let Moment::Settled(Input::Time | Input::Letter(_) | Input::Word(_)) = moment {
        let is_over = book.count_of_open_tasks() == 0 && !book.awaits_word() && book.is_durable();
        let deletes = book.attempts.values().any(|page| page.deletion == Deletion::Ordered);
        holds!(!is_over || deletes || view.machine.is_finished(), "it waits for nothing");
    }
    Ok(())
}

/// Once its strategy has enough, no agent is started, none that runs is left alone, and nothing waits.
pub fn what_is_no_longer_needed_is_stopped(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let book = view.book;
    if !book.is_enough() {
        return Ok(());
    }
    match moment {
        Moment::Fact(fact) => {
            let starts = matches!(fact.event, Event::AttemptPlanned { .. } | Event::RetryPlanned { .. });
            holds!(!starts, "nothing more is needed");
        }
        Moment::Action(Action::Spawn(_)) => return Err("nothing more is needed".to_owned()),
        Moment::Settled(_) => {
            let goes_on = (0..book.tasks.len()).find(|&index| match book.tasks[index].stage {
                Stage::Live(attempt) => book.attempts[&attempt].stopping.is_none(),
                Stage::Blocked | Stage::Ready | Stage::Delayed(_) => true,
                Stage::Ended => false,
            });
            holds!(goes_on.is_none(), "task {goes_on:?} goes on");
        }
        Moment::Input(_) | Moment::Action(_) => {}
    }
    Ok(())
}

/// What it all came to is told once for each end of the run, just before it, by what the strategy has heard and what it was
/// not told.
pub fn the_outcome_comes_just_before_the_end(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let (book, Moment::Fact(fact)) = (view.book, moment) else { return Ok(()) };
    let told_just_now = book.steered.as_ref().map(|steered| steered.outcome_no == Some(book.facts_made));
    match &fact.event {
        Event::OutcomeReached { outcome: told } => {
            let steered = book.steered.as_ref().ok_or("it has no strategy")?;
            holds!(told_just_now == Some(false), "it was told just now");
            let kept_back = steered.kept_back.iter().map(|(id, status)| (id.to_string(), *status));
            let expected = outcome(steered.told.len(), kept_back);
            holds!(**told == expected, "it came to {expected}");
        }
        Event::RunEnded => holds!(told_just_now != Some(false), "nobody has told what it came to"),
        _ => holds!(told_just_now != Some(true), "the outcome was told, and it goes on"),
    }
    Ok(())
}
