//! What the tests of the journal share: folders that go away, a small plan, and one of every fact.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{env, fs, process};

use serde_json::{Value, json};

use parallel_agents::core::action::{AttemptRef, Session};
use parallel_agents::core::budget::{Cap, Reservation};
use parallel_agents::core::fact::{Circuit, End, Event, Fact, Outcome, Status, StopReason};
use parallel_agents::core::failure::FailureKind;
use parallel_agents::core::hierarchy::{ModelHierarchy, Tier};
use parallel_agents::core::output::{OutputFormat, Schema};
use parallel_agents::core::plan::{Plan, Task};
use parallel_agents::core::strategy::Word;
use parallel_agents::core::time::Time;
use parallel_agents::core::usage::{Price, Tokens};
use parallel_agents::journal::{Durability, Journal, JournalError, NewRun, RunLog};

/// A folder that is removed when the test is over.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        Self::new_in(&env::temp_dir())
    }

    pub fn new_in(parent: &Path) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("journal-test-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = parent.join(name);
        fs::create_dir(&path).expect("a folder");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the test's journal is.
    pub fn journal(&self) -> PathBuf {
        self.0.join("runs.db")
    }

    /// The names of the files in it.
    pub fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("a folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn open(path: &Path) -> Journal {
    Journal::open(path, Durability::Process).expect("a journal")
}

/// A new run of [`plan`].
pub fn create(path: &Path, id: &str) -> Result<RunLog, JournalError> {
    create_with(path, id, &plan())
}

pub fn create_with(path: &Path, id: &str, plan: &Plan) -> Result<RunLog, JournalError> {
    let options = options();
    let run = NewRun { id, options: &options, plan, runtime: "rehearsal", started: Time::from_millis(1_000) };
    open(path).create(run)
}

pub fn append_all<'a>(log: &mut RunLog, facts: impl IntoIterator<Item = &'a Fact>) {
    for fact in facts {
        log.append(fact);
    }
}

pub fn options() -> Value {
    json!({"max_concurrent": 7, "rehearsal": {"seed": 3, "speed": 0.1}})
}

/// [`plan`] with what [`every_fact`] adds to it.
pub fn grown_plan() -> Plan {
    let mut plan = plan();
    plan.grow(4, &added_tasks());
    plan
}

/// Two tasks that build on those of [`plan`] and on each other.
pub fn added_tasks() -> Vec<Task> {
    let plan = plan();
    let [one, _, three, _] = plan.tasks() else { panic!("four tasks") };
    vec![
        Task { id: "one/review-1".into(), dependencies: vec!["one".into()], ..three.clone() },
        Task { id: "one/refine-2".into(), dependencies: vec!["one/review-1".into(), "one".into()], ..one.clone() },
    ]
}

/// Four tasks that use everything a task has.
pub fn plan() -> Plan {
    let instructions: Arc<str> = "You review code. ".repeat(100).into();
    let priced = Price { input: 0.1, output: 1.0 / 3.0, cache_read: 0.0, cache_write: 1e-300 };
    let hierarchy = ModelHierarchy::new(vec![
        Tier { model: "a/cheap".into(), price: None },
        Tier { model: "b/dear".into(), price: Some(priced) },
    ]);
    let hierarchy = Arc::new(hierarchy.expect("a hierarchy"));
    let schema = Schema::new(json!({"type": "object", "required": ["b", "a"], "x": 0.1})).expect("a schema");
    let task = |id: &str, format| Task {
        id: id.into(),
        agent_type: "code_reviewer".into(),
        instructions: instructions.clone(),
        brief: format!("Look at {id}, \"quoted\" \u{0} and \u{1f980}").into(),
        contract: "Answer as you were asked.".into(),
        timeout: Duration::from_millis(1_500),
        deadline: None,
        format,
        schema: None,
        priority: 5,
        dependencies: Vec::new(),
        hierarchy: hierarchy.clone(),
    };
    let plan = Plan::new(vec![
        Task { schema: Some(schema), ..task("one", OutputFormat::Json) },
        Task { dependencies: vec!["one".into()], priority: -3, ..task("two", OutputFormat::Markdown) },
        Task { deadline: Some(Duration::new(3_600, 1)), ..task("three", OutputFormat::Code) },
        Task {
            dependencies: vec!["one".into(), "three".into()],
            hierarchy: Arc::default(),
            ..task("four", OutputFormat::Text)
        },
    ]);
    plan.expect("a plan")
}

