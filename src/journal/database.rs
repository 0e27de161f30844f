//! The file: opening, making and checking it. What stands in it is known to the rest of the room.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::error::JournalError;
use super::lock::Lock;
use super::{Durability, FORMAT};

/// Says in a file's header that it is a journal of ours: "PARJ".
pub(super) const APPLICATION: i32 = 0x5041_524a;

/// How long another process is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often the write-ahead log is asked for while others look at the file.
const TRIES_MAX: u32 = 10_000;

/// How many pages of 4 KiB the write-ahead log takes before they are moved into the file, which waits for the disk. With
/// SQLite's 1,000 that costs a large run nearly half of its journal's time; with this it comes every 60,000 facts or so.
const LOG_PAGES: u32 = 8_000;

/// Format 2, whose tables are those of format 1. `sqlite3 FILE` shows a run with `SELECT * FROM log` and its results with
/// `SELECT * FROM results`.
const SCHEMA: &str = include_str!("schema.sql");

/// SQLite holds its locks through descriptors of the file, and closing any other descriptor of it in the same process
/// would end them (POSIX). The file is made with such a one, so nothing else may open it meanwhile.
static OPENING: Mutex<()> = Mutex::new(());

/// An open journal file.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) connection: Connection,
    /// Without symbolic links, so that two names of a file have one lock.
    pub(super) path: PathBuf,
}

impl Database {
    /// Opens the file, and makes it where there is none.
    pub(super) fn open(path: &Path, durability: Durability) -> Result<Self, JournalError> {
        let _opening = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut made = None;
        if is_there(path)? {
            let database = Self::connect(path)?;
            if database.is_made()? {
                made = Some(database);
            }
        }
        let mut database = made.map_or_else(|| Self::make(path), Ok)?;
        if database.connection.is_readonly("main").map_err(|error| database.failed(error))? {
            return Err(JournalError::ReadOnly { path: database.path });
        }
        database.raise_format()?;
        let synchronous = match durability {
            Durability::Process => "NORMAL",
            Durability::Power => "FULL",
        };
        database.set("synchronous", synchronous)?;
        database.set("wal_autocheckpoint", LOG_PAGES)?;
        Ok(database)
    }

    /// Opens a file that is there.
    pub(super) fn open_existing(path: &Path, durability: Durability) -> Result<Self, JournalError> {
        // Whether it is one of ours.
        drop(Self::open_read(path)?);
        Self::open(path, durability)
    }

    /// Opens a file that is there, to read it.
    pub(super) fn open_read(path: &Path) -> Result<Self, JournalError> {
        let missing = || JournalError::Missing { path: path.to_owned() };
        if !is_there(path)? {
            return Err(missing());
        }
        let _opening = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        let database = Self::connect(path)?;
        if database.is_fresh()? { Err(missing()) } else { Ok(database) }
    }

