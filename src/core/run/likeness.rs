//! A machine that was made of facts is like the one that made them: random runs, compared after every step.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;

use super::restore::{Past, Reopening};
use super::steer::Steering;
use super::{RunMachine, RunSettings};
use crate::core::action::{Action, Adoption, AttemptRef, Report, Session};
use crate::core::budget::Budget;
use crate::core::fact::{End, Event, Fact, Status};
use crate::core::failure::{Ending, Refusal};
use crate::core::hierarchy::{ModelHierarchy, Tier};
use crate::core::output::{OutputFormat, STUCK_JSON};
use crate::core::plan::{Plan, Task};
use crate::core::record::{Phase, Record, State};
use crate::core::retry::RetryPolicy;
use crate::core::settings::Cleanup;
use crate::core::strategy::{Ask, KeptBack, Next, Strategy, Word};
use crate::core::time::Time;
use crate::core::usage::{Price, Tokens, Usage};

const BEGIN: Time = Time::from_millis(1_700_000_000_000);

fn plan(random: &mut Rng) -> Arc<Plan> {
    let price = Price { input: 1.0, output: 4.0, cache_read: 1.0, cache_write: 1.0 };
    let tiers = [("p/low", None), ("p/middle", Some(price)), ("p/high", None)];
    let tiers = tiers.map(|(model, price)| Tier { model: model.into(), price }).to_vec();
    let hierarchy = Arc::new(ModelHierarchy::new(tiers).expect("a hierarchy"));
    let task = |index: usize| Task {
        id: format!("t{index}").into(),
        agent_type: ["one", "other"][index % 2].into(),
        instructions: "".into(),
        brief: "Do it.".into(),
        contract: STUCK_JSON.into(),
        timeout: Duration::from_secs(60),
        deadline: (random.u8(0..3) == 0).then(|| Duration::from_secs(random.u64(30..300))),
        format: OutputFormat::Json,
        schema: None,
        priority: random.i64(0..3),
        dependencies: (0..index).filter(|_| random.u8(0..5) == 0).map(|index| format!("t{index}")).collect(),
        hierarchy: hierarchy.clone(),
    };
    Arc::new(Plan::new((0..8).map(task).collect()).expect("a plan"))
}

/// Adds tasks, asks, and has enough, by what it has heard.
#[derive(Debug)]
struct Chancy {
    seed: u64,
    heard: Vec<String>,
    like: Task,
    added: usize,
}

impl Chancy {
    fn hear(&mut self, what: String) -> Next {
        self.heard.push(what);
        let mut random = Rng::with_seed(self.seed ^ (self.heard.len() as u64) << 32);
        let known = |place: usize| if place < 8 { format!("t{place}") } else { format!("u{}", place - 8) };
        let mut add = Vec::new();
        for _ in 0..random.usize(0..3).min(6 - self.added) {
            let dependencies = (0..random.usize(0..3)).map(|_| known(random.usize(0..8 + self.added))).collect();
            add.push(Task { id: known(8 + self.added).into(), dependencies, ..self.like.clone() });
            self.added += 1;
        }
        let ask = match random.u8(0..8) {
            0 => Some(Ask::Approval(Arc::default())),
            1 if self.heard.len() < 20 => Some(Ask::Budget([self.like.clone()].into())),
            _ => None,
        };
        let enough = (random.u8(0..30) == 0).then(|| "enough".to_owned());
        Next { add, enough, ask }
    }
}

impl Strategy for Chancy {
    fn ended(&mut self, task: &Task, end: &End) -> Next {
        self.hear(format!("{} {}", task.id, end.status().name()))
    }

    fn told(&mut self, word: &Word) -> Next {
        self.hear(format!("{word:?}"))
    }

    fn grows(&self) -> bool {
        true
    }

    fn outcome(&self, kept_back: &KeptBack) -> Option<Value> {
        Some(format!("{:?} {kept_back:?}", self.heard).into())
    }
}

