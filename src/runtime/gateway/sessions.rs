//! Deletes sessions.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::link::{CallError, Link};

/// How often a deletion is repeated that came too soon after the end of the run.
const REPEATS_MAX: u32 = 5;
const REPEAT_PAUSE: Duration = Duration::from_millis(200);

/// How a deletion went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deletion {
    /// There is no such session any more.
    Gone,
    /// It stays, for this reason.
    Failed(String),
}

/// Deletes a session with what ran in it. What was said in it stays on the gateway's disk unreferenced: archiving it
/// costs the gateway four times as much as all the rest.
pub(super) async fn delete(link: &Link, key: &str) -> Deletion {
    if !link.hello().is_admin() {
        // Known beforehand, so the gateway is not asked once for every session.
        return Deletion::Failed("the gateway grants no `operator.admin`, which deleting sessions needs".to_owned());
    }
    let mut repeats = 0;
    loop {
        match link.ask("sessions.delete", &json!({ "key": key, "deleteTranscript": false })).await {
            Ok(_) => return Deletion::Gone,
            Err(CallError::Rejected { error, .. })
                if error.cause.as_deref() == Some("session-changed") && repeats < REPEATS_MAX =>
            {
                repeats += 1;
                sleep(REPEAT_PAUSE).await;
            }
            Err(CallError::Rejected { error, .. }) => return Deletion::Failed(error.message),
            Err(CallError::Unreachable { reason }) => return Deletion::Failed(reason),
            Err(CallError::Cut { .. } | CallError::OtherBoot | CallError::Withdrawn | CallError::TooLarge { .. }) => {
                return Deletion::Failed("the gateway could not be asked".to_owned());
            }
        }
    }
}
