//! Starts a run on a thread of its own and tells what becomes of it. User code never runs on that thread.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use serde_json::Value;

use super::adapted::Adapted;
use super::example::{MARK, example};
use super::narrate::{LiveSessions, Narrator};
use super::options::RunOptions;
use super::steered::{Steered, TaskMaker, steered};
use super::{InputError, RunError, lock};
use crate::agents::Registry;
use crate::core::action::SpawnOrder;
use crate::core::budget::{Cap, Estimate, Ledger, Reservation};
use crate::core::fact::{Event, Fact};
use crate::core::hierarchy::ModelHierarchy;
use crate::core::output::OutputFormat;
use crate::core::plan::{Plan, Task};
use crate::core::progress::Progress;
use crate::core::report::TaskReport;
use crate::core::run::{Reopening, RunMachine};
use crate::core::settings::RunSettings;
use crate::core::strategy::{Strategy, Word};
use crate::core::time::Time;
use crate::driver::{Clock, NOBODY_WAITS, Recorder, Stepwise, Told, Wish, drive};
use crate::journal::{Journal, NewRun, RunLog};
use crate::runtime::gateway::{GatewayConfig, GatewayRuntime, KnownModels};
use crate::runtime::rehearsal::{self, Rehearsal, RehearsalModel};
use crate::runtime::tools::{Abilities, ToolRuntime};

/// Where the agents of a run are.
#[derive(Debug, Clone)]
pub enum RuntimeChoice {
    /// On an OpenClaw gateway.
    Gateway(GatewayConfig),
    /// Nowhere: the run is only played.
    Rehearsal(RehearsalModel),
}

impl RuntimeChoice {
    /// The documented name, as `metadata["runtime"]` shows it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Gateway(_) => "gateway",
            Self::Rehearsal(_) => "rehearsal",
        }
    }
}

/// How `metadata["runtime"]` names injected callables.
pub const TOOLS: &str = "tools";

/// How much a notice matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// For who wants to follow.
    Info,
    /// For everybody.
    Warning,
}

impl Level {
    /// The documented name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
        }
    }
}

/// What a run tells while it goes on.
#[derive(Debug)]
pub enum RunEvent {
    /// Something a person may want to know.
    Notice {
        /// How much it matters.
        level: Level,
        /// One line.
        text: String,
    },
    /// Tasks are added behind the others.
    TasksAdded {
        /// The index of the first.
        first: usize,
        /// Which.
        tasks: Arc<[Task]>,
    },
    /// The run waits for a person's approval of this.
    ApprovalAsked(Arc<Value>),
    /// A task has ended. Comes exactly once for each task.
    TaskEnded(Arc<TaskReport>),
    /// The run is over. The last event, unless it failed.
    Ended(Box<RunSummary>),
    /// The run could not be carried out; nothing was spent. The last event.
    Failed(RunError),
}

/// A session that stays on the runtime after the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionLeft {
    /// The task it belonged to.
    pub task_id: Arc<str>,
    /// Its key.
    pub key: Arc<str>,
    /// Why it stays.
    pub reason: String,
}

/// A task whose next attempt the budget did not bear.
#[derive(Debug, Clone, PartialEq)]
pub struct NotStarted {
    /// The task.
    pub task_id: Arc<str>,
    /// What was reached.
    pub cap: Cap,
    /// What the attempt would have taken at the most.
    pub needed: Reservation,
}

/// The end of a run, or where it stands.
#[derive(Debug, Clone, Default)]
pub struct RunSummary {
    /// The counts.
    pub progress: Progress,
    /// When it began.
    pub started: Option<Time>,
    /// When something happened last.
    pub latest: Option<Time>,
    /// How often another process went on with it.
    pub resumed: usize,
    /// How many lives of its runtime it has met.
    pub lives: usize,
    /// Attempts that followed a failed one.
    pub retries: usize,
    /// How often a breaker opened.
    pub breakers_opened: usize,
    /// What it spent of its budget, if it has one.
    pub spending: Option<Ledger>,
    /// What the budget did not bear.
    pub not_started: Vec<NotStarted>,
    /// The time that all tasks took together.
    pub execution_time: Duration,
    /// Sessions that could not be deleted.
    pub sessions_left: Vec<SessionLeft>,
    /// Why it was ended early, if it was and has not gone on since.
    pub ended_early: Option<String>,
    /// What its strategy came to, if it has one.
    pub outcome: Option<Arc<Value>>,
}

