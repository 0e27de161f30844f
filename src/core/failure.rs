//! What an attempt's end means. The one place that decides it, from what was observed; it does not decide what
//! follows (that is [`hierarchy`](super::hierarchy)).
//!
//! A runtime translates its protocol into an [`Ending`] and judges nothing; the machine calls [`Ending::judge`].

use std::time::Duration;

use super::output::abridged;

/// How long a reason may be, in characters.
const REASON_CHARS: usize = 4_000;

/// How an attempt ended, as the runtime observed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The agent finished and said this. Empty if it said nothing.
    Replied(String),
    /// The agent finished, and only this beginning of what it said can be had.
    Cut(String),
    /// The agent was started and its run failed, in the runtime's words.
    Failed {
        /// The runtime's error text.
        message: String,
    },
    /// The runtime ended the run because its time was up.
    TimedOut,
    /// The run was stopped: by us, or by somebody else.
    Stopped {
        /// The runtime's word for the reason, or ours.
        reason: String,
    },
    /// The runtime did not start the agent.
    Refused(Refusal),
    /// The agent is provably gone without an answer: the connection or the runtime broke away under it.
    Lost {
        /// What broke.
        reason: String,
    },
    /// It could not be made certain that the agent is no longer running.
    Unstoppable {
        /// Why not.
        reason: String,
    },
}

/// A runtime's refusal to start an agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusal {
    /// The runtime's code: an OpenClaw error code such as `UNAVAILABLE`, or a spawn status such as `forbidden`.
    pub code: String,
    /// The finer code in the error's details, if any (`MISSING_SCOPE`, `AUTH_TOKEN_MISMATCH`).
    pub detail: Option<String>,
    /// The runtime's words.
    pub message: String,
    /// The runtime said that the same request may be sent again.
    pub retryable: bool,
    /// How long it asked to wait first.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// Whether the gateway's configuration keeps the tool from its clients.
    pub fn is_tool_denied(&self) -> bool {
        self.message.to_lowercase().contains("tool not available")
    }

    /// Whether the runtime only has no room now: the same may be tried again.
    pub fn is_busy(&self) -> bool {
        self.code == "UNAVAILABLE" && self.retryable
    }
}

/// The kinds of failure that are treated differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureKind {
    /// The runtime takes no further agent right now. No attempt is spent.
    Busy,
    /// The connection or the gateway broke; the same again may work.
    Transient,
    /// The provider answered 5xx: transient, but retried less, since the gateway has retried it already.
    ServerError,
    /// This model is unusable, refused, limited or silent.
    Model,
    /// The attempt ran out of time: the model is too slow for the task.
    Timeout,
    /// The answer is not in the promised form.
    Output,
    /// The answer was cut on its way: whoever wrote it, no repetition brings it whole.
    Truncated,
    /// No repetition can help.
    Permanent,
    /// Somebody else stopped the agent.
    Stopped,
    /// The agent asks a person something.
    Question,
}

impl FailureKind {
    /// The documented name, as `metadata["attempts"][n]["outcome"]` shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Transient | Self::ServerError => "transient",
            Self::Model => "model",
            Self::Timeout => "timeout",
            Self::Output => "output",
            Self::Truncated => "truncated",
            Self::Permanent => "permanent",
            Self::Stopped => "stopped",
            Self::Question => "needs_input",
        }
    }
}

/// A judged failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its kind.
    pub kind: FailureKind,
    /// What happened and, where nothing but a person can help, what to do.
    pub reason: String,
    /// How long the runtime asked to wait.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure of `kind` for `reason`.
    pub fn new(kind: FailureKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), retry_after: None }
    }
}

