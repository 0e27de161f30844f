//! The strategies of simulated runs, and somebody who listens in on them.

use std::sync::{Arc, Mutex, MutexGuard};

use fastrand::Rng;
use parallel_agents::core::fact::{End, Status};
use parallel_agents::core::join::Join;
use parallel_agents::core::output::STUCK_JSON;
use parallel_agents::core::plan::{Plan, Task};
use parallel_agents::core::strategy::{Ask, KeptBack, Next, Strategy, Word};
use parallel_agents::core::until::{By, Until};
use serde_json::{Map, Value, json};

/// What steers a run.
#[derive(Debug, Clone)]
pub enum Steering {
    Grows(Growth),
    Joins(Until),
}

/// How a run grows.
#[derive(Debug, Clone)]
pub struct Growth {
    seed: u64,
    /// Tasks that are added at the most.
    tasks_max: usize,
    /// How likely each is after each thing that is heard.
    add: f64,
    approval: f64,
    budget: f64,
    marks: f64,
    enough: f64,
}

impl Steering {
    pub fn random(random: &mut Rng, tasks: usize) -> Option<Self> {
        match random.u8(0..8) {
            0..3 if tasks > 0 => {
                let mut chance = |often: f64| [0.0, 0.1, often][random.usize(0..3)];
                let (add, approval, budget) = (chance(0.9) + 0.1, chance(0.5), chance(0.5));
                let (marks, enough) = (chance(0.3), chance(0.02).min(0.03));
                Some(Self::Grows(Growth {
                    seed: random.u64(..),
                    tasks_max: [2, 6, 15][random.usize(0..3)],
                    add,
                    approval,
                    budget,
                    marks,
                    enough,
                }))
            }
            3 if tasks > 1 => {
                let count = random.usize(1..=tasks);
                let joins = [
                    Until::Any,
                    Until::First(count),
                    Until::Quorum(count),
                    Until::Vote { by: By::Caller("mark".into()) },
                ];
                Some(Self::Joins(joins[random.usize(0..joins.len())].clone()))
            }
            _ => None,
        }
    }

    /// Such a strategy for a run of `plan`, and what it hears.
    pub fn begin(&self, plan: &Plan) -> (Box<dyn Strategy>, Log) {
        let log = Log::default();
        let inner: Box<dyn Strategy> = match self {
            Self::Grows(growth) => Box::new(Grower {
                growth: growth.clone(),
                models: plan.tasks().to_vec(),
                known: plan.tasks().iter().map(|task| task.id.clone()).collect(),
                heard: 0,
                added: 0,
                asked: false,
                marks: 0,
            }),
            Self::Joins(until) => Box::new(Join::new(until.clone(), plan)),
        };
        (Box::new(Watched { inner, log: log.clone() }), log)
    }
}

/// What a strategy was told.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    End(Arc<str>, Status),
    Word(Word),
}

/// What it said to that.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub add: Vec<Arc<str>>,
    pub enough: bool,
    pub ask: Option<Ask>,
    pub waits: bool,
}

/// All that a strategy has heard, in order.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<(What, Said)>>>);

impl Log {
    pub fn read(&self) -> MutexGuard<'_, Vec<(What, Said)>> {
        self.0.lock().expect("the list")
    }
}

/// A strategy that somebody listens in on.
#[derive(Debug)]
struct Watched {
    inner: Box<dyn Strategy>,
    log: Log,
}

impl Watched {
    fn note(&self, what: What, next: &Next) {
        let said = Said {
            add: next.add.iter().map(|task| task.id.clone()).collect(),
            enough: next.enough.is_some(),
            ask: next.ask.clone(),
            waits: self.inner.waits(),
        };
        self.log.read().push((what, said));
    }
}

impl Strategy for Watched {
    fn ended(&mut self, task: &Task, end: &End) -> Next {
        let next = self.inner.ended(task, end);
        self.note(What::End(task.id.clone(), end.status()), &next);
        next
    }

