//! The one connection that all agents share, for as long as the run lives: requests out, answers back by their id,
//! a new connection when it breaks.
//!
//! It never repeats a request that may have been carried out: such a one ends as [`CallError::Cut`], and who asked
//! decides. What was not sent yet waits for the next connection. A task of its own, reached through channels.

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_tungstenite::tungstenite::Message;

use super::config::Endpoint;
use super::frames::{BootId, ErrorFrame, Frame, Hello, text};
use super::path_spawn::SPAWN_TOOL;
use super::socket::{Socket, open};
use crate::core::action::Report;

/// Agents that are being started at once. A gateway takes 256 requests of all its clients together and refuses the
/// rest, and it starts only some agents in a second: what is more waits here, where it can be taken back.
const STARTING_MAX: usize = 100;
/// Ticks that may stay out before the other side counts as dead.
const TICKS_MISSED_MAX: u32 = 3;
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How many cuts in a row one question may see. Its answer may be what causes them, and each one cuts all agents.
const CUTS_MAX: u32 = 5;
/// How often a request is repeated that the gateway was too busy for, and the pause where it names none.
const BUSY_REPEATS_MAX: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(500);

/// An answer, and the boot of the gateway that gave it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Response {
    pub payload: Value,
    pub boot: BootId,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum CallError {
    /// The gateway said no. A run that failed comes this way too, with a payload.
    Rejected { error: Box<ErrorFrame>, payload: Option<Value> },
    /// The connection broke after the request was sent to this boot: it may have been carried out.
    Cut { boot: BootId },
    /// Never sent: the gateway has restarted since, and the request was meant for its earlier life only.
    OtherBoot,
    /// Never sent: it was taken back.
    Withdrawn,
    /// Never sent: larger than the gateway takes.
    TooLarge { bytes: usize, bytes_max: usize },
    /// No connection for too long, or none that held until there was an answer.
    Unreachable { reason: String },
}

pub(super) type Answer = Result<Response, CallError>;

enum Command {
    Send(Request),
    Withdraw(u64),
}

struct Request {
    id: u64,
    method: &'static str,
    params: Value,
    /// Send it to this boot only.
    boot: Option<BootId>,
    answers: UnboundedSender<Answer>,
}

impl Request {
    /// Only such ones are ever held back: a stop or a question about an agent must not wait for hundreds of others to
    /// be started.
    fn starts_agent(&self) -> bool {
        match self.method {
            "tools.invoke" => text(&self.params, "/name") == Some(SPAWN_TOOL),
            method => method == "agent",
        }
    }
}

/// Handle to the connection. Cheap to clone; the connection closes with the last of them.
#[derive(Debug, Clone)]
pub(super) struct Link {
    commands: UnboundedSender<Command>,
    hello: watch::Receiver<Hello>,
    next_id: Arc<AtomicU64>,
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Call {
    id: u64,
    answers: UnboundedReceiver<Answer>,
    commands: UnboundedSender<Command>,
}

impl Call {
    /// The next answer: there is one, or two to `agent`. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Answer {
        let closed = || CallError::Unreachable { reason: "the connection to the gateway was closed".to_owned() };
        self.answers.recv().await.unwrap_or_else(|| Err(closed()))
    }

    /// Takes the request back if it has not been sent.
    pub fn withdraw(&self) {
        // A connection that is gone has answered already.
        let _ = self.commands.send(Command::Withdraw(self.id));
    }
}

impl Link {
    /// Keeps `socket` and its successors; the ids of runs that start to work go to `started`, and each boot that is met
    /// to `reports`, before any answer of it. The future is the connection: it ends when the last handle is gone.
    pub fn new(
        endpoint: Endpoint,
        opened: (Socket, Hello),
        patience: Duration,
        started: UnboundedSender<Arc<str>>,
        reports: UnboundedSender<Report>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (commands, receiver) = unbounded_channel();
        let (socket, hello) = opened;
        let (publish, watched) = watch::channel(hello.clone());
        let keeper = Keeper {
            endpoint,
            patience,
            commands: receiver,
            hello: publish,
            started,
            reports,
            waiting: VecDeque::new(),
            starts: VecDeque::new(),
            open: HashMap::new(),
            starting: 0,
            backoff: BACKOFF_MIN,
            given_up: None,
        };
        // The runtime holds the other end.
        let _ = keeper.reports.send(Report::Met { boot: hello.boot.clone() });
        let link = Self { commands, hello: watched, next_id: Arc::new(AtomicU64::new(1)) };
        (link, keeper.keep(socket, hello))
    }

