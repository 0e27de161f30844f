//! A machine made of the facts of one that has died: it goes on where that one was.
//!
//! Agents that were under way are adopted, not started again: their runtime finds out what became of them. What an attempt
//! ended with and was not yet acted on is acted on now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{RunMachine, Timer};
use crate::core::action::{Action, Adoption, AttemptRef, Session};
use crate::core::fact::{End, Event, Fact, Outcome, Status, StopReason};
use crate::core::failure::Failure;
use crate::core::hierarchy::Step;
use crate::core::plan::Plan;
use crate::core::prompt::Reply;
use crate::core::record::{Phase, State};
use crate::core::settings::RunSettings;
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
struct Past {
    latest: Option<Time>,
    begun: Time,
    /// The runtime's life, as last met.
    boot: Option<Arc<str>>,
    /// Attempts that have not ended.
    open: BTreeMap<usize, Open>,
    /// Ends of attempts that nothing has followed yet, and why they were being stopped.
    unfollowed: BTreeMap<usize, Unfollowed>,
    /// How tasks ended.
    ends: BTreeMap<usize, End>,
    delayed: BTreeMap<usize, Time>,
    is_over: bool,
}

/// An attempt's outcome, what it wrote, and why it was being stopped, if it was.
type Unfollowed = (Outcome, Option<Arc<str>>, Option<StopReason>);

struct Open {
    attempt: AttemptRef,
    key: Arc<str>,
    model: Arc<str>,
    session: Option<Session>,
    boot: Option<Arc<str>>,
    ordered: Time,
    since: Option<Time>,
    stopping: Option<StopReason>,
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
        let mut machine = Self::blank(plan.into(), settings, seed, now);
        let mut past = Past::default();
        for index in 0..machine.records.len() {
            if machine.plan.dependencies(index).is_empty() {
                machine.make_ready(index);
            }
        }
        for fact in facts {
            machine.recall(&mut past, &fact);
            machine.ledger.apply(&fact, &machine.plan.clone());
            past.latest = past.latest.max(Some(fact.at));
            machine.facts_made += 1;
        }
        machine.facts_durable = machine.facts_made;
        // The same seed must not give the same keys again.
        machine.random = fastrand::Rng::with_seed(seed ^ machine.facts_made.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        machine.go_on(past, reopening, now);
        machine
    }

