use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::agents::Registry;
use crate::core::hierarchy::ModelHierarchy;
use crate::workflow::refine::goal::SHOWN_BYTES_MAX;
use crate::workflow::refine::{Bounds, DesignWork, Work, goals};

fn maker() -> TaskMaker {
    TaskMaker::new(Registry::builtin(), ModelHierarchy::default())
}

fn designs(target: f64, improvements_max: usize) -> Goal {
    let work =
        DesignWork { purpose: "sorts".to_owned(), domain: "mail".to_owned(), capabilities: json!([]), design: None };
    let bounds = Bounds { target, improvements_max };
    Goal { name: "a".into(), bounds, score: None, work: Work::Design(work) }
}

fn given(goal: Goal, design: Value) -> Goal {
    let Work::Design(work) = goal.work else { panic!("a design") };
    Goal { work: Work::Design(DesignWork { design: Some(Arc::new(design)), ..work }), ..goal }
}

fn of(spec: Value) -> Goal {
    let Value::Object(spec) = spec else { panic!("a spec is an object") };
    goals(spec).expect("a goal").remove(0)
}

fn completed(output: Value) -> End {
    End::Completed { raw: output.to_string().into(), output: Arc::new(output) }
}

fn failed(reason: &str) -> End {
    End::Failed { reason: reason.to_owned(), raw: None }
}

fn version(no: usize) -> End {
    completed(json!({"agent_name": "a", "version": format!("{no}.0.0"), "system_prompt": format!("prompt {no}"),
        "changes": [format!("change {no}")]}))
}

fn review(score: f64) -> End {
    completed(json!({"overall_score": score, "overall_grade": "X", "recommendations": ["be brief"],
        "areas_for_improvement": [{"place": "robustness", "dimension_score": 3.25}]}))
}

/// Plays a refinement to its end: the author's versions and the reviewer's scores, each in order. The tasks, as they came.
fn play(goal: Goal, scores: &[f64]) -> (Loop, Vec<Task>) {
    let mut refinement = Loop::new(goal, &maker()).expect("a loop");
    let (mut waiting, mut seen, mut scores) = (refinement.begin(), Vec::new(), scores.iter());
    while let Some(task) = waiting.pop() {
        let end = if task.id.contains("/review-") {
            review(*scores.next().expect("as many scores as reviews"))
        } else {
            version(seen.iter().filter(|task: &&Task| !task.id.contains("/review-")).count() + 1)
        };
        seen.push(task.clone());
        waiting.extend(refinement.ended(&task, &end));
    }
    (refinement, seen)
}

fn ids(tasks: &[Task]) -> Vec<&str> {
    tasks.iter().map(|task| &*task.id).collect()
}

fn outcome(refinement: &Loop) -> Value {
    refinement.outcome(&KeptBack::default())
}

#[test]
fn a_design_is_made_reviewed_improved_and_reviewed_again_until_its_target() {
    let (refinement, tasks) = play(designs(8.5, 3), &[6.0, 7.5, 8.5]);
    assert_eq!(ids(&tasks), ["a/create", "a/review-1", "a/refine-2", "a/review-2", "a/refine-3", "a/review-3"]);
    assert!(ids(&tasks).iter().all(|id| refinement.knows(id)) && !refinement.knows("a/review-4"));
    let stopped = refinement.stopped().expect("stopped");
    assert_eq!((stopped.why, stopped.score), (&Stop::Target, Some(8.5)));
    assert_eq!(stopped.best_task.map(|id| &**id), Some("a/refine-3"));
    let outcome = outcome(&refinement);
    assert_eq!(outcome["design"], json!({"agent_name": "a", "version": "3.0.0", "system_prompt": "prompt 3"}));
    assert_eq!((&outcome["reached"], &outcome["error"]), (&json!(true), &Value::Null));
    let rounds = outcome["rounds"].as_array().expect("rounds");
    assert_eq!(rounds[1], json!({"task_ids": ["a/refine-2", "a/review-2"], "score": 7.5, "changes": ["change 2"]}));
}

#[test]
fn the_best_version_is_kept_and_never_merely_the_last() {
    for (scores, best, why) in [
        (&[6.0, 8.0, 7.0][..], "2.0.0", Stop::Regression),
        (&[6.0, 6.0], "1.0.0", Stop::Plateau),
        (&[6.0, 6.05], "2.0.0", Stop::Plateau),
        (&[6.0, 7.0, 8.0, 8.4], "4.0.0", Stop::IterationsMax),
        (&[9.0], "1.0.0", Stop::Target),
    ] {
        let (refinement, _) = play(designs(8.5, 3), scores);
        assert_eq!(outcome(&refinement)["design"]["version"], best, "{scores:?}");
        assert_eq!(refinement.stopped().map(|stopped| stopped.why), Some(&why), "{scores:?}");
    }
}

