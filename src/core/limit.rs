//! How many agents may run at once: the caller's bound, and below it what the runtime turned out to bear.
//!
//! Additive increase, multiplicative trust: a refusal lowers the limit to what is running, and a full round of
//! completed agents without a refusal raises it by one, as TCP's congestion avoidance does (RFC 5681).

use super::time::Time;

/// The limit in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    bound: usize,
    in_force: usize,
    completed_since: usize,
    refusals: u32,
    not_before: Option<Time>,
}

impl Limit {
    /// A limit of `bound`, at least 1.
    pub fn new(bound: usize) -> Self {
        let bound = bound.max(1);
        Self { bound, in_force: bound, completed_since: 0, refusals: 0, not_before: None }
    }

    /// How many may run now.
    pub fn in_force(&self) -> usize {
        self.in_force
    }

    /// Whether one more may start beside `live` others.
    pub fn admits(&self, live: usize, now: Time) -> bool {
        live < self.in_force && self.not_before.is_none_or(|time| time <= now)
    }

    /// When the next start is allowed, if a refusal holds it back.
    pub fn not_before(&self) -> Option<Time> {
        self.not_before
    }

    /// The runtime refused one more beside `live` others: no more than those at once. Returns how many refusals there
    /// were in a row; a burst that was sent before the first of its refusals came back counts once.
    pub fn refused(&mut self, live: usize, now: Time) -> u32 {
        self.in_force = live.clamp(1, self.bound).min(self.in_force);
        self.completed_since = 0;
        if self.not_before.is_none_or(|time| time <= now) {
            self.refusals = self.refusals.saturating_add(1);
        }
        self.refusals
    }

    /// No start before `until`, unless one of ours ends first.
    pub fn hold_until(&mut self, until: Time) {
        self.not_before = Some(until);
    }

    /// The runtime took one.
    pub fn accepted(&mut self) {
        self.refusals = 0;
        self.not_before = None;
    }

    /// One of ours ended and made room. Returns whether the limit rose.
    pub fn released(&mut self) -> bool {
        self.not_before = None;
        if self.in_force >= self.bound {
            return false;
        }
        self.completed_since += 1;
        if self.completed_since < self.in_force {
            return false;
        }
        self.completed_since = 0;
        self.in_force += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_000);
    const LATER: Time = Time::from_millis(2_000);

    fn refused_at(bound: usize, live: usize) -> Limit {
        let mut limit = Limit::new(bound);
        limit.refused(live, NOW);
        limit.hold_until(LATER);
        limit
    }

    #[test]
    fn a_refusal_lowers_the_limit_to_what_is_borne_and_holds_the_next_start_back() {
        let limit = refused_at(20, 5);
        assert_eq!(limit.in_force(), 5);
        assert!(!limit.admits(4, NOW), "not before the wait is over");
        assert!(limit.admits(4, LATER));
        assert!(!limit.admits(5, LATER), "no more than the runtime bore");
    }

    #[test]
    fn an_agent_that_ends_makes_room_at_once() {
        let mut limit = refused_at(20, 5);
        limit.released();
        assert!(limit.admits(4, NOW));
    }

    #[test]
    fn a_full_round_without_a_refusal_tries_one_more() {
        let mut limit = refused_at(4, 2);
        let rises: Vec<bool> = (0..6).map(|_| limit.released()).collect();
        assert_eq!(rises, [false, true, false, false, true, false]);
        assert_eq!(limit.in_force(), 4, "never above the caller's bound");
    }

    #[test]
    fn refusals_never_stop_everything() {
        assert_eq!(refused_at(3, 0).in_force(), 1);
    }

    #[test]
    fn a_burst_of_refusals_counts_once_and_never_raises_the_limit() {
        let mut limit = refused_at(20, 2);
        assert_eq!(limit.refused(9, NOW), 1, "still inside the first wait");
        assert_eq!(limit.refused(9, LATER), 2);
        assert_eq!(limit.in_force(), 2);
    }
}
