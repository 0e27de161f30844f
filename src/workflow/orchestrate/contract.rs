//! What the agents that plan and report are told, and what their answers are checked against. What other agents wrote is
//! data, and bounded.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::compile::{DESCRIPTION_CHARS_MAX, FIELDS, ID_CHARS_MAX, ID_PATTERN, PRIORITY_MAX, TARGET_MAX};
use super::step::{Stage, Step};
use super::{Brief, ORCHESTRATOR, REPORT_ID, plan_id};
use crate::core::budget::Budget;
use crate::core::output::{OutputFormat, abridged};
use crate::core::plan::Task;
use crate::core::prompt::cut;
use crate::core::strategy::KeptBack;
use crate::core::task::{TaskDraft, TaskError};
use crate::workflow::steered::TaskMaker;

/// How much of the outputs of all steps a prompt holds, in bytes, and how much of one of them.
const OUTPUTS_BYTES_MAX: usize = 256 * 1024;
const OUTPUT_BYTES_MAX: usize = 32 * 1024;
/// How much of a plan that does not hold is shown to the agent that is to mend it, in bytes.
const PLAN_BYTES_SHOWN: usize = 32 * 1024;
/// How much of a reason, and of the description of an earlier step, in characters.
const REASON_CHARS: usize = 500;
const DESCRIPTION_CHARS: usize = 300;
/// The longest report, in characters.
const REPORT_CHARS_MAX: usize = 100_000;
/// The tasks of those who plan and report start before others.
const PRIORITY: i64 = PRIORITY_MAX + 1;

/// Why there is to be another plan.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cause<'a> {
    /// It is the first.
    Request,
    /// This one does not hold.
    Refused(&'a Value, &'a [String]),
    /// Steps came to nothing.
    Failures,
}

/// What a planner is told of the steps so far.
#[derive(Debug, Default)]
pub(super) struct Told<'a> {
    pub steps: &'a [Step],
    /// Those that need a substitute.
    pub open: BTreeSet<&'a str>,
}

/// The task of an agent that is to plan.
pub(super) fn plan_task(
    brief: &Brief,
    plan_no: usize,
    cause: Cause<'_>,
    Told { steps, open }: Told<'_>,
    maker: &TaskMaker,
) -> Result<Task, TaskError> {
    let Brief { request, tasks_max, .. } = brief;
    let types: BTreeMap<_, _> = brief.types.iter().filter(|(name, _)| maker.registry().get(name).is_ok()).collect();
    let why = match cause {
        Cause::Request => String::new(),
        Cause::Refused(..) => "Your latest plan, `refused_plan`, does not hold: `complaints` names why. Nothing of it was \
             run. Write the whole plan again, mended.\n"
            .to_owned(),
        Cause::Failures => "Your plan was run as far as possible. `results` holds what completed, `failures` what did \
             not. Plan only substitutes: new tasks, under new ids, for those in `open`, which failed, were skipped because of \
             others, or fell short of their target, as far as the request needs them and another way may succeed. \
             `replaces` of each new task names the tasks of `open` that it makes up for: what no completed task replaces \
             stays open. They may depend on completed tasks. If nothing is worth another try, give an empty `tasks`: what there is will be reported.\n"
            .to_owned(),
    };
    let description = format!(
        "Mode: plan. Write the plan for this request:\n\n{request}\n\n{why}At most {tasks_max} tasks, of the types in \
         `agent_types`. Each task's output reaches those that depend on it without further ado. Models, times and money \
         are not yours to set. `target`, from 0 to {TARGET_MAX}, is only for tasks of which the request wants such a \
         quality: their output is then reviewed and refined until a reviewer gives it that score, so plan no tasks for \
         that; leave it out of all others. The reviewer is not to know the wanted score: no `task_description` and no \
         `input_data` of such a task may mention it.{}",
        budget_told(maker.budget()),
    );
    let listed: Vec<Value> = types.iter().map(|(name, does)| json!({ "name": name, "description": does })).collect();
    let mut input = Map::new();
    input.insert("mode".to_owned(), json!("plan"));
    input.insert("agent_types".to_owned(), listed.into());
    if let Cause::Refused(plan, complaints) = cause {
        let text = plan.to_string();
        input.insert("refused_plan".to_owned(), json!(cut(&text, PLAN_BYTES_SHOWN)));
        if text.len() > PLAN_BYTES_SHOWN {
            input.insert("refused_plan_cut".to_owned(), json!(cut_note(PLAN_BYTES_SHOWN, text.len())));
        }
        input.insert("complaints".to_owned(), json!(complaints));
    }
    if !steps.is_empty() {
        // What a later plan has made up for is over.
        input.extend(facts(steps, |step| open.contains(step.id())));
        input.insert("open".to_owned(), json!(open));
    }
    let schema = plan_schema(brief, &types, &open, !steps.is_empty());
    task(&plan_id(plan_no), description, input, schema, brief, maker)
}

