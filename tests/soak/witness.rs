//! Follows a run fact by fact, by sums of its own, and holds it at every fact to what it promised.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parallel_agents::core::action::AttemptRef;
use parallel_agents::core::fact::{Event, Fact, Outcome, Status};
use parallel_agents::core::failure::FailureKind;
use parallel_agents::core::plan::Plan;
use parallel_agents::core::progress::Progress;
use parallel_agents::core::settings::RunSettings;
use parallel_agents::core::time::Time;

use crate::heap;

/// What sums of dollars may be off by.
const ROUNDING: f64 = 1e-6;

/// Into how many parts of equal numbers of ended tasks a run is divided.
pub const PARTS: usize = 20;

/// Who watches a run. Holds nothing that grows with it.
pub struct Witness {
    settings: RunSettings,
    pub progress: Progress,
    plan: Arc<Plan>,
    /// What each attempt under way may cost.
    open: BTreeMap<AttemptRef, f64>,
    /// All of them together.
    reserved: f64,
    pub spent: f64,
    /// The most that one attempt was thought to cost.
    pub dearest: f64,
    started: u32,
    pub retries: u32,
    ended: Vec<bool>,
    /// How often each kind of failure ended an attempt.
    pub failures: BTreeMap<&'static str, usize>,
    pub refused: usize,
    pub over_budget: BTreeSet<usize>,
    pub breakers_opened: usize,
    pub facts: u64,
    at: Option<Time>,
    answers: isize,
    /// Of each task: how long its answer is, and how many that build on it have not ended.
    awaited: Vec<(isize, usize)>,
    /// When the least was held in each part of the run.
    pub parts: [Held; PARTS],
}

/// What was held on the heap.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    pub held: isize,
    /// How many bytes of answers there were on which tasks build that had not ended: the machine keeps those.
    pub answers: isize,
}

impl Witness {
    /// Watches a run from its beginning.
    pub fn new(plan: Arc<Plan>, settings: RunSettings) -> Self {
        Self {
            awaited: (0..plan.tasks().len()).map(|index| (0, plan.dependents(index).len())).collect(),
            ended: vec![false; plan.tasks().len()],
            plan,
            settings,
            progress: Progress::default(),
            open: BTreeMap::new(),
            reserved: 0.0,
            spent: 0.0,
            dearest: 0.0,
            started: 0,
            retries: 0,
            failures: BTreeMap::new(),
            refused: 0,
            over_budget: BTreeSet::new(),
            breakers_opened: 0,
            facts: 0,
            at: None,
            answers: 0,
            parts: [Held { held: isize::MAX, answers: 0 }; PARTS],
        }
    }

    /// The retries that the run may have made by now.
    pub fn retries_max(&self) -> f64 {
        let retry = &self.settings.retry;
        f64::from(retry.retries_min) + (f64::from(self.started) * retry.retries_share).floor()
    }

