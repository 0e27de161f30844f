//! What a run does besides its plan: as tasks end, a strategy says which tasks are added, and when enough is done.
//!
//! A strategy decides and remembers; it starts nothing, and knows neither attempts nor time. All it hears comes from facts,
//! and told the same again it says the same again: that is how it goes on after a death. It is told the end of a task only
//! if that end is final: not of one that waits for a person's answer, for a larger budget, or for what did not complete.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::ops::Deref;
use std::sync::Arc;

use serde_json::Value;

use super::fact::End;
use super::plan::Task;

/// Decides what a run does as its tasks end.
pub trait Strategy: Debug + Send {
    /// A task has ended for good.
    fn ended(&mut self, task: &Task, end: &End) -> Next;

    /// Somebody has said what it asked for, or what it can use.
    fn told(&mut self, word: &Word) -> Next {
        let _ = word;
        Next::default()
    }

    /// What the tasks that it asked the budget about may cost, each in its first attempt, by the prices of this run.
    fn priced(&mut self, prices: &[Option<f64>]) {
        let _ = prices;
    }

    /// What it asks once more when its run goes on: what a refusal left open.
    fn again(&mut self) -> Option<Ask> {
        None
    }

    /// Whether the run stays open for a word, even if no task is left.
    fn waits(&self) -> bool {
        false
    }

    /// Whether it adds tasks, which may build on ones that have ended.
    fn grows(&self) -> bool {
        false
    }

    /// What it all came to, when nothing is left to do. `kept_back` are the ends that it was not told.
    fn outcome(&self, kept_back: &KeptBack) -> Option<Value>;

    /// What the agent of one of its tasks answers in a rehearsal, where the example of its type would not do.
    fn rehearse(&self, task: &Task) -> Option<Value> {
        let _ = task;
        None
    }
}

/// The ends that a strategy was not told, by the id of their task: of what waits for a person's answer or a larger budget, of
/// what was skipped, and of what the end of its run cut short.
#[derive(Debug, Default)]
pub struct KeptBack {
    ends: BTreeMap<Arc<str>, End>,
    over_budget: BTreeSet<Arc<str>>,
    cut_short: Option<String>,
}

impl KeptBack {
    /// A task ended so, and `over_budget` says whether because the budget did not bear it.
    pub fn keep(&mut self, task: Arc<str>, end: End, over_budget: bool) {
        if over_budget {
            self.over_budget.insert(task.clone());
        }
        self.ends.insert(task, end);
    }

    /// The task is open again.
    pub fn release(&mut self, task: &str) {
        self.over_budget.remove(task);
        self.ends.remove(task);
    }

    /// The run was ended early for this reason, if it was.
    pub fn cut_short(&mut self, reason: Option<&str>) {
        self.cut_short = reason.map(str::to_owned);
    }

    /// Why the run was ended early, if it was.
    pub fn why_cut_short(&self) -> Option<&str> {
        self.cut_short.as_deref()
    }

    /// Whether the budget did not bear the task.
    pub fn is_over_budget(&self, task: &str) -> bool {
        self.over_budget.contains(task)
    }
}

impl Deref for KeptBack {
    type Target = BTreeMap<Arc<str>, End>;

    fn deref(&self) -> &Self::Target {
        &self.ends
    }
}

/// What follows what a strategy has heard.
#[derive(Debug, Default)]
pub struct Next {
    /// Tasks to add. Their ids are new, and their dependencies are tasks of the run or earlier ones of these. One that
    /// builds on what did not complete is skipped.
    pub add: Vec<Task>,
    /// Why no other task is needed any more, if none is. Then nothing else is heeded, neither here nor later.
    pub enough: Option<String>,
    /// What it wants to know before it goes on. It asks for one approval at a time, and the budget once for each that it hears.
    pub ask: Option<Ask>,
}

/// What a strategy wants to know. It is answered by a [`Word`].
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Whether a person approves of this.
    Approval(Arc<Value>),
    /// Whether the budget bears these tasks.
    Budget(Arc<[Task]>),
}

/// What a strategy is told from outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Word {
    /// What a person says to what was shown for approval.
    Approval {
        /// Yes.
        approved: bool,
        /// Why, or nothing.
        reason: Arc<str>,
    },
    /// What the budget says: nothing, or why it does not bear the tasks.
    Budget {
        /// Why not.
        complaint: Option<Arc<str>>,
    },
    /// What the caller's function makes of a result: `null` if it can make nothing of it.
    Mark {
        /// The id of its task.
        task: Arc<str>,
        /// A number, or what is counted.
        mark: Value,
    },
}
