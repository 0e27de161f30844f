//! The runtime against a scripted gateway: what it sends, what it makes of the answers, and what it does when they stay
//! out.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_tungstenite::accept_async;

use super::peer::*;
use super::samples::sample;
use super::*;
use crate::core::action::Session;
use crate::core::prompt::Prompt;

#[tokio::test]
async fn an_agent_is_one_request_with_two_answers() {
    let reports = run_one(Path::Agent, MINUTE, |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        assert_eq!(peer.introduction["params"]["auth"]["token"], "hunter2");
        assert_eq!(peer.introduction["params"]["caps"], json!(["session-scoped-events"]));
        let (id, params) = peer.accept_agent().await;
        let expected = json!({
            "message": "hi", "sessionKey": SESSION_KEY, "idempotencyKey": KEY, "timeout": 60, "deliver": false,
            "lane": "subagent", "model": "mock/haiku",
        });
        assert_eq!(params, expected);
        for event in sample("task_events").as_array().expect("events") {
            let mut event = event.clone();
            event["payload"]["task"]["runId"] = json!(KEY);
            peer.send(&event).await;
        }
        // The start is told by an event, so the end must not overtake it.
        tokio::time::sleep(Duration::from_millis(50)).await;
        peer.answer(&id, &final_frame()).await;
        peer.stay().await;
    })
    .await;
    let session = Session { key: SESSION_KEY.into(), run_id: KEY.into() };
    assert_eq!(reports[0], Report::Spawned { attempt: ATTEMPT, session });
    assert!(matches!(reports[1], Report::Started { attempt: ATTEMPT, .. }));
    assert_eq!(reports.len(), 3);
    let Report::Ended { ending, usage, model_used, .. } = &reports[2] else { panic!("no end: {reports:?}") };
    assert_eq!(*ending, hello_text());
    assert_eq!(usage.tokens.map(|tokens| tokens.total), Some(130));
    assert_eq!(model_used.as_deref(), Some("mock/haiku"));
}

#[tokio::test]
async fn a_run_goes_on_while_the_connection_is_cut() {
    let reports = run_one(Path::Agent, MINUTE, |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        peer.accept_agent().await;
        drop(peer);
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        peer.serve("agent.wait", &wait_open()).await;
        peer.serve("sessions.describe", &json!({"session": {"status": "running"}})).await;
        let params = peer.serve("agent.wait", &wait_ended()).await;
        assert!(params["timeoutMs"].as_u64().is_some_and(|millis| millis <= 20_000));
        peer.serve("sessions.get", &transcript("the whole text")).await;
        peer.stay().await;
    })
    .await;
    assert_eq!(*ending(&reports), Ending::Replied("the whole text".to_owned()));
    assert_eq!(reports.len(), 2, "accepted once, ended once: {reports:?}");
}

#[tokio::test]
async fn a_request_without_an_answer_is_repeated_to_the_same_boot_under_the_same_id() {
    let reports = run_one(Path::Agent, MINUTE, |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        let (_, first) = peer.expect("agent").await;
        drop(peer);
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        let (id, again) = peer.expect("agent").await;
        assert_eq!(first, again);
        let mut payload = accepted();
        payload["status"] = json!("in_flight");
        peer.answer(&id, &payload).await;
        peer.serve_end(&transcript("once")).await;
    })
    .await;
    assert_eq!(*ending(&reports), Ending::Replied("once".to_owned()));
}

#[tokio::test]
async fn a_run_of_which_only_its_end_is_heard_has_a_session_to_delete_all_the_same() {
    let reports = run_one(Path::Agent, MINUTE, |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        peer.expect("agent").await;
        drop(peer);
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        let (id, _) = peer.expect("agent").await;
        peer.answer(&id, &final_frame()).await;
        peer.stay().await;
    })
    .await;
    let [.., Report::Spawned { session, .. }, Report::Ended { .. }] = &reports[..] else { panic!("{reports:?}") };
    assert!(session.key.ends_with(&*session.run_id), "{session:?}");
}

