use super::super::Level;
use super::super::defaults::tests::defaults;
use super::*;
use crate::core::time::Time;
use crate::journal::RunRow;

fn unset() -> Defaults {
    defaults(None, serde_json::json!({}))
}

fn there(path: &str) -> Folder {
    let standing = Standing::There { problem: None, open_to_others: false };
    Folder { path: path.into(), standing }
}

pub(in crate::doctor) fn files() -> Files {
    Files {
        state: Some(there("/s")),
        own: Some(there("/s/parallel-agents")),
        room: Some(1 << 40),
        journal_path: "/s/parallel-agents/journal.sqlite".into(),
        is_own_journal: true,
        journal_folder: Some(there("/s/parallel-agents")),
        journal: Some(Err(JournalError::Missing { path: "/s/parallel-agents/journal.sqlite".into() })),
        agents: Ok((0, Vec::new())),
    }
}

fn own(standing: Standing) -> Line {
    state(&Files { own: Some(Folder { path: "/s/parallel-agents".into(), standing }), ..files() }, &unset())
}

#[test]
fn the_state_folder_and_ours_are_judged_by_what_stands_there() {
    let usual = state(&files(), &unset());
    assert_eq!(usual.level, Level::Green);
    assert_eq!(usual.found, "/s is writable; /s/parallel-agents is writable; 1024 GB free");
    assert_eq!(state(&Files { state: None, own: None, ..files() }, &unset()).level, Level::Red);
    assert_eq!(own(Standing::Missing { problem: None }).level, Level::Green);
    assert_eq!(own(Standing::Missing { problem: Some("read-only".to_owned()) }).level, Level::Red);
    let file = own(Standing::NoFolder);
    assert_eq!((file.level, file.fix.as_deref()), (Level::Red, Some("mv /s/parallel-agents /s/parallel-agents.old")));
    let open = own(Standing::There { problem: None, open_to_others: true });
    assert_eq!((open.level, open.fix.as_deref()), (Level::Yellow, Some("parallel-agents doctor --fix")));
    let closed = own(Standing::There { problem: Some("Permission denied".to_owned()), open_to_others: false });
    assert_eq!(closed.level, Level::Red);
    let broken = Folder { path: "/s".into(), standing: Standing::NoFolder };
    let broken = state(&Files { state: Some(broken), ..files() }, &unset());
    assert_eq!(broken.found, "/s is no folder; 1024 GB free");
}

#[test]
fn a_full_disk_is_red_before_it_is_full() {
    let with = |room| state(&Files { room: Some(room), ..files() }, &unset()).level;
    assert_eq!([1 << 20, 50 << 20, 1 << 30].map(with), [Level::Red, Level::Yellow, Level::Green]);
}

fn examined() -> Examined {
    Examined {
        format: FORMAT,
        bytes: 5 << 20,
        open_to_others: false,
        problems: Some(Vec::new()),
        runs: Vec::new(),
        unreadable: Vec::new(),
        stale_locks: 0,
    }
}

fn journal_of(examined: Examined) -> Line {
    journal(&Files { journal: Some(Ok(examined)), ..files() })
}

fn run(id: &str, ended: bool, running: bool) -> RunRow {
    RunRow {
        id: id.to_owned(),
        started: Time::default(),
        runtime: "gateway".to_owned(),
        tasks: 1,
        done: 0,
        completed: 0,
        latest: None,
        ended,
        running,
    }
}

#[test]
fn a_journal_is_judged_by_what_it_holds() {
    let path = "/s/parallel-agents/journal.sqlite";
    assert_eq!(journal(&files()).found, format!("none yet at {path}; a run makes it"));
    let runs = vec![run("over", true, false), run("now", false, true)];
    let sound = journal_of(Examined { runs, ..examined() });
    assert_eq!((sound.level, sound.found), (Level::Green, format!("{path}, format 2 of 2, 2 runs, 5 MB")));
    let open = journal_of(Examined { runs: vec![run("b", false, false), run("a", false, false)], ..examined() });
    assert_eq!(open.level, Level::Yellow);
    assert!(open.found.ends_with("2 open runs that nobody runs any more (b, a)"), "{}", open.found);
    assert_eq!(open.fix.as_deref(), Some("parallel-agents resume b, or parallel-agents stop b"));
    assert_eq!(journal_of(Examined { open_to_others: true, ..examined() }).level, Level::Yellow);
    assert_eq!(journal_of(Examined { problems: None, ..examined() }).level, Level::Yellow);
    assert_eq!(journal_of(Examined { stale_locks: 1, ..examined() }).level, Level::Green);
    let damaged = journal_of(Examined { problems: Some(vec!["row 1 missing".to_owned()]), ..examined() });
    assert_eq!(damaged.level, Level::Red);
    assert!(damaged.found.ends_with("it is damaged: row 1 missing"), "{}", damaged.found);
    assert_eq!(journal(&Files { journal: None, ..files() }).level, Level::Yellow);
}

