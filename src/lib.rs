//! Runs teams of AI agents in parallel on OpenClaw.
//!
//! The main job, top to bottom: a caller's tasks become a [`core::plan::Plan`] ([`workflow`]); a
//! [`core::run::RunMachine`] decides what happens to it; [`driver::drive`] carries its actions to a
//! [`runtime::Runtime`] and the reports back; facts are folded into results. Read [`core`] first.
//!
//! Kept everywhere: `core` uses nothing but itself; only `driver` waits; only `python` knows Python; user code never
//! runs on a thread that the user did not start.

#[cfg(not(unix))]
compile_error!("parallel_agents runs on Linux and macOS; on Windows, use it inside WSL");

pub mod agents;
pub mod cli;
pub mod core;
pub mod doctor;
pub mod driver;
pub mod journal;
pub mod runtime;
pub mod skill;
pub mod workflow;

#[cfg(feature = "python")]
mod python;
