//! Between the machine and its strategy: ends and words go in, further tasks come out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use super::RunMachine;
use crate::core::fact::{End, Event, StopReason};
use crate::core::plan::Task;
use crate::core::record::{Record, State};
use crate::core::strategy::{Ask, KeptBack, Next, Strategy, Word};
use crate::core::time::Time;

/// A strategy, and what lies between it and the machine.
#[derive(Debug)]
pub(super) struct Steering {
    pub(super) strategy: Box<dyn Strategy>,
    /// Ends that it is to be told.
    pub(super) untold: VecDeque<(usize, End)>,
    /// Tasks whose end is not the strategy's concern: the budget keeps them back.
    keeping_back: BTreeSet<usize>,
    /// Ends that it was not told.
    pub(super) kept_back: KeptBack,
    /// How tasks ended that nothing can build on.
    pub(super) in_vain: BTreeMap<usize, End>,
    /// What it wants a person to approve, until somebody answers.
    pub(super) asked: Option<Arc<Value>>,
    /// Tasks of which it wants to know whether the budget bears them.
    pub(super) counting: Option<Arc<[Task]>>,
    /// Why nothing more is needed, once that is so.
    pub(super) enough: Option<String>,
    /// Tasks that it wants and no fact has added yet: while facts are recalled.
    pub(super) wanted: VecDeque<Task>,
}

impl RunMachine {
    /// The same machine, with a strategy. For one to which nothing has happened yet.
    pub(super) fn steered_by(mut self, strategy: Option<Box<dyn Strategy>>) -> Self {
        self.steering = strategy.map(|strategy| Steering {
            strategy,
            untold: VecDeque::new(),
            keeping_back: BTreeSet::new(),
            kept_back: KeptBack::default(),
            in_vain: BTreeMap::new(),
            asked: None,
            counting: None,
            enough: None,
            wanted: VecDeque::new(),
        });
        self
    }

    /// Somebody tells the strategy what it asked for, or what it can use. What it does not wait for changes nothing.
    pub fn handle_word(&mut self, word: &Word, now: Time) {
        let expected = match (&self.steering, word) {
            (None, _) | (Some(_), Word::Budget { .. }) => false,
            (Some(steering), _) if steering.enough.is_some() => false,
            (Some(steering), Word::Approval { .. }) => steering.asked.is_some(),
            (Some(steering), Word::Mark { .. }) => steering.strategy.waits(),
        };
        if expected && !self.finished && self.may_grow() {
            self.tell(word, now);
        }
        self.advance(now);
    }

    /// Why no other task is needed any more, if none is.
    pub(super) fn enough(&self) -> Option<&str> {
        self.steering.as_ref()?.enough.as_deref()
    }

    /// Whether the run stays open though no task is left: for a word, or for what its strategy has yet to hear or to do.
    pub(super) fn may_go_on(&self) -> bool {
        let goes_on = |steering: &Steering| {
            steering.enough.is_none()
                && (steering.strategy.waits()
                    || steering.asked.is_some()
                    || steering.counting.is_some()
                    || !steering.untold.is_empty()
                    || !steering.wanted.is_empty())
        };
        self.may_grow() && self.steering.as_ref().is_some_and(goes_on)
    }

    /// Whether somebody outside is asked for a word.
    pub fn awaits_word(&self) -> bool {
        let is_asked =
            |steering: &Steering| steering.enough.is_none() && (steering.strategy.waits() || steering.asked.is_some());
        self.may_grow() && self.steering.as_ref().is_some_and(is_asked)
    }

    /// Whether answers of completed tasks may yet be built on by tasks that are not there.
    pub(super) fn grows(&self) -> bool {
        self.steering.as_ref().is_some_and(|steering| steering.strategy.grows())
    }

    fn may_grow(&self) -> bool {
        self.cancelled.is_none() && self.starts_stopped.is_none()
    }

    /// The end of a task that follows is not told to the strategy: what keeps it back may yet let it go.
    pub(super) fn keep_back(&mut self, index: usize) {
        if let Some(steering) = &mut self.steering {
            steering.keeping_back.insert(index);
        }
    }

    /// A budget that is another one by now has kept nothing back.
    pub(super) fn keep_nothing_back(&mut self) {
        if let Some(steering) = &mut self.steering {
            steering.keeping_back.clear();
        }
    }

