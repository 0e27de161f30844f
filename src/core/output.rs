//! From what an agent wrote to the value that was asked for, or to an objection that says precisely what is wrong.
//!
//! Knows nothing of models or retries: the machine puts the objection into the next attempt's prompt.

use std::fmt;
use std::sync::{Arc, OnceLock};

use jsonschema::{ValidationError, Validator};
use serde_json::Value;
use thiserror::Error;

use super::complaints::Complaints;
use super::references;

/// The form an answer is asked for in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputFormat {
    /// One JSON value, checked against the schema.
    #[default]
    Json,
    /// Markdown text.
    Markdown,
    /// Source code.
    Code,
    /// Plain text.
    Text,
}

impl OutputFormat {
    /// All formats, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Json, Self::Markdown, Self::Code, Self::Text];

    /// The name users write.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Markdown => "markdown",
            Self::Code => "code",
            Self::Text => "text",
        }
    }

    /// The format of that name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(name))
    }
}

/// A JSON Schema that is ready to check with.
#[derive(Clone)]
pub struct Schema {
    source: Arc<Value>,
    validator: Arc<Validator>,
    /// Needed only for values that do not fit.
    reasons: Arc<OnceLock<Complaints>>,
}

/// A schema that is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`output_schema` is not a valid JSON Schema: {0}")]
pub struct SchemaError(String);

impl Schema {
    /// Compiles a schema. `{}` accepts everything.
    pub fn new(source: Value) -> Result<Self, SchemaError> {
        if !source.is_object() {
            return Err(SchemaError(format!("`{}` is not an object", abridged(&source.to_string(), 80))));
        }
        if let Some(fault) = references::fault(&source) {
            return Err(SchemaError(fault));
        }
        let validator = jsonschema::validator_for(&source)
            .map_err(|error| SchemaError(abridged(&error.to_string(), COMPLAINT_CHARS)))?;
        Ok(Self { source: Arc::new(source), validator: Arc::new(validator), reasons: Arc::default() })
    }

