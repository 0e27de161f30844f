//! Repairs, of what is ours alone: our folder's and our journal's rights, locks and half-written files that dead processes
//! have left, what a call that died left beside the skill, and a damaged journal, which gets another name. Nothing is
//! deleted that holds anything.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

use super::files::{Folder, Standing};
use super::{Observed, Wishes};
use crate::agents::sweep as sweep_agents;
use crate::journal::{Examined, JournalError, set_aside, sweep, tighten};
use crate::skill::tidy;

/// What was tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repairs {
    /// What was done.
    pub fixed: Vec<String>,
    /// What could not be, each with why.
    pub not_fixed: Vec<String>,
}

impl Repairs {
    /// Whether there was nothing to do.
    pub fn is_empty(&self) -> bool {
        self.fixed.is_empty() && self.not_fixed.is_empty()
    }
}

impl FromIterator<Repair> for Repairs {
    fn from_iter<I: IntoIterator<Item = Repair>>(repairs: I) -> Self {
        let mut all = Self::default();
        for repair in repairs {
            match repair {
                Ok(done) => all.fixed.push(done),
                Err(why) => all.not_fixed.push(why),
            }
        }
        all
    }
}

/// What was done, or what could not be and why.
type Repair = Result<String, String>;

/// Does it, and says what was done, and what could not be.
pub fn put_right(observed: &Observed, wishes: &Wishes) -> Repairs {
    let mut told: Vec<Repair> = Vec::new();
    if let Some(own) = &observed.files.own {
        told.extend(folder(own));
        told.extend(half_written(own));
    }
    told.extend(observed.skill.iter().flat_map(|looked| &looked.left).map(|folder| match tidy(folder) {
        Ok(()) => Ok(format!("removed what a call that died had left beside {}", folder.display())),
        Err(error) => Err(format!("could not tidy up: {}", crate::workflow::with_causes(&error))),
    }));
    match &observed.files.journal {
        Some(Ok(examined)) => told.extend(journal(examined, wishes)),
        Some(Err(JournalError::Damaged { .. } | JournalError::NoDatabase { .. })) => told.push(renamed(wishes)),
        Some(Err(_)) | None => {}
    }
    told.into_iter().collect()
}

fn folder(own: &Folder) -> Option<Repair> {
    let path = own.path.display();
    match &own.standing {
        Standing::Missing { problem: None } => {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&own.path);
            Some(done(made, format!("made {path}"), || format!("make {path}")))
        }
        Standing::There { problem: None, open_to_others: true } => {
            let closed = fs::set_permissions(&own.path, Permissions::from_mode(0o700));
            Some(done(closed, format!("closed {path} to other users"), || format!("close {path}")))
        }
        Standing::Missing { problem: Some(_) } | Standing::There { .. } | Standing::NoFolder => None,
    }
}

fn half_written(own: &Folder) -> Option<Repair> {
    let Standing::There { problem: None, .. } = own.standing else { return None };
    let agents = own.path.join("agents");
    match sweep_agents(&agents) {
        Ok(0) => None,
        Ok(count) => Some(Ok(format!("removed {count} half-written files of dead processes in {}", agents.display()))),
        Err(error) => Some(Err(format!("could not tidy {}: {error}", agents.display()))),
    }
}

fn journal(examined: &Examined, wishes: &Wishes) -> Vec<Repair> {
    let path = wishes.journal.display();
    if examined.problems.as_ref().is_some_and(|problems| !problems.is_empty()) {
        return vec![renamed(wishes)];
    }
    let mut told = Vec::new();
    if examined.open_to_others {
        let closed = tighten(&wishes.journal);
        told.push(done(closed, format!("closed {path} to other users"), || format!("close {path}")));
    }
    if examined.stale_locks > 0 {
        told.push(match sweep(&wishes.journal) {
            Ok(count) => Ok(format!("removed {count} lock files of dead processes beside {path}")),
            Err(error) => Err(format!("could not remove lock files: {}", crate::workflow::with_causes(&error))),
        });
    }
    told
}

fn renamed(wishes: &Wishes) -> Repair {
    let path = wishes.journal.display();
    match set_aside(&wishes.journal, wishes.is_own_journal) {
        Ok(name) => Ok(format!("renamed the damaged journal {path} to {}", name.display())),
        Err(error) => Err(format!("could not set {path} aside: {error}")),
    }
}

fn done(result: io::Result<()>, told: String, what: impl Fn() -> String) -> Repair {
    result.map(|()| told).map_err(|error| format!("could not {}: {error}", what()))
}
