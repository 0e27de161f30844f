//! The protocol against a small world of callables, whose clock is turned by hand.

use std::collections::BTreeMap;

use super::*;
use crate::core::prompt::Prompt;

mod activity;
mod adoption;
mod reading;

const BEGIN: Time = Time::from_millis(1_000_000);
const TIMEOUT: Duration = Duration::from_secs(10);
const ALL: Abilities = Abilities { label: true, stop: true, delete: true };
const NONE: Abilities = Abilities { label: false, stop: false, delete: false };

fn attempt(task_index: usize) -> AttemptRef {
    AttemptRef { task_index, start_no: 1 }
}

fn spawn_order(index: usize) -> SpawnOrder {
    SpawnOrder {
        attempt: attempt(index),
        key: format!("{index:08x}-0000-4000-8000-000000000000").into(),
        task_id: format!("task {index}").into(),
        agent_type: "plain".into(),
        model: Some("p/m".into()),
        prompt: Prompt::plain("do it"),
        timeout: TIMEOUT,
    }
}

/// A session of the world: its row and what it answers.
#[derive(Debug, Clone, Default)]
struct Child {
    label: String,
    status: Option<&'static str>,
    text: &'static str,
    is_listed: bool,
    is_aborted: bool,
    is_midway: bool,
    updated: u64,
}

/// Callables that do what they are told, and a clock.
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own that a test switches")]
struct World {
    tools: ToolRuntime,
    now: Time,
    children: BTreeMap<String, Child>,
    calls: Vec<&'static str>,
    reports: Vec<Report>,
    /// What the next starts answer instead of what they do.
    answers: VecDeque<SpawnAnswer>,
    /// Whether such a start happens all the same.
    starts_anyway: bool,
    list_fails: bool,
    history_failures: usize,
    text_of_new: &'static str,
    ends_badly: bool,
    serve_spawns_only: bool,
    is_whole: bool,
    hold_history: bool,
    hold_lists: bool,
    held: Option<Call>,
}

impl World {
    fn new(abilities: Abilities) -> Self {
        Self {
            tools: ToolRuntime::new(abilities),
            now: BEGIN,
            children: BTreeMap::new(),
            calls: Vec::new(),
            reports: Vec::new(),
            answers: VecDeque::new(),
            starts_anyway: false,
            list_fails: false,
            history_failures: 0,
            text_of_new: "",
            ends_badly: false,
            serve_spawns_only: false,
            is_whole: true,
            hold_history: false,
            hold_lists: false,
            held: None,
        }
    }

    fn order(&mut self, count: usize) {
        for index in 0..count {
            self.tools.begin(Action::Spawn(spawn_order(index)), self.now);
        }
    }

    /// Makes every call that is due.
    fn serve(&mut self) {
        while !(self.serve_spawns_only && self.tools.orders.is_empty())
            && let Some(call) = self.tools.next_call(self.now)
        {
            if self.hold_history && matches!(call, Call::History { .. })
                || self.hold_lists && matches!(call, Call::List { .. })
            {
                self.held = Some(call);
            } else {
                self.make(call);
            }
        }
        while let Some(report) = self.tools.next_report() {
            self.reports.push(report);
        }
    }

    /// Lets time pass, serving whenever a call is due.
    fn pass(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        self.serve();
        while let Some(due) = self.tools.next_time(self.now).filter(|due| *due < end) {
            self.now = due.max(self.now + Duration::from_millis(1));
            self.serve();
        }
        self.now = end;
        self.serve();
    }