/// A run that goes on by itself. Dropping it cancels the run.
#[derive(Debug)]
pub struct RunHandle {
    /// What the run tells.
    pub events: UnboundedReceiver<RunEvent>,
    /// Takes what somebody wants of the run.
    pub wishes: UnboundedSender<Wish>,
    /// The sessions of agents that are under way.
    pub live: LiveSessions,
}

/// Where a run comes from.
#[derive(Debug)]
pub enum Origin {
    /// It begins, and is kept in a journal if there is one.
    New(Option<Box<Keeping>>),
    /// It goes on.
    Resumed(Box<Resumed>),
}

/// How a new run is kept.
#[derive(Debug)]
pub struct Keeping {
    /// Where.
    pub journal: Journal,
    /// Under which name.
    pub id: Arc<str>,
    /// The options it was started with, as [`RunOptions::from_stored`](super::RunOptions::from_stored) takes them.
    pub options: Value,
    /// What goes on with it if it is cut short.
    pub resume: String,
}

/// A run of an earlier process.
#[derive(Debug)]
pub struct Resumed {
    /// What happened so far.
    pub facts: Vec<Fact>,
    /// Where it goes on.
    pub log: RunLog,
    /// Tasks that had ended and are to go on.
    pub reopening: Vec<Reopening>,
    /// Why it is taken up only to be ended, if it is.
    pub stop: Option<String>,
    /// Whether its strategy is to ask again what its budget refused.
    pub weighs_again: bool,
}

impl Resumed {
    /// Whether nothing is left to do of it.
    pub fn is_over(&self) -> bool {
        self.reopening.is_empty()
            && !self.weighs_again
            && self.facts.last().is_some_and(|fact| matches!(fact.event, Event::RunEnded))
    }
}

impl Origin {
    /// When something happened last.
    fn latest(&self) -> Time {
        match self {
            Self::New(_) => Time::default(),
            Self::Resumed(resumed) => resumed.facts.last().map(|fact| fact.at).unwrap_or_default(),
        }
    }
}

/// A name for a new run: when it began, in UTC, and enough at random to be unique.
pub fn run_id() -> Arc<str> {
    let now = std::time::UNIX_EPOCH + Duration::from_millis(Clock::real().now().as_millis());
    let time: String = humantime::format_rfc3339_seconds(now)
        .to_string()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(15)
        .collect();
    format!("{}-{:06x}", time.replace('T', "-"), seed() & 0xff_ffff).into()
}

/// How a run tells that its journal has it, which is before it starts an agent.
pub fn kept_line(id: &str) -> String {
    format!("run {id} is kept")
}

/// What a run is to do.
#[derive(Debug)]
pub struct Job {
    /// Its tasks, those that were added before among them.
    pub plan: Arc<Plan>,
    /// Its bounds.
    pub settings: RunSettings,
    /// What watches its tasks end, if anything does.
    pub strategy: Option<Box<dyn Strategy>>,
    /// Where it comes from.
    pub origin: Origin,
}

impl Job {
    /// A run that begins with `plan`, or, where it is empty, with what its strategy begins with.
    pub fn new(plan: Arc<Plan>, options: &RunOptions, registry: &Registry) -> Result<Self, InputError> {
        let (job, first) = Self::read(plan, options, registry)?;
        if first.is_empty() {
            return Ok(job);
        }
        if !job.plan.tasks().is_empty() {
            return Err(InputError::Option {
                field: "strategy".to_owned(),
                value: "given beside tasks".to_owned(),
                expected: "to stand alone, since it makes its own tasks".to_owned(),
            });
        }
        Ok(Self { plan: Arc::new(Plan::new(first)?), ..job })
    }

