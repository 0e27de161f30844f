//! What the agents that plan and report answer in a rehearsal: a plan that compiles, a report that names its steps.

use serde_json::{Map, Value, json};

use super::compile::TARGET_MAX;
use super::step::Step;
use super::strategy::Orchestrate;
use super::{ORCHESTRATOR, REPORT_ID};
use crate::core::output::abridged;
use crate::core::plan::Task;
use crate::workflow::example::MARK;

const CREATOR: &str = "agent_creator";
/// More agents than this are not made up one by one.
const AGENTS_MAX: usize = 20;
/// How much of the request stands in each description, in characters.
const REQUEST_CHARS: usize = 200;
/// What is planned, where there are these types: two parts beside each other, and one that builds on both.
const PARTS: [(&str, &str, &str); 3] = [
    ("facts", "content_writer_educational", "Collect what is known about"),
    ("outline", "documentation_writer", "Outline the result of"),
    ("check", "code_reviewer", "Check the parts that were made for"),
];

/// The answer to this task; `None` if it is a step's.
pub(super) fn rehearsed(run: &Orchestrate, task: &Task) -> Option<Value> {
    if *task.agent_type != *ORCHESTRATOR {
        let place = run.steps.iter().position(|step| step.knows(&task.id))?;
        return run.steps[place].rehearse(task, place);
    }
    Some(if *task.id == *REPORT_ID { report(task) } else { plan(run) })
}

fn plan(run: &Orchestrate) -> Value {
    let request = abridged(&run.brief.request, REQUEST_CHARS);
    let failed: Vec<&Step> = {
        let open = run.open();
        run.steps.iter().filter(|step| open.contains(step.id())).collect()
    };
    if !run.steps.is_empty() {
        let again: Vec<Value> = failed.iter().map(|step| substitute(step, &failed, run.plan_no())).collect();
        return planned(&again);
    }
    let types = &run.brief.types;
    if let Some((count, target)) = wanted_agents(&run.brief.request)
        && types.contains_key(CREATOR)
    {
        let rows = (1..=count.min(run.brief.tasks_max)).map(|no| {
            json!({
                "task_id": format!("agent-{no}"), "agent_type": CREATOR, "target": target,
                "task_description": format!("{MARK} Design agent {no} of those that the request wants."),
            })
        });
        return planned(&rows.collect::<Vec<_>>());
    }
    let Some(any) = types.keys().next() else { return planned(&[]) };
    let mut ids: Vec<&str> = Vec::new();
    let mut rows = Vec::new();
    for (id, wanted, what) in PARTS.into_iter().take(run.brief.tasks_max) {
        let agent_type = if types.contains_key(wanted) { wanted } else { any };
        let is_last = id == PARTS[PARTS.len() - 1].0;
        rows.push(json!({
            "task_id": id, "agent_type": agent_type, "task_description": format!("{MARK} {what}: {request}"),
            "dependencies": if is_last { ids.clone() } else { Vec::new() },
        }));
        ids.push(id);
    }
    planned(&rows)
}

/// How many agents a request wants to be made, and with which score: "5 new agents ... score 8.5+".
fn wanted_agents(request: &str) -> Option<(usize, Option<f64>)> {
    let words: Vec<&str> = request.split_whitespace().collect();
    let is_agents = |word: &&str| word.to_lowercase().starts_with("agent");
    let count = words.iter().enumerate().find_map(|(index, word)| {
        let count: usize = word.parse().ok()?;
        words.iter().skip(index + 1).take(2).any(is_agents).then_some(count)
    })?;
    let after_score = words.iter().skip_while(|word| !word.to_lowercase().starts_with("score")).nth(1);
    let is_digit = |each: char| each.is_ascii_digit();
    let target = after_score.and_then(|word| word.trim_matches(|each| !is_digit(each)).parse().ok());
    (1..=AGENTS_MAX).contains(&count).then_some((count, target.filter(|target| *target <= TARGET_MAX)))
}

fn planned(tasks: &[Value]) -> Value {
    json!({ "mode": "plan", "tasks": tasks, "rationale": format!("{MARK} what builds on nothing runs at once") })
}

/// The same once more, under a new id.
fn substitute(step: &Step, failed: &[&Step], plan_no: usize) -> Value {
    let new_id = |id: &str| format!("{}-{plan_no}", abridged(id, 50));
    let is_failed = |id: &String| failed.iter().any(|step| step.id() == id);
    let before = step.planned.dependencies.iter().map(|id| if is_failed(id) { new_id(id) } else { id.clone() });
    let mut row: Map<String, Value> = step.shown();
    row.insert("task_id".to_owned(), json!(new_id(step.id())));
    row.insert("dependencies".to_owned(), before.collect());
    row.insert("replaces".to_owned(), json!([step.id()]));
    row.into()
}

/// The contract of the report holds the true status of each step.
fn report(task: &Task) -> Value {
    let schema = task.schema.as_ref().map(|schema| schema.source().clone()).unwrap_or_default();
    let statuses = schema.pointer("/properties/steps/properties").and_then(Value::as_object).cloned();
    let statuses = statuses.unwrap_or_default().into_iter();
    let steps: Map<String, Value> = statuses.filter_map(|(id, is)| Some((id, is.get("const")?.clone()))).collect();
    let ids: Vec<String> = steps.keys().map(|id| format!("`{id}`")).collect();
    json!({
        "mode": "report",
        "report": format!("{MARK} What the agents made of {} would stand here.", ids.join(", ")),
        "findings": [],
        "unresolved": [],
        "steps": steps,
    })
}
