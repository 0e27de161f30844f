//! What the journal costs. Measured by hand: `cargo test --release --test journal speed -- --ignored --nocapture`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use parallel_agents::core::action::{AttemptRef, Session, random_key};
use parallel_agents::core::budget::Reservation;
use parallel_agents::core::fact::{End, Event, Fact, Outcome};
use parallel_agents::core::output::OutputFormat;
use parallel_agents::core::plan::{Plan, Task};
use parallel_agents::core::time::Time;
use parallel_agents::core::usage::Tokens;
use parallel_agents::journal::{Durability, Journal, NewRun};

use crate::world::{Folder, fact};

const TASKS: usize = 10_000;
const GROUP: usize = 64;

fn big_plan() -> Plan {
    let instructions: Arc<str> = "You review code. ".repeat(100).into();
    let task = |index: usize| Task {
        id: format!("task-{index}").into(),
        agent_type: "code_reviewer".into(),
        instructions: instructions.clone(),
        brief: format!("Look at file {index}.").into(),
        contract: "Answer as you were asked.".into(),
        timeout: Duration::from_secs(300),
        deadline: None,
        format: OutputFormat::Json,
        schema: None,
        priority: 5,
        dependencies: Vec::new(),
        hierarchy: Arc::default(),
    };
    Plan::new((0..TASKS).map(task).collect()).expect("a plan")
}

/// Five facts for each task, with answers of some `answer_bytes`, as 64 tasks at once bring them.
fn many_facts(answer_bytes: usize) -> Vec<Fact> {
    let mut random = fastrand::Rng::with_seed(7);
    let model: Arc<str> = "anthropic/claude-haiku-4-5".into();
    let mut facts = Vec::new();
    for index in 0..TASKS {
        let (attempt, at) = (AttemptRef { task_index: index, start_no: 1 }, 1_700_000_000_000 + index as u64);
        let key = random_key(&mut random);
        let session = Session { key: format!("agent:main:subagent:{key}").into(), run_id: key.clone() };
        let output = json!({"no": index, "text": "x".repeat(answer_bytes)});
        let raw: Arc<str> = output.to_string().into();
        let reserved = Reservation { usd: Some(0.031), tokens: 20_100 };
        let tokens = Tokens { input: 900, output: 210, cache_read: 12_000, cache_write: 0, total: 13_110 };
        facts.extend([
            fact(at, Event::AttemptPlanned { attempt, attempt_no: 1, tier: 0, model: model.clone(), key, reserved }),
            fact(at, Event::AttemptAccepted { attempt, session }),
            fact(at, Event::AttemptStarted { attempt, since: Time::from_millis(at) }),
            fact(
                at,
                Event::AttemptEnded {
                    attempt,
                    outcome: Outcome::Completed,
                    model_used: Some(model.clone()),
                    tokens: Some(tokens),
                    cost: Some(0.001_234),
                    truncated: false,
                    answer: Some(raw.clone()),
                },
            ),
            fact(at, Event::TaskEnded { task_index: index, end: End::Completed { output: Arc::new(output), raw } }),
        ]);
    }
    facts
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn micros(span: Duration, count: usize) -> f64 {
    span.as_secs_f64() * 1e6 / count as f64
}

#[test]
#[ignore = "a measurement"]
#[expect(clippy::disallowed_methods, clippy::print_stdout, reason = "it measures and tells")]
fn speed() {
    for (durability, answer_bytes) in
        [(Durability::Process, 300), (Durability::Process, 300), (Durability::Process, 3_000), (Durability::Power, 300)]
    {
        let folder = Folder::new();
        let (plan, facts, options) = (big_plan(), many_facts(answer_bytes), json!({}));
        let run =
            NewRun { id: "speed", options: &options, plan: &plan, runtime: "rehearsal", started: Time::default() };
        let begin = Instant::now();
        let mut log = Journal::open(&folder.journal(), durability).expect("a journal").create(run).expect("a run");
        let created = begin.elapsed();
        let begin = Instant::now();
        let mut appending = Duration::ZERO;
        let mut longest = Duration::ZERO;
        for group in facts.chunks(GROUP) {
            let begin = Instant::now();
            for fact in group {
                log.append(fact);
            }
            appending += begin.elapsed();
            let begin = Instant::now();
            log.commit().expect("commits");
            longest = longest.max(begin.elapsed());
        }
        let written = begin.elapsed();
        let begin = Instant::now();
        for _ in 0..1_000 {
            assert_eq!(log.stop_request().expect("asks"), None);
        }
        let asked = begin.elapsed();
        let bytes = std::fs::metadata(folder.journal()).expect("a file").len();
        let begin = Instant::now();
        drop(log);
        let closed = begin.elapsed();
        let mut journal = Journal::open_read(&folder.journal()).expect("a journal");
        let begin = Instant::now();
        let stored = journal.read("speed").expect("a run");
        let read = begin.elapsed();
        assert_eq!(stored.facts.len(), facts.len());
        let begin = Instant::now();
        assert_eq!(journal.runs().expect("runs").len(), 1);
        let listed = begin.elapsed();
        println!(
            "{durability:?}, answers of {answer_bytes} bytes: create {:.2} us a task; append and commit {:.2} us a \
             fact (append {:.2}), longest commit {longest:?}; stop_request {:.2} us; close {closed:?}; read {read:?}; runs {listed:?}; \
             {} MB",
            micros(created, TASKS),
            micros(written, facts.len()),
            micros(appending, facts.len()),
            micros(asked, 1_000),
            bytes / 1_000_000,
        );
    }
}
