//! Finds out how an accepted run ends where no answer brings it: after a cut connection, after a restart of the
//! gateway, and always for spawned children.
//!
//! `agent.wait` tells the end, `sessions.get` the whole text and the usage. An open `agent.wait` keeps a gateway from
//! shutting down, so each one is short. A bare timeout of it says nothing: the run goes on, or is unknown.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout};

use super::attempt::{Attempt, Stop};
use super::frames::{BootId, TaskRow, task_rows};
use super::link::{CallError, Response};
use super::outcome::{Described, Outcome, Standing, Transcript, WaitEnd};
use super::sessions::{self, Deletion};
use crate::core::action::Session;
use crate::core::failure::Ending;

const RESTARTED: &str = "the gateway restarted while the agent was running";
const WAIT_FIRST: Duration = Duration::from_millis(500);
const WAIT: Duration = Duration::from_secs(20);
/// How long `agent.wait` is heard before a stop counts as failed.
const LAST_PATIENCE: Duration = Duration::from_secs(3);
/// How long a gateway is asked for what an agent had written when it was cut short.
const PARTIAL_PATIENCE: Duration = Duration::from_secs(2);
const BUSY_PAUSE: Duration = Duration::from_millis(500);
/// How long a gateway that has started again may take to notice that a child of its earlier life was interrupted.
/// 30 s were seen.
const INTERRUPTION_PATIENCE: Duration = Duration::from_secs(60);
const INTERRUPTION_PAUSE: Duration = Duration::from_secs(1);

/// Whose run it is: what the gateway says after a restart of one that it cut off differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kin {
    /// A run of ours: its session says "running" for ever, its task tells the truth.
    Own,
    /// A child session: the gateway marks it as failed after a while.
    Child,
}

