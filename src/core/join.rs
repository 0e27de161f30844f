//! Joins: when a run has had enough of its tasks, and which of their results count.
//!
//! One strategy for all of them. It adds no tasks. A task can no longer complete once it has failed for good, or one that it
//! builds on has; one that waits for an answer or a budget still can. Where the caller's function says what a result counts
//! as, the run waits for that word.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::fact::End;
use super::plan::{Plan, Task};
use super::strategy::{KeptBack, Next, Strategy, Word};
use super::until::{By, Until};

/// A join of the tasks of one run.
#[derive(Debug)]
pub struct Join {
    until: Until,
    places: Vec<Place>,
    index_of: HashMap<Arc<str>, usize>,
    /// What has completed, in that order.
    completed: Vec<usize>,
    /// How many may yet complete, or have and are not yet marked.
    open: usize,
    /// How many of those have completed.
    unmarked: usize,
    /// The highest score so far.
    top: Option<f64>,
    votes: Votes,
    is_decided: bool,
}

/// What is known of a task.
#[derive(Debug)]
struct Place {
    id: Arc<str>,
    dependents: Vec<usize>,
    stand: Stand,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Stand {
    /// It may yet complete.
    Open,
    /// It never will.
    Lost,
    /// It has completed, and counts as that.
    Done,
    /// It has completed, and its mark is yet to come.
    Unmarked,
    /// It has completed with this score.
    Scored(f64),
    /// It has completed and says what the ballot of this number says.
    Voted(usize),
}

/// What was said, each once, in the order in which it was said first.
#[derive(Debug, Default)]
struct Votes {
    ballots: Vec<Ballot>,
    by_text: HashMap<String, usize>,
    most: usize,
}

#[derive(Debug)]
struct Ballot {
    value: Value,
    count: usize,
}

impl Join {
    /// Waits for this among the tasks of `plan`.
    pub fn new(until: Until, plan: &Plan) -> Self {
        let place = |(index, task): (usize, &Task)| Place {
            id: task.id.clone(),
            dependents: plan.dependents(index).to_vec(),
            stand: Stand::Open,
        };
        let places: Vec<Place> = plan.tasks().iter().enumerate().map(place).collect();
        Self {
            until,
            index_of: places.iter().enumerate().map(|(index, place)| (place.id.clone(), index)).collect(),
            completed: Vec::new(),
            open: places.len(),
            places,
            unmarked: 0,
            top: None,
            votes: Votes::default(),
            is_decided: false,
        }
    }

    fn complete(&mut self, index: usize, output: &Value) {
        if self.places[index].stand == Stand::Lost {
            // Somebody opened it again.
            self.open += 1;
        }
        self.completed.push(index);
        let mark = match &self.until {
            Until::Best { by, .. } | Until::Vote { by } => match by {
                By::Caller(_) => {
                    self.places[index].stand = Stand::Unmarked;
                    self.unmarked += 1;
                    return;
                }
                By::Path(_) => by.look(output),
            },
            Until::All | Until::Any | Until::First(_) | Until::Quorum(_) => None,
        };
        self.mark(index, mark.unwrap_or(&Value::Null));
    }

    /// A completed result counts as this; what is no score, or nothing, does not count.
    fn mark(&mut self, index: usize, mark: &Value) {
        self.open -= 1;
        self.places[index].stand = match &self.until {
            Until::Best { .. } => mark.as_f64().filter(|score| score.is_finite()).map_or(Stand::Done, Stand::Scored),
            Until::Vote { .. } if !mark.is_null() => Stand::Voted(self.votes.cast(mark)),
            Until::Vote { .. } | Until::All | Until::Any | Until::First(_) | Until::Quorum(_) => Stand::Done,
        };
        if let Stand::Scored(score) = self.places[index].stand {
            self.top = Some(self.top.map_or(score, |top| top.max(score)));
        }
    }

