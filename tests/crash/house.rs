//! Where the agents live: a rehearsal in this process, which outlives the processes of the run. It goes on when the run's
//! process dies, keeps ends that nobody heard, and writes down everything that must never happen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::oneshot;

use parallel_agents::core::action::{Action, AttemptRef, Report, Session};
use parallel_agents::core::time::Time;
use parallel_agents::driver::Clock;
use parallel_agents::runtime::Runtime;
use parallel_agents::runtime::rehearsal::{Rehearsal, RehearsalModel};

use crate::wire::{Line, ending_line, order_of, text, usage_line};

/// What the agents know of the run.
#[derive(Debug, Default, Clone)]
pub struct Books {
    /// Every agent that was started, in order.
    pub spawns: Vec<Spawn>,
    /// The sessions that exist.
    pub sessions: BTreeSet<String>,
    /// Tasks of which two agents ran at once.
    pub overlaps: Vec<usize>,
    /// Orders of any kind.
    pub orders: usize,
    /// Processes of the run that have come and are gone, with all that they had ordered carried out.
    pub visits: usize,
    /// What must never happen, and did.
    pub breaches: Vec<String>,
}

impl Books {
    /// US dollars, of all agents that have ended.
    pub fn charged(&self) -> f64 {
        self.spawns.iter().filter_map(|spawn| spawn.cost).sum()
    }
}

#[derive(Debug, Clone)]
pub struct Spawn {
    pub key: String,
    pub task_index: usize,
    /// US dollars, once it has ended.
    pub cost: Option<f64>,
}

/// The books, and word of the end of a visit.
type Shared = Arc<(Mutex<Books>, Condvar)>;

/// The agents of one run.
pub struct House {
    books: Shared,
    socket: PathBuf,
    leave: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl House {
    /// Agents that behave as `model` says and answer `answers`, at a socket in `folder`.
    pub fn open(folder: &Path, model: &RehearsalModel, answers: &[Arc<str>]) -> Self {
        let books = Shared::default();
        let socket = folder.join("agents");
        let listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        listener.set_nonblocking(true).expect("a socket");
        let (leave, left) = oneshot::channel();
        let keeper = Keeper {
            clock: Clock::played(model.speed),
            speed: model.speed.expect("a speed"),
            rehearsal: Rehearsal::new(model.clone(), {
                let answers = answers.to_vec();
                move |order| answers[order.attempt.task_index].clone()
            }),
            agents: BTreeMap::new(),
            keys: BTreeMap::new(),
            followed: BTreeSet::new(),
            deleted_for: BTreeSet::new(),
            books: books.clone(),
        };
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(keeper.keep(listener, left));
        });
        Self { books, socket, leave: Some(leave), thread: Some(thread) }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The books, once so many processes have come and are gone.
    pub fn books(&self, visits: usize) -> Books {
        let (books, left) = &*self.books;
        let books = left.wait_while(locked(books), |books| books.visits < visits).expect("no panic");
        assert_eq!(books.visits, visits);
        books.clone()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        drop(self.leave.take());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))), "the agents' thread panicked");
    }
}

fn locked(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().expect("no panic")
}

/// One agent, found by its key.
struct Agent {
    attempt: AttemptRef,
    /// Its place among all that were started.
    place: usize,
    /// Its order, as it came.
    order: Value,
    /// All that was reported of it so far, for who asks what became of it.
    reports: Vec<Value>,
    ended: bool,
}

struct Keeper {
    clock: Clock,
    speed: f64,
    rehearsal: Rehearsal,
    agents: BTreeMap<String, Agent>,
    keys: BTreeMap<AttemptRef, String>,
    /// The agents that the present client has started or taken up: it hears of no others.
    followed: BTreeSet<String>,
    /// The sessions that it waits to be rid of.
    deleted_for: BTreeSet<String>,
    books: Shared,
}

impl Keeper {
    async fn keep(mut self, listener: std::os::unix::net::UnixListener, mut left: oneshot::Receiver<()>) {
        let listener = UnixListener::from_std(listener).expect("a socket");
        let mut client: Option<Line> = None;
        loop {
            while let Some(report) = self.rehearsal.poll_report(self.clock.now()) {
                if let (Some(line), Some(client)) = (self.note(report), &mut client) {
                    client.send(&line);
                }
            }
            let pause = self.rehearsal.next_time().map(|time| time.since(self.clock.now()).div_f64(self.speed));
            tokio::select! {
                _ = &mut left => return,
                // One after the other: the last order of a process that died is carried out before the next one's first.
                accepted = listener.accept(), if client.is_none() => {
                    self.followed.clear();
                    self.deleted_for.clear();
                    client = Some(Line::new(accepted.expect("a client").0).await);
                }
                order = next(&mut client) => if let Some(order) = order {
                    for line in self.carry_out(&order) {
                        client.as_mut().expect("a client").send(&line);
                    }
                } else {
                    client = None;
                    locked(&self.books.0).visits += 1;
                    self.books.1.notify_all();
                },
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            }
        }
    }

