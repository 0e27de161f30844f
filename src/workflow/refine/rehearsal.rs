//! What the agents of a refinement answer in a rehearsal: versions that differ, and scores that show what can happen.

use serde_json::{Value, json};

use super::goal::Goal;
use crate::core::plan::Task;
use crate::workflow::example::{MARK, example, fits};

/// The scores of the first rounds, for the first, second and third of refinements side by side: one reaches 8.5 in its
/// third round, one in its second, and one gets worse.
const SCORES: [[f64; 3]; 3] = [[7.1, 8.2, 8.8], [7.6, 8.6, 9.0], [7.4, 8.3, 8.1]];

/// The answer to the task `step` of the refinement at `place` among others.
pub(super) fn rehearse(goal: &Goal, step: &str, task: &Task, place: usize) -> Option<Value> {
    let (what, round_no) = step.split_once('-').unwrap_or((step, "1"));
    let round_no: usize = round_no.parse().ok()?;
    let mark = match round_no {
        1 => MARK.to_owned(),
        _ => format!("{MARK} (version {round_no})"),
    };
    let mut answer = example(task, &mark);
    if what == "review" {
        answer[goal.score_field()] = score(place, round_no).into();
    } else if let (true, Value::Object(fields)) = (goal.is_design(), &mut answer) {
        for (field, value) in [("agent_name", json!(goal.name)), ("version", json!(format!("1.{}.0", round_no - 1)))] {
            fields.insert(field.to_owned(), value);
        }
    }
    fits(task, &answer).then_some(answer)
}

fn score(place: usize, round_no: usize) -> f64 {
    let scores = SCORES[place % SCORES.len()];
    let known = scores[round_no.clamp(1, scores.len()) - 1];
    // Ever smaller steps, and never a perfect version.
    let later = (scores.len()..round_no).fold(known, |score, _| f64::midpoint(score, 9.9));
    (later * 100.0).round() / 100.0
}
