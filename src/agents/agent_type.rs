//! One agent type, read from Markdown with YAML front matter and checked.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{AgentError, design};
use crate::core::output::{OutputFormat, STUCK_JSON, Schema, SchemaError, abridged, read};
use crate::core::task::TIMEOUT_MAX;

/// The categories of the built-in types, in the order of the documentation. A caller's own type may name others.
pub const CATEGORIES: [&str; 6] = ["content", "development", "qa", "documentation", "meta", "personal"];

/// The type of tasks that bring their whole prompt with them.
pub const PLAIN: &str = "plain";

/// The category of a type that names none.
pub(super) const CATEGORY_DEFAULT: &str = "custom";
/// The time for one attempt where neither the task nor its type says: 120 s.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(120);
/// The heading under which a prompt states what its answer looks like.
pub(super) const OUTPUT_HEADING: &str = "## Output";
/// What `replaces` in front matter says of a type that takes the place of a built-in one.
pub(super) const REPLACES_BUILT_IN: &str = "built-in";

/// What a name must be.
pub(super) const NAME_EXPECTED: &str = "lower-case letters, digits and underscores, a letter first, at most 64";

/// Whether an agent type or a category can be called so.
pub(super) fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || each == '_')
}

/// Where an agent type comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This program.
    BuiltIn,
    /// A file that was named, or a value, for this process: the file's path, or the type's name.
    Given(String),
    /// A file among the user's own agent types.
    Kept(PathBuf),
}

impl Origin {
    /// The file, if it is one of the user's own agent types.
    pub fn kept(&self) -> Option<&Path> {
        match self {
            Self::Kept(path) => Some(path),
            Self::BuiltIn | Self::Given(_) => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => formatter.write_str("built-in"),
            Self::Given(place) => formatter.write_str(place),
            Self::Kept(path) => path.display().fmt(formatter),
        }
    }
}

/// A kind of agent: its prompt and what it promises to answer.
#[derive(Debug)]
pub struct AgentType {
    /// Lower-case letters, digits and underscores.
    pub name: Arc<str>,
    /// What it is listed under.
    pub category: Arc<str>,
    /// One line.
    pub description: Arc<str>,
    /// Time for one attempt of a task that sets none.
    pub timeout: Duration,
    /// The prompt: role, method, criteria, limits.
    pub instructions: Arc<str>,
    /// What the prompt says of the answer, from `## Output` on, or nothing.
    pub contract: Arc<str>,
    /// The same, and how to ask when it is stuck: what agents are told. Empty without a contract.
    pub contract_told: Arc<str>,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether it says itself that it takes the place of the built-in type of its name.
    pub replaces_built_in: bool,
    /// What else the design said that it was made of.
    design: Option<Map<String, Value>>,
    schema_source: Option<Value>,
    schema: OnceLock<Result<Option<Schema>, SchemaError>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FrontMatter {
    name: String,
    #[serde(default)]
    category: Option<String>,
    description: String,
    #[serde(default)]
    timeout_seconds: Option<f64>,
    #[serde(default)]
    output_schema: Option<Value>,
    #[serde(default)]
    replaces: Option<String>,
    #[serde(default)]
    design: Option<Map<String, Value>>,
}

impl AgentType {
    /// Reads and checks a Markdown file. `place` names it in errors.
    pub fn from_markdown(text: &str, place: &str) -> Result<Self, AgentError> {
        let agent_type = Self::parse(text, place)?;
        agent_type.check(place)?;
        Ok(agent_type)
    }

    /// Reads a file without compiling its schema. For the built-in types, which the test suite checks.
    pub(super) fn parse(text: &str, place: &str) -> Result<Self, AgentError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
        let no_front_matter = || AgentError::NoFrontMatter { place: place.to_owned() };
        let (yaml, body) =
            text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n")).ok_or_else(no_front_matter)?;
        // A picture of the line would not fit into a message of one.
        let options = serde_saphyr::options! { with_snippet: false };
        let front: FrontMatter = serde_saphyr::from_str_with_options(yaml, options)
            .map_err(|error| AgentError::front_matter(place, &error.to_string()))?;
        Self::build(front, body, place)
    }

