//! `OpenClaw` over its WebSocket protocol, as observed on gateways of release 2026.9.6.
//!
//! [`GatewayRuntime`] hands every attempt to a task of its own and carries the reports out. All of them share one
//! connection ([`link`]); how an agent starts is in [`path_agent`] and [`path_spawn`], how its end is found out where
//! no answer brings it in [`collect`], what the frames mean in [`frames`] and [`outcome`]. Nothing here judges an end
//! or decides what follows it.

mod adopt;
#[cfg(test)]
mod adopt_tests;
mod attempt;
mod collect;
pub mod config;
pub mod error;
mod frames;
pub mod interview;
mod link;
mod onlooker;
mod outcome;
mod path_agent;
mod path_spawn;
#[cfg(test)]
mod peer;
mod reading;
#[cfg(test)]
mod samples;
mod sessions;
mod socket;
#[cfg(test)]
mod spawn_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod verdict_tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{Id, JoinError, JoinSet};

use crate::core::action::{Action, Adoption, AttemptRef, Report, SpawnOrder};
use crate::core::failure::Ending;
use crate::core::time::Time;
use crate::runtime::Runtime;

use adopt::Adopted;
use attempt::{Anchor, Attempt, Control, Stop};
pub use config::{Endpoint, GatewayConfig, Path, Secret, Surroundings};
pub use error::GatewayError;
pub use frames::{KnownModels, model_name, provider_of};
use link::Link;
pub use onlooker::Onlooker;
use outcome::Outcome;
#[doc(hidden)]
pub use reading::{End, Readings};
use sessions::Deletion;

/// How long a gateway may be away during a run before the fate of its agents counts as unknown. Seen: back 20-26 s after
/// a restart on two idle cores, and 57 s on busy ones.
const RECONNECT_PATIENCE: Duration = Duration::from_secs(120);

/// Runs agents on an `OpenClaw` gateway. Needs a tokio runtime; when it is dropped, so are its connection and its
/// watch over the agents, which go on.
#[derive(Debug)]
pub struct GatewayRuntime {
    link: Link,
    path: Path,
    agent_id: String,
    /// The parent of spawned children, once there is one.
    requester: Option<Arc<str>>,
    live: HashMap<AttemptRef, UnboundedSender<Control>>,
    /// Which attempt a run that starts to work belongs to, until that was reported.
    starting: HashMap<Arc<str>, AttemptRef>,
    anchor: Option<Anchor>,
    outgoing: UnboundedSender<Report>,
    reports: UnboundedReceiver<Report>,
    started: UnboundedReceiver<Arc<str>>,
    tasks: JoinSet<()>,
    jobs: HashMap<Id, Job>,
}

/// What a task of ours does, in case that it breaks down.
#[derive(Debug, Clone, Copy)]
enum Job {
    Connection,
    Attempt(AttemptRef),
    Deletion(AttemptRef),
}

impl GatewayRuntime {
    /// Finds the gateway and connects. Waits for one that is just starting, up to 30 s.
    ///
    /// # Errors
    /// Where no usable gateway is found; see [`GatewayError`].
    pub async fn connect(config: &GatewayConfig) -> Result<Self, GatewayError> {
        Self::connect_to(config, config.resolve()?).await
    }

