//! What the callables answer, read: the words of several generations of runtimes, each with one meaning.

use std::sync::Arc;

use crate::core::action::Session;
use crate::core::failure::Refusal;
use crate::core::usage::Tokens;

/// The answer to a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpawnAnswer {
    /// The child is under way or queued.
    Accepted {
        /// How it is named.
        session: Session,
        /// The model it is said to run on, as `provider/id`.
        model: Option<Arc<str>>,
    },
    /// It was not started, for certain.
    Refused(Refusal),
    /// An answer that says neither; shown as it is.
    Unreadable(String),
    /// The callable raised this.
    Raised(String),
    /// The callable was interrupted.
    Interrupted,
}

/// A row of the list, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Row<'row> {
    /// The session.
    pub key: &'row str,
    /// Its status, in the runtime's words.
    pub status: Option<&'row str>,
    /// The label it was given.
    pub label: Option<&'row str>,
    /// The tokens of its context.
    pub tokens: Option<u64>,
    /// When something of it changed last, by the runtime's own clock.
    pub updated: Option<u64>,
    /// The model it runs on.
    pub model: Option<&'row str>,
    /// Why it failed.
    pub error: Option<&'row str>,
}

/// How a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// At work.
    Running,
    /// Finished.
    Done,
    /// Ended badly.
    Failed,
    /// Out of time, or so it is said.
    TimedOut,
    /// Stopped by somebody.
    Killed,
    /// Not told, but it has used tokens.
    SaidSomething,
    /// Not told: queued, or not started yet.
    Unknown,
}

impl Row<'_> {
    /// How the session stands.
    pub fn standing(&self) -> Standing {
        match self.status {
            Some("done" | "completed" | "complete" | "finished" | "succeeded" | "success" | "ok") => Standing::Done,
            Some("failed" | "error") => Standing::Failed,
            Some("timeout" | "timed_out" | "timedout") => Standing::TimedOut,
            Some("killed" | "cancelled" | "canceled" | "aborted" | "stopped") => Standing::Killed,
            Some("queued" | "pending" | "accepted") => Standing::Unknown,
            // A word that is not known says at least that it has not ended in any known way.
            Some(_) => Standing::Running,
            None if self.tokens.is_some_and(|tokens| tokens > 0) => Standing::SaidSomething,
            None => Standing::Unknown,
        }
    }
}

/// The latest answer among a session's messages.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reply {
    /// What the agent said last; empty if it said nothing.
    pub text: String,
    /// The text is only the beginning.
    pub is_cut: bool,
    /// The run ended badly, in these words; the text is no answer then.
    pub failure: Option<String>,
    /// The run was broken off, in time or out of it; the text is no answer then.
    pub is_aborted: bool,
    /// The agent went on with a tool after that: the text is no answer unless the run is over.
    pub is_midway: bool,
    /// The last message that is not the agent's: the reason of a failure may stand there.
    pub remark: Option<String>,
    /// The model that wrote it, as `provider/id`.
    pub model: Option<Arc<str>>,
    /// Tokens of all messages, if told.
    pub tokens: Option<Tokens>,
    /// US dollars, if told.
    pub cost: Option<f64>,
}

impl Reply {
    /// Whether the text is an answer, of a run that is over or one of which that is not known.
    pub(super) fn is_answer(&self, is_over: bool) -> bool {
        self.is_the_agents() && !self.is_aborted && (is_over || !self.is_midway)
    }

    /// What an agent had written that was cut short.
    pub(super) fn partial(self) -> Option<Arc<str>> {
        self.is_the_agents().then(|| self.text.into())
    }

    /// Whether there is a text, and not its runtime's notice of an error.
    fn is_the_agents(&self) -> bool {
        !self.text.trim().is_empty() && self.failure.is_none()
    }
}

/// A child that can be stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// The label it was given.
    pub label: Arc<str>,
    /// How it is named for stopping.
    pub task_id: Arc<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_generations_words_for_a_status_have_one_meaning() {
        for (status, tokens, standing) in [
            (Some("done"), None, Standing::Done),
            (Some("completed"), Some(0), Standing::Done),
            (Some("failed"), Some(9), Standing::Failed),
            (Some("timeout"), Some(9), Standing::TimedOut),
            (Some("killed"), None, Standing::Killed),
            (Some("running"), Some(9), Standing::Running),
            (Some("thinking hard"), Some(9), Standing::Running),
            (Some("queued"), Some(9), Standing::Unknown),
            (None, Some(9), Standing::SaidSomething),
            (None, Some(0), Standing::Unknown),
            (None, None, Standing::Unknown),
        ] {
            assert_eq!(Row { status, tokens, ..Row::default() }.standing(), standing, "{status:?} {tokens:?}");
        }
    }
}
