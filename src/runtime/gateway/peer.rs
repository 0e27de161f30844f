//! A small server on loopback that answers with recorded frames, and what the tests of the runtime share. It stands for
//! the gateway at the edge of the protocol only; the real one is tested in `tests/gateway`.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::samples::sample;
use super::*;
use crate::core::prompt::Prompt;

pub(super) const KEY: &str = "6c92ff2b-06cd-4cd9-a5a7-dee52a69a42d";
pub(super) const SESSION_KEY: &str = "agent:main:subagent:6c92ff2b-06cd-4cd9-a5a7-dee52a69a42d";
pub(super) const ATTEMPT: AttemptRef = AttemptRef { task_index: 0, start_no: 1 };
pub(super) const ADMIN: [&str; 3] = ["operator.read", "operator.write", "operator.admin"];
pub(super) const START: Time = Time::from_millis(100_000);
pub(super) const WRITE: [&str; 2] = ["operator.read", "operator.write"];

/// The other side of one connection.
pub(super) struct Peer {
    pub(super) socket: WebSocketStream<TcpStream>,
    pub(super) introduction: Value,
}

impl Peer {
    /// Takes the next connection and greets it as this boot.
    pub(super) async fn greet(listener: &TcpListener, boot: &str, scopes: &[&str]) -> Self {
        let (stream, _) = listener.accept().await.expect("accepts");
        let mut peer = Self { socket: accept_async(stream).await.expect("upgrades"), introduction: Value::Null };
        let hello = sample("ws_hello_ok");
        peer.send(&hello["challenge"]).await;
        peer.introduction = peer.receive().await;
        let mut answer = hello["response"].clone();
        answer["payload"]["server"]["bootId"] = json!(boot);
        answer["payload"]["auth"]["scopes"] = json!(scopes);
        peer.send(&answer).await;
        peer
    }

    pub(super) async fn send(&mut self, frame: &Value) {
        self.socket.send(Message::text(frame.to_string())).await.expect("sends");
    }

    pub(super) async fn receive(&mut self) -> Value {
        loop {
            match self.socket.next().await.expect("open").expect("a message") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                Message::Close(_) => panic!("closed"),
            }
        }
    }

    /// The next request, which must be of this method: its id and parameters.
    pub(super) async fn expect(&mut self, method: &str) -> (Value, Value) {
        let frame = timeout(Duration::from_secs(10), self.receive()).await.expect("a request in time");
        assert_eq!(frame["method"], method, "{frame}");
        (frame["id"].clone(), frame["params"].clone())
    }

    pub(super) async fn answer(&mut self, id: &Value, payload: &Value) {
        self.send(&json!({"type": "res", "id": id, "ok": true, "payload": payload})).await;
    }

    pub(super) async fn refuse(&mut self, id: &Value, error: &Value) {
        self.send(&json!({"type": "res", "id": id, "ok": false, "error": error})).await;
    }

    /// Answers the next request of this method; its parameters.
    pub(super) async fn serve(&mut self, method: &str, payload: &Value) -> Value {
        let (id, params) = self.expect(method).await;
        self.answer(&id, payload).await;
        params
    }

    pub(super) async fn accept_agent(&mut self) -> (Value, Value) {
        let (id, params) = self.expect("agent").await;
        self.answer(&id, &accepted()).await;
        (id, params)
    }

    /// Tells that the run has ended, hands its transcript over, and stays.
    pub(super) async fn serve_end(mut self, transcript: &Value) {
        self.serve("agent.wait", &wait_ended()).await;
        self.serve("sessions.get", transcript).await;
        self.stay().await;
    }

    /// Says nothing more and stays, until the test is over.
    pub(super) async fn stay(mut self) {
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}

pub(super) fn accepted() -> Value {
    json!({"runId": KEY, "sessionKey": SESSION_KEY, "agentId": "main", "status": "accepted", "acceptedAt": 1})
}

pub(super) fn final_frame() -> Value {
    sample("agent_rpc_frames_admin_model")["frames"][2]["frame"]["payload"].clone()
}

