//! The messages of an agent that seems to have ended, and what its end comes to by what they say.

use std::time::Duration;

use super::agent::{Finding, Phase};
use super::{AttemptRef, Call, Ending, Reply, Time, ToolRuntime, Usage, abridged, unreadable};

/// Pauses before a session's messages are asked for again that could not be read.
const HISTORY_PAUSES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1_600)];
/// How long the end of an agent that was stopped waits for what it had written.
const PARTIAL_PATIENCE: Duration = Duration::from_secs(2);

impl ToolRuntime {
    /// Asks for the messages of an agent that seems to have ended.
    pub(super) fn read(&mut self, attempt: AttemptRef, finding: Finding, now: Time) {
        let Some(agent) = self.agents.get_mut(&attempt) else { return };
        if agent.is_awaited() {
            self.awaited -= 1;
        }
        if finding == Finding::Killed {
            self.later.insert((now + PARTIAL_PATIENCE, attempt));
        }
        agent.phase = Phase::Reading { finding, failures: 0 };
        self.read_again(attempt);
    }

    /// The time of an agent that is being read has come: it is read again, or waits no longer.
    pub(super) fn wake(&mut self, attempt: AttemptRef) {
        let phase = self.agents.get(&attempt).map(|agent| &agent.phase);
        if matches!(phase, Some(Phase::Reading { finding: Finding::Killed, .. })) {
            self.end(attempt, killed());
        } else {
            self.read_again(attempt);
        }
    }

    fn read_again(&mut self, attempt: AttemptRef) {
        if let Some(agent) = self.agents.get(&attempt)
            && matches!(agent.phase, Phase::Reading { .. })
            && let Some(session) = &agent.session
        {
            self.urgent.push_back(Call::History { attempt, key: session.key.clone() });
        }
    }

    /// The messages of a session, or why they could not be read.
    pub fn replied(&mut self, attempt: AttemptRef, answer: Result<Reply, String>, now: Time) {
        let Some(agent) = self.agents.get_mut(&attempt) else { return };
        let Phase::Reading { finding, failures } = &mut agent.phase else { return };
        let reply = match answer {
            Ok(reply) => reply,
            // It is known how it ended, whatever it had written.
            Err(_) if *finding == Finding::Killed => return self.end(attempt, killed()),
            Err(error) => {
                if let Some(pause) = HISTORY_PAUSES.get(*failures) {
                    *failures += 1;
                    self.later.insert((now + *pause, attempt));
                    return;
                }
                let key = agent.session.as_ref().map_or("", |session| &*session.key);
                let message = format!("`sessions_history` failed: {error}; session `{key}` may hold the answer");
                return self.end(attempt, unreadable(message));
            }
        };
        let finding = finding.clone();
        let usage = Usage { tokens: reply.tokens, cost: reply.cost };
        if let Some(model) = &reply.model {
            agent.model_used = Some(model.clone());
        }
        let took = (!agent.is_adopted).then(|| now.since(agent.accepted_at));
        let has_had_its_time = agent.has_had_its_time(now);
        let was_there = agent.was_there(now);
        let mut partial = None;
        let ending = match finding {
            Finding::Killed => {
                partial = reply.partial();
                killed()
            }
            Finding::Failed(error) => failed(error, reply),
            Finding::Done { .. } | Finding::Vanished { .. } | Finding::TimedOut { .. }
                if reply.is_answer(matches!(finding, Finding::Done { is_certain: true })) =>
            {
                if let Some(took) = took {
                    self.pace.ended(took);
                }
                if reply.is_cut { Ending::Cut(reply.text) } else { Ending::Replied(reply.text) }
            }
            // It broke off by itself: no stop is needed.
            Finding::TimedOut { .. } | Finding::Vanished { is_certain: false } if reply.is_aborted => {
                partial = reply.partial();
                Ending::TimedOut
            }
            Finding::Done { .. } | Finding::Vanished { .. } | Finding::TimedOut { .. } if reply.failure.is_some() => {
                failed(None, reply)
            }
            Finding::Done { is_certain: true } => Ending::Replied(String::new()),
            Finding::Vanished { is_certain: true } if was_there => {
                partial = reply.partial();
                Ending::Lost { reason: "its session is no longer listed and holds no answer".to_owned() }
            }
            Finding::Vanished { is_certain } if has_had_its_time && (is_certain || !was_there) => {
                partial = reply.partial();
                Ending::TimedOut
            }
            Finding::TimedOut { is_certain: true } => return self.time_out(attempt, reply.partial()),
            Finding::Done { .. } | Finding::Vanished { .. } | Finding::TimedOut { .. } => {
                return self.await_again(attempt, now);
            }
        };
        self.progress_at = now;
        self.end_with(attempt, ending, usage, partial);
    }

    fn await_again(&mut self, attempt: AttemptRef, now: Time) {
        let Some(agent) = self.agents.get_mut(&attempt) else { return };
        agent.phase = Phase::Awaited;
        agent.misses = 0;
        let is_stopping = agent.is_stopping;
        self.await_from_now(attempt);
        if is_stopping {
            self.stop_child(attempt, now);
        }
    }
}

/// The end of an agent that somebody stopped.
fn killed() -> Ending {
    Ending::Stopped { reason: "killed".to_owned() }
}

/// The end of an agent that failed, in the words of its row, of its message, or of a message beside it.
fn failed(error: Option<String>, reply: Reply) -> Ending {
    let said = Some(reply.text).filter(|text| !text.trim().is_empty());
    let words = error.or(reply.failure).or(reply.remark).or(said);
    let words = words.unwrap_or_else(|| "it gave no reason".to_owned());
    Ending::Failed { message: format!("the agent failed: {}", abridged(&words, 500)) }
}
