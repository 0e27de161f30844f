//! The machine that decides everything in a run.
//!
//! In: [`RunMachine::handle_report`] (what a runtime observed), [`RunMachine::handle_time`],
//! [`RunMachine::handle_cancel`], [`RunMachine::handle_persisted`]. Out: [`RunMachine::poll_fact`],
//! [`RunMachine::poll_action`], [`RunMachine::next_deadline`]. It waits for nothing and cannot fail: whatever goes
//! wrong outside comes in as a report.
//!
//! Kept throughout: a task ends exactly once; an attempt has ended before the next one of its task starts; never more
//! agents at once than the limit in force; no action is handed out before the facts it rests on are durable. Attempts
//! start in [`starts`], end in [`ends`]; [`steer`] lets a strategy add tasks; [`restore`] makes a machine out of the facts
//! of one that has died.

use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::action::{Action, AttemptRef, Report, Session};
use super::breaker::Breakers;
use super::budget::Ledger;
use super::fact::{Event, Fact, StopReason};
use super::limit::Limit;
use super::plan::Plan;
use super::record::{Phase, Record, State};
use super::sessions::Sessions;
use super::settings::RunSettings;
use super::strategy::Strategy;
use super::time::Time;

mod ends;
#[cfg(test)]
mod enough;
#[cfg(test)]
mod likeness;
mod restore;
mod starts;
mod steer;

pub use restore::Reopening;
use steer::Steering;

/// What a timer is for. One that no longer applies is ignored when it fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    RunDeadline,
    CleanupDeadline,
    LimitHold,
    Silence,
    Breaker,
    Retry(usize),
    TaskDeadline(usize),
    Look(AttemptRef),
    Idle(AttemptRef),
    Timeout(AttemptRef),
    StopPatience(AttemptRef),
}

/// The machine. See the module's documentation.
#[derive(Debug)]
pub struct RunMachine {
    plan: Arc<Plan>,
    settings: RunSettings,
    records: Vec<Record>,
    ready: BTreeSet<(Reverse<i64>, usize)>,
    /// Tasks that a breaker keeps from starting.
    held: Vec<usize>,
    limit: Limit,
    ledger: Ledger,
    breakers: Breakers,
    live: usize,
    /// How many of those are ordered and nothing else.
    ordered: usize,
    unended: usize,
    /// Tasks that have started, and retries that were planned.
    started: u32,
    retries: u32,
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
    /// Why no further agent is started, if none is.
    starts_stopped: Option<String>,
    finished: bool,
    steering: Option<Steering>,
    random: fastrand::Rng,
}

impl RunMachine {
    /// A run of `plan` that starts now. The same plan, settings, seed and reports give the same run.
    pub fn new(plan: impl Into<Arc<Plan>>, settings: RunSettings, seed: u64, now: Time) -> Self {
        Self::steered(plan, settings, None, seed, now)
    }

    /// The same, with a strategy that watches its tasks end.
    pub fn steered(
        plan: impl Into<Arc<Plan>>,
        settings: RunSettings,
        strategy: Option<Box<dyn Strategy>>,
        seed: u64,
        now: Time,
    ) -> Self {
        let mut machine = Self::begun(plan.into(), settings, seed, now).steered_by(strategy);
        machine.advance(now);
        machine
    }

    /// A run that was cancelled before it could start: every task ends as cancelled, without an attempt.
    pub fn cancelled(
        plan: impl Into<Arc<Plan>>,
        settings: RunSettings,
        strategy: Option<Box<dyn Strategy>>,
        reason: &str,
        now: Time,
    ) -> Self {
        let mut machine = Self::begun(plan.into(), settings, 0, now).steered_by(strategy);
        machine.end_early(StopReason::Cancel, reason, now);
        machine.advance(now);
        machine
    }

    fn begun(plan: Arc<Plan>, settings: RunSettings, seed: u64, now: Time) -> Self {
        let mut machine = Self::blank(plan, settings, seed, now);
        machine.timers.insert((now + machine.settings.run_time_max, Timer::RunDeadline));
        machine.fact(now, Event::RunStarted { tasks: machine.records.len() });
        for index in 0..machine.records.len() {
            if machine.plan.dependencies(index).is_empty() {
                machine.make_ready(index);
            }
        }
        machine
    }

