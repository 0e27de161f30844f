//! The options of a run, from JSON: what a Python constructor, a plan file and the command line share.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{InputError, RuntimeChoice};
use crate::core::breaker::BreakerPolicy;
use crate::core::budget::Budget;
use crate::core::hierarchy::ModelHierarchy;
use crate::core::output::{NAME_CHARS, abridged};
use crate::core::plan::Plan;
use crate::core::retry::RetryPolicy;
use crate::core::settings::{Cleanup, RunSettings};
use crate::core::task::{ModelsFault, hierarchy_from_json, hint};
use crate::journal::Durability;
use crate::runtime::gateway::{GatewayConfig, Path, Secret};
use crate::runtime::rehearsal::RehearsalModel;

/// Agents at once, at the most. More than this and the gateway's queue only grows (3.5 agents a second).
const CONCURRENCY_MAX: u64 = 10_000;
/// The longest answer that may be asked for, in bytes: what one frame of the gateway can bring.
const OUTPUT_BYTES_MAX: u64 = 24 * 1024 * 1024;

/// The options of a run.
pub(super) const OPTIONS: [&str; 12] = [
    "max_concurrent",
    "model",
    "models",
    "gateway",
    "rehearsal",
    "cleanup",
    "retry",
    "deadline_seconds",
    "idle_seconds",
    "output_bytes_max",
    "budget",
    "breaker",
];

/// All that a run needs beside its tasks.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Bounds.
    pub settings: RunSettings,
    /// The models of tasks that name none.
    pub hierarchy: ModelHierarchy,
    /// Where the agents are.
    pub runtime: RuntimeChoice,
    /// Its strategy, for [`steered`](super::steered()).
    pub strategy: Option<Map<String, Value>>,
}

impl RunOptions {
    /// Reads the options that a journal keeps, the strategy of the run among them.
    pub fn from_stored(mut fields: Map<String, Value>) -> Result<Self, InputError> {
        let strategy = fields.shift_remove("strategy").and_then(|strategy| match strategy {
            Value::Object(strategy) => Some(strategy),
            _ => None,
        });
        Ok(Self { strategy, ..Self::from_json(fields)? })
    }

    /// Reads and checks every option that a caller may give; absent ones and `null` take their defaults.
    pub fn from_json(fields: Map<String, Value>) -> Result<Self, InputError> {
        let mut reader = Reader { prefix: "", fields };
        let mut settings = RunSettings::default();
        if let Some(count) = reader.whole("max_concurrent", 1, CONCURRENCY_MAX)? {
            settings.concurrency_max = usize::try_from(count).unwrap_or(usize::MAX);
        }
        if let Some(seconds) = reader.seconds("deadline_seconds")? {
            settings.run_time_max = seconds;
        }
        settings.idle_max = reader.seconds("idle_seconds")?;
        if let Some(bytes) = reader.whole("output_bytes_max", 1, OUTPUT_BYTES_MAX)? {
            settings.output_bytes_max = usize::try_from(bytes).unwrap_or(usize::MAX);
        }
        if let Some(caps) = reader.object("budget")? {
            settings.budget = budget(caps)?;
        }
        if let Some(breaker) = reader.object("breaker")? {
            settings.breaker = breaker_policy(breaker)?;
        }
        settings.cleanup = reader.choice("cleanup", &[("delete", Cleanup::Delete), ("keep", Cleanup::Keep)])?;
        if let Some(retry) = reader.object("retry")? {
            settings.retry = retry_policy(retry)?;
        }
        let hierarchy = reader.hierarchy()?;
        let rehearsal = reader.object("rehearsal")?;
        let gateway = reader.object("gateway")?;
        let runtime = match (rehearsal, gateway) {
            (Some(_), Some(_)) => {
                return Err(InputError::Option {
                    field: "rehearsal".to_owned(),
                    value: "given".to_owned(),
                    expected: "to stand alone: give either `rehearsal` or `gateway`".to_owned(),
                });
            }
            (Some(rehearsal), None) => RuntimeChoice::Rehearsal(rehearsal_model(rehearsal)?),
            (None, gateway) => RuntimeChoice::Gateway(gateway_config(gateway.unwrap_or_default())?),
        };
        reader.done(&OPTIONS)?;
        Ok(Self { settings, hierarchy, runtime, strategy: None })
    }

