//! Standing defaults of a user's runs: `skills.entries.parallel-agents.config` in OpenClaw's configuration, over
//! `parallel-agents/settings.json` in its state folder.
//!
//! They are the options of a plan, as far as one value can suit every run. Whatever a plan or the command line says goes
//! before them, and `null` there, or in the one of these two that goes first, takes the default of the program.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use thiserror::Error;

use super::InputError;
use super::options::{OPTIONS, RunOptions};
use crate::core::output::{NAME_CHARS, abridged};
use crate::core::task::hint;
use crate::runtime::gateway::{GatewayError, Surroundings};

/// Where OpenClaw's configuration has them, as an RFC 6901 pointer and as people write it.
const POINTER: &str = "/skills/entries/parallel-agents/config";
const PLACE: &str = "skills.entries.parallel-agents.config";

/// Options of a run that cannot be one, and what to do instead.
const OF_ONE_RUN: [(&str, &str); 9] = [
    ("tasks", "give it in the plan"),
    ("until", "give it in the plan, or with `--until`"),
    ("strategy", "give `until` in the plan, or use `parallel-agents orchestrate`"),
    ("rehearsal", "ask for each rehearsal with `--rehearsal`, or in the plan"),
    ("tools", "give them to `Orchestrator` in Python"),
    ("journal", "name another one with `--journal`, or none with `--no-journal`"),
    ("no_journal", "give `--no-journal`"),
    ("durability", "give `--durability`"),
    ("agents", "keep agent types with `parallel-agents agents add`, or give `--agents`"),
];

/// Fields that hold a secret, wherever they stand.
const SECRETS: [&str; 4] = ["token", "password", "secret", "api_key"];

/// Settings that cannot be used. Nothing has been spent.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// OpenClaw's configuration cannot be read.
    #[error("OpenClaw's configuration, which may hold settings at `{PLACE}`, is unusable; correct it")]
    Config(#[source] GatewayError),
    /// The file of settings cannot be read.
    #[error("cannot read the settings `{}`; correct its rights, or remove it", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file of settings is no JSON.
    #[error("the settings `{}` are not valid JSON; correct them", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// They are no object.
    #[error("{place} is `{found}`, expected an object of run options such as {{\"max_concurrent\": 5}}")]
    Shape {
        /// The file, and the field in it.
        place: String,
        /// What stands there.
        found: String,
    },
    /// A secret does not belong here.
    #[error(
        "{place}: `{field}` does not belong into settings; the gateway's token stands in `gateway.auth.token` of \
         openclaw.json, or in the variable OPENCLAW_GATEWAY_TOKEN"
    )]
    Secret {
        /// The file, and the field in it.
        place: String,
        /// The option.
        field: String,
    },
    /// An option that each run has of its own.
    #[error("{place}: `{field}` is chosen for each run and cannot be a setting; {instead}")]
    OfOneRun {
        /// The file, and the field in it.
        place: String,
        /// The option.
        field: &'static str,
        /// What to do.
        instead: &'static str,
    },
    /// There is no such option.
    #[error("{place}: unknown setting `{field}`{hint}; there are {known}")]
    Unknown {
        /// The file, and the field in it.
        place: String,
        /// What was written.
        field: String,
        /// The nearest known one, if one is near.
        hint: String,
        /// What there is.
        known: String,
    },
    /// An option has a value that it does not take.
    #[error("{place}")]
    Option {
        /// The file, and the field in it.
        place: String,
        /// What is wrong.
        source: Box<InputError>,
    },
}

/// The standing defaults that are found, checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Options of a run, as [`RunOptions::from_json`] takes them.
    pub fields: Map<String, Value>,
    /// The files that they come from, the one that goes first first.
    pub files: Vec<PathBuf>,
}

impl Settings {
    /// Those of this user.
    pub fn find() -> Result<Self, SettingsError> {
        Self::find_in(&Surroundings::real())
    }

    /// Those in `surroundings`.
    pub fn find_in(surroundings: &Surroundings<'_>) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        if !surroundings.is_state_known() {
            return Ok(settings);
        }
        let path = surroundings.config_path();
        if let Some(value) = surroundings.configured(POINTER).map_err(SettingsError::Config)? {
            let place = format!("`{PLACE}` in `{}`", path.display());
            settings.add(path, checked(value, &place)?);
        }
        let path = surroundings.own_folder().join("settings.json");
        let text = (surroundings.file)(&path);
        if let Some(text) = text.map_err(|source| SettingsError::Read { path: path.clone(), source })? {
            let value = read(&text, &path)?;
            let place = format!("`{}`", path.display());
            settings.add(path, checked(value, &place)?);
        }
        settings.fields.retain(|_, value| !value.is_null());
        Ok(settings)
    }

    /// Puts what a file says beneath what is known.
    fn add(&mut self, file: PathBuf, fields: Map<String, Value>) {
        self.files.push(file);
        lay_beneath(&mut self.fields, fields);
    }

    /// Puts them beneath the options of one run.
    pub fn beneath(&self, options: &mut Map<String, Value>) {
        let mut fields = self.fields.clone();
        // A rehearsal that is asked for stays one.
        if options.get("rehearsal").is_some_and(|asked| !matches!(asked, Value::Null | Value::Bool(false))) {
            fields.shift_remove("gateway");
        }
        lay_beneath(options, fields);
    }
}

