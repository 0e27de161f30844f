//! What is remembered of a child, and how it is told: a row of a list, the messages of a history. Pure.
//!
//! Names and values are those of the gateway's own tools, so that a program finds what it looks for.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::order::ChildOrder;
use crate::core::action::Session;
use crate::core::failure::{Ending, Refusal};
use crate::core::settings::Cleanup;
use crate::core::time::Time;
use crate::core::usage::Usage;

/// Why we have stopped an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopCause {
    /// It went on past its time.
    Overdue,
    /// Nobody wants it any more.
    Unwanted,
}

/// How a child ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ChildEnd {
    /// The gateway's word: `done`, `failed`, `timeout`, `killed`.
    pub status: &'static str,
    /// What it said, whole, or why it said nothing.
    pub said: Result<String, String>,
    pub usage: Usage,
    pub model_used: Option<Arc<str>>,
    pub at: Time,
}

impl ChildEnd {
    pub fn new(
        ending: Ending,
        usage: Usage,
        model_used: Option<Arc<str>>,
        stop: Option<StopCause>,
        timeout_seconds: u64,
        at: Time,
    ) -> Self {
        let (status, said) = match (ending, stop) {
            (Ending::Replied(text) | Ending::Cut(text), _) => ("done", Ok(text)),
            (Ending::TimedOut, _) => ("timeout", Err("the agent did not finish in time".to_owned())),
            (Ending::Stopped { .. }, Some(StopCause::Overdue)) => {
                ("timeout", Err(format!("the agent was stopped: it went on past its {timeout_seconds} s")))
            }
            (Ending::Stopped { reason }, _) => ("killed", Err(format!("the agent was stopped ({reason})"))),
            (Ending::Failed { message } | Ending::Refused(Refusal { message, .. }), _) => ("failed", Err(message)),
            (Ending::Lost { reason } | Ending::Unstoppable { reason }, _) => ("failed", Err(reason)),
        };
        Self { status, said, usage, model_used, at }
    }
}

/// The row of an accepted child.
pub(super) fn row(order: &ChildOrder, session: &Session, since: Time, end: Option<&ChildEnd>, agent: &str) -> Value {
    let mut row = Map::new();
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            row.insert(name.to_owned(), value);
        }
    };
    set("key", json!(session.key));
    set("runId", json!(session.run_id));
    set("label", json!(order.label));
    set("agentId", json!(agent));
    set("agent_id", json!(order.agent_id));
    set("kind", json!("other"));
    set("status", json!(end.map_or("running", |end| end.status)));
    set("model", json!(end.and_then(|end| end.model_used.as_ref()).or(order.model.as_ref())));
    set("createdAt", json!(since.as_millis()));
    set("updatedAt", json!(end.map_or(since, |end| end.at).as_millis()));
    match end {
        // Programs without an eye for `status` take any tokens for the sign of an end.
        None => set("totalTokens", json!(0)),
        Some(end) => {
            set("endedAt", json!(end.at.as_millis()));
            if let Some(tokens) = end.usage.tokens {
                set("totalTokens", json!(tokens.total));
                set("inputTokens", json!(tokens.input));
                set("outputTokens", json!(tokens.output));
            }
            set("estimatedCostUsd", json!(end.usage.cost_at(None)));
            set("error", json!(end.said.as_ref().err()));
        }
    }
    set(
        "cleanup",
        json!(match order.cleanup {
            Cleanup::Delete => "delete",
            Cleanup::Keep | Cleanup::Impossible => "keep",
        }),
    );
    Value::Object(row)
}

/// What a child was told, and what it said at its end. A child that said nothing has no message of role `assistant`.
pub(super) fn messages(order: &ChildOrder, end: Option<&ChildEnd>) -> Vec<Value> {
    let mut messages = vec![json!({ "role": "user", "content": order.prompt })];
    if let Some(end) = end {
        let mut last = match &end.said {
            Ok(text) => json!({ "role": "assistant", "content": text }),
            Err(reason) => json!({ "role": "custom", "content": reason, "isError": true }),
        };
        last["timestamp"] = json!(end.at.as_millis());
        if let Some(model) = &end.model_used {
            last["model"] = json!(model);
        }
        if let Some(tokens) = end.usage.tokens {
            last["usage"] = json!({
                "input": tokens.input, "output": tokens.output, "cacheRead": tokens.cache_read,
                "cacheWrite": tokens.cache_write, "totalTokens": tokens.total,
            });
        }
        messages.push(last);
    }
    messages
}

