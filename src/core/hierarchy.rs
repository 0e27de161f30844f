//! Tiers of models from cheap to costly, and what follows a failure: the same tier again, the next one, or the end.
//!
//! Escalating on the observed failure instead of asking every tier follows FrugalGPT (arXiv 2305.05176); that no tier
//! is asked without a reason follows arXiv 2605.06350 (full fixed chains lose to the best pair).

use std::collections::HashSet;
use std::sync::Arc;

use thiserror::Error;

use super::check::Check;
use super::failure::FailureKind;
use super::output::{NAME_CHARS, abridged};
use super::retry::RetryPolicy;
use super::usage::Price;

/// The models that are tried where the caller names none, cheapest first.
pub const DEFAULT_MODELS: [&str; 3] = ["anthropic/claude-haiku-4-5", "kimi-coding/k2p5", "anthropic/claude-opus-4-5"];

/// The longest name of a model, in bytes.
const MODEL_BYTES_MAX: usize = 200;

/// One model of a hierarchy.
#[derive(Debug, Clone, PartialEq)]
pub struct Tier {
    /// The model, as the runtime names it: `provider/id`.
    pub model: Arc<str>,
    /// The caller's price; without one, what the runtime reports counts.
    pub price: Option<Price>,
}

/// Models from cheap to costly. Never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelHierarchy {
    tiers: Vec<Tier>,
}

/// A hierarchy that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HierarchyError {
    /// No tier at all.
    #[error("models: the list is empty, expected at least one model such as `{}`", DEFAULT_MODELS[0])]
    Empty,
    /// A tier with a name that no model has.
    #[error("models: tier {index} is named `{shown}`, expected a model such as `{name}`", name = DEFAULT_MODELS[0])]
    Misnamed {
        /// Which tier.
        index: usize,
        /// Its name, as far as it can be shown.
        shown: String,
    },
    /// A tier without a name.
    #[error("models: tier {0} has an empty name, expected a model such as `{name}`", name = DEFAULT_MODELS[0])]
    Unnamed(usize),
    /// The same model twice: it would be paid twice for the same failure.
    #[error("models: `{0}` is listed twice; name each model once")]
    Twice(Arc<str>),
    /// A price that is not a finite number of dollars, zero or more.
    #[error("models: the price of `{0}` is negative or not a number, expected US dollars per million tokens")]
    Price(Arc<str>),
    /// The runtime knows none of the models.
    #[error(
        "no usable model: the gateway knows none of {}; it is configured with {}; pass models=[...] with one of those",
        quoted(.wanted), quoted(.known)
    )]
    NoneUsable {
        /// What the hierarchy names.
        wanted: Vec<String>,
        /// What the runtime is configured with.
        known: Vec<String>,
    },
}

impl HierarchyError {
    /// The line of `parallel-agents doctor` that explains it; none where the list itself is wrong.
    pub const fn check(&self) -> Option<Check> {
        match self {
            Self::NoneUsable { .. } => Some(Check::Models),
            Self::Empty | Self::Misnamed { .. } | Self::Unnamed(_) | Self::Twice(_) | Self::Price(_) => None,
        }
    }
}

fn quoted(names: &[String]) -> String {
    if names.is_empty() {
        return "no model at all".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The same tier again; `repeat_no` (1-based) tells how long to wait first, 0 says at once.
    RetryHere {
        /// The number of this repeat.
        repeat_no: u32,
    },
    /// The next tier, at once.
    Climb,
    /// The task has failed.
    GiveUp,
}

/// Failures of one task so far, as far as the next step depends on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct History {
    /// Attempts spent, on all tiers.
    pub attempts: u32,
    /// The tier of the latest attempt, 0-based.
    pub tier: usize,
    transient: u32,
    server_error: u32,
    output: u32,
}

