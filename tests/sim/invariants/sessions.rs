//! What becomes of the sessions, and of agents that would not end.

use parallel_agents::core::action::Action;
use parallel_agents::core::fact::{Event, Outcome};
use parallel_agents::core::settings::Cleanup;

use super::{Moment, Verdict, View, holds};
use crate::book::Deletion;

/// With `Delete`, the session of an attempt that is over is deleted once, and said to be only if it was; otherwise none
/// is.
pub fn sessions_go_or_stay_as_asked(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let book = view.book;
    let keep = book.scene.settings.cleanup == Cleanup::Keep;
    match moment {
        Moment::Action(Action::Delete { attempt, session }) => {
            let wanted = book.scene.settings.cleanup == Cleanup::Delete && book.journals_or_never_did();
            holds!(wanted, "sessions are not to be deleted");
            let page = book.attempt(*attempt).ok_or("it was never planned")?;
            holds!(page.over.is_some(), "the attempt is not over");
            holds!(page.deletion == Deletion::NotOrdered, "it is being deleted");
            holds!(page.session.as_ref() == Some(session), "the session is {:?}", page.session);
        }
        Moment::Fact(fact) => match &fact.event {
            Event::AttemptAccepted { attempt, session } => {
                let page = book.attempt(*attempt).ok_or("it was never planned")?;
                let real = view.world.agent(*attempt).map(|agent| &agent.session);
                holds!(real == Some(session), "the session is {real:?}");
                holds!(page.accepted_no.is_none(), "it was accepted before");
            }
            Event::SessionDeleted { attempt } | Event::SessionLeft { attempt, .. } => {
                let page = book.attempt(*attempt).ok_or("it was never planned")?;
                holds!(!keep, "sessions are to be kept");
                holds!(page.session.is_some() && !page.session_gone, "there is no session");
                let deleted = matches!(fact.event, Event::SessionDeleted { .. });
                let done = page.deletion == Deletion::Done;
                holds!(deleted == done, "the world says that its deletion is {:?}", page.deletion);
            }
            _ => {}
        },
        Moment::Input(_) | Moment::Action(_) | Moment::Settled(_) => {}
    }
    Ok(())
}

/// Only so many deletions are under way at once: one beside agents, the agreed number after them.
pub fn deletions_are_few_at_once(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let Moment::Action(Action::Delete { .. }) = moment else { return Ok(()) };
    let book = view.book;
    let under_way = book.attempts.values().filter(|page| page.deletion == Deletion::Ordered).count();
    let unended = book.awaits_word() || book.tasks.iter().any(|task| task.end.is_none());
    let max = if unended { 1 } else { book.scene.settings.deletes_max };
    holds!(under_way < max, "{under_way} are under way, at most {max}");
    Ok(())
}

/// At the end every agent of ours is dead, or named as one that would not stop, or its session as one that is left; and
/// unless they are kept every session is deleted or named as left.
pub fn everything_is_accounted_for_at_the_end(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let book = view.book;
    if !matches!(moment, Moment::Settled(_)) || !view.machine.is_finished() {
        return Ok(());
    }
    holds!(book.ended, "finished without a fact that says so");
    for attempt in view.world.alive() {
        let page = &book.attempts[&attempt];
        let said = match page.over.as_ref().and_then(|over| over.outcome.as_ref()) {
            Some(Outcome::Failed { reason, .. }) => reason.contains("could not be stopped"),
            Some(Outcome::Completed | Outcome::NeedsInput { .. } | Outcome::Cancelled) | None => false,
        };
        holds!(said || page.session_gone, "{attempt:?} is alive and nobody says so: {:?}", page.over);
    }
    if book.scene.settings.cleanup != Cleanup::Keep {
        let found = book.attempts.iter().find(|(_, page)| page.accepted_no.is_some() && !page.session_gone);
        holds!(found.is_none(), "nobody says what became of the session of {found:?}");
    }
    Ok(())
}
