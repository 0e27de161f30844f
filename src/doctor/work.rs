//! What agents find at the gateway: room to work in, and models.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Line;
use super::gateway::{Seen, answered};
use crate::core::check::Check;
use crate::runtime::gateway::{model_name, provider_of};

/// How many children a session may have where nothing is configured.
const CHILDREN_DEFAULT: u64 = 5;
/// How many models are named as the ones to use instead.
const MODELS_SHOWN: usize = 3;

/// `limits`: how many agents run at once, and whether a run that starts `wanted` has room.
pub fn limits(seen: &Seen, wanted: usize) -> Line {
    const CHECK: Check = Check::Limits;
    let said = match seen.said() {
        Ok(said) => said,
        Err(because) => return Line::skipped(CHECK, because),
    };
    let lanes = match answered(CHECK, &said.lanes) {
        Ok(answer) => answer.pointer("/lanes").and_then(Value::as_array),
        Err(line) => return line,
    };
    let lane =
        |name: &str| lanes?.iter().find(|lane| lane["lane"] == name)?.get("maxConcurrent").and_then(Value::as_u64);
    let children = said.setting("/agents/defaults/subagents/maxChildrenPerAgent").and_then(Value::as_u64);
    let children = children.unwrap_or(CHILDREN_DEFAULT);
    let wanted = wanted as u64;
    let mut findings = Vec::new();
    match lane("subagent") {
        Some(count) if count < wanted => {
            let much =
                if count == 1 { "only one agent at a time".to_owned() } else { format!("only {count} agents at once") };
            findings.push(Line::yellow(
                CHECK,
                format!("{much}, and a run starts {wanted}; the rest wait"),
                "openclaw config set agents.defaults.subagents.maxConcurrent 8",
            ));
        }
        Some(count) => findings.push(Line::green(CHECK, format!("{count} agents at once"))),
        None => findings.push(Line::green(CHECK, "the gateway names no limit of agents at once")),
    }
    let shown = format!("{children} children of one session (path spawn)");
    findings.push(if children < wanted {
        Line::yellow(CHECK, shown, "openclaw config set agents.defaults.subagents.maxChildrenPerAgent 20")
    } else {
        Line::green(CHECK, shown)
    });
    findings.extend(lane("main").map(|count| Line::green(CHECK, format!("{count} conversations"))));
    Line::of_all(CHECK, findings)
}

/// `models`: whether each tier can be used.
pub fn models(seen: &Seen, tiers: &[String]) -> Line {
    const CHECK: Check = Check::Models;
    let said = match seen.said() {
        Ok(said) => said,
        Err(because) => return Line::skipped(CHECK, because),
    };
    let listed = match answered(CHECK, &said.models) {
        Ok(answer) => answer,
        Err(line) => return line,
    };
    let status = |provider: &str| {
        let providers = said.credentials.as_ref().ok()?.pointer("/providers")?.as_array()?;
        providers.iter().find(|each| each["provider"] == *provider)?.get("status")?.as_str()
    };
    let findings: Vec<Line> = tiers
        .iter()
        .map(|tier| match probed(seen, tier) {
            Some(Err(words)) => {
                let fix = format!("openclaw models auth login --provider {}", provider_of(tier));
                Line::red(CHECK, format!("`{tier}`: its provider was tried and failed: {words}"), fix)
            }
            tried => model(listed, tier, status(provider_of(tier)), tried.is_some()),
        })
        .collect();
    let is_any_usable = findings.iter().any(|line| line.fix.is_none());
    let instead = instead(listed, tiers);
    let mut line = Line::of_all(CHECK, findings);
    if line.fix.is_some() && is_any_usable {
        line = Line::yellow(CHECK, line.found, line.fix.unwrap_or_default());
    }
    if let (Some(fix), Some(instead)) = (&mut line.fix, instead.filter(|_| !is_any_usable)) {
        *fix = format!("parallel-agents run --models {instead} ..., or {fix}");
    }
    line
}

/// What trying a tier's provider came to; `None` if it was not tried.
fn probed(seen: &Seen, tier: &str) -> Option<Result<(), String>> {
    let (_, answer) = seen.probes.iter().find(|(provider, _)| provider == provider_of(tier))?;
    Some(match answer {
        Err(words) => Err(words.clone()),
        Ok(answer) if answer["status"] == "ok" => Ok(()),
        Ok(answer) => {
            let error = answer.pointer("/error").and_then(Value::as_str).unwrap_or("the gateway gives no reason");
            let status = answer["status"].as_str().unwrap_or("unknown");
            Err(format!("{error} (status `{status}`)"))
        }
    })
}

/// One tier, by what the gateway lists.
fn model(listed: &Value, tier: &str, credentials: Option<&str>, is_tried: bool) -> Line {
    const CHECK: Check = Check::Models;
    let rows = listed.pointer("/models").and_then(Value::as_array);
    let row =
        rows.into_iter().flatten().find(|row| model_name(row).is_some_and(|name| name.eq_ignore_ascii_case(tier)));
    let provider = provider_of(tier);
    let login = || format!("openclaw models auth login --provider {provider}");
    let pending = listed.pointer("/pendingProviders").and_then(Value::as_array);
    match row {
        None if pending.into_iter().flatten().any(|pending| *pending == *provider) => {
            let found = format!("`{tier}` is not known yet: the gateway still asks `{provider}`");
            Line::yellow(CHECK, found, "parallel-agents doctor, in a minute")
        }
        None => {
            let fix = "openclaw models list shows what there is; name those with `--models`";
            Line::red(CHECK, format!("`{tier}` is unknown to the gateway"), fix)
        }
        Some(row) if row["available"] == false && row["unavailableReason"] == "cooldown" => {
            let fix = format!("wait some minutes; if it comes back: {}", login());
            Line::red(CHECK, format!("`{tier}` is left alone by the gateway after failures (cooldown)"), fix)
        }
        Some(row) if row["available"] == false => {
            let why = row["unavailableReason"].as_str().unwrap_or("no reason given");
            Line::red(CHECK, format!("`{tier}` is not available ({why})"), login())
        }
        Some(_) => match credentials {
            Some(status @ ("missing" | "expired")) => {
                Line::red(CHECK, format!("`{tier}` has credentials that are {status}"), login())
            }
            Some("expiring") => Line::yellow(CHECK, format!("`{tier}` has credentials that expire soon"), login()),
            Some(_) | None if is_tried => {
                Line::green(CHECK, format!("`{tier}` is available, and its provider answers"))
            }
            Some(_) | None => Line::green(CHECK, format!("`{tier}` is available")),
        },
    }
}

/// Models that are there instead of `tiers`.
fn instead(listed: &Value, tiers: &[String]) -> Option<String> {
    let rows = listed.pointer("/models").and_then(Value::as_array)?;
    let usable = rows.iter().filter(|row| row["available"] != false).filter_map(model_name);
    let names: Vec<String> = usable.filter(|name| !tiers.contains(name)).take(MODELS_SHOWN).collect();
    (!names.is_empty()).then(|| names.join(","))
}

/// The providers of some tiers, each once.
pub fn providers(tiers: &[String]) -> BTreeSet<&str> {
    tiers.iter().map(|tier| provider_of(tier)).filter(|provider| !provider.is_empty()).collect()
}

#[cfg(test)]
#[path = "work_tests.rs"]
mod tests;