/// A message of the gateway, with its text as `content`. What it has beside text stays under `blocks`.
pub(super) fn told(mut message: Value) -> Value {
    let Some(fields) = message.as_object_mut() else { return message };
    if let Some(Value::Array(blocks)) = fields.get("content") {
        let text = |block: &Value| block.get("text").and_then(Value::as_str).map(str::to_owned);
        let is_text = |block: &&Value| block.get("type").and_then(Value::as_str) == Some("text");
        let texts: Vec<String> = blocks.iter().filter(is_text).filter_map(text).collect();
        let has_more = texts.len() < blocks.len();
        let blocks = fields.insert("content".to_owned(), json!(texts.join("\n\n"))).unwrap_or_default();
        if has_more {
            fields.insert("blocks".to_owned(), blocks);
        }
    }
    message
}

/// The answer of `sessions_history`.
pub(super) fn history(key: &str, mut messages: Vec<Value>, limit: Option<usize>) -> Value {
    let first = messages.len() - limit.unwrap_or(usize::MAX).min(messages.len());
    messages.drain(..first);
    json!({ "sessionKey": key, "messages": messages, "truncated": first > 0, "contentTruncated": false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::usage::Tokens;
    use std::time::Duration;

    fn order() -> ChildOrder {
        ChildOrder {
            prompt: "Count.".to_owned(),
            model: Some("p/asked".into()),
            timeout: Duration::from_secs(9),
            cleanup: Cleanup::Delete,
            label: Some("counting".to_owned()),
            agent_id: None,
        }
    }

    fn end(ending: Ending, stop: Option<StopCause>) -> ChildEnd {
        let tokens = Tokens { input: 2, output: 3, total: 5, ..Tokens::default() };
        let usage = Usage { tokens: Some(tokens), cost: Some(0.0) };
        ChildEnd::new(ending, usage, Some("p/used".into()), stop, 9, Time::from_millis(70))
    }

    fn shown(end: Option<&ChildEnd>) -> Value {
        let session = Session { key: "k".into(), run_id: "r".into() };
        row(&order(), &session, Time::from_millis(50), end, "main")
    }

    #[test]
    fn a_row_shows_tokens_only_at_the_end_and_no_price_that_is_not_known() {
        let running = shown(None);
        assert_eq!((&running["status"], &running["totalTokens"]), (&json!("running"), &json!(0)));
        assert_eq!(running["model"], "p/asked");
        let done = shown(Some(&end(Ending::Replied("one".to_owned()), None)));
        assert_eq!((&done["status"], &done["totalTokens"]), (&json!("done"), &json!(5)));
        assert_eq!((&done["model"], &done["label"]), (&json!("p/used"), &json!("counting")));
        assert_eq!(done.get("estimatedCostUsd"), None);
    }

    #[test]
    fn every_ending_has_the_gateways_word_and_a_reason() {
        let reason = || "why".to_owned();
        for (ending, stop, status) in [
            (Ending::TimedOut, None, "timeout"),
            (Ending::Stopped { reason: reason() }, None, "killed"),
            (Ending::Stopped { reason: reason() }, Some(StopCause::Unwanted), "killed"),
            (Ending::Stopped { reason: reason() }, Some(StopCause::Overdue), "timeout"),
            (Ending::Failed { message: reason() }, None, "failed"),
            (Ending::Lost { reason: reason() }, None, "failed"),
            (Ending::Unstoppable { reason: reason() }, None, "failed"),
        ] {
            let end = end(ending, stop);
            assert_eq!(end.status, status);
            let told = messages(&order(), Some(&end));
            let last = told.last().expect("two messages");
            assert_eq!(last["role"], "custom");
            assert_eq!(last["content"], shown(Some(&end))["error"]);
        }
    }

    #[test]
    fn a_history_ends_with_the_whole_answer() {
        let text = "x".repeat(20_000);
        let told = messages(&order(), Some(&end(Ending::Replied(text.clone()), None)));
        let history = history("k", told, Some(1));
        assert_eq!(history["messages"][0]["content"], json!(text));
        assert_eq!(history["messages"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn blocks_become_text_and_what_is_no_text_stays_beside_it() {
        let blocks = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        assert_eq!(
            told(json!({"role": "assistant", "content": blocks})),
            json!({"role": "assistant", "content": "a\n\nb"})
        );
        let call = json!([{"type": "toolCall", "name": "exec"}]);
        let message = told(json!({"role": "assistant", "content": call}));
        assert_eq!((&message["content"], &message["blocks"]), (&json!(""), &call));
        assert_eq!(told(json!({"content": "plain"})), json!({"content": "plain"}));
    }
}