    /// What the gateway said at the latest greeting.
    pub fn hello(&self) -> Hello {
        self.hello.borrow().clone()
    }

    /// Sends a request, once; to `boot` only, if given.
    pub fn call(&self, method: &'static str, params: Value, boot: Option<BootId>) -> Call {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (answers, receiver) = unbounded_channel();
        let call = Call { id, answers: receiver, commands: self.commands.clone() };
        // If the connection is gone for good, `next` finds the other end of its channel dropped.
        let _ = self.commands.send(Command::Send(Request { id, method, params, boot, answers }));
        call
    }

    /// Sends a request that does no harm twice, until there is an answer or it was cut too often.
    pub async fn ask(&self, method: &'static str, params: &Value) -> Answer {
        let (mut cuts, mut repeats) = (0, 0);
        loop {
            match self.call(method, params.clone(), None).next().await {
                Err(CallError::Cut { .. }) => {
                    cuts += 1;
                    if cuts == CUTS_MAX {
                        let reason = format!("the connection was cut {cuts} times before `{method}` was answered");
                        return Err(CallError::Unreachable { reason });
                    }
                }
                Err(CallError::Rejected { error, .. }) if error.is_busy() && repeats < BUSY_REPEATS_MAX => {
                    repeats += 1;
                    sleep(error.retry_after.unwrap_or(BUSY_PAUSE)).await;
                }
                answer => return answer,
            }
        }
    }
}

struct Keeper {
    endpoint: Endpoint,
    patience: Duration,
    commands: UnboundedReceiver<Command>,
    hello: watch::Sender<Hello>,
    started: UnboundedSender<Arc<str>>,
    reports: UnboundedSender<Report>,
    /// Sent as soon as there is a connection.
    waiting: VecDeque<Request>,
    /// What starts agents: sent as soon as few enough others do.
    starts: VecDeque<Request>,
    open: HashMap<u64, Open>,
    /// How many of the open ones start an agent and have had no answer.
    starting: usize,
    /// How long to wait before the next connection is opened.
    backoff: Duration,
    /// Why nothing is taken any more, until there is a connection again.
    given_up: Option<String>,
}

struct Open {
    answers: UnboundedSender<Answer>,
    is_starting: bool,
    /// `agent` is answered twice: when it is accepted, and at its end.
    is_twofold: bool,
}

impl Keeper {
    async fn keep(mut self, mut socket: Socket, mut hello: Hello) {
        loop {
            let since = Instant::now();
            if self.serve(socket, &hello).await.is_break() {
                return;
            }
            if since.elapsed() > BACKOFF_MAX {
                // It has held. One that is cut again and again right after the greeting is not hurried.
                self.backoff = BACKOFF_MIN;
            }
            for (_, open) in self.open.drain() {
                // Who asked may have gone; then nobody needs to know.
                let _ = open.answers.send(Err(CallError::Cut { boot: hello.boot.clone() }));
            }
            self.starting = 0;
            let Some(opened) = self.reopen().await else { return };
            if opened.1.boot != hello.boot {
                // The runtime may be gone; then nobody listens.
                let _ = self.reports.send(Report::Met { boot: opened.1.boot.clone() });
            }
            (socket, hello) = opened;
            self.given_up = None;
            self.hello.send_replace(hello.clone());
        }
    }