    /// The run, and what its strategy begins with.
    fn read(plan: Arc<Plan>, options: &RunOptions, registry: &Registry) -> Result<(Self, Vec<Task>), InputError> {
        let (settings, origin) = (options.settings.clone(), Origin::New(None));
        let Some(spec) = options.strategy.clone() else {
            return Ok((Self { plan, settings, strategy: None, origin }, Vec::new()));
        };
        let maker = TaskMaker::new(registry.clone(), options.hierarchy.clone()).for_run(&plan, settings.budget);
        let Steered { strategy, first } = steered(spec, &plan, maker)?;
        Ok((Self { plan, settings, strategy: Some(strategy), origin }, first))
    }

    /// A run of an earlier process that has `plan` by now. What it came to is a fact once it is over, and one that is only to
    /// end adds nothing: neither needs its strategy, of which parts may be gone.
    pub fn resumed(
        plan: Arc<Plan>,
        options: &RunOptions,
        registry: &Registry,
        resumed: Resumed,
    ) -> Result<Self, InputError> {
        let read = if resumed.is_over() { None } else { Some(Self::read(plan.clone(), options, registry)) };
        let is_needed = resumed.stop.is_none();
        let origin = Origin::Resumed(Box::new(resumed));
        match read {
            Some(Ok((job, _))) => Ok(job.from(origin)),
            Some(Err(error)) if is_needed => Err(error),
            Some(Err(_)) | None => Ok(Self { plan, settings: options.settings.clone(), strategy: None, origin }),
        }
    }

    /// The ids of tasks of which nobody need say any more what their results count as.
    pub fn marked(&self) -> HashSet<Arc<str>> {
        let Origin::Resumed(resumed) = &self.origin else { return HashSet::new() };
        if resumed.is_over() {
            return self.plan.tasks().iter().map(|task| task.id.clone()).collect();
        }
        let marked = |fact: &Fact| match &fact.event {
            Event::WordGiven { word: Word::Mark { task, .. } } => Some(task.clone()),
            _ => None,
        };
        resumed.facts.iter().filter_map(marked).collect()
    }

    /// Where it comes from.
    #[must_use]
    pub fn from(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }
}

/// A machine, what tells of it, and what keeps it.
fn begin(
    job: Job,
    (runtime, seed): (&str, u64),
    now: Time,
    live: LiveSessions,
    tell: &mut impl FnMut(RunEvent),
) -> Result<(RunMachine, Narrator, Recorder), RunError> {
    let Job { plan, mut settings, strategy, origin } = job;
    match origin {
        Origin::New(keeping) => {
            let log = match keeping {
                None => None,
                Some(keeping) => {
                    let Keeping { journal, id, options, resume } = *keeping;
                    settings.journaled = true;
                    let run = NewRun { id: &id, options: &options, plan: &plan, runtime, started: now };
                    let log = journal.create(run)?;
                    let text = format!("{}; if it is cut short: {resume}", kept_line(&id));
                    tell(RunEvent::Notice { level: Level::Info, text });
                    Some(log)
                }
            };
            let narrator = Narrator::new(plan.clone(), &settings, live);
            Ok((RunMachine::steered(plan, settings, strategy, seed, now), narrator, Recorder::new(log)))
        }
        Origin::Resumed(resumed) => {
            let Resumed { facts, log, reopening, stop, weighs_again } = *resumed;
            settings.journaled = true;
            settings.weigh_again = weighs_again;
            let past = facts.iter().cloned();
            let how = (&*reopening, stop.as_deref());
            let machine = RunMachine::restore_steered(plan.clone(), settings.clone(), strategy, past, how, seed, now);
            let narrator = Narrator::recalling(plan, &settings, live, &facts, &machine.reopened(), tell);
            Ok((machine, narrator, Recorder::new(Some(log))))
        }
    }
}

