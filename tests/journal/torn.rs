//! Files that were cut. SQLite checks every page of its write-ahead log and takes a transaction from it whole or not at
//! all, so what was committed before the cut survives. The file itself carries no checks: while the log that filled it
//! is still there, a cut in it is mended from the log; without the log it is found out or makes records unreadable, and
//! never more than that.

use std::fs::{self, File, OpenOptions};
use std::path::Path;

use rusqlite::Connection;

use parallel_agents::core::fact::{Event, Fact, Status};
use parallel_agents::core::plan::Plan;
use parallel_agents::journal::{Journal, JournalError};

use crate::world::{Folder, added_tasks, append_all, create, create_with, fact, open};

/// A page of the log with its header.
const FRAME: usize = 4_096 + 24;

/// Both files of a journal, and how many facts were committed when the log was how long.
struct Files {
    main: Vec<u8>,
    log: Vec<u8>,
    commits: Vec<(usize, usize)>,
    facts: Vec<Fact>,
}

fn written(checkpoint: bool) -> Files {
    let folder = Folder::new();
    let path = folder.journal();
    let log_path = folder.path().join("runs.db-wal");
    drop(create_with(&path, "run", &Plan::default()).expect("a run"));
    let (_, mut log) = open(&path).resume("run").expect("a run");
    let mut commits = vec![(fs::read(&log_path).expect("a log").len(), 0)];
    let mut facts = Vec::new();
    for group in 0..12_usize {
        for no in 0..=group % 3 {
            let boot = format!("{group} {no} {}", "x".repeat(group * 60));
            facts.push(fact(group as u64, Event::RuntimeMet { boot: boot.into() }));
            log.append(facts.last().expect("a fact"));
        }
        log.commit().expect("commits");
        commits.push((fs::read(&log_path).expect("a log").len(), facts.len()));
    }
    if checkpoint {
        let connection = Connection::open(&path).expect("a database");
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).expect("moves the log into the file");
    }
    // Before the log is closed, which would end it.
    Files { main: fs::read(&path).expect("a file"), log: fs::read(&log_path).expect("a log"), commits, facts }
}

/// A folder without a disk behind it, where there is one: thousands of files are written.
fn quick_folder() -> Folder {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { Folder::new_in(memory) } else { Folder::new() }
}

fn put(folder: &Folder, main: &[u8], log: Option<&[u8]>) {
    fs::write(folder.journal(), main).expect("writes");
    if let Some(log) = log {
        fs::write(folder.path().join("runs.db-wal"), log).expect("writes");
    }
}

/// What a cut journal still holds, by a reader that leaves the files for the next cut.
fn surviving(folder: &Folder) -> Vec<Fact> {
    open(&folder.journal()).read("run").expect("a run").facts
}

#[test]
fn a_log_that_is_cut_anywhere_keeps_every_commit_before_the_cut() {
    let Files { main, log, commits, facts } = written(false);
    let folder = quick_folder();
    let first = log.len() - 2 * FRAME;
    for cut in first..=log.len() {
        put(&folder, &main, Some(&log[..cut]));
        let (_, expected) = commits.iter().rev().find(|(length, _)| *length <= cut).expect("a commit");
        if cut % 64 != 0 {
            assert_eq!(surviving(&folder), facts[..*expected], "cut at byte {cut} of {}", log.len());
            continue;
        }
        let (stored, mut run) = open(&folder.journal()).resume("run").expect("a run");
        assert_eq!(stored.facts, facts[..*expected], "cut at byte {cut} of {}", log.len());
        append_all(&mut run, &facts[*expected..]);
        run.append(&fact(0, Event::RunEnded));
        run.commit().expect("goes on");
        drop(run);
        assert_eq!(surviving(&folder)[..facts.len()], facts);
    }
}

#[test]
fn a_log_that_is_cut_anywhere_holds_added_tasks_with_their_fact_or_neither() {
    let written = Folder::new();
    let log_path = written.path().join("runs.db-wal");
    drop(create(&written.journal(), "run").expect("a run"));
    let (_, mut log) = open(&written.journal()).resume("run").expect("a run");
    let before = fs::read(&log_path).expect("a log").len();
    log.append(&fact(1, Event::TasksAdded { first: 4, tasks: added_tasks().into() }));
    log.append(&fact(2, Event::TaskReopened { task_index: 5, was: Status::Skipped, answer: None }));
    log.commit().expect("commits");
    let (main, wal) = (fs::read(written.journal()).expect("a file"), fs::read(&log_path).expect("a log"));
    let folder = quick_folder();
    let mut seen = Vec::new();
    let last = wal.len() - 2 * FRAME;
    for cut in (before..last).step_by(61).chain(last..=wal.len()) {
        put(&folder, &main, Some(&wal[..cut]));
        let mut journal = open(&folder.journal());
        let stored = journal.read("run").expect("a run");
        seen.push((stored.facts.len(), stored.plan.tasks().len()));
        if cut % 64 == 0 {
            assert_eq!(journal.runs().expect("runs")[0].tasks, seen[seen.len() - 1].1 as u64, "cut at byte {cut}");
        }
    }
    seen.dedup();
    assert_eq!(seen, [(0, 4), (2, 6)]);
}

#[test]
fn a_file_that_is_cut_while_the_log_is_moved_into_it_loses_nothing() {
    let Files { main, log, facts, .. } = written(true);
    let folder = quick_folder();
    for cut in (main.len() - 4_096..=main.len()).rev() {
        put(&folder, &main[..cut], Some(&log));
        assert_eq!(surviving(&folder), facts, "cut at byte {cut} of {}", main.len());
    }
}

#[test]
fn a_file_that_is_cut_without_a_log_is_never_taken_for_whole() {
    let Files { main, facts, .. } = written(true);
    let folder = quick_folder();
    put(&folder, &main, None);
    assert_eq!(surviving(&folder), facts, "the log was moved into the file");
    let file = OpenOptions::new().write(true).open(folder.journal()).expect("a file");
    for cut in (1..main.len()).rev().step_by(97) {
        cut_to(&file, cut);
        let read = Journal::open_read(&folder.journal()).and_then(|journal| journal.read("run"));
        let error = read.expect_err("something is missing");
        assert!(
            matches!(
                error,
                JournalError::Damaged { .. } | JournalError::NoDatabase { .. } | JournalError::Record { .. }
            ),
            "cut at byte {cut} of {}: {error:?}",
            main.len()
        );
    }
}

fn cut_to(file: &File, length: usize) {
    file.set_len(length as u64).expect("cuts");
}
