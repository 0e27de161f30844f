//! Goes from the request to the report: a plan, its steps, another plan for what failed, and so on within the limits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::compile::{Rules, compile};
use super::contract::{Cause, Told, plan_task, report_task};
use super::outcome::{Ending, Verdict, outcome, proposal};
use super::rehearsal::rehearsed;
use super::step::Step;
use super::{Brief, REPORT_ID, plan_id};
use crate::core::budget::Estimate;
use crate::core::fact::End;
use crate::core::output::abridged;
use crate::core::plan::Task;
use crate::core::strategy::{Ask, KeptBack, Next, Strategy, Word};
use crate::core::task::TaskError;
use crate::workflow::steered::TaskMaker;

/// How much of a reason is told on, in characters.
const REASON_CHARS: usize = 1_000;

/// An orchestration under way.
#[derive(Debug)]
pub(super) struct Orchestrate {
    pub(super) brief: Brief,
    maker: TaskMaker,
    phase: Phase,
    plan_no: usize,
    /// The steps of all plans that were run.
    pub(super) steps: Vec<Step>,
    /// Those of the plan that is not approved yet, or never was.
    pub(super) proposed: Vec<Step>,
    /// What the first attempts of each of those may cost.
    prices: Vec<Option<f64>>,
    /// Why the orchestrator cut it this way.
    rationale: String,
    pub(super) replans: Vec<Replan>,
    /// What went wrong beside single steps.
    trouble: Option<String>,
}

/// Why a plan was made anew.
#[derive(Debug)]
pub(super) struct Replan {
    /// The number of the new plan.
    pub plan_no: usize,
    pub reason: &'static str,
    pub complaints: Vec<String>,
}

#[derive(Debug, PartialEq)]
enum Phase {
    /// An agent plans.
    Planning,
    /// The budget is asked.
    Weighing,
    /// No other plan may be made, and the budget does not bear this one: a larger one might.
    Held,
    /// A person is asked.
    Approving,
    /// Steps are under way.
    Working,
    /// An agent reports.
    Reporting,
    Over(Ending),
}

impl Orchestrate {
    pub fn new(brief: Brief, maker: TaskMaker) -> Self {
        Self {
            brief,
            maker,
            phase: Phase::Planning,
            plan_no: 1,
            steps: Vec::new(),
            proposed: Vec::new(),
            prices: Vec::new(),
            rationale: String::new(),
            replans: Vec::new(),
            trouble: None,
        }
    }

    /// The task that it begins with.
    pub fn first(&self) -> Result<Task, TaskError> {
        plan_task(&self.brief, 1, Cause::Request, Told::default(), &self.maker)
    }

    /// An agent has planned, or has not.
    fn planned(&mut self, end: &End) -> Next {
        let End::Completed { output, .. } = end else {
            let reason = abridged(end.reason().unwrap_or("no reason is given"), REASON_CHARS);
            return self.give_up_planning(format!("plan {} was not made: {reason}", self.plan_no));
        };
        let earlier = self.steps.iter().map(|step| (step.id(), step.has_completed())).collect();
        let rules = Rules {
            types: &self.brief.types,
            tasks_max: self.brief.tasks_max,
            earlier,
            open: self.open(),
            may_be_empty: !self.steps.is_empty(),
        };
        let compiled = compile(output, &rules).and_then(|planned| {
            let step = |planned| Step::new(planned, self.plan_no, &self.maker).map_err(|error| vec![error.to_string()]);
            planned.into_iter().map(step).collect::<Result<Vec<_>, _>>()
        });
        let rationale = output.get("rationale").and_then(Value::as_str).unwrap_or_default();
        self.rationale = abridged(rationale, REASON_CHARS);
        match compiled {
            Err(complaints) => self.refuse(output, complaints),
            // Nothing is worth another try.
            Ok(steps) if steps.is_empty() => self.report(),
            Ok(steps) => {
                self.phase = Phase::Weighing;
                self.proposed = steps;
                Next { ask: Some(self.weigh()), ..Next::default() }
            }
        }
    }

