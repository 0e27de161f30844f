//! Circuit breakers: what failed several times in a row is left alone for a while, then tried by one attempt alone.
//!
//! One per model and one per type of agent and kind of failure, after Nygard, "Release It!" (2007). A closed one lets
//! everything through; an open one nothing; one whose time is up a single attempt, whose end closes or opens it again.
//! After some trials in vain it stays open: what waits for it fails without being paid for.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::action::AttemptRef;
use super::fact::Circuit;
use super::failure::FailureKind;
use super::time::Time;

/// When breakers open, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerPolicy {
    /// Tasks in a row that fail and so open one. Default 5; 0 turns breakers off.
    pub failures_max: u32,
    /// How long one stays open the first time, doubled each time that its trial fails. Default 30 s.
    pub pause_first: Duration,
    /// Trials in vain after which it stays open for the rest of the run. Default 3.
    pub trials_max: u32,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self { failures_max: 5, pause_first: Duration::from_secs(30), trials_max: 3 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// These tasks have failed in a row. One that fails again and again says no more than once.
    Closed(BTreeSet<usize>),
    Open {
        until: Time,
        /// How often in a row.
        times: u32,
    },
    /// This attempt tries.
    Trying { times: u32, trial: AttemptRef },
    /// For the rest of the run.
    GivenUp,
}

/// Whether an attempt may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Yes.
    Free,
    /// Not before this instant.
    ShutUntil(Time),
    /// Not before the attempt that tries has ended.
    Trying,
    /// Not in this run.
    Never,
}

/// The breakers of a run.
#[derive(Debug)]
pub struct Breakers {
    policy: BreakerPolicy,
    states: HashMap<Circuit, State>,
    changes: u64,
}

/// The kinds of failure that say something of the model.
const OF_MODELS: [FailureKind; 2] = [FailureKind::Model, FailureKind::ServerError];
/// The kinds of failure that say something of the type of agent.
const OF_AGENTS: [FailureKind; 2] = [FailureKind::Output, FailureKind::Timeout];

impl Breakers {
    /// All closed.
    pub fn new(policy: BreakerPolicy) -> Self {
        Self { policy, states: HashMap::new(), changes: 0 }
    }

