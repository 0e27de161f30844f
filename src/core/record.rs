//! What the machine remembers of each task while its run goes on.

use std::sync::Arc;

use super::action::AttemptRef;
use super::fact::StopReason;
use super::hierarchy::History;
use super::prompt::{Objection, Reply};
use super::time::Time;

/// A task's state.
#[derive(Debug)]
pub(super) enum State {
    /// Waits for this many dependencies.
    Blocked { dependencies: usize },
    /// May start as soon as there is room.
    Ready,
    /// Waits for its timer before it may start again.
    Delayed,
    /// Waits until a breaker lets it through.
    Held,
    /// Has an agent.
    Live(Live),
    /// Has ended.
    Ended,
}

#[derive(Debug)]
pub(super) struct Live {
    pub attempt: AttemptRef,
    pub phase: Phase,
    /// When it was last heard to do something, if its runtime tells.
    pub active: Option<Time>,
    /// Whether an earlier process ordered it, so that it may have run without having been heard of.
    pub is_adopted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Ordered, no answer yet.
    Ordered,
    /// Taken by the runtime; whether it works yet is not known.
    Accepted,
    /// At work.
    Working,
    /// Being stopped.
    Stopping(StopReason),
}

#[derive(Debug)]
pub(super) struct Record {
    pub state: State,
    pub history: History,
    pub starts: u32,
    /// Attempts that were spent before it was opened again.
    pub spent_before: u32,
    /// By when it is to have ended, once it has started.
    pub deadline: Option<Time>,
    pub objection: Option<Objection>,
    /// Tasks that build on it and have not ended.
    pub dependents_open: usize,
    /// The answer of a completed task, as dependents are shown it, for as long as one of them is open.
    pub answer: Option<Arc<str>>,
    /// The latest text of an agent that was not usable.
    pub raw: Option<Arc<str>>,
    /// Its answers that were not usable: the tier, and a hash of the text.
    pub unusable: Vec<(usize, u64)>,
    /// Why its latest attempt failed.
    pub failed: Option<String>,
    /// What its agents asked, and what somebody answered.
    pub replies: Vec<Reply>,
}

impl Record {
    /// Goes on at this tier; a dearer one starts afresh.
    pub fn climb_to(&mut self, tier: usize) {
        if tier > self.history.tier {
            self.history.climb_to(tier);
            self.objection = None;
        }
    }

    /// A task that waits for so many others, and for which so many wait.
    pub fn blocked(dependencies: usize, dependents: usize) -> Self {
        Self {
            state: State::Blocked { dependencies },
            history: History::default(),
            starts: 0,
            spent_before: 0,
            deadline: None,
            objection: None,
            dependents_open: dependents,
            answer: None,
            raw: None,
            unusable: Vec::new(),
            failed: None,
            replies: Vec::new(),
        }
    }
}
