//! The machine that decides everything in a run.
//!
//! In: [`RunMachine::handle_report`] (what a runtime observed), [`RunMachine::handle_time`],
//! [`RunMachine::handle_cancel`], [`RunMachine::handle_persisted`]. Out: [`RunMachine::poll_fact`],
//! [`RunMachine::poll_action`], [`RunMachine::next_deadline`]. It waits for nothing and cannot fail: whatever goes
//! wrong outside comes in as a report.
//!
//! Kept throughout: a task ends exactly once; an attempt has ended before the next one of its task starts; never more
//! agents at once than the limit in force; no action is handed out before the facts it rests on are durable.

use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::action::{Action, AttemptRef, Report, Session, SpawnOrder, random_key};
use super::budget::Reservation;
use super::fact::{End, Event, Fact, Outcome, StopReason};
use super::failure::{Ending, Failure, FailureKind};
use super::hierarchy::Step;
use super::limit::Limit;
use super::output;
use super::plan::Plan;
use super::prompt::{Material, Objection, Prompt};
use super::record::{Live, Phase, Record, State};
use super::sessions::{Sessions, Turn};
use super::settings::RunSettings;
use super::time::Time;
use super::usage::{Tokens, Usage};
use super::verdict::{Unread, outcome, verdict};

/// What a timer is for. One that no longer applies is ignored when it fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    RunDeadline,
    CleanupDeadline,
    LimitHold,
    Silence,
    Retry(usize),
    Look(AttemptRef),
    Timeout(AttemptRef),
    StopPatience(AttemptRef),
}

/// Starts that may be under way at once, not yet answered: a burst of thousands takes no room, and no gateway takes more.
const STARTS_MAX: usize = 256;

/// The machine. See the module's documentation.
#[derive(Debug)]
pub struct RunMachine {
    plan: Arc<Plan>,
    settings: RunSettings,
    records: Vec<Record>,
    ready: BTreeSet<(Reverse<i64>, usize)>,
    limit: Limit,
    live: usize,
    /// How many of those are ordered and nothing else.
    ordered: usize,
    unended: usize,
    timers: BTreeSet<(Time, Timer)>,
    facts: VecDeque<Fact>,
    facts_made: u64,
    facts_durable: u64,
    actions: VecDeque<(u64, Action)>,
    sessions: Sessions,
    /// The one timer that waits for silence.
    silence_timer: Option<Time>,
    cancelled: Option<StopReason>,
    cancel_reason: String,
    finished: bool,
    random: fastrand::Rng,
}

impl RunMachine {
    /// A run of `plan` that starts now. The same plan, settings, seed and reports give the same run.
    pub fn new(plan: impl Into<Arc<Plan>>, settings: RunSettings, seed: u64, now: Time) -> Self {
        let mut machine = Self::unstarted(plan.into(), settings, seed, now);
        machine.advance(now);
        machine
    }

    /// A run that was cancelled before it could start: every task ends as cancelled, without an attempt.
    pub fn cancelled(plan: impl Into<Arc<Plan>>, settings: RunSettings, reason: &str, now: Time) -> Self {
        let mut machine = Self::unstarted(plan.into(), settings, 0, now);
        machine.end_early(StopReason::Cancel, reason, now);
        machine.advance(now);
        machine
    }

    fn unstarted(plan: Arc<Plan>, settings: RunSettings, seed: u64, now: Time) -> Self {
        let records =
            (0..plan.tasks().len()).map(|index| Record::blocked(plan.dependencies(index).len())).collect::<Vec<_>>();
        let mut machine = Self {
            limit: Limit::new(settings.concurrency_max),
            unended: records.len(),
            records,
            ready: BTreeSet::new(),
            live: 0,
            ordered: 0,
            timers: BTreeSet::from([(now + settings.run_time_max, Timer::RunDeadline)]),
            facts: VecDeque::new(),
            facts_made: 0,
            facts_durable: 0,
            actions: VecDeque::new(),
            sessions: Sessions::new(settings.cleanup, now),
            silence_timer: None,
            cancelled: None,
            cancel_reason: String::new(),
            finished: false,
            random: fastrand::Rng::with_seed(seed),
            plan,
            settings,
        };
        machine.fact(now, Event::RunStarted { tasks: machine.records.len() });
        for index in 0..machine.records.len() {
            if machine.plan.dependencies(index).is_empty() {
                machine.make_ready(index);
            }
        }
        machine
    }

