//! The gateway: how it was found, whether it lets us in, and what it lets us do.

use serde_json::{Value, json};

use super::{BUILT_FOR, Line};
use crate::core::check::Check;
use crate::core::shell::shell_word;
use crate::runtime::gateway::GatewayError;
use crate::runtime::gateway::interview::{Answer, Interview};

/// What was seen of it.
#[derive(Debug)]
pub struct Seen {
    /// Its address and what named that, or why there is none.
    pub address: Result<(String, String), GatewayError>,
    /// Where the token comes from, if there is one.
    pub token_from: Result<Option<String>, GatewayError>,
    /// The places where a token was looked for.
    pub token_places: Vec<String>,
    /// What it said. Nothing was asked without an address.
    pub said: Option<Result<Said, GatewayError>>,
    /// What became of trying each provider.
    pub probes: Vec<(String, Answer)>,
}

/// What it said of itself.
#[derive(Debug, Clone)]
pub struct Said {
    /// The payload of its greeting.
    pub greeting: Value,
    /// `models.list`.
    pub models: Answer,
    /// `models.authStatus`.
    pub credentials: Answer,
    /// `diagnostics.lanes`.
    pub lanes: Answer,
    /// `config.get`.
    pub config: Answer,
    /// `skills.status`.
    pub skills: Answer,
    /// `sessions_spawn` with no arguments, which starts nothing.
    pub spawn: Answer,
}

impl Said {
    /// The questions, in the order in which [`Said::of`] takes their answers.
    pub fn questions() -> Vec<(&'static str, Value)> {
        vec![
            ("models.list", json!({})),
            ("models.authStatus", json!({})),
            ("diagnostics.lanes", json!({})),
            ("config.get", json!({})),
            ("skills.status", json!({})),
            ("tools.invoke", json!({"name": "sessions_spawn", "args": {}})),
        ]
    }

    /// The answers, by name.
    pub fn of(interview: Interview) -> Self {
        let mut answers = interview.answers.into_iter();
        let mut next = || answers.next().unwrap_or_else(|| Err("it was not asked".to_owned()));
        Self {
            greeting: interview.greeting,
            models: next(),
            credentials: next(),
            lanes: next(),
            config: next(),
            skills: next(),
            spawn: next(),
        }
    }

    fn scopes(&self) -> Vec<&str> {
        let scopes = self.greeting.pointer("/auth/scopes").and_then(Value::as_array);
        scopes.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    fn grants(&self, scope: &str) -> bool {
        let scopes = self.scopes();
        scopes.contains(&"operator.admin") || scopes.iter().any(|granted| *granted == format!("operator.{scope}"))
    }

    fn has_method(&self, name: &str) -> bool {
        let methods = self.greeting.pointer("/features/methods").and_then(Value::as_array);
        methods.into_iter().flatten().any(|method| method == name)
    }

    /// A setting as the gateway uses it.
    pub fn setting(&self, pointer: &str) -> Option<&Value> {
        self.config.as_ref().ok()?.pointer("/config")?.pointer(pointer)
    }
}

impl Seen {
    /// What it said, or the line because of which nothing can be said of `check`.
    pub fn said(&self) -> Result<&Said, Check> {
        match (&self.address, &self.token_from, &self.said) {
            (Err(error), _, _) => Err(error.check()),
            (_, Err(GatewayError::Config { .. }), _) | (_, _, None) => Err(Check::Runtime),
            (_, _, Some(Err(error))) => Err(error.check()),
            (_, _, Some(Ok(said))) => Ok(said),
        }
    }

