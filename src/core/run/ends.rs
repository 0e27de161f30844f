//! How attempts, tasks and the run end, and what follows: another attempt, what was waiting, or nothing.

use std::cmp::Reverse;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{RunMachine, Timer};
use crate::core::action::{Action, AttemptRef};
use crate::core::fact::{End, Event, Outcome, StopReason};
use crate::core::failure::{Ending, Failure, FailureKind};
use crate::core::hierarchy::Step;
use crate::core::output;
use crate::core::prompt::{Objection, cut};
use crate::core::record::{Phase, State};
use crate::core::time::Time;
use crate::core::usage::Usage;
use crate::core::verdict::{Unread, Verdict, deadline_passed, outcome, verdict};

/// What a runtime observed of an attempt's end.
pub(super) struct Observed {
    pub ending: Ending,
    pub usage: Usage,
    pub model_used: Option<Arc<str>>,
    pub partial: Option<Arc<str>>,
}

impl From<Ending> for Observed {
    fn from(ending: Ending) -> Self {
        Self { ending, usage: Usage::default(), model_used: None, partial: None }
    }
}

impl RunMachine {
    /// The current attempt of a task is over: tells it, and decides what that means for the task.
    pub(super) fn ended(&mut self, attempt: AttemptRef, observed: Observed, now: Time) {
        let Observed { ending, usage, model_used, partial } = observed;
        let index = attempt.task_index;
        let stopping = self.leave_phase(attempt);
        let task = &self.plan.tasks()[index];
        let ending = bounded(ending, self.settings.output_bytes_max);
        // What was never started cost nothing; anything else that is not told is unknown.
        let truncated = matches!(ending, Ending::Cut(_));
        let may_have_run = matches!(ending, Ending::Unstoppable { .. } | Ending::Failed { .. });
        let is_adopted = matches!(&self.records[index].state, State::Live(live) if live.is_adopted);
        let started = self.sessions.was_accepted(attempt) || is_adopted || may_have_run;
        let mut verdict = verdict(task, ending, stopping, self.why_early());
        if let Err(Unread { failure: Failure { kind: FailureKind::Busy, reason, retry_after }, .. }) = verdict {
            self.refused(attempt, reason, retry_after, now);
            return;
        }
        if let Err(unread) = &mut verdict {
            let partial = partial.map(|text| cut(&text, self.settings.output_bytes_max).into());
            unread.answer = unread.answer.take().or(partial);
        }
        let tier = &task.hierarchy.tiers()[self.records[index].history.tier];
        let cost = usage.cost_at(tier.price.as_ref()).or((!started).then_some(0.0));
        let tokens = usage.tokens;
        let answer = match &verdict {
            Ok((_, text)) => Some(text.clone()),
            Err(unread) => unread.answer.clone(),
        };
        let outcome = outcome(&verdict, stopping);
        self.live -= 1;
        self.sessions.release(attempt);
        self.fact(
            now,
            Event::AttemptEnded { attempt, outcome: outcome.clone(), model_used, tokens, cost, truncated, answer },
        );
        if self.limit.released() {
            let limit = self.limit.in_force();
            self.fact(now, Event::LimitRaised { limit });
        }
        self.follow(index, &outcome, verdict, stopping, now);
    }

    /// What follows the end of a task's attempt that has been told.
    pub(super) fn follow(
        &mut self,
        index: usize,
        outcome: &Outcome,
        verdict: Verdict,
        stopping: Option<StopReason>,
        now: Time,
    ) {
        self.tell_breakers(index, outcome, now);
        match verdict {
            Ok((value, text)) => self.complete(index, value, text, now),
            Err(unread) => {
                let raw = &mut self.records[index].raw;
                *raw = unread.answer.clone().or(raw.take());
                if *outcome == Outcome::Cancelled {
                    self.end_cancelled(index, stopping, now);
                } else {
                    self.fail(index, unread, now);
                }
            }
        }
    }