/// In half of the runs.
fn strategy(seed: u64, plan: &Plan) -> Option<Box<dyn Strategy>> {
    let like = plan.tasks()[0].clone();
    seed.is_multiple_of(2).then(|| Box::new(Chancy { seed, heard: Vec::new(), like, added: 0 }) as _)
}

fn settings(random: &mut Rng) -> RunSettings {
    let capped = random.bool();
    RunSettings {
        concurrency_max: random.usize(1..6),
        run_time_max: Duration::from_secs(if random.u8(0..4) == 0 { 200 } else { 100_000 }),
        retry: RetryPolicy { retries_min: random.u32(0..20), ..RetryPolicy::default() },
        budget: Budget { usd: capped.then_some(2.0), tokens: capped.then_some(900_000), ..Budget::default() },
        cleanup: if random.bool() { Cleanup::Delete } else { Cleanup::Keep },
        journaled: true,
        ..RunSettings::default()
    }
}

/// An answer that somebody still builds on.
fn needed(record: &Record) -> Option<&str> {
    record.answer.as_deref().filter(|_| record.dependents_open > 0)
}

/// All that decides what a machine does next, save for what it learns anew: limits, breakers.
fn likeness(machine: &RunMachine, past: Option<&Past>) -> String {
    let mut text = String::new();
    for (index, record) in machine.records.iter().enumerate() {
        let stopping = past.and_then(|past| past.open.get(&index)).and_then(|open| open.stopping);
        let state = match &record.state {
            State::Blocked { dependencies } => format!("blocked by {dependencies}"),
            State::Ready | State::Held | State::Delayed => "waits".to_owned(),
            State::Live(live) => match (live.phase, stopping) {
                (Phase::Stopping(why), _) | (_, Some(why)) => format!("{:?} is stopped: {why:?}", live.attempt),
                (phase, None) => format!("{:?} is {phase:?}", live.attempt),
            },
            State::Ended => {
                writeln!(text, "{index} has ended: {:?} {:?}", needed(record), record.replies).expect("a text");
                continue;
            }
        };
        let kept = (record.starts, record.spent_before, record.history, record.deadline, &record.raw);
        let told = (&record.objection, &record.unusable, &record.failed, &record.replies);
        writeln!(text, "{index} {state}: {kept:?} {told:?}").expect("a text");
    }
    let is_ordered = |state: &State| matches!(state, State::Live(live) if live.phase == Phase::Ordered);
    let ordered = machine.records.iter().filter(|record| is_ordered(&record.state)).count();
    assert_eq!(machine.ordered, ordered, "as many as are counted");
    let counts = (machine.live, machine.unended, machine.started, machine.retries, machine.facts_made);
    writeln!(text, "{counts:?} {:?} {:?}", machine.cancelled, machine.cancel_reason).expect("a text");
    let may_grow = machine.cancelled.is_none() && machine.starts_stopped.is_none();
    if let Some(Steering { strategy, kept_back, in_vain, asked, counting, enough, wanted, .. }) = &machine.steering {
        writeln!(text, "{strategy:?} {kept_back:?} {in_vain:?}").expect("a text");
        // What it wanted of a run that is to end is of no account.
        if may_grow {
            writeln!(text, "{asked:?} {counting:?} {enough:?} {wanted:?}").expect("a text");
        }
    }
    if machine.ledger.is_capped() {
        writeln!(text, "{:?}", machine.ledger).expect("a text");
    }
    text
}

/// A run whose world is chance.
struct Chance {
    machine: RunMachine,
    random: Rng,
    now: Time,
    seed: u64,
    facts: Vec<Fact>,
    /// Agents that were ordered, and whether their end was told.
    agents: BTreeMap<AttemptRef, bool>,
    deletions: Vec<AttemptRef>,
}

impl Chance {
    fn poll(&mut self) {
        while let Some(fact) = self.machine.poll_fact() {
            self.facts.push(fact);
        }
        self.machine.handle_persisted(self.facts.len() as u64);
        while let Some(action) = self.machine.poll_action() {
            match action {
                Action::Spawn(order) | Action::Adopt(Adoption { order, .. }) => {
                    self.agents.insert(order.attempt, false);
                }
                Action::Delete { attempt, .. } => self.deletions.push(attempt),
                Action::Look(_) | Action::Stop(_) => {}
            }
        }
    }

