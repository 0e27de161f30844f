//! Runs by hand, where the behaviour was promised with numbers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parallel_agents::core::action::{Action, AttemptRef, Report, Session, SpawnOrder};
use parallel_agents::core::fact::{End, Event, Fact, Outcome, StopReason};
use parallel_agents::core::failure::{Ending, FailureKind, Refusal};
use parallel_agents::core::hierarchy::ModelHierarchy;
use parallel_agents::core::output::OutputFormat;
use parallel_agents::core::plan::{Plan, Task};
use parallel_agents::core::progress::Progress;
use parallel_agents::core::retry::RetryPolicy;
use parallel_agents::core::run::RunMachine;
use parallel_agents::core::settings::{Cleanup, RunSettings};
use parallel_agents::core::time::Time;
use parallel_agents::core::usage::Usage;

pub const BEGIN: Time = Time::from_millis(1_000_000);
pub const TIMEOUT: Duration = Duration::from_secs(60);
const BUSY: &str = "the runtime takes no further agent now";

/// A run whose world is the test itself.
pub struct Run {
    pub machine: RunMachine,
    pub now: Time,
    pub facts: Vec<Fact>,
    pub actions: VecDeque<Action>,
}

/// A task of three tiers, 60 s, and any JSON.
pub fn task(id: &str, dependencies: &[&str]) -> Task {
    Task {
        id: id.into(),
        agent_type: "code_reviewer".into(),
        instructions: "".into(),
        brief: format!("Do {id}.").into(),
        contract: "".into(),
        timeout: TIMEOUT,
        deadline: None,
        format: OutputFormat::Json,
        schema: None,
        priority: 5,
        dependencies: dependencies.iter().map(|&id| id.to_owned()).collect(),
        hierarchy: Arc::new(ModelHierarchy::of_names(["p/low", "p/middle", "p/high"]).expect("a hierarchy")),
    }
}

impl Run {
    fn new(tasks: Vec<Task>) -> Self {
        Self::with(tasks, RunSettings { cleanup: Cleanup::Keep, ..RunSettings::default() }, 7)
    }

    fn with(tasks: Vec<Task>, settings: RunSettings, seed: u64) -> Self {
        Self::of(RunMachine::new(Plan::new(tasks).expect("a plan"), settings, seed, BEGIN), BEGIN)
    }

    pub fn of(machine: RunMachine, now: Time) -> Self {
        let mut run = Self { machine, now, facts: Vec::new(), actions: VecDeque::new() };
        run.poll();
        run
    }

    pub fn poll(&mut self) {
        while let Some(fact) = self.machine.poll_fact() {
            self.facts.push(fact);
        }
        while let Some(action) = self.machine.poll_action() {
            self.actions.push_back(action);
        }
    }

    pub fn tell(&mut self, report: Report) {
        self.machine.handle_report(report, self.now);
        self.poll();
    }

    pub fn accept(&mut self, attempt: AttemptRef) {
        let session = Session { key: format!("{attempt:?}").into(), run_id: "run".into() };
        self.tell(Report::Spawned { attempt, session });
    }

    pub fn start(&mut self, attempt: AttemptRef) {
        self.accept(attempt);
        self.tell(Report::Started { attempt, since: self.now });
    }

    pub fn end(&mut self, attempt: AttemptRef, ending: Ending) {
        self.tell(Report::Ended { attempt, ending, usage: Usage::default(), model_used: None, partial: None });
    }

    pub fn reply(&mut self, attempt: AttemptRef, text: &str) {
        self.end(attempt, Ending::Replied(text.to_owned()));
    }

    fn fail(&mut self, attempt: AttemptRef, message: &str) {
        self.end(attempt, Ending::Failed { message: message.to_owned() });
    }

    pub fn refuse(&mut self, attempt: AttemptRef) {
        let (code, message) = ("UNAVAILABLE".to_owned(), BUSY.to_owned());
        self.end(attempt, Ending::Refused(Refusal { code, message, retryable: true, ..Refusal::default() }));
    }

    pub fn cancel(&mut self) {
        self.machine.handle_cancel("enough", self.now);
        self.poll();
    }

