use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::json;

use super::*;

/// A folder of one test, which goes with it.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("parallel-agents-kept-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn agents(&self) -> PathBuf {
        self.0.join("state").join("agents")
    }

    fn write(&self, file: &str, name: &str, more: &str) -> PathBuf {
        fs::create_dir_all(self.agents()).expect("a folder");
        let path = self.agents().join(file);
        fs::write(&path, format!("---\nname: {name}\ndescription: Does it\n{more}---\nDo it.\n")).expect("a file");
        path
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.agents())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn design(name: &str, prompt: &str) -> Value {
    json!({
        "agent_name": name, "version": "1.0.0", "domain": "post", "system_prompt": prompt, "input_schema": {},
        "output_schema": {"type": "object", "required": ["grams"], "properties": {"grams": {"type": "number"}}},
        "capabilities": ["weighs"], "example_interactions": "", "estimated_complexity": "low", "use_cases": [],
        "limitations": [], "confidence": 1,
    })
}

fn keep(registry: &mut Registry, design: &Value, replace: bool, folder: &Path) -> Result<Arc<AgentType>, String> {
    registry.keep(design, &Wishes::default(), replace, folder).map_err(|error| error.to_string())
}

fn loaded(folder: &Path) -> (Registry, Vec<String>) {
    let mut registry = Registry::builtin();
    let (_, passed_over) = registry.load_kept(folder).expect("a folder");
    (registry, passed_over.iter().map(ToString::to_string).collect())
}

#[test]
fn what_is_kept_is_the_same_when_it_is_read_again() {
    let (home, mut registry) = (Home::new("same"), Registry::builtin());
    let kept = keep(&mut registry, &design("Parcel Weigher", "Weigh.\n---\n## Output\nx"), false, &home.agents())
        .expect("kept");
    assert_eq!(home.files(), ["parcel_weigher.md"]);
    let (again, passed_over) = loaded(&home.agents());
    let again = again.get("parcel_weigher").expect("it is there");
    assert_eq!((again.describe(), again.design()), (kept.describe(), kept.design()));
    assert_eq!(again.origin, kept.origin);
    assert_eq!(passed_over, Vec::<String>::new());
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&home.agents()), mode(&home.agents().join("parcel_weigher.md"))), (0o700, 0o600));
}

#[test]
fn a_name_that_is_taken_is_replaced_only_when_that_is_said() {
    let (home, mut registry) = (Home::new("taken"), Registry::builtin());
    let folder = home.agents();
    keep(&mut registry, &design("weigher", "Weigh."), false, &folder).expect("kept");
    let message = keep(&mut registry, &design("weigher", "Weigh again."), false, &folder).expect_err("taken");
    assert!(message.contains("`weigher` exists already") && message.contains("weigher.md"), "{message}");
    let message = keep(&mut Registry::builtin(), &design("weigher", "Weigh again."), false, &folder)
        .expect_err("another process has kept it");
    assert!(message.contains("weigher.md"), "{message}");
    let message = keep(&mut registry, &design("code_reviewer", "Review."), false, &folder).expect_err("taken");
    assert!(message.contains("(built-in)"), "{message}");
    assert!(keep(&mut registry, &design("plain", "Be plain."), true, &folder).is_err());
    assert_eq!(home.files(), ["weigher.md"]);

    keep(&mut registry, &design("weigher", "Weigh again."), true, &folder).expect("replaced");
    keep(&mut registry, &design("code_reviewer", "Review."), true, &folder).expect("replaced");
    let (again, passed_over) = loaded(&folder);
    assert_eq!(passed_over, Vec::<String>::new());
    for registry in [&registry, &again] {
        assert_eq!(&*registry.get("weigher").expect("kept").instructions, "Weigh again.");
        assert_eq!(&*registry.get("code_reviewer").expect("kept").instructions, "Review.");
        assert_eq!(registry.list(None).count(), 26);
    }
    assert!(fs::read_to_string(folder.join("code_reviewer.md")).expect("a file").contains("replaces: \"built-in\""));
}

