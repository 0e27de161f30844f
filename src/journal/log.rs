//! Writing a run: facts are taken at once and committed in groups.

use std::fmt;
use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params};

use super::database::Database;
use super::error::JournalError;
use super::lock::Lock;
use super::record::{Record, TextsOut};
use super::{Run, place, write_tasks};
use crate::core::fact::{Event, Fact};
use crate::core::plan::Task;
use crate::core::time::Time;

/// The one who writes a run. Dropping it gives the run's lock back; facts that were not committed are gone then.
pub struct RunLog {
    database: Database,
    run: Run,
    /// How many facts are committed.
    committed: u64,
    /// Facts that are not.
    rows: Vec<Row>,
    /// Their bodies, one behind the other.
    bodies: Vec<u8>,
    texts: TextsOut,
    /// Tasks that the facts to commit add, and the number of their first.
    added: Vec<(usize, Arc<[Task]>)>,
    stops: Stops,
    _lock: Lock,
}

#[derive(Debug)]
struct Row {
    at: Time,
    kind: &'static str,
    task: Option<usize>,
    /// Where its body ends.
    end: usize,
}

/// What was seen of requests to stop.
#[derive(Debug)]
struct Stops {
    /// How many.
    count: i64,
    /// Which state of the file was looked at: a number that other connections' commits change.
    version: Option<i64>,
}

impl RunLog {
    pub(super) fn new(database: Database, lock: Lock, run: Run, committed: u64, stops: i64) -> Self {
        Self {
            database,
            run,
            committed,
            rows: Vec::new(),
            bodies: Vec::new(),
            texts: TextsOut::default(),
            added: Vec::new(),
            stops: Stops { count: stops, version: None },
            _lock: lock,
        }
    }

    /// The run's id.
    pub fn id(&self) -> &str {
        &self.run.id
    }

    /// Takes one more fact. It is not durable until [`RunLog::commit`].
    ///
    /// # Panics
    /// Never: a record can always be written as JSON.
    pub fn append(&mut self, fact: &Fact) {
        if let Event::TasksAdded { first, tasks } = &fact.event {
            self.added.push((*first, tasks.clone()));
        }
        let (record, task) = Record::of(&fact.event, &mut self.texts);
        record.write(&mut self.bodies).expect("a record has no map and no foreign serializer");
        self.rows.push(Row { at: fact.at, kind: record.kind(), task, end: self.bodies.len() });
    }

    /// Whether there are facts to commit.
    pub fn pending(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Makes all facts durable, in one transaction, and says how many the run has now. On an error none of them is
    /// lost: a later call commits them.
    pub fn commit(&mut self) -> Result<u64, JournalError> {
        if self.rows.is_empty() {
            return Ok(self.committed);
        }
        let Self { database, run, committed, rows, bodies, texts, added, .. } = self;
        let transaction = database.begin()?;
        let written = write_texts(&transaction, texts)
            .and_then(|()| write_added(&transaction, run.no, added))
            .and_then(|()| write_facts(&transaction, run.no, *committed, rows, bodies))
            .and_then(|()| transaction.commit());
        written.map_err(|error| database.failed(error))?;
        *committed += rows.len() as u64;
        rows.clear();
        bodies.clear();
        texts.texts.clear();
        added.clear();
        Ok(*committed)
    }

    /// The reason that somebody gave since the last call for ending the run early. Costs next to nothing while nothing
    /// was asked for.
    pub fn stop_request(&mut self) -> Result<Option<String>, JournalError> {
        let failed = |error| JournalError::of(&self.database.path, error);
        let connection = &self.database.connection;
        let version = connection
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            .map_err(failed)?;
        if self.stops.version == Some(version) {
            return Ok(None);
        }
        let (count, reason): (i64, Option<String>) = connection
            .prepare_cached("SELECT stops, stop_reason FROM runs WHERE run = ?1")
            .and_then(|mut statement| statement.query_row([self.run.no], |row| Ok((row.get(0)?, row.get(1)?))))
            .map_err(failed)?;
        let is_new = count > self.stops.count;
        self.stops = Stops { count, version: Some(version) };
        Ok(reason.filter(|_| is_new))
    }
}

impl fmt::Debug for RunLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RunLog")
            .field("run", &self.run)
            .field("committed", &self.committed)
            .field("pending", &self.rows.len())
            .finish_non_exhaustive()
    }
}

/// JSON as SQLite takes it.
pub(super) struct Json<'a>(pub &'a [u8]);

impl ToSql for Json<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

/// Stores each text that is not stored yet.
pub(super) fn write_texts(connection: &Connection, texts: &TextsOut) -> rusqlite::Result<()> {
    if texts.texts.is_empty() {
        return Ok(());
    }
    let mut insert =
        connection.prepare_cached("INSERT INTO texts (hash, text) VALUES (?1, ?2) ON CONFLICT (hash) DO NOTHING")?;
    for (hash, text) in &texts.texts {
        insert.execute(params![hash, text])?;
    }
    Ok(())
}

fn write_added(connection: &Connection, run: i64, added: &[(usize, Arc<[Task]>)]) -> rusqlite::Result<()> {
    for (first, tasks) in added {
        write_tasks(connection, run, *first, tasks)?;
        let count = (tasks.len() as u64).cast_signed();
        connection.execute("UPDATE runs SET tasks = tasks + ?2 WHERE run = ?1", params![run, count])?;
    }
    Ok(())
}

fn write_facts(connection: &Connection, run: i64, before: u64, rows: &[Row], bodies: &[u8]) -> rusqlite::Result<()> {
    let mut insert =
        connection.prepare_cached("INSERT INTO facts (place, at, kind, task, body) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let mut begin = 0;
    for (no, row) in (before + 1..).zip(rows) {
        let task = row.task.map(|task| task as u64).map(u64::cast_signed);
        insert.execute(params![
            place(run, no),
            row.at.as_millis().cast_signed(),
            row.kind,
            task,
            Json(&bodies[begin..row.end])
        ])?;
        begin = row.end;
    }
    Ok(())
}
