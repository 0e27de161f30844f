//! Where a run stands: a fold over its facts.

use super::fact::{End, Event, Fact};

/// Counts of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Progress {
    /// Tasks in the run.
    pub tasks: usize,
    /// Agents that are ordered, accepted or at work.
    pub live: usize,
    /// Tasks that have ended, by how.
    pub completed: usize,
    /// Ended as failed.
    pub failed: usize,
    /// Ended as timed out.
    pub timeout: usize,
    /// Ended as cancelled.
    pub cancelled: usize,
    /// Ended as skipped.
    pub skipped: usize,
    /// Attempts that were spent; those refused as busy are not.
    pub attempts: usize,
    /// Starts that were refused as busy.
    pub refusals: usize,
    /// US dollars, as far as known.
    pub cost_known: f64,
    /// Attempts whose cost is unknown.
    pub cost_unknown: usize,
    /// Nothing is left to do.
    pub ended: bool,
}

impl Progress {
    /// Tasks that have ended.
    pub fn done(&self) -> usize {
        self.completed + self.failed + self.timeout + self.cancelled + self.skipped
    }

    /// Takes one more fact in.
    pub fn apply(&mut self, fact: &Fact) {
        match &fact.event {
            Event::RunStarted { tasks } => self.tasks = *tasks,
            Event::AttemptPlanned { .. } => self.live += 1,
            Event::AttemptRefused { .. } => {
                self.live -= 1;
                self.refusals += 1;
            }
            Event::AttemptEnded { cost, .. } => {
                self.live -= 1;
                self.attempts += 1;
                match cost {
                    Some(cost) => self.cost_known += cost,
                    None => self.cost_unknown += 1,
                }
            }
            Event::TaskEnded { end, .. } => match end {
                End::Completed { .. } => self.completed += 1,
                End::Failed { .. } => self.failed += 1,
                End::Timeout { .. } => self.timeout += 1,
                End::Cancelled { .. } => self.cancelled += 1,
                End::Skipped { .. } => self.skipped += 1,
            },
            Event::RunEnded => self.ended = true,
            Event::AttemptAccepted { .. }
            | Event::AttemptStarted { .. }
            | Event::AttemptStopping { .. }
            | Event::RetryPlanned { .. }
            | Event::LimitRaised { .. }
            | Event::Cancelled { .. }
            | Event::SessionDeleted { .. }
            | Event::SessionLeft { .. } => {}
        }
    }
}
