//! Asks a gateway about itself, once: its greeting, and the answers to a list of questions. Starts nothing, needs no scope,
//! and ends in bounded time whatever the other side does.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_tungstenite::tungstenite::Message;

use super::config::Endpoint;
use super::error::GatewayError;
use super::frames::Frame;
use super::socket::{Socket, no_greeting, open_any};

/// Between two tries to be let in by a gateway that is starting.
const PAUSE: Duration = Duration::from_millis(500);

/// A question: a method and its parameters.
pub type Question = (&'static str, Value);

/// What was answered to one, or why nothing was.
pub type Answer = Result<Value, String>;

/// What a gateway says of itself.
#[derive(Debug, Clone, Default)]
pub struct Interview {
    /// Its greeting's payload.
    pub greeting: Value,
    /// Its answers, in the order of the questions.
    pub answers: Vec<Answer>,
}

/// Asks `questions`, all at once. It is waited for as long as `patience` until it greets, and again until it has answered.
///
/// # Errors
/// Where it does not greet us.
pub async fn interview(
    endpoint: &Endpoint,
    questions: &[Question],
    patience: Duration,
) -> Result<Interview, GatewayError> {
    let deadline = Instant::now() + patience;
    let silent = || no_greeting(endpoint, format!("no greeting within {} s", patience.as_secs()));
    let (socket, greeting) = loop {
        match timeout_at(deadline, open_any(endpoint)).await {
            Err(_) => return Err(silent()),
            Ok(Err(GatewayError::Starting { url, reason, .. })) => {
                if Instant::now() + PAUSE >= deadline {
                    return Err(GatewayError::Starting { url, reason, seconds: patience.as_secs() });
                }
                sleep(PAUSE).await;
            }
            Ok(opened) => break opened?,
        }
    };
    let mut answers = vec![Err(format!("no answer within {} s", patience.as_secs())); questions.len()];
    // What has come in by then counts.
    let _ = timeout_at(Instant::now() + patience, ask(socket, questions, &mut answers)).await;
    Ok(Interview { greeting, answers })
}

async fn ask(mut socket: Socket, questions: &[Question], answers: &mut [Answer]) {
    for (index, (method, params)) in questions.iter().enumerate() {
        let frame = json!({"type": "req", "id": index.to_string(), "method": method, "params": params});
        if socket.send(Message::text(frame.to_string())).await.is_err() {
            return;
        }
    }
    let mut open = questions.len();
    while open > 0 {
        let Some(Ok(message)) = socket.next().await else { return };
        let Message::Text(words) = message else { continue };
        let Some(Frame::Answer { id, said }) = Frame::read(&words) else { continue };
        let Some(answer) = usize::try_from(id).ok().and_then(|index| answers.get_mut(index)) else { continue };
        *answer = said.map_err(|(error, _)| error.message);
        open -= 1;
    }
}
