//! What is on the disk: the state folder, the journal, the user's own agent types.

use std::path::{Path, PathBuf};

use super::defaults::Defaults;
use super::{Line, taken};
use crate::agents::AgentError;
use crate::core::check::Check;
use crate::core::shell::shell_path;
use crate::journal::{Examined, FORMAT, JournalError};

/// Less free room than this, in bytes, keeps nothing.
const ROOM_MIN: u64 = 10 << 20;
/// Less than this may not last.
const ROOM_LOW: u64 = 200 << 20;
/// Sets what nothing else is found without.
const HOME_FIX: &str = "export HOME=\"$(python3 -c 'import os, pwd; print(pwd.getpwuid(os.getuid()).pw_dir)')\"";
/// How many runs or files a line names.
const NAMES_SHOWN: usize = 3;

/// What was seen on the disk.
#[derive(Debug)]
pub struct Files {
    /// `OpenClaw`'s state folder; none where nothing says where that is.
    pub state: Option<Folder>,
    /// Ours in it.
    pub own: Option<Folder>,
    /// Bytes that are free for the state folder, if that can be told.
    pub room: Option<u64>,
    /// The journal's path.
    pub journal_path: PathBuf,
    /// Whether that is the one in our own folder.
    pub is_own_journal: bool,
    /// The folder that it is in.
    pub journal_folder: Option<Folder>,
    /// What stands there; `None` if looking took too long.
    pub journal: Option<Result<Examined, JournalError>>,
    /// The user's own agent types: how many, and which files are passed over.
    pub agents: Result<(usize, Vec<AgentError>), AgentError>,
}

/// A folder, as the system shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// What stands there.
    pub standing: Standing,
}

/// What stands at a folder's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nothing; whether it can be made.
    Missing {
        /// Why not, if it cannot.
        problem: Option<String>,
    },
    /// A folder.
    There {
        /// Why nothing can be written into it, if nothing can.
        problem: Option<String>,
        /// Whether others than its owner have rights there.
        open_to_others: bool,
    },
    /// Something else.
    NoFolder,
}

/// `state`: the state folder, ours in it, and the settings.
pub fn state(files: &Files, defaults: &Defaults) -> Line {
    const CHECK: Check = Check::State;
    let Some(state) = &files.state else {
        let found = "nothing says where it is: none of OPENCLAW_STATE_DIR, OPENCLAW_HOME and HOME is set";
        return Line::red(CHECK, found, HOME_FIX);
    };
    let mut findings: Vec<Line> = [Some((state, false)), files.own.as_ref().map(|own| (own, true))]
        .into_iter()
        .flatten()
        .map(|(each, is_own)| folder(each, is_own))
        .collect();
    if findings.first().is_some_and(|line| line.fix.is_some()) {
        // What is wrong with ours follows from that.
        findings.truncate(1);
    }
    if let Some(room) = files.room {
        let shown = format!("{} free", megabytes(room));
        findings.push(match room {
            room if room < ROOM_MIN => Line::red(CHECK, shown, "make room on its disk"),
            room if room < ROOM_LOW => Line::yellow(CHECK, shown, "make room on its disk"),
            _ => Line::green(CHECK, shown),
        });
    }
    findings.extend(defaults.line());
    Line::of_all(CHECK, findings)
}

fn folder(folder: &Folder, is_own: bool) -> Line {
    const CHECK: Check = Check::State;
    let (shown, path) = (folder.path.display(), shell_path(&folder.path));
    match &folder.standing {
        Standing::Missing { problem: None } if is_own => {
            Line::green(CHECK, format!("{shown} is made by the first run"))
        }
        Standing::Missing { problem: None } => Line::green(CHECK, format!("{shown} is not there yet")),
        Standing::Missing { problem: Some(problem) } => {
            Line::red(CHECK, format!("{shown} cannot be made ({problem})"), made(&folder.path))
        }
        Standing::NoFolder => Line::red(CHECK, format!("{shown} is no folder"), format!("mv {path} {path}.old")),
        Standing::There { problem: Some(problem), .. } => {
            Line::red(CHECK, format!("{shown} cannot be written ({problem})"), taken(&folder.path, "700"))
        }
        Standing::There { problem: None, open_to_others: true } if is_own => {
            Line::yellow(CHECK, format!("{shown} is open to other users"), "parallel-agents doctor --fix")
        }
        Standing::There { problem: None, .. } => Line::green(CHECK, format!("{shown} is writable")),
    }
}

fn made(path: &Path) -> String {
    let path = shell_path(path);
    format!("sudo mkdir -m 700 -p {path} && sudo chown \"$(id -u)\" {path}")
}

/// Why the journal's folder takes no files, and the way out: a run writes more than the one file.
fn closed(files: &Files) -> Option<(String, String)> {
    let Folder { path, standing } = files.journal_folder.as_ref()?;
    let shown = path.display();
    match standing {
        Standing::There { problem: Some(problem), .. } => {
            Some((format!("{shown} cannot be written ({problem})"), taken(path, "u+rwx")))
        }
        Standing::Missing { problem: Some(problem) } => {
            Some((format!("{shown} cannot be made ({problem})"), made(path)))
        }
        Standing::There { problem: None, .. } | Standing::Missing { problem: None } | Standing::NoFolder => None,
    }
}

/// A command of ours about this journal.
fn command(files: &Files, words: &str) -> String {
    let named =
        if files.is_own_journal { String::new() } else { format!(" --journal {}", shell_path(&files.journal_path)) };
    format!("parallel-agents {words}{named}")
}

fn damaged(files: &Files) -> String {
    let (path, fix) = (shell_path(&files.journal_path), command(files, "doctor --fix"));
    format!("save what `sqlite3 {path} .recover` still finds, then {fix}, which renames it")
}

