//! A run that has had enough starts nothing more, stops what runs, and is over; whoever resumes it finds the same.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{RunMachine, RunSettings};
use crate::core::action::{Action, Adoption, AttemptRef, Report, Session};
use crate::core::fact::{End, Event, Fact};
use crate::core::failure::{Ending, Refusal};
use crate::core::join::Join;
use crate::core::plan::{Plan, Task};
use crate::core::strategy::{Strategy, Word};
use crate::core::time::Time;
use crate::core::until::{Spelling, Until};
use crate::core::usage::Usage;

const BEGIN: Time = Time::from_millis(1_700_000_000_000);

fn plan(tasks: &[(&str, &[&str])]) -> Arc<Plan> {
    let task = |(id, dependencies): &(&str, &[&str])| Task::sample(id, dependencies);
    Arc::new(Plan::new(tasks.iter().map(task).collect()).expect("a plan"))
}

fn join(spelling: &Spelling, plan: &Plan) -> Box<dyn Strategy> {
    let until = Until::new(spelling, plan.tasks().len()).expect("a join");
    Box::new(Join::new(until, plan))
}

struct Scene {
    machine: RunMachine,
    facts: Vec<Fact>,
    actions: Vec<Action>,
    now: Time,
}

impl Scene {
    fn new(until: &str, plan: &Arc<Plan>, concurrency_max: usize) -> Self {
        let spelling = Spelling::of(until).expect("a spelling");
        let settings = RunSettings { concurrency_max, journaled: true, ..RunSettings::default() };
        let strategy = Some(join(&spelling, plan));
        let machine = RunMachine::steered(plan.clone(), settings, strategy, 1, BEGIN);
        let mut scene = Self { machine, facts: Vec::new(), actions: Vec::new(), now: BEGIN };
        scene.poll();
        scene
    }

    fn poll(&mut self) {
        while let Some(fact) = self.machine.poll_fact() {
            self.facts.push(fact);
        }
        self.machine.handle_persisted(u64::try_from(self.facts.len()).expect("few"));
        while let Some(action) = self.machine.poll_action() {
            self.actions.push(action);
        }
    }

    fn attempt(&self, task: &str) -> AttemptRef {
        let task_index = self.machine.plan().tasks().iter().position(|known| *known.id == *task).expect("a task");
        AttemptRef { task_index, start_no: 1 }
    }

    fn report(&mut self, report: Report) {
        self.now = self.now + Duration::from_millis(10);
        self.machine.handle_report(report, self.now);
        self.poll();
    }

    fn started(&mut self, task: &str) {
        let attempt = self.attempt(task);
        self.report(Report::Spawned { attempt, session: Session { key: task.into(), run_id: "run".into() } });
        self.report(Report::Started { attempt, since: self.now });
    }

    fn ended(&mut self, task: &str, ending: Ending) {
        let attempt = self.attempt(task);
        self.report(Report::Ended { attempt, ending, usage: Usage::default(), model_used: None, partial: None });
    }

    fn replied(&mut self, task: &str) {
        self.ended(task, Ending::Replied("{}".to_owned()));
    }

    fn starts(&self) -> usize {
        self.actions.iter().filter(|action| matches!(action, Action::Spawn(_))).count()
    }

    /// Stops what is to be stopped and deletes what is to be deleted, until nothing of it is left.
    fn obey(&mut self) {
        for index in 0.. {
            match self.actions.get(index).cloned() {
                None => return,
                Some(Action::Stop(attempt)) if self.machine.is_current(attempt) => {
                    let ending = Ending::Stopped { reason: "rpc".to_owned() };
                    self.report(Report::Ended {
                        attempt,
                        ending,
                        usage: Usage::default(),
                        model_used: None,
                        partial: None,
                    });
                }
                Some(Action::Delete { attempt, .. }) => self.report(Report::Deleted { attempt }),
                Some(Action::Spawn(_) | Action::Adopt(_) | Action::Look(_) | Action::Stop(_)) => {}
            }
        }
    }

    fn end_of(&self, task: &str) -> End {
        let index = self.attempt(task).task_index;
        let ends = self.facts.iter().filter_map(|fact| match &fact.event {
            Event::TaskEnded { task_index, end } if *task_index == index => Some(end.clone()),
            _ => None,
        });
        let ends: Vec<End> = ends.collect();
        assert_eq!(ends.len(), 1, "{task} ends once: {ends:?}");
        ends[0].clone()
    }