    fn tell_breakers(&mut self, index: usize, outcome: &Outcome, now: Time) {
        let task = &self.plan.tasks()[index];
        let attempt = AttemptRef { task_index: index, start_no: self.records[index].starts };
        let model = &task.hierarchy.tiers()[self.records[index].history.tier].model;
        let failure = match outcome {
            Outcome::Completed | Outcome::NeedsInput { .. } => None,
            Outcome::Failed { kind, .. } => Some(*kind),
            Outcome::Cancelled => Some(FailureKind::Stopped),
        };
        // What a dearer model may yet mend says nothing of the type of agent.
        let is_last = self.records[index].history.tier + 1 == task.hierarchy.tiers().len();
        let before = self.breakers.changes();
        // No draw where it is not needed: the same reports give the same run, breakers or not.
        let opened =
            self.breakers.ended(attempt, model, &task.agent_type, (failure, is_last), || self.random.f64(), now);
        if self.breakers.changes() != before {
            self.release_held();
        }
        if let Some((circuit, until)) = opened {
            self.fact(now, Event::BreakerOpened { circuit, until });
        }
    }

    /// Takes an attempt out of its phase; why it was being stopped, if it was.
    fn leave_phase(&mut self, attempt: AttemptRef) -> Option<StopReason> {
        match self.phase(attempt) {
            Some(Phase::Stopping(why)) => Some(why),
            Some(Phase::Ordered) => {
                self.ordered -= 1;
                None
            }
            Some(Phase::Accepted | Phase::Working) | None => None,
        }
    }

    /// The runtime takes no further agent now. No attempt is spent; the task keeps its place.
    fn refused(&mut self, attempt: AttemptRef, reason: String, retry_after: Option<Duration>, now: Time) {
        self.live -= 1;
        let refusals = self.limit.refused(self.live, now);
        let delay = self.settings.retry.delay(refusals, self.random.f64()).max(retry_after.unwrap_or_default());
        let until = self.limit.not_before().filter(|time| *time > now).unwrap_or(now + delay);
        self.limit.hold_until(until);
        self.timers.insert((until, Timer::LimitHold));
        self.fact(now, Event::AttemptRefused { attempt, reason, limit: self.limit.in_force(), until });
        let task = &self.plan.tasks()[attempt.task_index];
        let model = &task.hierarchy.tiers()[self.records[attempt.task_index].history.tier].model;
        let before = self.breakers.changes();
        self.breakers.refused(attempt, model, &task.agent_type, now);
        if self.breakers.changes() != before {
            self.release_held();
        }
        self.make_ready(attempt.task_index);
        if let Some(why) = self.ends_all() {
            self.end_cancelled(attempt.task_index, Some(why), now);
        } else if self.records[attempt.task_index].deadline.is_some_and(|deadline| deadline <= now) {
            self.task_deadline(attempt.task_index, now);
        } else if let Some(reason) = self.starts_stopped.clone() {
            self.end_unstarted(attempt.task_index, &reason, now);
        }
    }

    fn complete(&mut self, index: usize, value: Value, raw: Arc<str>, now: Time) {
        self.keep_answer(index, &value);
        self.drop_answers([index]);
        self.end_task(index, End::Completed { output: Arc::new(value), raw }, now);
        self.unblock_dependents(index);
    }

    /// Keeps the answer of a completed task as those that build on it are shown it.
    pub(super) fn keep_answer(&mut self, index: usize, value: &Value) {
        if !self.plan.dependents(index).is_empty() || self.grows() {
            self.records[index].answer = Some(match value {
                Value::String(text) => text.as_str().into(),
                other => other.to_string().into(),
            });
        }
    }

    pub(super) fn unblock_dependents(&mut self, index: usize) {
        for position in 0..self.plan.dependents(index).len() {
            let dependent = self.plan.dependents(index)[position];
            if let State::Blocked { dependencies } = &mut self.records[dependent].state {
                *dependencies -= 1;
                if *dependencies == 0 {
                    self.make_ready(dependent);
                }
            }
        }
    }

    fn fail(&mut self, index: usize, unread: Unread, now: Time) {
        if let Some(why) = self.ends_all().filter(|_| unread.failure.kind != FailureKind::Question) {
            return self.end_cancelled(index, Some(why), now);
        }
        let Unread { failure, answer } = unread;
        let is_repeated = self.note_unusable(index, &failure, answer.as_deref());
        let step = self.step(index, failure.kind, now);
        let failure = match (step, is_repeated) {
            (Step::GiveUp, _) => return self.give_up(index, failure, now),
            (_, true) => {
                let reason = format!(
                    "{}; another model wrote the very same answer, so no further one is paid for it",
                    failure.reason
                );
                return self.give_up(index, Failure { reason, ..failure }, now);
            }
            (Step::RetryHere { .. } | Step::Climb, false) => failure,
        };
        if let Some(why) = self.starts_stopped.clone().or_else(|| self.retries_spent()) {
            let reason = format!("{}; not tried again: {why}", failure.reason);
            return self.give_up(index, Failure { reason, ..failure }, now);
        }
        self.plan_retry(index, step, failure, answer, now);
    }

