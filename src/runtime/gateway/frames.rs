//! The gateway's frames, read: errors, the greeting, events, spawn answers, models. Pure; what the end of a run looks
//! like is in [`outcome`](super::outcome). Unknown fields are passed over, missing ones stay unknown.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::core::action::Session;
use crate::core::failure::Refusal;
use crate::core::output::abridged;

/// How much of the gateway's words is shown to people, in characters.
const WORDS_CHARS: usize = 2_000;

/// How long we wait at the most because the gateway asks us to, and for a sign of life from it.
const WAIT_MAX: Duration = Duration::from_secs(3_600);

/// A gateway's identity from its start to its end: another one after a restart.
pub(super) type BootId = Arc<str>;

pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

pub(super) fn count(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer)?.as_u64()
}

fn span(value: &Value, pointer: &str) -> Option<Duration> {
    count(value, pointer).map(|millis| Duration::from_millis(millis).min(WAIT_MAX))
}

/// Words that people will be shown: one line, and never long, whatever a provider has put into them.
pub(super) fn words(value: &Value, pointer: &str) -> Option<String> {
    text(value, pointer).map(|words| abridged(words, WORDS_CHARS))
}

/// The same, or ours where the gateway has none.
pub(super) fn reason(value: &Value, pointer: &str) -> String {
    words(value, pointer).unwrap_or_else(|| "the gateway gave no reason".to_owned())
}

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ErrorFrame {
    pub code: String,
    pub detail: Option<String>,
    /// The `details.reason` of faults that have no code of their own.
    pub cause: Option<String>,
    pub message: String,
    pub retryable: bool,
    pub retry_after: Option<Duration>,
}

impl ErrorFrame {
    pub fn read(error: &Value) -> Self {
        let owned = |pointer| text(error, pointer).map(str::to_owned);
        Self {
            code: owned("/code").unwrap_or_else(|| "UNKNOWN".to_owned()),
            detail: owned("/details/code"),
            cause: owned("/details/reason"),
            message: reason(error, "/message"),
            retryable: error.pointer("/retryable").and_then(Value::as_bool).unwrap_or(false),
            retry_after: span(error, "/retryAfterMs"),
        }
    }

    /// The method has not run and may be called again.
    pub fn is_busy(&self) -> bool {
        self.code == "UNAVAILABLE" && self.retryable
    }

    pub fn into_refusal(self) -> Refusal {
        let Self { code, detail, cause: _, message, retryable, retry_after } = self;
        Refusal { code, detail, message, retryable, retry_after }
    }
}

/// A frame that is for us.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Frame {
    /// This run has started to work.
    Started(Arc<str>),
    /// The answer to the request of this number. A refusal may have a payload, too: a run that failed.
    Answer { id: u64, said: Result<Value, (Box<ErrorFrame>, Option<Value>)> },
}

impl Frame {
    /// `None` for what we have not asked for, which may be no JSON at all.
    pub fn read(text_of_frame: &str) -> Option<Self> {
        let mut frame = serde_json::from_str::<Value>(text_of_frame).ok()?;
        match text(&frame, "/type") {
            Some("event") if text(&frame, "/event") == Some("task") => started_run(&frame).map(Self::Started),
            Some("res") => {
                let id = text(&frame, "/id")?.parse().ok()?;
                let payload = frame.get_mut("payload").map(Value::take);
                let said = if frame.get("ok").and_then(Value::as_bool) == Some(true) {
                    Ok(payload.unwrap_or_default())
                } else {
                    Err((Box::new(ErrorFrame::read(frame.get("error").unwrap_or(&Value::Null))), payload))
                };
                Some(Self::Answer { id, said })
            }
            Some(_) | None => None,
        }
    }
}

/// What the gateway says of itself when it lets us in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hello {
    pub boot: BootId,
    pub scopes: Vec<String>,
    pub payload_bytes_max: usize,
    pub tick: Duration,
}

impl Hello {
    pub fn read(payload: &Value) -> Option<Self> {
        let scopes = payload.pointer("/auth/scopes").and_then(Value::as_array);
        Some(Self {
            boot: text(payload, "/server/bootId")?.into(),
            scopes: scopes.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
            payload_bytes_max: count(payload, "/policy/maxPayload")
                .and_then(|bytes| usize::try_from(bytes).ok())
                .unwrap_or(26_214_400),
            tick: span(payload, "/policy/tickIntervalMs")
                .unwrap_or(Duration::from_secs(30))
                .max(Duration::from_secs(1)),
        })
    }

    pub fn is_admin(&self) -> bool {
        self.scopes.iter().any(|scope| scope == "operator.admin")
    }