    /// Lets time pass, as a driver does: from deadline to deadline.
    pub fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(next) = self.machine.next_deadline().filter(|next| *next < until) {
            self.now = self.now.max(next);
            self.machine.handle_time(self.now);
            self.poll();
            assert!(self.machine.next_deadline().is_none_or(|next| next > self.now), "a busy loop");
        }
        self.now = until;
        self.machine.handle_time(self.now);
        self.poll();
    }

    /// The next action, which must be an order.
    pub fn order(&mut self) -> SpawnOrder {
        match self.actions.pop_front() {
            Some(Action::Spawn(order)) => order,
            other => panic!("expected an order, not {other:?}"),
        }
    }

    pub fn end_of(&self, index: usize) -> &End {
        let mut ends = self.facts.iter().filter_map(|fact| match &fact.event {
            Event::TaskEnded { task_index, end } if *task_index == index => Some(end),
            _ => None,
        });
        ends.next().unwrap_or_else(|| panic!("task {index} has not ended"))
    }

    fn progress(&self) -> Progress {
        let mut progress = Progress::default();
        self.facts.iter().for_each(|fact| progress.apply(fact));
        progress
    }
}

#[test]
fn twenty_tasks_against_a_child_limit_of_five_cost_twenty_attempts() {
    let tasks = (0..20).map(|index| task(&format!("t{index}"), &[])).collect();
    let settings = RunSettings { concurrency_max: 20, ..RunSettings::default() };
    let mut run = Run::with(tasks, settings, 7);
    let mut running = VecDeque::new();
    while run.progress().done() < 20 {
        while let Some(action) = run.actions.pop_front() {
            let Action::Spawn(SpawnOrder { attempt, .. }) = action else { continue };
            if running.len() == 5 {
                run.refuse(attempt);
            } else {
                run.accept(attempt);
                running.push_back(attempt);
            }
        }
        run.pass(Duration::from_secs(1));
        if let Some(attempt) = running.pop_front() {
            run.reply(attempt, "{}");
        }
    }
    let progress = run.progress();
    assert_eq!((progress.attempts, progress.completed), (20, 20));
    assert!((15..30).contains(&progress.refusals), "the limit is learned, not run into: {}", progress.refusals);
}

#[test]
fn only_when_a_stop_is_certain_does_the_next_tier_start() {
    let mut run = Run::new(vec![task("a", &[])]);
    let first = run.order();
    run.start(first.attempt);
    run.pass(TIMEOUT);
    assert!(run.actions.is_empty(), "the grace of 3 s is not over");
    run.pass(Duration::from_secs(3));
    assert_eq!(run.actions.pop_front(), Some(Action::Stop(first.attempt)));
    run.pass(Duration::from_secs(14));
    assert!(run.actions.is_empty(), "nobody has confirmed the stop");
    run.end(first.attempt, Ending::Stopped { reason: "rpc".to_owned() });
    assert_eq!((first.model.as_deref(), run.order().model.as_deref()), (Some("p/low"), Some("p/middle")));
}

#[test]
fn an_answer_that_crosses_our_stop_is_kept() {
    let mut run = Run::new(vec![task("a", &[]), task("b", &["a"])]);
    let first = run.order();
    run.start(first.attempt);
    run.pass(TIMEOUT + Duration::from_secs(3));
    assert_eq!(run.actions.pop_front(), Some(Action::Stop(first.attempt)));
    run.reply(first.attempt, "{\"done\": true}");
    assert!(matches!(run.end_of(0), End::Completed { .. }));
    assert_eq!(&*run.order().task_id, "b");
}

#[test]
fn an_objection_stands_in_the_second_prompt_on_the_tier_and_not_on_the_next() {
    let mut run = Run::new(vec![task("a", &[])]);
    let orders: Vec<SpawnOrder> = (0..4)
        .map(|number| {
            let order = run.order();
            run.reply(order.attempt, &format!("answer {number} holds nothing"));
            order
        })
        .collect();
    let asked: Vec<(&str, bool)> = orders
        .iter()
        .map(|order| {
            (
                order.model.as_deref().unwrap_or_default(),
                order.prompt.text().contains("Your previous answer was not usable"),
            )
        })
        .collect();
    assert_eq!(asked, [("p/low", false), ("p/low", true), ("p/middle", false), ("p/middle", true)]);
    assert!(orders[1].prompt.text().contains("answer 0 holds nothing"), "{:?}", orders[1].prompt);
    assert!(orders[3].prompt.text().contains("the answer holds no JSON"), "{:?}", orders[3].prompt);
}

