//! From a design, as `agent_creator` and `agent_refiner` answer, to the Markdown file of an agent type.
//!
//! A design is what a model wrote: its texts are data. Front matter is written as JSON, which YAML reads, so that no text
//! can leave its place in it; in the prompt, headings that frame prompts are escaped, so that none of them is the frame's;
//! the contract is written by us, from the schema. And what was written is read back: unless the type that comes out is
//! the one that was meant, there is none. Knows nothing of folders.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value, json};

use super::agent_type::{CATEGORY_DEFAULT, NAME_EXPECTED, OUTPUT_HEADING, REPLACES_BUILT_IN, is_name};
use super::kept::FILE_BYTES_MAX;
use super::seen::{is_invisible, is_unseen, seen, unseen};
use super::{AgentError, AgentType, builtin, sample};
use crate::core::output::{Schema, abridged};

/// How long a design may be, in bytes of JSON.
pub const DESIGN_BYTES_MAX: usize = 256 * 1024;
/// How long its prompt may be, in bytes: as much as another agent is shown of a result.
pub const INSTRUCTIONS_BYTES_MAX: usize = 64 * 1024;
/// How long its output schema may be, in bytes of JSON.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// How long a description may be, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 200;
/// How much of a capability serves as a description, in characters.
const DESCRIPTION_CHARS: usize = 100;

/// Headings between which prompts put what they add, in lower case.
const FRAME_HEADINGS: [&str; 6] = [
    "output",
    "task",
    "input",
    "results of other agents",
    "a question, answered",
    "your previous answer was not usable",
];

/// What a caller says about the type beside its design.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Its name. Default: the design's, in lower case with underscores.
    pub name: Option<String>,
    /// One line. Default: the first capability, else the domain.
    pub description: Option<String>,
    /// What it is listed under. Default: `custom`.
    pub category: Option<String>,
    /// Seconds for one attempt. Default: 120.
    pub timeout_seconds: Option<f64>,
}

/// An agent type and the file that holds it.
#[derive(Debug)]
pub struct Draft {
    /// The type, as it comes out of the file.
    pub agent_type: AgentType,
    /// The file's text.
    pub markdown: String,
}

static DESIGN: LazyLock<Option<Arc<AgentType>>> = LazyLock::new(|| builtin::one("agent_creator"));

/// The design in `value`: itself, or the output of a completed result.
fn fields_of(value: &Value) -> Result<&Map<String, Value>, AgentError> {
    let refused = |value: &Value, expected| AgentError::Design {
        complaints: format!("it is `{}`, expected {expected}", abridged(&value.to_string(), 80)),
    };
    let shape = "an object with the fields that `agent_creator` answers with";
    let fields = value.as_object().ok_or_else(|| refused(value, shape))?;
    match (fields.get("status"), fields.get("output")) {
        (Some(status), Some(output)) if !fields.contains_key("agent_name") => {
            if status != "completed" {
                let complaints = format!(
                    "it is a result whose status is `{}`, expected that of a completed task",
                    abridged(status.as_str().unwrap_or("no text"), 40)
                );
                return Err(AgentError::Design { complaints });
            }
            output.as_object().ok_or_else(|| refused(output, shape))
        }
        _ => Ok(fields),
    }
}

/// The name that a type made of `design` has.
pub fn name_of(design: &Value, wishes: &Wishes) -> Result<String, AgentError> {
    let fields = fields_of(design)?;
    if let Some(name) = &wishes.name {
        return is_name(name).then(|| name.clone()).ok_or_else(|| AgentError::Field {
            place: "of a design".to_owned(),
            field: "name",
            value: abridged(name, 80),
            expected: NAME_EXPECTED,
        });
    }
    check(fields)?;
    let written = fields.get("agent_name").and_then(Value::as_str).unwrap_or_default();
    type_name(written).ok_or_else(|| AgentError::DesignName { name: abridged(written, 80) })
}