    /// The schema as it was written.
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// What is wrong with `value`, at most [`COMPLAINTS_MAX`] points; empty if nothing is.
    pub fn complaints(&self, value: &Value) -> Vec<String> {
        // Much quicker than to look for complaints, and the usual case.
        if self.validator.is_valid(value) {
            return Vec::new();
        }
        let words = |error: &ValidationError<'_>| {
            let place = error.instance_path().to_string();
            let place = match place.as_str() {
                "" => "the top level".to_owned(),
                place => format!("`{}`", abridged(place, PLACE_CHARS)),
            };
            let text = error.to_string();
            // The value stands first: of a long one nothing else would be seen.
            let text = if text.len() > COMPLAINT_CHARS { error.masked_with("the value").to_string() } else { text };
            format!("at {place}: {}", abridged(&text, COMPLAINT_CHARS))
        };
        let reasons = self.reasons.get_or_init(|| Complaints::of(&self.source));
        match reasons.list(value, COMPLAINTS_MAX, words) {
            Some((mut complaints, more)) => {
                if more > 0 {
                    complaints.push(format!("and {more} more"));
                }
                complaints
            }
            None => vec!["at more places than can be listed".to_owned()],
        }
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Schema").field(&self.source).finish()
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

/// How much of an agent's question is shown, in characters.
const QUESTION_CHARS: usize = 2_000;
/// What an agent begins a line with that cannot go on without an answer from a person.
const STUCK_MARK: &str = "STUCK:";
/// The field in which a JSON answer says the same.
const STUCK_FIELD: &str = "stuck";
/// How an agent that answers in JSON is told to ask, at the end of its prompt.
pub const STUCK_JSON: &str = "If you cannot go on without an answer from the person you work for, answer with nothing but \
                              {\"stuck\": \"your question\"} instead.";
/// How all others are.
pub const STUCK_TEXT: &str = "If you cannot go on without an answer from the person you work for, answer with one line that \
                              begins with STUCK: and holds your question instead.";

/// What an agent asks that is stuck: the text behind [`STUCK_MARK`] at the begin of the answer's first or last line, or the
/// field [`STUCK_FIELD`] of a JSON answer that is an object of nothing else. Only agents whose `contract` told them so ask
/// that way.
pub fn question(text: &str, format: OutputFormat, contract: &str) -> Option<String> {
    if !(contract.ends_with(STUCK_JSON) || contract.ends_with(STUCK_TEXT)) {
        return None;
    }
    let trimmed = text.trim();
    if format == OutputFormat::Json
        && trimmed.contains("\"stuck\"")
        && let Ok(Value::Object(fields)) = read_json(trimmed, None)
        && let (1, Some(Value::String(question))) = (fields.len(), fields.get(STUCK_FIELD))
        && !question.trim().is_empty()
    {
        return Some(on_one_line(question));
    }
    let first = trimmed.strip_prefix(STUCK_MARK);
    let last = || trimmed.lines().next_back().and_then(|line| line.trim().strip_prefix(STUCK_MARK));
    first.or_else(last).map(str::trim).filter(|question| !question.is_empty()).map(on_one_line)
}

/// A question as a person is shown it.
fn on_one_line(question: &str) -> String {
    abridged(&question.split_whitespace().collect::<Vec<_>>().join(" "), QUESTION_CHARS)
}

/// How many points of a schema's complaint are named.
pub const COMPLAINTS_MAX: usize = 5;
/// How much of a name that nothing bears is shown, in characters.
pub const NAME_CHARS: usize = 100;
/// How far a remark in brackets may look like JSON, in bytes. What does so for longer is a broken value; so a text full
/// of brackets costs no more than so many times its length.
const REMARK_MAX: usize = 64;
/// How much of the place of a complaint is quoted, in characters: the agent has named it.
const PLACE_CHARS: usize = 200;
/// How much of one complaint is quoted, in characters.
const COMPLAINT_CHARS: usize = 300;

/// The value in an agent's answer, or what is wrong with the answer.
///
/// * `json`: the whole text, else what stands in its code fences, else the first value between prose that fits
///   `schema` best.
/// * `code`: what stands in the only code fence, else the whole text.
/// * `markdown`, `text`: the whole text; a fence around all of a Markdown answer is taken off.
pub fn read(text: &str, format: OutputFormat, schema: Option<&Schema>) -> Result<Value, String> {
    match format {
        OutputFormat::Json => read_json(text, schema),
        OutputFormat::Code => {
            let fences = fences(text);
            let code = if let [only] = fences.as_slice() { only.body } else { text.trim_end() };
            non_empty(code, "code")
        }
        OutputFormat::Markdown => {
            let trimmed = text.trim();
            match fences(trimmed).as_slice() {
                [only] if only.whole && matches!(only.language, "markdown" | "md") => non_empty(only.body, "Markdown"),
                _ => non_empty(trimmed, "Markdown"),
            }
        }
        OutputFormat::Text => non_empty(text.trim(), "text"),
    }
}

fn non_empty(text: &str, what: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Err(format!("the answer holds no {what}"));
    }
    Ok(Value::String(text.to_owned()))
}

fn read_json(text: &str, schema: Option<&Schema>) -> Result<Value, String> {
    let check = |value: Value| -> Result<Value, String> {
        let complaints = schema.map(|schema| schema.complaints(&value)).unwrap_or_default();
        if complaints.is_empty() {
            return Ok(value);
        }
        Err(format!("the JSON does not fit the promised schema: {}", complaints.join("; ")))
    };
    let trimmed = text.trim().trim_start_matches('\u{feff}');
    let whole_error = match serde_json::from_str::<Value>(trimmed) {
        Ok(value) => return check(value),
        Err(error) => error,
    };
    let mut objection = None;
    let fenced = fences(trimmed);
    // A model that corrects itself puts the better version last.
    for fence in fenced.iter().rev() {
        if let Ok(value) = serde_json::from_str(fence.body) {
            match check(value) {
                Ok(value) => return Ok(value),
                Err(complaint) => objection = objection.or(Some(complaint)),
            }
        }
    }
    let (values, broken) = embedded(trimmed);
    // Without a schema nothing tells a fragment from the answer, so a broken value beside it makes both unusable.
    if schema.is_some() || broken.is_none() {
        for value in values {
            match check(value) {
                Ok(value) => return Ok(value),
                Err(complaint) => objection = objection.or(Some(complaint)),
            }
        }
    }
    Err(objection.unwrap_or_else(|| no_json(trimmed, &broken.unwrap_or(whole_error))))
}

