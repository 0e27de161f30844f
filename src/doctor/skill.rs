//! The skill: what `skill verify` says of its folders, on one line.

use std::path::PathBuf;

use serde_json::Value;

use super::Line;
use crate::core::check::Check;
use crate::runtime::gateway::Surroundings;
use crate::skill::{Colour, Here, SkillError, Verified, leftovers, look};
use crate::workflow::with_causes;

/// How many differences of a folder a line names.
const SHOWN: usize = 3;

/// What was seen of it.
#[derive(Debug)]
pub struct Looked {
    /// Its folders.
    pub copies: Result<Vec<Verified>, SkillError>,
    /// Places beside which a call that died has left something.
    pub left: Vec<PathBuf>,
}

impl Looked {
    /// Looks. `status` is what the gateway answered to `skills.status`, if it answered.
    pub fn at(status: Option<&Value>) -> Self {
        match Here::find(&Surroundings::real(), status) {
            Ok(here) => Self { left: leftovers(&here), copies: look(&here, status) },
            Err(error) => Self { copies: Err(error), left: Vec::new() },
        }
    }
}

/// `skill`: one line for all of it.
pub fn skill(looked: Option<&Looked>) -> Line {
    const CHECK: Check = Check::Skill;
    let Some(looked) = looked else {
        return Line::yellow(CHECK, "it took too long to look at", "parallel-agents skill verify");
    };
    let mut findings = match &looked.copies {
        Err(SkillError::NoState) => return Line::skipped(CHECK, Check::State),
        Err(error) => vec![Line::red(CHECK, with_causes(error), "do so, then: parallel-agents skill verify")],
        Ok(copies) if copies.is_empty() => {
            let found = "not installed: agents do not know how to run teams";
            vec![Line::yellow(CHECK, found, "parallel-agents skill install")]
        }
        Ok(copies) => copies.iter().map(copy).collect(),
    };
    findings.extend(looked.left.iter().map(|folder| {
        let found = format!("a call that died has left something beside {}", folder.display());
        Line::yellow(CHECK, found, "parallel-agents doctor --fix")
    }));
    Line::of_all(CHECK, findings)
}

/// What is different in a folder, or all that was looked at.
fn copy(copy: &Verified) -> Line {
    const CHECK: Check = Check::Skill;
    let folder = copy.folder.display();
    let words =
        |lines: &[&crate::skill::Line]| lines.iter().map(|line| line.found.as_str()).collect::<Vec<_>>().join(", ");
    let red: Vec<_> = copy.lines.iter().filter(|line| line.colour == Colour::Red).collect();
    if red.is_empty() {
        return Line::green(CHECK, format!("{folder}: {}", words(&copy.lines.iter().collect::<Vec<_>>())));
    }
    let mut fixes: Vec<&str> = red.iter().filter_map(|line| line.fix.as_deref()).collect();
    fixes.dedup();
    let more = match red.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let found = format!("{folder}: {}{more}", words(&red[..red.len().min(SHOWN)]));
    Line::red(CHECK, found, fixes.join("; "))
}

#[cfg(test)]
#[path = "skill_tests.rs"]
mod tests;
