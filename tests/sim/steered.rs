//! Runs by hand that a strategy steers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use parallel_agents::core::action::{Action, AttemptRef};
use parallel_agents::core::budget::Budget;
use parallel_agents::core::fact::{End, Event, Fact, Status, StopReason};
use parallel_agents::core::failure::{Ending, Refusal};
use parallel_agents::core::output::STUCK_JSON;
use parallel_agents::core::plan::{Plan, Task};
use parallel_agents::core::run::{Reopening, RunMachine};
use parallel_agents::core::settings::{Cleanup, RunSettings};
use parallel_agents::core::strategy::{Ask, KeptBack, Next, Strategy, Word};
use serde_json::{Value, json};

use super::scenarios::{BEGIN, Run, TIMEOUT, task};

/// Says what its book says to what it hears, and writes that down.
#[derive(Debug)]
struct Scripted {
    heard: Arc<Mutex<Vec<String>>>,
    says: fn(&str) -> Next,
}

impl Scripted {
    fn hear(&mut self, what: String) -> Next {
        let next = (self.says)(&what);
        self.heard.lock().expect("the list").push(what);
        next
    }
}

impl Strategy for Scripted {
    fn ended(&mut self, task: &Task, end: &End) -> Next {
        self.hear(format!("{} {}", task.id, end.status().name()))
    }

    fn told(&mut self, word: &Word) -> Next {
        self.hear(match word {
            Word::Approval { approved, .. } => format!("approved: {approved}"),
            Word::Budget { complaint } => format!("borne: {}", complaint.is_none()),
            Word::Mark { task, mark } => format!("{task} is worth {mark}"),
        })
    }

    fn waits(&self) -> bool {
        self.heard.lock().expect("the list").iter().any(|heard| heard.starts_with("mark "))
    }

    fn grows(&self) -> bool {
        true
    }

    fn outcome(&self, kept_back: &KeptBack) -> Option<Value> {
        let kept: Vec<String> = kept_back.iter().map(|(id, end)| format!("{id} {}", end.status().name())).collect();
        Some(json!(kept))
    }
}

/// A run, and what its strategy has heard.
struct Steered {
    run: Run,
    heard: Arc<Mutex<Vec<String>>>,
    says: fn(&str) -> Next,
    tasks: Vec<Task>,
    settings: RunSettings,
    /// The facts of its earlier lives.
    past: Vec<Fact>,
}

fn settings() -> RunSettings {
    RunSettings { cleanup: Cleanup::Keep, ..RunSettings::default() }
}

impl Steered {
    fn new(tasks: Vec<Task>, settings: RunSettings, says: fn(&str) -> Next) -> Self {
        let heard = Arc::default();
        let strategy = Box::new(Scripted { heard: Arc::clone(&heard), says });
        let plan = Plan::new(tasks.clone()).expect("a plan");
        let machine = RunMachine::steered(plan, settings.clone(), Some(strategy), 7, BEGIN);
        Self { run: Run::of(machine, BEGIN), heard, says, tasks, settings, past: Vec::new() }
    }

    /// Another machine goes on after so many facts.
    fn reborn(&self, facts: usize, reopening: &[Reopening], stop: Option<&str>) -> Self {
        let past: Vec<Fact> = self.past.iter().chain(&self.run.facts).take(facts).cloned().collect();
        let mut plan = Plan::new(self.tasks.clone()).expect("a plan");
        for fact in &past {
            if let Event::TasksAdded { first, tasks } = &fact.event {
                plan.grow(*first, tasks);
            }
        }
        let heard = Arc::default();
        let strategy = Box::new(Scripted { heard: Arc::clone(&heard), says: self.says });
        let (settings, how, now) = (self.settings.clone(), (reopening, stop), self.run.now);
        let machine = RunMachine::restore_steered(plan, settings, Some(strategy), past.clone(), how, 7, now);
        let (says, tasks, settings) = (self.says, self.tasks.clone(), self.settings.clone());
        Self { run: Run::of(machine, now), heard, says, tasks, settings, past }
    }

