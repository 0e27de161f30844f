//! How often an attempt is repeated, and after how long. Draws no randomness: the caller passes the draw in.
//!
//! Exponential backoff with full jitter, after the analysis in the AWS Architecture Blog, "Exponential Backoff And
//! Jitter" (2015): a delay is drawn evenly from zero to the doubled cap, which spreads a herd best.

use std::time::Duration;

use thiserror::Error;

/// Bounds of retries. All of them are the caller's to set; the defaults stand beside the fields.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// Attempts a task may spend, over all tiers. Default 8.
    pub attempts_max: u32,
    /// Repeats on one tier after a transient failure. Default 2.
    pub transient_retries_max: u32,
    /// Repeats on one tier after the provider answered 5xx. Default 1.
    pub server_error_retries_max: u32,
    /// Repeats on one tier, the objection in the prompt, after an unusable output. Default 1.
    pub output_retries_max: u32,
    /// Retries of the whole run, on whatever tier, as a share of the tasks that have started. Default 0.1, after the
    /// Google SRE book's chapter on overload.
    pub retries_share: f64,
    /// Retries that a run may make whatever the share says. Default 50.
    pub retries_min: u32,
    /// The cap of the first delay, doubled for each further one. Default 1 s.
    pub delay_first: Duration,
    /// The cap that doubling never passes. Default 30 s.
    pub delay_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 8,
            transient_retries_max: 2,
            server_error_retries_max: 1,
            output_retries_max: 1,
            retries_share: 0.1,
            retries_min: 50,
            delay_first: Duration::from_secs(1),
            delay_max: Duration::from_secs(30),
        }
    }
}

/// A policy that cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RetryError {
    /// No attempt at all was allowed.
    #[error("retry: `attempts_max` is `0`, expected at least 1")]
    NoAttempts,
    /// A share that is no number from zero on.
    #[error("retry: `retries_share` is `{0}`, expected a number from 0 on; 0.1 is a tenth")]
    Share(String),
    /// The delays contradict each other.
    #[error("retry: `delay_first` is {first:?}, more than `delay_max`, {max:?}; raise `delay_max`")]
    DelayOrder {
        /// The first delay's cap.
        first: Duration,
        /// The last delay's cap.
        max: Duration,
    },
}

impl RetryPolicy {
    /// Checks that the policy can be kept.
    pub fn validate(&self) -> Result<(), RetryError> {
        if self.attempts_max == 0 {
            return Err(RetryError::NoAttempts);
        }
        if !(self.retries_share.is_finite() && self.retries_share >= 0.0) {
            return Err(RetryError::Share(self.retries_share.to_string()));
        }
        if self.delay_first > self.delay_max {
            return Err(RetryError::DelayOrder { first: self.delay_first, max: self.delay_max });
        }
        Ok(())
    }

    /// How many retries a run may make of which `tasks` have started.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be a small number above zero"
    )]
    pub fn retries_max(&self, tasks: u32) -> u32 {
        self.retries_min.saturating_add((f64::from(tasks) * self.retries_share) as u32)
    }

    /// The delay before repeat number `repeat_no` (1-based), for an even `draw` from `[0, 1)`.
    pub fn delay(&self, repeat_no: u32, draw: f64) -> Duration {
        let doublings = repeat_no.saturating_sub(1).min(63);
        let cap = u32::try_from(1_u64 << doublings.min(31))
            .ok()
            .and_then(|factor| self.delay_first.checked_mul(factor))
            .map_or(self.delay_max, |delay| delay.min(self.delay_max));
        cap.mul_f64(draw.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_cap_doubles_from_the_first_delay_to_the_last() {
        let policy = RetryPolicy::default();
        let caps: Vec<u64> = (1..=8).map(|repeat_no| policy.delay(repeat_no, 1.0).as_secs()).collect();
        assert_eq!(caps, [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn jitter_reaches_down_to_no_delay_at_all() {
        assert_eq!(RetryPolicy::default().delay(5, 0.0), Duration::ZERO);
    }

    #[test]
    fn a_run_makes_a_floor_of_retries_and_a_share_of_its_tasks() {
        let policy = |retries_min, retries_share| RetryPolicy { retries_share, retries_min, ..RetryPolicy::default() };
        for (retries_min, retries_share, tasks, expected) in [
            (50, 0.1, 0, 50),
            (50, 0.1, 9, 50),
            (50, 0.1, 10, 51),
            (50, 0.1, 10_000, 1_050),
            (0, 0.0, 10_000, 0),
            (0, 2.5, 3, 7),
            (u32::MAX, 1.0, 5, u32::MAX),
            (1, 1e300, 5, u32::MAX),
        ] {
            let said = policy(retries_min, retries_share).retries_max(tasks);
            assert_eq!(said, expected, "{retries_min} and {retries_share} of {tasks}");
        }
    }

    #[test]
    fn a_policy_without_attempts_or_with_crossed_delays_is_refused() {
        let none = RetryPolicy { attempts_max: 0, ..RetryPolicy::default() };
        assert_eq!(none.validate(), Err(RetryError::NoAttempts));
        let crossed = RetryPolicy { delay_first: Duration::from_secs(31), ..RetryPolicy::default() };
        assert!(matches!(crossed.validate(), Err(RetryError::DelayOrder { .. })));
        for retries_share in [f64::NAN, f64::INFINITY, -0.1] {
            let shared = RetryPolicy { retries_share, ..RetryPolicy::default() };
            assert!(matches!(shared.validate(), Err(RetryError::Share(_))), "{retries_share}");
        }
        assert_eq!(RetryPolicy::default().validate(), Ok(()));
    }

    proptest! {
        #[test]
        fn a_delay_never_passes_its_cap(repeat_no in 0_u32..=u32::MAX, draw in 0.0_f64..1.0) {
            let policy = RetryPolicy::default();
            prop_assert!(policy.delay(repeat_no, draw) <= policy.delay_max);
        }
    }
}
