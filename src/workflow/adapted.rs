//! A strategy whose tasks are fitted to the runtime of their run before they are added: to the models that a gateway knows,
//! or to the prices and answers of a rehearsal.

use std::fmt;

use serde_json::Value;

use crate::core::budget::Estimate;
use crate::core::fact::End;
use crate::core::plan::Task;
use crate::core::strategy::{Ask, KeptBack, Next, Strategy, Word};

/// A strategy, and what its tasks go through.
pub(super) struct Adapted<F> {
    inner: Box<dyn Strategy>,
    estimate: Estimate,
    fit: F,
}

impl<F: FnMut(&mut Task, &dyn Strategy) + Send> Adapted<F> {
    pub fn new(inner: Box<dyn Strategy>, estimate: Estimate, fit: F) -> Self {
        Self { inner, estimate, fit }
    }

    fn fitted(&mut self, mut next: Next) -> Next {
        for task in &mut next.add {
            (self.fit)(task, &*self.inner);
        }
        if let Some(Ask::Budget(tasks)) = &mut next.ask {
            let mut fitted = tasks.to_vec();
            for task in &mut fitted {
                (self.fit)(task, &*self.inner);
            }
            let prices: Vec<Option<f64>> = fitted.iter().map(|task| self.estimate.usd(task)).collect();
            self.inner.priced(&prices);
            *tasks = fitted.into();
        }
        next
    }
}

impl<F> fmt::Debug for Adapted<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(formatter)
    }
}

impl<F: FnMut(&mut Task, &dyn Strategy) + Send> Strategy for Adapted<F> {
    fn ended(&mut self, task: &Task, end: &End) -> Next {
        let next = self.inner.ended(task, end);
        self.fitted(next)
    }

    fn told(&mut self, word: &Word) -> Next {
        let next = self.inner.told(word);
        self.fitted(next)
    }

    fn again(&mut self) -> Option<Ask> {
        let ask = self.inner.again();
        self.fitted(Next { ask, ..Next::default() }).ask
    }

    fn waits(&self) -> bool {
        self.inner.waits()
    }

    fn grows(&self) -> bool {
        self.inner.grows()
    }

    fn outcome(&self, kept_back: &KeptBack) -> Option<Value> {
        self.inner.outcome(kept_back)
    }

    fn rehearse(&self, task: &Task) -> Option<Value> {
        self.inner.rehearse(task)
    }
}