    /// The task never completes, nor does what builds on it.
    fn lose(&mut self, index: usize) {
        let mut losing = vec![index];
        while let Some(index) = losing.pop() {
            let place = &mut self.places[index];
            if place.stand == Stand::Open {
                place.stand = Stand::Lost;
                self.open -= 1;
                losing.extend(&place.dependents);
            }
        }
    }

    /// Says so once nothing else is needed.
    fn decide(&mut self) -> Next {
        let enough = if self.is_decided { None } else { self.enough() };
        self.is_decided |= enough.is_some();
        Next { enough: enough.map(|why| format!("no longer needed: `{}` {why}", self.until)), ..Next::default() }
    }

    fn enough(&self) -> Option<String> {
        let (count, open) = (self.completed.len(), self.open);
        match self.until {
            Until::Any => (count >= 1).then(|| "has its result".to_owned()),
            Until::First(k) | Until::Quorum(k) if count >= k => Some(format!("has its {k} results")),
            Until::All | Until::First(_) => None,
            Until::Quorum(k) => (count + open < k)
                .then(|| format!("can no longer be reached ({count} completed, {open} may still complete)")),
            Until::Best { enough, .. } => {
                let top = self.top.filter(|top| enough.is_some_and(|enough| *top >= enough));
                top.map(|top| format!("has a result with the score {top}"))
            }
            Until::Vote { .. } => self.votes.is_settled(open).then(|| "is decided by those that have voted".to_owned()),
        }
    }

    fn chosen(&self) -> Vec<usize> {
        let with = |wanted: &dyn Fn(Stand) -> bool| {
            let places = self.places.iter().enumerate();
            places.filter(|(_, place)| wanted(place.stand)).map(|(index, _)| index).collect::<Vec<_>>()
        };
        match self.until {
            Until::All => with(&|stand| stand == Stand::Done),
            Until::Any => self.completed.iter().take(1).copied().collect(),
            Until::First(k) | Until::Quorum(k) => self.completed.iter().take(k).copied().collect(),
            Until::Best { .. } => {
                let is_top = |stand| matches!((stand, self.top), (Stand::Scored(score), Some(top)) if score >= top);
                with(&is_top).into_iter().take(1).collect()
            }
            Until::Vote { .. } => with(&|stand| matches!(stand, Stand::Voted(ballot) if self.votes.leads(ballot))),
        }
    }

    fn is_met(&self) -> bool {
        let count = self.completed.len();
        match self.until {
            Until::All => count == self.places.len(),
            Until::Any => count >= 1,
            Until::First(k) | Until::Quorum(k) => count >= k,
            Until::Best { enough, .. } => self.top.is_some_and(|top| enough.is_none_or(|enough| top >= enough)),
            Until::Vote { .. } => self.votes.leaders().len() == 1,
        }
    }
}

impl Votes {
    /// One more says this. The number of its ballot.
    fn cast(&mut self, value: &Value) -> usize {
        let next = self.ballots.len();
        let ballot = *self.by_text.entry(canonical(value)).or_insert(next);
        if ballot == next {
            self.ballots.push(Ballot { value: value.clone(), count: 0 });
        }
        self.ballots[ballot].count += 1;
        self.most = self.most.max(self.ballots[ballot].count);
        ballot
    }

    /// What most say; several, if as many say each of them.
    fn leaders(&self) -> Vec<usize> {
        (0..self.ballots.len()).filter(|&ballot| self.leads(ballot)).collect()
    }

    fn leads(&self, ballot: usize) -> bool {
        self.ballots[ballot].count == self.most
    }

