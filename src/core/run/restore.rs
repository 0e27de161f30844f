//! A machine made of the facts of one that has died: it goes on where that one was.
//!
//! Agents that were under way are adopted, not started again: their runtime finds out what became of them. What an attempt
//! ended with and was not yet acted on is acted on now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{RunMachine, Timer};
use crate::core::action::{Action, Adoption, AttemptRef, Session};
use crate::core::fact::{End, Event, Fact, Outcome, StopReason};
use crate::core::failure::Failure;
use crate::core::hierarchy::Step;
use crate::core::plan::Plan;
use crate::core::prompt::Reply;
use crate::core::record::{Phase, State};
use crate::core::settings::RunSettings;
use crate::core::strategy::Strategy;
use crate::core::time::Time;
use crate::core::verdict::recalled;

/// A task that has ended and is to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reopening {
    /// The task's index in its plan.
    pub task_index: usize,
    /// What somebody answers to its question, if it asked one.
    pub answer: Option<Arc<str>>,
}

/// What the facts leave open.
#[derive(Default)]
pub(super) struct Past {
    latest: Option<Time>,
    begun: Time,
    /// The runtime's life, as last met by the latest process.
    boot: Option<Arc<str>>,
    /// When that process took the run up.
    taken_up: Time,
    /// Attempts that have not ended.
    pub(super) open: BTreeMap<usize, Open>,
    /// Ends of attempts that nothing has followed yet.
    pub(super) unfollowed: BTreeMap<usize, Unfollowed>,
    /// How tasks ended.
    ends: BTreeMap<usize, End>,
    delayed: BTreeMap<usize, Time>,
    is_over: bool,
}

/// An attempt's outcome, what it wrote, and why it was being stopped, if it was.
pub(super) type Unfollowed = (Outcome, Option<Arc<str>>, Option<StopReason>);

pub(super) struct Open {
    attempt: AttemptRef,
    key: Arc<str>,
    model: Arc<str>,
    session: Option<Session>,
    boot: Option<Arc<str>>,
    ordered: Time,
    since: Option<Time>,
    pub(super) stopping: Option<StopReason>,
}

impl RunMachine {
    /// Goes on with the run of `plan` whose facts so far are `facts`. What is in `reopening` is opened again, and with it
    /// what was skipped because of it.
    pub fn restore(
        plan: impl Into<Arc<Plan>>,
        settings: RunSettings,
        facts: impl IntoIterator<Item = Fact>,
        reopening: &[Reopening],
        seed: u64,
        now: Time,
    ) -> Self {
        Self::restore_steered(plan, settings, None, facts, (reopening, None), seed, now)
    }

    /// The same with a strategy, which hears again what it has heard; `plan` holds the tasks that were added, too. With a
    /// reason to stop the run goes on only to end: agents that were under way are adopted and stopped, and none is started.
    pub fn restore_steered(
        plan: impl Into<Arc<Plan>>,
        settings: RunSettings,
        strategy: Option<Box<dyn Strategy>>,
        facts: impl IntoIterator<Item = Fact>,
        (reopening, stop): (&[Reopening], Option<&str>),
        seed: u64,
        now: Time,
    ) -> Self {
        let machine = Self::blank(plan.into(), settings, seed, now).steered_by(strategy);
        let (mut machine, past) = machine.recalled(facts, seed);
        machine.go_on(past, reopening, stop, now);
        machine
    }

