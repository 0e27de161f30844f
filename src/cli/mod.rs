//! The command `parallel-agents`: JSON on standard output, the rest on standard error, documented exit codes.
//!
//! Its console script is Python's; it calls in here with its arguments and a way to look for Ctrl-C.

use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use crate::agents::{registry, registry_mut};
use crate::core::check::Check;
use crate::core::task::TaskDraft;
use crate::doctor::Python;
use crate::skill::ReadOld;
use crate::workflow::{self, InputError, Job, RunOptions, Settings, with_causes};
use agents::AgentsCommand;
pub use doctor::Doctor;
use error::CliError;
use journal::{JournalFlag, KeepFlags, ResumeFlags};
use orchestrate::OrchestrateFlags;
use run::{JsonFlags, SizeFlag};
use skill::SkillCommand;

pub use detach::Detached;

mod agents;
mod bounded;
mod detach;
mod doctor;
mod error;
mod journal;
mod orchestrate;
mod output;
mod program;
mod run;
mod share;
mod skill;
mod wait;

const EXIT_CODES: &str = "Exit codes:
  0    every task completed, or what --until waits for is met
  1    at least one task did not, or it is not met; standard output says which and why
  2    the input or the command line is wrong; nothing was started
  3    no gateway can be used, or it knows none of the models; nothing was started
  4    a defect of this program
  130  Ctrl-C; the agents were stopped, standard output holds what had finished
  141  nobody reads standard output";

const RUN_EXIT_CODES: &str = "Exit codes:
  0    every task completed, or what --until waits for is met; with --detach: the run has begun
  1    at least one task did not, or it is not met; standard output says which and why
  2    the input, a setting or the command line is wrong; nothing was started
  3    no gateway can be used, or it knows none of the models; nothing was started
  4    a defect of this program
  130  Ctrl-C; the agents were stopped, standard output holds what had finished
  141  nobody reads standard output";

const ORCHESTRATE_EXIT_CODES: &str = "Exit codes:
  0    the request was carried out, as the report says
  1    it was not, or only in part
  2    the input or the command line is wrong, or there is no terminal to approve on; nothing was started
  3    no gateway can be used, or it knows none of the models; nothing was started
  4    a defect of this program
  130  Ctrl-C; the agents were stopped
  141  nobody reads standard output";

const WAIT_EXIT_CODES: &str = "Exit codes:
  0    every task completed, or what the run waits for is met
  1    at least one task did not, or it is not met, or the run's process has died; standard output says which and why
  2    there is no such run or journal, or the command line is wrong
  4    a defect of this program
  5    the run goes on: the time is over
  130  Ctrl-C; the run goes on
  141  nobody reads standard output";

const OUTPUT_EXIT_CODES: &str = "Exit codes:
  0    the output was printed
  1    the task has none, or has not ended; standard error says why
  2    there is no such run or task, or the command line is wrong
  4    a defect of this program
  141  nobody reads standard output";

const EXEC_EXIT_CODES: &str = "Exit codes:
  2    there is no such script, or the command line is wrong; nothing was started
  130  Ctrl-C; the agents were stopped
Any other is the script's own.";

const DOCTOR_EXIT_CODES: &str = "Exit codes:
  0    no line is red
  1    at least one is
  2    the command line is wrong
  4    a defect of this program
  130  Ctrl-C
  141  nobody reads standard output";

