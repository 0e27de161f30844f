//! What a seed stands for: a plan, the bounds of a run, and how badly the world around it behaves.
//!
//! Every seed draws its own set of troubles, most of them absent (swarm testing, Groce et al., ISSTA 2012): a run
//! with everything wrong at once ends too early to reach much.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use parallel_agents::core::breaker::BreakerPolicy;
use parallel_agents::core::budget::{Budget, Estimate};
use parallel_agents::core::hierarchy::{ModelHierarchy, Tier};
use parallel_agents::core::output::{OutputFormat, STUCK_JSON, Schema};
use parallel_agents::core::plan::{Plan, Task};
use parallel_agents::core::retry::RetryPolicy;
use parallel_agents::core::settings::{Cleanup, RunSettings};
use parallel_agents::core::time::Time;
use parallel_agents::core::usage::Price;
use serde_json::json;

use crate::endings::FAILURES;
use crate::steering::Steering;

/// When every run begins. Far from zero, so that a lost origin shows.
pub const BEGIN: Time = Time::from_millis(1_700_000_000_000);

/// One run to be.
pub struct Scene {
    pub seed: u64,
    pub plan: Plan,
    pub settings: RunSettings,
    pub temper: Temper,
    /// Since when the runtime bears how many agents at once, in order.
    pub child_limits: Vec<(Time, usize)>,
    /// When somebody cancels.
    pub cancels: Vec<Time>,
    /// How often the machine may die, and how likely it does before an input.
    pub deaths_max: u32,
    pub death: f64,
    /// When the journal takes no further facts.
    pub journal_lost: Option<Time>,
    /// How often the run is opened again once it is over.
    pub reopenings: u32,
    /// What steers it, if anything does.
    pub steering: Option<Steering>,
    /// How likely it is that somebody gives the word that is waited for.
    pub answering: f64,
    /// Whether it is now and then taken up only to be ended.
    pub stops_on_resume: bool,
    /// When somebody says what nobody waits for.
    pub strays: Vec<Time>,
}

/// How likely each trouble is.
pub struct Temper {
    /// The answer does not come as promised.
    pub bad_ending: f64,
    /// All that fail do so in this way.
    pub one_kind: Option<u8>,
    /// The agent asks something instead.
    pub question: f64,
    /// An unusable answer is the same as others were.
    pub parroting: f64,
    /// A working agent does nothing more.
    pub idleness: f64,
    /// A start is refused, for another reason than that too many run.
    pub refusal: f64,
    /// A start is never answered.
    pub silence: f64,
    /// An accepted agent waits for long before it works.
    pub queueing: f64,
    /// An agent takes longer than its time.
    pub slowness: f64,
    /// A report never arrives.
    pub loss: f64,
    /// A report arrives again, later.
    pub echo: f64,
    /// A report takes long, and others overtake it.
    pub delay: f64,
    /// A stop is not obeyed, or not confirmed.
    pub stubbornness: f64,
    /// A session is not deleted when it should be.
    pub bad_delete: f64,
    /// The machine hears late that time has passed.
    pub oversleeping: f64,
}

impl Temper {
    fn random(random: &mut Rng) -> Self {
        // The first ones are unusable answers.
        let one_kind = [None, None, Some(0), Some(random.u8(0..FAILURES))][random.usize(0..4)];
        let mut chance = |often: f64| [0.0, 0.0, 0.05, often][random.usize(0..4)];
        Self {
            one_kind,
            bad_ending: if one_kind.is_some() { 0.8 } else { chance(0.6) },
            question: chance(0.2),
            parroting: if one_kind.is_some() { 1.0 } else { chance(0.8) },
            idleness: chance(0.3),
            refusal: chance(0.2),
            silence: chance(0.15),
            queueing: chance(0.5),
            slowness: chance(0.4),
            loss: chance(0.15),
            echo: chance(0.4),
            delay: chance(0.4),
            stubbornness: chance(0.6),
            bad_delete: chance(0.5),
            oversleeping: chance(0.5),
        }
    }
}