    /// A type from its fields, as a Python program gives them.
    pub fn new(fields: Value, prompt: &str, place: &str) -> Result<Self, AgentError> {
        let front: FrontMatter =
            serde_json::from_value(fields).map_err(|error| AgentError::front_matter(place, &error.to_string()))?;
        let agent_type = Self::build(front, prompt, place)?;
        agent_type.check(place)?;
        Ok(agent_type)
    }

    fn build(front: FrontMatter, body: &str, place: &str) -> Result<Self, AgentError> {
        let error = |field, value: &str, expected| AgentError::Field {
            place: place.to_owned(),
            field,
            value: abridged(value, 80),
            expected,
        };
        if !is_name(&front.name) {
            return Err(error("name", &front.name, NAME_EXPECTED));
        }
        let category = front.category.unwrap_or_else(|| CATEGORY_DEFAULT.to_owned());
        if !is_name(&category) {
            return Err(error("category", &category, NAME_EXPECTED));
        }
        if front.description.trim().is_empty() || front.description.contains('\n') {
            return Err(error("description", &front.description, "one line that is not empty"));
        }
        let timeout = match front.timeout_seconds {
            None => TIMEOUT_DEFAULT,
            Some(seconds) => Duration::try_from_secs_f64(seconds)
                .ok()
                .filter(|timeout| !timeout.is_zero() && *timeout <= TIMEOUT_MAX)
                .ok_or_else(|| error("timeout_seconds", &seconds.to_string(), "seconds above 0, at most 604800"))?,
        };
        if let Some(replaces) = front.replaces.as_deref().filter(|replaces| *replaces != REPLACES_BUILT_IN) {
            return Err(error("replaces", replaces, "built-in"));
        }
        let (instructions, contract) = match body.find(&format!("\n{OUTPUT_HEADING}")) {
            Some(at) => (&body[..at], body[at..].trim()),
            None => (body, ""),
        };
        if instructions.trim().is_empty() {
            return Err(error("prompt", instructions, "the agent's instructions"));
        }
        Ok(Self {
            name: front.name.into(),
            category: category.into(),
            description: front.description.trim().into(),
            timeout,
            instructions: instructions.trim().into(),
            contract: contract.into(),
            contract_told: if contract.is_empty() { "".into() } else { format!("{contract}\n\n{STUCK_JSON}").into() },
            origin: Origin::Given(place.to_owned()),
            replaces_built_in: front.replaces.is_some(),
            design: front.design,
            schema_source: front.output_schema,
            schema: OnceLock::new(),
        })
    }

    /// The type of tasks that are told their own text and nothing else. It belongs to no category.
    pub(super) fn plain() -> Self {
        Self {
            name: PLAIN.into(),
            category: "".into(),
            description: "Is told the task's own text and nothing else".into(),
            timeout: TIMEOUT_DEFAULT,
            instructions: "".into(),
            contract: "".into(),
            contract_told: "".into(),
            origin: Origin::BuiltIn,
            replaces_built_in: false,
            design: None,
            schema_source: None,
            schema: OnceLock::new(),
        }
    }

