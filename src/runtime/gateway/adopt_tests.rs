//! Agents that an earlier process ordered: whatever has become of them, they are heard to their end, and none is started
//! twice.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use super::peer::*;
use super::samples::sample;
use super::*;
use crate::core::action::Session;

const CHILD: &str = "agent:main:subagent:2d192cac-b9a4-45c5-b735-c756dd38ea48";
const CHILD_RUN: &str = "012063af-d01e-4ec7-887a-19052f098344";

fn own() -> Session {
    Session { key: SESSION_KEY.into(), run_id: KEY.into() }
}

fn child() -> Session {
    Session { key: CHILD.into(), run_id: CHILD_RUN.into() }
}

/// An order of a minute and a half ago.
fn adopt(session: Option<Session>, boot: Option<&str>) -> Action {
    let (boot, ordered) = (boot.map(Into::into), Time::from_millis(10_000));
    Action::Adopt(Adoption { order: order(KEY), session, boot, ordered })
}

async fn adopt_one<Script>(path: Path, action: Action, script: impl FnOnce(TcpListener) -> Script) -> Vec<Report>
where
    Script: Future<Output = ()> + Send + 'static,
{
    run_all(path, MINUTE, vec![action], script, |_, _| {}).await
}

fn spawned(session: Session) -> Report {
    Report::Spawned { attempt: ATTEMPT, session }
}

fn child_transcript(text: &str) -> Value {
    let mut payload = transcript(text);
    payload["messages"][1]["__openclaw"]["runId"] = json!(CHILD_RUN);
    payload
}

fn described(status: &str, last_run_id: Option<&str>) -> Value {
    json!({"session": {"status": status, "lastRunId": last_run_id}})
}

fn aborted() -> Value {
    sample("cancel_sessions_abort_key_runId")["concurrent agent.wait"]["payload"].clone()
}

/// Nothing is known of the agent, however often it is asked.
async fn serve_nothing(peer: &mut Peer) {
    assert_eq!(peer.serve("tasks.list", &no_tasks()).await, json!({"sessionKey": SESSION_KEY}));
    assert_eq!(peer.serve("sessions.describe", &no_session()).await, json!({"key": SESSION_KEY}));
}

#[tokio::test]
async fn a_finished_agent_is_collected_whether_or_not_it_was_heard_to_be_taken() {
    for session in [Some(own()), None] {
        let reports = adopt_one(Path::Agent, adopt(session, Some("boot-1")), |listener| async move {
            let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
            peer.serve("tasks.list", &task_row(SESSION_KEY, KEY, "finished")).await;
            peer.serve_end(&transcript("all of it")).await;
        })
        .await;
        assert_eq!(reports[0], spawned(own()));
        assert_eq!(*ending(&reports), Ending::Replied("all of it".to_owned()));
        let Some(Report::Ended { usage, .. }) = reports.last() else { panic!("{reports:?}") };
        assert_eq!(usage.tokens.map(|tokens| tokens.total), Some(130));
        assert_eq!(reports.len(), 2, "taken once, ended once: {reports:?}");
    }
}

#[tokio::test]
async fn a_working_agent_is_followed_to_its_end() {
    let reports = adopt_one(Path::Agent, adopt(Some(own()), Some("boot-1")), |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        peer.serve("tasks.list", &task_row(SESSION_KEY, KEY, "running")).await;
        peer.serve("agent.wait", &wait_open()).await;
        peer.serve("sessions.describe", &described("running", None)).await;
        peer.serve_end(&transcript("in the end")).await;
    })
    .await;
    assert_eq!(*ending(&reports), Ending::Replied("in the end".to_owned()));
}

#[tokio::test]
async fn an_agent_that_the_present_boot_has_is_followed_whatever_boot_it_was_ordered_to() {
    for boot in [Some("boot-1"), None] {
        let reports = adopt_one(Path::Agent, adopt(None, boot), |listener| async move {
            let mut peer = Peer::greet(&listener, "boot-2", &ADMIN).await;
            peer.serve("tasks.list", &task_row(SESSION_KEY, KEY, "queued")).await;
            peer.serve("agent.wait", &wait_open()).await;
            peer.serve("sessions.describe", &json!({"session": {"key": SESSION_KEY}})).await;
            peer.serve_end(&transcript("not cut off")).await;
        })
        .await;
        assert_eq!(*ending(&reports), Ending::Replied("not cut off".to_owned()));
    }
}