    /// That a budget in dollars can be kept on a runtime that tells no costs.
    pub fn check_prices(&self, plan: &Plan) -> Result<(), InputError> {
        let tiers = || plan.tasks().iter().flat_map(|task| task.hierarchy.tiers());
        match (self.settings.budget.usd, tiers().find(|tier| tier.price.is_none())) {
            (Some(usd), Some(tier)) => Err(InputError::Option {
                field: "budget.usd".to_owned(),
                value: usd.to_string(),
                expected: format!(
                    "a price for each model, since injected tools tell no costs: models=[Tier(\"{}\", price=...)]",
                    tier.model
                ),
            }),
            (Some(_) | None, _) => Ok(()),
        }
    }
}

/// The options of a run as a journal keeps them: without secrets.
pub fn stored_options(mut fields: Map<String, Value>) -> Value {
    if let Some(gateway) = fields.get_mut("gateway").and_then(Value::as_object_mut) {
        gateway.shift_remove("token");
    }
    fields.retain(|_, value| !value.is_null());
    Value::Object(fields)
}

/// How durable a journal is, by its documented name.
pub fn durability_of(name: Option<&str>) -> Result<Durability, InputError> {
    match name {
        None | Some("process") => Ok(Durability::Process),
        Some("power") => Ok(Durability::Power),
        Some(other) => Err(InputError::Option {
            field: "durability".to_owned(),
            value: other.to_owned(),
            expected: "one of process, power".to_owned(),
        }),
    }
}

fn retry_policy(fields: Map<String, Value>) -> Result<RetryPolicy, InputError> {
    let mut reader = Reader { prefix: "retry.", fields };
    let mut policy = RetryPolicy::default();
    for (field, target) in [
        ("attempts_max", &mut policy.attempts_max),
        ("transient_retries_max", &mut policy.transient_retries_max),
        ("server_error_retries_max", &mut policy.server_error_retries_max),
        ("output_retries_max", &mut policy.output_retries_max),
    ] {
        if let Some(count) = reader.whole(field, 0, 1_000)? {
            *target = u32::try_from(count).unwrap_or(u32::MAX);
        }
    }
    if let Some(count) = reader.whole("retries_min", 0, 1_000_000)? {
        policy.retries_min = u32::try_from(count).unwrap_or(u32::MAX);
    }
    if let Some(share) = reader.number("retries_share", "a number from 0 on, such as 0.1")? {
        policy.retries_share = share;
    }
    for (field, target) in
        [("delay_first_seconds", &mut policy.delay_first), ("delay_max_seconds", &mut policy.delay_max)]
    {
        if let Some(delay) = reader.seconds(field)? {
            *target = delay;
        }
    }
    reader.done(&[
        "attempts_max",
        "transient_retries_max",
        "server_error_retries_max",
        "output_retries_max",
        "retries_share",
        "retries_min",
        "delay_first_seconds",
        "delay_max_seconds",
    ])?;
    policy.validate()?;
    Ok(policy)
}

fn budget(fields: Map<String, Value>) -> Result<Budget, InputError> {
    let mut reader = Reader { prefix: "budget.", fields };
    let usd = match reader.take("usd") {
        None => None,
        Some(value) => match value.as_f64() {
            Some(usd) if usd > 0.0 => Some(usd),
            Some(_) | None => return Err(reader.error("usd", &value, "a number of US dollars above 0")),
        },
    };
    let budget = Budget {
        usd,
        tokens: reader.whole("tokens", 1, u64::MAX)?,
        attempts: reader.whole("attempts", 1, u64::MAX)?,
        time: reader.seconds("seconds")?,
    };
    reader.done(&["usd", "tokens", "attempts", "seconds"])?;
    Ok(budget)
}

fn breaker_policy(fields: Map<String, Value>) -> Result<BreakerPolicy, InputError> {
    let mut reader = Reader { prefix: "breaker.", fields };
    let mut policy = BreakerPolicy::default();
    if let Some(count) = reader.whole("failures_max", 0, 1_000_000)? {
        policy.failures_max = u32::try_from(count).unwrap_or(u32::MAX);
    }
    if let Some(count) = reader.whole("trials_max", 1, 1_000)? {
        policy.trials_max = u32::try_from(count).unwrap_or(u32::MAX);
    }
    if let Some(pause) = reader.seconds("pause_seconds")? {
        policy.pause_first = pause;
    }
    reader.done(&["failures_max", "pause_seconds", "trials_max"])?;
    Ok(policy)
}

