use super::super::Level;
use super::*;
use crate::skill::Line as Said;

fn said(id: &'static str, colour: Colour, found: &str, fix: Option<&str>) -> Said {
    Said { id, colour, found: found.to_owned(), fix: fix.map(str::to_owned) }
}

fn judged(copies: Vec<Vec<Said>>) -> Line {
    let copies = copies.into_iter().enumerate();
    let copies = copies.map(|(n, lines)| Verified { folder: format!("/{n}/parallel-agents").into(), lines }).collect();
    skill(Some(&Looked { copies: Ok(copies), left: Vec::new() }))
}

fn whole() -> Vec<Said> {
    let files = said("files", Colour::Green, "15 files", None);
    vec![files, said("agent", Colour::Yellow, "not checked: no gateway", None)]
}

#[test]
fn a_folder_is_red_where_verify_is_not_well_and_nowhere_else() {
    let line = judged(vec![whole()]);
    assert_eq!(
        (line.level, line.found.as_str()),
        (Level::Green, "/0/parallel-agents: 15 files, not checked: no gateway")
    );
    let edited = |n: u8| said("files", Colour::Red, &format!("{n} was edited"), Some("move it away"));
    let line = judged(vec![whole(), vec![edited(1), edited(2), edited(3), edited(4)]]);
    assert_eq!(line.level, Level::Red);
    assert!(
        line.found.ends_with("/1/parallel-agents: 1 was edited, 2 was edited, 3 was edited and 1 more"),
        "{}",
        line.found
    );
    assert_eq!(line.fix.as_deref(), Some("move it away"));
}

#[test]
fn without_a_folder_it_is_to_be_installed() {
    let line = judged(Vec::new());
    assert_eq!((line.level, line.fix.as_deref()), (Level::Yellow, Some("parallel-agents skill install")));
    assert_eq!(skill(None).level, Level::Yellow);
    let nowhere = Looked { copies: Err(SkillError::NoState), left: Vec::new() };
    assert_eq!(skill(Some(&nowhere)).level, Level::Skipped(Check::State));
    let unusable = SkillError::Record { path: "/0".into(), reason: "why".to_owned(), flags: String::new() };
    assert_eq!(skill(Some(&Looked { copies: Err(unusable), left: Vec::new() })).level, Level::Red);
}

#[test]
fn what_a_death_left_is_told_with_what_removes_it() {
    let line = skill(Some(&Looked { copies: Ok(Vec::new()), left: vec!["/0/parallel-agents".into()] }));
    assert!(line.found.ends_with("a call that died has left something beside /0/parallel-agents"), "{}", line.found);
    assert!(line.fix.is_some_and(|fix| fix.ends_with("parallel-agents doctor --fix")));
}