#[tokio::test]
async fn a_request_without_an_answer_is_never_repeated_after_a_restart() {
    let reports = run_one(Path::Agent, MINUTE, |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        peer.expect("agent").await;
        drop(peer);
        let mut peer = Peer::greet(&listener, "boot-2", &ADMIN).await;
        let params = peer.serve("sessions.delete", &json!({"ok": true, "deleted": false})).await;
        assert_eq!(params, json!({"key": SESSION_KEY, "deleteTranscript": false}));
        peer.stay().await;
    })
    .await;
    assert!(matches!(ending(&reports), Ending::Lost { .. }), "{reports:?}");
}

#[tokio::test]
async fn a_run_that_a_restart_has_cut_off_is_deleted_and_lost() {
    let reports = run_one(Path::Agent, MINUTE, |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        peer.accept_agent().await;
        drop(peer);
        let mut peer = Peer::greet(&listener, "boot-2", &ADMIN).await;
        peer.serve("agent.wait", &wait_open()).await;
        // What a restarted gateway says of it for ever.
        peer.serve("sessions.describe", &json!({"session": {"status": "running", "abortedLastRun": true}})).await;
        peer.serve("sessions.delete", &sample("sessions_delete_admin_keep_transcript")["response"]["payload"]).await;
        peer.serve("sessions.describe", &sample("ws_sessions_describe_missing")["payload"]).await;
        peer.stay().await;
    })
    .await;
    assert!(matches!(ending(&reports), Ending::Lost { .. }), "{reports:?}");
}

#[tokio::test]
async fn each_life_of_the_gateway_is_told_once_before_anything_of_its_agents() {
    let (listener, config, endpoint) = listen().await;
    let gateway = tokio::spawn(async move {
        Peer::greet(&listener, "boot-1", &ADMIN).await.accept_agent().await;
        // The same life again, and then another one.
        drop(Peer::greet(&listener, "boot-1", &ADMIN).await);
        let mut peer = Peer::greet(&listener, "boot-2", &ADMIN).await;
        peer.serve("agent.wait", &wait_open()).await;
        peer.serve("sessions.describe", &json!({"session": {"status": "done", "lastRunId": KEY}})).await;
        peer.serve("sessions.get", &transcript("in time")).await;
        peer.stay().await;
    });
    let mut runtime = GatewayRuntime::connect_to(&config, endpoint).await.expect("connects");
    runtime.begin(Action::Spawn(order(KEY)), START);
    let mut told = Vec::new();
    while !matches!(told.last(), Some(Report::Ended { .. })) {
        told.push(timeout(MINUTE / 4, runtime.next_report(START)).await.expect("a report"));
    }
    let session = Session { key: SESSION_KEY.into(), run_id: KEY.into() };
    let met = |boot: &str| Report::Met { boot: boot.into() };
    assert_eq!(told[..3], [met("boot-1"), Report::Spawned { attempt: ATTEMPT, session }, met("boot-2")]);
    assert_eq!(told.len(), 4, "{told:?}");
    gateway.abort();
}

#[tokio::test]
async fn a_run_that_ended_before_a_restart_is_collected_after_it() {
    let reports = run_one(Path::Agent, MINUTE, |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        peer.accept_agent().await;
        drop(peer);
        let mut peer = Peer::greet(&listener, "boot-2", &ADMIN).await;
        peer.serve("agent.wait", &wait_open()).await;
        peer.serve("sessions.describe", &json!({"session": {"status": "done", "lastRunId": KEY}})).await;
        peer.serve("sessions.get", &transcript("in time")).await;
        peer.stay().await;
    })
    .await;
    assert_eq!(*ending(&reports), Ending::Replied("in time".to_owned()));
}

#[tokio::test]
async fn what_cannot_be_deleted_and_is_run_again_is_waited_for() {
    let reports = run_one(Path::Agent, MINUTE, |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &WRITE).await;
        peer.serve("sessions.create", &sample("model_via_sessions_create")["response"]["payload"]).await;
        peer.accept_agent().await;
        drop(peer);
        let mut peer = Peer::greet(&listener, "boot-2", &WRITE).await;
        peer.serve("agent.wait", &wait_open()).await;
        peer.serve("sessions.describe", &json!({"session": {"status": "running", "lastRunId": "another"}})).await;
        let row =
            |run_id, state| json!({"runId": run_id, "childSessionKey": SESSION_KEY, "execution": {"state": state}});
        peer.serve("tasks.list", &json!({"tasks": [row(KEY, "finished"), row("another", "running")]})).await;
        let params = peer.serve("agent.wait", &wait_ended()).await;
        assert_eq!(params["runId"], "another");
        let mut messages = transcript("again");
        messages["messages"][1]["__openclaw"]["runId"] = json!("another");
        peer.serve("sessions.get", &messages).await;
        peer.stay().await;
    })
    .await;
    assert_eq!(*ending(&reports), Ending::Replied("again".to_owned()));
}

