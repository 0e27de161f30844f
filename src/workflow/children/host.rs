//! The thread on which the calls of a program are served: it waits, and carries out what [`machine`](super::machine)
//! decides. User code never runs on it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::machine::{ChildMachine, Order};
use super::order::ChildQuery;
use super::{CallId, Command, Reply, lock, page, record};
use crate::core::time::Time;
use crate::driver::Clock;
use crate::runtime::Runtime;
use crate::runtime::gateway::{GatewayConfig, GatewayRuntime, Onlooker, Path};
use crate::workflow::RunError;
use crate::workflow::start::{panic_text, seed};

/// How long a list waits for the sessions of others, if it has none of the program's own to show. A gateway that
/// starts agents was seen to take 2 s for a list.
const LIST_PATIENCE: Duration = Duration::from_secs(10);
/// The same, if it has: those are known without asking.
const LIST_PATIENCE_OWN: Duration = Duration::from_millis(300);
/// How long the gateway's answer to a list is good for: a program that looks without a pause must not keep the gateway
/// from its agents. The program's own rows are always of this moment.
const PAGE_FRESH: Duration = Duration::from_secs(1);
/// The most rows that the gateway gives at once.
const PAGE_MAX: usize = 200;

type Notices = Arc<Mutex<Vec<String>>>;

/// Starts the thread. It ends when no call can come any more, or when there is no gateway.
pub(super) fn start(
    config: GatewayConfig,
    mut commands: UnboundedReceiver<Command>,
    notices: Notices,
) -> Result<(), RunError> {
    let body = move || {
        let served = catch_unwind(AssertUnwindSafe(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| RunError::Internal(error.to_string()))?;
            runtime.block_on(serve(config, &mut commands, &notices))
        }));
        if let Err(error) = served.unwrap_or_else(|panic| Err(RunError::Internal(panic_text(&*panic)))) {
            refuse_all(&mut commands, &Arc::new(error));
        }
    };
    let thread = thread::Builder::new().name("parallel-agents-tools".to_owned()).spawn(body);
    thread.map_err(|error| RunError::Internal(format!("no thread could be started: {error}")))?;
    Ok(())
}

/// Nothing more is taken; what was taken is answered.
fn refuse_all(commands: &mut UnboundedReceiver<Command>, error: &Arc<RunError>) {
    commands.close();
    // Also what is being sent right now.
    while let Some(command) = commands.blocking_recv() {
        match command {
            Command::Spawn { reply, .. }
            | Command::List { reply, .. }
            | Command::History { reply, .. }
            | Command::Cancel { reply, .. }
            | Command::Delete { reply, .. }
            | Command::Close { reply, .. } => reply.send(Err(error.clone())),
            Command::Forsake(_) => {}
        }
    }
}

async fn serve(
    config: GatewayConfig,
    commands: &mut UnboundedReceiver<Command>,
    notices: &Notices,
) -> Result<(), RunError> {
    let agent_id = config.agent_id.clone();
    let mut runtime = GatewayRuntime::connect(&GatewayConfig { path: Path::Spawn, ..config }).await?;
    let clock = Clock::real();
    let mut host = Host {
        machine: ChildMachine::new(agent_id, seed(), clock.now()),
        onlooker: runtime.onlooker(),
        replies: BTreeMap::new(),
        looks: JoinSet::new(),
        lists: Vec::new(),
        asked: Vec::new(),
        latest: None,
    };
    loop {
        while let Some(order) = host.machine.poll_order() {
            match order {
                Order::Act(action) => runtime.begin(action, clock.now()),
                Order::StartBy(path) => runtime.start_by(path),
                Order::Notice(text) => lock(notices).push(text),
                Order::Answer(call, answer) => {
                    if let Some(reply) = host.replies.remove(&call) {
                        reply.send(Ok(answer));
                    }
                }
            }
        }
        let now = clock.now();
        let deadline = host.machine.next_deadline(now);
        if deadline.is_some_and(|deadline| deadline <= now) {
            host.machine.handle_time(now);
            continue;
        }
        let next_list = host.next_list();
        tokio::select! {
            biased;
            command = commands.recv() => match command {
                Some(command) => host.take(command, clock.now()),
                None => return Ok(()),
            },
            report = runtime.next_report(now) => host.machine.handle_report(report, clock.now()),
            Some(seen) = host.looks.join_next() => {
                // A look that broke down has dropped its reply, which tells the caller.
                if let Ok(seen) = seen {
                    host.answer(seen);
                }
            }
            () = wait_until(deadline, now) => {}
            () = wait_for_list(next_list) => host.answer_lists(),
        }
    }
}

async fn wait_until(deadline: Option<Time>, now: Time) {
    match deadline {
        Some(deadline) => sleep(deadline.since(now)).await,
        None => std::future::pending().await,
    }
}