#[tokio::test]
async fn what_ended_before_the_gateway_restarted_is_collected() {
    let reports = adopt_one(Path::Agent, adopt(Some(own()), Some("boot-1")), |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-2", &ADMIN).await;
        peer.serve("tasks.list", &task_row(SESSION_KEY, KEY, "finished")).await;
        peer.serve("agent.wait", &wait_open()).await;
        peer.serve("sessions.describe", &described("done", Some(KEY))).await;
        peer.serve("sessions.get", &transcript("in time")).await;
        peer.stay().await;
    })
    .await;
    assert_eq!(*ending(&reports), Ending::Replied("in time".to_owned()));
}

#[tokio::test]
async fn an_agent_that_a_restart_has_cut_off_is_deleted_and_lost() {
    for boot in [Some("boot-1"), None] {
        let reports = adopt_one(Path::Agent, adopt(Some(own()), boot), |listener| async move {
            let mut peer = Peer::greet(&listener, "boot-2", &ADMIN).await;
            peer.serve("tasks.list", &task_row(SESSION_KEY, KEY, "finished")).await;
            peer.serve("agent.wait", &wait_open()).await;
            peer.serve("sessions.describe", &described("running", None)).await;
            peer.serve("sessions.delete", &json!({"ok": true, "deleted": true})).await;
            peer.serve("sessions.describe", &no_session()).await;
            peer.stay().await;
        })
        .await;
        let Ending::Lost { reason } = ending(&reports) else { panic!("{reports:?}") };
        assert!(reason.contains("restarted"), "{reason}");
    }
}

#[tokio::test]
async fn what_the_gateway_has_run_again_by_itself_is_collected_and_not_run_a_third_time() {
    let reports = adopt_one(Path::Agent, adopt(Some(own()), Some("boot-1")), |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-2", &ADMIN).await;
        peer.serve("tasks.list", &task_row(SESSION_KEY, KEY, "finished")).await;
        peer.serve("agent.wait", &wait_open()).await;
        peer.serve("sessions.describe", &described("done", Some("another"))).await;
        let mut messages = transcript("once more");
        messages["messages"][1]["__openclaw"]["runId"] = json!("another");
        peer.serve("sessions.get", &messages).await;
        peer.stay().await;
    })
    .await;
    assert_eq!(*ending(&reports), Ending::Replied("once more".to_owned()));
}

#[tokio::test]
async fn what_was_taken_and_is_gone_was_deleted_by_somebody_else() {
    let reports = adopt_one(Path::Agent, adopt(Some(own()), Some("boot-1")), |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        serve_nothing(&mut peer).await;
        peer.serve("agent.wait", &wait_open()).await;
        peer.serve("sessions.describe", &no_session()).await;
        peer.stay().await;
    })
    .await;
    let Ending::Lost { reason } = ending(&reports) else { panic!("{reports:?}") };
    assert_eq!(reason, "its session was deleted by somebody else");
}

#[tokio::test]
async fn a_request_that_may_never_have_arrived_is_sent_again_under_its_own_id() {
    let reports = adopt_one(Path::Agent, adopt(None, Some("boot-1")), |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        serve_nothing(&mut peer).await;
        let (id, params) = peer.accept_agent().await;
        assert_eq!((&params["idempotencyKey"], &params["message"]), (&json!(KEY), &json!("hi")));
        peer.answer(&id, &final_frame()).await;
        peer.stay().await;
    })
    .await;
    assert_eq!(reports[0], spawned(own()));
    assert_eq!(*ending(&reports), hello_text());
}

#[tokio::test]
async fn a_request_that_was_still_on_its_way_is_recognised_when_it_is_sent_again() {
    let reports = adopt_one(Path::Agent, adopt(None, Some("boot-1")), |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        serve_nothing(&mut peer).await;
        let mut in_flight = accepted();
        in_flight["status"] = json!("in_flight");
        peer.serve("agent", &in_flight).await;
        peer.serve_end(&transcript("once")).await;
    })
    .await;
    assert_eq!(*ending(&reports), Ending::Replied("once".to_owned()));
}

#[tokio::test]
async fn a_request_is_not_sent_again_to_a_gateway_that_restarts_meanwhile() {
    let reports = adopt_one(Path::Agent, adopt(None, Some("boot-1")), |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        serve_nothing(&mut peer).await;
        drop(peer);
        let mut peer = Peer::greet(&listener, "boot-2", &ADMIN).await;
        peer.serve("sessions.delete", &json!({"ok": true, "deleted": false})).await;
        peer.stay().await;
    })
    .await;
    assert!(matches!(ending(&reports), Ending::Lost { .. }), "{reports:?}");
}

