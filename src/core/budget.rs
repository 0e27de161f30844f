//! What a run may spend: reserved before an attempt starts, settled after it has ended.
//!
//! The ledger is a fold over facts. What is spent and what is reserved never pass a cap together when an attempt starts,
//! so that attempts side by side cannot spend the same money; only an attempt that uses more than was reserved for it can
//! take a run above its cap, and the ledger tells by how much.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::action::AttemptRef;
use super::fact::{Event, Fact, Outcome};
use super::hierarchy::Tier;
use super::plan::{Plan, Task};
use super::time::Time;
use super::usage::Tokens;

/// After how many attempts of a model that told no figure at all its price counts as one that nobody tells.
const BLIND_MAX: u32 = 3;
/// What sums of dollars may be off by.
const ROUNDING: f64 = 1e-9;

/// Caps of a run; `None` is no cap. A cap that is reached keeps further attempts from starting and ends nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Budget {
    /// US dollars.
    pub usd: Option<f64>,
    /// Tokens, of all kinds together.
    pub tokens: Option<u64>,
    /// Attempts, over all tasks.
    pub attempts: Option<u64>,
    /// Time since the run began, after which no attempt starts.
    pub time: Option<Duration>,
}

/// The caps of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cap {
    /// [`Budget::usd`].
    Usd,
    /// [`Budget::tokens`].
    Tokens,
    /// [`Budget::attempts`].
    Attempts,
    /// [`Budget::time`].
    Time,
    /// [`Budget::usd`] again, where the price of a model turned out to be unknown.
    Price,
}

impl Cap {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Usd, Self::Tokens, Self::Attempts, Self::Time, Self::Price];

    /// The documented name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Usd => "usd",
            Self::Tokens => "tokens",
            Self::Attempts => "attempts",
            Self::Time => "seconds",
            Self::Price => "price",
        }
    }
}

/// What one attempt is expected to use at the most.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reservation {
    /// US dollars; `None` while the model's price is unknown.
    pub usd: Option<f64>,
    /// Tokens.
    pub tokens: u64,
}

/// How an attempt's use is estimated before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// How many bytes of a prompt make a token, at the least. Default 3.
    pub token_bytes: u64,
    /// Tokens that the runtime sends beside the prompt. Default 12,000: an agent's own instructions and tools.
    pub input_extra: u64,
    /// Tokens that an agent writes. Default 8,000.
    pub output: u64,
}

impl Default for Estimate {
    fn default() -> Self {
        Self { token_bytes: 3, input_extra: 12_000, output: 8_000 }
    }
}

impl Estimate {
    /// The US dollars that the first attempt at `task` may take, if the price of its first model is known.
    pub fn usd(&self, task: &Task) -> Option<f64> {
        Some(task.hierarchy.tiers().first()?.price.as_ref()?.of(self.tokens(task.prompt_bytes())))
    }

    fn tokens(&self, prompt_bytes: usize) -> Tokens {
        let input = (prompt_bytes as u64).div_ceil(self.token_bytes.max(1)) + self.input_extra;
        Tokens { input, output: self.output, total: input + self.output, ..Tokens::default() }
    }
}

/// Whether an attempt may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// At once.
    Now,
    /// Perhaps, when attempts have ended that may use less than was reserved for them.
    Later,
    /// Never again in this run.
    Never(Cap),
}

/// An attempt that is under way.
#[derive(Debug, Clone)]
struct Open {
    model: Arc<str>,
    reserved: Reservation,
    /// The factor that the reservation was made with.
    factor: f64,
}