/// Starts a run, or goes on with one. `wake` is called on the run's thread after each event.
pub fn start(job: Job, choice: RuntimeChoice, wake: impl Fn() + Send + 'static) -> Result<RunHandle, RunError> {
    let (events, receiver) = unbounded_channel();
    let (wishes, mut asked_for) = unbounded_channel();
    let live = LiveSessions::default();
    let live_here = live.clone();
    let body = move || {
        let mut tell = |event| {
            // Nobody listens any more: the run was cancelled by dropping its handle, and ends all the same.
            let _ = events.send(event);
            wake();
        };
        let run = AssertUnwindSafe(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| RunError::Internal(error.to_string()))?;
            runtime.block_on(run(job, choice, &mut asked_for, live_here, &mut tell))
        });
        let result = catch_unwind(run).unwrap_or_else(|panic| Err(RunError::Internal(panic_text(&*panic))));
        tell(match result {
            Ok(summary) => RunEvent::Ended(Box::new(summary)),
            Err(error) => RunEvent::Failed(error),
        });
        drop(events);
        wake();
    };
    let thread = thread::Builder::new().name("parallel-agents".to_owned()).spawn(body);
    thread.map_err(|error| RunError::Internal(format!("no thread could be started: {error}")))?;
    Ok(RunHandle { events: receiver, wishes, live })
}

pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("panic without a message").to_owned()
}

async fn run(
    job: Job,
    choice: RuntimeChoice,
    wishes: &mut UnboundedReceiver<Wish>,
    live: LiveSessions,
    tell: &mut impl FnMut(RunEvent),
) -> Result<RunSummary, RunError> {
    match choice {
        RuntimeChoice::Rehearsal(model) => rehearse(job, model, wishes, live, tell).await,
        RuntimeChoice::Gateway(config) => run_on_gateway(job, config, wishes, live, tell).await,
    }
}

async fn rehearse(
    job: Job,
    model: RehearsalModel,
    wishes: &mut UnboundedReceiver<Wish>,
    live: LiveSessions,
    tell: &mut impl FnMut(RunEvent),
) -> Result<RunSummary, RunError> {
    let Job { plan, settings, strategy, origin } = job;
    let answer = |task: &Task| (task.id.clone(), rehearsed_answer(task, strategy.as_deref()));
    let answers: HashMap<Arc<str>, Arc<str>> = plan.tasks().iter().map(answer).collect();
    let settings = RunSettings { estimate: rehearsal::estimate(answers.values()), ..settings };
    let answers = Arc::new(Mutex::new(answers));
    let known = answers.clone();
    let strategy = strategy.map(|strategy| -> Box<dyn Strategy> {
        Box::new(Adapted::new(strategy, settings.estimate, move |task: &mut Task, strategy: &dyn Strategy| {
            task.hierarchy = Arc::new(task.hierarchy.priced(rehearsal::price));
            lock(&known).insert(task.id.clone(), rehearsed_answer(task, Some(strategy)));
        }))
    });
    let plan = Arc::new(priced(&plan));
    let mut clock = Clock::played(model.speed);
    clock.reach(origin.latest());
    let how = ("rehearsal", model.seed);
    let (machine, mut narrator, recorder) =
        begin(Job { plan, settings, strategy, origin }, how, clock.now(), live, tell)?;
    let answer = move |order: &SpawnOrder| lock(&answers).get(&order.task_id).cloned().unwrap_or_default();
    let mut runtime = Rehearsal::new(model, answer);
    drive(machine, &mut runtime, clock, wishes, recorder, &mut |told| narrator.observe(told, tell)).await;
    Ok(narrator.into_summary())
}