    fn assert_unneeded(&self, tasks: &[&str]) {
        for task in tasks {
            let end = self.end_of(task);
            let is_named = end.reason().is_some_and(|reason| reason.starts_with("no longer needed: `"));
            assert!(matches!(end, End::Cancelled { .. }) && is_named, "{task}: {end:?}");
        }
    }

    /// What it came to, as told last: one that died at its very end says it again.
    fn outcome(&self) -> Value {
        let outcome = |fact: &Fact| match &fact.event {
            Event::OutcomeReached { outcome } => Some(Value::clone(outcome)),
            _ => None,
        };
        self.facts.iter().rev().find_map(outcome).expect("an outcome")
    }
}

#[test]
fn what_is_not_needed_is_stopped_and_what_has_not_started_never_does() {
    let plan =
        plan(&[("a", &[]), ("b", &[]), ("waits", &[]), ("on_a", &["a"]), ("on_b", &["b"]), ("on_it", &["on_b"])]);
    let mut scene = Scene::new("any", &plan, 2);
    scene.started("a");
    scene.started("b");
    scene.replied("a");
    scene.obey();
    assert!(scene.machine.is_finished());
    assert_eq!(scene.starts(), 2);
    scene.assert_unneeded(&["b", "waits", "on_a", "on_b", "on_it"]);
    assert_eq!(scene.outcome(), json!({"until": "any", "met": true, "chosen": ["a"], "completed": 1}));
}

#[test]
fn an_answer_that_crosses_the_stop_is_kept() {
    let plan = plan(&[("a", &[]), ("b", &[])]);
    let mut scene = Scene::new("any", &plan, 2);
    scene.replied("a");
    scene.replied("b");
    scene.obey();
    assert!(scene.machine.is_finished());
    assert!(matches!(scene.end_of("b"), End::Completed { .. }));
    assert_eq!(scene.outcome()["chosen"], json!(["a"]));
}

#[test]
fn an_order_that_the_runtime_refuses_meanwhile_is_not_given_again() {
    let plan = plan(&[("a", &[]), ("b", &[])]);
    let mut scene = Scene::new("any", &plan, 2);
    scene.replied("a");
    let refusal = Refusal { code: "UNAVAILABLE".to_owned(), retryable: true, ..Refusal::default() };
    scene.ended("b", Ending::Refused(refusal));
    scene.obey();
    assert!(scene.machine.is_finished());
    assert_eq!(scene.starts(), 2);
    scene.assert_unneeded(&["b"]);
}

#[test]
fn an_agent_that_is_being_stopped_for_its_time_is_not_tried_again() {
    let plan = plan(&[("a", &[]), ("b", &[])]);
    let mut scene = Scene::new("any", &plan, 2);
    scene.started("b");
    scene.now = scene.now + Duration::from_secs(3_600);
    scene.machine.handle_time(scene.now);
    scene.poll();
    assert!(scene.actions.contains(&Action::Stop(scene.attempt("b"))), "{:?}", scene.actions);
    scene.replied("a");
    scene.ended("b", Ending::Stopped { reason: "rpc".to_owned() });
    scene.obey();
    assert!(scene.machine.is_finished());
    assert_eq!(scene.starts(), 2);
    scene.assert_unneeded(&["b"]);
}

#[test]
fn a_run_that_died_at_any_moment_comes_to_the_same() {
    let plan = plan(&[("a", &[]), ("b", &[]), ("c", &[]), ("on_c", &["c"]), ("d", &[])]);
    let mut whole = Scene::new("first(2)", &plan, 3);
    for task in ["a", "b", "c"] {
        whole.started(task);
    }
    whole.replied("a");
    whole.replied("b");
    whole.obey();
    assert!(whole.machine.is_finished());
    for through in 0..whole.facts.len() {
        let facts = whole.facts[..through].to_vec();
        let strategy = Some(join(&Spelling::of("first(2)").expect("a spelling"), &plan));
        let settings = RunSettings { concurrency_max: 3, journaled: true, ..RunSettings::default() };
        let now = whole.now + Duration::from_secs(5);
        let past = facts.iter().cloned();
        let machine = RunMachine::restore_steered(plan.clone(), settings, strategy, past, (&[], None), 1, now);
        let mut scene = Scene { machine, facts, actions: Vec::new(), now };
        scene.poll();
        for task in ["a", "b", "c", "d"] {
            let adopted = scene.actions.iter().position(|action| match action {
                Action::Adopt(Adoption { order, .. }) => order.attempt == scene.attempt(task),
                _ => false,
            });
            let stopped = scene.actions.iter().position(|action| *action == Action::Stop(scene.attempt(task)));
            assert!(stopped.is_none() || adopted < stopped, "after {through} facts: {:?}", scene.actions);
        }
        for task in ["a", "b"] {
            if scene.machine.is_current(scene.attempt(task)) {
                scene.replied(task);
            }
        }
        scene.obey();
        assert!(scene.machine.is_finished(), "after {through} facts: {:?}", scene.actions);
        scene.assert_unneeded(&["c", "on_c", "d"]);
        assert_eq!(scene.outcome(), whole.outcome(), "after {through} facts");
    }
}

