//! Runs teams of AI agents in parallel on OpenClaw.

pub mod agents;
pub mod core;
pub mod driver;
pub mod runtime;
