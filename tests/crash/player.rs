//! The run's process: this program again, in a role. It drives the run with the real driver and journal, on agents that
//! live elsewhere, and ends itself by `SIGKILL` where its role says so.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use rustix::process::{Resource, Rlimit, Signal, getpid, getrlimit, kill_process, setrlimit};
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::sync::mpsc::unbounded_channel;

use parallel_agents::core::action::{Action, AttemptRef, Report, Session};
use parallel_agents::core::fact::Event;
use parallel_agents::core::run::RunMachine;
use parallel_agents::core::strategy::Word;
use parallel_agents::core::time::Time;
use parallel_agents::driver::{Clock, Recorder, Told, Wish, drive};
use parallel_agents::journal::{Durability, Journal, NewRun, RunLog};
use parallel_agents::runtime::Runtime;

use crate::scene::{RUN, Scene};
use crate::wire::{Line, ending_of, order_line, text, usage_of};

/// Longer than any run of these tests takes.
const PATIENCE: Duration = Duration::from_secs(40);
/// What stands before a line of the player, among those of the test harness.
const MARK: &str = "> ";

/// When the run's process dies. All numbers are 1-based and count from the process's own start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// Never.
    None,
    /// As soon as this fact is made, before it is durable.
    Fact(u64),
    /// As soon as this fact is durable, before the next action.
    Durable(u64),
    /// As soon as this action was carried out, before anything is heard of it.
    Action(u64),
    /// Not at all: from this fact on its files may not grow any more.
    Full(u64),
    /// The same, until it has complained.
    FullForAWhile(u64),
}

impl Death {
    fn words(self) -> (&'static str, u64) {
        match self {
            Self::None => ("none", 0),
            Self::Fact(no) => ("fact", no),
            Self::Durable(no) => ("durable", no),
            Self::Action(no) => ("action", no),
            Self::Full(no) => ("full", no),
            Self::FullForAWhile(no) => ("full for a while", no),
        }
    }

    fn of(word: &str, no: u64) -> Self {
        match word {
            "none" => Self::None,
            "fact" => Self::Fact(no),
            "durable" => Self::Durable(no),
            "action" => Self::Action(no),
            "full" => Self::Full(no),
            "full for a while" => Self::FullForAWhile(no),
            other => panic!("nobody dies of {other}"),
        }
    }
}

/// How a process ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Exit {
    /// By its own `SIGKILL`.
    Killed,
    /// With the run; what it told.
    Finished(Vec<String>),
}

/// Starts the run, or resumes it, in a process of its own, and waits for that to end.
///
/// # Panics
/// If it ends in any other way than it should.
pub fn play(journal: &Path, agents: &Path, scene: &Scene, seed: u64, resumes: bool, death: Death) -> Exit {
    let (word, no) = death.words();
    let role = json!({
        "journal": journal, "agents": agents, "scene": scene.name, "seed": seed, "resumes": resumes, "death": [word, no],
    });
    let program = env::current_exe().expect("this program");
    let mut command = match death {
        // Growing too far is then an error and no signal.
        Death::Full(_) | Death::FullForAWhile(_) => {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(program);
            command
        }
        Death::None | Death::Fact(_) | Death::Durable(_) | Death::Action(_) => Command::new(program),
    };
    let output = command
        .args(["--exact", "player::player", "--ignored", "--nocapture", "--test-threads", "1"])
        .env("CRASH_ROLE", role.to_string())
        .stdin(Stdio::null())
        .output()
        .expect("starts");
    let Output { status, stdout, stderr } = output;
    if status.signal() == Some(Signal::KILL.as_raw()) {
        return Exit::Killed;
    }
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{role}: {status}\n{stdout}\n{stderr}");
    // The harness writes the test's name in front of the first one.
    Exit::Finished(stdout.lines().filter_map(|line| Some(line.split_once(MARK)?.1.to_owned())).collect())
}

#[test]
#[ignore = "played by other tests"]
fn player() {
    let Ok(role) = env::var("CRASH_ROLE") else { return };
    let role: Value = serde_json::from_str(&role).expect("a role");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, run(&role)).await.expect("the run ends") });
}

async fn run(role: &Value) {
    let path = PathBuf::from(text(role, "journal"));
    let scene = Scene::named(&text(role, "scene"));
    let seed = role["seed"].as_u64().expect("a seed");
    let death = Death::of(role["death"][0].as_str().expect("a word"), role["death"][1].as_u64().expect("a number"));
    let doom = Rc::new(Doom { death, facts: Cell::new(0), actions: Cell::new(0) });
    let clock = Clock::real();
    let (machine, log) = begin(&path, &scene, seed, role["resumes"] == true, clock.now());
    let stream = UnixStream::connect(text(role, "agents")).await.expect("the agents");
    let mut agents = Agents { line: Line::new(stream).await, attempts: BTreeMap::new(), doom: doom.clone() };
    let (wishes, mut asked_for) = unbounded_channel();
    let tell = &mut |told| match told {
        Told::Fact(fact) => {
            if let Event::TaskEnded { task_index, end } = &fact.event {
                say(format_args!("{task_index} {}: {:?} {:?}", end.status().name(), end.output(), end.reason()));
            }
            if let Event::ApprovalAsked { .. } = &fact.event {
                let word = Word::Approval { approved: true, reason: "".into() };
                wishes.send(Wish::Tell(word)).expect("the run listens");
            }
            doom.fact(&path);
        }
        Told::Warning(text) => {
            say(format_args!("warning: {text}"));
            doom.complained();
        }
    };
    drive(machine, &mut agents, clock, &mut asked_for, Recorder::new(Some(log)), tell).await;
}

