//! Upgrades: what becomes of each file, and a death after any step.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use super::*;
use crate::skill::{install, uninstall};

/// A machine of a test alone.
struct Machine {
    folder: PathBuf,
    here: Here,
}

impl Machine {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("pa-upgrade-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        let here = Here { state: folder.join("state"), workspace: Ok(folder.join("work")), home: None };
        fs::create_dir_all(folder.join("work/skills")).expect("a folder");
        Self { folder, here }
    }

    fn skill(&self) -> PathBuf {
        self.folder.join("work/skills/parallel-agents")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.skill().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("written");
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.skill().join(name)).ok()
    }

    fn plan(&self, content: &Content) -> Result<Upgrade, SkillError> {
        Upgrade::plan(&Place::Workspace, &self.here, content, &caller(), (false, false))
    }

    fn upgrade(&self, content: &Content) -> Upgrade {
        upgrade(&Place::Workspace, &self.here, content, &caller(), (false, false)).expect("upgraded")
    }

    /// All files of the place and of the state folder, with what is in them.
    fn files(&self) -> Tree {
        scan(&self.folder).expect("read")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn caller() -> Caller<'static> {
    Caller {
        python: Some("/usr/bin/python3".into()),
        today: "2026-11-22".to_owned(),
        read_old: &|_| {
            Ok(json!({
                "prompts": {"haiku_writer": "Write a haiku.", "code_reviewer": "Review.", "Ünseen": "x"},
                "constants": {"DEFAULT_MAX_CONCURRENT": 8},
                "problems": [{"name": "computed", "reason": "its prompt is computed"}],
            }))
        },
    }
}

fn content(version: &str, files: &[(&str, &str)]) -> Content {
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
    Content { version: version.to_owned(), files }
}

fn older() -> Content {
    let files =
        ["SKILL.md", "README.md", "launch.py", "helpers.py", "examples/a.py", "examples/gone.py", "examples/same.py"];
    let mut content = content("0.0.9", &files.map(|name| (name, "old")));
    content.files.insert("examples/same.py".to_owned(), b"same".to_vec());
    content
}

fn newer() -> Content {
    let files =
        ["SKILL.md", "README.md", "launch.py", "helpers.py", "examples/a.py", "examples/b.py", "examples/same.py"];
    let mut content = content("0.1.0", &files.map(|name| (name, "new")));
    content.files.insert("examples/same.py".to_owned(), b"same".to_vec());
    content
}

/// An older version in which a person edited a document, a module and an example, and put files of their own.
fn edited() -> Machine {
    let machine = Machine::new();
    install(&Place::Workspace, &machine.here, &older(), &caller()).expect("installed");
    machine.write("README.md", "mine");
    machine.write("helpers.py", "mine");
    machine.write("examples/same.py", "mine");
    machine.write("notes/own.txt", "own");
    fs::remove_file(machine.skill().join("examples/a.py")).expect("removed");
    machine
}

fn old_layout() -> Machine {
    let machine = Machine::new();
    machine.write("SKILL.md", "---\nname: parallel-agents\nversion: 3.2.0\n---\nOld.\n");
    for name in ["README.md", "USAGE-GUIDE.md", "ai_orchestrator.py", "helpers.py", "examples/mine.py"] {
        machine.write(name, "old");
    }
    machine
}

fn assert_upgraded(machine: &Machine) {
    let text = |name| machine.read(name);
    assert_eq!(text("SKILL.md").as_deref(), Some("new"), "replaced");
    assert_eq!(text("examples/b.py").as_deref(), Some("new"), "added");
    assert_eq!(text("examples/a.py").as_deref(), Some("new"), "back again");
    assert_eq!(text("examples/gone.py"), None, "removed");
    assert_eq!((text("README.md").as_deref(), text("README.md.new").as_deref()), (Some("mine"), Some("new")));
    assert_eq!((text("helpers.py").as_deref(), text("helpers.py.mine").as_deref()), (Some("new"), Some("mine")));
    assert_eq!((text("examples/same.py").as_deref(), text("examples/same.py.new")), (Some("mine"), None));
    assert_eq!(text("notes/own.txt").as_deref(), Some("own"));
    let record = Record::read(&machine.skill(), "").expect("read").expect("a record");
    assert_eq!((record.version.as_str(), record.python.as_deref()), ("0.1.0", Some("/usr/bin/python3")));
    let beside: Vec<_> = fs::read_dir(machine.folder.join("work/skills")).expect("read").collect();
    assert_eq!(beside.len(), 1, "{beside:?}");
}