/// The type made of `design`, and its file. `replaces_built_in` is said in the file.
pub fn draft(design: &Value, wishes: &Wishes, replaces_built_in: bool) -> Result<Draft, AgentError> {
    let name = name_of(design, wishes)?;
    let fields = fields_of(design)?;
    check(fields)?;
    let place = format!("`{name}`");
    let text = |field| fields.get(field).and_then(Value::as_str).unwrap_or_default();
    let instructions = instructions(text("system_prompt"), &place)?;
    let source = fields.get("output_schema").cloned().unwrap_or_else(|| json!({}));
    within("output_schema", source.to_string().len(), SCHEMA_BYTES_MAX, &place)?;
    let schema = Schema::new(source.clone()).map_err(|source| AgentError::Schema { place: place.clone(), source })?;
    let description = match &wishes.description {
        Some(description)
            if description.chars().count() > DESCRIPTION_CHARS_MAX || unseen(description).next().is_some() =>
        {
            return Err(AgentError::Field {
                place,
                field: "description",
                value: abridged(&seen(description), 80),
                expected: "one line of at most 200 characters that can be seen",
            });
        }
        Some(description) => description.clone(),
        None => description(fields),
    };
    if let Some(seconds) = wishes.timeout_seconds.filter(|seconds| !seconds.is_finite()) {
        let (field, expected) = ("timeout_seconds", "seconds above 0, at most 604800");
        return Err(AgentError::Field { place, field, value: seconds.to_string(), expected });
    }
    let mut front = Map::new();
    front.insert("name".to_owned(), json!(name));
    front.insert("category".to_owned(), json!(wishes.category.as_deref().unwrap_or(CATEGORY_DEFAULT)));
    front.insert("description".to_owned(), json!(description));
    front.extend(wishes.timeout_seconds.map(|seconds| ("timeout_seconds".to_owned(), json!(seconds))));
    if replaces_built_in {
        front.insert("replaces".to_owned(), json!(REPLACES_BUILT_IN));
    }
    front.insert("output_schema".to_owned(), source.clone());
    front.insert("design".to_owned(), more(fields).into());
    let body = format!("{instructions}\n\n{}\n", contract(&source, &schema));
    let markdown = file(&front, &body);
    within("file", markdown.len(), FILE_BYTES_MAX, &place)?;
    let meant = AgentType::new(Value::Object(front), &body, &place)?;
    let agent_type = AgentType::from_markdown(&markdown, &place)?;
    let is_meant = *agent_type.instructions == *instructions
        && agent_type.describe() == meant.describe()
        && agent_type.design() == meant.design()
        && agent_type.replaces_built_in == replaces_built_in;
    if is_meant { Ok(Draft { agent_type, markdown }) } else { Err(AgentError::Unwritable { place }) }
}

/// The type that is a prompt and nothing else, and its file. What it answers, its prompt and its tasks say.
pub(super) fn of_prompt(name: &str, description: &str, prompt: &str) -> Result<Draft, AgentError> {
    let place = format!("`{name}`");
    let mut front = Map::new();
    front.insert("name".to_owned(), json!(name));
    front.insert("category".to_owned(), json!(CATEGORY_DEFAULT));
    front.insert("description".to_owned(), json!(abridged(&seen(description), DESCRIPTION_CHARS)));
    let instructions = instructions(prompt, &place)?;
    let body = format!("{instructions}\n");
    let markdown = file(&front, &body);
    let agent_type = AgentType::from_markdown(&markdown, &place)?;
    if *agent_type.instructions == *instructions && agent_type.contract.is_empty() {
        Ok(Draft { agent_type, markdown })
    } else {
        Err(AgentError::Unwritable { place })
    }
}

/// That an agent type of this name can be made of this prompt.
pub fn check_prompt(name: &str, description: &str, prompt: &str) -> Result<(), AgentError> {
    of_prompt(name, description, prompt).map(drop)
}

/// What a design says that an agent type has no field for.
fn more(fields: &Map<String, Value>) -> Map<String, Value> {
    let is_more = |field: &str| !matches!(field, "agent_name" | "system_prompt" | "output_schema");
    fields.iter().filter(|(field, _)| is_more(field)).map(|(field, value)| (field.clone(), value.clone())).collect()
}

fn file(front: &Map<String, Value>, body: &str) -> String {
    let mut file = "---\n".to_owned();
    for (field, value) in front {
        // Writing to a String cannot fail.
        let _ = writeln!(file, "{field}:{}", readable_json(value));
    }
    file + "---\n" + body
}

/// That the design is one, by the schema of the agent that designs.
fn check(fields: &Map<String, Value>) -> Result<(), AgentError> {
    let design = Value::Object(fields.clone());
    within("design", design.to_string().len(), DESIGN_BYTES_MAX, "of a design")?;
    let schema = DESIGN.as_ref().and_then(|agent_type| agent_type.schema().ok().flatten());
    let complaints = schema.map(|schema| schema.complaints(&design)).unwrap_or_default();
    if complaints.is_empty() { Ok(()) } else { Err(AgentError::Design { complaints: complaints.join("; ") }) }
}

fn within(field: &'static str, bytes: usize, max: usize, place: &str) -> Result<(), AgentError> {
    if bytes <= max { Ok(()) } else { Err(AgentError::TooLarge { place: place.to_owned(), field, bytes, max }) }
}