#[test]
fn who_reviews_sees_neither_scores_nor_the_target_nor_what_was_changed() {
    let (_, tasks) = play(designs(9.875, 3), &[6.125, 7.125, 9.9]);
    for task in &tasks {
        for told in ["6.125", "7.125", "9.875", "target", "overall_", "3.25", "grade"] {
            assert!(!task.brief.contains(told), "{} is told {told}: {}", task.id, task.brief);
        }
        assert!(task.dependencies.is_empty(), "a whole output is no part of what it is told");
    }
    let refined = |no: usize| tasks.iter().find(move |task| *task.id == *format!("a/refine-{no}")).expect("one");
    assert!(refined(3).brief.contains("be brief") && refined(3).brief.contains("prompt 2"), "the best, and objections");
    let reviewed = tasks.iter().find(|task| &*task.id == "a/review-2").expect("one");
    assert!(reviewed.brief.contains("prompt 2") && !reviewed.brief.contains("change"), "{}", reviewed.brief);
}

#[test]
fn a_review_whose_score_is_none_does_not_fit() {
    let (_, tasks) = play(designs(8.0, 0), &[8.0]);
    let [_, review] = tasks.as_slice() else { panic!("two tasks") };
    let schema = review.schema.as_ref().expect("a schema");
    let mut answer = Registry::builtin().get("agent_design_reviewer").expect("built in").example().expect("an example");
    for score in [json!(0), json!(10), json!(8.5)] {
        answer["overall_score"] = score;
        assert_eq!(schema.complaints(&answer), Vec::<String>::new());
    }
    for score in [json!(11), json!(-1), json!("nine"), json!(null), json!([9]), json!("9")] {
        answer["overall_score"] = score.clone();
        assert!(schema.complaints(&answer)[0].contains("/overall_score"), "{score}");
    }
    assert!(review.contract.contains("revised_system_prompt"), "it is told its own type's contract");
}

#[test]
fn the_same_version_again_is_a_plateau_and_no_review_is_paid_for() {
    let mut refinement = Loop::new(designs(8.5, 3), &maker()).expect("a loop");
    let create = refinement.begin().remove(0);
    let review_1 = refinement.ended(&create, &version(1)).remove(0);
    let refine_2 = refinement.ended(&review_1, &review(6.0)).remove(0);
    let same = json!({"version": "9.9.9", "system_prompt": "prompt 1", "agent_name": "a", "changes": ["all of it"]});
    assert_eq!(refinement.ended(&refine_2, &completed(same)), []);
    let outcome = outcome(&refinement);
    assert_eq!((&outcome["stopped_because"], &outcome["score"]), (&json!("plateau"), &json!(6.0)));
    assert_eq!(outcome["design"]["version"], "1.0.0");
    assert_eq!(outcome["rounds"][1]["task_ids"], json!(["a/refine-2"]));
}

#[test]
fn an_earlier_version_again_is_a_regression() {
    let mut refinement = Loop::new(designs(8.5, 3), &maker()).expect("a loop");
    let mut task = refinement.begin().remove(0);
    for end in [version(1), review(6.0), version(2), review(7.0)] {
        task = refinement.ended(&task, &end).remove(0);
    }
    assert_eq!(refinement.ended(&task, &version(1)), []);
    assert_eq!(refinement.stopped().map(|stopped| stopped.why), Some(&Stop::Regression));
    assert_eq!(outcome(&refinement)["design"]["version"], "2.0.0");
}

#[test]
fn a_failure_ends_it_with_the_best_that_there_is() {
    for (ends, best, score) in [
        (&[failed("no answer")][..], Value::Null, Value::Null),
        (&[version(1), failed("no answer")], json!("1.0.0"), Value::Null),
        (&[version(1), review(6.0), failed("no answer")], json!("1.0.0"), json!(6.0)),
        (&[version(1), review(6.0), version(2), failed("no answer")], json!("1.0.0"), json!(6.0)),
    ] {
        let mut refinement = Loop::new(designs(8.5, 3), &maker()).expect("a loop");
        let mut waiting = refinement.begin();
        for end in ends {
            waiting = refinement.ended(&waiting.remove(0), end);
        }
        assert_eq!(waiting, []);
        let outcome = outcome(&refinement);
        assert_eq!((&outcome["stopped_because"], &outcome["error"]), (&json!("failed"), &json!("no answer")));
        assert_eq!((&outcome["design"]["version"], &outcome["score"]), (&best, &score));
    }
}

