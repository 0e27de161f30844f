use super::super::Level;
use super::*;

const URL: &str = "ws://127.0.0.1:1/";

fn greeting(scopes: &[&str]) -> Value {
    json!({
        "protocol": 4, "server": {"version": BUILT_FOR}, "auth": {"scopes": scopes},
        "features": {"methods": ["agent", "agent.wait"]},
    })
}

pub(in crate::doctor) fn said() -> Said {
    Said {
        greeting: greeting(&["operator.read", "operator.write", "operator.admin"]),
        models: Ok(json!({"models": []})),
        credentials: Ok(json!({"providers": []})),
        lanes: Ok(json!({"lanes": []})),
        config: Ok(json!({"config": {}})),
        skills: Ok(json!({"skills": []})),
        spawn: Ok(json!({"ok": false, "error": {"code": "internal_error", "message": "task required"}})),
    }
}

pub(in crate::doctor) fn seen(said: Result<Said, GatewayError>) -> Seen {
    Seen {
        address: Ok((URL.to_owned(), "OPENCLAW_GATEWAY_PORT".to_owned())),
        token_from: Ok(Some("OPENCLAW_GATEWAY_TOKEN".to_owned())),
        token_places: vec!["OPENCLAW_GATEWAY_TOKEN".to_owned(), "/s/openclaw.json".to_owned()],
        said: Some(said),
        probes: Vec::new(),
    }
}

fn levels(seen: &Seen) -> [&'static str; 7] {
    [runtime, gateway, version, token, scopes, path_agent, path_spawn].map(|judge| judge(seen).level.name())
}

fn refused(error: GatewayError) -> Seen {
    seen(Err(error))
}

fn url() -> String {
    URL.to_owned()
}

fn reason() -> String {
    "why".to_owned()
}

#[test]
fn a_gateway_that_lets_us_do_everything_is_green() {
    let seen = seen(Ok(said()));
    assert_eq!(levels(&seen), ["green"; 7]);
    assert_eq!(token(&seen).found, "accepted, from OPENCLAW_GATEWAY_TOKEN");
    assert!(path_spawn(&seen).found.contains("no `exec`, `apply_patch`"));
}

#[test]
fn the_first_thing_that_keeps_us_out_is_red_and_the_rest_is_skipped_because_of_it() {
    let rest = ["skipped"; 3];
    let expect = |error: GatewayError, first: [&'static str; 4]| {
        let check = error.check();
        let seen = refused(error);
        assert_eq!(levels(&seen)[..4], first, "{}", check.id());
        assert_eq!(levels(&seen)[4..], rest);
        assert_eq!(path_spawn(&seen).level, Level::Skipped(check));
    };
    expect(
        GatewayError::Unreachable { url: url(), from: reason(), source: "refused".into() },
        ["green", "red", "skipped", "skipped"],
    );
    expect(GatewayError::Starting { url: url(), seconds: 7, reason: reason() }, ["green", "red", "skipped", "skipped"]);
    expect(GatewayError::Greeting { url: url(), reason: reason() }, ["green", "red", "skipped", "skipped"]);
    expect(GatewayError::Protocol { url: url(), reason: reason() }, ["green", "green", "red", "skipped"]);
    expect(GatewayError::Auth { url: url(), reason: reason() }, ["green", "green", "skipped", "red"]);
}

#[test]
fn an_address_or_a_file_that_cannot_be_used_stops_at_the_runtime() {
    for error in [
        GatewayError::Url { url: "ftp://h".to_owned(), problem: "not ws:// or wss://" },
        GatewayError::Insecure { url: "ws://far/".to_owned() },
        GatewayError::Config { path: "/s/openclaw.json".into(), reason: reason() },
    ] {
        let seen = Seen { address: Err(error), said: None, ..seen(Ok(said())) };
        assert_eq!(levels(&seen), ["red", "skipped", "skipped", "skipped", "skipped", "skipped", "skipped"]);
        assert_eq!(gateway(&seen).level, Level::Skipped(Check::Runtime));
    }
    let config = GatewayError::Config { path: "/s/openclaw.json".into(), reason: "it is not valid JSON5".to_owned() };
    let seen = Seen { token_from: Err(config), said: None, ..seen(Ok(said())) };
    assert_eq!(runtime(&seen).found, "cannot read /s/openclaw.json: it is not valid JSON5");
}

