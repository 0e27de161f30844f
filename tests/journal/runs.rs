//! Finding runs, going on with them, and records that cannot be read.

use rusqlite::Connection;
use serde_json::{Value, json};

use parallel_agents::core::fact::{End, Event, Outcome};
use parallel_agents::core::time::Time;
use parallel_agents::journal::{Durability, Journal, JournalError, RunRow};

use crate::world::{ATTEMPT, Folder, added_tasks, append_all, create, every_fact, fact, open};

#[test]
fn what_was_not_committed_is_gone_and_numbers_go_on() {
    let folder = Folder::new();
    let facts = every_fact();
    let mut log = create(&folder.journal(), "run").expect("a run");
    append_all(&mut log, &facts[..3]);
    assert_eq!(log.commit().expect("commits"), 3);
    log.append(&facts[3]);
    drop(log);
    let (stored, mut log) = open(&folder.journal()).resume("run").expect("a run");
    assert_eq!(stored.facts, facts[..3]);
    assert_eq!(log.commit().expect("nothing to do"), 3);
    append_all(&mut log, &facts[3..]);
    assert_eq!(log.commit().expect("commits"), facts.len() as u64);
    assert_eq!(open(&folder.journal()).read("run").expect("a run").facts, facts, "while it is run");
}

#[test]
fn every_durability_keeps_what_was_committed() {
    for durability in Durability::ALL {
        let folder = Folder::new();
        drop(create(&folder.journal(), "run").expect("a run"));
        let (_, mut log) =
            Journal::open(&folder.journal(), durability).expect("a journal").resume("run").expect("a run");
        log.append(&fact(1, Event::RunEnded));
        log.commit().expect("commits");
        drop(log);
        assert_eq!(open(&folder.journal()).read("run").expect("a run").facts.len(), 1, "{}", durability.name());
    }
}

#[test]
fn a_run_is_found_by_the_beginning_of_its_id() {
    let folder = Folder::new();
    for id in ["5c1a", "5c1ab", "77aa", "77ab", "0000"] {
        drop(create(&folder.journal(), id).expect("a run"));
    }
    let journal = open(&folder.journal());
    for (asked, found) in [("5c1a", "5c1a"), ("5c1ab", "5c1ab"), ("0", "0000"), ("77aa", "77aa")] {
        assert_eq!(journal.read(asked).expect("a run").id, found);
    }
    let message = |id: &str| {
        let message = journal.read(id).expect_err("none").to_string();
        message.replace(&journal.path().display().to_string(), "FILE")
    };
    assert_eq!(message("77"), "`77` begins the ids of several runs: `77ab`, `77aa`; write more of it");
    assert_eq!(
        message("77ba"),
        "no run `77ba` in `FILE` (did you mean `77ab` or `77aa`?); `parallel-agents runs` lists them"
    );
    for unknown in ["xyz", ""] {
        assert_eq!(
            message(unknown),
            format!(
                "no run `{unknown}` in `FILE`; the latest are `0000`, `77ab`, `77aa`; `parallel-agents runs` lists them"
            )
        );
    }
}

#[test]
fn an_id_is_given_once() {
    let folder = Folder::new();
    drop(create(&folder.journal(), "run").expect("a run"));
    let error = create(&folder.journal(), "run").expect_err("taken");
    assert!(matches!(error, JournalError::Taken { .. }), "{error}");
    assert_eq!(open(&folder.journal()).runs().expect("runs").len(), 1);
}

#[test]
fn a_run_is_run_once_at_a_time() {
    let folder = Folder::new();
    let log = create(&folder.journal(), "run").expect("a run");
    let error = open(&folder.journal()).resume("run").expect_err("it is run");
    assert!(matches!(error, JournalError::Running { process, .. } if process == Some(std::process::id())), "{error}");
    let other = create(&folder.journal(), "other").expect("another run beside it");
    drop(log);
    let (_, log) = open(&folder.journal()).resume("run").expect("a run");
    drop((log, other));
    assert_eq!(folder.files(), ["runs.db"]);
}

#[test]
fn runs_are_listed_with_how_they_stand() {
    let folder = Folder::new();
    let mut ended = create(&folder.journal(), "ended").expect("a run");
    let completed = End::Completed { output: json!(1).into(), raw: "1".into() };
    let failed = End::Failed { reason: "no".into(), raw: None };
    for (at, event) in [
        (2_000, Event::TaskEnded { task_index: 0, end: completed }),
        (3_000, Event::TaskEnded { task_index: 1, end: failed }),
        (4_000, Event::RunEnded),
    ] {
        ended.append(&fact(at, event));
    }
    ended.commit().expect("commits");
    let mut running = create(&folder.journal(), "running").expect("a run");
    running.append(&fact(5_000, Event::RunStarted { tasks: 4 }));
    running.commit().expect("commits");
    drop(create(&folder.journal(), "interrupted").expect("a run"));
    let row = |id: &str| RunRow {
        id: id.to_owned(),
        started: Time::from_millis(1_000),
        runtime: "rehearsal".to_owned(),
        tasks: 4,
        done: 0,
        completed: 0,
        latest: None,
        ended: false,
        running: false,
    };
    let expected = [
        row("interrupted"),
        RunRow { latest: Some(Time::from_millis(5_000)), running: true, ..row("running") },
        RunRow { latest: Some(Time::from_millis(4_000)), done: 2, completed: 1, ended: true, ..row("ended") },
    ];
    assert_eq!(open(&folder.journal()).runs().expect("runs"), expected);
    let mut reader = Journal::open_read(&folder.journal()).expect("a journal");
    assert_eq!(reader.runs().expect("runs"), expected);
}

