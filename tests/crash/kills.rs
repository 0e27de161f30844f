//! One run, killed after every single fact and every single action.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use fastrand::Rng;
use rusqlite::Connection;
use serde_json::json;

use parallel_agents::core::fact::{Event, Status};

use crate::accounts::{Results, audit, knows_every_agent, read};
use crate::player::{Death, Exit};
use crate::scene::{CAPPED, FAILING, GROWING, Scene};
use crate::world::World;

/// Each is mostly two processes that wait for each other.
const WORKERS: usize = 4;

/// All cases, each with a number of its own.
pub fn side_by_side<T: Sync>(cases: &[T], each: impl Fn(u64, &T) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let no = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(no) else { break };
                    each(no as u64, case);
                }
            });
        }
    });
}

/// Says which case it was that failed.
struct Named(Death);

impl Drop for Named {
    #[expect(clippy::print_stderr, reason = "beside the panic's own message")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the case that failed: {:?}", self.0);
        }
    }
}

/// Plays a run that dies, and perhaps dies again, to its end. It is audited; its results are returned.
fn survive(scene: Scene, death: Death, seed: u64) -> (World, Results) {
    let _case = Named(death);
    let mut random = Rng::with_seed(seed);
    let mut world = World::new(scene, random.u64(..));
    let exit = world.start(death);
    if let Death::Durable(no) = death {
        keep_facts(&world, &scene, no);
    }
    if exit == Exit::Killed {
        knows_every_agent(&world.copy(), &world.books());
        if random.u8(0..4) == 0 {
            world.resume(Death::Fact(random.u64(1..40)));
        }
    }
    if exit == Exit::Killed || matches!(death, Death::Durable(_)) {
        let end = world.resume(Death::None);
        assert!(matches!(end, Exit::Finished(_)), "{end:?}");
    }
    let results = audit(&scene, &world.journal(), &world.books());
    (world, results)
}

/// Facts are made durable in groups, and a process that dies once one is durable has made the rest of its group durable
/// too. Without that rest the journal is as facts that are committed one by one would have left it: no action rests on
/// the rest yet.
fn keep_facts(world: &World, scene: &Scene, no: u64) {
    let connection = Connection::open(world.journal()).expect("a journal");
    connection.execute("DELETE FROM facts WHERE no > ?1", [no.cast_signed()]).expect("cuts");
    // Tasks that are added are committed with the fact that says so.
    let added = "SELECT coalesce(sum(json_extract(body, '$.count')), 0) FROM facts WHERE kind = 'tasks_added'";
    let added: i64 = connection.query_row(added, [], |row| row.get(0)).expect("a sum");
    let tasks = added + i64::try_from(scene.given).expect("a few");
    connection.execute("DELETE FROM tasks WHERE task >= ?1", [tasks]).expect("cuts");
    connection.execute("UPDATE runs SET tasks = ?1", [tasks]).expect("cuts");
}

/// A run that nobody disturbs: what comes of it, and how many facts and actions it makes.
fn undisturbed(scene: Scene) -> (Results, u64, u64) {
    let (world, results) = survive(scene, Death::None, 0);
    (results, read(&world.journal()).facts.len() as u64, world.books().orders as u64)
}

#[test]
fn a_run_that_is_killed_anywhere_comes_to_the_same() {
    let (expected, facts, actions) = undisturbed(FAILING);
    let count = |status| expected.values().filter(|(other, _)| *other == status).count();
    let counts = [Status::Completed, Status::Failed, Status::Timeout, Status::Skipped].map(count);
    assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
    assert!(actions >= 120, "many agents fail on the way: {actions} starts and deletions");

    let after_facts = (1..=facts).flat_map(|no| [Death::Durable(no), Death::Fact(no)]);
    let cases: Vec<Death> = after_facts.chain((1..=actions).map(Death::Action)).collect();
    side_by_side(&cases, |seed, &death| {
        let (_, results) = survive(FAILING, death, seed);
        assert_eq!(results, expected, "{death:?}");
    });
}

#[test]
fn a_run_that_grows_and_is_killed_anywhere_comes_to_the_same_as_one_that_was_given_all() {
    let (expected, ..) = undisturbed(FAILING);
    let (_, facts, actions) = undisturbed(GROWING);
    let after_facts = (1..=facts).step_by(5).flat_map(|no| [Death::Durable(no), Death::Fact(no + 2)]);
    let cases: Vec<Death> = after_facts.chain((1..=actions).step_by(5).map(Death::Action)).collect();
    side_by_side(&cases, |seed, &death| {
        let (world, results) = survive(GROWING, death, seed);
        assert_eq!(results, expected, "{death:?}");
        let stored = read(&world.journal());
        let count = |is_it: &dyn Fn(&Event) -> bool| stored.facts.iter().filter(|fact| is_it(&fact.event)).count();
        let given = count(&|event| matches!(event, Event::WordGiven { .. }));
        assert_eq!(given, 1, "{death:?}: the approval is given once");
        let final_ends = [Status::Completed, Status::Failed, Status::Timeout];
        let told = count(&|event| matches!(event, Event::TaskEnded { end, .. } if final_ends.contains(&end.status())));
        let [.., outcome, end] = &stored.facts[..] else { panic!("{death:?}: there are facts") };
        assert!(matches!(end.event, Event::RunEnded), "{death:?}: {end:?}");
        assert_eq!(outcome.event, Event::OutcomeReached { outcome: json!(told).into() }, "{death:?}");
    });
}

#[test]
fn a_run_that_is_killed_anywhere_never_spends_more_than_it_may() {
    let (_, facts, _) = undisturbed(CAPPED);
    let cases: Vec<Death> = (1..=facts).step_by(4).flat_map(|no| [Death::Durable(no), Death::Fact(no + 2)]).collect();
    side_by_side(&cases, |seed, &death| {
        let (world, _) = survive(CAPPED, death, seed);
        let facts = read(&world.journal()).facts;
        let is_reached = facts.iter().any(|fact| matches!(fact.event, Event::BudgetReached { .. }));
        assert!(is_reached, "{death:?}: {:?} is too little for all tasks", CAPPED.cap);
    });
}