    /// How often a breaker has opened, closed, or let another one try: what it kept back may look again.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    fn of(model: &Arc<str>, agent_type: &Arc<str>) -> [Circuit; 3] {
        let agents = |kind| Circuit::Agents(agent_type.clone(), kind);
        [Circuit::Model(model.clone()), agents(OF_AGENTS[0]), agents(OF_AGENTS[1])]
    }

    /// Whether an attempt of `agent_type` on `model` may start.
    pub fn gate(&self, model: &Arc<str>, agent_type: &Arc<str>, now: Time) -> Gate {
        if self.states.is_empty() {
            return Gate::Free;
        }
        Self::of(model, agent_type).iter().fold(Gate::Free, |gate, circuit| match (gate, self.states.get(circuit)) {
            (Gate::Never, _) | (_, Some(State::GivenUp)) => Gate::Never,
            (Gate::Trying, _) | (_, Some(State::Trying { .. })) => Gate::Trying,
            (Gate::ShutUntil(other), Some(State::Open { until, .. })) => Gate::ShutUntil(other.max(*until)),
            (Gate::Free, Some(State::Open { until, .. })) if *until > now => Gate::ShutUntil(*until),
            (gate, Some(State::Closed(_) | State::Open { .. }) | None) => gate,
        })
    }

    /// An attempt starts: where a breaker's time is up, it is the one that tries.
    pub fn started(&mut self, attempt: AttemptRef, model: &Arc<str>, agent_type: &Arc<str>) {
        if self.states.is_empty() {
            return;
        }
        for circuit in Self::of(model, agent_type) {
            if let Some(state) = self.states.get_mut(&circuit)
                && let State::Open { times, .. } = *state
            {
                *state = State::Trying { times, trial: attempt };
            }
        }
    }

    /// An attempt has ended, with a failure or, with `None`, with an answer. Returns the breaker that this opened, and
    /// until when, unless for the rest of the run. Of its type of agent it says something only on its task's last tier
    /// (`is_last`). `draw` gives a number that is even in `[0, 1)`: it spreads those that
    /// wait for the same breaker.
    pub fn ended(
        &mut self,
        attempt: AttemptRef,
        model: &Arc<str>,
        agent_type: &Arc<str>,
        (failure, is_last): (Option<FailureKind>, bool),
        draw: impl FnOnce() -> f64,
        now: Time,
    ) -> Option<(Circuit, Option<Time>)> {
        if self.policy.failures_max == 0 || (failure.is_none() && self.states.is_empty()) {
            return None;
        }
        let blamed = failure.and_then(|kind| {
            if OF_MODELS.contains(&kind) {
                Some(Circuit::Model(model.clone()))
            } else {
                (is_last && OF_AGENTS.contains(&kind)).then(|| Circuit::Agents(agent_type.clone(), kind))
            }
        });
        for circuit in Self::of(model, agent_type) {
            if Some(&circuit) == blamed.as_ref() {
                continue;
            }
            match (self.states.get(&circuit).cloned(), failure) {
                (Some(_), None) => {
                    self.states.remove(&circuit);
                    self.changes += 1;
                }
                // Its trial ended without a word about it: the next one may try.
                (Some(State::Trying { times, trial }), Some(_)) if trial == attempt => {
                    self.states.insert(circuit, State::Open { until: now, times });
                    self.changes += 1;
                }
                (Some(_), Some(_)) | (None, _) => {}
            }
        }
        let circuit = blamed?;
        let times = match self.states.get(&circuit).cloned().unwrap_or(State::Closed(BTreeSet::new())) {
            State::Closed(mut tasks) => {
                tasks.insert(attempt.task_index);
                if tasks.len() < self.policy.failures_max as usize {
                    self.states.insert(circuit, State::Closed(tasks));
                    return None;
                }
                1
            }
            // One that had started before it opened.
            State::Open { .. } | State::GivenUp => return None,
            State::Trying { trial, .. } if trial != attempt => return None,
            State::Trying { times, .. } if times >= self.policy.trials_max => {
                self.states.insert(circuit.clone(), State::GivenUp);
                self.changes += 1;
                return Some((circuit, None));
            }
            State::Trying { times, .. } => times + 1,
        };
        let until = now + self.pause(times, draw());
        self.changes += 1;
        self.states.insert(circuit.clone(), State::Open { until, times });
        Some((circuit, Some(until)))
    }

    /// An attempt ended without having been started: the next one may try.
    pub fn refused(&mut self, attempt: AttemptRef, model: &Arc<str>, agent_type: &Arc<str>, now: Time) {
        for circuit in Self::of(model, agent_type) {
            if let Some(state) = self.states.get_mut(&circuit)
                && let State::Trying { times, trial } = *state
                && trial == attempt
            {
                *state = State::Open { until: now, times };
                self.changes += 1;
            }
        }
    }

    /// Doubled each time, and up to a quarter longer.
    fn pause(&self, times: u32, draw: f64) -> Duration {
        self.policy.pause_first.saturating_mul(1 << times.saturating_sub(1).min(20)).mul_f64(1.0 + draw / 4.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_000_000);
    const TRIAL: AttemptRef = AttemptRef { task_index: 0, start_no: 1 };

    fn names() -> (Arc<str>, Arc<str>) {
        ("a/model".into(), "code_reviewer".into())
    }

    fn opened(kind: FailureKind) -> (Breakers, Time) {
        let (model, agent_type) = names();
        let mut breakers = Breakers::new(BreakerPolicy::default());
        let opened: Vec<_> = (0..5)
            .filter_map(|task_index| {
                breakers.ended(AttemptRef { task_index, ..TRIAL }, &model, &agent_type, (Some(kind), true), || 0.0, NOW)
            })
            .collect();
        let [(_, Some(until))] = opened[..] else { panic!("it opens once: {opened:?}") };
        (breakers, until)
    }

    #[test]
    fn failures_in_a_row_open_a_breaker_for_a_while() {
        let (model, agent_type) = names();
        let (breakers, until) = opened(FailureKind::Model);
        assert_eq!(until, NOW + Duration::from_secs(30));
        assert_eq!(breakers.gate(&model, &agent_type, NOW), Gate::ShutUntil(until));
        assert_eq!(breakers.gate(&model, &agent_type, until), Gate::Free);
    }

    #[test]
    fn a_success_between_them_keeps_it_closed() {
        let (model, agent_type) = names();
        let mut breakers = Breakers::new(BreakerPolicy::default());
        for round in 0..20 {
            let failure = (round % 5 != 4).then_some(FailureKind::Model);
            let attempt = AttemptRef { task_index: round, ..TRIAL };
            assert_eq!(breakers.ended(attempt, &model, &agent_type, (failure, true), || 0.0, NOW), None);
        }
    }

    #[test]
    fn one_task_opens_none_however_often_it_fails() {
        let (model, agent_type) = names();
        let mut breakers = Breakers::new(BreakerPolicy::default());
        for start_no in 1..20 {
            let attempt = AttemptRef { task_index: 3, start_no };
            assert_eq!(
                breakers.ended(attempt, &model, &agent_type, (Some(FailureKind::Output), true), || 0.0, NOW),
                None
            );
        }
    }

    #[test]
    fn one_attempt_tries_and_its_end_decides() {
        let (model, agent_type) = names();
        let (mut breakers, until) = opened(FailureKind::Model);
        breakers.started(TRIAL, &model, &agent_type);
        assert_eq!(breakers.gate(&model, &agent_type, until), Gate::Trying);
        let again = breakers.ended(TRIAL, &model, &agent_type, (Some(FailureKind::Model), true), || 0.0, until);
        assert_eq!(again.and_then(|(_, until)| until), Some(until + Duration::from_secs(60)), "twice as long");
        breakers.started(TRIAL, &model, &agent_type);
        breakers.ended(TRIAL, &model, &agent_type, (None, true), || 0.0, until);
        assert_eq!(breakers.gate(&model, &agent_type, until), Gate::Free);
    }

    #[test]
    fn trials_in_vain_leave_it_open_for_good() {
        let (model, agent_type) = names();
        let (mut breakers, until) = opened(FailureKind::Model);
        let ends: Vec<_> = (0..3)
            .map(|_| {
                breakers.started(TRIAL, &model, &agent_type);
                breakers.ended(TRIAL, &model, &agent_type, (Some(FailureKind::Model), true), || 0.0, until)
            })
            .collect();
        assert!(matches!(&ends[..], [Some((_, Some(_))), Some((_, Some(_))), Some((_, None))]), "{ends:?}");
        assert_eq!(breakers.gate(&model, &agent_type, until + Duration::from_secs(100_000)), Gate::Never);
    }

    #[test]
    fn a_trial_that_says_nothing_leaves_the_next_one_to_try() {
        let (model, agent_type) = names();
        let (mut breakers, until) = opened(FailureKind::Model);
        breakers.started(TRIAL, &model, &agent_type);
        breakers.refused(TRIAL, &model, &agent_type, until);
        assert_eq!(breakers.gate(&model, &agent_type, until), Gate::Free);
        breakers.started(TRIAL, &model, &agent_type);
        breakers.ended(TRIAL, &model, &agent_type, (Some(FailureKind::Transient), true), || 0.0, until);
        assert_eq!(breakers.gate(&model, &agent_type, until), Gate::Free);
    }

    #[test]
    fn only_the_trial_itself_decides_against_what_it_tries() {
        let (model, agent_type) = names();
        let earlier = AttemptRef { task_index: 1, start_no: 1 };
        for failure in [FailureKind::Model, FailureKind::Transient] {
            let (mut breakers, until) = opened(FailureKind::Model);
            breakers.started(TRIAL, &model, &agent_type);
            assert_eq!(breakers.ended(earlier, &model, &agent_type, (Some(failure), true), || 0.0, until), None);
            breakers.refused(earlier, &model, &agent_type, until);
            assert_eq!(breakers.gate(&model, &agent_type, until), Gate::Trying, "one that had started before");
            breakers.ended(earlier, &model, &agent_type, (None, true), || 0.0, until);
            assert_eq!(breakers.gate(&model, &agent_type, until), Gate::Free, "an answer is proof whoever gives it");
        }
    }

    #[test]
    fn a_type_of_agent_is_left_alone_on_every_model_and_others_are_not() {
        let (_, agent_type) = names();
        let (breakers, until) = opened(FailureKind::Output);
        let other_model = "b/model".into();
        assert_eq!(breakers.gate(&other_model, &agent_type, NOW), Gate::ShutUntil(until));
        assert_eq!(breakers.gate(&other_model, &"educational".into(), NOW), Gate::Free);
    }

    #[test]
    fn a_breaker_can_be_turned_off() {
        let (model, agent_type) = names();
        let mut breakers = Breakers::new(BreakerPolicy { failures_max: 0, ..BreakerPolicy::default() });
        for task_index in 0..50 {
            let attempt = AttemptRef { task_index, ..TRIAL };
            assert_eq!(
                breakers.ended(attempt, &model, &agent_type, (Some(FailureKind::Model), true), || 0.0, NOW),
                None
            );
        }
    }
}
