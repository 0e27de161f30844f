//! Children of a parent session: how they are started, found again after a cut, and followed to their end.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::peer::*;
use super::samples::sample;
use super::*;
use crate::core::action::Session;

fn spawn_accepted() -> Value {
    sample("ws_tools_invoke_spawn_a3")["response"]["payload"].clone()
}

const CHILD: &str = "agent:main:subagent:2d192cac-b9a4-45c5-b735-c756dd38ea48";
const CHILD_RUN: &str = "012063af-d01e-4ec7-887a-19052f098344";

fn child_transcript(text: &str) -> Value {
    let mut payload = transcript(text);
    payload["messages"][1]["__openclaw"]["runId"] = json!(CHILD_RUN);
    payload
}

#[tokio::test]
async fn a_child_is_spawned_waited_for_and_read() {
    let reports = run_one(Path::Spawn, MINUTE, |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &WRITE).await;
        let params = peer.serve("tools.invoke", &spawn_accepted()).await;
        let expected = json!({
            "name": "sessions_spawn", "sessionKey": "agent:main:pa-6c92ff2b",
            "args": {
                "task": "hi", "label": KEY, "model": "mock/haiku", "runTimeoutSeconds": 60, "cleanup": "keep",
                "expectsCompletionMessage": false,
            },
        });
        assert_eq!(params, expected);
        assert_eq!(peer.serve("agent.wait", &wait_ended()).await["runId"], CHILD_RUN);
        peer.serve("sessions.get", &child_transcript("done")).await;
        peer.stay().await;
    })
    .await;
    assert_eq!(*ending(&reports), Ending::Replied("done".to_owned()));
    let session = Session { key: CHILD.into(), run_id: CHILD_RUN.into() };
    assert_eq!(reports[0], Report::Spawned { attempt: ATTEMPT, session });
}

#[tokio::test]
async fn a_spawn_whose_answer_was_lost_is_found_by_its_label() {
    let reports = run_one(Path::Spawn, MINUTE, |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        peer.expect("tools.invoke").await;
        drop(peer);
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        // The gateway may still be at it.
        let params = peer.serve("sessions.resolve", &json!({"ok": false})).await;
        assert_eq!(params, json!({"label": KEY, "allowMissing": true}));
        serve_child(&mut peer).await;
        peer.serve_end(&child_transcript("found")).await;
    })
    .await;
    assert_eq!(*ending(&reports), Ending::Replied("found".to_owned()));
}

/// What the label of a child is asked for, once the gateway has started it.
async fn serve_child(peer: &mut Peer) {
    peer.serve("sessions.resolve", &json!({"ok": true, "key": CHILD})).await;
    let row = json!({"runId": CHILD_RUN, "childSessionKey": CHILD, "execution": {"state": "running"}});
    peer.serve("tasks.list", &json!({"tasks": [row]})).await;
}

#[tokio::test]
async fn a_spawn_that_is_carried_out_long_after_a_cut_is_not_repeated_before() {
    let reports = run_one(Path::Spawn, MINUTE, |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        peer.expect("tools.invoke").await;
        drop(peer);
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        tokio::time::pause();
        let since = tokio::time::Instant::now();
        peer.serve("sessions.resolve", &json!({"ok": false})).await;
        while since.elapsed() < Duration::from_secs(50) {
            peer.serve("sessions.resolve", &json!({"ok": false})).await;
        }
        serve_child(&mut peer).await;
        peer.serve_end(&child_transcript("late")).await;
    })
    .await;
    assert_eq!(*ending(&reports), Ending::Replied("late".to_owned()));
}

#[tokio::test]
async fn a_stop_asked_while_a_child_is_looked_for_is_obeyed_as_soon_as_it_is_found() {
    let (listener, config, endpoint) = listen().await;
    let config = GatewayConfig { path: Path::Spawn, ..config };
    let (looked_for, mut is_looked_for) = unbounded_channel();
    let gateway = tokio::spawn(async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        peer.expect("tools.invoke").await;
        drop(peer);
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        peer.serve("sessions.resolve", &json!({"ok": false})).await;
        looked_for.send(()).expect("the test listens");
        serve_child(&mut peer).await;
        let params = peer.serve("sessions.abort", &sample("sessions_abort_idle_or_missing")["payload"]).await;
        assert_eq!(params, json!({"key": CHILD, "runId": CHILD_RUN}));
        peer.serve("agent.wait", &sample("cancel_sessions_abort_key_runId")["concurrent agent.wait"]["payload"]).await;
        peer.serve("sessions.get", &json!({"messages": []})).await;
        peer.stay().await;
    });
    let mut runtime = GatewayRuntime::connect_to(&config, endpoint).await.expect("connects");
    runtime.begin(Action::Spawn(order(KEY)), START);
    let ended = async {
        loop {
            tokio::select! {
                Some(()) = is_looked_for.recv() => runtime.begin(Action::Stop(ATTEMPT), START),
                report = next_of(&mut runtime) => {
                    if let Report::Ended { ending, .. } = report {
                        return ending;
                    }
                }
            }
        }
    };
    let ending = timeout(MINUTE / 4, ended).await.expect("ends in time");
    assert_eq!(ending, Ending::Stopped { reason: "rpc".to_owned() });
    gateway.abort();
}

