//! One step of an orchestration: what was planned, the task or the refinement that it is, and what became of it.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::compile::Planned;
use super::step_id;
use crate::agents::PLAIN;
use crate::core::fact::{End, Status};
use crate::core::output::OutputFormat;
use crate::core::plan::Task;
use crate::core::strategy::KeptBack;
use crate::core::task::TaskDraft;
use crate::workflow::InputError;
use crate::workflow::refine::{Bounds, Goal, Loop, TaskWork, Work};
use crate::workflow::steered::TaskMaker;

/// How often the output of a step with a target is improved, at the most.
const IMPROVEMENTS_MAX: usize = 3;
/// Who reviews the output of a step with a target, and in which field its review holds the score: of what is made by these
/// types or categories; all else is reviewed by an agent without instructions of a type.
const REVIEWERS: [(&str, &str, &str); 3] = [
    ("agent_creator", "agent_design_reviewer", "overall_score"),
    ("agent_refiner", "agent_design_reviewer", "overall_score"),
    ("development", "code_reviewer", "score"),
];
const REVIEW: &str = "Review `output`, which was made for `task`: look for what is wrong, missing or unfounded, and give it a \
                      score from 0 to 10.";

/// A step of a plan that holds.
#[derive(Debug)]
pub(super) struct Step {
    pub planned: Planned,
    /// Which plan it is of, from 1 on.
    pub plan_no: usize,
    pub stage: Stage,
    work: StepWork,
    maker: TaskMaker,
}

#[derive(Debug)]
enum StepWork {
    Task(Box<Task>),
    Refinement(Box<Loop>),
    /// Its agent type is there no more.
    Gone,
}

/// Where a step is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stage {
    /// It waits for others, or for the approval of its plan.
    Waiting,
    Running,
    Completed {
        output: Arc<Value>,
    },
    /// It came to nothing.
    Ended {
        status: Status,
        reason: String,
    },
}

impl Step {
    /// A step that has not begun. What is wrong with its tasks is said here.
    pub fn new(planned: Planned, plan_no: usize, maker: &TaskMaker) -> Result<Self, InputError> {
        let work = match work(&planned, Vec::new(), maker) {
            // The plan holds all the same: its step fails when it is its turn.
            Err(_) if maker.registry().get(&planned.agent_type).is_err() => StepWork::Gone,
            work => work?,
        };
        Ok(Self { planned, plan_no, stage: Stage::Waiting, work, maker: maker.clone() })
    }

    pub fn id(&self) -> &str {
        &self.planned.id
    }

    pub fn has_completed(&self) -> bool {
        matches!(self.stage, Stage::Completed { .. })
    }

    pub fn is_waiting(&self) -> bool {
        self.stage == Stage::Waiting
    }

    pub fn is_running(&self) -> bool {
        self.stage == Stage::Running
    }

    /// The id of the task whose output is this step's.
    pub fn output_task(&self) -> Option<String> {
        match &self.work {
            StepWork::Task(task) => Some(task.id.to_string()),
            StepWork::Refinement(refinement) => refinement.stopped()?.best_task.map(ToString::to_string),
            StepWork::Gone => None,
        }
    }

    /// Whether a task is one of its own.
    pub fn knows(&self, task_id: &str) -> bool {
        match &self.work {
            StepWork::Task(task) => *task.id == *task_id,
            StepWork::Refinement(refinement) => refinement.knows(task_id),
            StepWork::Gone => false,
        }
    }

    /// What it needs at the least.
    pub fn tasks(&self) -> Vec<Task> {
        match &self.work {
            StepWork::Task(task) => vec![Task::clone(task)],
            StepWork::Refinement(_) => {
                let [author, reviewer] = drafts(&self.planned, Vec::new(), &self.maker);
                [author, reviewer].into_iter().flat_map(|draft| self.maker.make(draft)).collect()
            }
            StepWork::Gone => Vec::new(),
        }
    }

    /// The tasks that it starts with, which build on these.
    pub fn start(&mut self, dependencies: Vec<String>) -> Vec<Task> {
        self.stage = Stage::Running;
        match work(&self.planned, dependencies, &self.maker) {
            Ok(work) => self.work = work,
            Err(error) => {
                self.fail(Status::Failed, error.to_string());
                return Vec::new();
            }
        }
        match &mut self.work {
            StepWork::Task(task) => vec![Task::clone(task)],
            StepWork::Refinement(refinement) => refinement.begin(),
            StepWork::Gone => Vec::new(),
        }
    }

    /// Takes in how one of its tasks ended; what follows within the step.
    pub fn ended(&mut self, task: &Task, end: &End) -> Vec<Task> {
        let StepWork::Refinement(refinement) = &mut self.work else {
            match end {
                End::Completed { output, .. } => self.stage = Stage::Completed { output: output.clone() },
                other => self.fail(other.status(), other.reason().unwrap_or("no reason is given").to_owned()),
            }
            return Vec::new();
        };
        let add = refinement.ended(task, end);
        if let Some(stopped) = refinement.stopped() {
            // Without a score nobody knows what the output is worth.
            if stopped.score.is_some() {
                let mut outcome = refinement.outcome(&KeptBack::default());
                self.stage = Stage::Completed { output: Arc::new(outcome["output"].take()) };
            } else {
                let status = if matches!(end, End::Completed { .. }) { Status::Failed } else { end.status() };
                let reason = format!("task `{}`: {}", task.id, stopped.why.error().unwrap_or("no reason is given"));
                self.fail(status, reason);
            }
        }
        add
    }

