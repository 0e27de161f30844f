//! The book of a machine that goes on where another one has died: what only the dead one knew is forgotten, what the world
//! did is not.

use std::collections::BTreeMap;

use parallel_agents::core::action::AttemptRef;
use parallel_agents::core::fact::{Event, Fact, StopReason};
use parallel_agents::core::time::Time;

use super::Book;
use super::pages::{AttemptPage, Deletion};
use crate::steering::Log;

impl Book<'_> {
    /// The book of a machine that is made of these facts now.
    pub fn reborn(&self, facts: &[Fact], log: Option<Log>, now: Time) -> Self {
        let mut book = Self { now, lives: self.lives + 1, ..Self::new(self.scene, log) };
        book.journals = true;
        for fact in facts {
            book.recall(&self.attempts, fact);
        }
        if let (Some(steered), Some(before)) = (&mut book.steered, &self.steered) {
            steered.recalled = steered.told.len();
            steered.predecessor.clone_from(&before.log.read());
        }
        book.facts_durable = book.facts_made;
        book.reports_of_step.clear();
        let open: Vec<AttemptRef> = book.open().map(|(attempt, _)| attempt).collect();
        for attempt in open {
            let Some(page) = book.attempts.get_mut(&attempt).filter(|page| page.over.is_none()) else { continue };
            (page.adopted_at, page.look_since) = (Some(now), now);
            page.stopped_before = page.stopping.take().map(|stopping| stopping.why);
            book.to_adopt.insert(attempt);
        }
        book
    }

    /// Takes a fact in that another machine has made.
    fn recall(&mut self, before: &BTreeMap<AttemptRef, AttemptPage>, fact: &Fact) {
        match &fact.event {
            Event::AttemptRefused { attempt, .. } | Event::AttemptEnded { attempt, .. } => {
                let told = before.get(attempt).and_then(|page| page.told.clone());
                if let Some(told) = &told {
                    self.count_end(&told.meaning, told.cost);
                }
                if let Some(page) = self.attempts.get_mut(attempt) {
                    page.told = told;
                }
            }
            Event::AttemptAccepted { attempt, session } => {
                let open = self.is_open(*attempt) && self.attempts[attempt].over.is_none();
                if let Some(page) = self.attempts.get_mut(attempt) {
                    page.session = Some(session.clone());
                    page.session_in_time = open;
                }
            }
            Event::AttemptStarted { attempt, since } => {
                if let Some(page) = self.attempts.get_mut(attempt) {
                    page.since = Some(*since);
                }
            }
            Event::SessionDeleted { attempt } | Event::SessionLeft { attempt, .. } => {
                if let Some(page) = self.attempts.get_mut(attempt) {
                    let done = matches!(fact.event, Event::SessionDeleted { .. });
                    page.deletion = if done { Deletion::Done } else { Deletion::Refused };
                }
            }
            Event::Cancelled { why: StopReason::Cancel, .. } => self.cancels = 1,
            Event::RunEnded => self.cancels = 0,
            _ => {}
        }
        self.note_fact(fact);
        if let Event::AttemptPlanned { attempt, .. } = &fact.event
            && let (Some(page), Some(before)) = (self.attempts.get_mut(attempt), before.get(attempt))
        {
            (page.handed_out, page.adopted_at) = (before.handed_out, before.adopted_at);
        }
    }
}
