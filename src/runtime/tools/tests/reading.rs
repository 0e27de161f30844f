//! What is kept of agents that were cut short.

use super::*;

impl World {
    /// What the only agent left behind.
    fn partial(&self) -> Option<&str> {
        let found = self.reports.iter().find_map(|report| match report {
            Report::Ended { partial, .. } => Some(partial),
            _ => None,
        });
        found.expect("an end").as_deref()
    }
}

fn working() -> World {
    let mut world = World::new(ALL);
    world.order(1);
    world.pass(100);
    world.child("child:0").is_midway = true;
    world.child("child:0").text = "so far";
    world
}

#[test]
fn what_a_stopped_agent_had_written_is_kept() {
    let mut world = working();
    world.tools.begin(Action::Stop(attempt(0)), world.now);
    world.pass(100);
    assert_eq!(world.endings(), [(0, Ending::Stopped { reason: "killed".to_owned() })]);
    assert_eq!(world.partial(), Some("so far"));
}

#[test]
fn an_error_that_its_runtime_wrote_is_not_the_agents() {
    let mut world = working();
    world.ends_badly = true;
    world.tools.begin(Action::Stop(attempt(0)), world.now);
    world.pass(100);
    assert_eq!((world.endings().len(), world.partial()), (1, None));
}

#[test]
fn what_an_agent_had_written_that_its_runtime_timed_out_is_kept() {
    let mut world = working();
    world.child("child:0").is_aborted = true;
    world.child("child:0").status = Some("timeout");
    world.pass(500);
    assert_eq!(world.endings(), [(0, Ending::TimedOut)]);
    assert_eq!(world.partial(), Some("so far"));
}

#[test]
fn what_an_agent_had_written_that_is_stopped_as_timed_out_is_kept() {
    let mut world = working();
    world.child("child:0").status = Some("timeout");
    world.pass(9_000);
    assert_eq!(world.endings(), [], "it works on with a tool");
    world.pass(8_000);
    assert_eq!((world.endings(), world.count("cancel")), (vec![(0, Ending::TimedOut)], 1));
    assert_eq!(world.partial(), Some("so far"));
}

#[test]
fn what_an_agent_had_written_that_is_lost_is_kept() {
    let mut world = working();
    world.child("child:0").is_listed = false;
    world.pass(500);
    assert!(matches!(world.endings().as_slice(), [(0, Ending::Lost { .. })]), "{:?}", world.endings());
    assert_eq!(world.partial(), Some("so far"));
}

#[test]
fn what_an_agent_said_before_it_used_a_tool_is_its_answer_once_it_is_done() {
    let mut world = working();
    world.child("child:0").status = Some("done");
    world.pass(500);
    assert_eq!(world.endings(), [(0, Ending::Replied("so far".to_owned()))]);
}

#[test]
fn a_history_that_hangs_delays_the_end_of_a_stopped_agent_for_two_seconds_at_the_most() {
    let mut world = working();
    world.hold_history = true;
    world.tools.begin(Action::Stop(attempt(0)), world.now);
    world.pass(1_500);
    assert_eq!(world.endings(), []);
    world.now = world.now + Duration::from_secs(1);
    assert_eq!(world.tools.next_call(world.now), None);
    assert_eq!(world.tools.next_time(world.now), Some(world.now), "there is an end to be reported");
    world.serve();
    assert_eq!(world.endings(), [(0, Ending::Stopped { reason: "killed".to_owned() })]);
    let held = world.held.take().expect("a reading under way");
    world.make(held);
    world.pass(100);
    assert_eq!((world.endings().len(), world.partial()), (1, None), "it comes too late");
}

#[test]
fn a_history_that_fails_does_not_delay_the_end_of_a_stopped_agent() {
    let mut world = working();
    world.history_failures = 1;
    world.tools.begin(Action::Stop(attempt(0)), world.now);
    world.pass(100);
    assert_eq!(world.endings(), [(0, Ending::Stopped { reason: "killed".to_owned() })]);
    assert_eq!(world.partial(), None);
}
