//! The bounds of a run, each a named field with a default.

use std::time::Duration;

use super::breaker::BreakerPolicy;
use super::budget::{Budget, Estimate};
use super::retry::RetryPolicy;

/// What happens to the sessions of agents that have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cleanup {
    /// They are deleted once their result is in hand.
    #[default]
    Delete,
    /// They stay.
    Keep,
    /// They should be deleted, and the runtime has no way to: they stay, and are reported.
    Impossible,
}

/// The bounds of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSettings {
    /// Agents at once. Default 5.
    pub concurrency_max: usize,
    /// Retries.
    pub retry: RetryPolicy,
    /// The whole run's time. Default 24 hours.
    pub run_time_max: Duration,
    /// What the run may spend. Default: no caps.
    pub budget: Budget,
    /// How an attempt's use is estimated before it starts.
    pub estimate: Estimate,
    /// When a model or a type of agent is left alone for a while.
    pub breaker: BreakerPolicy,
    /// How long an agent may do nothing until it is stopped. Default: as long as its timeout.
    pub idle_max: Option<Duration>,
    /// The longest answer, in bytes; of a longer one only the beginning is kept. Default 8 MiB.
    pub output_bytes_max: usize,
    /// How long past its timeout an agent may still answer by itself. Default 3 s.
    pub grace: Duration,
    /// How long to wait until a stop is certain. Default 15 s.
    pub stop_patience: Duration,
    /// What happens to the sessions.
    pub cleanup: Cleanup,
    /// How long to wait, after the last task has ended, until one more session is deleted. Default 10 s.
    pub cleanup_patience: Duration,
    /// Sessions that are being deleted at once after the last task. Default 8: more gain nothing.
    pub deletes_max: usize,
    /// Whether facts are journaled: actions then wait for [`RunMachine::handle_persisted`].
    pub journaled: bool,
    /// Whether a run that was over goes on because its budget may bear by now what it refused. Default no.
    pub weigh_again: bool,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self {
            concurrency_max: 5,
            retry: RetryPolicy::default(),
            run_time_max: Duration::from_secs(24 * 3600),
            budget: Budget::default(),
            estimate: Estimate::default(),
            breaker: BreakerPolicy::default(),
            idle_max: None,
            output_bytes_max: 8 * 1024 * 1024,
            grace: Duration::from_secs(3),
            stop_patience: Duration::from_secs(15),
            cleanup: Cleanup::Delete,
            cleanup_patience: Duration::from_secs(10),
            deletes_max: 8,
            journaled: false,
            weigh_again: false,
        }
    }
}
