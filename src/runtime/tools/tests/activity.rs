//! What is told of agents that somebody asks about.

use super::*;

impl World {
    fn ask(&mut self) -> Vec<Report> {
        self.reports.clear();
        self.tools.begin(Action::Look(attempt(0)), self.now);
        self.serve();
        std::mem::take(&mut self.reports)
    }
}

fn working() -> World {
    let mut world = World::new(ALL);
    world.order(1);
    world.pass(1_000);
    world
}

#[test]
fn an_agent_whose_row_changes_is_active_since_then_once() {
    let mut world = working();
    assert_eq!(world.ask(), [], "from now on it is watched");
    world.pass(3_000);
    assert_eq!(world.ask(), [], "it has done nothing");
    world.child("child:0").updated = 5;
    world.pass(3_000);
    world.child("child:0").updated = 6;
    let since = world.now;
    world.pass(3_000);
    let reports = world.ask();
    let [Report::Active { attempt: told, at }] = reports.as_slice() else { panic!("{reports:?}") };
    assert!(*told == attempt(0) && *at >= since && *at <= world.now, "{at:?}");
    world.pass(3_000);
    assert_eq!(world.ask(), []);
}

#[test]
fn nothing_is_told_of_agents_that_nobody_asks_about() {
    let mut world = working();
    assert!(!world.tools.seeks_updates());
    world.child("child:0").updated = 5;
    world.pass(3_000);
    assert!(!world.reports.iter().any(|report| matches!(report, Report::Active { .. })));
    world.ask();
    assert!(world.tools.seeks_updates());
    world.child("child:0").text = "done it";
    world.child("child:0").status = Some("done");
    world.pass(3_000);
    assert_eq!(world.endings().len(), 1);
    assert!(!world.tools.seeks_updates(), "the only one that was asked about has ended");
}

#[test]
fn who_asks_more_often_than_looks_come_has_one_made() {
    let mut world = World::new(ALL);
    world.order(1);
    world.pass(60_000);
    world.ask();
    let looks = world.count("list");
    world.ask();
    assert_eq!(world.count("list"), looks + 1);
}

#[test]
fn one_that_waits_in_a_queue_is_said_to_wait() {
    let mut world = World::new(ALL);
    world.order(1);
    world.serve();
    world.child("child:0").status = Some("queued");
    world.pass(30_000);
    assert_eq!(world.ask(), [Report::Queued { attempt: attempt(0) }]);
    assert_eq!(world.count("history"), 0, "its time is up, and every look shows that it waits");
}

#[test]
fn where_looks_hang_one_whose_time_is_up_is_read() {
    let mut world = working();
    world.hold_lists = true;
    world.pass(3_000);
    world.child("child:0").text = "done it";
    world.pass(20_000);
    assert_eq!(world.ask(), [], "a look may take its time");
    world.pass(60_000);
    let reports = world.ask();
    assert!(matches!(reports.as_slice(), [Report::Ended { ending: Ending::Replied(_), .. }]), "{reports:?}");
    assert!(world.tools.take_hurry(), "the look may be interrupted");
}

#[test]
fn where_looks_fail_one_whose_time_is_up_is_read_and_one_that_was_seen_is_not_given_up_at_once() {
    let mut world = working();
    world.list_fails = true;
    world.pass(20_000);
    world.ask();
    assert_eq!((world.count("history"), world.endings().len()), (1, 0), "it may work");
    world.child("child:0").text = "done it";
    let reports = world.ask();
    let [Report::Ended { ending, .. }] = reports.as_slice() else { panic!("{reports:?}") };
    assert_eq!(*ending, Ending::Replied("done it".to_owned()));
}

#[test]
fn where_looks_fail_one_that_was_never_seen_has_timed_out_with_its_time() {
    let mut world = World::new(ALL);
    world.list_fails = true;
    world.order(1);
    world.pass(11_000);
    let reports = world.ask();
    assert!(matches!(reports.as_slice(), [Report::Ended { ending: Ending::TimedOut, .. }]), "{reports:?}");
}
