//! What carries out actions and brings reports. A runtime translates and judges nothing: what an end means is decided
//! in [`failure`](crate::core::failure), what follows it in [`run`](crate::core::run).

use crate::core::action::{Action, Report};
use crate::core::time::Time;

mod contract;
pub mod gateway;
pub mod rehearsal;
pub mod tools;

pub use contract::Contract;

/// The contract between the machine and what really runs agents.
///
/// Every [`Action::Spawn`] is answered by exactly one [`Report::Ended`], whatever happens in between, and after it
/// nothing of that attempt runs any more. A report may come at any time after its action, never before.
pub trait Runtime {
    /// Begins to carry out an action. Never waits.
    fn begin(&mut self, action: Action, now: Time);

    /// The next report; at `now`, for a runtime that only plays. Dropping the future loses nothing.
    fn next_report(&mut self, now: Time) -> impl Future<Output = Report>;

    /// When the next report comes, for a runtime that only plays and therefore knows.
    fn next_time(&self) -> Option<Time> {
        None
    }
}
