//! Takes up an agent that an earlier process ordered: what became of it is looked for before anything is started.
//!
//! A gateway remembers its sessions and tasks through restarts, and the state of a task tells whether its present life
//! has the run in its hands. So an agent that was taken is followed or collected as one of our own. One that is not to
//! be found is ordered again only where that cannot start it twice.

use std::time::Duration;

use tokio::time::Instant;

use super::attempt::{Attempt, Stop};
use super::collect::{Kin, lost};
use super::frames::BootId;
use super::link::CallError;
use super::outcome::{Outcome, Standing};
use super::path_spawn::LABEL_PATIENCE;
use super::sessions::{self, Deletion};
use crate::core::action::Session;
use crate::core::failure::Ending;
use crate::core::usage::Usage;

/// How long a gateway is given to show what a process that has died has sent to it last.
const ARRIVAL_PATIENCE: Duration = Duration::from_secs(2);
const ARRIVAL_PAUSE: Duration = Duration::from_millis(500);

/// What is known of the agent beside its order.
pub(super) struct Adopted {
    /// How the gateway named it, if it was heard to take it.
    pub session: Option<Session>,
    /// The boot to which it was ordered.
    pub boot: Option<BootId>,
    /// How long ago that was, as far as the clocks of two processes agree.
    pub age: Duration,
}

/// What the gateway knows of a run.
enum Trace {
    /// It queues or works, in this boot.
    Live(BootId),
    /// It has ended, or a restart has cut it off.
    Past,
    /// Nothing, in this boot.
    Nothing(BootId),
}

impl Attempt {
    /// Takes up an agent that was ordered by the `agent` call.
    pub async fn adopt_by_agent(&mut self, adopted: Adopted) -> Outcome {
        match self.take_up(adopted).await {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }

    /// Either way it is the end; an error is one that cuts the search short.
    async fn take_up(&mut self, adopted: Adopted) -> Result<Outcome, Outcome> {
        if let Some(session) = adopted.session {
            let trace = self.trace(&session).await?;
            return Ok(self.go_on(session, trace, adopted.boot, Kin::Own).await);
        }
        let session = self.own_session();
        let deadline = Instant::now() + ARRIVAL_PATIENCE;
        loop {
            match self.trace(&session).await? {
                trace @ (Trace::Live(_) | Trace::Past) => {
                    return Ok(self.go_on(session, trace, adopted.boot, Kin::Own).await);
                }
                Trace::Nothing(boot) => {
                    self.hear().await?;
                    if adopted.boot.as_ref() == Some(&boot) && self.stop == Stop::NotAsked {
                        // If it is on its way after all, the gateway recognises the repeat.
                        return Ok(self.run_by_agent(Some(boot)).await);
                    }
                }
            }
            if Instant::now() >= deadline {
                return Ok(self.give_up_order(&session).await);
            }
            if let Some(outcome) = self.pause(ARRIVAL_PAUSE).await {
                return Err(outcome);
            }
        }
    }

    /// Takes up an agent that was ordered as a child of a session; `requester` is the parent of one that has to be
    /// spawned anew.
    pub async fn adopt_by_spawn(&mut self, adopted: Adopted, requester: &str) -> Outcome {
        if let Some(session) = adopted.session {
            return match self.trace(&session).await {
                Ok(trace) => self.go_on(session, trace, adopted.boot, Kin::Child).await,
                Err(outcome) => outcome,
            };
        }
        // A gateway that has restarted since has nothing of it under way.
        let is_other_boot = adopted.boot.is_some_and(|boot| boot != self.link.hello().boot);
        let patience = if is_other_boot { Duration::ZERO } else { LABEL_PATIENCE.saturating_sub(adopted.age) };
        let found = self.find_child(None, patience.max(ARRIVAL_PATIENCE)).await;
        self.go_on_from(found, requester).await
    }

    /// Follows a run that the gateway has taken, in the boot that has it or had it.
    async fn go_on(&mut self, session: Session, trace: Trace, ordered_to: Option<BootId>, kin: Kin) -> Outcome {
        let boot = match trace {
            Trace::Live(boot) => boot,
            // A boot without a name is none that answers now: what it had is over.
            Trace::Past | Trace::Nothing(_) => ordered_to.unwrap_or_else(|| "".into()),
        };
        match self.accept(session, boot).await {
            Some(outcome) => outcome,
            None => self.follow(kin).await,
        }
    }

    async fn trace(&mut self, session: &Session) -> Result<Trace, Outcome> {
        let (rows, boot) = self.runs_of(&session.key).await?;
        match rows.into_iter().find(|row| row.run_id == session.run_id) {
            Some(row) if row.is_live => return Ok(Trace::Live(boot)),
            Some(_) => return Ok(Trace::Past),
            None => {}
        }
        // A session that nothing has run in was only made to choose its model.
        Ok(match self.describe(session).await? {
            Some((described, _)) if described.standing != Standing::Queued || described.last_run_id.is_some() => {
                Trace::Past
            }
            Some(_) | None => Trace::Nothing(boot),
        })
    }

    /// Does what has been asked so far.
    async fn hear(&mut self) -> Result<(), Outcome> {
        match self.pause(Duration::ZERO).await {
            Some(outcome) => Err(outcome),
            None => Ok(()),
        }
    }

    /// The gateway has nothing of the order, and nothing shall come of it later.
    async fn give_up_order(&self, session: &Session) -> Outcome {
        if self.link.hello().is_admin()
            && let Deletion::Failed(reason) = sessions::delete(&self.link, &session.key).await
        {
            let reason = format!("{reason}; session `{}` may be run yet", session.key);
            return Ending::Unstoppable { reason }.into();
        }
        let outcome = match self.stop {
            Stop::NotAsked => lost("the gateway has no session of the agent that an earlier process ordered"),
            Stop::Asked | Stop::Told(_) => Attempt::not_started(CallError::Withdrawn),
        };
        Outcome { usage: Usage::NOTHING, ..outcome }
    }
}