/// The prompt as its file holds it: with line breaks of one kind, and escaped.
fn instructions(prompt: &str, place: &str) -> Result<String, AgentError> {
    within("system_prompt", prompt.len(), INSTRUCTIONS_BYTES_MAX, place)?;
    let prompt = prompt.replace("\r\n", "\n").replace('\r', "\n");
    if let Some(unseen) = unseen(&prompt).find(|character| !matches!(character, '\n' | '\t')) {
        return Err(AgentError::Field {
            place: place.to_owned(),
            field: "system_prompt",
            value: format!("a text with U+{:04X}", u32::from(unseen)),
            expected: "text that can be seen: beside it only line breaks, tabs, and joiners between letters or emoji",
        });
    }
    if prompt.trim().is_empty() {
        return Err(AgentError::Field {
            place: place.to_owned(),
            field: "system_prompt",
            value: String::new(),
            expected: "the agent's instructions",
        });
    }
    Ok(escaped(prompt.trim()))
}

/// A text in which a backslash stands before each heading that frames prompts.
fn escaped(text: &str) -> String {
    let line = |line: &str| match frame_heading(line) {
        Some(at) => format!("{}\\{}", &line[..at], &line[at..]),
        None => line.to_owned(),
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// The text that was escaped.
pub(super) fn unescaped(text: &str) -> String {
    let line = |line: &str| match frame_heading(line).filter(|&at| line[at..].starts_with('\\')) {
        Some(at) => format!("{}{}", &line[..at], &line[at + 1..]),
        None => line.to_owned(),
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Where a heading that frames prompts begins in its line, escaped or not. What cannot be seen makes it no other heading.
fn frame_heading(line: &str) -> Option<usize> {
    let heading = line.trim_start_matches(|each: char| each.is_whitespace() || is_invisible(each));
    let visible: String = heading.chars().filter(|&each| !is_invisible(each)).collect();
    let marks = visible.trim_start_matches('\\');
    let title = marks.trim_start_matches('#');
    let title = if title.len() < marks.len() { title.trim_start().to_lowercase() } else { return None };
    FRAME_HEADINGS.iter().any(|frame| title.starts_with(frame)).then(|| line.len() - heading.len())
}

/// What the answer must look like: an example that fits, or else the schema itself.
fn contract(source: &Value, schema: &Schema) -> String {
    let example = sample(source);
    if schema.complaints(&example).is_empty() {
        return format!(
            "{OUTPUT_HEADING}\nAnswer with exactly one JSON value in this shape, and nothing else:\n```json\n{}\n```",
            visible(&format!("{example:#}"))
        );
    }
    // On one line and without a backtick there is no fence in it.
    format!(
        "{OUTPUT_HEADING}\nAnswer with exactly one JSON value that fits this JSON Schema, and nothing else:\n{}",
        visible(&source.to_string()).replace('`', "\\u0060")
    )
}

/// A value as JSON that YAML reads as the same, behind the name of its field.
fn readable_json(value: &Value) -> String {
    match value {
        Value::Object(_) | Value::Array(_) => format!("\n  {}", visible(&format!("{value:#}")).replace('\n', "\n  ")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            format!(" {}", visible(&value.to_string()))
        }
    }
}

/// JSON in which what cannot be seen is spelt out.
fn visible(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        let code = u32::from(character);
        if is_unseen(character) && character != '\n' && code <= 0xFFFF {
            let _ = write!(shown, "\\u{code:04x}");
        } else {
            shown.push(character);
        }
    }
    shown
}

/// One line that says what it is for.
fn description(fields: &Map<String, Value>) -> String {
    let capability = fields.get("capabilities").and_then(|list| list.get(0)).and_then(Value::as_str);
    let words = |text: &str| seen(text).split_whitespace().collect::<Vec<_>>().join(" ");
    let found = [capability, fields.get("domain").and_then(Value::as_str)];
    let line = found.into_iter().flatten().map(words).find(|line| !line.is_empty());
    abridged(&line.unwrap_or_else(|| "made of a design".to_owned()), DESCRIPTION_CHARS)
}

/// The name that a type has which is made of a design of this name, if there can be one.
pub fn type_name(written: &str) -> Option<String> {
    snake_case(written).filter(|name| is_name(name))
}

/// `Email Action-Extractor` and `EmailActionExtractor` as `email_action_extractor`; nothing for names of other letters.
fn snake_case(name: &str) -> Option<String> {
    let letters: Vec<char> = name.trim().chars().collect();
    let mut snake = String::new();
    for (index, &letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).map(|index| letters[index]);
        match letter {
            ' ' | '-' | '_' => snake.push('_'),
            'A'..='Z' => {
                let opens = before.is_some_and(|before| before.is_ascii_lowercase() || before.is_ascii_digit())
                    || before.is_some_and(|before| before.is_ascii_uppercase())
                        && letters.get(index + 1).is_some_and(char::is_ascii_lowercase);
                if opens {
                    snake.push('_');
                }
                snake.push(letter.to_ascii_lowercase());
            }
            'a'..='z' | '0'..='9' => snake.push(letter),
            _ => return None,
        }
    }
    Some(snake.split('_').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_"))
}

#[cfg(test)]
#[path = "design_tests.rs"]
mod tests;
