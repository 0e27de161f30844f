//! What starts when: the order of the tasks, the limit in force, the budget, the breakers; and what a run does once
//! nothing is left to start.

use std::cmp::Reverse;
use std::sync::Arc;

use super::{RunMachine, Timer};
use crate::core::action::{Action, AttemptRef, SpawnOrder, random_key};
use crate::core::breaker::Gate;
use crate::core::budget::{Admission, Cap, Reservation};
use crate::core::fact::{End, Event};
use crate::core::prompt::{Material, Prompt};
use crate::core::record::{Live, Phase, State};
use crate::core::sessions::Turn;
use crate::core::time::Time;

/// Starts that may be under way at once, not yet answered: a burst of thousands takes no room, and no gateway takes more.
const STARTS_MAX: usize = 256;

/// What a task that is ready does next.
enum Next {
    Start {
        tier: usize,
        prompt: Prompt,
        reserved: Reservation,
    },
    /// A breaker keeps it back, until this instant if that is known.
    Hold(Option<Time>),
    /// Attempts under way may yet leave room in the budget.
    Wait,
    /// The budget does not bear it.
    OverBudget(Cap, Reservation),
    /// All its models were given up.
    GivenUp,
    /// Nothing starts any more.
    Closed(String),
}

impl RunMachine {
    /// Starts what may start, deletes what may be deleted, and notices the end.
    pub(super) fn advance(&mut self, now: Time) {
        if self.finished {
            return;
        }
        self.steer(now);
        while self.cancelled.is_none() && self.ordered < STARTS_MAX && self.limit.admits(self.live, now) {
            let Some(&(priority, index)) = self.ready.first() else { break };
            let next = self.next(index, now);
            if matches!(next, Next::Wait) {
                break;
            }
            self.ready.remove(&(priority, index));
            match next {
                Next::Start { tier, prompt, reserved } => self.start(index, tier, prompt, reserved, now),
                Next::Hold(until) => {
                    self.records[index].state = State::Held;
                    self.held.push(index);
                    if let Some(until) = until {
                        self.timers.insert((until, Timer::Breaker));
                    }
                }
                Next::OverBudget(cap, needed) => self.end_over_budget(index, cap, needed, now),
                Next::GivenUp => {
                    let reason =
                        "all its models, or all agents of its type, failed too often in a row and are left alone";
                    self.end_unstarted(index, reason, now);
                }
                Next::Closed(reason) => self.end_unstarted(index, &reason, now),
                Next::Wait => {}
            }
            self.steer(now);
        }
        if !self.is_winding_up() {
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

    fn next(&self, index: usize, now: Time) -> Next {
        if let Some(reason) = &self.starts_stopped {
            return Next::Closed(reason.clone());
        }
        let task = &self.plan.tasks()[index];
        let tier = match self.open_tier(index, now) {
            Ok(tier) => tier,
            Err(Gate::Never) => return Next::GivenUp,
            Err(Gate::ShutUntil(until)) => return Next::Hold(Some(until)),
            Err(Gate::Trying | Gate::Free) => return Next::Hold(None),
        };
        let prompt = self.prompt(index, tier);
        let tier_of = &task.hierarchy.tiers()[tier];
        let reserved = self.ledger.worst_case(task, tier_of, prompt.bytes(), &self.settings.estimate);
        if !self.ledger.is_capped() {
            return Next::Start { tier, prompt, reserved };
        }
        match self.ledger.admits(&tier_of.model, &reserved, now) {
            Admission::Now => Next::Start { tier, prompt, reserved },
            Admission::Later => Next::Wait,
            Admission::Never(cap) => Next::OverBudget(cap, reserved),
        }
    }

    /// The cheapest tier, from the task's own on, whose model may be asked now; else what keeps all of them shut.
    fn open_tier(&self, index: usize, now: Time) -> Result<usize, Gate> {
        let task = &self.plan.tasks()[index];
        let own = self.records[index].history.tier;
        let mut shut = Gate::Never;
        for (tier, model) in task.hierarchy.tiers().iter().map(|tier| &tier.model).enumerate().skip(own) {
            shut = match (self.breakers.gate(model, &task.agent_type, now), shut) {
                (Gate::Free, _) => return Ok(tier),
                (Gate::ShutUntil(until), Gate::ShutUntil(other)) => Gate::ShutUntil(until.min(other)),
                // The end of a trial is noticed whatever is waited for; an instant only if it is.
                (until @ Gate::ShutUntil(_), _) | (_, until @ Gate::ShutUntil(_)) => until,
                (Gate::Trying, _) | (_, Gate::Trying) => Gate::Trying,
                (Gate::Never, shut) => shut,
            };
        }
        Err(shut)
    }

    /// What an attempt on `tier` is told. A dearer model than the one that gave it hears nothing of an objection.
    fn prompt(&self, index: usize, tier: usize) -> Prompt {
        let task = &self.plan.tasks()[index];
        let material = |&dependency: &usize| {
            let from = &self.plan.tasks()[dependency];
            let text = self.records[dependency].answer.clone()?;
            Some(Material { task_id: from.id.clone(), agent_type: from.agent_type.clone(), text })
        };
        let materials: Vec<Material> = self.plan.dependencies(index).iter().filter_map(material).collect();
        let record = &self.records[index];
        let objection = record.objection.as_ref().filter(|_| tier == record.history.tier);
        Prompt::new(task, &materials, &record.replies, objection)
    }

    fn start(&mut self, index: usize, tier: usize, prompt: Prompt, reserved: Reservation, now: Time) {
        let task = &self.plan.tasks()[index];
        let key = random_key(&mut self.random);
        let record = &mut self.records[index];
        record.starts += 1;
        record.climb_to(tier);
        let attempt = AttemptRef { task_index: index, start_no: record.starts };
        let attempt_no = record.spent_before + record.history.attempts + 1;
        let model = task.hierarchy.tiers()[tier].model.clone();
        self.breakers.started(attempt, &model, &task.agent_type);
        let order = self.order(attempt, key.clone(), model.clone(), prompt);
        self.enlist(attempt, attempt_no, now);
        self.look_later(attempt, now);
        self.fact(now, Event::AttemptPlanned { attempt, attempt_no, tier, model, key, reserved });
        self.act(Action::Spawn(order));
    }

    /// The order of an attempt of a task.
    pub(super) fn order(&self, attempt: AttemptRef, key: Arc<str>, model: Arc<str>, prompt: Prompt) -> SpawnOrder {
        let task = &self.plan.tasks()[attempt.task_index];
        SpawnOrder {
            attempt,
            key,
            task_id: task.id.clone(),
            agent_type: task.agent_type.clone(),
            model: Some(model),
            prompt,
            timeout: task.timeout,
        }
    }

    /// The order as it was given, for an attempt that another process ordered.
    pub(super) fn order_again(&self, attempt: AttemptRef, key: Arc<str>, model: Arc<str>) -> SpawnOrder {
        let tier = self.records[attempt.task_index].history.tier;
        self.order(attempt, key, model, self.prompt(attempt.task_index, tier))
    }

    /// Keeps account of an attempt that is ordered.
    pub(super) fn enlist(&mut self, attempt: AttemptRef, attempt_no: u32, now: Time) {
        let index = attempt.task_index;
        self.live += 1;
        self.ordered += 1;
        let record = &mut self.records[index];
        record.state = State::Live(Live { attempt, phase: Phase::Ordered, active: None, is_adopted: false });
        if attempt_no == 1 && attempt.start_no == 1 {
            self.started += 1;
        }
        if record.deadline.is_none()
            && let Some(deadline) = self.plan.tasks()[index].deadline
        {
            record.deadline = Some(now + deadline);
            self.timers.insert((now + deadline, Timer::TaskDeadline(index)));
        }
    }

    /// Asks the runtime about an agent when it has not been seen to work for as long as it may work; again and again,
    /// so that no lost answer leaves it waiting until the run's deadline.
    pub(super) fn look_later(&mut self, attempt: AttemptRef, now: Time) {
        let timeout = self.plan.tasks()[attempt.task_index].timeout;
        self.timers.insert((now + timeout + self.settings.grace, Timer::Look(attempt)));
    }

    fn end_over_budget(&mut self, index: usize, cap: Cap, needed: Reservation, now: Time) {
        let reason = match cap {
            Cap::Usd => format!(
                "the budget does not bear the next attempt, which may cost ${:.4}",
                needed.usd.unwrap_or_default()
            ),
            Cap::Tokens => {
                format!("the budget does not bear the next attempt, which may take {} tokens", needed.tokens)
            }
            Cap::Attempts => "the budget's attempts are spent".to_owned(),
            Cap::Time => "the budget's time is over".to_owned(),
            Cap::Price => {
                "nobody tells what its model costs, so the budget in dollars cannot be kept; give its price: \
                           models=[Tier(\"MODEL\", price=...)]"
                    .to_owned()
            }
        };
        self.fact(now, Event::BudgetReached { task_index: index, cap, needed });
        self.keep_back(index);
        self.end_unstarted(index, &reason, now);
    }

    /// Ends a task whose next attempt is not started: as failed, if it has had one, else as cancelled.
    pub(super) fn end_unstarted(&mut self, index: usize, reason: &str, now: Time) {
        let record = &mut self.records[index];
        let raw = record.raw.take();
        let end = match record.failed.take() {
            Some(failed) => End::Failed { reason: format!("{failed}; not tried again: {reason}"), raw },
            None => End::Cancelled { reason: format!("not started: {reason}"), raw },
        };
        self.end_task(index, end, now);
    }

    /// Tasks that a breaker kept back look again whether it lets them through.
    pub(super) fn release_held(&mut self) {
        for index in std::mem::take(&mut self.held) {
            if matches!(self.records[index].state, State::Held) {
                self.make_ready(index);
            }
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

    pub(super) fn finish(&mut self, now: Time) {
        let reason = self.sessions.reason_left().to_owned();
        for (attempt, session) in self.sessions.left() {
            self.fact(now, Event::SessionLeft { attempt, session, reason: reason.clone() });
        }
        self.tell_outcome(now);
        self.finished = true;
        self.timers.clear();
        self.actions.clear();
        self.fact(now, Event::RunEnded);
    }

    pub(super) fn make_ready(&mut self, index: usize) {
        self.records[index].state = State::Ready;
        self.ready.insert((Reverse(self.plan.tasks()[index].priority), index));
    }
}