#[test]
fn tasks_that_are_added_are_counted_and_shown_like_all_others() {
    let folder = Folder::new();
    let mut log = create(&folder.journal(), "run").expect("a run");
    let end = |task_index, text: &str| {
        let end = End::Completed { output: Value::from(text).into(), raw: text.into() };
        fact(2, Event::TaskEnded { task_index, end })
    };
    log.append(&fact(1, Event::TasksAdded { first: 4, tasks: added_tasks().into() }));
    append_all(&mut log, &[end(4, "a review"), end(0, "an answer")]);
    let read = |folder: &Folder| open(&folder.journal()).runs().expect("runs")[0].clone();
    assert_eq!((read(&folder).tasks, read(&folder).done), (4, 0), "nothing is committed yet");
    log.commit().expect("commits");
    log.commit().expect("nothing to do");
    assert_eq!((read(&folder).tasks, read(&folder).done, read(&folder).completed), (6, 2, 2));
    let connection = Connection::open(folder.journal()).expect("a database");
    let rows = |query: &str| -> Vec<(Option<String>, String)> {
        let mut select = connection.prepare(query).expect("a view");
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
        rows.map(|row| row.expect("a row")).collect()
    };
    let row = |task: &str, text: &str| (Some(task.to_owned()), text.to_owned());
    assert_eq!(rows("SELECT task, answer FROM results"), [row("one", "an answer"), row("one/review-1", "a review")]);
    assert_eq!(
        rows("SELECT task, kind FROM log"),
        [(None, "tasks_added".to_owned()), row("one/review-1", "task_ended"), row("one", "task_ended")]
    );
}

#[test]
fn a_request_to_stop_is_told_once_and_ends_with_the_run_it_was_for() {
    let folder = Folder::new();
    let mut log = create(&folder.journal(), "run").expect("a run");
    let mut other = open(&folder.journal());
    assert_eq!(log.stop_request().expect("asks"), None);
    for reason in ["enough", "at once"] {
        other.request_stop("run", reason).expect("asks");
        assert_eq!(log.stop_request().expect("asks").as_deref(), Some(reason));
        log.append(&fact(1, Event::LimitRaised { limit: 1 }));
        log.commit().expect("commits");
        assert_eq!(log.stop_request().expect("asks"), None);
    }
    other.request_stop("run", "too late").expect("asks");
    drop(log);
    let (_, mut log) = open(&folder.journal()).resume("run").expect("a run");
    assert_eq!(log.stop_request().expect("asks"), None);
    drop(log);
    let error = other.request_stop("run", "nobody there").expect_err("nobody runs it");
    assert!(matches!(error, JournalError::NotRunning { .. }), "{error}");
}

#[test]
fn results_are_read_with_one_select_and_long_texts_stand_once() {
    let folder = Folder::new();
    let mut log = create(&folder.journal(), "run").expect("a run");
    let words = "A long answer. ".repeat(100);
    let json = json!({"a": [1, 2.5]});
    let ends = [
        End::Completed { output: Value::from(words.clone()).into(), raw: words.clone().into() },
        End::Completed { output: json.clone().into(), raw: format!("Here it is: {json}").into() },
        End::Completed { output: json.clone().into(), raw: json.to_string().into() },
        End::Failed { reason: words.clone(), raw: None },
    ];
    log.append(&fact(
        1,
        Event::AttemptEnded {
            attempt: ATTEMPT,
            outcome: Outcome::Completed,
            model_used: None,
            tokens: None,
            cost: None,
            truncated: false,
            answer: Some(words.clone().into()),
        },
    ));
    for (task_index, end) in ends.into_iter().enumerate() {
        log.append(&fact(2, Event::TaskEnded { task_index, end }));
    }
    log.commit().expect("commits");
    let connection = Connection::open(folder.journal()).expect("a database");
    let mut select =
        connection.prepare("SELECT task, status, answer, reason FROM results WHERE run = 'run'").expect("a view");
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).expect("rows");
    let rows: Vec<(String, String, Option<String>, Option<String>)> = rows.map(|row| row.expect("a row")).collect();
    let row = |task: &str, status: &str, answer: Option<String>, reason: Option<String>| {
        (task.to_owned(), status.to_owned(), answer, reason)
    };
    assert_eq!(
        rows,
        [
            row("one", "completed", Some(words.clone()), None),
            row("two", "completed", Some(json.to_string()), None),
            row("three", "completed", Some(json.to_string()), None),
            row("four", "failed", None, Some(words.clone())),
        ]
    );
    let stored: i64 = connection
        .query_row("SELECT count(*) FROM texts WHERE text = ?1", [&words], |row| row.get(0))
        .expect("a count");
    assert_eq!(stored, 1);
    let bodies: i64 = connection
        .query_row("SELECT sum(length(body)) FROM facts WHERE task IN (0, 3)", [], |row| row.get(0))
        .expect("a sum");
    assert!(bodies < 1_000, "{bodies} bytes of facts beside a text of {}", words.len());
    let at: String = connection.query_row("SELECT at FROM log WHERE no = 2", [], |row| row.get(0)).expect("a time");
    assert_eq!(at, "1970-01-01 00:00:00.002");
}

