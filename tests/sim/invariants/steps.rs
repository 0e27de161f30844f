//! How the machine behaves as a machine: durability, time, stale input, and its end.

use std::time::Duration;

use parallel_agents::core::action::{Action, Adoption};
use parallel_agents::core::fact::Event;

use super::{Heard, Moment, Verdict, View, holds};
use crate::book::{Input, address};
use crate::simulation::OVERSLEPT_MAX;

/// With a journal, no action before the facts that it rests on are durable.
pub fn actions_rest_on_durable_facts(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let (book, Moment::Action(action)) = (view.book, moment) else { return Ok(()) };
    if !book.journals {
        return Ok(());
    }
    let (attempt, over) = match action {
        Action::Spawn(order) => (order.attempt, None),
        Action::Adopt(Adoption { order, .. }) => (order.attempt, Some(book.resumed_no)),
        Action::Look(attempt) => (*attempt, None),
        Action::Stop(attempt) => {
            let page = book.attempt(*attempt).ok_or("it was never planned")?;
            let stopping = page.stopping.map(|stopping| stopping.no);
            (*attempt, stopping.or(page.accepted_no))
        }
        Action::Delete { attempt, .. } => {
            let page = book.attempt(*attempt).ok_or("it was never planned")?;
            (*attempt, page.over.as_ref().map(|over| over.no).max(page.accepted_no))
        }
    };
    let planned = book.attempt(attempt).ok_or("it was never planned")?.planned_no;
    let rests_on = over.unwrap_or(0).max(planned);
    holds!(rests_on <= book.facts_durable, "it rests on fact {rests_on}, durable are {}", book.facts_durable);
    Ok(())
}

/// A fact carries the time at which it was made, and the first and the last are what they must be.
pub fn facts_come_in_order_of_time(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let Moment::Fact(fact) = moment else { return Ok(()) };
    holds!(fact.at == view.book.now, "it is {:?}", view.book.now);
    let first = matches!(fact.event, Event::RunStarted { .. });
    holds!(first == (view.book.facts_made == 0), "fact {} of the run", view.book.facts_made + 1);
    let reopens = matches!(fact.event, Event::RunResumed { .. });
    holds!(!view.book.ended || reopens, "the run has ended");
    Ok(())
}

/// After it was told the time, the machine wants to be told again only later: no busy loop.
pub fn deadlines_lie_ahead(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let Moment::Settled(Input::Time) = moment else { return Ok(()) };
    let next = view.machine.next_deadline();
    holds!(next.is_none_or(|next| next > view.book.now), "the next deadline is {next:?}, now is {:?}", view.book.now);
    Ok(())
}

/// What was heard before, or comes after its attempt is over, makes nothing happen but that a session is found and put
/// away.
pub fn stale_reports_change_nothing(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let Input::Letter(letter) = view.input else { return Ok(()) };
    let (_, about) = address(&letter.report);
    match (view.heard, moment) {
        (Heard::Late, Moment::Fact(fact)) => {
            let put_away = match fact.event {
                Event::AttemptAccepted { attempt, .. }
                | Event::SessionDeleted { attempt }
                | Event::SessionLeft { attempt, .. } => attempt == about || view.book.count_of_open_tasks() == 0,
                Event::OutcomeReached { .. } | Event::RunEnded => view.book.count_of_open_tasks() == 0,
                _ => false,
            };
            holds!(put_away, "of an attempt that is over");
        }
        (Heard::Late, Moment::Action(action)) => {
            let put_away = match action {
                Action::Stop(attempt) => *attempt == about,
                // The end of one deletion makes room for the next.
                Action::Delete { .. } => true,
                Action::Spawn(_) | Action::Adopt(_) | Action::Look(_) => false,
            };
            holds!(put_away, "of an attempt that is over");
        }
        (Heard::Echo, Moment::Fact(_)) => return Err("it was heard before".to_owned()),
        (Heard::Echo, Moment::Action(action)) => {
            // An end that came before its acceptance can put the session away only when it comes again.
            let put_away = matches!(action, Action::Delete { attempt, .. } if *attempt == about);
            holds!(put_away, "it was heard before");
        }
        (Heard::InTime, _) | (Heard::Late | Heard::Echo, Moment::Input(_) | Moment::Settled(_)) => {}
    }
    Ok(())
}

/// A finished run says nothing more and waits for nothing.
pub fn a_finished_run_is_silent(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    if view.machine.is_finished() {
        holds!(!matches!(moment, Moment::Action(_)), "the run is finished");
        holds!(view.machine.next_deadline().is_none(), "it waits for {:?}", view.machine.next_deadline());
    }
    Ok(())
}

/// A run ends within its time, the patience for stops, and the patience for deletions.
pub fn a_run_ends_in_time(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let ends = match moment {
        Moment::Fact(fact) => matches!(fact.event, Event::RunEnded),
        Moment::Settled(Input::Time) => !view.machine.is_finished(),
        Moment::Input(_) | Moment::Action(_) | Moment::Settled(_) => false,
    };
    let settings = &view.book.scene.settings;
    let each: Duration = settings.stop_patience + settings.cleanup_patience + 3 * OVERSLEPT_MAX;
    let end = view.book.begun + settings.run_time_max + each * view.book.lives;
    holds!(!ends || view.book.now <= end, "it should have ended by {end:?}");
    Ok(())
}

/// A run that is being ended early is ended only by something severer.
pub fn a_stop_is_only_replaced_by_a_severer_one(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let Moment::Fact(fact) = moment else { return Ok(()) };
    if let Event::Cancelled { why, .. } = fact.event {
        holds!(view.book.cancelled_by < Some(why), "it is being ended because of {:?}", view.book.cancelled_by);
    }
    Ok(())
}

/// Who cancels twice waits for nothing.
pub fn cancelling_twice_ends_at_once(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let Moment::Settled(Input::Cancel) = moment else { return Ok(()) };
    let second = view.book.cancels >= 2;
    holds!(!second || view.machine.is_finished(), "it goes on");
    Ok(())
}
