//! One agent under way, whichever way it was started: its name at the gateway, what is asked about it meanwhile, and
//! how it is stopped. How it starts is in [`path_agent`](super::path_agent) and [`path_spawn`](super::path_spawn), how
//! its end is found out where no answer brings it, in [`collect`](super::collect).

use std::future::pending;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep_until};

use super::frames::{BootId, task_rows};
use super::link::{CallError, Link};
use super::outcome::{Described, Outcome, Standing};
use crate::core::action::{Report, Session, SpawnOrder};
use crate::core::failure::{Ending, Refusal};
use crate::core::time::Time;

/// How long an aborted run may take to be over.
const ABORT_PATIENCE: Duration = Duration::from_secs(8);

/// What is asked about an attempt while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Control {
    Look,
    Stop,
}

/// Whether the agent is to be stopped, and how far that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    NotAsked,
    Asked,
    /// The gateway was told; it is to be over by then.
    Told(Instant),
}

/// The run's clock: what time it was at some instant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Anchor {
    time: Time,
    at: Instant,
}

impl Anchor {
    pub fn new(time: Time) -> Self {
        Self { time, at: Instant::now() }
    }

    /// What time it was `ago`. Only our own clock counts: the gateway's may be wrong by hours.
    pub fn ago(&self, ago: Duration) -> Time {
        let now = self.time + self.at.elapsed();
        let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        Time::from_millis(now.as_millis().saturating_sub(ago))
    }
}

/// An attempt's own task at the gateway.
pub(super) struct Attempt {
    pub order: SpawnOrder,
    pub agent_id: String,
    pub link: Link,
    pub reports: UnboundedSender<Report>,
    pub controls: UnboundedReceiver<Control>,
    pub anchor: Anchor,
    /// Once the gateway has taken it.
    pub session: Option<Session>,
    /// The boot of the gateway that took it.
    pub boot: BootId,
    pub stop: Stop,
}

impl Attempt {
    pub fn report(&self, report: Report) {
        // The runtime may be gone; then nobody listens.
        let _ = self.reports.send(report);
    }

    /// The gateway has taken the agent. If it is to be stopped, that can be done now.
    pub async fn accept(&mut self, session: Session, boot: BootId) -> Option<Outcome> {
        if self.session.is_none() {
            self.report(Report::Spawned { attempt: self.order.attempt, session: session.clone() });
        }
        self.session = Some(session);
        self.boot = boot;
        match self.stop {
            Stop::Asked => self.abort().await,
            Stop::NotAsked | Stop::Told(_) => None,
        }
    }

    /// The next thing asked. Never, once the runtime is gone.
    pub async fn next_control(&mut self) -> Control {
        match self.controls.recv().await {
            Some(control) => control,
            None => pending().await,
        }
    }

    /// When a stop that the gateway was told of is due; never, without one.
    pub async fn stop_is_due(stop: Stop) {
        match stop {
            Stop::Told(due) => sleep_until(due).await,
            Stop::NotAsked | Stop::Asked => pending().await,
        }
    }

    /// Lets some time pass, obeying meanwhile; the outcome, if that ends the attempt.
    pub async fn pause(&mut self, span: Duration) -> Option<Outcome> {
        let end = Instant::now() + span;
        loop {
            tokio::select! {
                biased;
                control = self.next_control() => {
                    if let Some(outcome) = self.obey(control).await {
                        return Some(outcome);
                    }
                }
                () = sleep_until(end) => return None,
            }
        }
    }

    /// Does what is asked; the outcome, if that ends the attempt.
    pub async fn obey(&mut self, control: Control) -> Option<Outcome> {
        match control {
            Control::Look => {
                self.look().await;
                None
            }
            Control::Stop => {
                if self.stop == Stop::NotAsked {
                    self.stop = Stop::Asked;
                }
                if self.session.is_some() { self.abort().await } else { None }
            }
        }
    }

