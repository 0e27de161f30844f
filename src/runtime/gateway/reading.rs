//! One frame, taken through everything that reads frames here. For tests that stand outside this room, fuzzers above
//! all; nothing else uses it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::collect::ended_unnoticed;
use super::frames::{ErrorFrame, Frame, Hello, KnownModels, spawned_child, task_rows, text};
use super::outcome::{AgentAnswer, Described, Outcome, Transcript, WaitEnd};
use crate::core::action::Session;
use crate::core::failure::{Ending, Refusal};
use crate::core::usage::Usage;

/// What the readers made of one frame: all that would have gone on from here.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    /// How an attempt would have ended.
    pub ends: Vec<End>,
    /// How agents would have been named.
    pub sessions: Vec<Session>,
    /// The gateway's words where they are shown as they are.
    pub words: Vec<String>,
    /// How long we would have waited, at its word.
    pub waits: Vec<Duration>,
    /// The models that it would have been known to have.
    pub models: KnownModels,
}

/// The end of an attempt, as [`Report::Ended`](crate::core::action::Report::Ended) tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// How.
    pub ending: Ending,
    /// What it used.
    pub usage: Usage,
    /// The model that ran.
    pub model_used: Option<Arc<str>>,
    /// What it had written when it was cut short.
    pub partial: Option<Arc<str>>,
}

impl Readings {
    /// Reads `frame` as the answer to every request there is.
    pub fn of(frame: &str) -> Self {
        let mut all = Self::default();
        match Frame::read(frame) {
            Some(Frame::Answer { said: Ok(payload), .. }) => all.read(&payload),
            Some(Frame::Answer { said: Err((error, payload)), .. }) => {
                all.refuse(*error);
                all.read(&payload.unwrap_or_default());
            }
            Some(Frame::Started(run_id)) => all.sessions.push(Session { key: run_id.clone(), run_id }),
            None => {}
        }
        all
    }

    fn refuse(&mut self, error: ErrorFrame) {
        self.words.push(error.message.clone());
        self.end(Ending::Refused(error.into_refusal()).into());
    }

    fn end(&mut self, Outcome { ending, usage, model_used, partial }: Outcome) {
        if let Ending::Refused(Refusal { retry_after, .. }) = &ending {
            self.waits.extend(retry_after);
        }
        self.ends.push(End { ending, usage, model_used, partial });
    }

    fn read(&mut self, payload: &Value) {
        self.waits.extend(Hello::read(payload).map(|hello| hello.tick));
        match AgentAnswer::read(payload) {
            Some(AgentAnswer::Accepted(session) | AgentAnswer::InFlight(session)) => self.sessions.push(session),
            Some(AgentAnswer::Final(outcome)) => self.end(outcome),
            None => {}
        }
        let run_id = text(payload, "/messages/0/__openclaw/runId").unwrap_or_default();
        let transcript = Transcript::read(payload, run_id);
        let mut ends: Vec<WaitEnd> = WaitEnd::read(payload).into_iter().collect();
        if let Some(described) = Described::read(payload) {
            let run_id = described.last_run_id.clone().unwrap_or_default();
            ends.extend(ended_unnoticed(&described, &Session { key: run_id.clone(), run_id }));
            ends.extend(ended_unnoticed(&described, &Session { key: "k".into(), run_id: "r".into() }));
        }
        for end in ends {
            self.end(end.clone().with(Transcript::default()));
            self.end(end.with(transcript.clone()));
        }
        for ending in [Ending::Replied(String::new()), Ending::TimedOut] {
            self.end(WaitEnd::of(ending, true).with(transcript.clone()));
        }
        self.sessions.extend(
            task_rows(payload).into_iter().map(|row| Session { key: row.session_key.into(), run_id: row.run_id }),
        );
        match spawned_child(payload) {
            Ok(session) => self.sessions.push(session),
            Err(refusal) => self.end(Ending::Refused(refusal).into()),
        }
        self.models = KnownModels::read(payload);
    }
}