    /// Connects to `endpoint`. As [`connect`](Self::connect) otherwise.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn connect_to(config: &GatewayConfig, endpoint: Endpoint) -> Result<Self, GatewayError> {
        Self::connect_patiently(config, endpoint, RECONNECT_PATIENCE).await
    }

    async fn connect_patiently(
        config: &GatewayConfig,
        endpoint: Endpoint,
        patience: Duration,
    ) -> Result<Self, GatewayError> {
        let opened = socket::open_when_ready(&endpoint).await?;
        let (outgoing, reports) = unbounded_channel();
        let (started_sender, started) = unbounded_channel();
        let (link, connection) = Link::new(endpoint, opened, patience, started_sender, outgoing.clone());
        let mut runtime = Self {
            link,
            path: config.path,
            agent_id: config.agent_id.clone(),
            requester: None,
            live: HashMap::new(),
            starting: HashMap::new(),
            anchor: None,
            outgoing,
            reports,
            started,
            tasks: JoinSet::new(),
            jobs: HashMap::new(),
        };
        runtime.start(Job::Connection, connection);
        Ok(runtime)
    }

    /// The models that the gateway is configured with. Ask once per run.
    ///
    /// # Errors
    /// The gateway's words, if it does not tell them.
    pub async fn models(&self) -> Result<KnownModels, String> {
        self.onlooker().ask("models.list", json!({})).await.map(|payload| KnownModels::read(&payload))
    }

    /// How agents are started from now on.
    pub fn start_by(&mut self, path: Path) {
        self.path = path;
    }

    /// For questions about any session of the gateway, beside the runs.
    pub fn onlooker(&self) -> Onlooker {
        Onlooker::new(self.link.clone())
    }

    fn start(&mut self, job: Job, work: impl Future<Output = ()> + Send + 'static) {
        let handle = self.tasks.spawn(work);
        self.jobs.insert(handle.id(), job);
    }

    /// Starts an agent, or takes up one that was ordered before.
    fn run(&mut self, order: SpawnOrder, adopted: Option<Adopted>, anchor: Anchor) {
        let (attempt_ref, key) = (order.attempt, order.key.clone());
        let (sender, controls) = unbounded_channel();
        self.live.insert(attempt_ref, sender);
        let ordered_to = adopted.as_ref().and_then(|adopted| adopted.boot.clone());
        let mut attempt = Attempt {
            agent_id: self.agent_id.clone(),
            link: self.link.clone(),
            reports: self.outgoing.clone(),
            controls,
            anchor,
            session: None,
            boot: ordered_to.unwrap_or_else(|| self.link.hello().boot),
            stop: Stop::NotAsked,
            order,
        };
        let outgoing = self.outgoing.clone();
        match self.path {
            Path::Agent => {
                self.starting.insert(key, attempt_ref);
                self.start(Job::Attempt(attempt_ref), async move {
                    let outcome = match adopted {
                        Some(adopted) => attempt.adopt_by_agent(adopted).await,
                        None => attempt.run_by_agent(None).await,
                    };
                    tell(&outgoing, attempt_ref, outcome);
                });
            }
            Path::Spawn => {
                let requester =
                    self.requester.get_or_insert_with(|| path_spawn::requester_key(&self.agent_id, &key)).clone();
                self.start(Job::Attempt(attempt_ref), async move {
                    let outcome = match adopted {
                        Some(adopted) => attempt.adopt_by_spawn(adopted, &requester).await,
                        None => attempt.run_by_spawn(&requester).await,
                    };
                    tell(&outgoing, attempt_ref, outcome);
                });
            }
        }
    }

    fn control(&self, attempt: AttemptRef, control: Control) {
        if let Some(live) = self.live.get(&attempt) {
            // One that has just ended has its last report under way.
            let _ = live.send(control);
        }
    }

    /// Keeps account of what is reported.
    fn note(&mut self, report: &Report) {
        match report {
            Report::Spawned { attempt, session } if self.live.contains_key(attempt) => {
                self.starting.entry(session.run_id.clone()).or_insert(*attempt);
            }
            Report::Ended { attempt, .. } => {
                self.live.remove(attempt);
                self.starting.retain(|_, starting| starting != attempt);
            }
            Report::Spawned { .. }
            | Report::Started { .. }
            | Report::Queued { .. }
            | Report::Met { .. }
            | Report::Active { .. }
            | Report::Deleted { .. }
            | Report::DeleteFailed { .. } => {}
        }
    }

    /// A task of ours has ended; a report, if it broke down without one.
    fn finished(&mut self, finished: Result<(Id, ()), JoinError>) -> Option<Report> {
        let (id, broke) = match finished {
            Ok((id, ())) => (id, false),
            Err(error) => (error.id(), error.is_panic()),
        };
        let job = self.jobs.remove(&id)?;
        if !broke {
            return None;
        }
        let reason = "an internal error of parallel-agents, please report it".to_owned();
        match job {
            Job::Connection => None,
            Job::Attempt(attempt) => self.live.contains_key(&attempt).then(|| {
                let outcome = Ending::Unstoppable { reason }.into();
                ended(attempt, outcome)
            }),
            Job::Deletion(attempt) => Some(Report::DeleteFailed { attempt, reason }),
        }
    }
}

impl Runtime for GatewayRuntime {
    fn begin(&mut self, action: Action, now: Time) {
        let anchor = *self.anchor.get_or_insert_with(|| Anchor::new(now));
        match action {
            Action::Spawn(order) => self.run(order, None, anchor),
            Action::Adopt(Adoption { order, session, boot, ordered }) => {
                self.run(order, Some(Adopted { session, boot, age: now.since(ordered) }), anchor);
            }
            Action::Look(attempt) => self.control(attempt, Control::Look),
            Action::Stop(attempt) => self.control(attempt, Control::Stop),
            Action::Delete { attempt, session } => {
                let (link, outgoing) = (self.link.clone(), self.outgoing.clone());
                self.start(Job::Deletion(attempt), async move {
                    let report = match sessions::delete(&link, &session.key).await {
                        Deletion::Gone => Report::Deleted { attempt },
                        Deletion::Failed(reason) => Report::DeleteFailed { attempt, reason },
                    };
                    // The runtime may be gone; then nobody listens.
                    let _ = outgoing.send(report);
                });
            }
        }
    }

    async fn next_report(&mut self, _now: Time) -> Report {
        loop {
            tokio::select! {
                biased;
                Some(report) = self.reports.recv() => {
                    self.note(&report);
                    return report;
                }
                Some(run_id) = self.started.recv() => {
                    if let (Some(attempt), Some(anchor)) = (self.starting.remove(&run_id), self.anchor) {
                        return Report::Started { attempt, since: anchor.ago(Duration::ZERO) };
                    }
                }
                Some(finished) = self.tasks.join_next_with_id() => {
                    if let Some(report) = self.finished(finished) {
                        self.note(&report);
                        return report;
                    }
                }
            }
        }
    }
}

fn ended(attempt: AttemptRef, outcome: Outcome) -> Report {
    let Outcome { ending, usage, model_used, partial } = outcome;
    Report::Ended { attempt, ending, usage, model_used, partial }
}

fn tell(outgoing: &UnboundedSender<Report>, attempt: AttemptRef, outcome: Outcome) {
    // The runtime may be gone; then nobody listens.
    let _ = outgoing.send(ended(attempt, outcome));
}