#[tokio::test]
async fn without_admin_the_session_chooses_the_model_and_stays() {
    let (mut deleted, mut runtime_reports) = (false, Vec::new());
    let (listener, config, endpoint) = listen().await;
    tokio::spawn(async move {
        let mut peer = Peer::greet(&listener, "boot-1", &WRITE).await;
        let created = sample("model_via_sessions_create")["response"]["payload"].clone();
        let params = peer.serve("sessions.create", &created).await;
        assert_eq!(params, json!({"key": SESSION_KEY, "model": "mock/haiku"}));
        let (id, params) = peer.accept_agent().await;
        assert_eq!(params.get("model"), None);
        peer.answer(&id, &final_frame()).await;
        // A deletion would arrive here, and nothing would answer it.
        peer.stay().await;
    });
    let mut runtime = GatewayRuntime::connect_to(&config, endpoint).await.expect("connects");
    runtime.begin(Action::Spawn(order(KEY)), START);
    while !deleted {
        let report = timeout(MINUTE / 4, next_of(&mut runtime)).await.expect("a report");
        if matches!(report, Report::Ended { .. }) {
            let session = Session { key: SESSION_KEY.into(), run_id: KEY.into() };
            runtime.begin(Action::Delete { attempt: ATTEMPT, session }, START);
        }
        deleted = matches!(report, Report::DeleteFailed { .. });
        runtime_reports.push(report);
    }
    let reason = "the gateway grants no `operator.admin`, which deleting sessions needs".to_owned();
    assert_eq!(runtime_reports.last(), Some(&Report::DeleteFailed { attempt: ATTEMPT, reason }));
}

#[tokio::test]
async fn a_request_that_always_cuts_the_connection_is_given_up() {
    let (listener, config, endpoint) = listen().await;
    let gateway = tokio::spawn(async move {
        for _ in 0..5 {
            let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
            peer.expect("models.list").await;
        }
        Peer::greet(&listener, "boot-1", &ADMIN).await.stay().await;
    });
    let runtime = GatewayRuntime::connect_to(&config, endpoint).await.expect("connects");
    let reason = timeout(MINUTE / 4, runtime.models()).await.expect("ends").expect_err("no answer");
    assert_eq!(reason, "the connection was cut 5 times before `models.list` was answered");
    gateway.abort();
}

#[tokio::test]
async fn a_busy_gateway_is_a_refusal_that_may_be_repeated() {
    let reports = run_one(Path::Agent, MINUTE, |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        let (id, _) = peer.expect("agent").await;
        peer.refuse(&id, &sample("ws_pipeline_overflow")["error"]).await;
        peer.stay().await;
    })
    .await;
    let Ending::Refused(refusal) = ending(&reports) else { panic!("{reports:?}") };
    assert!(refusal.retryable && refusal.code == "UNAVAILABLE");
    assert_eq!(reports.len(), 1, "nothing was started: {reports:?}");
}

#[tokio::test]
async fn a_deletion_that_the_gateway_cannot_carry_out_just_then_is_repeated() {
    let (listener, config, endpoint) = listen().await;
    tokio::spawn(async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        let too_soon = sample("sessions_delete_too_soon_after_end")["response"]["error"].clone();
        // What a gateway answered whose SQLite was busy for five seconds.
        let message = "Error: SQLite session reclamation commit checkpoint expired";
        let overloaded = json!({"code": "UNAVAILABLE", "message": message});
        for error in [&too_soon, &overloaded] {
            let (id, _) = peer.expect("sessions.delete").await;
            peer.refuse(&id, error).await;
        }
        peer.serve("sessions.delete", &json!({"ok": true, "deleted": true})).await;
        peer.stay().await;
    });
    let mut runtime = GatewayRuntime::connect_to(&config, endpoint).await.expect("connects");
    let session = Session { key: SESSION_KEY.into(), run_id: KEY.into() };
    runtime.begin(Action::Delete { attempt: ATTEMPT, session }, START);
    let report = timeout(MINUTE / 4, next_of(&mut runtime)).await.expect("a report");
    assert_eq!(report, Report::Deleted { attempt: ATTEMPT });
}

