//! Whether an installed folder is what it was, can run, and is seen by the agent.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::error::SkillError;
use super::place::{Here, Place};
use super::record::Record;
use super::sight::{Sight, row};
use super::site::{canonical, exists};
use super::tree::{Found, is_bookkeeping, scan};
use super::{RECORD, VERSION, old};
use crate::core::shell::shell_path;

/// How a line is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// As it should be.
    Green,
    /// Not known, or worth a look.
    Yellow,
    /// A difference.
    Red,
}

impl Colour {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What: `files`, `version`, `python` or `agent`.
    pub id: &'static str,
    /// How it is.
    pub colour: Colour,
    /// In words.
    pub found: String,
    /// What to do about it: a command, with what comes before it.
    pub fix: Option<String>,
}

impl Line {
    /// What was found, with what to do about it.
    pub fn text(&self) -> String {
        match &self.fix {
            Some(fix) => format!("{}; to put it right: {fix}", self.found),
            None => self.found.clone(),
        }
    }
}

/// What was found in one folder.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The folder.
    pub folder: PathBuf,
    /// Line by line.
    pub lines: Vec<Line>,
}

impl Verified {
    /// Whether nothing is different from what it should be.
    pub fn is_well(&self) -> bool {
        self.lines.iter().all(|line| line.colour != Colour::Red)
    }

    /// For `--json`.
    pub fn fields(&self) -> Value {
        let line = |line: &Line| json!({"id": line.id, "colour": line.colour.name(), "text": line.text()});
        let lines = self.lines.iter().map(line).collect::<Vec<_>>();
        json!({"folder": self.folder, "ok": self.is_well(), "lines": lines})
    }
}

/// Looks at every folder where the skill is: those that agents read it from, and the one that the gateway names. `status` is
/// what the gateway answered to `skills.status`.
pub fn look(here: &Here, status: Option<&Value>) -> Result<Vec<Verified>, SkillError> {
    let mut places = here.known();
    let named = row(status).and_then(|row| row.get("baseDir")?.as_str()).map(PathBuf::from);
    places.extend(named.map(|folder| (folder.clone(), Place::To(folder))));
    let mut found: Vec<Verified> = Vec::new();
    for (folder, place) in places {
        let is_known = found.iter().any(|known| canonical(&known.folder) == canonical(&folder));
        if !is_known && exists(&folder)? {
            found.push(verify(&folder, &place.flags(), status)?);
        }
    }
    Ok(found)
}

/// Looks at `folder`. `status` is what the gateway answered to `skills.status`; `flags` name the folder in advice.
pub fn verify(folder: &Path, flags: &str, status: Option<&Value>) -> Result<Verified, SkillError> {
    let missing = || SkillError::Missing { folder: folder.to_owned(), flags: flags.to_owned() };
    if !exists(folder)? {
        return Err(missing());
    }
    let mut lines = Vec::new();
    let mut say = |id, colour, found: String, fix: Option<String>| lines.push(Line { id, colour, found, fix });
    let upgrade = format!("parallel-agents skill upgrade{flags}");
    let Some(record) = Record::read(folder, flags)? else {
        let (found, fix) = match old::version(folder) {
            Some(version) => (format!("release {version} of the skill"), upgrade),
            None => (
                format!("there is no {RECORD}: not a folder of this skill"),
                format!("move it away, then: parallel-agents skill install{flags}"),
            ),
        };
        say("files", Colour::Red, found, Some(fix));
        return Ok(Verified { folder: folder.to_owned(), lines });
    };
    let tree = scan(folder)?.files;
    let mut is_whole = true;
    for (name, digest) in &record.files {
        let (difference, fix) = match tree.get(name) {
            Some(found) if found.is(digest) => continue,
            Some(Found::File(_)) => ("was edited", format!("move it away, then: {upgrade}")),
            Some(Found::Other) => ("is no regular file", format!("move it away, then: {upgrade}")),
            None => ("is missing", upgrade.clone()),
        };
        is_whole = false;
        say("files", Colour::Red, format!("{name} {difference}"), Some(fix));
    }
    if is_whole {
        say("files", Colour::Green, format!("{} files, complete and unmodified", record.files.len()), None);
    }
    let is_foreign = |name: &&String| *name != RECORD && !record.files.contains_key(*name) && !is_bookkeeping(name);
    let foreign: Vec<&str> = tree.keys().filter(is_foreign).map(String::as_str).collect();
    if !foreign.is_empty() {
        say("files", Colour::Yellow, format!("not of the skill, left alone: {}", foreign.join(", ")), None);
    }
    if record.version == VERSION {
        say("version", Colour::Green, format!("{VERSION}, as the package"), None);
    } else {
        say("version", Colour::Red, format!("{}, and the package is {VERSION}", record.version), Some(upgrade));
    }
    // A file that somebody edited is not run.
    let is_launcher_ours =
        record.files.get("launch.py").is_some_and(|digest| tree.get("launch.py").is_some_and(|found| found.is(digest)));
    let (colour, found, fix) = python(&record, folder, is_launcher_ours, flags);
    say("python", colour, found, fix);
    let (colour, found, fix) = match Sight::of(status, folder, flags) {
        Sight::Seen => (Colour::Green, "the agent sees it".to_owned(), None),
        Sight::Unseen { why, fix } => (Colour::Red, format!("the agent does not see it: {why}"), Some(fix)),
        Sight::NotChecked => (Colour::Yellow, "not checked: no gateway".to_owned(), None),
    };
    say("agent", colour, found, fix);
    Ok(Verified { folder: folder.to_owned(), lines })
}

/// Whether the package is found from the folder: by the Python of its record, or as an agent would start it.
fn python(record: &Record, folder: &Path, is_launcher_ours: bool, flags: &str) -> (Colour, String, Option<String>) {
    let expected = format!("parallel-agents {}", record.version);
    let judged = |python: &str, said: Result<String, String>, fix: String| match said {
        Ok(version) if version == expected => (Colour::Green, format!("{python} has the package"), None),
        Ok(version) => (Colour::Red, format!("{python} has `{version}`, expected `{expected}`"), Some(fix)),
        Err(reason) => (Colour::Red, format!("{python} has no package any more ({reason})"), Some(fix)),
    };
    if let Some(python) = &record.python {
        let code = "from parallel_agents.__main__ import main; raise SystemExit(main())";
        let fix = format!("with a Python that has it: parallel-agents skill upgrade{flags}");
        return judged(python, answer(Command::new(python).args(["-c", code, "--version"])), fix);
    }
    if !is_launcher_ours {
        let found = "not checked: the record names no Python, and launch.py is not ours";
        return (Colour::Yellow, found.to_owned(), None);
    }
    let launcher = folder.join("launch.py");
    let fix = format!("python3 {} setup --wheel FILE", shell_path(&launcher));
    judged("python3", answer(Command::new("python3").arg(&launcher).arg("--version")), fix)
}

/// What a program printed, or why it did not.
fn answer(command: &mut Command) -> Result<String, String> {
    // In a folder without modules: the package must be found where it is installed.
    let command = command.current_dir("/").env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
    let output = command.output().map_err(|error| error.to_string())?;
    let last = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().lines().last().unwrap_or_default().to_owned();
    if output.status.success() { Ok(last(&output.stdout)) } else { Err(last(&output.stderr)) }
}
