//! Decides what becomes of the children of a program: when one is started again, stopped, or its session deleted, and
//! what their calls are answered. Waits for nothing and asks nobody: commands, reports and the time come in, orders
//! for the host go out.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::CallId;
use super::order::{ChildOrder, ChildQuery};
use super::record::{self, ChildEnd, StopCause};
use crate::core::action::{Action, AttemptRef, Report, Session, SpawnOrder, random_key};
use crate::core::failure::{Ending, Refusal};
use crate::core::prompt::Prompt;
use crate::core::sessions::{Sessions, Turn};
use crate::core::settings::{Cleanup, RunSettings};
use crate::core::time::Time;
use crate::runtime::gateway::Path;

/// How long a spawn is repeated that the gateway has no room for.
const BUSY_PATIENCE: Duration = Duration::from_secs(60);
const BUSY_PAUSE: Duration = Duration::from_millis(500);
/// How long an agent may stay unseen in the gateway's queue between two looks.
const LOOK_PAUSE: Duration = Duration::from_secs(10);
/// How long a close waits for agents to be stopped and sessions to be deleted.
const CLOSE_PATIENCE: Duration = Duration::from_secs(20);
const DENIED: &str = "the gateway does not allow clients to use `sessions_spawn`, so agents are started by its `agent` \
                      call instead and have no parent session; for real child sessions add \"sessions_spawn\" to \
                      `gateway.tools.allow` in openclaw.json";

/// What the host is to do.
#[derive(Debug, PartialEq)]
pub(super) enum Order {
    Act(Action),
    StartBy(Path),
    Notice(String),
    Answer(CallId, Value),
}

/// The children of a program, in the order of their spawns.
#[derive(Debug)]
pub(super) struct ChildMachine {
    agent_id: String,
    children: Vec<Child>,
    by_key: HashMap<Arc<str>, usize>,
    sessions: Sessions,
    /// Why sessions stay that should be gone.
    left: Vec<(Arc<str>, String)>,
    is_denied: bool,
    timers: BTreeSet<(Time, Timer)>,
    orders: VecDeque<Order>,
    random: fastrand::Rng,
    settings: RunSettings,
    closing: BTreeMap<CallId, Closing>,
}

#[derive(Debug)]
struct Child {
    call: CallId,
    order: ChildOrder,
    attempt: AttemptRef,
    asked: Time,
    state: State,
    stop: Option<StopCause>,
}

#[derive(Debug)]
enum State {
    /// Its call waits for an answer.
    Asked,
    /// The same, and nothing is under way until a timer comes.
    Delayed,
    Running {
        session: Session,
        since: Time,
        has_worked: bool,
    },
    Ended {
        session: Session,
        since: Time,
        end: ChildEnd,
    },
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Respawn(usize),
    Look(AttemptRef),
    Overdue(AttemptRef),
    Closed(CallId),
}

#[derive(Debug)]
struct Closing {
    /// Also the agents whose sessions are to stay.
    all: bool,
    stopped: Vec<usize>,
}

impl ChildMachine {
    pub fn new(agent_id: String, seed: u64, now: Time) -> Self {
        Self {
            agent_id,
            children: Vec::new(),
            by_key: HashMap::new(),
            sessions: Sessions::new(Cleanup::Delete, now),
            left: Vec::new(),
            is_denied: false,
            timers: BTreeSet::new(),
            orders: VecDeque::new(),
            random: fastrand::Rng::with_seed(seed),
            settings: RunSettings::default(),
            closing: BTreeMap::new(),
        }
    }

    pub fn poll_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    pub fn next_deadline(&self, now: Time) -> Option<Time> {
        let turn = match self.sessions.turn(now) {
            Turn::Now => Some(now),
            Turn::At(time) => Some(time),
            Turn::Never => None,
        };
        self.timers.first().map(|(time, _)| *time).into_iter().chain(turn).min()
    }

    /// A call for a new agent.
    pub fn spawn(&mut self, call: CallId, order: ChildOrder, now: Time) {
        let attempt = AttemptRef { task_index: self.children.len(), start_no: 0 };
        self.children.push(Child { call, order, attempt, asked: now, state: State::Delayed, stop: None });
        self.start(attempt.task_index);
    }

