//! The agent types as a process knows them: the built-in ones, and the user's own from the folder that keeps them.
//!
//! The folder is read once, when a process first asks for agent types: loading this library reads nothing.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::agents::{AgentError, registry_mut};
use crate::core::check::Check;
use crate::core::output::abridged;
use crate::runtime::gateway::Surroundings;

/// How much of why a file was passed over is told, in characters.
const LINE_CHARS: usize = 1_000;

static IS_READ: AtomicBool = AtomicBool::new(false);

/// The folder that keeps the user's own agent types: `parallel-agents/agents` in OpenClaw's state folder. None where
/// nothing says where that is.
pub fn own_folder() -> Option<PathBuf> {
    let surroundings = Surroundings::real();
    surroundings.is_state_known().then(|| surroundings.own_folder().join("agents"))
}

/// Reads the user's own agent types unless this process has. Returns what is to be told: why some were passed over.
pub fn read_own_types() -> Vec<String> {
    if IS_READ.load(Ordering::Acquire) {
        return Vec::new();
    }
    let mut registry = registry_mut();
    // Whoever else waited for the registry finds them read.
    if IS_READ.load(Ordering::Acquire) {
        return Vec::new();
    }
    let loaded = own_folder().map(|folder| registry.load_kept(&folder));
    IS_READ.store(true, Ordering::Release);
    match loaded {
        None => Vec::new(),
        Some(Ok((_, passed_over))) => passed_over.iter().map(passed_over_line).collect(),
        Some(Err(error)) => vec![passed_over_line(&error)],
    }
}

/// Reads the user's own agent types as their folder holds them now. Returns the names of those that were loaded, and what
/// is to be told.
pub fn load_own_types() -> Result<(Vec<String>, Vec<String>), AgentError> {
    let folder = own_folder().ok_or(AgentError::NoFolder)?;
    let mut registry = registry_mut();
    IS_READ.store(true, Ordering::Release);
    let (loaded, passed_over) = registry.load_kept(&folder)?;
    let names = loaded.iter().map(|agent_type| agent_type.name.to_string()).collect();
    Ok((names, passed_over.iter().map(passed_over_line).collect()))
}

/// How somebody is told that a file was passed over.
pub fn passed_over_line(error: &AgentError) -> String {
    let line = abridged(&format!("passed over: {}", super::with_causes(error)), LINE_CHARS);
    Check::pointed(line, error.check())
}