fn assert_carried(machine: &Machine) {
    let backup = machine.folder.join("state/parallel-agents/backups/2026-11-22-3.2.0");
    assert_eq!(fs::read_to_string(backup.join("examples/mine.py")).expect("kept"), "old");
    assert_eq!(fs::read_dir(backup.parent().expect("a folder")).expect("read").count(), 1, "one backup");
    assert_eq!(machine.read("SKILL.md").as_deref(), Some("new"));
    assert_eq!(machine.read("examples/mine.py"), None);
    let agent = machine.folder.join("state/parallel-agents/agents/haiku_writer.md");
    assert!(fs::read_to_string(agent).expect("kept").contains("Write a haiku."));
    let settings = fs::read_to_string(machine.folder.join("state/parallel-agents/settings.json")).expect("kept");
    assert_eq!(serde_json::from_str::<Value>(&settings).expect("JSON"), json!({"max_concurrent": 8}));
}

#[test]
fn what_nobody_edited_is_replaced_and_what_somebody_did_is_kept() {
    let machine = edited();
    let upgrade = machine.upgrade(&newer());
    assert_upgraded(&machine);
    assert_eq!(upgrade.named(|fate| *fate == Fate::Replaced), ["SKILL.md", "launch.py"]);
    assert_eq!(upgrade.named(|fate| *fate == Fate::Removed), ["examples/gone.py"]);
    assert_eq!(upgrade.named(|fate| *fate == Fate::Foreign), ["notes/own.txt"]);
    assert!(machine.upgrade(&newer()).is_nothing(), "done");
}

#[test]
fn names_that_are_taken_are_not_taken_away() {
    let machine = edited();
    machine.write("README.md.new", "somebody's");
    machine.write("helpers.py.mine", "somebody's");
    machine.upgrade(&newer());
    let text = |name| machine.read(name).expect("there");
    assert_eq!((text("README.md.new").as_str(), text("README.md.new.2").as_str()), ("somebody's", "new"));
    assert_eq!((text("helpers.py.mine").as_str(), text("helpers.py.mine.2").as_str()), ("somebody's", "mine"));
}

#[test]
fn the_same_version_gets_back_what_is_missing_and_nothing_else() {
    let machine = Machine::new();
    install(&Place::Workspace, &machine.here, &newer(), &caller()).expect("installed");
    assert!(machine.upgrade(&newer()).is_nothing());
    machine.write("helpers.py", "mine");
    assert!(machine.upgrade(&newer()).is_nothing());
    fs::remove_file(machine.skill().join("SKILL.md")).expect("removed");
    let repaired = machine.upgrade(&newer());
    assert_eq!(repaired.named(|fate| *fate == Fate::Added), ["SKILL.md"]);
    assert_eq!(
        (machine.read("SKILL.md").as_deref(), machine.read("helpers.py").as_deref()),
        (Some("new"), Some("mine"))
    );
}

#[test]
fn an_older_version_takes_a_newer_ones_place_only_if_asked_to() {
    let machine = Machine::new();
    install(&Place::Workspace, &machine.here, &newer(), &caller()).expect("installed");
    let before = machine.files();
    let refused = machine.plan(&older()).expect_err("newer").to_string();
    assert!(refused.contains("upgrade --downgrade"), "{refused}");
    assert_eq!(machine.files(), before);
    let asked = upgrade(&Place::Workspace, &machine.here, &older(), &caller(), (false, true)).expect("asked");
    assert_eq!((asked.to.as_str(), machine.read("SKILL.md").as_deref()), ("0.0.9", Some("old")));
}

#[test]
fn an_old_release_goes_into_a_backup_and_what_was_configured_in_it_over() {
    let machine = old_layout();
    let upgrade = machine.upgrade(&newer());
    assert_carried(&machine);
    assert_eq!(upgrade.from, "3.2.0");
    let missed: Vec<_> = upgrade.carried.missed.iter().map(|each| each.name.as_str()).collect();
    assert_eq!(missed, ["computed", "code_reviewer", "Ünseen"]);
}