    /// Nobody knows of what this call has started, or will start.
    pub fn forsake(&mut self, call: CallId) {
        if let Some(index) = self.children.iter().rposition(|child| child.call == call) {
            self.stop(index, StopCause::Unwanted);
        }
    }

    /// Stops an agent of this session, if it is one of ours.
    pub fn cancel(&mut self, key: &str) -> bool {
        let index = self.by_key.get(key).copied();
        if let Some(index) = index {
            self.stop(index, StopCause::Unwanted);
        }
        index.is_some()
    }

    /// Deletes a session, if it is one of ours; the agent is stopped first. What was said stays remembered.
    pub fn delete(&mut self, key: &str, now: Time) -> bool {
        if !self.cancel(key) {
            return false;
        }
        let child = &mut self.children[self.by_key[key]];
        child.order.cleanup = Cleanup::Delete;
        match &child.state {
            State::Running { session, .. } => {
                self.sessions.accept(child.attempt, session.clone());
            }
            State::Ended { session, .. } => {
                // A session that is gone already is no news.
                if self.sessions.accept(child.attempt, session.clone()) {
                    self.sessions.release(child.attempt);
                }
            }
            State::Asked | State::Delayed | State::Refused => {}
        }
        self.settle(now);
        true
    }

    pub fn close(&mut self, call: CallId, all: bool, now: Time) {
        let is_stopped = |child: &Child| {
            let is_unwanted = all || child.order.cleanup == Cleanup::Delete;
            match child.state {
                State::Asked | State::Delayed => true,
                State::Running { .. } => is_unwanted,
                State::Ended { .. } | State::Refused => false,
            }
        };
        let stopped: Vec<usize> = (0..self.children.len()).filter(|&index| is_stopped(&self.children[index])).collect();
        for &index in &stopped {
            self.stop(index, StopCause::Unwanted);
        }
        self.closing.insert(call, Closing { all, stopped });
        self.timers.insert((now + CLOSE_PATIENCE, Timer::Closed(call)));
        self.settle(now);
    }

    pub fn handle_report(&mut self, report: Report, now: Time) {
        match report {
            Report::Spawned { attempt, session } => self.spawned(attempt, session, now),
            Report::Started { attempt, since } => self.worked(attempt, since),
            Report::Queued { attempt } => {
                if self.is_current(attempt) {
                    self.timers.insert((now + LOOK_PAUSE, Timer::Look(attempt)));
                }
            }
            Report::Ended { attempt, ending, usage, model_used, .. } if self.is_current(attempt) => {
                let child = &mut self.children[attempt.task_index];
                match &child.state {
                    State::Running { session, since, .. } => {
                        let timeout = child.order.timeout.as_secs();
                        let end = ChildEnd::new(ending, usage, model_used, child.stop, timeout, now);
                        child.state = State::Ended { session: session.clone(), since: *since, end };
                        self.sessions.hear(now);
                        self.sessions.release(attempt);
                    }
                    State::Asked => self.not_started(attempt.task_index, ending, now),
                    State::Delayed | State::Ended { .. } | State::Refused => {}
                }
            }
            Report::Ended { .. } | Report::Met { .. } | Report::Active { .. } => {}
            Report::Deleted { attempt } => {
                self.sessions.deleted(attempt);
            }
            Report::DeleteFailed { attempt, reason } => {
                if let Some(session) = self.sessions.stays(attempt) {
                    self.left.push((session.key, reason));
                }
            }
        }
        self.settle(now);
    }

    pub fn handle_time(&mut self, now: Time) {
        while let Some(&(time, timer)) = self.timers.first()
            && time <= now
        {
            self.timers.pop_first();
            match timer {
                Timer::Respawn(index) => {
                    if matches!(self.children[index].state, State::Delayed) {
                        self.start(index);
                    }
                }
                Timer::Look(attempt) => {
                    let child = &self.children[attempt.task_index];
                    if self.is_current(attempt) && matches!(child.state, State::Running { has_worked: false, .. }) {
                        self.act(Action::Look(attempt));
                    }
                }
                Timer::Overdue(attempt) => {
                    if self.is_current(attempt) {
                        self.stop(attempt.task_index, StopCause::Overdue);
                    }
                }
                Timer::Closed(call) => self.closed(call),
            }
        }
        self.settle(now);
    }

