//! No room is left for the journal while agents run.

use parallel_agents::core::fact::Status;

use crate::accounts::{audit, read, results};
use crate::player::{Death, Exit};
use crate::scene::{SOUND, plan};
use crate::world::World;

/// In the midst of the run.
const FACT: u64 = 90;

#[test]
fn a_full_disk_takes_no_answer_away_and_pays_for_none_twice() {
    let mut world = World::new(SOUND, 1);
    let Exit::Finished(told) = world.start(Death::Full(FACT)) else { panic!("nobody kills it") };
    let warning =
        format!("warning: the journal `{}` cannot grow: its disk or quota is full", world.journal().display());
    assert!(told.iter().any(|line| line.starts_with(&warning)), "{told:#?}");

    let before = world.books();
    let started = |index: usize| before.spawns.iter().any(|spawn| spawn.task_index == index);
    let tasks = plan().tasks().len();
    for index in 0..tasks {
        let [line] = &told.iter().filter(|line| line.starts_with(&format!("{index} "))).collect::<Vec<_>>()[..] else {
            panic!("task {index} ends once: {told:#?}");
        };
        if started(index) {
            assert!(line.starts_with(&format!("{index} completed: ")), "{line}");
        } else {
            // Those that build on a task that was not started are skipped because of it.
            let ends = ["cancelled", "skipped"].map(|status| format!("{index} {status}: None"));
            assert!(ends.iter().any(|end| line.starts_with(end)), "{line}");
            assert!(line.contains("the journal could not be written for 10 s"), "{line}");
        }
    }
    let kept = results(&read(&world.journal()).facts);
    assert!(kept.len() < before.spawns.len(), "answers came that the journal could not take");
    assert!(before.spawns.len() < tasks, "some had not started");

    assert!(matches!(world.resume(Death::None), Exit::Finished(_)));
    let books = world.books();
    let results = audit(&SOUND, &world.journal(), &books);
    assert!(results.values().all(|(status, _)| *status == Status::Completed), "{results:?}");
    assert_eq!(books.spawns.len(), tasks, "each is paid for once");
}

#[test]
fn a_disk_that_has_room_again_is_no_more_than_a_pause() {
    let mut world = World::new(SOUND, 2);
    let Exit::Finished(told) = world.start(Death::FullForAWhile(FACT)) else { panic!("nobody kills it") };
    let warnings: Vec<&String> = told.iter().filter(|line| line.starts_with("warning: ")).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert_eq!(warnings[1], "warning: the journal takes facts again; nothing was lost");
    let results = audit(&SOUND, &world.journal(), &world.books());
    assert!(results.values().all(|(status, _)| *status == Status::Completed), "{results:?}");
}
