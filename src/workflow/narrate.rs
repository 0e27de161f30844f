//! What a run tells while it goes on: a fold over its facts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use super::lock;
use super::start::{Level, NotStarted, RunEvent, RunSummary, SessionLeft};
use crate::core::budget::Ledger;
use crate::core::fact::{Circuit, End, Event, Fact, Outcome};
use crate::core::output::{NAME_CHARS, abridged};
use crate::core::plan::Plan;
use crate::core::report::{Reporter, TaskReport};
use crate::core::settings::{Cleanup, RunSettings};
use crate::core::time::Time;
use crate::driver::Told;

/// Folds facts into what the caller is told.
#[derive(Debug)]
pub struct Narrator {
    plan: Arc<Plan>,
    reporter: Reporter,
    ledger: Ledger,
    summary: RunSummary,
    /// The life of the runtime that was met last.
    boot: Option<Arc<str>>,
    live: LiveSessions,
    cleanup: Cleanup,
    refusal_told: bool,
    budget_told: bool,
}

/// The sessions of agents that are under way, by the index of their task. Readable from any thread.
pub type LiveSessions = Arc<Mutex<Vec<Option<Arc<str>>>>>;

impl Narrator {
    /// A fold for a run of `plan`, that keeps `live` up to date.
    pub fn new(plan: Arc<Plan>, settings: &RunSettings, live: LiveSessions) -> Self {
        lock(&live).resize(plan.tasks().len(), None);
        Self {
            reporter: Reporter::new(&plan),
            ledger: Ledger::new(settings.budget, Time::default()),
            plan,
            summary: RunSummary::default(),
            boot: None,
            live,
            cleanup: settings.cleanup,
            refusal_told: false,
            budget_told: false,
        }
    }

    /// The same for a run that goes on after `facts`. Tells the results of tasks that have ended and are not opened again,
    /// and nothing else.
    pub fn recalling(
        plan: Arc<Plan>,
        settings: &RunSettings,
        live: LiveSessions,
        facts: &[Fact],
        reopened: &BTreeSet<usize>,
        tell: &mut impl FnMut(RunEvent),
    ) -> Self {
        let mut narrator = Self::new(plan, settings, live);
        narrator.reporter = Reporter::remembering(&narrator.plan);
        let mut ended: BTreeMap<usize, TaskReport> = BTreeMap::new();
        for fact in facts {
            if let Event::TaskReopened { task_index, .. } = &fact.event {
                ended.remove(task_index);
            }
            if let Some(report) = narrator.fold(fact, &mut |_| {}) {
                ended.insert(report.task_index, report);
            }
        }
        (narrator.refusal_told, narrator.budget_told) = (false, false);
        for report in ended.into_values().filter(|report| !reopened.contains(&report.task_index)) {
            narrator.summary.execution_time += report.execution_time();
            tell(RunEvent::TaskEnded(Arc::new(report)));
        }
        narrator
    }

    /// Takes in what a driver tells.
    pub fn observe(&mut self, told: Told, tell: &mut impl FnMut(RunEvent)) {
        match told {
            Told::Fact(fact) => {
                if let Some(report) = self.fold(&fact, tell) {
                    self.summary.execution_time += report.execution_time();
                    tell(RunEvent::TaskEnded(Arc::new(report)));
                }
            }
            Told::Warning(text) => tell(RunEvent::Notice { level: Level::Warning, text }),
        }
    }

    fn fold(&mut self, fact: &Fact, tell: &mut impl FnMut(RunEvent)) -> Option<TaskReport> {
        if let Event::TasksAdded { first, tasks } = &fact.event {
            Arc::make_mut(&mut self.plan).grow(*first, tasks);
            lock(&self.live).resize(self.plan.tasks().len(), None);
            tell(RunEvent::TasksAdded { first: *first, tasks: tasks.clone() });
        }
        self.summary.progress.apply(fact);
        self.ledger.apply(fact, &self.plan);
        self.sum_up(fact);
        self.narrate(fact, tell);
        self.reporter.apply(fact)
    }

    /// What the run came to so far.
    pub fn summary(&self) -> RunSummary {
        let mut summary = self.summary.clone();
        summary.spending = self.ledger.is_capped().then(|| self.ledger.clone());
        summary
    }

    /// The same, when nothing more follows.
    pub fn into_summary(self) -> RunSummary {
        self.summary()
    }

