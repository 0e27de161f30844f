//! Plan files, and agent types in Markdown. What is accepted is rehearsed to its end.

use std::sync::{Arc, LazyLock};

use parallel_agents::agents::{AgentType, Registry, sample};
use parallel_agents::core::output::OutputFormat;
use parallel_agents::core::plan::Plan;
use parallel_agents::core::run::RunMachine;
use parallel_agents::core::task::{PROMPT_BYTES_MAX, TaskDraft};
use parallel_agents::runtime::Runtime;
use parallel_agents::runtime::rehearsal::{Rehearsal, RehearsalModel};
use parallel_agents::workflow::{self, RunOptions, RuntimeChoice, with_causes};
use serde_json::{Map, Value};

use super::assert_shows_well;
use super::play::{BEGIN, Fold};

/// Steps that no rehearsal needs that is played here.
const STEPS_MAX: u32 = 200_000;
/// Attempts of all tasks together, in a rehearsal that is played here. More are not worse, only more.
const ATTEMPTS_MAX: usize = 500;

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::builtin);

/// See the module.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.starts_with("---") {
        check_agent_type(text);
    } else if let Ok(plan) = serde_json::from_str(text)
        && let Err(message) = rehearse(plan)
    {
        // Lists of names that the file is full of may stand in it, and those of ours.
        assert_shows_well(&message, 2 * text.len() + 2_000);
    }
}

fn check_agent_type(text: &str) {
    match AgentType::from_markdown(text, "fuzz.md") {
        Ok(agent_type) => {
            assert!(agent_type.prompt().len() <= text.len() + 2, "a prompt is what its file holds");
            assert!(agent_type.describe().is_object());
            if let (Some(schema), Some(example)) = (agent_type.schema().expect("checked"), agent_type.example()) {
                assert!(schema.complaints(&example).is_empty(), "an example fits");
            }
            let name = agent_type.name.to_string();
            let mut registry = REGISTRY.clone();
            let is_new = registry.get(&name).is_err();
            assert_eq!(registry.add(agent_type, false).is_ok(), is_new, "a name is taken once");
        }
        Err(error) => assert_shows_well(&with_causes(&error), 2 * text.len() + 2_000),
    }
}

fn rehearse(plan: Value) -> Result<(), String> {
    let (tasks, options) = match plan {
        Value::Array(tasks) => (tasks, Map::new()),
        Value::Object(mut fields) => match fields.shift_remove("tasks") {
            Some(Value::Array(tasks)) => (tasks, fields),
            Some(_) | None => return Ok(()),
        },
        _ => return Ok(()),
    };
    let options = RunOptions::from_json(options).map_err(|error| error.to_string())?;
    let drafts = tasks.into_iter().enumerate().map(|(index, task)| TaskDraft::from_json(index, task));
    let drafts = drafts.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let plan = workflow::plan(drafts, &REGISTRY, options.hierarchy).map_err(|error| error.to_string())?;
    for task in plan.tasks() {
        assert!(task.brief.len() + task.contract.len() + task.instructions.len() <= PROMPT_BYTES_MAX);
    }
    let model = match options.runtime {
        RuntimeChoice::Rehearsal(model) => model,
        RuntimeChoice::Gateway(_) => RehearsalModel { failure_rate: 0.5, ..RehearsalModel::default() },
    };
    let mut settings = options.settings;
    let attempts_max = u32::try_from(ATTEMPTS_MAX / plan.tasks().len().max(1)).unwrap_or(1).max(1);
    settings.retry.attempts_max = settings.retry.attempts_max.min(attempts_max);
    let answers = plan.tasks().iter().map(|task| match (task.format, &task.schema) {
        (OutputFormat::Json, Some(schema)) => sample(schema.source()).to_string().into(),
        (OutputFormat::Json, None) => "{}".into(),
        (OutputFormat::Markdown | OutputFormat::Code | OutputFormat::Text, _) => "```\nit\n```".into(),
    });
    let answers: Vec<Arc<str>> = answers.collect();
    let runtime = Rehearsal::new(model, move |order| answers[order.attempt.task_index].clone());
    play(&plan, RunMachine::new(plan.clone(), settings, 7, BEGIN), runtime);
    Ok(())
}

/// As the driver does it, but without waiting.
fn play(plan: &Arc<Plan>, mut machine: RunMachine, mut runtime: Rehearsal) {
    let (mut now, mut fold) = (BEGIN, Fold::new(plan));
    for _ in 0..STEPS_MAX {
        while let Some(fact) = machine.poll_fact() {
            fold.take(&fact);
        }
        while let Some(action) = machine.poll_action() {
            runtime.begin(action, now);
        }
        if machine.is_finished() {
            fold.done();
            return;
        }
        if let Some(report) = runtime.poll_report(now) {
            machine.handle_report(report, now);
        } else {
            let next = machine.next_deadline().into_iter().chain(runtime.next_time()).min();
            now = now.max(next.expect("a run that is not over waits for something"));
            machine.handle_time(now);
        }
    }
    panic!("the rehearsal has not ended after {STEPS_MAX} steps");
}
