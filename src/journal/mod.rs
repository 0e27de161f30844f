//! The journal: what happened in many runs, in one SQLite file that several processes share and `sqlite3` can read.
//!
//! A run is written by whoever holds its lock: [`Journal::create`] and [`Journal::resume`] give a [`RunLog`], which
//! takes facts and commits them in groups, on the caller's thread. Everybody else reads ([`Journal::read`],
//! [`Journal::runs`]) or asks for a run's end ([`Journal::request_stop`]). What facts mean is not known here.
//!
//! Reading order: [`database`] (the file), `schema.sql`, [`record`] (what is written), [`log`] (writing), [`stored`]
//! (reading), [`lock`] (one process for each run).

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use crate::core::fact::Event;
use crate::core::plan::{Plan, Task};
use crate::core::task::hint;
use crate::core::time::Time;
use database::{Database, lock_path};
use lock::{Lock, Tried};
use log::{Json, write_texts};
use record::{Record, SharedOut, TaskRecord, TextsIn, TextsOut, Unreadable};

mod database;
mod error;
mod examine;
mod lock;
mod log;
mod record;
mod stored;

pub use error::{JournalError, Place};
pub use examine::{Examined, examine, set_aside, sweep, tighten};
pub use log::RunLog;
pub use stored::{RunRow, StoredRun};

/// The format that this release writes, and the latest that it reads.
pub const FORMAT: i32 = 2;

/// How many runs an error names.
const IDS_SHOWN: usize = 3;

/// What a committed fact survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The death of our process, however it comes. After a power cut the latest commits may be gone; none is torn.
    #[default]
    Process,
    /// A power cut too: every commit waits for the disk.
    Power,
}

impl Durability {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Process, Self::Power];

    /// The documented name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Power => "power",
        }
    }
}

/// A run that begins.
#[derive(Debug, Clone, Copy)]
pub struct NewRun<'a> {
    /// Its id, which no other run of the journal has.
    pub id: &'a str,
    /// Its options, as they are read again when it is resumed. Without secrets.
    pub options: &'a Value,
    /// Its tasks.
    pub plan: &'a Plan,
    /// The name of its runtime.
    pub runtime: &'a str,
    /// When it begins.
    pub started: Time,
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    database: Database,
}

/// A run, by its two names.
#[derive(Debug, Clone)]
struct Run {
    /// The row's number.
    no: i64,
    id: String,
}

impl Journal {
    /// Opens the journal at `path`. Where there is none, one is made that only its owner may read, in folders that are
    /// made likewise.
    pub fn open(path: &Path, durability: Durability) -> Result<Self, JournalError> {
        Database::open(path, durability).map(|database| Self { database })
    }

    /// Opens the journal at `path` to go on with a run; makes none.
    pub fn open_existing(path: &Path, durability: Durability) -> Result<Self, JournalError> {
        Database::open_existing(path, durability).map(|database| Self { database })
    }

    /// Opens the journal at `path` to look at it, or to ask for a run's end; makes none.
    pub fn open_read(path: &Path) -> Result<Self, JournalError> {
        Database::open_read(path).map(|database| Self { database })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.database.path
    }

    /// Records a new run and takes its lock.
    pub fn create(mut self, run: NewRun<'_>) -> Result<RunLog, JournalError> {
        let path = self.database.path.clone();
        let failed = |error| JournalError::of(&path, error);
        let transaction = self.database.begin()?;
        let options = run.options.to_string();
        let added = transaction
            .execute(
                "INSERT INTO runs (id, started, runtime, tasks, options) VALUES (?1, ?2, ?3, ?4, ?5) \
                 ON CONFLICT (id) DO NOTHING",
                params![
                    run.id,
                    run.started.as_millis().cast_signed(),
                    run.runtime,
                    (run.plan.tasks().len() as u64).cast_signed(),
                    options
                ],
            )
            .map_err(failed)?;
        if added == 0 {
            return Err(JournalError::Taken { path: path.clone(), id: run.id.to_owned() });
        }
        let no = transaction.last_insert_rowid();
        write_tasks(&transaction, no, 0, run.plan.tasks()).map_err(failed)?;
        let lock = take(&lock_path(&path, no), run.id)?;
        transaction.commit().map_err(failed)?;
        Ok(RunLog::new(self.database, lock, Run { no, id: run.id.to_owned() }, 0, 0))
    }

    /// Takes the lock of a run that nobody runs, and reads what happened in it. `id` may be the beginning of its id.
    /// Requests to stop it that came before are over.
    pub fn resume(mut self, id: &str) -> Result<(StoredRun, RunLog), JournalError> {
        let run = self.find(id)?;
        let path = self.database.path.clone();
        let failed = |error| JournalError::of(&path, error);
        // While nobody else looks who has the lock.
        let transaction = self.database.begin()?;
        let lock = take(&lock_path(&path, run.no), &run.id)?;
        transaction.execute("UPDATE runs SET stop_reason = NULL WHERE run = ?1", [run.no]).map_err(failed)?;
        let stops = transaction.query_row("SELECT stops FROM runs WHERE run = ?1", [run.no], |row| row.get(0));
        let stops = stops.map_err(failed)?;
        transaction.commit().map_err(failed)?;
        let stored = stored::read(&self.database, &run)?;
        let log = RunLog::new(self.database, lock, run, stored.facts.len() as u64, stops);
        Ok((stored, log))
    }

    /// What happened in a run up to now, whoever runs it. `id` may be the beginning of its id.
    pub fn read(&self, id: &str) -> Result<StoredRun, JournalError> {
        stored::read(&self.database, &self.find(id)?)
    }

    /// The whole id of a run. `id` may be the beginning of it.
    pub fn id_of(&self, id: &str) -> Result<String, JournalError> {
        Ok(self.find(id)?.id)
    }

