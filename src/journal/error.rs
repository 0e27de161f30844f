//! What can be wrong with a journal, and what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_WRITE};
use thiserror::Error;

use super::FORMAT;
use crate::core::check::Check;

/// A journal that cannot be used, or a run that it cannot give.
#[derive(Debug, Error)]
pub enum JournalError {
    /// There is no file.
    #[error("there is no journal at `{}`; a run makes one, or name another file with `--journal`", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The system does not let us at the file.
    #[error("the journal `{}` cannot be opened; correct its folder's rights, or name another file", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file may be read but not written.
    #[error("the journal `{}` cannot be written; correct its rights, or name another file", .path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("`{}` is no SQLite database and was left as it is; name another file for the journal", .path.display())]
    NoDatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file belongs to another program.
    #[error(
        "`{}` is the database of another program (application id {application}) and was left as it is; name another \
         file for the journal",
        .path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it says it is.
        application: i32,
    },
    /// A later release wrote the file.
    #[error(
        "the journal `{}` has format {found}, and this release reads formats up to {FORMAT}; it was left as it is; use \
         the release that wrote it, or name another file",
        .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i32,
    },
    /// The file system cannot share memory between processes.
    #[error(
        "the journal `{}` is on a file system that several processes cannot share safely (journal mode `{mode}`); put \
         it on a local disk",
        .path.display()
    )]
    Unshared {
        /// The file.
        path: PathBuf,
        /// How SQLite would have to work on it.
        mode: String,
    },
    /// No room is left. What was committed before is safe, and what was not is kept: it can be committed later.
    #[error(
        "the journal `{}` cannot grow: its disk or quota is full; nothing recorded before is lost; make room, then \
         continue with `parallel-agents resume`",
        .path.display()
    )]
    Full {
        /// The file.
        path: PathBuf,
        /// SQLite's words.
        source: rusqlite::Error,
    },
    /// Another process writes for too long.
    #[error("the journal `{}` was locked by another process for more than 10 s; try again", .path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The file is broken.
    #[error(
        "the journal `{}` is damaged; save what `sqlite3 FILE .recover` still finds in it, and name another file",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// SQLite's words.
        source: rusqlite::Error,
    },
    /// SQLite failed in another way.
    #[error("the journal `{}` failed; what was committed is kept; try again", .path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// SQLite's words.
        source: rusqlite::Error,
    },
    /// A run's lock cannot be had.
    #[error("the lock `{}` cannot be used; correct its folder's rights", .path.display())]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No run has that id.
    #[error("no run `{id}` in `{}`{hint}; `parallel-agents runs` lists them", .path.display())]
    NoRun {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        id: String,
        /// The nearest or the latest ids, if there are any.
        hint: String,
    },
    /// Several runs have ids that begin so.
    #[error("`{prefix}` begins the ids of several runs: {}; write more of it", quoted(.ids))]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// Some of them.
        ids: Vec<String>,
    },
    /// There is a run of that id already.
    #[error("there is a run `{id}` in `{}` already; give the new one another id, or resume that one", .path.display())]
    Taken {
        /// The file.
        path: PathBuf,
        /// The id.
        id: String,
    },
    /// Somebody runs it now.
    #[error("run `{id}` is being run {}; wait for its end, or end it with `parallel-agents stop {id}`", by(*.process))]
    Running {
        /// The run.
        id: String,
        /// By whom, if that is known.
        process: Option<u32>,
    },
    /// Nobody runs it now.
    #[error("run `{id}` is not running, so nothing is there to stop; `parallel-agents runs` tells how it stands")]
    NotRunning {
        /// The run.
        id: String,
    },
    /// A record that this release does not understand.
    #[error(
        "run `{run}`: {place} in `{}` cannot be read ({problem}); it is damaged, was edited, or was written by another \
         release of the same format: use that one",
        .path.display()
    )]
    Record {
        /// The file.
        path: PathBuf,
        /// The run.
        run: String,
        /// Where in the run.
        place: Place,
        /// What is wrong.
        problem: String,
    },
}

/// A record of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A fact, by its number.
    Fact(u64),
    /// A task, by its number.
    Task(u64),
    /// The run's options.
    Options,
    /// All tasks together.
    Plan,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fact(no) => write!(formatter, "fact {no}"),
            Self::Task(no) => write!(formatter, "task {no}"),
            Self::Options => formatter.write_str("its options"),
            Self::Plan => formatter.write_str("its plan"),
        }
    }
}

fn quoted(ids: &[String]) -> String {
    ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
}

fn by(process: Option<u32>) -> String {
    process.map_or_else(|| "by another process".to_owned(), |process| format!("by process {process}"))
}

impl JournalError {
    /// The line of `parallel-agents doctor` that explains it; none where it is about the run that was asked for.
    pub const fn check(&self) -> Option<Check> {
        match self {
            Self::Missing { .. }
            | Self::Open { .. }
            | Self::ReadOnly { .. }
            | Self::NoDatabase { .. }
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::Unshared { .. }
            | Self::Full { .. }
            | Self::Busy { .. }
            | Self::Damaged { .. }
            | Self::Sqlite { .. }
            | Self::Lock { .. }
            | Self::Record { .. } => Some(Check::Journal),
            Self::NoRun { .. }
            | Self::Ambiguous { .. }
            | Self::Taken { .. }
            | Self::Running { .. }
            | Self::NotRunning { .. } => None,
        }
    }

