//! The agent types: one Markdown file with front matter each, the registry that finds them, and their prompts.
//!
//! The built-in ones are embedded; a caller's own are read from files or given as values and checked on load. Knows
//! nothing of runs, models or runtimes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use thiserror::Error;

use crate::core::check::Check;
use crate::core::output::{NAME_CHARS, SchemaError, abridged};
use crate::core::task;

mod agent_type;
mod builtin;
mod design;
mod kept;
mod prompt;
mod sample;
mod seen;

pub use agent_type::{AgentType, CATEGORIES, Origin, PLAIN};
pub use design::{
    DESCRIPTION_CHARS_MAX, DESIGN_BYTES_MAX, INSTRUCTIONS_BYTES_MAX, SCHEMA_BYTES_MAX, Wishes, check_prompt, type_name,
};
pub use kept::{FILE_BYTES_MAX, FILES_MAX, sweep};
pub use prompt::render;
pub use sample::sample;
pub use seen::is_unseen;

/// How much of what the reader of front matter says is shown, in characters.
const MESSAGE_CHARS: usize = 500;

/// An agent type that cannot be used.
#[derive(Debug, Error)]
pub enum AgentError {
    /// A file or folder that cannot be read.
    #[error("cannot read agent type file `{}`", path.display())]
    Read {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file without front matter.
    #[error("agent type {place}: no front matter, expected the file to begin with a line `---`")]
    NoFrontMatter {
        /// The file or the name.
        place: String,
    },
    /// Front matter that is not what it should be.
    #[error("agent type {place}: the front matter is not valid: {message}")]
    FrontMatter {
        /// The file or the name.
        place: String,
        /// What the reader says.
        message: String,
    },
    /// A field whose value is not what it takes.
    #[error("agent type {place}: `{field}` is `{value}`, expected {expected}")]
    Field {
        /// The file or the name.
        place: String,
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// A schema that is none.
    #[error("agent type {place}: {source}")]
    Schema {
        /// The file or the name.
        place: String,
        /// What is wrong with it.
        source: SchemaError,
    },
    /// The example in the prompt contradicts the schema beside it.
    #[error("agent type {place}: the JSON example under `## Output` does not fit `output_schema`: {complaints}")]
    Example {
        /// The file or the name.
        place: String,
        /// What does not fit.
        complaints: String,
    },
    /// The name is taken.
    #[error("agent type `{name}` exists already ({origin}); choose another name, or pass replace=True")]
    Taken {
        /// The name.
        name: Arc<str>,
        /// Where the other comes from.
        origin: String,
    },
    /// A file among the user's own types has a name that is taken.
    #[error("agent type {place}: `{name}` exists already ({origin}); choose another name, or remove one of the two")]
    TakenFile {
        /// The file.
        place: String,
        /// The name.
        name: Arc<str>,
        /// Where the other comes from.
        origin: String,
    },
    /// A file among the user's own types has the name of a built-in one and does not say that it means to.
    #[error(
        "agent type {place}: `{name}` is a built-in type; choose another name, or write `replaces: built-in` into its \
         front matter"
    )]
    Shadows {
        /// The file.
        place: String,
        /// The name.
        name: Arc<str>,
    },
    /// A design that is none.
    #[error("the design does not fit what `agent_creator` promises: {complaints}")]
    Design {
        /// What does not fit.
        complaints: String,
    },
    /// A design whose name cannot be made into one of an agent type.
    #[error(
        "the design's `agent_name` is `{name}`, expected words of the letters a to z and digits, at most 64; name it: \
         registry.add(design, name=\"...\")"
    )]
    DesignName {
        /// The name.
        name: String,
    },
    /// A part of a design, or a file, that is too large.
    #[error("agent type {place}: `{field}` has {bytes} bytes, expected at most {max}")]
    TooLarge {
        /// The file or the name.
        place: String,
        /// The part.
        field: &'static str,
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        max: usize,
    },
    /// A design whose file would not mean the same.
    #[error("agent type {place}: the design cannot be written so that it reads the same; simplify its schemas")]
    Unwritable {
        /// The name.
        place: String,
    },
    /// A file that cannot be written or removed.
    #[error(
        "cannot change agent type file `{}`; choose another folder, or use register_agent_type for this process alone",
        path.display()
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file that holds something else.
    #[error("`{}` exists already and is not the file of agent type `{name}`; move it away", path.display())]
    FileTaken {
        /// The file.
        path: PathBuf,
        /// The name that the file would have held.
        name: Arc<str>,
    },
    /// More files than are read.
    #[error("`{}` holds more than {FILES_MAX} agent type files; those beyond are passed over", folder.display())]
    TooMany {
        /// The folder.
        folder: PathBuf,
    },
    /// What is no file of its own.
    #[error("agent type {place}: not a regular file; put the file itself there")]
    NoFile {
        /// The path.
        place: String,
    },
    /// No folder for the user's own types.
    #[error(
        "no folder for your own agent types: none of OPENCLAW_STATE_DIR, OPENCLAW_HOME and HOME is set; pass folder=..."
    )]
    NoFolder,
    /// A built-in type cannot be removed.
    #[error(
        "agent type `{name}` is built-in and cannot be removed; registry.add(design, replace=True) puts another in its place"
    )]
    BuiltIn {
        /// The name.
        name: Arc<str>,
    },
    /// No such name.
    #[error("unknown agent type `{name}`{hint}; `parallel-agents agents list` shows all")]
    Unknown {
        /// The name.
        name: String,
        /// The nearest names, if any are near.
        hint: String,
    },
}

