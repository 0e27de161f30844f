//! Plays a plan without any AI: seeded latencies, failures and prices, on the machine's own clock.
//!
//! For dry runs, demonstrations and tests. Every answer says that it is rehearsed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::future::{pending, ready};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::Runtime;
use crate::core::action::{Action, Adoption, AttemptRef, Report, Session, SpawnOrder};
use crate::core::budget::Estimate;
use crate::core::failure::{Ending, Refusal};
use crate::core::time::Time;
use crate::core::usage::{Price, Tokens, Usage};

/// How a rehearsal behaves.
#[derive(Debug, Clone, PartialEq)]
pub struct RehearsalModel {
    /// The same seed gives the same run. Default 0.
    pub seed: u64,
    /// The median time an agent takes. Default 8 s; times are lognormal around it with a spread of 0.5.
    pub latency: Duration,
    /// The share of attempts that fail, from 0 to 1, spread over all kinds of failure. Default 0.
    pub failure_rate: f64,
    /// How many agents it takes at once before it says that it is busy. Default: any number.
    pub agents_max: Option<usize>,
    /// How much faster than real time it plays. Default: as fast as it can.
    pub speed: Option<f64>,
}

impl Default for RehearsalModel {
    fn default() -> Self {
        Self { seed: 0, latency: Duration::from_secs(8), failure_rate: 0.0, agents_max: None, speed: None }
    }
}

/// A rehearsal that cannot be played.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("rehearsal: `{field}` is `{value}`, expected {expected}")]
pub struct RehearsalError {
    field: &'static str,
    value: String,
    expected: &'static str,
}

impl RehearsalModel {
    /// Checks that it can be played.
    pub fn validate(&self) -> Result<(), RehearsalError> {
        let error = |field, value: String, expected| Err(RehearsalError { field, value, expected });
        if !(0.0..=1.0).contains(&self.failure_rate) {
            return error("failure_rate", self.failure_rate.to_string(), "a share from 0 to 1");
        }
        if self.agents_max == Some(0) {
            return error("agents_max", "0".to_owned(), "at least 1, or None for any number");
        }
        if let Some(speed) = self.speed
            && !(speed.is_finite() && speed > 0.0)
        {
            return error("speed", speed.to_string(), "a number above 0, or None to play without waiting");
        }
        Ok(())
    }
}

/// List prices in US dollars per million tokens, as published in 2026. Only rehearsals use them: a real run goes by
/// the caller's prices or by what the gateway reports.
const PRICES: [(&str, f64, f64); 3] = [
    ("anthropic/claude-haiku-4-5", 1.0, 5.0),
    ("kimi-coding/k2p5", 0.6, 3.0),
    ("anthropic/claude-opus-4-5", 5.0, 25.0),
];

const TOKEN_BYTES: u64 = 4;
/// An answer that fits no schema.
const PROSE: &str = "Rehearsed: here is everything but the JSON that was asked for.";

/// What an agent answers to an order.
type Answer = dyn Fn(&SpawnOrder) -> Arc<str> + Send;

/// The runtime.
pub struct Rehearsal {
    model: RehearsalModel,
    /// What an agent answers that was ordered so.
    answer: Box<Answer>,
    running: BTreeMap<AttemptRef, SpawnOrder>,
    due: BinaryHeap<Reverse<(Time, u64)>>,
    reports: BTreeMap<u64, Report>,
    reports_made: u64,
}

impl fmt::Debug for Rehearsal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Rehearsal")
            .field("model", &self.model)
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}

impl Rehearsal {
    /// A rehearsal in which agents answer so.
    pub fn new(model: RehearsalModel, answer: impl Fn(&SpawnOrder) -> Arc<str> + Send + 'static) -> Self {
        Self {
            model,
            answer: Box::new(answer),
            running: BTreeMap::new(),
            due: BinaryHeap::new(),
            reports: BTreeMap::new(),
            reports_made: 0,
        }
    }

    /// The report that is due by `now`, earliest first, those of one instant in the order they were made.
    pub fn poll_report(&mut self, now: Time) -> Option<Report> {
        loop {
            let &Reverse((time, number)) = self.due.peek()?;
            if time > now {
                return None;
            }
            self.due.pop();
            let Some(report) = self.reports.remove(&number) else { continue };
            if let Report::Ended { attempt, .. } = &report
                && self.running.remove(attempt).is_none()
            {
                // It was stopped before it came to its own end.
                continue;
            }
            return Some(report);
        }
    }