    /// Serves one connection until it breaks, or until nobody is left to serve.
    async fn serve(&mut self, socket: Socket, hello: &Hello) -> ControlFlow<()> {
        let silence_max = hello.tick * TICKS_MISSED_MAX;
        let (mut sink, mut stream) = socket.split();
        let (outgoing, mut queue) = unbounded_channel::<Message>();
        // Writing waits while the gateway reads slowly; reading must go on meanwhile, or both would wait for ever.
        let writer = async move {
            while let Some(message) = queue.recv().await {
                if sink.send(message).await.is_err() {
                    break;
                }
            }
        };
        tokio::pin!(writer);
        let mut heard = Instant::now();
        loop {
            self.send_waiting(hello, &outgoing);
            tokio::select! {
                () = &mut writer => return ControlFlow::Continue(()),
                command = self.commands.recv() => match command {
                    Some(command) => self.take(command),
                    None => return ControlFlow::Break(()),
                },
                message = stream.next() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(Message::Text(text))) => self.receive(&text, hello),
                        Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                        Some(Ok(Message::Close(_)) | Err(_)) | None => return ControlFlow::Continue(()),
                    }
                }
                () = sleep_until(heard + silence_max) => return ControlFlow::Continue(()),
            }
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Send(request) => match &self.given_up {
                Some(reason) => answer(&request, CallError::Unreachable { reason: reason.clone() }),
                None if request.starts_agent() => self.starts.push_back(request),
                None => self.waiting.push_back(request),
            },
            Command::Withdraw(id) => {
                for queue in [&mut self.waiting, &mut self.starts] {
                    if let Some(index) = queue.iter().position(|request| request.id == id)
                        && let Some(request) = queue.remove(index)
                    {
                        answer(&request, CallError::Withdrawn);
                    }
                }
            }
        }
    }

    fn send_waiting(&mut self, hello: &Hello, outgoing: &UnboundedSender<Message>) {
        while let Some(request) = self.waiting.pop_front() {
            self.send(request, hello, outgoing);
        }
        while self.starting < STARTING_MAX
            && let Some(request) = self.starts.pop_front()
        {
            self.send(request, hello, outgoing);
        }
    }

    fn send(&mut self, request: Request, hello: &Hello, outgoing: &UnboundedSender<Message>) {
        if request.answers.is_closed() {
            return;
        }
        if request.boot.as_ref().is_some_and(|boot| *boot != hello.boot) {
            answer(&request, CallError::OtherBoot);
            return;
        }
        let frame = json!({
            "type": "req", "id": request.id.to_string(), "method": request.method, "params": request.params,
        });
        let frame = frame.to_string();
        if frame.len() > hello.payload_bytes_max {
            // The gateway would cut the connection, and all agents with it.
            let (bytes, bytes_max) = (frame.len(), hello.payload_bytes_max);
            answer(&request, CallError::TooLarge { bytes, bytes_max });
            return;
        }
        let (is_starting, is_twofold) = (request.starts_agent(), request.method == "agent");
        self.starting += usize::from(is_starting);
        self.open.insert(request.id, Open { answers: request.answers, is_starting, is_twofold });
        // A writer that has ended is noticed by `serve`, which then cuts what is open.
        let _ = outgoing.send(Message::text(frame));
    }

    fn receive(&mut self, frame: &str, hello: &Hello) {
        match Frame::read(frame) {
            Some(Frame::Started(run_id)) => {
                // The runtime may be gone already.
                let _ = self.started.send(run_id);
            }
            Some(Frame::Answer { id, said }) => {
                let Some(open) = self.open.get_mut(&id) else { return };
                if std::mem::take(&mut open.is_starting) {
                    self.starting -= 1;
                }
                let is_accepted = said.as_ref().is_ok_and(|payload| text(payload, "/status") == Some("accepted"));
                let is_first_of_two = open.is_twofold && is_accepted;
                let answer = match said {
                    Ok(payload) => Ok(Response { payload, boot: hello.boot.clone() }),
                    Err((error, payload)) => Err(CallError::Rejected { error, payload }),
                };
                // Who asked may have gone; then nobody needs to know.
                let _ = open.answers.send(answer);
                if !is_first_of_two {
                    self.open.remove(&id);
                }
            }
            None => {}
        }
    }

    /// Opens the next connection, however long it takes. After `patience` requests are answered instead of kept.
    /// `None` once nobody is left to serve.
    async fn reopen(&mut self) -> Option<(Socket, Hello)> {
        let deadline = Instant::now() + self.patience;
        let mut latest = "the connection was cut".to_owned();
        loop {
            let (endpoint, backoff) = (self.endpoint.clone(), self.backoff);
            self.backoff = (backoff * 2).min(BACKOFF_MAX);
            let attempt = async move {
                sleep(backoff).await;
                open(&endpoint).await
            };
            tokio::pin!(attempt);
            let opened = loop {
                let is_patient = self.given_up.is_none();
                let lost_patience = async { if is_patient { sleep_until(deadline).await } else { pending().await } };
                tokio::select! {
                    opened = &mut attempt => break opened,
                    command = self.commands.recv() => self.take(command?),
                    () = lost_patience => self.give_up(&latest),
                }
            };
            match opened {
                Ok(opened) => return Some(opened),
                Err(error) => latest = error.to_string(),
            }
        }
    }

    fn give_up(&mut self, latest: &str) {
        let seconds = self.patience.as_secs();
        let reason = format!("the gateway was unreachable for {seconds} s: {latest}");
        for request in self.waiting.drain(..).chain(self.starts.drain(..)) {
            answer(&request, CallError::Unreachable { reason: reason.clone() });
        }
        self.given_up = Some(reason);
    }
}

fn answer(request: &Request, error: CallError) {
    // Who asked may have gone; then nobody needs to know.
    let _ = request.answers.send(Err(error));
}