fn rehearsal_model(fields: Map<String, Value>) -> Result<RehearsalModel, InputError> {
    let mut reader = Reader { prefix: "rehearsal.", fields };
    let mut model = RehearsalModel::default();
    if let Some(seed) = reader.whole("seed", 0, u64::MAX)? {
        model.seed = seed;
    }
    if let Some(latency) = reader.seconds("latency_seconds")? {
        model.latency = latency;
    }
    if let Some(rate) = reader.number("failure_rate", "a share from 0 to 1")? {
        model.failure_rate = rate;
    }
    if let Some(count) = reader.whole("agents_max", 1, CONCURRENCY_MAX)? {
        model.agents_max = usize::try_from(count).ok();
    }
    model.speed = reader.number("speed", "a number above 0")?;
    reader.done(&["seed", "latency_seconds", "failure_rate", "agents_max", "speed"])?;
    model.validate()?;
    Ok(model)
}

fn gateway_config(fields: Map<String, Value>) -> Result<GatewayConfig, InputError> {
    let mut reader = Reader { prefix: "gateway.", fields };
    let mut config = GatewayConfig {
        url: reader.text("url")?,
        token: reader.text("token")?.map(Secret::new),
        path: reader.choice("path", &[("agent", Path::Agent), ("spawn", Path::Spawn)])?,
        allow_insecure: reader.choice("allow_insecure", &[("false", false), ("true", true)])?,
        ..GatewayConfig::default()
    };
    if let Some(agent_id) = reader.text("agent_id")? {
        config.agent_id = agent_id;
    }
    reader.done(&["url", "token", "path", "allow_insecure", "agent_id"])?;
    config.check_address().map_err(|error| InputError::Address(error.to_string()))?;
    Ok(config)
}

/// Reads options one by one, and refuses what is left over.
pub(super) struct Reader {
    /// What stands before a field's name in errors.
    pub prefix: &'static str,
    /// What has not been read yet.
    pub fields: Map<String, Value>,
}

impl Reader {
    pub fn take(&mut self, field: &str) -> Option<Value> {
        self.fields.shift_remove(field).filter(|value| !value.is_null())
    }

    pub fn error(&self, field: &str, value: &Value, expected: impl Into<String>) -> InputError {
        InputError::Option {
            field: format!("{}{field}", self.prefix),
            value: abridged(&value.to_string(), 80),
            expected: expected.into(),
        }
    }

    pub fn whole(&mut self, field: &str, min: u64, max: u64) -> Result<Option<u64>, InputError> {
        let Some(value) = self.take(field) else { return Ok(None) };
        let count = value.as_u64().filter(|count| (min..=max).contains(count));
        count.map(Some).ok_or_else(|| {
            let bounds = if max == u64::MAX { format!("{min} or more") } else { format!("from {min} to {max}") };
            self.error(field, &value, format!("a whole number {bounds}"))
        })
    }

