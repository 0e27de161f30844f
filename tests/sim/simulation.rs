//! One simulated run: carries time, letters, cancels and durability into the machine, its actions into the world, and
//! shows every moment of it to the invariants.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use parallel_agents::core::action::AttemptRef;
use parallel_agents::core::fact::{End, Event, Fact, Outcome, StopReason};
use parallel_agents::core::failure::FailureKind;
use parallel_agents::core::run::{Reopening, RunMachine};
use parallel_agents::core::strategy::Word;
use parallel_agents::core::time::Time;

use super::book::{Book, Input, Moment, TaskPage, address};
use super::invariants::{self, Heard, Invariant, View};
use super::scene::{BEGIN, Scene, span};
use super::truth::{Truth, truth};
use super::world::{Letter, World};

/// How long the machine may oversleep.
pub const OVERSLEPT_MAX: Duration = Duration::from_secs(2);
/// Inputs that a run may take. The largest of the first 5,000 seeds takes about half of it.
const STEPS_MAX: usize = 100_000;

/// An invariant that did not hold.
#[derive(Debug)]
pub struct Breach {
    pub invariant: &'static str,
    step: usize,
    detail: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "invariant `{}` broken in step {}: {}", self.invariant, self.step, self.detail)
    }
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Summary {
    pub facts: Vec<Fact>,
    pub steps: usize,
}

/// Plays the scene to its end, under all invariants or one.
pub fn play(scene: &Scene, only: Option<&str>) -> Result<Summary, Breach> {
    let (strategy, log) = scene.steering.as_ref().map(|steering| steering.begin(&scene.plan)).unzip();
    let machine = RunMachine::steered(scene.plan.clone(), scene.settings.clone(), strategy, scene.seed, BEGIN);
    let mut simulation = Simulation {
        machine,
        scene,
        book: Book::new(scene, log),
        world: World::new(scene),
        random: Rng::with_seed(scene.seed ^ 0x7469_6d65),
        persist_at: None,
        deaths: 0,
        reopened: 0,
        journal_lost: scene.journal_lost,
        cancels: scene.cancels.clone(),
        strays: scene.strays.clone(),
        answer: Answer::Undecided,
        invariants: invariants::ALL.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)).collect(),
        summary: Summary::default(),
    };
    simulation.run()?;
    Ok(simulation.summary)
}

struct Simulation<'scene> {
    machine: RunMachine,
    scene: &'scene Scene,
    book: Book<'scene>,
    world: World<'scene>,
    random: Rng,
    persist_at: Option<Time>,
    /// How often the machine has died.
    deaths: u32,
    /// How often the run was opened again.
    reopened: u32,
    journal_lost: Option<Time>,
    /// Cancels to come, in order.
    cancels: Vec<Time>,
    /// Words to come that may not be waited for.
    strays: Vec<Time>,
    /// When somebody gives the word that is waited for.
    answer: Answer,
    invariants: Vec<&'static (&'static str, Invariant)>,
    summary: Summary,
}

/// When somebody gives the word that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Undecided,
    Never,
    At(Time),
}

/// What may come next, at one and the same time the first before the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    JournalLost,
    Cancel,
    Persist,
    Word,
    Stray,
    World,
    Time,
}