    fn step(&mut self) {
        self.now = self.now + Duration::from_millis(self.random.u64(0..2_000));
        let open: Vec<AttemptRef> = self.agents.keys().copied().collect();
        match self.random.u8(0..20) {
            0 => self.machine.handle_time(self.now),
            1 => {
                self.now = self.machine.next_deadline().map_or(self.now, |next| next.max(self.now));
                self.machine.handle_time(self.now);
            }
            2 if self.random.u8(0..20) == 0 => self.machine.handle_cancel("enough", self.now),
            6 if self.random.bool() => {
                let word = Word::Approval { approved: self.random.bool(), reason: "".into() };
                self.machine.handle_word(&word, self.now);
            }
            3..6 if !self.deletions.is_empty() => {
                let attempt = self.deletions.swap_remove(self.random.usize(0..self.deletions.len()));
                self.machine.handle_report(Report::Deleted { attempt }, self.now);
            }
            _ if open.is_empty() => self.machine.handle_time(self.now),
            _ => {
                let attempt = open[self.random.usize(0..open.len())];
                let report = self.report(attempt);
                if let Report::Ended { .. } = report {
                    self.agents.remove(&attempt);
                }
                self.machine.handle_report(report, self.now);
            }
        }
        self.poll();
    }

    fn report(&mut self, attempt: AttemptRef) -> Report {
        let boot = format!("life {}", self.random.u8(0..2)).into();
        let ending = match self.random.u8(0..24) {
            0..4 => {
                let session = Session { key: format!("{attempt:?}").into(), run_id: "run".into() };
                return Report::Spawned { attempt, session };
            }
            4..8 => return Report::Started { attempt, since: self.now },
            8 => return Report::Met { boot },
            9..14 => Ending::Replied(format!("{{\"n\": {}}}", self.random.u8(..))),
            14 => Ending::Replied("STUCK: which one?".to_owned()),
            15 | 16 => Ending::Replied(["nothing", "still nothing"][self.random.usize(0..2)].to_owned()),
            17 => Ending::Failed { message: "HTTP 503".to_owned() },
            18 => Ending::TimedOut,
            19 => Ending::Refused(Refusal { code: "UNAVAILABLE".to_owned(), retryable: true, ..Refusal::default() }),
            20 => Ending::Stopped { reason: "rpc".to_owned() },
            21 => Ending::Unstoppable { reason: "lost track".to_owned() },
            _ => Ending::Lost { reason: "gone".to_owned() },
        };
        let (input, output) = (self.random.u64(0..60_000), self.random.u64(0..3_000));
        let tokens = Tokens { input, output, total: input + output, ..Tokens::default() };
        let usage = Usage { tokens: self.random.bool().then_some(tokens), cost: self.random.bool().then_some(0.02) };
        Report::Ended { attempt, ending, usage, model_used: None, partial: None }
    }

    fn compare(&self, seed: u64) {
        let blank = RunMachine::blank(self.machine.plan.clone(), self.machine.settings.clone(), seed, self.now);
        let blank = blank.steered_by(strategy(seed, &self.machine.plan));
        let (machine, past) = blank.recalled(self.facts.iter().cloned(), seed);
        assert!(past.unfollowed.is_empty(), "seed {seed}: {:?} were followed by nothing", past.unfollowed.keys());
        let (live, recalled) = (likeness(&self.machine, None), likeness(&machine, Some(&past)));
        for (live, recalled) in live.lines().zip(recalled.lines()) {
            assert_eq!(live, recalled, "seed {seed}, after {:?}", self.facts.last());
        }
        let released = |machine: &RunMachine| machine.sessions.awaiting_deletion();
        let (live, recalled) = (released(&self.machine), released(&machine));
        assert!(live.is_subset(&recalled), "seed {seed}: {live:?} are to be deleted, recalled were {recalled:?}");
    }