    fn make(&mut self, call: Call) {
        match call {
            Call::Spawn { order, label } => {
                self.calls.push("spawn");
                let key = format!("child:{}", order.attempt.task_index);
                let answer = self.answers.pop_front();
                if answer.is_none() || self.starts_anyway {
                    let status = Some(if self.text_of_new.is_empty() { "running" } else { "done" });
                    self.add_child(&key, &label, Child { status, text: self.text_of_new, ..Child::default() });
                }
                let session = Session { key: key.as_str().into(), run_id: key.as_str().into() };
                let answer = answer.unwrap_or(SpawnAnswer::Accepted { session, model: None });
                self.tools.spawned(order.attempt, answer, self.now);
            }
            Call::List { offset, limit } => {
                self.calls.push("list");
                if self.list_fails {
                    return self.tools.look_failed("OSError: away", self.now);
                }
                let offset = usize::try_from(offset.unwrap_or(0)).expect("small");
                let listed: Vec<(String, Child)> =
                    self.children.clone().into_iter().filter(|(_, child)| child.is_listed).collect();
                let page = listed.iter().skip(offset).take(limit);
                for (key, child) in page {
                    let (status, label, updated) = (child.status, Some(child.label.as_str()), Some(child.updated));
                    let row = Row { key, status, label, updated, tokens: Some(7), ..Row::default() };
                    self.tools.row(&row, self.now);
                }
                let next = (offset + limit < listed.len()).then(|| (offset + limit) as u64);
                self.tools.page(next, self.is_whole, Duration::ZERO, self.now);
            }
            Call::History { attempt, key } => {
                self.calls.push("history");
                let failed = self.history_failures > 0;
                self.history_failures = self.history_failures.saturating_sub(1);
                let Child { text, is_aborted, is_midway, .. } = self.children.get(&*key).cloned().unwrap_or_default();
                let text = text.to_owned();
                let failure = self.ends_badly.then(|| text.clone());
                let reply = Reply { text, failure, is_aborted, is_midway, ..Reply::default() };
                let answer = if failed { Err("OSError: away".to_owned()) } else { Ok(reply) };
                self.tools.replied(attempt, answer, self.now);
            }
            Call::Children => {
                self.calls.push("children");
                let children = self.children.iter().map(|(key, child)| super::Child {
                    label: child.label.as_str().into(),
                    task_id: key.as_str().into(),
                });
                self.tools.children(Ok(children.collect()), self.now);
            }
            Call::Cancel { attempt, task_id } => {
                self.calls.push("cancel");
                self.child(&task_id).status = Some("killed");
                self.tools.cancelled(attempt, Ok(()), self.now);
            }
            Call::Delete { attempt, .. } => {
                self.calls.push("delete");
                self.tools.deleted(attempt, Ok(()));
            }
        }
    }

    /// One that is listed.
    fn add_child(&mut self, key: &str, label: &str, mut child: Child) {
        child.label = label.to_owned();
        child.is_listed = true;
        self.children.insert(key.to_owned(), child);
    }

    fn child(&mut self, key: &str) -> &mut Child {
        self.children.get_mut(key).expect("a child of that key")
    }

    fn count(&self, call: &str) -> usize {
        self.calls.iter().filter(|made| **made == call).count()
    }

    /// How each attempt ended, in the order of the reports.
    fn endings(&self) -> Vec<(usize, Ending)> {
        let ending = |report: &Report| match report {
            Report::Ended { attempt, ending, .. } => Some((attempt.task_index, ending.clone())),
            _ => None,
        };
        self.reports.iter().filter_map(ending).collect()
    }
}

#[test]
fn many_agents_are_started_seen_and_read_with_one_look() {
    let mut world = World::new(ALL);
    world.text_of_new = "done it";
    world.order(150);
    world.serve();
    assert_eq!((world.count("spawn"), world.count("list"), world.count("history")), (150, 1, 150));
    let endings = world.endings();
    assert_eq!(endings.len(), 150);
    assert!(endings.iter().all(|(_, ending)| *ending == Ending::Replied("done it".to_owned())));
    assert_eq!(world.tools.next_time(world.now), None, "nothing is left to wait for");
}

#[test]
fn further_pages_are_read_until_every_agent_was_seen() {
    let mut world = World::new(ALL);
    for foreign in 0..450 {
        world.children.insert(format!("a foreign one {foreign:03}"), Child { is_listed: true, ..Child::default() });
    }
    world.text_of_new = "done it";
    world.order(1);
    world.serve();
    assert_eq!(world.endings().len(), 1);
    assert_eq!(world.count("list"), 4, "a short page, and then whole ones");
}

#[test]
fn an_agent_that_works_is_reported_once() {
    let mut world = World::new(ALL);
    world.order(1);
    world.pass(300);
    assert!(!world.reports.iter().any(|report| matches!(report, Report::Started { .. })), "it may yet be queued");
    world.pass(1_000);
    let started = world.reports.iter().filter(|report| matches!(report, Report::Started { .. })).count();
    assert_eq!(started, 1);
    assert!(world.count("list") > 3 && world.count("history") == 0);
}

#[test]
fn a_start_whose_answer_was_lost_is_found_by_its_label() {
    for answer in [
        SpawnAnswer::Interrupted,
        SpawnAnswer::Raised("TimeoutError".to_owned()),
        SpawnAnswer::Unreadable("`None`".to_owned()),
    ] {
        let mut world = World::new(ALL);
        world.answers.push_back(answer);
        world.starts_anyway = true;
        world.text_of_new = "done it";
        world.order(1);
        world.pass(100);
        assert_eq!(world.endings(), [(0, Ending::Replied("done it".to_owned()))]);
        assert_eq!(world.count("spawn"), 1);
    }
}

