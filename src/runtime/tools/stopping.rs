//! How agents behind callables are stopped, where something can stop them, and given up where nothing can.

use std::sync::Arc;

use super::answer::Child;
use super::{Agent, AttemptRef, Call, Ending, Phase, Report, Time, ToolRuntime, Usage};

impl ToolRuntime {
    pub(super) fn stop(&mut self, attempt: AttemptRef, now: Time) {
        if let Some(index) = self.orders.iter().position(|order| order.attempt == attempt) {
            self.orders.remove(index);
            let ending = Ending::Stopped { reason: "it had not started yet".to_owned() };
            let usage = Usage::NOTHING;
            self.reports.push_back(Report::Ended { attempt, ending, usage, model_used: None, partial: None });
            return;
        }
        if let Some(agent) = self.agents.get_mut(&attempt) {
            agent.is_stopping = true;
            self.is_hurried = true;
            match agent.phase {
                Phase::Calling { .. } => self.withdrawn.push(attempt),
                Phase::Unsure(_) => {}
                Phase::Awaited | Phase::Reading { .. } | Phase::TimingOut { .. } => self.stop_child(attempt, now),
            }
        }
    }

    pub(super) fn stop_child(&mut self, attempt: AttemptRef, now: Time) {
        let Some(agent) = self.agents.get(&attempt) else { return };
        if matches!(agent.phase, Phase::Reading { .. } | Phase::TimingOut { .. }) {
            // It has ended, and what it said is on its way; or it is being stopped.
            return;
        }
        if self.abilities.stop {
            self.ask_for_children();
        } else if !agent.has_had_its_time(now) {
            let left = (agent.accepted_at + agent.timeout).since(now).as_secs_f64();
            self.give_up(attempt, &format!("nothing here can stop it; its own time ends in {left:.0} s"));
        }
        // One that has had its time is about to be ended by its own runtime.
    }

    /// The children that can be stopped, or why they could not be asked for.
    pub fn children(&mut self, answer: Result<Vec<Child>, String>, now: Time) {
        self.children_asked = false;
        let is_waiting = |agent: &Agent| match agent.phase {
            Phase::Awaited => agent.is_stopping && !agent.is_cancelled,
            Phase::TimingOut { .. } => !agent.is_cancelled,
            Phase::Calling { .. } | Phase::Unsure(_) | Phase::Reading { .. } => false,
        };
        let stopping = self.those(is_waiting);
        let children = match answer {
            Ok(children) => children,
            Err(error) => {
                for attempt in stopping {
                    self.give_up(attempt, &format!("`subagents` failed: {error}"));
                }
                return;
            }
        };
        for attempt in stopping {
            let Some(agent) = self.agents.get_mut(&attempt) else { continue };
            let child = children.iter().find(|child| *child.label == *agent.label);
            if let Some(Child { task_id, .. }) = child {
                agent.is_cancelled = true;
                self.urgent.push_back(Call::Cancel { attempt, task_id: task_id.clone() });
            } else {
                self.has_stopped(attempt, now);
            }
        }
    }

    /// A child was asked to stop, or could not be.
    pub fn cancelled(&mut self, attempt: AttemptRef, answer: Result<(), String>, now: Time) {
        match answer {
            Ok(()) => self.has_stopped(attempt, now),
            Err(error) => self.give_up(attempt, &format!("`subagents` failed: {error}")),
        }
    }

    /// Nothing of an agent runs any more. The next look shows how it ended, unless that is known.
    fn has_stopped(&mut self, attempt: AttemptRef, now: Time) {
        match self.agents.get_mut(&attempt).map(|agent| &mut agent.phase) {
            Some(Phase::TimingOut { partial }) => {
                let partial = partial.take();
                self.end_with(attempt, Ending::TimedOut, Usage::default(), partial);
            }
            Some(Phase::Calling { .. } | Phase::Unsure(_) | Phase::Awaited | Phase::Reading { .. }) => {
                self.pace.hurry(now);
            }
            None => {}
        }
    }

    /// A session was deleted, or could not be.
    pub fn deleted(&mut self, attempt: AttemptRef, answer: Result<(), String>) {
        self.reports.push_back(match answer {
            Ok(()) => Report::Deleted { attempt },
            Err(reason) => Report::DeleteFailed { attempt, reason },
        });
    }

    /// Nothing more can be found out about an agent that may be running.
    pub(super) fn give_up(&mut self, attempt: AttemptRef, reason: &str) {
        let Some(agent) = self.agents.get(&attempt) else { return };
        if agent.is_awaited() {
            self.awaited -= 1;
        }
        self.by_label.remove(&agent.label);
        let session = agent.session.as_ref().map_or(&*agent.label, |session| &*session.key);
        let reason = format!("{reason}; session `{session}` may still be running");
        self.end(attempt, Ending::Unstoppable { reason });
    }

    /// An agent is said to have run out of time for so long that it is believed. It may be alive all the same: it is
    /// stopped first where something can.
    pub(super) fn time_out(&mut self, attempt: AttemptRef, partial: Option<Arc<str>>) {
        let Some(agent) = self.agents.get_mut(&attempt) else { return };
        if !self.abilities.stop || agent.is_cancelled {
            return self.end_with(attempt, Ending::TimedOut, Usage::default(), partial);
        }
        agent.phase = Phase::TimingOut { partial };
        self.ask_for_children();
    }

    fn ask_for_children(&mut self) {
        if !self.children_asked {
            self.children_asked = true;
            self.urgent.push_front(Call::Children);
        }
    }

    /// Starts under way that are no longer wanted: their calls may be interrupted, if that can be done.
    pub fn take_withdrawn(&mut self) -> Vec<AttemptRef> {
        std::mem::take(&mut self.withdrawn)
    }

    /// Whether agents are to be stopped since this was asked last: looks and readings under way may hang, and may be
    /// interrupted to be made anew, if that can be done.
    pub fn take_hurry(&mut self) -> bool {
        std::mem::take(&mut self.is_hurried)
    }
}