#[expect(clippy::print_stdout, reason = "a process tells the one that waits for it")]
fn say(line: std::fmt::Arguments<'_>) {
    println!("{MARK}{line}");
}

fn begin(path: &Path, scene: &Scene, seed: u64, resumes: bool, now: Time) -> (RunMachine, RunLog) {
    let journal = Journal::open(path, Durability::Process).expect("a journal");
    if resumes {
        let (stored, log) = journal.resume(RUN).expect("the run");
        let (settings, strategy, how) = (scene.settings(), scene.strategy(), (&[][..], None));
        return (RunMachine::restore_steered(stored.plan, settings, strategy, stored.facts, how, seed, now), log);
    }
    let (plan, options) = (scene.plan(), json!({}));
    let log = journal.create(NewRun { id: RUN, options: &options, plan: &plan, runtime: "crash", started: now });
    (RunMachine::steered(plan, scene.settings(), scene.strategy(), seed, now), log.expect("the run"))
}

/// When it is over, and how far it is.
struct Doom {
    death: Death,
    facts: Cell<u64>,
    actions: Cell<u64>,
}

impl Doom {
    fn fact(&self, journal: &Path) {
        self.facts.set(self.facts.get() + 1);
        match self.death {
            Death::Fact(no) if no == self.facts.get() => die(),
            Death::Full(no) | Death::FullForAWhile(no) if no == self.facts.get() => {
                let size = fs::metadata(journal.with_extension("db-wal")).expect("a log").len();
                grow_up_to(Some(size));
            }
            Death::None
            | Death::Fact(_)
            | Death::Durable(_)
            | Death::Action(_)
            | Death::Full(_)
            | Death::FullForAWhile(_) => {}
        }
    }

    fn complained(&self) {
        if let Death::FullForAWhile(_) = self.death {
            grow_up_to(getrlimit(Resource::Fsize).maximum);
        }
    }

    /// Actions are handed out once the facts they rest on are durable.
    fn before_action(&self) {
        if let Death::Durable(no) = self.death
            && no <= self.facts.get()
        {
            die();
        }
    }

    fn after_action(&self, is_sent: bool) {
        self.actions.set(self.actions.get() + 1);
        if self.death == Death::Action(self.actions.get()) {
            assert!(is_sent, "the action is on its way");
            die();
        }
    }
}

fn grow_up_to(bytes: Option<u64>) {
    let limit = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: bytes, ..limit }).expect("limits");
}

fn die() {
    kill_process(getpid(), Signal::KILL).expect("a signal");
    unreachable!("nobody survives it");
}

/// The agents, over the socket.
struct Agents {
    line: Line,
    /// Attempts by their keys.
    attempts: BTreeMap<String, AttemptRef>,
    doom: Rc<Doom>,
}

impl Agents {
    fn key_of(&self, attempt: AttemptRef) -> &str {
        let found = self.attempts.iter().find(|(_, other)| **other == attempt);
        found.map(|(key, _)| key.as_str()).expect("an attempt of this process")
    }
}

impl Runtime for Agents {
    fn begin(&mut self, action: Action, _: Time) {
        self.doom.before_action();
        let line = match &action {
            Action::Spawn(order) => {
                self.attempts.insert(order.key.to_string(), order.attempt);
                order_line("spawn", order)
            }
            Action::Adopt(adoption) => {
                self.attempts.insert(adoption.order.key.to_string(), adoption.order.attempt);
                order_line("adopt", &adoption.order)
            }
            Action::Look(attempt) => json!({"do": "look", "key": self.key_of(*attempt)}),
            Action::Stop(attempt) => json!({"do": "stop", "key": self.key_of(*attempt)}),
            Action::Delete { attempt, session } => {
                self.attempts.insert(session.run_id.to_string(), *attempt);
                json!({"do": "delete", "key": *session.run_id})
            }
        };
        self.line.send(&line);
        self.doom.after_action(self.line.is_all_sent());
    }

    async fn next_report(&mut self, _: Time) -> Report {
        let line = self.line.next().await.expect("the agents outlive the run");
        let attempt = self.attempts[&text(&line, "key")];
        match line["of"].as_str().expect("a report") {
            "spawned" => {
                let [key, run_id] = ["session", "run_id"].map(|field| Arc::from(text(&line, field)));
                Report::Spawned { attempt, session: Session { key, run_id } }
            }
            "started" => {
                let since = Time::from_millis(line["since"].as_u64().expect("a time"));
                Report::Started { attempt, since }
            }
            "queued" => Report::Queued { attempt },
            "ended" => Report::Ended {
                attempt,
                ending: ending_of(&line["ending"]),
                usage: usage_of(&line["usage"]),
                model_used: line["model"].as_str().map(Arc::from),
                partial: None,
            },
            "deleted" => Report::Deleted { attempt },
            other => panic!("nobody reports `{other}`"),
        }
    }
}
