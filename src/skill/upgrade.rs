//! From an older version in a folder to ours, with what a person edited and configured kept.
//!
//! First a plan ([`Upgrade`]): what becomes of each file, without touching anything. Then its steps, one by one, each of
//! which leaves a folder that can be used and may be carried out again.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::backup::Backup;
use super::content::{Content, is_module};
use super::error::SkillError;
use super::install::python_of;
use super::old::{self, Carried, NotCarried};
use super::place::{Here, Place};
use super::record::{Record, is_after};
use super::site::{Site, exists};
use super::tree::{Tree, folders_of, is_bookkeeping, scan};
use super::{Caller, RECORD, settings};
use crate::agents::{AgentError, Registry};

/// What becomes of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// Ours, and the same in both versions.
    Unchanged,
    /// Ours and unmodified: it is now that of the new version.
    Replaced,
    /// Ours, and new here.
    Added,
    /// Ours and unmodified, and the new version has none.
    Removed,
    /// Edited, and stays; ours stands beside it, if it is another than before.
    Kept { ours_at: Option<String> },
    /// Edited, and kept under another name, since ours must take its place.
    SetAside { at: String },
    /// Not ours.
    Foreign,
}

/// The steps of an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    BackUp,
    KeepAgents,
    MergeSettings,
    Stage,
    Swap,
    Discard,
}

/// What an upgrade does, or would do.
#[derive(Debug, Clone)]
pub struct Upgrade {
    /// The folder.
    pub folder: PathBuf,
    /// The version that is there.
    pub from: String,
    /// The version that takes its place.
    pub to: String,
    /// Whether it was only looked at.
    pub dry_run: bool,
    pub(super) fates: BTreeMap<String, Fate>,
    pub(super) carried: Carried,
    pub(super) backup: Option<Backup>,
    /// What did not work and is no reason to undo it.
    pub(super) warnings: Vec<String>,
    /// Folders that are not ours, empty ones too.
    folders: BTreeMap<String, u32>,
    /// The modes that folders have, ours as well.
    modes: BTreeMap<String, u32>,
    content: Content,
    record: Record,
    is_record_new: bool,
}

/// Brings the folder to `content`, or only says what that would do.
pub fn upgrade(
    place: &Place,
    here: &Here,
    content: &Content,
    caller: &Caller<'_>,
    (dry_run, downgrade): (bool, bool),
) -> Result<Upgrade, SkillError> {
    let folder = place.folder(here)?;
    let missing = || SkillError::Missing { folder: folder.clone(), flags: place.flags() };
    if !folder.parent().is_some_and(std::path::Path::is_dir) {
        return Err(missing());
    }
    let site = if dry_run { None } else { Some(Site::take(&folder)?) };
    if !exists(&folder)? {
        return Err(missing());
    }
    let mut upgrade = Upgrade::plan(place, here, content, caller, (dry_run, downgrade))?;
    if let Some(site) = site {
        for step in upgrade.steps() {
            match upgrade.carry_out(step, &site, here) {
                // The new folder is in its place.
                Err(error) if step == Step::Discard => upgrade.warnings.push(site.rests(&error)),
                done => done?,
            }
        }
    }
    Ok(upgrade)
}

/// What becomes of each file of a folder with this tree. `before` is its record; without one all is a person's.
pub(super) fn fates(
    content: &Content,
    before: &BTreeMap<String, String>,
    tree: &Tree,
    is_same: bool,
) -> BTreeMap<String, Fate> {
    let after = content.record(None).files;
    let free = |name: &str, ending: &str, wanted: Option<&str>| {
        let names = (1..).map(|number| match number {
            1 => format!("{name}.{ending}"),
            _ => format!("{name}.{ending}.{number}"),
        });
        let mut names = names.filter(|name| match tree.files.get(name) {
            Some(found) => wanted.is_some_and(|wanted| found.is(wanted)),
            None => !tree.folders.contains_key(name),
        });
        names.next().unwrap_or_default()
    };
    let mut fates = BTreeMap::new();
    for (name, new) in &after {
        let old = before.get(name);
        let fate = match tree.files.get(name) {
            None => Fate::Added,
            Some(found) if found.is(new) => Fate::Unchanged,
            Some(found) if old.is_some_and(|old| found.is(old)) => Fate::Replaced,
            Some(_) if is_same => Fate::Kept { ours_at: None },
            Some(_) if is_module(name) => Fate::SetAside { at: free(name, "mine", None) },
            Some(_) if old == Some(new) => Fate::Kept { ours_at: None },
            Some(_) => Fate::Kept { ours_at: Some(free(name, "new", Some(new))) },
        };
        fates.insert(name.clone(), fate);
    }
    for (name, found) in tree.files.iter().filter(|(name, _)| !after.contains_key(*name) && *name != RECORD) {
        let fate = match before.get(name) {
            Some(old) if found.is(old) => Fate::Removed,
            Some(_) => Fate::Kept { ours_at: None },
            None => Fate::Foreign,
        };
        fates.insert(name.clone(), fate);
    }
    fates
}

