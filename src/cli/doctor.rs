//! `parallel-agents doctor`: for people one line each, or one JSON document.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;

use super::journal::JournalFlag;
use super::program::{typed, typed_in};
use super::{CliError, print, say};
use crate::doctor::{Level, Line, Observed, Python, Repairs, Wishes, document, is_ok, judge, observe, put_right};
use crate::runtime::gateway::GatewayConfig;

/// What is to be looked at.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Doctor {
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Put right what is ours: rights, what dead processes left, a damaged journal, which is renamed
    #[arg(long)]
    fix: bool,
    /// Let each provider answer once. Costs a little
    #[arg(long)]
    try_models: bool,
    /// The gateway's address [default: the one that is found]
    #[arg(long, value_name = "URL")]
    gateway_url: Option<String>,
    /// The models of a run, separated by commas [default: those of the settings, or the usual ones]
    #[arg(long, value_delimiter = ',')]
    models: Option<Vec<String>>,
    /// Further agent types: a Markdown file or a folder of them. May be repeated
    #[arg(long = "agents", value_name = "PATH")]
    agents: Vec<PathBuf>,
    #[command(flatten)]
    journal: JournalFlag,
}

impl Doctor {
    fn wishes(&self, python: Option<Python>) -> Wishes {
        Wishes {
            gateway: GatewayConfig { url: self.gateway_url.clone(), ..GatewayConfig::default() },
            journal: self.journal.path(),
            is_own_journal: self.journal.is_own(),
            models: self.models.clone(),
            agents: self.agents.clone(),
            try_models: self.try_models,
            python,
        }
    }
}

/// Looks, repairs if that is wished, and tells. Returns the exit code.
pub(super) fn doctor(doctor: &Doctor, python: Option<Python>, interrupted: &dyn Fn() -> bool) -> Result<i32, CliError> {
    let mut wishes = doctor.wishes(python);
    if wishes.try_models {
        say("each provider of the models is asked for one small answer, which costs");
    }
    let Some(mut observed) = observe(&wishes, interrupted)? else { return Ok(130) };
    let repairs = if doctor.fix { put_right(&observed, &wishes) } else { Repairs::default() };
    if !repairs.is_empty() {
        // What was tried is not paid for again.
        wishes.try_models = false;
        let probes = std::mem::take(&mut observed.gateway.probes);
        let Some(again) = observe(&wishes, interrupted)? else { return Ok(130) };
        observed = again;
        observed.gateway.probes = probes;
    }
    tell(doctor, &observed, &repairs)
}

fn tell(doctor: &Doctor, observed: &Observed, repairs: &Repairs) -> Result<i32, CliError> {
    let lines = judge(observed);
    if doctor.json {
        print(&format!("{:#}", typed_in(document(&lines, repairs))))?;
    } else {
        print(&typed(&shown(&lines, repairs, is_colourful())))?;
    }
    Ok(i32::from(!is_ok(&lines)))
}

/// Whether colours are wanted on standard output.
fn is_colourful() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The report for people.
fn shown(lines: &[Line], repairs: &Repairs, is_colourful: bool) -> String {
    let mut rows: Vec<String> = repairs.fixed.iter().map(|line| format!("fixed: {line}")).collect();
    rows.extend(repairs.not_fixed.iter().map(|line| format!("not fixed: {line}")));
    for line in lines {
        let name = format!("{:8}", line.level.name());
        let name = if is_colourful { format!("\x1b[{}m{name}\x1b[0m", colour(line.level)) } else { name };
        rows.push(format!("{name} {:11} {}", line.check.id(), line.found));
        rows.extend(line.fix.iter().map(|fix| format!("{:20} -> {fix}", "")));
    }
    let count = |level: &str| lines.iter().filter(|line| line.level.name() == level).count();
    let counts: Vec<String> = ["green", "yellow", "red", "skipped"]
        .into_iter()
        .filter(|level| count(level) > 0)
        .map(|level| format!("{} {level}", count(level)))
        .collect();
    rows.push(counts.join(", "));
    rows.join("\n")
}

const fn colour(level: Level) -> u8 {
    match level {
        Level::Green => 32,
        Level::Yellow => 33,
        Level::Red => 31,
        Level::Skipped(_) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::check::Check;

    #[test]
    fn the_words_stand_in_plain_text_and_colours_beside_them_only() {
        let line = |check, level, fix: Option<&str>| Line {
            check,
            level,
            found: "it is".to_owned(),
            fix: fix.map(str::to_owned),
        };
        let lines = [
            line(Check::Python, Level::Green, None),
            line(Check::Gateway, Level::Red, Some("start it")),
            line(Check::Token, Level::Skipped(Check::Gateway), None),
        ];
        let repairs = Repairs { fixed: vec!["made it".to_owned()], not_fixed: vec!["could not close it".to_owned()] };
        let plain = shown(&lines, &repairs, false);
        assert_eq!(
            plain,
            "fixed: made it\n\
             not fixed: could not close it\n\
             green    python      it is\n\
             red      gateway     it is\n                     -> start it\n\
             skipped  token       it is\n\
             1 green, 1 red, 1 skipped"
        );
        let colourful = shown(&lines, &Repairs::default(), true);
        assert!(colourful.contains("\x1b[31mred     \x1b[0m gateway"), "{colourful}");
        assert!(!plain.contains('\x1b'));
    }
}
