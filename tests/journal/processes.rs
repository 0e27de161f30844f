//! Several processes at one journal. The others are this program again, in a role.

use std::io::{BufRead, BufReader, Write, stdin};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::{env, thread};

use parallel_agents::core::fact::Event;
use parallel_agents::journal::{Durability, Journal, JournalError};

use crate::full;
use crate::world::{Folder, create, fact, open};

/// What stands before a line of a role, among those of the test harness.
const MARK: &str = "> ";
const GROUPS: usize = 50;

/// A process that plays a role.
pub struct Player {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Player {
    pub fn start(role: &str, path: &Path) -> Self {
        Self::start_by(&[], role, path)
    }

    /// With a command that starts it.
    pub fn start_by(starter: &[&str], role: &str, path: &Path) -> Self {
        let program = env::current_exe().expect("this program");
        let mut words = starter.iter().map(PathBuf::from).chain([program]);
        let mut child = Command::new(words.next().expect("a program"))
            .args(words)
            .args(["--exact", "processes::player", "--ignored", "--nocapture"])
            .env("JOURNAL_ROLE", role)
            .env("JOURNAL_PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let lines = BufReader::new(child.stdout.take().expect("an output"));
        Self { child, lines }
    }

    /// Its next line.
    pub fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).expect("reads") > 0, "it has ended without a word");
            // The harness writes the test's name in front of the first one.
            if let Some((_, line)) = line.split_once(MARK) {
                return line.trim_end().to_owned();
            }
        }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().expect("an input"), "{line}").expect("writes");
    }

    fn kill(mut self) {
        self.child.kill().expect("kills");
        self.child.wait().expect("ends");
    }

    pub fn end(mut self) {
        let mut rest = String::new();
        while self.lines.read_line(&mut rest).expect("reads") > 0 {}
        assert!(self.child.wait().expect("ends").success(), "{rest}");
    }
}

/// What a player tells.
#[expect(clippy::print_stdout, reason = "how it tells")]
pub fn say(line: impl std::fmt::Display) {
    println!("{MARK}{line}");
}

fn heard() -> String {
    let mut line = String::new();
    stdin().read_line(&mut line).expect("reads");
    line.trim_end().to_owned()
}

#[test]
#[ignore = "played by other tests"]
fn player() {
    let (Ok(role), Some(path)) = (env::var("JOURNAL_ROLE"), env::var_os("JOURNAL_PATH")) else { return };
    let path = PathBuf::from(path);
    match role.as_str() {
        "runs until it is killed" => {
            let mut log = create(&path, "run").expect("a run");
            for limit in 1.. {
                log.append(&fact(1, Event::LimitRaised { limit }));
                say(log.commit().expect("commits"));
            }
        }
        "runs until it is asked to stop" => {
            let mut log = create(&path, "run").expect("a run");
            say("ready");
            assert_eq!(heard(), "look");
            say(log.stop_request().expect("asks").unwrap_or_default());
        }
        "writes a run of its own" => {
            let id = heard();
            let mut log = create(&path, &id).expect("a run");
            for group in 0..GROUPS {
                for limit in 0..7 {
                    log.append(&fact(group as u64, Event::LimitRaised { limit }));
                }
                log.commit().expect("commits");
            }
        }
        "resumes a run" => {
            say("ready");
            assert_eq!(heard(), "go");
            match open(&path).resume("run") {
                Ok((_, log)) => {
                    say("mine");
                    heard();
                    drop(log);
                }
                Err(JournalError::Running { .. }) => say("another's"),
                Err(error) => panic!("{error}"),
            }
        }
        "fills its disk" => full::fill(&path),
        "reaches its limit" => full::reach_limit(&path),
        other => panic!("no role is called `{other}`"),
    }
}

#[test]
fn a_killed_process_leaves_what_it_committed_and_the_run_to_others() {
    let folder = Folder::new();
    let mut player = Player::start("runs until it is killed", &folder.journal());
    let mut committed = 0;
    while committed < 20 {
        committed = player.line().parse().expect("a number");
    }
    let error = open(&folder.journal()).resume("run").expect_err("it is run");
    assert!(matches!(error, JournalError::Running { process, .. } if process == Some(player.child.id())), "{error}");
    assert!(open(&folder.journal()).runs().expect("runs")[0].running);
    player.kill();
    assert!(!open(&folder.journal()).runs().expect("runs")[0].running);
    let (stored, mut log) = open(&folder.journal()).resume("run").expect("a run");
    assert!(stored.facts.len() >= committed, "{} of {committed}", stored.facts.len());
    for (limit, found) in (1..).zip(&stored.facts) {
        assert_eq!(found.event, Event::LimitRaised { limit });
    }
    log.append(&fact(2, Event::RunEnded));
    assert_eq!(log.commit().expect("commits"), stored.facts.len() as u64 + 1);
    drop(log);
    assert_eq!(folder.files(), ["runs.db"]);
}

#[test]
fn another_process_may_ask_for_the_end() {
    let folder = Folder::new();
    let mut player = Player::start("runs until it is asked to stop", &folder.journal());
    assert_eq!(player.line(), "ready");
    let mut journal = Journal::open(&folder.journal(), Durability::Process).expect("a journal");
    journal.request_stop("r", "dinner is ready").expect("asks");
    player.tell("look");
    assert_eq!(player.line(), "dinner is ready");
    player.end();
}

#[test]
fn many_processes_make_and_write_one_journal() {
    let folder = Folder::new();
    let mut players: Vec<Player> =
        (0..6).map(|_| Player::start("writes a run of its own", &folder.journal())).collect();
    for (index, player) in players.iter_mut().enumerate() {
        player.tell(&format!("run-{index}"));
    }
    players.into_iter().for_each(Player::end);
    let journal = open(&folder.journal());
    for index in 0..6 {
        assert_eq!(journal.read(&format!("run-{index}")).expect("a run").facts.len(), 7 * GROUPS);
    }
    drop(journal);
    assert_eq!(folder.files(), ["runs.db"]);
}

#[test]
fn many_threads_make_one_journal() {
    let folder = Folder::new();
    for round in 0..20 {
        let path = folder.path().join(format!("{round}.db"));
        thread::scope(|scope| {
            for index in 0..6 {
                let path = &path;
                scope.spawn(move || create(path, &format!("run-{index}")).expect("a run"));
            }
        });
        assert_eq!(open(&path).runs().expect("runs").len(), 6);
    }
}

#[test]
fn one_of_many_gets_an_interrupted_run() {
    let folder = Folder::new();
    let mut killed = Player::start("runs until it is killed", &folder.journal());
    killed.line();
    killed.kill();
    let mut players: Vec<Player> = (0..6).map(|_| Player::start("resumes a run", &folder.journal())).collect();
    for player in &mut players {
        assert_eq!(player.line(), "ready");
    }
    for player in &mut players {
        player.tell("go");
    }
    let mut said: Vec<String> = players.iter_mut().map(Player::line).collect();
    for (player, said) in players.iter_mut().zip(&said) {
        if said == "mine" {
            player.tell("done");
        }
    }
    players.into_iter().for_each(Player::end);
    said.sort();
    assert_eq!(said.iter().filter(|said| *said == "mine").count(), 1, "{said:?}");
    assert_eq!(folder.files(), ["runs.db"]);
}