impl Attempt {
    /// Follows the run to its end.
    pub async fn follow(&mut self, kin: Kin) -> Outcome {
        if let Stop::Told(due) = self.stop {
            // The answer has not come in time; `agent.wait` may know the end all the same.
            self.stop = Stop::Told(due.max(Instant::now() + LAST_PATIENCE));
        }
        match self.follow_to_end(kin).await {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }

    /// Either way it is the end; an error is one that cuts the following short.
    async fn follow_to_end(&mut self, kin: Kin) -> Result<Outcome, Outcome> {
        let mut span = WAIT_FIRST;
        let mut restarted: Option<Instant> = None;
        loop {
            let Some(session) = self.session.clone() else { return Ok(lost("the gateway never took the agent")) };
            let response = self.wait(&session, span).await?;
            if let Some(end) = WaitEnd::read(&response.payload) {
                return Ok(self.collect(&session, end).await);
            }
            let Some((described, boot)) = self.describe(&session).await? else {
                return Ok(lost("its session was deleted by somebody else"));
            };
            if let Some(end) = ended_unnoticed(&described, &session) {
                return Ok(self.collect(&session, end).await);
            }
            span = WAIT;
            if boot == self.boot {
                continue;
            }
            if let Some(resumed) = resumed_to_its_end(kin, &described, &session) {
                let end = WaitEnd::of(Ending::Replied(String::new()), true);
                return Ok(self.collect(&resumed, end).await);
            }
            if self.link.hello().is_admin() {
                return self.remove(&session).await;
            }
            match kin {
                Kin::Own => {
                    let Some(row) = self.resumed(&session).await? else { return Ok(lost(RESTARTED)) };
                    self.session = Some(Session { key: session.key, run_id: row.run_id });
                    self.boot = boot;
                }
                Kin::Child if restarted.get_or_insert_with(Instant::now).elapsed() > INTERRUPTION_PATIENCE => {
                    let reason = format!("the gateway restarted; session `{}` may still be running", session.key);
                    return Err(Ending::Unstoppable { reason }.into());
                }
                Kin::Child => span = INTERRUPTION_PAUSE,
            }
        }
    }

    /// One `agent.wait`, obeying meanwhile.
    async fn wait(&mut self, session: &Session, span: Duration) -> Result<Response, Outcome> {
        let millis = u64::try_from(span.as_millis()).unwrap_or(20_000);
        let params = json!({ "runId": session.run_id, "timeoutMs": millis });
        let mut call = self.link.call("agent.wait", params.clone(), None);
        loop {
            let stop = self.stop;
            tokio::select! {
                biased;
                answer = call.next() => match answer {
                    Ok(response) => return Ok(response),
                    Err(CallError::Cut { .. }) => call = self.link.call("agent.wait", params.clone(), None),
                    Err(CallError::Rejected { error, .. }) if error.is_busy() => {
                        if let Some(outcome) = self.pause(error.retry_after.unwrap_or(BUSY_PAUSE)).await {
                            return Err(outcome);
                        }
                        call = self.link.call("agent.wait", params.clone(), None);
                    }
                    Err(error) => return Err(self.uncertain(&error)),
                },
                control = self.next_control() => {
                    if let Some(outcome) = self.obey(control).await {
                        return Err(outcome);
                    }
                }
                () = Self::stop_is_due(stop) => {
                    let reason = format!("the gateway did not end session `{}` after `sessions.abort`", session.key);
                    return Err(Ending::Unstoppable { reason }.into());
                }
            }
        }
    }

    /// What an ended run said and used. It has ended, so a transcript that cannot be had costs only that.
    async fn collect(&self, session: &Session, end: WaitEnd) -> Outcome {
        let answer = self.link.ask("sessions.get", &json!({ "key": session.key })).await;
        let transcript = answer.map(|response| Transcript::read(&response.payload, &session.run_id));
        end.with(transcript.unwrap_or_default())
    }

    /// Adds what the agent had written when it was cut short. A gateway that does not tell it soon is not waited for.
    pub async fn with_partial(&self, outcome: Outcome) -> Outcome {
        match &self.session {
            Some(session) if outcome.is_cut_short() => {
                let written = timeout(PARTIAL_PATIENCE, self.written(session, &outcome.ending)).await;
                Outcome { partial: written.ok().flatten().map(Into::into), ..outcome }
            }
            Some(_) | None => outcome,
        }
    }

    async fn written(&self, session: &Session, ending: &Ending) -> Option<String> {
        if *ending == Ending::TimedOut {
            // The transcript has nothing of a turn that ran out of time.
            let params = json!({ "runId": session.run_id, "timeoutMs": 0 });
            let answer = self.link.call("agent.wait", params, None).next().await.ok()?;
            if let Some(written) = WaitEnd::read(&answer.payload).and_then(|end| end.written) {
                return Some(written);
            }
        }
        let answer = self.link.call("sessions.get", json!({ "key": session.key }), None).next().await.ok()?;
        Transcript::read(&answer.payload, &session.run_id).text
    }

    /// The run that goes on with ours after a restart: some kinds of session are run again by the gateway itself.
    async fn resumed(&mut self, session: &Session) -> Result<Option<TaskRow>, Outcome> {
        let goes_on = |row: &TaskRow| row.run_id != session.run_id && !row.is_over;
        Ok(self.runs_of(&session.key).await?.0.into_iter().find(goes_on))
    }

    /// The runs that the gateway knows in a session, and which boot says so.
    pub async fn runs_of(&self, session_key: &str) -> Result<(Vec<TaskRow>, BootId), Outcome> {
        let answer = self.link.ask("tasks.list", &json!({ "sessionKey": session_key })).await;
        let response = answer.map_err(|error| self.uncertain(&error))?;
        let rows = task_rows(&response.payload).into_iter().filter(|row| row.session_key == session_key).collect();
        Ok((rows, response.boot))
    }

    /// Deletes the session of a run that a restart has cut off, and makes certain that it is gone: whether the gateway
    /// would have run it again, on its default model, need not be known then.
    async fn remove(&mut self, session: &Session) -> Result<Outcome, Outcome> {
        match sessions::delete(&self.link, &session.key).await {
            Deletion::Gone => {}
            Deletion::Failed(reason) => {
                let reason = format!("{reason}; session `{}` may be run again after the restart", session.key);
                return Err(Ending::Unstoppable { reason }.into());
            }
        }
        if self.describe(session).await?.is_none() {
            return Ok(lost(RESTARTED));
        }
        let reason = format!("session `{}` came back after it was deleted", session.key);
        Err(Ending::Unstoppable { reason }.into())
    }
}

/// The end of a run that `agent.wait` no longer knows: it forgets after a restart.
pub(super) fn ended_unnoticed(described: &Described, session: &Session) -> Option<WaitEnd> {
    if described.last_run_id.as_deref() != Some(&*session.run_id) {
        // A child that was interrupted by a restart has no latest run.
        let error = described.error.clone().filter(|_| described.standing == Standing::Failed)?;
        return Some(WaitEnd::of(interrupted_or_failed(error), false));
    }
    let error = || described.error.clone().unwrap_or_else(|| "the gateway gave no reason".to_owned());
    let ending = match described.standing {
        Standing::Done => Ending::Replied(String::new()),
        Standing::Failed => interrupted_or_failed(error()),
        Standing::Killed => Ending::Stopped { reason: "killed".to_owned() },
        // Of a child it is also said while it waits for its turn; but then it has no latest run yet.
        Standing::TimedOut => Ending::TimedOut,
        Standing::Running | Standing::Queued => return None,
    };
    Some(WaitEnd::of(ending, described.standing == Standing::Done))
}

/// The run by which the gateway itself has brought ours to its end after a restart: what it said is paid for.
fn resumed_to_its_end(kin: Kin, described: &Described, session: &Session) -> Option<Session> {
    let run_id = described.last_run_id.clone().filter(|run_id| *run_id != session.run_id)?;
    let is_done = kin == Kin::Own && described.standing == Standing::Done;
    is_done.then(|| Session { key: session.key.clone(), run_id })
}

/// The gateway shortens a session's error in the middle: "interrupted by a Gateway res ... istory and uncertain".
fn interrupted_or_failed(error: String) -> Ending {
    if error.to_lowercase().contains("interrupted by a gateway res") {
        Ending::Lost { reason: RESTARTED.to_owned() }
    } else {
        Ending::Failed { message: error }
    }
}

pub(super) fn lost(reason: &str) -> Outcome {
    Ending::Lost { reason: reason.to_owned() }.into()
}
