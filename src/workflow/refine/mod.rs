//! Refinement: versions are reviewed, improved by the objections and reviewed again, until the score is good enough or
//! nothing is gained.
//!
//! [`Loop`] is one of them; [`Refinements`] steers a run of many, each at its own pace.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::InputError;
use super::steered::{Steered, TaskMaker};
use crate::core::fact::End;
use crate::core::plan::Task;
use crate::core::strategy::{KeptBack, Next, Strategy};

mod cycle;
mod goal;
mod judge;
mod rehearsal;
mod spec;

pub use cycle::{Loop, Stopped};
pub use goal::{DesignWork, Goal, TaskWork, Work};
pub use judge::{Bounds, Stop};
pub use spec::{GoalError, goals};

/// Steers a run of refinements.
#[derive(Debug)]
pub struct Refinements {
    loops: Vec<Loop>,
    /// The place of each, by its name.
    places: HashMap<Arc<str>, usize>,
}

impl Refinements {
    /// A run of these, and what it begins with.
    pub fn steered(goals: Vec<Goal>, maker: &TaskMaker) -> Result<Steered, InputError> {
        let loops: Result<Vec<Loop>, InputError> = goals.into_iter().map(|goal| Loop::new(goal, maker)).collect();
        let mut loops = loops?;
        let first = loops.iter_mut().flat_map(Loop::begin).collect();
        let places = loops.iter().enumerate().map(|(place, each)| (each.goal().name.clone(), place)).collect();
        Ok(Steered { strategy: Box::new(Self { loops, places }), first })
    }

    /// The refinement that a task belongs to.
    fn place(&self, id: &str) -> Option<usize> {
        let (name, _) = id.rsplit_once('/')?;
        self.places.get(name).copied()
    }
}

impl Strategy for Refinements {
    fn ended(&mut self, task: &Task, end: &End) -> Next {
        let add = self.place(&task.id).map(|place| self.loops[place].ended(task, end)).unwrap_or_default();
        Next { add, ..Next::default() }
    }

    fn outcome(&self, kept_back: &KeptBack) -> Option<Value> {
        let refinements: Vec<Value> = self.loops.iter().map(|each| each.outcome(kept_back)).collect();
        Some(json!({ "refinements": refinements }))
    }

    fn rehearse(&self, task: &Task) -> Option<Value> {
        let place = self.place(&task.id)?;
        self.loops[place].rehearse(task, place)
    }
}
