//! What a person had changed in the constants of an old skill, as options of runs.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::error::SkillError;
use super::old::NotCarried;
use super::site::write_over;

/// The constants of the old modules as they were shipped.
const TIMEOUT: u64 = 120;
const MAX_CONCURRENT: u64 = 5;
const MODEL: &str = "kimi-coding/k2p5";
const HIERARCHY: [&str; 3] = ["anthropic/claude-haiku-4-5", "kimi-coding/k2p5", "anthropic/claude-opus-4-5"];

/// The settings file of this machine, as an object; none if there is no file.
pub(super) fn read(path: &Path) -> Result<Option<Map<String, Value>>, String> {
    match fs::read_to_string(path) {
        Ok(text) => match serde_json::from_str(&text) {
            Ok(Value::Object(fields)) => Ok(Some(fields)),
            Ok(_) => Err("it is no JSON object".to_owned()),
            Err(error) => Err(format!("it is not valid JSON: {error}")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// The options that changed constants stand for, under those that are there; and which have none, and why.
pub(super) fn of_constants(
    constants: &Map<String, Value>,
    there: &Map<String, Value>,
) -> (Map<String, Value>, Vec<NotCarried>) {
    let (mut options, mut not_carried) = (Map::new(), Vec::new());
    let mut missed = |name: &str, reason: String| not_carried.push(NotCarried { name: name.to_owned(), reason });
    let changed = |name: &str, shipped: Value| constants.get(name).filter(|value| **value != shipped);
    if let Some(value) = changed("DEFAULT_MAX_CONCURRENT", json!(MAX_CONCURRENT)) {
        if there.contains_key("max_concurrent") {
            missed("DEFAULT_MAX_CONCURRENT", "the settings have `max_concurrent` already".to_owned());
        } else if value.as_u64().is_some_and(|count| (1..=10_000).contains(&count)) {
            options.insert("max_concurrent".to_owned(), value.clone());
        } else {
            missed("DEFAULT_MAX_CONCURRENT", format!("it is `{value}`, expected a whole number from 1 to 10000"));
        }
    }
    let has_models = there.contains_key("models") || there.contains_key("model");
    if let Some(value) = changed("MODEL_HIERARCHY", json!(HIERARCHY)) {
        let is_list = value.as_array().is_some_and(|models| !models.is_empty() && models.iter().all(is_model));
        if has_models {
            missed("MODEL_HIERARCHY", "the settings have models already".to_owned());
        } else if is_list {
            options.insert("models".to_owned(), value.clone());
        } else {
            missed("MODEL_HIERARCHY", format!("it is `{value}`, expected a list of `provider/model`"));
        }
    }
    if let Some(value) = changed("DEFAULT_MODEL", json!(MODEL)) {
        if has_models {
            missed("DEFAULT_MODEL", "the settings have models already".to_owned());
        } else if options.contains_key("models") {
            missed("DEFAULT_MODEL", "the changed MODEL_HIERARCHY is used".to_owned());
        } else if is_model(value) {
            options.insert("model".to_owned(), value.clone());
        } else {
            missed("DEFAULT_MODEL", format!("it is `{value}`, expected `provider/model`"));
        }
    }
    if let Some(value) = changed("DEFAULT_AGENT_TIMEOUT", json!(TIMEOUT)) {
        missed(
            "DEFAULT_AGENT_TIMEOUT",
            format!(
                "it is `{value}`, and no option of a run sets it; give tasks `timeout_seconds`, or agent types theirs"
            ),
        );
    }
    (options, not_carried)
}

fn is_model(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|model| model.split_once('/').is_some_and(|(from, id)| !from.is_empty() && !id.is_empty()))
}

/// Puts `options` under what the file has.
pub(super) fn merge(path: &Path, options: &Map<String, Value>) -> Result<(), SkillError> {
    let mut fields = read(path).ok().flatten().unwrap_or_default();
    for (name, value) in options {
        fields.entry(name).or_insert_with(|| value.clone());
    }
    write_over(path, format!("{:#}\n", Value::Object(fields)).as_bytes(), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn changed_constants_become_options_where_there_is_one() {
        let shipped = json!({
            "DEFAULT_AGENT_TIMEOUT": 120, "DEFAULT_MAX_CONCURRENT": 5, "DEFAULT_MODEL": MODEL,
            "MODEL_HIERARCHY": HIERARCHY,
        });
        let cases = [
            (shipped, json!({}), json!({}), vec![]),
            (json!({"DEFAULT_MAX_CONCURRENT": 8}), json!({}), json!({"max_concurrent": 8}), vec![]),
            (
                json!({"DEFAULT_MAX_CONCURRENT": 8}),
                json!({"max_concurrent": 2}),
                json!({}),
                vec!["DEFAULT_MAX_CONCURRENT"],
            ),
            (json!({"DEFAULT_MAX_CONCURRENT": "8"}), json!({}), json!({}), vec!["DEFAULT_MAX_CONCURRENT"]),
            (json!({"DEFAULT_MAX_CONCURRENT": 0}), json!({}), json!({}), vec!["DEFAULT_MAX_CONCURRENT"]),
            (json!({"DEFAULT_MODEL": "own/model"}), json!({}), json!({"model": "own/model"}), vec![]),
            (json!({"DEFAULT_MODEL": "own/model"}), json!({"models": ["a/b"]}), json!({}), vec!["DEFAULT_MODEL"]),
            (
                json!({"DEFAULT_MODEL": "own/model", "MODEL_HIERARCHY": ["own/a", "own/b"]}),
                json!({}),
                json!({"models": ["own/a", "own/b"]}),
                vec!["DEFAULT_MODEL"],
            ),
            (json!({"MODEL_HIERARCHY": []}), json!({}), json!({}), vec!["MODEL_HIERARCHY"]),
            (json!({"DEFAULT_AGENT_TIMEOUT": 300}), json!({}), json!({}), vec!["DEFAULT_AGENT_TIMEOUT"]),
        ];
        for (constants, there, expected, missed) in cases {
            let (options, not_carried) = of_constants(&fields(&constants), &fields(&there));
            assert_eq!(Value::Object(options), expected, "{constants}");
            let names: Vec<_> = not_carried.iter().map(|each| each.name.as_str()).collect();
            assert_eq!(names, missed, "{constants}");
        }
    }
}
