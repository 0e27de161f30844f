//! Agents that an earlier process ordered.

use super::*;
use crate::core::action::Adoption;

const LONG_AGO: Time = Time::from_millis(1_000);
const NO_LABEL: Abilities = Abilities { label: false, stop: false, delete: true };

impl World {
    /// Adopts the agent of task 0; with `key`, its session is known.
    fn adopt(&mut self, key: Option<&str>, ordered: Time) {
        self.adopt_as(0, key, ordered);
    }

    fn adopt_as(&mut self, index: usize, key: Option<&str>, ordered: Time) {
        let session = key.map(|key| Session { key: key.into(), run_id: key.into() });
        let adoption = Adoption { order: spawn_order(index), session, boot: None, ordered };
        self.tools.begin(Action::Adopt(adoption), self.now);
    }

    /// An agent that an earlier process started for task 0, as a start would have.
    fn found(&mut self, child: Child) {
        let label = label(&spawn_order(0));
        self.add_child("old", &label, child);
    }

    fn spawned(&self) -> usize {
        self.reports.iter().filter(|report| matches!(report, Report::Spawned { .. })).count()
    }
}

fn child(status: &'static str, text: &'static str) -> Child {
    Child { status: Some(status), text, ..Child::default() }
}

#[test]
fn a_finished_child_is_collected_by_its_session_and_not_reported_as_new() {
    let mut world = World::new(NONE);
    world.found(child("done", "done it"));
    world.adopt(Some("old"), LONG_AGO);
    world.serve();
    assert_eq!(world.endings(), [(0, Ending::Replied("done it".to_owned()))]);
    assert_eq!((world.spawned(), world.count("spawn"), world.count("history")), (0, 0, 1));
}

#[test]
fn a_finished_child_that_is_on_no_page_any_more_is_collected_from_its_history() {
    let mut world = World::new(NONE);
    world.found(child("done", "done it"));
    world.child("old").is_listed = false;
    world.adopt(Some("old"), LONG_AGO);
    world.pass(100);
    assert_eq!(world.endings(), [(0, Ending::Replied("done it".to_owned()))]);
}

#[test]
fn a_finished_child_is_collected_where_the_list_never_shows_all() {
    let mut world = World::new(NONE);
    world.is_whole = false;
    world.found(child("done", "done it"));
    world.child("old").is_listed = false;
    world.adopt(Some("old"), BEGIN);
    world.pass(6_000);
    assert_eq!(world.endings(), [(0, Ending::Replied("done it".to_owned()))]);
}

#[test]
fn a_running_child_is_followed_to_its_end() {
    let mut world = World::new(NONE);
    world.found(child("running", ""));
    world.adopt(Some("old"), LONG_AGO);
    world.pass(20_000);
    assert_eq!(world.endings(), [], "it works, however long ago it was ordered");
    let started = world.reports.iter().filter(|report| matches!(report, Report::Started { .. })).count();
    assert_eq!((started, world.spawned()), (1, 0));
    *world.child("old") = Child { label: String::new(), is_listed: true, ..child("done", "done it") };
    world.pass(3_000);
    assert_eq!(world.endings(), [(0, Ending::Replied("done it".to_owned()))]);
}

#[test]
fn a_session_that_is_gone_without_an_answer_is_lost() {
    let mut world = World::new(ALL);
    world.adopt(Some("old"), LONG_AGO);
    world.pass(100);
    let endings = world.endings();
    assert!(matches!(endings.as_slice(), [(0, Ending::Lost { .. })]), "{endings:?}");
    assert_eq!(world.count("history"), 1, "it was read before it counted as gone");
}

#[test]
fn a_session_that_was_ordered_a_moment_ago_may_not_be_listed_yet() {
    let mut world = World::new(ALL);
    world.adopt(Some("old"), BEGIN);
    world.pass(3_900);
    assert_eq!(world.endings(), []);
    world.pass(2_000);
    let endings = world.endings();
    assert!(matches!(endings.as_slice(), [(0, Ending::Lost { .. })]), "{endings:?}");
}

