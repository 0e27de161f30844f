//! What a score means for a refinement: whether its version is the best so far, and whether there is more to do.

use serde_json::Value;

/// The step of the reviewers' scale: a smaller gain is none.
pub const GAIN_MIN: f64 = 0.1;
/// The end of the scale, which begins at 0.
pub const SCORE_MAX: f64 = 10.0;

/// Why a refinement goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The wanted score is reached.
    Target,
    /// The latest version is not better by at least [`GAIN_MIN`].
    Plateau,
    /// The latest version is worse.
    Regression,
    /// It was improved as often as it may be.
    IterationsMax,
    /// An agent failed, or wrote what nothing can be made of.
    Failed(String),
    /// Somebody else stopped an agent.
    Cancelled(String),
}

impl Stop {
    /// The documented name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Plateau => "plateau",
            Self::Regression => "regression",
            Self::IterationsMax => "iterations_max",
            Self::Failed(_) => "failed",
            Self::Cancelled(_) => "cancelled",
        }
    }

    /// What went wrong, if anything did.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Target | Self::Plateau | Self::Regression | Self::IterationsMax => None,
            Self::Failed(reason) | Self::Cancelled(reason) => Some(reason),
        }
    }
}

/// What a refinement is measured by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// The score that is good enough, from 0 to 10.
    pub target: f64,
    /// How often the first version is improved at the most.
    pub improvements_max: usize,
}

/// What follows a score.
#[derive(Debug, PartialEq)]
pub struct Judgement {
    /// Whether its version takes the place of the best one.
    pub is_best: bool,
    /// Why there is nothing more to do, if so.
    pub stop: Option<Stop>,
}

/// What `score` means for a version that was improved `improvements` times, where the best one before it has `best`.
pub fn judge(best: Option<f64>, score: f64, improvements: usize, bounds: Bounds) -> Judgement {
    // Scores have one or two decimals; what binary fractions make of them has more.
    let gain = best.map(|best| ((score - best) * 1e6).round() / 1e6);
    let stop = match gain {
        _ if score >= bounds.target => Some(Stop::Target),
        Some(gain) if gain < 0.0 => Some(Stop::Regression),
        Some(gain) if gain < GAIN_MIN => Some(Stop::Plateau),
        Some(_) | None if improvements >= bounds.improvements_max => Some(Stop::IterationsMax),
        Some(_) | None => None,
    };
    Judgement { is_best: gain.is_none_or(|gain| gain > 0.0), stop }
}

/// Whether two values are the same, however their numbers are written.
pub fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let has = |(name, value)| other.get(name).is_some_and(|other: &Value| same(value, other));
            one.len() == other.len() && one.iter().all(has)
        }
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_score_says_whether_to_go_on_and_which_version_is_kept() {
        let bounds = Bounds { target: 8.5, improvements_max: 3 };
        let none: Option<Stop> = None;
        for (best, score, improvements, is_best, stop) in [
            (None, 6.0, 0, true, none.clone()),
            (None, 8.5, 0, true, Some(Stop::Target)),
            (None, 0.0, 0, true, None),
            (Some(6.0), 6.1, 1, true, None),
            (Some(7.1), 7.2, 1, true, None),
            (Some(6.0), 6.05, 1, true, Some(Stop::Plateau)),
            (Some(6.0), 6.0, 1, false, Some(Stop::Plateau)),
            (Some(6.0), 5.9, 1, false, Some(Stop::Regression)),
            (Some(8.45), 8.5, 1, true, Some(Stop::Target)),
            (Some(8.0), 8.4, 3, true, Some(Stop::IterationsMax)),
            (Some(8.0), 8.6, 3, true, Some(Stop::Target)),
            (Some(8.0), 7.0, 3, false, Some(Stop::Regression)),
        ] {
            let expected = Judgement { is_best, stop };
            assert_eq!(judge(best, score, improvements, bounds), expected, "{score} after {best:?}");
        }
        let only_reviewed = Bounds { improvements_max: 0, ..bounds };
        assert_eq!(judge(None, 5.0, 0, only_reviewed).stop, Some(Stop::IterationsMax));
    }

    #[test]
    fn versions_are_the_same_whatever_the_order_of_their_fields() {
        assert!(same(&json!({"a": 1, "b": [2.0]}), &json!({"b": [2], "a": 1.0})));
        for other in [json!({"a": 1}), json!({"a": 1, "b": [3]}), json!({"a": 1, "c": [2]}), json!([1]), json!(null)] {
            assert!(!same(&json!({"a": 1, "b": [2]}), &other), "{other}");
        }
    }
}
