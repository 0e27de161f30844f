//! One question to a gateway that nothing else is to be done with: a connection of its own, and one answer.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::config::Endpoint;
use super::error::GatewayError;
use super::frames::{ErrorFrame, text};
use super::socket::open;

/// Asks `method` with `params`. How long it may take, callers bound.
///
/// # Errors
/// Where there is no usable gateway; see [`GatewayError`]. The gateway's own refusal is one of its greeting.
pub async fn ask(endpoint: &Endpoint, method: &str, params: &Value) -> Result<Value, GatewayError> {
    let broken = |reason: String| GatewayError::Greeting { url: endpoint.url.clone(), reason };
    let (mut socket, _) = open(endpoint).await?;
    let request = json!({"type": "req", "id": "q1", "method": method, "params": params});
    socket.send(Message::text(request.to_string())).await.map_err(|error| broken(error.to_string()))?;
    while let Some(message) = socket.next().await {
        let Message::Text(frame) = message.map_err(|error| broken(error.to_string()))? else { continue };
        let mut frame: Value = serde_json::from_str(&frame).map_err(|error| broken(error.to_string()))?;
        if text(&frame, "/id") == Some("q1") {
            if let Some(error) = frame.get("error") {
                return Err(broken(ErrorFrame::read(error).message));
            }
            return Ok(frame["payload"].take());
        }
    }
    Err(broken("it hung up".to_owned()))
}