/// Run teams of AI agents in parallel on OpenClaw.
#[derive(Debug, Parser)]
#[command(name = "parallel-agents", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the tasks of a plan and print their results as JSON
    #[command(after_help = RUN_EXIT_CODES)]
    Run {
        /// A JSON file, or - for standard input: a list of tasks, or {"tasks": [...]} with options of a run beside it
        plan: String,
        /// What is waited for: all, any, first(K), quorum(K), best(FIELD), best(FIELD, enough=SCORE) or vote(FIELD). The
        /// rest is stopped [default: all]
        #[arg(long, value_name = "JOIN")]
        until: Option<String>,
        #[command(flatten)]
        flags: RunFlags,
        #[command(flatten)]
        keep: KeepFlags,
        #[command(flatten)]
        json: JsonFlags,
        /// Print the id of the run at once, and let it go on in a process of its own: `wait` collects its results. Its
        /// log beside the journal is removed when every task has completed, unless it holds a warning
        #[arg(long, conflicts_with = "no_journal")]
        detach: bool,
    },
    /// Wait for the end of a run in another process, and print its results as `run --json` does
    #[command(after_help = WAIT_EXIT_CODES)]
    Wait {
        /// The run, or the beginning of its id
        run: String,
        /// How long, at most; without it, until the end
        #[arg(long, value_name = "SECONDS")]
        timeout: Option<f64>,
        #[command(flatten)]
        size: SizeFlag,
        #[command(flatten)]
        journal: JournalFlag,
    },
    /// Print the whole output of one task of a run, also while it goes on
    #[command(after_help = OUTPUT_EXIT_CODES)]
    Output {
        /// The run, or the beginning of its id
        run: String,
        /// The task. Without it, all are listed: status, bytes of the output, id
        task: Option<String>,
        /// What its agent wrote, as it wrote it, usable or not
        #[arg(long, requires = "task")]
        raw: bool,
        #[command(flatten)]
        journal: JournalFlag,
    },
    /// The process of a run that was detached
    #[command(hide = true)]
    Detached,
    /// Let an agent plan for a request, run its plan, and print the report
    #[command(after_help = ORCHESTRATE_EXIT_CODES)]
    Orchestrate {
        /// What is to be achieved
        request: String,
        #[command(flatten)]
        flags: Box<OrchestrateFlags>,
    },
    /// Go on with a run whatever its process died of, or with answers to its agents' questions, and print all its results
    #[command(after_help = EXIT_CODES)]
    Resume {
        /// The run, or the beginning of its id [default: the latest that is open]
        run: Option<String>,
        #[command(flatten)]
        flags: ResumeFlags,
    },
    /// Stop a run: that of another process, or what a dead one has left running
    Stop {
        /// The run, or the beginning of its id
        run: String,
        /// Why, as its results will say
        #[arg(long, default_value = "stopped by `parallel-agents stop`")]
        reason: String,
        #[command(flatten)]
        journal: JournalFlag,
    },
    /// List the runs that are kept, the latest first
    Runs {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        journal: JournalFlag,
    },
    /// Run a Python script with an agent runtime's `tools` over the gateway, and with `ai_orchestrator` and `helpers`
    ///
    /// The script runs unchanged, as `python SCRIPT` would run it, and can import `sessions_spawn`, `sessions_list` and
    /// `sessions_history` from `tools`. The options stand before it; what follows it is its own. At its end the
    /// sessions that it asked to be deleted are deleted, and agents among them that still run are stopped; after Ctrl-C
    /// all of its agents are.
    #[command(after_help = EXEC_EXIT_CODES, override_usage = "parallel-agents exec [OPTIONS] SCRIPT [ARGS]...")]
    Exec {
        /// The gateway's address [default: the one that is found]
        #[arg(long, value_name = "URL")]
        gateway_url: Option<String>,
        /// Further agent types: a Markdown file or a folder of them. May be repeated
        #[arg(long = "agents", value_name = "PATH")]
        agents: Vec<PathBuf>,
        /// The script, and what it is given as arguments
        #[arg(required = true, trailing_var_arg = true, value_name = "SCRIPT [ARGS]")]
        script: Vec<String>,
    },
    /// Find out what would keep a run from working, with the way out beside it
    ///
    /// One line for each part of what a run needs. Each is green, yellow (a run works, but not as it could), red (it does
    /// not), or skipped because of an earlier one. Starts no agent, spends nothing unless --try-models is given, changes
    /// nothing unless --fix is, and shows no secret.
    #[command(after_help = DOCTOR_EXIT_CODES)]
    Doctor(Doctor),
    /// Show the agent types, and keep your own
    Agents {
        #[command(subcommand)]
        command: AgentsCommand,
    },
    /// Install the skill for an agent, and keep it up to date
    Skill {
        #[command(subcommand)]
        command: SkillCommand,
    },
    /// Run a team of five content writers: as a rehearsal with no AI, unless --gateway is given
    Demo {
        /// Run it for real, on the gateway. Agents cost money
        #[arg(long)]
        gateway: bool,
        /// What they write about
        #[arg(long, default_value = "Monday motivation")]
        topic: String,
        /// How to run it for real, as it is shown
        #[arg(long, hide = true, default_value = "parallel-agents demo --gateway")]
        real_command: String,
        #[command(flatten)]
        flags: RunFlags,
    },
}

/// What the command ends with.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Its exit code.
    Code(i32),
    /// A Python script that is to be run now: that takes the interpreter.
    Script(Script),
    /// A process that is to be started now, of this interpreter.
    Detached(Detached),
    /// What is wrong here is to be found out: that takes what the interpreter knows of itself.
    Doctor(Doctor),
}