    /// What somebody who resumes the finished run opens again.
    fn reopenings(&self) -> Vec<Reopening> {
        let mut ends = BTreeMap::new();
        for fact in &self.facts {
            if let Event::TaskEnded { task_index, end } = &fact.event {
                ends.insert(*task_index, end.clone());
            }
        }
        ends.retain(|_, end| matches!(end.status(), Status::NeedsInput | Status::Failed | Status::Skipped));
        let answer = |end: &End| matches!(end, End::NeedsInput { .. }).then(|| "that one".into());
        ends.iter().map(|(index, end)| Reopening { task_index: *index, answer: answer(end) }).collect()
    }

    fn resume(&mut self, reopening: &[Reopening]) {
        self.now = self.now + Duration::from_secs(self.random.u64(0..40));
        self.agents.clear();
        self.deletions.clear();
        self.machine = RunMachine::restore_steered(
            self.machine.plan.clone(),
            self.machine.settings.clone(),
            strategy(self.seed, &self.machine.plan),
            self.facts.iter().cloned(),
            (reopening, None),
            7,
            self.now,
        );
        self.poll();
    }
}

#[test]
fn a_machine_made_of_facts_is_like_the_one_that_made_them() {
    let (mut reopened, mut resumed) = (0, 0);
    for seed in 0..400 {
        let mut random = Rng::with_seed(seed);
        let (plan, settings) = (plan(&mut random), settings(&mut random));
        let machine = RunMachine::steered(plan.clone(), settings, strategy(seed, &plan), seed, BEGIN);
        let (facts, agents, deletions) = (Vec::new(), BTreeMap::new(), Vec::new());
        let mut run = Chance { machine, random, now: BEGIN, seed, facts, agents, deletions };
        run.poll();
        for _ in 0..3 {
            while !run.machine.is_finished() {
                run.compare(seed);
                run.step();
                if run.random.u8(0..60) == 0 {
                    run.resume(&[]);
                    resumed += 1;
                }
            }
            let reopening = run.reopenings();
            run.resume(&reopening);
            reopened += usize::from(!run.machine.is_finished());
        }
    }
    assert!(reopened > 100 && resumed > 100, "{reopened} were opened again, {resumed} resumed");
}

/// The facts of one run with everything in it.
fn some_run(seed: u64) -> Chance {
    let mut random = Rng::with_seed(seed);
    let (plan, settings) = (plan(&mut random), settings(&mut random));
    let machine = RunMachine::steered(plan.clone(), settings, strategy(seed, &plan), seed, BEGIN);
    let (facts, agents, deletions) = (Vec::new(), BTreeMap::new(), Vec::new());
    let mut run = Chance { machine, random, now: BEGIN, seed, facts, agents, deletions };
    run.poll();
    while !run.machine.is_finished() {
        run.step();
    }
    let reopening = run.reopenings();
    run.resume(&reopening);
    while !run.machine.is_finished() {
        run.step();
    }
    run
}

#[test]
fn a_machine_made_of_any_facts_at_all_goes_on_to_its_end() {
    for seed in 0..400 {
        let mut run = some_run(seed);
        let mut facts = Vec::new();
        for fact in &run.facts {
            // Without some, with some twice, and with some at another place.
            for _ in 0..[1, 1, 1, 1, 0, 2][run.random.usize(0..6)] {
                facts.push(fact.clone());
            }
        }
        for _ in 0..run.random.usize(0..5) {
            let (one, other) = (run.random.usize(0..facts.len()), run.random.usize(0..facts.len()));
            facts.swap(one, other);
        }
        facts.truncate(run.random.usize(0..=facts.len()));
        run.facts = facts;
        run.resume(&[]);
        for _ in 0..3_000 {
            run.step();
        }
        run.now = run.now + Duration::from_secs(1_000_000);
        for _ in 0..100 {
            run.now = run.now + Duration::from_secs(100);
            run.machine.handle_time(run.now);
            run.poll();
        }
        assert!(run.machine.is_finished(), "seed {seed}: it waits for {:?}", run.machine.next_deadline());
    }
}
