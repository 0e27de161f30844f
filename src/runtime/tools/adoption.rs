//! Agents that an earlier process ordered, taken up by their session or else by the label of their start. From then on
//! they are like any other, save that their time has begun long ago.

use crate::core::action::Adoption;

use super::{Agent, Ending, Time, ToolRuntime, label};

impl ToolRuntime {
    /// Callables tell of no boots, and starting twice is never recognised by them: so nothing is started.
    pub(super) fn adopt(&mut self, adoption: Adoption, now: Time) {
        let Adoption { order, session, boot: _, ordered } = adoption;
        let attempt = order.attempt;
        let label = label(&order);
        let mut agent = Agent::new(&order, label.clone(), ordered.min(now));
        agent.is_adopted = true;
        self.agents.insert(attempt, Box::new(agent));
        if let Some(session) = session {
            self.hold(attempt, session, now);
            return;
        }
        let mut reason = "its start was never answered".to_owned();
        if self.abilities.label {
            reason = format!("{reason}, and `sessions_list` shows no session with its label `{label}`");
        }
        self.unsure(attempt, Ending::Lost { reason }, now);
    }
}