    fn schedule(&mut self, at: Time, report: Report) {
        self.reports_made += 1;
        self.due.push(Reverse((at, self.reports_made)));
        self.reports.insert(self.reports_made, report);
    }

    fn spawn(&mut self, order: SpawnOrder, now: Time) {
        let attempt = order.attempt;
        let mut draws = self.draws(attempt);
        let accepted = now + Duration::from_millis(draws.u64(5..60));
        if self.model.agents_max.is_some_and(|max| self.running.len() >= max) {
            self.running.insert(attempt, order);
            let refusal = Refusal {
                code: "UNAVAILABLE".to_owned(),
                message: "the rehearsal takes no further agent now".to_owned(),
                retryable: true,
                ..Refusal::default()
            };
            self.end(attempt, accepted, Ending::Refused(refusal), Usage::default(), None);
            return;
        }
        let session = Session { key: format!("rehearsal:{}", order.key).into(), run_id: order.key.clone() };
        self.schedule(accepted, Report::Spawned { attempt, session });
        self.schedule(accepted, Report::Started { attempt, since: accepted });
        let latency = self.latency(&mut draws);
        let (ending, latency) = if draws.f64() < self.model.failure_rate {
            let (ending, share) = failure(&mut draws);
            (ending, seconds(latency.as_secs_f64() * share))
        } else {
            (Ending::Replied((self.answer)(&order).to_string()), latency)
        };
        let (ending, latency) =
            if latency > order.timeout { (Ending::TimedOut, order.timeout) } else { (ending, latency) };
        let usage = usage(&order, &ending);
        let model = order.model.clone();
        self.running.insert(attempt, order);
        self.end(attempt, accepted + latency, ending, usage, model);
    }

    fn end(&mut self, attempt: AttemptRef, at: Time, ending: Ending, usage: Usage, model_used: Option<Arc<str>>) {
        self.schedule(at, Report::Ended { attempt, ending, usage, model_used, partial: None });
    }