#[test]
fn a_token_is_judged_by_where_it_came_from() {
    let auth = || GatewayError::Auth { url: url(), reason: "unauthorized".to_owned() };
    let with = |from: Option<&str>| token(&Seen { token_from: Ok(from.map(str::to_owned)), ..refused(auth()) });
    let of_variable = with(Some("OPENCLAW_GATEWAY_TOKEN"));
    assert_eq!(of_variable.found, "refused, the one from OPENCLAW_GATEWAY_TOKEN (unauthorized)");
    assert!(of_variable.fix.is_some_and(|fix| fix.starts_with("export OPENCLAW_GATEWAY_TOKEN")));
    assert!(with(Some("`/s/openclaw.json`")).fix.is_some_and(|fix| fix.starts_with("openclaw gateway restart")));
    let none = with(None);
    assert!(none.found.contains("there is none in OPENCLAW_GATEWAY_TOKEN, /s/openclaw.json"), "{}", none.found);
    assert!(none.fix.is_some_and(|fix| fix.contains("gateway.auth.token")));
    let kept = GatewayError::TokenSource {
        field: "token",
        path: "/s/openclaw.json".into(),
        problem: "kept in the source `exec`, which only OpenClaw itself can open".to_owned(),
    };
    let kept = token(&Seen { token_from: Err(kept), ..refused(auth()) });
    assert_eq!(kept.level, Level::Red);
    assert!(kept.found.contains("only OpenClaw itself can open"), "{}", kept.found);
    let unneeded = token(&Seen { token_from: Ok(None), ..seen(Ok(said())) });
    assert_eq!(unneeded.found, "none, and none is asked for");
}

#[test]
fn scopes_that_are_missing_say_what_is_lost() {
    let with = |scopes: &[&str]| seen(Ok(Said { greeting: greeting(scopes), ..said() }));
    let some = with(&["operator.read", "operator.write"]);
    assert_eq!((scopes(&some).level, path_agent(&some).level), (Level::Yellow, Level::Green));
    assert!(scopes(&some).found.contains("without operator.admin"));
    for few in [&["operator.read"][..], &[]] {
        let few = with(few);
        assert_eq!((scopes(&few).level, path_agent(&few).level), (Level::Red, Level::Skipped(Check::Scopes)));
    }
    let unanswered = Said { spawn: Err("missing scope: operator.write".to_owned()), ..said() };
    assert_eq!(path_spawn(&seen(Ok(unanswered))).level, Level::Skipped(Check::Scopes));
    let cut = Said { spawn: Err("no answer within 7 s".to_owned()), ..said() };
    assert_eq!(path_spawn(&seen(Ok(cut))).level, Level::Yellow);
}

#[test]
fn another_release_is_yellow_and_one_without_our_methods_red() {
    let of = |version: &str, methods: &[&str]| {
        let mut greeting = greeting(&["operator.admin"]);
        greeting["server"]["version"] = json!(version);
        greeting["features"]["methods"] = json!(methods);
        seen(Ok(Said { greeting, ..said() }))
    };
    let both = ["agent", "agent.wait"];
    assert_eq!(version(&of("2026.9.11", &both)).level, Level::Green);
    assert_eq!(version(&of("2026.10.1", &both)).level, Level::Yellow);
    assert_eq!(path_agent(&of("2026.9.6", &["agent"])).found, "the gateway has no method `agent.wait`");
}

#[test]
fn a_denied_tool_comes_with_the_setting_that_keeps_what_is_allowed_already() {
    let denied = |tools: Value| {
        let spawn = Ok(json!({"ok": false, "error": {"code": "not_found", "message": "Tool not available"}}));
        path_spawn(&seen(Ok(Said { spawn, config: Ok(json!({"config": {"gateway": {"tools": tools}}})), ..said() })))
    };
    let fix = |tools| denied(tools).fix.expect("a way out");
    assert_eq!(denied(json!({})).level, Level::Yellow);
    assert_eq!(fix(json!({})), r#"openclaw config set gateway.tools.allow '["sessions_spawn"]'"#);
    assert_eq!(
        fix(json!({"allow": ["cron"]})),
        r#"openclaw config set gateway.tools.allow '["cron","sessions_spawn"]'"#
    );
    assert_eq!(
        fix(json!({"deny": ["sessions_spawn", "cron"], "allow": ["sessions_spawn"]})),
        r#"openclaw config set gateway.tools.deny '["cron"]'"#
    );
    assert!(fix(json!({"allow": ["sessions_spawn"]})).contains("openclaw config get tools"));
    let whole = json!({"config": {"gateway": {"tools": {"allow": ["sessions_spawn", "exec", "apply_patch"]}}}});
    let whole = path_spawn(&seen(Ok(Said { config: Ok(whole), ..said() })));
    assert!(whole.found.ends_with("its children have `exec` and `apply_patch`"), "{}", whole.found);
}