async fn wait_for_list(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// The answer to a wish about a session that must be one of ours.
fn own(is_own: bool, key: &str) -> Value {
    if is_own {
        json!({ "status": "ok" })
    } else {
        json!({ "status": "not_found", "error": format!("`{key}` is no session of this program") })
    }
}

struct Host {
    machine: ChildMachine,
    onlooker: Onlooker,
    replies: BTreeMap<CallId, Reply>,
    looks: JoinSet<Seen>,
    /// Lists that wait for the gateway's page.
    lists: Vec<List>,
    /// The pages that it is being asked for.
    asked: Vec<Value>,
    /// Its latest page, what was asked for, and when it came.
    latest: Option<(Value, Instant, Value)>,
}

/// A list that waits for a page of the gateway.
struct List {
    query: ChildQuery,
    args: Value,
    /// The gateway's row that the page begins with.
    first: usize,
    until: Instant,
    reply: Reply,
}

/// What the gateway has told about sessions.
enum Seen {
    /// The page that was asked for; `None` if it did not come.
    Page {
        args: Value,
        page: Option<Value>,
    },
    Messages {
        key: String,
        limit: Option<usize>,
        messages: Result<Vec<Value>, String>,
        reply: Reply,
    },
}

impl Host {
    fn take(&mut self, command: Command, now: Time) {
        match command {
            // Interrupted before anything was started.
            Command::Spawn { reply, .. } if reply.is_forsaken() => {}
            Command::Spawn { call, order, reply } => {
                self.replies.insert(call, reply);
                self.machine.spawn(call, order, now);
            }
            Command::Forsake(call) => self.machine.forsake(call),
            Command::Close { call, stop_all, reply } => {
                self.replies.insert(call, reply);
                self.machine.close(call, stop_all, now);
            }
            Command::Cancel { key, reply } => reply.send(Ok(own(self.machine.cancel(&key), &key))),
            Command::Delete { key, reply } => reply.send(Ok(own(self.machine.delete(&key, now), &key))),
            Command::List { query, reply } => self.list(query, reply),
            Command::History { key, limit, reply } => {
                if let Some((messages, true)) = self.machine.messages(&key) {
                    reply.send(Ok(record::history(&key, messages, limit)));
                    return;
                }
                let onlooker = self.onlooker.clone();
                self.looks.spawn(async move {
                    let messages = onlooker.messages(&key).await;
                    Seen::Messages { key, limit, messages, reply }
                });
            }
        }
    }

    /// The program's own rows come first and need no look; the gateway's follow, as far as there is room.
    fn list(&mut self, query: ChildQuery, reply: Reply) {
        let own = self.machine.rows(&query).len();
        let room = (query.offset + query.limit).saturating_sub(own).min(query.limit);
        if query.own || room == 0 {
            reply.send(Ok(self.page(&query, 0, None)));
            return;
        }
        let first = query.offset.saturating_sub(own);
        let mut args = query.more.clone();
        args.insert("limit".to_owned(), json!(room.min(PAGE_MAX)));
        if first > 0 {
            args.insert("offset".to_owned(), json!(first));
        }
        if let Some(label) = &query.label {
            args.insert("label".to_owned(), json!(label));
        }
        let args = Value::Object(args);
        if let Some((of, at, page)) = &self.latest
            && *of == args
            && at.elapsed() < PAGE_FRESH
        {
            reply.send(Ok(self.page(&query, first, Some(page.clone()))));
            return;
        }
        if !self.asked.contains(&args) {
            self.asked.push(args.clone());
            let (onlooker, args) = (self.onlooker.clone(), args.clone());
            self.looks.spawn(async move {
                let page = timeout(LIST_PATIENCE, onlooker.list(args.clone())).await;
                Seen::Page { args, page: page.ok().and_then(Result::ok) }
            });
        }
        let patience = if own > query.offset { LIST_PATIENCE_OWN } else { LIST_PATIENCE };
        self.lists.push(List { query, args, first, until: Instant::now() + patience, reply });
    }

    /// When the next list has waited long enough.
    fn next_list(&self) -> Option<Instant> {
        self.lists.iter().map(|list| list.until).min()
    }

    /// Answers the lists that have waited long enough with what the gateway said last, if it was asked the same.
    fn answer_lists(&mut self) {
        let now = Instant::now();
        for list in self.lists.extract_if(.., |list| list.until <= now).collect::<Vec<_>>() {
            let latest = self.latest.as_ref().filter(|(of, ..)| *of == list.args).map(|(.., page)| page.clone());
            list.reply.send(Ok(self.page(&list.query, list.first, latest)));
        }
    }

    fn answer(&mut self, seen: Seen) {
        match seen {
            Seen::Page { args, page } => {
                self.asked.retain(|asked| *asked != args);
                for list in self.lists.extract_if(.., |list| list.args == args).collect::<Vec<_>>() {
                    list.reply.send(Ok(self.page(&list.query, list.first, page.clone())));
                }
                if let Some(page) = page {
                    self.latest = Some((args, Instant::now(), page));
                }
            }
            Seen::Messages { key, limit, messages, reply } => {
                let answer = match (self.machine.messages(&key), messages) {
                    // It may have ended meanwhile.
                    (Some((messages, true)), _) | (Some((messages, false)), Err(_)) => {
                        record::history(&key, messages, limit)
                    }
                    (Some((messages, false)), Ok(seen)) if seen.is_empty() => record::history(&key, messages, limit),
                    (_, Ok(seen)) => record::history(&key, seen.into_iter().map(record::told).collect(), limit),
                    (None, Err(reason)) => {
                        let mut answer = record::history(&key, Vec::new(), limit);
                        answer["status"] = json!("error");
                        answer["error"] = json!(reason);
                        answer
                    }
                };
                reply.send(Ok(answer));
            }
        }
    }

    fn page(&self, query: &ChildQuery, first: usize, page: Option<Value>) -> Value {
        page::page(self.machine.rows(query), query, first, page, |key| self.machine.is_own(key))
    }
}
