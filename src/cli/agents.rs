//! The agent types, from the command line: listed, shown, kept, removed.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{CliError, load_agents, print, read_json};
use crate::agents::{AgentError, Wishes, registry, registry_mut};
use crate::workflow::own_folder;

#[derive(Debug, Subcommand)]
pub(super) enum AgentsCommand {
    /// List the agent types
    List {
        /// Only those of this category
        #[arg(long)]
        category: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Further agent types: a Markdown file or a folder of them. May be repeated
        #[arg(long = "agents", value_name = "PATH")]
        agents: Vec<PathBuf>,
    },
    /// Show one agent type's prompt and output schema
    Show {
        /// Its name
        name: String,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Further agent types: a Markdown file or a folder of them. May be repeated
        #[arg(long = "agents", value_name = "PATH")]
        agents: Vec<PathBuf>,
    },
    /// Keep an agent type of your own, made of a design
    Add {
        /// A JSON file, or - for standard input: a design as `agent_creator` answers, or a result with one
        design: String,
        /// Its name [default: the design's, in lower case with underscores]
        #[arg(long)]
        name: Option<String>,
        /// One line on what it is for [default: the design's first capability]
        #[arg(long)]
        description: Option<String>,
        /// What it is listed under [default: custom]
        #[arg(long)]
        category: Option<String>,
        /// Seconds for one attempt [default: 120]
        #[arg(long, value_name = "SECONDS")]
        timeout: Option<f64>,
        /// Take the place of the type of that name
        #[arg(long)]
        replace: bool,
    },
    /// Remove an agent type of your own, and delete its file
    Remove {
        /// Its name
        name: String,
    },
}

/// `parallel-agents agents`.
pub(super) fn run(command: AgentsCommand, interrupted: &dyn Fn() -> bool) -> Result<i32, CliError> {
    match command {
        AgentsCommand::List { category, json, agents } => {
            load_agents(&agents)?;
            list(category.as_deref(), json)
        }
        AgentsCommand::Show { name, json, agents } => {
            load_agents(&agents)?;
            show(&name, json)
        }
        AgentsCommand::Add { design, name, description, category, timeout, replace } => {
            load_agents(&[])?;
            let design = read_json("design", &design, interrupted)?;
            let wishes = Wishes { name, description, category, timeout_seconds: timeout };
            let folder = own_folder().ok_or(AgentError::NoFolder)?;
            let agent_type = registry_mut().keep(&design, &wishes, replace, &folder)?;
            print(&format!("{:30} {}", agent_type.name, agent_type.origin))?;
            Ok(0)
        }
        AgentsCommand::Remove { name } => {
            load_agents(&[])?;
            registry_mut().remove(&name)?;
            Ok(0)
        }
    }
}

fn list(category: Option<&str>, json: bool) -> Result<i32, CliError> {
    let registry = registry();
    if let Some(category) = category
        && registry.list(Some(category)).next().is_none()
    {
        let mut known: Vec<&str> = Vec::new();
        for each in registry.list(None).filter(|each| !each.category.is_empty()) {
            if !known.contains(&&*each.category) {
                known.push(&each.category);
            }
        }
        return Err(CliError::Category { category: category.to_owned(), known: known.join(", ") });
    }
    let types = registry.list(category);
    if json {
        let rows: Vec<Value> = types
            .map(|each| json!({"name": *each.name, "category": *each.category, "description": *each.description}))
            .collect();
        print(&format!("{:#}", Value::from(rows)))?;
        return Ok(0);
    }
    for each in types {
        print(&format!("{:13} {:30} {}", each.category, each.name, each.description))?;
    }
    Ok(0)
}

fn show(name: &str, json: bool) -> Result<i32, CliError> {
    let agent_type = registry().get(name)?;
    if json {
        print(&format!("{:#}", agent_type.describe()))?;
        return Ok(0);
    }
    print(&format!(
        "{} ({}): {}\n\n{}",
        agent_type.name,
        agent_type.category,
        agent_type.description,
        agent_type.prompt()
    ))?;
    Ok(0)
}
