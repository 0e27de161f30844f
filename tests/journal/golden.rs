//! Each format is what stands in its file: the reader reads all of them, the writer writes the latest.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use parallel_agents::core::fact::Event;
use parallel_agents::journal::{FORMAT, Journal};

use crate::world::{
    Folder, added_tasks, apart, append_all, create, events_of_format_1, every_fact, fact, grown_plan, open, options,
    plan,
};

const FORMAT_1: &str = include_str!("format-1.sql");
const FORMAT_2: &str = include_str!("format-2.sql");

/// All that is in a journal, as SQL that makes it again.
fn dump(path: &Path) -> String {
    let connection = Connection::open(path).expect("a database");
    let mut sql = String::new();
    for pragma in ["application_id", "user_version"] {
        let number: i32 = connection.pragma_query_value(None, pragma, |row| row.get(0)).expect("a number");
        writeln!(sql, "PRAGMA {pragma} = {number};").expect("writes");
    }
    let mut select = connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").expect("a schema");
    let schema = select.query_map([], |row| row.get::<_, String>(0)).expect("a schema");
    for statement in schema {
        writeln!(sql, "{};", statement.expect("a statement")).expect("writes");
    }
    for (table, columns, order) in [
        ("runs", "run, id, started, runtime, tasks, options, stops, stop_reason", "run"),
        ("tasks", "place, id, agent_type, body", "place"),
        ("facts", "place, at, kind, task, body", "place"),
        ("texts", "hash, text", "hash"),
    ] {
        let mut select =
            connection.prepare(&format!("SELECT {columns} FROM {table} ORDER BY {order}")).expect("a table");
        let count = select.column_count();
        let mut rows = select.query([]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            let values: Vec<String> = (0..count)
                .map(|column| match row.get_ref(column).expect("a value") {
                    ValueRef::Null => "NULL".to_owned(),
                    ValueRef::Integer(number) => number.to_string(),
                    ValueRef::Text(text) => {
                        let text = std::str::from_utf8(text).expect("UTF-8");
                        assert!(!text.contains('\0'), "SQL text holds no zero byte: {text:?}");
                        format!("'{}'", text.replace('\'', "''"))
                    }
                    ValueRef::Real(_) | ValueRef::Blob(_) => panic!("no format has such values"),
                })
                .collect();
            writeln!(sql, "INSERT INTO {table} ({columns}) VALUES ({});", values.join(", ")).expect("writes");
        }
    }
    sql
}

/// A journal that is made of `sql`.
fn journal_of(sql: &str) -> Folder {
    let folder = Folder::new();
    Connection::open(folder.journal()).expect("a database").execute_batch(sql).expect("a journal");
    folder
}

#[test]
fn todays_writer_writes_format_2() {
    let folder = Folder::new();
    let mut log = create(&folder.journal(), "golden").expect("a run");
    append_all(&mut log, &every_fact());
    log.commit().expect("commits");
    drop(log);
    let written = dump(&folder.journal());
    if written != FORMAT_2 {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("format.sql");
        fs::write(&path, &written).expect("writes");
        panic!("what is written differs from tests/journal/format-2.sql: compare it with {}", path.display());
    }
    assert_eq!(FORMAT, 2, "a new format needs a golden file of its own");
}

#[test]
fn todays_reader_reads_every_format() {
    let cases = [(FORMAT_1, apart(events_of_format_1()), plan()), (FORMAT_2, every_fact(), grown_plan())];
    for (sql, facts, plan) in cases {
        let folder = journal_of(sql);
        let stored = Journal::open_read(&folder.journal()).expect("a journal").read("golden").expect("a run");
        assert_eq!(stored.facts, facts);
        assert_eq!(stored.options, options());
        assert_eq!(format!("{:?}", stored.plan), format!("{plan:?}"));
    }
}

#[test]
fn a_file_of_format_1_becomes_one_of_format_2_when_it_may_be_written_and_not_when_it_is_read() {
    let folder = journal_of(FORMAT_1);
    let mut journal = Journal::open_read(&folder.journal()).expect("a journal");
    journal.read("golden").expect("a run");
    journal.runs().expect("runs");
    journal.request_stop("golden", "enough").expect_err("nobody runs it");
    drop(journal);
    assert_eq!(dump(&folder.journal()), FORMAT_1);
    drop(open(&folder.journal()));
    let raised = FORMAT_1.replacen("PRAGMA user_version = 1;", "PRAGMA user_version = 2;", 1);
    assert_eq!(dump(&folder.journal()), raised);
    let (stored, mut log) = open(&folder.journal()).resume("golden").expect("a run");
    let added = Event::TasksAdded { first: 4, tasks: added_tasks().into() };
    log.append(&fact(1, added.clone()));
    log.commit().expect("commits");
    drop(log);
    let again = open(&folder.journal()).read("golden").expect("a run");
    assert_eq!(again.facts[stored.facts.len()..], [fact(1, added)]);
    assert_eq!(format!("{:?}", again.plan), format!("{:?}", grown_plan()));
}