    /// What follows this failure by the task's own history and time.
    fn step(&mut self, index: usize, kind: FailureKind, now: Time) -> Step {
        let record = &mut self.records[index];
        let step = record.history.after(kind, &self.plan.tasks()[index].hierarchy, &self.settings.retry);
        if record.deadline.is_some_and(|deadline| deadline <= now) { Step::GiveUp } else { step }
    }

    /// Notes an answer that was not usable. One that repeats itself is not asked for on its tier again; whether another
    /// tier had written it before: then it is not asked for at all.
    pub(super) fn note_unusable(&mut self, index: usize, failure: &Failure, answer: Option<&str>) -> bool {
        let (FailureKind::Output, Some(answer)) = (failure.kind, answer) else { return false };
        let mut hasher = DefaultHasher::new();
        answer.trim().hash(&mut hasher);
        let record = &mut self.records[index];
        let (tier, hash) = (record.history.tier, hasher.finish());
        let earlier = record.unusable.iter().find(|(_, other)| *other == hash).map(|(tier, _)| *tier);
        record.unusable.push((tier, hash));
        if earlier == Some(tier) {
            record.history.repeated_itself();
        }
        earlier.is_some_and(|earlier| earlier != tier)
    }

    /// Why no retry is made any more, if the run's are spent.
    fn retries_spent(&self) -> Option<String> {
        let retry = &self.settings.retry;
        let retries_max = retry.retries_max(self.started);
        (self.retries >= retries_max).then(|| {
            format!("the run's {retries_max} retries for {} tasks are spent (retries_share, retries_min)", self.started)
        })
    }

    fn plan_retry(&mut self, index: usize, step: Step, failure: Failure, answer: Option<Arc<str>>, now: Time) {
        let reason = failure.reason.clone();
        let delay = match step {
            // A gateway that asks for a pause means it whatever the model; a provider means its own.
            Step::Climb if failure.kind == FailureKind::Transient => failure.retry_after.unwrap_or_default(),
            Step::Climb | Step::GiveUp => Duration::ZERO,
            Step::RetryHere { repeat_no: 0 } => failure.retry_after.unwrap_or_default(),
            Step::RetryHere { repeat_no } => {
                let delay = self.settings.retry.delay(repeat_no, self.random.f64());
                delay.max(failure.retry_after.unwrap_or_default())
            }
        };
        self.take_objection(index, step, failure, answer);
        let record = &self.records[index];
        let tier = record.history.tier;
        let model = self.plan.tasks()[index].hierarchy.tiers()[tier].model.clone();
        self.retries += 1;
        self.fact(now, Event::RetryPlanned { task_index: index, reason, tier, model, delay });
        if delay.is_zero() {
            self.make_ready(index);
        } else {
            self.delay_until(index, now + delay);
        }
    }

    /// An objection stays until it is answered, since an attempt that was lost has not answered it; a dearer model is
    /// told nothing of it.
    pub(super) fn take_objection(&mut self, index: usize, step: Step, failure: Failure, answer: Option<Arc<str>>) {
        let record = &mut self.records[index];
        match step {
            Step::Climb | Step::GiveUp => record.objection = None,
            Step::RetryHere { .. } => {
                if let (FailureKind::Output, Some(answer)) = (failure.kind, answer) {
                    record.objection = Some(Objection { complaint: failure.reason.clone(), answer });
                }
            }
        }
        record.failed = Some(failure.reason);
    }

    pub(super) fn delay_until(&mut self, index: usize, time: Time) {
        self.records[index].state = State::Delayed;
        self.timers.insert((time, Timer::Retry(index)));
    }

