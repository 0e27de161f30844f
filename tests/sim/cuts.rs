//! One run, cut after every single fact and gone on with: it always comes to the same.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parallel_agents::core::action::{Action, AttemptRef, Report, Session};
use parallel_agents::core::fact::{Event, Fact, Status};
use parallel_agents::core::failure::Ending;
use parallel_agents::core::hierarchy::ModelHierarchy;
use parallel_agents::core::output::{OutputFormat, STUCK_JSON};
use parallel_agents::core::plan::{Plan, Task};
use parallel_agents::core::run::RunMachine;
use parallel_agents::core::settings::RunSettings;
use parallel_agents::core::time::Time;
use parallel_agents::core::usage::{Tokens, Usage};

use super::scene::BEGIN;

const TASKS: usize = 50;

/// Fifty tasks, each of which builds on up to two that come before it.
fn plan() -> Arc<Plan> {
    let hierarchy = Arc::new(ModelHierarchy::of_names(["p/low", "p/high"]).expect("a hierarchy"));
    let dependencies = |index: usize| match index {
        0..10 => Vec::new(),
        _ if index.is_multiple_of(3) => vec![format!("t{}", index - 10), format!("t{}", index / 2)],
        _ => vec![format!("t{}", index - 7)],
    };
    let task = |index: usize| Task {
        id: format!("t{index}").into(),
        agent_type: "code_reviewer".into(),
        instructions: "".into(),
        brief: format!("Do {index}.").into(),
        contract: format!("As JSON.\n\n{STUCK_JSON}").into(),
        timeout: Duration::from_secs(60),
        deadline: None,
        format: OutputFormat::Json,
        schema: None,
        priority: i64::try_from(index % 4).unwrap_or(0),
        dependencies: dependencies(index),
        hierarchy: hierarchy.clone(),
    };
    Arc::new(Plan::new((0..TASKS).map(task).collect()).expect("a plan"))
}

/// How the agents of a task end, one after the other.
fn script(task: usize) -> &'static [&'static str] {
    match task % 12 {
        1 => &["HTTP 503", "answer"],
        3 => &["no JSON", "answer"],
        5 => &["HTTP 401", "HTTP 401"],
        7 => &["interrupted by a gateway restart", "HTTP 429", "answer"],
        9 if task > 20 => &["STUCK: which one?"],
        _ => &["answer"],
    }
}

/// What came of a run: how each task ended, and how many agents each has had.
#[derive(Debug, PartialEq)]
struct Outcome {
    ends: BTreeMap<usize, (Status, Option<String>)>,
    agents: BTreeMap<usize, usize>,
}

/// A world that outlives machines: agents that were ordered, each with its end.
#[derive(Default)]
struct World {
    agents: BTreeMap<usize, Vec<AttemptRef>>,
    ends: BTreeMap<AttemptRef, &'static str>,
    letters: VecDeque<Report>,
}

impl World {
    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Spawn(order) => {
                let attempt = order.attempt;
                let agents = self.agents.entry(attempt.task_index).or_default();
                let end = script(attempt.task_index).get(agents.len());
                self.ends.insert(attempt, end.unwrap_or_else(|| panic!("{attempt:?} is one agent too many")));
                agents.push(attempt);
                self.tell(attempt);
            }
            Action::Adopt(adoption) => {
                let attempt = adoption.order.attempt;
                if self.ends.contains_key(&attempt) {
                    self.tell(attempt);
                } else {
                    let usage = Usage { tokens: Some(Tokens::default()), cost: Some(0.0) };
                    self.tell_end(attempt, Ending::Lost { reason: "it was never started".to_owned() }, usage);
                }
            }
            Action::Delete { attempt, .. } => self.letters.push_back(Report::Deleted { attempt }),
            Action::Look(_) | Action::Stop(_) => {}
        }
    }

    fn tell(&mut self, attempt: AttemptRef) {
        let session = Session { key: format!("{attempt:?}").into(), run_id: "run".into() };
        self.letters.push_back(Report::Spawned { attempt, session });
        let ending = match self.ends[&attempt] {
            "answer" => Ending::Replied(format!("{{\"of\": {}}}", attempt.task_index)),
            text @ ("no JSON" | "STUCK: which one?") => Ending::Replied(text.to_owned()),
            message => Ending::Failed { message: message.to_owned() },
        };
        self.tell_end(attempt, ending, Usage::default());
    }

    fn tell_end(&mut self, attempt: AttemptRef, ending: Ending, usage: Usage) {
        self.letters.push_back(Report::Ended { attempt, ending, usage, model_used: None, partial: None });
    }
}