/// What a run has spent and what is reserved.
#[derive(Debug, Clone)]
pub struct Ledger {
    budget: Budget,
    begun: Time,
    open: BTreeMap<AttemptRef, Open>,
    attempts: u64,
    usd: f64,
    tokens: u64,
    /// What attempts used above their reservations.
    overrun: Reservation,
    /// Attempts whose cost nobody told: they count with what was reserved for them.
    unpriced: u64,
    /// US dollars per token, the most that each model was seen to cost.
    rates: BTreeMap<Arc<str>, f64>,
    /// Attempts that nobody told a cost of and that nothing was reserved for: they count as nothing.
    uncounted: u64,
    /// Such attempts of each model.
    blind: BTreeMap<Arc<str>, u32>,
    /// Models that used tokens and told no cost, or whose cost was never told for several attempts.
    priceless: BTreeSet<Arc<str>>,
    /// By how much attempts of a type used more than their estimate: the largest factor seen.
    factors: BTreeMap<Arc<str>, f64>,
}

impl Ledger {
    /// Nothing spent, in a run that begins now.
    pub fn new(budget: Budget, now: Time) -> Self {
        Self {
            budget,
            begun: now,
            open: BTreeMap::new(),
            attempts: 0,
            usd: 0.0,
            tokens: 0,
            overrun: Reservation { usd: Some(0.0), tokens: 0 },
            unpriced: 0,
            rates: BTreeMap::new(),
            uncounted: 0,
            blind: BTreeMap::new(),
            priceless: BTreeSet::new(),
            factors: BTreeMap::new(),
        }
    }

    /// Whether there is any cap at all.
    pub fn is_capped(&self) -> bool {
        self.budget != Budget::default()
    }

    /// The caps.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What the next attempt of `task` on `model` is expected to use at the most. Where its type was seen to use more
    /// than estimated, as much more.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bound")]
    pub fn worst_case(&self, task: &Task, tier: &Tier, prompt_bytes: usize, estimate: &Estimate) -> Reservation {
        if !self.is_capped() {
            return Reservation::default();
        }
        let tokens = estimate.tokens(prompt_bytes);
        let factor = self.factor(&task.agent_type);
        let total = (tokens.total as f64 * factor).ceil();
        let usd = match &tier.price {
            Some(price) => Some(price.of(tokens) * factor),
            None => self.rates.get(&tier.model).map(|rate| rate * total),
        };
        Reservation { usd, tokens: total as u64 }
    }

    fn factor(&self, agent_type: &Arc<str>) -> f64 {
        self.factors.get(agent_type).copied().unwrap_or(1.0)
    }

    /// Whether an attempt on `model` that takes `needed` may start now.
    pub fn admits(&self, model: &str, needed: &Reservation, now: Time) -> Admission {
        if self.budget.time.is_some_and(|time| now >= self.begun + time) {
            return Admission::Never(Cap::Time);
        }
        let live = self.open.len() as u64;
        let reserved = self.open.values().fold(0_u64, |sum, open| sum.saturating_add(open.reserved.tokens));
        [
            self.budget.attempts.map(|cap| (Cap::Attempts, fits(self.attempts < cap, self.attempts + live < cap))),
            self.budget.tokens.map(|cap| {
                let spent = self.tokens.saturating_add(needed.tokens);
                (Cap::Tokens, fits(spent <= cap, spent.saturating_add(reserved) <= cap))
            }),
            self.budget.usd.map(|cap| self.admits_usd(cap, model, needed.usd)),
        ]
        .into_iter()
        .flatten()
        .map(|(cap, admission)| {
            admission.map_or(Admission::Never(cap), |now| if now { Admission::Now } else { Admission::Later })
        })
        .max_by_key(|admission| match admission {
            Admission::Now => 0,
            Admission::Later => 1,
            Admission::Never(_) => 2,
        })
        .unwrap_or(Admission::Now)
    }

    /// An attempt of unknown price runs alone: it may take all that is left, and shows the price.
    fn admits_usd(&self, cap: f64, model: &str, needed: Option<f64>) -> (Cap, Option<bool>) {
        let Some(needed) = needed else {
            if self.priceless.contains(model) {
                return (Cap::Price, None);
            }
            return (Cap::Usd, fits(self.usd < cap, self.open.is_empty()));
        };
        let reserved: Option<f64> = self.open.values().map(|open| open.reserved.usd).sum();
        let now = reserved.is_some_and(|reserved| self.usd + reserved + needed <= cap + ROUNDING);
        (Cap::Usd, fits(self.usd + needed <= cap + ROUNDING, now))
    }