/// The task of the agent that reports.
pub(super) fn report_task(brief: &Brief, steps: &[Step], maker: &TaskMaker) -> Result<Task, TaskError> {
    let description = format!(
        "Mode: report. All that can be done for this request is done. Compile the report:\n\n{}\n\n`results` holds the \
         tasks that completed, with their outputs, `failures` those that did not. The report answers the request out of \
         the results, says what is missing, and invents nothing. `steps` repeats the status of each task exactly.",
        brief.request
    );
    let mut input = Map::new();
    input.insert("mode".to_owned(), json!("report"));
    input.extend(facts(steps, |_| true));
    task(REPORT_ID, description, input, report_schema(steps), brief, maker)
}

fn task(
    id: &str,
    description: String,
    input: Map<String, Value>,
    schema: Value,
    brief: &Brief,
    maker: &TaskMaker,
) -> Result<Task, TaskError> {
    maker.make(TaskDraft {
        task_id: Some(id.to_owned()),
        agent_type: ORCHESTRATOR.to_owned(),
        task_description: description,
        input_data: input,
        timeout: Some(brief.timeout),
        deadline: None,
        output_format: OutputFormat::Json,
        priority: PRIORITY,
        dependencies: Vec::new(),
        hierarchy: None,
        output_schema: Some(schema),
    })
}

/// What became of the steps so far: `results`, and those of the `failures` that matter.
fn facts(steps: &[Step], matters: impl Fn(&Step) -> bool) -> Map<String, Value> {
    let completed = steps.iter().filter(|step| step.has_completed()).count();
    let share = OUTPUT_BYTES_MAX.min(OUTPUTS_BYTES_MAX / completed.max(1));
    let mut results = Vec::new();
    let mut failures = Vec::new();
    for step in steps {
        let mut row = step.shown();
        row.retain(|name, _| {
            matches!(name.as_str(), "task_id" | "agent_type" | "task_description" | "dependencies" | "replaces")
        });
        row.insert("task_description".to_owned(), json!(abridged(&step.planned.description, DESCRIPTION_CHARS)));
        let (status, reason) = step.status(&KeptBack::default());
        row.insert("status".to_owned(), json!(status.name()));
        if let Some((score, is_reached)) = step.score() {
            row.insert("score".to_owned(), json!(score));
            row.insert("target".to_owned(), json!(step.planned.target));
            row.insert("reached".to_owned(), json!(is_reached));
        }
        if let Stage::Completed { output } = &step.stage {
            let text = output.as_str().map_or_else(|| output.to_string(), str::to_owned);
            row.insert("output".to_owned(), json!(cut(&text, share)));
            if text.len() > share {
                row.insert("output_cut".to_owned(), json!(cut_note(share, text.len())));
            }
            if let Some(reason) = reason {
                row.insert("reason".to_owned(), json!(abridged(&reason, REASON_CHARS)));
            }
            results.push(Value::Object(row));
        } else if matters(step) {
            row.insert("reason".to_owned(), json!(abridged(&reason.unwrap_or_default(), REASON_CHARS)));
            failures.push(Value::Object(row));
        }
    }
    let mut facts = Map::new();
    facts.insert("results".to_owned(), results.into());
    facts.insert("failures".to_owned(), failures.into());
    facts
}

