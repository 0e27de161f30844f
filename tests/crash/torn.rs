//! A journal that lost its end with its process: the file system lost what it had not written yet. That takes a power cut,
//! and `durability="power"` rules it out.
//!
//! Agents that were started by what was lost are in no journal; their tasks are begun again. So much can be paid twice, and
//! no more.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::accounts::{attempts, read, results};
use crate::kills::side_by_side;
use crate::player::{Death, Exit};
use crate::scene::SOUND;
use crate::world::World;

/// A page of the log with its header.
const FRAME: u64 = 4_096 + 24;

#[test]
fn a_run_whose_journal_lost_its_end_goes_on_from_what_is_left() {
    let mut whole = World::new(SOUND, 0);
    assert!(matches!(whole.start(Death::None), Exit::Finished(_)));
    let expected = results(&read(&whole.journal()).facts);

    let cuts = [1, 24, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME + 25, 3 * FRAME, 4 * FRAME + 7, 7 * FRAME, 12 * FRAME];
    let deaths = [14, 20, 33, 47, 50, 70];
    let cases: Vec<(u64, u64)> = deaths.iter().flat_map(|&death| cuts.map(|cut| (death, cut))).collect();
    let losses = AtomicUsize::new(0);
    side_by_side(&cases, |seed, &(death, cut)| {
        let mut world = World::new(SOUND, seed);
        assert_eq!(world.start(Death::Action(death)), Exit::Killed);
        let written = read(&world.copy()).facts;
        tear(&world, cut);
        let kept = read(&world.copy()).facts;
        assert_eq!(kept, written[..kept.len()], "all that came before the cut is there");

        let (before, known, planned) = (world.books(), attempts(&kept), attempts(&written));
        let lost: BTreeSet<&String> =
            before.spawns.iter().map(|spawn| &spawn.key).filter(|key| !known.contains_key(*key)).collect();
        assert!(lost.iter().all(|key| planned.contains_key(*key)), "only what was cut off is lost");
        losses.fetch_add(lost.len(), Ordering::Relaxed);

        assert!(matches!(world.resume(Death::None), Exit::Finished(_)));
        let (facts, books) = (read(&world.journal()).facts, world.books());
        assert_eq!(results(&facts), expected, "cut {cut} bytes before the end, after {death} actions");
        assert_eq!(books.breaches, [""; 0]);
        assert_eq!(books.spawns.len(), expected.len() + lost.len(), "nothing is begun again but what was lost");
        let tasks_lost: BTreeSet<usize> =
            books.spawns.iter().filter(|spawn| lost.contains(&spawn.key)).map(|spawn| spawn.task_index).collect();
        assert!(books.overlaps.iter().all(|task| tasks_lost.contains(task)), "{:?}", books.overlaps);
        assert!(books.sessions.iter().all(|key| lost.contains(key)), "{:?}", books.sessions);
    });
    assert!(losses.into_inner() > 10, "agents were lost");
}

/// The log without its last bytes, as the next process finds it.
fn tear(world: &World, bytes: u64) {
    let log = fs::OpenOptions::new().write(true).open(world.log()).expect("a log");
    let length = log.metadata().expect("a file").len();
    log.set_len(length.saturating_sub(bytes)).expect("cuts");
    // The index of the log is memory shared by those who have it open.
    let _ = fs::remove_file(world.journal().with_extension("db-shm"));
}
