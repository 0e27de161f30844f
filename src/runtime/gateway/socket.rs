//! Opens one WebSocket and is greeted on it. What travels over it afterwards is the [`link`](super::link)'s.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::config::Endpoint;
use super::error::GatewayError;
use super::frames::{ErrorFrame, Hello, text};
use crate::core::output::abridged;

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How long a connection may take to be made.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// How long a gateway may take to greet: one under load takes seconds.
const GREETING_PATIENCE: Duration = Duration::from_secs(20);
/// How long a gateway may be starting. On two cores 20-26 s were seen.
const STARTING_PATIENCE: Duration = Duration::from_secs(30);
const STARTING_PAUSE: Duration = Duration::from_millis(500);

/// Opens a connection, and waits for a gateway that answers but is still starting. Where nothing answers at all, that
/// is an error at once.
pub(super) async fn open_when_ready(endpoint: &Endpoint) -> Result<(Socket, Hello), GatewayError> {
    let deadline = Instant::now() + STARTING_PATIENCE;
    loop {
        match open(endpoint).await {
            Err(GatewayError::Starting { .. }) if Instant::now() < deadline => sleep(STARTING_PAUSE).await,
            other => return other,
        }
    }
}

/// Opens a connection on which agents can be started, now or not at all.
pub(super) async fn open(endpoint: &Endpoint) -> Result<(Socket, Hello), GatewayError> {
    let (socket, greeting) = open_any(endpoint).await?;
    let hello =
        Hello::read(&greeting).ok_or_else(|| no_greeting(endpoint, "its greeting names no `bootId`".to_owned()))?;
    if !hello.may_write() {
        let granted = if hello.scopes.is_empty() { "nothing".to_owned() } else { hello.scopes.join(", ") };
        return Err(GatewayError::NoWriteScope { url: endpoint.url.clone(), granted });
    }
    Ok((socket, hello))
}

/// Opens a connection, whatever it grants. With the gateway's greeting.
pub(super) async fn open_any(endpoint: &Endpoint) -> Result<(Socket, Value), GatewayError> {
    // What an agent may answer has no bound that we know of; the gateway keeps its own.
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let connected = timeout(CONNECT_PATIENCE, connect_async_with_config(&endpoint.url, Some(config), true)).await;
    let connected = connected.unwrap_or_else(|_| Err(SocketError::Io(std::io::ErrorKind::TimedOut.into())));
    let (mut socket, _) = connected.map_err(|error| not_connected(endpoint, error))?;
    let greeting = timeout(GREETING_PATIENCE, greet(endpoint, &mut socket)).await;
    let greeting = greeting.unwrap_or_else(|_| {
        Err(no_greeting(endpoint, format!("no greeting within {} s", GREETING_PATIENCE.as_secs())))
    })?;
    Ok((socket, greeting))
}

/// The payload of the greeting.
async fn greet(endpoint: &Endpoint, socket: &mut Socket) -> Result<Value, GatewayError> {
    let mut is_introduced = false;
    while let Some(message) = socket.next().await {
        let message = message.map_err(|error| no_greeting(endpoint, error.to_string()))?;
        let mut frame: Value = match message {
            Message::Text(text) => serde_json::from_str(&text)
                .map_err(|_| no_greeting(endpoint, "it sent something else than JSON".to_owned()))?,
            Message::Close(frame) => {
                let reason = frame.map_or_else(|| "it hung up".to_owned(), |frame| abridged(&frame.reason, 200));
                return Err(no_greeting(endpoint, reason));
            }
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
        };
        if !is_introduced && text(&frame, "/event") == Some("connect.challenge") {
            let introduction = Message::text(introduction(endpoint).to_string());
            socket.send(introduction).await.map_err(|error| no_greeting(endpoint, error.to_string()))?;
            is_introduced = true;
        } else if text(&frame, "/id") == Some("c0") {
            if let Some(error) = frame.get("error") {
                return Err(turned_away(endpoint, &ErrorFrame::read(error)));
            }
            return Ok(frame["payload"].take());
        }
    }
    Err(no_greeting(endpoint, "it hung up".to_owned()))
}

fn introduction(endpoint: &Endpoint) -> Value {
    let mut params = json!({
        "minProtocol": 4, "maxProtocol": 4,
        // Only this pair of id and mode is granted the scopes that it asks for.
        "client": {
            "id": "gateway-client", "mode": "backend",
            "version": env!("CARGO_PKG_VERSION"), "platform": std::env::consts::OS,
        },
        "role": "operator",
        "scopes": ["operator.read", "operator.write", "operator.admin"],
        // Without it every text of every run of the gateway is sent here, again and again.
        "caps": ["session-scoped-events"],
    });
    if let Some(token) = &endpoint.token {
        params["auth"] = json!({ "token": token.reveal(), "password": token.reveal() });
    }
    json!({"type": "req", "id": "c0", "method": "connect", "params": params})
}

fn not_connected(endpoint: &Endpoint, error: SocketError) -> GatewayError {
    let url = endpoint.url.clone();
    match error {
        SocketError::Http(response) if response.status() == 503 => {
            let reason = "it answers HTTP 503: it is starting, restarting or shutting down".to_owned();
            GatewayError::Starting { url, seconds: STARTING_PATIENCE.as_secs(), reason }
        }
        SocketError::Http(response) => no_greeting(endpoint, format!("it answers HTTP {}", response.status())),
        SocketError::Protocol(error) => no_greeting(endpoint, SocketError::Protocol(error).to_string()),
        other => GatewayError::Unreachable { url, from: endpoint.found_from().to_owned(), source: Box::new(other) },
    }
}

pub(super) fn no_greeting(endpoint: &Endpoint, reason: String) -> GatewayError {
    GatewayError::Greeting { url: endpoint.url.clone(), reason }
}

fn turned_away(endpoint: &Endpoint, error: &ErrorFrame) -> GatewayError {
    let url = endpoint.url.clone();
    let detail = error.detail.clone().unwrap_or_default();
    let reason = error.message.clone();
    if error.is_busy() {
        GatewayError::Starting { url, seconds: STARTING_PATIENCE.as_secs(), reason }
    } else if detail == "PROTOCOL_MISMATCH" {
        GatewayError::Protocol { url, reason }
    } else if error.code == "NOT_PAIRED" || detail.starts_with("AUTH_") || detail == "DEVICE_IDENTITY_REQUIRED" {
        GatewayError::Auth { url, reason }
    } else {
        GatewayError::Greeting { url, reason }
    }
}