fn megabytes(bytes: u64) -> String {
    match bytes >> 20 {
        megabytes if megabytes >= 10_240 => format!("{} GB", megabytes >> 10),
        megabytes => format!("{megabytes} MB"),
    }
}

/// `journal`: whether it is sound, and what nobody has finished.
pub fn journal(files: &Files) -> Line {
    const CHECK: Check = Check::Journal;
    let path = files.journal_path.display();
    let examined = match &files.journal {
        None => {
            let found = format!("{path} took too long to look at");
            return Line::yellow(CHECK, found, "put it on a local disk, or name another with `--journal`");
        }
        Some(Err(error)) => return broken(files, error),
        Some(Ok(examined)) => examined,
    };
    let mut findings = vec![Line::green(
        CHECK,
        format!(
            "{path}, format {} of {FORMAT}, {}, {}",
            examined.format,
            counted(examined.runs.len(), "run"),
            megabytes(examined.bytes)
        ),
    )];
    match &examined.problems {
        Some(problems) if problems.is_empty() => {}
        Some(problems) => {
            let first = problems.first().map(|problem| crate::core::output::abridged(problem, 200)).unwrap_or_default();
            findings.push(Line::red(CHECK, format!("it is damaged: {first}"), damaged(files)));
        }
        None => findings.push(Line::yellow(
            CHECK,
            "it is too large to be checked here",
            format!("sqlite3 {} 'PRAGMA quick_check'", shell_path(&files.journal_path)),
        )),
    }
    findings.extend(closed(files).map(|(found, fix)| Line::red(CHECK, found, fix)));
    if examined.open_to_others {
        findings.push(Line::yellow(CHECK, "other users may read it", command(files, "doctor --fix")));
    }
    for (id, error) in &examined.unreadable {
        findings.push(Line::yellow(CHECK, crate::workflow::with_causes(error), command(files, &format!("stop {id}"))));
    }
    let open: Vec<&str> =
        examined.runs.iter().filter(|run| !run.ended && !run.running).map(|run| run.id.as_str()).collect();
    if let [latest, ..] = open[..] {
        let shown = open[..open.len().min(NAMES_SHOWN)].join(", ");
        let found = format!("{} that nobody runs any more ({shown})", counted(open.len(), "open run"));
        let fix =
            [format!("resume {latest}"), format!("stop {latest}")].map(|words| command(files, &words)).join(", or ");
        findings.push(Line::yellow(CHECK, found, fix));
    }
    if examined.stale_locks > 0 {
        let found = format!("{} of dead processes, which do no harm", counted(examined.stale_locks, "lock file"));
        findings.push(Line::green(CHECK, found));
    }
    Line::of_all(CHECK, findings)
}

fn broken(files: &Files, error: &JournalError) -> Line {
    const CHECK: Check = Check::Journal;
    let elsewhere = "name another file with `--journal`";
    let fix = match error {
        JournalError::Missing { path } => {
            let none = format!("none yet at {}", path.display());
            return match closed(files) {
                None => Line::green(CHECK, format!("{none}; a run makes it")),
                Some((found, fix)) => Line::red(CHECK, format!("{none}, and {found}"), fix),
            };
        }
        // What is no database says of itself that it is a journal only by its place.
        JournalError::NoDatabase { .. } if !files.is_own_journal => elsewhere.to_owned(),
        JournalError::NoDatabase { .. } | JournalError::Damaged { .. } => damaged(files),
        JournalError::Newer { .. } => "use the release that wrote it, or name another file with `--journal`".to_owned(),
        JournalError::ReadOnly { .. } | JournalError::Open { .. } => {
            closed(files).map_or_else(|| taken(&files.journal_path, "600"), |(_, fix)| fix)
        }
        JournalError::Full { .. } => "make room on its disk".to_owned(),
        JournalError::Busy { .. } => "parallel-agents runs shows which run writes; try again".to_owned(),
        JournalError::Sqlite { .. } | JournalError::Lock { .. } | JournalError::Record { .. } => {
            format!("try again; if it stays, {elsewhere}")
        }
        JournalError::Foreign { .. }
        | JournalError::Unshared { .. }
        | JournalError::NoRun { .. }
        | JournalError::Ambiguous { .. }
        | JournalError::Taken { .. }
        | JournalError::Running { .. }
        | JournalError::NotRunning { .. } => elsewhere.to_owned(),
    };
    Line::red(CHECK, crate::workflow::with_causes(error), fix)
}

/// `agents`: the user's own types, and what of them is passed over.
pub fn agents(files: &Files) -> Line {
    const CHECK: Check = Check::Agents;
    let (count, passed_over) = match &files.agents {
        Err(error) => {
            return Line::red(
                CHECK,
                crate::workflow::with_causes(error),
                "correct the folder's rights: chmod 700 FOLDER",
            );
        }
        Ok(found) => found,
    };
    let known = match count {
        0 => "the built-in types, none of your own".to_owned(),
        count => format!("{} of your own", counted(*count, "type")),
    };
    if passed_over.is_empty() {
        return Line::green(CHECK, known);
    }
    let why: Vec<String> =
        passed_over.iter().take(NAMES_SHOWN).map(|error| crate::workflow::with_causes(error)).collect();
    let more = match passed_over.len().saturating_sub(NAMES_SHOWN) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let found = format!("{known}; {} passed over: {}{more}", counted(passed_over.len(), "file"), why.join("; "));
    Line::yellow(CHECK, found, "correct the file it names, or move it out of the folder")
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
#[path = "files_tests.rs"]
pub(super) mod tests;