/// Adds to `upper` what it says nothing of. Of objects that both have, field by field.
fn lay_beneath(upper: &mut Map<String, Value>, lower: Map<String, Value>) {
    let names_models = upper.contains_key("model") || upper.contains_key("models");
    for (name, value) in lower {
        if names_models && matches!(&*name, "model" | "models") {
            continue;
        }
        match upper.get_mut(&name) {
            Some(Value::Object(over)) => {
                if let Value::Object(under) = value {
                    for (field, value) in under {
                        over.entry(field).or_insert(value);
                    }
                }
            }
            // `true` is an object without fields, for those that take it.
            Some(place @ Value::Bool(true)) if value.is_object() => *place = value,
            Some(_) => {}
            None => {
                upper.insert(name, value);
            }
        }
    }
}

fn read(text: &str, path: &Path) -> Result<Value, SettingsError> {
    serde_json::from_str(text).map_err(|source| SettingsError::Json { path: path.to_owned(), source })
}

/// The options of one place, each of which can stand.
fn checked(value: Value, place: &str) -> Result<Map<String, Value>, SettingsError> {
    let place = || place.to_owned();
    let fields = match value {
        Value::Object(fields) => fields,
        // It may be a token that somebody put into the wrong place.
        Value::String(_) => return Err(SettingsError::Shape { place: place(), found: "\"..\"".to_owned() }),
        other => {
            return Err(SettingsError::Shape { place: place(), found: abridged(&other.to_string(), NAME_CHARS) });
        }
    };
    for (field, value) in &fields {
        let inner = value.as_object().into_iter().flat_map(|fields| fields.keys());
        let mut names = std::iter::once(field.clone()).chain(inner.map(|name| format!("{field}.{name}")));
        if let Some(field) = names.find(|name| SECRETS.contains(&name.rsplit('.').next().unwrap_or(name))) {
            return Err(SettingsError::Secret { place: place(), field: abridged(&field, NAME_CHARS) });
        }
        if let Some((field, instead)) = OF_ONE_RUN.iter().find(|(name, _)| name == field) {
            return Err(SettingsError::OfOneRun { place: place(), field, instead });
        }
        if !OPTIONS.contains(&&**field) {
            let known = || OPTIONS.into_iter().filter(|option| OF_ONE_RUN.iter().all(|(name, _)| name != option));
            return Err(SettingsError::Unknown {
                place: place(),
                field: abridged(field, NAME_CHARS),
                hint: hint(field, known()),
                known: known().collect::<Vec<_>>().join(", "),
            });
        }
    }
    match RunOptions::from_json(fields.clone()) {
        Ok(_) => Ok(fields),
        Err(error) => Err(SettingsError::Option { place: place(), source: Box::new(error) }),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use serde_json::json;

    const STATE: &str = "/s";

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(fields) = value else { panic!("an object") };
        fields
    }

    /// What is found beside an openclaw.json and a settings.json of these texts.
    fn found(config: Option<&str>, settings: Option<&str>) -> Result<Settings, String> {
        let file = |path: &Path| -> io::Result<Option<String>> {
            let text = match path.to_str() {
                Some("/s/openclaw.json") => config,
                Some("/s/parallel-agents/settings.json") => settings,
                _ => panic!("{} is of no concern", path.display()),
            };
            match text {
                Some("unreadable") => Err(io::ErrorKind::PermissionDenied.into()),
                text => Ok(text.map(str::to_owned)),
            }
        };
        let variable = |name: &str| (name == "OPENCLAW_STATE_DIR").then(|| STATE.to_owned());
        Settings::find_in(&Surroundings { variable: &variable, file: &file })
            .map_err(|error| crate::workflow::with_causes(&error))
    }

    fn config(fields: &str) -> String {
        format!("{{ // JSON5\n skills: {{entries: {{'parallel-agents': {{enabled: true, config: {fields}}}}}}} }}")
    }

    #[test]
    fn without_files_there_are_none() {
        assert_eq!(found(None, None), Ok(Settings::default()));
        assert_eq!(found(Some("{gateway: {port: 1}}"), None), Ok(Settings::default()));
        let nowhere = Surroundings { variable: &|_| None, file: &|_| panic!("nothing is read in a project's folder") };
        assert_eq!(Settings::find_in(&nowhere).expect("none"), Settings::default());
    }

    #[test]
    fn openclaws_configuration_goes_before_the_own_file_field_by_field() {
        let upper = config("{max_concurrent: 3, model: 'a/b', budget: {usd: 2}, retry: null}");
        let lower = r#"{"max_concurrent": 9, "models": ["c/d"], "cleanup": "keep", "retry": {"attempts_max": 2},
                        "budget": {"usd": 7, "tokens": 8}}"#;
        let settings = found(Some(&upper), Some(lower)).expect("settings");
        let expected =
            json!({"max_concurrent": 3, "model": "a/b", "budget": {"usd": 2, "tokens": 8}, "cleanup": "keep"});
        assert_eq!(Value::Object(settings.fields), expected);
        assert_eq!(settings.files.len(), 2);
    }

    #[test]
    fn a_run_says_more_than_its_settings() {
        let settings = json!({"max_concurrent": 3, "models": ["a/b"], "gateway": {"url": "ws://127.0.0.1:1/", "path": "spawn"},
            "budget": {"usd": 2}});
        let settings = Settings { fields: object(settings), files: Vec::new() };
        for (options, expected) in [
            (
                json!({"max_concurrent": 4}),
                json!({"max_concurrent": 4, "models": ["a/b"], "budget": {"usd": 2},
                "gateway": {"url": "ws://127.0.0.1:1/", "path": "spawn"}}),
            ),
            (
                json!({"model": "c/d", "budget": {"tokens": 5}, "gateway": {"path": "agent"}}),
                json!({"model": "c/d",
                "budget": {"tokens": 5, "usd": 2}, "gateway": {"path": "agent", "url": "ws://127.0.0.1:1/"},
                "max_concurrent": 3}),
            ),
            (
                json!({"model": "c/d", "models": null, "budget": null, "gateway": true}),
                json!({"model": "c/d",
                "models": null, "budget": null, "max_concurrent": 3,
                "gateway": {"url": "ws://127.0.0.1:1/", "path": "spawn"}}),
            ),
            (
                json!({"rehearsal": {"seed": 1}}),
                json!({"rehearsal": {"seed": 1}, "models": ["a/b"], "max_concurrent": 3,
                "budget": {"usd": 2}}),
            ),
        ] {
            let mut merged = object(options);
            settings.beneath(&mut merged);
            assert_eq!(Value::Object(merged.clone()), expected);
            RunOptions::from_json(merged).expect("options");
        }
    }

    #[test]
    fn every_message_names_the_file_the_field_and_what_to_do() {
        let own = |text: &str| found(None, Some(text)).expect_err(text);
        for (text, expected) in [
            ("unreadable", "cannot read the settings `/s/parallel-agents/settings.json`; correct its rights"),
            (
                "{",
                "the settings `/s/parallel-agents/settings.json` are not valid JSON; correct them: EOF while parsing",
            ),
            ("[]", "`/s/parallel-agents/settings.json` is `[]`, expected an object of run options"),
            ("\"my-token\"", "is `\"..\"`, expected an object"),
            (
                r#"{"gateway": {"token": "x"}}"#,
                "`gateway.token` does not belong into settings; the gateway's token stands in `gateway.auth.token`",
            ),
            (r#"{"token": "x"}"#, "`/s/parallel-agents/settings.json`: `token` does not belong into settings"),
            (
                r#"{"journal": "x"}"#,
                "`journal` is chosen for each run and cannot be a setting; name another one with `--journal`",
            ),
            (
                r#"{"tools": "x"}"#,
                "`tools` is chosen for each run and cannot be a setting; give them to `Orchestrator`",
            ),
            (r#"{"rehearsal": true}"#, "`rehearsal` is chosen for each run and cannot be a setting; ask for each"),
            (
                r#"{"max_concurent": 1}"#,
                "unknown setting `max_concurent` (did you mean `max_concurrent`?); there are max_concurrent, model,",
            ),
            (
                r#"{"max_concurrent": 0}"#,
                "`/s/parallel-agents/settings.json`: `max_concurrent` is `0`, expected a whole number from 1 to 10000",
            ),
            (r#"{"model": "a/b", "models": ["a/b"]}"#, "give either `model` or `models`"),
            (r#"{"gateway": {"path": "x"}}"#, "`gateway.path` is `\"x\"`, expected one of agent, spawn"),
        ] {
            let message = own(text);
            assert!(message.contains(expected), "{message:?} should contain {expected:?}");
        }
        let configured = |fields: &str| found(Some(&config(fields)), None).expect_err(fields);
        let place = "`skills.entries.parallel-agents.config` in `/s/openclaw.json`";
        assert!(configured("{max_concurrent: 0}").starts_with(&format!("{place}: `max_concurrent` is `0`")));
        assert!(configured("7").starts_with(&format!("{place} is `7`, expected an object")));
        let broken = found(Some("{"), None).expect_err("broken");
        assert!(broken.starts_with("OpenClaw's configuration, which may hold settings"), "{broken}");
        assert!(broken.contains("`/s/openclaw.json`"), "{broken}");
    }
}
