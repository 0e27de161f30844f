//! What the machine remembers of each task while its run goes on.

use std::sync::Arc;

use super::action::AttemptRef;
use super::fact::StopReason;
use super::hierarchy::History;
use super::prompt::Objection;

/// A task's state.
#[derive(Debug)]
pub(super) enum State {
    /// Waits for this many dependencies.
    Blocked { dependencies: usize },
    /// May start as soon as there is room.
    Ready,
    /// Waits for its timer before it may start again.
    Delayed,
    /// Has an agent.
    Live(Live),
    /// Has ended.
    Ended,
}

#[derive(Debug)]
pub(super) struct Live {
    pub attempt: AttemptRef,
    pub phase: Phase,
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
    pub objection: Option<Objection>,
    /// The answer of a completed task, as dependents are shown it.
    pub answer: Option<Arc<str>>,
    /// The latest text of an agent that was not usable.
    pub raw: Option<Arc<str>>,
}

impl Record {
    /// A task that waits for so many others.
    pub fn blocked(dependencies: usize) -> Self {
        Self {
            state: State::Blocked { dependencies },
            history: History::default(),
            starts: 0,
            objection: None,
            answer: None,
            raw: None,
        }
    }
}
