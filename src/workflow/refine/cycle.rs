//! One refinement: make, review, improve by the objections, review again, and keep the best version.
//!
//! Decides what follows each end of its tasks. It knows no other refinement and no run: whoever steers a run asks it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::goal::{Goal, Version};
use super::judge::{Judgement, Stop, judge, same};
use super::rehearsal::rehearse;
use crate::core::fact::End;
use crate::core::plan::Task;
use crate::core::strategy::KeptBack;
use crate::core::task::TaskError;
use crate::workflow::{InputError, TaskMaker};

/// What is said of a refinement whose run ended between two of its tasks.
const UNDONE: &str = "the run ended before it was done";

/// A refinement under way.
#[derive(Debug)]
pub struct Loop {
    goal: Goal,
    maker: TaskMaker,
    rounds: Vec<Round>,
    /// The round of the best version.
    best: Option<usize>,
    /// What the review of the best version objects.
    objections: Value,
    state: State,
}

/// One version, and what its reviewer made of it.
#[derive(Debug, Default)]
struct Round {
    version: Option<Arc<Value>>,
    /// The task that wrote it; none where it was given.
    written_by: Option<Arc<str>>,
    task_ids: Vec<Arc<str>>,
    score: Option<f64>,
    changes: Vec<Value>,
}

#[derive(Debug)]
enum State {
    Unbegun,
    /// Waits for a version.
    Making(Arc<str>),
    /// Waits for its review.
    Reviewing(Arc<str>),
    Stopped(Stop),
}

/// Where a refinement has ended.
#[derive(Debug, PartialEq)]
pub struct Stopped<'refinement> {
    /// Why.
    pub why: &'refinement Stop,
    /// The task that wrote the best version; none where that was given, or where there is none.
    pub best_task: Option<&'refinement Arc<str>>,
    /// The score of the best version.
    pub score: Option<f64>,
}

impl Loop {
    /// A refinement that has not begun. What is wrong with its tasks is said here.
    pub fn new(goal: Goal, maker: &TaskMaker) -> Result<Self, InputError> {
        let goal = goal.scored_by(maker);
        goal.create(format!("{}/create", goal.name), maker)?;
        goal.review(format!("{}/review-1", goal.name), &Value::Null, maker)?;
        let maker = maker.clone();
        Ok(Self { goal, maker, rounds: Vec::new(), best: None, objections: Value::Null, state: State::Unbegun })
    }

    /// What it begins with; nothing, if there is nothing to do.
    pub fn begin(&mut self) -> Vec<Task> {
        if self.goal.score.is_some_and(|score| score >= self.goal.bounds.target) {
            return self.stop(Stop::Target);
        }
        if let Some(given) = self.goal.given().cloned() {
            let Version { value, .. } = self.goal.version(&given);
            self.rounds.push(Round { version: Some(value), ..Round::default() });
            return self.review();
        }
        self.rounds.push(Round::default());
        let task = self.goal.create(self.id("create"), &self.maker);
        self.make(task)
    }

    /// Whether a task of that id is one of its own.
    pub fn knows(&self, id: &str) -> bool {
        self.rounds.iter().any(|round| round.task_ids.iter().any(|known| **known == *id))
    }

    /// What follows the end of one of its tasks.
    pub fn ended(&mut self, task: &Task, end: &End) -> Vec<Task> {
        let (awaited, is_review) = match &self.state {
            State::Making(id) => (id, false),
            State::Reviewing(id) => (id, true),
            State::Unbegun | State::Stopped(_) => return Vec::new(),
        };
        if *awaited != task.id {
            return Vec::new();
        }
        match end {
            End::Completed { output, .. } if is_review => self.take_review(output),
            End::Completed { output, .. } => self.take_version(output),
            End::Failed { reason, .. } | End::Timeout { reason, .. } => self.stop(Stop::Failed(reason.clone())),
            End::Cancelled { reason, .. } => self.stop(Stop::Cancelled(reason.clone())),
            End::NeedsInput { .. } | End::Skipped { .. } => Vec::new(),
        }
    }

