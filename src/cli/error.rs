//! Why the command ends without results, what it then ends with, and which line of the doctor explains it.

use std::io;
use std::path::PathBuf;

use crate::agents::AgentError;
use crate::core::check::Check;
use crate::journal::JournalError;
use crate::skill::SkillError;
use crate::workflow::{InputError, ResumeError, RunError, SettingsError};

/// Why the command ends without results.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error("cannot read the {what} `{path}`")]
    Read { what: &'static str, path: String, source: io::Error },
    #[error("cannot read the script `{path}`")]
    Script { path: String, source: io::Error },
    #[error("the {what} `{path}` is not valid JSON")]
    Json { what: &'static str, path: String, source: serde_json::Error },
    #[error("the plan is `{0}`, expected a list of tasks or an object with `tasks`")]
    Shape(String),
    #[error("no agent type is of category `{category}`, expected one of {known}")]
    Category { category: String, known: String },
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error("an answer is `{0}`, expected TASK=TEXT")]
    Answer(String),
    #[error(
        "run `{run}` was started with injected tools; resume it from Python: Orchestrator.resume(\"{run}\", journal=..., tools=...)"
    )]
    Tools { run: String },
    #[error(
        "run `{run}` was started with injected tools, which this command cannot call; end its agents from Python: \
         Orchestrator.resume(\"{run}\", journal=..., tools=..., deadline_seconds=0.001)"
    )]
    ToolsStop { run: String },
    #[error("plans are to be approved, and standard input or standard error is no terminal; run it on one")]
    NoTerminal,
    #[error("the plan is neither approved nor rejected: the run stays open; to be asked again: {resume}")]
    Unanswered { resume: String },
    #[error("`--timeout` is `{0}`, expected a number of seconds from 0 on")]
    Timeout(String),
    #[error("run `{run}` has no task `{task}`{hint}; `parallel-agents output {run}` lists all")]
    NoTask { run: String, task: String, hint: String },
    #[error("a log cannot stand beside the journal `{}`: its path names no file, or is not UTF-8; name another one", .path.display())]
    NoLog { path: PathBuf },
    #[error("no run of `{}` is open; `parallel-agents runs` lists all", .path.display())]
    NoneOpen { path: PathBuf },
    #[error(transparent)]
    Resume(#[from] ResumeError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Skill(#[from] SkillError),
    #[error("cannot write the results")]
    Write(#[from] io::Error),
}

impl CliError {
    pub(super) fn exit_code(&self) -> i32 {
        self.meaning().0
    }

    /// The line of `parallel-agents doctor` that explains it, if one does.
    pub(super) fn check(&self) -> Option<Check> {
        self.meaning().1
    }

    /// What the command ends with, and what explains it.
    fn meaning(&self) -> (i32, Option<Check>) {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::Interrupted => (130, None),
            Self::Read { .. }
            | Self::Script { .. }
            | Self::Json { .. }
            | Self::Shape(_)
            | Self::Category { .. }
            | Self::Answer(_)
            | Self::Tools { .. }
            | Self::ToolsStop { .. }
            | Self::NoTerminal
            | Self::Timeout(_)
            | Self::NoTask { .. }
            | Self::NoLog { .. }
            | Self::NoneOpen { .. } => (2, None),
            Self::Input(error) => (2, error.check()),
            Self::Agent(error) => (2, error.check()),
            Self::Resume(error) => (2, error.check()),
            Self::Journal(error) => (2, error.check()),
            Self::Settings(SettingsError::Config(_)) => (2, Some(Check::Runtime)),
            Self::Settings(_) => (2, Some(Check::State)),
            Self::Skill(_) => (2, Some(Check::Skill)),
            Self::Unanswered { .. } => (1, None),
            Self::Run(error) => {
                let code = match error {
                    RunError::Journal(_) => 2,
                    RunError::Gateway(_) | RunError::Models(_) => 3,
                    RunError::Internal(_) => 4,
                };
                (code, error.check())
            }
            // As a program that a signal of a closed pipe ends.
            Self::Write(_) if self.is_broken_pipe() => (141, None),
            Self::Write(_) => (4, None),
        }
    }

    /// Whether the reader of standard output has gone: nobody is left to tell.
    pub(super) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Write(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