#[test]
fn a_start_that_left_no_trace_ends_as_its_answer_says() {
    let mut world = World::new(ALL);
    world.answers.push_back(SpawnAnswer::Raised("ValueError: no".to_owned()));
    world.order(1);
    world.pass(3_000);
    assert_eq!(world.endings(), [], "a busy gateway may take it yet");
    world.pass(3_000);
    let message = "`sessions_spawn` raised ValueError: no".to_owned();
    assert_eq!(world.endings(), [(0, Ending::Failed { message })]);
}

#[test]
fn a_child_that_appears_late_is_found_by_its_label_all_the_same() {
    let mut world = World::new(ALL);
    world.answers.push_back(SpawnAnswer::Raised("TimeoutError".to_owned()));
    world.starts_anyway = true;
    world.text_of_new = "done it";
    world.order(1);
    world.serve_spawns_only = true;
    world.serve();
    world.child("child:0").is_listed = false;
    world.serve_spawns_only = false;
    world.pass(3_000);
    world.child("child:0").is_listed = true;
    world.pass(3_000);
    assert_eq!(world.endings(), [(0, Ending::Replied("done it".to_owned()))]);
    assert_eq!(world.count("spawn"), 1);
}

#[test]
fn tokens_without_a_status_are_no_end_until_there_is_an_answer() {
    let mut world = World::new(ALL);
    world.order(1);
    world.pass(100);
    world.child("child:0").status = None;
    world.tools.tells_status = Some(false);
    world.pass(5_000);
    assert_eq!(world.endings(), [], "between two turns");
    assert!(world.count("history") < 10, "{} readings", world.count("history"));
    world.child("child:0").text = "done it";
    world.pass(8_000);
    assert_eq!(world.endings(), [(0, Ending::Replied("done it".to_owned()))]);
}

#[test]
fn one_that_a_list_of_unknown_length_does_not_show_is_not_lost() {
    let mut world = World::new(ALL);
    world.is_whole = false;
    world.order(1);
    world.pass(100);
    world.child("child:0").is_listed = false;
    world.pass(5_000);
    assert_eq!(world.endings(), []);
    world.child("child:0").text = "done it";
    world.pass(8_000);
    assert_eq!(world.endings(), [(0, Ending::Replied("done it".to_owned()))]);
}

#[test]
fn a_stop_during_a_doubtful_reading_is_not_forgotten() {
    let mut world = World::new(ALL);
    world.order(1);
    world.pass(100);
    world.child("child:0").status = Some("timeout");
    world.hold_history = true;
    world.pass(200);
    world.tools.begin(Action::Stop(attempt(0)), world.now);
    world.hold_history = false;
    let held = world.held.take().expect("a reading under way");
    world.make(held);
    world.pass(100);
    assert_eq!(world.count("cancel"), 1);
}

#[test]
fn two_agents_never_share_a_session() {
    let mut world = World::new(ALL);
    let session = Session { key: "child:0".into(), run_id: "r".into() };
    for _ in 0..2 {
        world.answers.push_back(SpawnAnswer::Accepted { session: session.clone(), model: None });
    }
    world.order(2);
    world.serve_spawns_only = true;
    world.serve();
    let endings = world.endings();
    assert!(matches!(endings.as_slice(), [(1, Ending::Refused(_))]), "{endings:?}");
}

#[test]
fn without_labels_a_start_that_raised_is_not_looked_for() {
    let mut world = World::new(NONE);
    world.answers.push_back(SpawnAnswer::Raised("ValueError: no".to_owned()));
    world.order(1);
    world.pass(1_000);
    assert_eq!((world.endings().len(), world.count("list")), (1, 0));
}

#[test]
fn a_timeout_is_believed_only_when_it_lasts() {
    let mut world = World::new(ALL);
    world.order(2);
    world.pass(100);
    for key in ["child:0", "child:1"] {
        world.child(key).status = Some("timeout");
    }
    world.pass(1_000);
    assert_eq!(world.endings(), [], "its own time is not over");
    world.child("child:0").text = "late";
    world.pass(3_000);
    assert_eq!(world.endings(), [(0, Ending::Replied("late".to_owned()))]);
    assert_eq!(world.count("cancel"), 0);
    world.pass(12_000);
    assert_eq!(world.endings()[1], (1, Ending::TimedOut));
    assert_eq!(world.count("cancel"), 1, "it might have been alive");
}

#[test]
fn what_ended_badly_is_no_answer_whatever_its_row_says() {
    for status in ["done", "timeout", "failed"] {
        let mut world = World::new(ALL);
        world.order(1);
        world.pass(100);
        world.child("child:0").status = Some(status);
        world.child("child:0").text = "LLM request failed (HTTP 400)";
        world.ends_badly = true;
        world.pass(1_000);
        let message = "the agent failed: LLM request failed (HTTP 400)".to_owned();
        assert_eq!(world.endings(), [(0, Ending::Failed { message })], "{status}");
    }
}