    /// The plan that is run.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The next fact to record.
    pub fn poll_fact(&mut self) -> Option<Fact> {
        let fact = self.facts.pop_front();
        if fact.is_none() {
            give_back(&mut self.facts);
        }
        fact
    }

    /// The next action to carry out; none while a fact it rests on is not durable.
    pub fn poll_action(&mut self) -> Option<Action> {
        let Some((after, _)) = self.actions.front() else {
            give_back(&mut self.actions);
            return None;
        };
        if self.settings.journaled && *after > self.facts_durable {
            return None;
        }
        self.actions.pop_front().map(|(_, action)| action)
    }

    /// When [`handle_time`](Self::handle_time) is due, at the latest.
    pub fn next_deadline(&self) -> Option<Time> {
        self.timers.first().map(|(time, _)| *time)
    }

    /// Whether nothing is left to do. Facts may still be waiting to be polled.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// The journal holds the first `through` facts of the run.
    pub fn handle_persisted(&mut self, through: u64) {
        self.facts_durable = self.facts_durable.max(through);
    }

    /// Time has passed.
    pub fn handle_time(&mut self, now: Time) {
        while let Some(&(time, timer)) = self.timers.first() {
            if time > now || self.finished {
                break;
            }
            self.timers.pop_first();
            self.fire(timer, now);
        }
        self.advance(now);
    }

    /// Somebody wants the run to end. Agents are stopped, what has not started never does. Asked a second time, or
    /// while only sessions are being deleted, the run ends at once; what is left behind is reported.
    pub fn handle_cancel(&mut self, reason: &str, now: Time) {
        if self.finished {
            return;
        }
        if self.cancelled.is_some() || self.unended == 0 {
            for index in 0..self.records.len() {
                if let State::Live(live) = &self.records[index].state {
                    self.abandon(live.attempt, "the run was cancelled twice", now);
                }
            }
            self.finish(now);
            return;
        }
        self.end_early(StopReason::Cancel, reason, now);
        self.advance(now);
    }

    /// A runtime observed something.
    pub fn handle_report(&mut self, report: Report, now: Time) {
        if self.finished {
            return;
        }
        if !matches!(report, Report::Deleted { .. } | Report::DeleteFailed { .. }) {
            self.sessions.hear(now);
        }
        match report {
            Report::Spawned { attempt, session } => self.spawned(attempt, session, now),
            Report::Started { attempt, since } => self.started(attempt, since.min(now), now),
            // It is looked for again when its time has passed once more.
            Report::Queued { .. } | Report::Met { .. } | Report::Active { .. } => {}
            Report::Ended { attempt, ending, usage, model_used, .. } => {
                if self.is_current(attempt) {
                    self.ended(attempt, ending, usage, model_used, now);
                } else {
                    // An abandoned agent has ended after all: nobody waits for it, but its session is to go.
                    self.sessions.release(attempt);
                }
            }
            Report::Deleted { attempt } => {
                if self.sessions.deleted(attempt) {
                    self.fact(now, Event::SessionDeleted { attempt });
                }
            }
            Report::DeleteFailed { attempt, reason } => {
                if let Some(session) = self.sessions.stays(attempt) {
                    self.fact(now, Event::SessionLeft { attempt, session, reason });
                }
            }
        }
        self.advance(now);
    }

