//! The sessions that a run's agents leave, until they are deleted or known to stay. Decides which is deleted when.
//!
//! A deletion costs the gateway about half of what an agent costs (0.13 s against 0.3 s), so beside agents one is made
//! only in silence, or when so many wait that there would be no time for them at the end.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::action::{AttemptRef, Session};
use super::settings::Cleanup;
use super::time::Time;

/// How long nothing must have been heard of any agent before a session is deleted beside them.
const SILENCE: Duration = Duration::from_secs(1);
/// How many sessions may wait for silence: about as many as ten seconds at the end are enough for.
const WAITING_MAX: usize = 100;

/// When the next session may be deleted beside agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// At once.
    Now,
    /// Not before this instant.
    At(Time),
    /// Not before something else happens.
    Never,
}

/// The sessions that are to be deleted, or are known to stay.
#[derive(Debug)]
pub struct Sessions {
    cleanup: Cleanup,
    /// Every agent that the runtime took, with its session while that exists.
    accepted: BTreeMap<AttemptRef, Option<Session>>,
    waiting: BTreeSet<AttemptRef>,
    deleting: BTreeSet<AttemptRef>,
    heard: Time,
    kept_because: Option<String>,
}

impl Sessions {
    /// None yet.
    pub fn new(cleanup: Cleanup, now: Time) -> Self {
        Self {
            cleanup,
            accepted: BTreeMap::new(),
            waiting: BTreeSet::new(),
            deleting: BTreeSet::new(),
            heard: now,
            kept_because: None,
        }
    }

    /// Something was heard of an agent.
    pub fn hear(&mut self, now: Time) {
        self.heard = now;
    }

