//! The skill as a folder, from the command line: installed, upgraded, verified, removed, packaged.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::program::{typed, typed_in};
use super::{CliError, print, say};
use crate::core::shell::shell_path;
use crate::runtime::gateway::Surroundings;
use crate::skill::{self, Caller, Content, Here, NAME, Place, ReadOld, SkillError, Upgrade, Verified, ask_gateway};
use crate::workflow::{RunOptions, with_causes};

pub(super) const EXIT_CODES: &str = "Exit codes:
  0    done; for verify: all is well
  1    verify found a difference; standard output says which
  2    refused, or the command line is wrong; nothing was changed
  4    a defect of this program
  141  nobody reads standard output";

/// Set by `launch.py`: the folder that it lies in.
const LAUNCHED_VARIABLE: &str = "PARALLEL_AGENTS_SKILL";

#[derive(Debug, Subcommand)]
pub(super) enum SkillCommand {
    /// Install the skill for the agent
    #[command(after_help = EXIT_CODES)]
    Install {
        #[command(flatten)]
        place: PlaceFlags,
        #[command(flatten)]
        wheel: WheelFlag,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Bring an installed skill to this version, and keep what you edited and configured
    ///
    /// Files that nobody edited are replaced, new ones added, and those that this version no longer has removed. An edited
    /// document or example stays, and ours is put beside it as NAME.new; of `ai_orchestrator.py`, `helpers.py` and `launch.py`
    /// ours takes the place, and yours is kept as NAME.mine. Files that are not of the skill stay as they are. A release
    /// up to 3.2.0 goes whole into a backup; agent types and constants that were changed in it are carried over.
    #[command(after_help = EXIT_CODES)]
    Upgrade {
        #[command(flatten)]
        place: PlaceFlags,
        #[command(flatten)]
        wheel: WheelFlag,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Go back to this version from a newer one
        #[arg(long)]
        downgrade: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Look whether the files are complete and unmodified, the versions match, and the agent sees the skill
    #[command(after_help = EXIT_CODES)]
    Verify {
        #[command(flatten)]
        place: PlaceFlags,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove the skill; what you edited or added goes into a backup
    #[command(after_help = EXIT_CODES)]
    Uninstall {
        #[command(flatten)]
        place: PlaceFlags,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make the folder and the ZIP that registries take
    #[command(after_help = EXIT_CODES)]
    Package {
        /// Where they are made
        #[arg(long, value_name = "DIR", default_value = ".")]
        to: PathBuf,
        #[command(flatten)]
        wheel: WheelFlag,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Which folder is meant.
#[derive(Debug, Args)]
pub(super) struct PlaceFlags {
    /// The workspace of the agent, for it alone [default; for what is installed: the only copy there is]
    #[arg(long, conflicts_with_all = ["global", "to"])]
    workspace: bool,
    /// OpenClaw's state folder, for all agents
    #[arg(long, conflicts_with = "to")]
    global: bool,
    /// Another folder that skills are read from
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

impl PlaceFlags {
    fn place(&self) -> Place {
        match &self.to {
            Some(folder) => Place::To(folder.clone()),
            None if self.global => Place::Global,
            None => Place::Workspace,
        }
    }

    fn is_named(&self) -> bool {
        self.workspace || self.global || self.to.is_some()
    }
}

/// A wheel that goes with the skill.
#[derive(Debug, Args)]
pub(super) struct WheelFlag {
    /// The package's wheel, for machines that do not have the package: `launch.py setup` installs it
    #[arg(long, value_name = "FILE")]
    wheel: Option<PathBuf>,
}

impl WheelFlag {
    fn content(&self) -> Result<Content, SkillError> {
        match &self.wheel {
            Some(wheel) => Content::ours().with_wheel(wheel),
            None => Ok(Content::ours()),
        }
    }
}

/// `parallel-agents skill`. `python` is the one that has the package, `read_old` reads a release up to 3.2.0.
pub(super) fn run(command: &SkillCommand, python: Option<PathBuf>, read_old: ReadOld<'_>) -> Result<i32, CliError> {
    let caller = Caller { python, today: today(), read_old };
    match command {
        SkillCommand::Install { place, wheel, json } => {
            let content = wheel.content()?;
            install(&place.place(), &content, &caller, *json)
        }
        SkillCommand::Upgrade { place, wheel, dry_run, downgrade, json } => {
            let content = wheel.content()?;
            let (place, here) = meant(place)?;
            let done = skill::upgrade(&place, &here, &content, &caller, (*dry_run, *downgrade))?;
            tell_upgrade(&done, *json)
        }
        SkillCommand::Verify { place, json } => verify(place, *json),
        SkillCommand::Uninstall { place, json } => {
            let (place, here) = meant(place)?;
            let removal = skill::uninstall(&place, &here, &caller)?;
            told(*json, &removal.fields(), &removal.lines())
        }
        SkillCommand::Package { to, wheel, json } => {
            let package = skill::package(to, &wheel.content()?)?;
            told(*json, &package.fields(), &package.lines())
        }
    }
}

/// The day, in universal time.
#[expect(clippy::disallowed_methods, reason = "a backup is named by its day")]
fn today() -> String {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    now.split('T').next().unwrap_or_default().to_owned()
}

/// Asks the gateway only where its answer matters.
fn here(place: &Place) -> Result<Here, SkillError> {
    let status = if *place == Place::Workspace { ask_gateway() } else { None };
    Here::find(&Surroundings::real(), status.as_ref())
}

/// The copy that is meant: the one that is named, the one whose `launch.py` runs this, or the only one there is.
fn meant(flags: &PlaceFlags) -> Result<(Place, Here), SkillError> {
    if flags.is_named() {
        let place = flags.place();
        let here = here(&place)?;
        return Ok((place, here));
    }
    let here = here(&Place::Workspace)?;
    if let Some(folder) = launched_from() {
        return Ok((Place::To(folder), here));
    }
    let found: Vec<Place> =
        here.known().into_iter().filter(|(folder, _)| folder.is_dir()).map(|(_, place)| place).collect();
    if found.len() > 1 {
        let flags = |place: &Place| if *place == Place::Workspace { " --workspace".to_owned() } else { place.flags() };
        return Err(SkillError::Several {
            flags: found.iter().map(|place| format!("`{}`", flags(place).trim())).collect(),
        });
    }
    // Without any, the usual place is where it is missed.
    Ok((found.into_iter().next().unwrap_or(Place::Workspace), here))
}

/// The folder of the skill whose `launch.py` runs this command.
fn launched_from() -> Option<PathBuf> {
    let folder = PathBuf::from((Surroundings::real().variable)(LAUNCHED_VARIABLE)?);
    (folder.is_absolute() && folder.file_name().is_some_and(|name| name == NAME)).then_some(folder)
}

fn told(as_json: bool, fields: &Value, lines: &[String]) -> Result<i32, CliError> {
    print(&if as_json { format!("{:#}", typed_in(fields.clone())) } else { typed(&lines.join("\n")).into_owned() })?;
    Ok(0)
}

fn install(place: &Place, content: &Content, caller: &Caller<'_>, as_json: bool) -> Result<i32, CliError> {
    let here = here(place)?;
    let installed = skill::install(place, &here, content, caller)?;
    let folder = installed.folder.display();
    let launch = installed.folder.join("launch.py");
    let mut lines = vec![
        format!("installed: version {} ({} files) in {folder}", installed.version, installed.files),
        seen_when(place, &here).to_owned(),
        format!("to try it, with no AI: python3 {} demo", shell_path(&launch)),
        format!("to check it: parallel-agents skill verify{}", place.flags()),
    ];
    if let Place::To(named) = place
        && named.file_name().is_some_and(|name| name == NAME)
    {
        lines.insert(1, format!("`{}` is the skill's folder itself, being called {NAME}", named.display()));
    }
    told(as_json, &installed.fields(), &lines)
}

/// When an agent sees what was installed.
fn seen_when(place: &Place, here: &Here) -> &'static str {
    let is_there = Surroundings::real().config_path().is_file() || here.state.join("agents").is_dir();
    match place {
        Place::Workspace | Place::Global if is_there => "an agent sees it in a new session",
        Place::Workspace | Place::Global => "no OpenClaw was found here: an agent sees it once there is one",
        Place::To(_) => "an agent sees it in a new session, if OpenClaw reads skills from there",
    }
}

fn tell_upgrade(upgrade: &Upgrade, as_json: bool) -> Result<i32, CliError> {
    if let Err(error) = RunOptions::from_json(upgrade.settings().clone()) {
        say(&format!("warning: a setting that was carried over cannot be used: {}", with_causes(&error)));
    }
    told(as_json, &upgrade.fields(), &upgrade.lines())
}

fn verify(place: &PlaceFlags, as_json: bool) -> Result<i32, CliError> {
    let status = ask_gateway();
    let here = Here::find(&Surroundings::real(), status.as_ref())?;
    let mut found: Vec<Verified> = Vec::new();
    let named = if place.is_named() { Some(place.place()) } else { launched_from().map(Place::To) };
    if let Some(place) = named {
        found.push(skill::verify(&place.folder(&here)?, &place.flags(), status.as_ref())?);
    } else {
        found = skill::look(&here, status.as_ref())?;
    }
    if found.is_empty() {
        let looked = here.known().iter().map(|(folder, _)| format!("`{}`", folder.display())).collect::<Vec<_>>();
        return Err(SkillError::Nowhere { looked: looked.join(", ") }.into());
    }
    let is_well = found.iter().all(Verified::is_well);
    if as_json {
        let copies = found.iter().map(Verified::fields).collect::<Vec<_>>();
        print(&format!("{:#}", typed_in(json!({"action": "verify", "ok": is_well, "copies": copies}))))?;
    } else {
        for copy in &found {
            print(&copy.folder.display().to_string())?;
            for line in &copy.lines {
                print(&format!("  {:7} {:8} {}", line.colour.name(), line.id, typed(&line.text())))?;
            }
        }
    }
    Ok(i32::from(!is_well))
}
