//! What must hold once a run that was killed has come to its end, whatever happened on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use parallel_agents::core::action::AttemptRef;
use parallel_agents::core::fact::{Event, Fact, Status};
use parallel_agents::core::run::RunMachine;
use parallel_agents::core::time::Time;
use parallel_agents::journal::{Durability, Journal, StoredRun};

use crate::house::Books;
use crate::scene::{RUN, Scene, plan};

/// What sums of dollars may be off by.
const ROUNDING: f64 = 1e-9;

/// How each task ended, and with what.
pub type Results = BTreeMap<usize, (Status, Option<Value>)>;

pub fn results(facts: &[Fact]) -> Results {
    let mut results = Results::new();
    for fact in facts {
        if let Event::TaskEnded { task_index, end } = &fact.event {
            let earlier = results.insert(*task_index, (end.status(), end.output().cloned()));
            assert_eq!(earlier, None, "task {task_index} ends once");
        }
    }
    results
}

pub fn read(journal: &Path) -> StoredRun {
    Journal::open_read(journal).and_then(|journal| journal.read(RUN)).expect("the run")
}

/// An attempt, as the journal tells it.
#[derive(Debug, Default)]
pub struct Attempt {
    task_index: usize,
    ends: usize,
    cost: Option<f64>,
}

/// All attempts by their keys.
pub fn attempts(facts: &[Fact]) -> BTreeMap<String, Attempt> {
    let mut attempts: BTreeMap<String, Attempt> = BTreeMap::new();
    let mut keys: BTreeMap<AttemptRef, String> = BTreeMap::new();
    for fact in facts {
        match &fact.event {
            Event::AttemptPlanned { attempt, key, .. } => {
                let earlier = keys.insert(*attempt, key.to_string());
                assert_eq!(earlier, None, "{attempt:?} is planned once");
                let planned = Attempt { task_index: attempt.task_index, ..Attempt::default() };
                assert!(attempts.insert(key.to_string(), planned).is_none(), "`{key}` is planned once");
            }
            Event::AttemptEnded { attempt, cost, .. } => {
                let ended = attempts.get_mut(&keys[attempt]).expect("planned");
                ended.ends += 1;
                ended.cost = *cost;
            }
            Event::AttemptRefused { attempt, .. } => attempts.get_mut(&keys[attempt]).expect("planned").ends += 1,
            Event::RunStarted { .. }
            | Event::RunResumed { .. }
            | Event::RuntimeMet { .. }
            | Event::AttemptAccepted { .. }
            | Event::AttemptStarted { .. }
            | Event::AttemptStopping { .. }
            | Event::RetryPlanned { .. }
            | Event::LimitRaised { .. }
            | Event::TaskEnded { .. }
            | Event::BudgetReached { .. }
            | Event::BreakerOpened { .. }
            | Event::TaskReopened { .. }
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
    }
    attempts
}

/// Actions are handed out only once the facts they rest on are durable: whenever its process dies, the journal knows every agent.
pub fn knows_every_agent(journal: &Path, books: &Books) {
    let attempts = attempts(&read(journal).facts);
    for spawn in &books.spawns {
        assert!(attempts.contains_key(&spawn.key), "`{}` was started before its plan was durable", spawn.key);
    }
}

/// Holds a run that is over, and whose journal lost nothing, to all that was promised.
pub fn audit(scene: &Scene, journal: &Path, books: &Books) -> Results {
    let facts = read(journal).facts;
    assert!(matches!(facts.last(), Some(Fact { event: Event::RunEnded, .. })), "the run is over");
    assert_eq!(books.breaches, [""; 0]);
    assert_eq!(books.overlaps, [0; 0], "two agents of a task never run at once");

    let attempts = attempts(&facts);
    let mut charged = 0.0;
    for (key, attempt) in &attempts {
        assert_eq!(attempt.ends, 1, "`{key}` has one end: {attempt:?}");
        let cost = attempt.cost.expect("every price is known");
        charged += cost;
        let spawn = books.spawns.iter().find(|spawn| spawn.key == *key);
        assert!(spawn.is_some() || cost == 0.0, "`{key}` never started and cost {cost}");
    }
    for spawn in &books.spawns {
        let planned = attempts.get(&spawn.key);
        let planned = planned.unwrap_or_else(|| panic!("`{}` is in no journal", spawn.key));
        assert_eq!(planned.task_index, spawn.task_index);
        assert!(spawn.cost.is_some(), "`{}` runs on", spawn.key);
    }
    assert!((charged - books.charged()).abs() < ROUNDING, "the journal knows of {charged} of {}", books.charged());
    // What is charged never sinks: its last amount is its highest.
    let spent = books.charged();
    assert!(scene.cap.is_none_or(|cap| spent <= cap + ROUNDING), "{spent} of {:?}", scene.cap);
    assert_eq!(books.sessions, BTreeSet::new(), "no session is left");
    assert!(!facts.iter().any(|fact| matches!(fact.event, Event::SessionLeft { .. })), "no session is given up");
    assert_eq!(started_again(&facts), None);

    resume_calls_nothing(scene, journal);
    let results = results(&facts);
    assert_eq!(results.len(), plan().tasks().len(), "every task has ended");
    results
}

/// A task that went on after it had ended, if there is one.
fn started_again(facts: &[Fact]) -> Option<usize> {
    let mut over = BTreeSet::new();
    facts.iter().find_map(|fact| match &fact.event {
        Event::TaskEnded { task_index, .. } => {
            over.insert(*task_index);
            None
        }
        Event::AttemptPlanned { attempt, .. } => over.contains(&attempt.task_index).then_some(attempt.task_index),
        Event::RunStarted { .. }
        | Event::RunResumed { .. }
        | Event::RuntimeMet { .. }
        | Event::AttemptAccepted { .. }
        | Event::AttemptStarted { .. }
        | Event::AttemptRefused { .. }
        | Event::AttemptStopping { .. }
        | Event::AttemptEnded { .. }
        | Event::RetryPlanned { .. }
        | Event::LimitRaised { .. }
        | Event::BudgetReached { .. }
        | Event::BreakerOpened { .. }
        | Event::TaskReopened { .. }
        | Event::StartsStopped { .. }
        | Event::Cancelled { .. }
        | Event::TasksAdded { .. }
        | Event::ApprovalAsked { .. }
        | Event::WordGiven { .. }
        | Event::OutcomeReached { .. }
        | Event::SessionDeleted { .. }
        | Event::SessionLeft { .. }
        | Event::RunEnded => None,
    })
}

/// A run that is over has nothing to do and nothing new to tell.
fn resume_calls_nothing(scene: &Scene, journal: &Path) {
    let open = Journal::open(journal, Durability::Process).expect("a journal");
    let (stored, _log) = open.resume(RUN).expect("the run");
    let now = stored.facts.last().map_or(Time::default(), |fact| fact.at);
    let mut machine = RunMachine::restore(stored.plan, scene.settings(), stored.facts, &[], 1, now);
    assert!(machine.is_finished());
    assert_eq!((machine.poll_action(), machine.poll_fact(), machine.next_deadline()), (None, None, None));
}