    fn give_up(&mut self, index: usize, failure: Failure, now: Time) {
        let attempts = self.records[index].history.attempts;
        let raw = self.records[index].raw.take();
        if failure.kind == FailureKind::Question {
            return self.end_task(index, End::NeedsInput { question: failure.reason, raw }, now);
        }
        let reason = match attempts {
            1 => failure.reason,
            _ => format!("{} (attempt {attempts}, the last)", failure.reason),
        };
        let end = match failure.kind {
            FailureKind::Timeout => End::Timeout { reason, raw },
            FailureKind::Stopped => End::Cancelled { reason, raw },
            FailureKind::Busy
            | FailureKind::Transient
            | FailureKind::ServerError
            | FailureKind::Model
            | FailureKind::Output
            | FailureKind::Truncated
            | FailureKind::Question
            | FailureKind::Permanent => End::Failed { reason, raw },
        };
        self.end_task(index, end, now);
    }

    /// Why every task ends by now, if all do.
    fn ends_all(&self) -> Option<StopReason> {
        self.cancelled.or(self.enough().map(|_| StopReason::Unneeded))
    }

    /// Why the run ends before it is done, if it does.
    fn why_early(&self) -> &str {
        match &self.starts_stopped {
            Some(reason) if self.cancelled.is_none() => reason,
            None if self.cancelled.is_none() => self.enough().unwrap_or_default(),
            Some(_) | None => &self.cancel_reason,
        }
    }

    /// Ends a task that the end of the run cut short. Only an agent that was at work when the run's time was up has
    /// timed out.
    pub(super) fn end_cancelled(&mut self, index: usize, why: Option<StopReason>, now: Time) {
        let reason = self.why_early().to_owned();
        let was_live = matches!(self.records[index].state, State::Live(_));
        let raw = self.records[index].raw.take();
        if self.cancelled.is_none() && self.starts_stopped.is_none() && self.enough().is_none() {
            // Its order was taken back because its own time was up.
            let reason = deadline_passed(&self.plan.tasks()[index]);
            return self.end_task(index, End::Timeout { reason, raw }, now);
        }
        let end = match why {
            Some(StopReason::RunDeadline) if was_live => End::Timeout { reason, raw },
            Some(
                StopReason::RunDeadline
                | StopReason::Cancel
                | StopReason::Timeout
                | StopReason::Idle
                | StopReason::TaskDeadline
                | StopReason::Unneeded,
            )
            | None => End::Cancelled { reason, raw },
        };
        self.end_task(index, end, now);
    }

    /// A task has had all the time it may take.
    pub(super) fn task_deadline(&mut self, index: usize, now: Time) {
        match &self.records[index].state {
            State::Live(live) if !matches!(live.phase, Phase::Stopping(_)) => {
                self.stop(live.attempt, StopReason::TaskDeadline, now);
            }
            State::Ready | State::Held | State::Delayed => {
                let reason = deadline_passed(&self.plan.tasks()[index]);
                let raw = self.records[index].raw.take();
                self.end_task(index, End::Timeout { reason, raw }, now);
            }
            State::Live(_) | State::Blocked { .. } | State::Ended => {}
        }
    }

    /// Ends a task; those that build on it are skipped unless it completed.
    pub(super) fn end_task(&mut self, index: usize, end: End, now: Time) {
        let mut ending = vec![(index, end)];
        while let Some((index, end)) = ending.pop() {
            if matches!(self.records[index].state, State::Ended) {
                continue;
            }
            self.mark_ended(index);
            self.note_end(index, &end);
            self.drop_answers(self.plan.clone().dependencies(index).iter().copied());
            if !matches!(end, End::Completed { .. }) {
                for &dependent in self.plan.dependents(index).iter().rev() {
                    ending.push((dependent, self.skipped(index, &end)));
                }
            }
            self.fact(now, Event::TaskEnded { task_index: index, end });
        }
    }

    pub(super) fn mark_ended(&mut self, index: usize) {
        self.ready.remove(&(Reverse(self.plan.tasks()[index].priority), index));
        self.records[index].state = State::Ended;
        self.records[index].objection = None;
        self.unended -= 1;
        for position in 0..self.plan.dependencies(index).len() {
            let dependency = self.plan.dependencies(index)[position];
            self.records[dependency].dependents_open -= 1;
        }
    }

    /// Answers that nobody needs any more take no room.
    pub(super) fn drop_answers(&mut self, indices: impl IntoIterator<Item = usize>) {
        let grows = self.grows();
        for index in indices {
            let record = &mut self.records[index];
            if record.dependents_open == 0 && !grows {
                record.answer = None;
            }
        }
    }

