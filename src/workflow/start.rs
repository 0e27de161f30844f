//! Starts a run on a thread of its own and tells what becomes of it. User code never runs on that thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::RunError;
use super::narrate::{LiveSessions, Narrator};
use crate::agents::{registry, sample};
use crate::core::output::OutputFormat;
use crate::core::plan::{Plan, Task};
use crate::core::progress::Progress;
use crate::core::report::TaskReport;
use crate::core::run::RunMachine;
use crate::core::settings::RunSettings;
use crate::driver::{Clock, NOBODY_WAITS, Stepwise, drive};
use crate::runtime::gateway::{GatewayConfig, GatewayRuntime};
use crate::runtime::rehearsal::{Rehearsal, RehearsalModel};
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
    /// A task has ended. Comes exactly once for each task.
    TaskEnded(Arc<TaskReport>),
    /// The run is over. The last event, unless it failed.
    Ended(RunSummary),
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

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunSummary {
    /// The counts.
    pub progress: Progress,
    /// The time that all tasks took together.
    pub execution_time: Duration,
    /// Sessions that could not be deleted.
    pub sessions_left: Vec<SessionLeft>,
}

/// A run that goes on by itself. Dropping it cancels the run.
#[derive(Debug)]
pub struct RunHandle {
    /// What the run tells.
    pub events: UnboundedReceiver<RunEvent>,
    /// Takes the reason for which the run is to end early; asked twice, it ends at once.
    pub cancels: UnboundedSender<String>,
    /// The sessions of agents that are under way.
    pub live: LiveSessions,
}

/// Starts a run. `wake` is called on the run's thread after each event.
pub fn start(
    plan: Arc<Plan>,
    settings: RunSettings,
    choice: RuntimeChoice,
    wake: impl Fn() + Send + 'static,
) -> Result<RunHandle, RunError> {
    let (events, receiver) = unbounded_channel();
    let (cancels, mut cancel_reasons) = unbounded_channel();
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
            runtime.block_on(run(plan, settings, choice, &mut cancel_reasons, live_here, &mut tell))
        });
        let result = catch_unwind(run).unwrap_or_else(|panic| Err(RunError::Internal(panic_text(&*panic))));
        tell(match result {
            Ok(summary) => RunEvent::Ended(summary),
            Err(error) => RunEvent::Failed(error),
        });
        drop(events);
        wake();
    };
    let thread = thread::Builder::new().name("parallel-agents".to_owned()).spawn(body);
    thread.map_err(|error| RunError::Internal(format!("no thread could be started: {error}")))?;
    Ok(RunHandle { events: receiver, cancels, live })
}

pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("panic without a message").to_owned()
}

async fn run(
    plan: Arc<Plan>,
    settings: RunSettings,
    choice: RuntimeChoice,
    cancels: &mut UnboundedReceiver<String>,
    live: LiveSessions,
    tell: &mut impl FnMut(RunEvent),
) -> Result<RunSummary, RunError> {
    match choice {
        RuntimeChoice::Rehearsal(model) => {
            let answers = plan.tasks().iter().map(rehearsed_answer).collect();
            let clock = Clock::played(model.speed);
            let seed = model.seed;
            let mut runtime = Rehearsal::new(model, answers);
            let mut narrator = Narrator::new(plan.clone(), &settings, live);
            let machine = RunMachine::new(plan, settings, seed, clock.now());
            drive(machine, &mut runtime, clock, cancels, &mut |fact| narrator.observe(&fact, tell)).await;
            Ok(narrator.into_summary())
        }
        RuntimeChoice::Gateway(config) => {
            let clock = Clock::real();
            let connected = if plan.tasks().is_empty() {
                Err("there is nothing to do".to_owned())
            } else {
                tokio::select! {
                    biased;
                    reason = cancels.recv() => Err(reason.unwrap_or_else(|| NOBODY_WAITS.to_owned())),
                    connected = connect(plan.clone(), config, tell) => Ok(connected?),
                }
            };
            match connected {
                Ok((plan, mut runtime)) => {
                    let mut narrator = Narrator::new(plan.clone(), &settings, live);
                    let machine = RunMachine::new(plan, settings, seed(), clock.now());
                    drive(machine, &mut runtime, clock, cancels, &mut |fact| narrator.observe(&fact, tell)).await;
                    Ok(narrator.into_summary())
                }
                Err(reason) => {
                    let mut narrator = Narrator::new(plan.clone(), &settings, live);
                    let mut machine = RunMachine::cancelled(plan, settings, &reason, clock.now());
                    while let Some(fact) = machine.poll_fact() {
                        narrator.observe(&fact, tell);
                    }
                    Ok(narrator.into_summary())
                }
            }
        }
    }
}

/// A run whose calls the caller makes.
pub fn stepwise(plan: Arc<Plan>, settings: RunSettings, abilities: Abilities) -> Stepwise {
    let clock = Clock::real();
    let machine = RunMachine::new(plan, settings, seed(), clock.now());
    Stepwise::new(machine, ToolRuntime::new(abilities), clock)
}

/// The one seed of a run, or of the children of a program.
#[expect(clippy::disallowed_methods, reason = "a run's seed comes from here")]
pub(super) fn seed() -> u64 {
    fastrand::u64(..)
}

/// Connects, and passes over the tiers that the gateway does not know.
async fn connect(
    plan: Arc<Plan>,
    config: GatewayConfig,
    tell: &mut impl FnMut(RunEvent),
) -> Result<(Arc<Plan>, GatewayRuntime), RunError> {
    let runtime = GatewayRuntime::connect(&config).await?;
    let known = match runtime.models().await {
        Ok(known) => known,
        // A gateway that does not tell its models may still run them: the first attempt will show.
        Err(reason) => {
            let text = format!("the gateway does not tell which models it knows ({reason})");
            tell(RunEvent::Notice { level: Level::Info, text });
            return Ok((plan, runtime));
        }
    };
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
    Ok((Arc::new(plan), runtime))
}

/// What the agent of `task` answers in a rehearsal: the example of its contract, each text marked as rehearsed.
fn rehearsed_answer(task: &Task) -> Arc<str> {
    const MARK: &str = "[rehearsal, no AI]";
    let text = match task.format {
        OutputFormat::Json => {
            let agent_type = registry().get(&task.agent_type).ok();
            let own = agent_type.as_ref().and_then(|agent_type| agent_type.schema_source());
            let wanted = task.schema.as_ref().map(crate::core::output::Schema::source);
            let example = agent_type.as_ref().filter(|_| own == wanted).and_then(|agent_type| agent_type.example());
            let plain = example.unwrap_or_else(|| wanted.map_or_else(|| serde_json::json!({}), sample));
            let mut marked = plain.clone();
            mark(&mut marked, MARK);
            let fits = task.schema.as_ref().is_none_or(|schema| schema.complaints(&marked).is_empty());
            if fits { marked.to_string() } else { plain.to_string() }
        }
        OutputFormat::Code => format!("```\n// {MARK}\n```"),
        OutputFormat::Markdown | OutputFormat::Text => {
            format!("{MARK} The answer of {} would stand here.", task.agent_type)
        }
    };
    text.into()
}

fn mark(value: &mut serde_json::Value, with: &str) {
    match value {
        serde_json::Value::String(text) => *text = format!("{with} {text}"),
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| mark(item, with)),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(|field| mark(field, with)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}
