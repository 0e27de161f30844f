//! From what an agent wrote to steps that can be run, or to what is wrong with it. Every limit of a plan is kept here, whatever
//! its schema has let through. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::core::output::{NAME_CHARS, abridged};

/// The longest id of a step, in characters.
pub(super) const ID_CHARS_MAX: usize = 64;
/// What an id is made of, as a regular expression.
pub(super) const ID_PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9_.-]*$";
/// The longest description of a step, in characters.
pub(super) const DESCRIPTION_CHARS_MAX: usize = 20_000;
/// The most data that a plan gives to one step, in bytes of JSON.
const INPUT_BYTES_MAX: usize = 64 * 1024;
/// How large a plan may be, in bytes of JSON.
const PLAN_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The highest priority of a step; 0 is the lowest.
pub(super) const PRIORITY_MAX: i64 = 10;
const PRIORITY_DEFAULT: i64 = 5;
/// The highest score that a step can aim at; 0 is the lowest.
pub(super) const TARGET_MAX: f64 = 10.0;
/// Words for a score, and how many characters from one a number counts as that score.
const SCORE_WORDS: [&str; 4] = ["score", "scoring", "target", "rating"];
const NEAR_CHARS: usize = 20;
/// How many complaints are named.
const COMPLAINTS_MAX: usize = 20;

/// The fields of a step.
pub(super) const FIELDS: [&str; 8] =
    ["task_id", "agent_type", "task_description", "input_data", "dependencies", "priority", "target", "replaces"];

/// A step as it was planned.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Planned {
    pub id: String,
    pub agent_type: String,
    pub description: String,
    pub input: Map<String, Value>,
    /// Ids of steps.
    pub dependencies: Vec<String>,
    pub priority: i64,
    /// The score that a reviewer is to give its output.
    pub target: Option<f64>,
    /// Ids of earlier steps that it makes up for.
    pub replaces: Vec<String>,
}

/// What a plan is held to.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    /// The agent types that it may name.
    pub types: &'a BTreeMap<String, String>,
    pub tasks_max: usize,
    /// The ids of earlier steps, and whether they have completed.
    pub earlier: BTreeMap<&'a str, bool>,
    /// Those of them that need a substitute.
    pub open: BTreeSet<&'a str>,
    /// Whether it may have no task at all.
    pub may_be_empty: bool,
}

/// The steps of a plan, each after those that it builds on, or what is wrong with it.
pub(super) fn compile(plan: &Value, rules: &Rules<'_>) -> Result<Vec<Planned>, Vec<String>> {
    let Some(rows) = plan.get("tasks").and_then(Value::as_array) else {
        return Err(vec!["the plan has no list `tasks`".to_owned()]);
    };
    // Before anything is made of them.
    if rows.len() > rules.tasks_max {
        return Err(vec![format!("the plan has {} tasks, and at most {} are allowed", rows.len(), rules.tasks_max)]);
    }
    if rows.is_empty() && !rules.may_be_empty {
        let why = plan.get("rationale").and_then(Value::as_str).unwrap_or("no reason is given");
        return Err(vec![format!("the plan has no task (its rationale: {})", abridged(why, 300))]);
    }
    let bytes: usize = rows.iter().map(|row| row.to_string().len()).sum();
    if bytes > PLAN_BYTES_MAX {
        return Err(vec![format!("the plan has {bytes} bytes, and at most {PLAN_BYTES_MAX} are allowed")]);
    }
    let mut complaints = Vec::new();
    let steps: Vec<Planned> =
        rows.iter().enumerate().filter_map(|(index, row)| step(index, row, rules, &mut complaints)).collect();
    if complaints.is_empty() {
        check_together(&steps, rules, &mut complaints);
    }
    if complaints.is_empty() {
        return in_order(steps);
    }
    if complaints.len() > COMPLAINTS_MAX {
        let more = complaints.len() - COMPLAINTS_MAX;
        complaints.truncate(COMPLAINTS_MAX);
        complaints.push(format!("and {more} more"));
    }
    Err(complaints)
}

