//! Where a folder of the skill is meant: the workspace of the agent, OpenClaw's state folder, or what somebody names.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::NAME;
use super::error::SkillError;
use super::site::write_error;
use crate::core::shell::shell_path;
use crate::runtime::gateway::Surroundings;

/// Which folder is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `skills/parallel-agents` in the workspace: for its agent alone.
    Workspace,
    /// `skills/parallel-agents` in the state folder: for all agents.
    Global,
    /// In this folder, or this one, if it is called `parallel-agents` already.
    To(PathBuf),
}

/// What is known of this machine's OpenClaw.
#[derive(Debug, Clone)]
pub struct Here {
    /// Its state folder.
    pub state: PathBuf,
    /// The workspace of its default agent.
    pub workspace: Result<PathBuf, String>,
    /// The user's home, if its state folder is the default one: only then are skills of the home read.
    pub home: Option<PathBuf>,
}

impl Here {
    /// Finds it. `status` is what the gateway answered to `skills.status`, if it was asked and answered.
    pub fn find(surroundings: &Surroundings<'_>, status: Option<&Value>) -> Result<Self, SkillError> {
        if !surroundings.is_state_known() {
            return Err(SkillError::NoState);
        }
        let state = surroundings.state_folder();
        let home = (surroundings.variable)("HOME").map(PathBuf::from);
        let told = status.and_then(|status| status.get("workspaceDir")).and_then(Value::as_str).map(PathBuf::from);
        // A gateway may be another machine's.
        let workspace = match told.filter(|workspace| workspace.is_dir()) {
            Some(workspace) => Ok(workspace),
            None => match surroundings.configured("/agents/defaults/workspace") {
                Ok(Some(Value::String(text))) => Ok(expanded(&text, home.as_deref())),
                Ok(_) => Ok(state.join("workspace")),
                Err(error) => Err(error.to_string()),
            },
        };
        let home = home.filter(|home| state == home.join(".openclaw"));
        Ok(Self { state, workspace, home })
    }

    /// Our own folder in the state folder.
    pub fn own(&self) -> PathBuf {
        self.state.join(NAME)
    }

    /// Where the skill may be installed, those that come before others first, each with how it is named.
    pub fn known(&self) -> Vec<(PathBuf, Place)> {
        let workspace = self.workspace.as_ref().ok();
        let further = |around: &Path| {
            let folder = around.join(".agents").join("skills").join(NAME);
            (folder.clone(), Place::To(folder))
        };
        let places = [
            workspace.map(|workspace| (workspace.join("skills").join(NAME), Place::Workspace)),
            workspace.map(|workspace| further(workspace)),
            self.home.as_deref().map(further),
            Some((self.state.join("skills").join(NAME), Place::Global)),
        ];
        places.into_iter().flatten().collect()
    }
}

fn expanded(text: &str, home: Option<&Path>) -> PathBuf {
    match (text.strip_prefix('~'), home) {
        (Some(""), Some(home)) => home.to_owned(),
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(text),
    }
}

impl Place {
    /// The folder that is meant.
    pub fn folder(&self, here: &Here) -> Result<PathBuf, SkillError> {
        let (root, folder) = match self {
            Self::Workspace => {
                let reason = |reason: &String| SkillError::Workspace { reason: reason.clone() };
                let workspace = here.workspace.as_ref().map_err(reason)?;
                (workspace.clone(), workspace.join("skills").join(NAME))
            }
            Self::Global => (here.state.clone(), here.state.join("skills").join(NAME)),
            Self::To(named) => {
                let named = std::path::absolute(named).map_err(write_error(named))?;
                let folder = if named.file_name().is_some_and(|name| name == NAME) { named } else { named.join(NAME) };
                (folder.parent().unwrap_or(Path::new("/")).to_owned(), folder)
            }
        };
        let root = std::path::absolute(&root).map_err(write_error(&root))?;
        let folder = std::path::absolute(&folder).map_err(write_error(&folder))?;
        stays_in(&folder, &root)?;
        Ok(folder)
    }

    /// The flags that name it on the command line.
    pub fn flags(&self) -> String {
        match self {
            Self::Workspace => String::new(),
            Self::Global => " --global".to_owned(),
            Self::To(folder) => format!(" --to {}", shell_path(folder)),
        }
    }
}

/// That neither the folder is a link, nor those between it and its place lead out of that.
fn stays_in(folder: &Path, root: &Path) -> Result<(), SkillError> {
    let refused = |path: &Path| SkillError::Link { path: path.to_owned(), place: root.to_owned() };
    if fs::symlink_metadata(folder).is_ok_and(|found| found.is_symlink()) {
        return Err(refused(folder));
    }
    let around = folder.parent().unwrap_or(root);
    match (around.canonicalize(), root.canonicalize()) {
        (Ok(around), Ok(root)) if !around.starts_with(&root) => Err(refused(around.as_path())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(state: &Path, workspace: &Path) -> Here {
        Here { state: state.to_owned(), workspace: Ok(workspace.to_owned()), home: None }
    }

    #[test]
    fn a_home_is_put_in_where_a_path_begins_with_it() {
        let home = Some(Path::new("/home/u"));
        assert_eq!(expanded("~/work", home), Path::new("/home/u/work"));
        assert_eq!(expanded("~", home), Path::new("/home/u"));
        assert_eq!(expanded("~other/work", home), Path::new("~other/work"));
        assert_eq!(expanded("/work", home), Path::new("/work"));
    }

    #[test]
    fn a_folder_that_is_called_so_already_is_meant_itself() {
        let here = here(Path::new("/s"), Path::new("/w"));
        let folder = |to: &str| Place::To(to.into()).folder(&here).expect("a folder");
        assert_eq!(folder("/x/skills"), Path::new("/x/skills/parallel-agents"));
        assert_eq!(folder("/x/parallel-agents"), Path::new("/x/parallel-agents"));
        assert_eq!(folder("/x/parallel-agents/"), Path::new("/x/parallel-agents"));
        assert_eq!(Place::Workspace.folder(&here).expect("a folder"), Path::new("/w/skills/parallel-agents"));
        assert_eq!(Place::Global.folder(&here).expect("a folder"), Path::new("/s/skills/parallel-agents"));
    }

    #[test]
    fn the_workspace_is_the_gateways_then_the_configurations_then_the_usual_one() {
        let file = |path: &Path| {
            let is_config = path.ends_with("openclaw.json");
            Ok(is_config.then(|| "{agents: {defaults: {workspace: '~/mine'}}}".to_owned()))
        };
        let variable = |name: &str| (name == "HOME").then(|| "/home/u".to_owned());
        let configured = Surroundings { variable: &variable, file: &file };
        let bare = Surroundings { variable: &variable, file: &|_| Ok(None) };
        let told = serde_json::json!({"workspaceDir": std::env::temp_dir()});
        let elsewhere = serde_json::json!({"workspaceDir": "/no/such/folder"});
        let found = |surroundings, status| Here::find(surroundings, status).expect("found").workspace.expect("known");
        assert_eq!(found(&configured, Some(&told)), std::env::temp_dir());
        assert_eq!(found(&configured, Some(&elsewhere)), Path::new("/home/u/mine"));
        assert_eq!(found(&configured, None), Path::new("/home/u/mine"));
        assert_eq!(found(&bare, None), Path::new("/home/u/.openclaw/workspace"));
        let nowhere = Surroundings { variable: &|_| None, file: &|_| Ok(None) };
        assert!(matches!(Here::find(&nowhere, None), Err(SkillError::NoState)));
    }
}