    /// All runs, the latest first.
    pub fn runs(&mut self) -> Result<Vec<RunRow>, JournalError> {
        stored::runs(&mut self.database)
    }

    /// Asks whoever runs a run to end it early. Asked twice, it ends at once. `id` may be the beginning of its id.
    pub fn request_stop(&mut self, id: &str, reason: &str) -> Result<(), JournalError> {
        let run = self.find(id)?;
        let path = self.database.path.clone();
        let failed = |error| JournalError::of(&path, error);
        let transaction = self.database.begin()?;
        if !is_held(&lock_path(&path, run.no))? {
            return Err(JournalError::NotRunning { id: run.id });
        }
        transaction
            .execute("UPDATE runs SET stops = stops + 1, stop_reason = ?2 WHERE run = ?1", params![run.no, reason])
            .map_err(failed)?;
        transaction.commit().map_err(failed)
    }

    /// The run with that id, or the only one whose id begins so.
    fn find(&self, id: &str) -> Result<Run, JournalError> {
        let failed = |error| self.database.failed(error);
        let connection = &self.database.connection;
        let exact = connection
            .query_row("SELECT run FROM runs WHERE id = ?1", [id], |row| row.get(0))
            .optional()
            .map_err(failed)?;
        if let Some(no) = exact {
            return Ok(Run { no, id: id.to_owned() });
        }
        let mut runs: Vec<Run> = latest(connection).map_err(failed)?;
        let (mut begun, others) = runs.drain(..).partition::<Vec<_>, _>(|run| !id.is_empty() && run.id.starts_with(id));
        match begun.len() {
            1 => Ok(begun.remove(0)),
            0 => {
                let near = hint(id, others.iter().map(|run| run.id.as_str()));
                let hint = if near.is_empty() && !others.is_empty() {
                    format!(
                        "; the latest are {}",
                        shown(&others).map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
                    )
                } else {
                    near
                };
                Err(JournalError::NoRun { path: self.database.path.clone(), id: id.to_owned(), hint })
            }
            _ => {
                Err(JournalError::Ambiguous { prefix: id.to_owned(), ids: shown(&begun).map(str::to_owned).collect() })
            }
        }
    }
}

fn shown(runs: &[Run]) -> impl Iterator<Item = &str> {
    runs.iter().take(IDS_SHOWN).map(|run| run.id.as_str())
}

/// All runs, the latest first.
fn latest(connection: &Connection) -> rusqlite::Result<Vec<Run>> {
    connection
        .prepare("SELECT run, id FROM runs ORDER BY run DESC")?
        .query_map([], |row| Ok(Run { no: row.get(0)?, id: row.get(1)? }))?
        .collect()
}

/// The key of number `no` in run number `run`, for tasks and facts.
fn place(run: i64, no: u64) -> i64 {
    (run << 32) + no.cast_signed()
}

fn take(path: &Path, id: &str) -> Result<Lock, JournalError> {
    match Lock::take(path) {
        Ok(Tried::Ours(lock)) => Ok(lock),
        Ok(Tried::Held(process)) => Err(JournalError::Running { id: id.to_owned(), process }),
        Err(source) => Err(JournalError::Lock { path: path.to_owned(), source }),
    }
}

fn is_held(path: &Path) -> Result<bool, JournalError> {
    Lock::is_held(path).map_err(|source| JournalError::Lock { path: path.to_owned(), source })
}

/// One record of a fact of a run with these tasks, read, then written and read once more. For tests that stand outside this
/// room, fuzzers above all.
///
/// # Panics
/// If what is written of a fact cannot be read.
#[doc(hidden)]
pub fn reread(kind: &str, task: Option<usize>, body: &str, tasks: &[Task]) -> Result<(Event, Event), String> {
    let told = |error: Unreadable| match error {
        Unreadable::Database(error) => error.to_string(),
        Unreadable::Content(text) => text,
    };
    let mut none = |_: &str| Ok(None);
    let record = Record::read(kind, body).map_err(told)?;
    let event = record.event(task, tasks, &mut TextsIn::new(&mut none)).map_err(told)?;
    let (mut texts, mut written) = (TextsOut::default(), Vec::new());
    let (record, task) = Record::of(&event, &mut texts);
    let (kind, written) = (record.kind(), record.write(&mut written).map(|()| written));
    let written = written.map_err(|error| error.to_string())?;
    let stored: HashMap<Arc<str>, Arc<str>> = texts.texts.into_iter().collect();
    let mut find = |hash: &str| Ok(stored.get(hash).map(ToString::to_string));
    let written = String::from_utf8(written).expect("JSON is text");
    let mut texts = TextsIn::new(&mut find);
    let again = Record::read(kind, &written).and_then(|record| record.event(task, tasks, &mut texts));
    Ok((event, again.map_err(told).expect("what is written can be read")))
}

/// Writes tasks of a run, the first of which is number `first`.
fn write_tasks(connection: &Connection, run: i64, first: usize, tasks: &[Task]) -> rusqlite::Result<()> {
    let (mut shared, mut texts, mut body) = (SharedOut::default(), TextsOut::default(), Vec::new());
    let mut insert = connection.prepare("INSERT INTO tasks (place, id, agent_type, body) VALUES (?1, ?2, ?3, ?4)")?;
    for (index, task) in (first as u64..).zip(tasks) {
        body.clear();
        let record = TaskRecord::of(task, &mut shared, &mut texts);
        serde_json::to_writer(&mut body, &record).expect("a record has no map and no foreign serializer");
        insert.execute(params![place(run, index), &*task.id, &*task.agent_type, Json(&body)])?;
        write_texts(connection, &texts)?;
        texts.texts.clear();
    }
    Ok(())
}