    /// How many facts there are, up to the first such one and with it.
    fn through(&self, is_it: impl Fn(&Event) -> bool) -> usize {
        let mut facts = self.past.iter().chain(&self.run.facts);
        1 + facts.position(|fact| is_it(&fact.event)).expect("such a fact")
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("the list").clone()
    }

    fn say(&mut self, word: &Word) {
        self.run.machine.handle_word(word, self.run.now);
        self.run.poll();
    }

    fn approve(&mut self, approved: bool) {
        self.say(&Word::Approval { approved, reason: "".into() });
    }

    fn attempts(&mut self, count: usize) -> Vec<AttemptRef> {
        (0..count).map(|_| self.run.order().attempt).collect()
    }

    fn outcome(&self) -> &Value {
        let mut facts = self.run.facts.iter().rev();
        assert!(matches!(facts.next().map(|fact| &fact.event), Some(Event::RunEnded)), "{:?}", self.run.facts.last());
        match facts.next().map(|fact| &fact.event) {
            Some(Event::OutcomeReached { outcome }) => outcome,
            other => panic!("just before the end stands {other:?}"),
        }
    }
}

fn add(tasks: &[(&str, &[&str])]) -> Next {
    Next { add: tasks.iter().map(|(id, dependencies)| task(id, dependencies)).collect(), ..Next::default() }
}

fn enough() -> Next {
    Next { enough: Some("one is enough".to_owned()), ..Next::default() }
}

fn ask_approval() -> Next {
    Next { ask: Some(Ask::Approval(Arc::new(json!("this?")))), ..Next::default() }
}

fn ask_budget() -> Next {
    Next { ask: Some(Ask::Budget([task("dear", &[])].into())), ..Next::default() }
}

fn ended(index: usize) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::TaskEnded { task_index, .. } if *task_index == index)
}

fn too_large() -> Ending {
    let (code, message) = ("TOO_LARGE".to_owned(), "payload too large".to_owned());
    Ending::Refused(Refusal { code, message, ..Refusal::default() })
}

fn stopped() -> Ending {
    Ending::Stopped { reason: "rpc".to_owned() }
}

#[test]
fn what_is_added_builds_on_what_has_ended_and_on_what_has_not() {
    let says = |heard: &str| match heard {
        "a completed" => add(&[("c", &["a"]), ("d", &["b", "c"])]),
        _ => Next::default(),
    };
    let mut run = Steered::new(vec![task("a", &[]), task("b", &[])], settings(), says);
    let attempts = run.attempts(2);
    run.run.reply(attempts[0], "{\"of\": \"a\"}");
    let order = run.run.order();
    assert!(&*order.task_id == "c" && order.prompt.text().contains("\"of\""), "{:?}", order.prompt);
    run.run.reply(order.attempt, "{\"of\": \"c\"}");
    assert!(run.run.actions.is_empty(), "it waits for `b`");
    run.run.reply(attempts[1], "{\"of\": \"b\"}");
    let last = run.attempts(1)[0];
    run.run.reply(last, "{}");
    assert_eq!(run.heard(), ["a completed", "c completed", "b completed", "d completed"]);
    assert_eq!(run.outcome(), &json!([]));
}

#[test]
fn what_is_added_to_what_failed_is_skipped_like_what_was_there() {
    let says = |heard: &str| match heard {
        "a failed" => add(&[("c", &["b"]), ("d", &["a"])]),
        _ => Next::default(),
    };
    let mut run = Steered::new(vec![task("a", &[]), task("b", &["a"])], settings(), says);
    let attempt = run.attempts(1)[0];
    run.run.end(attempt, too_large());
    for index in 1..4 {
        let End::Skipped { reason, because_of } = run.run.end_of(index) else { panic!("{:?}", run.run.end_of(index)) };
        assert!(&**because_of == "a" && reason.starts_with("task `a` failed: "), "{index}: {reason}");
    }
    assert_eq!(run.outcome(), &json!(["b skipped", "c skipped", "d skipped"]));
}

