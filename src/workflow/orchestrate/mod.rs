//! Orchestration: an agent plans for a request, its plan is compiled and run, what fails is planned anew, and a last agent
//! reports.
//!
//! What an agent writes becomes part of a run only through [`compile`], which knows every limit; [`contract`] says to agents
//! what is wanted of them, [`strategy`] goes from one to the next, [`outcome`] tells what it all came to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::InputError;
use super::options::Reader;
use super::steered::{Steered, TaskMaker};
use crate::agents::Registry;
use crate::core::task::TIMEOUT_MAX;

mod compile;
mod contract;
mod outcome;
mod rehearsal;
mod step;
mod strategy;
#[cfg(test)]
mod tests;

pub use outcome::{printable, shown_plan};

use strategy::Orchestrate;

/// The type of the agents that plan and report. A plan cannot name it.
const ORCHESTRATOR: &str = "agent_orchestrator";
/// The longest request, in bytes.
const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// Tasks of one plan, at the most and by default.
const TASKS_MAX: u64 = 200;
const TASKS_DEFAULT: u64 = 50;
/// How often a plan may be made anew, at the most and by default.
const REPLANS_MAX: u64 = 10;
const REPLANS_DEFAULT: u64 = 2;
/// Time for one attempt at a plan or at the report, by default.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(600);

/// What is asked for, and within which limits.
#[derive(Debug, Clone)]
struct Brief {
    request: String,
    /// The agent types that a plan may name, with what they do. Those that are gone since then are offered no more.
    types: BTreeMap<String, String>,
    tasks_max: usize,
    replans_max: usize,
    /// Time for one attempt at a plan or at the report.
    timeout: Duration,
    /// Whether a person approves of each plan before it is run.
    needs_approval: bool,
}

/// The spec of an orchestration with the agent types of this moment, which a resumed run is to know again.
pub fn orchestration(mut fields: Map<String, Value>, registry: &Registry) -> Map<String, Value> {
    let types = registry.list(None).filter(|each| *each.name != *ORCHESTRATOR);
    let types: Vec<Value> = types.map(|each| json!({ "name": *each.name, "description": *each.description })).collect();
    fields.insert("kind".to_owned(), json!("orchestrate"));
    fields.insert("agent_types".to_owned(), types.into());
    fields
}

/// Whether a run with this strategy may ask for approval.
pub fn asks_for_approval(spec: &Value) -> bool {
    spec.get("kind").and_then(Value::as_str) == Some("orchestrate")
        && spec.get("approval").and_then(Value::as_bool) == Some(true)
}

/// The strategy that `reader` holds the spec of, and the task that it begins with.
pub(super) fn orchestrate(reader: Reader, maker: TaskMaker) -> Result<Steered, InputError> {
    let brief = brief(reader, &maker)?;
    let strategy = Orchestrate::new(brief, maker);
    let first = strategy.first()?;
    Ok(Steered { strategy: Box::new(strategy), first: vec![first] })
}

fn brief(mut reader: Reader, maker: &TaskMaker) -> Result<Brief, InputError> {
    let Some(request) = reader.text("request")? else {
        return Err(reader.error("request", &Value::Null, "what the agents are to achieve, as a text"));
    };
    if request.len() > REQUEST_BYTES_MAX {
        let expected = format!("at most {REQUEST_BYTES_MAX} bytes, and it has {}", request.len());
        return Err(reader.error("request", &Value::from(request), expected));
    }
    let count = |value: Option<u64>, default| usize::try_from(value.unwrap_or(default)).unwrap_or(usize::MAX);
    let tasks_max = count(reader.whole("tasks_max", 1, TASKS_MAX)?, TASKS_DEFAULT);
    let replans_max = count(reader.whole("replans_max", 0, REPLANS_MAX)?, REPLANS_DEFAULT);
    let timeout = reader.seconds("timeout_seconds")?.unwrap_or(TIMEOUT_DEFAULT);
    if timeout > TIMEOUT_MAX {
        let expected = format!("a number of seconds above 0, at most {}", TIMEOUT_MAX.as_secs());
        return Err(reader.error("timeout_seconds", &json!(timeout.as_secs_f64()), expected));
    }
    let needs_approval = reader.choice("approval", &[("false", false), ("true", true)])?;
    let types = types(&mut reader, maker)?;
    reader.done(&["kind", "request", "tasks_max", "replans_max", "timeout_seconds", "approval", "agent_types"])?;
    Ok(Brief { request, types, tasks_max, replans_max, timeout, needs_approval })
}

/// The agent types of the run: those that it was started with, else all there are now.
fn types(reader: &mut Reader, maker: &TaskMaker) -> Result<BTreeMap<String, String>, InputError> {
    const EXPECTED: &str = "a list of objects with `name` and `description`";
    let rows = match reader.take("agent_types") {
        None => orchestration(Map::new(), maker.registry()).shift_remove("agent_types").unwrap_or_default(),
        Some(rows) => rows,
    };
    let row = |row: &Value| {
        let text = |field: &str| row.get(field).and_then(Value::as_str).map(str::to_owned);
        Some((text("name")?, text("description")?))
    };
    let types: Option<BTreeMap<_, _>> = rows.as_array().and_then(|rows| rows.iter().map(row).collect());
    let Some(mut types) = types else { return Err(reader.error("agent_types", &rows, EXPECTED)) };
    types.remove(ORCHESTRATOR);
    Ok(types)
}

/// The ids of the tasks of a run. Those of an agent's steps have a part of their own, so that none can be one of ours.
fn plan_id(plan_no: usize) -> Arc<str> {
    format!("plan-{plan_no}").into()
}

const REPORT_ID: &str = "report";

fn step_id(id: &str) -> String {
    format!("step/{id}")
}