#[test]
fn an_objection_outlives_a_lost_connection() {
    let mut run = Run::new(vec![task("a", &[])]);
    let first = run.order();
    run.reply(first.attempt, "nothing usable");
    let second = run.order();
    run.end(second.attempt, Ending::Lost { reason: "the connection broke".to_owned() });
    run.pass(Duration::from_secs(1));
    let third = run.order();
    assert_eq!((third.model.as_deref(), &third.prompt), (Some("p/low"), &second.prompt));
}

#[test]
fn each_kind_of_failure_has_its_own_number_of_repeats_on_a_tier() {
    let cases = [
        ("interrupted by a gateway restart", vec!["p/low", "p/low", "p/low", "p/middle"]),
        ("HTTP 502", vec!["p/low", "p/low", "p/middle", "p/middle"]),
        ("HTTP 429", vec!["p/low", "p/middle", "p/high"]),
        ("the run timed out", vec!["p/low", "p/middle", "p/high"]),
        ("agent run aborted", vec!["p/low"]),
    ];
    for (message, models) in cases {
        let mut run = Run::new(vec![task("a", &[])]);
        for model in &models {
            run.pass(Duration::from_secs(30));
            let order = run.order();
            assert_eq!(order.model.as_deref(), Some(*model), "{message}: {models:?}");
            run.fail(order.attempt, message);
        }
        let more = models.len() == 4;
        assert_eq!(run.progress().done() == 0, more, "{message}");
    }
}

#[test]
fn a_task_spends_eight_attempts_at_most() {
    let mut run = Run::new(vec![task("a", &[])]);
    for _ in 0..8 {
        run.pass(Duration::from_secs(30));
        let order = run.order();
        run.end(order.attempt, Ending::Lost { reason: "the connection broke".to_owned() });
    }
    let End::Failed { reason, .. } = run.end_of(0) else { panic!("{:?}", run.end_of(0)) };
    assert_eq!(reason, "the connection broke (attempt 8, the last)");
}

#[test]
fn retry_delays_are_drawn_from_nothing_to_a_cap_that_doubles_from_one_second_to_thirty() {
    let mut longest = [Duration::ZERO; 7];
    for seed in 0..200 {
        let retry = RetryPolicy { transient_retries_max: 7, ..RetryPolicy::default() };
        let mut run = Run::with(vec![task("a", &[])], RunSettings { retry, ..RunSettings::default() }, seed);
        for longest in &mut longest {
            let order = run.order();
            run.end(order.attempt, Ending::Lost { reason: "the connection broke".to_owned() });
            let Some(Event::RetryPlanned { delay, .. }) = run.facts.last().map(|fact| &fact.event) else {
                panic!("{:?}", run.facts.last())
            };
            *longest = (*longest).max(*delay);
            run.pass(Duration::from_secs(30));
        }
    }
    for (longest, cap) in longest.into_iter().zip([1, 2, 4, 8, 16, 30, 30]) {
        let cap = Duration::from_secs(cap);
        assert!((cap.mul_f64(0.9)..=cap).contains(&longest), "{longest:?} of {cap:?}");
    }
}

#[test]
fn a_skipped_task_carries_the_reason_of_the_one_it_was_skipped_for() {
    let mut run = Run::new(vec![task("a", &[]), task("b", &["a"]), task("c", &["b"])]);
    let order = run.order();
    let (code, message) = ("TOO_LARGE".to_owned(), "payload too large".to_owned());
    run.end(order.attempt, Ending::Refused(Refusal { code, message, ..Refusal::default() }));
    for index in [1, 2] {
        let End::Skipped { reason, because_of } = run.end_of(index) else { panic!("{:?}", run.end_of(index)) };
        assert_eq!(&**because_of, "a");
        assert!(reason.starts_with("task `a` failed: payload too large; shorten"), "{reason}");
    }
    assert!(run.machine.is_finished());
}