    /// The program's own sessions, the latest first.
    pub fn rows(&self, query: &ChildQuery) -> Vec<Value> {
        let wanted = |child: &&Child| query.label.is_none() || query.label == child.order.label;
        let row = |child: &Child| match &child.state {
            State::Running { session, since, .. } => {
                Some(record::row(&child.order, session, *since, None, &self.agent_id))
            }
            State::Ended { session, since, end } => {
                Some(record::row(&child.order, session, *since, Some(end), &self.agent_id))
            }
            State::Asked | State::Delayed | State::Refused => None,
        };
        self.children.iter().rev().filter(wanted).filter_map(row).collect()
    }

    pub fn is_own(&self, key: &str) -> bool {
        self.by_key.contains_key(key)
    }

    /// What is remembered of a session, and whether that is all: a child that still runs may have said more.
    pub fn messages(&self, key: &str) -> Option<(Vec<Value>, bool)> {
        let child = &self.children[*self.by_key.get(key)?];
        match &child.state {
            State::Ended { end, .. } => Some((record::messages(&child.order, Some(end)), true)),
            State::Running { .. } | State::Asked | State::Delayed | State::Refused => {
                Some((record::messages(&child.order, None), false))
            }
        }
    }

    fn start(&mut self, index: usize) {
        let child = &mut self.children[index];
        child.attempt.start_no += 1;
        child.state = State::Asked;
        let order = SpawnOrder {
            attempt: child.attempt,
            key: random_key(&mut self.random),
            task_id: "".into(),
            agent_type: "".into(),
            model: child.order.model.clone(),
            prompt: Prompt::plain(&child.order.prompt),
            timeout: child.order.timeout,
        };
        self.act(Action::Spawn(order));
    }

    fn spawned(&mut self, attempt: AttemptRef, session: Session, now: Time) {
        if !self.is_current(attempt) {
            return;
        }
        let child = &mut self.children[attempt.task_index];
        let mut answer = json!({
            "status": "accepted", "childSessionKey": session.key, "sessionKey": session.key, "runId": session.run_id,
            "mode": "run", "context": "isolated", "expectsCompletionMessage": false,
        });
        if let Some(label) = &child.order.label {
            answer["label"] = json!(label);
        }
        if let Some(model) = &child.order.model {
            answer["resolvedModel"] = json!(model);
        }
        self.by_key.insert(session.key.clone(), attempt.task_index);
        if child.order.cleanup == Cleanup::Delete {
            self.sessions.accept(attempt, session.clone());
        }
        child.state = State::Running { session, since: now, has_worked: false };
        self.sessions.hear(now);
        let (call, timeout) = (child.call, child.order.timeout);
        if !timeout.is_zero() {
            self.timers.insert((now + timeout + self.settings.grace, Timer::Look(attempt)));
        }
        self.orders.push_back(Order::Answer(call, answer));
    }

    /// Its time counts from here: what it waited in the gateway's queue is not its fault.
    fn worked(&mut self, attempt: AttemptRef, since_worked: Time) {
        let grace = self.settings.grace;
        if !self.is_current(attempt) {
            return;
        }
        let child = &mut self.children[attempt.task_index];
        let timeout = child.order.timeout;
        if let State::Running { has_worked, .. } = &mut child.state
            && !std::mem::replace(has_worked, true)
            && !timeout.is_zero()
        {
            self.timers.insert((since_worked + timeout + grace, Timer::Overdue(attempt)));
        }
    }

