//! Everything that is decided, and nothing that waits.
//!
//! No Python, no tokio, no files, no clock, no randomness of the machine's own: time and a seed come in as
//! arguments, so that a whole run with failures and timeouts is a test of milliseconds.
//!
//! Reading order: [`task`] and [`plan`] (what to do), [`failure`], [`hierarchy`] and [`retry`] (what an end means and
//! what follows), [`limit`], [`budget`], [`breaker`], [`output`], [`settings`], then [`run`], the machine that ties them together, [`strategy`], which makes
//! runs grow or end them early, [`join`] and [`until`], and what comes out of it: [`action`], [`fact`], [`progress`], [`report`].

pub mod action;
pub mod breaker;
pub mod budget;
pub mod check;
mod complaints;
pub mod fact;
pub mod failure;
pub mod hierarchy;
pub mod join;
pub mod limit;
pub mod output;
pub mod plan;
pub mod progress;
pub mod prompt;
mod record;
mod references;
pub mod report;
pub mod retry;
pub mod run;
pub mod sessions;
pub mod settings;
pub mod shell;
pub mod strategy;
pub mod task;
pub mod time;
pub mod until;
pub mod usage;
mod verdict;
