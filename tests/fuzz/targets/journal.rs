//! What a journal's file holds of a run: each line is a fact's kind, its task (`-` for none) and its record. What can be read
//! is written again and must be the same then; a machine that is made of it must come to an end, with a strategy and without.

use std::sync::{Arc, LazyLock};

use parallel_agents::core::action::{Action, Adoption, Report};
use parallel_agents::core::fact::{End, Fact};
use parallel_agents::core::failure::Ending;
use parallel_agents::core::output::OutputFormat;
use parallel_agents::core::plan::{Plan, Task};
use parallel_agents::core::run::RunMachine;
use parallel_agents::core::settings::RunSettings;
use parallel_agents::core::strategy::{Ask, KeptBack, Next, Strategy, Word};
use parallel_agents::core::usage::Usage;
use parallel_agents::journal::reread;
use serde_json::Value;

use super::play::{BEGIN, task};

/// Steps that no run of six tasks needs.
const STEPS_MAX: u32 = 5_000;
/// Lines beyond these are passed over.
const FACTS_MAX: usize = 500;

static PLAN: LazyLock<Arc<Plan>> = LazyLock::new(|| {
    let tasks = vec![
        task("a", OutputFormat::Text, None, &[]),
        task("b", OutputFormat::Json, None, &["a"]),
        task("c", OutputFormat::Text, None, &["a", "b"]),
        task("d", OutputFormat::Text, None, &[]),
    ];
    let mut plan = Plan::new(tasks).expect("a plan");
    plan.grow(4, &grown());
    Arc::new(plan)
});

/// What the strategy adds, which the journal holds from its first line on.
fn grown() -> [Task; 2] {
    [task("a/review", OutputFormat::Text, None, &["a"]), task("a/refine", OutputFormat::Text, None, &["a/review", "d"])]
}

/// Grows after the first end, asks after the second, and has enough when nobody approves, or of many words.
#[derive(Debug, Default)]
struct Steering {
    ends: usize,
    words: usize,
}

impl Strategy for Steering {
    fn ended(&mut self, _: &Task, _: &End) -> Next {
        self.ends += 1;
        match self.ends {
            1 => Next { add: grown().to_vec(), ask: Some(Ask::Budget(grown().into())), ..Next::default() },
            2 => Next { ask: Some(Ask::Approval(Arc::default())), ..Next::default() },
            _ => Next::default(),
        }
    }

    fn told(&mut self, word: &Word) -> Next {
        self.words += 1;
        let is_enough = self.words > 5 || matches!(word, Word::Approval { approved: false, .. });
        Next { enough: is_enough.then(|| "nobody wants it".to_owned()), ..Next::default() }
    }

    fn grows(&self) -> bool {
        true
    }

    fn outcome(&self, kept_back: &KeptBack) -> Option<Value> {
        Some(kept_back.len().into())
    }
}

/// See the module.
pub fn check(data: &[u8]) {
    let Ok(input) = std::str::from_utf8(data) else { return };
    let mut facts = Vec::new();
    for line in input.lines().take(FACTS_MAX) {
        let mut parts = line.splitn(3, ' ');
        let (Some(kind), Some(about), Some(body)) = (parts.next(), parts.next(), parts.next()) else { continue };
        // As the journal, which knows how many tasks its run has.
        let about = about.parse::<usize>().ok().filter(|index| *index < PLAN.tasks().len());
        if let Ok((event, again)) = reread(kind, about, body, PLAN.tasks()) {
            assert_eq!(event, again, "what was written is another fact");
            facts.push(Fact { at: BEGIN, event });
        }
    }
    let restored = |strategy, facts| {
        RunMachine::restore_steered(PLAN.clone(), RunSettings::default(), strategy, facts, (&[], None), 7, BEGIN)
    };
    end(restored(None, facts.clone()));
    end(restored(Some(Box::new(Steering::default())), facts));
}

/// Plays a run to its end in a world where nothing is left of any agent.
fn end(mut machine: RunMachine) {
    let mut now = BEGIN;
    for _ in 0..STEPS_MAX {
        while machine.poll_fact().is_some() {}
        let Some(action) = machine.poll_action() else {
            if machine.is_finished() {
                return;
            }
            now = now.max(machine.next_deadline().expect("a run that is not over waits for something"));
            machine.handle_time(now);
            continue;
        };
        let (attempt, ending) = match action {
            Action::Spawn(order) | Action::Adopt(Adoption { order, .. }) => {
                (order.attempt, Ending::Lost { reason: "nothing is left of it".to_owned() })
            }
            Action::Stop(attempt) => (attempt, Ending::Stopped { reason: "it was stopped".to_owned() }),
            Action::Look(_) => continue,
            Action::Delete { attempt, .. } => {
                machine.handle_report(Report::Deleted { attempt }, now);
                continue;
            }
        };
        let (usage, model_used, partial) = (Usage::NOTHING, None, None);
        machine.handle_report(Report::Ended { attempt, ending, usage, model_used, partial }, now);
    }
    panic!("the run has not ended after {STEPS_MAX} steps");
}