/// One step, unless there is something wrong with it.
fn step(index: usize, row: &Value, rules: &Rules<'_>, complaints: &mut Vec<String>) -> Option<Planned> {
    let Some(fields) = row.as_object() else {
        complaints.push(format!("task number {} is no object", index + 1));
        return None;
    };
    let label = match fields.get("task_id").and_then(Value::as_str) {
        Some(id) => format!("task `{}`", abridged(id, NAME_CHARS)),
        None => format!("task number {}", index + 1),
    };
    let before = complaints.len();
    let mut complain = |text: String| complaints.push(format!("{label}: {text}"));
    let field = |name: &str| fields.get(name).filter(|value| !value.is_null());
    if let Some(name) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        complain(format!("`{}` is no field of a task; there are {}", abridged(name, NAME_CHARS), FIELDS.join(", ")));
    }
    let text = |name: &str| field(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let id = text("task_id");
    if !is_id(&id) {
        complain(format!(
            "`task_id` is to be 1 to {ID_CHARS_MAX} letters, digits, `_`, `.` or `-`, the first a letter or a digit"
        ));
    }
    let agent_type = text("agent_type");
    if !rules.types.contains_key(&agent_type) {
        complain(format!("`agent_type` is `{}`, which is not listed", abridged(&agent_type, NAME_CHARS)));
    }
    let description = text("task_description");
    if description.trim().is_empty() {
        complain("`task_description` is missing: say what the agent is to do".to_owned());
    }
    let chars = description.chars().count();
    if chars > DESCRIPTION_CHARS_MAX {
        complain(format!("`task_description` has {chars} characters, at most {DESCRIPTION_CHARS_MAX} are allowed"));
    }
    let input = match field("input_data") {
        None => Map::new(),
        Some(Value::Object(input)) => input.clone(),
        Some(_) => {
            complain("`input_data` is to be an object".to_owned());
            Map::new()
        }
    };
    let bytes = if input.is_empty() { 0 } else { Value::Object(input.clone()).to_string().len() };
    if bytes > INPUT_BYTES_MAX {
        complain(format!("`input_data` has {bytes} bytes, at most {INPUT_BYTES_MAX} are allowed"));
    }
    let [dependencies, replaces] = ["dependencies", "replaces"].map(|name| {
        let ids = field(name).map_or(Some(Vec::new()), unique_ids);
        if ids.is_none() {
            complain(format!("`{name}` is to be a list of `task_id`s"));
        }
        ids.unwrap_or_default()
    });
    let priority = field("priority").map_or(Some(PRIORITY_DEFAULT), whole);
    if !priority.is_some_and(|priority| (0..=PRIORITY_MAX).contains(&priority)) {
        complain(format!("`priority` is to be a whole number from 0 to {PRIORITY_MAX}"));
    }
    let target = field("target").map(|target| target.as_f64().unwrap_or(f64::NAN));
    if target.is_some_and(|target| !(0.0..=TARGET_MAX).contains(&target)) {
        complain(format!("`target` is to be a number from 0 to {TARGET_MAX}, or to be left out"));
    }
    if let Some(target) = target.filter(|target| {
        bytes <= INPUT_BYTES_MAX && chars <= DESCRIPTION_CHARS_MAX && {
            let data = Value::Object(input.clone()).to_string();
            tells_target(&description, *target) || tells_target(&data, *target)
        }
    }) {
        complain(format!(
            "`task_description` and `input_data` are not to say which score is wanted, or its reviewer sees it: leave \
             {target} to `target`"
        ));
    }
    (complaints.len() == before).then(|| Planned {
        id,
        agent_type,
        description,
        input,
        dependencies,
        priority: priority.unwrap_or(PRIORITY_DEFAULT),
        target,
        replaces,
    })
}

/// A list of ids, each once.
fn unique_ids(ids: &Value) -> Option<Vec<String>> {
    let mut ids: Vec<String> =
        ids.as_array()?.iter().map(|id| id.as_str().map(str::to_owned)).collect::<Option<_>>()?;
    let mut unique = BTreeSet::new();
    ids.retain(|id| unique.insert(id.clone()));
    Some(ids)
}