    /// An attempt has draws of its own: whenever it starts, and whatever runs beside it, it goes the same way.
    fn draws(&self, attempt: AttemptRef) -> fastrand::Rng {
        let place = ((attempt.task_index as u64) << 32) | u64::from(attempt.start_no);
        fastrand::Rng::with_seed(self.model.seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Lognormal, by the Box-Muller transform.
    fn latency(&self, draws: &mut fastrand::Rng) -> Duration {
        let (first, second) = (1.0 - draws.f64(), draws.f64());
        let normal = (-2.0 * first.ln()).sqrt() * (std::f64::consts::TAU * second).cos();
        seconds(self.model.latency.as_secs_f64() * (0.5 * normal).exp())
    }

    fn stop(&mut self, attempt: AttemptRef, now: Time) {
        let Some(order) = self.running.get(&attempt) else { return };
        let (model, usage) = (order.model.clone(), usage(order, &Ending::TimedOut));
        // The end that was scheduled finds nothing to end; this one comes first.
        let stopped = Ending::Stopped { reason: "rehearsed".to_owned() };
        self.end(attempt, now + Duration::from_millis(80), stopped, usage, model);
    }
}

/// A failure and after what share of the agent's time it comes.
fn failure(draws: &mut fastrand::Rng) -> (Ending, f64) {
    let message = |text: &str| Ending::Failed { message: text.to_owned() };
    match draws.u8(0..6) {
        0 => (Ending::Lost { reason: "rehearsed: the connection was lost".to_owned() }, 0.5),
        1 => (message("rehearsed: provider internal error, HTTP 503"), 1.0),
        2 => (message("rehearsed: rate limited, HTTP 429"), 0.3),
        3 => (Ending::Replied(String::new()), 1.0),
        4 => (Ending::Replied(PROSE.to_owned()), 1.0),
        _ => (Ending::TimedOut, 1.0),
    }
}

/// What a rehearsal lets a model cost, if it knows it.
pub fn price(model: &str) -> Option<Price> {
    let found = PRICES.iter().find(|(known, ..)| *known == model);
    found.map(|&(_, input, output)| Price { input, output, cache_read: input, cache_write: input })
}

/// What an attempt uses at the most in a rehearsal of these answers: exact, save that it may fail before it answers.
pub fn estimate<'a>(answers: impl IntoIterator<Item = &'a Arc<str>>) -> Estimate {
    let longest = answers.into_iter().map(|answer| answer.len()).max().unwrap_or(0).max(PROSE.len());
    Estimate { token_bytes: TOKEN_BYTES, input_extra: 0, output: longest as u64 / TOKEN_BYTES }
}

/// As many seconds, or the longest time there is.
fn seconds(count: f64) -> Duration {
    Duration::try_from_secs_f64(count).unwrap_or(Duration::MAX)
}

/// Four characters to a token: a rule of thumb for English.
fn usage(order: &SpawnOrder, ending: &Ending) -> Usage {
    let written = match ending {
        Ending::Replied(text) | Ending::Cut(text) => text.len(),
        Ending::Failed { .. }
        | Ending::TimedOut
        | Ending::Stopped { .. }
        | Ending::Refused(_)
        | Ending::Lost { .. }
        | Ending::Unstoppable { .. } => 0,
    };
    let (input, output) = (order.prompt.bytes() as u64 / TOKEN_BYTES, written as u64 / TOKEN_BYTES);
    let tokens = Tokens { input, output, total: input + output, ..Tokens::default() };
    let price = order.model.as_deref().and_then(price);
    Usage { tokens: Some(tokens), cost: price.map(|price| price.of(tokens)) }
}

impl Runtime for Rehearsal {
    fn begin(&mut self, action: Action, now: Time) {
        match action {
            Action::Spawn(order) => self.spawn(order, now),
            // Its agents live in this process: those of an earlier one died with it.
            Action::Adopt(Adoption { order, .. }) => {
                let attempt = order.attempt;
                let usage = usage(&order, &Ending::TimedOut);
                self.running.insert(attempt, order);
                let reason = "the rehearsal ended with the process that played it".to_owned();
                self.end(attempt, now, Ending::Lost { reason }, usage, None);
            }
            Action::Look(attempt) => self.schedule(now, Report::Queued { attempt }),
            Action::Stop(attempt) => self.stop(attempt, now),
            Action::Delete { attempt, .. } => {
                self.schedule(now + Duration::from_millis(20), Report::Deleted { attempt });
            }
        }
    }

    async fn next_report(&mut self, now: Time) -> Report {
        match self.poll_report(now) {
            Some(report) => ready(report).await,
            None => pending().await,
        }
    }

