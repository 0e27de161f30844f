use super::*;
use crate::core::usage::Usage;

const NOW: Time = Time::from_millis(1_000_000);
const CALL: CallId = 1;
const CLOSE: CallId = 99;

fn machine() -> ChildMachine {
    ChildMachine::new("main".to_owned(), 7, NOW)
}

fn child(cleanup: Cleanup) -> ChildOrder {
    let timeout = Duration::from_secs(60);
    ChildOrder { prompt: "Count.".to_owned(), model: None, timeout, cleanup, label: None, agent_id: None }
}

fn orders(machine: &mut ChildMachine) -> Vec<Order> {
    std::iter::from_fn(|| machine.poll_order()).collect()
}

/// The attempt that is to be started, which must be all that is to be done.
fn only_spawn(machine: &mut ChildMachine) -> AttemptRef {
    match orders(machine).as_slice() {
        [Order::Act(Action::Spawn(order))] => order.attempt,
        other => panic!("{other:?}"),
    }
}

fn answer(orders: &[Order], to: CallId) -> &Value {
    let found = orders.iter().find_map(|order| match order {
        Order::Answer(call, answer) if *call == to => Some(answer),
        Order::Answer(..) | Order::Act(_) | Order::StartBy(_) | Order::Notice(_) => None,
    });
    found.expect("an answer")
}

fn key(attempt: AttemptRef) -> String {
    format!("key-{}", attempt.task_index)
}

fn accept(machine: &mut ChildMachine, attempt: AttemptRef) {
    let session = Session { key: key(attempt).into(), run_id: "r".into() };
    machine.handle_report(Report::Spawned { attempt, session }, NOW);
}

fn end(machine: &mut ChildMachine, attempt: AttemptRef, ending: Ending, now: Time) {
    machine.handle_report(
        Report::Ended { attempt, ending, usage: Usage::default(), model_used: None, partial: None },
        now,
    );
}

fn refusal(code: &str, message: &str) -> Refusal {
    Refusal { code: code.to_owned(), message: message.to_owned(), ..Refusal::default() }
}

fn stopped() -> Ending {
    Ending::Stopped { reason: "rpc".to_owned() }
}

/// A machine with one accepted child.
fn running(cleanup: Cleanup) -> (ChildMachine, AttemptRef) {
    let mut machine = machine();
    machine.spawn(CALL, child(cleanup), NOW);
    let attempt = only_spawn(&mut machine);
    accept(&mut machine, attempt);
    let told = orders(&mut machine);
    assert_eq!(answer(&told, CALL)["childSessionKey"], answer(&told, CALL)["sessionKey"]);
    (machine, attempt)
}

fn status(machine: &ChildMachine) -> Value {
    let query = ChildQuery::from_json(serde_json::Map::new()).expect("a query");
    machine.rows(&query)[0]["status"].clone()
}

#[test]
fn a_denied_tool_is_said_once_and_every_agent_is_started_otherwise() {
    let mut machine = machine();
    let first = {
        machine.spawn(1, child(Cleanup::Keep), NOW);
        only_spawn(&mut machine)
    };
    machine.spawn(2, child(Cleanup::Keep), NOW);
    let second = only_spawn(&mut machine);
    let denied = || Ending::Refused(refusal("not_found", "Tool not available: sessions_spawn"));
    end(&mut machine, first, denied(), NOW);
    let told = orders(&mut machine);
    let [Order::StartBy(Path::Agent), Order::Notice(text), Order::Act(Action::Spawn(again))] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert!(text.contains("gateway.tools.allow"));
    assert_eq!(again.attempt, AttemptRef { start_no: 2, ..first });
    end(&mut machine, second, denied(), NOW);
    assert_eq!(only_spawn(&mut machine), AttemptRef { start_no: 2, ..second });
}

#[test]
fn a_busy_gateway_is_asked_again_for_a_minute() {
    let mut machine = machine();
    machine.spawn(CALL, child(Cleanup::Keep), NOW);
    let busy = || Ending::Refused(Refusal { retryable: true, ..refusal("UNAVAILABLE", "the server is busy") });
    let attempt = only_spawn(&mut machine);
    end(&mut machine, attempt, busy(), NOW);
    assert_eq!(orders(&mut machine), []);
    assert_eq!(machine.next_deadline(NOW), Some(NOW + BUSY_PAUSE));
    machine.handle_time(NOW + BUSY_PAUSE);
    let attempt = only_spawn(&mut machine);
    end(&mut machine, attempt, busy(), NOW + BUSY_PATIENCE);
    assert_eq!(answer(&orders(&mut machine), CALL)["status"], "error");
}

#[test]
fn a_refusal_is_answered_in_the_gateways_words() {
    for (code, status) in [("forbidden", "forbidden"), ("error", "error"), ("INVALID_REQUEST", "error")] {
        let mut machine = machine();
        machine.spawn(CALL, child(Cleanup::Delete), NOW);
        let attempt = only_spawn(&mut machine);
        end(&mut machine, attempt, Ending::Refused(refusal(code, "no")), NOW);
        assert_eq!(orders(&mut machine), [Order::Answer(CALL, json!({"status": status, "error": "no"}))]);
    }
}