    /// How a task ends that builds on task `index`, which ended as `end`.
    pub(super) fn skipped(&self, index: usize, end: &End) -> End {
        if let End::Cancelled { reason, .. } = end
            && self.ends_all().is_some()
        {
            return End::Cancelled { reason: reason.clone(), raw: None };
        }
        if let End::Skipped { .. } = end {
            return end.clone();
        }
        let because_of = self.plan.tasks()[index].id.clone();
        let why = output::abridged(end.reason().unwrap_or_default(), 300);
        End::Skipped { reason: format!("task `{because_of}` {}: {why}", end.status().name()), because_of }
    }

    pub(super) fn end_early(&mut self, why: StopReason, reason: &str, now: Time) {
        if self.cancelled.is_some_and(|earlier| earlier >= why) || self.is_winding_up() {
            return;
        }
        self.cancelled = Some(why);
        reason.clone_into(&mut self.cancel_reason);
        self.fact(now, Event::Cancelled { why, reason: reason.to_owned() });
        self.end_all(why, now);
    }

    /// Stops every agent and ends what has none.
    pub(super) fn end_all(&mut self, why: StopReason, now: Time) {
        for index in 0..self.records.len() {
            match &self.records[index].state {
                State::Live(live) => {
                    let attempt = live.attempt;
                    if !matches!(live.phase, Phase::Stopping(_)) {
                        self.stop(attempt, why, now);
                    }
                }
                State::Blocked { .. } | State::Ready | State::Held | State::Delayed => {
                    self.end_cancelled(index, Some(why), now);
                }
                State::Ended => {}
            }
        }
    }

    /// No agent is started any more: what has none ends, what runs goes on.
    pub(super) fn stop_starting(&mut self, reason: &str, now: Time) {
        if self.starts_stopped.is_some() || self.is_winding_up() {
            return;
        }
        self.starts_stopped = Some(reason.to_owned());
        self.fact(now, Event::StartsStopped { reason: reason.to_owned() });
        for index in 0..self.records.len() {
            match &self.records[index].state {
                State::Live(live) => {
                    let attempt = live.attempt;
                    if self.take_back(attempt) {
                        self.enter(attempt, Phase::Stopping(StopReason::Cancel));
                        self.ended(attempt, never_started(), now);
                    }
                }
                State::Ready | State::Held | State::Delayed => self.end_unstarted(index, reason, now),
                State::Blocked { .. } | State::Ended => {}
            }
        }
    }

    pub(super) fn stop(&mut self, attempt: AttemptRef, why: StopReason, now: Time) {
        let was_waiting = self.take_back(attempt);
        // What never started has not run out of time, whatever the run has.
        self.enter(attempt, Phase::Stopping(if was_waiting { StopReason::Cancel } else { why }));
        if was_waiting {
            return self.ended(attempt, never_started(), now);
        }
        self.fact(now, Event::AttemptStopping { attempt, why });
        self.act(Action::Stop(attempt));
        self.timers.insert((now + self.settings.stop_patience, Timer::StopPatience(attempt)));
    }

    /// Whether the attempt's order was still waiting for its facts; then nobody ever sees it.
    fn take_back(&mut self, attempt: AttemptRef) -> bool {
        let is_order = |action: &Action| matches!(action, Action::Spawn(order) if order.attempt == attempt);
        let was_waiting = self.actions.iter().any(|(_, action)| is_order(action));
        if was_waiting {
            self.actions.retain(|(_, action)| !is_order(action) && *action != Action::Look(attempt));
        }
        was_waiting
    }

    /// Gives up on an agent that may still be running: its task ends, since no second agent may start beside it.
    pub(super) fn abandon(&mut self, attempt: AttemptRef, reason: &str, now: Time) {
        self.ended(attempt, Ending::Unstoppable { reason: reason.to_owned() }.into(), now);
    }
}

/// The end of an attempt whose order nobody saw.
fn never_started() -> Observed {
    Observed { usage: Usage::NOTHING, ..Ending::Stopped { reason: "not started yet".to_owned() }.into() }
}

/// An answer longer than `bytes_max` counts as cut there.
fn bounded(ending: Ending, bytes_max: usize) -> Ending {
    match ending {
        Ending::Replied(mut text) | Ending::Cut(mut text) if text.len() > bytes_max => {
            text.truncate(cut(&text, bytes_max).len());
            Ending::Cut(text)
        }
        other => other,
    }
}
