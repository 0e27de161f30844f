//! A small value that fits a JSON Schema, to show an agent what is wanted and to answer for one in a rehearsal.
//!
//! Covers what schemas written by people and by pydantic use: types, properties, items, `enum`, `const`, `default`,
//! `anyOf`, `oneOf`, `allOf` and local `$ref`. A schema with finer demands may refuse the sample; callers check.

use serde_json::{Map, Value, json};

/// How deep a sample nests before it breaks off with `null`. Ends recursive schemas.
const DEPTH_MAX: usize = 8;

/// A value that fits `schema`, as far as this page's rules go.
pub fn sample(schema: &Value) -> Value {
    value(schema, schema, "value", DEPTH_MAX)
}

fn value(schema: &Value, root: &Value, name: &str, depth: usize) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    let inner = |schema: &Value| value(schema, root, name, depth - 1);
    for ready in ["const", "default"] {
        if let Some(ready) = schema.get(ready) {
            return ready.clone();
        }
    }
    for list in ["examples", "enum"] {
        if let Some(first) = schema.get(list).and_then(Value::as_array).and_then(|list| list.first()) {
            return first.clone();
        }
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        return target.strip_prefix('#').and_then(|pointer| root.pointer(pointer)).map_or(Value::Null, inner);
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema.get(choice).and_then(Value::as_array).and_then(|list| list.first()) {
            return inner(first);
        }
    }
    let declared = match schema.get("type") {
        Some(Value::Array(types)) => types.first().and_then(Value::as_str),
        Some(single) => single.as_str(),
        None if schema.get("properties").is_some() => Some("object"),
        None => None,
    };
    match declared {
        Some("object") => object(schema, root, depth),
        Some("array") => {
            let item = schema.get("items").map_or_else(|| json!(name), |items| value(items, root, name, depth - 1));
            let count = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(1, 100);
            (0..count).map(|_| item.clone()).collect()
        }
        Some("integer" | "number") => {
            schema.get("minimum").or_else(|| schema.get("maximum")).cloned().unwrap_or_else(|| json!(1))
        }
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        Some(_) | None => json!(schema.get("description").and_then(Value::as_str).unwrap_or(name)),
    }
}

fn object(schema: &Value, root: &Value, depth: usize) -> Value {
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let mut object: Map<String, Value> =
        properties.iter().map(|(name, property)| (name.clone(), value(property, root, name, depth - 1))).collect();
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        object.entry(name).or_insert_with(|| json!(name));
    }
    Value::Object(object)
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
    fn a_schema_that_refers_to_itself_ends() {
        let endless = json!({"$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"});
        assert!(sample(&endless).is_object());
    }
}