impl Simulation<'_> {
    fn run(&mut self) -> Result<(), Breach> {
        self.step(&Input::Begin)?;
        self.play_out()?;
        while self.reopened < self.scene.reopenings {
            self.reopened += 1;
            let reopening = if self.book.journals { self.reopening() } else { Vec::new() };
            self.go_on(self.book.durable_at_most(), &reopening, false)?;
            self.play_out()?;
        }
        self.after_the_end()
    }

    /// To the end, however often the machine dies.
    fn play_out(&mut self) -> Result<(), Breach> {
        while !self.machine.is_finished() {
            if self.summary.steps > STEPS_MAX {
                return Err(self.breach("every_run_ends", format!("no end after {STEPS_MAX} inputs")));
            }
            if self.deaths < self.scene.deaths_max && self.random.f64() < self.scene.death {
                self.deaths += 1;
                let durable = self.random.u64(self.book.facts_durable..=self.book.durable_at_most());
                let ends = self.scene.stops_on_resume && self.random.u8(0..3) == 0;
                self.go_on(durable, &[], ends)?;
                continue;
            }
            let Some((time, next)) = self.next() else {
                return Err(self.breach("every_run_ends", "nothing is left to happen".to_owned()));
            };
            self.book.now = self.book.now.max(time);
            match next {
                Next::JournalLost => {
                    self.journal_lost = None;
                    self.step(&Input::JournalLost)?;
                    self.persist_at = None;
                }
                Next::Cancel => {
                    self.cancels.remove(0);
                    self.step(&Input::Cancel)?;
                }
                Next::Persist => {
                    self.persist_at = None;
                    let through = self.random.u64(self.book.facts_durable + 1..=self.book.facts_made);
                    self.step(&Input::Persisted(through))?;
                }
                Next::Word => {
                    self.answer = Answer::Undecided;
                    let word = self.word();
                    self.step(&Input::Word(word))?;
                }
                Next::Stray => {
                    self.strays.remove(0);
                    let word = self.any_word();
                    self.step(&Input::Word(word))?;
                }
                Next::World => {
                    if let Some(letter) = self.world.advance() {
                        self.deliver(letter)?;
                    }
                }
                Next::Time => self.step(&Input::Time)?,
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Option<(Time, Next)> {
        if self.persist_at.is_none() && !self.book.is_durable() {
            self.persist_at = Some(self.book.now + span(&mut self.random, &[0, 20, 20, 1_000, 20_000]));
        }
        if !self.book.awaits_word() {
            self.answer = Answer::Undecided;
        } else if self.answer == Answer::Undecided {
            let comes = self.random.f64() < self.scene.answering;
            let at = self.book.now + span(&mut self.random, &[0, 1_000, 60_000]);
            self.answer = if comes { Answer::At(at) } else { Answer::Never };
        }
        let oversleeps = self.random.f64() < self.scene.temper.oversleeping;
        let late = if oversleeps { span(&mut self.random, &[2, 2_000]) } else { Duration::ZERO };
        let candidates = [
            self.journal_lost.map(|time| (time, Next::JournalLost)),
            self.cancels.first().map(|time| (*time, Next::Cancel)),
            self.persist_at.map(|time| (time, Next::Persist)),
            if let Answer::At(time) = self.answer { Some((time, Next::Word)) } else { None },
            self.strays.first().map(|time| (*time, Next::Stray)),
            self.world.next_time().map(|time| (time, Next::World)),
            self.machine.next_deadline().map(|time| (time + late, Next::Time)),
        ];
        candidates.into_iter().flatten().min()
    }

    /// The machine is gone with all that is not durable. The world goes on, and after a while another machine does too.
    fn go_on(&mut self, durable: u64, reopening: &[Reopening], ends: bool) -> Result<(), Breach> {
        self.summary.facts.truncate(usize::try_from(durable).unwrap_or(usize::MAX));
        self.persist_at = None;
        let now = self.book.now + span(&mut self.random, &[0, 1_000, 100_000]);
        self.world.bury();
        while self.world.next_time().is_some_and(|time| time <= now) {
            self.world.advance();
        }
        self.world.bury();
        let (strategy, log) = self.scene.steering.as_ref().map(|steering| steering.begin(&self.scene.plan)).unzip();
        let mut plan = self.scene.plan.clone();
        for fact in &self.summary.facts {
            if let Event::TasksAdded { first, tasks } = &fact.event {
                plan.grow(*first, tasks);
            }
        }
        let (facts, settings) = (self.summary.facts.clone(), self.scene.settings.clone());
        let how = (reopening, ends.then_some("somebody ended it"));
        self.machine = RunMachine::restore_steered(plan, settings, strategy, facts, how, self.scene.seed, now);
        self.book = self.book.reborn(&self.summary.facts, log, now);
        self.answer = Answer::Undecided;
        self.step(&Input::Restart { only_ends: ends })
    }

    /// What somebody opens again: all that asked something, and some of what failed.
    fn reopening(&mut self) -> Vec<Reopening> {
        let mut reopening = Vec::new();
        for (task_index, task) in self.book.tasks.iter().enumerate() {
            // Whoever does this has seen to it that none of its agents runs any more.
            let may_run =
                |attempt: &AttemptRef| truth(&self.book.attempts[attempt]) == Truth::Failed(FailureKind::Permanent);
            if task.spent.iter().any(may_run) {
                continue;
            }
            let answer = match &task.end {
                Some(End::NeedsInput { question, .. }) => Some(format!("the one that you mean by {question:?}").into()),
                Some(End::Completed { .. }) | None => None,
                Some(_) if self.random.bool() => None,
                Some(_) => continue,
            };
            reopening.push(Reopening { task_index, answer });
        }
        reopening
    }

    /// What is stale is told right after the time, so that whatever comes of it can only come of it.
    fn deliver(&mut self, letter: Letter) -> Result<(), Breach> {
        if self.book.is_stale(&letter.report) {
            self.step(&Input::Time)?;
        }
        if self.machine.is_finished() {
            return Ok(());
        }
        self.step(&Input::Letter(Box::new(letter)))
    }

    /// Whatever comes after the end, the machine has nothing to say to it.
    fn after_the_end(&mut self) -> Result<(), Breach> {
        for _ in 0..5 {
            self.book.now = self.book.now + Duration::from_secs(60);
            if let Some(letter) = self.world.advance() {
                self.step(&Input::Letter(Box::new(letter)))?;
            }
        }
        self.step(&Input::Time)?;
        let word = self.any_word();
        self.step(&Input::Word(word))?;
        self.step(&Input::Cancel)
    }

    /// What is waited for.
    fn word(&mut self) -> Word {
        let is_asked = self.book.steered.as_ref().is_some_and(|steered| steered.asked);
        let is_marked = self.book.steered.as_ref().is_some_and(|steered| steered.waits);
        if is_asked && (!is_marked || self.random.bool()) {
            return Word::Approval { approved: self.random.u8(0..4) > 0, reason: "so it is".into() };
        }
        let completed = |page: &&TaskPage| matches!(page.end, Some(End::Completed { .. }));
        let count = self.book.tasks.iter().filter(completed).count().max(1);
        let nth = self.random.usize(0..count);
        let found = self.book.tasks.iter().enumerate().filter(|(_, page)| completed(page)).nth(nth);
        let task = found.map_or("nobody's".into(), |(index, _)| self.book.plan().tasks()[index].id.clone());
        Word::Mark { task, mark: self.random.u8(0..3).into() }
    }

    /// What may not be waited for.
    fn any_word(&mut self) -> Word {
        match self.random.u8(0..3) {
            0 => Word::Approval { approved: true, reason: "".into() },
            1 => Word::Budget { complaint: None },
            _ => Word::Mark { task: "task_0".into(), mark: 1.into() },
        }
    }

    fn step(&mut self, input: &Input) -> Result<(), Breach> {
        self.summary.steps += 1;
        let heard = match input {
            Input::Letter(letter) if self.book.is_echo(&letter.report) => Heard::Echo,
            Input::Letter(letter) if !self.book.is_open(address(&letter.report).1) => Heard::Late,
            Input::Letter(_)
            | Input::Begin
            | Input::Restart { .. }
            | Input::Time
            | Input::Cancel
            | Input::JournalLost
            | Input::Word(_)
            | Input::Persisted(_) => Heard::InTime,
        };
        let now = self.book.now;
        self.show(&Moment::Input(input), heard, input)?;
        match input {
            Input::Begin | Input::Restart { .. } => {}
            Input::Time => self.machine.handle_time(now),
            Input::JournalLost => self.machine.handle_journal_lost("the disk is full", now),
            Input::Cancel => self.machine.handle_cancel("somebody cancelled", now),
            Input::Persisted(through) => self.machine.handle_persisted(*through),
            Input::Word(word) => self.machine.handle_word(word, now),
            Input::Letter(letter) => self.machine.handle_report(letter.report.clone(), now),
        }
        while let Some(fact) = self.machine.poll_fact() {
            self.show(&Moment::Fact(&fact), heard, input)?;
            self.summary.facts.push(fact);
        }
        while let Some(action) = self.machine.poll_action() {
            self.show(&Moment::Action(&action), heard, input)?;
            self.world.begin(action, self.book.plan(), now);
        }
        self.show(&Moment::Settled(input), heard, input)
    }

    fn show(&mut self, moment: &Moment<'_>, heard: Heard, input: &Input) -> Result<(), Breach> {
        let view = View { book: &self.book, world: &self.world, machine: &self.machine, heard, input };
        for (invariant, holds) in &self.invariants {
            if let Err(detail) = holds(&view, moment) {
                let detail = format!("{detail}\n    at {moment:?}\n    of {input:?}");
                return Err(self.breach(invariant, detail));
            }
        }
        self.book.note(moment);
        Ok(())
    }

    fn breach(&self, invariant: &'static str, detail: String) -> Breach {
        Breach { invariant, step: self.summary.steps, detail }
    }
}

/// How often each kind of thing happened, to see that the seeds reach it.
pub fn census(facts: &[Fact], counts: &mut BTreeMap<String, usize>) {
    let (mut open, mut adopted) = (BTreeSet::new(), BTreeSet::new());
    for fact in facts {
        match &fact.event {
            Event::AttemptPlanned { attempt, .. } => {
                open.insert(*attempt);
            }
            Event::RunResumed { .. } => adopted.clone_from(&open),
            Event::AttemptEnded { attempt, outcome, .. } => {
                open.remove(attempt);
                if adopted.remove(attempt) {
                    let name = if *outcome == Outcome::Completed { "completed" } else { "did not complete" };
                    *counts.entry(format!("an adopted attempt {name}")).or_default() += 1;
                }
            }
            _ => {}
        }
        let name = match &fact.event {
            Event::AttemptEnded { outcome: Outcome::Failed { kind, reason }, .. } => {
                let given_up = if reason.contains("did not confirm") { ", given up" } else { "" };
                format!("attempt failed: {kind:?}{given_up}")
            }
            Event::AttemptEnded { outcome: Outcome::NeedsInput { .. }, .. } => "attempt ended: NeedsInput".to_owned(),
            Event::AttemptEnded { outcome, .. } => format!("attempt ended: {outcome:?}"),
            Event::AttemptStopping { why, .. } => format!("attempt stopping: {why:?}"),
            Event::TaskEnded { end, .. } => {
                let reason = end.reason().unwrap_or_default();
                let whys = ["the very same answer", "(retries_share, retries_min)", "are left alone"];
                let why = whys.iter().find(|why| reason.contains(**why));
                format!("task {}{}", end.status().name(), why.map(|why| format!(": {why}")).unwrap_or_default())
            }
            Event::BudgetReached { cap, .. } => format!("budget reached: {}", cap.name()),
            Event::BreakerOpened { until: None, .. } => "breaker opened for good".to_owned(),
            Event::BreakerOpened { .. } => "breaker opened".to_owned(),
            Event::TaskReopened { was, .. } => format!("task reopened: {}", was.name()),
            Event::StartsStopped { .. } => "starts stopped".to_owned(),
            Event::SessionDeleted { .. } => "session deleted".to_owned(),
            Event::SessionLeft { reason, .. } => format!("session left: {reason}"),
            Event::AttemptRefused { .. } => "attempt refused".to_owned(),
            Event::LimitRaised { .. } => "limit raised".to_owned(),
            Event::Cancelled { why: StopReason::Cancel, .. } => "cancelled".to_owned(),
            Event::Cancelled { .. } => "run deadline".to_owned(),
            Event::RunResumed { .. } => "run resumed".to_owned(),
            Event::TasksAdded { .. } => "tasks added".to_owned(),
            Event::ApprovalAsked { .. } => "approval asked".to_owned(),
            Event::WordGiven { word: Word::Approval { approved, .. } } => format!("approved: {approved}"),
            Event::WordGiven { word: Word::Budget { complaint } } => format!("budget bears: {}", complaint.is_none()),
            Event::WordGiven { word: Word::Mark { .. } } => "marked".to_owned(),
            Event::OutcomeReached { .. } => "outcome reached".to_owned(),
            Event::RunStarted { .. }
            | Event::AttemptPlanned { .. }
            | Event::AttemptAccepted { .. }
            | Event::AttemptStarted { .. }
            | Event::RetryPlanned { .. }
            | Event::RuntimeMet { .. }
            | Event::RunEnded => continue,
        };
        *counts.entry(name).or_default() += 1;
    }
}