#[test]
fn a_journal_that_cannot_be_opened_is_red_and_says_what_to_do() {
    let path = || PathBuf::from("/j");
    let judged = |error| journal(&Files { journal: Some(Err(error)), ..files() });
    let newer = judged(JournalError::Newer { path: path(), found: 9 });
    assert_eq!(newer.level, Level::Red);
    assert!(newer.found.contains("has format 9"), "{}", newer.found);
    assert!(judged(JournalError::NoDatabase { path: path() }).fix.is_some_and(|fix| fix.contains("doctor --fix")));
    assert!(
        judged(JournalError::Foreign { path: path(), application: 7 }).fix.is_some_and(|fix| fix.contains("--journal"))
    );
    assert!(judged(JournalError::ReadOnly { path: path() }).fix.is_some_and(|fix| fix.contains("chmod 600")));
}

#[test]
fn a_journal_whose_folder_takes_no_files_is_red_with_what_opens_the_folder() {
    let standing = Standing::There { problem: Some("Permission denied".to_owned()), open_to_others: false };
    let closed = || Some(Folder { path: "/the s".into(), standing: standing.clone() });
    let fix = "sudo chown \"$(id -u)\" '/the s' && chmod u+rwx '/the s'";
    let read_only = Err(JournalError::ReadOnly { path: "/the s/j".into() });
    let missing = Err(JournalError::Missing { path: "/the s/j".into() });
    for seen in [read_only, missing, Ok(examined())] {
        let line = journal(&Files { journal: Some(seen), journal_folder: closed(), ..files() });
        assert_eq!((line.level, line.fix.as_deref()), (Level::Red, Some(fix)), "{}", line.found);
    }
    let read_only = JournalError::ReadOnly { path: "/the s/j".into() };
    let line = journal(&Files { journal: Some(Err(read_only)), journal_path: "/the s/j".into(), ..files() });
    assert_eq!(line.fix.as_deref(), Some("sudo chown \"$(id -u)\" '/the s/j' && chmod 600 '/the s/j'"));
}

#[test]
fn what_is_said_of_another_journal_can_be_done_to_it() {
    let of = |journal_of| {
        let files = Files { journal: Some(journal_of), journal_path: "/a b".into(), is_own_journal: false, ..files() };
        journal(&files).fix.unwrap_or_default()
    };
    let letter = of(Err(JournalError::NoDatabase { path: "/a b".into() }));
    assert_eq!(letter, "name another file with `--journal`");
    let damaged = of(Ok(Examined { problems: Some(vec!["torn".to_owned()]), ..examined() }));
    assert!(damaged.contains("sqlite3 '/a b' .recover"), "{damaged}");
    assert!(damaged.contains("parallel-agents doctor --fix --journal '/a b'"), "{damaged}");
    let open = of(Ok(Examined { runs: vec![run("a", false, false)], ..examined() }));
    assert_eq!(open, "parallel-agents resume a --journal '/a b', or parallel-agents stop a --journal '/a b'");
}

#[test]
fn an_agent_type_that_is_passed_over_is_named_with_why() {
    assert_eq!(agents(&files()).level, Level::Green);
    let error = AgentError::NoFrontMatter { place: "/s/a.md".to_owned() };
    let line = agents(&Files { agents: Ok((1, vec![error])), ..files() });
    assert_eq!(line.level, Level::Yellow);
    assert!(line.found.starts_with("1 type of your own; 1 file passed over: agent type /s/a.md: no front matter"));
    let unreadable =
        AgentError::Read { path: Path::new("/s/agents").into(), source: std::io::ErrorKind::NotADirectory.into() };
    assert_eq!(agents(&Files { agents: Err(unreadable), ..files() }).level, Level::Red);
}
