//! Reading runs back.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Row};
use serde_json::Value;

use super::database::{Database, lock_path};
use super::error::{JournalError, Place};
use super::record::{Record, SharedIn, TaskRecord, TextsIn, Unreadable};
use super::{Run, is_held, place};
use crate::core::fact::Fact;
use crate::core::plan::{Plan, Task};
use crate::core::time::Time;

/// A run as the journal has it.
#[derive(Debug)]
pub struct StoredRun {
    /// Its id.
    pub id: String,
    /// When it was begun.
    pub started: Time,
    /// The name of its runtime.
    pub runtime: String,
    /// Its options.
    pub options: Value,
    /// Its tasks.
    pub plan: Arc<Plan>,
    /// What happened in it, in order.
    pub facts: Vec<Fact>,
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Its id.
    pub id: String,
    /// When it was begun.
    pub started: Time,
    /// The name of its runtime.
    pub runtime: String,
    /// How many tasks it has.
    pub tasks: u64,
    /// How many of them have ended.
    pub done: u64,
    /// How many of those with an answer.
    pub completed: u64,
    /// When something was last recorded of it.
    pub latest: Option<Time>,
    /// Nothing is left to do.
    pub ended: bool,
    /// Somebody runs it now.
    pub running: bool,
}

/// All that the journal has of a run.
pub(super) fn read(database: &Database, run: &Run) -> Result<StoredRun, JournalError> {
    let failed = |error| database.failed(error);
    // One state of the file for all that is read.
    let snapshot = database.connection.unchecked_transaction().map_err(failed)?;
    let unreadable = |place, unreadable| match unreadable {
        Unreadable::Database(error) => database.failed(error),
        Unreadable::Content(problem) => {
            JournalError::Record { path: database.path.clone(), run: run.id.clone(), place, problem }
        }
    };
    let mut text_of = snapshot.prepare("SELECT text FROM texts WHERE hash = ?1").map_err(failed)?;
    let mut find = |hash: &str| text_of.query_row([hash], |row| row.get(0)).optional();
    let mut texts = TextsIn::new(&mut find);
    let (started, runtime, options): (i64, String, String) = snapshot
        .query_row("SELECT started, runtime, options FROM runs WHERE run = ?1", [run.no], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .map_err(failed)?;
    let options = serde_json::from_str(&options).map_err(|error| unreadable(Place::Options, error.into()))?;

    let range = [place(run.no, 0), place(run.no + 1, 0)];
    let (mut tasks, mut shared) = (Vec::new(), SharedIn::default());
    let mut select = snapshot
        .prepare("SELECT task, id, agent_type, body FROM tasks WHERE place >= ?1 AND place < ?2 ORDER BY place")
        .map_err(failed)?;
    let mut rows = select.query(range).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let task = task(row, tasks.len(), &mut shared, &mut texts);
        tasks.push(task.map_err(|error| unreadable(Place::Task(tasks.len() as u64 + 1), error))?);
    }
    let plan = Plan::new(tasks).map_err(|error| unreadable(Place::Plan, Unreadable::Content(error.to_string())))?;

    let mut facts = Vec::new();
    let mut select = snapshot
        .prepare("SELECT no, at, kind, task, body FROM facts WHERE place >= ?1 AND place < ?2 ORDER BY place")
        .map_err(failed)?;
    let mut rows = select.query(range).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let no = facts.len() as u64 + 1;
        let fact = fact(row, no, plan.tasks(), &mut texts);
        facts.push(fact.map_err(|error| unreadable(Place::Fact(no), error))?);
    }
    Ok(StoredRun { id: run.id.clone(), started: time(started), runtime, options, plan: Arc::new(plan), facts })
}

fn task(row: &Row<'_>, index: usize, shared: &mut SharedIn, texts: &mut TextsIn<'_>) -> Result<Task, Unreadable> {
    if row.get::<_, i64>(0)?.cast_unsigned() != index as u64 {
        return Err(Unreadable::Content("it is missing".to_owned()));
    }
    let record: TaskRecord<'_> = serde_json::from_str(text(row, 3)?)?;
    record.task(text(row, 1)?, text(row, 2)?, shared, texts)
}

fn fact(row: &Row<'_>, no: u64, tasks: &[Task], texts: &mut TextsIn<'_>) -> Result<Fact, Unreadable> {
    if row.get::<_, i64>(0)?.cast_unsigned() != no {
        return Err(Unreadable::Content("it is missing".to_owned()));
    }
    let at = time(row.get(1)?);
    let task = match row.get::<_, Option<i64>>(3)? {
        None => None,
        Some(index) => {
            let known = usize::try_from(index).ok().filter(|&index| index < tasks.len());
            Some(known.ok_or_else(|| Unreadable::Content(format!("its task is `{index}`, of {}", tasks.len())))?)
        }
    };
    let event = Record::read(text(row, 2)?, text(row, 4)?)?.event(task, tasks, texts)?;
    Ok(Fact { at, event })
}

fn text<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r str, Unreadable> {
    row.get_ref(column)?.as_str().map_err(|error| Unreadable::Content(error.to_string()))
}

fn time(millis: i64) -> Time {
    Time::from_millis(millis.cast_unsigned())
}

/// All runs, the latest first.
pub(super) fn runs(database: &mut Database) -> Result<Vec<RunRow>, JournalError> {
    let runs = database
        .connection
        .prepare(
            "SELECT runs.run, id, started, runtime, tasks, latest.at, latest.kind, \
             (SELECT count(*) FILTER (WHERE kind = 'task_ended') - count(*) FILTER (WHERE kind = 'task_reopened') \
              FROM facts WHERE place > runs.run << 32 AND place < (runs.run + 1) << 32), \
             (SELECT count(*) FROM facts WHERE place > runs.run << 32 AND place < (runs.run + 1) << 32 \
              AND kind = 'task_ended' AND json_extract(body, '$.status') = 'completed') \
             FROM runs LEFT JOIN facts AS latest ON latest.place = \
              (SELECT max(place) FROM facts WHERE place > runs.run << 32 AND place < (runs.run + 1) << 32) \
             ORDER BY runs.run DESC",
        )
        .and_then(|mut select| select.query_map([], run_row)?.collect::<Result<Vec<_>, _>>())
        .map_err(|error| database.failed(error))?;
    let path = database.path.clone();
    // While nobody takes a run's lock: looking at one holds it for a moment. Where nothing can be written, nobody does.
    let gate = match database.begin() {
        Ok(gate) => Some(gate),
        Err(JournalError::ReadOnly { .. }) => None,
        Err(error) => return Err(error),
    };
    let looked = runs
        .into_iter()
        .map(|(no, run)| {
            let running = !run.ended && is_held(&lock_path(&path, no))?;
            Ok(RunRow { running, ..run })
        })
        .collect();
    drop(gate);
    looked
}

/// A run and its number. Who runs it is not in the file.
fn run_row(row: &Row<'_>) -> rusqlite::Result<(i64, RunRow)> {
    let latest: Option<i64> = row.get(5)?;
    let kind: Option<String> = row.get(6)?;
    let run = RunRow {
        id: row.get(1)?,
        started: time(row.get(2)?),
        runtime: row.get(3)?,
        tasks: row.get::<_, i64>(4)?.cast_unsigned(),
        done: row.get::<_, i64>(7)?.cast_unsigned(),
        completed: row.get::<_, i64>(8)?.cast_unsigned(),
        latest: latest.map(time),
        ended: kind.as_deref() == Some("run_ended"),
        running: false,
    };
    Ok((row.get(0)?, run))
}
