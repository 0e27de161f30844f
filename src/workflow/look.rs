//! What a run has come to so far, from its journal alone: nobody goes on with it, and whoever runs it is not disturbed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::RunEvent;
use super::narrate::{LiveSessions, Narrator};
use super::options::RunOptions;
use super::start::RunSummary;
use crate::core::report::TaskReport;
use crate::core::settings::RunSettings;
use crate::journal::StoredRun;

/// The results of the tasks that have ended, in the order of the plan, and where the run stands.
pub fn look(stored: &StoredRun) -> (Vec<Arc<TaskReport>>, RunSummary) {
    let mut reports = Vec::new();
    let mut tell = |event| {
        if let RunEvent::TaskEnded(report) = event {
            reports.push(report);
        }
    };
    let none = BTreeSet::new();
    let narrator = Narrator::recalling(
        stored.plan.clone(),
        &settings(stored),
        LiveSessions::default(),
        &stored.facts,
        &none,
        &mut tell,
    );
    reports.sort_by_key(|report| report.task_index);
    (reports, narrator.into_summary())
}

/// Its bounds, for what it has spent of them.
fn settings(stored: &StoredRun) -> RunSettings {
    let mut options = stored.options.as_object().cloned().unwrap_or_default();
    options.shift_remove("durability");
    // Options that only a later release takes are no reason to show nothing.
    RunOptions::from_stored(options).map(|options| options.settings).unwrap_or_default()
}