impl Scene {
    pub fn new(seed: u64, schema: &Schema) -> Self {
        let mut random = Rng::with_seed(seed);
        let tasks_max = [0, 1, 3, 8, 20, 60][random.usize(0..6)];
        let plan = plan(&mut random, tasks_max, schema);
        let settings = settings(&mut random);
        let temper = Temper::random(&mut random);
        let child_limits = child_limits(&mut random);
        let cancels = match random.u8(0..16) {
            0 => vec![soon(&mut random)],
            1 => {
                let first = soon(&mut random);
                vec![first, first + span(&mut random, &[0, 50, 3_000])]
            }
            // While the run's time is up.
            2 => vec![BEGIN + settings.run_time_max + span(&mut random, &[100, 3_000])],
            _ => Vec::new(),
        };
        let deaths_max = if settings.journaled { [0, 1, 3, 8][random.usize(0..4)] } else { 0 };
        let death = [0.005, 0.05, 0.3][random.usize(0..3)];
        let journal_lost = (settings.journaled && random.u8(0..4) == 0).then(|| soon(&mut random));
        let reopenings = if settings.journaled { [0, 0, 1, 2][random.usize(0..4)] } else { 0 };
        let steering = Steering::random(&mut random, plan.tasks().len());
        let answering = [0.5, 1.0, 1.0][random.usize(0..3)];
        let strays = if random.u8(0..4) == 0 { (0..3).map(|_| soon(&mut random)).collect() } else { Vec::new() };
        let stops_on_resume = random.u8(0..6) == 0;
        Self {
            seed,
            plan,
            settings,
            temper,
            child_limits,
            cancels,
            deaths_max,
            death,
            journal_lost,
            reopenings,
            steering,
            answering,
            stops_on_resume,
            strays,
        }
    }

    /// How many agents the runtime bears at `now`.
    pub fn child_limit(&self, now: Time) -> usize {
        let in_force = self.child_limits.iter().take_while(|(since, _)| *since <= now).last();
        in_force.map_or(usize::MAX, |(_, limit)| *limit)
    }
}

fn soon(random: &mut Rng) -> Time {
    BEGIN + span(random, &[0, 100, 10_000, 200_000])
}

/// A duration from zero to one of these numbers of milliseconds.
pub fn span(random: &mut Rng, millis_max: &[u64]) -> Duration {
    let max = millis_max[random.usize(0..millis_max.len())];
    Duration::from_millis(random.u64(0..=max))
}

fn plan(random: &mut Rng, tasks_max: usize, schema: &Schema) -> Plan {
    let tasks = random.usize(0..=tasks_max);
    let density = [0.0, 0.02, 0.1, 0.4][random.usize(0..4)];
    // Dependencies point backwards in a shuffled order, so that the order given says nothing about them.
    let mut order: Vec<usize> = (0..tasks).collect();
    random.shuffle(&mut order);
    let mut dependencies = vec![Vec::new(); tasks];
    for (place, &task) in order.iter().enumerate() {
        for &earlier in &order[..place] {
            if dependencies[task].len() < 6 && random.f64() < density {
                dependencies[task].push(format!("task_{earlier}"));
            }
        }
    }
    let priorities = random.i64(1..=4);
    let hierarchies: Vec<Arc<ModelHierarchy>> = (1..=3).map(|tiers| hierarchy(random, tiers)).collect();
    let deadlines = random.u8(0..4) == 0;
    let task = |(index, dependencies): (usize, Vec<String>)| Task {
        id: format!("task_{index}").into(),
        agent_type: ["code_reviewer", "educational"][random.usize(0..2)].into(),
        instructions: "Instructions.".into(),
        brief: format!("Brief of {index}.").into(),
        contract: format!("Contract of {index}.\n\n{STUCK_JSON}").into(),
        timeout: Duration::from_millis([1, 700, 5_000, 5_000, 30_000, 200_000][random.usize(0..6)]),
        deadline: (deadlines && random.bool()).then(|| Duration::from_millis(random.u64(500..100_000))),
        format: if random.u8(0..6) == 0 { OutputFormat::Text } else { OutputFormat::Json },
        schema: (random.u8(0..4) > 0).then(|| schema.clone()),
        priority: random.i64(-priorities..=priorities),
        dependencies,
        hierarchy: hierarchies[random.usize(0..hierarchies.len())].clone(),
    };
    Plan::new(dependencies.into_iter().enumerate().map(task).collect()).expect("a plan")
}