fn no_json(text: &str, error: &serde_json::Error) -> String {
    if !text.contains(['{', '[']) {
        return format!("the answer holds no JSON, it begins with `{}`", abridged(text, 60));
    }
    if error.is_eof() {
        return format!("the JSON in the answer breaks off before it is complete ({error})");
    }
    format!("the JSON in the answer is not valid ({error})")
}

/// JSON objects and arrays between prose, in the order they stand, and what is wrong with the first one that is
/// broken. Nothing is looked for inside or behind a broken value: a fragment of an answer is not the answer.
fn embedded(text: &str) -> (Vec<Value>, Option<serde_json::Error>) {
    let mut found = Vec::new();
    let mut broken = None;
    let mut from = 0;
    while let Some(start) = text[from..].find(['{', '[']).map(|offset| from + offset) {
        let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => {
                from = start + values.byte_offset();
                found.push(value);
            }
            Some(Err(error)) if is_json_start(&text[start..]) || error.line() > 1 || error.column() > REMARK_MAX => {
                broken = Some(error);
                break;
            }
            Some(Err(_)) | None => from = start + 1,
        }
    }
    // `[1]` in prose is a footnote more often than an answer: objects come first, each kind in order.
    found.sort_by_key(|value| !value.is_object());
    (found, broken)
}

/// Whether a bracket certainly opens a JSON value and not a remark in prose.
fn is_json_start(text: &str) -> bool {
    let mut characters = text.chars();
    let bracket = characters.next();
    let next = characters.find(|character| !character.is_whitespace());
    match (bracket, next) {
        (Some('{'), next) => matches!(next, Some('"') | None),
        (Some('['), next) => matches!(next, Some('"' | '{' | '[') | None),
        _ => false,
    }
}

struct Fence<'text> {
    language: &'text str,
    body: &'text str,
    /// Nothing stands outside this fence.
    whole: bool,
}

/// The fenced code blocks of a Markdown text (`CommonMark` 0.31, section 4.5). An unclosed one runs to the end.
fn fences(text: &str) -> Vec<Fence<'_>> {
    let mut found = Vec::new();
    let mut open: Option<(&str, &str, usize, usize)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let next = at + line.len();
        let mark = line.trim_start_matches(' ').trim_end();
        let run = fence_run(mark);
        match open {
            None if run.len() >= 3 => open = Some((run, mark[run.len()..].trim(), at, next)),
            Some((opener, language, start, body))
                if run.len() >= opener.len() && run == mark && mark.starts_with(&opener[..1]) =>
            {
                let whole = text[..start].trim().is_empty() && text[next..].trim().is_empty();
                found.push(Fence { language, body: text[body..at].trim_end_matches('\n'), whole });
                open = None;
            }
            None | Some(_) => {}
        }
        at = next;
    }
    if let Some((_, language, start, body)) = open {
        let whole = text[..start].trim().is_empty();
        found.push(Fence { language, body: text[body..].trim_end_matches('\n'), whole });
    }
    found
}

/// The run of backticks or tildes that a line begins with.
fn fence_run(line: &str) -> &str {
    let marker = if line.starts_with('~') { '~' } else { '`' };
    let end = line.find(|character| character != marker).unwrap_or(line.len());
    &line[..end]
}

