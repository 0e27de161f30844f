//! What is run: fifty tasks, many of which build on others and fail on their way.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use parallel_agents::core::breaker::BreakerPolicy;
use parallel_agents::core::budget::Budget;
use parallel_agents::core::fact::End;
use parallel_agents::core::hierarchy::{ModelHierarchy, Tier};
use parallel_agents::core::output::OutputFormat;
use parallel_agents::core::plan::{Plan, Task};
use parallel_agents::core::retry::RetryPolicy;
use parallel_agents::core::settings::RunSettings;
use parallel_agents::core::strategy::{Ask, KeptBack, Next, Strategy, Word};
use parallel_agents::runtime::rehearsal::{RehearsalModel, estimate, price};

/// The id of each run, in a journal of its own.
pub const RUN: &str = "run";
const TASKS: usize = 50;
const MODELS: [&str; 2] = ["anthropic/claude-haiku-4-5", "anthropic/claude-opus-4-5"];

/// A run and its agents.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    pub name: &'static str,
    failure_rate: f64,
    /// US dollars.
    pub cap: Option<f64>,
    concurrency_max: usize,
    /// How many of its tasks it begins with; a strategy adds the others.
    pub given: usize,
}

/// Agents fail in every way.
pub const FAILING: Scene = Scene { name: "failing", failure_rate: 0.4, cap: None, concurrency_max: 8, given: TASKS };
/// The same, but it begins with a few tasks, and others are added as they end.
pub const GROWING: Scene = Scene { name: "growing", given: 12, ..FAILING };
/// There is money for some of the tasks only.
pub const CAPPED: Scene =
    Scene { name: "capped", failure_rate: 0.3, cap: Some(0.005), concurrency_max: 8, given: TASKS };
/// All agents answer.
pub const SOUND: Scene = Scene { name: "sound", failure_rate: 0.0, cap: None, concurrency_max: 5, given: TASKS };

impl Scene {
    pub fn named(name: &str) -> Self {
        *[FAILING, GROWING, CAPPED, SOUND].iter().find(|scene| scene.name == name).expect("a scene")
    }

    /// What it begins with.
    pub fn plan(&self) -> Arc<Plan> {
        let tasks = plan().tasks()[..self.given].to_vec();
        Arc::new(Plan::new(tasks).expect("a plan"))
    }

    pub fn strategy(&self) -> Option<Box<dyn Strategy>> {
        (self.given < TASKS).then(|| Box::new(Growing { added: self.given, heard: 0, is_approved: false }) as _)
    }

    pub fn model(&self) -> RehearsalModel {
        RehearsalModel {
            seed: 12,
            latency: Duration::from_millis(100),
            failure_rate: self.failure_rate,
            speed: Some(25.0),
            ..RehearsalModel::default()
        }
    }

    /// A start that was cut off before any agent heard of it spends a repeat of its task: there are enough of those that no
    /// task fails for it. What breakers learned dies with their process, so there are none.
    pub fn settings(&self) -> RunSettings {
        RunSettings {
            concurrency_max: self.concurrency_max,
            retry: RetryPolicy {
                attempts_max: 100,
                transient_retries_max: 50,
                retries_min: 1_000,
                delay_first: Duration::from_millis(2),
                delay_max: Duration::from_millis(8),
                ..RetryPolicy::default()
            },
            breaker: BreakerPolicy { failures_max: 0, ..BreakerPolicy::default() },
            budget: Budget { usd: self.cap, ..Budget::default() },
            estimate: estimate(&answers()),
            journaled: true,
            ..RunSettings::default()
        }
    }
}

/// What the agents of each task answer, unless they fail.
pub fn answers() -> Vec<Arc<str>> {
    let answer = |index: usize| match format(index) {
        OutputFormat::Json => json!({"task": index}).to_string(),
        OutputFormat::Text | OutputFormat::Markdown | OutputFormat::Code => {
            format!("This is what {index} came to.")
        }
    };
    (0..TASKS).map(|index| answer(index).into()).collect()
}

pub fn plan() -> Arc<Plan> {
    let tiers = MODELS.map(|model| Tier { model: model.into(), price: price(model) }).to_vec();
    let hierarchy = Arc::new(ModelHierarchy::new(tiers).expect("a hierarchy"));
    let dependencies = |index: usize| match index {
        0..10 => Vec::new(),
        _ if index.is_multiple_of(3) => vec![format!("t{}", index - 10), format!("t{}", index / 2)],
        _ => vec![format!("t{}", index - 7)],
    };
    let task = |index: usize| Task {
        id: format!("t{index}").into(),
        agent_type: "plain".into(),
        instructions: "You do as you are told.".into(),
        brief: format!("Do number {index}.").into(),
        contract: "Answer in the form that was asked for.".into(),
        timeout: Duration::from_secs(60),
        deadline: None,
        format: format(index),
        schema: None,
        priority: i64::try_from(index % 4).expect("small"),
        dependencies: dependencies(index),
        hierarchy: hierarchy.clone(),
    };
    Arc::new(Plan::new((0..TASKS).map(task).collect()).expect("a plan"))
}

/// Adds two tasks after each end, in the order of the plan; in the middle it waits for a person's approval.
#[derive(Debug)]
struct Growing {
    added: usize,
    heard: usize,
    is_approved: bool,
}

impl Growing {
    /// The end after which it asks.
    const ASKS: usize = 8;

    fn grow(&mut self) -> Next {
        let ends = if self.is_approved { self.heard } else { self.heard.min(Self::ASKS) };
        let through = (GROWING.given + 2 * ends).min(TASKS);
        let add = plan().tasks()[self.added..through].to_vec();
        self.added = through;
        Next { add, ..Next::default() }
    }
}

impl Strategy for Growing {
    fn ended(&mut self, _: &Task, _: &End) -> Next {
        self.heard += 1;
        let ask = (self.heard == Self::ASKS).then(|| Ask::Approval(Arc::new(json!("go on?"))));
        Next { ask, ..self.grow() }
    }

    fn told(&mut self, word: &Word) -> Next {
        self.is_approved |= matches!(word, Word::Approval { approved: true, .. });
        self.grow()
    }

    fn grows(&self) -> bool {
        true
    }

    fn outcome(&self, _: &KeptBack) -> Option<Value> {
        Some(json!(self.heard))
    }
}

fn format(index: usize) -> OutputFormat {
    if index.is_multiple_of(2) { OutputFormat::Json } else { OutputFormat::Text }
}