#[test]
fn a_given_design_is_reviewed_first_and_one_that_is_good_enough_is_left_alone() {
    let design = json!({"system_prompt": "Sort.", "changes": ["praise"]});
    let (refinement, tasks) = play(given(designs(8.5, 3), design.clone()), &[8.0, 9.0]);
    assert_eq!(ids(&tasks), ["a/review-1", "a/refine-2", "a/review-2"]);
    assert!(!tasks[0].brief.contains("praise"), "{}", tasks[0].brief);
    assert_eq!(refinement.stopped().and_then(|stopped| stopped.score), Some(9.0));
    let (refinement, tasks) = play(Goal { score: Some(8.5), ..given(designs(8.5, 3), design.clone()) }, &[]);
    assert_eq!(tasks, []);
    let outcome = outcome(&refinement);
    assert_eq!((&outcome["score"], &outcome["reached"], &outcome["rounds"]), (&json!(8.5), &json!(true), &json!([])));
    assert_eq!(outcome["design"], design);
}

#[test]
fn what_keeps_it_back_is_why_it_stopped() {
    let end = |reason: &str| End::Cancelled { reason: reason.to_owned(), raw: None };
    let asking = End::NeedsInput { question: "which?".to_owned(), raw: None };
    for (kept, over_budget, why, error, tasks) in [
        (Some(asking), false, "needs_input", json!("which?"), 1),
        (Some(end("no money")), true, "budget", json!("no money"), 1),
        (Some(end("Ctrl-C")), false, "cancelled", json!("Ctrl-C"), 1),
        (None, false, "cancelled", json!("the run ended before it was done"), 0),
    ] {
        let mut refinement = Loop::new(designs(8.5, 3), &maker()).expect("a loop");
        let mut task = refinement.begin().remove(0);
        for end in [version(1), review(6.0)] {
            task = refinement.ended(&task, &end).remove(0);
        }
        let mut kept_back = KeptBack::default();
        if let Some(end) = kept {
            kept_back.keep(task.id.clone(), end, over_budget);
        }
        let outcome = refinement.outcome(&kept_back);
        assert_eq!((&outcome["stopped_because"], &outcome["error"]), (&json!(why), &error));
        assert_eq!(outcome["rounds"].as_array().map(Vec::len), Some(1 + tasks), "{why}");
        assert_eq!(outcome["design"]["version"], "1.0.0");
    }
}

#[test]
fn any_task_is_refined_by_its_own_maker() {
    let goal = of(json!({"task": {"agent_type": "backend_developer", "task_description": "Build it", "task_id": "api",
        "input_data": {"language": "Go"}}, "reviewer": "code_reviewer", "score": "score", "target": 8}));
    let mut refinement = Loop::new(goal, &maker()).expect("a loop");
    let create = refinement.begin().remove(0);
    let first = json!({"files": ["a.go"], "changes": ["its own"]});
    let review_1 = refinement.ended(&create, &completed(first.clone())).remove(0);
    assert_eq!((&*review_1.id, &*review_1.agent_type), ("api/review-1", "code_reviewer"));
    assert!(["Build it", "\"Go\"", "a.go", "its own"].iter().all(|told| review_1.brief.contains(told)));
    let told = json!({"score": 5.125, "issues_found": ["a leak"]});
    let refine_2 = refinement.ended(&review_1, &completed(told)).remove(0);
    assert_eq!((&*refine_2.id, &*refine_2.agent_type), ("api/refine-2", "backend_developer"));
    assert!(["Build it", "a.go", "a leak"].iter().all(|told| refine_2.brief.contains(told)), "{}", refine_2.brief);
    assert!(!refine_2.brief.contains("5.125"), "{}", refine_2.brief);
    assert_eq!(outcome(&refinement)["output"], first);
}