impl Upgrade {
    fn plan(
        place: &Place,
        here: &Here,
        content: &Content,
        caller: &Caller<'_>,
        (dry_run, downgrade): (bool, bool),
    ) -> Result<Self, SkillError> {
        let folder = place.folder(here)?;
        let Some(before) = Record::read(&folder, &place.flags())? else {
            return Self::plan_old(place, here, content, caller, dry_run);
        };
        if is_after(&before.version, &content.version) && !downgrade {
            let (installed, ours) = (before.version, content.version.clone());
            return Err(SkillError::Newer { folder, installed, ours, flags: place.flags() });
        }
        let content = content.clone().with_wheels_of(&before, &folder);
        let record = content.record(python_of(caller).or_else(|| before.python.clone()));
        let tree = scan(&folder)?;
        if let Some(name) = content.in_the_way(&tree) {
            return Err(SkillError::InTheWay { path: folder.join(name) });
        }
        let is_same = before.version == record.version && before.files == record.files;
        Ok(Self {
            fates: fates(&content, &before.files, &tree, is_same),
            carried: Carried::default(),
            backup: None,
            from: before.version.clone(),
            to: content.version.clone(),
            warnings: Vec::new(),
            folders: tree.part(|_| false, |name| !folders_of(before.files.keys()).contains(name)).folders,
            modes: tree.folders,
            is_record_new: record != before,
            folder,
            dry_run,
            content,
            record,
        })
    }

    /// A folder without a record: all of it is a person's, and goes into a backup.
    fn plan_old(
        place: &Place,
        here: &Here,
        content: &Content,
        caller: &Caller<'_>,
        dry_run: bool,
    ) -> Result<Self, SkillError> {
        let folder = place.folder(here)?;
        let Some(from) = old::version(&folder) else {
            let reason = "it has no record, and is no older release".to_owned();
            return Err(SkillError::Foreign { folder, reason, flags: place.flags() });
        };
        let tree = scan(&folder)?;
        // The whole keeps its mode; what is in it goes.
        let modes = tree.part(|_| false, |_| false).folders;
        let label = format!("{}-{from}", caller.today);
        let backup = Backup::plan(tree, &here.own().join("backups"), &label)?;
        let carried = old::read(&folder, here, caller.read_old)?;
        Ok(Self {
            fates: content.files.keys().map(|name| (name.clone(), Fate::Added)).collect(),
            carried,
            backup: Some(backup),
            from,
            to: content.version.clone(),
            warnings: Vec::new(),
            folders: BTreeMap::new(),
            modes,
            is_record_new: true,
            folder,
            dry_run,
            content: content.clone(),
            record: content.record(python_of(caller)),
        })
    }

    /// Whether there is nothing to do.
    pub fn is_nothing(&self) -> bool {
        let stays = |fate: &Fate| matches!(fate, Fate::Unchanged | Fate::Foreign | Fate::Kept { ours_at: None });
        !self.is_record_new && self.backup.is_none() && self.fates.values().all(stays)
    }

    pub(super) fn steps(&self) -> Vec<Step> {
        if self.is_nothing() {
            return Vec::new();
        }
        let mut steps = Vec::new();
        if self.backup.is_some() {
            steps.extend([Step::BackUp, Step::KeepAgents, Step::MergeSettings]);
        }
        steps.extend([Step::Stage, Step::Swap, Step::Discard]);
        steps
    }

    pub(super) fn carry_out(&self, step: Step, site: &Site, here: &Here) -> Result<(), SkillError> {
        match step {
            Step::BackUp => self.backup.as_ref().map_or(Ok(()), |backup| backup.make(&self.folder)),
            Step::KeepAgents => self.keep_agents(here),
            Step::MergeSettings if self.carried.settings.is_empty() => Ok(()),
            Step::MergeSettings => settings::merge(&old::settings_path(here), &self.carried.settings),
            Step::Stage => self.stage(site),
            Step::Swap => site.swap(),
            Step::Discard => site.discard(),
        }
    }

