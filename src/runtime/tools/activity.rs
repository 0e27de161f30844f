//! What agents do beside ending, as far as somebody asks: whether one waits, works, or does nothing any more.

use super::agent::Phase;
use super::{AttemptRef, Finding, LIST_PATIENCE, Report, Row, Time, ToolRuntime};

/// What an agent's rows show of its doings since somebody asks.
#[derive(Debug, Default)]
pub(super) struct Trace {
    /// The tokens and the update that the latest row told.
    told: Option<(Option<u64>, Option<u64>)>,
    /// When a row told something else than the one before it, unless that was reported.
    changed_at: Option<Time>,
    /// The look that was the latest when it was asked for last.
    asked_in: u32,
}

impl Trace {
    pub fn shown(&mut self, row: &Row<'_>, now: Time) {
        let tells = (row.tokens, row.updated);
        if self.told.replace(tells).is_some_and(|told| told != tells) {
            self.changed_at = Some(now);
        }
    }
}

impl ToolRuntime {
    /// Looks go on by themselves, and tell of who works only what somebody asks for. Where they hang or fail, one whose
    /// time is up may have an answer all the same.
    pub(super) fn look_at(&mut self, attempt: AttemptRef, now: Time) {
        if let Some(agent) = self.agents.get_mut(&attempt) {
            let looks_hang = self.look.as_ref().is_some_and(|look| now.since(look.asked_at) >= LIST_PATIENCE);
            let is_unseen = (looks_hang || self.list_failures.is_some()) && agent.has_had_its_time(now);
            match &mut agent.phase {
                Phase::Awaited if is_unseen => {
                    self.is_hurried |= looks_hang;
                    return self.read(attempt, Finding::Vanished { is_certain: false }, now);
                }
                Phase::Awaited if agent.started_at.is_some() => return self.tell_activity(attempt, now),
                // Its start has not been answered for as long as it may take altogether.
                Phase::Calling { is_overdue } => {
                    *is_overdue = true;
                    self.withdrawn.push(attempt);
                }
                // Nor have its messages come.
                Phase::Reading { .. } => self.is_hurried = true,
                Phase::Awaited | Phase::Unsure(_) | Phase::TimingOut { .. } => {}
            }
        } else if !self.orders.iter().any(|order| order.attempt == attempt) {
            return;
        }
        self.reports.push_back(Report::Queued { attempt });
    }

    /// Reports what an agent's rows have shown since this was asked last, and has them read more closely from now on.
    fn tell_activity(&mut self, attempt: AttemptRef, now: Time) {
        let Some(agent) = self.agents.get_mut(&attempt) else { return };
        let trace = agent.trace.get_or_insert_with(|| {
            self.watched += 1;
            Box::default()
        });
        if let Some(at) = trace.changed_at.take() {
            self.reports.push_back(Report::Active { attempt, at });
        }
        // Nobody has looked since then: it would seem to do nothing.
        if trace.asked_in == self.looks {
            self.pace.hurry(now);
        }
        trace.asked_in = self.looks;
    }

    /// Whether it matters when a row was updated.
    pub fn seeks_updates(&self) -> bool {
        self.watched > 0
    }
}
