//! What a run spends, and what is left alone.

use parallel_agents::core::budget::{Budget, Cap, Reservation};
use parallel_agents::core::fact::Event;
use parallel_agents::core::usage::Tokens;

use super::{Moment, Verdict, View, holds};
use crate::book::{Book, Spending};

/// What sums of dollars may be off by.
const ROUNDING: f64 = 1e-6;

/// What is reserved for attempts that run; `None` for the dollars if one of them is of unknown price.
fn reserved(book: &Book<'_>) -> (Option<f64>, u64, u64) {
    let open = || book.open().filter(|(_, page)| page.over.is_none()).map(|(_, page)| page.reserved);
    (open().map(|reserved| reserved.usd).sum(), open().map(|reserved| reserved.tokens).sum(), open().count() as u64)
}

/// An attempt starts only if what it may use fits beside what is spent and what is reserved for others. One of unknown price
/// starts alone.
pub fn what_starts_fits_into_the_budget(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let (book, Moment::Fact(fact)) = (view.book, moment) else { return Ok(()) };
    let Event::AttemptPlanned { attempt, tier, reserved: needed, .. } = &fact.event else { return Ok(()) };
    let (budget, Spending { usd, tokens, attempts }) = (&book.scene.settings.budget, book.spent);
    let (usd_open, tokens_open, open) = reserved(book);
    if let Some(cap) = budget.usd {
        match (needed.usd, usd_open) {
            (Some(needed), Some(open)) => {
                holds!(usd + open + needed <= cap + ROUNDING, "{usd} spent, {open} reserved, {cap} is the cap");
            }
            (Some(_), None) => return Err("beside one of unknown price".to_owned()),
            (None, _) => holds!(open == 0 && usd < cap, "its price is unknown: {open} run, {usd} of {cap} spent"),
        }
    }
    if let Some(cap) = budget.tokens {
        let all = tokens + tokens_open + needed.tokens;
        holds!(all <= cap, "{tokens} spent, {tokens_open} reserved, {cap} is the cap");
    }
    if let Some(cap) = budget.attempts {
        holds!(attempts + open < cap, "{attempts} spent, {open} run, {cap} is the cap");
    }
    if let Some(time) = budget.time {
        holds!(book.now < book.budget_begun + time, "its time is over since {:?}", book.budget_begun + time);
    }
    if *budget != Budget::default() {
        let estimate = &book.scene.settings.estimate;
        let least = estimate.input_extra + estimate.output;
        holds!(needed.tokens >= least, "at least {least} tokens are to be expected");
        if let Some(price) = &book.plan().tasks()[attempt.task_index].hierarchy.tiers()[*tier].price {
            let expected = Tokens { input: estimate.input_extra, output: estimate.output, ..Tokens::default() };
            let least = price.of(expected);
            holds!(needed.usd.is_some_and(|usd| usd + ROUNDING >= least), "at least ${least} are to be expected");
        }
    }
    Ok(())
}

/// What is spent and reserved passes a cap only by what attempts used above their own reservations.
pub fn only_overruns_pass_a_cap(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let (book, Moment::Settled(_)) = (view.book, moment) else { return Ok(()) };
    let (usd, tokens, _) = reserved(book);
    let budget = &book.scene.settings.budget;
    if let Some(cap) = budget.usd {
        let (all, most) = (book.spent.usd + usd.unwrap_or(0.0), cap + book.overrun.usd + ROUNDING);
        holds!(all <= most, "{all} is spent and reserved, the cap and all overruns are {most}");
    }
    if let Some(cap) = budget.tokens {
        let (all, most) = (book.spent.tokens + tokens, cap + book.overrun.tokens);
        holds!(all <= most, "{all} is spent and reserved, the cap and all overruns are {most}");
    }
    Ok(())
}

/// A task ends over the budget only if that would not bear its attempt even if nothing else ran.
pub fn the_budget_ends_only_what_it_cannot_bear(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let (book, Moment::Fact(fact)) = (view.book, moment) else { return Ok(()) };
    let Event::BudgetReached { cap, needed: Reservation { usd, tokens }, .. } = &fact.event else { return Ok(()) };
    let (budget, spent) = (&book.scene.settings.budget, book.spent);
    let reached = match cap {
        Cap::Usd => budget.usd.is_some_and(|cap| usd.map_or(spent.usd >= cap, |usd| spent.usd + usd + ROUNDING > cap)),
        Cap::Tokens => budget.tokens.is_some_and(|cap| spent.tokens + tokens > cap),
        Cap::Attempts => budget.attempts.is_some_and(|cap| spent.attempts >= cap),
        Cap::Time => budget.time.is_some_and(|time| book.budget_begun + time <= book.now),
        Cap::Price => budget.usd.is_some() && usd.is_none(),
    };
    holds!(reached, "{spent:?} of {budget:?}");
    Ok(())
}

/// No attempt is planned on a model, or of a type, that is left alone; once that time is up, one at a time tries.
pub fn what_failed_too_often_is_left_alone(view: &View<'_>, moment: &Moment<'_>) -> Verdict {
    let (book, Moment::Fact(fact)) = (view.book, moment) else { return Ok(()) };
    match &fact.event {
        Event::AttemptPlanned { attempt, tier, .. } => {
            let shut = book.shut(attempt.task_index, *tier, book.now);
            holds!(shut.is_none(), "{shut:?} is left alone");
        }
        Event::BreakerOpened { circuit, until } => {
            let (failures, policy) = (book.circuits.failures(circuit), &book.scene.settings.breaker);
            holds!(policy.failures_max > 0, "there are no breakers");
            holds!(failures >= policy.failures_max, "{failures} failures in a row, {} open it", policy.failures_max);
            holds!(until.is_none_or(|until| until >= book.now + policy.pause_first), "for too short a time");
        }
        _ => {}
    }
    Ok(())
}
