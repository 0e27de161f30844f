//! Agents that a program starts one by one and asks about: `sessions_spawn`, `sessions_list` and `sessions_history`
//! over a gateway, without an agent runtime that injects them.
//!
//! [`Children`] takes the calls of any number of threads; a thread of its own serves them ([`host`]), where
//! [`machine`] decides and remembers. What a call is about is read in [`order`], what it answers is written in
//! [`record`] and [`page`]. An agent's end is collected as soon as it comes and its session deleted later, so a program that looks
//! long afterwards finds the whole answer, deleted or not.

use std::io;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::mpsc::error::SendError;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::wait::{Waiter, Waker, wait_pair};
use super::{RunError, RunOptions, RuntimeChoice, lock};
use crate::runtime::gateway::GatewayConfig;

mod host;
mod machine;
mod order;
mod page;
mod record;

pub use order::{ChildOrder, ChildQuery};

/// What a program is told of a gateway's page of sessions, and of the messages of one of them. For tests that stand outside
/// this room, fuzzers above all.
#[doc(hidden)]
pub fn retold(query: &ChildQuery, list: Value, messages: Vec<Value>, limit: Option<usize>) -> (Value, Value) {
    let page = page::page(Vec::new(), query, query.offset, Some(list), |_| false);
    (page, record::history("a session", messages.into_iter().map(record::told).collect(), limit))
}

/// Names one call.
type CallId = u64;

/// What a call ends with. Several calls may fail for the same reason.
type Answer = Result<Value, Arc<RunError>>;

/// What a program asks.
enum Command {
    Spawn {
        call: CallId,
        order: ChildOrder,
        reply: Reply,
    },
    List {
        query: ChildQuery,
        reply: Reply,
    },
    History {
        key: String,
        limit: Option<usize>,
        reply: Reply,
    },
    Cancel {
        key: String,
        reply: Reply,
    },
    Delete {
        key: String,
        reply: Reply,
    },
    /// Nobody waits any more for what this call starts.
    Forsake(CallId),
    Close {
        call: CallId,
        stop_all: bool,
        reply: Reply,
    },
}

/// Where an answer goes.
struct Reply {
    sender: oneshot::Sender<Answer>,
    waker: Waker,
}

impl Reply {
    fn send(self, answer: Answer) {
        // Who asked may have gone; a spawn is then forsaken by a command of its own.
        let _ = self.sender.send(answer);
        self.waker.wake();
    }

    fn is_forsaken(&self) -> bool {
        self.sender.is_closed()
    }
}

/// A call under way. Dropping it gives the answer up, and nothing else: see [`forsake`](Self::forsake).
#[derive(Debug)]
pub struct ChildCall {
    id: CallId,
    answer: oneshot::Receiver<Answer>,
    waiter: Waiter,
    commands: UnboundedSender<Command>,
}

impl ChildCall {
    /// The answer, once it is there.
    pub fn poll(&mut self) -> Option<Answer> {
        match self.answer.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Closed) => {
                Some(Err(Arc::new(RunError::Internal("a call ended without an answer".to_owned()))))
            }
        }
    }

    /// Returns when there may be an answer, when a signal came, or after 100 ms.
    pub fn wait(&self) -> io::Result<()> {
        self.waiter.wait(None)
    }

    /// Nobody will ever know what this call has started: an agent is stopped, and its session treated as ordered.
    pub fn forsake(mut self) {
        self.answer.close();
        // A thread that has ended runs nothing.
        let _ = self.commands.send(Command::Forsake(self.id));
    }
}

/// The agents of one program on one gateway. Connects at the first call.
#[derive(Debug)]
pub struct Children {
    config: GatewayConfig,
    house: Mutex<Option<House>>,
    notices: Arc<Mutex<Vec<String>>>,
    next_call: AtomicU64,
}

/// The thread that serves the calls.
#[derive(Debug)]
struct House {
    /// Threads do not survive a fork: a child process has children of its own.
    process_id: u32,
    commands: UnboundedSender<Command>,
}

impl House {
    fn is_living(&self) -> bool {
        self.process_id == process::id() && !self.commands.is_closed()
    }
}

impl Children {
    /// None yet, on the gateway that `options` name: `{}` or `{"gateway": {...}}`.
    pub fn new(options: RunOptions) -> Result<Self, RunError> {
        let RuntimeChoice::Gateway(config) = options.runtime else {
            return Err(RunError::Internal("children need a gateway".to_owned()));
        };
        let next_call = AtomicU64::new(1);
        Ok(Self { config, house: Mutex::default(), notices: Arc::default(), next_call })
    }

    /// Starts an agent. Answered when it is accepted or refused, as `sessions_spawn` answers.
    pub fn spawn(&self, order: ChildOrder) -> Result<ChildCall, RunError> {
        self.call(|call, reply| Command::Spawn { call, order, reply })
    }

    /// The sessions: the program's own first, the latest before the others, then the gateway's.
    pub fn list(&self, query: ChildQuery) -> Result<ChildCall, RunError> {
        self.call(|_, reply| Command::List { query, reply })
    }

    /// The messages of a session, the last `limit` of them.
    pub fn history(&self, key: String, limit: Option<usize>) -> Result<ChildCall, RunError> {
        self.call(|_, reply| Command::History { key, limit, reply })
    }

    /// Stops the program's own agent of this session.
    pub fn cancel(&self, key: String) -> Result<ChildCall, RunError> {
        self.call(|_, reply| Command::Cancel { key, reply })
    }

    /// Deletes the program's own session of this key, in a quiet moment or at the end; its agent is stopped first.
    pub fn delete(&self, key: String) -> Result<ChildCall, RunError> {
        self.call(|_, reply| Command::Delete { key, reply })
    }

    /// Stops the agents whose sessions are to be deleted, or all, and deletes those sessions. Answered when that is
    /// done, or after some time with what stays. `None` if nothing was ever asked.
    pub fn close(&self, stop_all: bool) -> Option<ChildCall> {
        let is_lived_in = lock(&self.house).as_ref().is_some_and(House::is_living);
        is_lived_in.then(|| self.call(|call, reply| Command::Close { call, stop_all, reply }).ok())?
    }

    /// What a person should know, once each.
    pub fn notices(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.notices))
    }

    fn call(&self, command: impl FnOnce(CallId, Reply) -> Command) -> Result<ChildCall, RunError> {
        let (waiter, waker) =
            wait_pair().map_err(|error| RunError::Internal(format!("no call can be made: {error}")))?;
        let (sender, answer) = oneshot::channel();
        let id = self.next_call.fetch_add(1, Ordering::Relaxed);
        let mut command = command(id, Reply { sender, waker });
        let mut house = lock(&self.house);
        if let Some(other) = house.take_if(|house| !house.is_living()) {
            // A thread of the process that this one was forked from may hold any lock in it.
            std::mem::forget(other);
        }
        if let Some(House { commands, .. }) = &*house {
            match commands.send(command) {
                Ok(()) => return Ok(ChildCall { id, answer, waiter, commands: commands.clone() }),
                // It has just ended without a connection; a new one may find the gateway.
                Err(SendError(unsent)) => command = unsent,
            }
        }
        let (commands, receiver) = unbounded_channel();
        // Before the thread starts, which may end at once; the receiver is still here.
        let _ = commands.send(command);
        host::start(self.config.clone(), receiver, self.notices.clone())?;
        *house = Some(House { process_id: process::id(), commands: commands.clone() });
        Ok(ChildCall { id, answer, waiter, commands })
    }
}
