//! The translation, against what real gateways have answered.

use serde_json::{Value, json};

use super::super::samples::sample;
use super::*;

fn final_of(payload: &Value) -> Outcome {
    match AgentAnswer::read(payload) {
        Some(AgentAnswer::Final(outcome)) => outcome,
        other => panic!("not a final answer: {other:?}"),
    }
}

/// The payload of the frame at `index` of a recorded exchange.
fn frame(name: &str, index: usize) -> Value {
    let sample = sample(name);
    let frame = sample.pointer(&format!("/frames/{index}/frame")).or_else(|| sample.pointer(&format!("/{index}")));
    frame.expect("a frame")["payload"].clone()
}

const SUMMED: Tokens = Tokens { input: 100, output: 10, cache_read: 20, cache_write: 0, total: 130 };

#[test]
fn the_first_answer_names_the_session_and_the_last_has_all() {
    let accepted = AgentAnswer::read(&frame("agent_rpc_frames_admin_model", 0));
    let session = Session { key: "agent:main:pb-1".into(), run_id: "idb1".into() };
    assert_eq!(accepted, Some(AgentAnswer::Accepted(session)));
    let outcome = final_of(&frame("agent_rpc_frames_admin_model", 2));
    assert_eq!(outcome.ending, Ending::Replied(r#"{"answer": "hello from haiku", "id": "b1"}"#.to_owned()));
    assert_eq!(outcome.usage.tokens, Some(SUMMED));
    assert!((outcome.usage.cost.expect("a cost") - 0.00015).abs() < 1e-9);
    assert_eq!(outcome.model_used.as_deref(), Some("mock/haiku"));
}

#[test]
fn a_repeated_call_is_in_flight_or_the_whole_end() {
    let in_flight = AgentAnswer::read(&frame("agent_rpc_frames_dup_in_flight_b", 1));
    assert!(matches!(in_flight, Some(AgentAnswer::InFlight(session)) if &*session.run_id == "idb7"));
    assert!(matches!(final_of(&frame("agent_rpc_frames_dup_done", 0)).ending, Ending::Replied(_)));
}

#[test]
fn failures_timeouts_stops_and_silence_are_told_apart() {
    let failed = final_of(&frame("agent_rpc_frames_badmodel", 2)).ending;
    assert!(matches!(failed, Ending::Failed { message } if message.starts_with("Unknown model: nope/none")));
    assert_eq!(final_of(&frame("agent_rpc_frames_timeout", 2)).ending, Ending::TimedOut);
    assert_eq!(final_of(&frame("agent_rpc_abort_frames", 3)).ending, Ending::Stopped { reason: "rpc".to_owned() });
    let empty = final_of(&sample("d_empty")["frame2"]["payload"]);
    assert_eq!(empty.ending, Ending::Replied(String::new()));
    assert!(empty.usage.tokens.is_some());
}

#[test]
fn of_several_replies_the_last_counts_and_an_error_is_no_reply() {
    let of = |payloads: Value, visible: Option<&str>| {
        let result = json!({"payloads": payloads, "meta": {"finalAssistantVisibleText": visible}});
        final_of(&json!({"status": "ok", "result": result})).ending
    };
    let two = json!([{"text": "let me look"}, {"text": "42"}]);
    assert_eq!(of(two.clone(), Some("42")), Ending::Replied("42".to_owned()));
    assert_eq!(of(two, None), Ending::Replied("let me look\n\n42".to_owned()));
    assert_eq!(of(json!([{"text": "oops", "isError": true}, {"text": "a"}]), None), Ending::Replied("a".to_owned()));
    assert_eq!(of(json!([{"text": "oops", "isError": true}]), None), Ending::Failed { message: "oops".to_owned() });
}

#[test]
fn a_wait_tells_an_end_only_if_it_has_a_time() {
    let end = |name: &str, pointer: &str| WaitEnd::read(sample(name).pointer(pointer).expect("a payload"));
    assert_eq!(end("wait_unknown_run", "/response/payload"), None);
    assert_eq!(end("wait_wait_timeout", "/agent.wait/payload"), None);
    let ok = end("wait_ok", "/agent.wait/payload").expect("ended");
    assert!(ok.has_text && matches!(ok.ending, Ending::Replied(_)));
    assert_eq!(ok.model_used.as_deref(), Some("mock/haiku"));
    let empty = end("wait_empty", "/agent.wait/payload").expect("ended");
    assert_eq!(empty.ending, Ending::Replied(String::new()));
    assert_eq!(end("wait_run_timeout", "/agent.wait/payload").expect("ended").ending, Ending::TimedOut);
    let failed = end("wait_http500", "/agent.wait/payload").expect("ended").ending;
    assert!(matches!(failed, Ending::Failed { message } if message.contains("HTTP 500")));
    let aborted = end("cancel_sessions_abort_key_runId", "/concurrent agent.wait/payload").expect("ended");
    assert_eq!(aborted.ending, Ending::Stopped { reason: "rpc".to_owned() });
    let deleted = end("cancel_sessions_delete_running", "/concurrent agent.wait/payload").expect("ended");
    assert_eq!(deleted.ending, Ending::Stopped { reason: "delete".to_owned() });
}

#[test]
fn a_transcript_gives_the_whole_text_and_sums_the_calls_of_one_run() {
    let recorded = sample("ws_sessions_get");
    let run_id = "7a6bd081-a0dd-43bb-946e-03b4f2bf9555";
    let transcript = Transcript::read(&recorded["response"]["payload"], run_id);
    assert!(transcript.text.as_ref().is_some_and(|text| text.ends_with("END")));
    assert_eq!(transcript.usage.tokens, Some(SUMMED));
    assert_eq!(transcript.model_used.as_deref(), Some("mock/haiku"));
    assert_eq!(Transcript::read(&recorded["response"]["payload"], "another"), Transcript::default());

    let call = |said: &str, run_id: &str| {
        json!({"role": "assistant", "content": [{"type": "thinking", "text": "hm"}, {"type": "text", "text": said}],
               "provider": "mock", "model": "opus", "__openclaw": {"runId": run_id},
               "usage": {"input": 1, "output": 2, "cacheRead": 3, "cacheWrite": 4, "totalTokens": 10, "cost": {"total": 0.5}}})
    };
    let messages = json!({"messages": [call("a", "r"), call("", "r"), call("other", "x")]});
    let summed = Transcript::read(&messages, "r");
    assert_eq!(summed.text.as_deref(), Some("a"));
    assert_eq!(summed.usage.cost, Some(1.0));
    assert_eq!(summed.usage.tokens.map(|tokens| (tokens.input, tokens.total)), Some((2, 20)));
}

#[test]
fn what_a_stopped_run_had_written_is_no_answer_and_costs_what_nobody_knows() {
    let recorded = sample("partial_text");
    let read = |name: &str| {
        let payload = &recorded[name]["sessions.get"];
        Transcript::read(payload, text(payload, "/messages/1/__openclaw/runId").expect("a run"))
    };
    for (name, said) in
        [("aborted", "w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 w12"), ("aborted_child", "w0 w1 w2 w3 w4 w5 w6 w7 w8")]
    {
        let transcript = read(name);
        assert_eq!(transcript.text.as_deref(), Some(said));
        assert!(!transcript.is_answer);
        assert_eq!((transcript.usage.tokens, transcript.usage.cost), (None, None));
        assert_eq!(transcript.model_used, None);
    }
    let timed_out = read("timed_out");
    assert_eq!((timed_out.text, timed_out.usage.cost), (None, None));
    assert_eq!(timed_out.model_used.as_deref(), Some("anthropic/claude-haiku-4-5"));
}

#[test]
fn what_was_written_is_partial_only_of_a_run_that_was_cut_short() {
    let recorded = &sample("partial_text")["timed_out"]["agent.wait"];
    let end = WaitEnd::read(recorded).expect("an end");
    assert_eq!(end.clone().with(Transcript::default()).partial.as_deref(), Some("w0 w1 w2 w3 w4 w5 w6 w7"));
    let earlier = Transcript { text: Some("let me look".to_owned()), ..Transcript::default() };
    let stopped = WaitEnd::of(Ending::Stopped { reason: "rpc".to_owned() }, false);
    assert_eq!(stopped.with(earlier.clone()).partial.as_deref(), Some("let me look"));
    let failed = WaitEnd::of(Ending::Failed { message: "HTTP 500".to_owned() }, false);
    assert_eq!(failed.with(earlier).partial, None);
    // It had waited too long for its turn, and then it answered.
    let answered = Transcript { text: Some("b".to_owned()), is_answer: true, ..Transcript::default() };
    let outcome = WaitEnd::of(Ending::TimedOut, false).with(answered);
    assert_eq!((outcome.ending, outcome.partial), (Ending::Replied("b".to_owned()), None));
}

#[test]
fn a_cut_reply_is_replaced_by_the_whole_one_and_silence_stays_silence() {
    let whole = Transcript { text: Some("whole".to_owned()), ..Transcript::default() };
    let end = |text: &str| WaitEnd::of(Ending::Replied(text.to_owned()), true);
    assert_eq!(end("wh…").with(whole.clone()).ending, Ending::Replied("whole".to_owned()));
    assert!(matches!(end("wh…").with(Transcript::default()).ending, Ending::Lost { .. }));
    assert!(matches!(end("").with(Transcript::default()).ending, Ending::Lost { .. }));
    assert_eq!(end("short").with(Transcript::default()).ending, Ending::Replied("short".to_owned()));
    let silent = WaitEnd::of(Ending::Replied(String::new()), false);
    assert_eq!(silent.with(whole).ending, Ending::Replied(String::new()));
}

#[test]
fn a_session_is_described_or_gone() {
    assert_eq!(Described::read(&sample("ws_sessions_describe_missing")["payload"]), None);
    let described = Described::read(&sample("ws_sessions_describe")["response"]["payload"]).expect("a session");
    assert_eq!(described.standing, Standing::Done);
    assert_eq!(described.last_run_id.as_deref(), Some("7a6bd081-a0dd-43bb-946e-03b4f2bf9555"));
    assert_eq!(described.working_for, Some(Duration::from_millis(1_795_259_846_271 - 1_795_259_843_670)));
    let queued = Described::read(&json!({"session": {"key": "k"}})).expect("a session");
    assert_eq!((queued.standing, queued.working_for), (Standing::Queued, None));
}