    fn fire(&mut self, timer: Timer, now: Time) {
        match timer {
            Timer::RunDeadline => {
                let reason = format!("the run's time of {} s is up", self.settings.run_time_max.as_secs_f64());
                self.end_early(StopReason::RunDeadline, &reason, now);
            }
            Timer::CleanupDeadline => self.finish(now),
            // These only wake `advance`.
            Timer::LimitHold => {}
            Timer::Silence => self.silence_timer = None,
            Timer::Retry(index) => {
                if matches!(self.records[index].state, State::Delayed) {
                    self.make_ready(index);
                }
            }
            Timer::Look(attempt) => {
                if matches!(self.phase(attempt), Some(Phase::Ordered | Phase::Accepted)) {
                    self.act(Action::Look(attempt));
                    self.look_later(attempt, now);
                }
            }
            Timer::Timeout(attempt) => {
                if self.phase(attempt) == Some(Phase::Working) {
                    self.stop(attempt, StopReason::Timeout, now);
                }
            }
            Timer::StopPatience(attempt) => {
                if matches!(self.phase(attempt), Some(Phase::Stopping(_))) {
                    self.abandon(attempt, "the runtime did not confirm the stop", now);
                }
            }
        }
    }

    fn spawned(&mut self, attempt: AttemptRef, session: Session, now: Time) {
        if !self.sessions.accept(attempt, session.clone()) {
            return;
        }
        self.fact(now, Event::AttemptAccepted { attempt, session });
        if !self.is_current(attempt) {
            self.act(Action::Stop(attempt));
            return;
        }
        self.limit.accepted();
        if self.phase(attempt) == Some(Phase::Ordered) {
            self.enter(attempt, Phase::Accepted);
        }
    }

    fn started(&mut self, attempt: AttemptRef, since: Time, now: Time) {
        if !matches!(self.phase(attempt), Some(Phase::Ordered | Phase::Accepted)) {
            return;
        }
        self.enter(attempt, Phase::Working);
        self.fact(now, Event::AttemptStarted { attempt, since });
        let timeout = self.plan.tasks()[attempt.task_index].timeout;
        self.timers.insert((since + timeout + self.settings.grace, Timer::Timeout(attempt)));
    }