    /// Whether the leader stays alone at the front, whatever `open` others say.
    fn is_settled(&self, open: usize) -> bool {
        if self.most <= open {
            return false;
        }
        let mut counts: Vec<usize> = self.ballots.iter().map(|ballot| ballot.count).collect();
        counts.sort_unstable_by(|one, other| other.cmp(one));
        self.most > counts.get(1).copied().unwrap_or_default() + open
    }
}

/// One text for equal values: fields in order, numbers by what they are worth.
fn canonical(value: &Value) -> String {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => value.to_string(),
        Value::Number(number) => match number.as_f64() {
            Some(worth) if worth.fract() == 0.0 && worth.abs() < EXACT_MAX => format!("{}", worth + 0.0),
            Some(_) | None => number.to_string(),
        },
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let fields: BTreeMap<&String, String> =
                fields.iter().map(|(name, value)| (name, canonical(value))).collect();
            let field = |(name, value): (&String, String)| format!("{}:{value}", Value::from(name.as_str()));
            format!("{{{}}}", fields.into_iter().map(field).collect::<Vec<_>>().join(","))
        }
    }
}

impl Strategy for Join {
    fn ended(&mut self, task: &Task, end: &End) -> Next {
        let Some(&index) = self.index_of.get(&task.id) else { return Next::default() };
        match end {
            End::Completed { output, .. } => self.complete(index, output),
            End::Failed { .. } | End::Timeout { .. } | End::Cancelled { .. } => self.lose(index),
            // Neither is for good.
            End::NeedsInput { .. } | End::Skipped { .. } => {}
        }
        self.decide()
    }

    fn told(&mut self, word: &Word) -> Next {
        let Word::Mark { task, mark } = word else { return Next::default() };
        if let Some(&index) = self.index_of.get(task)
            && self.places[index].stand == Stand::Unmarked
        {
            self.unmarked -= 1;
            self.mark(index, mark);
        }
        self.decide()
    }

    fn waits(&self) -> bool {
        self.unmarked > 0 && !self.is_decided
    }