/// A run whose facts become durable one by one.
struct Run {
    machine: RunMachine,
    world: World,
    now: Time,
    facts: Vec<Fact>,
    durable: usize,
}

impl Run {
    /// Goes on until so many facts are durable, or to the end.
    fn go_on(&mut self, facts_max: usize) {
        loop {
            self.facts.extend(std::iter::from_fn(|| self.machine.poll_fact()));
            if self.durable == facts_max {
                return;
            }
            if self.durable < self.facts.len() {
                self.durable += 1;
                self.machine.handle_persisted(self.durable as u64);
            }
            while let Some(action) = self.machine.poll_action() {
                self.world.carry_out(action);
            }
            if self.durable < self.facts.len() {
                continue;
            }
            if self.machine.is_finished() {
                return;
            }
            if let Some(letter) = self.world.letters.pop_front() {
                self.machine.handle_report(letter, self.now);
            } else {
                self.now = self.machine.next_deadline().unwrap_or(self.now).max(self.now);
                self.machine.handle_time(self.now);
            }
        }
    }

    fn result(&self) -> Outcome {
        let ends = self.facts.iter().filter_map(|fact| match &fact.event {
            Event::TaskEnded { task_index, end } => {
                Some((*task_index, (end.status(), end.output().map(ToString::to_string))))
            }
            _ => None,
        });
        let ends: Vec<_> = ends.collect();
        assert_eq!(ends.len(), TASKS, "each ends once");
        let mut sessions = BTreeMap::new();
        for fact in &self.facts {
            match &fact.event {
                Event::AttemptAccepted { attempt, .. } => *sessions.entry(*attempt).or_insert(0) += 1,
                Event::SessionDeleted { attempt } => *sessions.entry(*attempt).or_insert(0) -= 1,
                _ => {}
            }
        }
        assert!(sessions.values().all(|left| *left == 0), "each session is deleted once: {sessions:?}");
        let agents = self.world.agents.iter().map(|(task, agents)| (*task, agents.len())).collect();
        Outcome { ends: ends.into_iter().collect(), agents }
    }
}

fn settings() -> RunSettings {
    RunSettings { journaled: true, concurrency_max: 7, ..RunSettings::default() }
}

/// Runs the plan, and lets the machine die when so many facts are durable, if it comes that far.
fn run(plan: &Arc<Plan>, cut: usize) -> Run {
    let machine = RunMachine::new(plan.clone(), settings(), 7, BEGIN);
    let mut run = Run { machine, world: World::default(), now: BEGIN, facts: Vec::new(), durable: 0 };
    run.go_on(cut);
    if run.durable == cut {
        run.facts.truncate(cut);
        run.world.letters.clear();
        run.now = run.now + Duration::from_secs(3);
        run.machine = RunMachine::restore(plan.clone(), settings(), run.facts.clone(), &[], 7, run.now);
        run.go_on(usize::MAX);
    }
    run
}

#[test]
fn a_run_that_is_cut_after_any_fact_comes_to_the_same() {
    let plan = plan();
    let whole = run(&plan, usize::MAX);
    let expected = whole.result();
    for status in [Status::Completed, Status::Failed, Status::NeedsInput, Status::Skipped] {
        assert!(expected.ends.values().any(|(other, _)| *other == status), "no task has {status:?}");
    }
    for cut in 0..=whole.facts.len() {
        let cut_run = run(&plan, cut);
        assert_eq!(cut_run.result(), expected, "cut after {cut} facts, the last of them {:?}", cut_run.facts.get(cut));
        let again = RunMachine::restore(plan.clone(), settings(), cut_run.facts.clone(), &[], 7, cut_run.now);
        assert!(again.is_finished() && again.next_deadline().is_none(), "what is finished stays so");
    }
}