    /// An attempt to start it has failed: there may be another way or another time.
    fn not_started(&mut self, index: usize, ending: Ending, now: Time) {
        let child = &mut self.children[index];
        let is_wanted = child.stop.is_none();
        match ending {
            Ending::Refused(refusal) if refusal.is_tool_denied() && is_wanted => {
                if !std::mem::replace(&mut self.is_denied, true) {
                    self.orders.push_back(Order::StartBy(Path::Agent));
                    self.orders.push_back(Order::Notice(DENIED.to_owned()));
                }
                self.start(index);
            }
            Ending::Refused(refusal) if refusal.is_busy() && is_wanted && now < child.asked + BUSY_PATIENCE => {
                child.state = State::Delayed;
                let pause = refusal.retry_after.unwrap_or(BUSY_PAUSE);
                self.timers.insert((now + pause, Timer::Respawn(index)));
            }
            Ending::Refused(Refusal { code, message, .. }) => {
                let status = if code == "forbidden" { "forbidden" } else { "error" };
                self.refuse(index, status, &message);
            }
            Ending::Failed { message: reason }
            | Ending::Stopped { reason }
            | Ending::Lost { reason }
            | Ending::Unstoppable { reason } => self.refuse(index, "error", &reason),
            Ending::TimedOut => self.refuse(index, "error", "the gateway did not start the agent in time"),
            // It ended before its acceptance was told, which no runtime does.
            Ending::Replied(_) | Ending::Cut(_) => {
                self.refuse(index, "error", "the agent ended before it was accepted");
            }
        }
    }

    fn refuse(&mut self, index: usize, status: &str, reason: &str) {
        let child = &mut self.children[index];
        child.state = State::Refused;
        let answer = json!({ "status": status, "error": reason });
        self.orders.push_back(Order::Answer(child.call, answer));
    }

    fn stop(&mut self, index: usize, cause: StopCause) {
        let child = &mut self.children[index];
        match child.state {
            State::Asked | State::Running { .. } if child.stop.is_none() => {
                child.stop = Some(cause);
                let attempt = child.attempt;
                self.act(Action::Stop(attempt));
            }
            State::Delayed => self.refuse(index, "error", "it was taken back before the gateway had room for it"),
            State::Asked | State::Running { .. } | State::Ended { .. } | State::Refused => {}
        }
    }

    /// Deletes what is due, and answers the closes that have nothing left to wait for.
    fn settle(&mut self, now: Time) {
        if self.closing.is_empty() {
            if self.sessions.turn(now) == Turn::Now {
                self.delete_next();
            }
            return;
        }
        while self.sessions.deleting() < self.settings.deletes_max && self.delete_next() {}
        let is_live = |index: &usize| match self.children[*index].state {
            State::Asked | State::Delayed | State::Running { .. } => true,
            State::Ended { .. } | State::Refused => false,
        };
        let is_clean = self.sessions.is_clean();
        let is_done = |closing: &Closing| is_clean && !closing.stopped.iter().any(&is_live);
        let done: Vec<CallId> =
            self.closing.iter().filter(|(_, closing)| is_done(closing)).map(|(call, _)| *call).collect();
        for call in done {
            self.closed(call);
        }
    }

    fn delete_next(&mut self) -> bool {
        let Some((attempt, session)) = self.sessions.take_next() else { return false };
        self.act(Action::Delete { attempt, session });
        true
    }

    fn closed(&mut self, call: CallId) {
        let Some(Closing { all, stopped }) = self.closing.remove(&call) else { return };
        self.timers.retain(|(_, timer)| *timer != Timer::Closed(call));
        let late = self.sessions.left().into_iter().map(|(_, session)| {
            let reason = format!("{} s were not enough to delete it", CLOSE_PATIENCE.as_secs());
            (session.key, reason)
        });
        let left = self.left.drain(..).chain(late);
        let left: Vec<Value> = left.map(|(key, reason)| json!({ "session_key": key, "reason": reason })).collect();
        let answer = json!({ "stopped": stopped.len(), "all": all, "left": left });
        self.orders.push_back(Order::Answer(call, answer));
    }

    fn act(&mut self, action: Action) {
        self.orders.push_back(Order::Act(action));
    }

    fn is_current(&self, attempt: AttemptRef) -> bool {
        self.children.get(attempt.task_index).is_some_and(|child| child.attempt == attempt)
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