pub fn fact(at: u64, event: Event) -> Fact {
    Fact { at: Time::from_millis(at), event }
}

pub const ATTEMPT: AttemptRef = AttemptRef { task_index: 0, start_no: 1 };

/// Every kind of fact, with every way to fill it: those of format 1, then those that format 2 added.
pub fn every_event() -> Vec<Event> {
    let long = "A long subject. ".repeat(50);
    let word = |word| Event::WordGiven { word };
    let mut events = events_of_format_1();
    let end = events.pop();
    events.extend([
        Event::AttemptStopping { attempt: ATTEMPT, why: StopReason::Unneeded },
        Event::TasksAdded { first: 4, tasks: added_tasks().into() },
        Event::TaskEnded { task_index: 5, end: End::Failed { reason: "no".into(), raw: None } },
        Event::TasksAdded { first: 6, tasks: [].into() },
        Event::ApprovalAsked { subject: json!({"plan": [1, 0.1, null], "why": "`x`"}).into() },
        Event::ApprovalAsked { subject: json!(long).into() },
        word(Word::Approval { approved: true, reason: "".into() }),
        word(Word::Approval { approved: false, reason: long.as_str().into() }),
        word(Word::Budget { complaint: None }),
        word(Word::Budget { complaint: Some("too dear".into()) }),
        word(Word::Mark { task: "one/review-1".into(), mark: json!(8.5) }),
        word(Word::Mark { task: "one".into(), mark: json!({"b": [long], "a": null}) }),
        word(Word::Mark { task: "one".into(), mark: Value::Null }),
        Event::OutcomeReached { outcome: json!({"score": 8.5, "best": "one"}).into() },
        Event::OutcomeReached { outcome: Value::Null.into() },
    ]);
    events.extend(end);
    events
}