    /// A machine that knows what happened, made of a blank one, and what that leaves open.
    pub(super) fn recalled(self, facts: impl IntoIterator<Item = Fact>, seed: u64) -> (Self, Past) {
        let mut machine = self;
        let mut past = Past::default();
        for index in 0..machine.records.len() {
            if machine.plan.dependencies(index).is_empty() {
                machine.make_ready(index);
            }
        }
        for fact in facts {
            if machine.can_be(&past, &fact) {
                machine.recall(&mut past, &fact);
                machine.recall_strategy();
                machine.ledger.apply(&fact, &machine.plan.clone());
            }
            past.latest = past.latest.max(Some(fact.at));
            machine.facts_made += 1;
        }
        machine.facts_durable = machine.facts_made;
        // The same seed must not give the same keys again.
        machine.random = fastrand::Rng::with_seed(seed ^ machine.facts_made.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (machine, past)
    }

    fn go_on(&mut self, mut past: Past, reopening: &[Reopening], stop: Option<&str>, now: Time) {
        let open = self.openable(&past, reopening);
        if past.is_over && !open.contains(&true) && !self.settings.weigh_again {
            self.finished = true;
            self.timers.clear();
            return;
        }
        if past.latest.is_none() {
            // It died before its first fact.
            self.fact(now, Event::RunStarted { tasks: self.records.len() });
            past.begun = now;
        } else {
            let idle = past.latest.map_or(Duration::ZERO, |latest| now.since(latest));
            self.recall_resumption(&mut past, idle, now);
            self.fact(now, Event::RunResumed { idle });
        }
        if open.contains(&true) {
            // Who opens tasks again wants the run to go on, whatever was to end it.
            self.cancelled = None;
            self.cancel_reason.clear();
        }
        self.timers.clear();
        self.timers.insert((past.begun + self.settings.run_time_max, Timer::RunDeadline));
        for (index, record) in self.records.iter().enumerate() {
            if let (Some(deadline), false) = (record.deadline, matches!(record.state, State::Ended)) {
                self.timers.insert((deadline, Timer::TaskDeadline(index)));
            }
        }
        for (index, time) in std::mem::take(&mut past.delayed) {
            if matches!(self.records[index].state, State::Delayed) {
                self.delay_until(index, time);
            }
        }
        self.reopen(&past, &open, reopening, now);
        self.drop_answers(0..self.records.len());
        self.skip_what_waits_in_vain(&past, &open, now);
        for (index, (outcome, answer, stopping)) in std::mem::take(&mut past.unfollowed) {
            if outcome == Outcome::Cancelled && self.cancelled.is_none() {
                // Its order was taken back for a reason that is seen again, if it still holds.
                self.records[index].history.attempts += 1;
                self.make_ready(index);
                continue;
            }
            let verdict = recalled(&self.plan.tasks()[index], outcome.clone(), answer);
            self.follow(index, &outcome, verdict, stopping, now);
        }
        for (_, open) in std::mem::take(&mut past.open) {
            self.adopt(open, now);
        }
        if let Some(why) = self.cancelled {
            self.end_all(why, now);
        }
        match stop {
            Some(reason) => self.end_early(StopReason::Cancel, reason, now),
            // Not before all agents are adopted: it may want them stopped.
            None => self.steer_on(now),
        }
        self.handle_time(now);
    }

    fn adopt(&mut self, open: Open, now: Time) {
        let Open { attempt, key, model, session, boot, ordered, since, stopping } = open;
        let order = self.order_again(attempt, key, model);
        self.act(Action::Adopt(Adoption { order, session, boot, ordered }));
        if let State::Live(live) = &mut self.records[attempt.task_index].state {
            live.is_adopted = true;
        }
        self.look_later(attempt, now);
        if let Some(since) = since {
            let timeout = self.plan.tasks()[attempt.task_index].timeout + self.settings.grace;
            // Time enough to find out whether it has answered since.
            let due = (since + timeout).max(now + self.settings.stop_patience);
            self.timers.insert((due, Timer::Timeout(attempt)));
            self.watch_idleness(attempt, now);
        }
        if let Some(why) = stopping {
            self.stop(attempt, why, now);
        }
    }

    /// Which tasks are opened again: those that are asked for, and those that were skipped because of them. One that has
    /// an answer has nothing to go on with, and none can go on that builds on what did not complete.
    fn openable(&self, past: &Past, reopening: &[Reopening]) -> Vec<bool> {
        let mut open: Vec<bool> = (0..self.records.len())
            .map(|index| match past.ends.get(&index) {
                None | Some(End::Completed { .. }) => false,
                Some(End::Skipped { .. }) => true,
                Some(_) => reopening.iter().any(|reopening| reopening.task_index == index),
            })
            .collect();
        let mut found = true;
        while std::mem::take(&mut found) {
            for index in 0..open.len() {
                let will_do = |&dependency: &usize| {
                    open[dependency] || matches!(past.ends.get(&dependency), None | Some(End::Completed { .. }))
                };
                if open[index] && !self.plan.dependencies(index).iter().all(will_do) {
                    (open[index], found) = (false, true);
                }
            }
        }
        open
    }

    /// Skips what builds on a task whose end was recorded and the skipping was not.
    fn skip_what_waits_in_vain(&mut self, past: &Past, open: &[bool], now: Time) {
        for (&index, end) in past.ends.iter().filter(|(index, end)| !open[**index] && end.output().is_none()) {
            for &dependent in self.plan.clone().dependents(index) {
                if let State::Blocked { .. } = self.records[dependent].state {
                    let skipped = self.skipped(index, end);
                    self.end_task(dependent, skipped, now);
                }
            }
        }
    }

    /// Opens these tasks again.
    fn reopen(&mut self, past: &Past, open: &[bool], reopening: &[Reopening], now: Time) {
        for index in (0..open.len()).filter(|&index| open[index]) {
            let Some(end) = past.ends.get(&index) else { continue };
            let asked = reopening.iter().find(|reopening| reopening.task_index == index);
            let answer = asked.and_then(|reopening| reopening.answer.clone());
            self.mark_open(index, end, answer.as_ref());
            self.fact(now, Event::TaskReopened { task_index: index, was: end.status(), answer });
            let is_done = |&&dependency: &&usize| matches!(past.ends.get(&dependency), Some(End::Completed { .. }));
            let dependencies = self.plan.dependencies(index).iter().filter(|dependency| !is_done(dependency)).count();
            self.unblock_or_wait(index, dependencies);
        }
    }

    fn unblock_or_wait(&mut self, index: usize, dependencies: usize) {
        if dependencies == 0 {
            self.make_ready(index);
        } else {
            self.records[index].state = State::Blocked { dependencies };
        }
    }

    /// A task that had ended may spend attempts again, on the tier it was on, and goes on with the answer to what it asked.
    fn mark_open(&mut self, index: usize, end: &End, answer: Option<&Arc<str>>) {
        self.unended += 1;
        self.note_reopening(index);
        for position in 0..self.plan.dependencies(index).len() {
            let dependency = self.plan.dependencies(index)[position];
            self.records[dependency].dependents_open += 1;
        }
        let record = &mut self.records[index];
        record.spent_before += record.history.attempts;
        record.history = record.history.anew();
        record.deadline = None;
        record.failed = None;
        record.raw = None;
        record.unusable.clear();
        if let (End::NeedsInput { question, .. }, Some(answer)) = (end, answer) {
            record.replies.push(Reply { question: question.as_str().into(), answer: answer.clone() });
        }
    }

    /// Whether a machine can have said this after what came before. What no machine can have said is passed over: a file
    /// may hold anything.
    fn can_be(&self, past: &Past, fact: &Fact) -> bool {
        let has_ended = |index: usize| matches!(self.records[index].state, State::Ended);
        let is_idle = |index: usize| !has_ended(index) && !past.open.contains_key(&index);
        let has_tier = |index: usize, tier: usize| tier < self.plan.tasks()[index].hierarchy.tiers().len();
        match &fact.event {
            Event::AttemptPlanned { attempt, tier, .. } => {
                is_idle(attempt.task_index) && has_tier(attempt.task_index, *tier)
            }
            Event::RetryPlanned { task_index, tier, .. } => is_idle(*task_index) && has_tier(*task_index, *tier),
            Event::TaskEnded { task_index, .. } => is_idle(*task_index),
            Event::TaskReopened { task_index, .. } => has_ended(*task_index),
            Event::TasksAdded { first, tasks } => first + tasks.len() <= self.records.len(),
            Event::RunStarted { .. }
            | Event::RuntimeMet { .. }
            | Event::AttemptAccepted { .. }
            | Event::AttemptStarted { .. }
            | Event::AttemptRefused { .. }
            | Event::AttemptStopping { .. }
            | Event::AttemptEnded { .. }
            | Event::LimitRaised { .. }
            | Event::BudgetReached { .. }
            | Event::BreakerOpened { .. }
            | Event::RunResumed { .. }
            | Event::StartsStopped { .. }
            | Event::Cancelled { .. }
            | Event::ApprovalAsked { .. }
            | Event::WordGiven { .. }
            | Event::OutcomeReached { .. }
            | Event::SessionDeleted { .. }
            | Event::SessionLeft { .. }
            | Event::RunEnded => true,
        }
    }

    /// Takes in what happened, as far as it decides what follows. It was decided when it happened: nothing is decided
    /// again.
    fn recall(&mut self, past: &mut Past, fact: &Fact) {
        match &fact.event {
            Event::RunStarted { .. } => past.begun = fact.at,
            Event::RunResumed { idle } => self.recall_resumption(past, *idle, fact.at),
            Event::RuntimeMet { boot } => recall_boot(past, boot),
            Event::AttemptPlanned { attempt, attempt_no, tier, model, key, .. } => {
                self.unready(attempt.task_index);
                past.unfollowed.remove(&attempt.task_index);
                let record = &mut self.records[attempt.task_index];
                record.starts = attempt.start_no;
                record.climb_to(*tier);
                self.enlist(*attempt, *attempt_no, fact.at);
                let open = Open {
                    attempt: *attempt,
                    key: key.clone(),
                    model: model.clone(),
                    session: None,
                    boot: past.boot.clone(),
                    ordered: fact.at,
                    since: None,
                    stopping: None,
                };
                past.open.insert(attempt.task_index, open);
            }
            Event::AttemptAccepted { attempt, session } => {
                self.sessions.accept(*attempt, session.clone());
                let boot = past.boot.clone();
                if let Some(open) = current(past, *attempt) {
                    open.session = Some(session.clone());
                    open.boot = boot;
                    // Its start may have been heard of first.
                    if self.phase(*attempt) == Some(Phase::Ordered) {
                        self.enter(*attempt, Phase::Accepted);
                    }
                } else {
                    self.sessions.release(*attempt);
                }
            }
            Event::AttemptStarted { attempt, since } => {
                if let Some(open) = current(past, *attempt) {
                    open.since = Some(*since);
                    self.enter(*attempt, Phase::Working);
                }
            }
            Event::AttemptStopping { attempt, why } => {
                if let Some(open) = current(past, *attempt) {
                    open.stopping = Some(*why);
                }
            }
            Event::AttemptRefused { attempt, .. } => {
                if self.unlist(past, *attempt).is_some() {
                    self.make_ready(attempt.task_index);
                }
            }
            Event::AttemptEnded { attempt, outcome, answer, .. } => {
                self.sessions.release(*attempt);
                if let Some(open) = self.unlist(past, *attempt) {
                    let followed_by = (outcome.clone(), answer.clone(), open.stopping);
                    past.unfollowed.insert(attempt.task_index, followed_by);
                }
            }
            Event::RetryPlanned { task_index, tier, delay, .. } => {
                self.recall_retry(past, *task_index, *tier);
                self.retries += 1;
                if delay.is_zero() {
                    self.make_ready(*task_index);
                } else {
                    self.records[*task_index].state = State::Delayed;
                    past.delayed.insert(*task_index, fact.at + *delay);
                }
            }
            Event::TaskEnded { task_index, end } => self.recall_end(past, *task_index, end),
            Event::TaskReopened { task_index, answer, .. } => self.recall_reopening(past, *task_index, answer.as_ref()),
            Event::Cancelled { why, reason } => {
                self.cancelled = Some(*why);
                self.cancel_reason.clone_from(reason);
            }
            Event::SessionDeleted { attempt } | Event::SessionLeft { attempt, .. } => self.sessions.forget(*attempt),
            Event::RunEnded => past.is_over = true,
            Event::TasksAdded { tasks, .. } => self.recall_added(tasks),
            Event::WordGiven { word } => self.recall_word(word),
            Event::BudgetReached { task_index, .. } => self.keep_back(*task_index),
            // Who resumes the run may be able to start agents again, and meets whatever failed anew.
            Event::StartsStopped { .. }
            | Event::LimitRaised { .. }
            | Event::BreakerOpened { .. }
            | Event::ApprovalAsked { .. }
            | Event::OutcomeReached { .. } => {}
        }
    }

    /// The time in which nobody ran it does not count. One that was over begins anew: neither the time it has had counts,
    /// nor what had ended it early.
    fn recall_resumption(&mut self, past: &mut Past, idle: Duration, at: Time) {
        self.keep_nothing_back();
        past.begun = past.begun + idle;
        (past.boot, past.taken_up) = (None, at);
        for record in &mut self.records {
            record.deadline = record.deadline.map(|deadline| deadline + idle);
        }
        if std::mem::take(&mut past.is_over) {
            past.begun = at;
            self.cancelled = None;
            self.cancel_reason.clear();
        }
    }

    fn recall_retry(&mut self, past: &mut Past, index: usize, tier: usize) {
        if let Some((outcome, answer, _)) = past.unfollowed.remove(&index) {
            let raw = &mut self.records[index].raw;
            *raw = answer.clone().or(raw.take());
            if let Outcome::Failed { kind, reason } = outcome {
                let failure = Failure::new(kind, reason);
                self.note_unusable(index, &failure, answer.as_deref());
                let hierarchy = &self.plan.tasks()[index].hierarchy;
                let before = self.records[index].history.tier;
                self.records[index].history.after(kind, hierarchy, &self.settings.retry);
                let step = if tier > before { Step::Climb } else { Step::RetryHere { repeat_no: 0 } };
                self.take_objection(index, step, failure, answer);
            }
        }
        self.records[index].climb_to(tier);
    }

    fn recall_end(&mut self, past: &mut Past, index: usize, end: &End) {
        if past.unfollowed.remove(&index).is_some() {
            self.records[index].history.attempts += 1;
        }
        self.mark_ended(index);
        self.note_end(index, end);
        past.ends.insert(index, end.clone());
        if let End::Completed { output, .. } = end {
            self.keep_answer(index, output);
            self.unblock_dependents(index);
        }
    }

    fn recall_reopening(&mut self, past: &mut Past, index: usize, answer: Option<&Arc<str>>) {
        let Some(end) = past.ends.remove(&index) else { return };
        // Whoever opened it wanted the run to go on.
        self.cancelled = None;
        self.cancel_reason.clear();
        self.mark_open(index, &end, answer);
        let is_open = |dependency: &&usize| !matches!(past.ends.get(*dependency), Some(End::Completed { .. }));
        let dependencies = self.plan.dependencies(index).iter().filter(is_open).count();
        self.unblock_or_wait(index, dependencies);
    }

    fn unready(&mut self, index: usize) {
        self.ready.remove(&(std::cmp::Reverse(self.plan.tasks()[index].priority), index));
    }

    /// Takes an attempt out of the account, if it is its task's current one.
    fn unlist(&mut self, past: &mut Past, attempt: AttemptRef) -> Option<Open> {
        current(past, attempt)?;
        if self.phase(attempt) == Some(Phase::Ordered) {
            self.ordered -= 1;
        }
        self.live -= 1;
        past.open.remove(&attempt.task_index)
    }
}

/// A process's first orders may be planned before it reads which life of the runtime it is connected to: that is the one
/// they go to. What is on its way while the runtime begins another life may reach either.
fn recall_boot(past: &mut Past, boot: &Arc<str>) {
    let is_first = past.boot.replace(boot.clone()).is_none();
    let taken_up = past.taken_up;
    for open in past.open.values_mut().filter(|open| open.session.is_none() && open.boot.as_ref() != Some(boot)) {
        open.boot = (is_first && open.ordered >= taken_up).then(|| boot.clone());
    }
}

fn current(past: &mut Past, attempt: AttemptRef) -> Option<&mut Open> {
    past.open.get_mut(&attempt.task_index).filter(|open| open.attempt == attempt)
}