/// Whether a text names this number near a word for a score.
fn tells_target(text: &str, target: f64) -> bool {
    let text = text.to_lowercase();
    let is_of_number = |each: char| each.is_ascii_digit() || each == '.';
    let mut here = 0;
    while let Some(found) = text[here..].find(|each: char| each.is_ascii_digit()) {
        let begin = here + found;
        let length = text[begin..].find(|each| !is_of_number(each)).unwrap_or(text.len() - begin);
        here = begin + length;
        let is_target = text[begin..here].trim_end_matches('.').parse() == Ok(target);
        let before = text[..begin].char_indices().rev().nth(NEAR_CHARS - 1).map_or(0, |(at, _)| at);
        let after = text[here..].char_indices().nth(NEAR_CHARS).map_or(text.len(), |(at, _)| here + at);
        if is_target && SCORE_WORDS.iter().any(|word| text[before..after].contains(word)) {
            return true;
        }
    }
    false
}

/// A whole number, also one that is written with a point.
fn whole(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "whole, and small enough to be exact")]
    let of_float = |number: f64| (number.fract() == 0.0 && number.abs() < 1e9).then_some(number as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(of_float))
}

fn is_id(id: &str) -> bool {
    let is_inner = |each: char| each.is_ascii_alphanumeric() || matches!(each, '_' | '.' | '-');
    id.len() <= ID_CHARS_MAX && id.starts_with(|first: char| first.is_ascii_alphanumeric()) && id.chars().all(is_inner)
}

/// How the steps fit to each other and to the earlier ones.
fn check_together(steps: &[Planned], rules: &Rules<'_>, complaints: &mut Vec<String>) {
    let mut ids = BTreeSet::new();
    for Planned { id, .. } in steps {
        if rules.earlier.contains_key(id.as_str()) {
            complaints.push(format!("task `{id}`: an earlier plan has used this id; give it a new one"));
        }
        if !ids.insert(id.as_str()) {
            complaints.push(format!("task `{id}`: the id is used twice"));
        }
    }
    for Planned { id, replaces, .. } in steps {
        for replaced in replaces.iter().filter(|replaced| !rules.open.contains(replaced.as_str())) {
            let shown = abridged(replaced, NAME_CHARS);
            complaints
                .push(format!("task `{id}`: it replaces `{shown}`, which is no earlier task that needs a substitute"));
        }
    }
    for Planned { id, dependencies, .. } in steps {
        for dependency in dependencies {
            let shown = abridged(dependency, NAME_CHARS);
            match rules.earlier.get(dependency.as_str()) {
                _ if dependency == id => complaints.push(format!("task `{id}`: it depends on itself")),
                _ if ids.contains(dependency.as_str()) => {}
                Some(true) => {}
                Some(false) => complaints.push(format!("task `{id}`: it depends on `{shown}`, which did not complete")),
                None => complaints.push(format!("task `{id}`: it depends on `{shown}`, which is no task")),
            }
        }
    }
}

/// The steps, each after those of this plan that it builds on.
fn in_order(steps: Vec<Planned>) -> Result<Vec<Planned>, Vec<String>> {
    let mut left = steps;
    let mut ordered: Vec<Planned> = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waiting: BTreeSet<String> = left.iter().map(|step| step.id.clone()).collect();
        let is_free = |step: &Planned| !step.dependencies.iter().any(|id| waiting.contains(id));
        let (free, waiting): (Vec<_>, Vec<_>) = left.into_iter().partition(is_free);
        if free.is_empty() {
            let path: Vec<String> = cycle(&waiting).into_iter().map(|id| format!("`{id}`")).collect();
            return Err(vec![format!("`dependencies` form a cycle: {}", path.join(" -> "))]);
        }
        ordered.extend(free);
        left = waiting;
    }
    Ok(ordered)
}