#[tokio::test]
async fn a_stop_waits_until_the_run_is_over_and_tells_its_real_end() {
    for (last, expected) in [
        (sample("agent_rpc_abort_frames")[3]["payload"].clone(), Ending::Stopped { reason: "rpc".to_owned() }),
        (final_frame(), hello_text()),
    ] {
        let script = |listener: TcpListener| async move {
            let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
            let (id, _) = peer.accept_agent().await;
            let params = peer.serve("sessions.abort", &sample("sessions_abort_idle_or_missing")["payload"]).await;
            assert_eq!(params, json!({"key": SESSION_KEY, "runId": KEY}));
            peer.answer(&id, &last).await;
            if matches!(last["status"].as_str(), Some("timeout")) {
                peer.serve("sessions.get", &json!({"messages": []})).await;
            }
            peer.stay().await;
        };
        let reports = run_with(Path::Agent, MINUTE, script, |runtime, report| {
            if matches!(report, Report::Spawned { .. }) {
                runtime.begin(Action::Stop(ATTEMPT), START);
            }
        })
        .await;
        assert_eq!(*ending(&reports), expected);
    }
}

fn partial(reports: &[Report]) -> Option<&str> {
    match reports.last() {
        Some(Report::Ended { partial, .. }) => partial.as_deref(),
        other => panic!("no end: {other:?}"),
    }
}

/// The messages of a run of ours, as recorded of another one.
fn messages_of(name: &str) -> Value {
    let mut payload = sample("partial_text")[name]["sessions.get"].clone();
    payload["messages"][1]["__openclaw"]["runId"] = json!(KEY);
    payload
}

#[tokio::test]
async fn what_a_stopped_agent_had_written_is_kept() {
    let script = |listener: TcpListener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        let (id, _) = peer.accept_agent().await;
        peer.serve("sessions.abort", &sample("sessions_abort_idle_or_missing")["payload"]).await;
        peer.answer(&id, &sample("agent_rpc_abort_frames")[3]["payload"]).await;
        peer.serve("sessions.get", &messages_of("aborted")).await;
        peer.stay().await;
    };
    let reports = run_with(Path::Agent, MINUTE, script, |runtime, report| {
        if matches!(report, Report::Spawned { .. }) {
            runtime.begin(Action::Stop(ATTEMPT), START);
        }
    })
    .await;
    assert_eq!(partial(&reports), Some("w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 w12"));
}

#[tokio::test]
async fn what_an_agent_had_written_when_its_time_was_up_is_kept_and_the_gateways_own_words_are_not() {
    let wait = &sample("partial_text")["timed_out"]["agent.wait"];
    for (wait, expected) in
        [(wait, Some("w0 w1 w2 w3 w4 w5 w6 w7")), (&sample("wait_run_timeout")["agent.wait"]["payload"], None)]
    {
        let wait = wait.clone();
        let reports = run_one(Path::Agent, MINUTE, |listener| async move {
            let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
            let (id, _) = peer.accept_agent().await;
            peer.answer(&id, &sample("agent_rpc_frames_timeout")["frames"][2]["frame"]["payload"]).await;
            assert_eq!(peer.serve("agent.wait", &wait).await, json!({"runId": KEY, "timeoutMs": 0}));
            if expected.is_none() {
                peer.serve("sessions.get", &messages_of("timed_out")).await;
            }
            peer.stay().await;
        })
        .await;
        assert_eq!(*ending(&reports), Ending::TimedOut);
        assert_eq!(partial(&reports), expected);
    }
}

#[tokio::test]
async fn a_gateway_that_does_not_tell_what_was_written_is_not_waited_for() {
    let script = |listener: TcpListener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        let (id, _) = peer.accept_agent().await;
        peer.answer(&id, &sample("agent_rpc_abort_frames")[3]["payload"]).await;
        peer.expect("sessions.get").await;
        peer.stay().await;
    };
    let reports = timeout(MINUTE / 10, run_one(Path::Agent, MINUTE, script)).await.expect("ends in time");
    assert_eq!(*ending(&reports), Ending::Stopped { reason: "rpc".to_owned() });
    assert_eq!(partial(&reports), None);
}