#[test]
fn an_approval_is_awaited_whatever_else_is_heard_meanwhile() {
    let says = |heard: &str| match heard {
        "a completed" => ask_approval(),
        "b completed" => ask_budget(),
        "approved: true" => add(&[("c", &[])]),
        _ => Next::default(),
    };
    let mut run = Steered::new(vec![task("a", &[]), task("b", &[])], settings(), says);
    for attempt in run.attempts(2) {
        run.run.reply(attempt, "{}");
    }
    assert_eq!(run.heard(), ["a completed", "b completed", "borne: true"]);
    run = run.reborn(usize::MAX, &[], None);
    assert_eq!(run.heard(), ["a completed", "b completed", "borne: true"]);
    run.run.pass(TIMEOUT * 10);
    assert!(!run.run.machine.is_finished(), "it waits for a person");
    run.approve(true);
    assert_eq!(&*run.run.order().task_id, "c");
    run.approve(true);
    assert_eq!(run.heard().len(), 4, "nothing is asked any more");
}

#[test]
fn who_refuses_or_cancels_or_takes_too_long_ends_the_wait() {
    let says = |heard: &str| if heard == "a completed" { ask_approval() } else { Next::default() };
    for how in 0..4 {
        let mut run = Steered::new(vec![task("a", &[])], RunSettings { journaled: how == 3, ..settings() }, says);
        run.run.machine.handle_persisted(u64::MAX);
        run.run.poll();
        let attempt = run.attempts(1)[0];
        run.run.reply(attempt, "{}");
        assert!(!run.run.machine.is_finished(), "it waits for a person");
        match how {
            0 => run.approve(false),
            1 => run.run.cancel(),
            2 => run.run.pass(run.settings.run_time_max),
            _ => {
                run.run.machine.handle_journal_lost("the disk is full", run.run.now);
                run.run.poll();
            }
        }
        assert!(run.run.machine.is_finished(), "{how}");
    }
}

#[test]
fn after_enough_no_agent_is_started_again() {
    let says = |heard: &str| if heard == "a completed" { enough() } else { Next::default() };
    let tasks = ["a", "b", "c", "d"].map(|id| task(id, &[])).to_vec();
    let mut run = Steered::new(tasks, settings(), says);
    let attempts = run.attempts(4);
    run.run.start(attempts[1]);
    run.run.pass(TIMEOUT + Duration::from_secs(3));
    assert!(run.run.actions.contains(&Action::Stop(attempts[1])), "its time is up");
    run.run.actions.clear();
    run.run.reply(attempts[0], "{}");
    assert_eq!(run.run.actions, [Action::Stop(attempts[2]), Action::Stop(attempts[3])]);
    run.run.end(attempts[1], stopped());
    run.run.refuse(attempts[2]);
    run.run.end(attempts[3], Ending::Lost { reason: "the connection broke".to_owned() });
    assert!(run.run.machine.is_finished(), "{:?}", run.run.actions);
    for index in 1..4 {
        let End::Cancelled { reason, .. } = run.run.end_of(index) else { panic!("{:?}", run.run.end_of(index)) };
        assert_eq!(reason, "one is enough");
    }
    assert_eq!(run.outcome(), &json!(["b cancelled", "c cancelled", "d cancelled"]));
}

#[test]
fn after_enough_an_answer_that_crosses_its_stop_is_kept_and_told_and_nothing_follows_it() {
    let says = |heard: &str| match heard {
        "a completed" => enough(),
        _ => Next { ask: Some(Ask::Approval(Arc::default())), ..add(&[("c", &[])]) },
    };
    let mut run = Steered::new(vec![task("a", &[]), task("b", &[])], settings(), says);
    for attempt in run.attempts(2) {
        run.run.reply(attempt, "{}");
    }
    assert_eq!(run.heard(), ["a completed", "b completed"]);
    assert!(matches!(run.run.end_of(1), End::Completed { .. }));
    assert!(run.run.machine.is_finished() && run.run.machine.plan().tasks().len() == 2);
}

