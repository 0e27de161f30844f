//! No room is left: a clear error, nothing lost, and on it goes once there is room.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use parallel_agents::core::fact::Event;
use parallel_agents::core::plan::Task;
use parallel_agents::journal::{JournalError, RunLog};

use crate::processes::{Player, say};
use crate::world::{Folder, create, fact, open, plan};

/// Commits groups until there is no room, makes room, and goes on. Tells how it went.
fn write_until_full(path: &Path, mut log: RunLog, make_room: impl FnOnce()) {
    let mut facts = Vec::new();
    let mut committed = 0;
    let error = loop {
        // Tasks that are added need room, too: neither they nor their fact are lost, or there alone.
        let first = 4 + facts.len() / 20;
        let task = Task { id: format!("t{first}").into(), ..plan().tasks()[0].clone() };
        facts.push(fact(facts.len() as u64, Event::TasksAdded { first, tasks: [task].into() }));
        log.append(facts.last().expect("a fact"));
        for no in 1..20 {
            let boot = format!("{no} {}", "x".repeat(if no % 2 == 0 { 300 } else { 3_000 }));
            facts.push(fact(facts.len() as u64, Event::RuntimeMet { boot: boot.into() }));
            log.append(facts.last().expect("a fact"));
        }
        match log.commit() {
            Ok(count) => committed = count,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, JournalError::Full { .. }), "{error:?}");
    say(error.to_string().replace(&path.display().to_string(), "FILE"));
    assert!(log.pending(), "what was not committed is kept");
    assert_eq!(committed, facts.len() as u64 - 20);
    assert_eq!(open_and_count(path), committed, "what was committed is there");
    let again = log.commit().expect_err("still no room");
    assert!(matches!(again, JournalError::Full { .. }), "{again:?}");
    make_room();
    assert_eq!(log.commit().expect("commits"), facts.len() as u64);
    log.append(&fact(0, Event::RunEnded));
    log.commit().expect("commits");
    drop(log);
    facts.push(fact(0, Event::RunEnded));
    assert_eq!(open(path).read("run").expect("a run").facts, facts);
    say("all there");
}

fn open_and_count(path: &Path) -> u64 {
    open(path).read("run").expect("a run").facts.len() as u64
}

/// A role: its disk holds no more.
pub fn fill(path: &Path) {
    let filler = path.with_file_name("filler");
    let log = create(path, "run").expect("a run");
    fs::write(&filler, vec![0; 400_000]).expect("a filler");
    write_until_full(path, log, || fs::remove_file(&filler).expect("removes"));
}

/// A role: its files may not grow further.
pub fn reach_limit(path: &Path) {
    let log = create(path, "run").expect("a run");
    let unlimited = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(200_000), ..unlimited }).expect("limits");
    write_until_full(path, log, || setrlimit(Resource::Fsize, unlimited).expect("lifts the limit"));
}

const MESSAGE: &str = "the journal `FILE` cannot grow: its disk or quota is full; nothing recorded before is lost; make \
                       room, then continue with `parallel-agents resume`";

#[test]
fn a_file_that_may_not_grow_loses_nothing() {
    let folder = Folder::new();
    let without_signal = ["/bin/sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""];
    let mut player = Player::start_by(&without_signal, "reaches its limit", &folder.journal());
    assert_eq!(player.line(), MESSAGE);
    assert_eq!(player.line(), "all there");
    player.end();
}

#[test]
#[expect(clippy::print_stderr, reason = "says why nothing was tested")]
fn a_full_disk_loses_nothing() {
    let folder = Folder::new();
    let disk = folder.path().to_str().expect("UTF-8");
    let mount = format!("mount -t tmpfs -o size=1m none '{disk}'");
    let tried = Command::new("unshare").args(["-rm", "/bin/sh", "-c", &mount]).output();
    if !tried.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no small disk can be made here ({tried:?})");
        return;
    }
    let on_it = format!("{mount} && exec \"$0\" \"$@\"");
    let mut player =
        Player::start_by(&["unshare", "-rm", "/bin/sh", "-c", &on_it], "fills its disk", &folder.journal());
    assert_eq!(player.line(), MESSAGE);
    assert_eq!(player.line(), "all there");
    player.end();
}
