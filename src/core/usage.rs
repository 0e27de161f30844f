//! What an attempt used and what it cost. Unknown stays unknown: a missing figure is never read as zero.

use serde::Serialize;

/// Tokens of one attempt, summed over all its model calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tokens {
    /// Tokens sent, without what came from a cache.
    pub input: u64,
    /// Tokens written by the model.
    pub output: u64,
    /// Tokens read from the provider's prompt cache.
    pub cache_read: u64,
    /// Tokens written into the provider's prompt cache.
    pub cache_write: u64,
    /// All of them.
    pub total: u64,
}

impl Tokens {
    /// What a runtime tells. Where it does not tell `total`, that is the sum of the others.
    pub fn told(input: u64, output: u64, cache_read: u64, cache_write: u64, total: Option<u64>) -> Self {
        let sum = || input.saturating_add(output).saturating_add(cache_read).saturating_add(cache_write);
        Self { input, output, cache_read, cache_write, total: total.unwrap_or_else(sum) }
    }

    /// The sum of two attempts.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            total: self.total.saturating_add(other.total),
        }
    }
}

/// What a model costs, in US dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Price {
    /// Per million tokens sent.
    pub input: f64,
    /// Per million tokens written.
    pub output: f64,
    /// Per million tokens read from the cache; as `input` where it was not given.
    pub cache_read: f64,
    /// Per million tokens written into the cache; as `input` where it was not given.
    pub cache_write: f64,
}

impl Price {
    /// The cost of `tokens` in US dollars.
    #[expect(clippy::cast_precision_loss, reason = "token counts stay far below 2^53")]
    pub fn of(&self, tokens: Tokens) -> f64 {
        (tokens.input as f64 * self.input
            + tokens.output as f64 * self.output
            + tokens.cache_read as f64 * self.cache_read
            + tokens.cache_write as f64 * self.cache_write)
            / 1e6
    }
}

/// The most that one attempt can cost, in US dollars. Any sum of such costs is a number.
pub const COST_MAX: f64 = 1e9;

/// What a runtime reported of one attempt. `None` where it said nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usage {
    /// Tokens, if reported.
    pub tokens: Option<Tokens>,
    /// US dollars, if reported.
    pub cost: Option<f64>,
}

impl Usage {
    /// Of what certainly never started.
    pub const NOTHING: Self =
        Self { tokens: Some(Tokens { input: 0, output: 0, cache_read: 0, cache_write: 0, total: 0 }), cost: Some(0.0) };

    /// The cost of the attempt: the caller's own price comes first, then what the runtime reported.
    ///
    /// A runtime without a price for a model reports a cost of zero; with tokens used and no price of the caller's
    /// that is "unknown", not "free". So is what no attempt can cost: less than nothing, or more than [`COST_MAX`].
    pub fn cost_at(&self, price: Option<&Price>) -> Option<f64> {
        let cost = match (price, self.tokens, self.cost) {
            (Some(price), Some(tokens), _) => Some(price.of(tokens)),
            (_, _, Some(cost)) if cost > 0.0 => Some(cost),
            (_, Some(tokens), Some(cost)) if tokens.total == 0 => Some(cost),
            _ => None,
        };
        cost.filter(|cost| (0.0..=COST_MAX).contains(cost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENS: Tokens =
        Tokens { input: 1_000_000, output: 500_000, cache_read: 0, cache_write: 0, total: 1_500_000 };
    const PRICE: Price = Price { input: 1.0, output: 4.0, cache_read: 1.0, cache_write: 1.0 };

    #[test]
    fn the_callers_price_comes_before_what_was_reported() {
        let usage = Usage { tokens: Some(TOKENS), cost: Some(99.0) };
        assert_eq!(usage.cost_at(Some(&PRICE)), Some(3.0));
        assert_eq!(usage.cost_at(None), Some(99.0));
    }

    #[test]
    fn an_unknown_price_is_never_zero() {
        assert_eq!(Usage { tokens: Some(TOKENS), cost: Some(0.0) }.cost_at(None), None);
        assert_eq!(Usage { tokens: Some(TOKENS), cost: None }.cost_at(None), None);
        assert_eq!(Usage::default().cost_at(Some(&PRICE)), None);
    }

    #[test]
    fn what_no_attempt_can_cost_is_unknown() {
        let none = Some(Tokens::default());
        for cost in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(Usage { tokens: none, cost: Some(cost) }.cost_at(None), None, "{cost}");
        }
        let endless = Tokens::told(u64::MAX, u64::MAX, 1, 1, None);
        assert_eq!(endless.total, u64::MAX);
        assert_eq!(Usage { tokens: Some(endless), cost: None }.cost_at(Some(&PRICE)), None);
    }

    #[test]
    fn an_attempt_that_used_nothing_costs_nothing() {
        let usage = Usage { tokens: Some(Tokens::default()), cost: Some(0.0) };
        assert_eq!(usage.cost_at(None), Some(0.0));
    }
}