    /// Why it does not bear all of these beside what is spent and under way, if it does not. An unknown price is no reason.
    pub fn complaint(&self, needed: &[Reservation]) -> Option<String> {
        let all = || needed.iter().chain(self.open.values().map(|open| &open.reserved));
        let attempts = self.attempts + all().count() as u64;
        let tokens = all().fold(self.tokens, |sum, each| sum.saturating_add(each.tokens));
        let usd = self.usd + all().filter_map(|each| each.usd).sum::<f64>();
        let Budget { usd: usd_max, tokens: tokens_max, attempts: attempts_max, time: _ } = self.budget;
        if let Some(max) = attempts_max.filter(|max| attempts > *max) {
            return Some(format!("it needs {attempts} attempts at least, and the budget has {max} for the whole run"));
        }
        if let Some(max) = tokens_max.filter(|max| tokens > *max) {
            return Some(format!("it may take {tokens} tokens, and the budget has {max} for the whole run"));
        }
        let max = usd_max.filter(|max| usd > *max + ROUNDING)?;
        Some(format!("it may cost ${usd:.2}, and the budget has ${max:.2} for the whole run"))
    }

    /// Takes one more fact of a run of `plan` in.
    pub fn apply(&mut self, fact: &Fact, plan: &Plan) {
        if !self.is_capped() {
            return;
        }
        match &fact.event {
            Event::RunStarted { .. } => self.begun = fact.at,
            Event::AttemptPlanned { attempt, model, reserved, .. } => {
                let factor = self.factor(&plan.tasks()[attempt.task_index].agent_type);
                self.open.insert(*attempt, Open { model: model.clone(), reserved: *reserved, factor });
            }
            Event::AttemptRefused { attempt, .. } => {
                self.open.remove(attempt);
            }
            Event::AttemptEnded { attempt, tokens, cost, outcome, .. } => {
                if let Some(open) = self.open.remove(attempt) {
                    let agent_type = &plan.tasks()[attempt.task_index].agent_type;
                    self.settle(agent_type, open, *tokens, *cost, *outcome == Outcome::Completed);
                }
            }
            Event::RunResumed { idle } => self.begun = self.begun + *idle,
            Event::RuntimeMet { .. }
            | Event::AttemptAccepted { .. }
            | Event::AttemptStarted { .. }
            | Event::AttemptStopping { .. }
            | Event::RetryPlanned { .. }
            | Event::LimitRaised { .. }
            | Event::TaskEnded { .. }
            | Event::TaskReopened { .. }
            | Event::BudgetReached { .. }
            | Event::BreakerOpened { .. }
            | Event::StartsStopped { .. }
            | Event::Cancelled { .. }
            | Event::TasksAdded { .. }
            | Event::ApprovalAsked { .. }
            | Event::WordGiven { .. }
            | Event::OutcomeReached { .. }
            | Event::SessionDeleted { .. }
            | Event::SessionLeft { .. }
            | Event::RunEnded => {}
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "token counts stay far below 2^53")]
    fn settle(&mut self, agent_type: &Arc<str>, open: Open, tokens: Option<Tokens>, cost: Option<f64>, is_done: bool) {
        let Open { model, reserved, factor: reserved_with } = open;
        // What cost nothing for certain was never started.
        let used = tokens.map(|tokens| tokens.total).or((cost == Some(0.0)).then_some(0));
        // Nothing was reserved for attempts of a process that had no caps.
        let is_reserved = reserved.tokens > 0;
        self.attempts += 1;
        self.tokens = self.tokens.saturating_add(used.unwrap_or(reserved.tokens));
        if let (Some(cap), Some(cost), None) = (self.budget.usd, cost, reserved.usd) {
            // Of unknown price, it ran alone and might have taken all that was left.
            let overrun = (self.usd + cost - cap).max(0.0).min(cost);
            self.overrun.usd = self.overrun.usd.map(|sum| sum + if is_reserved { overrun } else { 0.0 });
        }
        self.usd += cost.or(reserved.usd).unwrap_or(0.0);
        if let Some(used) = used.filter(|used| is_reserved && *used > reserved.tokens) {
            self.overrun.tokens = self.overrun.tokens.saturating_add(used - reserved.tokens);
            let factor = self.factors.entry(agent_type.clone()).or_insert(1.0);
            *factor = factor.max(reserved_with * used as f64 / reserved.tokens.max(1) as f64);
        }
        match cost {
            None => {
                self.unpriced += 1;
                if reserved.usd.is_none() {
                    self.uncounted += 1;
                    let blind = self.blind.entry(model.clone()).or_insert(0);
                    *blind += 1;
                    let is_told = is_done || used.is_some_and(|used| used > 0);
                    if is_reserved && (is_told || *blind >= BLIND_MAX) {
                        self.priceless.insert(model);
                    }
                }
            }
            Some(cost) => {
                if let (Some(overrun), Some(reserved)) = (&mut self.overrun.usd, reserved.usd) {
                    *overrun += (cost - reserved).max(0.0);
                }
                if let Some(used) = used.filter(|used| *used > 0 && cost > 0.0) {
                    let rate = self.rates.entry(model).or_insert(0.0);
                    *rate = rate.max(cost / used as f64);
                }
            }
        }
    }

