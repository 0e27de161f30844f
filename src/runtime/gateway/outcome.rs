//! What the end of a run looks like on the wire, translated: the second answer to `agent`, `agent.wait`,
//! `sessions.get` and `sessions.describe`. Pure. What an end means is judged in the core.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::frames::{count, reason, text, words};
use crate::core::action::Session;
use crate::core::failure::Ending;
use crate::core::usage::{Tokens, Usage};

/// How an attempt ended, with what it used.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome {
    pub ending: Ending,
    pub usage: Usage,
    pub model_used: Option<Arc<str>>,
    /// What the agent had written when it was stopped or its time was up.
    pub partial: Option<Arc<str>>,
}

impl Outcome {
    /// Whether the agent may have been at work when it was ended.
    pub fn is_cut_short(&self) -> bool {
        matches!(self.ending, Ending::Stopped { .. } | Ending::TimedOut)
    }
}

impl From<Ending> for Outcome {
    fn from(ending: Ending) -> Self {
        Self { ending, usage: Usage::default(), model_used: None, partial: None }
    }
}

/// An answer to `agent`: the first of two, or the last.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum AgentAnswer {
    /// Taken: a second answer follows.
    Accepted(Session),
    /// Already taken under this key: no second answer follows.
    InFlight(Session),
    /// The end of the run.
    Final(Outcome),
}

impl AgentAnswer {
    /// `None` if the payload is of none of the known forms.
    pub fn read(payload: &Value) -> Option<Self> {
        let status = text(payload, "/status")?;
        let session =
            || Some(Session { key: text(payload, "/sessionKey")?.into(), run_id: text(payload, "/runId")?.into() });
        match status {
            "accepted" => session().map(Self::Accepted),
            "in_flight" => session().map(Self::InFlight),
            _ => Some(Self::Final(final_outcome(status, payload))),
        }
    }
}

fn final_outcome(status: &str, payload: &Value) -> Outcome {
    let ending = match (status, words(payload, "/stopReason")) {
        ("ok", _) => reply(payload),
        ("timeout", Some(reason)) => Ending::Stopped { reason },
        ("timeout", None) => Ending::TimedOut,
        _ => Ending::Failed { message: reason(payload, "/summary") },
    };
    let meta = payload.pointer("/result/meta").unwrap_or(&Value::Null);
    let agent = meta.pointer("/agentMeta").unwrap_or(&Value::Null);
    let cost = agent.pointer("/usage/cost/total").or_else(|| agent.pointer("/costUsd")).and_then(Value::as_f64);
    let usage = Usage { tokens: agent.pointer("/usage").and_then(|usage| tokens(usage, "/total")), cost };
    let winner = model_name(
        text(meta, "/executionTrace/winnerProvider").or_else(|| text(agent, "/provider")),
        text(meta, "/executionTrace/winnerModel").or_else(|| text(agent, "/model")),
    );
    Outcome { ending, usage, model_used: winner, partial: None }
}

/// The text of a run that ended well. A payload marked as an error is the gateway's own text, not the agent's.
fn reply(payload: &Value) -> Ending {
    let parts = payload.pointer("/result/payloads").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let is_error = |part: &&Value| part.pointer("/isError").and_then(Value::as_bool) == Some(true);
    let said: Vec<&str> = parts.iter().filter(|part| !is_error(part)).filter_map(|part| text(part, "/text")).collect();
    let visible = text(payload, "/result/meta/finalAssistantVisibleText").filter(|text| !text.is_empty());
    match (said.as_slice(), visible) {
        ([only], _) => Ending::Replied((*only).to_owned()),
        // Several are the replies of several turns; the last turn's is the answer.
        ([_, _, ..], Some(last)) => Ending::Replied(last.to_owned()),
        ([_, _, ..], None) => Ending::Replied(said.join("\n\n")),
        ([], _) => match parts.iter().find(is_error).and_then(|part| words(part, "/text")) {
            Some(message) => Ending::Failed { message },
            None => Ending::Replied(String::new()),
        },
    }
}

fn model_name(provider: Option<&str>, model: Option<&str>) -> Option<Arc<str>> {
    Some(format!("{}/{}", provider?, model?).into())
}

/// Token counts; the total has another name in a transcript than in an answer.
fn tokens(usage: &Value, total: &str) -> Option<Tokens> {
    let figure = |pointer| count(usage, pointer);
    let (input, output) = (figure("/input")?, figure("/output")?);
    let (cache_read, cache_write) = (figure("/cacheRead").unwrap_or(0), figure("/cacheWrite").unwrap_or(0));
    Some(Tokens::told(input, output, cache_read, cache_write, figure(total)))
}

/// The end of a run as `agent.wait` tells it: without the full text and the usage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WaitEnd {
    pub ending: Ending,
    /// The reply is cut or may be: the whole text is in the transcript.
    pub has_text: bool,
    /// What the agent said, or had written when its time was up; the beginning of it, if it is long.
    pub written: Option<String>,
    pub model_used: Option<Arc<str>>,
}

impl WaitEnd {
    /// `None` while the run has not ended, or is unknown: the two look alike.
    pub fn read(payload: &Value) -> Option<Self> {
        payload.pointer("/endedAt")?;
        let ending = match (text(payload, "/status"), text(payload, "/stopReason")) {
            (Some("ok"), _) => Ending::Replied(text(payload, "/terminalReply/text").unwrap_or_default().to_owned()),
            (_, Some(reason @ ("rpc" | "aborted" | "delete"))) => Ending::Stopped { reason: reason.to_owned() },
            (Some("timeout"), _) => Ending::TimedOut,
            _ => Ending::Failed { message: reason(payload, "/error") },
        };
        let has_text = text(payload, "/terminalReply/disposition") == Some("visible");
        let effective = payload.pointer("/terminalReceipt/effective").unwrap_or(&Value::Null);
        Some(Self {
            has_text,
            written: text(payload, "/terminalReply/text").filter(|_| has_text).map(str::to_owned),
            ending,
            model_used: model_name(text(effective, "/provider"), text(effective, "/model")),
        })
    }

