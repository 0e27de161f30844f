//! A small value that fits a JSON Schema, to show an agent what is wanted and to answer for one in a rehearsal.
//!
//! Covers what schemas written by people and by pydantic use: types, properties, items, `enum`, `const`, `default`,
//! `anyOf`, `oneOf`, `allOf` and local `$ref`. A schema with finer demands may refuse the sample; callers check.

use serde_json::{Map, Value, json};

/// How deep a sample nests before it breaks off with `null`. Ends recursive schemas.
const DEPTH_MAX: usize = 8;
/// How long a sample is, in bytes of JSON, before it breaks off with `null`. Ends schemas that multiply at every level.
const BYTES_MAX: usize = 16 * 1024;
/// What a value takes at the least.
const BYTES_MIN: usize = 4;

/// A value that fits `schema`, as far as this page's rules go.
pub fn sample(schema: &Value) -> Value {
    Sampler { root: schema, bytes_left: BYTES_MAX }.value(schema, "value", DEPTH_MAX)
}

struct Sampler<'schema> {
    root: &'schema Value,
    bytes_left: usize,
}

impl Sampler<'_> {
    fn value(&mut self, schema: &Value, name: &str, depth: usize) -> Value {
        if depth == 0 || self.bytes_left == 0 {
            return Value::Null;
        }
        self.take(BYTES_MIN);
        if let Some(ready) = ready(schema) {
            return self.copy(ready);
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let target = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return target.map_or(Value::Null, |target| self.value(target, name, depth - 1));
        }
        for choice in ["anyOf", "oneOf", "allOf"] {
            if let Some(first) = schema.get(choice).and_then(Value::as_array).and_then(|list| list.first()) {
                return self.value(first, name, depth - 1);
            }
        }
        let declared = match schema.get("type") {
            Some(Value::Array(types)) => types.first().and_then(Value::as_str),
            Some(single) => single.as_str(),
            None if schema.get("properties").is_some() => Some("object"),
            None => None,
        };
        match declared {
            Some("object") => self.object(schema, depth),
            Some("array") => {
                let count = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(1, 100);
                let items = schema.get("items");
                let mut item = |_| match items {
                    Some(items) => self.value(items, name, depth - 1),
                    None => self.copy(&json!(name)),
                };
                (0..count).map(&mut item).collect()
            }
            Some("integer" | "number") => schema
                .get("minimum")
                .or_else(|| schema.get("maximum"))
                .map_or_else(|| json!(1), |bound| self.copy(bound)),
            Some("boolean") => json!(true),
            Some("null") => Value::Null,
            Some(_) | None => match schema.get("description") {
                Some(text @ Value::String(_)) => self.copy(text),
                Some(_) | None => self.copy(&json!(name)),
            },
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let mut object = Map::new();
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            self.take(name.len());
            object.insert(name.clone(), self.value(property, name, depth - 1));
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            self.take(2 * name.len());
            object.entry(name).or_insert_with(|| json!(name));
        }
        Value::Object(object)
    }

    /// A value of the schema's own, as long as there is room for it.
    fn copy(&mut self, value: &Value) -> Value {
        let bytes = value.to_string().len();
        let fits = bytes <= self.bytes_left;
        self.take(bytes);
        if fits { value.clone() } else { Value::Null }
    }

    fn take(&mut self, bytes: usize) {
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
    }
}

/// The value that a schema brings with it.
fn ready(schema: &Value) -> Option<&Value> {
    let first = |list: &str| schema.get(list).and_then(Value::as_array).and_then(|list| list.first());
    schema.get("const").or_else(|| schema.get("default")).or_else(|| first("examples")).or_else(|| first("enum"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::output::Schema;

    #[test]
    fn a_sample_fits_its_schema() {
        let pydantic = json!({
            "$defs": {"City": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}},
            "type": "object", "required": ["city", "kind", "ratio", "tags", "note"],
            "properties": {
                "city": {"$ref": "#/$defs/City"},
                "kind": {"enum": ["a", "b"]},
                "ratio": {"type": "number", "minimum": 3},
                "tags": {"type": "array", "items": {"type": "integer"}, "minItems": 2},
                "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            },
        });
        for source in
            [pydantic, json!({}), json!({"type": ["string", "null"]}), json!({"required": ["x"], "type": "object"})]
        {
            let schema = Schema::new(source.clone()).expect("a schema");
            assert_eq!(schema.complaints(&sample(&source)), Vec::<String>::new(), "{source}");
        }
    }

    #[test]
    fn a_schema_that_multiplies_at_every_level_ends() {
        let lists = (0..7).fold(json!({}), |items, _| json!({"type": "array", "minItems": 100, "items": items}));
        let names: Map<String, Value> = (0..100).map(|no| (format!("name{no}"), json!({"$ref": "#"}))).collect();
        let texts = json!({"type": "array", "minItems": 100, "items": {"const": "x".repeat(10_000)}});
        let long = json!({"properties": {"x".repeat(10_000): {"type": "array", "minItems": 100}}});
        for source in [lists, json!({ "properties": names }), texts, long] {
            assert!(sample(&source).to_string().len() < 4 * BYTES_MAX, "{}", sample(&source).to_string().len());
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let endless = json!({"$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"});
        assert!(sample(&endless).is_object());
    }
}