    pub fn may_write(&self) -> bool {
        self.is_admin() || self.scopes.iter().any(|scope| scope == "operator.write")
    }
}

/// That a run has started to work, as far as a `task` event tells.
///
/// A task's `status` is "running" even while it waits in its lane; only an activity tells that it works.
pub(super) fn started_run(event: &Value) -> Option<Arc<str>> {
    let task = event.pointer("/payload/task")?;
    let is_working = text(task, "/execution/state") == Some("running");
    let has_worked = count(task, "/execution/lastActivityAt").is_some();
    (is_working && has_worked).then(|| text(task, "/runId").map(Into::into))?
}

/// A row of `tasks.list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TaskRow {
    pub session_key: String,
    pub run_id: Arc<str>,
    pub is_over: bool,
    /// The gateway has the run in its hands, in its present life. What it only remembers is of an unknown state.
    pub is_live: bool,
    /// When the agent last did something, by the gateway's clock, in milliseconds.
    pub active_at: Option<u64>,
    /// A tool works for it, which may take long and is not heard of meanwhile.
    pub is_in_tool: bool,
}

pub(super) fn task_rows(payload: &Value) -> Vec<TaskRow> {
    let rows = payload.pointer("/tasks").and_then(Value::as_array);
    rows.into_iter()
        .flatten()
        .filter_map(|row| {
            let state = text(row, "/execution/state");
            let is_over = state == Some("finished") || count(row, "/endedAt").is_some();
            Some(TaskRow {
                session_key: text(row, "/childSessionKey").or_else(|| text(row, "/sessionKey"))?.to_owned(),
                run_id: text(row, "/runId")?.into(),
                is_over,
                is_live: !is_over && matches!(state, Some("running" | "queued")),
                active_at: count(row, "/execution/lastActivityAt"),
                is_in_tool: row.pointer("/execution/currentTool").is_some(),
            })
        })
        .collect()
}

/// The answer to `tools.invoke` of `sessions_spawn`.
pub(super) fn spawned_child(payload: &Value) -> Result<Session, Refusal> {
    if payload.pointer("/ok").and_then(Value::as_bool) != Some(true) {
        let error = ErrorFrame::read(payload.pointer("/error").unwrap_or(&Value::Null));
        return Err(error.into_refusal());
    }
    let details = payload.pointer("/output/details").unwrap_or(&Value::Null);
    match (text(details, "/status"), text(details, "/childSessionKey"), text(details, "/runId")) {
        (Some("accepted"), Some(key), Some(run_id)) => Ok(Session { key: key.into(), run_id: run_id.into() }),
        (status, _, _) => Err(Refusal {
            code: status.unwrap_or("unknown").to_owned(),
            message: words(details, "/error").unwrap_or_else(|| "the answer names no child session".to_owned()),
            ..Refusal::default()
        }),
    }
}

/// The name of a model that `models.list` has a row for, `provider/id`.
pub fn model_name(row: &Value) -> Option<String> {
    Some(format!("{}/{}", text(row, "/provider")?, text(row, "/id")?))
}

/// The provider in a model's name; empty if it names none.
pub fn provider_of(model: &str) -> &str {
    model.split_once('/').map_or("", |(provider, _)| provider)
}

/// The models that a gateway is configured with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownModels {
    /// Their names, `provider/id`.
    pub names: Vec<String>,
    /// Providers whose models the gateway has not found out yet. One of theirs may be usable though it is not listed.
    pub pending_providers: Vec<String>,
}

impl KnownModels {
    pub(super) fn read(payload: &Value) -> Self {
        let list = |pointer| payload.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        Self {
            names: list("/models").filter_map(model_name).collect(),
            pending_providers: list("/pendingProviders").filter_map(Value::as_str).map(str::to_owned).collect(),
        }
    }