#[test]
fn cancelling_stops_what_lives_and_cancelling_twice_waits_no_longer() {
    let tasks = (0..3).map(|index| task(&format!("t{index}"), &[])).collect();
    let settings = RunSettings { concurrency_max: 2, ..RunSettings::default() };
    let mut run = Run::with(tasks, settings, 7);
    let (working, ordered) = (run.order().attempt, run.order().attempt);
    run.start(working);
    run.cancel();
    assert_eq!(run.actions, [Action::Stop(working), Action::Stop(ordered)]);
    assert!(matches!(run.end_of(2), End::Cancelled { reason, .. } if reason == "enough"));
    run.end(working, Ending::Stopped { reason: "rpc".to_owned() });
    run.cancel();
    assert!(run.machine.is_finished());
    assert_eq!(run.progress().cancelled, 3);
    let unstopped = run.facts.iter().any(|fact| {
        matches!(&fact.event, Event::AttemptEnded { attempt, outcome: Outcome::Failed { reason, .. }, .. }
            if *attempt == ordered && reason.contains("could not be stopped"))
    });
    assert!(unstopped, "what may still be running is named");
    let left = run.facts.iter().filter(|fact| matches!(fact.event, Event::SessionLeft { .. })).count();
    assert_eq!(left, 1, "one session was accepted, and there was no time to delete it");
}

#[test]
fn a_task_has_timed_out_only_if_its_last_attempt_did() {
    for (last, timed_out) in [("the run timed out", true), ("HTTP 401", false)] {
        let mut run = Run::new(vec![task("a", &[])]);
        for message in ["the run timed out", "the run timed out", last] {
            let order = run.order();
            run.fail(order.attempt, message);
        }
        assert_eq!(matches!(run.end_of(0), End::Timeout { .. }), timed_out, "{:?}", run.end_of(0));
    }
}

#[test]
fn what_would_not_stop_gets_no_second_agent() {
    let mut run = Run::new(vec![task("a", &[])]);
    let order = run.order();
    run.start(order.attempt);
    run.pass(TIMEOUT + Duration::from_secs(3) + Duration::from_secs(15));
    assert_eq!(run.actions, [Action::Stop(order.attempt)]);
    let End::Failed { reason, .. } = run.end_of(0) else { panic!("{:?}", run.end_of(0)) };
    assert!(reason.contains("could not be stopped, so no further attempt was started"), "{reason}");
}

#[test]
fn the_runs_deadline_stops_what_works_and_ends_what_waits() {
    let settings = RunSettings { run_time_max: Duration::from_secs(30), concurrency_max: 1, ..RunSettings::default() };
    let mut run = Run::with(vec![task("a", &[]), task("b", &[])], settings, 7);
    let order = run.order();
    run.start(order.attempt);
    run.pass(Duration::from_secs(30));
    run.end(order.attempt, Ending::Stopped { reason: "rpc".to_owned() });
    assert!(matches!(run.end_of(0), End::Timeout { reason, .. } if reason == "the run's time of 30 s is up"));
    assert!(matches!(run.end_of(1), End::Cancelled { .. }));
    let stops = run.facts.iter().filter_map(|fact| match fact.event {
        Event::AttemptStopping { why, .. } => Some(why),
        _ => None,
    });
    assert_eq!(stops.collect::<Vec<_>>(), [StopReason::RunDeadline]);
}

#[test]
fn time_in_the_runtimes_queue_is_not_the_agents_time() {
    let mut run = Run::new(vec![task("a", &[])]);
    let order = run.order();
    run.accept(order.attempt);
    run.pass(Duration::from_secs(200));
    assert_eq!(run.actions, vec![Action::Look(order.attempt); 3], "asked about every 63 s, answered or not");
    run.tell(Report::Started { attempt: order.attempt, since: run.now });
    run.actions.clear();
    run.pass(TIMEOUT);
    assert!(run.actions.is_empty());
    run.reply(order.attempt, "{}");
    assert!(matches!(run.end_of(0), End::Completed { .. }));
}