    /// A task has ended: its end is told, unless it is not for good.
    pub(super) fn note_end(&mut self, index: usize, end: &End) {
        let is_open = self.may_grow();
        let Some(steering) = &mut self.steering else { return };
        let is_kept = steering.keeping_back.remove(&index);
        if end.output().is_none() {
            steering.in_vain.insert(index, end.clone());
        }
        let is_final = match end {
            End::Completed { .. } => true,
            End::Failed { .. } | End::Timeout { .. } | End::Cancelled { .. } => is_open && !is_kept,
            End::NeedsInput { .. } | End::Skipped { .. } => false,
        };
        if is_final {
            steering.untold.push_back((index, end.clone()));
        } else {
            steering.kept_back.keep(self.plan.tasks()[index].id.clone(), end.clone(), is_kept);
        }
    }

    /// A task that had ended is open again.
    pub(super) fn note_reopening(&mut self, index: usize) {
        if let Some(steering) = &mut self.steering {
            steering.kept_back.release(&self.plan.tasks()[index].id);
            steering.in_vain.remove(&index);
        }
    }

    /// Tells the strategy what has ended, in the order of the facts, and does what it says.
    pub(super) fn steer(&mut self, now: Time) {
        loop {
            while let Some(next) = self.tell_end() {
                self.carry_out(next, now);
            }
            // After all ends: so it hears in the order of the facts, whoever tells it.
            let counting = self.steering.as_mut().and_then(|steering| steering.counting.take());
            let Some(tasks) = counting.filter(|_| self.may_grow()) else { return };
            let complaint = self.complaint(&tasks);
            self.tell(&Word::Budget { complaint: complaint.map(Into::into) }, now);
        }
    }

    /// Tells the next end. Once enough is done, only answers are news.
    fn tell_end(&mut self) -> Option<Next> {
        let steering = self.steering.as_mut()?;
        while let Some((index, end)) = steering.untold.pop_front() {
            let task = &self.plan.tasks()[index];
            if steering.enough.is_none() || end.output().is_some() {
                return Some(steering.strategy.ended(task, &end));
            }
            steering.kept_back.keep(task.id.clone(), end, false);
        }
        None
    }

    fn tell(&mut self, word: &Word, now: Time) {
        self.fact(now, Event::WordGiven { word: word.clone() });
        let next = self.steering.as_mut().map(|steering| steering.hear(word));
        self.carry_out(next.unwrap_or_default(), now);
    }

    fn carry_out(&mut self, next: Next, now: Time) {
        if !self.may_grow() || self.enough().is_some() {
            return;
        }
        let Next { add, enough, ask } = next;
        if let Some(reason) = enough {
            return self.need_no_more(reason, now);
        }
        self.add(add, now);
        match (ask, &mut self.steering) {
            (Some(Ask::Approval(subject)), Some(steering)) => {
                steering.asked = Some(subject.clone());
                self.fact(now, Event::ApprovalAsked { subject });
            }
            (Some(Ask::Budget(tasks)), Some(steering)) => steering.counting = Some(tasks),
            (None, _) | (Some(_), None) => {}
        }
    }

    /// Why the budget does not bear these tasks, if it does not.
    fn complaint(&self, tasks: &[Task]) -> Option<String> {
        let needed = |task: &Task| {
            self.ledger.worst_case(task, &task.hierarchy.tiers()[0], task.prompt_bytes(), &self.settings.estimate)
        };
        self.ledger.complaint(&tasks.iter().map(needed).collect::<Vec<_>>())
    }

    fn add(&mut self, mut tasks: Vec<Task>, now: Time) {
        // A file may hold tasks that none of its facts has added.
        tasks.retain(|task| self.plan.tasks().iter().all(|known| known.id != task.id));
        if tasks.is_empty() {
            return;
        }
        let (first, tasks) = (self.records.len(), Arc::from(tasks));
        self.take_up(first, &tasks);
        self.fact(now, Event::TasksAdded { first, tasks });
        for index in first..self.records.len() {
            self.skip_if_in_vain(index, now);
        }
    }

