//! What the book holds of one task and of one attempt.

use std::sync::Arc;

use parallel_agents::core::action::{AttemptRef, Report, Session};
use parallel_agents::core::budget::Reservation;
use parallel_agents::core::fact::{End, Outcome, StopReason};
use parallel_agents::core::report::TaskReport;
use parallel_agents::core::time::Time;

use crate::endings::Meaning;

/// Where a task stands, by what the machine was told and has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Blocked,
    Ready,
    /// Not before this time; ready once the machine was told that it has come.
    Delayed(Time),
    Live(AttemptRef),
    Ended,
}

/// One task.
#[derive(Debug)]
pub struct TaskPage {
    pub stage: Stage,
    pub starts: u32,
    /// The attempts that were spent, in order.
    pub spent: Vec<AttemptRef>,
    /// How many of them before it was opened again.
    pub spent_before: usize,
    /// Whether a retry was planned since then.
    pub is_retried: bool,
    /// By when it is to have ended.
    pub deadline: Option<Time>,
    /// Whether the budget does not bear its next attempt.
    pub over_budget: bool,
    /// What it asked, and what was answered.
    pub replies: Vec<(String, String)>,
    /// The tier of the next attempt.
    pub tier: usize,
    pub end: Option<End>,
    /// The fact that says so.
    pub ended_no: u64,
    pub report: Option<TaskReport>,
}

impl TaskPage {
    pub fn new(is_ready: bool) -> Self {
        Self {
            stage: if is_ready { Stage::Ready } else { Stage::Blocked },
            starts: 0,
            spent: Vec::new(),
            spent_before: 0,
            is_retried: false,
            deadline: None,
            over_budget: false,
            replies: Vec::new(),
            tier: 0,
            end: None,
            ended_no: 0,
            report: None,
        }
    }
}

/// One attempt.
#[derive(Debug)]
pub struct AttemptPage {
    pub planned_at: Time,
    pub planned_no: u64,
    pub tier: usize,
    pub model: Arc<str>,
    pub key: Arc<str>,
    pub reserved: Reservation,
    pub handed_out: bool,
    /// Since when it works, as the machine was told while it was waiting to hear.
    pub since: Option<Time>,
    /// When the machine heard of that.
    pub started_at: Option<Time>,
    /// When it was last heard to do something.
    pub active: Option<Time>,
    /// When the machine heard of that for the first time.
    pub active_heard: Option<Time>,
    pub look_since: Time,
    pub stopping: Option<Stopping>,
    /// What the machine was told of its end, first, while it had not ended otherwise.
    pub told: Option<Told>,
    pub over: Option<Over>,
    /// Its session, as the machine was told, and the number of the fact that says so.
    pub session: Option<Session>,
    pub accepted_no: Option<u64>,
    /// Whether the machine was told of the session while the attempt was open.
    pub session_in_time: bool,
    pub session_gone: bool,
    pub deletion: Deletion,
    /// When it was taken up from a machine that had died, and why that one was stopping it, if it was.
    pub adopted_at: Option<Time>,
    pub stopped_before: Option<StopReason>,
    pub(super) heard: Vec<&'static str>,
}

impl AttemptPage {
    /// Its order was taken back before anybody saw it.
    pub fn was_never_ordered(&self) -> bool {
        !self.handed_out && self.adopted_at.is_none()
    }
}

/// How far the deletion of a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    NotOrdered,
    Ordered,
    Done,
    Refused,
}

/// A stop, as the facts have it.
#[derive(Debug, Clone, Copy)]
pub struct Stopping {
    pub why: StopReason,
    pub at: Time,
    pub no: u64,
}

/// An end, as the world reported it.
#[derive(Debug, Clone)]
pub struct Told {
    pub meaning: Meaning,
    pub text: Option<String>,
    pub cost: Option<f64>,
    pub report: Report,
}

/// An end, as the facts have it.
#[derive(Debug, Clone)]
pub struct Over {
    pub at: Time,
    pub no: u64,
    /// None if it was refused as busy.
    pub outcome: Option<Outcome>,
}
