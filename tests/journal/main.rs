//! The journal: what is written is read back, whatever happens to the process, the file or the disk.

mod files;
mod full;
mod golden;
mod processes;
mod runs;
mod speed;
mod strategies;
mod torn;
mod world;

use world::{Folder, append_all, create, every_fact, grown_plan, open, options};

#[test]
fn what_is_committed_is_read_back_as_it_was() {
    let folder = Folder::new();
    let facts = every_fact();
    let mut log = create(&folder.journal(), "run-1").expect("a run");
    append_all(&mut log, &facts);
    assert!(log.pending());
    assert_eq!(log.commit().expect("commits"), facts.len() as u64);
    assert!(!log.pending());
    drop(log);
    let stored = open(&folder.journal()).read("run-1").expect("a run");
    assert_eq!(stored.facts, facts);
    assert_eq!(stored.options, options());
    assert_eq!(format!("{:?}", stored.plan), format!("{:?}", grown_plan()));
}