impl ModelHierarchy {
    /// A hierarchy of `tiers`, cheapest first.
    pub fn new(tiers: Vec<Tier>) -> Result<Self, HierarchyError> {
        if tiers.is_empty() {
            return Err(HierarchyError::Empty);
        }
        let mut names = HashSet::with_capacity(tiers.len());
        for (index, tier) in tiers.iter().enumerate() {
            if tier.model.trim().is_empty() {
                return Err(HierarchyError::Unnamed(index));
            }
            if tier.model.len() > MODEL_BYTES_MAX || tier.model.contains(char::is_control) {
                return Err(HierarchyError::Misnamed { index, shown: abridged(&tier.model, NAME_CHARS) });
            }
            if !names.insert(&*tier.model) {
                return Err(HierarchyError::Twice(tier.model.clone()));
            }
            if let Some(price) = tier.price
                && [price.input, price.output, price.cache_read, price.cache_write]
                    .iter()
                    .any(|dollars| !dollars.is_finite() || *dollars < 0.0)
            {
                return Err(HierarchyError::Price(tier.model.clone()));
            }
        }
        Ok(Self { tiers })
    }

    /// A hierarchy of the names alone; what they cost is what the runtime reports.
    pub fn of_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, HierarchyError> {
        Self::new(names.into_iter().map(|name| Tier { model: name.into(), price: None }).collect())
    }

    /// The tiers, cheapest first.
    pub fn tiers(&self) -> &[Tier] {
        &self.tiers
    }

    /// The same, with `price` where a tier has none.
    #[must_use]
    pub fn priced(&self, price: impl Fn(&str) -> Option<Price>) -> Self {
        let tier = |tier: &Tier| Tier { price: tier.price.or_else(|| price(&tier.model)), ..tier.clone() };
        Self { tiers: self.tiers.iter().map(tier).collect() }
    }

    /// The hierarchy without the tiers that the runtime does not know, and the names of those. `known` is what it is
    /// configured with, for the error.
    pub fn usable(
        &self,
        is_known: impl Fn(&str) -> bool,
        known: impl FnOnce() -> Vec<String>,
    ) -> Result<(Self, Vec<Arc<str>>), HierarchyError> {
        let (kept, passed_over): (Vec<_>, Vec<_>) = self.tiers.iter().cloned().partition(|tier| is_known(&tier.model));
        if kept.is_empty() {
            return Err(HierarchyError::NoneUsable {
                wanted: self.tiers.iter().map(|tier| tier.model.to_string()).collect(),
                known: known(),
            });
        }
        Ok((Self { tiers: kept }, passed_over.into_iter().map(|tier| tier.model).collect()))
    }
}

impl Default for ModelHierarchy {
    fn default() -> Self {
        Self { tiers: DEFAULT_MODELS.into_iter().map(|name| Tier { model: name.into(), price: None }).collect() }
    }
}

impl History {
    /// The tier was asked for another answer and gave the same one: it is not asked again.
    pub fn repeated_itself(&mut self) {
        self.output = u32::MAX;
    }

    /// The same tier, nothing spent.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self { tier: self.tier, ..Self::default() }
    }

    /// Goes on at a dearer tier without having failed on this one.
    pub fn climb_to(&mut self, tier: usize) {
        if tier > self.tier {
            *self = Self { attempts: self.attempts, tier, ..Self::default() };
        }
    }

    /// Counts a failed attempt and says what follows it.
    ///
    /// Failures are counted per tier and kind; an attempt that was refused as busy is not spent and not counted.
    pub fn after(&mut self, failure: FailureKind, hierarchy: &ModelHierarchy, policy: &RetryPolicy) -> Step {
        self.attempts += 1;
        let repeat = match failure {
            FailureKind::Permanent
            | FailureKind::Truncated
            | FailureKind::Stopped
            | FailureKind::Question
            | FailureKind::Busy => return Step::GiveUp,
            FailureKind::Model | FailureKind::Timeout => None,
            FailureKind::Transient => repeat(&mut self.transient, policy.transient_retries_max),
            FailureKind::ServerError => repeat(&mut self.server_error, policy.server_error_retries_max),
            FailureKind::Output => repeat(&mut self.output, policy.output_retries_max).map(|_| 0),
        };
        if self.attempts >= policy.attempts_max {
            return Step::GiveUp;
        }
        if let Some(repeat_no) = repeat {
            return Step::RetryHere { repeat_no };
        }
        if self.tier + 1 >= hierarchy.tiers.len() {
            return Step::GiveUp;
        }
        *self = Self { attempts: self.attempts, tier: self.tier + 1, ..Self::default() };
        Step::Climb
    }
}