/// What a planner knows of the money: what is spent of it is told by a refusal.
fn budget_told(budget: &Budget) -> String {
    let Budget { usd, tokens, attempts, time } = budget;
    let caps: Vec<String> = [
        usd.map(|usd| format!("${usd:.2}")),
        tokens.map(|tokens| format!("{tokens} tokens")),
        attempts.map(|attempts| format!("{attempts} attempts of agents")),
        time.map(|time| format!("{} seconds to start agents in", time.as_secs())),
    ]
    .into_iter()
    .flatten()
    .collect();
    if caps.is_empty() {
        return String::new();
    }
    format!(
        " The whole run has {}: this plan, each task (a `target` takes at least two attempts) and the report come out of \
         that, so plan no more than it bears.",
        caps.join(", ")
    )
}

fn cut_note(shown: usize, of: usize) -> String {
    format!("only the first {shown} of {of} bytes are shown")
}

/// What a plan is checked against before it is compiled.
fn plan_schema(brief: &Brief, types: &BTreeMap<&String, &String>, open: &BTreeSet<&str>, may_be_empty: bool) -> Value {
    let names: Vec<&&String> = types.keys().collect();
    let mut fields = json!({
        "task_id": {"type": "string", "minLength": 1, "maxLength": ID_CHARS_MAX, "pattern": ID_PATTERN},
        "agent_type": {"enum": names},
        "task_description": {"type": "string", "minLength": 1, "maxLength": DESCRIPTION_CHARS_MAX},
        "input_data": {"type": ["object", "null"], "examples": [{}]},
        "dependencies": {"type": ["array", "null"], "items": {"type": "string"}, "examples": [[]]},
        "priority": {"type": ["integer", "null"], "minimum": 0, "maximum": PRIORITY_MAX, "examples": [5]},
        "target": {"type": ["number", "null"], "minimum": 0, "maximum": TARGET_MAX, "examples": [null]},
    });
    if !open.is_empty() {
        fields["replaces"] = json!({"type": ["array", "null"], "items": {"enum": open}, "examples": [open]});
    }
    debug_assert!(
        FIELDS.iter().filter(|name| **name != "replaces").all(|name| fields.get(name).is_some()),
        "the compiler and the schema know the same fields"
    );
    json!({
        "type": "object",
        "required": ["mode", "tasks"],
        "properties": {
            "mode": {"const": "plan"},
            "tasks": {
                "type": "array",
                "minItems": usize::from(!may_be_empty),
                "maxItems": brief.tasks_max,
                "items": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["task_id", "agent_type", "task_description"],
                    "properties": fields,
                },
            },
            "rationale": {"type": "string", "description": "why the goal was cut this way"},
        },
    })
}

/// What the report of this run is checked against: it gives each step its true status, and no other step.
fn report_schema(steps: &[Step]) -> Value {
    let statuses: Map<String, Value> = steps
        .iter()
        .map(|step| (step.id().to_owned(), json!({"const": step.status(&KeptBack::default()).0.name()})))
        .collect();
    let ids: BTreeSet<&str> = steps.iter().map(Step::id).collect();
    json!({
        "type": "object",
        "required": ["mode", "report", "steps"],
        "properties": {
            "mode": {"const": "report"},
            "report": {
                "type": "string", "minLength": 1, "maxLength": REPORT_CHARS_MAX,
                "description": "the whole report, in Markdown",
            },
            "findings": {"type": "array", "items": {"type": "string"}, "description": "each with the task ids it rests on"},
            "unresolved": {"type": "array", "items": {"type": "string"}, "description": "what failed, is missing or contradicts"},
            "steps": {
                "type": "object",
                "description": "each task's id and its status",
                "required": ids,
                "additionalProperties": false,
                "properties": statuses,
            },
        },
    })
}