    fn go_on(&mut self, mut past: Past, reopening: &[Reopening], now: Time) {
        if past.is_over && reopening.is_empty() {
            self.finished = true;
            return;
        }
        if past.latest.is_none() {
            // It died before its first fact.
            self.fact(now, Event::RunStarted { tasks: self.records.len() });
            past.begun = now;
        } else {
            let idle = past.latest.map_or(Duration::ZERO, |latest| now.since(latest));
            self.recall_resumption(&mut past, idle);
            self.fact(now, Event::RunResumed { idle });
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
        self.reopen(&past, reopening, now);
        for (index, (outcome, answer, stopping)) in std::mem::take(&mut past.unfollowed) {
            let verdict = recalled(&self.plan.tasks()[index], outcome.clone(), answer);
            self.follow(index, &outcome, verdict, stopping, now);
        }
        for (_, open) in std::mem::take(&mut past.open) {
            self.adopt(open, now);
        }
        if let Some(why) = self.cancelled {
            self.end_all(why, now);
        }
        self.advance(now);
    }

    fn adopt(&mut self, open: Open, now: Time) {
        let Open { attempt, key, model, session, boot, ordered, since, stopping } = open;
        let order = self.order_again(attempt, key, model);
        self.act(Action::Adopt(Adoption { order, session, boot, ordered }));
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

    /// Opens tasks again, and what was skipped because of them.
    fn reopen(&mut self, past: &Past, reopening: &[Reopening], now: Time) {
        let mut open = vec![false; self.records.len()];
        for Reopening { task_index: index, answer } in reopening {
            let Some(end) = past.ends.get(index) else { continue };
            open[*index] = true;
            self.reopen_one(*index, end.status(), answer.clone(), now);
            if let (End::NeedsInput { question, .. }, Some(answer)) = (end, answer) {
                let reply = Reply { question: question.as_str().into(), answer: answer.clone() };
                self.records[*index].replies.push(reply);
            }
        }
        let mut found = true;
        while std::mem::take(&mut found) {
            for index in 0..open.len() {
                let builds_on_open = self.plan.dependencies(index).iter().any(|&dependency| open[dependency]);
                if !open[index]
                    && builds_on_open
                    && let Some(End::Skipped { .. }) = past.ends.get(&index)
                {
                    (open[index], found) = (true, true);
                    self.reopen_one(index, Status::Skipped, None, now);
                }
            }
        }
        for index in (0..open.len()).filter(|&index| open[index]) {
            let is_done = |&&dependency: &&usize| matches!(past.ends.get(&dependency), Some(End::Completed { .. }));
            let dependencies = self.plan.dependencies(index).iter().filter(|dependency| !is_done(dependency)).count();
            if dependencies == 0 {
                self.make_ready(index);
            } else {
                self.records[index].state = State::Blocked { dependencies };
            }
        }
    }

    fn reopen_one(&mut self, index: usize, was: Status, answer: Option<Arc<str>>, now: Time) {
        self.mark_open(index);
        self.fact(now, Event::TaskReopened { task_index: index, was, answer });
    }

    /// A task that had ended may spend attempts again, on the tier it was on.
    fn mark_open(&mut self, index: usize) {
        self.unended += 1;
        let record = &mut self.records[index];
        record.spent_before += record.history.attempts;
        record.history = record.history.anew();
        record.deadline = None;
        record.failed = None;
    }

    /// Takes in what happened, as far as it decides what follows. It was decided when it happened: nothing is decided
    /// again.
    fn recall(&mut self, past: &mut Past, fact: &Fact) {
        match &fact.event {
            Event::RunStarted { .. } => past.begun = fact.at,
            Event::RunResumed { idle } => self.recall_resumption(past, *idle),
            Event::RuntimeMet { boot } => past.boot = Some(boot.clone()),
            Event::AttemptPlanned { attempt, attempt_no, tier, model, key, .. } => {
                self.unready(attempt.task_index);
                let record = &mut self.records[attempt.task_index];
                record.starts = attempt.start_no;
                record.history.climb_to(*tier);
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
                if let Some(open) = current(past, *attempt) {
                    open.session = Some(session.clone());
                    self.enter(*attempt, Phase::Accepted);
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
            // Who resumes the run may be able to start agents again, and meets whatever failed anew.
            Event::StartsStopped { .. }
            | Event::LimitRaised { .. }
            | Event::BudgetReached { .. }
            | Event::BreakerOpened { .. } => {}
        }
    }

    /// The time in which nobody ran it does not count; what had ended the run early does not hold for one that was over.
    fn recall_resumption(&mut self, past: &mut Past, idle: Duration) {
        past.begun = past.begun + idle;
        for record in &mut self.records {
            record.deadline = record.deadline.map(|deadline| deadline + idle);
        }
        if std::mem::take(&mut past.is_over) {
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
        self.records[index].history.climb_to(tier);
    }

    fn recall_end(&mut self, past: &mut Past, index: usize, end: &End) {
        if past.unfollowed.remove(&index).is_some() {
            self.records[index].history.attempts += 1;
        }
        self.mark_ended(index);
        past.ends.insert(index, end.clone());
        if let End::Completed { output, .. } = end {
            self.keep_answer(index, output);
            self.unblock_dependents(index);
        }
    }

    fn recall_reopening(&mut self, past: &mut Past, index: usize, answer: Option<&Arc<str>>) {
        let end = past.ends.remove(&index);
        self.mark_open(index);
        if let (Some(End::NeedsInput { question, .. }), Some(answer)) = (end, answer) {
            self.records[index].replies.push(Reply { question: question.into(), answer: answer.clone() });
        }
        let is_open = |dependency: &&usize| !matches!(past.ends.get(*dependency), Some(End::Completed { .. }));
        let dependencies = self.plan.dependencies(index).iter().filter(is_open).count();
        if dependencies == 0 {
            self.make_ready(index);
        } else {
            self.records[index].state = State::Blocked { dependencies };
        }
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

fn current(past: &mut Past, attempt: AttemptRef) -> Option<&mut Open> {
    past.open.get_mut(&attempt.task_index).filter(|open| open.attempt == attempt)
}