#[tokio::test]
async fn a_stop_that_is_never_confirmed_ends_in_time_and_nothing_is_asked_after_it() {
    let (listener, config, endpoint) = listen().await;
    let connecting = GatewayRuntime::connect_to(&config, endpoint);
    let (mut peer, runtime) = tokio::join!(Peer::greet(&listener, "boot-1", &ADMIN), connecting);
    let mut runtime = runtime.expect("connects");
    tokio::time::pause();
    let since = tokio::time::Instant::now();
    runtime.begin(Action::Spawn(order(KEY)), START);
    let gateway = tokio::spawn(async move {
        peer.accept_agent().await;
        peer.serve("sessions.abort", &sample("sessions_abort_idle_or_missing")["payload"]).await;
        peer.serve("agent.wait", &wait_open()).await;
        peer.serve("sessions.describe", &json!({"session": {"status": "running"}})).await;
        peer.expect("agent.wait").await;
        let more = timeout(MINUTE, peer.receive()).await;
        assert!(more.is_err(), "{more:?}");
    });
    assert!(matches!(next_of(&mut runtime).await, Report::Spawned { .. }));
    runtime.begin(Action::Stop(ATTEMPT), START);
    let report = next_of(&mut runtime).await;
    assert!(matches!(report, Report::Ended { ending: Ending::Unstoppable { .. }, .. }), "{report:?}");
    // The run's machine gives up after 15 s.
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    // Serves what would still be asked.
    let served = tokio::select! { served = gateway => served, report = next_of(&mut runtime) => panic!("{report:?}") };
    served.expect("the script went through");
}

#[tokio::test]
async fn a_runtime_that_is_dropped_closes_its_connection_and_opens_no_other() {
    let (listener, config, endpoint) = listen().await;
    let connecting = GatewayRuntime::connect_to(&config, endpoint);
    let (mut peer, runtime) = tokio::join!(Peer::greet(&listener, "boot-1", &ADMIN), connecting);
    let mut runtime = runtime.expect("connects");
    runtime.begin(Action::Spawn(order(KEY)), START);
    peer.accept_agent().await;
    drop(runtime);
    timeout(MINUTE / 4, peer.stay()).await.expect("closed");
    assert!(timeout(Duration::from_millis(300), listener.accept()).await.is_err());
}

#[tokio::test]
async fn a_look_tells_queued_and_working_apart_by_the_gateways_own_clock() {
    let script = |listener: TcpListener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        let (id, _) = peer.accept_agent().await;
        peer.serve("sessions.describe", &json!({"session": {"key": SESSION_KEY}})).await;
        let running = json!({"session": {"status": "running", "startedAt": 9_000_000, "snapshotAt": 9_003_000}});
        peer.serve("sessions.describe", &running).await;
        peer.serve("tasks.list", &no_tasks()).await;
        peer.answer(&id, &final_frame()).await;
        peer.stay().await;
    };
    let mut looks = 0;
    let reports = run_with(Path::Agent, MINUTE, script, |runtime, _| {
        if looks < 2 {
            looks += 1;
            runtime.begin(Action::Look(ATTEMPT), START);
        }
    })
    .await;
    assert_eq!(reports[1], Report::Queued { attempt: ATTEMPT });
    let Report::Started { since, .. } = reports[2] else { panic!("{reports:?}") };
    // Three seconds before now, which is soon after the start.
    assert!((97_000..98_500).contains(&since.as_millis()), "{since:?}");
}