    /// Asks once: without an answer nothing is known, and it is looked again later. Of one that works it is also told
    /// when it last did something.
    async fn look(&self) {
        let attempt = self.order.attempt;
        let described = match &self.session {
            Some(session) => {
                let answer = self.link.call("sessions.describe", json!({ "key": session.key }), None).next().await;
                answer.ok().and_then(|response| Described::read(&response.payload))
            }
            None => None,
        };
        let report = match &described {
            // Not taken yet, or not to be found out now: the run's own watch finds out the end.
            None => Report::Queued { attempt },
            Some(described) => match (described.standing, described.working_for) {
                (Standing::Running, Some(span)) => Report::Started { attempt, since: self.anchor.ago(span) },
                // One that has ended reports that by itself.
                (
                    Standing::Running
                    | Standing::Queued
                    | Standing::Done
                    | Standing::Failed
                    | Standing::Killed
                    | Standing::TimedOut,
                    _,
                ) => Report::Queued { attempt },
            },
        };
        let is_working = matches!(report, Report::Started { .. });
        self.report(report);
        let now = described.and_then(|described| described.snapshot_at);
        if let (Some(session), Some(now), true) = (&self.session, now, is_working)
            && let Some(idle) = self.idle_for(session, now).await
        {
            self.report(Report::Active { attempt, at: self.anchor.ago(idle) });
        }
    }

    /// How long a working agent has done nothing, when it is `now` by the gateway's clock. Only its task tells.
    async fn idle_for(&self, session: &Session, now: u64) -> Option<Duration> {
        let params = json!({ "sessionKey": session.key });
        let response = self.link.call("tasks.list", params, None).next().await.ok()?;
        let row = task_rows(&response.payload).into_iter().find(|row| row.run_id == session.run_id)?;
        if row.is_in_tool {
            Some(Duration::ZERO)
        } else {
            row.active_at.map(|at| Duration::from_millis(now.saturating_sub(at)))
        }
    }

    /// How a session stands, and by which boot; `None` if there is none, or none yet.
    pub async fn describe(&self, session: &Session) -> Result<Option<(Described, BootId)>, Outcome> {
        match self.link.ask("sessions.describe", &json!({ "key": session.key })).await {
            Ok(response) => Ok(Described::read(&response.payload).map(|described| (described, response.boot))),
            Err(error) => Err(self.uncertain(&error)),
        }
    }

    async fn abort(&mut self) -> Option<Outcome> {
        let session = self.session.clone()?;
        let params = json!({ "key": session.key, "runId": session.run_id });
        match self.link.ask("sessions.abort", &params).await {
            // "no-active-run" is no failure: the run has just ended, and how it did is on its way.
            Ok(_) => {
                self.stop = Stop::Told(Instant::now() + ABORT_PATIENCE);
                None
            }
            Err(error) => Some(self.uncertain(&error)),
        }
    }

    /// Nothing more can be found out about an agent that may be running.
    pub fn uncertain(&self, error: &CallError) -> Outcome {
        let session = self.session.as_ref().map_or(&self.order.key, |session| &session.key);
        let reason = match error {
            CallError::Rejected { error, .. } => error.message.clone(),
            CallError::Unreachable { reason } => reason.clone(),
            CallError::Cut { .. } | CallError::OtherBoot | CallError::Withdrawn | CallError::TooLarge { .. } => {
                "the gateway could not be asked".to_owned()
            }
        };
        Ending::Unstoppable { reason: format!("{reason}; session `{session}` may still be running") }.into()
    }

    /// A start that did not happen, for certain.
    pub fn not_started(error: CallError) -> Outcome {
        match error {
            CallError::Rejected { error, .. } => Ending::Refused(error.into_refusal()),
            CallError::TooLarge { bytes, bytes_max } => Ending::Refused(Refusal {
                code: "TOO_LARGE".to_owned(),
                message: format!("the agent's prompt is {bytes} bytes long as sent, and the gateway takes {bytes_max}"),
                ..Refusal::default()
            }),
            CallError::Withdrawn => Ending::Stopped { reason: "it had not started yet".to_owned() },
            CallError::Unreachable { reason } => Ending::Lost { reason },
            CallError::Cut { .. } | CallError::OtherBoot => {
                Ending::Lost { reason: "the gateway restarted before the agent was started".to_owned() }
            }
        }
        .into()
    }
}
