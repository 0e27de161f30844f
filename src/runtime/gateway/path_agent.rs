//! Starts an agent by the `agent` call: one request, answered when the run is accepted and again at its end.
//!
//! The session's key and the run's id are ours, and a gateway takes the same id only once in its life, so a request
//! whose answer was lost may be sent again to the same boot. After a restart it would start a second run: never then.

use std::sync::Arc;

use serde_json::{Value, json};

use super::attempt::{Attempt, Control, Stop};
use super::collect::Kin;
use super::frames::BootId;
use super::link::CallError;
use super::outcome::{AgentAnswer, Outcome};
use super::sessions::{self, Deletion};
use crate::core::action::{Report, Session};
use crate::core::failure::{Ending, Refusal};

/// How one connection's watch over a run ended.
enum Watched {
    Ended(Outcome),
    /// Taken, but no answer will bring its end.
    Unattended,
    /// Cut before it was known to be taken; it may have reached this boot.
    Unanswered(BootId),
}

impl Attempt {
    /// The session that an order's agent runs in, and the run in it: both are ours to name.
    pub fn own_session(&self) -> Session {
        let key = format!("agent:{}:subagent:{}", self.agent_id, self.order.key);
        Session { key: key.into(), run_id: self.order.key.clone() }
    }

    /// Runs the agent to its end. With a `boot` the request may have been sent to it before: it goes there or nowhere.
    pub async fn run_by_agent(&mut self, mut boot: Option<BootId>) -> Outcome {
        let session_key = self.own_session().key;
        let mut params = json!({
            "message": self.order.prompt.text(),
            "sessionKey": session_key,
            "idempotencyKey": self.order.key,
            "deliver": false,
            "lane": "subagent",
        });
        if !self.order.timeout.is_zero() {
            params["timeout"] = json!(seconds_up(self.order.timeout));
        }
        if let Some(model) = self.order.model.clone() {
            if self.link.hello().is_admin() {
                params["model"] = json!(model);
            } else if let Some(outcome) = self.choose_model(&session_key, &model).await {
                return outcome;
            }
        }
        loop {
            match self.watch(&params, boot.take()).await {
                Watched::Ended(outcome) => return outcome,
                Watched::Unattended => return self.follow(Kin::Own).await,
                Watched::Unanswered(sent_to) => boot = Some(sent_to),
            }
            // `boot` is set: the repeat goes to the boot that may have the run, or nowhere.
            if let Some(sent_to) = &boot
                && self.link.hello().boot != *sent_to
            {
                return self.recover_from_restart(&session_key, sent_to.clone()).await;
            }
        }
    }

    /// Without `operator.admin` a run cannot name its model, but its session can.
    async fn choose_model(&mut self, session_key: &str, model: &str) -> Option<Outcome> {
        let params = json!({ "key": session_key, "model": model });
        match self.link.ask("sessions.create", &params).await {
            Ok(_) if self.is_stop_asked() => Some(Attempt::not_started(CallError::Withdrawn)),
            Ok(_) => None,
            Err(error) => Some(Attempt::not_started(error)),
        }
    }

    /// Whether a stop was asked, also one that was not heard of yet.
    pub fn is_stop_asked(&mut self) -> bool {
        while let Ok(control) = self.controls.try_recv() {
            if control == Control::Stop {
                self.stop = Stop::Asked;
            }
        }
        self.stop != Stop::NotAsked
    }