#[test]
fn the_score_is_what_the_reviewer_promises_or_a_small_review_is_asked_for() {
    // A letter, and a number on another scale, are no scores.
    let own = json!({"agent_type": "plain", "output_schema": {"type": "object", "properties": {"mark": {"type": "integer"}}}});
    let hundred = json!({"agent_type": "plain", "output_schema":
        {"type": "object", "properties": {"mark": {"type": "integer", "maximum": 100}}}});
    let both = json!({"agent_type": "plain", "output_schema": {"type": "object",
        "properties": {"score": {"type": "number"}, "overall_score": {"type": "number"}}}});
    for (reviewer, named, field, is_small) in [
        (json!("code_reviewer"), None, "score", false),
        (json!("plain"), None, "overall_score", true),
        (both, None, "overall_score", false),
        (json!("code_reviewer"), Some("score"), "score", false),
        (json!("agent_design_reviewer"), None, "overall_score", false),
        (json!("code_reviewer"), Some("quality"), "quality", true),
        (json!("security_reviewer"), None, "overall_score", true),
        (json!("security_reviewer"), Some("score"), "score", true),
        (own, Some("mark"), "mark", false),
        (hundred, Some("mark"), "mark", true),
    ] {
        let goal = of(json!({"task": {"agent_type": "plain", "task_description": "Say it"}, "reviewer": reviewer,
            "score": named}));
        let mut refinement = Loop::new(goal, &maker()).expect("a loop");
        let create = refinement.begin().remove(0);
        let review = refinement.ended(&create, &completed(json!("hello"))).remove(0);
        let schema = review.schema.expect("a schema").source().clone();
        assert_eq!(schema["properties"][field]["maximum"], 10.0, "{reviewer}");
        assert_eq!(schema["properties"].get("objections").is_some(), is_small, "{reviewer}");
        assert!(schema["required"].as_array().is_some_and(|names| names.contains(&json!(field))));
    }
}

#[test]
fn a_creators_work_is_improved_by_a_refiner() {
    let goal = of(json!({"task": {"agent_type": "agent_creator", "task_description": "Design one"},
        "reviewer": "agent_design_reviewer"}));
    let mut refinement = Loop::new(goal, &maker()).expect("a loop");
    let create = refinement.begin().remove(0);
    let review_1 = refinement.ended(&create, &version(1)).remove(0);
    assert!(!review_1.brief.contains("change 1"), "{}", review_1.brief);
    let refine_2 = refinement.ended(&review_1, &review(6.0)).remove(0);
    assert_eq!(&*refine_2.agent_type, "agent_refiner");
    assert!(refine_2.brief.contains("\"design\"") && refine_2.brief.contains("be brief"));
}

#[test]
fn a_version_that_cannot_be_shown_whole_is_kept_whole_and_ends_it() {
    let prompt = |count: usize| json!({"system_prompt": "\u{7}".repeat(count)});
    let (fits, large) = (prompt(SHOWN_BYTES_MAX / 6 - 10), prompt(SHOWN_BYTES_MAX / 6));
    let mut refinement = Loop::new(designs(8.5, 3), &maker()).expect("a loop");
    let create = refinement.begin().remove(0);
    assert_eq!(refinement.ended(&create, &completed(large.clone())), []);
    let told = outcome(&refinement);
    assert_eq!((&told["stopped_because"], &told["design"], &told["score"]), (&json!("failed"), &large, &Value::Null));
    assert!(
        told["error"].as_str().is_some_and(|error| error.contains("at most 262144 can be reviewed")),
        "{told:.300}"
    );

    let mut refinement = Loop::new(designs(8.5, 3), &maker()).expect("a loop");
    let create = refinement.begin().remove(0);
    let review_1 = refinement.ended(&create, &completed(fits.clone())).remove(0);
    let refine_2 = refinement.ended(&review_1, &review(6.0)).remove(0);
    assert_eq!(refinement.ended(&refine_2, &completed(large.clone())), [], "it grew too large");
    let told = outcome(&refinement);
    assert_eq!((&told["stopped_because"], &told["design"], &told["score"]), (&json!("failed"), &fits, &json!(6.0)));

    let mut refinement = Loop::new(given(designs(8.5, 3), large), &maker()).expect("a loop");
    assert_eq!(refinement.begin(), [], "nothing is spent on one that was given");
}