#[test]
fn what_is_no_longer_needed_is_cancelled_whichever_task_comes_first() {
    let says = |heard: &str| if heard == "a completed" { enough() } else { Next::default() };
    // One of these is waited for, in either order.
    let tasks = vec![task("a", &[]), task("b", &["c"]), task("c", &[]), task("d", &["c"])];
    let mut run = Steered::new(tasks, RunSettings { concurrency_max: 1, ..settings() }, says);
    let attempt = run.attempts(1)[0];
    run.run.reply(attempt, "{}");
    for index in 1..4 {
        assert_eq!(run.run.end_of(index).status(), Status::Cancelled, "{index}");
    }
}

/// Two tasks whose time is up at one and the same moment.
fn two_at_once(says: fn(&str) -> Next) -> Steered {
    let late = |id| Task { deadline: Some(Duration::from_secs(5)), ..task(id, &[]) };
    let mut run = Steered::new(vec![late("a"), late("b"), task("c", &[])], settings(), says);
    for attempt in run.attempts(3) {
        run.run.end(attempt, Ending::Lost { reason: "the connection broke".to_owned() });
    }
    run.run.actions.clear();
    run.run.now = run.run.now + Duration::from_secs(5);
    run.run.machine.handle_time(run.run.now);
    run.run.poll();
    run
}

#[test]
fn a_machine_made_of_facts_tells_its_strategy_the_same_in_the_same_order() {
    let asks = |heard: &str| if heard == "a timeout" { ask_budget() } else { Next::default() };
    let stops = |heard: &str| if heard == "a timeout" { enough() } else { Next::default() };
    let both: &[&str] = &["a timeout", "b timeout", "borne: true"];
    for (says, expected) in [(asks as fn(&str) -> Next, both), (stops, &both[..1])] {
        let lived_on = two_at_once(says);
        assert_eq!(lived_on.heard(), expected);
        for facts in lived_on.through(ended(1))..lived_on.run.facts.len() {
            assert_eq!(lived_on.reborn(facts, &[], None).heard(), expected, "after {facts} facts");
        }
    }
}

#[test]
fn an_end_that_comes_with_the_runs_last_moment_starts_nothing() {
    let says = |_: &str| add(&[("b", &[])]);
    let late = Task { deadline: Some(Duration::from_secs(4)), ..task("a", &[]) };
    let settings = RunSettings { run_time_max: Duration::from_secs(5), ..settings() };
    let mut run = Steered::new(vec![late], settings, says);
    let attempt = run.attempts(1)[0];
    run.run.end(attempt, Ending::Lost { reason: "the connection broke".to_owned() });
    run.run.actions.clear();
    run.run.now = BEGIN + Duration::from_secs(5);
    run.run.machine.handle_time(run.run.now);
    run.run.poll();
    assert!(run.run.machine.is_finished() && run.run.actions.is_empty(), "{:?}", run.run.actions);
}

#[test]
fn a_machine_that_goes_on_after_enough_takes_agents_up_before_it_stops_them() {
    let says = |heard: &str| if heard == "a completed" { enough() } else { Next::default() };
    let mut run = Steered::new(["a", "b", "c"].map(|id| task(id, &[])).to_vec(), settings(), says);
    let attempts = run.attempts(3);
    run.run.accept(attempts[1]);
    run.run.end(attempts[2], Ending::Lost { reason: "the connection broke".to_owned() });
    run.run.reply(attempts[0], "{}");
    // What followed the end of `c` was not recorded, nor was what is no longer needed.
    let is_end = |event: &Event| matches!(event, Event::AttemptEnded { attempt, .. } if *attempt == attempts[2]);
    let last = run.through(ended(0));
    let retried = run.through(is_end);
    run.run.facts.remove(retried);
    let run = run.reborn(last - 1, &[], None);
    let kinds: Vec<String> = run.run.actions.iter().map(|action| format!("{action:?}")).collect();
    assert!(kinds.len() == 2 && kinds[0].starts_with("Adopt") && kinds[1].starts_with("Stop"), "{kinds:?}");
    let stops = run.run.facts.iter().filter_map(|fact| match fact.event {
        Event::AttemptStopping { attempt, why } => Some((attempt, why)),
        _ => None,
    });
    assert_eq!(stops.collect::<Vec<_>>(), [(attempts[1], StopReason::Unneeded)]);
    assert_eq!(run.run.end_of(2).status(), Status::Cancelled);
}

