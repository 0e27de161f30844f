//! The settings that every run has beneath it, as the lines `state`, `models` and `limits` use them.

use super::{Line, Wishes, gateway, taken};
use crate::core::check::Check;
use crate::core::hierarchy::DEFAULT_MODELS;
use crate::core::settings::RunSettings;
use crate::core::shell::shell_path;
use crate::runtime::gateway::GatewayConfig;
use crate::workflow::{RunOptions, RuntimeChoice, Settings, SettingsError, with_causes};

/// What a run is like of which nothing else is said.
#[derive(Debug)]
pub struct Defaults {
    /// The settings, or what is wrong with them.
    pub settings: Result<Settings, SettingsError>,
    /// Its models, from cheap to costly.
    pub models: Vec<String>,
    /// Its agents at once.
    pub concurrency: usize,
    /// Its gateway, as far as it is named.
    pub gateway: GatewayConfig,
}

impl Defaults {
    /// Reads the settings. Models that are named by whoever asks come before those in them.
    pub fn find(wishes: &Wishes) -> Self {
        Self::of(Settings::find(), wishes)
    }

    /// As it is without settings.
    pub fn usual(wishes: &Wishes) -> Self {
        Self::of(Ok(Settings::default()), wishes)
    }

    fn of(settings: Result<Settings, SettingsError>, wishes: &Wishes) -> Self {
        let fields = settings.as_ref().map(|settings| settings.fields.clone()).unwrap_or_default();
        // Settings that are found are checked already.
        let options = RunOptions::from_json(fields).ok();
        let set = options.as_ref().map(|options| options.hierarchy.tiers().iter().map(|tier| tier.model.to_string()));
        let usual = || DEFAULT_MODELS.iter().map(|&model| model.to_owned()).collect();
        let models = wishes.models.clone().or_else(|| set.map(Iterator::collect)).unwrap_or_else(usual);
        let usual = RunSettings::default().concurrency_max;
        let concurrency = options.as_ref().map_or(usual, |options| options.settings.concurrency_max);
        let gateway = match options.map(|options| options.runtime) {
            Some(RuntimeChoice::Gateway(set)) => GatewayConfig { url: wishes.gateway.url.clone().or(set.url), ..set },
            Some(RuntimeChoice::Rehearsal(_)) | None => wishes.gateway.clone(),
        };
        Self { settings, models, concurrency, gateway }
    }

    /// The line `runtime` where OpenClaw's configuration cannot be read, which may hold settings: no command runs then.
    pub fn unreadable(&self) -> Option<Line> {
        match &self.settings {
            Err(SettingsError::Config(error)) => Some(gateway::unusable(error)),
            Ok(_) | Err(_) => None,
        }
    }

    /// What is said of the settings, if there are any.
    pub fn line(&self) -> Option<Line> {
        const CHECK: Check = Check::State;
        match &self.settings {
            Ok(settings) if settings.fields.is_empty() => None,
            Ok(settings) => {
                let names: Vec<&str> = settings.fields.keys().map(String::as_str).collect();
                Some(Line::green(CHECK, format!("settings: {}", names.join(", "))))
            }
            Err(error) => Some(Line::red(CHECK, with_causes(error), fix(error))),
        }
    }
}

fn fix(error: &SettingsError) -> String {
    match error {
        SettingsError::Config(_) => "see line `runtime`".to_owned(),
        SettingsError::Read { path, .. } => taken(path, "600"),
        SettingsError::Json { path, .. } => format!("correct {path}", path = shell_path(path)),
        SettingsError::Secret { place, field } | SettingsError::Unknown { place, field, .. } => {
            format!("take `{field}` out of {place}")
        }
        SettingsError::OfOneRun { place, field, .. } => format!("take `{field}` out of {place}"),
        SettingsError::Shape { place, .. } | SettingsError::Option { place, .. } => format!("correct {place}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::super::Level;
    use super::*;

    pub(in crate::doctor) fn defaults(models: Option<&[&str]>, fields: Value) -> Defaults {
        let models = models.map(|models| models.iter().map(|&model| model.to_owned()).collect());
        let wishes = Wishes {
            gateway: GatewayConfig::default(),
            journal: "/j".into(),
            is_own_journal: true,
            models,
            agents: Vec::new(),
            try_models: false,
            python: None,
        };
        let Value::Object(fields) = fields else { panic!("an object") };
        Defaults::of(Ok(Settings { fields, files: Vec::new() }), &wishes)
    }

    #[test]
    fn models_that_are_named_come_before_those_of_the_settings_and_these_before_the_usual_ones() {
        let fields = json!({"models": ["a/b", "c/d"], "max_concurrent": 9});
        assert_eq!(defaults(None, json!({})).models, DEFAULT_MODELS);
        let set = defaults(None, fields.clone());
        assert_eq!((set.models, set.concurrency), (vec!["a/b".to_owned(), "c/d".to_owned()], 9));
        assert_eq!(defaults(Some(&["e/f"]), fields).models, ["e/f"]);
        let url = || Some("ws://127.0.0.1:1".to_owned());
        assert_eq!(defaults(None, json!({"gateway": {"url": url()}})).gateway.url, url());
        assert_eq!(defaults(None, json!({})).gateway, GatewayConfig::default());
        assert_eq!(defaults(None, json!({})).concurrency, RunSettings::default().concurrency_max);
    }

    #[test]
    fn settings_that_cannot_be_used_are_red_with_what_to_correct() {
        let place = || "`skills.entries.parallel-agents.config` in `/s/openclaw.json`".to_owned();
        let unusable = |error| Defaults { settings: Err(error), ..defaults(None, json!({})) };
        let error = SettingsError::Secret { place: place(), field: "gateway.token".to_owned() };
        let line = unusable(error).line().expect("a line");
        assert_eq!(line.level, Level::Red);
        assert!(line.found.contains("/s/openclaw.json") && line.found.contains("`gateway.token`"), "{}", line.found);
        let fix = "take `gateway.token` out of `skills.entries.parallel-agents.config` in `/s/openclaw.json`";
        assert_eq!(line.fix.as_deref(), Some(fix));
        let source = std::io::ErrorKind::PermissionDenied.into();
        let line = unusable(SettingsError::Read { path: "/a b".into(), source }).line().expect("a line");
        assert_eq!(line.fix.as_deref(), Some("sudo chown \"$(id -u)\" '/a b' && chmod 600 '/a b'"));
        assert_eq!(defaults(None, json!({})).line(), None);
        let told = defaults(None, json!({"model": "a/b"})).line().expect("a line");
        assert_eq!((told.level, told.found.as_str()), (Level::Green, "settings: model"));
    }
}
