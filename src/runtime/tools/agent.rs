//! What is known of one agent behind callables.

use std::sync::Arc;
use std::time::Duration;

use super::UNSURE_PATIENCE;
use super::activity::Trace;
use crate::core::action::{Session, SpawnOrder};
use crate::core::failure::Ending;
use crate::core::time::Time;

const DOUBT_PAUSE_MIN: Duration = Duration::from_millis(100);
const DOUBT_PAUSE_MAX: Duration = Duration::from_secs(10);

/// How far an agent has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its start is being called.
    Calling {
        /// That takes longer than it may take altogether.
        is_overdue: bool,
    },
    /// Its start was not answered. What it comes to if it never happened.
    Unsure(Box<Ending>),
    /// It is under way.
    Awaited,
    /// It has run out of time, as soon as it is certain that nothing of it runs.
    TimingOut {
        /// What it had written.
        partial: Option<Arc<str>>,
    },
    /// It seems to have ended; its messages are being read.
    Reading {
        finding: Finding,
        /// How often they could not be read.
        failures: usize,
    },
}

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// Not for certain where only its tokens say so.
    Done {
        is_certain: bool,
    },
    /// With the row's own words, if it has any.
    Failed(Option<String>),
    Killed,
    /// It may be premature unless it was seen for a while.
    TimedOut {
        is_certain: bool,
    },
    /// It is not in the list, which may not be all of it.
    Vanished {
        is_certain: bool,
    },
}

#[derive(Debug)]
pub(super) struct Agent {
    pub label: Arc<str>,
    pub timeout: Duration,
    pub phase: Phase,
    pub session: Option<Session>,
    pub called_at: Time,
    pub accepted_at: Time,
    /// The look that showed it last; 0 for none.
    pub seen_in: u32,
    /// The look that was the latest when its end could first be seen.
    pub joined_in: u32,
    /// Looks in a row that did not show it.
    pub misses: u32,
    /// Since when every look says that it works.
    pub running_since: Option<Time>,
    /// Since when it works, for certain.
    pub started_at: Option<Time>,
    /// An earlier process ordered it.
    pub is_adopted: bool,
    /// What its rows show of its doings, once somebody has asked.
    pub trace: Option<Box<Trace>>,
    pub is_stopping: bool,
    /// It was asked to stop.
    pub is_cancelled: bool,
    /// Since when it is said to have timed out.
    pub timed_out_at: Option<Time>,
    /// When its messages are read again though its end is in doubt, and how long after that: at pauses that double.
    doubt_until: Time,
    doubt_pause: Duration,
    pub model_used: Option<Arc<str>>,
    /// The tokens of its context, as the list tells.
    pub tokens: Option<u64>,
}

impl Agent {
    pub fn new(order: &SpawnOrder, label: Arc<str>, now: Time) -> Self {
        Self {
            label,
            timeout: order.timeout,
            phase: Phase::Calling { is_overdue: false },
            session: None,
            called_at: now,
            accepted_at: now,
            seen_in: 0,
            joined_in: 0,
            misses: 0,
            running_since: None,
            started_at: None,
            is_adopted: false,
            trace: None,
            is_stopping: false,
            is_cancelled: false,
            timed_out_at: None,
            doubt_until: Time::default(),
            doubt_pause: DOUBT_PAUSE_MIN,
            model_used: None,
            tokens: None,
        }
    }

    /// Whether its messages may be read though its end is in doubt. If so, not again for a while.
    pub fn may_doubt(&mut self, now: Time) -> bool {
        let may = now >= self.doubt_until;
        if may {
            self.doubt_until = now + self.doubt_pause;
            self.doubt_pause = (self.doubt_pause * 2).min(DOUBT_PAUSE_MAX);
        }
        may
    }

    /// Whether a look may show its end.
    pub fn is_awaited(&self) -> bool {
        matches!(self.phase, Phase::Unsure(_) | Phase::Awaited)
    }

    /// Whether its session was certainly listed once: it was seen, or was accepted so long ago that it must have been.
    pub fn was_there(&self, now: Time) -> bool {
        self.seen_in > 0 || self.is_adopted && now >= self.called_at + UNSURE_PATIENCE
    }

    /// Whether its own runtime must have ended it by now, unless it waited in a queue.
    pub fn has_had_its_time(&self, now: Time) -> bool {
        now >= self.accepted_at + self.timeout
    }
}