    /// What SQLite's error about the file at `path` means.
    pub(super) fn of(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        let Some(error) = source.sqlite_error() else { return Self::Sqlite { path, source } };
        // A write beyond a quota or a file's size limit fails as an input/output error.
        if matches!(error.extended_code, SQLITE_IOERR_WRITE | SQLITE_IOERR_SHMSIZE) {
            return Self::Full { path, source };
        }
        match error.code {
            ErrorCode::DiskFull => Self::Full { path, source },
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy { path },
            ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
                Self::Open { path, source: io::Error::other(source) }
            }
            ErrorCode::ReadOnly => Self::ReadOnly { path },
            ErrorCode::NotADatabase => Self::NoDatabase { path },
            ErrorCode::DatabaseCorrupt => Self::Damaged { path, source },
            _ => Self::Sqlite { path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None)
    }

    #[test]
    fn every_error_names_its_file_or_run_and_the_way_out() {
        let path = || PathBuf::from("runs.db");
        let id = || "5c1a".to_owned();
        let source = || io::Error::from(io::ErrorKind::PermissionDenied);
        let record = |place| JournalError::Record { path: path(), run: id(), place, problem: "odd".into() };
        let errors = [
            JournalError::Missing { path: path() },
            JournalError::Open { path: path(), source: source() },
            JournalError::ReadOnly { path: path() },
            JournalError::NoDatabase { path: path() },
            JournalError::Foreign { path: path(), application: 7 },
            JournalError::Newer { path: path(), found: 3 },
            JournalError::Unshared { path: path(), mode: "delete".into() },
            JournalError::Full { path: path(), source: sqlite(13) },
            JournalError::Busy { path: path() },
            JournalError::Damaged { path: path(), source: sqlite(11) },
            JournalError::Sqlite { path: path(), source: sqlite(1) },
            JournalError::Lock { path: path(), source: source() },
            JournalError::NoRun { path: path(), id: id(), hint: "; the latest are `a`".into() },
            JournalError::Ambiguous { prefix: "5".into(), ids: vec!["5c1a".into(), "5c1b".into()] },
            JournalError::Taken { path: path(), id: id() },
            JournalError::Running { id: id(), process: Some(12) },
            JournalError::Running { id: id(), process: None },
            JournalError::NotRunning { id: id() },
            record(Place::Fact(12)),
            record(Place::Task(3)),
            record(Place::Options),
            record(Place::Plan),
        ];
        let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let are_explained: Vec<bool> = errors.iter().map(|error| error.check() == Some(Check::Journal)).collect();
        assert_eq!(are_explained, [&[true; 12][..], &[false; 6], &[true; 4]].concat());
        assert!(errors[12..18].iter().all(|error| error.check().is_none()), "the run's own name is wrong");
        let unreadable = |place: &str| {
            format!(
                "run `5c1a`: {place} in `runs.db` cannot be read (odd); it is damaged, was edited, or was written by \
                 another release of the same format: use that one"
            )
        };
        assert_eq!(
            messages,
            [
                "there is no journal at `runs.db`; a run makes one, or name another file with `--journal`",
                "the journal `runs.db` cannot be opened; correct its folder's rights, or name another file",
                "the journal `runs.db` cannot be written; correct its rights, or name another file",
                "`runs.db` is no SQLite database and was left as it is; name another file for the journal",
                "`runs.db` is the database of another program (application id 7) and was left as it is; name another \
                 file for the journal",
                "the journal `runs.db` has format 3, and this release reads formats up to 2; it was left as it is; use \
                 the release that wrote it, or name another file",
                "the journal `runs.db` is on a file system that several processes cannot share safely (journal mode \
                 `delete`); put it on a local disk",
                "the journal `runs.db` cannot grow: its disk or quota is full; nothing recorded before is lost; make \
                 room, then continue with `parallel-agents resume`",
                "the journal `runs.db` was locked by another process for more than 10 s; try again",
                "the journal `runs.db` is damaged; save what `sqlite3 FILE .recover` still finds in it, and name \
                 another file",
                "the journal `runs.db` failed; what was committed is kept; try again",
                "the lock `runs.db` cannot be used; correct its folder's rights",
                "no run `5c1a` in `runs.db`; the latest are `a`; `parallel-agents runs` lists them",
                "`5` begins the ids of several runs: `5c1a`, `5c1b`; write more of it",
                "there is a run `5c1a` in `runs.db` already; give the new one another id, or resume that one",
                "run `5c1a` is being run by process 12; wait for its end, or end it with `parallel-agents stop 5c1a`",
                "run `5c1a` is being run by another process; wait for its end, or end it with `parallel-agents stop \
                 5c1a`",
                "run `5c1a` is not running, so nothing is there to stop; `parallel-agents runs` tells how it stands",
                &unreadable("fact 12"),
                &unreadable("task 3"),
                &unreadable("its options"),
                &unreadable("its plan"),
            ]
        );
    }

    #[test]
    fn what_sqlite_says_is_told_apart() {
        let name = |code| match JournalError::of(Path::new("runs.db"), sqlite(code)) {
            JournalError::Full { .. } => "full",
            JournalError::Busy { .. } => "busy",
            JournalError::ReadOnly { .. } => "read-only",
            JournalError::NoDatabase { .. } => "no database",
            JournalError::Damaged { .. } => "damaged",
            JournalError::Open { .. } => "not opened",
            _ => "other",
        };
        let told = [13, 778, 4_874, 5, 261, 6, 8, 264, 26, 11, 267, 10, 266, 1, 14].map(name);
        assert_eq!(
            told,
            [
                "full",
                "full",
                "full",
                "busy",
                "busy",
                "busy",
                "read-only",
                "read-only",
                "no database",
                "damaged",
                "damaged",
                "other",
                "other",
                "other",
                "not opened"
            ]
        );
    }
}
