use serde_json::json;

use super::super::Level;
use super::super::files::tests::files;
use super::super::gateway::{Said, tests::said, tests::seen};
use super::*;

fn installed(version: Option<&str>) -> Installed {
    let record = |version: &str| Record { format: 1, version: version.to_owned(), files: BTreeMap::new() };
    Installed {
        path: "/w/skills/parallel-agents".into(),
        place: Place::Workspace,
        record: version.map(record),
        missing: Vec::new(),
        modified: Vec::new(),
    }
}

fn row() -> Value {
    json!({"name": NAME, "eligible": true, "disabled": false, "modelVisible": true, "missing": {"bins": []}})
}

fn judged(skills: Vec<Installed>, rows: &Value) -> Line {
    let said = Said { skills: Ok(json!({ "skills": rows })), ..said() };
    skill(&Files { skills, ..files() }, &seen(Ok(said)))
}

const OURS: Option<&str> = Some(env!("CARGO_PKG_VERSION"));

#[test]
fn a_folder_is_judged_by_its_record_and_files() {
    let usual = judged(vec![installed(OURS)], &json!([row()]));
    assert_eq!(usual.level, Level::Green);
    assert_eq!(
        usual.found,
        format!("/w/skills/parallel-agents is {}, complete; agents see it", env!("CARGO_PKG_VERSION"))
    );
    let none = judged(Vec::new(), &json!([]));
    assert_eq!((none.level, none.fix.as_deref()), (Level::Yellow, Some("parallel-agents skill install")));
    let upgrade = Some("parallel-agents skill upgrade --workspace");
    let old = judged(vec![installed(Some("0.0.1"))], &json!([row()]));
    assert_eq!((old.level, old.fix.as_deref()), (Level::Yellow, upgrade));
    let unknown = judged(vec![installed(None)], &json!([row()]));
    assert_eq!((unknown.level, unknown.fix.as_deref()), (Level::Yellow, upgrade));
    let lacking = Installed { missing: vec!["launch.py".to_owned()], ..installed(OURS) };
    let lacking = judged(vec![lacking], &json!([row()]));
    assert_eq!((lacking.level, lacking.fix.as_deref()), (Level::Red, upgrade));
    let edited = Installed { modified: ["a", "b", "c", "d"].map(str::to_owned).to_vec(), ..installed(OURS) };
    let edited = judged(vec![edited], &json!([row()]));
    assert!(edited.found.contains("was changed: a, b, c and 1 more"), "{}", edited.found);
    assert_eq!(edited.fix.as_deref(), Some("parallel-agents skill verify --workspace"));
}

#[test]
fn what_hides_it_from_agents_is_named_with_the_setting() {
    let with = |change: Value| {
        let mut row = row();
        row.as_object_mut().expect("a row").extend(change.as_object().cloned().unwrap_or_default());
        judged(vec![installed(OURS)], &json!([row]))
    };
    let fix = |change| with(change).fix.expect("a way out");
    let disabled = json!({"disabled": true, "eligible": false});
    assert_eq!(fix(disabled), "openclaw config set skills.entries.parallel-agents.enabled true");
    assert!(fix(json!({"blockedByAllowlist": true})).contains("agents.defaults.skills"));
    assert!(fix(json!({"blockedByAgentFilter": true})).contains("agents.defaults.skills"));
    assert!(with(json!({"missing": {"bins": ["python3"]}})).found.ends_with("the gateway finds no python3"));
    assert_eq!(fix(json!({"eligible": false})), "openclaw skills info parallel-agents");
    assert!(judged(vec![installed(OURS)], &json!([])).found.ends_with("the gateway does not list it"));
    let unasked = skill(
        &Files { skills: vec![installed(OURS)], ..files() },
        &seen(Ok(Said { skills: Err("missing scope: operator.read".to_owned()), ..said() })),
    );
    assert_eq!(unasked.level, Level::Green);
}

#[test]
fn of_two_folders_the_one_that_hides_the_other_must_not_be_another_release() {
    let global = Installed { path: "/s/skills/parallel-agents".into(), place: Place::Global, ..installed(OURS) };
    let both = judged(vec![installed(OURS), global.clone()], &json!([row()]));
    assert_eq!(both.level, Level::Green);
    assert!(both.found.contains("/w/skills/parallel-agents hides /s/skills/parallel-agents"), "{}", both.found);
    let old = judged(vec![installed(Some("0.0.1")), global], &json!([row()]));
    assert!(old.fix.is_some_and(|fix| fix.ends_with("parallel-agents skill uninstall --workspace")));
}