    fn fail(&mut self, status: Status, reason: String) {
        self.stage = Stage::Ended { status, reason };
    }

    /// It is not run, because of what it builds on.
    pub fn skip(&mut self, reason: String) {
        self.fail(Status::Skipped, reason);
    }

    /// Whether its output is what was wanted.
    pub fn is_good(&self) -> bool {
        self.has_completed() && self.score().is_none_or(|(_, is_reached)| is_reached)
    }

    /// Whether it has ended and its output is not what was wanted.
    pub fn falls_short(&self) -> bool {
        !self.is_good() && matches!(self.stage, Stage::Completed { .. } | Stage::Ended { .. })
    }

    /// Why its output is not what was wanted, though there is one.
    fn shortfall(&self) -> Option<String> {
        let StepWork::Refinement(refinement) = &self.work else { return None };
        let (stopped, (score, is_reached)) = (refinement.stopped()?, self.score()?);
        let why = stopped.why.error().map(|error| format!(": {error}")).unwrap_or_default();
        let target = self.planned.target?;
        let told = format!(
            "it scored {score} and is to score {target}; no better version was made ({}{why})",
            stopped.why.name()
        );
        (!is_reached).then_some(told)
    }

    /// What became of it, and why; of one that has not ended, as `kept_back` says.
    pub fn status(&self, kept_back: &KeptBack) -> (Status, Option<String>) {
        match &self.stage {
            Stage::Completed { .. } => (Status::Completed, self.shortfall()),
            Stage::Ended { status, reason } => (*status, Some(reason.clone())),
            Stage::Waiting | Stage::Running => match kept_back.iter().find(|(id, _)| self.knows(id)) {
                Some((_, end)) if self.is_running() => (end.status(), end.reason().map(str::to_owned)),
                Some(_) | None => (Status::Skipped, Some("it was not started".to_owned())),
            },
        }
    }

    /// The score of its output and whether that is what was wanted, if it has a target and has ended.
    pub fn score(&self) -> Option<(f64, bool)> {
        let StepWork::Refinement(refinement) = &self.work else { return None };
        let score = refinement.stopped()?.score?;
        Some((score, self.planned.target.is_some_and(|target| score >= target)))
    }

    /// What the agent of one of its tasks answers in a rehearsal, where the example of its type would not do.
    pub fn rehearse(&self, task: &Task, place: usize) -> Option<Value> {
        match &self.work {
            StepWork::Refinement(refinement) => refinement.rehearse(task, place),
            StepWork::Task(_) | StepWork::Gone => None,
        }
    }

    /// The beginning of the ids of its tasks.
    pub fn task_id(&self) -> String {
        step_id(&self.planned.id)
    }

    /// Its plan, as it is shown to people and to agents.
    pub fn shown(&self) -> Map<String, Value> {
        let Planned { id, agent_type, description, input, dependencies, priority, target, replaces } = &self.planned;
        let shown = json!({
            "task_id": id, "agent_type": agent_type, "task_description": description, "input_data": input,
            "dependencies": dependencies, "priority": priority, "target": target, "replaces": replaces,
        });
        shown.as_object().cloned().unwrap_or_default()
    }
}

fn work(planned: &Planned, dependencies: Vec<String>, maker: &TaskMaker) -> Result<StepWork, InputError> {
    let [author, reviewer] = drafts(planned, dependencies, maker);
    let Some(target) = planned.target else {
        return Ok(StepWork::Task(Box::new(maker.make(author)?)));
    };
    let goal = Goal {
        name: step_id(&planned.id).into(),
        bounds: Bounds { target, improvements_max: IMPROVEMENTS_MAX },
        score: None,
        work: Work::Task(Box::new(TaskWork {
            maker: author,
            reviewer,
            score: reviewer_of(planned, maker).1.to_owned(),
        })),
    };
    Ok(StepWork::Refinement(Box::new(Loop::new(goal, maker)?)))
}

/// What makes the output of a step, and what reviews it if it has a target.
fn drafts(planned: &Planned, dependencies: Vec<String>, maker: &TaskMaker) -> [TaskDraft; 2] {
    let author = TaskDraft {
        task_id: Some(step_id(&planned.id)),
        agent_type: planned.agent_type.clone(),
        task_description: planned.description.clone(),
        input_data: planned.input.clone(),
        timeout: None,
        deadline: None,
        output_format: OutputFormat::Json,
        priority: planned.priority,
        dependencies,
        hierarchy: None,
        output_schema: None,
    };
    let reviewer = TaskDraft {
        agent_type: reviewer_of(planned, maker).0.to_owned(),
        task_description: REVIEW.to_owned(),
        input_data: Map::new(),
        dependencies: Vec::new(),
        ..author.clone()
    };
    [author, reviewer]
}

fn reviewer_of(planned: &Planned, maker: &TaskMaker) -> (&'static str, &'static str) {
    let category = maker.registry().get(&planned.agent_type).map(|agent_type| agent_type.category.clone());
    let is_of =
        |whose: &str| whose == planned.agent_type || category.as_ref().is_ok_and(|category| **category == *whose);
    let found = REVIEWERS.into_iter().find(|(whose, ..)| is_of(whose));
    found.map_or((PLAIN, "score"), |(_, reviewer, score)| (reviewer, score))
}
