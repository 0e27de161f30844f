//! `parallel-agents doctor`: what would keep a run from working, one line each, with the way out beside it.
//!
//! [`observe`] asks and [`put_right`] repairs what is ours; in between every check is a function from what was observed to
//! a [`Line`], in one file for each group: [`package`], [`gateway`], [`work`], [`files`], [`skill`]. Nothing here starts an
//! agent, spends (unless models are to be tried), or shows a secret.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::core::check::Check;
use crate::core::shell::shell_path;
use crate::runtime::gateway::GatewayConfig;

mod defaults;
mod files;
mod gateway;
mod observe;
mod package;
mod put_right;
mod skill;
mod work;

pub use observe::{Observed, observe};
pub use package::Python;
pub use put_right::{Repairs, put_right};

/// The release of `OpenClaw` that this one is built for.
pub const BUILT_FOR: &str = "2026.9.6";

/// What is to be looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Wishes {
    /// The gateway, as far as the caller names it.
    pub gateway: GatewayConfig,
    /// The journal.
    pub journal: PathBuf,
    /// Whether that is the one in our own folder, whose files are ours whatever stands in them.
    pub is_own_journal: bool,
    /// The models of a run, from cheap to costly, if they are named here.
    pub models: Option<Vec<String>>,
    /// Files and folders of agent types beside the user's own.
    pub agents: Vec<PathBuf>,
    /// Whether each provider is asked for one small answer, which costs.
    pub try_models: bool,
    /// The Python around us, if there is one.
    pub python: Option<Python>,
}

/// How a line is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Green,
    /// A run works, but not as it could.
    Yellow,
    /// A run does not work.
    Red,
    /// Not looked at, because of what an earlier line found.
    Skipped(Check),
}

impl Level {
    /// The documented name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
            Self::Skipped(_) => "skipped",
        }
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which check.
    pub check: Check,
    /// How it is judged.
    pub level: Level,
    /// What was found, on one line.
    pub found: String,
    /// The command or setting that puts it right.
    pub fix: Option<String>,
}

impl Line {
    fn green(check: Check, found: impl Into<String>) -> Self {
        Self { check, level: Level::Green, found: found.into(), fix: None }
    }

    fn yellow(check: Check, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, level: Level::Yellow, found: found.into(), fix: Some(fix.into()) }
    }

    fn red(check: Check, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, level: Level::Red, found: found.into(), fix: Some(fix.into()) }
    }

    fn skipped(check: Check, because: Check) -> Self {
        let found = format!("not looked at: see `{}`", because.id());
        Self { check, level: Level::Skipped(because), found, fix: None }
    }

    /// What several findings come to: the worst of them, all that was found, and every way out.
    fn of_all(check: Check, findings: Vec<Self>) -> Self {
        let rank = |line: &Self| match line.level {
            Level::Skipped(_) => 0,
            Level::Green => 1,
            Level::Yellow => 2,
            Level::Red => 3,
        };
        let level = findings.iter().max_by_key(|line| rank(line)).map_or(Level::Green, |line| line.level);
        let joined = |words: Vec<String>| words.join("; ");
        let mut fixes: Vec<String> = findings.iter().filter_map(|line| line.fix.clone()).collect();
        fixes.dedup();
        let fix = (!fixes.is_empty()).then(|| joined(fixes));
        Self { check, level, found: joined(findings.into_iter().map(|line| line.found).collect()), fix }
    }
}

/// All lines, in the order of [`Check::ALL`].
pub fn judge(observed: &Observed) -> Vec<Line> {
    Check::ALL.into_iter().map(|check| line(check, observed)).collect()
}

fn line(check: Check, observed: &Observed) -> Line {
    let (seen, files) = (&observed.gateway, &observed.files);
    match check {
        Check::Python => package::python(observed.python.as_ref()),
        Check::Package => package::package(observed.python.as_ref()),
        Check::Runtime => observed.defaults.unreadable().unwrap_or_else(|| gateway::runtime(seen)),
        Check::Gateway => gateway::gateway(seen),
        Check::Version => gateway::version(seen),
        Check::Token => gateway::token(seen),
        Check::Scopes => gateway::scopes(seen),
        Check::PathAgent => gateway::path_agent(seen),
        Check::PathSpawn => gateway::path_spawn(seen),
        Check::Limits => work::limits(seen, observed.defaults.concurrency),
        Check::Models => work::models(seen, &observed.defaults.models),
        Check::State => files::state(files, &observed.defaults),
        Check::Journal => files::journal(files),
        Check::Agents => files::agents(files),
        Check::Skill => skill::skill(observed.skill.as_ref()),
    }
}

/// Whether no line is red.
pub fn is_ok(lines: &[Line]) -> bool {
    lines.iter().all(|line| line.level != Level::Red)
}

/// The lines as one JSON document.
pub fn document(lines: &[Line], repairs: &Repairs) -> Value {
    let line = |line: &Line| {
        let because = match line.level {
            Level::Skipped(because) => Some(because.id()),
            Level::Green | Level::Yellow | Level::Red => None,
        };
        json!({
            "id": line.check.id(), "level": line.level.name(), "found": line.found, "fix": line.fix, "because": because,
        })
    };
    json!({
        "ok": is_ok(lines),
        "version": env!("CARGO_PKG_VERSION"),
        "built_for": BUILT_FOR,
        "lines": lines.iter().map(line).collect::<Vec<_>>(),
        "fixed": repairs.fixed,
        "not_fixed": repairs.not_fixed,
    })
}

/// The command that gives a file or folder of another user to this one, with rights `mode`.
fn taken(path: &std::path::Path, mode: &str) -> String {
    let path = shell_path(path);
    format!("sudo chown \"$(id -u)\" {path} && chmod {mode} {path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_is_the_line_s() {
        let line = Line::of_all(
            Check::State,
            vec![Line::green(Check::State, "there"), Line::yellow(Check::State, "open", "chmod 700 x")],
        );
        assert_eq!(line, Line::yellow(Check::State, "there; open", "chmod 700 x"));
        assert_eq!(Line::of_all(Check::State, vec![Line::green(Check::State, "there")]).fix, None);
    }

    #[test]
    fn the_document_says_why_a_line_was_skipped() {
        let lines = [Line::skipped(Check::Token, Check::Gateway), Line::red(Check::Gateway, "silent", "start it")];
        let document = document(&lines, &Repairs::default());
        assert_eq!(document["ok"], false);
        assert_eq!(document["lines"][0]["because"], "gateway");
        assert_eq!(document["lines"][1]["because"], Value::Null);
    }
}