/// A Python script, and what it is to be given.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// Its file.
    pub path: String,
    /// Its own arguments.
    pub arguments: Vec<String>,
    /// The fields of the gateway that its `tools` use; those absent are found.
    pub gateway: Map<String, Value>,
}

/// Options of a run. They come before those in the plan.
#[derive(Debug, Args)]
struct RunFlags {
    /// Agents at once [default: 5]
    #[arg(long, value_name = "N")]
    max_concurrent: Option<u64>,
    /// The one model to use
    #[arg(long, conflicts_with = "models")]
    model: Option<String>,
    /// Models from cheap to costly, separated by commas
    #[arg(long, value_delimiter = ',')]
    models: Option<Vec<String>>,
    /// Play the run, with no AI
    #[arg(long)]
    rehearsal: bool,
    /// The gateway's address [default: the one that is found]
    #[arg(long, value_name = "URL")]
    gateway_url: Option<String>,
    /// How agents are started on the gateway
    #[arg(long, value_enum)]
    path: Option<PathFlag>,
    /// What happens to the agents' sessions [default: delete]
    #[arg(long, value_enum)]
    cleanup: Option<CleanupFlag>,
    /// Time for the whole run, in seconds [default: 86400]
    #[arg(long, value_name = "SECONDS")]
    deadline: Option<f64>,
    #[command(flatten)]
    budget: BudgetFlags,
    /// Further agent types: a Markdown file or a folder of them. May be repeated
    #[arg(long = "agents", value_name = "PATH")]
    agents: Vec<PathBuf>,
}

/// What a run may spend.
#[derive(Debug, Args)]
struct BudgetFlags {
    /// US dollars that the run may spend
    #[arg(long = "budget-usd", value_name = "DOLLARS")]
    usd: Option<f64>,
    /// Tokens that the run may use
    #[arg(long = "budget-tokens", value_name = "N")]
    tokens: Option<u64>,
    /// Attempts that the run may make
    #[arg(long = "budget-attempts", value_name = "N")]
    attempts: Option<u64>,
    /// Seconds after which no agent is started any more
    #[arg(long = "budget-seconds", value_name = "SECONDS")]
    seconds: Option<f64>,
}

