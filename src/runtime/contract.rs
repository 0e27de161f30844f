//! The contract of actions and reports, as a check that every runtime passes in every test: unoptimised builds hold each
//! run to it, whatever runtime it is on.

use std::collections::BTreeMap;

use crate::core::action::{Action, Adoption, AttemptRef, Report, SpawnOrder};

/// How far an attempt has come, as its runtime tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Ordered,
    Accepted,
    Ended,
    Deleting,
    Over,
}

/// What was asked of a runtime and what it reported. Does nothing in optimised builds.
#[derive(Debug, Default)]
pub struct Contract {
    attempts: BTreeMap<AttemptRef, Stage>,
}

impl Contract {
    /// An action is begun.
    ///
    /// # Panics
    /// In unoptimised builds, if the contract rules it out.
    pub fn begun(&mut self, action: &Action) {
        if cfg!(debug_assertions) {
            let kept = self.note_action(action);
            assert!(kept.is_ok(), "a runtime was asked for what its contract rules out: {kept:?} by {action:?}");
        }
    }

    /// A report came.
    ///
    /// # Panics
    /// In unoptimised builds, if it breaks the contract.
    pub fn reported(&mut self, report: &Report) {
        if cfg!(debug_assertions) {
            let kept = self.note_report(report);
            assert!(kept.is_ok(), "a runtime broke its contract: {kept:?} by {report:?}");
        }
    }

    fn note_action(&mut self, action: &Action) -> Result<(), &'static str> {
        match action {
            Action::Spawn(SpawnOrder { attempt, .. })
            | Action::Adopt(Adoption { order: SpawnOrder { attempt, .. }, .. }) => {
                match self.attempts.insert(*attempt, Stage::Ordered) {
                    None => Ok(()),
                    Some(_) => Err("an attempt is started once"),
                }
            }
            Action::Look(attempt) | Action::Stop(attempt) => match self.attempts.get(attempt) {
                Some(_) => Ok(()),
                None => Err("only what was started is looked at or stopped"),
            },
            Action::Delete { attempt, .. } => match self.attempts.insert(*attempt, Stage::Deleting) {
                // One that has not ended was given up by the machine, which waits no longer; of one that is not known the
                // agent ended in an earlier process, which did not live to delete it.
                Some(Stage::Ended | Stage::Ordered | Stage::Accepted) | None => Ok(()),
                Some(Stage::Deleting | Stage::Over) => Err("a session is deleted once"),
            },
        }
    }

    fn note_report(&mut self, report: &Report) -> Result<(), &'static str> {
        let (attempt, next) = match report {
            Report::Spawned { attempt, .. } => (attempt, Stage::Accepted),
            Report::Met { .. } => return Ok(()),
            Report::Started { attempt, .. } | Report::Queued { attempt } | Report::Active { attempt, .. } => {
                return match self.attempts.get(attempt) {
                    Some(Stage::Ordered | Stage::Accepted | Stage::Deleting) => Ok(()),
                    Some(Stage::Ended | Stage::Over) => Err("nothing is heard of an attempt after its end"),
                    None => Err("no report comes before its action"),
                };
            }
            Report::Ended { attempt, .. } => (attempt, Stage::Ended),
            Report::Deleted { attempt } | Report::DeleteFailed { attempt, .. } => (attempt, Stage::Over),
        };
        let Some(stage) = self.attempts.get_mut(attempt) else { return Err("no report comes before its action") };
        let before = std::mem::replace(stage, next);
        match (before, next) {
            (Stage::Ordered, Stage::Accepted)
            | (Stage::Ordered | Stage::Accepted, Stage::Ended)
            | (Stage::Deleting, Stage::Over) => Ok(()),
            // An agent that was given up ends while its session is being deleted.
            (Stage::Deleting, Stage::Accepted | Stage::Ended) => {
                self.attempts.insert(*attempt, Stage::Deleting);
                Ok(())
            }
            (_, Stage::Accepted) => Err("an agent is accepted once, before its end"),
            (_, Stage::Ended) => Err("an attempt ends once"),
            (_, _) => Err("a deletion is answered once, after it was asked for"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::action::Session;
    use crate::core::failure::Ending;
    use crate::core::prompt::Prompt;
    use crate::core::usage::Usage;
    use std::time::Duration;

    const ATTEMPT: AttemptRef = AttemptRef { task_index: 0, start_no: 1 };

    fn spawn() -> Action {
        Action::Spawn(SpawnOrder {
            attempt: ATTEMPT,
            key: "k".into(),
            task_id: "t".into(),
            agent_type: "plain".into(),
            model: None,
            prompt: Prompt::plain("hi"),
            timeout: Duration::from_secs(1),
        })
    }

    fn session() -> Session {
        Session { key: "s".into(), run_id: "r".into() }
    }

    fn ended() -> Report {
        let ending = Ending::TimedOut;
        Report::Ended { attempt: ATTEMPT, ending, usage: Usage::default(), model_used: None, partial: None }
    }

    #[test]
    fn a_whole_life_keeps_the_contract() {
        let mut contract = Contract::default();
        contract.begun(&spawn());
        contract.reported(&Report::Spawned { attempt: ATTEMPT, session: session() });
        contract.reported(&Report::Queued { attempt: ATTEMPT });
        contract.reported(&ended());
        contract.begun(&Action::Delete { attempt: ATTEMPT, session: session() });
        contract.reported(&Report::Deleted { attempt: ATTEMPT });
    }

    #[test]
    fn a_session_that_an_earlier_process_left_is_deleted() {
        let mut contract = Contract::default();
        contract.begun(&Action::Delete { attempt: ATTEMPT, session: session() });
        contract.reported(&Report::Deleted { attempt: ATTEMPT });
    }

    #[test]
    fn each_breach_has_its_name() {
        let mut contract = Contract::default();
        assert_eq!(contract.note_report(&ended()), Err("no report comes before its action"));
        assert_eq!(contract.note_action(&spawn()), Ok(()));
        assert_eq!(contract.note_action(&spawn()), Err("an attempt is started once"));
        assert_eq!(contract.note_report(&ended()), Ok(()));
        assert_eq!(contract.note_report(&ended()), Err("an attempt ends once"));
        let queued = Report::Queued { attempt: ATTEMPT };
        assert_eq!(contract.note_report(&queued), Err("nothing is heard of an attempt after its end"));
        let deleted = Report::Deleted { attempt: ATTEMPT };
        assert_eq!(contract.note_report(&deleted), Err("a deletion is answered once, after it was asked for"));
    }
}