    /// What is spent: US dollars, tokens, attempts. Attempts whose use nobody told count with what was reserved for them.
    pub fn spent(&self) -> (f64, u64, u64) {
        (self.usd, self.tokens, self.attempts)
    }

    /// What attempts used above what was reserved for them, all together: the most by which a cap can be passed.
    pub fn overrun(&self) -> Reservation {
        self.overrun
    }

    /// Whether the dollars spent are all that was spent: no attempt is without any figure.
    pub fn is_usd_known(&self) -> bool {
        self.uncounted == 0
    }

    /// Attempts whose cost nobody told.
    pub fn unpriced(&self) -> u64 {
        self.unpriced
    }

    /// When the run began, moved on by the time in which nobody ran it.
    pub fn begun(&self) -> Time {
        self.begun
    }
}

/// `None`: not even with nothing reserved; else whether it fits beside what is reserved.
fn fits(alone: bool, beside: bool) -> Option<bool> {
    alone.then_some(beside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::output::OutputFormat;
    use crate::core::usage::Price;

    const NOW: Time = Time::from_millis(1_000_000);
    const PRICE: Price = Price { input: 1.0, output: 4.0, cache_read: 1.0, cache_write: 1.0 };

    fn task() -> Task {
        Task {
            id: "a".into(),
            agent_type: "code_reviewer".into(),
            instructions: "".into(),
            brief: "".into(),
            contract: "".into(),
            timeout: Duration::from_secs(1),
            deadline: None,
            format: OutputFormat::Text,
            schema: None,
            priority: 5,
            dependencies: Vec::new(),
            hierarchy: Arc::default(),
        }
    }

    /// A ledger to which things happen.
    struct Run {
        ledger: Ledger,
        plan: Plan,
        starts: u32,
    }

    impl Run {
        fn of(budget: Budget) -> Self {
            let plan = Plan::new(vec![task()]).expect("a plan");
            let mut run = Self { ledger: Ledger::new(budget, NOW), plan, starts: 0 };
            run.apply(Event::RunStarted { tasks: 1 });
            run
        }

        fn apply(&mut self, event: Event) {
            self.ledger.apply(&Fact { at: NOW, event }, &self.plan);
        }

        fn plan(&mut self, usd: Option<f64>, tokens: u64) -> AttemptRef {
            self.starts += 1;
            let attempt = AttemptRef { task_index: 0, start_no: self.starts };
            let (model, key, reserved) = ("p/m".into(), "key".into(), Reservation { usd, tokens });
            self.apply(Event::AttemptPlanned { attempt, attempt_no: self.starts, tier: 0, model, key, reserved });
            attempt
        }

        fn end(&mut self, attempt: AttemptRef, cost: Option<f64>, tokens: Option<u64>) {
            let tokens = tokens.map(|total| Tokens { total, ..Tokens::default() });
            let (outcome, answer) = (Outcome::Completed, None);
            let ended =
                Event::AttemptEnded { attempt, outcome, model_used: None, tokens, cost, truncated: false, answer };
            self.apply(ended);
        }

        fn admits(&self, usd: Option<f64>, tokens: u64) -> Admission {
            self.ledger.admits("p/m", &Reservation { usd, tokens }, NOW)
        }
    }

    fn usd(cap: f64) -> Budget {
        Budget { usd: Some(cap), ..Budget::default() }
    }

    fn tokens(cap: u64) -> Budget {
        Budget { tokens: Some(cap), ..Budget::default() }
    }

    #[test]
    fn without_a_cap_everything_starts_and_nothing_is_reserved() {
        let run = Run::of(Budget::default());
        let tier = Tier { model: "p/m".into(), price: Some(PRICE) };
        assert_eq!(run.ledger.worst_case(&task(), &tier, 1_000, &Estimate::default()), Reservation::default());
        assert_eq!(run.admits(Some(1e9), u64::MAX), Admission::Now);
    }

    #[test]
    fn what_is_reserved_counts_until_it_is_settled() {
        let mut run = Run::of(usd(10.0));
        let first = run.plan(Some(6.0), 0);
        assert_eq!(run.admits(Some(4.0), 0), Admission::Now, "to the cap, not beyond");
        assert_eq!(run.admits(Some(4.1), 0), Admission::Later, "the first may need less");
        assert_eq!(run.admits(Some(10.1), 0), Admission::Never(Cap::Usd));
        run.end(first, Some(2.0), Some(1));
        assert_eq!(run.admits(Some(8.0), 0), Admission::Now);
        assert_eq!(run.admits(Some(8.1), 0), Admission::Never(Cap::Usd), "nothing runs that may leave more");
    }

    #[test]
    fn each_cap_is_kept_and_the_worst_news_counts() {
        let all = Budget { usd: Some(10.0), tokens: Some(100), attempts: Some(2), time: Some(Duration::from_secs(5)) };
        let mut run = Run::of(all);
        run.plan(Some(1.0), 60);
        assert_eq!(run.admits(Some(1.0), 40), Admission::Now);
        assert_eq!(run.admits(Some(1.0), 41), Admission::Later);
        assert_eq!(run.admits(Some(11.0), 41), Admission::Never(Cap::Usd));
        assert_eq!(run.admits(Some(1.0), u64::MAX), Admission::Never(Cap::Tokens));
        let second = run.plan(Some(1.0), 10);
        assert_eq!(run.admits(Some(1.0), 10), Admission::Later, "two run, one of them may be refused");
        run.end(second, Some(1.0), Some(10));
        assert_eq!(run.admits(Some(1.0), 10), Admission::Later);
        let needed = Reservation { usd: Some(0.0), tokens: 0 };
        let late = run.ledger.admits("p/m", &needed, NOW + Duration::from_secs(5));
        assert_eq!(late, Admission::Never(Cap::Time));
    }

    #[test]
    fn with_nothing_open_it_is_now_or_never() {
        for (usd_spent, needed) in [(0.0, 9.9), (0.0, 10.0), (0.0, 10.1), (4.0, 6.0), (4.0, 6.1), (12.0, 0.1)] {
            let mut run = Run::of(usd(10.0));
            let attempt = run.plan(Some(usd_spent), 0);
            run.end(attempt, Some(usd_spent), Some(1));
            let fits = usd_spent + needed <= 10.0;
            let expected = if fits { Admission::Now } else { Admission::Never(Cap::Usd) };
            assert_eq!(run.admits(Some(needed), 0), expected, "{needed} beside {usd_spent} spent");
        }
    }

    #[test]
    fn what_is_of_unknown_price_starts_alone_and_once_only_if_nobody_tells_it() {
        let mut run = Run::of(usd(10.0));
        let other = run.plan(Some(1.0), 0);
        assert_eq!(run.admits(None, 1_000), Admission::Later, "it may take all that is left");
        run.end(other, Some(1.0), Some(1));
        let unknown = run.plan(None, 1_000);
        assert_eq!(run.admits(Some(0.1), 0), Admission::Later, "nobody knows what it takes");
        run.end(unknown, None, Some(500));
        assert_eq!(run.admits(None, 1_000), Admission::Never(Cap::Price));
        assert_eq!(run.ledger.unpriced(), 1);
    }

    #[test]
    fn a_price_that_was_seen_is_expected_again() {
        let mut run = Run::of(usd(10.0));
        let attempt = run.plan(None, 1_000);
        run.end(attempt, Some(2.0), Some(1_000));
        let tier = Tier { model: "p/m".into(), price: None };
        let estimate = Estimate { token_bytes: 3, input_extra: 400, output: 100 };
        let needed = run.ledger.worst_case(&task(), &tier, 0, &estimate);
        assert_eq!(needed, Reservation { usd: Some(1.0), tokens: 500 });
    }

    #[test]
    fn the_callers_price_gives_what_an_attempt_may_cost() {
        let run = Run::of(usd(10.0));
        let tier = Tier { model: "p/m".into(), price: Some(PRICE) };
        let estimate = Estimate { token_bytes: 3, input_extra: 999_000, output: 500_000 };
        let needed = run.ledger.worst_case(&task(), &tier, 2_998, &estimate);
        assert_eq!(needed, Reservation { usd: Some(3.0), tokens: 1_500_000 }, "a part of a token is a token");
    }

    #[test]
    fn an_attempt_of_which_nobody_tells_counts_as_reserved_and_one_that_never_started_as_nothing() {
        let mut run = Run::of(usd(10.0));
        let silent = run.plan(Some(3.0), 70);
        run.end(silent, None, None);
        assert_eq!(run.ledger.spent(), (3.0, 70, 1));
        let unstarted = run.plan(Some(3.0), 70);
        run.end(unstarted, Some(0.0), None);
        assert_eq!(run.ledger.spent(), (3.0, 70, 2));
    }

    #[test]
    fn a_refused_start_spends_nothing() {
        let mut run = Run::of(tokens(100));
        let attempt = run.plan(None, 100);
        run.apply(Event::AttemptRefused { attempt, reason: String::new(), limit: 1, until: NOW });
        assert_eq!((run.ledger.spent(), run.admits(None, 100)), ((0.0, 0, 0), Admission::Now));
    }

    #[test]
    fn what_was_used_above_a_reservation_is_told_and_expected_of_the_type_from_then_on() {
        let mut run = Run::of(Budget { usd: Some(100.0), ..tokens(1_000_000) });
        let attempts: Vec<AttemptRef> = (0..5).map(|_| run.plan(Some(1.0), 100)).collect();
        for attempt in attempts {
            run.end(attempt, Some(1.5), Some(200));
        }
        assert_eq!(run.ledger.overrun(), Reservation { usd: Some(2.5), tokens: 500 });
        let tier = Tier { model: "p/m".into(), price: Some(PRICE) };
        let estimate = Estimate { token_bytes: 3, input_extra: 50, output: 50 };
        let needed = run.ledger.worst_case(&task(), &tier, 0, &estimate);
        assert_eq!(needed.tokens, 200, "twice as much, however many were seen to take that side by side");
        let other = Task { agent_type: "educational".into(), ..task() };
        assert_eq!(run.ledger.worst_case(&other, &tier, 0, &estimate).tokens, 100);
    }

    #[test]
    fn the_time_in_which_nobody_ran_it_does_not_count() {
        let mut run = Run::of(Budget { time: Some(Duration::from_secs(5)), ..Budget::default() });
        run.apply(Event::RunResumed { idle: Duration::from_secs(60) });
        let at = |seconds| run.ledger.admits("p/m", &Reservation::default(), NOW + Duration::from_secs(seconds));
        assert_eq!((at(64), at(65)), (Admission::Now, Admission::Never(Cap::Time)));
    }
}