    /// Asks whether the budget bears what is proposed.
    fn weigh(&mut self) -> Ask {
        let mut tasks: Vec<Task> = self.proposed.iter().flat_map(Step::tasks).collect();
        let estimate = Estimate::default();
        let prices: Vec<Option<f64>> = tasks.iter().map(|task| estimate.usd(task)).collect();
        self.priced(&prices);
        // It is to be paid for, too. What it will be told is not known yet.
        tasks.extend(report_task(&self.brief, &self.proposed, &self.maker));
        Ask::Budget(tasks.into())
    }

    /// The plan does not hold.
    fn refuse(&mut self, plan: &Value, complaints: Vec<String>) -> Next {
        if self.replans.len() >= self.brief.replans_max {
            return self.give_up_planning(format!("plan {} does not hold: {}", self.plan_no, complaints.join("; ")));
        }
        self.plan_no += 1;
        let task = plan_task(&self.brief, self.plan_no, Cause::Refused(plan, &complaints), self.so_far(), &self.maker);
        self.replans.push(Replan { plan_no: self.plan_no, reason: "the plan does not hold", complaints });
        self.plan_anew(task)
    }

    fn so_far(&self) -> Told<'_> {
        Told { steps: &self.steps, open: self.open() }
    }

    fn plan_anew(&mut self, task: Result<Task, TaskError>) -> Next {
        match task {
            Ok(task) => {
                self.phase = Phase::Planning;
                Next { add: vec![task], ..Next::default() }
            }
            Err(error) => self.give_up_planning(error.to_string()),
        }
    }

    /// No further plan is made.
    fn give_up_planning(&mut self, trouble: String) -> Next {
        self.trouble = Some(trouble);
        self.report()
    }

    /// The budget bears the plan that is proposed, or does not.
    fn weighed(&mut self, complaint: Option<&Arc<str>>) -> Next {
        if let Some(complaint) = complaint {
            if self.replans.len() >= self.brief.replans_max {
                self.phase = Phase::Held;
                self.trouble = Some(format!("plan {} waits for a larger budget: {complaint}", self.plan_no));
                return Next::default();
            }
            let rows: Vec<Value> = self.proposed.drain(..).map(|step| step.shown().into()).collect();
            return self.refuse(&json!({ "tasks": rows }), vec![complaint.to_string()]);
        }
        if self.phase == Phase::Held {
            self.trouble = None;
        }
        if self.brief.needs_approval {
            self.phase = Phase::Approving;
            let subject = proposal(&self.brief, self.plan_no, (&self.proposed, &self.prices), &self.rationale);
            return Next { ask: Some(Ask::Approval(subject.into())), ..Next::default() };
        }
        self.begin()
    }

    /// The steps that are proposed become part of the run.
    fn begin(&mut self) -> Next {
        self.phase = Phase::Working;
        self.steps.append(&mut self.proposed);
        self.go_on()
    }

    /// Starts the steps that nothing holds back. If none is under way, it is time for another plan or for the report.
    fn go_on(&mut self) -> Next {
        let outputs: BTreeMap<String, String> = self
            .steps
            .iter()
            .filter(|step| step.has_completed())
            .filter_map(|step| Some((step.id().to_owned(), step.output_task()?)))
            .collect();
        let mut add = Vec::new();
        for step in self.steps.iter_mut().filter(|step| step.is_waiting()) {
            let dependencies: Option<Vec<String>> =
                step.planned.dependencies.iter().map(|id| outputs.get(id).cloned()).collect();
            if let Some(dependencies) = dependencies {
                add.extend(step.start(dependencies));
            }
        }
        if add.is_empty() && !self.steps.iter().any(Step::is_running) {
            return self.settle();
        }
        Next { add, ..Next::default() }
    }

    /// Nothing can proceed: what waits, waits in vain.
    fn settle(&mut self) -> Next {
        while let Some((index, id)) = self.waits_in_vain() {
            self.steps[index].skip(format!("task `{id}` did not complete"));
        }
        let failures: Vec<String> = {
            let open = self.open();
            self.steps.iter().filter(|step| open.contains(step.id())).map(failure).collect()
        };
        if failures.is_empty() || self.replans.len() >= self.brief.replans_max {
            return self.report();
        }
        self.plan_no += 1;
        let task = plan_task(&self.brief, self.plan_no, Cause::Failures, self.so_far(), &self.maker);
        self.replans.push(Replan { plan_no: self.plan_no, reason: "tasks did not complete", complaints: failures });
        self.plan_anew(task)
    }

    /// The first step that waits for one that came to nothing, and that one.
    fn waits_in_vain(&self) -> Option<(usize, String)> {
        let is_dead = |id: &&String| {
            !self.steps.iter().any(|step| step.id() == **id && (step.has_completed() || step.is_waiting()))
        };
        let of = |(index, step): (usize, &Step)| {
            Some((index, step.is_waiting().then(|| step.planned.dependencies.iter().find(is_dead))??.clone()))
        };
        self.steps.iter().enumerate().find_map(of)
    }

    /// Has what there is reported, if there is anything.
    fn report(&mut self) -> Next {
        if !self.steps.iter().any(Step::has_completed) {
            let why = self.trouble.clone().unwrap_or_else(|| "no task completed".to_owned());
            self.phase = Phase::Over(Ending { verdict: Verdict::Failed, report: Err(why.clone()), error: Some(why) });
            return Next::default();
        }
        match report_task(&self.brief, &self.steps, &self.maker) {
            Ok(task) => {
                self.phase = Phase::Reporting;
                Next { add: vec![task], ..Next::default() }
            }
            Err(error) => {
                self.end(Err(error.to_string()));
                Next::default()
            }
        }
    }

    /// The agent has reported, or has not.
    fn reported(&mut self, end: &End) -> Next {
        let text = |output: &Value| output.get("report").and_then(Value::as_str).map(str::to_owned);
        self.end(match end {
            End::Completed { output, .. } => text(output).ok_or_else(|| "its agent wrote none".to_owned()),
            other => Err(other.reason().unwrap_or("no reason is given").to_owned()),
        });
        Next::default()
    }

    fn end(&mut self, report: Result<String, String>) {
        let verdict = if self.open().is_empty() { Verdict::Completed } else { Verdict::Partial };
        let unreported = report.as_ref().err().map(|reason| format!("task `{REPORT_ID}`: {reason}"));
        let errors: Vec<String> = self.trouble.clone().into_iter().chain(unreported).collect();
        let error = (!errors.is_empty()).then(|| errors.join("; "));
        self.phase = Phase::Over(Ending { verdict, report, error });
    }

    /// A person does not approve of the plan.
    fn rejected(&mut self, reason: &str) -> Next {
        let why = match reason.trim() {
            "" => format!("plan {} was not approved", self.plan_no),
            reason => format!("plan {} was not approved: {}", self.plan_no, abridged(reason, REASON_CHARS)),
        };
        self.phase = Phase::Over(Ending { verdict: Verdict::Rejected, report: Err(why.clone()), error: Some(why) });
        Next::default()
    }

    /// Those of the steps that fell short and for which nothing has made up.
    pub fn open(&self) -> BTreeSet<&str> {
        let mut open: BTreeSet<&str> = self.steps.iter().filter(|step| step.falls_short()).map(Step::id).collect();
        let mut is_new = true;
        while std::mem::take(&mut is_new) {
            for step in &self.steps {
                let for_all = |ids: &[String]| !ids.is_empty() && ids.iter().all(|id| !open.contains(id.as_str()));
                // A substitute is needed no more once something else makes up for all that it was for.
                let is_made_up_for = !self.replaced_by(step.id(), &open).is_empty() || for_all(&step.planned.replaces);
                if open.contains(step.id()) && is_made_up_for {
                    is_new |= open.remove(step.id());
                }
            }
        }
        open
    }

    /// The steps of one plan that make up for a step: all that the plan has for it, once none of them is open or has yet to
    /// complete.
    pub fn replaced_by(&self, id: &str, open: &BTreeSet<&str>) -> Vec<&str> {
        let mut plans: BTreeMap<usize, Vec<&Step>> = BTreeMap::new();
        for step in self.steps.iter().filter(|step| step.planned.replaces.iter().any(|replaced| replaced == id)) {
            plans.entry(step.plan_no).or_default().push(step);
        }
        let does = |step: &&Step| step.is_good() || (step.falls_short() && !open.contains(step.id()));
        let good = plans.values().find(|steps| steps.iter().all(|step| step.is_good()));
        let found = good.or_else(|| plans.values().find(|steps| steps.iter().all(does)));
        found.into_iter().flatten().map(|step| step.id()).collect()
    }

    /// Why it waits for a larger budget, if it does.
    pub fn held(&self) -> Option<&str> {
        if self.phase == Phase::Held { self.trouble.as_deref() } else { None }
    }

    /// How it ended, if it has come to an end of its own.
    pub fn ending(&self) -> Option<&Ending> {
        match &self.phase {
            Phase::Over(ending) => Some(ending),
            Phase::Planning | Phase::Weighing | Phase::Held | Phase::Approving | Phase::Working | Phase::Reporting => {
                None
            }
        }
    }

    pub fn plan_no(&self) -> usize {
        self.plan_no
    }
}