    pub fn see(&mut self, fact: &Fact) {
        self.measure(fact.at);
        self.facts += 1;
        self.progress.apply(fact);
        match &fact.event {
            Event::AttemptPlanned { attempt, attempt_no, reserved, .. } => {
                let reserved = reserved.usd.expect("a rehearsal knows every price");
                self.dearest = self.dearest.max(reserved);
                self.reserved += reserved;
                assert_eq!(self.open.insert(*attempt, reserved), None, "{attempt:?} is planned once");
                self.started += u32::from(*attempt_no == 1 && attempt.start_no == 1);
                assert!(!self.ended[attempt.task_index], "{attempt:?} belongs to a task that has ended");
            }
            Event::AttemptRefused { attempt, .. } => {
                self.reserved -= self.open.remove(attempt).expect("what is refused was planned");
                self.refused += 1;
            }
            Event::AttemptEnded { attempt, outcome, cost, .. } => {
                let cost = cost.expect("a rehearsal knows every cost");
                let reserved = self.open.remove(attempt).expect("what ends was planned");
                self.reserved -= reserved;
                // So what is under way can never cost more in the end than is reserved for it now.
                assert!(cost <= reserved + ROUNDING, "{attempt:?} cost {cost} of {reserved}");
                self.spent += cost;
                if let Outcome::Failed { kind, .. } = outcome {
                    *self.failures.entry(name(*kind)).or_default() += 1;
                }
            }
            Event::RetryPlanned { .. } => self.retries += 1,
            Event::BudgetReached { task_index, .. } => {
                self.over_budget.insert(*task_index);
            }
            Event::BreakerOpened { .. } => self.breakers_opened += 1,
            Event::TaskEnded { task_index, end } => {
                assert!(!std::mem::replace(&mut self.ended[*task_index], true), "task {task_index} ends once");
                assert_ne!(end.status(), Status::NeedsInput, "no rehearsed agent asks");
                if self.awaited[*task_index].1 > 0 {
                    let bytes = end.output().map_or(0, |output| output.to_string().len().cast_signed());
                    self.awaited[*task_index].0 = bytes;
                    self.answers += bytes;
                }
                for &dependency in self.plan.dependencies(*task_index) {
                    let (bytes, open) = &mut self.awaited[dependency];
                    *open -= 1;
                    if *open == 0 {
                        self.answers -= std::mem::take(bytes);
                    }
                }
            }
            Event::RunStarted { .. }
            | Event::RuntimeMet { .. }
            | Event::AttemptAccepted { .. }
            | Event::AttemptStarted { .. }
            | Event::AttemptStopping { .. }
            | Event::LimitRaised { .. }
            | Event::TaskReopened { .. }
            | Event::RunResumed { .. }
            | Event::StartsStopped { .. }
            | Event::Cancelled { .. }
            | Event::TasksAdded { .. }
            | Event::ApprovalAsked { .. }
            | Event::WordGiven { .. }
            | Event::OutcomeReached { .. }
            | Event::SessionDeleted { .. }
            | Event::SessionLeft { .. }
            | Event::RunEnded => {}
        }
        self.hold(fact);
    }

    /// What is true after every fact.
    fn hold(&self, fact: &Fact) {
        assert!(self.open.len() <= self.settings.concurrency_max, "too many agents at {fact:?}");
        let (retries, most) = (self.retries, self.retries_max());
        assert!(f64::from(retries) <= most, "{retries} retries of {most} at {fact:?}");
        if let Some(cap) = self.settings.budget.usd {
            let (spent, reserved) = (self.spent, self.reserved);
            assert!(spent + reserved <= cap + ROUNDING, "{spent} spent, {reserved} under way, of {cap}, at {fact:?}");
        }
    }

    /// Measured at the first fact of an instant, when nothing of earlier ones waits to be told.
    fn measure(&mut self, at: Time) {
        if self.at.replace(at) == Some(at) || self.progress.tasks == 0 {
            return;
        }
        let part = (self.progress.done() * PARTS / self.progress.tasks).min(PARTS - 1);
        let held = heap::live();
        if held < self.parts[part].held {
            self.parts[part] = Held { held, answers: self.answers };
        }
    }

    /// What must be true of a run that is over.
    pub fn conclude(&self) {
        assert!(self.progress.ended);
        assert!(self.open.is_empty(), "attempts without an end: {:?}", self.open);
        assert_eq!(self.progress.done(), self.ended.len());
        assert!(self.ended.iter().all(|ended| *ended));
    }
}

const fn name(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Busy => "busy",
        FailureKind::Transient => "transient",
        FailureKind::ServerError => "server_error",
        FailureKind::Model => "model",
        FailureKind::Timeout => "timeout",
        FailureKind::Output => "output",
        FailureKind::Truncated => "truncated",
        FailureKind::Permanent => "permanent",
        FailureKind::Stopped => "stopped",
        FailureKind::Question => "question",
    }
}