impl BudgetFlags {
    fn fields(&self) -> Option<Value> {
        let Self { usd, tokens, attempts, seconds } = self;
        let mut caps = json!({ "usd": usd, "tokens": tokens, "attempts": attempts, "seconds": seconds });
        let given = caps.as_object_mut()?;
        given.retain(|_, cap| !cap.is_null());
        let is_any = !given.is_empty();
        is_any.then_some(caps)
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PathFlag {
    Agent,
    Spawn,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CleanupFlag {
    Delete,
    Keep,
}

/// `parallel-agents doctor`, in this Python. Returns its exit code.
pub fn doctor(doctor: &Doctor, python: Option<Python>, interrupted: &dyn Fn() -> bool) -> i32 {
    doctor::doctor(doctor, python, interrupted).unwrap_or_else(|error| told(&error))
}

/// Tells why the command ends without results. Returns its exit code.
fn told(error: &CliError) -> i32 {
    if !error.is_broken_pipe() {
        say(&Check::pointed(format!("parallel-agents: {}", with_causes(error)), error.check()));
    }
    error.exit_code()
}

/// Runs the command. `python` is the interpreter that has this package, `read_old_skill` reads a release of the skill
/// up to 3.2.0, and `interrupted` says whether Ctrl-C was pressed since it was last asked.
pub fn run(
    arguments: &[String],
    python: Option<PathBuf>,
    read_old_skill: ReadOld<'_>,
    interrupted: &dyn Fn() -> bool,
) -> Outcome {
    let name = std::iter::once("parallel-agents".to_owned());
    let cli = match Cli::try_parse_from(name.chain(arguments.iter().cloned())) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output with code 0, mistakes to standard error with code 2.
            let _ = error.print();
            return Outcome::Code(error.exit_code());
        }
    };
    match dispatch(cli.command, python, read_old_skill, interrupted) {
        Ok(outcome) => outcome,
        Err(error) => Outcome::Code(told(&error)),
    }
}

/// A line for people.
fn say(line: &str) {
    // Nobody to tell is no reason to stop.
    let _ = writeln!(io::stderr(), "{}", program::typed(line));
}

/// Whether a text begins with the name of a command of ours.
fn is_command(text: &str) -> bool {
    let word = text.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    Cli::command().get_subcommands().any(|command| command.get_name() == word)
}

fn print(text: &str) -> Result<(), CliError> {
    Ok(writeln!(io::stdout(), "{text}")?)
}

fn dispatch(
    command: Command,
    python: Option<PathBuf>,
    read_old_skill: ReadOld<'_>,
    interrupted: &dyn Fn() -> bool,
) -> Result<Outcome, CliError> {
    let code = match command {
        Command::Exec { gateway_url, agents, script } => {
            load_agents(&agents)?;
            return exec(gateway_url, script).map(Outcome::Script);
        }
        Command::Doctor(doctor) => return Ok(Outcome::Doctor(doctor)),
        Command::Run { plan, until, flags, keep, json, detach } => {
            let started = Started::read(&plan, until, &flags, interrupted)?;
            if detach {
                return started.detach(&flags.agents, &keep, json.size()).map(Outcome::Detached);
            }
            started.run(&keep, json, interrupted)
        }
        Command::Orchestrate { request, flags } => orchestrate::orchestrate(&request, &flags, interrupted),
        Command::Wait { run, timeout, size, journal } => wait::wait(&run, timeout, size, &journal, interrupted),
        Command::Output { run, task, raw, journal } => output::output(&run, task.as_deref(), raw, &journal),
        Command::Detached => detach::run(interrupted),
        Command::Resume { run, flags } => journal::resume(run, &flags, interrupted),
        Command::Stop { run, reason, journal } => journal::stop(&run, &reason, &journal, interrupted),
        Command::Runs { json, journal } => journal::runs(&journal, json),
        Command::Demo { gateway, topic, real_command, flags } => {
            load_agents(&flags.agents)?;
            let mut options = Map::new();
            flags.apply(&mut options);
            if gateway {
                Settings::find()?.beneath(&mut options);
            } else {
                options.shift_remove("gateway");
                options.insert("rehearsal".to_owned(), json!({"speed": 8.0}));
            }
            let options = RunOptions::from_json(options)?;
            run::demo(drafts(content_team(&topic))?, options, &real_command, interrupted)
        }
        Command::Agents { command } => agents::run(command, interrupted),
        Command::Skill { command } => skill::run(&command, python, read_old_skill),
    };
    code.map(Outcome::Code)
}

/// A new run as the command line and its plan want it, with the settings beneath.
struct Started {
    tasks: Vec<Value>,
    options: Map<String, Value>,
    checked: RunOptions,
}

impl Started {
    fn read(
        plan: &str,
        until: Option<String>,
        flags: &RunFlags,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<Self, CliError> {
        load_agents(&flags.agents)?;
        let (tasks, mut options) = read_plan(plan, interrupted)?;
        flags.apply(&mut options);
        Settings::find()?.beneath(&mut options);
        let planned = options.shift_remove("until").filter(|until| !until.is_null());
        let mut checked = RunOptions::from_json(options.clone())?;
        if let Some(until) = until.map(Value::from).or(planned) {
            options.insert("strategy".to_owned(), json!({"kind": "join", "until": until}));
            checked = RunOptions::from_stored(options.clone())?;
        }
        Ok(Self { tasks, options, checked })
    }

    fn run(self, keep: &KeepFlags, json: JsonFlags, interrupted: &dyn Fn() -> bool) -> Result<i32, CliError> {
        let job = job(self.tasks, &self.checked)?;
        let (origin, kept) = keep.origin(&self.options)?;
        run::run(job.from(origin), self.checked.runtime, kept, json, interrupted)
    }

    fn detach(self, agents: &[PathBuf], keep: &KeepFlags, size: SizeFlag) -> Result<Detached, CliError> {
        job(self.tasks.clone(), &self.checked)?;
        detach::detach(self.tasks, self.options, agents, keep, size)
    }
}

/// The run of these tasks, checked.
fn job(tasks: Vec<Value>, options: &RunOptions) -> Result<Job, CliError> {
    let plan = workflow::plan(drafts(tasks)?, &registry(), options.hierarchy.clone())?;
    Ok(Job::new(plan, options, &registry())?)
}

/// Checks what can be checked without the interpreter.
fn exec(gateway_url: Option<String>, script: Vec<String>) -> Result<Script, CliError> {
    let mut arguments = script.into_iter();
    let path = arguments.next().unwrap_or_default();
    let source = match fs::metadata(&path) {
        Ok(found) if found.is_dir() => Some(io::ErrorKind::IsADirectory.into()),
        Ok(_) => None,
        Err(error) => Some(error),
    };
    if let Some(source) = source {
        return Err(CliError::Script { path, source });
    }
    let gateway: Map<String, Value> = gateway_url.map(|url| ("url".to_owned(), json!(url))).into_iter().collect();
    RunOptions::from_json([("gateway".to_owned(), json!(gateway))].into_iter().collect())?;
    Ok(Script { path, arguments: arguments.collect(), gateway })
}

impl RunFlags {
    /// Puts the flags over the options of the plan.
    fn apply(&self, options: &mut Map<String, Value>) {
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                options.insert(name.to_owned(), value);
            }
        };
        set("max_concurrent", self.max_concurrent.map(Value::from));
        if self.model.is_some() || self.models.is_some() {
            set("model", Some(json!(self.model)));
            set("models", Some(json!(self.models)));
        }
        set("deadline_seconds", self.deadline.map(Value::from));
        set("budget", self.budget.fields());
        set(
            "cleanup",
            self.cleanup.map(|cleanup| match cleanup {
                CleanupFlag::Delete => json!("delete"),
                CleanupFlag::Keep => json!("keep"),
            }),
        );
        if self.rehearsal {
            options.shift_remove("gateway");
            options.entry("rehearsal").or_insert(json!(true));
            return;
        }
        if self.gateway_url.is_none() && self.path.is_none() {
            return;
        }
        let gateway = options.entry("gateway").or_insert_with(|| json!({}));
        if !gateway.is_object() {
            *gateway = json!({});
        }
        if let Some(fields) = gateway.as_object_mut() {
            if let Some(url) = &self.gateway_url {
                fields.insert("url".to_owned(), json!(url));
            }
            if let Some(path) = self.path {
                let name = match path {
                    PathFlag::Agent => "agent",
                    PathFlag::Spawn => "spawn",
                };
                fields.insert("path".to_owned(), json!(name));
            }
        }
    }
}