    fn keep_agents(&self, here: &Here) -> Result<(), SkillError> {
        let folder = old::agents_folder(here);
        let mut registry = Registry::builtin();
        registry.load_kept(&folder)?;
        for (name, prompt) in &self.carried.agents {
            match registry.keep_prompt(name, &old::description(name), prompt, &folder) {
                // Somebody was quicker: what is there stays.
                Ok(_) | Err(AgentError::Taken { .. } | AgentError::FileTaken { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn stage(&self, site: &Site) -> Result<(), SkillError> {
        let mut keep = Vec::new();
        let mut beside = Vec::new();
        for (name, fate) in &self.fates {
            match fate {
                Fate::Unchanged | Fate::Foreign | Fate::Kept { ours_at: None } => {
                    keep.push((name.clone(), name.clone()));
                }
                Fate::Kept { ours_at: Some(at) } => {
                    keep.push((name.clone(), name.clone()));
                    // One that is there already has the same bytes and stays with the foreign files.
                    if !self.fates.contains_key(at) {
                        beside.push((at, name));
                    }
                }
                Fate::SetAside { at } => keep.push((name.clone(), at.clone())),
                Fate::Replaced | Fate::Added | Fate::Removed => {}
            }
        }
        site.stage(&self.content, &self.record, &keep, &self.folders)?;
        for (at, name) in beside {
            site.stage_file(at, self.content.files.get(name).map_or(&[], Vec::as_slice))?;
        }
        site.stage_modes(&self.modes)
    }

    fn named(&self, is: impl Fn(&Fate) -> bool) -> Vec<&str> {
        let told = self.fates.iter().filter(|(name, fate)| is(fate) && !is_bookkeeping(name));
        told.map(|(name, _)| name.as_str()).collect()
    }

    /// For `--json`.
    pub fn fields(&self) -> Value {
        let mut kept = Vec::new();
        for (name, fate) in &self.fates {
            match fate {
                Fate::Kept { ours_at } => kept.push(json!({"file": name, "at": name, "ours_at": ours_at})),
                Fate::SetAside { at } => kept.push(json!({"file": name, "at": at, "ours_at": name})),
                Fate::Unchanged | Fate::Replaced | Fate::Added | Fate::Removed | Fate::Foreign => {}
            }
        }
        json!({
            "action": "upgrade", "folder": self.folder, "from": self.from, "to": self.to, "dry_run": self.dry_run,
            "nothing_to_do": self.is_nothing(), "python": self.record.python,
            "replaced": self.named(|fate| *fate == Fate::Replaced),
            "added": self.named(|fate| *fate == Fate::Added),
            "removed": self.named(|fate| *fate == Fate::Removed),
            "kept": kept,
            "foreign": self.named(|fate| *fate == Fate::Foreign),
            "carried_over": {
                "agents": self.carried.agents.iter().map(|(name, _)| name).collect::<Vec<_>>(),
                "settings": self.carried.settings,
            },
            "not_carried_over": self.carried.missed.iter().map(NotCarried::fields).collect::<Vec<_>>(),
            "backup": self.backup.as_ref().map(|backup| json!({"folder": backup.path, "files": backup.tree.names()})),
            "warnings": self.warnings,
        })
    }

    /// For people, line by line.
    pub fn lines(&self) -> Vec<String> {
        let folder = self.folder.display();
        if self.is_nothing() {
            let edited = self.named(|fate| matches!(fate, Fate::Kept { .. }));
            let mut lines = vec![format!("version {} is installed in {folder}: nothing to do", self.to)];
            lines.extend((!edited.is_empty()).then(|| format!("edited by you, and left so: {}", edited.join(", "))));
            return lines;
        }
        let would = if self.dry_run { "would be " } else { "" };
        let mut lines = vec![format!("{folder}: {would}upgraded from {} to {}", self.from, self.to)];
        let mut listed = |what: &str, names: Vec<String>| {
            if !names.is_empty() {
                lines.push(format!("{what} ({}): {}", names.len(), names.join(", ")));
            }
        };
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
        listed("replaced", owned(self.named(|fate| *fate == Fate::Replaced)));
        listed("added", owned(self.named(|fate| *fate == Fate::Added)));
        listed("removed", owned(self.named(|fate| *fate == Fate::Removed)));
        let kept = self.fates.iter().filter_map(|(name, fate)| match fate {
            Fate::Kept { ours_at: None } => Some(name.clone()),
            Fate::Kept { ours_at: Some(at) } => Some(format!("{name} (ours is {at})")),
            Fate::SetAside { at } => Some(format!("{name} (yours is {at}, ours took its place)")),
            Fate::Unchanged | Fate::Replaced | Fate::Added | Fate::Removed | Fate::Foreign => None,
        });
        listed("kept, since you edited them", kept.collect());
        listed("not ours, and not touched", owned(self.named(|fate| *fate == Fate::Foreign)));
        if let Some(Backup { path, tree, .. }) = &self.backup {
            lines.push(format!("the old folder ({} files) {would}kept in {}", tree.files.len(), path.display()));
        }
        let setting = |(name, value): (&String, &Value)| format!("{name} = {value}");
        let agents = self.carried.agents.iter().map(|(name, _)| format!("agent type {name}"));
        let carried: Vec<_> = agents.chain(self.carried.settings.iter().map(setting)).collect();
        if !carried.is_empty() {
            lines.push(format!("carried over ({}): {}", carried.len(), carried.join(", ")));
        }
        lines.extend(by_reason(&self.carried.missed));
        lines.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        lines
    }

    /// The options that were carried over, for whoever checks them.
    pub fn settings(&self) -> &Map<String, Value> {
        &self.carried.settings
    }
}

/// One line for each reason.
fn by_reason(not_carried: &[NotCarried]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for NotCarried { name, reason } in not_carried {
        match reasons.iter_mut().find(|(known, _)| known == reason) {
            Some((_, names)) => names.push(name),
            None => reasons.push((reason, vec![name])),
        }
    }
    reasons.iter().map(|(reason, names)| format!("not carried over: {}: {reason}", names.join(", "))).collect()
}

#[cfg(test)]
#[path = "upgrade_tests.rs"]
mod tests;