    /// A machine to which nothing has happened yet.
    fn blank(plan: Arc<Plan>, settings: RunSettings, seed: u64, now: Time) -> Self {
        let records = (0..plan.tasks().len())
            .map(|index| Record::blocked(plan.dependencies(index).len(), plan.dependents(index).len()))
            .collect::<Vec<_>>();
        Self {
            limit: Limit::new(settings.concurrency_max),
            ledger: Ledger::new(settings.budget, now),
            breakers: Breakers::new(settings.breaker.clone()),
            unended: records.len(),
            records,
            ready: BTreeSet::new(),
            held: Vec::new(),
            live: 0,
            ordered: 0,
            started: 0,
            retries: 0,
            timers: BTreeSet::new(),
            facts: VecDeque::new(),
            facts_made: 0,
            facts_durable: 0,
            actions: VecDeque::new(),
            sessions: Sessions::new(settings.cleanup, now),
            silence_timer: None,
            cancelled: None,
            cancel_reason: String::new(),
            starts_stopped: None,
            finished: false,
            steering: None,
            random: fastrand::Rng::with_seed(seed),
            plan,
            settings,
        }
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

    /// Whether an action waits for facts to become durable.
    pub fn waits_for_facts(&self) -> bool {
        self.settings.journaled && self.actions.front().is_some_and(|(after, _)| *after > self.facts_durable)
    }

    /// When [`handle_time`](Self::handle_time) is due, at the latest.
    pub fn next_deadline(&self) -> Option<Time> {
        self.timers.first().map(|(time, _)| *time)
    }

    /// Tasks that are opened again by facts that nobody has polled yet.
    pub fn reopened(&self) -> BTreeSet<usize> {
        let index =
            |fact: &Fact| if let Event::TaskReopened { task_index, .. } = fact.event { Some(task_index) } else { None };
        self.facts.iter().filter_map(index).collect()
    }

    /// Whether nothing is left to do. Facts may still be waiting to be polled.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// The journal holds the first `through` facts of the run.
    pub fn handle_persisted(&mut self, through: u64) {
        self.facts_durable = self.facts_durable.max(through);
    }

    /// The journal takes no further facts. No agent is started any more; those that run go on, and their sessions stay,
    /// so that whoever resumes the run finds what the journal could not keep. Deletions that still waited for their facts
    /// are not made.
    pub fn handle_journal_lost(&mut self, reason: &str, now: Time) {
        if self.finished || !self.settings.journaled {
            return;
        }
        self.settings.journaled = false;
        for (_, action) in &self.actions {
            if let Action::Delete { attempt, .. } = action {
                self.sessions.spare(*attempt);
            }
        }
        self.actions.retain(|(_, action)| !matches!(action, Action::Delete { .. }));
        self.sessions.keep_all(reason);
        self.stop_starting(reason, now);
        self.advance(now);
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
        if self.cancelled == Some(StopReason::Cancel) || self.is_winding_up() {
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
            Report::Active { attempt, at } => self.active(attempt, at.min(now)),
            Report::Met { boot } => self.fact(now, Event::RuntimeMet { boot }),
            // It is looked for again when its time has passed once more.
            Report::Queued { .. } => {}
            Report::Ended { attempt, ending, usage, model_used, partial } => {
                if self.is_current(attempt) {
                    self.ended(attempt, ends::Observed { ending, usage, model_used, partial }, now);
                } else {
                    // An abandoned agent has ended after all: nobody waits for it, but its session is to go.
                    self.sessions.release(attempt);
                }
            }
            Report::Deleted { attempt } => {
                if self.sessions.deleted(attempt) {
                    self.fact(now, Event::SessionDeleted { attempt });
                    if self.is_winding_up() {
                        // It goes on: the patience begins anew.
                        self.timers.clear();
                    }
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
            Timer::Breaker => self.release_held(),
            Timer::Retry(index) => {
                if matches!(self.records[index].state, State::Delayed) {
                    self.make_ready(index);
                }
            }
            Timer::TaskDeadline(index) => self.task_deadline(index, now),
            Timer::Look(attempt) => {
                if matches!(self.phase(attempt), Some(Phase::Ordered | Phase::Accepted)) {
                    self.act(Action::Look(attempt));
                    self.look_later(attempt, now);
                }
            }
            Timer::Idle(attempt) => self.idle(attempt, now),
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
        self.watch_idleness(attempt, now);
    }

    fn active(&mut self, attempt: AttemptRef, at: Time) {
        if let State::Live(live) = &mut self.records[attempt.task_index].state
            && live.attempt == attempt
        {
            live.active = live.active.max(Some(at));
        }
    }

    /// Asks a third of the idle limit later whether the agent still does something.
    fn watch_idleness(&mut self, attempt: AttemptRef, now: Time) {
        if let Some(idle_max) = self.settings.idle_max {
            self.timers.insert((now + idle_max / 3, Timer::Idle(attempt)));
        }
    }

    /// Stops an agent of which nothing was heard for too long; one whose runtime never told of any activity is left.
    fn idle(&mut self, attempt: AttemptRef, now: Time) {
        let State::Live(live) = &self.records[attempt.task_index].state else { return };
        let (Some(idle_max), Phase::Working) = (self.settings.idle_max, live.phase) else { return };
        if live.attempt != attempt {
            return;
        }
        if live.active.is_some_and(|active| now.since(active) >= idle_max) {
            self.stop(attempt, StopReason::Idle, now);
        } else {
            self.act(Action::Look(attempt));
            self.watch_idleness(attempt, now);
        }
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
            State::Live(_) | State::Blocked { .. } | State::Ready | State::Held | State::Delayed | State::Ended => None,
        }
    }

    /// Whether only sessions are left to delete.
    fn is_winding_up(&self) -> bool {
        self.unended == 0 && !self.may_go_on()
    }

    fn is_current(&self, attempt: AttemptRef) -> bool {
        self.phase(attempt).is_some()
    }

    fn fact(&mut self, at: Time, event: Event) {
        self.facts_made += 1;
        let fact = Fact { at, event };
        self.ledger.apply(&fact, &self.plan);
        self.facts.push_back(fact);
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
