//! What is known of a run, written down as it happens and judged by nobody. The invariants read it.
//!
//! What the world sent is kept apart from what the machine's facts say: most invariants compare the two.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parallel_agents::core::action::{Action, Adoption, AttemptRef, Report, Session};
use parallel_agents::core::fact::{End, Event, Fact, Outcome, StopReason};
use parallel_agents::core::failure::Ending;
use parallel_agents::core::plan::Plan;
use parallel_agents::core::progress::Progress;
use parallel_agents::core::report::{Reporter, TaskReport};
use parallel_agents::core::time::Time;

use super::endings::Meaning;
use super::scene::{BEGIN, Scene};
use super::truth::{Truth, cost, truth};
use super::world::Letter;

/// What goes into the machine.
#[derive(Debug)]
pub enum Input {
    /// The run begins.
    Begin,
    /// Another machine goes on where one has died.
    Restart,
    Time,
    Cancel,
    Persisted(u64),
    Letter(Box<Letter>),
}

/// Something that an invariant looks at, before the book takes it in.
#[derive(Debug)]
pub enum Moment<'a> {
    Input(&'a Input),
    Fact(&'a Fact),
    Action(&'a Action),
    /// The machine has nothing more to say to this input.
    Settled(&'a Input),
}

/// Where a task stands, by what the machine was told and has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Blocked,
    Ready,
    /// Not before this time; ready once the machine was told that it has come.
    Delayed(Time),
    Live(AttemptRef),
    Ended,
}

/// One task.
#[derive(Debug)]
pub struct TaskPage {
    pub stage: Stage,
    pub starts: u32,
    /// The attempts that were spent, in order.
    pub spent: Vec<AttemptRef>,
    /// The tier of the next attempt.
    pub tier: usize,
    pub end: Option<End>,
    pub report: Option<TaskReport>,
}

/// One attempt.
#[derive(Debug)]
pub struct AttemptPage {
    pub planned_at: Time,
    pub planned_no: u64,
    pub tier: usize,
    pub model: Arc<str>,
    pub key: Arc<str>,
    pub handed_out: bool,
    /// Since when it works, as the machine was told while it was waiting to hear.
    pub since: Option<Time>,
    pub look_since: Time,
    pub stopping: Option<Stopping>,
    /// What the machine was told of its end, first, while it had not ended otherwise.
    pub told: Option<Told>,
    pub over: Option<Over>,
    /// Its session, as the machine was told, and the number of the fact that says so.
    pub session: Option<Session>,
    pub accepted_no: Option<u64>,
    /// Whether the machine was told of the session while the attempt was open.
    pub session_in_time: bool,
    pub session_gone: bool,
    pub deletion: Deletion,
    /// When it was taken up from a machine that had died, and why that one was stopping it, if it was.
    pub adopted_at: Option<Time>,
    pub stopped_before: Option<StopReason>,
    heard: Vec<&'static str>,
}

impl AttemptPage {
    /// Its order was taken back before anybody saw it.
    pub fn was_never_ordered(&self) -> bool {
        !self.handed_out && self.adopted_at.is_none()
    }
}

/// How far the deletion of a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    NotOrdered,
    Ordered,
    Done,
    Refused,
}

/// A stop, as the facts have it.
#[derive(Debug, Clone, Copy)]
pub struct Stopping {
    pub why: StopReason,
    pub at: Time,
    pub no: u64,
}

/// An end, as the world reported it.
#[derive(Debug, Clone)]
pub struct Told {
    pub meaning: Meaning,
    pub text: Option<String>,
    pub cost: Option<f64>,
    pub report: Report,
}

/// An end, as the facts have it.
#[derive(Debug, Clone)]
pub struct Over {
    pub at: Time,
    pub no: u64,
    /// None if it was refused as busy.
    pub outcome: Option<Outcome>,
}

/// The book.
pub struct Book<'scene> {
    pub scene: &'scene Scene,
    pub now: Time,
    /// When the latest fact was.
    pub fact_at: Time,
    pub facts_made: u64,
    pub facts_durable: u64,
    pub tasks: Vec<TaskPage>,
    pub attempts: BTreeMap<AttemptRef, AttemptPage>,
    pub keys: BTreeSet<Arc<str>>,
    /// The limit in force.
    pub limit: usize,
    /// The latest time until which a refusal held starts back.
    pub hold: Time,
    /// Since when its time counts: moved on by what nobody ran it.
    pub begun: Time,
    /// When it was begun, by the clock.
    pub run_started: Time,
    /// How many machines have run it.
    pub lives: u32,
    /// The fact that the latest of them began with.
    pub resumed_no: u64,
    /// Attempts that it has yet to ask about.
    pub to_adopt: BTreeSet<AttemptRef>,
    pub cancels: u32,
    pub ended_early: Option<StopReason>,
    pub ended: bool,
    /// The tasks whose report came with this input.
    pub reports_of_step: Vec<usize>,
    /// The fold under test.
    pub progress: Progress,
    /// The same, counted from what the world saw.
    pub count: Progress,
    reporter: Reporter,
}