    /// Makes room for added tasks.
    fn take_up(&mut self, first: usize, tasks: &[Task]) {
        Arc::make_mut(&mut self.plan).grow(first, tasks);
        for index in self.records.len()..self.plan.tasks().len() {
            let open = |dependency: &&usize| !self.has_answer(**dependency);
            let waits_for = self.plan.dependencies(index).iter().filter(open).count();
            self.records.push(Record::blocked(waits_for, 0));
            self.unended += 1;
            for position in 0..self.plan.dependencies(index).len() {
                let dependency = self.plan.dependencies(index)[position];
                self.records[dependency].dependents_open += 1;
            }
            if waits_for == 0 {
                self.make_ready(index);
            }
        }
    }

    /// Whether a task has ended with an answer.
    fn has_answer(&self, index: usize) -> bool {
        let has_ended = self.records.get(index).is_some_and(|record| matches!(record.state, State::Ended));
        has_ended && self.steering.as_ref().is_some_and(|steering| !steering.in_vain.contains_key(&index))
    }

    /// Ends an added task that builds on one that ended without an answer.
    fn skip_if_in_vain(&mut self, index: usize, now: Time) {
        let Some(steering) = &self.steering else { return };
        let ends = self
            .plan
            .dependencies(index)
            .iter()
            .filter_map(|&because| Some((because, steering.in_vain.get(&because)?)));
        if let Some(skipped) = ends.map(|(because, end)| self.skipped(because, end)).next() {
            self.end_task(index, skipped, now);
        }
    }

    /// Ends all tasks that have not ended.
    fn need_no_more(&mut self, reason: String, now: Time) {
        let Some(steering) = &mut self.steering else { return };
        steering.need_no_more(reason);
        self.end_all(StopReason::Unneeded, now);
    }

    /// What the run came to, told at its end.
    pub(super) fn tell_outcome(&mut self, now: Time) {
        let reason = self.cancelled.map(|_| self.cancel_reason.as_str());
        let outcome = self.steering.as_mut().and_then(|steering| {
            steering.kept_back.cut_short(reason);
            steering.strategy.outcome(&steering.kept_back)
        });
        if let Some(outcome) = outcome {
            self.fact(now, Event::OutcomeReached { outcome: Arc::new(outcome) });
        }
    }

    /// The strategy hears again what it has heard, and what it wants is kept until a fact says that it was done.
    pub(super) fn recall_strategy(&mut self) {
        while let Some(next) = self.tell_end() {
            self.want(next);
        }
    }

    /// A word that was given.
    pub(super) fn recall_word(&mut self, word: &Word) {
        if let Some(next) = self.steering.as_mut().map(|steering| steering.hear(word)) {
            self.want(next);
        }
    }

    /// Tasks that were added.
    pub(super) fn recall_added(&mut self, tasks: &[Task]) {
        if let Some(steering) = &mut self.steering {
            steering.wanted.retain(|wanted| !tasks.iter().any(|task| task.id == wanted.id));
        }
    }

    fn want(&mut self, next: Next) {
        let Some(steering) = self.steering.as_mut().filter(|steering| steering.enough.is_none()) else { return };
        let Next { add, enough, ask } = next;
        if let Some(reason) = enough {
            return steering.need_no_more(reason);
        }
        steering.wanted.extend(add);
        match ask {
            Some(Ask::Approval(subject)) => steering.asked = Some(subject),
            Some(Ask::Budget(tasks)) => steering.counting = Some(tasks),
            None => {}
        }
    }

    /// Does what the strategy wanted when the earlier process died.
    pub(super) fn steer_on(&mut self, now: Time) {
        let Some(steering) = &mut self.steering else { return };
        let next = Next {
            add: std::mem::take(&mut steering.wanted).into(),
            enough: steering.enough.take(),
            ask: steering.asked.take().map(Ask::Approval),
        };
        self.carry_out(next, now);
        if let Some(steering) = self.steering.as_mut().filter(|steering| steering.counting.is_none()) {
            steering.counting = match steering.strategy.again() {
                Some(Ask::Budget(tasks)) => Some(tasks),
                Some(Ask::Approval(_)) | None => None,
            };
        }
    }
}

impl Steering {
    /// What it says to a word.
    fn hear(&mut self, word: &Word) -> Next {
        match word {
            Word::Approval { .. } => self.asked = None,
            Word::Budget { .. } => self.counting = None,
            Word::Mark { .. } => {}
        }
        self.strategy.told(word)
    }

    fn need_no_more(&mut self, reason: String) {
        self.enough = Some(reason);
        self.asked = None;
        self.counting = None;
        self.wanted.clear();
    }
}
