//! How the run's process and its agents talk: lines of JSON over a Unix socket.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::Interest;
use tokio::net::UnixStream;

use parallel_agents::core::action::{AttemptRef, SpawnOrder};
use parallel_agents::core::failure::Ending;
use parallel_agents::core::prompt::Prompt;
use parallel_agents::core::usage::{Tokens, Usage};

/// One end of the socket. What is sent leaves at once if there is room, else while the next line is waited for.
pub struct Line {
    stream: UnixStream,
    read: Vec<u8>,
    unsent: Vec<u8>,
}

impl Line {
    pub async fn new(stream: UnixStream) -> Self {
        // From then on it is known that there is room.
        let _ = stream.writable().await;
        Self { stream, read: Vec::new(), unsent: Vec::new() }
    }

    pub fn send(&mut self, value: &Value) {
        serde_json::to_writer(&mut self.unsent, value).expect("JSON");
        self.unsent.push(b'\n');
        self.flush();
    }

    pub fn is_all_sent(&self) -> bool {
        self.unsent.is_empty()
    }

    fn flush(&mut self) {
        while !self.unsent.is_empty() {
            match self.stream.try_write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                // The other end is gone, which the next read tells.
                Err(_) => self.unsent.clear(),
            }
        }
    }

    /// The next line; `None` once the other end is gone. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("a line of JSON"));
            }
            let interest =
                if self.unsent.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
            let ready = self.stream.ready(interest).await.ok()?;
            if ready.is_writable() {
                self.flush();
            }
            if ready.is_readable() {
                let mut bytes = [0; 16 * 1024];
                match self.stream.try_read(&mut bytes) {
                    Ok(0) => return None,
                    Ok(count) => self.read.extend_from_slice(&bytes[..count]),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(_) => return None,
                }
            }
        }
    }
}

pub fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no `{field}` in {value}")).to_owned()
}

/// An order as a line: `verb` is `spawn` or `adopt`.
pub fn order_line(verb: &str, order: &SpawnOrder) -> Value {
    json!({
        "do": verb,
        "key": *order.key,
        "task_index": order.attempt.task_index,
        "task_id": *order.task_id,
        "agent_type": *order.agent_type,
        "model": order.model.as_deref(),
        "prompt": order.prompt.text(),
        "timeout": order.timeout.as_secs_f64(),
    })
}

/// The order of such a line, as the attempt `attempt` of those who carry it out.
pub fn order_of(line: &Value, attempt: AttemptRef) -> SpawnOrder {
    SpawnOrder {
        attempt,
        key: text(line, "key").into(),
        task_id: text(line, "task_id").into(),
        agent_type: text(line, "agent_type").into(),
        model: line["model"].as_str().map(Into::into),
        prompt: Prompt::plain(&text(line, "prompt")),
        timeout: Duration::from_secs_f64(line["timeout"].as_f64().expect("seconds")),
    }
}

pub fn ending_line(ending: &Ending) -> Value {
    match ending {
        Ending::Replied(text) => json!(["replied", text]),
        Ending::Failed { message } => json!(["failed", message]),
        Ending::TimedOut => json!(["timed out", ""]),
        Ending::Stopped { reason } => json!(["stopped", reason]),
        Ending::Lost { reason } => json!(["lost", reason]),
        Ending::Cut(_) | Ending::Refused(_) | Ending::Unstoppable { .. } => {
            panic!("no agent of these rehearsals ends so: {ending:?}")
        }
    }
}

pub fn ending_of(line: &Value) -> Ending {
    let words = line[1].as_str().expect("a text").to_owned();
    match line[0].as_str() {
        Some("replied") => Ending::Replied(words),
        Some("failed") => Ending::Failed { message: words },
        Some("timed out") => Ending::TimedOut,
        Some("stopped") => Ending::Stopped { reason: words },
        Some("lost") => Ending::Lost { reason: words },
        other => panic!("no agent ends as {other:?}"),
    }
}

pub fn usage_line(usage: &Usage) -> Value {
    json!({"cost": usage.cost, "tokens": usage.tokens.map(|tokens| json!([tokens.input, tokens.output]))})
}

pub fn usage_of(line: &Value) -> Usage {
    let tokens = line["tokens"].as_array().map(|both| {
        let [input, output] = [&both[0], &both[1]].map(|count| count.as_u64().expect("a count"));
        Tokens { input, output, total: input + output, ..Tokens::default() }
    });
    Usage { tokens, cost: line["cost"].as_f64() }
}