#[test]
fn what_is_set_or_kept_already_stays() {
    let machine = old_layout();
    let own = machine.here.own();
    fs::create_dir_all(own.join("agents")).expect("a folder");
    let agent = "---\nname: haiku_writer\ndescription: Mine\n---\nMine.\n";
    fs::write(own.join("agents/haiku_writer.md"), agent).expect("written");
    fs::write(own.join("settings.json"), "{\"max_concurrent\": 2, \"cleanup\": \"keep\"}").expect("written");
    let upgrade = machine.upgrade(&newer());
    assert_eq!(fs::read_to_string(own.join("agents/haiku_writer.md")).expect("there"), agent);
    let settings: Value =
        serde_json::from_str(&fs::read_to_string(own.join("settings.json")).expect("there")).expect("JSON");
    assert_eq!(settings, json!({"max_concurrent": 2, "cleanup": "keep"}));
    let missed: Vec<_> = upgrade.carried.missed.iter().map(|each| each.name.as_str()).collect();
    assert_eq!(missed, ["computed", "haiku_writer", "code_reviewer", "Ünseen", "DEFAULT_MAX_CONCURRENT"]);
}

#[test]
fn a_look_changes_nothing() {
    for machine in [edited(), old_layout()] {
        let before = machine.files();
        let looked = upgrade(&Place::Workspace, &machine.here, &newer(), &caller(), (true, false)).expect("looked");
        assert!(!looked.is_nothing());
        assert_eq!(machine.files(), before);
    }
}

#[test]
fn a_death_after_any_step_leaves_a_folder_that_can_be_used_and_upgraded() {
    for make in [edited, old_layout] {
        let steps = make().plan(&newer()).expect("a plan").steps();
        assert!(steps.len() >= 3);
        for deaths in 0..=steps.len() {
            let machine = make();
            let planned = machine.plan(&newer()).expect("a plan");
            {
                let site = Site::take(&machine.skill()).expect("free");
                for &step in &steps[..deaths] {
                    planned.carry_out(step, &site, &machine.here).expect("carried out");
                }
            }
            let usable = machine.read("SKILL.md").expect("there");
            let has_swapped = steps[..deaths].contains(&Step::Swap);
            assert_eq!(usable == "new", has_swapped, "after {:?}", &steps[..deaths]);
            machine.upgrade(&newer());
            if machine.here.own().exists() { assert_carried(&machine) } else { assert_upgraded(&machine) }
        }
    }
}

#[test]
fn a_death_while_the_new_folder_is_made_leaves_the_old_one() {
    let machine = edited();
    let around = machine.folder.join("work/skills");
    fs::create_dir_all(around.join(".parallel-agents.stage/examples")).expect("a folder");
    fs::write(around.join(".parallel-agents.stage/SKILL.md"), "half").expect("written");
    machine.upgrade(&newer());
    assert_upgraded(&machine);
}

#[test]
fn a_death_between_two_renames_is_put_back() {
    let machine = edited();
    let aside = machine.folder.join("work/skills/.parallel-agents.aside");
    fs::rename(machine.skill(), &aside).expect("renamed");
    machine.upgrade(&newer());
    assert_upgraded(&machine);
}

#[test]
fn what_stands_where_ours_must_is_named() {
    let machine = edited();
    machine.write("examples/b.py/inner.txt", "own");
    let refused = machine.plan(&newer()).expect_err("in the way");
    assert!(matches!(refused, SkillError::InTheWay { .. }), "{refused}");
}

#[test]
fn a_link_in_the_place_of_a_file_is_kept_as_one() {
    let machine = edited();
    let link = machine.skill().join("SKILL.md");
    fs::remove_file(&link).expect("removed");
    std::os::unix::fs::symlink("notes/own.txt", &link).expect("a link");
    machine.upgrade(&newer());
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    assert_eq!(machine.read("notes/own.txt").as_deref(), Some("own"));
    assert_eq!(machine.read("SKILL.md.new").as_deref(), Some("new"));
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("there").permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
}

/// Folders of a person's, with modes of their own: empty, private, closed to changes.
fn with_folders(machine: &Machine) {
    machine.write("private/key", "own");
    machine.write("data/own.txt", "own");
    fs::create_dir_all(machine.skill().join("repository/refs/heads")).expect("a folder");
    set_mode(&machine.skill().join("private"), 0o700);
    set_mode(&machine.skill().join("examples"), 0o750);
    set_mode(&machine.skill().join("data"), 0o555);
    set_mode(&machine.skill(), 0o700);
}

fn assert_folders(skill: &Path) {
    assert!(skill.join("repository/refs/heads").is_dir(), "an empty folder stays");
    let modes = ["private", "data", "examples", ""].map(|name| mode(&skill.join(name)));
    assert_eq!(modes, [0o700, 0o555, 0o750, 0o700]);
    assert_eq!(fs::read_to_string(skill.join("data/own.txt")).expect("there"), "own");
}