    /// Where it ended, if it has.
    pub fn stopped(&self) -> Option<Stopped<'_>> {
        let State::Stopped(why) = &self.state else { return None };
        let best_task = self.best_round().and_then(|round| round.written_by.as_ref());
        Some(Stopped { why, best_task, score: self.score() })
    }

    /// What it came to: `name score target reached stopped_because error best_task rounds`, and the best version as `design`
    /// or `output`. `kept_back` are the ends that it was not told.
    pub fn outcome(&self, kept_back: &KeptBack) -> Value {
        let (stopped_because, error) = match &self.state {
            State::Stopped(stop) => (stop.name(), stop.error()),
            State::Unbegun => ("cancelled", Some(UNDONE)),
            State::Making(id) | State::Reviewing(id) => match kept_back.get(id) {
                Some(End::NeedsInput { question, .. }) => ("needs_input", Some(question.as_str())),
                Some(end) if kept_back.is_over_budget(id) => ("budget", end.reason()),
                Some(end @ End::Skipped { .. }) => ("failed", end.reason()),
                Some(end) => ("cancelled", end.reason()),
                None => ("cancelled", Some(UNDONE)),
            },
        };
        let best = self.best_round();
        let version = best.and_then(|round| round.version.as_ref()).or(self.goal.given().filter(|_| best.is_none()));
        let rounds = self.rounds.iter().filter_map(|round| {
            let started = round.task_ids.iter().filter(|id| !self.is_unstarted(id, kept_back));
            let task_ids: Vec<&Arc<str>> = started.collect();
            let told = || json!({ "task_ids": task_ids, "score": round.score, "changes": round.changes });
            (!task_ids.is_empty()).then(told)
        });
        json!({
            "name": self.goal.name,
            self.goal.output_field(): version,
            "score": self.score(),
            "target": self.goal.bounds.target,
            "reached": stopped_because == Stop::Target.name(),
            "stopped_because": stopped_because,
            "error": error,
            "best_task": best.and_then(|round| round.written_by.as_ref()),
            "rounds": rounds.collect::<Vec<_>>(),
        })
    }

    /// What it refines.
    pub fn goal(&self) -> &Goal {
        &self.goal
    }

    /// What the agent of one of its tasks answers in a rehearsal: scores rise from round to round, and of three refinements
    /// side by side one gets worse. `place` is its place among them.
    pub fn rehearse(&self, task: &Task, place: usize) -> Option<Value> {
        let step = task.id.strip_prefix(&*self.goal.name)?.strip_prefix('/')?;
        rehearse(&self.goal, step, task, place)
    }

    /// Whether the run ended before it took this task up.
    fn is_unstarted(&self, id: &Arc<str>, kept_back: &KeptBack) -> bool {
        let is_awaited = matches!(&self.state, State::Making(awaited) | State::Reviewing(awaited) if awaited == id);
        is_awaited && !kept_back.contains_key(id)
    }

    /// The round of the best version; before the first review, that of the first.
    fn best_round(&self) -> Option<&Round> {
        self.rounds.get(self.best.unwrap_or(0))
    }

    fn score(&self) -> Option<f64> {
        match self.best {
            Some(best) => self.rounds[best].score,
            None if self.rounds.is_empty() => self.goal.score,
            None => None,
        }
    }

    fn id(&self, step: &str) -> String {
        format!("{}/{step}", self.goal.name)
    }

    fn round(&mut self) -> &mut Round {
        if self.rounds.is_empty() {
            self.rounds.push(Round::default());
        }
        let last = self.rounds.len() - 1;
        &mut self.rounds[last]
    }

    fn stop(&mut self, why: Stop) -> Vec<Task> {
        self.state = State::Stopped(why);
        Vec::new()
    }

    /// Waits for the version that `task` writes.
    fn make(&mut self, task: Result<Task, TaskError>) -> Vec<Task> {
        let task = match task {
            Ok(task) => task,
            Err(error) => return self.stop(Stop::Failed(error.to_string())),
        };
        self.state = State::Making(task.id.clone());
        let round = self.round();
        round.written_by = Some(task.id.clone());
        round.task_ids.push(task.id.clone());
        vec![task]
    }

    /// Has the latest version reviewed.
    fn review(&mut self) -> Vec<Task> {
        let id = self.id(&format!("review-{}", self.rounds.len()));
        let version = self.round().version.clone().unwrap_or_default();
        if let Some(why) = self.goal.unshown(&version) {
            return self.stop(Stop::Failed(why));
        }
        let task = match self.goal.review(id, &version, &self.maker) {
            Ok(task) => task,
            Err(error) => return self.stop(Stop::Failed(error.to_string())),
        };
        self.state = State::Reviewing(task.id.clone());
        self.round().task_ids.push(task.id.clone());
        vec![task]
    }

    fn take_version(&mut self, output: &Value) -> Vec<Task> {
        let Version { value, changes } = self.goal.version(output);
        let substance = self.goal.substance(&value);
        let is_known = |round: &&Round| {
            round.version.as_ref().is_some_and(|version| same(&self.goal.substance(version), &substance))
        };
        let known = self.rounds.iter().find(is_known).and_then(|round| round.score);
        let round = self.round();
        (round.version, round.changes) = (Some(value), changes);
        match known {
            // What was reviewed before is not paid for again.
            Some(score) => self.settle(score, None),
            None => self.review(),
        }
    }

    fn take_review(&mut self, review: &Value) -> Vec<Task> {
        if let Some(score) = self.goal.score_of(review) {
            return self.settle(score, Some(review));
        }
        let reason = format!("the review holds no `{}` from 0 to 10", self.goal.score_field());
        self.stop(Stop::Failed(reason))
    }

    /// The latest version has its score.
    fn settle(&mut self, score: f64, review: Option<&Value>) -> Vec<Task> {
        let best = self.best.and_then(|best| self.rounds[best].score);
        let Judgement { is_best, stop } = judge(best, score, self.rounds.len() - 1, self.goal.bounds);
        self.round().score = Some(score);
        if is_best {
            self.best = Some(self.rounds.len() - 1);
            self.objections = review.map(|review| self.goal.objections(review)).unwrap_or_default();
        }
        match stop {
            Some(stop) => self.stop(stop),
            None => self.improve(),
        }
    }

    fn improve(&mut self) -> Vec<Task> {
        let id = self.id(&format!("refine-{}", self.rounds.len() + 1));
        let best = self.best_round().and_then(|round| round.version.clone()).unwrap_or_default();
        let task = self.goal.improve(id, &best, &self.objections, &self.maker);
        self.rounds.push(Round::default());
        self.make(task)
    }
}

#[cfg(test)]
#[path = "cycle_tests.rs"]
mod tests;