impl<'scene> Book<'scene> {
    pub fn new(scene: &'scene Scene) -> Self {
        let tasks = scene.plan.tasks().len();
        let page = |index: usize| TaskPage {
            stage: if scene.plan.dependencies(index).is_empty() { Stage::Ready } else { Stage::Blocked },
            starts: 0,
            spent: Vec::new(),
            tier: 0,
            end: None,
            report: None,
        };
        Self {
            scene,
            now: BEGIN,
            fact_at: BEGIN,
            facts_made: 0,
            facts_durable: 0,
            tasks: (0..tasks).map(page).collect(),
            attempts: BTreeMap::new(),
            keys: BTreeSet::new(),
            limit: scene.settings.concurrency_max,
            hold: BEGIN,
            begun: BEGIN,
            run_started: BEGIN,
            lives: 1,
            resumed_no: 0,
            to_adopt: BTreeSet::new(),
            cancels: 0,
            ended_early: None,
            ended: false,
            reports_of_step: Vec::new(),
            progress: Progress::default(),
            count: Progress { tasks, ..Progress::default() },
            reporter: Reporter::new(&scene.plan),
        }
    }

    /// The book of a machine that is made of these facts now: what only the dead one knew is forgotten, what the world
    /// did is not.
    pub fn reborn(&self, facts: &[Fact], now: Time) -> Self {
        let mut book = Self { now, lives: self.lives + 1, ..Self::new(self.scene) };
        for fact in facts {
            book.recall(&self.attempts, fact);
        }
        book.facts_durable = book.facts_made;
        book.reports_of_step.clear();
        let open: Vec<AttemptRef> = book.open().map(|(attempt, _)| attempt).collect();
        for attempt in open {
            let Some(page) = book.attempts.get_mut(&attempt).filter(|page| page.over.is_none()) else { continue };
            (page.adopted_at, page.look_since) = (Some(now), now);
            page.stopped_before = page.stopping.take().map(|stopping| stopping.why);
            book.to_adopt.insert(attempt);
        }
        book
    }

    /// Takes a fact in that another machine has made.
    fn recall(&mut self, before: &BTreeMap<AttemptRef, AttemptPage>, fact: &Fact) {
        match &fact.event {
            Event::AttemptRefused { attempt, .. } | Event::AttemptEnded { attempt, .. } => {
                let told = before.get(attempt).and_then(|page| page.told.clone());
                if let Some(told) = &told {
                    self.count_end(&told.meaning, told.cost);
                }
                if let Some(page) = self.attempts.get_mut(attempt) {
                    page.told = told;
                }
            }
            Event::AttemptAccepted { attempt, session } => {
                let open = self.is_open(*attempt) && self.attempts[attempt].over.is_none();
                if let Some(page) = self.attempts.get_mut(attempt) {
                    page.session = Some(session.clone());
                    page.session_in_time = open;
                }
            }
            Event::AttemptStarted { attempt, since } => {
                if let Some(page) = self.attempts.get_mut(attempt) {
                    page.since = Some(*since);
                }
            }
            Event::SessionDeleted { attempt } | Event::SessionLeft { attempt, .. } => {
                if let (Some(page), Some(before)) = (self.attempts.get_mut(attempt), before.get(attempt)) {
                    page.deletion = before.deletion;
                }
            }
            Event::Cancelled { why: StopReason::Cancel, .. } => self.cancels = 1,
            _ => {}
        }
        self.note_fact(fact);
        if let Event::AttemptPlanned { attempt, .. } = &fact.event
            && let (Some(page), Some(before)) = (self.attempts.get_mut(attempt), before.get(attempt))
        {
            (page.handed_out, page.adopted_at) = (before.handed_out, before.adopted_at);
        }
    }

