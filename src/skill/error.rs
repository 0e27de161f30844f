//! Why nothing was done to a folder of the skill.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::agents::AgentError;

/// A folder of the skill that cannot be made, changed or read.
#[derive(Debug, Error)]
pub enum SkillError {
    /// Nothing says where OpenClaw keeps its state.
    #[error(
        "where OpenClaw keeps its state is not known: none of OPENCLAW_STATE_DIR, OPENCLAW_HOME and HOME is set; set one"
    )]
    NoState,
    /// The configuration cannot be read, and the workspace stands in it.
    #[error("the workspace is not known ({reason}); use --to DIR")]
    Workspace {
        /// Why not.
        reason: String,
    },
    /// A folder of that name is there.
    #[error("`{}` exists already; to bring it to this version: parallel-agents skill upgrade{flags}", folder.display())]
    Exists {
        /// The folder.
        folder: PathBuf,
        /// The flags that name its place.
        flags: String,
    },
    /// There is no folder.
    #[error("the skill is not installed in `{}`; install it: parallel-agents skill install{flags}", folder.display())]
    Missing {
        /// Where it would be.
        folder: PathBuf,
        /// The flags that name its place.
        flags: String,
    },
    /// There are several, and none was named.
    #[error("the skill is installed in several places; name one of {}", flags.join(", "))]
    Several {
        /// What names each of them.
        flags: Vec<String>,
    },
    /// The skill is nowhere.
    #[error("the skill is not installed; looked in {looked}; install it: parallel-agents skill install")]
    Nowhere {
        /// Where it could be.
        looked: String,
    },
    /// What is there is not ours.
    #[error("`{}` is not a folder of this skill ({reason}); move it away, then: parallel-agents skill install{flags}", folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// How that shows.
        reason: String,
        /// The flags that name its place.
        flags: String,
    },
    /// A folder of an old release, of which it is not known what is whose.
    #[error("`{}` holds release {version} of the skill, which kept no record of its files; first: parallel-agents skill upgrade{flags}", folder.display())]
    Old {
        /// The folder.
        folder: PathBuf,
        /// Its release.
        version: String,
        /// The flags that name its place.
        flags: String,
    },
    /// A link that leads out of the place.
    #[error("`{}` is a link that leads out of `{}`; name where it leads with --to DIR", path.display(), place.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// The place.
        place: PathBuf,
    },
    /// The folder is newer than this program.
    #[error("`{}` holds version {installed}, and this program brings {ours}; to go back to it: parallel-agents skill upgrade --downgrade{flags}", folder.display())]
    Newer {
        /// The folder.
        folder: PathBuf,
        /// The version in it.
        installed: String,
        /// Ours.
        ours: String,
        /// The flags that name its place.
        flags: String,
    },
    /// Another call works there.
    #[error("another `parallel-agents skill` works in `{}`; try again when it is done", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// A file or link of the person's where a file or folder of ours has to be.
    #[error("`{}` is in the way of a file or folder of the skill; move it away", path.display())]
    InTheWay {
        /// What is there.
        path: PathBuf,
    },
    /// What is not expected in a skill.
    #[error("`{}` has {what}, which is not expected in a skill; move it away", path.display())]
    Odd {
        /// Where.
        path: PathBuf,
        /// What.
        what: &'static str,
    },
    /// A record that cannot be used.
    #[error("the record `{}` cannot be used ({reason}); move the folder away, then: parallel-agents skill install{flags}", path.display())]
    Record {
        /// The record.
        path: PathBuf,
        /// Why not.
        reason: String,
        /// The flags that name the folder's place.
        flags: String,
    },
    /// Not our wheel.
    #[error("the wheel `{}` cannot go with the skill: {reason}", path.display())]
    Wheel {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A package that no registry takes.
    #[error("the package has {bytes} bytes, and registries take at most {max}; leave the wheel out")]
    TooLarge {
        /// How many it has.
        bytes: u64,
        /// How many it may have.
        max: u64,
    },
    /// What an old skill configures cannot be read.
    #[error("what is configured in `{}` cannot be read ({reason}); nothing was changed", folder.display())]
    ReadOld {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        reason: String,
    },
    /// An agent type that was to be carried over.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// Something cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something cannot be written, moved or removed.
    #[error("cannot change `{}`", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_is_wrong_and_what_to_do_next() {
        let (folder, flags) = (PathBuf::from("/s/parallel-agents"), " --global".to_owned());
        let path = folder.join("SKILL.md");
        let (version, reason) = ("3.2.0".to_owned(), "why".to_owned());
        let io = || io::Error::other("why");
        let errors = [
            (
                SkillError::NoState,
                "where OpenClaw keeps its state is not known: none of OPENCLAW_STATE_DIR, OPENCLAW_HOME and HOME is \
                 set; set one",
            ),
            (SkillError::Workspace { reason: reason.clone() }, "the workspace is not known (why); use --to DIR"),
            (
                SkillError::Exists { folder: folder.clone(), flags: flags.clone() },
                "`/s/parallel-agents` exists already; to bring it to this version: parallel-agents skill upgrade --global",
            ),
            (
                SkillError::Missing { folder: folder.clone(), flags: flags.clone() },
                "the skill is not installed in `/s/parallel-agents`; install it: parallel-agents skill install --global",
            ),
            (
                SkillError::Several { flags: vec!["`--workspace`".to_owned(), "`--global`".to_owned()] },
                "the skill is installed in several places; name one of `--workspace`, `--global`",
            ),
            (
                SkillError::Nowhere { looked: "`/s`".to_owned() },
                "the skill is not installed; looked in `/s`; install it: parallel-agents skill install",
            ),
            (
                SkillError::Foreign { folder: folder.clone(), reason: reason.clone(), flags: flags.clone() },
                "`/s/parallel-agents` is not a folder of this skill (why); move it away, then: parallel-agents skill \
                 install --global",
            ),
            (
                SkillError::Old { folder: folder.clone(), version: version.clone(), flags: flags.clone() },
                "`/s/parallel-agents` holds release 3.2.0 of the skill, which kept no record of its files; first: \
                 parallel-agents skill upgrade --global",
            ),
            (
                SkillError::Link { path: folder.clone(), place: "/s".into() },
                "`/s/parallel-agents` is a link that leads out of `/s`; name where it leads with --to DIR",
            ),
            (
                SkillError::Newer {
                    folder: folder.clone(),
                    installed: version,
                    ours: "0.1.0".to_owned(),
                    flags: flags.clone(),
                },
                "`/s/parallel-agents` holds version 3.2.0, and this program brings 0.1.0; to go back to it: \
                 parallel-agents skill upgrade --downgrade --global",
            ),
            (
                SkillError::Busy { folder: folder.clone() },
                "another `parallel-agents skill` works in `/s/parallel-agents`; try again when it is done",
            ),
            (
                SkillError::InTheWay { path: path.clone() },
                "`/s/parallel-agents/SKILL.md` is in the way of a file or folder of the skill; move it away",
            ),
            (
                SkillError::Odd { path: path.clone(), what: "folders nested that deep" },
                "`/s/parallel-agents/SKILL.md` has folders nested that deep, which is not expected in a skill; move it \
                 away",
            ),
            (
                SkillError::Record { path: path.clone(), reason: reason.clone(), flags: flags.clone() },
                "the record `/s/parallel-agents/SKILL.md` cannot be used (why); move the folder away, then: \
                 parallel-agents skill install --global",
            ),
            (
                SkillError::Wheel { path: path.clone(), reason: reason.clone() },
                "the wheel `/s/parallel-agents/SKILL.md` cannot go with the skill: why",
            ),
            (
                SkillError::TooLarge { bytes: 3, max: 2 },
                "the package has 3 bytes, and registries take at most 2; leave the wheel out",
            ),
            (
                SkillError::ReadOld { folder, reason },
                "what is configured in `/s/parallel-agents` cannot be read (why); nothing was changed",
            ),
            (
                SkillError::Agent(AgentError::NoFolder),
                "no folder for your own agent types: none of OPENCLAW_STATE_DIR, OPENCLAW_HOME and HOME is set; pass \
                 folder=...",
            ),
            (SkillError::Read { path: path.clone(), source: io() }, "cannot read `/s/parallel-agents/SKILL.md`"),
            (SkillError::Write { path, source: io() }, "cannot change `/s/parallel-agents/SKILL.md`"),
        ];
        for (error, message) in errors {
            assert_eq!(error.to_string(), message);
        }
    }
}
