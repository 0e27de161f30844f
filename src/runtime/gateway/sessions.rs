//! Deletes sessions.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::frames::ErrorFrame;
use super::link::{CallError, Link};

/// How often a deletion is repeated that the gateway could not carry out just then.
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
            Err(CallError::Rejected { error, .. }) if passes(&error) && repeats < REPEATS_MAX => {
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

/// Whether the same deletion may succeed in a moment: it came too soon after the end of the run, or a gateway under load
/// missed a deadline of its own (`UNAVAILABLE` without `retryable`, as for any fault within it). Nothing is lost by another
/// one: a session that is gone already is answered as such.
fn passes(error: &ErrorFrame) -> bool {
    error.cause.as_deref() == Some("session-changed") || error.code == "UNAVAILABLE"
}
