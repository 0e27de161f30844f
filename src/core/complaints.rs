//! Lists what a schema has against a value, within bounds.
//!
//! Whether a value fits is found out quickly. Why it does not is a tree of reasons, and wherever a schema that refers to
//! itself offers a choice, each level of the value doubles it: a nested answer of a few hundred bytes would take hours and
//! all memory. So the steps are counted, and too many end the list. The library that checks has no bound of its own; what
//! counts is a keyword that is put into every schema within the schema, and what ends it an unwinding that is no panic.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use jsonschema::{Keyword, ValidationError, Validator};
use serde_json::{Map, Value};

/// The keyword that counts.
const KEYWORD: &str = "x-parallel-agents-step";
/// Steps of one list for any value at all, and for each value within it. Each step may make some reasons, of some hundred
/// bytes each.
const STEPS_MIN: usize = 5_000;
const STEPS_EACH: usize = 4;

thread_local! {
    static STEPS_LEFT: Cell<usize> = const { Cell::new(0) };
}

/// What unwinds when there are no steps left.
struct TooMany;

struct Step;

impl Step {
    fn take() {
        match STEPS_LEFT.get().checked_sub(1) {
            Some(left) => STEPS_LEFT.set(left),
            None => resume_unwind(Box::new(TooMany)),
        }
    }
}

impl<'value> Keyword<'value> for Step {
    fn validate(&self, _: &'value Value) -> Result<(), ValidationError<'value>> {
        Self::take();
        Ok(())
    }

    fn is_valid(&self, _: &'value Value) -> bool {
        Self::take();
        true
    }
}

/// A schema that counts.
pub(super) struct Complaints(Option<Validator>);

impl Complaints {
    /// Of a schema that is one.
    pub fn of(source: &Value) -> Self {
        let mut counted = source.clone();
        count_in(&mut counted);
        let options = jsonschema::options().with_keyword(KEYWORD, |_, _, _| Ok(Box::new(Step)));
        Self(options.build(&counted).ok())
    }

    /// The first `max` reasons why `value` does not fit, in words, and how many more there are; `None` if they are too many
    /// to be found out.
    pub fn list(
        &self,
        value: &Value,
        max: usize,
        words: impl Fn(&ValidationError<'_>) -> String,
    ) -> Option<(Vec<String>, usize)> {
        let validator = self.0.as_ref()?;
        STEPS_LEFT.set(STEPS_MIN + STEPS_EACH * count(value));
        let list = || {
            let mut errors = validator.iter_errors(value);
            let first = errors.by_ref().take(max).map(|error| words(&error)).collect();
            (first, errors.count())
        };
        match catch_unwind(AssertUnwindSafe(list)) {
            Ok(list) => Some(list),
            Err(reason) if reason.is::<TooMany>() => None,
            Err(panic) => resume_unwind(panic),
        }
    }
}

/// How many values there are in `value`, itself among them.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Puts the keyword into a schema and those within it. What is no schema but looks like one is not harmed by it.
fn count_in(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    for (name, field) in &mut *fields {
        match (name.as_str(), field) {
            // Values; and a schema that is shown as it stands, and has no reasons of its own.
            ("const" | "enum" | "default" | "examples" | "not", _) => {}
            (
                "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" | "dependencies",
                Value::Object(named),
            ) => named.values_mut().for_each(count_in),
            (_, Value::Array(list)) => list.iter_mut().for_each(count_in),
            (_, inner) => count_in(inner),
        }
    }
    fields.insert(KEYWORD.to_owned(), Value::Object(Map::new()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn list(source: &Value, value: &Value, max: usize) -> Option<(Vec<String>, usize)> {
        Complaints::of(source).list(value, max, |error| error.to_string())
    }

    #[test]
    fn the_first_reasons_are_told_and_the_others_counted() {
        let texts = json!({"items": {"type": "string"}, "enum": [{"items": 1}], "const": {"a": 1}});
        let (first, more) = list(&texts, &json!([1, "x", 2]), 3).expect("a list");
        assert_eq!((first.len(), more), (3, 1), "{first:?}");
    }

    #[test]
    fn a_nested_answer_costs_no_more_than_its_steps() {
        let branch = |name: &str| json!({"properties": {"a": {"$ref": "#/$defs/n"}}, "required": [name]});
        let endless = json!({"$defs": {"n": {"anyOf": [branch("x"), branch("y")]}}, "$ref": "#/$defs/n"});
        let nested = |levels| (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }));
        assert!(list(&endless, &nested(3), 5).is_some());
        assert_eq!(list(&endless, &nested(100), 5), None);
        let long = list(&json!({"items": {"type": "string"}}), &vec![1; 100_000].into(), 5);
        assert_eq!(long.map(|(_, more)| more), Some(99_995), "a long answer is listed all the same");
        assert!(list(&endless, &nested(3), 5).is_some(), "each list has steps of its own");
    }

    #[test]
    fn a_schema_that_counts_means_the_same() {
        let source = json!({
            "properties": {"const": {"type": "string"}, "k": {"const": {"a": 1}}},
            "if": {"required": ["k"]}, "then": {"not": {"required": ["l"]}}, "additionalProperties": false,
        });
        let plain = jsonschema::validator_for(&source).expect("a schema");
        for value in [json!({"const": 1}), json!({"k": {"a": 1}}), json!({"k": 1, "l": 2}), json!({"x": 1}), json!([])]
        {
            let (expected, _) = list(&source, &value, 9).expect("a list");
            let found: Vec<String> = plain.iter_errors(&value).map(|error| error.to_string()).collect();
            assert_eq!(found, expected, "{value}");
        }
    }
}