#[test]
fn a_refusal_holds_the_next_start_back_and_a_full_round_without_one_tries_one_more() {
    let tasks = (0..10).map(|index| task(&format!("t{index}"), &[])).collect();
    let settings = RunSettings { concurrency_max: 4, ..RunSettings::default() };
    let mut run = Run::with(tasks, settings, 7);
    let attempts: Vec<AttemptRef> = (0..4).map(|_| run.order().attempt).collect();
    run.start(attempts[0]);
    run.start(attempts[1]);
    run.refuse(attempts[3]);
    run.refuse(attempts[2]);
    assert!(run.actions.is_empty(), "two run, and two are what it bears");
    run.reply(attempts[0], "{}");
    assert_eq!(run.actions.len(), 1, "one ended, one starts");
    run.reply(attempts[1], "{}");
    assert_eq!(run.actions.len(), 3, "two ended without a refusal: three at once are tried");
    assert_eq!(run.order().attempt.task_index, 2, "what was refused has kept its place");
}

#[test]
fn with_a_journal_nothing_is_ordered_before_its_facts_are_durable() {
    let settings = RunSettings { journaled: true, ..RunSettings::default() };
    let mut run = Run::with(vec![task("a", &[])], settings, 7);
    assert_eq!((run.facts.len(), run.actions.len()), (2, 0), "the run and the attempt are planned");
    run.machine.handle_persisted(1);
    run.poll();
    assert!(run.actions.is_empty());
    run.machine.handle_persisted(2);
    run.poll();
    assert_eq!(&*run.order().task_id, "a");
}

#[test]
fn an_order_that_nobody_saw_is_taken_back_by_a_cancel() {
    let settings = RunSettings { journaled: true, ..RunSettings::default() };
    let mut run = Run::with(vec![task("a", &[]), task("b", &["a"])], settings, 7);
    run.cancel();
    run.machine.handle_persisted(run.facts.len() as u64);
    run.poll();
    assert!(run.actions.is_empty() && run.machine.is_finished());
    assert_eq!((run.progress().cancelled, run.progress().cost_unknown), (2, 0));
}

#[test]
fn a_permanent_failure_ends_the_task_and_not_its_siblings() {
    let mut run = Run::new(vec![task("a", &[]), task("b", &[])]);
    let (first, second) = (run.order().attempt, run.order().attempt);
    let detail = Some("AUTH_TOKEN_MISMATCH".to_owned());
    run.end(first, Ending::Refused(Refusal { detail, message: "unauthorized".to_owned(), ..Refusal::default() }));
    run.reply(second, "{}");
    let kind = run.facts.iter().find_map(|fact| match &fact.event {
        Event::AttemptEnded { outcome: Outcome::Failed { kind, .. }, .. } => Some(*kind),
        _ => None,
    });
    assert_eq!(kind, Some(FailureKind::Permanent));
    assert!(matches!(run.end_of(0), End::Failed { reason, .. } if reason.contains("OPENCLAW_GATEWAY_TOKEN")));
    assert!(matches!(run.end_of(1), End::Completed { .. }));
}

#[test]
fn a_burst_of_thousands_is_started_as_fast_as_starts_are_answered() {
    let tasks = (0..1_000).map(|index| task(&format!("t{index}"), &[])).collect();
    let mut run = Run::with(tasks, RunSettings { concurrency_max: 1_000, ..RunSettings::default() }, 7);
    assert_eq!(run.actions.len(), 256, "all of these are under way at once");
    let first: Vec<Action> = run.actions.drain(..).collect();
    for action in &first {
        let Action::Spawn(order) = action else { panic!("{action:?}") };
        run.accept(order.attempt);
    }
    assert_eq!(run.actions.len(), 256, "each answer makes room for one more");
}

#[test]
fn a_pause_that_the_gateway_asks_for_is_kept_whichever_model_comes_next() {
    let mut run = Run::new(vec![task("a", &[])]);
    let pause = Duration::from_secs(90);
    let nearly = Duration::from_millis(89_999);
    for tier in ["p/low", "p/low", "p/low", "p/middle"] {
        let order = run.order();
        assert_eq!(order.model.as_deref(), Some(tier));
        let (code, message) = ("UNAVAILABLE".to_owned(), "shutting down".to_owned());
        let refusal = Refusal { code, message, retry_after: Some(pause), ..Refusal::default() };
        run.end(order.attempt, Ending::Refused(refusal));
        run.pass(nearly);
        assert!(run.actions.is_empty(), "not before the pause is over");
        run.pass(Duration::from_millis(1));
    }
}
