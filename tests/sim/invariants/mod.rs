//! What holds at every moment of every run. Each invariant is shown each moment before the book takes it in.

use parallel_agents::core::run::RunMachine;

use super::book::{Book, Input, Moment};
use super::world::World;

mod attempts;
mod ends;
mod growth;
mod lives;
mod sessions;
mod spending;
mod starts;
mod steps;

/// What an invariant sees.
pub struct View<'a> {
    pub book: &'a Book<'a>,
    pub world: &'a World<'a>,
    pub machine: &'a RunMachine,
    /// What the step's input was to the machine, if it was a letter.
    pub heard: Heard,
    pub input: &'a Input,
}

/// Whether a letter tells the machine anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It is about an attempt that is open, or no letter.
    InTime,
    /// It is about an attempt that is over.
    Late,
    /// It came before.
    Echo,
}

/// `Err` says what is wrong.
pub type Verdict = Result<(), String>;

/// A name for it stands in [`ALL`].
pub type Invariant = fn(&View<'_>, &Moment<'_>) -> Verdict;

/// `Err` with the message unless the condition holds.
macro_rules! holds {
    ($condition:expr, $($message:tt)+) => {{
        let it_holds: bool = $condition;
        if !it_holds {
            return Err(format!($($message)+));
        }
    }};
}
use holds;

macro_rules! named {
    ($($module:ident::$name:ident),+ $(,)?) => { &[$((stringify!($name), $module::$name)),+] };
}

/// All of them, by name.
pub const ALL: &[(&str, Invariant)] = named![
    growth::an_added_task_comes_once_and_as_it_was_wanted,
    growth::nothing_is_added_once_the_run_is_to_end,
    growth::a_strategy_hears_what_is_final_once_and_in_order,
    growth::a_restored_strategy_has_heard_the_same,
    growth::a_run_waits_for_words_and_no_longer,
    growth::what_is_no_longer_needed_is_stopped,
    growth::the_outcome_comes_just_before_the_end,
    starts::live_agents_stay_within_the_limit,
    starts::the_limit_follows_what_the_runtime_bears,
    starts::dependencies_come_first_and_their_outputs_with_them,
    starts::a_task_has_one_agent_at_a_time,
    starts::higher_priorities_start_first,
    starts::delays_are_kept,
    starts::free_room_is_used,
    starts::nothing_waits_in_vain,
    starts::nothing_starts_once_the_run_is_to_end,
    starts::orders_say_what_was_planned,
    attempts::attempts_are_bounded_and_numbered,
    attempts::busy_refusals_spend_no_attempt,
    attempts::outcomes_are_what_the_world_reported,
    attempts::retries_follow_the_policy,
    attempts::retries_are_bounded_over_the_run,
    attempts::tiers_only_climb,
    attempts::objections_go_to_the_same_tier_only,
    attempts::stops_have_their_reason,
    attempts::deadlines_are_kept,
    attempts::agents_that_show_no_start_are_looked_for,
    attempts::stops_are_waited_for_as_long_as_agreed,
    ends::a_task_ends_once,
    ends::nothing_of_a_task_happens_after_its_end,
    ends::ends_tell_the_truth,
    ends::reports_agree_with_the_world,
    ends::progress_agrees_with_a_count,
    sessions::sessions_go_or_stay_as_asked,
    sessions::deletions_are_few_at_once,
    sessions::everything_is_accounted_for_at_the_end,
    steps::actions_rest_on_durable_facts,
    steps::facts_come_in_order_of_time,
    steps::deadlines_lie_ahead,
    steps::stale_reports_change_nothing,
    steps::a_finished_run_is_silent,
    steps::a_run_ends_in_time,
    steps::a_stop_is_only_replaced_by_a_severer_one,
    steps::cancelling_twice_ends_at_once,
    spending::what_starts_fits_into_the_budget,
    spending::only_overruns_pass_a_cap,
    spending::the_budget_ends_only_what_it_cannot_bear,
    spending::what_failed_too_often_is_left_alone,
    lives::what_is_open_is_asked_about_once_in_each_life,
    lives::nobody_is_stopped_before_it_is_asked_about,
    lives::a_run_that_is_taken_up_to_be_ended_only_ends,
];