#[test]
fn a_session_that_vanished_is_read_once_more_and_then_lost() {
    let mut world = World::new(ALL);
    world.order(2);
    world.pass(100);
    world.child("child:0").is_listed = false;
    world.child("child:1").is_listed = false;
    world.child("child:1").text = "done it";
    world.pass(1_000);
    let endings = world.endings();
    assert!(matches!(&endings[0], (0, Ending::Lost { .. })), "{endings:?}");
    assert_eq!(endings[1], (1, Ending::Replied("done it".to_owned())));
}

#[test]
fn one_that_was_never_listed_is_waited_for_until_its_time_is_up() {
    let mut world = World::new(ALL);
    world.order(1);
    world.serve();
    world.child("child:0").is_listed = false;
    let mut world = World { reports: Vec::new(), ..world };
    world.tools.agents.values_mut().for_each(|agent| agent.seen_in = 0);
    world.pass(9_000);
    assert_eq!(world.endings(), []);
    world.pass(3_000);
    assert_eq!(world.endings(), [(0, Ending::TimedOut)]);
}

#[test]
fn a_stop_goes_through_the_list_of_children_and_is_seen_by_a_look() {
    let mut world = World::new(ALL);
    world.order(3);
    world.pass(50);
    world.tools.begin(Action::Stop(attempt(1)), world.now);
    world.pass(100);
    assert_eq!(world.endings(), [(1, Ending::Stopped { reason: "killed".to_owned() })]);
    assert_eq!((world.count("children"), world.count("cancel")), (1, 1));
}

#[test]
fn many_stops_ask_once_for_the_children() {
    let mut world = World::new(ALL);
    world.order(20);
    world.pass(50);
    for index in 0..20 {
        world.tools.begin(Action::Stop(attempt(index)), world.now);
    }
    world.pass(100);
    assert_eq!((world.endings().len(), world.count("children")), (20, 1));
}

#[test]
fn what_nothing_can_stop_is_said_to_run_on() {
    let mut world = World::new(NONE);
    world.order(1);
    world.pass(50);
    world.tools.begin(Action::Stop(attempt(0)), world.now);
    world.serve();
    let endings = world.endings();
    let [(0, Ending::Unstoppable { reason })] = endings.as_slice() else { panic!("{endings:?}") };
    assert!(reason.contains("its own time ends in 10 s") && reason.contains("`child:0`"), "{reason}");
}

#[test]
fn a_stop_before_the_start_costs_no_call() {
    let mut world = World::new(NONE);
    world.order(2);
    world.tools.begin(Action::Stop(attempt(1)), world.now);
    world.serve();
    assert_eq!(world.count("spawn"), 1);
    assert!(matches!(&world.reports[0], Report::Ended { ending: Ending::Stopped { .. }, .. }));
}

#[test]
fn messages_that_cannot_be_read_are_asked_for_again_and_never_paid_for_again() {
    let mut world = World::new(ALL);
    world.text_of_new = "done it";
    world.history_failures = 3;
    world.order(1);
    world.pass(3_000);
    assert_eq!(world.endings(), [(0, Ending::Replied("done it".to_owned()))]);

    let mut world = World::new(ALL);
    world.text_of_new = "done it";
    world.history_failures = 4;
    world.order(1);
    world.pass(3_000);
    let endings = world.endings();
    let [(0, Ending::Refused(refusal))] = endings.as_slice() else { panic!("{endings:?}") };
    assert!(refusal.message.contains("session `child:0` may hold the answer"), "{}", refusal.message);
}

#[test]
fn a_list_that_is_away_for_long_leaves_agents_unknown_and_for_a_while_does_no_harm() {
    let mut world = World::new(ALL);
    world.order(1);
    world.list_fails = true;
    world.pass(30_000);
    assert_eq!(world.endings(), []);
    world.list_fails = false;
    world.pass(6_000);
    world.list_fails = true;
    world.pass(70_000);
    assert!(matches!(world.endings()[0], (0, Ending::Unstoppable { .. })), "{:?}", world.endings());
    assert!(world.count("list") < 60, "{} looks", world.count("list"));
}

#[test]
fn labels_are_unique_and_hold_the_tasks_id_in_plain_characters() {
    let mut world = World::new(ALL);
    world.order(2);
    world.serve();
    let labels: Vec<&str> = world.children.values().map(|child| child.label.as_str()).collect();
    assert_eq!(labels, ["task-0-00000000-0000", "task-1-00000001-0000"]);
}