/// The first `max` characters, with an ellipsis if there were more. Control characters are shown as escapes: foreign
/// text must neither forge lines of a log nor drive a terminal.
pub fn abridged(text: &str, max: usize) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == max {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn caption() -> Schema {
        Schema::new(json!({
            "type": "object", "required": ["caption", "hashtags"],
            "properties": {"caption": {"type": "string"}, "hashtags": {"type": "array", "items": {"type": "string"}}},
        }))
        .expect("a valid schema")
    }

    fn as_json(text: &str) -> Result<Value, String> {
        read(text, OutputFormat::Json, Some(&caption()))
    }

    #[test]
    fn an_agent_that_is_stuck_asks_by_a_line_or_by_a_field() {
        let asked = |text: &str, format| question(text, format, STUCK_TEXT);
        assert_eq!(asked("STUCK: which branch?", OutputFormat::Text).as_deref(), Some("which branch?"));
        assert_eq!(asked("I read it.\n\n STUCK: which?\n", OutputFormat::Markdown).as_deref(), Some("which?"));
        assert_eq!(asked("{\"stuck\": \"which?\"}", OutputFormat::Json).as_deref(), Some("which?"));
        assert_eq!(
            asked("STUCK: which\n\n1. a\u{1b}[2J\n", OutputFormat::Text).as_deref(),
            Some("which 1. a\\u{1b}[2J")
        );
        assert_eq!(asked("```json\n{\"stuck\": \"which?\"}\n```", OutputFormat::Json).as_deref(), Some("which?"));
        for (text, format) in [
            ("They wrote STUCK: in the middle\nof it", OutputFormat::Text),
            ("STUCK:", OutputFormat::Text),
            ("{\"stuck\": \"no\", \"verdict\": \"yes\"}", OutputFormat::Json),
            ("{\"stuck\": false}", OutputFormat::Json),
            ("{\"stuck\": \"which?\"}", OutputFormat::Text),
        ] {
            assert_eq!(asked(text, format), None, "{text}");
        }
        assert_eq!(question("STUCK: which?", OutputFormat::Text, "as text"), None, "it was not told of it");
    }

    #[test]
    fn json_is_found_bare_fenced_and_between_prose() {
        let value = json!({"caption": "a {brace} and a ```fence```", "hashtags": ["#x"]});
        let pretty = serde_json::to_string_pretty(&value).expect("json");
        for text in [
            value.to_string(),
            format!("\u{feff}  {value}\n"),
            format!("```json\n{pretty}\n```"),
            format!("~~~~\n{pretty}\n~~~~"),
            format!("Here it is, as asked:\n\n```json\n{pretty}\n```\nI hope it helps {{really}}."),
            format!("Sure [1]. {value} Anything else?"),
            format!("```json\n{pretty}"),
        ] {
            assert_eq!(as_json(&text), Ok(value.clone()), "{text}");
        }
    }

    #[test]
    fn of_several_values_the_one_that_fits_is_taken() {
        let good = json!({"caption": "final", "hashtags": []});
        let text = format!("Draft:\n```json\n{{\"caption\": 1}}\n```\nBetter:\n```json\n{good}\n```\n");
        assert_eq!(as_json(&text), Ok(good.clone()));
        assert_eq!(as_json(&format!("{{\"thought\": true}} {good}")), Ok(good));
    }

    #[test]
    fn an_objection_names_the_place_and_the_fault() {
        let cases = [
            ("I am sorry, but I cannot help with that.", "holds no JSON, it begins with `I am sorry"),
            (r##"{"caption": "x", "hashtags": ["#a""##, "breaks off before it is complete"),
            (r#"{"caption": "x", "hashtags": nope}"#, "is not valid (expected ident at line 1 column 31"),
            (r#"{"caption": "x"}"#, r#"at the top level: "hashtags" is a required property"#),
            (r#"{"caption": "x", "hashtags": [1]}"#, r#"at `/hashtags/0`: 1 is not of type "string""#),
        ];
        for (text, expected) in cases {
            let objection = as_json(text).expect_err(text);
            assert!(objection.contains(expected), "{objection:?} should contain {expected:?}");
        }
    }

    #[test]
    fn a_fragment_of_a_broken_answer_is_not_the_answer() {
        let object = Schema::new(json!({"type": "object"})).expect("a schema");
        for broken in [
            r#"{"summary": "all good", "items": [1, 2], "meta": {"lang": "en"}, "body": "it breaks off he"#,
            r#"{"verdict": "unsafe", "why": "uses "eval"", "where": {"line": 3}}"#,
            r#"Here: [{"a": 1}, {"b": 2"#,
            "Done: {\n  \"a\": {\"b\": 1},\n  \"c\": oops\n}",
        ] {
            for schema in [None, Some(&object)] {
                let objection = read(broken, OutputFormat::Json, schema).expect_err(broken);
                assert!(objection.contains("breaks off") || objection.contains("is not valid"), "{objection}");
            }
        }
        let remarks = r#"Use {curly} or [square see below] as you like: {"caption": "x", "hashtags": []} and {so on}."#;
        assert!(as_json(remarks).is_ok());
    }

    #[test]
    fn hostile_brackets_cost_no_more_than_their_length() {
        for text in ["[".repeat(200_000), "{".repeat(200_000), "[1,".repeat(100_000), "{x".repeat(100_000)] {
            assert!(as_json(&text).is_err());
        }
    }

    #[test]
    fn quoted_text_drives_no_terminal_and_stays_short() {
        let forged = "\u{1b}[2J\nforged line".repeat(10_000);
        let texts = Schema::new(json!({"additionalProperties": {"type": "string"}})).expect("a schema");
        let place = read(&json!({ &forged: 1 }).to_string(), OutputFormat::Json, Some(&texts));
        for objection in [as_json(&forged), place] {
            let objection = objection.expect_err("no answer");
            assert!(!objection.contains(char::is_control) && objection.len() < 2_000, "{objection:?}");
        }
    }

    #[test]
    fn a_long_list_of_complaints_is_cut_and_counted() {
        let value = json!({"caption": "x", "hashtags": [1, 2, 3, 4, 5, 6, 7]});
        let complaints = caption().complaints(&value);
        assert_eq!(complaints.len(), COMPLAINTS_MAX + 1);
        assert_eq!(complaints.last().map(String::as_str), Some("and 2 more"));
    }

    #[test]
    fn without_a_schema_any_json_value_is_an_answer() {
        assert_eq!(read("42", OutputFormat::Json, None), Ok(json!(42)));
        assert_eq!(read("x [1, 2] y", OutputFormat::Json, None), Ok(json!([1, 2])));
    }

    #[test]
    fn code_is_taken_from_its_fence_and_text_stays_as_it_is() {
        let code = |text: &str| read(text, OutputFormat::Code, None).expect("code");
        assert_eq!(code("Here:\n```rust\nfn main() {}\n```\n"), json!("fn main() {}"));
        assert_eq!(code("fn main() {}\n"), json!("fn main() {}"));
        let two = "```a\n1\n```\nand\n```b\n2\n```";
        assert_eq!(code(two), json!(two), "several fences: nothing is dropped");
        assert_eq!(read("```markdown\n# Hi\n```", OutputFormat::Markdown, None), Ok(json!("# Hi")));
        assert_eq!(read("# Hi\n```sh\nls\n```", OutputFormat::Markdown, None), Ok(json!("# Hi\n```sh\nls\n```")));
        assert_eq!(read(" plain ", OutputFormat::Text, None), Ok(json!("plain")));
    }

    #[test]
    fn an_empty_answer_is_no_answer_in_any_format() {
        for format in OutputFormat::ALL {
            assert!(read(" \n", format, None).is_err(), "{}", format.name());
        }
        assert!(read("```\n\n```", OutputFormat::Code, None).is_err());
    }

    #[test]
    fn a_schema_that_is_none_is_refused() {
        let message = |source: Value| Schema::new(source).expect_err("refused").to_string();
        assert!(message(json!("text")).contains("is not an object"));
        assert!(message(json!({"type": "strnig"})).contains("strnig"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,400}") {
            for format in OutputFormat::ALL {
                let _ = read(&text, format, Some(&caption()));
            }
        }

        #[test]
        fn a_value_survives_any_prose_without_brackets(before in "[^{\\[`~]{0,40}", after in "[^`~]{0,40}") {
            let value = json!({"caption": "c", "hashtags": ["h"]});
            prop_assert_eq!(as_json(&format!("{before}\n{value}\n{after}")), Ok(value));
        }
    }
}