    /// `until met chosen`, and by its kind `completed`, `scores`, or `tally leaders`; `unmarked` lists what completed and
    /// says nothing that counts.
    fn outcome(&self, _kept_back: &KeptBack) -> Option<Value> {
        let ids =
            |indices: Vec<usize>| indices.into_iter().map(|index| json!(*self.places[index].id)).collect::<Value>();
        let mut outcome = json!({
            "until": self.until.to_string(),
            "met": self.is_met(),
            "chosen": ids(self.chosen()),
        });
        let said_nothing = |index: &usize| matches!(self.places[*index].stand, Stand::Done | Stand::Unmarked);
        let unmarked = || ids((0..self.places.len()).filter(said_nothing).collect());
        match self.until {
            Until::All | Until::Any | Until::First(_) | Until::Quorum(_) => {
                outcome["completed"] = json!(self.completed.len());
            }
            Until::Best { .. } => {
                let score = |place: &Place| match place.stand {
                    Stand::Scored(score) => Some((place.id.to_string(), json!(score))),
                    Stand::Open | Stand::Lost | Stand::Done | Stand::Unmarked | Stand::Voted(_) => None,
                };
                outcome["scores"] = Value::Object(self.places.iter().filter_map(score).collect::<Map<_, _>>());
                outcome["unmarked"] = unmarked();
            }
            Until::Vote { .. } => {
                let mut tally: Vec<&Ballot> = self.votes.ballots.iter().collect();
                tally.sort_by_key(|ballot| std::cmp::Reverse(ballot.count));
                let leaders = self.votes.leaders();
                let row = |ballot: &Ballot| json!({"value": ballot.value, "votes": ballot.count});
                outcome["tally"] = tally.into_iter().map(row).collect();
                outcome["leaders"] =
                    leaders.into_iter().map(|ballot| self.votes.ballots[ballot].value.clone()).collect();
                outcome["unmarked"] = unmarked();
            }
        }
        Some(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::until::Spelling;

    struct Scene {
        plan: Plan,
        join: Join,
        enough: Option<String>,
    }

    impl Scene {
        /// Tasks `a`, `b` and so on, as many as there are.
        fn new(until: &str, tasks: usize) -> Self {
            let tasks = ('a'..).take(tasks).map(|id| Task::sample(&id.to_string(), &[])).collect();
            Self::of(until, Plan::new(tasks).expect("a plan"))
        }

        fn of(until: &str, plan: Plan) -> Self {
            let spelling = Spelling::of(until).expect("a spelling");
            let mut until = Until::new(&spelling, plan.tasks().len()).expect("a join");
            if let Until::Best { by, .. } | Until::Vote { by } = &mut until
                && *by == By::Path("CALLER".into())
            {
                *by = By::Caller("judge".into());
            }
            Self { join: Join::new(until, &plan), plan, enough: None }
        }

        fn take(&mut self, next: Next) {
            assert!(next.add.is_empty() && next.ask.is_none());
            assert!(self.enough.is_none() || next.enough.is_none(), "it is said once");
            self.enough = next.enough.or(self.enough.take());
        }

        fn end(&mut self, id: &str, end: &End) {
            let task = self.plan.tasks().iter().find(|task| *task.id == *id).expect("a task").clone();
            let next = self.join.ended(&task, end);
            self.take(next);
        }

        fn completed(&mut self, id: &str, output: Value) {
            self.end(id, &End::Completed { output: Arc::new(output), raw: "".into() });
        }

        fn failed(&mut self, id: &str) {
            self.end(id, &End::Failed { reason: "no".to_owned(), raw: None });
        }

        fn marked(&mut self, id: &str, mark: Value) {
            let next = self.join.told(&Word::Mark { task: id.into(), mark });
            self.take(next);
        }

        fn outcome(&self) -> Value {
            self.join.outcome(&KeptBack::default()).expect("an outcome")
        }
    }

    /// Ends `steps` one after another: `+` completes the next task, `-` fails it. How many ended until it was enough, and the
    /// outcome's `met` and `chosen`.
    fn play(until: &str, tasks: usize, steps: &str) -> (Option<usize>, bool, String) {
        let mut scene = Scene::new(until, tasks);
        let mut enough_after = None;
        for (index, step) in steps.chars().enumerate() {
            let id = scene.plan.tasks()[index].id.clone();
            if step == '+' {
                scene.completed(&id, json!({}));
            } else {
                scene.failed(&id);
            }
            if scene.enough.is_some() && enough_after.is_none() {
                enough_after = Some(index + 1);
            }
        }
        let outcome = scene.outcome();
        let chosen =
            outcome["chosen"].as_array().expect("a list").iter().map(|id| id.as_str().expect("an id")).collect();
        (enough_after, outcome["met"] == json!(true), chosen)
    }

    #[test]
    fn what_counts_how_many_is_enough_when_it_must_be() {
        for (until, tasks, steps, enough_after, met, chosen) in [
            ("all", 3, "+++", None, true, "abc"),
            ("all", 3, "+-+", None, false, "ac"),
            ("all", 3, "--", None, false, ""),
            ("any", 3, "+", Some(1), true, "a"),
            ("any", 3, "--+", Some(3), true, "c"),
            ("any", 3, "---", None, false, ""),
            // What crosses the stop is kept among the results and not chosen.
            ("any", 3, "++", Some(1), true, "a"),
            ("first(1)", 3, "-+", Some(2), true, "b"),
            ("first(2)", 4, "+-+", Some(3), true, "ac"),
            ("first(2)", 4, "+++", Some(2), true, "ab"),
            ("first(2)", 3, "+--", None, false, "a"),
            ("first(3)", 3, "-", None, false, ""),
            ("first(3)", 3, "+++", Some(3), true, "abc"),
            ("quorum(2)", 4, "++", Some(2), true, "ab"),
            ("quorum(2)", 4, "-+-+", Some(4), true, "bd"),
            ("quorum(2)", 4, "---", Some(3), false, ""),
            ("quorum(2)", 4, "+---", Some(4), false, "a"),
            ("quorum(3)", 3, "-", Some(1), false, ""),
            ("quorum(3)", 5, "++--", None, false, "ab"),
            ("quorum(3)", 5, "++---", Some(5), false, "ab"),
        ] {
            let expected = (enough_after, met, chosen.to_owned());
            assert_eq!(play(until, tasks, steps), expected, "{until} of {tasks}: {steps}");
        }
    }

    #[test]
    fn why_the_rest_is_not_needed_names_the_join() {
        let mut scene = Scene::new("first(2)", 3);
        scene.completed("a", json!(1));
        scene.completed("b", json!(1));
        assert_eq!(scene.enough.as_deref(), Some("no longer needed: `first(2)` has its 2 results"));
        let mut scene = Scene::new("quorum(3)", 4);
        scene.failed("a");
        scene.failed("b");
        let why = "no longer needed: `quorum(3)` can no longer be reached (0 completed, 2 may still complete)";
        assert_eq!(scene.enough.as_deref(), Some(why));
        let mut scene = Scene::new("best(score, enough=8)", 3);
        scene.completed("a", json!({"score": 8.5}));
        let why = "no longer needed: `best(score, enough=8)` has a result with the score 8.5";
        assert_eq!(scene.enough.as_deref(), Some(why));
    }

    #[test]
    fn what_builds_on_a_failed_task_cannot_complete() {
        let tasks = vec![
            Task::sample("a", &[]),
            Task::sample("b", &["a"]),
            Task::sample("c", &["b"]),
            Task::sample("d", &[]),
            Task::sample("e", &[]),
        ];
        let mut scene = Scene::of("quorum(3)", Plan::new(tasks).expect("a plan"));
        scene.failed("a");
        assert!(scene.enough.is_some_and(|why| why.contains("(0 completed, 2 may still complete)")));
    }

    #[test]
    fn a_task_that_waits_may_still_complete() {
        let mut scene = Scene::new("quorum(2)", 3);
        scene.end("a", &End::NeedsInput { question: "which?".to_owned(), raw: None });
        scene.failed("b");
        assert_eq!(scene.enough, None);
        assert_eq!(scene.outcome()["met"], json!(false));
        scene.completed("a", json!(1));
        scene.completed("c", json!(1));
        assert_eq!(scene.outcome(), json!({"until": "quorum(2)", "met": true, "chosen": ["a", "c"], "completed": 2}));
    }

    #[test]
    fn the_best_is_the_highest_score_there_is() {
        let mut scene = Scene::new("best(review.score)", 6);
        for (id, score) in
            [("b", json!(7)), ("a", json!(9.5)), ("c", json!(9.5)), ("d", json!("nine")), ("f", json!(true))]
        {
            scene.completed(id, json!({"review": {"score": score}}));
        }
        scene.failed("e");
        assert_eq!(scene.enough, None);
        let outcome = json!({
            "until": "best(review.score)", "met": true, "chosen": ["a"],
            "scores": {"a": 9.5, "b": 7.0, "c": 9.5}, "unmarked": ["d", "f"],
        });
        assert_eq!(scene.outcome(), outcome);
    }

    #[test]
    fn a_score_that_is_enough_stops_the_rest() {
        for (scores, is_enough, met, chosen) in [
            (&[7.0, 7.9][..], false, false, json!(["b"])),
            (&[7.0, 8.0], true, true, json!(["b"])),
            // One that crosses the stop may be better still.
            (&[8.0, 9.0], true, true, json!(["b"])),
            (&[], false, false, json!([])),
        ] {
            let mut scene = Scene::new("best(score, enough=8)", 3);
            for (id, score) in ["a", "b", "c"].into_iter().zip(scores) {
                scene.completed(id, json!({"score": score}));
            }
            assert_eq!((scene.enough.is_some(), scene.outcome()["met"] == json!(true)), (is_enough, met), "{scores:?}");
            assert_eq!(scene.outcome()["chosen"], chosen);
        }
    }

    #[test]
    fn a_vote_stops_the_rest_once_nothing_can_change_it() {
        for (tasks, votes, enough_after, met, leaders) in [
            (5, &["x", "x", "x"][..], Some(3), true, &["x"][..]),
            (5, &["x", "y", "x", "x"], Some(4), true, &["x"]),
            // The one that is open could make it a tie.
            (4, &["x", "y", "x"], None, true, &["x"]),
            (4, &["x", "y", "x", "y"], None, false, &["x", "y"]),
            (4, &["x", "y", "z", "-"], None, false, &["x", "y", "z"]),
            (4, &["-", "-", "x"], None, true, &["x"]),
            (4, &["-", "-", "-", "x"], Some(4), true, &["x"]),
            (4, &["-", "-", "-", "-"], None, false, &[]),
            (1, &["x"], Some(1), true, &["x"]),
        ] {
            let mut scene = Scene::new("vote(answer)", tasks);
            let mut settled = None;
            for (index, vote) in votes.iter().enumerate() {
                let id = scene.plan.tasks()[index].id.clone();
                if *vote == "-" {
                    scene.failed(&id);
                } else {
                    scene.completed(&id, json!({"answer": vote}));
                }
                if scene.enough.is_some() && settled.is_none() {
                    settled = Some(index + 1);
                }
            }
            let outcome = scene.outcome();
            assert_eq!((settled, outcome["met"] == json!(met)), (enough_after, true), "{tasks}: {votes:?}");
            assert_eq!(outcome["leaders"], json!(leaders), "{tasks}: {votes:?}");
        }
    }

    #[test]
    fn a_vote_counts_equal_values_as_one_and_tells_all() {
        let mut scene = Scene::new("vote(answer)", 9);
        for (id, answer) in [
            ("a", json!(1)),
            ("b", json!(1.0)),
            ("c", json!({"x": 1, "y": [true]})),
            ("d", json!({"y": [true], "x": 1.0})),
            ("e", json!("1")),
            ("f", json!(0.5)),
            ("g", json!(null)),
        ] {
            scene.completed(id, json!({"answer": answer}));
        }
        scene.completed("h", json!("no object"));
        let outcome = json!({
            "until": "vote(answer)", "met": false, "chosen": ["a", "b", "c", "d"],
            "tally": [
                {"value": 1, "votes": 2}, {"value": {"x": 1, "y": [true]}, "votes": 2}, {"value": "1", "votes": 1},
                {"value": 0.5, "votes": 1},
            ],
            "leaders": [1, {"x": 1, "y": [true]}],
            "unmarked": ["g", "h"],
        });
        assert_eq!(scene.outcome(), outcome);
        assert_eq!(canonical(&json!(-0.0)), canonical(&json!(0)));
        assert_ne!(canonical(&json!(9_007_199_254_740_993_u64)), canonical(&json!(9_007_199_254_740_992_u64)));
    }

    #[test]
    fn a_run_waits_for_each_mark_and_takes_it_once() {
        let mut scene = Scene::new("best(CALLER, enough=8)", 4);
        assert!(!scene.join.waits());
        scene.completed("a", json!({}));
        scene.completed("b", json!({}));
        assert!(scene.join.waits());
        scene.marked("a", json!(5));
        scene.marked("a", json!(9));
        scene.marked("c", json!(9));
        scene.marked("nobody", json!(9));
        assert_eq!((scene.join.waits(), scene.enough.as_ref()), (true, None));
        scene.marked("b", json!(null));
        assert!(!scene.join.waits());
        scene.completed("c", json!({}));
        scene.completed("d", json!({}));
        scene.marked("d", json!(8));
        assert!(scene.enough.is_some() && !scene.join.waits(), "one that is enough needs no other mark");
        let outcome = json!({
            "until": "best(<judge>, enough=8)", "met": true, "chosen": ["d"],
            "scores": {"a": 5.0, "d": 8.0}, "unmarked": ["b", "c"],
        });
        assert_eq!(scene.outcome(), outcome);
    }

    #[test]
    fn a_result_without_a_mark_yet_may_still_vote() {
        let mut scene = Scene::new("vote(CALLER)", 3);
        for id in ["a", "b", "c"] {
            scene.completed(id, json!({}));
        }
        scene.marked("a", json!("x"));
        assert_eq!(scene.enough, None);
        scene.marked("b", json!("x"));
        assert!(scene.enough.is_some());
    }
}