impl AgentError {
    /// The line of `parallel-agents doctor` that explains it: where a file, or the folder of the user's own types, is not as
    /// it should be. None where a caller's value is.
    pub fn check(&self) -> Option<Check> {
        match self {
            Self::Read { .. }
            | Self::TakenFile { .. }
            | Self::Shadows { .. }
            | Self::Write { .. }
            | Self::FileTaken { .. }
            | Self::TooMany { .. }
            | Self::NoFile { .. }
            | Self::NoFolder => Some(Check::Agents),
            Self::NoFrontMatter { place }
            | Self::FrontMatter { place, .. }
            | Self::Field { place, .. }
            | Self::Schema { place, .. }
            | Self::Example { place, .. }
            | Self::TooLarge { place, .. } => is_file(place).then_some(Check::Agents),
            Self::Taken { .. }
            | Self::Design { .. }
            | Self::DesignName { .. }
            | Self::Unwritable { .. }
            | Self::BuiltIn { .. }
            | Self::Unknown { .. } => None,
        }
    }

    fn front_matter(place: &str, message: &str) -> Self {
        Self::FrontMatter { place: place.to_owned(), message: abridged(message, MESSAGE_CHARS) }
    }
}

/// Whether a place is a file rather than a name, which has no full stop.
fn is_file(place: &str) -> bool {
    Path::new(place).extension().is_some()
}

/// The agent types that tasks may name, in the order they were added.
#[derive(Debug, Clone)]
pub struct Registry {
    types: Vec<Arc<AgentType>>,
    /// Known to `get` alone: a task without instructions of a type is no kind of agent to be listed.
    plain: Arc<AgentType>,
}

impl Registry {
    /// The built-in types.
    pub fn builtin() -> Self {
        Self { types: builtin::types(), plain: Arc::new(AgentType::plain()) }
    }

    /// Adds a type. A name that exists is refused unless `replace` is said.
    pub fn add(&mut self, agent_type: AgentType, replace: bool) -> Result<Arc<AgentType>, AgentError> {
        let agent_type = Arc::new(agent_type);
        let taken =
            |other: &AgentType| AgentError::Taken { name: other.name.clone(), origin: other.origin.to_string() };
        if *agent_type.name == *PLAIN {
            return Err(taken(&self.plain));
        }
        match self.types.iter_mut().find(|other| other.name == agent_type.name) {
            Some(other) if replace || other.gives_way_to(&agent_type) => *other = agent_type.clone(),
            Some(other) => return Err(taken(other)),
            None => self.types.push(agent_type.clone()),
        }
        Ok(agent_type)
    }

    /// Adds every `*.md` file of a folder, or one file. Nothing is added if any of them cannot be used.
    pub fn load(&mut self, path: &Path, replace: bool) -> Result<Vec<Arc<AgentType>>, AgentError> {
        let read_error = |source| AgentError::Read { path: path.to_owned(), source };
        let mut files = vec![path.to_owned()];
        if path.is_dir() {
            let entries: Result<Vec<_>, _> = std::fs::read_dir(path).map_err(read_error)?.collect();
            files = entries.map_err(read_error)?.into_iter().map(|entry| entry.path()).collect();
            files.retain(|file| file.extension().is_some_and(|extension| extension == "md") && file.is_file());
            files.sort();
        }
        let mut candidate = self.clone();
        let mut added = Vec::new();
        for file in files {
            let text =
                std::fs::read_to_string(&file).map_err(|source| AgentError::Read { path: file.clone(), source })?;
            let place = file.display().to_string();
            let agent_type = AgentType::from_markdown(&text, &place)?;
            let kept = candidate.kept_at(&file);
            added.push(candidate.add(kept.into_iter().fold(agent_type, AgentType::with_origin), replace)?);
        }
        *self = candidate;
        Ok(added)
    }

    /// The type of that name.
    pub fn get(&self, name: &str) -> Result<Arc<AgentType>, AgentError> {
        self.types
            .iter()
            .chain([&self.plain])
            .find(|agent_type| &*agent_type.name == name)
            .cloned()
            .ok_or_else(|| AgentError::Unknown { name: abridged(name, NAME_CHARS), hint: self.hint(name) })
    }

