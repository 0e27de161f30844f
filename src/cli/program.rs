//! What a person types to run this command: what it names in its answers, since it may be on no path.

use std::borrow::Cow;
use std::env;

use serde_json::Value;

/// What it is called where it is on the path.
const NAME: &str = "parallel-agents";
/// Who starts it by another name says so here.
const VARIABLE: &str = "PARALLEL_AGENTS_COMMAND";

/// Its own name, or what starts it instead.
pub(super) fn program() -> String {
    env::var(VARIABLE).ok().filter(|command| !command.trim().is_empty()).unwrap_or_else(|| NAME.to_owned())
}

/// A line with the commands in it as they are typed.
pub(super) fn typed(line: &str) -> Cow<'_, str> {
    match program() {
        program if program == NAME => line.into(),
        program => renamed(line, &program).into(),
    }
}

/// The same in every text of a document.
pub(super) fn typed_in(document: Value) -> Value {
    match document {
        Value::String(text) => typed(&text).into_owned().into(),
        Value::Array(values) => values.into_iter().map(typed_in).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, typed_in(value))).collect(),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => plain,
    }
}

/// A line in which `program` stands wherever the name has a word of a command behind it.
fn renamed(line: &str, program: &str) -> String {
    let mut told = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(NAME) {
        let (before, after) = (&rest[..at], &rest[at + NAME.len()..]);
        // Not within a path, and not where it is only spoken of.
        let begins = before.chars().next_back().is_none_or(|c| c.is_whitespace() || "`'\"(".contains(c));
        let goes_on = after.strip_prefix(' ').is_some_and(super::is_command);
        told.push_str(before);
        told.push_str(if begins && goes_on { program } else { NAME });
        rest = after;
    }
    told.push_str(rest);
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_named_as_it_is_typed_and_nothing_else_is() {
        for (line, expected) in [
            ("resume it: parallel-agents resume r1", "resume it: X resume r1"),
            ("(see line `token` of `parallel-agents doctor`)", "(see line `token` of `X doctor`)"),
            ("`parallel-agents runs` or parallel-agents stop r", "`X runs` or X stop r"),
            ("parallel-agents: nothing", "parallel-agents: nothing"),
            ("/s/parallel-agents runs", "/s/parallel-agents runs"),
            ("parallel-agents are many", "parallel-agents are many"),
            ("parallel-agents runsheet", "parallel-agents runsheet"),
        ] {
            assert_eq!(renamed(line, "X"), expected);
        }
    }
}