    /// Carries an order out; what is answered at once.
    fn carry_out(&mut self, order: &Value) -> Vec<Value> {
        locked(&self.books.0).orders += 1;
        let key = text(order, "key");
        match order["do"].as_str().expect("an order") {
            "spawn" => {
                self.spawn(key, order);
                Vec::new()
            }
            "adopt" => self.adopt(&key, order),
            "look" => match self.agents.get(&key) {
                Some(agent) if !agent.ended => vec![json!({"of": "queued", "key": key})],
                Some(_) | None => Vec::new(),
            },
            "stop" => {
                if let Some(agent) = self.agents.get(&key) {
                    self.rehearsal.begin(Action::Stop(agent.attempt), self.clock.now());
                }
                Vec::new()
            }
            "delete" => self.delete(&key),
            other => panic!("nobody knows how to {other}"),
        }
    }

    fn spawn(&mut self, key: String, order: &Value) {
        let task_index = usize::try_from(order["task_index"].as_u64().expect("a task")).expect("a task");
        let mut books = locked(&self.books.0);
        if self.agents.contains_key(&key) {
            return books.breaches.push(format!("`{key}` was started twice"));
        }
        let of_task = || books.spawns.iter().filter(|spawn| spawn.task_index == task_index);
        let before = of_task().count();
        // By its number among the agents of its task: whoever orders it, and under whatever number, meets the same end.
        let attempt = AttemptRef { task_index, start_no: u32::try_from(before + 1).expect("few") };
        if of_task().any(|spawn| spawn.cost.is_none()) {
            books.overlaps.push(task_index);
        }
        let place = books.spawns.len();
        books.spawns.push(Spawn { key: key.clone(), task_index, cost: None });
        drop(books);
        self.rehearsal.begin(Action::Spawn(order_of(order, attempt)), self.clock.now());
        self.keys.insert(attempt, key.clone());
        self.followed.insert(key.clone());
        self.agents.insert(key, Agent { attempt, place, order: order.clone(), reports: Vec::new(), ended: false });
    }

    /// All that was reported of an agent so far; nothing was started under a key that nobody knows.
    fn adopt(&mut self, key: &str, order: &Value) -> Vec<Value> {
        let Some(agent) = self.agents.get(key) else {
            let ending = json!(["lost", "no agent was started under this key"]);
            return vec![
                json!({"of": "ended", "key": key, "ending": ending, "usage": {"cost": 0.0, "tokens": [0, 0]}, "model": null}),
            ];
        };
        let mut asked = order.clone();
        asked["do"] = json!("spawn");
        if asked != agent.order {
            let breach = format!("`{key}` was ordered as {} and is taken up as {asked}", agent.order);
            locked(&self.books.0).breaches.push(breach);
        }
        self.followed.insert(key.to_owned());
        agent.reports.clone()
    }

    fn delete(&mut self, key: &str) -> Vec<Value> {
        let agent = &self.agents[key];
        let mut books = locked(&self.books.0);
        if !agent.ended {
            books.breaches.push(format!("the session of `{key}` was deleted under its agent"));
        }
        if !books.sessions.contains(key) {
            // Whoever had it deleted did not live to hear of it.
            return vec![json!({"of": "deleted", "key": key})];
        }
        self.deleted_for.insert(key.to_owned());
        let session = Session { key: key.into(), run_id: key.into() };
        self.rehearsal.begin(Action::Delete { attempt: agent.attempt, session }, self.clock.now());
        Vec::new()
    }

    /// Writes down what an agent reports, and says it as a line if the client is to hear of it.
    fn note(&mut self, report: Report) -> Option<Value> {
        let (Report::Spawned { attempt, .. }
        | Report::Started { attempt, .. }
        | Report::Queued { attempt }
        | Report::Ended { attempt, .. }
        | Report::Deleted { attempt }
        | Report::Active { attempt, .. }
        | Report::DeleteFailed { attempt, .. }) = report
        else {
            panic!("nobody meets a rehearsal: {report:?}");
        };
        let key = self.keys[&attempt].clone();
        let agent = self.agents.get_mut(&key).expect("an agent");
        let mut books = locked(&self.books.0);
        let line = match report {
            Report::Spawned { session, .. } => {
                books.sessions.insert(key.clone());
                json!({"of": "spawned", "key": key, "session": *session.key, "run_id": *session.run_id})
            }
            Report::Started { .. } => json!({"of": "started", "key": key, "since": real_time().as_millis()}),
            Report::Ended { ending, usage, model_used, .. } => {
                agent.ended = true;
                books.spawns[agent.place].cost = Some(usage.cost.expect("a price"));
                let (ending, usage) = (ending_line(&ending), usage_line(&usage));
                json!({"of": "ended", "key": key, "ending": ending, "usage": usage, "model": model_used.as_deref()})
            }
            Report::Deleted { .. } => {
                books.sessions.remove(&key);
                return self.deleted_for.remove(&key).then(|| json!({"of": "deleted", "key": key}));
            }
            Report::Queued { .. } | Report::Met { .. } | Report::Active { .. } | Report::DeleteFailed { .. } => {
                panic!("a rehearsal that nobody looks at does not report this: {report:?}")
            }
        };
        agent.reports.push(line.clone());
        self.followed.contains(&key).then_some(line)
    }
}

fn real_time() -> Time {
    Clock::real().now()
}

async fn next(client: &mut Option<Line>) -> Option<Value> {
    match client {
        Some(client) => client.next().await,
        None => std::future::pending().await,
    }
}