async fn run_on_gateway(
    job: Job,
    config: GatewayConfig,
    wishes: &mut UnboundedReceiver<Wish>,
    live: LiveSessions,
    tell: &mut impl FnMut(RunEvent),
) -> Result<RunSummary, RunError> {
    const NAME: &str = "gateway";
    let Job { plan, settings, strategy, origin } = job;
    let clock = Clock::real();
    if let Origin::Resumed(_) = &origin {
        // Its tiers are those that the gateway knew, and its agents are to be found whoever wants it to end.
        let mut runtime = if is_over(&origin) { None } else { Some(GatewayRuntime::connect(&config).await?) };
        let strategy = match (strategy, &runtime) {
            (Some(strategy), Some(runtime)) => {
                Some(fitted(strategy, settings.estimate, known_models(runtime, tell).await))
            }
            (strategy, _) => strategy,
        };
        let (machine, mut narrator, recorder) =
            begin(Job { plan, settings, strategy, origin }, (NAME, seed()), clock.now(), live, tell)?;
        if let Some(runtime) = &mut runtime {
            drive(machine, runtime, clock, wishes, recorder, &mut |told| narrator.observe(told, tell)).await;
        }
        return Ok(narrator.into_summary());
    }
    let connected = if plan.tasks().is_empty() {
        Err("there is nothing to do".to_owned())
    } else {
        tokio::select! {
            biased;
            reason = cancelled(wishes) => Err(reason),
            connected = connect(plan.clone(), config, tell) => Ok(connected?),
        }
    };
    match connected {
        Ok((plan, mut runtime, known)) => {
            let strategy = strategy.map(|strategy| fitted(strategy, settings.estimate, known));
            let (machine, mut narrator, recorder) =
                begin(Job { plan, settings, strategy, origin }, (NAME, seed()), clock.now(), live, tell)?;
            drive(machine, &mut runtime, clock, wishes, recorder, &mut |told| narrator.observe(told, tell)).await;
            Ok(narrator.into_summary())
        }
        Err(reason) => {
            // Kept like any other: its name has been told.
            let (_, mut narrator, mut recorder) = begin(
                Job { plan: plan.clone(), settings: settings.clone(), strategy: None, origin },
                (NAME, 0),
                clock.now(),
                live,
                tell,
            )?;
            let mut machine = RunMachine::cancelled(plan, settings, strategy, &reason, clock.now());
            while let Some(fact) = machine.poll_fact() {
                recorder.take(&fact);
                narrator.observe(Told::Fact(fact), tell);
            }
            recorder.write(&mut machine, clock.now(), &mut |told| narrator.observe(told, tell));
            Ok(narrator.into_summary())
        }
    }
}

/// The reason for which somebody wants the run to end.
async fn cancelled(wishes: &mut UnboundedReceiver<Wish>) -> String {
    loop {
        match wishes.recv().await {
            None => return NOBODY_WAITS.to_owned(),
            Some(Wish::End(reason)) => return reason,
            // Nothing has been asked yet, and nothing was begun that could be left.
            Some(Wish::Tell(_) | Wish::Leave) => {}
        }
    }
}

/// The strategy, its tasks limited to the models that the gateway knows.
fn fitted(strategy: Box<dyn Strategy>, estimate: Estimate, known: Option<KnownModels>) -> Box<dyn Strategy> {
    let Some(known) = known else { return strategy };
    Box::new(Adapted::new(strategy, estimate, move |task: &mut Task, _: &dyn Strategy| {
        let usable = task.hierarchy.usable(|model| known.may_have(model), || known.names.clone());
        // Where none is left, the first attempt tells why.
        if let Ok((usable, _)) = usable {
            task.hierarchy = Arc::new(usable);
        }
    }))
}

/// Whether nothing is left to do of a run of an earlier process.
fn is_over(origin: &Origin) -> bool {
    match origin {
        Origin::New(_) => false,
        Origin::Resumed(resumed) => resumed.is_over(),
    }
}

/// The plan with the prices that a rehearsal plays with, where the caller gave none.
fn priced(plan: &Plan) -> Plan {
    let with_prices =
        |hierarchy: &Arc<ModelHierarchy>| Ok::<_, Infallible>(Arc::new(hierarchy.priced(rehearsal::price)));
    match plan.clone().with_hierarchies(with_prices) {
        Ok(plan) => plan,
    }
}