/// What every JSON answer is checked against, where anything is.
pub fn schema() -> Schema {
    let answer = json!({"answer": {"type": "string"}});
    Schema::new(json!({"type": "object", "required": ["answer"], "properties": answer})).expect("a schema")
}

/// Prices in whole dollars per million tokens, so that sums are exact.
fn hierarchy(random: &mut Rng, tiers: u8) -> Arc<ModelHierarchy> {
    let tier = |tier: u8| {
        let dollars = f64::from(tier) + 1.0;
        let price = Price { input: dollars, output: 4.0 * dollars, cache_read: dollars, cache_write: dollars };
        Tier { model: format!("provider/{tiers}_{tier}").into(), price: random.bool().then_some(price) }
    };
    Arc::new(ModelHierarchy::new((0..tiers).map(tier).collect()).expect("a hierarchy"))
}

fn settings(random: &mut Rng) -> RunSettings {
    let delay_first = Duration::from_millis(random.u64(100..2_000));
    RunSettings {
        concurrency_max: [1, 2, 5, 20][random.usize(0..4)],
        retry: RetryPolicy {
            attempts_max: random.u32(1..=8),
            transient_retries_max: random.u32(0..=3),
            server_error_retries_max: random.u32(0..=2),
            output_retries_max: random.u32(0..=2),
            retries_share: [0.0, 0.1, 0.5][random.usize(0..3)],
            retries_min: [0, 3, 1_000, 1_000][random.usize(0..4)],
            delay_first,
            delay_max: delay_first.mul_f64(16.0),
        },
        run_time_max: Duration::from_secs([1, 30, 600, 2_000, 2_000, 4_000][random.usize(0..6)]),
        grace: Duration::from_millis(random.u64(500..=3_000)),
        stop_patience: Duration::from_millis(random.u64(1_000..=15_000)),
        cleanup: match random.u8(0..8) {
            0 | 1 => Cleanup::Keep,
            2 => Cleanup::Impossible,
            _ => Cleanup::Delete,
        },
        cleanup_patience: Duration::from_millis(random.u64(1_000..=10_000)),
        deletes_max: random.usize(1..=3),
        journaled: random.bool(),
        weigh_again: false,
        budget: budget(random),
        estimate: Estimate { token_bytes: 3, input_extra: random.u64(1..=3) * 1_000_000, output: 1_000_000 },
        breaker: BreakerPolicy {
            failures_max: [0, 1, 1, 2][random.usize(0..4)],
            pause_first: Duration::from_millis(random.u64(100..10_000)),
            trials_max: random.u32(1..=2),
        },
        idle_max: (random.u8(0..5) == 0).then(|| Duration::from_millis(random.u64(500..20_000))),
        output_bytes_max: 1024 * 1024,
    }
}

/// Caps, in most scenes none.
fn budget(random: &mut Rng) -> Budget {
    let mut draw = |one_in: u8, max: u64| (random.u8(0..one_in) == 0).then(|| random.u64(1..=max));
    let one_in = if draw(4, 1).is_some() { 2 } else { u8::MAX };
    Budget {
        usd: draw(one_in, 300).map(|usd| f64::from(u32::try_from(usd).unwrap_or(0))),
        tokens: draw(one_in, 150).map(|millions| millions * 1_000_000),
        attempts: draw(one_in, 40),
        time: draw(one_in, 300).map(Duration::from_secs),
    }
}

fn child_limits(random: &mut Rng) -> Vec<(Time, usize)> {
    let mut since = BEGIN;
    let changes = [0, 0, 1, 6][random.usize(0..4)];
    let mut limits = Vec::with_capacity(changes);
    for _ in 0..changes {
        limits.push((since, [0, 1, 2, 5, 12][random.usize(0..5)]));
        since = since + span(random, &[2_000, 60_000]);
    }
    // Not shut for ever: what can be reached only at the run's deadline is reached often enough.
    if let Some((_, last)) = limits.last_mut() {
        *last = (*last).max(1);
    }
    limits
}
