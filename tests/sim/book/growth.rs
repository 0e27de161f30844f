//! What the book holds of a run's strategy: what it must have heard by the facts, and what of that it said is still to come.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parallel_agents::core::fact::{End, Event, Fact, Status};
use parallel_agents::core::strategy::{Ask, Word};

use super::Book;
use crate::steering::{Log, Said, What};

/// A strategy, by the facts.
#[expect(clippy::struct_excessive_bools, reason = "each may be so or not, whatever the others are")]
#[derive(Debug)]
pub struct Steered {
    pub log: Log,
    /// What it must have heard.
    pub told: Vec<What>,
    /// How much of that before this machine's time, and all that its predecessor had heard.
    pub recalled: usize,
    pub predecessor: Vec<(What, Said)>,
    /// Tasks that it wants and that are not added.
    pub wanted: VecDeque<Arc<str>>,
    /// It waits for an approval, and that was said in this machine's time.
    pub asked: bool,
    pub is_asked_now: bool,
    /// It waits to hear of the budget.
    pub counts: bool,
    /// It waits for marks.
    pub waits: bool,
    /// A word was given that it waited for.
    pub word_due: bool,
    /// It has said that nothing more is needed; and that has ended the run.
    pub said_enough: bool,
    pub enough: bool,
    /// The fact at which it said so.
    enough_no: u64,
    /// The ends that it was not told.
    pub kept_back: BTreeMap<Arc<str>, Status>,
    /// The fact that told what it all came to.
    pub outcome_no: Option<u64>,
}

impl Steered {
    pub fn new(log: Log) -> Self {
        Self {
            log,
            told: Vec::new(),
            recalled: 0,
            predecessor: Vec::new(),
            wanted: VecDeque::new(),
            asked: false,
            is_asked_now: false,
            counts: false,
            waits: false,
            word_due: false,
            said_enough: false,
            enough: false,
            enough_no: 0,
            kept_back: BTreeMap::new(),
            outcome_no: None,
        }
    }

    /// It must have heard this. What it said to it is in its log, or it has not heard it.
    fn hear(&mut self, what: What, no: u64, may_grow: bool) {
        let said = self.log.read().get(self.told.len()).map(|(_, said)| said.clone());
        self.told.push(what);
        let Some(Said { add, enough, ask, waits }) = said else { return };
        self.waits = waits;
        if self.said_enough {
            return;
        }
        if enough {
            (self.said_enough, self.enough, self.enough_no) = (true, may_grow, no);
            self.wanted.clear();
            (self.asked, self.counts) = (false, false);
            return;
        }
        self.wanted.extend(add);
        match ask {
            Some(Ask::Approval(_)) => (self.asked, self.is_asked_now) = (true, false),
            Some(Ask::Budget(_)) => self.counts = true,
            None => {}
        }
    }
}

impl Book<'_> {
    /// Whether tasks may yet be added.
    pub fn may_grow(&self) -> bool {
        let open = |steered: &Steered| !steered.said_enough;
        let starts = !self.starts_stopped && self.journals_or_never_did();
        self.cancelled_by.is_none() && starts && self.steered.as_ref().is_some_and(open)
    }

    /// Whether the run stays open for a word.
    pub fn awaits_word(&self) -> bool {
        self.may_grow() && self.steered.as_ref().is_some_and(|steered| steered.asked || steered.waits)
    }

    /// Whether its strategy has said that nothing more is needed.
    pub fn is_enough(&self) -> bool {
        self.steered.as_ref().is_some_and(|steered| steered.enough)
    }

    /// Whether the task has ended without an answer before that.
    pub fn was_in_vain(&self, index: usize) -> bool {
        let before = self.steered.as_ref().map_or(0, |steered| steered.enough_no);
        let page = &self.tasks[index];
        page.ended_no <= before && page.end.as_ref().is_some_and(|end| end.output().is_none())
    }

    /// Whether its strategy waits for this.
    pub fn expects(&self, word: &Word) -> bool {
        let Some(steered) = self.steered.as_ref().filter(|_| self.may_grow() && !self.ended) else { return false };
        match word {
            Word::Approval { .. } => steered.asked,
            Word::Mark { .. } => steered.waits,
            Word::Budget { .. } => false,
        }
    }

    /// Notes what a fact means to the strategy, before all else that it means.
    pub(super) fn note_steering(&mut self, fact: &Fact) {
        let (may_grow, no) = (self.may_grow(), self.facts_made + 1);
        let is_cancelled = self.cancelled_by.is_some() && !self.ended;
        let over_budget = if let Event::TaskEnded { task_index, .. } = fact.event {
            self.tasks[task_index].over_budget
        } else {
            false
        };
        let Some(steered) = &mut self.steered else { return };
        match &fact.event {
            Event::TaskEnded { task_index, end } => {
                let id = self.plan.tasks()[*task_index].id.clone();
                let is_final = match end {
                    End::Completed { .. } => true,
                    End::Failed { .. } | End::Timeout { .. } | End::Cancelled { .. } => may_grow && !over_budget,
                    End::NeedsInput { .. } | End::Skipped { .. } => false,
                };
                if is_final {
                    steered.hear(What::End(id, end.status()), no, may_grow);
                } else {
                    steered.kept_back.insert(id, end.status());
                }
            }
            Event::TaskReopened { task_index, .. } => {
                steered.kept_back.remove(&self.plan.tasks()[*task_index].id);
            }
            Event::TasksAdded { tasks, .. } => {
                steered.wanted.drain(..tasks.len().min(steered.wanted.len()));
            }
            Event::ApprovalAsked { .. } => steered.is_asked_now = true,
            Event::WordGiven { word } => {
                match word {
                    Word::Approval { .. } => steered.asked = false,
                    Word::Budget { .. } => steered.counts = false,
                    Word::Mark { .. } => {}
                }
                steered.word_due = false;
                steered.hear(What::Word(word.clone()), no, may_grow);
            }
            Event::RunResumed { .. } => {
                steered.is_asked_now = false;
                steered.enough = steered.said_enough && !is_cancelled;
                for page in self.tasks.iter_mut().filter(|page| page.end.is_none()) {
                    page.over_budget = false;
                }
            }
            Event::OutcomeReached { .. } => steered.outcome_no = Some(no),
            _ => {}
        }
    }
}