#[tokio::test]
async fn a_look_at_a_working_agent_tells_when_it_last_did_something() {
    // As recorded: one that writes, and one that waits for a tool.
    for (row, age) in [("writing", 2_000..3_500), ("in_a_tool", 0..1_500)] {
        let script = |listener: TcpListener| async move {
            let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
            let (id, _) = peer.accept_agent().await;
            let mut task = sample("tasks_list_activity")[row].clone();
            let now = task["execution"]["lastActivityAt"].as_u64().expect("a time") + 2_000;
            let running = json!({"session": {"status": "running", "startedAt": now - 9_000, "snapshotAt": now}});
            peer.serve("sessions.describe", &running).await;
            task["runId"] = json!(KEY);
            task["childSessionKey"] = json!(SESSION_KEY);
            let params = peer.serve("tasks.list", &json!({"tasks": [task]})).await;
            assert_eq!(params, json!({"sessionKey": SESSION_KEY}));
            peer.answer(&id, &final_frame()).await;
            peer.stay().await;
        };
        let reports = run_with(Path::Agent, MINUTE, script, |runtime, report| {
            if matches!(report, Report::Spawned { .. }) {
                runtime.begin(Action::Look(ATTEMPT), Time::from_millis(200_000));
            }
        })
        .await;
        assert!(matches!(reports[1], Report::Started { .. }), "{reports:?}");
        let Report::Active { at, .. } = reports[2] else { panic!("{reports:?}") };
        let idle = (START + Duration::from_millis(1_500)).since(at).as_millis();
        assert!(age.contains(&idle), "{row}: {at:?}");
    }
}

#[tokio::test]
async fn a_look_without_an_answer_ends_nothing() {
    let script = |listener: TcpListener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        let (id, _) = peer.accept_agent().await;
        let (look, _) = peer.expect("sessions.describe").await;
        peer.refuse(&look, &sample("ws_pipeline_overflow")["error"]).await;
        peer.answer(&id, &final_frame()).await;
        peer.stay().await;
    };
    let reports = run_with(Path::Agent, MINUTE, script, |runtime, report| {
        if matches!(report, Report::Spawned { .. }) {
            runtime.begin(Action::Look(ATTEMPT), START);
        }
    })
    .await;
    assert_eq!(reports[1], Report::Queued { attempt: ATTEMPT });
    assert_eq!(*ending(&reports), hello_text());
}

#[tokio::test]
async fn a_gateway_that_stays_away_leaves_accepted_runs_uncertain_and_unsent_ones_lost() {
    let patience = Duration::from_millis(300);
    let accepted = run_one(Path::Agent, patience, |listener| async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        peer.accept_agent().await;
    })
    .await;
    let Ending::Unstoppable { reason } = ending(&accepted) else { panic!("{accepted:?}") };
    assert!(reason.contains("unreachable") && reason.contains(SESSION_KEY), "{reason}");

    let (listener, config, endpoint) = listen().await;
    let connecting = GatewayRuntime::connect_patiently(&config, endpoint, patience);
    let (peer, runtime) = tokio::join!(Peer::greet(&listener, "boot-1", &ADMIN), connecting);
    let mut runtime = runtime.expect("connects");
    drop((peer, listener));
    tokio::time::sleep(Duration::from_millis(50)).await;
    runtime.begin(Action::Spawn(order(KEY)), START);
    let report = timeout(MINUTE / 4, next_of(&mut runtime)).await.expect("a report");
    assert!(matches!(report, Report::Ended { ending: Ending::Lost { .. }, .. }), "{report:?}");
}

#[tokio::test]
async fn a_prompt_larger_than_the_gateway_takes_is_refused_unsent() {
    let (listener, config, endpoint) = listen().await;
    let gateway = tokio::spawn(async move { Peer::greet(&listener, "boot-1", &ADMIN).await.stay().await });
    let mut runtime = GatewayRuntime::connect_to(&config, endpoint).await.expect("connects");
    let order = SpawnOrder { prompt: Prompt::plain(&"x".repeat(27_000_000)), ..order(KEY) };
    runtime.begin(Action::Spawn(order), START);
    let report = timeout(MINUTE / 4, next_of(&mut runtime)).await.expect("a report");
    let Report::Ended { ending: Ending::Refused(refusal), .. } = report else { panic!("{report:?}") };
    assert_eq!(refusal.code, "TOO_LARGE");
    gateway.abort();
}

