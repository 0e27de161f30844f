//! What the machine asks its runtime to do, and what a runtime reports back. The whole contract between the two.

use std::sync::Arc;
use std::time::Duration;

use super::failure::Ending;
use super::prompt::Prompt;
use super::time::Time;
use super::usage::Usage;

/// One start of one task's agent. Every report carries it; one that is no longer current is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptRef {
    /// The task's index in its plan.
    pub task_index: usize,
    /// Counts all starts of the task, 1-based, those that were refused as busy included.
    pub start_no: u32,
}

/// How a runtime names an agent it has started.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Session {
    /// The session's key.
    pub key: Arc<str>,
    /// The run within that session.
    pub run_id: Arc<str>,
}

/// An order to start an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpawnOrder {
    /// Which attempt this is.
    pub attempt: AttemptRef,
    /// A random UUID, known before the agent is started, by which it can be found again.
    pub key: Arc<str>,
    /// The task's id.
    pub task_id: Arc<str>,
    /// The agent type's name.
    pub agent_type: Arc<str>,
    /// The model to run on; `None` leaves the choice to the runtime.
    pub model: Option<Arc<str>>,
    /// All that the agent is told.
    pub prompt: Prompt,
    /// Time for the attempt, from its start. Zero leaves it to the runtime.
    pub timeout: Duration,
}

/// An order to take up an attempt of which it is not known what became of it: whoever ordered it has died since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    /// The order, as it was given.
    pub order: SpawnOrder,
    /// How the runtime named the agent, if it was heard to take it.
    pub session: Option<Session>,
    /// The runtime's life in which it was ordered, if that is known.
    pub boot: Option<Arc<str>>,
    /// When it was ordered.
    pub ordered: Time,
}

/// What a runtime is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start an agent. Answered by [`Report::Spawned`], or by [`Report::Ended`] if it did not start.
    Spawn(SpawnOrder),
    /// Find out what became of an agent that an earlier process ordered: collect its end, or follow it as if it had just
    /// been started. Answered as [`Action::Spawn`]; one that provably never started, or is provably gone, has ended as
    /// [`Ending::Lost`]. A start is repeated only where the runtime recognises it and starts nothing twice.
    Adopt(Adoption),
    /// Find out whether an accepted agent has started to work. Answered by [`Report::Started`], [`Report::Queued`] or
    /// [`Report::Ended`].
    Look(AttemptRef),
    /// Stop an agent, queued ones included, and make certain that it is. Answered by [`Report::Ended`].
    Stop(AttemptRef),
    /// Delete a session that has ended. Answered by [`Report::Deleted`] or [`Report::DeleteFailed`].
    Delete {
        /// The attempt it belonged to.
        attempt: AttemptRef,
        /// The session.
        session: Session,
    },
}

/// What a runtime reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// The runtime took the agent. It may still be waiting in a queue.
    Spawned {
        /// Which attempt.
        attempt: AttemptRef,
        /// How the runtime names it.
        session: Session,
    },
    /// The agent has started to work.
    Started {
        /// Which attempt.
        attempt: AttemptRef,
        /// Since when.
        since: Time,
    },
    /// The runtime answers, in this life of it. Comes before what is reported of its agents.
    Met {
        /// Its life's name: another one after each restart.
        boot: Arc<str>,
    },
    /// The agent did something.
    Active {
        /// Which attempt.
        attempt: AttemptRef,
        /// When.
        at: Time,
    },
    /// The agent still waits in the runtime's queue.
    Queued {
        /// Which attempt.
        attempt: AttemptRef,
    },
    /// The attempt is over: nothing of it runs any more (save where the ending says so itself).
    Ended {
        /// Which attempt.
        attempt: AttemptRef,
        /// How.
        ending: Ending,
        /// What it used, as far as the runtime tells.
        usage: Usage,
        /// The model that really ran, as far as the runtime tells.
        model_used: Option<Arc<str>>,
        /// What it had written when it was cut short.
        partial: Option<Arc<str>>,
    },
    /// The session is gone.
    Deleted {
        /// Which attempt's.
        attempt: AttemptRef,
    },
    /// The session stays.
    DeleteFailed {
        /// Which attempt's.
        attempt: AttemptRef,
        /// Why.
        reason: String,
    },
}

/// A key for a [`SpawnOrder`]: a random UUID (version 4, RFC 9562).
pub fn random_key(random: &mut fastrand::Rng) -> Arc<str> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    // Version 4, variant 1.
    let high = (random.u64(..) & !0xf000) | 0x4000;
    let low = (random.u64(..) & !(0x3 << 62)) | (0x2 << 62);
    let mut text = *b"00000000-0000-0000-0000-000000000000";
    let mut bytes = high.to_be_bytes().into_iter().chain(low.to_be_bytes());
    for group in [0..8, 9..13, 14..18, 19..23, 24..36] {
        for (pair, byte) in text[group].chunks_exact_mut(2).zip(bytes.by_ref()) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0xf)];
        }
    }
    std::str::from_utf8(&text).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_random_uuid() {
        let mut random = fastrand::Rng::with_seed(7);
        let keys: Vec<Arc<str>> = (0..100).map(|_| random_key(&mut random)).collect();
        for key in &keys {
            let parts: Vec<&str> = key.split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{key}");
            assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']), "{key}");
            assert!(key.chars().all(|digit| digit == '-' || digit.is_ascii_hexdigit()), "{key}");
        }
        assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), keys.len());
    }
}