#[test]
fn what_was_replaced_is_back_when_the_other_is_removed() {
    let (home, mut registry) = (Home::new("removed"), Registry::builtin());
    let names = |registry: &Registry| registry.list(None).map(|each| each.name.to_string()).collect::<Vec<_>>();
    let before = names(&registry);
    keep(&mut registry, &design("code_reviewer", "Review."), true, &home.agents()).expect("kept");
    keep(&mut registry, &design("weigher", "Weigh."), false, &home.agents()).expect("kept");
    registry.remove("code_reviewer").expect("removed");
    registry.remove("weigher").expect("removed");
    assert_eq!(names(&registry), before);
    assert_eq!(home.files(), Vec::<String>::new());
    for (name, expected) in
        [("code_reviewer", "is built-in"), ("plain", "is built-in"), ("weigher", "unknown agent type")]
    {
        let message = registry.remove(name).expect_err(name).to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_file_that_cannot_be_used_is_named_and_passed_over() {
    let home = Home::new("broken");
    home.write("good.md", "good", "");
    home.write("z_twice.md", "good", "");
    home.write("shadow.md", "code_reviewer", "");
    home.write("means_it.md", "security_reviewer", "replaces: built-in\n");
    home.write("odd.md", "odd", "replaces: everything\n");
    home.write("schema.md", "schema", "output_schema: {type: strnig}\n");
    home.write(".hidden.md", "hidden", "");
    fs::write(home.agents().join("broken.md"), "no front matter").expect("a file");
    fs::write(home.agents().join("bytes.md"), b"---\nname: \xff\n---\n").expect("a file");
    fs::write(home.agents().join("large.md"), "x".repeat(FILE_BYTES_MAX + 1)).expect("a file");
    fs::write(home.agents().join("notes.txt"), "no agent").expect("a file");
    fs::create_dir(home.agents().join("folder.md")).expect("a folder");
    symlink(home.write("../outside.md", "outside", ""), home.agents().join("link.md")).expect("a link");
    let (registry, passed_over) = loaded(&home.agents());
    let own: Vec<_> = registry.list(Some("custom")).map(|each| each.name.to_string()).collect();
    assert_eq!(own, ["security_reviewer", "good"]);
    let expected = [
        ("broken.md", "no front matter"),
        ("bytes.md", "cannot read"),
        ("folder.md", "not a regular file"),
        ("large.md", "`file` has 1048577 bytes"),
        ("link.md", "not a regular file"),
        ("odd.md", "`replaces` is `everything`, expected built-in"),
        ("schema.md", "strnig"),
        ("shadow.md", "write `replaces: built-in`"),
        ("z_twice.md", "`good` exists already"),
    ];
    assert_eq!(passed_over.len(), expected.len(), "{passed_over:#?}");
    for (file, why) in expected {
        assert!(passed_over.iter().any(|line| line.contains(file) && line.contains(why)), "{file}: {passed_over:#?}");
    }
}

#[test]
fn a_folder_that_is_not_there_holds_none_and_a_full_one_no_more_than_is_read() {
    let home = Home::new("many");
    assert_eq!(loaded(&home.agents()).0.list(None).count(), 25);
    for index in 0..=FILES_MAX {
        home.write(&format!("{index}.md"), &format!("a{index}"), "");
    }
    let (registry, passed_over) = loaded(&home.agents());
    assert_eq!(registry.list(None).count(), 25 + FILES_MAX);
    assert!(passed_over[0].contains("more than 1000 agent type files"), "{passed_over:?}");
}

#[test]
fn a_folder_that_is_read_again_is_taken_as_it_is_now() {
    let (home, mut registry) = (Home::new("again"), Registry::builtin());
    let folder = home.agents();
    home.write("own.md", "own", "");
    home.write("mine.md", "code_reviewer", "replaces: built-in\n");
    registry.load_kept(&folder).expect("a folder");
    fs::remove_file(folder.join("own.md")).expect("removed");
    home.write("mine.md", "other", "");
    let (loaded, _) = registry.load_kept(&folder).expect("a folder");
    assert_eq!(loaded.len(), 1);
    assert!(registry.get("own").is_err());
    assert_eq!(registry.get("code_reviewer").expect("built-in").origin, Origin::BuiltIn);
    registry.load(&folder, false).expect("the same files, named by hand");
    registry.remove("other").expect("removed");
    assert_eq!(home.files(), Vec::<String>::new());
}

#[test]
fn a_type_is_replaced_in_the_file_that_holds_it() {
    let (home, mut registry) = (Home::new("renamed"), Registry::builtin());
    let folder = home.agents();
    home.write("my-own.md", "weigher", "");
    home.write("parcel.md", "other", "");
    fs::write(folder.join("broken.md"), "no agent type").expect("a file");
    assert!(
        keep(&mut registry, &design("weigher", "Weigh."), false, &folder).expect_err("taken").contains("my-own.md")
    );
    keep(&mut registry, &design("weigher", "Weigh."), true, &folder).expect("replaced");
    let message = keep(&mut registry, &design("parcel", "Send."), true, &folder).expect_err("another's file");
    assert!(message.contains("parcel.md` exists already and is not the file of agent type `parcel`"), "{message}");
    let message = keep(&mut registry, &design("broken", "Mend."), false, &folder).expect_err("no type's file");
    assert!(message.contains("broken.md` exists already"), "{message}");
    assert!(registry.get("broken").is_err(), "what is not kept is not there");
    assert_eq!(home.files(), ["broken.md", "my-own.md", "parcel.md"]);
}

#[test]
fn nothing_is_written_outside_of_the_folder() {
    let (home, mut registry) = (Home::new("outside"), Registry::builtin());
    let folder = home.agents();
    let outside = home.write("../outside.md", "outside", "");
    let text = fs::read_to_string(&outside).expect("a file");
    for link in ["weigher.md", "dangling.md"] {
        let target = if link == "weigher.md" { outside.clone() } else { home.0.join("new.md") };
        symlink(target, folder.join(link)).expect("a link");
    }
    for name in ["weigher", "dangling"] {
        assert!(keep(&mut registry, &design(name, "Weigh."), false, &folder).is_err());
        keep(&mut registry, &design(name, "Weigh."), true, &folder).expect("the link is replaced, not followed");
        let found = fs::symlink_metadata(folder.join(format!("{name}.md"))).expect("a file");
        assert!(found.is_file());
    }
    assert_eq!(fs::read_to_string(&outside).expect("a file"), text);
    assert!(!home.0.join("new.md").exists());
    assert_eq!(home.files(), ["dangling.md", "weigher.md"], "nothing is left of the writing");
}

#[test]
fn a_folder_that_cannot_be_written_to_leaves_everything_as_it_was() {
    let (home, mut registry) = (Home::new("blocked"), Registry::builtin());
    fs::write(home.0.join("state"), "a file where the folder would be").expect("a file");
    let error =
        registry.keep(&design("weigher", "Weigh."), &Wishes::default(), false, &home.agents()).expect_err("no folder");
    assert!(matches!(error, AgentError::Read { .. } | AgentError::Write { .. }), "{error:?}");
    assert!(registry.get("weigher").is_err());
}