impl Ending {
    /// The answer, or what its absence means, on one line and never long. Whether an answer has the promised form is judged
    /// by the caller.
    pub fn judge(self) -> Result<String, Failure> {
        // What a runtime calls its sessions and models stands in its words, too.
        let shown = |failure: Failure| Failure { reason: abridged(&failure.reason, REASON_CHARS), ..failure };
        match self {
            Self::Replied(text) | Self::Cut(text) if text.trim().is_empty() => {
                Err(Failure::new(FailureKind::Model, "the agent finished without any output"))
            }
            Self::Replied(text) | Self::Cut(text) => Ok(text),
            Self::Failed { message } => Err(Failure::new(failed_run(&message), message)),
            Self::TimedOut => Err(Failure::new(FailureKind::Timeout, "the agent did not finish in time")),
            Self::Stopped { reason } => {
                Err(Failure::new(FailureKind::Stopped, format!("the agent was stopped from outside ({reason})")))
            }
            Self::Refused(refusal) => Err(refused(refusal)),
            Self::Lost { reason } => Err(Failure::new(FailureKind::Transient, reason)),
            Self::Unstoppable { reason } => Err(Failure::new(
                FailureKind::Permanent,
                format!("the agent could not be stopped, so no further attempt was started ({reason})"),
            )),
        }
        .map_err(shown)
    }
}

/// A run that was accepted and failed: only a text says why. Its order of tests matters: a text that names an HTTP
/// status is judged by that, whatever else it says.
fn failed_run(message: &str) -> FailureKind {
    let lower = message.to_lowercase();
    match http_status(&lower) {
        Some(500..=599) => return FailureKind::ServerError,
        Some(_) => return FailureKind::Model,
        None => {}
    }
    if lower.contains("interrupted by a gateway restart") || lower.contains("dns lookup") {
        FailureKind::Transient
    } else if lower.contains("timed out") {
        FailureKind::Timeout
    } else if lower.contains("agent run aborted") {
        FailureKind::Stopped
    } else if lower.contains("internal error") || lower.contains("overloaded") || lower.contains("unavailable") {
        FailureKind::ServerError
    } else {
        FailureKind::Model
    }
}

/// The number behind `http ` in a lower-cased text.
fn http_status(lower: &str) -> Option<u16> {
    let digits: String = lower.split("http ").nth(1)?.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|status| (100..600).contains(status))
}

/// Whether a lower-cased refusal is about this one model, so that another may be taken. It is told by its text: its
/// code is the one of refusals that have nothing to do with the model.
fn names_unusable_model(lower: &str) -> bool {
    lower.contains("unknown model")
        || lower.contains("is not usable")
        || (lower.contains("model override") && lower.contains("is not allowed for agent"))
}

fn refused(refusal: Refusal) -> Failure {
    let (is_tool_denied, is_busy) = (refusal.is_tool_denied(), refusal.is_busy());
    let Refusal { code, detail, message, retryable: _, retry_after } = refusal;
    let detail = detail.unwrap_or_default();
    let lower = message.to_lowercase();
    let (kind, advice) = if is_busy {
        (FailureKind::Busy, None)
    } else if names_unusable_model(&lower) {
        (FailureKind::Model, None)
    } else if code == "UNAVAILABLE" {
        (FailureKind::Transient, None)
    } else if lower.contains("maxchildrenperagent") || lower.contains("max active children") {
        (FailureKind::Busy, None)
    } else if is_tool_denied {
        (
            FailureKind::Permanent,
            Some("add \"sessions_spawn\" to `gateway.tools.allow` in openclaw.json, or use Gateway(path=\"agent\")"),
        )
    } else if code == "TOO_LARGE" {
        (FailureKind::Permanent, Some("shorten `task_description` or `input_data`, or pass a file's path instead"))
    } else if detail == "MISSING_SCOPE" {
        (FailureKind::Permanent, Some("connect with a token that grants the scope"))
    } else if detail.starts_with("AUTH_") || detail == "DEVICE_IDENTITY_REQUIRED" {
        (FailureKind::Permanent, Some("check the token: Gateway(token=...) or OPENCLAW_GATEWAY_TOKEN"))
    } else {
        (FailureKind::Permanent, None)
    };
    let reason = match advice {
        Some(advice) => format!("{message}; {advice}"),
        None => message,
    };
    Failure { kind, reason, retry_after }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_whatever_a_runtime_says() {
        let name = "a name\nof a session".repeat(1_000);
        for ending in [Ending::Lost { reason: name.clone() }, Ending::Failed { message: name }] {
            let reason = ending.judge().expect_err("no answer").reason;
            assert!(reason.starts_with("a name\\nof") && reason.chars().count() < 2 * REASON_CHARS, "{reason}");
        }
    }
}
