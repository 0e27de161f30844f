//! How a machine goes on where another one has died.

use parallel_agents::core::action::Action;

use super::{Moment, Verdict, View, holds};

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
