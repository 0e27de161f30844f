//! Tasks as formats 1 and 2 write them: an id, an agent type, and a JSON object with the rest.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Text, TextsIn, TextsOut, Unreadable};
use crate::core::hierarchy::{ModelHierarchy, Tier};
use crate::core::output::{OutputFormat, Schema};
use crate::core::plan::Task;
use crate::core::usage::Price;

/// A task without its id and agent type.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskRecord<'a> {
    #[serde(borrow)]
    instructions: Text<'a>,
    #[serde(borrow)]
    brief: Text<'a>,
    #[serde(borrow)]
    contract: Text<'a>,
    timeout: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadline: Option<Duration>,
    format: Format,
    /// JSON.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    schema: Option<Text<'a>>,
    priority: i64,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    dependencies: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    models: Vec<Model<'a>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Model<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    price: Option<Dollars>,
}

/// US dollars per million tokens.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dollars {
    input: f64,
    output: f64,
    cache_read: f64,
    cache_write: f64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    Json,
    Markdown,
    Code,
    Text,
}

/// What tasks share while they are written.
#[derive(Debug, Default)]
pub(crate) struct SharedOut<'a> {
    /// Long texts that are stored already, by where they are: most tasks of a type have the same ones.
    texts: HashMap<*const u8, Text<'a>>,
    schemas: HashMap<*const serde_json::Value, Text<'a>>,
}

/// What tasks share once they are read.
#[derive(Debug, Default)]
pub(crate) struct SharedIn {
    schemas: HashMap<Arc<str>, Schema>,
    hierarchies: Vec<Arc<ModelHierarchy>>,
}

impl<'a> TaskRecord<'a> {
    /// The record of a task.
    pub(crate) fn of(task: &'a Task, shared: &mut SharedOut<'a>, texts: &mut TextsOut) -> Self {
        let Task {
            id: _,
            agent_type: _,
            instructions,
            brief,
            contract,
            timeout,
            deadline,
            format,
            schema,
            priority,
            dependencies,
            hierarchy,
        } = task;
        Self {
            instructions: shared.text(instructions, texts),
            brief: texts.shared(brief),
            contract: shared.text(contract, texts),
            timeout: *timeout,
            deadline: *deadline,
            format: match format {
                OutputFormat::Json => Format::Json,
                OutputFormat::Markdown => Format::Markdown,
                OutputFormat::Code => Format::Code,
                OutputFormat::Text => Format::Text,
            },
            schema: schema.as_ref().map(|schema| shared.schema(schema, texts)),
            priority: *priority,
            dependencies: dependencies.iter().map(|id| Cow::Borrowed(id.as_str())).collect(),
            models: hierarchy.tiers().iter().map(Model::of).collect(),
        }
    }

    /// The task of a record.
    pub(crate) fn task(
        self,
        id: &str,
        agent_type: &str,
        shared: &mut SharedIn,
        texts: &mut TextsIn<'_>,
    ) -> Result<Task, Unreadable> {
        let Self { instructions, brief, contract, timeout, deadline, format, schema, priority, dependencies, models } =
            self;
        Ok(Task {
            id: id.into(),
            agent_type: texts.name(agent_type),
            instructions: texts.alike(instructions)?,
            brief: texts.get(brief)?,
            contract: texts.alike(contract)?,
            timeout,
            deadline,
            format: match format {
                Format::Json => OutputFormat::Json,
                Format::Markdown => OutputFormat::Markdown,
                Format::Code => OutputFormat::Code,
                Format::Text => OutputFormat::Text,
            },
            schema: schema.map(|schema| texts.alike(schema).and_then(|source| shared.schema(source))).transpose()?,
            priority,
            dependencies: dependencies.into_iter().map(Cow::into_owned).collect(),
            hierarchy: shared.hierarchy(models, texts)?,
        })
    }
}

impl Model<'_> {
    fn of(tier: &Tier) -> Model<'_> {
        let price = tier.price.map(|Price { input, output, cache_read, cache_write }| Dollars {
            input,
            output,
            cache_read,
            cache_write,
        });
        Model { model: Cow::Borrowed(&tier.model), price }
    }
}

impl<'a> SharedOut<'a> {
    fn text(&mut self, text: &'a Arc<str>, texts: &mut TextsOut) -> Text<'a> {
        self.texts.entry(text.as_ptr()).or_insert_with(|| texts.shared(text)).clone()
    }

    fn schema(&mut self, schema: &'a Schema, texts: &mut TextsOut) -> Text<'a> {
        let source = schema.source();
        self.schemas.entry(source).or_insert_with(|| texts.owned(source.to_string().into())).clone()
    }
}

impl SharedIn {
    /// Compiles each schema once.
    fn schema(&mut self, source: Arc<str>) -> Result<Schema, Unreadable> {
        if let Some(known) = self.schemas.get(&source) {
            return Ok(known.clone());
        }
        let schema = Schema::new(serde_json::from_str(&source)?).map_err(content)?;
        self.schemas.insert(source, schema.clone());
        Ok(schema)
    }

    fn hierarchy(
        &mut self,
        models: Vec<Model<'_>>,
        texts: &mut TextsIn<'_>,
    ) -> Result<Arc<ModelHierarchy>, Unreadable> {
        let tiers = models.into_iter().map(|Model { model, price }| Tier {
            model: texts.name(&model),
            price: price.map(|Dollars { input, output, cache_read, cache_write }| Price {
                input,
                output,
                cache_read,
                cache_write,
            }),
        });
        let hierarchy = ModelHierarchy::new(tiers.collect()).map_err(content)?;
        // Most tasks have the same one; many different ones need not be told apart.
        if let Some(known) = self.hierarchies.iter().rev().take(16).find(|known| ***known == hierarchy) {
            return Ok(known.clone());
        }
        let hierarchy = Arc::new(hierarchy);
        self.hierarchies.push(hierarchy.clone());
        Ok(hierarchy)
    }
}

fn content(error: impl std::error::Error) -> Unreadable {
    Unreadable::Content(error.to_string())
}