#[test]
fn an_agents_time_counts_from_when_it_works() {
    let (mut machine, attempt) = running(Cleanup::Keep);
    let look_at = NOW + Duration::from_secs(63);
    assert_eq!(machine.next_deadline(NOW), Some(look_at));
    machine.handle_time(look_at);
    assert_eq!(orders(&mut machine), [Order::Act(Action::Look(attempt))]);
    machine.handle_report(Report::Queued { attempt }, look_at);
    assert_eq!(machine.next_deadline(look_at), Some(look_at + LOOK_PAUSE));
    let since = look_at + Duration::from_secs(5);
    machine.handle_report(Report::Started { attempt, since }, since);
    machine.handle_time(since + Duration::from_secs(62));
    assert_eq!(orders(&mut machine), []);
    machine.handle_time(since + Duration::from_secs(63));
    assert_eq!(orders(&mut machine), [Order::Act(Action::Stop(attempt))]);
    assert_eq!(status(&machine), "running");
    end(&mut machine, attempt, stopped(), since + Duration::from_secs(64));
    assert_eq!(status(&machine), "timeout");
}

#[test]
fn a_forsaken_spawn_is_stopped_whenever_that_comes() {
    let mut machine = machine();
    machine.spawn(CALL, child(Cleanup::Keep), NOW);
    let attempt = only_spawn(&mut machine);
    machine.forsake(CALL);
    assert_eq!(orders(&mut machine), [Order::Act(Action::Stop(attempt))]);
    machine.forsake(CALL);
    accept(&mut machine, attempt);
    end(&mut machine, attempt, stopped(), NOW);
    assert_eq!(status(&machine), "killed");

    let (mut machine, attempt) = running(Cleanup::Keep);
    machine.forsake(CALL);
    assert_eq!(orders(&mut machine), [Order::Act(Action::Stop(attempt))]);
}

#[test]
fn a_session_is_deleted_in_silence_and_its_answer_stays() {
    let (mut machine, attempt) = running(Cleanup::Delete);
    end(&mut machine, attempt, Ending::Replied("one".to_owned()), NOW);
    assert_eq!(orders(&mut machine), []);
    let quiet = machine.next_deadline(NOW).expect("a deadline");
    assert!(quiet > NOW);
    machine.handle_time(quiet);
    let told = orders(&mut machine);
    assert!(matches!(told.as_slice(), [Order::Act(Action::Delete { .. })]), "{told:?}");
    machine.handle_report(Report::Deleted { attempt }, quiet);
    let (messages, is_all) = machine.messages(&key(attempt)).expect("remembered");
    assert!(is_all && messages[1]["content"] == "one");
    assert_eq!(status(&machine), "done");
}

#[test]
fn a_close_waits_for_what_is_to_go_and_leaves_the_rest() {
    let (mut machine, gone) = running(Cleanup::Delete);
    machine.spawn(2, child(Cleanup::Keep), NOW);
    let kept = only_spawn(&mut machine);
    accept(&mut machine, kept);
    orders(&mut machine);
    machine.close(CLOSE, false, NOW);
    assert_eq!(orders(&mut machine), [Order::Act(Action::Stop(gone))]);
    end(&mut machine, gone, stopped(), NOW);
    let told = orders(&mut machine);
    assert!(matches!(told.as_slice(), [Order::Act(Action::Delete { .. })]), "{told:?}");
    machine.handle_report(Report::Deleted { attempt: gone }, NOW);
    assert_eq!(answer(&orders(&mut machine), CLOSE), &json!({"stopped": 1, "all": false, "left": []}));
    machine.close(CLOSE, true, NOW);
    assert_eq!(orders(&mut machine), [Order::Act(Action::Stop(kept))]);
    end(&mut machine, kept, stopped(), NOW);
    assert_eq!(answer(&orders(&mut machine), CLOSE)["stopped"], 1);
}

#[test]
fn a_close_that_takes_too_long_says_what_stays() {
    let (mut machine, attempt) = running(Cleanup::Delete);
    machine.close(CLOSE, false, NOW);
    machine.handle_time(NOW + CLOSE_PATIENCE);
    let told = orders(&mut machine);
    assert_eq!(answer(&told, CLOSE)["left"][0]["session_key"], key(attempt));

    let (mut machine, attempt) = running(Cleanup::Delete);
    end(&mut machine, attempt, Ending::Replied("one".to_owned()), NOW);
    machine.close(CLOSE, false, NOW);
    machine.handle_report(Report::DeleteFailed { attempt, reason: "no scope".to_owned() }, NOW);
    assert_eq!(answer(&orders(&mut machine), CLOSE)["left"][0]["reason"], "no scope");
}

#[test]
fn a_report_of_an_earlier_start_changes_nothing() {
    let (mut machine, attempt) = running(Cleanup::Delete);
    let earlier = AttemptRef { start_no: 0, ..attempt };
    end(&mut machine, earlier, stopped(), NOW);
    accept(&mut machine, earlier);
    assert_eq!(orders(&mut machine), []);
    assert_eq!(status(&machine), "running");
}

#[test]
fn a_kept_session_can_be_deleted_all_the_same() {
    let (mut machine, attempt) = running(Cleanup::Keep);
    assert!(!machine.delete("of somebody else", NOW) && !machine.cancel("of somebody else"));
    assert!(machine.delete(&key(attempt), NOW));
    assert_eq!(orders(&mut machine), [Order::Act(Action::Stop(attempt))]);
    end(&mut machine, attempt, stopped(), NOW);
    machine.handle_time(NOW + Duration::from_secs(2));
    let told = orders(&mut machine);
    assert!(matches!(told.as_slice(), [Order::Act(Action::Delete { .. })]), "{told:?}");
    machine.handle_report(Report::Deleted { attempt }, NOW);
    assert!(machine.delete(&key(attempt), NOW));
    machine.handle_time(NOW + Duration::from_secs(9));
    assert_eq!(orders(&mut machine), []);
}
