//! What is known of a run, written down as it happens and judged by nobody. The invariants read it.
//!
//! What the world sent is kept apart from what the machine's facts say: most invariants compare the two.

mod circuits;
mod growth;
mod pages;
mod rebirth;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parallel_agents::core::action::{Action, Adoption, AttemptRef, Report};
use parallel_agents::core::fact::{Circuit, End, Event, Fact, Outcome, Status, StopReason};
use parallel_agents::core::failure::Ending;
use parallel_agents::core::plan::{Plan, Task};
use parallel_agents::core::progress::Progress;
use parallel_agents::core::report::Reporter;
use parallel_agents::core::strategy::Word;
use parallel_agents::core::time::Time;

use crate::endings::Meaning;
use crate::scene::{BEGIN, Scene};
use crate::steering::Log;
use crate::truth::{Truth, cost, truth};
use crate::world::Letter;

use circuits::{Opened, circuits};

pub use circuits::Circuits;
pub use growth::Steered;
pub use pages::{AttemptPage, Deletion, Over, Stage, Stopping, TaskPage, Told};

/// What goes into the machine.
#[derive(Debug)]
pub enum Input {
    /// The run begins.
    Begin,
    /// Another machine goes on where one has died, perhaps only to end the run.
    Restart {
        only_ends: bool,
    },
    Time,
    Cancel,
    /// The journal takes no further facts.
    JournalLost,
    Persisted(u64),
    Letter(Box<Letter>),
    /// Somebody tells the run's strategy something.
    Word(Word),
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

/// Dollars, tokens and attempts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spending {
    pub usd: f64,
    pub tokens: u64,
    pub attempts: u64,
}

