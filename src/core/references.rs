//! Whether the references of a schema can be followed within bounds. The library that checks values follows them one within
//! the other, on its stack; and beside `unevaluatedProperties` or `unevaluatedItems` it follows each as often as it can be
//! come by, which references to references double again and again.

use serde_json::Value;

/// References in one schema, and ways to come by one where they are gone one by one.
const REFERENCES_MAX: usize = 1_000;

/// Why they cannot.
pub(super) fn fault(schema: &Value) -> Option<String> {
    let (mut references, mut is_exhaustive) = (0, false);
    count(schema, &mut references, &mut is_exhaustive);
    if references > REFERENCES_MAX {
        return Some(format!("it holds {references} of `$ref`, expected at most {REFERENCES_MAX}"));
    }
    let mut left = REFERENCES_MAX;
    if is_exhaustive && !is_walked(schema, schema, &mut Vec::new(), &mut left) {
        return Some(format!(
            "its `$ref` can be come by in more than {REFERENCES_MAX} ways, which `unevaluatedProperties` and \
             `unevaluatedItems` would go one by one; leave those out"
        ));
    }
    None
}

fn count(node: &Value, references: &mut usize, is_exhaustive: &mut bool) {
    match node {
        Value::Object(fields) => {
            for (name, field) in fields {
                *references += usize::from(matches!(name.as_str(), "$ref" | "$dynamicRef" | "$recursiveRef"));
                *is_exhaustive |= name.starts_with("unevaluated");
                count(field, references, is_exhaustive);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| count(item, references, is_exhaustive)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether `node` and all that it refers to could be walked with so many references `left`; no way goes in a circle.
fn is_walked<'schema>(
    root: &'schema Value,
    node: &'schema Value,
    way: &mut Vec<&'schema str>,
    left: &mut usize,
) -> bool {
    match node {
        Value::Object(fields) => fields.iter().all(|(name, field)| {
            // What is only defined is come by through those that refer to it.
            if matches!(name.as_str(), "$defs" | "definitions") {
                return true;
            }
            let pointer = field.as_str().and_then(|target| target.strip_prefix('#')).filter(|_| name == "$ref");
            let Some((pointer, target)) = pointer.and_then(|pointer| Some((pointer, root.pointer(pointer)?))) else {
                return is_walked(root, field, way, left);
            };
            if way.contains(&pointer) {
                return true;
            }
            let Some(fewer) = left.checked_sub(1) else { return false };
            *left = fewer;
            way.push(pointer);
            let is_walked = is_walked(root, target, way, left);
            way.pop();
            is_walked
        }),
        Value::Array(items) => items.iter().all(|item| is_walked(root, item, way, left)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Schemas of which each refers to the next one `times`.
    fn chain(length: usize, times: usize) -> Value {
        let refer = |index: usize| json!({"allOf": vec![json!({"$ref": format!("#/$defs/d{}", index + 1)}); times]});
        let mut defs: serde_json::Map<String, Value> =
            (0..length).map(|index| (format!("d{index}"), refer(index))).collect();
        defs.insert(format!("d{length}"), json!({"type": "string"}));
        json!({"$defs": defs, "$ref": "#/$defs/d0"})
    }

    #[test]
    fn a_long_chain_is_refused_and_a_short_one_is_not() {
        let mut long = chain(900, 1);
        assert_eq!(fault(&long), None);
        long["unevaluatedItems"] = json!(false);
        assert_eq!(fault(&long), None);
        assert!(fault(&chain(20_000, 1)).is_some_and(|fault| fault.starts_with("it holds 20001 of `$ref`")));
    }

    #[test]
    fn references_that_double_are_refused_where_each_way_is_gone() {
        let mut doubling = chain(20, 2);
        assert_eq!(fault(&doubling), None);
        doubling["unevaluatedProperties"] = json!(false);
        assert!(fault(&doubling).is_some_and(|fault| fault.contains("more than 1000 ways")));
    }

    #[test]
    fn a_schema_that_refers_to_itself_is_walked_once() {
        let tree = json!({
            "$defs": {"n": {"properties": {"left": {"$ref": "#/$defs/n"}, "right": {"$ref": "#/$defs/n"}}}},
            "$ref": "#/$defs/n", "unevaluatedProperties": false,
        });
        assert_eq!(fault(&tree), None);
    }
}