    fn id(&self, task_index: usize) -> &Arc<str> {
        &self.plan.tasks()[task_index].id
    }

    fn sum_up(&mut self, fact: &Fact) {
        let id = |task_index: usize| self.plan.tasks()[task_index].id.clone();
        match &fact.event {
            Event::RunStarted { .. } => self.summary.started = Some(fact.at),
            Event::RunResumed { .. } => {
                self.summary.resumed += 1;
                self.summary.ended_early = None;
            }
            Event::Cancelled { reason, .. } => self.summary.ended_early = Some(reason.clone()),
            // Each process that goes on with the run meets it anew.
            Event::RuntimeMet { boot } if self.boot.as_ref() != Some(boot) => {
                self.summary.lives += 1;
                self.boot = Some(boot.clone());
            }
            Event::RetryPlanned { .. } => self.summary.retries += 1,
            Event::BreakerOpened { .. } => self.summary.breakers_opened += 1,
            Event::BudgetReached { task_index, cap, needed } => {
                let task_id = id(*task_index);
                // A run that died between this fact and the task's end finds it out once more.
                self.summary.not_started.retain(|other| other.task_id != task_id);
                self.summary.not_started.push(NotStarted { task_id, cap: *cap, needed: *needed });
            }
            Event::TaskReopened { task_index, .. } => {
                let task_id = id(*task_index);
                self.summary.not_started.retain(|other| other.task_id != task_id);
            }
            Event::SessionLeft { attempt, session, reason } => self.summary.sessions_left.push(SessionLeft {
                task_id: id(attempt.task_index),
                key: session.key.clone(),
                reason: reason.clone(),
            }),
            Event::OutcomeReached { outcome } => self.summary.outcome = Some(outcome.clone()),
            Event::RunEnded
            | Event::RuntimeMet { .. }
            | Event::TasksAdded { .. }
            | Event::ApprovalAsked { .. }
            | Event::WordGiven { .. }
            | Event::AttemptPlanned { .. }
            | Event::AttemptAccepted { .. }
            | Event::AttemptStarted { .. }
            | Event::AttemptRefused { .. }
            | Event::AttemptStopping { .. }
            | Event::AttemptEnded { .. }
            | Event::LimitRaised { .. }
            | Event::TaskEnded { .. }
            | Event::StartsStopped { .. }
            | Event::SessionDeleted { .. } => {}
        }
        self.summary.latest = Some(fact.at);
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
            Event::TaskEnded { task_index, end: End::NeedsInput { question, .. } } => {
                notice(Level::Info, format!("task `{}` asks: {question}", self.id(*task_index)));
            }
            Event::Cancelled { reason, .. } => notice(Level::Info, format!("the run ends early: {reason}")),
            Event::StartsStopped { reason } => {
                notice(Level::Warning, format!("no further agent is started, those that run go on: {reason}"));
            }
            Event::BudgetReached { cap, .. } if !self.budget_told => {
                self.budget_told = true;
                let text =
                    format!("the budget is reached ({}): what runs goes on, the rest is not started", cap.name());
                notice(Level::Warning, text);
            }
            Event::BreakerOpened { circuit, until } => {
                let what = match circuit {
                    Circuit::Model(model) => format!("model `{model}`"),
                    Circuit::Agents(agent_type, kind) => format!("agent type `{agent_type}` ({})", kind.name()),
                };
                let span = match until {
                    Some(until) => format!("for {:.0} s", until.since(fact.at).as_secs_f64()),
                    None => "for the rest of the run".to_owned(),
                };
                notice(Level::Info, format!("{what} failed too often in a row and is left alone {span}"));
            }
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
            Event::ApprovalAsked { subject } => tell(RunEvent::ApprovalAsked(subject.clone())),
            Event::RunStarted { .. }
            | Event::TasksAdded { .. }
            | Event::WordGiven { .. }
            | Event::OutcomeReached { .. }
            | Event::AttemptPlanned { .. }
            | Event::AttemptStarted { .. }
            | Event::AttemptRefused { .. }
            | Event::AttemptStopping { .. }
            | Event::TaskEnded { .. }
            | Event::TaskReopened { .. }
            | Event::RuntimeMet { .. }
            | Event::RunResumed { .. }
            | Event::BudgetReached { .. }
            | Event::SessionLeft { .. }
            | Event::SessionDeleted { .. } => {}
        }
    }
}