    fn next_time(&self) -> Option<Time> {
        self.due.peek().map(|Reverse((time, _))| *time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::prompt::Prompt;

    fn order(task_index: usize) -> SpawnOrder {
        SpawnOrder {
            attempt: AttemptRef { task_index, start_no: 1 },
            key: "k".into(),
            task_id: "t".into(),
            agent_type: "code_reviewer".into(),
            model: Some("anthropic/claude-haiku-4-5".into()),
            prompt: Prompt::plain("12345678"),
            timeout: Duration::from_secs(3600),
        }
    }

    fn four(_: &SpawnOrder) -> Arc<str> {
        "four".into()
    }

    fn play(rehearsal: &mut Rehearsal) -> Vec<Report> {
        let mut reports = Vec::new();
        while let Some(time) = rehearsal.next_time() {
            reports.extend(rehearsal.poll_report(time));
        }
        reports
    }

    #[test]
    fn an_agent_is_accepted_works_and_answers_with_usage() {
        let mut rehearsal = Rehearsal::new(RehearsalModel::default(), four);
        rehearsal.begin(Action::Spawn(order(0)), Time::from_millis(0));
        let reports = play(&mut rehearsal);
        assert!(matches!(&reports[0], Report::Spawned { .. }));
        assert!(matches!(&reports[1], Report::Started { .. }));
        let Report::Ended { ending, usage, .. } = &reports[2] else { panic!("{reports:?}") };
        assert_eq!(*ending, Ending::Replied("four".into()));
        assert_eq!(usage.tokens.map(|tokens| (tokens.input, tokens.output)), Some((2, 1)));
        assert!(usage.cost.is_some_and(|cost| cost > 0.0));
    }

    #[test]
    fn a_stopped_agent_ends_once() {
        let mut rehearsal = Rehearsal::new(RehearsalModel::default(), four);
        rehearsal.begin(Action::Spawn(order(0)), Time::from_millis(0));
        rehearsal.begin(Action::Stop(order(0).attempt), Time::from_millis(100));
        let ends: Vec<Report> =
            play(&mut rehearsal).into_iter().filter(|report| matches!(report, Report::Ended { .. })).collect();
        assert!(matches!(&ends[..], [Report::Ended { ending: Ending::Stopped { .. }, .. }]), "{ends:?}");
    }

    #[test]
    fn more_agents_than_it_takes_are_refused_as_busy() {
        let model = RehearsalModel { agents_max: Some(1), ..RehearsalModel::default() };
        let mut rehearsal = Rehearsal::new(model, four);
        rehearsal.begin(Action::Spawn(order(0)), Time::from_millis(0));
        rehearsal.begin(Action::Spawn(order(1)), Time::from_millis(0));
        let refused = play(&mut rehearsal).into_iter().any(
            |report| matches!(report, Report::Ended { ending: Ending::Refused(refusal), .. } if refusal.retryable),
        );
        assert!(refused);
    }

    #[test]
    fn agents_that_take_for_ever_run_out_of_time() {
        let model = RehearsalModel { latency: Duration::MAX, failure_rate: 1.0, ..RehearsalModel::default() };
        let mut rehearsal = Rehearsal::new(model, |_| "".into());
        (0..100).for_each(|index| rehearsal.begin(Action::Spawn(order(index)), Time::from_millis(0)));
        let timed_out = |report: &Report| matches!(report, Report::Ended { ending: Ending::TimedOut, .. });
        assert_eq!(play(&mut rehearsal).iter().filter(|report| timed_out(report)).count(), 100);
    }

    #[test]
    fn the_same_seed_plays_the_same_run() {
        let run = |seed| {
            let model = RehearsalModel { seed, failure_rate: 0.5, ..RehearsalModel::default() };
            let mut rehearsal = Rehearsal::new(model, four);
            (0..20).for_each(|index| rehearsal.begin(Action::Spawn(order(index)), Time::from_millis(0)));
            play(&mut rehearsal)
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn an_attempt_goes_the_same_way_whatever_else_is_played() {
        let model = RehearsalModel { failure_rate: 0.5, ..RehearsalModel::default() };
        let play_all = |indices: &[usize]| {
            let mut rehearsal = Rehearsal::new(model.clone(), four);
            for &index in indices {
                rehearsal.begin(Action::Spawn(order(index)), Time::from_millis(0));
            }
            let of_three = |report: &Report| match report {
                Report::Spawned { attempt, .. } | Report::Started { attempt, .. } | Report::Ended { attempt, .. } => {
                    attempt.task_index == 3
                }
                Report::Met { .. }
                | Report::Active { .. }
                | Report::Queued { .. }
                | Report::Deleted { .. }
                | Report::DeleteFailed { .. } => false,
            };
            play(&mut rehearsal).into_iter().filter(of_three).collect::<Vec<_>>()
        };
        let alone = play_all(&[3]);
        assert_eq!(alone.len(), 3);
        assert_eq!(play_all(&[7, 3, 1]), alone);
    }

    #[test]
    fn what_cannot_be_played_is_refused_by_name() {
        let rate = RehearsalModel { failure_rate: 1.5, ..RehearsalModel::default() };
        let speed = RehearsalModel { speed: Some(0.0), ..RehearsalModel::default() };
        let agents = RehearsalModel { agents_max: Some(0), ..RehearsalModel::default() };
        let messages = [rate, speed, agents].map(|model| model.validate().expect_err("refused").to_string());
        assert_eq!(messages[0], "rehearsal: `failure_rate` is `1.5`, expected a share from 0 to 1");
        assert_eq!(
            messages[1],
            "rehearsal: `speed` is `0`, expected a number above 0, or None to play without waiting"
        );
        assert_eq!(messages[2], "rehearsal: `agents_max` is `0`, expected at least 1, or None for any number");
    }
}
