//! What a journal is made as, and what is left alone because it is none.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use parallel_agents::core::fact::Event;
use parallel_agents::journal::{Durability, Journal, JournalError};

use crate::world::{Folder, create, fact, open};

type Open = fn(&Path) -> Result<Journal, JournalError>;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

/// What opening the file says, after a look that nothing in its folder has changed.
fn refusal(folder: &Folder, path: &Path) -> JournalError {
    let contents = || -> Vec<(String, Vec<u8>)> {
        let files = folder.files().into_iter();
        // Shared memory is no content: SQLite makes it anew from the log.
        let kept = files.filter(|name| !name.ends_with("-shm"));
        kept.map(|name| (name.clone(), fs::read(folder.path().join(&name)).expect("a file"))).collect()
    };
    let before = contents();
    let reading = Journal::open_read(path).expect_err("refused");
    let writing = Journal::open(path, Durability::Power).expect_err("refused");
    assert_eq!(reading.to_string(), writing.to_string());
    assert!(contents() == before, "{reading}: the files have changed: {:?}", folder.files());
    writing
}

#[test]
fn a_journal_and_its_folders_are_made_for_their_owner_alone() {
    let folder = Folder::new();
    let path = folder.path().join("state/of/ours/runs.db");
    let mut log = create(&path, "run").expect("a run");
    log.append(&fact(1, Event::RunEnded));
    log.commit().expect("commits");
    for inner in ["state", "state/of", "state/of/ours"] {
        assert_eq!(mode(&folder.path().join(inner)), 0o700, "{inner}");
    }
    for file in ["runs.db", "runs.db-wal", "runs.db-shm", "runs.db-run-1"] {
        assert_eq!(mode(&folder.path().join("state/of/ours").join(file)), 0o600, "{file}");
    }
}

#[test]
fn nothing_but_the_journal_stays_behind() {
    let folder = Folder::new();
    let mut log = create(&folder.journal(), "run").expect("a run");
    log.append(&fact(1, Event::RunEnded));
    log.commit().expect("commits");
    drop(log);
    Journal::open_read(&folder.journal()).expect("a journal").read("run").expect("a run");
    assert_eq!(folder.files(), ["runs.db"]);
}

#[test]
fn who_reads_or_resumes_makes_nothing() {
    let opens: [Open; 2] = [Journal::open_read, |path| Journal::open_existing(path, Durability::Power)];
    for open in opens {
        let folder = Folder::new();
        let error = open(&folder.path().join("none/runs.db")).expect_err("none");
        assert!(matches!(error, JournalError::Missing { .. }), "{error}");
        assert!(folder.files().is_empty());
        fs::write(folder.journal(), "").expect("writes");
        let error = open(&folder.journal()).expect_err("none");
        assert!(matches!(error, JournalError::Missing { .. }), "{error}");
        assert_eq!(fs::read(folder.journal()).expect("a file"), b"");
        fs::remove_file(folder.journal()).expect("removes");
        drop(create(&folder.journal(), "run").expect("a run"));
        open(&folder.journal()).expect("a journal").resume("run").expect("a run");
    }
}

#[test]
fn an_empty_file_becomes_a_journal() {
    let folder = Folder::new();
    fs::write(folder.journal(), "").expect("writes");
    assert!(open(&folder.journal()).runs().expect("runs").is_empty());
}

#[test]
fn two_names_of_a_journal_have_one_lock() {
    let folder = Folder::new();
    let log = create(&folder.journal(), "run").expect("a run");
    let other = folder.path().join("other.db");
    std::os::unix::fs::symlink(folder.journal(), &other).expect("a link");
    let error = open(&other).resume("run").expect_err("somebody runs it");
    assert!(matches!(error, JournalError::Running { .. }), "{error}");
    drop(log);
    open(&other).resume("run").expect("a run");
}

#[test]
fn what_is_no_database_is_left_as_it_is() {
    for content in ["x", "some notes\n", &"a longer text. ".repeat(2_000)] {
        let folder = Folder::new();
        fs::write(folder.journal(), content).expect("writes");
        let error = refusal(&folder, &folder.journal());
        assert!(matches!(error, JournalError::NoDatabase { .. }), "{error}");
    }
}

#[test]
fn a_folder_is_no_journal() {
    let folder = Folder::new();
    let error = refusal(&folder, folder.path());
    assert!(error.to_string().contains("cannot be opened"), "{error}");
}

#[test]
fn another_programs_database_is_left_as_it_is() {
    for (application, journal_mode) in [(0, "DELETE"), (7, "DELETE"), (7, "WAL")] {
        let folder = Folder::new();
        let connection = Connection::open(folder.journal()).expect("a database");
        connection.pragma_update(None, "journal_mode", journal_mode).expect("a mode");
        connection.pragma_update(None, "application_id", application).expect("an id");
        connection.execute_batch("CREATE TABLE runs (id)").expect("a table");
        drop(connection);
        let error = refusal(&folder, &folder.journal());
        assert!(matches!(error, JournalError::Foreign { application: found, .. } if found == application), "{error}");
    }
}

#[test]
fn a_newer_format_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    drop(create(&folder.journal(), "run").expect("a run"));
    let connection = Connection::open(folder.journal()).expect("a database");
    connection.pragma_update(None, "user_version", 3).expect("a version");
    drop(connection);
    let error = refusal(&folder, &folder.journal());
    assert_eq!(folder.files(), ["runs.db"]);
    let message = error.to_string();
    assert!(message.contains("has format 3, and this release reads formats up to 2"), "{message}");
}

#[test]
fn a_newer_format_that_stands_in_the_log_only_is_refused_too() {
    let folder = Folder::new();
    drop(create(&folder.journal(), "run").expect("a run"));
    let connection = Connection::open(folder.journal()).expect("a database");
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("set");
    connection.pragma_update(None, "user_version", 3).expect("a version");
    drop(connection);
    assert!(fs::metadata(folder.path().join("runs.db-wal")).expect("a log").len() > 0);
    let error = refusal(&folder, &folder.journal());
    assert!(matches!(error, JournalError::Newer { found: 3, .. }), "{error}");
}

#[test]
fn a_journal_that_was_copied_by_sqlite_can_be_gone_on_with() {
    let folder = Folder::new();
    drop(create(&folder.journal(), "run").expect("a run"));
    let copy = folder.path().join("copy.db");
    let connection = Connection::open(folder.journal()).expect("a database");
    connection.execute("VACUUM INTO ?1", [copy.to_str()]).expect("a copy");
    let (_, mut log) = open(&copy).resume("run").expect("a run");
    log.append(&fact(1, Event::RunEnded));
    assert_eq!(log.commit().expect("commits"), 1);
    assert!(folder.files().contains(&"copy.db-wal".to_owned()), "it is written like every journal");
}
