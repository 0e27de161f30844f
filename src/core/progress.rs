//! Where a run stands: a fold over its facts.

use super::fact::{Event, Fact, Status};

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
    /// Waiting for somebody's answer.
    pub needs_input: usize,
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
        self.completed + self.failed + self.timeout + self.needs_input + self.cancelled + self.skipped
    }

    fn count(&mut self, status: Status) -> &mut usize {
        match status {
            Status::Completed => &mut self.completed,
            Status::Failed => &mut self.failed,
            Status::Timeout => &mut self.timeout,
            Status::NeedsInput => &mut self.needs_input,
            Status::Cancelled => &mut self.cancelled,
            Status::Skipped => &mut self.skipped,
        }
    }

    /// Takes one more fact in, whatever came before: facts may come from a file.
    pub fn apply(&mut self, fact: &Fact) {
        match &fact.event {
            Event::RunStarted { tasks } => self.tasks = *tasks,
            Event::TasksAdded { tasks, .. } => self.tasks += tasks.len(),
            Event::AttemptPlanned { .. } => self.live += 1,
            Event::AttemptRefused { .. } => {
                self.live = self.live.saturating_sub(1);
                self.refusals += 1;
            }
            Event::AttemptEnded { cost, .. } => {
                self.live = self.live.saturating_sub(1);
                self.attempts += 1;
                match cost {
                    Some(cost) => self.cost_known += cost,
                    None => self.cost_unknown += 1,
                }
            }
            Event::TaskEnded { end, .. } => *self.count(end.status()) += 1,
            Event::TaskReopened { was, .. } => {
                let count = self.count(*was);
                *count = count.saturating_sub(1);
            }
            Event::RunResumed { .. } => self.ended = false,
            Event::RunEnded => self.ended = true,
            Event::AttemptAccepted { .. }
            | Event::AttemptStarted { .. }
            | Event::AttemptStopping { .. }
            | Event::RetryPlanned { .. }
            | Event::LimitRaised { .. }
            | Event::Cancelled { .. }
            | Event::ApprovalAsked { .. }
            | Event::WordGiven { .. }
            | Event::OutcomeReached { .. }
            | Event::RuntimeMet { .. }
            | Event::BudgetReached { .. }
            | Event::BreakerOpened { .. }
            | Event::StartsStopped { .. }
            | Event::SessionDeleted { .. }
            | Event::SessionLeft { .. } => {}
        }
    }
}
