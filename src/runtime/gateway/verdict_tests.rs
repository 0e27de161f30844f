//! What each end means, from the wire to the verdict: every row of the table in ARCHITECTURE.md against what a real
//! gateway answered.

use serde_json::{Value, json};

use super::attempt::Attempt;
use super::frames::{ErrorFrame, spawned_child};
use super::link::CallError;
use super::outcome::{AgentAnswer, WaitEnd};
use super::samples::sample;
use crate::core::failure::FailureKind::{Busy, Model, Permanent, ServerError, Stopped, Timeout, Transient};
use crate::core::failure::{Ending, FailureKind};

/// A recording and where in it the frame stands.
fn at(name: &str, pointer: &str) -> Value {
    sample(name).pointer(pointer).unwrap_or_else(|| panic!("{name} has nothing at {pointer}")).clone()
}

fn of_agent(payload: &Value) -> Ending {
    match AgentAnswer::read(payload) {
        Some(AgentAnswer::Final(outcome)) => outcome.ending,
        other => panic!("not a final answer: {other:?}"),
    }
}

fn of_wait(payload: &Value) -> Ending {
    WaitEnd::read(payload).expect("an end").ending
}

fn of_error(error: &Value) -> Ending {
    Ending::Refused(ErrorFrame::read(error).into_refusal())
}

fn of_spawn(payload: &Value) -> Ending {
    Ending::Refused(spawned_child(payload).expect_err("a refusal"))
}

fn kind(ending: Ending) -> FailureKind {
    ending.judge().expect_err("a failure").kind
}

/// What a gateway says of a model that the list of an agent's models leaves out.
const NOT_ALLOWED: &str = "Model override \"anthropic/claude-haiku-4-5\" is not allowed for agent \"main\" by \
                           agents.defaults.models.";

fn unavailable(message: &str) -> Value {
    json!({ "code": "UNAVAILABLE", "message": message })
}

fn invalid(message: &str) -> Value {
    json!({ "code": "INVALID_REQUEST", "message": message })
}

#[test]
fn every_refusal_is_judged_as_documented() {
    let children = json!({"ok": true, "output": {"details": at("spawn_max_children", "/0")}});
    for (what, ending, expected) in [
        ("child limit reached", of_spawn(&children), Busy),
        ("too many requests at once", of_error(&at("ws_pipeline_overflow", "/error")), Busy),
        ("still starting", of_error(&at("ws_connect_starting_up", "/response_to_connect/error")), Busy),
        ("wrong token", of_error(&at("rate_limited", "/ws_attempt_0")), Permanent),
        ("unknown agent", of_error(&at("agent_rpc_unknown_agent", "/response/error")), Permanent),
        ("missing scope", of_error(&at("sessions_delete_write", "/response/error")), Permanent),
        ("denied tool", of_spawn(&at("ws_tools_invoke_spawn_without_allow_admin", "/payload")), Permanent),
        ("forbidden agent", of_spawn(&at("errors", "/ws_tools_invoke_bad_agent/response/payload")), Permanent),
        ("unknown model", of_spawn(&at("errors", "/ws_tools_invoke_bad_model/response/payload")), Model),
        ("unknown model, unavailable", of_error(&unavailable("Unknown model: nope/none.")), Model),
        ("model not in the agent's list", of_error(&unavailable(NOT_ALLOWED)), Model),
        ("model not in the agent's list, invalid", of_error(&invalid(NOT_ALLOWED)), Model),
        (
            "no right to choose a model",
            of_error(&at("agent_rpc_model_override_denied_write_scope", "/response/error")),
            Permanent,
        ),
    ] {
        assert_eq!(kind(ending), expected, "{what}");
    }
}

#[test]
fn every_end_of_a_run_is_judged_as_documented() {
    let provider = |status: u16| of_agent(&at(&format!("agent_rpc_http_{status}"), "/frame2/payload"));
    for (what, ending, expected) in [
        ("500", provider(500), ServerError),
        ("503", provider(503), ServerError),
        ("529, overloaded", provider(529), ServerError),
        ("500, waited for", of_wait(&at("wait_http500", "/agent.wait/payload")), ServerError),
        ("400", provider(400), Model),
        ("401", provider(401), Model),
        ("401, waited for", of_wait(&at("wait_http401", "/agent.wait/payload")), Model),
        ("402, no credit", provider(402), Model),
        ("403", provider(403), Model),
        ("404", provider(404), Model),
        ("429", provider(429), Model),
        ("unknown model", of_agent(&at("agent_rpc_frames_badmodel", "/frames/2/frame/payload")), Model),
        ("model not in the agent's list", of_agent(&json!({"status": "error", "summary": NOT_ALLOWED})), Model),
        ("no output", of_agent(&at("d_empty", "/frame2/payload")), Model),
        ("no output, waited for", of_wait(&at("wait_empty", "/agent.wait/payload")), Model),
        ("out of time", of_agent(&at("agent_rpc_frames_timeout", "/frames/2/frame/payload")), Timeout),
        ("out of time, waited for", of_wait(&at("wait_run_timeout", "/agent.wait/payload")), Timeout),
        ("aborted", of_agent(&at("agent_rpc_abort_frames", "/3/payload")), Stopped),
    ] {
        assert_eq!(kind(ending), expected, "{what}");
    }
}

#[test]
fn what_never_reached_the_gateway_is_judged_by_why() {
    let too_large = CallError::TooLarge { bytes: 30_000_000, bytes_max: 26_214_400 };
    let restarted = CallError::Cut { boot: "earlier".into() };
    let away = CallError::Unreachable { reason: "the gateway was unreachable for 60 s".to_owned() };
    assert_eq!(kind(Attempt::not_started(too_large).ending), Permanent);
    assert_eq!(kind(Attempt::not_started(restarted).ending), Transient);
    assert_eq!(kind(Attempt::not_started(away).ending), Transient);
}

#[test]
fn what_only_a_person_can_mend_says_how() {
    let reason = |ending: Ending| ending.judge().expect_err("a failure").reason;
    let denied = reason(of_spawn(&at("ws_tools_invoke_spawn_without_allow_admin", "/payload")));
    assert!(denied.contains("gateway.tools.allow"), "{denied}");
    let token = reason(of_error(&at("rate_limited", "/ws_attempt_0")));
    assert!(token.contains("OPENCLAW_GATEWAY_TOKEN"), "{token}");
    let large = reason(Attempt::not_started(CallError::TooLarge { bytes: 30_000_000, bytes_max: 26_214_400 }).ending);
    assert!(large.contains("shorten `task_description`"), "{large}");
}