/// A run whose calls the caller makes.
pub fn stepwise(
    job: Job,
    abilities: Abilities,
    live: LiveSessions,
    tell: &mut impl FnMut(RunEvent),
) -> Result<(Stepwise, Narrator), RunError> {
    let Job { plan, settings, strategy, origin } = job;
    let clock = Clock::real();
    let (machine, narrator, recorder) =
        begin(Job { plan, settings, strategy, origin }, (TOOLS, seed()), clock.now(), live, tell)?;
    Ok((Stepwise::new(machine, ToolRuntime::new(abilities), clock, recorder), narrator))
}

/// The one seed of a run, or of the children of a program.
#[expect(clippy::disallowed_methods, reason = "a run's seed comes from here")]
pub(super) fn seed() -> u64 {
    fastrand::u64(..)
}

/// What a gateway says of its models, if it says anything.
async fn known_models(runtime: &GatewayRuntime, tell: &mut impl FnMut(RunEvent)) -> Option<KnownModels> {
    match runtime.models().await {
        Ok(known) => Some(known),
        // A gateway that does not tell its models may still run them: the first attempt will show.
        Err(reason) => {
            let text = format!("the gateway does not tell which models it knows ({reason})");
            tell(RunEvent::Notice { level: Level::Info, text });
            None
        }
    }
}

/// Connects, and passes over the tiers that the gateway does not know.
async fn connect(
    plan: Arc<Plan>,
    config: GatewayConfig,
    tell: &mut impl FnMut(RunEvent),
) -> Result<(Arc<Plan>, GatewayRuntime, Option<KnownModels>), RunError> {
    let runtime = GatewayRuntime::connect(&config).await?;
    let Some(known) = known_models(&runtime, tell).await else { return Ok((plan, runtime, None)) };
    let mut warned: Vec<Arc<str>> = Vec::new();
    let plan = Plan::clone(&plan).with_hierarchies(|hierarchy| {
        let (usable, passed_over) = hierarchy.usable(|model| known.may_have(model), || known.names.clone())?;
        for model in passed_over {
            if !warned.contains(&model) {
                let text = format!("the gateway does not know model `{model}`: passed over");
                tell(RunEvent::Notice { level: Level::Warning, text });
                warned.push(model);
            }
        }
        Ok::<_, RunError>(Arc::new(usable))
    })?;
    Ok((Arc::new(plan), runtime, Some(known)))
}

/// What the agent of `task` answers in a rehearsal.
fn rehearsed_answer(task: &Task, strategy: Option<&dyn Strategy>) -> Arc<str> {
    let value = strategy.and_then(|strategy| strategy.rehearse(task)).unwrap_or_else(|| example(task, MARK));
    match (task.format, value) {
        (OutputFormat::Markdown | OutputFormat::Code | OutputFormat::Text, Value::String(text)) => text.into(),
        (_, value) => value.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::task::TaskDraft;
    use serde_json::json;

    #[test]
    fn tasks_beside_a_strategy_that_makes_its_own_are_refused_unless_they_are_recalled() {
        let Value::Object(fields) = json!({"strategy": {"kind": "orchestrate", "request": "Write."}}) else {
            unreachable!("an object")
        };
        let options = RunOptions::from_stored(fields).expect("options");
        let registry = Registry::builtin();
        let task = json!({"agent_type": "plain", "task_description": "Do it.", "output_format": "text"});
        let draft = TaskDraft::from_json(0, task).expect("a task");
        let plan = super::super::plan([draft], &registry, ModelHierarchy::default()).expect("a plan");
        let refused = Job::new(plan.clone(), &options, &registry).expect_err("a task is given").to_string();
        assert!(refused.contains("`strategy` is `given beside tasks`, expected to stand alone"), "{refused}");
        let (job, _) = Job::read(plan, &options, &registry).expect("a run that goes on");
        assert_eq!(job.plan.tasks().len(), 1);
        let job = Job::new(Arc::new(Plan::default()), &options, &registry).expect("a run");
        assert_eq!(job.plan.tasks().len(), 1, "its own");
    }
}