fn repeat(count: &mut u32, max: u32) -> Option<u32> {
    if *count >= max {
        return None;
    }
    *count += 1;
    Some(*count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(failures: &[FailureKind]) -> Vec<(Step, usize)> {
        let (hierarchy, policy) = (ModelHierarchy::default(), RetryPolicy::default());
        let mut history = History::default();
        failures.iter().map(|failure| (history.after(*failure, &hierarchy, &policy), history.tier)).collect()
    }

    #[test]
    fn a_transient_failure_is_retried_twice_on_a_tier_then_escalated() {
        use FailureKind::Transient;
        let expected = [
            (Step::RetryHere { repeat_no: 1 }, 0),
            (Step::RetryHere { repeat_no: 2 }, 0),
            (Step::Climb, 1),
            (Step::RetryHere { repeat_no: 1 }, 1),
        ];
        assert_eq!(steps(&[Transient; 4]), expected);
    }

    #[test]
    fn a_server_error_is_retried_once_then_escalated() {
        use FailureKind::ServerError;
        assert_eq!(steps(&[ServerError; 2]), [(Step::RetryHere { repeat_no: 1 }, 0), (Step::Climb, 1)]);
    }

    #[test]
    fn an_unusable_output_is_asked_for_once_more_at_once_then_escalated() {
        use FailureKind::Output;
        assert_eq!(steps(&[Output; 2]), [(Step::RetryHere { repeat_no: 0 }, 0), (Step::Climb, 1)]);
    }

    #[test]
    fn a_model_that_fails_or_is_too_slow_is_never_asked_again() {
        use FailureKind::{Model, Timeout};
        assert_eq!(steps(&[Model, Timeout, Model]), [(Step::Climb, 1), (Step::Climb, 2), (Step::GiveUp, 2)]);
    }

    #[test]
    fn what_no_repetition_helps_fails_at_once() {
        assert_eq!(steps(&[FailureKind::Permanent]), [(Step::GiveUp, 0)]);
        assert_eq!(steps(&[FailureKind::Truncated]), [(Step::GiveUp, 0)], "a dearer model's answer would be cut too");
        assert_eq!(steps(&[FailureKind::Stopped]), [(Step::GiveUp, 0)]);
    }

    #[test]
    fn attempts_are_bounded_over_all_tiers() {
        let failures = [FailureKind::Transient; 9];
        let spent = steps(&failures).iter().position(|(step, _)| *step == Step::GiveUp);
        assert_eq!(spent, Some(7), "the eighth failure is the last");
    }

    #[test]
    fn unknown_tiers_are_passed_over_and_none_left_is_an_error() {
        let known = || vec!["other/model".to_owned()];
        let (usable, passed_over) =
            ModelHierarchy::default().usable(|model| model == "kimi-coding/k2p5", known).expect("one is known");
        assert_eq!(usable.tiers().len(), 1);
        assert_eq!(passed_over.len(), 2);
        let error = ModelHierarchy::default().usable(|_| false, known).expect_err("none is known");
        assert!(error.to_string().contains("`other/model`"), "{error}");
        assert_eq!(error.check(), Some(Check::Models));
    }

    #[test]
    fn a_hierarchy_that_cannot_be_used_is_refused_by_name() {
        let messages: Vec<String> = [
            ModelHierarchy::of_names([]),
            ModelHierarchy::of_names(["a/b", " "]),
            ModelHierarchy::of_names(["a/b", "a/b"]),
            ModelHierarchy::of_names(["a/b\n"]),
            ModelHierarchy::new(vec![Tier {
                model: "a/b".into(),
                price: Some(Price { input: -1.0, output: 0.0, cache_read: 0.0, cache_write: 0.0 }),
            }]),
        ]
        .into_iter()
        .map(|result| result.expect_err("refused"))
        .inspect(|error| assert_eq!(error.check(), None, "it names the value itself"))
        .map(|error| error.to_string())
        .collect();
        assert_eq!(
            messages,
            [
                "models: the list is empty, expected at least one model such as `anthropic/claude-haiku-4-5`",
                "models: tier 1 has an empty name, expected a model such as `anthropic/claude-haiku-4-5`",
                "models: `a/b` is listed twice; name each model once",
                "models: tier 0 is named `a/b\\n`, expected a model such as `anthropic/claude-haiku-4-5`",
                "models: the price of `a/b` is negative or not a number, expected US dollars per million tokens",
            ]
        );
    }
}