#[tokio::test]
async fn at_most_a_hundred_agents_are_being_started_and_a_stop_waits_for_none_of_them() {
    let (listener, config, endpoint) = listen().await;
    let connecting = GatewayRuntime::connect_to(&config, endpoint);
    let (mut peer, runtime) = tokio::join!(Peer::greet(&listener, "boot-1", &ADMIN), connecting);
    let mut runtime = runtime.expect("connects");
    for task_index in 0..150 {
        let attempt = AttemptRef { task_index, start_no: 1 };
        runtime.begin(Action::Spawn(SpawnOrder { attempt, ..order(&format!("{task_index}")) }), START);
    }
    let mut ids = Vec::new();
    while let Ok(frame) = timeout(Duration::from_millis(200), peer.receive()).await {
        ids.push(frame["id"].clone());
    }
    assert_eq!(ids.len(), 100);

    peer.answer(&ids[0], &accepted()).await;
    let spawned = timeout(MINUTE / 4, next_of(&mut runtime)).await.expect("a report");
    assert!(matches!(spawned, Report::Spawned { attempt: ATTEMPT, .. }), "{spawned:?}");
    ids.push(peer.expect("agent").await.0);
    runtime.begin(Action::Stop(ATTEMPT), START);
    peer.serve("sessions.abort", &sample("sessions_abort_idle_or_missing")["payload"]).await;

    for id in &ids[1..10] {
        peer.answer(id, &accepted()).await;
    }
    while let Ok(frame) = timeout(Duration::from_millis(200), peer.receive()).await {
        ids.push(frame["id"].clone());
    }
    assert_eq!(ids.len(), 110);
}

#[tokio::test]
async fn a_gateway_that_cannot_be_used_is_a_typed_error_without_the_token() {
    let (listener, config, endpoint) = listen().await;
    drop(listener);
    let refused = GatewayRuntime::connect_to(&config, endpoint).await.expect_err("refused");
    assert!(matches!(refused, GatewayError::Unreachable { .. }));

    let turned_away = |error: Value| async move {
        let (listener, config, endpoint) = listen().await;
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("accepts");
            let mut peer = Peer { socket: accept_async(stream).await.expect("upgrades"), introduction: Value::Null };
            peer.send(&sample("ws_hello_ok")["challenge"]).await;
            peer.receive().await;
            peer.refuse(&json!("c0"), &error).await;
            peer.stay().await;
        });
        let error = GatewayRuntime::connect_to(&config, endpoint).await.expect_err("turned away");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        error
    };
    let wrong_token = sample("errors")["ws_wrong_token"]["error"].clone();
    assert!(matches!(turned_away(wrong_token).await, GatewayError::Auth { .. }));
    let mismatch = json!({"code": "INVALID_REQUEST", "message": "m", "details": {"code": "PROTOCOL_MISMATCH"}});
    assert!(matches!(turned_away(mismatch).await, GatewayError::Protocol { .. }));

    let (listener, config, endpoint) = listen().await;
    let connecting = GatewayRuntime::connect_to(&config, endpoint);
    let (_, connected) = tokio::join!(Peer::greet(&listener, "boot-1", &["operator.read"]), connecting);
    assert!(matches!(connected, Err(GatewayError::NoWriteScope { granted, .. }) if granted == "operator.read"));
}

#[tokio::test]
async fn a_gateway_that_is_starting_is_waited_for() {
    let (listener, config, endpoint) = listen().await;
    let gateway = async {
        let (stream, _) = listener.accept().await.expect("accepts");
        let mut peer = Peer { socket: accept_async(stream).await.expect("upgrades"), introduction: Value::Null };
        peer.send(&sample("ws_hello_ok")["challenge"]).await;
        peer.receive().await;
        peer.refuse(&json!("c0"), &sample("ws_connect_starting_up")["response_to_connect"]["error"]).await;
        Peer::greet(&listener, "boot-1", &ADMIN).await
    };
    let (_, connected) = tokio::join!(gateway, GatewayRuntime::connect_to(&config, endpoint));
    assert!(connected.is_ok());
}

#[tokio::test]
async fn the_models_are_listed() {
    let (listener, config, endpoint) = listen().await;
    tokio::spawn(async move {
        let mut peer = Peer::greet(&listener, "boot-1", &ADMIN).await;
        peer.serve("models.list", &sample("models_list_default")).await;
        peer.stay().await;
    });
    let runtime = GatewayRuntime::connect_to(&config, endpoint).await.expect("connects");
    let models = runtime.models().await.expect("models");
    assert!(models.may_have("kimi-coding/k2p5"));
}