    pub fn number(&mut self, field: &str, expected: &str) -> Result<Option<f64>, InputError> {
        let Some(value) = self.take(field) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| self.error(field, &value, expected))
    }

    pub fn seconds(&mut self, field: &str) -> Result<Option<Duration>, InputError> {
        const EXPECTED: &str = "a number of seconds above 0";
        let Some(value) = self.take(field) else { return Ok(None) };
        value
            .as_f64()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .filter(|span| !span.is_zero())
            .map(Some)
            .ok_or_else(|| self.error(field, &value, EXPECTED))
    }

    pub fn text(&mut self, field: &str) -> Result<Option<String>, InputError> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text)),
            // A value that was meant as a secret is not shown, whatever it is.
            Some(_) if field == "token" => Err(self.error(field, &Value::from("***"), "a text")),
            Some(other) => Err(self.error(field, &other, "a text")),
        }
    }

    fn object(&mut self, field: &str) -> Result<Option<Map<String, Value>>, InputError> {
        match self.take(field) {
            None | Some(Value::Bool(false)) => Ok(None),
            Some(Value::Bool(true)) => Ok(Some(Map::new())),
            Some(Value::Object(fields)) => Ok(Some(fields)),
            // It may hold a token.
            Some(_) if field == "gateway" => Err(self.error(field, &Value::from("***"), "an object")),
            Some(other) => Err(self.error(field, &other, "an object")),
        }
    }

    /// One of the named values; the first is the default.
    pub fn choice<T: Copy>(&mut self, field: &str, choices: &[(&str, T)]) -> Result<T, InputError> {
        let Some(value) = self.take(field) else { return Ok(choices[0].1) };
        let name = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        choices.iter().find(|(choice, _)| *choice == name).map(|(_, choice)| *choice).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.error(field, &value, format!("one of {}", names.join(", ")))
        })
    }

    fn hierarchy(&mut self) -> Result<ModelHierarchy, InputError> {
        match hierarchy_from_json(self.take("model"), self.take("models")) {
            Ok(hierarchy) => Ok(hierarchy.unwrap_or_default()),
            Err(ModelsFault::Field { field, value, expected }) => Err(self.error(field, &value, expected)),
            Err(ModelsFault::Hierarchy(error)) => Err(error.into()),
        }
    }

    pub fn done(self, known: &[&str]) -> Result<(), InputError> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(field) => Err(InputError::UnknownOption {
                field: format!("{}{}", self.prefix, abridged(field, NAME_CHARS)),
                hint: hint(field, known.iter().copied()),
                known: known.join(", "),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(fields: Value) -> Result<RunOptions, String> {
        let Value::Object(fields) = fields else { panic!("options are an object") };
        RunOptions::from_json(fields).map_err(|error| error.to_string())
    }

    #[test]
    fn without_options_a_run_takes_the_documented_defaults() {
        let options = read(json!({"model": null})).expect("options");
        assert_eq!(options.settings, RunSettings::default());
        assert_eq!(options.hierarchy, ModelHierarchy::default());
        assert_eq!(options.runtime.name(), "gateway");
    }

    #[test]
    fn every_option_reaches_its_place() {
        let options = read(json!({
            "max_concurrent": 7, "models": ["a/b"], "cleanup": "keep", "deadline_seconds": 9.5,
            "retry": {"attempts_max": 3, "delay_first_seconds": 0.5},
            "rehearsal": {"seed": 4, "latency_seconds": 2, "failure_rate": 0.25, "agents_max": 6, "speed": 10},
        }))
        .expect("options");
        assert_eq!(options.settings.concurrency_max, 7);
        assert_eq!(options.settings.cleanup, Cleanup::Keep);
        assert_eq!(options.settings.run_time_max, Duration::from_millis(9_500));
        assert_eq!(options.settings.retry.attempts_max, 3);
        assert_eq!(options.settings.retry.delay_first, Duration::from_millis(500));
        let RuntimeChoice::Rehearsal(model) = options.runtime else { panic!("a rehearsal") };
        let expected = RehearsalModel {
            seed: 4,
            latency: Duration::from_secs(2),
            failure_rate: 0.25,
            agents_max: Some(6),
            speed: Some(10.0),
        };
        assert_eq!(model, expected);
    }

    #[test]
    fn every_bad_option_is_named_with_its_value() {
        for (fields, expected) in [
            (json!({"max_concurrent": 0}), "`max_concurrent` is `0`, expected a whole number from 1 to 10000"),
            (json!({"max_concurrent": 2.5}), "`max_concurrent` is `2.5`"),
            (json!({"cleanup": "burn"}), "`cleanup` is `\"burn\"`, expected one of delete, keep"),
            (json!({"deadline_seconds": -1}), "`deadline_seconds` is `-1`, expected a number of seconds above 0"),
            (json!({"model": 5}), "`model` is `5`, expected a model's name"),
            (json!({"model": "a/b", "models": ["a/b"]}), "give either `model` or `models`"),
            (json!({"models": "a/b"}), "`models` is `\"a/b\"`, expected a list of model names"),
            (json!({"retry": {"atempts_max": 1}}), "unknown option `retry.atempts_max` (did you mean `attempts_max`?)"),
            (json!({"retry": {"attempts_max": 0}}), "`attempts_max` is `0`"),
            (json!({"retry": 3}), "`retry` is `3`, expected an object"),
            (json!({"rehearsal": {"failure_rate": 2}}), "`failure_rate` is `2`"),
            (json!({"rehearsal": true, "gateway": {}}), "give either `rehearsal` or `gateway`"),
            (json!({"gateway": {"path": "x"}}), "`gateway.path` is `\"x\"`, expected one of agent, spawn"),
            (json!({"gateway": {"token": 12345}}), "`gateway.token` is `\"***\"`, expected a text"),
            (json!({"gateway": {"url": "ws://example.com"}}), "`ws://example.com/` would send the token unencrypted"),
            (json!({"gateway": {"url": "a\nb"}}), "`a\\nb` is no address of a gateway"),
            (json!({"gateway": {"url": "example"}}), "`example` is no address of a gateway"),
            (json!({"strategy": {"kind": "join", "until": "any"}}), "unknown option `strategy`"),
            (json!({"max_concurent": 5}), "unknown option `max_concurent` (did you mean `max_concurrent`?)"),
        ] {
            let message = read(fields).expect_err(expected);
            assert!(message.contains(expected), "{message:?} should contain {expected:?}");
        }
    }
}
