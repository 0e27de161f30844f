//! What a run tells while it goes on: a fold over its facts.

use std::sync::{Arc, Mutex};

use super::lock;
use super::start::{Level, RunEvent, RunSummary, SessionLeft};
use crate::core::fact::{End, Event, Fact, Outcome};
use crate::core::output::{NAME_CHARS, abridged};
use crate::core::plan::Plan;
use crate::core::report::Reporter;
use crate::core::settings::{Cleanup, RunSettings};

/// Folds facts into what the caller is told.
#[derive(Debug)]
pub struct Narrator {
    plan: Arc<Plan>,
    reporter: Reporter,
    summary: RunSummary,
    live: LiveSessions,
    cleanup: Cleanup,
    refusal_told: bool,
}

/// The sessions of agents that are under way, by the index of their task. Readable from any thread.
pub type LiveSessions = Arc<Mutex<Vec<Option<Arc<str>>>>>;

impl Narrator {
    /// A fold for a run of `plan`, that keeps `live` up to date.
    pub fn new(plan: Arc<Plan>, settings: &RunSettings, live: LiveSessions) -> Self {
        lock(&live).resize(plan.tasks().len(), None);
        Self {
            reporter: Reporter::new(&plan),
            plan,
            summary: RunSummary::default(),
            live,
            cleanup: settings.cleanup,
            refusal_told: false,
        }
    }

    /// Takes one more fact in.
    pub fn observe(&mut self, fact: &Fact, tell: &mut impl FnMut(RunEvent)) {
        self.summary.progress.apply(fact);
        self.narrate(fact, tell);
        if let Some(report) = self.reporter.apply(fact) {
            self.summary.execution_time += report.execution_time();
            tell(RunEvent::TaskEnded(Arc::new(report)));
        }
    }

    /// What the run came to so far.
    pub fn summary(&self) -> &RunSummary {
        &self.summary
    }

    /// The same, when nothing more follows.
    pub fn into_summary(self) -> RunSummary {
        self.summary
    }

    fn id(&self, task_index: usize) -> &Arc<str> {
        &self.plan.tasks()[task_index].id
    }

    fn narrate(&mut self, fact: &Fact, tell: &mut impl FnMut(RunEvent)) {
        let live = || lock(&self.live);
        let mut notice = |level, text| tell(RunEvent::Notice { level, text });
        match &fact.event {
            Event::RetryPlanned { task_index, reason, model, delay, .. } => {
                let id = self.id(*task_index);
                let wait = if delay.is_zero() { String::new() } else { format!(" in {:.1} s", delay.as_secs_f64()) };
                notice(Level::Info, format!("task `{id}`: {reason}; trying again on `{model}`{wait}"));
            }
            Event::AttemptRefused { reason, limit, .. } if !self.refusal_told => {
                self.refusal_told = true;
                notice(Level::Info, format!("waiting for room: {limit} agents at once for now ({reason})"));
            }
            Event::LimitRaised { .. } => self.refusal_told = false,
            Event::TaskEnded { task_index, end: End::Failed { reason, .. } } => {
                notice(Level::Info, format!("task `{}` failed: {reason}", self.id(*task_index)));
            }
            Event::Cancelled { reason } => notice(Level::Info, format!("the run ends early: {reason}")),
            Event::SessionLeft { attempt, session, reason } => self.summary.sessions_left.push(SessionLeft {
                task_id: self.id(attempt.task_index).clone(),
                key: session.key.clone(),
                reason: reason.clone(),
            }),
            Event::RunEnded => {
                if let Some(first) = self.summary.sessions_left.first() {
                    let (count, key) = (self.summary.sessions_left.len(), abridged(&first.key, NAME_CHARS));
                    let text = format!("{count} sessions were not deleted, `{key}` among them ({})", first.reason);
                    // Where nothing can delete them, that is no news.
                    let is_news = self.cleanup != Cleanup::Impossible;
                    notice(if is_news { Level::Warning } else { Level::Info }, text);
                }
            }
            Event::AttemptAccepted { attempt, session } => {
                live()[attempt.task_index] = Some(session.key.clone());
            }
            Event::AttemptEnded { attempt, truncated, outcome, .. } => {
                live()[attempt.task_index] = None;
                if *truncated && *outcome == Outcome::Completed {
                    let id = self.id(attempt.task_index);
                    let text = format!(
                        "task `{id}`: its answer was cut on its way, and only the beginning is kept; the gateway runtime \
                         brings answers whole: Orchestrator(gateway=Gateway())"
                    );
                    notice(Level::Warning, text);
                }
            }
            Event::RunStarted { .. }
            | Event::AttemptPlanned { .. }
            | Event::AttemptStarted { .. }
            | Event::AttemptRefused { .. }
            | Event::AttemptStopping { .. }
            | Event::TaskEnded { .. }
            | Event::SessionDeleted { .. } => {}
        }
    }
}