    fn told(&mut self, word: &Word) -> Next {
        let next = self.inner.told(word);
        self.note(What::Word(word.clone()), &next);
        next
    }

    fn waits(&self) -> bool {
        self.inner.waits()
    }

    fn grows(&self) -> bool {
        self.inner.grows()
    }

    fn outcome(&self, kept_back: &KeptBack) -> Option<Value> {
        self.inner.outcome(kept_back);
        let statuses = kept_back.iter().map(|(id, end)| (id.to_string(), end.status()));
        Some(outcome(self.log.read().len(), statuses))
    }
}

/// How a run tells what it came to.
pub fn outcome(heard: usize, kept_back: impl Iterator<Item = (String, Status)>) -> Value {
    let kept_back: Map<String, Value> = kept_back.map(|(id, status)| (id, status.name().into())).collect();
    json!({"heard": heard, "kept_back": kept_back})
}

/// Draws what it says from what it has heard so far.
#[derive(Debug)]
struct Grower {
    growth: Growth,
    /// Tasks that others are made like.
    models: Vec<Task>,
    known: Vec<Arc<str>>,
    heard: u64,
    added: usize,
    asked: bool,
    /// How many marks it waits for.
    marks: u32,
}

impl Grower {
    fn next(&mut self, is_sure: bool) -> Next {
        let mut random = Rng::with_seed(self.growth.seed ^ self.heard.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        self.heard += 1;
        if random.f64() < self.growth.enough {
            return Next { enough: Some("nobody needs more".to_owned()), ..Next::default() };
        }
        let adds = is_sure || random.f64() < self.growth.add;
        let add = if adds { self.grown(&mut random) } else { Vec::new() };
        let mut ask = None;
        if !self.asked && self.heard < 40 && random.f64() < self.growth.approval {
            self.asked = true;
            ask = Some(Ask::Approval(Arc::new(json!({"heard": self.heard}))));
        } else if self.heard < 40 && random.f64() < self.growth.budget {
            ask = Some(Ask::Budget(self.models.iter().cycle().take(random.usize(1..40)).cloned().collect()));
        }
        if self.marks == 0 && self.heard < 40 && random.f64() < self.growth.marks {
            self.marks = random.u32(1..3);
        }
        Next { add, enough: None, ask }
    }

    fn grown(&mut self, random: &mut Rng) -> Vec<Task> {
        let count = random.usize(1..4).min(self.growth.tasks_max - self.added);
        let task = |_| {
            let id: Arc<str> = format!("grown_{}", self.added).into();
            self.added += 1;
            let mut dependencies = Vec::new();
            for _ in 0..random.usize(0..4) {
                // Rather what came lately: it is more often open.
                let place = random.usize(0..self.known.len()).max(random.usize(0..self.known.len()));
                dependencies.push(self.known[place].to_string());
            }
            self.known.push(id.clone());
            let like = self.models[random.usize(0..self.models.len())].clone();
            let brief = format!("Brief of {id}.").into();
            Task { brief, contract: format!("Contract of {id}.\n\n{STUCK_JSON}").into(), id, dependencies, ..like }
        };
        (0..count).map(task).collect()
    }
}

impl Strategy for Grower {
    fn ended(&mut self, _: &Task, _: &End) -> Next {
        self.next(false)
    }

    fn told(&mut self, word: &Word) -> Next {
        match word {
            Word::Approval { approved, .. } => {
                self.asked = false;
                self.next(*approved)
            }
            Word::Budget { complaint } => self.next(complaint.is_none()),
            Word::Mark { .. } => {
                self.marks = self.marks.saturating_sub(1);
                self.next(false)
            }
        }
    }

    fn waits(&self) -> bool {
        self.marks > 0
    }

    fn grows(&self) -> bool {
        true
    }

    fn outcome(&self, _: &KeptBack) -> Option<Value> {
        None
    }
}