    /// The current attempt of a task is over: decides what that means for the task.
    fn ended(&mut self, attempt: AttemptRef, ending: Ending, usage: Usage, model_used: Option<Arc<str>>, now: Time) {
        let index = attempt.task_index;
        let task = &self.plan.tasks()[index];
        let stopping = match self.phase(attempt) {
            Some(Phase::Stopping(why)) => Some(why),
            Some(Phase::Ordered) => {
                self.ordered -= 1;
                None
            }
            Some(Phase::Accepted | Phase::Working) | None => None,
        };
        // What was never started cost nothing; anything else that is not told is unknown.
        let truncated = matches!(ending, Ending::Cut(_));
        let may_have_run = matches!(ending, Ending::Unstoppable { .. } | Ending::Failed { .. });
        let started = self.sessions.was_accepted(attempt) || may_have_run;
        let verdict = verdict(task, ending, stopping, &self.cancel_reason);
        if let Err(Unread { failure: Failure { kind: FailureKind::Busy, reason, retry_after }, .. }) = verdict {
            self.refused(attempt, reason, retry_after, now);
            return;
        }
        let price = task.hierarchy.tiers()[self.records[index].history.tier].price;
        let cost = usage.cost_at(price.as_ref()).or((!started).then_some(0.0));
        let tokens = usage.tokens;
        self.live -= 1;
        self.sessions.release(attempt);
        let outcome = outcome(&verdict, stopping);
        let cancelled = outcome == Outcome::Cancelled;
        self.fact(now, Event::AttemptEnded { attempt, outcome, model_used, tokens, cost, truncated, answer: None });
        if self.limit.released() {
            let limit = self.limit.in_force();
            self.fact(now, Event::LimitRaised { limit });
        }
        match verdict {
            Ok((value, text)) => self.complete(index, value, text.into(), now),
            Err(unread) => {
                let raw = &mut self.records[index].raw;
                *raw = unread.answer.clone().or(raw.take());
                if cancelled {
                    self.end_cancelled(index, stopping, now);
                } else {
                    self.fail(index, unread, now);
                }
            }
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
        self.make_ready(attempt.task_index);
        if self.cancelled.is_some() {
            self.end_cancelled(attempt.task_index, self.cancelled, now);
        }
    }

    fn complete(&mut self, index: usize, value: Value, raw: Arc<str>, now: Time) {
        if !self.plan.dependents(index).is_empty() {
            self.records[index].answer = Some(match &value {
                Value::String(text) => text.as_str().into(),
                other => other.to_string().into(),
            });
        }
        self.end_task(index, End::Completed { output: Arc::new(value), raw }, now);
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
        let Unread { failure, answer } = unread;
        let record = &mut self.records[index];
        let hierarchy = &self.plan.tasks()[index].hierarchy;
        let step = record.history.after(failure.kind, hierarchy, &self.settings.retry);
        let reason = failure.reason.clone();
        let delay = match step {
            _ if self.cancelled.is_some() => return self.end_cancelled(index, self.cancelled, now),
            Step::GiveUp => return self.give_up(index, failure, now),
            Step::Climb => {
                record.objection = None;
                Duration::ZERO
            }
            // An objection stays until it is answered: an attempt that was lost has not.
            Step::RetryHere { repeat_no } => {
                if let (FailureKind::Output, Some(answer)) = (failure.kind, answer) {
                    record.objection = Some(Objection { complaint: failure.reason, answer });
                }
                match repeat_no {
                    0 => Duration::ZERO,
                    _ => self.settings.retry.delay(repeat_no, self.random.f64()),
                }
                .max(failure.retry_after.unwrap_or_default())
            }
        };
        let tier = record.history.tier;
        let model = hierarchy.tiers()[tier].model.clone();
        self.fact(now, Event::RetryPlanned { task_index: index, reason, tier, model, delay });
        if delay.is_zero() {
            self.make_ready(index);
        } else {
            self.records[index].state = State::Delayed;
            self.timers.insert((now + delay, Timer::Retry(index)));
        }
    }

    fn give_up(&mut self, index: usize, failure: Failure, now: Time) {
        let attempts = self.records[index].history.attempts;
        let reason = match attempts {
            1 => failure.reason,
            _ => format!("{} (attempt {attempts}, the last)", failure.reason),
        };
        let raw = self.records[index].raw.take();
        let end = match failure.kind {
            FailureKind::Timeout => End::Timeout { reason, raw },
            FailureKind::Stopped => End::Cancelled { reason, raw },
            FailureKind::Busy
            | FailureKind::Transient
            | FailureKind::ServerError
            | FailureKind::Model
            | FailureKind::Output
            | FailureKind::Truncated
            | FailureKind::Permanent => End::Failed { reason, raw },
        };
        self.end_task(index, end, now);
    }

    /// Ends a task that the end of the run cut short. Only an agent that was at work when the run's time was up has
    /// timed out.
    fn end_cancelled(&mut self, index: usize, why: Option<StopReason>, now: Time) {
        let reason = self.cancel_reason.clone();
        let was_live = matches!(self.records[index].state, State::Live(_));
        let raw = self.records[index].raw.take();
        let end = match why {
            Some(StopReason::RunDeadline) if was_live => End::Timeout { reason, raw },
            Some(
                StopReason::RunDeadline
                | StopReason::Cancel
                | StopReason::Timeout
                | StopReason::Idle
                | StopReason::TaskDeadline,
            )
            | None => End::Cancelled { reason, raw },
        };
        self.end_task(index, end, now);
    }

    /// Ends a task; those that build on it are skipped unless it completed.
    fn end_task(&mut self, index: usize, end: End, now: Time) {
        let mut ending = vec![(index, end)];
        while let Some((index, end)) = ending.pop() {
            if matches!(self.records[index].state, State::Ended) {
                continue;
            }
            self.ready.remove(&(Reverse(self.plan.tasks()[index].priority), index));
            self.records[index].state = State::Ended;
            self.records[index].objection = None;
            self.unended -= 1;
            if !matches!(end, End::Completed { .. }) {
                let because_of = match &end {
                    End::Skipped { because_of, .. } => because_of.clone(),
                    _ => self.plan.tasks()[index].id.clone(),
                };
                let status = end.status().name();
                for &dependent in self.plan.dependents(index).iter().rev() {
                    let reason = match &end {
                        End::Skipped { reason, .. } => reason.clone(),
                        _ => format!(
                            "task `{because_of}` {status}: {}",
                            output::abridged(end.reason().unwrap_or_default(), 300)
                        ),
                    };
                    let skipped = match &end {
                        End::Cancelled { reason, .. } if self.cancelled.is_some() => {
                            End::Cancelled { reason: reason.clone(), raw: None }
                        }
                        _ => End::Skipped { reason, because_of: because_of.clone() },
                    };
                    ending.push((dependent, skipped));
                }
            }
            self.fact(now, Event::TaskEnded { task_index: index, end });
        }
    }

    fn end_early(&mut self, why: StopReason, reason: &str, now: Time) {
        if self.cancelled.is_some() || self.unended == 0 {
            return;
        }
        self.cancelled = Some(why);
        reason.clone_into(&mut self.cancel_reason);
        self.fact(now, Event::Cancelled { why, reason: reason.to_owned() });
        for index in 0..self.records.len() {
            match &self.records[index].state {
                State::Live(live) => {
                    let attempt = live.attempt;
                    if !matches!(live.phase, Phase::Stopping(_)) {
                        self.stop(attempt, why, now);
                    }
                }
                State::Blocked { .. } | State::Ready | State::Delayed => self.end_cancelled(index, Some(why), now),
                State::Ended => {}
            }
        }
    }

    fn stop(&mut self, attempt: AttemptRef, why: StopReason, now: Time) {
        let was_waiting = self.take_back(attempt);
        // What never started has not run out of time, whatever the run has.
        self.enter(attempt, Phase::Stopping(if was_waiting { StopReason::Cancel } else { why }));
        if was_waiting {
            let nothing = Usage { tokens: Some(Tokens::default()), cost: Some(0.0) };
            self.ended(attempt, Ending::Stopped { reason: "not started yet".to_owned() }, nothing, None, now);
            return;
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
    fn abandon(&mut self, attempt: AttemptRef, reason: &str, now: Time) {
        let ending = Ending::Unstoppable { reason: reason.to_owned() };
        self.ended(attempt, ending, Usage::default(), None, now);
    }

    /// Starts what may start, deletes what may be deleted, and notices the end.
    fn advance(&mut self, now: Time) {
        if self.finished {
            return;
        }
        while self.cancelled.is_none() && self.ordered < STARTS_MAX && self.limit.admits(self.live, now) {
            let Some((_, index)) = self.ready.pop_first() else { break };
            self.start(index, now);
        }
        if self.unended > 0 {
            self.delete_in_silence(now);
            return;
        }
        while self.sessions.deleting() < self.settings.deletes_max && self.delete_next() {}
        if self.sessions.deleting() == 0 {
            self.finish(now);
        } else if !matches!(self.timers.first(), Some((_, Timer::CleanupDeadline))) {
            self.timers.clear();
            self.timers.insert((now + self.settings.cleanup_patience, Timer::CleanupDeadline));
        }
    }

    /// Deletes a session beside agents, if it is time for one.
    fn delete_in_silence(&mut self, now: Time) {
        match self.sessions.turn(now) {
            Turn::Never => {}
            Turn::Now => {
                self.delete_next();
            }
            Turn::At(quiet_at) => {
                if self.silence_timer != Some(quiet_at) {
                    if let Some(earlier) = self.silence_timer.replace(quiet_at) {
                        self.timers.remove(&(earlier, Timer::Silence));
                    }
                    self.timers.insert((quiet_at, Timer::Silence));
                }
            }
        }
    }

    /// Whether there was a session to delete.
    fn delete_next(&mut self) -> bool {
        let next = self.sessions.take_next();
        let is_one = next.is_some();
        if let Some((attempt, session)) = next {
            self.act(Action::Delete { attempt, session });
        }
        is_one
    }

    fn start(&mut self, index: usize, now: Time) {
        let task = &self.plan.tasks()[index];
        let materials: Vec<Material> = self
            .plan
            .dependencies(index)
            .iter()
            .filter_map(|&dependency| {
                let from = &self.plan.tasks()[dependency];
                let text = self.records[dependency].answer.clone()?;
                Some(Material { task_id: from.id.clone(), agent_type: from.agent_type.clone(), text })
            })
            .collect();
        let record = &mut self.records[index];
        record.starts += 1;
        let attempt = AttemptRef { task_index: index, start_no: record.starts };
        let (tier, attempt_no) = (record.history.tier, record.history.attempts + 1);
        let model = task.hierarchy.tiers()[tier].model.clone();
        let key = random_key(&mut self.random);
        let order = SpawnOrder {
            attempt,
            key: key.clone(),
            task_id: task.id.clone(),
            agent_type: task.agent_type.clone(),
            model: Some(model.clone()),
            prompt: Prompt::new(task, &materials, record.objection.as_ref()),
            timeout: task.timeout,
        };
        record.state = State::Live(Live { attempt, phase: Phase::Ordered });
        self.live += 1;
        self.ordered += 1;
        self.look_later(attempt, now);
        self.fact(
            now,
            Event::AttemptPlanned { attempt, attempt_no, tier, model, key, reserved: Reservation::default() },
        );
        self.act(Action::Spawn(order));
    }

    /// Asks the runtime about an agent when it has not been seen to work for as long as it may work; again and again,
    /// so that no lost answer leaves it waiting until the run's deadline.
    fn look_later(&mut self, attempt: AttemptRef, now: Time) {
        let timeout = self.plan.tasks()[attempt.task_index].timeout;
        self.timers.insert((now + timeout + self.settings.grace, Timer::Look(attempt)));
    }

    fn finish(&mut self, now: Time) {
        let reason = self.sessions.reason_left();
        for (attempt, session) in self.sessions.left() {
            let reason = reason.to_owned();
            self.fact(now, Event::SessionLeft { attempt, session, reason });
        }
        self.finished = true;
        self.timers.clear();
        self.actions.clear();
        self.fact(now, Event::RunEnded);
    }

    fn make_ready(&mut self, index: usize) {
        self.records[index].state = State::Ready;
        self.ready.insert((Reverse(self.plan.tasks()[index].priority), index));
    }

    /// The current attempt of a task goes on to its next phase.
    fn enter(&mut self, attempt: AttemptRef, phase: Phase) {
        let State::Live(live) = &mut self.records[attempt.task_index].state else { return };
        if live.attempt == attempt {
            if live.phase == Phase::Ordered {
                self.ordered -= 1;
            }
            live.phase = phase;
        }
    }

    fn phase(&self, attempt: AttemptRef) -> Option<Phase> {
        match &self.records.get(attempt.task_index)?.state {
            State::Live(live) if live.attempt == attempt => Some(live.phase),
            State::Live(_) | State::Blocked { .. } | State::Ready | State::Delayed | State::Ended => None,
        }
    }

    fn is_current(&self, attempt: AttemptRef) -> bool {
        self.phase(attempt).is_some()
    }

    fn fact(&mut self, at: Time, event: Event) {
        self.facts_made += 1;
        self.facts.push_back(Fact { at, event });
    }

    fn act(&mut self, action: Action) {
        self.actions.push_back((self.facts_made, action));
    }
}

/// Gives the room of an empty queue back, if it is much: a burst of starts fills it once.
pub fn give_back<T>(queue: &mut VecDeque<T>) {
    if queue.is_empty() && queue.capacity() > 1_024 {
        *queue = VecDeque::new();
    }
}
