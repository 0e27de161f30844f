//! Seeded simulated runs of the whole machine in a hostile world, with invariants asserted at every moment, and a few
//! scenarios by hand.
//!
//! A failing seed is printed; `SIM_SEED=7 cargo test --test sim` plays it alone. `SIM_SEEDS=100000` plays more of them,
//! `SIM_INVARIANT=` followed by a name holds them to that one alone. `mutants.py` shows that breaking the machine
//! breaks the suite.

use std::collections::BTreeMap;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use parallel_agents::core::output::Schema;

use scene::{Scene, schema};
use simulation::{Summary, census, play};

mod book;
mod cuts;
mod endings;
mod invariants;
mod scenarios;
mod scene;
mod simulation;
mod steered;
mod steering;
mod truth;
mod world;

/// Seeds that are played unless the environment says otherwise.
const SEEDS: u64 = 5_000;
/// Every so many seeds are played twice.
const TWICE_EVERY: u64 = 10;

/// Invariants that no single moment shows.
const BESIDES: [&str; 3] = ["every_run_ends", "nothing_panics", "the_same_seed_gives_the_same_run"];

/// What the runs broke, by invariant: how often, and the first seed with its message.
type Breaches = BTreeMap<&'static str, (usize, u64, String)>;

#[test]
fn every_invariant_holds_at_every_moment_of_every_run() {
    let seeds = match (number("SIM_SEED"), number("SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, seeds) => 0..seeds.unwrap_or(SEEDS),
    };
    let only = env::var("SIM_INVARIANT").ok();
    let only = only.as_deref();
    let is_known = |name: &str| BESIDES.contains(&name) || invariants::ALL.iter().any(|(known, _)| *known == name);
    assert!(only.is_none_or(is_known), "SIM_INVARIANT is `{only:?}`, which is no invariant");
    let (next, breaches) = (AtomicU64::new(seeds.start), Mutex::new(Breaches::new()));
    let counts = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let (schema, mut own_counts) = (schema(), BTreeMap::new());
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    match run(seed, &schema, only) {
                        Ok(summary) => census(&summary.facts, &mut own_counts),
                        Err((invariant, message)) => {
                            let mut breaches = breaches.lock().expect("the breaches");
                            let entry = breaches.entry(invariant).or_insert((0, u64::MAX, String::new()));
                            entry.0 += 1;
                            if seed < entry.1 {
                                (entry.1, entry.2) = (seed, message);
                            }
                        }
                    }
                }
                let mut counts = counts.lock().expect("the counts");
                for (name, count) in own_counts {
                    *counts.entry(name).or_insert(0) += count;
                }
            });
        }
    });
    let breaches = breaches.into_inner().expect("the breaches");
    let told: Vec<String> = breaches
        .values()
        .map(|(count, seed, message)| format!("{count} runs; first with SIM_SEED={seed}: {message}"))
        .collect();
    assert!(told.is_empty(), "{}", told.join("\n\n"));
    if seeds.end - seeds.start >= SEEDS {
        assert_everything_was_reached(&counts.into_inner().expect("the counts"));
    }
}

/// An invariant that nothing ever tries is no test.
fn assert_everything_was_reached(counts: &BTreeMap<String, usize>) {
    let rare = REACHED.iter().filter(|name| counts.get(**name).is_none_or(|count| *count < 50));
    assert_eq!(rare.collect::<Vec<_>>(), Vec::<&&str>::new(), "too seldom reached in {counts:#?}");
}

/// What the seeds must reach.
const REACHED: [&str; 56] = [
    "an adopted attempt completed",
    "an adopted attempt did not complete",
    "approval asked",
    "approved: false",
    "approved: true",
    "attempt ended: Cancelled",
    "attempt ended: Completed",
    "attempt ended: NeedsInput",
    "attempt failed: Model",
    "attempt failed: Output",
    "attempt failed: Permanent",
    "attempt failed: Permanent, given up",
    "attempt failed: ServerError",
    "attempt failed: Stopped",
    "attempt failed: Timeout",
    "attempt failed: Transient",
    "attempt failed: Truncated",
    "attempt refused",
    "attempt stopping: Cancel",
    "attempt stopping: Idle",
    "attempt stopping: RunDeadline",
    "attempt stopping: TaskDeadline",
    "attempt stopping: Timeout",
    "attempt stopping: Unneeded",
    "breaker opened",
    "breaker opened for good",
    "budget bears: false",
    "budget bears: true",
    "budget reached: attempts",
    "budget reached: price",
    "budget reached: seconds",
    "budget reached: tokens",
    "budget reached: usd",
    "cancelled",
    "limit raised",
    "marked",
    "outcome reached",
    "run deadline",
    "run resumed",
    "session deleted",
    "session left: forbidden",
    "session left: nothing here can delete it",
    "session left: there was no time left to delete it",
    "starts stopped",
    "task cancelled: are left alone",
    "task completed",
    "task failed",
    "task failed: (retries_share, retries_min)",
    "task failed: the very same answer",
    "task needs_input",
    "task reopened: failed",
    "task reopened: needs_input",
    "task reopened: skipped",
    "task skipped",
    "task timeout",
    "tasks added",
];

/// Plays one seed, some of them twice; tells what broke.
fn run(seed: u64, schema: &Schema, only: Option<&str>) -> Result<Summary, (&'static str, String)> {
    let once = || {
        let played = catch_unwind(AssertUnwindSafe(|| play(&Scene::new(seed, schema), only)));
        match played {
            Ok(Ok(summary)) => Ok(summary),
            Ok(Err(breach)) => Err((breach.invariant, breach.to_string())),
            Err(panic) => {
                let message = panic.downcast_ref::<String>().cloned();
                let message = message.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                Err(("nothing_panics", format!("invariant `nothing_panics` broken: {}", message.unwrap_or_default())))
            }
        }
    };
    let summary = once()?;
    if seed.is_multiple_of(TWICE_EVERY) && once()?.facts != summary.facts {
        let name = "the_same_seed_gives_the_same_run";
        return Err((name, format!("invariant `{name}` broken: the second run went another way")));
    }
    Ok(summary)
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{variable} is `{text}`, expected a whole number: {error}")))
}