/// Every kind of fact of format 1, as its golden file has them.
pub fn events_of_format_1() -> Vec<Event> {
    let attempt = AttemptRef { task_index: 2, start_no: 4 };
    let session = || Session { key: "agent:main:subagent:1".into(), run_id: "run-1".into() };
    let long: Arc<str> = "A long answer. ".repeat(50).into();
    let ended = |outcome, answer: Option<&str>| Event::AttemptEnded {
        attempt: ATTEMPT,
        outcome,
        model_used: None,
        tokens: None,
        cost: None,
        truncated: false,
        answer: answer.map(Arc::from),
    };
    let task_ended = |end| Event::TaskEnded { task_index: 0, end };
    let completed = |output: Value, raw: &str| task_ended(End::Completed { output: Arc::new(output), raw: raw.into() });
    let mut events = vec![
        Event::RunStarted { tasks: 4 },
        Event::RuntimeMet { boot: "boot-1".into() },
        Event::AttemptPlanned {
            attempt: ATTEMPT,
            attempt_no: 1,
            tier: 0,
            model: "a/cheap".into(),
            key: "5c1a4b5e-0000-4000-8000-000000000001".into(),
            reserved: Reservation { usd: Some(0.1 + 0.2), tokens: 20_000 },
        },
        Event::AttemptPlanned {
            attempt,
            attempt_no: 2,
            tier: 1,
            model: "b/dear".into(),
            key: "5c1a4b5e-0000-4000-8000-000000000002".into(),
            reserved: Reservation { usd: None, tokens: 0 },
        },
        Event::AttemptAccepted { attempt: ATTEMPT, session: session() },
        Event::AttemptStarted { attempt: ATTEMPT, since: Time::from_millis(1_234) },
        Event::AttemptRefused { attempt, reason: "no room".into(), limit: 3, until: Time::from_millis(u64::MAX) },
        Event::AttemptEnded {
            attempt: ATTEMPT,
            outcome: Outcome::Completed,
            model_used: Some("a/cheap-2".into()),
            tokens: Some(Tokens { input: 1, output: 2, cache_read: 3, cache_write: 4, total: 10 }),
            cost: Some(0.000_123_456_789_012_3),
            truncated: true,
            answer: Some(long.clone()),
        },
        ended(Outcome::NeedsInput { question: "Which one?".into() }, Some("STUCK: Which one?")),
        ended(Outcome::Cancelled, None),
        Event::RetryPlanned {
            task_index: 1,
            reason: long.to_string(),
            tier: 1,
            model: "b/dear".into(),
            delay: Duration::new(1, 500_000_001),
        },
        Event::LimitRaised { limit: 4 },
        completed(json!({"b": [1, -2, 0.1, 1e300, null, true], "a": "x"}), "```json\n{\"b\": ...}\n```"),
        completed(json!({"b": 1.0, "a": 2}), "  {\"b\":1.0,\"a\":2}\n"),
        completed(json!(null), "null"),
        completed(json!("text"), "\"text\""),
        completed(json!("plain"), "\n plain "),
        completed(json!("inner"), "```\ninner\n```"),
        completed(json!(long), &long),
        completed(json!({"long": long}), &json!({"long": long}).to_string()),
        completed(json!({"long": long}), &format!("Here: {}", json!({"long": long}))),
        task_ended(End::Failed { reason: "no".into(), raw: None }),
        task_ended(End::Failed { reason: long.to_string(), raw: Some(long.clone()) }),
        task_ended(End::Timeout { reason: "late".into(), raw: Some("half".into()) }),
        task_ended(End::NeedsInput { question: "Which?".into(), raw: Some("STUCK: Which?".into()) }),
        task_ended(End::Cancelled { reason: "enough".into(), raw: None }),
        task_ended(End::Skipped { reason: "`one` failed".into(), because_of: "one".into() }),
        Event::BreakerOpened { circuit: Circuit::Model("a/cheap".into()), until: Some(Time::from_millis(9_000)) },
        Event::BreakerOpened {
            circuit: Circuit::Agents("code_reviewer".into(), FailureKind::ServerError),
            until: None,
        },
        Event::TaskReopened { task_index: 3, was: Status::Failed, answer: None },
        Event::RunResumed { idle: Duration::from_secs(60) },
        Event::StartsStopped { reason: "the gateway shuts down".into() },
        Event::SessionDeleted { attempt },
        Event::SessionLeft { attempt, session: session(), reason: "`cleanup` is `keep`".into() },
    ];
    let stops = STOPS.into_iter().filter(|why| *why != StopReason::Unneeded);
    events.extend(stops.clone().map(|why| Event::AttemptStopping { attempt: ATTEMPT, why }));
    events.extend(stops.map(|why| Event::Cancelled { why, reason: "in words".into() }));
    events.extend(FAILURES.map(|kind| ended(Outcome::Failed { kind, reason: "it broke".into() }, Some(""))));
    events.extend(Cap::ALL.map(|cap| Event::BudgetReached {
        task_index: 1,
        cap,
        needed: Reservation { usd: Some(1e-9), tokens: 12 },
    }));
    events.extend(Status::ALL.map(|was| Event::TaskReopened {
        task_index: 3,
        was,
        answer: Some("The first one.".into()),
    }));
    events.push(Event::RunEnded);
    events
}

/// Each once; the core has no such lists.
pub const FAILURES: [FailureKind; 9] = [
    FailureKind::Busy,
    FailureKind::Transient,
    FailureKind::ServerError,
    FailureKind::Model,
    FailureKind::Timeout,
    FailureKind::Output,
    FailureKind::Truncated,
    FailureKind::Permanent,
    FailureKind::Stopped,
];

pub const STOPS: [StopReason; 6] = [
    StopReason::Idle,
    StopReason::Timeout,
    StopReason::TaskDeadline,
    StopReason::Unneeded,
    StopReason::RunDeadline,
    StopReason::Cancel,
];

/// [`every_event`], a second apart.
pub fn every_fact() -> Vec<Fact> {
    apart(every_event())
}

/// These, a second apart.
pub fn apart(events: Vec<Event>) -> Vec<Fact> {
    (2..).map(|second| second * 1_000).zip(events).map(|(at, event)| fact(at, event)).collect()
}