#[tokio::test]
async fn what_an_earlier_boot_never_took_is_lost_and_nothing_can_come_of_it() {
    for boot in [Some("boot-1"), None] {
        let reports = adopt_one(Path::Agent, adopt(None, boot), |listener| async move {
            let mut peer = Peer::greet(&listener, "boot-2", &ADMIN).await;
            tokio::time::pause();
            serve_nothing(&mut peer).await;
            // It is looked again, in case that the order has just been sent.
            loop {
                let frame = peer.receive().await;
                let answer = match frame["method"].as_str().expect("a method") {
                    "tasks.list" => no_tasks(),
                    "sessions.describe" => no_session(),
                    "sessions.delete" => break peer.answer(&frame["id"], &json!({"ok": true, "deleted": false})).await,
                    other => panic!("`{other}` was asked"),
                };
                peer.answer(&frame["id"], &answer).await;
            }
            peer.stay().await;
        })
        .await;
        tokio::time::resume();
        let Ending::Lost { reason } = ending(&reports) else { panic!("{reports:?}") };
        assert_eq!(reason, "the gateway has no session of the agent that an earlier process ordered");
        assert_eq!(reports.len(), 1, "nothing was taken: {reports:?}");
    }
}

#[tokio::test]
async fn a_session_that_was_only_made_to_choose_its_model_is_no_agent() {
    let reports = adopt_one(Path::Agent, adopt(None, Some("boot-1")), |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &WRITE).await;
        peer.serve("tasks.list", &no_tasks()).await;
        peer.serve("sessions.describe", &json!({"session": {"key": SESSION_KEY}})).await;
        peer.serve("sessions.create", &sample("model_via_sessions_create")["response"]["payload"]).await;
        let (id, _) = peer.accept_agent().await;
        peer.answer(&id, &final_frame()).await;
        peer.stay().await;
    })
    .await;
    assert_eq!(*ending(&reports), hello_text());
}

#[tokio::test]
async fn a_stop_that_comes_with_the_adoption_stops_what_works() {
    for (path, session) in [(Path::Agent, own()), (Path::Spawn, child())] {
        let expected = session.clone();
        let script = |listener: TcpListener| async move {
            let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
            peer.serve("tasks.list", &task_row(&expected.key, &expected.run_id, "running")).await;
            peer.expect("agent.wait").await;
            let params = peer.serve("sessions.abort", &sample("sessions_abort_idle_or_missing")["payload"]).await;
            assert_eq!(params, json!({"key": &*expected.key, "runId": &*expected.run_id}));
            peer.answer(&json!("2"), &aborted()).await;
            peer.serve("sessions.get", &json!({"messages": []})).await;
            peer.stay().await;
        };
        let actions = vec![adopt(Some(session), Some("boot-1")), Action::Stop(ATTEMPT)];
        let reports = run_all(path, MINUTE, actions, script, |_, _| {}).await;
        assert_eq!(*ending(&reports), Ending::Stopped { reason: "rpc".to_owned() });
    }
}

#[tokio::test]
async fn a_stop_that_comes_with_the_adoption_starts_nothing() {
    for path in [Path::Agent, Path::Spawn] {
        let script = |listener: TcpListener| async move {
            let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
            tokio::time::pause();
            while let Some(Ok(Message::Text(frame))) = peer.socket.next().await {
                let frame: Value = serde_json::from_str(&frame).expect("JSON");
                let answer = match frame["method"].as_str().expect("a method") {
                    "tasks.list" => no_tasks(),
                    "sessions.describe" => no_session(),
                    "sessions.resolve" | "sessions.delete" => json!({"ok": false}),
                    other => panic!("`{other}` was asked"),
                };
                peer.answer(&frame["id"], &answer).await;
            }
        };
        let actions = vec![adopt(None, Some("boot-1")), Action::Look(ATTEMPT), Action::Stop(ATTEMPT)];
        let reports = run_all(path, MINUTE, actions, script, |_, _| {}).await;
        tokio::time::resume();
        assert_eq!(reports[0], Report::Queued { attempt: ATTEMPT });
        assert_eq!(*ending(&reports), Ending::Stopped { reason: "it had not started yet".to_owned() });
    }
}

#[tokio::test]
async fn a_stop_while_an_adopted_agent_is_followed_is_obeyed() {
    let script = |listener: TcpListener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        peer.serve("tasks.list", &task_row(SESSION_KEY, KEY, "running")).await;
        let (wait, _) = peer.expect("agent.wait").await;
        peer.serve("sessions.abort", &sample("sessions_abort_idle_or_missing")["payload"]).await;
        peer.answer(&wait, &aborted()).await;
        peer.serve("sessions.get", &json!({"messages": []})).await;
        peer.stay().await;
    };
    let actions = vec![adopt(Some(own()), Some("boot-1"))];
    let reports = run_all(Path::Agent, MINUTE, actions, script, |runtime, report| {
        if matches!(report, Report::Spawned { .. }) {
            runtime.begin(Action::Stop(ATTEMPT), START);
        }
    })
    .await;
    assert_eq!(*ending(&reports), Ending::Stopped { reason: "rpc".to_owned() });
}