#[test]
fn the_time_of_an_adopted_agent_counts_from_its_order() {
    let mut world = World::new(ALL);
    world.found(child("timeout", ""));
    world.adopt(Some("old"), BEGIN);
    world.pass(9_000);
    assert_eq!(world.endings(), []);
    let mut world = World::new(ALL);
    world.found(child("timeout", ""));
    world.adopt(Some("old"), LONG_AGO);
    world.pass(5_000);
    assert_eq!(world.endings(), [(0, Ending::TimedOut)]);
    assert_eq!(world.count("cancel"), 1);
}

#[test]
fn an_order_from_a_clock_that_was_ahead_counts_from_now() {
    let mut world = World::new(ALL);
    world.adopt(None, BEGIN + Duration::from_secs(3_600));
    world.pass(6_000);
    assert_eq!(world.endings().len(), 1);
}

#[test]
fn a_start_whose_answer_died_with_its_process_is_found_by_its_label() {
    let mut world = World::new(ALL);
    world.found(child("running", ""));
    world.adopt(None, LONG_AGO);
    world.pass(1_000);
    let session = Session { key: "old".into(), run_id: "old".into() };
    assert_eq!(world.reports[0], Report::Spawned { attempt: attempt(0), session });
    assert_eq!((world.spawned(), world.endings().len()), (1, 0));
    world.child("old").status = Some("done");
    world.child("old").text = "done it";
    world.pass(3_000);
    assert_eq!(world.endings(), [(0, Ending::Replied("done it".to_owned()))]);
    assert_eq!(world.count("spawn"), 0);
}

#[test]
fn a_child_that_is_found_by_its_label_has_the_time_that_its_order_left_it() {
    let mut world = World::new(ALL);
    world.found(child("timeout", ""));
    world.adopt(None, LONG_AGO);
    world.pass(5_000);
    assert_eq!(world.endings(), [(0, Ending::TimedOut)]);
}

#[test]
fn a_start_of_which_two_whole_looks_show_nothing_never_happened() {
    let mut world = World::new(ALL);
    world.adopt(None, LONG_AGO);
    world.serve();
    assert_eq!((world.count("list"), world.endings().len()), (1, 0));
    world.pass(100);
    let endings = world.endings();
    let [(0, Ending::Lost { reason })] = endings.as_slice() else { panic!("{endings:?}") };
    assert!(reason.contains("`task-0-00000000-0000`"), "{reason}");
    assert_eq!(world.count("list"), 2);
}

#[test]
fn a_start_of_a_moment_ago_may_still_appear() {
    let mut world = World::new(ALL);
    world.adopt(None, BEGIN);
    world.pass(3_900);
    assert_eq!(world.endings(), []);
    world.found(child("done", "done it"));
    world.pass(2_000);
    assert_eq!(world.endings(), [(0, Ending::Replied("done it".to_owned()))]);
}

#[test]
fn a_look_that_did_not_see_all_is_no_proof_that_a_start_never_happened() {
    let mut world = World::new(ALL);
    world.is_whole = false;
    world.adopt(None, LONG_AGO);
    world.serve();
    world.is_whole = true;
    world.now = world.now + Duration::from_secs(2);
    world.serve();
    assert_eq!((world.count("list"), world.endings().len()), (2, 0), "only one look was whole");
    world.pass(2_000);
    assert!(matches!(world.endings().as_slice(), [(0, Ending::Lost { .. })]), "{:?}", world.endings());
}

#[test]
fn where_the_list_never_shows_all_a_start_that_is_not_seen_may_be_running() {
    let mut world = World::new(ALL);
    world.is_whole = false;
    world.adopt(None, LONG_AGO);
    world.pass(1_000);
    let endings = world.endings();
    let [(0, Ending::Unstoppable { reason })] = endings.as_slice() else { panic!("{endings:?}") };
    assert!(reason.contains("does not show all sessions"), "{reason}");
}