pub(super) fn order(key: &str) -> SpawnOrder {
    SpawnOrder {
        attempt: ATTEMPT,
        key: key.into(),
        task_id: "t".into(),
        agent_type: "a".into(),
        model: Some("mock/haiku".into()),
        prompt: Prompt::plain("hi"),
        timeout: Duration::from_millis(59_500),
    }
}

pub(super) async fn listen() -> (TcpListener, GatewayConfig, Endpoint) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    let config = GatewayConfig { url: Some(url), token: Some(Secret::new("hunter2")), ..GatewayConfig::default() };
    let endpoint = config.resolve().expect("resolves");
    (listener, config, endpoint)
}

/// Runs one agent against a scripted gateway and gives what was reported, up to its end.
pub(super) async fn run_one<Script>(
    path: Path,
    patience: Duration,
    script: impl FnOnce(TcpListener) -> Script,
) -> Vec<Report>
where
    Script: Future<Output = ()> + Send + 'static,
{
    run_with(path, patience, script, |_, _| {}).await
}

/// As [`run_one`], with something done after each report.
pub(super) async fn run_with<Script>(
    path: Path,
    patience: Duration,
    script: impl FnOnce(TcpListener) -> Script,
    then: impl FnMut(&mut GatewayRuntime, &Report),
) -> Vec<Report>
where
    Script: Future<Output = ()> + Send + 'static,
{
    run_all(path, patience, vec![Action::Spawn(order(KEY))], script, then).await
}

/// As [`run_with`], with these actions to begin with.
pub(super) async fn run_all<Script>(
    path: Path,
    patience: Duration,
    actions: Vec<Action>,
    script: impl FnOnce(TcpListener) -> Script,
    mut then: impl FnMut(&mut GatewayRuntime, &Report),
) -> Vec<Report>
where
    Script: Future<Output = ()> + Send + 'static,
{
    let (listener, config, endpoint) = listen().await;
    let config = GatewayConfig { path, ..config };
    let gateway = tokio::spawn(script(listener));
    let mut runtime = GatewayRuntime::connect_patiently(&config, endpoint, patience).await.expect("connects");
    for action in actions {
        runtime.begin(action, START);
    }
    let mut reports = Vec::new();
    let ended = async {
        loop {
            let report = next_of(&mut runtime).await;
            then(&mut runtime, &report);
            reports.push(report);
            if matches!(reports.last(), Some(Report::Ended { .. })) {
                return;
            }
        }
    };
    timeout(2 * MINUTE, ended).await.expect("ends in time");
    drop(runtime);
    if gateway.is_finished() {
        gateway.await.expect("the script went through");
    } else {
        gateway.abort();
    }
    reports
}

/// The next report of an agent.
pub(super) async fn next_of(runtime: &mut GatewayRuntime) -> Report {
    loop {
        let report = runtime.next_report(START).await;
        if !matches!(report, Report::Met { .. }) {
            return report;
        }
    }
}

pub(super) fn ending(reports: &[Report]) -> &Ending {
    match reports.last() {
        Some(Report::Ended { ending, .. }) => ending,
        other => panic!("no end: {other:?}"),
    }
}

pub(super) fn hello_text() -> Ending {
    Ending::Replied(r#"{"answer": "hello from haiku", "id": "b1"}"#.to_owned())
}

pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// What `tasks.list` says of one run of a session.
pub(super) fn task_row(key: &str, run_id: &str, state: &str) -> Value {
    json!({"tasks": [{"runId": run_id, "childSessionKey": key, "execution": {"state": state}}]})
}

pub(super) fn no_tasks() -> Value {
    json!({"tasks": []})
}

pub(super) fn no_session() -> Value {
    sample("ws_sessions_describe_missing")["payload"].clone()
}

/// The transcript of a run of ours.
pub(super) fn transcript(text: &str) -> Value {
    let mut payload = sample("ws_sessions_get")["response"]["payload"].clone();
    let message = &mut payload["messages"][1];
    message["content"][0]["text"] = json!(text);
    message["__openclaw"]["runId"] = json!(KEY);
    payload
}

pub(super) fn wait_ended() -> Value {
    sample("wait_ok")["agent.wait"]["payload"].clone()
}

pub(super) fn wait_open() -> Value {
    sample("wait_unknown_run")["response"]["payload"].clone()
}
