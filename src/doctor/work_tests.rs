use serde_json::json;

use super::super::Level;
use super::super::gateway::{Said, tests::said, tests::seen};
use super::*;

fn tiers(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn limited(subagent: u64, children: Option<u64>) -> Line {
    limited_for(5, subagent, children)
}

fn limited_for(wanted: usize, subagent: u64, children: Option<u64>) -> Line {
    let lanes = json!({"lanes": [
        {"lane": "main", "maxConcurrent": 8}, {"lane": "subagent", "maxConcurrent": subagent},
    ]});
    let config = json!({"config": {"agents": {"defaults": {"subagents": {"maxChildrenPerAgent": children}}}}});
    limits(&seen(Ok(Said { lanes: Ok(lanes), config: Ok(config), ..said() })), wanted)
}

#[test]
fn limits_below_what_a_run_starts_are_yellow_each_with_its_setting() {
    assert_eq!(limited(8, None).found, "8 agents at once; 5 children of one session (path spawn); 8 conversations");
    assert_eq!(limited(8, None).level, Level::Green);
    let serial = limited(1, Some(2));
    assert_eq!(serial.level, Level::Yellow);
    assert!(
        serial.found.starts_with("only one agent at a time, and a run starts 5; the rest wait"),
        "{}",
        serial.found
    );
    assert_eq!(
        serial.fix.as_deref(),
        Some(
            "openclaw config set agents.defaults.subagents.maxConcurrent 8; openclaw config set \
             agents.defaults.subagents.maxChildrenPerAgent 20"
        )
    );
    assert!(limited(3, None).found.starts_with("only 3 agents at once"));
    assert!(limited_for(9, 8, Some(20)).found.starts_with("only 8 agents at once, and a run starts 9; the rest wait"));
}

fn judged(names: &[&str], listed: Value, credentials: &Value) -> Line {
    let said = Said { models: Ok(listed), credentials: Ok(json!({ "providers": credentials })), ..said() };
    models(&seen(Ok(said)), &tiers(names))
}

fn listed() -> Value {
    json!({"models": [
        {"provider": "a", "id": "one", "available": true},
        {"provider": "a", "id": "two"},
        {"provider": "b", "id": "one", "available": false, "unavailableReason": "auth-failed"},
        {"provider": "d", "id": "one", "available": false, "unavailableReason": "cooldown"},
    ], "pendingProviders": ["slow"]})
}

#[test]
fn each_tier_is_judged_and_one_usable_one_is_enough_to_run() {
    let all = judged(&["a/one", "A/two"], listed(), &json!([]));
    assert_eq!((all.level, all.found.as_str()), (Level::Green, "`a/one` is available; `A/two` is available"));
    let some = judged(&["a/one", "b/one", "c/one"], listed(), &json!([]));
    assert_eq!(some.level, Level::Yellow);
    assert_eq!(
        some.found,
        "`a/one` is available; `b/one` is not available (auth-failed); `c/one` is unknown to the gateway"
    );
    assert!(
        some.fix.is_some_and(|fix| fix.starts_with("openclaw models auth login --provider b; openclaw models list"))
    );
    let none = judged(&["c/one"], listed(), &json!([]));
    assert_eq!(none.level, Level::Red);
    assert!(
        none.fix.is_some_and(|fix| fix.starts_with("parallel-agents run --models a/one,a/two ..., or openclaw models"))
    );
    let paused = judged(&["a/one", "d/one"], listed(), &json!([]));
    assert!(paused.fix.is_some_and(|fix| fix.starts_with("wait some minutes")), "{}", paused.found);
    assert_eq!(judged(&["slow/one"], listed(), &json!([])).level, Level::Yellow);
}

#[test]
fn credentials_that_are_gone_count_as_much_as_a_model_that_is() {
    let with = |status: &str| judged(&["a/one"], listed(), &json!([{"provider": "a", "status": status}])).level;
    assert_eq!(
        ["static", "ok", "expiring", "expired", "missing"].map(with),
        [Level::Green, Level::Green, Level::Yellow, Level::Red, Level::Red]
    );
}

#[test]
fn a_model_that_was_tried_is_judged_by_what_came_of_it() {
    let tried = |answer: Result<Value, String>| {
        let said = Said { models: Ok(listed()), ..said() };
        models(&Seen { probes: vec![("a".to_owned(), answer)], ..seen(Ok(said)) }, &tiers(&["a/one"]))
    };
    assert_eq!(tried(Ok(json!({"status": "ok"}))).found, "`a/one` is available, and its provider answers");
    let failed = tried(Ok(json!({"status": "auth", "error": "The connection probe failed."})));
    assert_eq!(failed.level, Level::Red);
    assert_eq!(
        failed.found,
        "`a/one`: its provider was tried and failed: The connection probe failed. (status `auth`)"
    );
    assert!(tried(Err("missing scope: operator.admin".to_owned())).found.contains("missing scope"));
}
