//! What the gateway tells about sessions that need not be ours. Questions only: nothing is started or changed.

use serde_json::{Value, json};

use super::frames::reason;
use super::link::{CallError, Link};

/// Asks about sessions. Cheap to clone; it keeps the connection open.
#[derive(Debug, Clone)]
pub struct Onlooker {
    link: Link,
}

impl Onlooker {
    pub(super) fn new(link: Link) -> Self {
        Self { link }
    }

    /// What the gateway's own `sessions_list` tool answers to `args`.
    ///
    /// # Errors
    /// The gateway's words, or why it could not be asked.
    pub async fn list(&self, args: Value) -> Result<Value, String> {
        let params = json!({ "name": "sessions_list", "args": args });
        let mut answer = self.ask("tools.invoke", params).await?;
        if answer.pointer("/ok").and_then(Value::as_bool) != Some(true) {
            return Err(reason(&answer, "/error/message"));
        }
        Ok(answer.pointer_mut("/output/details").map(Value::take).unwrap_or_default())
    }

    /// The messages of a session, whole; none if there is no such session.
    ///
    /// # Errors
    /// The gateway's words, or why it could not be asked.
    pub async fn messages(&self, key: &str) -> Result<Vec<Value>, String> {
        let mut answer = self.ask("sessions.get", json!({ "key": key })).await?;
        match answer.pointer_mut("/messages").map(Value::take) {
            Some(Value::Array(messages)) => Ok(messages),
            Some(_) | None => Ok(Vec::new()),
        }
    }

    pub(super) async fn ask(&self, method: &'static str, params: Value) -> Result<Value, String> {
        match self.link.ask(method, &params).await {
            Ok(response) => Ok(response.payload),
            Err(CallError::Rejected { error, .. }) => Err(error.message),
            Err(CallError::Unreachable { reason }) => Err(reason),
            Err(CallError::Cut { .. } | CallError::OtherBoot | CallError::Withdrawn | CallError::TooLarge { .. }) => {
                Err("the gateway could not be asked".to_owned())
            }
        }
    }
}
