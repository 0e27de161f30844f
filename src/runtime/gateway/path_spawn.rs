//! Starts an agent by the `sessions_spawn` tool: a child session of a parent that belongs to this run.
//!
//! The gateway chooses the ids, so a spawn whose answer was lost is found again by its label, which is unique. It is
//! sent again only when the gateway knows no session of that label.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::attempt::{Attempt, Control, Stop};
use super::collect::Kin;
use super::frames::{BootId, spawned_child, text};
use super::link::CallError;
use super::outcome::Outcome;
use super::path_agent::seconds_up;
use crate::core::action::Session;
use crate::core::failure::Ending;

/// The tool that starts a child session.
pub(super) const SPAWN_TOOL: &str = "sessions_spawn";
/// How long a spawn may take to show up under its label, on a gateway that may still be carrying it out. Half of a
/// hundred spawns at once took longer than 3.6 s, and a second one beside a late first is paid for twice.
pub(super) const LABEL_PATIENCE: Duration = Duration::from_secs(60);
const LABEL_PAUSE_MIN: Duration = Duration::from_millis(500);
const LABEL_PAUSE_MAX: Duration = Duration::from_secs(4);

/// How one attempt to spawn ended, or the search for what an earlier one has started.
pub(super) enum Spawned {
    Ended(Outcome),
    Child(Session, BootId),
    Nothing,
}

impl Attempt {
    /// Runs the agent to its end, as a child of the session `requester`.
    pub async fn run_by_spawn(&mut self, requester: &str) -> Outcome {
        let spawned = self.spawn(requester).await;
        self.go_on_from(spawned, requester).await
    }

    /// Follows what was spawned; where that was nothing, spawns it.
    pub async fn go_on_from(&mut self, mut spawned: Spawned, requester: &str) -> Outcome {
        loop {
            match spawned {
                Spawned::Ended(outcome) => return outcome,
                Spawned::Nothing if self.stop != Stop::NotAsked => {
                    return Attempt::not_started(CallError::Withdrawn);
                }
                Spawned::Nothing => spawned = self.spawn(requester).await,
                Spawned::Child(session, boot) => {
                    if let Some(outcome) = self.accept(session, boot).await {
                        return outcome;
                    }
                    return self.follow(Kin::Child).await;
                }
            }
        }
    }

    async fn spawn(&mut self, requester: &str) -> Spawned {
        let mut args = json!({
            "task": self.order.prompt.text(),
            "label": self.order.key,
            "cleanup": "keep",
            // Otherwise every end starts a turn of the parent, which is paid for.
            "expectsCompletionMessage": false,
        });
        if let Some(model) = &self.order.model {
            args["model"] = json!(model);
        }
        if !self.order.timeout.is_zero() {
            args["runTimeoutSeconds"] = json!(seconds_up(self.order.timeout));
        }
        let params = json!({ "name": SPAWN_TOOL, "args": args, "sessionKey": requester });
        let mut call = self.link.call("tools.invoke", params, None);
        loop {
            tokio::select! {
                biased;
                answer = call.next() => return match answer {
                    Ok(response) => match spawned_child(&response.payload) {
                        Ok(session) => Spawned::Child(session, response.boot),
                        Err(refusal) => Spawned::Ended(Ending::Refused(refusal).into()),
                    },
                    Err(CallError::Cut { boot }) => self.find_child(Some(boot), LABEL_PATIENCE).await,
                    Err(error) => Spawned::Ended(Attempt::not_started(error)),
                },
                control = self.next_control() => {
                    if control == Control::Stop {
                        call.withdraw();
                    }
                    // Without a session this only takes note.
                    if let Some(outcome) = self.obey(control).await {
                        return Spawned::Ended(outcome);
                    }
                }
            }
        }
    }

    /// Looks for the child of a spawn whose answer was lost, until another boot than it was `sent_to` says that there is
    /// none, or for as long as the gateway may take. A stop is taken note of: it is done once the child is found, since
    /// nothing can stop what the gateway has yet to start.
    pub async fn find_child(&mut self, sent_to: Option<BootId>, patience: Duration) -> Spawned {
        let deadline = Instant::now() + patience;
        let mut pause = LABEL_PAUSE_MIN;
        loop {
            let params = json!({ "label": self.order.key, "allowMissing": true });
            let found = match self.link.ask("sessions.resolve", &params).await {
                Ok(response) => response,
                Err(error) => return Spawned::Ended(self.uncertain(&error)),
            };
            if let Some(key) = text(&found.payload, "/key") {
                let (rows, boot) = match self.runs_of(key).await {
                    Ok(rows) => rows,
                    Err(outcome) => return Spawned::Ended(outcome),
                };
                if let Some(row) = rows.into_iter().next() {
                    let boot = if row.is_live { boot } else { sent_to.unwrap_or_else(|| self.boot.clone()) };
                    return Spawned::Child(Session { key: key.into(), run_id: row.run_id }, boot);
                }
                if Instant::now() >= deadline {
                    let reason = format!("session `{key}` was started, but the gateway does not tell its run");
                    return Spawned::Ended(Ending::Unstoppable { reason }.into());
                }
            } else if sent_to.as_ref().is_some_and(|boot| *boot != found.boot) || Instant::now() >= deadline {
                return Spawned::Nothing;
            }
            if let Some(outcome) = self.pause(pause).await {
                return Spawned::Ended(outcome);
            }
            pause = (pause * 2).min(LABEL_PAUSE_MAX);
        }
    }
}

/// The session that the children of a run belong to, named after its first agent: each one has a budget of children
/// of its own.
pub(super) fn requester_key(agent_id: &str, first_key: &str) -> Arc<str> {
    let short: String = first_key.chars().filter(char::is_ascii_hexdigit).take(8).collect();
    format!("agent:{agent_id}:pa-{short}").into()
}