    /// ` (did you mean ...?)` for the names nearest to `name`, or nothing.
    pub fn hint(&self, name: &str) -> String {
        task::hint(name, self.types.iter().map(|agent_type| &*agent_type.name))
    }

    /// All types, or those of a category.
    pub fn list<'a>(&'a self, category: Option<&'a str>) -> impl Iterator<Item = &'a Arc<AgentType>> {
        self.types.iter().filter(move |agent_type| category.is_none_or(|category| *agent_type.category == *category))
    }
}

static REGISTRY: LazyLock<RwLock<Registry>> = LazyLock::new(|| RwLock::new(Registry::builtin()));

/// The process's registry, to read. A task's type is resolved when its run starts.
pub fn registry() -> RwLockReadGuard<'static, Registry> {
    // A registry is replaced as a whole or not at all, so a panic elsewhere cannot have left it half changed.
    REGISTRY.read().unwrap_or_else(PoisonError::into_inner)
}

/// The process's registry, to change.
pub fn registry_mut() -> RwLockWriteGuard<'static, Registry> {
    REGISTRY.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "---\nname: haiku_writer\ndescription: Writes one haiku\n---\nWrite a haiku.\n";

    fn own() -> AgentType {
        AgentType::from_markdown(OWN, "own.md").expect("an agent type")
    }

    #[test]
    fn a_name_is_taken_once_unless_replacing_is_asked_for() {
        let mut registry = Registry::builtin();
        registry.add(own(), false).expect("a new name");
        let message = registry.add(own(), false).expect_err("taken").to_string();
        assert!(message.contains("`haiku_writer` exists already (own.md)"), "{message}");
        registry.add(own(), true).expect("replaced");
        assert_eq!(registry.list(None).filter(|agent_type| &*agent_type.name == "haiku_writer").count(), 1);
    }

    #[test]
    fn what_is_wrong_with_a_file_has_its_line_of_the_doctor_and_what_is_with_a_value_none() {
        let io = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let (path, name, text) = (|| Path::new("/a/x.md").to_owned(), || Arc::<str>::from("x"), || "odd".to_owned());
        let schema = || crate::core::output::Schema::new(serde_json::json!({"type": 7})).expect_err("no schema");
        let placed = |place: &str| {
            let place = || place.to_owned();
            vec![
                AgentError::NoFrontMatter { place: place() },
                AgentError::FrontMatter { place: place(), message: text() },
                AgentError::Field { place: place(), field: "name", value: text(), expected: "a name" },
                AgentError::Schema { place: place(), source: schema() },
                AgentError::Example { place: place(), complaints: text() },
                AgentError::TooLarge { place: place(), field: "file", bytes: 2, max: 1 },
            ]
        };
        let explained = vec![
            AgentError::Read { path: path(), source: io() },
            AgentError::TakenFile { place: text(), name: name(), origin: text() },
            AgentError::Shadows { place: text(), name: name() },
            AgentError::Write { path: path(), source: io() },
            AgentError::FileTaken { path: path(), name: name() },
            AgentError::TooMany { folder: path() },
            AgentError::NoFile { place: text() },
            AgentError::NoFolder,
        ];
        let not = vec![
            AgentError::Taken { name: name(), origin: text() },
            AgentError::Design { complaints: text() },
            AgentError::DesignName { name: text() },
            AgentError::Unwritable { place: text() },
            AgentError::BuiltIn { name: name() },
            AgentError::Unknown { name: text(), hint: text() },
        ];
        for error in explained.into_iter().chain(placed("/a/x.md")) {
            assert_eq!(error.check(), Some(Check::Agents), "{error}");
        }
        for error in not.into_iter().chain(placed("x")) {
            assert_eq!(error.check(), None, "{error}");
        }
    }

    #[test]
    fn an_unknown_name_comes_with_the_nearest_ones() {
        let message = Registry::builtin().get("code_reviwer").expect_err("unknown").to_string();
        assert!(message.contains("did you mean `code_reviewer`"), "{message}");
    }

    #[test]
    fn a_folder_is_loaded_whole_or_not_at_all() {
        let folder = std::env::temp_dir().join(format!("parallel-agents-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("a.md"), OWN).expect("a file");
        std::fs::write(folder.join("b.md"), "no front matter").expect("a file");
        std::fs::write(folder.join("notes.txt"), "not an agent").expect("a file");
        let mut registry = Registry::builtin();
        let message = registry.load(&folder, false).expect_err("b.md is none").to_string();
        assert!(message.contains("b.md: no front matter"), "{message}");
        assert!(registry.get("haiku_writer").is_err(), "nothing was added");
        std::fs::remove_file(folder.join("b.md")).expect("removed");
        assert_eq!(registry.load(&folder, false).expect("one type").len(), 1);
        std::fs::remove_dir_all(&folder).expect("removed");
        assert!(matches!(registry.load(&folder, false), Err(AgentError::Read { .. })));
    }
}