#[test]
fn without_labels_a_start_without_an_answer_may_be_running() {
    let mut world = World::new(NO_LABEL);
    world.adopt(None, LONG_AGO);
    world.pass(1_000);
    let endings = world.endings();
    let [(0, Ending::Unstoppable { reason })] = endings.as_slice() else { panic!("{endings:?}") };
    assert!(reason.starts_with("its start was never answered; ") && reason.contains("no `label`"), "{reason}");
    assert_eq!(world.calls, Vec::<&str>::new());
}

#[test]
fn an_adopted_agent_is_stopped_like_any_other() {
    for key in [Some("old"), None] {
        let mut world = World::new(ALL);
        world.found(child("running", ""));
        world.adopt(key, LONG_AGO);
        world.tools.begin(Action::Stop(attempt(0)), world.now);
        world.pass(500);
        assert_eq!(world.endings(), [(0, Ending::Stopped { reason: "killed".to_owned() })], "{key:?}");
        assert_eq!((world.count("children"), world.count("cancel")), (1, 1), "{key:?}");
    }
}

#[test]
fn a_stop_of_one_that_never_started_ends_with_the_looks_for_it() {
    let mut world = World::new(ALL);
    world.adopt(None, LONG_AGO);
    world.tools.begin(Action::Stop(attempt(0)), world.now);
    world.pass(500);
    assert!(matches!(world.endings().as_slice(), [(0, Ending::Lost { .. })]), "{:?}", world.endings());
    assert_eq!(world.count("cancel"), 0);
}

#[test]
fn an_adopted_agent_that_nothing_can_stop_is_said_to_run_on() {
    let mut world = World::new(NONE);
    world.found(child("running", ""));
    world.adopt(Some("old"), BEGIN);
    world.serve();
    world.tools.begin(Action::Stop(attempt(0)), world.now);
    world.serve();
    assert!(matches!(world.endings().as_slice(), [(0, Ending::Unstoppable { .. })]), "{:?}", world.endings());
}

#[test]
fn being_asked_about_an_adopted_agent_whose_time_is_up_does_not_end_it() {
    let mut world = World::new(ALL);
    world.found(child("queued", ""));
    world.adopt(Some("old"), LONG_AGO);
    world.tools.begin(Action::Look(attempt(0)), world.now);
    world.pass(1_000);
    world.tools.begin(Action::Look(attempt(0)), world.now);
    world.pass(1_000);
    assert_eq!(world.reports, [Report::Queued { attempt: attempt(0) }, Report::Queued { attempt: attempt(0) }]);
    assert_eq!(world.count("history"), 0);
}

#[test]
fn a_session_is_adopted_once() {
    let mut world = World::new(ALL);
    world.found(child("running", ""));
    world.adopt_as(0, Some("old"), LONG_AGO);
    world.adopt_as(1, Some("old"), LONG_AGO);
    world.pass(100);
    assert!(matches!(world.endings().as_slice(), [(1, Ending::Refused(_))]), "{:?}", world.endings());
}

#[test]
fn adopted_and_new_agents_share_their_looks() {
    let mut world = World::new(ALL);
    world.text_of_new = "done it";
    world.found(child("done", "done long ago"));
    world.adopt_as(200, None, LONG_AGO);
    world.adopt(Some("old"), LONG_AGO);
    world.order(100);
    world.tools.orders.pop_front();
    world.pass(500);
    assert_eq!((world.endings().len(), world.count("spawn")), (101, 99));
    assert!(world.count("list") <= 4, "{} looks", world.count("list"));
    assert_eq!(world.tools.next_time(world.now), None, "nothing is left to wait for");
}

#[test]
fn how_long_ago_an_adopted_agent_was_ordered_does_not_slow_the_looks() {
    let mut world = World::new(ALL);
    world.found(child("done", "done long ago"));
    world.adopt(Some("old"), LONG_AGO);
    world.serve();
    world.order(2);
    world.tools.orders.pop_front();
    world.pass(100);
    assert!(world.count("list") > 4, "{} looks", world.count("list"));
}