impl Strategy for Orchestrate {
    fn ended(&mut self, task: &Task, end: &End) -> Next {
        match self.phase {
            Phase::Planning if task.id == plan_id(self.plan_no) => self.planned(end),
            Phase::Reporting if *task.id == *REPORT_ID => self.reported(end),
            Phase::Working => match self.steps.iter_mut().find(|step| step.is_running() && step.knows(&task.id)) {
                Some(step) => {
                    let add = step.ended(task, end);
                    if add.is_empty() { self.go_on() } else { Next { add, ..Next::default() } }
                }
                None => Next::default(),
            },
            // Nothing else is under way.
            Phase::Planning | Phase::Reporting | Phase::Weighing | Phase::Held | Phase::Approving | Phase::Over(_) => {
                Next::default()
            }
        }
    }

    fn told(&mut self, word: &Word) -> Next {
        match (&self.phase, word) {
            (Phase::Weighing | Phase::Held, Word::Budget { complaint }) => self.weighed(complaint.as_ref()),
            (Phase::Approving, Word::Approval { approved: true, .. }) => self.begin(),
            (Phase::Approving, Word::Approval { approved: false, reason }) => self.rejected(reason),
            (_, Word::Budget { .. } | Word::Approval { .. } | Word::Mark { .. }) => Next::default(),
        }
    }

    fn priced(&mut self, prices: &[Option<f64>]) {
        let mut prices = prices.iter().copied();
        let sums = self.proposed.iter().map(|step| prices.by_ref().take(step.tasks().len()).sum());
        self.prices = sums.collect();
    }

    fn again(&mut self) -> Option<Ask> {
        (self.phase == Phase::Held).then(|| self.weigh())
    }

    fn grows(&self) -> bool {
        self.ending().is_none()
    }

    fn outcome(&self, kept_back: &KeptBack) -> Option<Value> {
        Some(outcome(self, kept_back))
    }

    fn rehearse(&self, task: &Task) -> Option<Value> {
        rehearsed(self, task)
    }
}

/// A step that came to nothing, as a replan tells it.
fn failure(step: &Step) -> String {
    let (status, reason) = step.status(&KeptBack::default());
    let reason = abridged(&reason.unwrap_or_default(), REASON_CHARS);
    if step.has_completed() {
        return format!("task `{}` falls short: {reason}", step.id());
    }
    format!("task `{}` is {}: {reason}", step.id(), status.name())
}