    /// The same type, from elsewhere.
    pub(super) fn with_origin(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// Whether its tasks are told their own text and nothing else.
    pub fn is_plain(&self) -> bool {
        self.instructions.is_empty()
    }

    /// Whether `other`, of the same name, takes its place without being told to: it says so itself, or is the same file.
    pub(super) fn gives_way_to(&self, other: &Self) -> bool {
        match &self.origin {
            Origin::BuiltIn => other.replaces_built_in,
            Origin::Kept(_) => self.origin == other.origin,
            Origin::Given(_) => false,
        }
    }

    /// That the schema is one and that the example in the prompt fits it.
    fn check(&self, place: &str) -> Result<(), AgentError> {
        let schema = self.schema().map_err(|source| AgentError::Schema { place: place.to_owned(), source })?;
        if let (Some(schema), true) = (schema, self.contract.contains("```")) {
            read(&self.contract, OutputFormat::Json, Some(schema))
                .map_err(|complaints| AgentError::Example { place: place.to_owned(), complaints })?;
        }
        Ok(())
    }

    /// What a JSON answer is checked against, compiled at first use.
    pub fn schema(&self) -> Result<Option<&Schema>, SchemaError> {
        self.schema
            .get_or_init(|| self.schema_source.clone().map(Schema::new).transpose())
            .as_ref()
            .map(Option::as_ref)
            .map_err(Clone::clone)
    }

    /// The schema as it was written, if there is one.
    pub fn schema_source(&self) -> Option<&Value> {
        self.schema_source.as_ref()
    }

    /// The example of an answer that the prompt shows, if it shows one that fits.
    pub fn example(&self) -> Option<Value> {
        read(&self.contract, OutputFormat::Json, self.schema().ok()?).ok()
    }

    /// All that is to know about it, as JSON: `name category description timeout_seconds output_schema prompt origin`.
    pub fn describe(&self) -> Value {
        json!({
            "name": *self.name,
            "category": *self.category,
            "description": *self.description,
            "timeout_seconds": self.timeout.as_secs_f64(),
            "output_schema": self.schema_source,
            "prompt": self.prompt(),
            "origin": self.origin.to_string(),
        })
    }

    /// What it was designed as, in the shape that `agent_creator` answers in; of a type that was not made of a design,
    /// what is known.
    pub fn design(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("agent_name".to_owned(), json!(*self.name));
        fields.insert("system_prompt".to_owned(), json!(*self.instructions));
        fields.extend(self.schema_source.clone().map(|schema| ("output_schema".to_owned(), schema)));
        if let Some(more) = &self.design {
            fields.insert("system_prompt".to_owned(), json!(design::unescaped(&self.instructions)));
            fields.extend(more.clone());
        }
        Value::Object(fields)
    }

    /// The whole prompt, as its file has it.
    pub fn prompt(&self) -> String {
        if self.contract.is_empty() {
            return self.instructions.to_string();
        }
        format!("{}\n\n{}", self.instructions, self.contract)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(front: &str, body: &str) -> Result<AgentType, String> {
        AgentType::from_markdown(&format!("---\n{front}\n---\n{body}"), "own.md").map_err(|error| error.to_string())
    }

    const FRONT: &str = "name: own\ndescription: Does one thing";

    #[test]
    fn the_shortest_file_takes_every_default() {
        let agent_type = file(FRONT, "Do it.").expect("an agent type");
        assert_eq!((&*agent_type.category, agent_type.timeout), ("custom", Duration::from_secs(120)));
        assert_eq!(agent_type.schema(), Ok(None));
        assert_eq!(agent_type.prompt(), "Do it.");
    }

    #[test]
    fn the_contract_is_split_off_and_its_example_found() {
        let front = format!("{FRONT}\noutput_schema:\n  type: object\n  required:\n    - a\n");
        let agent_type = file(&front, "Do it.\n\n## Output\nJSON:\n```json\n{\"a\": 1}\n```\n").expect("an agent type");
        assert_eq!(&*agent_type.instructions, "Do it.");
        assert_eq!(agent_type.example(), Some(serde_json::json!({"a": 1})));
    }

    #[test]
    fn what_a_contract_says_in_braces_is_no_example_unless_it_fits() {
        let front = format!("{FRONT}\noutput_schema:\n  type: object\n  required:\n    - a\n");
        let agent_type = file(&front, "Do it.\n\n## Output\nNot {\"b\": 1}.\n").expect("an agent type");
        assert_eq!(agent_type.example(), None);
    }

    #[test]
    fn every_fault_is_named() {
        let with = |line: &str| file(&format!("{FRONT}\n{line}"), "Do it.").expect_err(line);
        for (message, expected) in [
            (AgentType::from_markdown("Do it.", "own.md").expect_err("none").to_string(), "no front matter"),
            (file("name: own", "Do it.").expect_err("no description"), "missing field `description`"),
            (
                file("name: Own Agent\ndescription: x", "Do it.").expect_err("name"),
                "`name` is `Own Agent`, expected lower",
            ),
            (file("name: own\ndescription: ' '", "Do it.").expect_err("description"), "`description` is ` `"),
            (file(FRONT, "\n## Output\n").expect_err("prompt"), "expected the agent's instructions"),
            (with("timeout_seconds: 0"), "`timeout_seconds` is `0`"),
            (with("colour: red"), "unknown field `colour`"),
            (with("output_schema:\n  type: strnig"), "is not a valid JSON Schema"),
            (
                file(&format!("{FRONT}\noutput_schema:\n  required:\n    - b"), "Do.\n## Output\n```json\n{}\n```")
                    .expect_err("example"),
                "does not fit `output_schema`",
            ),
        ] {
            assert!(message.contains(expected), "{message:?} should contain {expected:?}");
            assert!(!message.contains('\n'), "{message:?}");
        }
    }
}