    /// Connects to a file that is there and checks that it is ours. One that is not stays as it is.
    fn connect(path: &Path) -> Result<Self, JournalError> {
        let failed = |error| JournalError::of(path, error);
        let path = path.canonicalize().map_err(|source| JournalError::Open { path: path.to_owned(), source })?;
        let there = fs::metadata(&path).map_err(|source| JournalError::Open { path: path.clone(), source })?;
        if there.is_dir() {
            return Err(JournalError::Open { path, source: io::ErrorKind::IsADirectory.into() });
        }
        // A log that its last user left behind belongs into the file only if the file is ours.
        let has_log = fs::metadata(beside(&path, "-wal")).is_ok_and(|log| log.len() > 0);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log).map_err(failed)?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(32);
        let database = Self { connection, path };
        // SQLite takes a file that is shorter than a page for an empty one, whatever stands in it.
        if there.len() > 0 && database.number("page_count")? == 0 {
            return Err(JournalError::NoDatabase { path: database.path });
        }
        let (application, format) = (database.number("application_id")?, database.number("user_version")?);
        if application != APPLICATION && !database.is_fresh()? {
            return Err(JournalError::Foreign { path: database.path, application });
        }
        if format > FORMAT {
            return Err(JournalError::Newer { path: database.path, found: format });
        }
        database.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(failed)?;
        Ok(database)
    }

    /// Makes the file, or finishes what another process began. One process does it while others wait.
    fn make(path: &Path) -> Result<Self, JournalError> {
        let open = |source| JournalError::Open { path: path.to_owned(), source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(open)?;
        }
        let lock_path = beside(path, "-making");
        let _lock = Lock::wait(&lock_path).map_err(|source| JournalError::Lock { path: lock_path, source })?;
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(open(error)),
        }
        let mut database = Self::connect(path)?;
        let failed = |error| JournalError::of(path, error);
        if database.is_fresh()? {
            let transaction = database.begin()?;
            transaction.execute_batch(SCHEMA).map_err(failed)?;
            transaction.pragma_update(None, "user_version", FORMAT).map_err(failed)?;
            transaction.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
            transaction.commit().map_err(failed)?;
        }
        let mode = database.share()?;
        if mode != "wal" {
            return Err(JournalError::Unshared { path: database.path, mode });
        }
        Ok(database)
    }

    /// Says of a file of an earlier format that it may hold what only this one can: earlier releases then leave it alone.
    fn raise_format(&mut self) -> Result<(), JournalError> {
        if self.number("user_version")? < FORMAT {
            let path = self.path.clone();
            let failed = |error| JournalError::of(&path, error);
            let transaction = self.begin()?;
            transaction.pragma_update(None, "user_version", FORMAT).map_err(failed)?;
            transaction.commit().map_err(failed)?;
        }
        Ok(())
    }

    /// Gives the file a write-ahead log, and says how it is really written afterwards.
    fn share(&self) -> Result<String, JournalError> {
        let mut tries = 0;
        loop {
            match self.connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)) {
                // SQLite does not wait here. Others only look what the file is, then wait until it is made.
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && tries < TRIES_MAX => {
                    tries += 1;
                    std::thread::yield_now();
                }
                mode => return mode.map_err(|error| self.failed(error)),
            }
        }
    }

    /// Whether the file is complete, with a write-ahead log.
    fn is_made(&self) -> Result<bool, JournalError> {
        let mode: String = self
            .connection
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .map_err(|error| self.failed(error))?;
        Ok(mode == "wal" && !self.is_fresh()?)
    }

    /// Whether nothing was ever written into the file.
    fn is_fresh(&self) -> Result<bool, JournalError> {
        let count: i64 = self
            .connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(|error| self.failed(error))?;
        Ok(count == 0 && self.number("application_id")? == 0 && self.number("user_version")? == 0)
    }

    /// Begins to write, as the only one of all processes.
    pub(super) fn begin(&mut self) -> Result<Transaction<'_>, JournalError> {
        let Self { connection, path } = self;
        connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| JournalError::of(path, error))
    }

    /// What SQLite's error means here.
    pub(super) fn failed(&self, error: rusqlite::Error) -> JournalError {
        JournalError::of(&self.path, error)
    }

    pub(super) fn number(&self, pragma: &str) -> Result<i32, JournalError> {
        self.connection.pragma_query_value(None, pragma, |row| row.get(0)).map_err(|error| self.failed(error))
    }

    fn set(&self, pragma: &str, value: impl rusqlite::ToSql) -> Result<(), JournalError> {
        self.connection.pragma_update(None, pragma, value).map_err(|error| self.failed(error))
    }
}

fn is_there(path: &Path) -> Result<bool, JournalError> {
    path.try_exists().map_err(|source| JournalError::Open { path: path.to_owned(), source })
}

/// The lock of run number `run` in the journal at `path`.
pub(super) fn lock_path(path: &Path, run: i64) -> PathBuf {
    beside(path, &format!("-run-{run}"))
}

/// The path with something behind its last name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}