    /// The runtime took an agent. Whether that is news: a repetition's session may be gone by now.
    pub fn accept(&mut self, attempt: AttemptRef, session: Session) -> bool {
        match self.accepted.entry(attempt) {
            Entry::Vacant(vacant) => {
                vacant.insert(Some(session));
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// Whether the runtime ever took this agent.
    pub fn was_accepted(&self, attempt: AttemptRef) -> bool {
        self.accepted.contains_key(&attempt)
    }

    /// Its agent has ended: the session may go.
    pub fn release(&mut self, attempt: AttemptRef) {
        let is_known = matches!(self.accepted.get(&attempt), Some(Some(_))) && !self.deleting.contains(&attempt);
        if self.cleanup == Cleanup::Delete && is_known {
            self.waiting.insert(attempt);
        }
    }

    /// When the next one may be deleted beside agents.
    pub fn turn(&self, now: Time) -> Turn {
        if self.waiting.is_empty() || !self.deleting.is_empty() {
            return Turn::Never;
        }
        let quiet_at = self.heard + SILENCE;
        if quiet_at <= now || self.waiting.len() > WAITING_MAX { Turn::Now } else { Turn::At(quiet_at) }
    }

    /// The next one to delete; it counts as being deleted from now on.
    pub fn take_next(&mut self) -> Option<(AttemptRef, Session)> {
        while let Some(attempt) = self.waiting.pop_first() {
            if let Some(Some(session)) = self.accepted.get(&attempt).cloned() {
                self.deleting.insert(attempt);
                return Some((attempt, session));
            }
        }
        None
    }

    /// How many are being deleted.
    pub fn deleting(&self) -> usize {
        self.deleting.len()
    }

    /// One is gone. Whether that is news.
    pub fn deleted(&mut self, attempt: AttemptRef) -> bool {
        self.deleting.remove(&attempt) && self.accepted.get_mut(&attempt).and_then(Option::take).is_some()
    }

    /// One could not be deleted and stays. `None` if nobody wanted it deleted.
    pub fn stays(&mut self, attempt: AttemptRef) -> Option<Session> {
        if self.deleting.remove(&attempt) { self.accepted.get_mut(&attempt).and_then(Option::take) } else { None }
    }

    /// From now on none is deleted, for this reason.
    pub fn keep_all(&mut self, reason: &str) {
        if self.cleanup == Cleanup::Delete {
            self.cleanup = Cleanup::Impossible;
        }
        self.waiting.clear();
        self.kept_because = Some(reason.to_owned());
    }

    /// Those that are to be deleted, or are being.
    #[cfg(test)]
    pub fn awaiting_deletion(&self) -> BTreeSet<AttemptRef> {
        self.waiting.union(&self.deleting).copied().collect()
    }

    /// The deletion of one was not asked for after all.
    pub fn spare(&mut self, attempt: AttemptRef) {
        self.deleting.remove(&attempt);
    }

    /// One is gone, or known to stay, since an earlier process.
    pub fn forget(&mut self, attempt: AttemptRef) {
        self.waiting.remove(&attempt);
        if let Some(session) = self.accepted.get_mut(&attempt) {
            *session = None;
        }
    }

    /// Why those are left that are.
    pub fn reason_left(&self) -> &str {
        if let Some(reason) = &self.kept_because {
            return reason;
        }
        match self.cleanup {
            Cleanup::Delete | Cleanup::Keep => "there was no time left to delete it",
            Cleanup::Impossible => "nothing here can delete it",
        }
    }

    /// Whether none is left that should be gone.
    pub fn is_clean(&self) -> bool {
        self.cleanup == Cleanup::Keep || self.accepted.values().all(Option::is_none)
    }

    /// Those that should be gone and are not.
    pub fn left(&mut self) -> Vec<(AttemptRef, Session)> {
        if self.cleanup == Cleanup::Keep {
            return Vec::new();
        }
        self.accepted.iter_mut().filter_map(|(attempt, session)| Some((*attempt, session.take()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(10_000);

    fn attempt(task_index: usize) -> AttemptRef {
        AttemptRef { task_index, start_no: 1 }
    }

    fn ended(cleanup: Cleanup, count: usize) -> Sessions {
        let mut sessions = Sessions::new(cleanup, NOW);
        for index in 0..count {
            sessions.accept(attempt(index), Session { key: "k".into(), run_id: "r".into() });
            sessions.release(attempt(index));
        }
        sessions
    }

    #[test]
    fn beside_agents_one_session_goes_in_silence() {
        let mut sessions = ended(Cleanup::Delete, 2);
        assert_eq!(sessions.turn(NOW), Turn::At(NOW + SILENCE));
        assert_eq!(sessions.turn(NOW + SILENCE), Turn::Now);
        sessions.take_next();
        assert_eq!(sessions.turn(NOW + SILENCE), Turn::Never, "one at a time");
    }

    #[test]
    fn a_long_queue_waits_for_no_silence() {
        assert_eq!(ended(Cleanup::Delete, WAITING_MAX + 1).turn(NOW), Turn::Now);
    }

    #[test]
    fn sessions_that_nothing_can_delete_are_left_at_once() {
        let mut sessions = ended(Cleanup::Impossible, 2);
        assert_eq!(sessions.take_next(), None);
        assert_eq!(sessions.left().len(), 2);
        assert_eq!(sessions.reason_left(), "nothing here can delete it");
    }

    #[test]
    fn sessions_that_are_to_stay_are_neither_deleted_nor_left() {
        let mut sessions = ended(Cleanup::Keep, 1);
        assert_eq!(sessions.take_next(), None);
        assert!(sessions.left().is_empty());
    }

    #[test]
    fn none_is_deleted_any_more_once_all_are_to_be_kept() {
        let mut sessions = ended(Cleanup::Delete, 3);
        let (under_way, _) = sessions.take_next().expect("one waits");
        sessions.keep_all("the disk is full");
        sessions.release(attempt(1));
        assert_eq!((sessions.take_next(), sessions.turn(NOW + SILENCE)), (None, Turn::Never));
        assert!(sessions.deleted(under_way), "one that was under way may still go");
        let left: Vec<usize> = sessions.left().into_iter().map(|(attempt, _)| attempt.task_index).collect();
        assert_eq!((left, sessions.reason_left()), (vec![1, 2], "the disk is full"));
    }

    #[test]
    fn sessions_that_are_to_stay_are_not_left_behind_by_a_lost_journal() {
        let mut sessions = ended(Cleanup::Keep, 2);
        sessions.keep_all("the disk is full");
        assert!(sessions.left().is_empty() && sessions.is_clean());
    }

    #[test]
    fn a_deletion_that_was_not_asked_for_holds_nothing_up_and_leaves_the_session() {
        let mut sessions = ended(Cleanup::Delete, 1);
        sessions.take_next();
        sessions.spare(attempt(0));
        assert_eq!((sessions.deleting(), sessions.left().len()), (0, 1));
    }

    #[test]
    fn what_went_in_an_earlier_life_is_not_deleted_again() {
        let mut sessions = ended(Cleanup::Delete, 2);
        sessions.forget(attempt(0));
        sessions.release(attempt(0));
        let next = sessions.take_next().map(|(attempt, _)| attempt.task_index);
        assert_eq!((next, sessions.take_next()), (Some(1), None));
        assert!(sessions.was_accepted(attempt(0)), "that it was taken is known all the same");
    }
}
