//! Which models and types of agents are left alone, by the facts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parallel_agents::core::fact::{Circuit, Outcome};
use parallel_agents::core::failure::FailureKind;
use parallel_agents::core::time::Time;

/// A breaker that has opened.
#[derive(Debug, Clone, Copy)]
pub struct Opened {
    /// For the rest of the run, if none.
    pub until: Option<Time>,
    /// The fact that says so: what was planned since is a trial.
    pub no: u64,
}

/// All breakers that were heard of.
#[derive(Debug, Default)]
pub struct Circuits {
    opened: BTreeMap<Circuit, Opened>,
    /// Tasks that have failed since the latest success.
    failed: BTreeMap<Circuit, BTreeSet<usize>>,
}

/// The breakers that an attempt of this type on this model passes.
pub fn circuits(model: &Arc<str>, agent_type: &Arc<str>) -> [Circuit; 3] {
    let agents = |kind| Circuit::Agents(agent_type.clone(), kind);
    [Circuit::Model(model.clone()), agents(FailureKind::Output), agents(FailureKind::Timeout)]
}

impl Circuits {
    pub fn opened(&mut self, circuit: &Circuit, until: Option<Time>, no: u64) {
        self.opened.insert(circuit.clone(), Opened { until, no });
    }

    pub fn ended(&mut self, task: usize, model: &Arc<str>, agent_type: &Arc<str>, outcome: &Outcome, is_last: bool) {
        for circuit in circuits(model, agent_type) {
            match (outcome, &circuit) {
                (Outcome::Completed | Outcome::NeedsInput { .. }, _) => {
                    self.opened.remove(&circuit);
                    self.failed.remove(&circuit);
                }
                (Outcome::Failed { kind: FailureKind::Model | FailureKind::ServerError, .. }, Circuit::Model(_)) => {
                    self.failed.entry(circuit).or_default().insert(task);
                }
                (Outcome::Failed { kind, .. }, Circuit::Agents(_, blamed)) if kind == blamed && is_last => {
                    self.failed.entry(circuit).or_default().insert(task);
                }
                (Outcome::Failed { .. } | Outcome::Cancelled, _) => {}
            }
        }
    }

    /// How many tasks in a row have failed it.
    pub fn failures(&self, circuit: &Circuit) -> u32 {
        self.failed.get(circuit).map_or(0, |tasks| u32::try_from(tasks.len()).unwrap_or(u32::MAX))
    }

    /// Those of an attempt that have opened.
    pub fn of(&self, model: &Arc<str>, agent_type: &Arc<str>) -> Vec<(Circuit, Opened)> {
        circuits(model, agent_type)
            .into_iter()
            .filter_map(|circuit| Some((circuit.clone(), *self.opened.get(&circuit)?)))
            .collect()
    }
}