    pub fn plan(&self) -> &'scene Plan {
        &self.scene.plan
    }

    /// The page of an attempt that has been planned.
    pub fn attempt(&self, attempt: AttemptRef) -> Option<&AttemptPage> {
        self.attempts.get(&attempt)
    }

    /// Attempts that were planned and are not over.
    pub fn open(&self) -> impl Iterator<Item = (AttemptRef, &AttemptPage)> {
        self.tasks.iter().filter_map(|task| match task.stage {
            Stage::Live(attempt) => Some((attempt, &self.attempts[&attempt])),
            Stage::Blocked | Stage::Ready | Stage::Delayed(_) | Stage::Ended => None,
        })
    }

    /// Whether the attempt was planned and is not over.
    pub fn is_open(&self, attempt: AttemptRef) -> bool {
        self.tasks[attempt.task_index].stage == Stage::Live(attempt)
    }

    /// Whether the machine has heard this before, or of an attempt that is over.
    pub fn is_stale(&self, report: &Report) -> bool {
        let (name, attempt) = address(report);
        !self.is_open(attempt) || self.is_repeated(report, name)
    }

    fn is_repeated(&self, report: &Report, name: &'static str) -> bool {
        let (_, attempt) = address(report);
        self.attempts.get(&attempt).is_some_and(|page| page.heard.contains(&name))
    }

    /// Whether the machine has heard exactly this before.
    pub fn is_echo(&self, report: &Report) -> bool {
        self.is_repeated(report, address(report).0)
    }

    /// How many tasks have not ended.
    pub fn count_of_open_tasks(&self) -> usize {
        self.tasks.iter().filter(|task| task.end.is_none()).count()
    }

    /// Whether all that the machine has said is durable, so that nothing holds an action back.
    pub fn is_durable(&self) -> bool {
        !self.scene.settings.journaled || self.facts_durable >= self.facts_made
    }

    /// Takes a moment in.
    pub fn note(&mut self, moment: &Moment<'_>) {
        match moment {
            Moment::Input(input) => self.note_input(input),
            Moment::Fact(fact) => self.note_fact(fact),
            Moment::Action(action) => self.note_action(action),
            Moment::Settled(_) => {}
        }
    }

    fn note_input(&mut self, input: &Input) {
        self.reports_of_step.clear();
        match input {
            Input::Begin => {}
            Input::Time | Input::Restart => {
                for task in &mut self.tasks {
                    if let Stage::Delayed(until) = task.stage
                        && until <= self.now
                    {
                        task.stage = Stage::Ready;
                    }
                }
            }
            Input::Cancel => {
                self.cancels += 1;
                if !self.tasks.iter().all(|task| task.stage == Stage::Ended) {
                    self.ended_early = Some(StopReason::Cancel);
                }
            }
            Input::Persisted(through) => self.facts_durable = *through,
            Input::Letter(letter) => self.note_letter(letter),
        }
    }

    fn note_letter(&mut self, letter: &Letter) {
        let (name, attempt) = address(&letter.report);
        let open = self.is_open(attempt);
        let Some(page) = self.attempts.get_mut(&attempt) else { return };
        page.heard.push(name);
        match &letter.report {
            Report::Spawned { session, .. } => {
                page.session_in_time |= open;
                page.session.get_or_insert(session.clone());
            }
            Report::Started { since, .. } => {
                if open && page.stopping.is_none() {
                    page.since.get_or_insert(*since);
                }
            }
            Report::Queued { .. } | Report::Met { .. } | Report::Active { .. } => {}
            Report::Ended { ending, .. } => {
                let Some((meaning, cost)) = letter.end.clone().filter(|_| open) else { return };
                let text = match ending {
                    Ending::Replied(text) | Ending::Cut(text) => Some(text.clone()),
                    _ => None,
                };
                page.told = Some(Told { meaning: meaning.clone(), text, cost, report: letter.report.clone() });
                self.count_end(&meaning, cost);
            }
            Report::Deleted { .. } => page.deletion = Deletion::Done,
            Report::DeleteFailed { .. } => page.deletion = Deletion::Refused,
        }
    }

    fn count_end(&mut self, meaning: &Meaning, cost: Option<f64>) {
        match meaning {
            Meaning::Busy => self.count.refusals += 1,
            Meaning::Answer(_) => {
                self.count.attempts += 1;
                self.count.completed += 1;
            }
            Meaning::Fails(_) | Meaning::Unstoppable => self.count.attempts += 1,
        }
        if *meaning != Meaning::Busy {
            self.count.cost_known += cost.unwrap_or(0.0);
        }
    }

    fn note_action(&mut self, action: &Action) {
        match action {
            Action::Spawn(order) | Action::Adopt(Adoption { order, .. }) => {
                self.to_adopt.remove(&order.attempt);
                if let Some(page) = self.attempts.get_mut(&order.attempt) {
                    page.handed_out = true;
                }
            }
            Action::Look(attempt) => {
                if let Some(page) = self.attempts.get_mut(attempt) {
                    page.look_since = self.now;
                }
            }
            Action::Stop(_) => {}
            Action::Delete { attempt, .. } => {
                if let Some(page) = self.attempts.get_mut(attempt) {
                    page.deletion = Deletion::Ordered;
                }
            }
        }
    }

    fn note_fact(&mut self, fact: &Fact) {
        self.facts_made += 1;
        self.fact_at = fact.at;
        self.progress.apply(fact);
        if let Some(report) = self.reporter.apply(fact) {
            let task = report.task_index;
            self.tasks[task].report = Some(report);
            self.reports_of_step.push(task);
        }
        match &fact.event {
            Event::AttemptPlanned { attempt, .. } => self.note_planned(*attempt, fact),
            Event::AttemptAccepted { attempt, .. } => {
                if let Some(page) = self.attempts.get_mut(attempt) {
                    page.accepted_no = Some(self.facts_made);
                }
            }
            Event::AttemptRefused { attempt, limit, until, .. } => {
                self.limit = *limit;
                self.hold = self.hold.max(*until);
                self.tasks[attempt.task_index].stage = Stage::Ready;
                self.note_over(*attempt, None);
            }
            Event::AttemptStopping { attempt, why } => {
                if let Some(page) = self.attempts.get_mut(attempt) {
                    page.stopping = Some(Stopping { why: *why, at: fact.at, no: self.facts_made });
                }
            }
            Event::AttemptEnded { attempt, outcome, .. } => {
                self.tasks[attempt.task_index].spent.push(*attempt);
                self.note_over(*attempt, Some(outcome.clone()));
            }
            Event::RetryPlanned { task_index, tier, delay, .. } => {
                let page = &mut self.tasks[*task_index];
                page.tier = *tier;
                page.stage = if delay.is_zero() { Stage::Ready } else { Stage::Delayed(fact.at + *delay) };
            }
            Event::LimitRaised { limit } => self.limit = *limit,
            Event::TaskEnded { task_index, end } => self.note_end(*task_index, end),
            Event::Cancelled { why, .. } => self.ended_early = self.ended_early.max(Some(*why)),
            Event::SessionDeleted { attempt } | Event::SessionLeft { attempt, .. } => {
                if let Some(page) = self.attempts.get_mut(attempt) {
                    page.session_gone = true;
                }
            }
            Event::RunEnded => self.ended = true,
            Event::RunStarted { .. } => (self.begun, self.run_started) = (fact.at, fact.at),
            Event::RunResumed { idle } => {
                self.begun = self.begun + *idle;
                self.resumed_no = self.facts_made;
                // What the runtime bears is learned anew.
                self.limit = self.scene.settings.concurrency_max;
                self.hold = fact.at;
            }
            Event::AttemptStarted { .. }
            | Event::RuntimeMet { .. }
            | Event::BudgetReached { .. }
            | Event::BreakerOpened { .. }
            | Event::TaskReopened { .. }
            | Event::StartsStopped { .. } => {}
        }
    }

    fn note_planned(&mut self, attempt: AttemptRef, fact: &Fact) {
        let Event::AttemptPlanned { tier, model, key, .. } = &fact.event else { return };
        let page = &mut self.tasks[attempt.task_index];
        page.stage = Stage::Live(attempt);
        page.starts += 1;
        self.keys.insert(key.clone());
        self.attempts.insert(
            attempt,
            AttemptPage {
                planned_at: fact.at,
                planned_no: self.facts_made,
                tier: *tier,
                model: model.clone(),
                key: key.clone(),
                handed_out: false,
                since: None,
                look_since: fact.at,
                stopping: None,
                told: None,
                over: None,
                session: None,
                accepted_no: None,
                session_in_time: false,
                session_gone: false,
                deletion: Deletion::NotOrdered,
                adopted_at: None,
                stopped_before: None,
                heard: Vec::new(),
            },
        );
    }

    /// An attempt is over. One that ended without any word from the world was spent all the same.
    fn note_over(&mut self, attempt: AttemptRef, outcome: Option<Outcome>) {
        let (at, no) = (self.fact_at, self.facts_made);
        let Some(page) = self.attempts.get_mut(&attempt) else { return };
        if page.told.is_none() {
            self.count.attempts += 1;
        }
        let cost = cost(page);
        if cost.is_none() && truth(page) != Truth::Refused {
            self.count.cost_unknown += 1;
        }
        page.over = Some(Over { at, no, outcome });
    }

    fn note_end(&mut self, index: usize, end: &End) {
        self.tasks[index].stage = Stage::Ended;
        self.tasks[index].end = Some(end.clone());
        match end {
            End::Completed { .. } => {}
            End::Failed { .. } => self.count.failed += 1,
            End::Timeout { .. } => self.count.timeout += 1,
            End::NeedsInput { .. } => self.count.needs_input += 1,
            End::Cancelled { .. } => self.count.cancelled += 1,
            End::Skipped { .. } => self.count.skipped += 1,
        }
        if !matches!(end, End::Completed { .. }) {
            return;
        }
        for &dependent in self.plan().dependents(index) {
            let completed = |&dependency: &usize| matches!(self.tasks[dependency].end, Some(End::Completed { .. }));
            if self.tasks[dependent].stage == Stage::Blocked
                && self.plan().dependencies(dependent).iter().all(completed)
            {
                self.tasks[dependent].stage = Stage::Ready;
            }
        }
    }
}

/// The kind of a report, and the attempt it is about.
pub fn address(report: &Report) -> (&'static str, AttemptRef) {
    match report {
        Report::Met { .. } => unreachable!("this world has one life"),
        Report::Active { attempt, .. } => ("active", *attempt),
        Report::Spawned { attempt, .. } => ("spawned", *attempt),
        Report::Started { attempt, .. } => ("started", *attempt),
        Report::Queued { attempt } => ("queued", *attempt),
        Report::Ended { attempt, .. } => ("ended", *attempt),
        Report::Deleted { attempt } => ("deleted", *attempt),
        Report::DeleteFailed { attempt, .. } => ("delete failed", *attempt),
    }
}