#[test]
fn a_record_that_cannot_be_read_is_named() {
    let cases = [
        ("UPDATE facts SET kind = 'dreamt' WHERE no = 2", "fact 2", "its kind is `dreamt`"),
        ("UPDATE facts SET body = '{\"boot\": \"b\", \"more\": 1}' WHERE no = 2", "fact 2", "unknown field `more`"),
        ("UPDATE facts SET body = '{}' WHERE no = 2", "fact 2", "missing field `boot`"),
        ("UPDATE facts SET body = '{' WHERE no = 2", "fact 2", "EOF"),
        ("UPDATE facts SET body = x'ff' WHERE no = 2", "fact 2", "Invalid"),
        ("UPDATE facts SET at = 'noon' WHERE no = 2", "fact 2", "Invalid column type Text"),
        ("DELETE FROM facts WHERE no = 2", "fact 2", "it is missing"),
        ("UPDATE facts SET task = 6 WHERE no = 3", "fact 3", "its task is `6`, of 6"),
        ("UPDATE facts SET task = NULL WHERE no = 3", "fact 3", "its task is missing"),
        ("UPDATE facts SET body = replace(body, 'needs_input', 'completed') WHERE no = 9", "fact 9", "do not make"),
        ("UPDATE facts SET body = '{\"status\": \"completed\"}' WHERE kind = 'task_ended'", "fact 13", "do not make"),
        ("DELETE FROM texts", "task 1", "is missing"),
        ("UPDATE tasks SET body = replace(body, 'code', 'art') WHERE task = 2", "task 3", "unknown variant `art`"),
        ("DELETE FROM tasks WHERE task = 1", "task 2", "it is missing"),
        ("UPDATE tasks SET id = 'one' WHERE task = 1", "its plan", "`one` is used twice"),
        ("UPDATE runs SET options = '{'", "its options", "EOF"),
        (
            "UPDATE facts SET body = '{\"first\": 4, \"count\": 3}' WHERE kind = 'tasks_added'",
            "fact 66",
            "adds 3 tasks from 4 on, of 6",
        ),
        ("DELETE FROM tasks WHERE task = 5", "fact 66", "adds 2 tasks from 4 on, of 5"),
        ("UPDATE facts SET body = '{\"subject\": \"{\"}' WHERE kind = 'approval_asked'", "fact 69", "EOF"),
        ("UPDATE facts SET body = '{\"word\": \"mark\"}' WHERE kind = 'word_given'", "fact 71", "do not make the word"),
        ("UPDATE facts SET body = '{\"outcome\": \"\"}' WHERE kind = 'outcome_reached'", "fact 78", "EOF"),
    ];
    let folder = Folder::new();
    let mut log = create(&folder.journal(), "run").expect("a run");
    append_all(&mut log, &every_fact());
    log.commit().expect("commits");
    drop(log);
    let sound = std::fs::read(folder.journal()).expect("a file");
    for (damage, place, problem) in cases {
        std::fs::write(folder.journal(), &sound).expect("writes");
        let connection = Connection::open(folder.journal()).expect("a database");
        assert!(connection.execute(damage, []).expect("damage") > 0, "{damage}");
        drop(connection);
        let error = open(&folder.journal()).read("run").expect_err(damage);
        assert!(matches!(error, JournalError::Record { .. }), "{damage}: {error:?}");
        let message = error.to_string();
        assert!(message.starts_with(&format!("run `run`: {place} in `")), "{damage}: {message}");
        assert!(message.contains(problem), "{damage}: {message}");
        let error = open(&folder.journal()).resume("run").expect_err(damage);
        assert_eq!(error.to_string(), message);
        assert_eq!(folder.files(), ["runs.db"], "no lock stays behind");
    }
}
