//! Format 1 is what stands in `format-1.sql`, for the reader and for the writer.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use parallel_agents::journal::{FORMAT, Journal};

use crate::world::{Folder, append_all, create, every_fact, options, plan};

const GOLDEN: &str = include_str!("format-1.sql");

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
                    ValueRef::Real(_) | ValueRef::Blob(_) => panic!("format 1 has no such values"),
                })
                .collect();
            writeln!(sql, "INSERT INTO {table} ({columns}) VALUES ({});", values.join(", ")).expect("writes");
        }
    }
    sql
}

#[test]
fn todays_writer_writes_format_1() {
    let folder = Folder::new();
    let mut log = create(&folder.journal(), "golden").expect("a run");
    append_all(&mut log, &every_fact());
    log.commit().expect("commits");
    drop(log);
    let written = dump(&folder.journal());
    if written != GOLDEN {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("format.sql");
        fs::write(&path, &written).expect("writes");
        panic!("what is written differs from tests/journal/format-1.sql: compare it with {}", path.display());
    }
}

#[test]
fn todays_reader_reads_format_1() {
    let folder = Folder::new();
    Connection::open(folder.journal()).expect("a database").execute_batch(GOLDEN).expect("a journal");
    let stored = Journal::open_read(&folder.journal()).expect("a journal").read("golden").expect("a run");
    assert_eq!(stored.facts, every_fact());
    assert_eq!(stored.options, options());
    assert_eq!(format!("{:?}", stored.plan), format!("{:?}", plan()));
    assert_eq!(FORMAT, 1, "a new format needs a golden file of its own");
}
