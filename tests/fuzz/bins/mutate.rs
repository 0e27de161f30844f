//! Changes inputs where they are JSON: as values, since hardly any change of bytes leaves JSON behind.

use std::sync::LazyLock;

use fastrand::Rng;
use serde_json::{Value, json};

/// Names and texts that the readers know.
static WORDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let lines = include_str!("../words.dict").lines().filter(|line| line.starts_with('"'));
    let text = |line: &str| line.trim_matches('"').replace("\\x0a", "\n").replace("\\\"", "\"").replace("\\\\", "\\");
    lines.map(text).collect()
});

/// How many inputs in a hundred are changed byte by byte all the same.
const BYTEWISE: u8 = 20;

/// Changes `data[..size]` in place, as libFuzzer wants it; the new size.
pub fn mutate(data: &mut [u8], size: usize, size_max: usize, seed: u32) -> usize {
    let mut random = Rng::with_seed(u64::from(seed));
    let changed = if random.u8(..100) < BYTEWISE { None } else { changed(&data[..size], &mut random) };
    match changed {
        Some(text) if text.len() <= size_max.min(data.len()) => {
            data[..text.len()].copy_from_slice(text.as_bytes());
            text.len()
        }
        Some(_) | None => libfuzzer_sys::fuzzer_mutate(data, size, size_max),
    }
}

/// The input with one of its lines changed that is JSON, or with all of it changed if it is JSON as a whole; `None` for any
/// other.
fn changed(data: &[u8], random: &mut Rng) -> Option<String> {
    let text = std::str::from_utf8(data).ok()?;
    if let Ok(value) = serde_json::from_str(text) {
        return Some(other(value, random));
    }
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let is_value = |line: &&mut String| line.starts_with(['{', '[']) && serde_json::from_str::<Value>(line).is_ok();
    let values: Vec<&mut String> = lines.iter_mut().filter(is_value).collect();
    let count = values.len();
    let line = values.into_iter().nth(if count == 0 { return None } else { random.usize(..count) })?;
    *line = other(serde_json::from_str(line).ok()?, random);
    Some(lines.join("\n"))
}

fn other(mut value: Value, random: &mut Rng) -> String {
    for _ in 0..random.u8(1..4) {
        let nodes = count(&value);
        let donor = nth(&mut value, &mut random.usize(..nodes)).map(|donor| donor.clone()).unwrap_or_default();
        if let Some(node) = nth(&mut value, &mut random.usize(..nodes)) {
            change(node, donor, random);
        }
    }
    value.to_string()
}

fn change(node: &mut Value, donor: Value, random: &mut Rng) {
    match (random.u8(..8), &mut *node) {
        (0..3, Value::Object(fields)) if !fields.is_empty() => {
            let name = fields.keys().nth(random.usize(..fields.len())).cloned().unwrap_or_default();
            let old = fields.shift_remove(&name).unwrap_or_default();
            if random.bool() {
                fields.insert(word(random), old);
            }
        }
        (3..5, Value::Object(fields)) => {
            fields.insert(word(random), if random.bool() { donor } else { scalar(random) });
        }
        (0..3, Value::Array(items)) if !items.is_empty() => {
            let item = items.swap_remove(random.usize(..items.len()));
            items.extend(vec![item; random.usize(..4)]);
        }
        (3..5, Value::Array(items)) => items.push(if random.bool() { donor } else { scalar(random) }),
        (0..5, Value::String(text)) => respell(text, random),
        (5, _) => *node = donor,
        (6, _) => {
            let inner = node.take();
            *node = if random.bool() { json!([inner]) } else { json!({ word(random): inner }) };
        }
        _ => *node = scalar(random),
    }
}

/// Values at which readers stumble.
fn scalar(random: &mut Rng) -> Value {
    match random.u8(..14) {
        0 => Value::Null,
        1 => json!(random.bool()),
        2 => json!(-1),
        3 => json!(0),
        4 => json!(u64::MAX),
        5 => json!(i64::MIN),
        6 => json!(f64::MAX),
        7 => json!(f64::MIN),
        8 => json!(random.f64() * 10_f64.powi(random.i32(-9..20))),
        9 => json!(random.u64(..)),
        10 => json!(random.u8(..)),
        11 => json!([]),
        12 => json!({}),
        _ => json!(word(random)),
    }
}

fn word(random: &mut Rng) -> String {
    WORDS[random.usize(..WORDS.len())].clone()
}

fn respell(text: &mut String, random: &mut Rng) {
    let mut at = random.usize(..=text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    match random.u8(..6) {
        0 => text.truncate(at),
        1 => text.insert_str(at, &word(random)),
        2 => text.insert(at, random.char(..)),
        3 => text.insert_str(at, ["\n", "\u{1b}[2J", "\u{85}", "=====", "\0", "'\"`"][random.usize(..6)]),
        4 => *text = text.repeat(random.usize(..5)),
        _ => *text = word(random),
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// How many values there are in `value`, itself among them.
fn count(value: &Value) -> usize {
    1 + children(value).into_iter().map(count).sum::<usize>()
}

/// The value number `left`, counted down on the way.
fn nth<'value>(value: &'value mut Value, left: &mut usize) -> Option<&'value mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, left)),
        Value::Object(fields) => fields.values_mut().find_map(|field| nth(field, left)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