#[tokio::test]
async fn a_child_of_an_earlier_process_is_followed_by_its_session() {
    let reports = adopt_one(Path::Spawn, adopt(Some(child()), Some("boot-1")), |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &WRITE).await;
        peer.serve("tasks.list", &task_row(CHILD, CHILD_RUN, "running")).await;
        assert_eq!(peer.serve("agent.wait", &wait_ended()).await["runId"], CHILD_RUN);
        peer.serve("sessions.get", &child_transcript("done")).await;
        peer.stay().await;
    })
    .await;
    assert_eq!(reports[0], spawned(child()));
    assert_eq!(*ending(&reports), Ending::Replied("done".to_owned()));
}

#[tokio::test]
async fn a_child_that_was_not_heard_to_be_taken_is_found_by_its_label() {
    let reports = adopt_one(Path::Spawn, adopt(None, Some("boot-1")), |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        let params = peer.serve("sessions.resolve", &json!({"ok": true, "key": CHILD})).await;
        assert_eq!(params, json!({"label": KEY, "allowMissing": true}));
        peer.serve("tasks.list", &task_row(CHILD, CHILD_RUN, "running")).await;
        peer.serve_end(&child_transcript("found")).await;
    })
    .await;
    assert_eq!(reports[0], spawned(child()));
    assert_eq!(*ending(&reports), Ending::Replied("found".to_owned()));
}

#[tokio::test]
async fn a_child_that_is_not_to_be_found_is_spawned_once_it_cannot_be_on_its_way_any_more() {
    let young = |boot: &str| {
        let ordered = Time::from_millis(START.as_millis() - 20_000);
        Action::Adopt(Adoption { order: order(KEY), session: None, boot: Some(boot.into()), ordered })
    };
    for (action, expected) in [
        // The order may take a minute; what is left of it is waited for.
        (young("boot-1"), 40..46),
        (adopt(None, Some("boot-1")), 2..5),
        (adopt(None, None), 2..5),
        (young("boot-0"), 2..5),
    ] {
        let case = format!("{action:?}");
        let reports = adopt_one(Path::Spawn, action, |listener| async move {
            let mut peer = Peer::greet(&listener, "boot-1", &WRITE).await;
            tokio::time::pause();
            let since = tokio::time::Instant::now();
            let (id, params) = loop {
                let frame = peer.receive().await;
                match frame["method"].as_str().expect("a method") {
                    "sessions.resolve" => peer.answer(&frame["id"], &json!({"ok": false})).await,
                    "tools.invoke" => break (frame["id"].clone(), frame["params"].clone()),
                    other => panic!("`{other}` was asked"),
                }
            };
            let seconds = since.elapsed().as_secs();
            assert!(expected.contains(&seconds), "{seconds} s: {case}");
            assert_eq!(params["sessionKey"], "agent:main:pa-6c92ff2b");
            peer.answer(&id, &sample("ws_tools_invoke_spawn_a3")["response"]["payload"]).await;
            peer.serve_end(&child_transcript("anew")).await;
        })
        .await;
        tokio::time::resume();
        assert_eq!(*ending(&reports), Ending::Replied("anew".to_owned()));
    }
}

#[tokio::test]
async fn a_look_at_an_adopted_agent_tells_how_it_stands() {
    let script = |listener: TcpListener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        peer.serve("tasks.list", &task_row(SESSION_KEY, KEY, "running")).await;
        let (wait, _) = peer.expect("agent.wait").await;
        let running = json!({"session": {"status": "running", "startedAt": 9_000_000, "snapshotAt": 9_003_000}});
        peer.serve("sessions.describe", &running).await;
        peer.serve("tasks.list", &task_row(SESSION_KEY, KEY, "running")).await;
        peer.answer(&wait, &wait_ended()).await;
        peer.serve("sessions.get", &transcript("done")).await;
        peer.stay().await;
    };
    let actions = vec![adopt(Some(own()), Some("boot-1"))];
    let reports = run_all(Path::Agent, MINUTE, actions, script, |runtime, report| {
        if matches!(report, Report::Spawned { .. }) {
            runtime.begin(Action::Look(ATTEMPT), START);
        }
    })
    .await;
    let Report::Started { since, .. } = reports[1] else { panic!("{reports:?}") };
    assert!(since < START && START.since(since) <= Duration::from_secs(3), "{since:?}");
}