#[test]
fn a_run_that_is_taken_up_only_to_be_ended_grows_no_more() {
    let says = |heard: &str| if heard == "a completed" { add(&[("b", &[])]) } else { Next::default() };
    let mut run = Steered::new(vec![task("a", &[])], settings(), says);
    let attempt = run.attempts(1)[0];
    run.run.reply(attempt, "{}");
    for facts in [run.through(|event| matches!(event, Event::AttemptEnded { .. })), run.through(ended(0))] {
        let ended = run.reborn(facts, &[], Some("enough of this"));
        assert!(ended.run.machine.is_finished() && ended.run.actions.is_empty(), "{:?}", ended.run.actions);
        let early = ended.run.facts.iter().any(|fact| matches!(fact.event, Event::Cancelled { .. }));
        assert!(early, "there was more to do");
        let again = ended.reborn(usize::MAX, &[], None);
        assert!(again.run.machine.is_finished(), "it stays so");
    }
}

#[test]
fn what_a_budget_kept_back_once_is_told_when_it_ends_for_good() {
    let nothing = |_: &str| Next::default();
    let budget = Budget { attempts: Some(1), ..Budget::default() };
    let mut run = Steered::new(vec![task("a", &[]), task("b", &[])], RunSettings { budget, ..settings() }, nothing);
    let attempt = run.attempts(1)[0];
    run.run.reply(attempt, "{}");
    assert_eq!((run.heard().len(), run.outcome()), (1, &json!(["b cancelled"])));
    // It dies before the end of what is kept back is recorded, and goes on with a larger budget.
    run.settings.budget = Budget::default();
    let mut second = run.reborn(run.through(|event| matches!(event, Event::BudgetReached { .. })), &[], None);
    let attempt = second.attempts(1)[0];
    second.run.end(attempt, too_large());
    assert_eq!(second.heard(), ["a completed", "b failed"]);
    assert_eq!(second.reborn(usize::MAX, &[], None).heard(), second.heard());
}

#[test]
fn who_opens_tasks_of_a_cancelled_run_wants_it_to_go_on_for_all_its_lives() {
    let says = |heard: &str| if heard == "a completed" { add(&[("c", &["a"])]) } else { Next::default() };
    let asking = Task { contract: STUCK_JSON.into(), ..task("a", &[]) };
    let mut run = Steered::new(vec![asking, task("b", &[])], settings(), says);
    let attempts = run.attempts(2);
    run.run.reply(attempts[0], "STUCK: which one?");
    run.run.cancel();
    let answer = [Reopening { task_index: 0, answer: Some("that one".into()) }];
    // The run dies before its agents are stopped, is opened again, and dies once more.
    let second = run.reborn(usize::MAX, &answer, None);
    let mut third = second.reborn(usize::MAX, &[], None);
    third.run.reply(AttemptRef { task_index: 0, start_no: 2 }, "{}");
    assert_eq!(third.heard(), ["a completed"]);
    let is_added = |fact: &Fact| matches!(fact.event, Event::TasksAdded { .. });
    assert!(third.run.facts.iter().any(is_added), "it grows");
}

#[test]
fn a_mark_is_heard_by_who_waits_for_it() {
    let mut run = Steered::new(vec![task("a", &[])], settings(), |_| Next::default());
    let mark = Word::Mark { task: "a".into(), mark: json!(7) };
    run.say(&mark);
    assert!(run.heard().is_empty(), "it waits for none");
    run.heard.lock().expect("the list").push("mark me".to_owned());
    run.say(&mark);
    assert_eq!(run.heard()[1..], ["a is worth 7"]);
}