/// The book.
pub struct Book<'scene> {
    pub scene: &'scene Scene,
    /// With all tasks that were added.
    plan: Arc<Plan>,
    /// What is known of its strategy, if it has one.
    pub steered: Option<Steered>,
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
    /// Whether its facts are still journaled.
    pub journals: bool,
    /// Whether this machine starts no further agents.
    pub starts_stopped: bool,
    /// When it was last told the time.
    pub time_told: Time,
    /// What its attempts used, as far as told, else what was reserved; and how much of that was above it.
    pub spent: Spending,
    pub overrun: Spending,
    /// Since when the budget's time counts.
    pub budget_begun: Time,
    /// The tasks that have started, and the retries that were planned.
    pub started: BTreeSet<usize>,
    pub retries: u32,
    pub circuits: Circuits,
    /// How the run was ended early, by its facts alone.
    pub cancelled_by: Option<StopReason>,
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
    /// Of a run whose strategy hears what `log` tells.
    pub fn new(scene: &'scene Scene, log: Option<Log>) -> Self {
        let tasks = scene.plan.tasks().len();
        let page = |index: usize| TaskPage::new(scene.plan.dependencies(index).is_empty());
        Self {
            scene,
            plan: Arc::new(scene.plan.clone()),
            steered: log.map(Steered::new),
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
            journals: scene.settings.journaled,
            starts_stopped: false,
            time_told: BEGIN,
            spent: Spending::default(),
            overrun: Spending::default(),
            budget_begun: BEGIN,
            started: BTreeSet::new(),
            retries: 0,
            circuits: Circuits::default(),
            cancelled_by: None,
            cancels: 0,
            ended_early: None,
            ended: false,
            reports_of_step: Vec::new(),
            progress: Progress::default(),
            count: Progress { tasks, ..Progress::default() },
            reporter: Reporter::new(&scene.plan),
        }
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
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

    /// How many of its facts may be found in the journal.
    pub fn durable_at_most(&self) -> u64 {
        if self.journals { self.facts_made } else { self.facts_durable }
    }

    /// Whether no journal was lost.
    pub fn journals_or_never_did(&self) -> bool {
        self.journals || !self.scene.settings.journaled
    }

    /// What keeps an attempt of this task on this tier from starting at `now`, if a breaker does.
    pub fn shut(&self, index: usize, tier: usize, now: Time) -> Option<Circuit> {
        let task = &self.plan().tasks()[index];
        let opened = self.circuits.of(&task.hierarchy.tiers()[tier].model, &task.agent_type);
        let is_shut = |(circuit, opened): &(Circuit, Opened)| {
            let on_trial = |(attempt, page): (AttemptRef, &AttemptPage)| {
                let agent_type = &self.plan().tasks()[attempt.task_index].agent_type;
                page.over.is_none()
                    && page.planned_no > opened.no
                    && circuits(&page.model, agent_type).contains(circuit)
            };
            opened.until.is_none_or(|until| until > now) || self.open().any(on_trial)
        };
        opened.into_iter().find(is_shut).map(|(circuit, _)| circuit)
    }

    /// Whether breakers keep the task from starting on any tier at `now`.
    pub fn is_held(&self, index: usize, now: Time) -> bool {
        let tiers = self.plan().tasks()[index].hierarchy.tiers().len();
        (self.tasks[index].tier..tiers).all(|tier| self.shut(index, tier, now).is_some())
    }

    /// Whether they do for the rest of the run.
    pub fn is_given_up(&self, index: usize) -> bool {
        let task = &self.plan().tasks()[index];
        let tiers = &task.hierarchy.tiers()[self.tasks[index].tier..];
        tiers.iter().all(|tier| {
            self.circuits.of(&tier.model, &task.agent_type).iter().any(|(_, opened)| opened.until.is_none())
        })
    }

    /// How many retries the run may make by now.
    pub fn retries_max(&self) -> u32 {
        let policy = &self.scene.settings.retry;
        let share = policy.retries_share * f64::from(u32::try_from(self.started.len()).unwrap_or(u32::MAX));
        policy.retries_min + (1..=10_000).take_while(|count| f64::from(*count) <= share).last().unwrap_or(0)
    }

    /// Whether all that the machine has said is durable, so that nothing holds an action back.
    pub fn is_durable(&self) -> bool {
        !self.journals || self.facts_durable >= self.facts_made
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
        if let Input::Time | Input::Restart { .. } = input {
            self.time_told = self.now;
        }
        match input {
            Input::Begin => {}
            Input::JournalLost => self.journals = false,
            Input::Restart { only_ends: true } if self.cancels == 0 => self.cancels = 1,
            Input::Time | Input::Restart { .. } => {
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
            Input::Word(word) => {
                let is_due = self.expects(word);
                if let Some(steered) = &mut self.steered {
                    steered.word_due = is_due;
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
                    page.started_at.get_or_insert(self.now);
                }
            }
            Report::Active { at, .. } => {
                if open {
                    page.active = page.active.max(Some(*at));
                    page.active_heard.get_or_insert(self.now);
                }
            }
            Report::Queued { .. } | Report::Met { .. } => {}
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
            Meaning::Fails(_) | Meaning::Asks(_) | Meaning::Unstoppable => self.count.attempts += 1,
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
        self.note_steering(fact);
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
            Event::AttemptEnded { attempt, outcome, cost, tokens, .. } => {
                self.tasks[attempt.task_index].spent.push(*attempt);
                self.note_over(*attempt, Some(outcome.clone()));
                self.note_spending(*attempt, *cost, tokens.map(|tokens| tokens.total));
                let task = &self.plan.tasks()[attempt.task_index];
                let page = &self.attempts[attempt];
                let is_last = page.tier + 1 == task.hierarchy.tiers().len();
                self.circuits.ended(attempt.task_index, &page.model, &task.agent_type, outcome, is_last);
            }
            Event::RetryPlanned { task_index, tier, delay, .. } => {
                self.retries += 1;
                let page = &mut self.tasks[*task_index];
                page.tier = *tier;
                page.is_retried = true;
                page.stage = if delay.is_zero() { Stage::Ready } else { Stage::Delayed(fact.at + *delay) };
            }
            Event::LimitRaised { limit } => self.limit = *limit,
            Event::TaskEnded { task_index, end } => self.note_end(*task_index, end),
            Event::Cancelled { why, .. } => {
                self.cancelled_by = Some(*why);
                self.ended_early = self.ended_early.max(Some(*why));
            }
            Event::SessionDeleted { attempt } | Event::SessionLeft { attempt, .. } => {
                if let Some(page) = self.attempts.get_mut(attempt) {
                    page.session_gone = true;
                }
            }
            Event::RunEnded => self.ended = true,
            Event::RunStarted { .. } => {
                (self.begun, self.run_started, self.budget_begun) = (fact.at, fact.at, fact.at);
            }
            Event::RunResumed { idle } => {
                self.begun = if self.ended { fact.at } else { self.begun + *idle };
                self.budget_begun = self.budget_begun + *idle;
                for task in &mut self.tasks {
                    task.deadline = task.deadline.map(|deadline| deadline + *idle);
                }
                if std::mem::take(&mut self.ended) {
                    (self.ended_early, self.cancelled_by, self.cancels) = (None, None, 0);
                }
                self.starts_stopped = false;
                self.follow_what_ended();
                self.resumed_no = self.facts_made;
                // What the runtime bears is learned anew.
                self.limit = self.scene.settings.concurrency_max;
                self.hold = fact.at;
            }
            Event::StartsStopped { .. } => self.starts_stopped = true,
            Event::BudgetReached { task_index, .. } => self.tasks[*task_index].over_budget = true,
            Event::BreakerOpened { circuit, until } => self.circuits.opened(circuit, *until, self.facts_made),
            Event::TaskReopened { task_index, was, answer } => self.note_reopened(*task_index, *was, answer.as_deref()),
            Event::TasksAdded { first, tasks } => self.note_added(*first, tasks),
            Event::AttemptStarted { .. }
            | Event::RuntimeMet { .. }
            | Event::ApprovalAsked { .. }
            | Event::WordGiven { .. }
            | Event::OutcomeReached { .. } => {}
        }
    }

    fn note_planned(&mut self, attempt: AttemptRef, fact: &Fact) {
        let Event::AttemptPlanned { tier, model, key, reserved, .. } = &fact.event else { return };
        self.started.insert(attempt.task_index);
        let page = &mut self.tasks[attempt.task_index];
        page.stage = Stage::Live(attempt);
        page.starts += 1;
        page.tier = *tier;
        if let (None, Some(deadline)) = (page.deadline, self.plan.tasks()[attempt.task_index].deadline) {
            page.deadline = Some(fact.at + deadline);
        }
        self.keys.insert(key.clone());
        self.attempts.insert(
            attempt,
            AttemptPage {
                planned_at: fact.at,
                planned_no: self.facts_made,
                tier: *tier,
                model: model.clone(),
                key: key.clone(),
                reserved: *reserved,
                handed_out: false,
                since: None,
                started_at: None,
                active: None,
                active_heard: None,
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

    fn note_spending(&mut self, attempt: AttemptRef, cost: Option<f64>, tokens: Option<u64>) {
        let reserved = self.attempts[&attempt].reserved;
        let tokens = tokens.or((cost == Some(0.0)).then_some(0)).unwrap_or(reserved.tokens);
        let usd = cost.or(reserved.usd).unwrap_or(0.0);
        self.spent.attempts += 1;
        self.spent.tokens += tokens;
        self.spent.usd += usd;
        self.overrun.tokens += tokens.saturating_sub(reserved.tokens);
        self.overrun.usd += (usd - reserved.usd.unwrap_or(0.0)).max(0.0);
    }

    /// Ends of attempts that nothing has followed yet count with the machine that follows them.
    fn follow_what_ended(&mut self) {
        let mut circuits = Circuits::default();
        for (attempt, page) in self.open() {
            if let Some(Over { outcome: Some(outcome), .. }) = &page.over {
                let task = &self.plan().tasks()[attempt.task_index];
                let is_last = page.tier + 1 == task.hierarchy.tiers().len();
                circuits.ended(attempt.task_index, &page.model, &task.agent_type, outcome, is_last);
            }
        }
        self.circuits = circuits;
    }

    /// Tasks stand behind the others now.
    fn note_added(&mut self, first: usize, tasks: &[Task]) {
        Arc::make_mut(&mut self.plan).grow(first, tasks);
        self.count.tasks += tasks.len();
        for index in self.tasks.len()..self.plan.tasks().len() {
            let completed = |&dependency: &usize| {
                matches!(self.tasks.get(dependency).map(|page| &page.end), Some(Some(End::Completed { .. })))
            };
            let is_ready = self.plan.dependencies(index).iter().all(completed);
            self.tasks.push(TaskPage::new(is_ready));
        }
    }

    /// A task goes on that had ended.
    fn note_reopened(&mut self, index: usize, was: Status, answer: Option<&str>) {
        match was {
            Status::Completed => self.count.completed -= 1,
            Status::Failed => self.count.failed -= 1,
            Status::Timeout => self.count.timeout -= 1,
            Status::NeedsInput => self.count.needs_input -= 1,
            Status::Cancelled => self.count.cancelled -= 1,
            Status::Skipped => self.count.skipped -= 1,
        }
        let completed = |&dependency: &usize| matches!(self.tasks[dependency].end, Some(End::Completed { .. }));
        let is_ready = self.plan().dependencies(index).iter().all(completed);
        let page = &mut self.tasks[index];
        page.stage = if is_ready { Stage::Ready } else { Stage::Blocked };
        page.spent_before = page.spent.len();
        (page.is_retried, page.over_budget, page.deadline) = (false, false, None);
        if let (Some(End::NeedsInput { question, .. }), Some(answer)) = (page.end.take(), answer) {
            page.replies.push((question, answer.to_owned()));
        }
    }

    fn note_end(&mut self, index: usize, end: &End) {
        self.tasks[index].stage = Stage::Ended;
        self.tasks[index].end = Some(end.clone());
        self.tasks[index].ended_no = self.facts_made;
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
        let plan = self.plan.clone();
        for &dependent in plan.dependents(index) {
            let completed = |&dependency: &usize| matches!(self.tasks[dependency].end, Some(End::Completed { .. }));
            if self.tasks[dependent].stage == Stage::Blocked && plan.dependencies(dependent).iter().all(completed) {
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