#[test]
fn of_objections_the_beginning_is_shown() {
    for (objection, count) in [("ä", SHOWN_BYTES_MAX), ("\u{7}", SHOWN_BYTES_MAX), ("x", 16 * SHOWN_BYTES_MAX)] {
        let mut refinement = Loop::new(designs(8.5, 3), &maker()).expect("a loop");
        let create = refinement.begin().remove(0);
        let review_1 = refinement.ended(&create, &version(1)).remove(0);
        let review = json!({"overall_score": 6, "recommendations": ["be brief", objection.repeat(count)]});
        let refine_2 = refinement.ended(&review_1, &completed(review)).remove(0);
        assert!(refine_2.brief.len() < SHOWN_BYTES_MAX + 2_000, "{}", refine_2.brief.len());
        assert!(refine_2.brief.len() > SHOWN_BYTES_MAX / 2, "{}", refine_2.brief.len());
        assert!(refine_2.brief.contains("be brief") && refine_2.brief.contains("[cut here: "), "{objection:?}");
    }
}

#[test]
fn an_end_of_anything_else_changes_nothing() {
    let mut refinement = Loop::new(designs(8.5, 3), &maker()).expect("a loop");
    let create = refinement.begin().remove(0);
    let other = Task { id: "b/create".into(), ..create.clone() };
    assert_eq!(refinement.ended(&other, &version(1)), []);
    refinement.ended(&create, &version(1));
    assert_eq!(refinement.ended(&create, &version(2)), []);
    assert_eq!(outcome(&refinement)["design"]["version"], "1.0.0");
}

#[test]
fn a_rehearsal_shows_rising_scores_and_versions_that_differ() {
    for (place, expected, why) in [
        (0, &[7.1, 8.2, 8.8][..], Stop::Target),
        (1, &[7.6, 8.6], Stop::Target),
        (2, &[7.4, 8.3, 8.1], Stop::Regression),
        (3, &[7.1, 8.2, 8.8], Stop::Target),
    ] {
        let mut refinement = Loop::new(designs(8.5, 3), &maker()).expect("a loop");
        let (mut waiting, mut scores) = (refinement.begin(), Vec::new());
        while let Some(task) = waiting.pop() {
            let answer = refinement.rehearse(&task, place).expect("an answer");
            assert_eq!(Some(&answer), refinement.rehearse(&task, place).as_ref(), "the same each time");
            scores.extend(answer.get("overall_score").and_then(Value::as_f64));
            waiting.extend(refinement.ended(&task, &completed(answer)));
        }
        assert_eq!(scores, expected);
        assert_eq!(refinement.stopped().map(|stopped| stopped.why), Some(&why));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_scores_the_best_is_kept_rounds_are_bounded_and_no_task_comes_twice(
        scores in prop::collection::vec(0..=100_u8, 8),
        repeats in prop::collection::vec(0..12_usize, 8),
        target in 0..=100_u8,
        improvements_max in 0..7_usize,
    ) {
        let mut refinement = Loop::new(designs(f64::from(target) / 10.0, improvements_max), &maker()).expect("a loop");
        let (mut waiting, mut seen) = (refinement.begin(), BTreeSet::new());
        let (mut written, mut reviewed): (Vec<usize>, Vec<(usize, f64)>) = (Vec::new(), Vec::new());
        while let Some(task) = waiting.pop() {
            prop_assert!(seen.insert(task.id.clone()), "{} comes twice", task.id);
            prop_assert!(waiting.is_empty(), "one after the other");
            let end = if task.id.contains("/review-") {
                let score = f64::from(scores[reviewed.len()]) / 10.0;
                reviewed.push((*written.last().expect("a version"), score));
                review(score)
            } else {
                // Some versions are no others than earlier ones.
                let no = repeats.get(written.len()).filter(|no| written.contains(no)).copied();
                written.push(no.unwrap_or(100 + written.len()));
                version(*written.last().expect("a version"))
            };
            waiting.extend(refinement.ended(&task, &end));
        }
        let stopped = refinement.stopped().expect("it stops");
        let best = reviewed.iter().map(|(_, score)| *score).fold(f64::MIN, f64::max);
        let (first_best, _) = reviewed.iter().find(|(_, score)| *score >= best).expect("a review");
        prop_assert_eq!(stopped.score, Some(best));
        let told = outcome(&refinement);
        prop_assert_eq!(&told["design"]["version"], &json!(format!("{first_best}.0.0")));
        prop_assert_eq!(told["reached"] == json!(true), best >= f64::from(target) / 10.0);
        prop_assert!(written.len() <= 1 + improvements_max && reviewed.len() <= written.len());
        let rounds = told["rounds"].as_array().map_or(0, Vec::len);
        prop_assert_eq!(rounds, written.len());
    }
}
