//! The skill as a folder: installed, upgraded, verified, removed and packaged.
//!
//! What it holds is embedded ([`content`]); which of its files are whose, its record says ([`record`]). Every change is
//! prepared in a hidden folder beside it and becomes true by one rename ([`site`]), so that a death leaves the old folder
//! or the new one. What a person edited is never lost. Knows neither the command line nor Python; the command calls it.

use std::path::{Path, PathBuf};

mod backup;
mod content;
mod error;
mod install;
mod old;
mod package;
mod place;
mod record;
mod settings;
mod sight;
mod site;
mod tree;
mod uninstall;
mod upgrade;
mod verify;
mod zip;

pub use content::Content;
pub use error::SkillError;
pub use install::{Installed, install};
pub use package::{Package, package};
pub use place::{Here, Place};
pub use record::Record;
pub use sight::{Sight, ask_gateway};
pub use site::{leftovers, tidy};
pub use uninstall::{Removal, uninstall};
pub use upgrade::{Upgrade, upgrade};
pub use verify::{Colour, Line, Verified, look, verify};

/// What the folder is called, and the skill in it.
pub const NAME: &str = "parallel-agents";
/// The version of the skill: that of the package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The file that says which files of the folder are ours.
pub const RECORD: &str = "parallel-agents.json";

/// Reads what people configured in a folder of releases up to 3.2.0, without executing any of it: `prompts`, `constants`
/// and `problems`. Or why it cannot be read.
pub type ReadOld<'a> = &'a dyn Fn(&Path) -> Result<serde_json::Value, String>;

/// What the calls need to know of where they run.
#[derive(Clone)]
pub struct Caller<'a> {
    /// The Python that has the package, for the record.
    pub python: Option<PathBuf>,
    /// The day, as `2026-11-22`: backups are named by it.
    pub today: String,
    /// Reads an old skill.
    pub read_old: ReadOld<'a>,
}
