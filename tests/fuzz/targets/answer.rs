//! What an agent wrote: read in every format, with a schema and without, then shown to the agents that build on it and to
//! the one that is asked again. Before a line `---` may stand a schema of the input's own.

use std::sync::{Arc, LazyLock};

use parallel_agents::agents::sample;
use parallel_agents::core::output::{OutputFormat, Schema, abridged, read};
use parallel_agents::core::plan::Plan;
use parallel_agents::core::prompt::DEPENDENCY_BYTES_MAX;
use serde_json::{Value, json};

use super::play::{play, replied, task};
use super::{WORDS_MAX, assert_shows_well};

/// How much a JSON value may grow when it is written out: `1e9` becomes `1000000000.0`.
const GROWTH_MAX: usize = 8;

static SCHEMAS: LazyLock<[Schema; 3]> = LazyLock::new(|| {
    [
        json!({
            "type": "object", "required": ["caption", "hashtags"],
            "properties": {"caption": {"type": "string"}, "hashtags": {"type": "array", "items": {"type": "string"}}},
        }),
        json!({"type": "array", "items": {"type": "object"}, "maxItems": 9, "uniqueItems": true}),
        json!({
            "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}},
                "additionalProperties": {"anyOf": [{"type": "integer", "minimum": 1}, {"enum": ["a", null]}]}}},
            "$ref": "#/$defs/node",
        }),
    ]
    .map(|source| Schema::new(source).expect("a schema"))
});

/// See the module.
pub fn check(data: &[u8]) {
    let Ok(input) = std::str::from_utf8(data) else { return };
    let (own, text) = match input.split_once("\n---\n") {
        Some((source, text)) => (serde_json::from_str(source).ok().and_then(schema), text),
        None => (None, input),
    };
    for format in OutputFormat::ALL {
        check_reading(text, format, None);
    }
    for schema in SCHEMAS.iter().chain(&own) {
        check_reading(text, OutputFormat::Json, Some(schema));
    }
    for chars_max in [0, 1, 60] {
        assert_shows_well(&abridged(text, chars_max), chars_max * 10 + 1);
    }
    for (format, schema) in [(OutputFormat::Text, None), (OutputFormat::Json, Some(own.unwrap_or(SCHEMAS[0].clone())))]
    {
        check_prompts(text, format, schema);
    }
}

/// A schema as a caller may write it, with the small value that is shown of it.
fn schema(source: Value) -> Option<Schema> {
    match Schema::new(source) {
        Ok(schema) => {
            let size = schema.source().to_string().len();
            assert!(sample(schema.source()).to_string().len() <= size + 200_000, "a sample is small");
            Some(schema)
        }
        Err(error) => {
            assert_shows_well(&error.to_string(), WORDS_MAX);
            None
        }
    }
}

fn check_reading(text: &str, format: OutputFormat, schema: Option<&Schema>) {
    match (read(text, format, schema), format) {
        (Ok(value), OutputFormat::Json) => {
            assert!(value.to_string().len() <= text.len() * GROWTH_MAX, "a value comes from the text: {value}");
            let complaints = schema.map(|schema| schema.complaints(&value)).unwrap_or_default();
            assert!(complaints.is_empty(), "a value that was read fits its schema: {complaints:?}");
        }
        (Ok(Value::String(part)), OutputFormat::Markdown | OutputFormat::Code | OutputFormat::Text) => {
            assert!(!part.trim().is_empty() && text.contains(&part), "{part:?} stands in the text");
        }
        (Ok(other), _) => panic!("{} is read as {other}", format.name()),
        (Err(complaint), _) => assert_shows_well(&complaint, WORDS_MAX),
    }
}

/// Whatever the first agent wrote stays within its frame: before its own eyes if it was not usable, and before those of
/// the agent that builds on it.
fn check_prompts(text: &str, format: OutputFormat, schema: Option<Schema>) {
    let plan = vec![task("first", format, schema, &[]), task("second", OutputFormat::Text, None, &["first"])];
    let plan = Arc::new(Plan::new(plan).expect("a plan"));
    let mut asked = 0;
    let reports = play(&plan, |order| {
        let prompt = order.prompt.text();
        let contract = &*plan.tasks()[order.attempt.task_index].contract;
        if let Some((_, objection)) = prompt.split_once("\n\n## Your previous answer was not usable\n") {
            check_frame(objection, text, contract);
        }
        if let Some((_, results)) = prompt.split_once("\n\n## Results of other agents\n") {
            let value = read(text, format, plan.tasks()[0].schema.as_ref()).expect("its dependency has completed");
            let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            check_frame(results, &shown, contract);
        }
        asked += usize::from(order.attempt.task_index == 1);
        replied(text)
    });
    assert_eq!(asked > 0, reports[0].end.output().is_some(), "who builds on an output is asked once there is one");
}

/// That `section` holds the beginning of `foreign` between two equal lines, of which the first one after the opening one
/// is the end of it: behind it stands what stands there always.
fn check_frame(section: &str, foreign: &str, contract: &str) {
    let mut lines = section.split_inclusive('\n');
    let is_mark = |line: &str| line.len() > 5 && line.trim_end_matches('\n').chars().all(|each| each == '=');
    let before: usize = lines.by_ref().take_while(|line| !is_mark(line)).map(str::len).sum();
    let rest = &section[before..];
    let (mark, rest) = rest.split_once('\n').expect("a frame is opened");
    let (inner, behind) = rest.split_once(&format!("\n{mark}\n")).expect("a frame is closed");
    assert!(foreign.starts_with(inner), "the frame holds {inner:?}, expected the beginning of {foreign:?}");
    assert!(inner.len() == foreign.len() || inner.len() + 4 > 8 * 1_024, "too little is shown");
    assert!(inner.len() <= DEPENDENCY_BYTES_MAX);
    let behind = match behind.strip_prefix("[cut here: ") {
        Some(cut) => cut.split_once('\n').map_or("", |(_, behind)| behind),
        None => behind,
    };
    assert_eq!(behind.trim_start_matches('\n'), contract, "nothing foreign stands behind the frame");
}