    fn url(&self) -> &str {
        self.address.as_ref().map_or("", |(url, _)| url.as_str())
    }
}

/// An answer, or the line that its absence comes to.
pub fn answered(check: Check, answer: &Answer) -> Result<&Value, Line> {
    answer.as_ref().map_err(|words| {
        if words.contains("missing scope") {
            Line::skipped(check, Check::Scopes)
        } else {
            let fix = "parallel-agents doctor, again; the gateway's log says more: openclaw logs";
            Line::yellow(check, format!("the gateway does not tell: {words}"), fix)
        }
    })
}

/// `runtime`: which one would be used, and how it was found.
pub fn runtime(seen: &Seen) -> Line {
    const CHECK: Check = Check::Runtime;
    let unreadable = match (&seen.address, &seen.token_from) {
        (Ok((url, from)), Ok(_) | Err(GatewayError::TokenSource { .. })) => {
            let found = format!("gateway {url}, known from {from}");
            return Line::green(CHECK, format!("{found}; a Python program may pass its own `tools` instead"));
        }
        (Err(error), _) | (Ok(_), Err(error)) => error,
    };
    unusable(unreadable)
}

/// The line of an address or a configuration that is of no use.
pub fn unusable(error: &GatewayError) -> Line {
    const CHECK: Check = Check::Runtime;
    let fix = match error {
        // The settings of each run stand there too: an address from elsewhere is not enough.
        GatewayError::Config { path, .. } => {
            format!("correct {}: openclaw config validate shows what is wrong", path.display())
        }
        GatewayError::Insecure { .. } => {
            "a tunnel (ssh -N -L 18789:127.0.0.1:18789 HOST) with OPENCLAW_GATEWAY_URL=ws://127.0.0.1:18789, or a wss:// \
             address"
                .to_owned()
        }
        _ => "export OPENCLAW_GATEWAY_URL=ws://127.0.0.1:18789, or unset what names another".to_owned(),
    };
    let found = match error {
        GatewayError::Config { path, reason } => format!("cannot read {}: {reason}", path.display()),
        GatewayError::Insecure { url } => format!("`{url}` would send the token unencrypted to another machine"),
        GatewayError::Url { url, problem } => format!("`{url}` is no address of a gateway: {problem}"),
        other => other.to_string(),
    };
    Line::red(CHECK, found, fix)
}

/// `gateway`: whether one answers.
pub fn gateway(seen: &Seen) -> Line {
    const CHECK: Check = Check::Gateway;
    let error = match (seen.said(), &seen.said) {
        (Err(Check::Gateway), Some(Err(error))) => error,
        (Err(Check::Runtime), _) => return Line::skipped(CHECK, Check::Runtime),
        _ => return Line::green(CHECK, format!("answers at {}", seen.url())),
    };
    let url = seen.url();
    match error {
        GatewayError::Starting { seconds, reason, .. } => {
            let found = format!("{url} is still starting after {seconds} s ({reason})");
            Line::red(CHECK, found, "wait a little, then: parallel-agents doctor; if it goes on: openclaw logs")
        }
        GatewayError::Greeting { reason, .. } => {
            let found = format!("what answers at {url} is no OpenClaw gateway ({reason})");
            Line::red(
                CHECK,
                found,
                "export OPENCLAW_GATEWAY_URL=ws://HOST:PORT of the gateway; if it hangs: openclaw gateway restart",
            )
        }
        GatewayError::Unreachable { source, .. } => {
            let found = format!("nothing answers at {url} ({source})");
            Line::red(
                CHECK,
                found,
                "openclaw gateway run, or export OPENCLAW_GATEWAY_URL=ws://HOST:PORT of one that runs",
            )
        }
        other => Line::red(CHECK, other.to_string(), "openclaw gateway restart"),
    }
}

/// `version`: its release and protocol.
pub fn version(seen: &Seen) -> Line {
    const CHECK: Check = Check::Version;
    let said = match (seen.said(), &seen.said) {
        (Ok(said), _) => said,
        (Err(Check::Version), Some(Err(GatewayError::Protocol { reason, .. }))) => {
            let found =
                format!("it does not speak protocol 4 ({reason}); this release is built for OpenClaw {BUILT_FOR}");
            return Line::red(CHECK, found, "openclaw update, or a later release of this package");
        }
        (Err(because), _) => return Line::skipped(CHECK, because),
    };
    let version = said.greeting.pointer("/server/version").and_then(Value::as_str).unwrap_or("of no name");
    let protocol = said.greeting.pointer("/protocol").and_then(Value::as_u64).unwrap_or_default();
    let found = format!("OpenClaw {version}, protocol {protocol}");
    let line_of = |version: &str| version.rsplit_once('.').map(|(line, _)| line.to_owned());
    if line_of(version) == line_of(BUILT_FOR) {
        Line::green(CHECK, found)
    } else {
        let found = format!("{found}; this release is built for and tested with {BUILT_FOR}");
        Line::yellow(CHECK, found, "openclaw update, or a later release of this package")
    }
}

/// `token`: whether it is accepted, and where it came from.
pub fn token(seen: &Seen) -> Line {
    const CHECK: Check = Check::Token;
    if let Err(GatewayError::TokenSource { field, path, problem }) = &seen.token_from {
        let found = format!("`gateway.auth.{field}` in {} is {problem}", path.display());
        return Line::red(
            CHECK,
            found,
            "export OPENCLAW_GATEWAY_TOKEN with the gateway's token, or Gateway(token=...)",
        );
    }
    let from = seen.token_from.as_ref().ok().and_then(Option::as_deref);
    let reason = match (seen.said(), &seen.said) {
        (Ok(_), _) => {
            let found =
                from.map_or_else(|| "none, and none is asked for".to_owned(), |from| format!("accepted, from {from}"));
            return Line::green(CHECK, found);
        }
        (Err(Check::Token), Some(Err(GatewayError::Auth { reason, .. }))) => reason,
        (Err(because), _) => return Line::skipped(CHECK, because),
    };
    let Some(from) = from else {
        let places = seen.token_places.join(", ");
        let found = format!("asked for, and there is none in {places}: the gateway keeps its own in memory ({reason})");
        let fix =
            "openclaw doctor --generate-gateway-token (it writes `gateway.auth.token`), then openclaw gateway restart";
        return Line::red(CHECK, found, fix);
    };
    let fix = if from.starts_with("OPENCLAW_") {
        format!("export {from} with the gateway's own, or unset it so that openclaw.json counts")
    } else {
        "openclaw gateway restart, so that it takes that one up; or export OPENCLAW_GATEWAY_TOKEN with its own"
            .to_owned()
    };
    Line::red(CHECK, format!("refused, the one from {from} ({reason})"), fix)
}

/// `scopes`: what is granted, and what is lost without the rest.
pub fn scopes(seen: &Seen) -> Line {
    const CHECK: Check = Check::Scopes;
    let said = match seen.said() {
        Ok(said) => said,
        Err(because) => return Line::skipped(CHECK, because),
    };
    let granted = said.scopes();
    let found = if granted.is_empty() { "none".to_owned() } else { granted.join(", ") };
    let fix =
        "connect from this machine with the gateway's own token (`gateway.auth.token`), which grants operator.admin";
    match (said.grants("write"), said.grants("admin")) {
        (_, true) => Line::green(CHECK, found),
        (true, false) => {
            let lost = "without operator.admin the agents' sessions are not deleted, and models are not tried";
            Line::yellow(CHECK, format!("{found}; {lost}"), fix)
        }
        (false, false) => Line::red(CHECK, format!("{found}; agents cannot be started without operator.write"), fix),
    }
}

/// `path_agent`: whether agents can be started by the call `agent`.
pub fn path_agent(seen: &Seen) -> Line {
    const CHECK: Check = Check::PathAgent;
    let said = match seen.said() {
        Ok(said) if !said.grants("write") => return Line::skipped(CHECK, Check::Scopes),
        Ok(said) => said,
        Err(because) => return Line::skipped(CHECK, because),
    };
    let missing: Vec<&str> = ["agent", "agent.wait"].into_iter().filter(|name| !said.has_method(name)).collect();
    if !missing.is_empty() {
        let found = format!("the gateway has no method `{}`", missing.join("`, `"));
        return Line::red(CHECK, found, "openclaw update, or Gateway(path=\"spawn\")");
    }
    if said.grants("admin") {
        Line::green(CHECK, "agents can be started, each on the model it is to have")
    } else {
        let found = "agents can be started; without operator.admin one more call chooses each one's model";
        Line::green(CHECK, found)
    }
}

/// `path_spawn`: whether the tool `sessions_spawn` is allowed to clients, or which setting would allow it.
pub fn path_spawn(seen: &Seen) -> Line {
    const CHECK: Check = Check::PathSpawn;
    let said = match seen.said() {
        Ok(said) => said,
        Err(because) => return Line::skipped(CHECK, because),
    };
    let answer = match answered(CHECK, &said.spawn) {
        Ok(answer) => answer,
        Err(line) => return line,
    };
    let text = |pointer| answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let list = |name: &str| -> Vec<Value> {
        said.setting(&format!("/gateway/tools/{name}")).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let (allowed, denied) = (list("allow"), list("deny"));
    if text("/error/code") != "not_found" {
        let lacking: Vec<&str> =
            ["exec", "apply_patch"].into_iter().filter(|tool| !allowed.contains(&json!(tool))).collect();
        let children = match &lacking[..] {
            [] => "its children have `exec` and `apply_patch`".to_owned(),
            some => format!("its children have no `{}` unless `gateway.tools.allow` names them", some.join("`, `")),
        };
        return Line::green(CHECK, format!("`sessions_spawn` is allowed; {children}"));
    }
    let found = "`sessions_spawn` is denied to clients; agents are started by the call `agent` all the same, and only \
                 Gateway(path=\"spawn\") needs it";
    if denied.contains(&json!("sessions_spawn")) {
        let rest: Value = denied.into_iter().filter(|tool| tool != "sessions_spawn").collect();
        return Line::yellow(
            CHECK,
            found,
            format!("openclaw config set gateway.tools.deny {}", shell_word(&rest.to_string())),
        );
    }
    if allowed.contains(&json!("sessions_spawn")) {
        let fix = "take `sessions_spawn` out of what denies it to the agent: openclaw config get tools";
        return Line::yellow(CHECK, format!("{found}; `gateway.tools.allow` names it already"), fix);
    }
    let with: Value = allowed.into_iter().chain([json!("sessions_spawn")]).collect();
    Line::yellow(CHECK, found, format!("openclaw config set gateway.tools.allow {}", shell_word(&with.to_string())))
}

#[cfg(test)]
#[path = "gateway_tests.rs"]
pub(super) mod tests;