/// Steps of which each waits for another one: following the first of those comes round.
fn cycle(steps: &[Planned]) -> Vec<&str> {
    let next = |id: &str| {
        let step = steps.iter().find(|step| step.id == id)?;
        let waits_for = |other: &&Planned| step.dependencies.contains(&other.id);
        steps.iter().find(waits_for).map(|other| other.id.as_str())
    };
    let mut path: Vec<&str> = Vec::new();
    let mut here = steps.first().map(|step| step.id.as_str());
    while let Some(id) = here {
        if let Some(begin) = path.iter().position(|seen| *seen == id) {
            path.drain(..begin);
            path.push(id);
            return path;
        }
        path.push(id);
        here = next(id);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn types() -> BTreeMap<String, String> {
        [("code_reviewer", "Reviews"), ("api_designer", "Designs")]
            .map(|(name, does)| (name.to_owned(), does.to_owned()))
            .into()
    }

    fn compiled(tasks: &Value, may_be_empty: bool) -> Result<Vec<Planned>, Vec<String>> {
        let types = types();
        let earlier = [("done", true), ("broken", false)].into();
        let open = ["broken"].into();
        compile(&json!({ "tasks": tasks }), &Rules { types: &types, tasks_max: 3, earlier, open, may_be_empty })
    }

    fn task(more: &Value) -> Value {
        let mut task = json!({"task_id": "a", "agent_type": "code_reviewer", "task_description": "Review it."});
        for (field, value) in more.as_object().expect("fields") {
            task[field] = value.clone();
        }
        task
    }

    #[test]
    fn a_plan_becomes_steps_in_the_order_of_their_dependencies() {
        let steps = compiled(
            &json!([
                task(&json!({"task_id": "last", "dependencies": ["first", "first", "done"], "priority": 7.0, "target": 8})),
                task(&json!({"task_id": "first", "dependencies": null, "target": null, "input_data": {"x": 1}})),
            ]),
            false,
        )
        .expect("a plan");
        assert_eq!(steps.iter().map(|step| step.id.as_str()).collect::<Vec<_>>(), ["first", "last"]);
        assert_eq!((steps[0].priority, steps[0].target, steps[0].input.len()), (5, None, 1));
        assert_eq!((steps[1].priority, steps[1].target), (7, Some(8.0)));
        assert_eq!(steps[1].dependencies, ["first", "done"]);
    }

    #[test]
    fn everything_that_does_not_hold_is_named() {
        let long = "x".repeat(10_000_000);
        let chain = |dependencies: [&str; 3]| {
            let of = |(id, on): (&str, &str)| task(&json!({"task_id": id, "dependencies": [on]}));
            json!([of(("a", dependencies[0])), of(("b", dependencies[1])), of(("c", dependencies[2]))])
        };
        for (tasks, expected) in [
            (json!("none"), "the plan has no list `tasks`"),
            (json!([]), "the plan has no task (its rationale: no reason is given)"),
            (json!([5]), "task number 1 is no object"),
            (json!([{}, {}, {}, {}]), "the plan has 4 tasks, and at most 3 are allowed"),
            (json!([task(&json!({"task_id": null}))]), "task number 1: `task_id` is to be 1 to 64 letters"),
            (json!([task(&json!({"task_id": "a\u{1b}[2J"}))]), "task `a\\u{1b}[2J`: `task_id` is to be"),
            (json!([task(&json!({"task_id": "a/b"}))]), "task `a/b`: `task_id` is to be"),
            (json!([task(&json!({"task_id": "-a"}))]), "task `-a`: `task_id` is to be"),
            (json!([task(&json!({"task_id": "x".repeat(65)}))]), "`task_id` is to be"),
            (json!([task(&json!({"agent_type": "agent_orchestrator"}))]), "`agent_orchestrator`, which is not listed"),
            (json!([task(&json!({"agent_type": "plain"}))]), "`agent_type` is `plain`, which is not listed"),
            (json!([task(&json!({"agent_type": 5}))]), "`agent_type` is ``, which is not listed"),
            (json!([task(&json!({"task_description": " "}))]), "`task_description` is missing"),
            (json!([task(&json!({"task_description": "x".repeat(20_001)}))]), "has 20001 characters, at most 20000"),
            (json!([task(&json!({"task_description": long}))]), "bytes, and at most 2097152 are allowed"),
            (json!([task(&json!({"input_data": []}))]), "`input_data` is to be an object"),
            (json!([task(&json!({"input_data": {"x": "y".repeat(70_000)}}))]), "`input_data` has 70008 bytes"),
            (json!([task(&json!({"dependencies": "b"}))]), "`dependencies` is to be a list"),
            (json!([task(&json!({"dependencies": [5]}))]), "`dependencies` is to be a list"),
            (json!([task(&json!({"dependencies": ["a"]}))]), "task `a`: it depends on itself"),
            (json!([task(&json!({"dependencies": ["b"]}))]), "it depends on `b`, which is no task"),
            (json!([task(&json!({"dependencies": ["broken"]}))]), "it depends on `broken`, which did not complete"),
            (json!([task(&json!({"replaces": "broken"}))]), "`replaces` is to be a list"),
            (json!([task(&json!({"replaces": ["done"]}))]), "it replaces `done`, which is no earlier task that needs"),
            (json!([task(&json!({"replaces": ["a"]}))]), "it replaces `a`, which is no earlier task that needs"),
            (json!([task(&json!({"task_id": "done"}))]), "task `done`: an earlier plan has used this id"),
            (json!([task(&json!({})), task(&json!({}))]), "task `a`: the id is used twice"),
            (chain(["b", "c", "b"]), "`dependencies` form a cycle: `b` -> `c` -> `b`"),
            (chain(["c", "a", "b"]), "`dependencies` form a cycle: `a` -> `c` -> `b` -> `a`"),
            (json!([task(&json!({"priority": 11}))]), "`priority` is to be a whole number from 0 to 10"),
            (json!([task(&json!({"priority": "high"}))]), "`priority` is to be a whole number from 0 to 10"),
            (json!([task(&json!({"target": 10.1}))]), "`target` is to be a number from 0 to 10"),
            (json!([task(&json!({"target": "nine"}))]), "`target` is to be a number from 0 to 10"),
            (json!([task(&json!({"model": "own/costly"}))]), "`model` is no field of a task; there are task_id, "),
            (json!([task(&json!({"timeout_seconds": 1e9}))]), "`timeout_seconds` is no field of a task"),
            (json!([task(&json!({"a\nb": 1}))]), "`a\\nb` is no field of a task"),
        ] {
            let complaints = compiled(&tasks, false).expect_err(expected).join("; ");
            assert!(complaints.contains(expected), "{complaints:?} should contain {expected:?}");
            assert!(complaints.len() < 1_000, "{} bytes", complaints.len());
        }
    }

    #[test]
    fn a_step_with_a_target_does_not_say_which_score_is_wanted() {
        for (more, is_told) in [
            (json!({"task_description": "Write it so that it scores 8.5.", "target": 8.5}), true),
            (json!({"task_description": "Reach a Rating of 8.50 at least", "target": 8.5}), true),
            (json!({"task_description": "9/10 is the target", "target": 9}), true),
            (json!({"input_data": {"target": 8.5}, "target": 8.5}), true),
            (json!({"task_description": "Write it so that it scores 8.5."}), false),
            (json!({"task_description": "Write 8.5 pages for readers who know what a score is", "target": 8.5}), false),
            (json!({"task_description": "Scores of 7.5 were seen", "target": 8.5}), false),
            (json!({"task_description": "ä 8. Ä 8", "target": 8}), false),
        ] {
            let told = compiled(&json!([task(&more)]), false).err().unwrap_or_default().join("; ");
            assert_eq!(told.contains("not to say which score is wanted"), is_told, "{more}: {told}");
        }
    }

    #[test]
    fn a_substitute_names_what_it_makes_up_for() {
        let steps = compiled(&json!([task(&json!({"replaces": ["broken", "broken"]}))]), true).expect("a plan");
        assert_eq!(steps[0].replaces, ["broken"]);
    }

    #[test]
    fn all_complaints_are_named_up_to_a_limit() {
        let types = types();
        let rules = Rules {
            types: &types,
            tasks_max: 100,
            earlier: BTreeMap::new(),
            open: BTreeSet::new(),
            may_be_empty: false,
        };
        let tasks: Vec<Value> = (0..30).map(|_| json!({})).collect();
        let complaints = compile(&json!({ "tasks": tasks }), &rules).expect_err("no tasks");
        assert_eq!((complaints.len(), complaints[20].as_str()), (21, "and 70 more"));
    }

    #[test]
    fn only_a_plan_after_failures_may_be_empty() {
        assert_eq!(compiled(&json!([]), true), Ok(Vec::new()));
    }

    #[test]
    fn a_million_tasks_are_refused_by_their_number() {
        let tasks = Value::Array(vec![Value::Null; 1_000_000]);
        let complaints = compiled(&tasks, false).expect_err("too many");
        assert_eq!(complaints, ["the plan has 1000000 tasks, and at most 3 are allowed"]);
    }
}
