//! Runs teams of AI agents in parallel on OpenClaw.

pub mod agents;
pub mod cli;
pub mod core;
pub mod driver;
pub mod runtime;
pub mod workflow;

#[cfg(feature = "python")]
mod python;