#[test]
fn folders_that_are_not_ours_stay_and_all_keep_their_modes() {
    let machine = edited();
    with_folders(&machine);
    machine.upgrade(&newer());
    assert_upgraded(&machine);
    assert_folders(&machine.skill());
    machine.upgrade(&older_again());
    assert_folders(&machine.skill());
}

fn older_again() -> Content {
    Content { version: "0.1.1".to_owned(), ..newer() }
}

#[test]
fn a_folder_of_which_nothing_is_left_goes_if_it_was_ours() {
    let machine = Machine::new();
    let mut before = older();
    before.files.insert("parts/one.py".to_owned(), b"old".to_vec());
    install(&Place::Workspace, &machine.here, &before, &caller()).expect("installed");
    fs::create_dir(machine.skill().join("empty")).expect("a folder");
    machine.upgrade(&newer());
    assert!(!machine.skill().join("parts").exists());
    assert!(machine.skill().join("empty").is_dir());
}

#[test]
fn a_backup_holds_the_folders_with_their_modes() {
    let machine = old_layout();
    with_folders(&machine);
    let before = scan(&machine.skill()).expect("read");
    machine.upgrade(&newer());
    let backup = machine.folder.join("state/parallel-agents/backups/2026-11-22-3.2.0");
    assert_folders(&backup);
    assert_eq!(scan(&backup).expect("read"), before);
    assert_eq!(mode(&machine.skill()), 0o700, "what was private is not opened");
}

#[test]
fn an_empty_folder_is_not_uninstalled_without_a_word() {
    let machine = edited();
    with_folders(&machine);
    let removal = uninstall(&Place::Workspace, &machine.here, &caller()).expect("uninstalled");
    assert!(removal.moved.contains(&"repository/refs/heads/".to_owned()), "{:?}", removal.moved);
    let backup = removal.backup.expect("a backup");
    assert!(backup.join("repository/refs/heads").is_dir());
    assert_eq!([mode(&backup), mode(&backup.join("data"))], [0o700, 0o555]);
    assert!(!machine.skill().exists());
}

#[test]
fn only_an_empty_folder_of_a_person_is_as_good_as_none() {
    let machine = Machine::new();
    fs::create_dir_all(machine.skill().join("mine")).expect("a folder");
    let refused = install(&Place::Workspace, &machine.here, &newer(), &caller()).expect_err("a folder of a person");
    assert!(matches!(refused, SkillError::Foreign { .. }), "{refused}");
    fs::remove_dir(machine.skill().join("mine")).expect("removed");
    install(&Place::Workspace, &machine.here, &newer(), &caller()).expect("installed");
}

#[test]
fn an_empty_folder_where_a_file_of_ours_must_be_is_named() {
    let machine = edited();
    fs::create_dir(machine.skill().join("examples/b.py")).expect("a folder");
    let refused = machine.plan(&newer()).expect_err("in the way").to_string();
    assert!(refused.contains("examples/b.py"), "{refused}");
}

#[test]
fn an_old_release_is_known_by_its_modules() {
    let machine = old_layout();
    machine.write("SKILL.md", "no front matter");
    assert_eq!(machine.upgrade(&newer()).from, "unknown");
    assert_eq!(machine.read("SKILL.md").as_deref(), Some("new"));
    let alone = Machine::new();
    alone.write("ai_orchestrator.py", "x = 1");
    assert!(matches!(alone.plan(&newer()), Err(SkillError::Foreign { .. })));
    alone.write("ai_orchestrator.py", "AGENT_PROMPTS = {}");
    assert_eq!(alone.plan(&newer()).expect("a plan").from, "unknown");
    alone.write("SKILL.md", "---\nname: another\n---\n");
    assert!(matches!(alone.plan(&newer()), Err(SkillError::Foreign { .. })));
}

#[test]
fn settings_behind_a_link_are_written_where_it_leads() {
    let machine = old_layout();
    let (own, aim) = (machine.here.own(), machine.folder.join("kept.json"));
    fs::create_dir_all(&own).expect("a folder");
    fs::write(&aim, "{}").expect("written");
    std::os::unix::fs::symlink(&aim, own.join("settings.json")).expect("a link");
    machine.upgrade(&newer());
    assert!(fs::symlink_metadata(own.join("settings.json")).expect("there").is_symlink());
    assert!(fs::read_to_string(aim).expect("there").contains("max_concurrent"));
}