#[tokio::test]
async fn a_child_that_a_restart_interrupted_is_lost_once_the_gateway_says_so() {
    let reports = run_one(Path::Spawn, MINUTE, |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &WRITE).await;
        peer.serve("tools.invoke", &spawn_accepted()).await;
        drop(peer);
        let mut peer = Peer::greet(&listener, "boot-2", &WRITE).await;
        let recorded = sample("restart_SIGKILL");
        for state in ["state_at_restart", "state_30s_later"] {
            peer.serve("agent.wait", &wait_open()).await;
            peer.serve("sessions.describe", &json!({"session": recorded[state]["run0"]["describe"]})).await;
        }
        peer.serve("sessions.get", &json!({"messages": []})).await;
        peer.stay().await;
    })
    .await;
    let Ending::Lost { reason } = ending(&reports) else { panic!("{reports:?}") };
    assert_eq!(reason, "the gateway restarted while the agent was running");
}

#[tokio::test]
async fn what_an_order_leaves_open_is_left_to_the_gateway_on_either_path() {
    let (listener, config, endpoint) = listen().await;
    let config = GatewayConfig { path: Path::Spawn, ..config };
    let (peer, runtime) =
        tokio::join!(Peer::greet(&listener, "boot-1", &WRITE), GatewayRuntime::connect_to(&config, endpoint));
    let (mut peer, mut runtime) = (peer, runtime.expect("connects"));
    let open = || SpawnOrder { model: None, timeout: Duration::ZERO, ..order(KEY) };
    runtime.begin(Action::Spawn(open()), START);
    let (_, params) = peer.expect("tools.invoke").await;
    let expected = json!({"task": "hi", "label": KEY, "cleanup": "keep", "expectsCompletionMessage": false});
    assert_eq!(params["args"], expected);
    runtime.start_by(Path::Agent);
    let attempt = AttemptRef { start_no: 2, ..ATTEMPT };
    runtime.begin(Action::Spawn(SpawnOrder { attempt, ..open() }), START);
    // Without a model there is none to choose for the session first, though the token grants no more than writing.
    let (_, params) = peer.expect("agent").await;
    assert_eq!((params.get("model"), params.get("timeout")), (None, None));
}

#[tokio::test]
async fn an_onlooker_is_told_of_any_session_and_waits_for_no_start() {
    let (listener, config, endpoint) = listen().await;
    let connecting = GatewayRuntime::connect_to(&config, endpoint);
    let (mut peer, runtime) = tokio::join!(Peer::greet(&listener, "boot-1", &ADMIN), connecting);
    let mut runtime = runtime.expect("connects");
    for task_index in 0..150 {
        let attempt = AttemptRef { task_index, start_no: 1 };
        runtime.begin(Action::Spawn(SpawnOrder { attempt, ..order(&format!("{task_index}")) }), START);
    }
    for _ in 0..100 {
        peer.expect("agent").await;
    }
    let onlooker = runtime.onlooker();
    let script = async {
        let details = json!({"sessions": [{"key": "k"}], "count": 1});
        let payload = json!({"ok": true, "toolName": "sessions_list", "output": {"details": details}});
        let params = peer.serve("tools.invoke", &payload).await;
        assert_eq!(params, json!({"name": "sessions_list", "args": {"limit": 5}}));
        let denied =
            json!({"ok": false, "error": {"code": "not_found", "message": "Tool not available: sessions_list"}});
        peer.serve("tools.invoke", &denied).await;
        peer.serve("sessions.get", &json!({"messages": [{"role": "user"}]})).await;
        peer.serve("sessions.get", &json!({})).await;
    };
    let asking = async {
        assert_eq!(onlooker.list(json!({"limit": 5})).await.expect("a page")["sessions"][0]["key"], "k");
        assert_eq!(onlooker.list(json!({})).await.expect_err("denied"), "Tool not available: sessions_list");
        assert_eq!(onlooker.messages("k").await.expect("messages").len(), 1);
        assert!(onlooker.messages("k").await.expect("none").is_empty());
    };
    timeout(MINUTE / 4, async { tokio::join!(script, asking) }).await.expect("in time");
}