    /// Whether a run on `model` is worth a try.
    pub fn may_have(&self, model: &str) -> bool {
        let provider = provider_of(model);
        self.names.iter().any(|name| name.eq_ignore_ascii_case(model))
            || self.pending_providers.iter().any(|pending| pending.eq_ignore_ascii_case(provider))
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::sample;
    use super::*;

    #[test]
    fn the_greeting_tells_boot_scopes_and_policy() {
        let hello = Hello::read(&sample("ws_hello_ok")["response"]["payload"]).expect("a hello");
        assert_eq!(&*hello.boot, "9d55c2b5-10ea-4a7c-bcf9-ac78347f176e");
        assert!(hello.is_admin() && hello.may_write());
        assert_eq!((hello.payload_bytes_max, hello.tick), (26_214_400, Duration::from_secs(30)));
    }

    #[test]
    fn refusals_keep_code_detail_and_pause() {
        let read = |name: &str, pointer: &str| ErrorFrame::read(sample(name).pointer(pointer).expect("an error"));
        let starting = read("ws_connect_starting_up", "/response_to_connect/error");
        assert!(starting.is_busy());
        assert_eq!(starting.retry_after, Some(Duration::from_millis(500)));
        assert_eq!(starting.cause.as_deref(), Some("startup-sidecars"));
        assert!(read("ws_pipeline_overflow", "/error").is_busy());
        let scope = read("sessions_delete_write", "/response/error").into_refusal();
        assert_eq!((scope.code.as_str(), scope.detail.as_deref()), ("FORBIDDEN", Some("MISSING_SCOPE")));
        assert_eq!(scope.message, "missing scope: operator.admin");
        let changed = read("sessions_delete_too_soon_after_end", "/response/error");
        assert_eq!(changed.cause.as_deref(), Some("session-changed"));
        assert!(!read("agent_rpc_unknown_agent", "/response/error").is_busy());
    }

    #[test]
    fn no_gateway_makes_us_wait_for_ever() {
        let error = ErrorFrame::read(&serde_json::json!({ "retryAfterMs": u64::MAX }));
        assert_eq!(error.retry_after, Some(WAIT_MAX));
        let policy = serde_json::json!({ "server": { "bootId": "b" }, "policy": { "tickIntervalMs": u64::MAX } });
        assert_eq!(Hello::read(&policy).map(|hello| hello.tick), Some(WAIT_MAX));
    }

    #[test]
    fn words_for_people_are_one_line_and_never_long() {
        let page = "<html>\n".repeat(100_000);
        let error = ErrorFrame::read(&serde_json::json!({ "code": "X", "message": page }));
        assert!(error.message.starts_with("<html>\\n<html>\\n") && error.message.len() < 2 * WORDS_CHARS);
        assert_eq!(reason(&serde_json::json!({}), "/message"), "the gateway gave no reason");
    }

    #[test]
    fn a_run_has_started_only_once_it_was_active() {
        let events = sample("task_events");
        let started: Vec<bool> =
            events.as_array().expect("events").iter().map(|event| started_run(event).is_some()).collect();
        assert_eq!(started, [false, false, false, false, true, true, false]);
    }

    #[test]
    fn a_spawn_is_accepted_or_refused_inside_an_answer_that_is_always_ok() {
        let child = spawned_child(&sample("ws_tools_invoke_spawn_a3")["response"]["payload"]).expect("accepted");
        assert_eq!(&*child.key, "agent:main:subagent:2d192cac-b9a4-45c5-b735-c756dd38ea48");
        assert_eq!(&*child.run_id, "012063af-d01e-4ec7-887a-19052f098344");
        let errors = sample("errors");
        let refused = |name: &str| spawned_child(&errors[name]["response"]["payload"]).expect_err("refused");
        assert_eq!(refused("ws_tools_invoke_bad_model").code, "error");
        assert!(refused("ws_tools_invoke_bad_model").message.contains("Unknown model: nope/none"));
        assert_eq!(refused("ws_tools_invoke_bad_agent").code, "forbidden");
        let denied = spawned_child(&sample("ws_tools_invoke_spawn_without_allow_admin")["payload"]);
        assert_eq!(denied.expect_err("denied").message, "Tool not available: sessions_spawn");
    }

    #[test]
    fn a_model_of_a_pending_provider_is_worth_a_try() {
        let mut known = KnownModels::read(&sample("models_list_default"));
        assert_eq!(known.names, ["anthropic/claude-haiku-4-5", "anthropic/claude-opus-4-5", "kimi-coding/k2p5"]);
        assert!(known.may_have("Anthropic/claude-haiku-4-5"));
        assert!(!known.may_have("openai/gpt"));
        known.pending_providers.push("openai".to_owned());
        assert!(known.may_have("openai/gpt"));
    }

    #[test]
    fn task_rows_tell_what_is_over_and_what_is_only_remembered() {
        let row = sample("ws_tasks_list_row");
        let rows = task_rows(&serde_json::json!({ "tasks": [row] }));
        assert_eq!(rows.len(), 1);
        assert!(rows[0].is_over && !rows[0].is_live && rows[0].session_key == "agent:main:f-3");
        let mut interrupted = sample("restart_SIGKILL")["state_at_restart"]["run0"]["tasks"][0].clone();
        interrupted["childSessionKey"] = "agent:main:run0".into();
        let mut live = interrupted.clone();
        live["execution"]["state"] = "queued".into();
        let rows = task_rows(&serde_json::json!({ "tasks": [interrupted, live] }));
        assert_eq!(
            rows.iter().map(|row| (row.is_over, row.is_live)).collect::<Vec<_>>(),
            [(false, false), (false, true)]
        );
    }
}
