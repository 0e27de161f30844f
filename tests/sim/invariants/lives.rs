//! How a machine goes on where another one has died.

use parallel_agents::core::action::Action;
use parallel_agents::core::fact::Event;

use super::{Moment, Verdict, View, holds};
use crate::book::Input;

/// A machine that goes on asks once about every attempt that its facts leave open, about no other one, and with the very
/// order that was given.
pub fn what_is_open_is_asked_about_once_in_each_life(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let book = view.book;
    match moment {
        Moment::Action(Action::Adopt(adoption)) => {
            let order = &adoption.order;
            holds!(book.to_adopt.contains(&order.attempt), "it is not open, or was asked about");
            let page = book.attempt(order.attempt).ok_or("it was never planned")?;
            holds!(page.key == order.key && order.model.as_ref() == Some(&page.model), "planned was {}", page.key);
            holds!(adoption.ordered == page.planned_at, "it was ordered at {:?}", page.planned_at);
            holds!(adoption.session == page.session, "its session is {:?}", page.session);
            let given = view.world.agent(order.attempt).and_then(|agent| agent.order());
            holds!(given.is_none_or(|given| given == order), "the order was {given:?}");
        }
        Moment::Settled(_) if book.is_durable() && !view.machine.is_finished() => {
            holds!(book.to_adopt.is_empty(), "not asked about: {:?}", book.to_adopt);
        }
        Moment::Input(_) | Moment::Fact(_) | Moment::Action(_) | Moment::Settled(_) => {}
    }
    Ok(())
}

/// A runtime knows no agent of an earlier life before it is asked about it.
pub fn nobody_is_stopped_before_it_is_asked_about(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let Moment::Action(Action::Stop(attempt) | Action::Look(attempt)) = moment else { return Ok(()) };
    holds!(!view.book.to_adopt.contains(attempt), "it was not asked about yet");
    Ok(())
}

/// Whoever takes a run up only to end it starts nothing and adds nothing; it is cancelled, unless nothing was left to do.
pub fn a_run_that_is_taken_up_to_be_ended_only_ends(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let (book, Input::Restart { only_ends: true }) = (view.book, view.input) else { return Ok(()) };
    match moment {
        Moment::Fact(fact) => {
            let goes_on = matches!(fact.event, Event::AttemptPlanned { .. } | Event::TasksAdded { .. });
            holds!(!goes_on, "it is to end");
        }
        Moment::Settled(_) => {
            let wants = book.steered.as_ref().is_some_and(|steered| !steered.wanted.is_empty() || steered.asked);
            let is_open = book.count_of_open_tasks() > 0 || (wants && !book.is_enough());
            holds!(!is_open || book.cancelled_by.is_some(), "it goes on");
        }
        Moment::Input(_) | Moment::Action(_) => {}
    }
    Ok(())
}