fn load_agents(paths: &[PathBuf]) -> Result<(), CliError> {
    for line in workflow::read_own_types() {
        say(&format!("warning: {line}"));
    }
    for path in paths {
        registry_mut().load(path, false)?;
    }
    Ok(())
}

/// The tasks and the options of a plan.
fn read_plan(path: &str, interrupted: &dyn Fn() -> bool) -> Result<(Vec<Value>, Map<String, Value>), CliError> {
    match read_json("plan", path, interrupted)? {
        Value::Array(tasks) => Ok((tasks, Map::new())),
        Value::Object(mut fields) => match fields.shift_remove("tasks") {
            Some(Value::Array(tasks)) => Ok((tasks, fields)),
            Some(other) => Err(CliError::Shape(crate::core::output::abridged(&other.to_string(), 60))),
            None => Err(CliError::Shape("an object without `tasks`".to_owned())),
        },
        other => Err(CliError::Shape(crate::core::output::abridged(&other.to_string(), 60))),
    }
}

/// The JSON of a file, or of standard input. `what` names it in errors.
fn read_json(what: &'static str, path: &str, interrupted: &dyn Fn() -> bool) -> Result<Value, CliError> {
    let text = if path == "-" { read_input(interrupted) } else { fs::read_to_string(path) };
    let text = text.map_err(|source| CliError::Read { what, path: path.to_owned(), source })?;
    serde_json::from_str(&text).map_err(|source| CliError::Json { what, path: path.to_owned(), source })
}

/// Standard input, whole. The library's own way to read it would go on after Ctrl-C.
fn read_input(interrupted: &dyn Fn() -> bool) -> io::Result<String> {
    let (mut input, mut bytes, mut buffer) = (io::stdin().lock(), Vec::new(), [0_u8; 8192]);
    loop {
        match input.read(&mut buffer) {
            Ok(0) => {
                return String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
            }
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted && !interrupted() => {}
            Err(error) => return Err(error),
        }
    }
}

fn drafts(tasks: Vec<Value>) -> Result<Vec<TaskDraft>, CliError> {
    let draft = |(index, task)| TaskDraft::from_json(index, task).map_err(|error| InputError::from(error).into());
    tasks.into_iter().enumerate().map(draft).collect()
}

/// One post by each content writer.
fn content_team(topic: &str) -> Vec<Value> {
    let task = |name: &str| {
        json!({
            "task_id": name.trim_start_matches("content_writer_"),
            "agent_type": name,
            "task_description": format!("Write one post about {topic} for bluesky."),
            "input_data": {"topic": topic, "platform": "bluesky"},
        })
    };
    let names = registry().list(Some("content")).map(|agent_type| agent_type.name.clone()).collect::<Vec<_>>();
    names.iter().filter(|name| name.starts_with("content_writer_")).take(5).map(|name| task(name)).collect()
}