    /// An end that only the session's standing tells.
    pub fn of(ending: Ending, has_text: bool) -> Self {
        Self { ending, has_text, written: None, model_used: None }
    }

    /// The whole outcome, with what the transcript adds. A reply that may be cut is no answer without it.
    pub fn with(self, transcript: Transcript) -> Outcome {
        let written = self.written.or_else(|| transcript.text.clone());
        let ending = match (self.ending, transcript.text) {
            (Ending::Replied(_), Some(whole)) if self.has_text => Ending::Replied(whole),
            // A child whose time was over while it waited for its turn has run and answered all the same.
            (Ending::TimedOut, Some(answer)) if transcript.is_answer => Ending::Replied(answer),
            (Ending::Replied(short), None) if self.has_text && (short.is_empty() || short.ends_with('…')) => {
                Ending::Lost { reason: "the agent has finished, but its whole answer could not be fetched".to_owned() }
            }
            (ending, _) => ending,
        };
        let model_used = self.model_used.or(transcript.model_used);
        let outcome = Outcome { ending, usage: transcript.usage, model_used, partial: None };
        let partial = written.filter(|_| outcome.is_cut_short()).map(Into::into);
        Outcome { partial, ..outcome }
    }
}

/// What a session's messages say of one run.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Transcript {
    /// The last text that the agent wrote in this run.
    pub text: Option<String>,
    /// That text ended the run as it should.
    pub is_answer: bool,
    pub usage: Usage,
    pub model_used: Option<Arc<str>>,
}

impl Transcript {
    /// Reads the answer to `sessions.get`, as far as it belongs to `run_id`.
    pub fn read(payload: &Value, run_id: &str) -> Self {
        let messages = payload.pointer("/messages").and_then(Value::as_array);
        let ours = messages.into_iter().flatten().filter(|message| {
            text(message, "/role") == Some("assistant") && text(message, "/__openclaw/runId") == Some(run_id)
        });
        let mut transcript = Self::default();
        let mut was_cut = false;
        for message in ours {
            let said = said(message.pointer("/content").unwrap_or(&Value::Null));
            let stop_reason = text(message, "/stopReason");
            // The gateway itself writes down what a stopped run had said, under a model's name of its own.
            let is_record = message.pointer("/openclawAbort").is_some();
            let is_cut = is_record || stop_reason == Some("aborted");
            was_cut |= is_cut;
            transcript.is_answer = !is_cut && said.is_some() && stop_reason == Some("stop");
            transcript.text = said.or(transcript.text);
            if let Some(more) = message.pointer("/usage").and_then(|usage| tokens(usage, "/totalTokens")) {
                transcript.usage.tokens = Some(transcript.usage.tokens.map_or(more, |sum| sum.plus(more)));
            }
            if let Some(more) = message.pointer("/usage/cost/total").and_then(Value::as_f64) {
                transcript.usage.cost = Some(transcript.usage.cost.unwrap_or(0.0) + more);
            }
            let model = model_name(text(message, "/provider"), text(message, "/model"));
            transcript.model_used = model.filter(|_| !is_record).or(transcript.model_used);
        }
        if was_cut {
            // What a cut call used is written down as nothing, and it was paid for.
            transcript.usage = Usage::default();
        }
        transcript
    }
}

/// The text of one message, which is a string or a list of blocks; `None` if there is none.
fn said(content: &Value) -> Option<String> {
    let said = match content {
        Value::String(whole) => whole.clone(),
        Value::Array(blocks) => blocks
            .iter()
            .filter(|block| text(block, "/type") == Some("text"))
            .filter_map(|block| text(block, "/text"))
            .collect::<Vec<_>>()
            .join("\n\n"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
    };
    (!said.trim().is_empty()).then_some(said)
}

/// How a session's latest run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// No status yet: it waits in its lane.
    Queued,
    Running,
    Done,
    Failed,
    Killed,
    TimedOut,
}

/// A session as `sessions.describe` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Described {
    pub standing: Standing,
    pub last_run_id: Option<Arc<str>>,
    /// How long the run has been at work, by the gateway's own clock.
    pub working_for: Option<Duration>,
    /// What time it was by that clock, in milliseconds.
    pub snapshot_at: Option<u64>,
    pub error: Option<String>,
}

impl Described {
    /// `None` if there is no such session.
    pub fn read(payload: &Value) -> Option<Self> {
        let session = payload.pointer("/session").filter(|session| session.is_object())?;
        let standing = match text(session, "/status") {
            Some("running") => Standing::Running,
            Some("done") => Standing::Done,
            Some("failed") => Standing::Failed,
            Some("killed") => Standing::Killed,
            Some("timeout") => Standing::TimedOut,
            Some(_) | None => Standing::Queued,
        };
        let working_for = match (count(session, "/snapshotAt"), count(session, "/startedAt")) {
            (Some(now), Some(start)) => Some(Duration::from_millis(now.saturating_sub(start))),
            _ => None,
        };
        Some(Self {
            standing,
            last_run_id: text(session, "/lastRunId").map(Into::into),
            working_for,
            snapshot_at: count(session, "/snapshotAt"),
            error: words(session, "/lastRunError"),
        })
    }
}

#[cfg(test)]
#[path = "outcome_tests.rs"]
mod tests;