fn judged() -> Spelling {
    Spelling {
        name: "best".to_owned(),
        caller: Some("judge".to_owned()),
        enough: Some(json!(8)),
        ..Spelling::default()
    }
}

fn judging(plan: &Arc<Plan>) -> Scene {
    let mut scene = Scene::new("any", plan, 3);
    let strategy = Some(join(&judged(), plan));
    let settings = RunSettings { concurrency_max: 3, journaled: true, ..RunSettings::default() };
    (scene.machine, scene.facts) = (RunMachine::steered(plan.clone(), settings, strategy, 1, BEGIN), Vec::new());
    scene.actions.clear();
    scene.poll();
    scene
}

fn mark(task: &str, mark: Value) -> Word {
    Word::Mark { task: task.into(), mark }
}

#[test]
fn a_run_stays_open_for_marks_and_a_late_one_changes_nothing() {
    let plan = plan(&[("a", &[]), ("b", &[])]);
    let mut scene = judging(&plan);
    scene.replied("a");
    scene.replied("b");
    assert!(!scene.machine.is_finished());
    scene.machine.handle_word(&mark("a", json!(3)), scene.now);
    scene.machine.handle_word(&mark("b", json!(5)), scene.now);
    scene.poll();
    scene.obey();
    assert!(scene.machine.is_finished());
    let facts = scene.facts.len();
    scene.machine.handle_word(&mark("b", json!(9)), scene.now);
    scene.poll();
    assert_eq!(scene.facts.len(), facts);
    let outcome = scene.outcome();
    assert_eq!((&outcome["met"], &outcome["chosen"]), (&json!(false), &json!(["b"])));
}

#[test]
fn a_run_that_waits_for_marks_can_be_cancelled_or_run_out_of_time() {
    let plan = plan(&[("a", &[])]);
    for by_time in [false, true] {
        let mut scene = judging(&plan);
        scene.replied("a");
        if by_time {
            scene.now = scene.now + Duration::from_secs(1_000_000);
            scene.machine.handle_time(scene.now);
        } else {
            scene.machine.handle_cancel("enough of it", scene.now);
        }
        scene.poll();
        scene.obey();
        assert!(scene.machine.is_finished());
        assert!(matches!(scene.end_of("a"), End::Completed { .. }));
        assert_eq!(scene.outcome()["unmarked"], json!(["a"]));
    }
}

#[test]
fn marks_that_were_given_need_not_be_given_again() {
    let plan = plan(&[("a", &[]), ("b", &[]), ("c", &[])]);
    let mut whole = judging(&plan);
    whole.replied("a");
    whole.machine.handle_word(&mark("a", json!(3)), whole.now);
    whole.poll();
    whole.replied("b");
    for (first, is_over) in [(json!(8), true), (json!(2), false)] {
        let strategy = Some(join(&judged(), &plan));
        let settings = RunSettings { journaled: true, ..RunSettings::default() };
        let past = whole.facts.iter().cloned();
        let machine = RunMachine::restore_steered(plan.clone(), settings, strategy, past, (&[], None), 1, whole.now);
        let mut scene = Scene { machine, facts: whole.facts.clone(), actions: Vec::new(), now: whole.now };
        scene.poll();
        scene.machine.handle_word(&mark("b", first.clone()), scene.now);
        scene.poll();
        scene.obey();
        assert_eq!(scene.machine.is_finished(), is_over);
        if is_over {
            assert_eq!(scene.outcome()["scores"], json!({"a": 3.0, "b": 8.0}));
            scene.assert_unneeded(&["c"]);
        }
    }
}