    /// Sends the request and watches the run for as long as the connection lasts.
    async fn watch(&mut self, params: &Value, boot: Option<BootId>) -> Watched {
        let sent_to = boot.clone();
        let mut call = self.link.call("agent", params.clone(), boot);
        loop {
            let stop = self.stop;
            tokio::select! {
                biased;
                answer = call.next() => match answer {
                    Ok(response) => match AgentAnswer::read(&response.payload) {
                        Some(AgentAnswer::Accepted(session)) => {
                            if let Some(outcome) = self.accept(session, response.boot).await {
                                return Watched::Ended(outcome);
                            }
                        }
                        Some(AgentAnswer::InFlight(session)) => {
                            return match self.accept(session, response.boot).await {
                                Some(outcome) => Watched::Ended(outcome),
                                None => Watched::Unattended,
                            };
                        }
                        Some(AgentAnswer::Final(outcome)) => {
                            self.took();
                            return Watched::Ended(self.with_partial(outcome).await);
                        }
                        None => return Watched::Ended(unreadable()),
                    },
                    Err(error) => return self.broke_off(error, sent_to),
                },
                control = self.next_control() => {
                    if self.session.is_none() && control == Control::Stop {
                        call.withdraw();
                    }
                    if let Some(outcome) = self.obey(control).await {
                        return Watched::Ended(outcome);
                    }
                }
                // The answer should have come; `agent.wait` is asked before the stop counts as failed.
                () = Attempt::stop_is_due(stop) => return Watched::Unattended,
            }
        }
    }

    /// The gateway has taken the run, which is told even if its end is all that was heard: it has a session to delete.
    fn took(&mut self) {
        if self.session.is_none() {
            let session = self.own_session();
            self.report(Report::Spawned { attempt: self.order.attempt, session: session.clone() });
            self.session = Some(session);
        }
    }

    fn broke_off(&mut self, error: CallError, sent_to: Option<BootId>) -> Watched {
        match error {
            CallError::Rejected { error, payload } => match payload.as_ref().and_then(AgentAnswer::read) {
                Some(AgentAnswer::Final(outcome)) => {
                    self.took();
                    Watched::Ended(outcome)
                }
                Some(AgentAnswer::Accepted(_) | AgentAnswer::InFlight(_)) | None if self.session.is_some() => {
                    Watched::Ended(Ending::Failed { message: error.message }.into())
                }
                Some(AgentAnswer::Accepted(_) | AgentAnswer::InFlight(_)) | None => {
                    Watched::Ended(Ending::Refused(error.into_refusal()).into())
                }
            },
            CallError::Cut { .. } if self.session.is_some() => Watched::Unattended,
            CallError::Cut { boot } => Watched::Unanswered(boot),
            // A repeat that was not sent: the first request may have been carried out.
            error @ (CallError::OtherBoot | CallError::Withdrawn | CallError::Unreachable { .. }) => match sent_to {
                Some(boot) => match error {
                    CallError::Unreachable { .. } => Watched::Ended(self.uncertain(&error)),
                    _ => Watched::Unanswered(boot),
                },
                None => Watched::Ended(Attempt::not_started(error)),
            },
            error @ CallError::TooLarge { .. } => Watched::Ended(Attempt::not_started(error)),
        }
    }

    /// The gateway restarted before it was known whether it had taken the run.
    async fn recover_from_restart(&mut self, session_key: &Arc<str>, sent_to: BootId) -> Outcome {
        if self.link.hello().is_admin() {
            // Whether it was taken or not, this leaves nothing of it, and the key is never used again.
            if let Deletion::Failed(reason) = sessions::delete(&self.link, session_key).await {
                let reason = format!("{reason}; session `{session_key}` may be run again after the restart");
                return Ending::Unstoppable { reason }.into();
            }
            return Attempt::not_started(CallError::Cut { boot: sent_to });
        }
        match self.accept(self.own_session(), sent_to).await {
            Some(outcome) => outcome,
            None => self.follow(Kin::Own).await,
        }
    }
}

fn unreadable() -> Outcome {
    let message = "the answer to `agent` is of an unknown form; this release is built for OpenClaw 2026.9".to_owned();
    Ending::Refused(Refusal { code: "UNREADABLE".to_owned(), message, ..Refusal::default() }).into()
}

/// Whole seconds, rounded up: the gateway takes no fractions.
pub(super) fn seconds_up(span: std::time::Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}
