//! Facts as format 2 writes them: a kind, a task's number, and a JSON object with the rest. Format 1 is the same without the
//! kinds of runs that grow.

use std::borrow::Cow;
use std::sync::Arc;

use super::body::{
    ApprovalAsked, AttemptAccepted, AttemptEnded, AttemptPlanned, AttemptRefused, AttemptStarted, AttemptStopping,
    BreakerOpened, BudgetReached, Cancelled, LimitRaised, OutcomeKind, OutcomeReached, RetryPlanned, RunEnded,
    RunResumed, RunStarted, RuntimeMet, SessionDeleted, SessionLeft, StartsStopped, TaskEnded, TaskReopened,
    TasksAdded, TokenCounts, WordGiven, json,
};
use super::{TextsIn, TextsOut, Unreadable};
use crate::core::action::{AttemptRef, Session};
use crate::core::budget::Reservation;
use crate::core::fact::{Circuit, Event, Outcome};
use crate::core::plan::Task;
use crate::core::time::Time;

/// Names the kinds of facts once, for the writer and the reader.
macro_rules! records {
    ($($kind:literal => $Name:ident $(<$life:lifetime>)?),* $(,)?) => {
        /// A fact without its time and task.
        #[derive(Debug)]
        pub(crate) enum Record<'a> {
            $($Name($Name $(<$life>)?),)*
        }

        impl<'a> Record<'a> {
            /// The name of its kind.
            pub(crate) fn kind(&self) -> &'static str {
                match self {
                    $(Self::$Name(_) => $kind,)*
                }
            }

            /// Writes the rest of it.
            pub(crate) fn write(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
                match self {
                    $(Self::$Name(body) => serde_json::to_writer(out, body),)*
                }
            }

            /// Reads one back.
            pub(crate) fn read(kind: &str, body: &'a str) -> Result<Self, Unreadable> {
                match kind {
                    $($kind => Ok(Self::$Name(serde_json::from_str(body)?)),)*
                    other => Err(Unreadable::Content(format!("its kind is `{other}`"))),
                }
            }
        }
    };
}

records! {
    "run_started" => RunStarted,
    "attempt_planned" => AttemptPlanned<'a>,
    "runtime_met" => RuntimeMet<'a>,
    "attempt_accepted" => AttemptAccepted<'a>,
    "attempt_started" => AttemptStarted,
    "attempt_refused" => AttemptRefused<'a>,
    "attempt_stopping" => AttemptStopping,
    "attempt_ended" => AttemptEnded<'a>,
    "retry_planned" => RetryPlanned<'a>,
    "limit_raised" => LimitRaised,
    "task_ended" => TaskEnded<'a>,
    "budget_reached" => BudgetReached,
    "breaker_opened" => BreakerOpened<'a>,
    "task_reopened" => TaskReopened<'a>,
    "run_resumed" => RunResumed,
    "starts_stopped" => StartsStopped<'a>,
    "cancelled" => Cancelled<'a>,
    "session_deleted" => SessionDeleted,
    "session_left" => SessionLeft<'a>,
    "run_ended" => RunEnded,
    "tasks_added" => TasksAdded,
    "approval_asked" => ApprovalAsked<'a>,
    "word_given" => WordGiven<'a>,
    "outcome_reached" => OutcomeReached<'a>,
}

impl<'a> Record<'a> {
    /// The record of an event, and the number of its task if it is about one.
    #[expect(clippy::too_many_lines, reason = "one arm for each kind of fact")]
    pub(crate) fn of(event: &'a Event, texts: &mut TextsOut) -> (Self, Option<usize>) {
        match event {
            Event::RunStarted { tasks } => (Self::RunStarted(RunStarted { tasks: wide(*tasks) }), None),
            Event::AttemptPlanned { attempt, attempt_no, tier, model, key, reserved } => {
                let body = AttemptPlanned {
                    start: attempt.start_no,
                    attempt: *attempt_no,
                    tier: wide(*tier),
                    model: Cow::Borrowed(model),
                    key: Cow::Borrowed(key),
                    usd: reserved.usd,
                    tokens: reserved.tokens,
                };
                (Self::AttemptPlanned(body), Some(attempt.task_index))
            }
            Event::RuntimeMet { boot } => (Self::RuntimeMet(RuntimeMet { boot: Cow::Borrowed(boot) }), None),
            Event::AttemptAccepted { attempt, session } => {
                let body = AttemptAccepted {
                    start: attempt.start_no,
                    session: Cow::Borrowed(&session.key),
                    run_id: Cow::Borrowed(&session.run_id),
                };
                (Self::AttemptAccepted(body), Some(attempt.task_index))
            }
            Event::AttemptStarted { attempt, since } => {
                let body = AttemptStarted { start: attempt.start_no, since: since.as_millis() };
                (Self::AttemptStarted(body), Some(attempt.task_index))
            }
            Event::AttemptRefused { attempt, reason, limit, until } => {
                let body = AttemptRefused {
                    start: attempt.start_no,
                    reason: texts.text(reason),
                    limit: wide(*limit),
                    until: until.as_millis(),
                };
                (Self::AttemptRefused(body), Some(attempt.task_index))
            }
            Event::AttemptStopping { attempt, why } => {
                let body = AttemptStopping { start: attempt.start_no, why: (*why).into() };
                (Self::AttemptStopping(body), Some(attempt.task_index))
            }
            Event::AttemptEnded { attempt, outcome, model_used, tokens, cost, truncated, answer } => {
                let (outcome, failure, reason) = match outcome {
                    Outcome::Completed => (OutcomeKind::Completed, None, None),
                    Outcome::Failed { kind, reason } => (OutcomeKind::Failed, Some((*kind).into()), Some(reason)),
                    Outcome::NeedsInput { question } => (OutcomeKind::NeedsInput, None, Some(question)),
                    Outcome::Cancelled => (OutcomeKind::Cancelled, None, None),
                };
                let body = AttemptEnded {
                    start: attempt.start_no,
                    outcome,
                    failure,
                    reason: reason.map(|reason| texts.text(reason)),
                    model: model_used.as_deref().map(Cow::Borrowed),
                    tokens: tokens.map(TokenCounts::from),
                    usd: *cost,
                    truncated: *truncated,
                    answer: answer.as_ref().map(|answer| texts.shared(answer)),
                };
                (Self::AttemptEnded(body), Some(attempt.task_index))
            }
            Event::RetryPlanned { task_index, reason, tier, model, delay } => {
                let body = RetryPlanned {
                    reason: texts.text(reason),
                    tier: wide(*tier),
                    model: Cow::Borrowed(model),
                    delay: *delay,
                };
                (Self::RetryPlanned(body), Some(*task_index))
            }
            Event::LimitRaised { limit } => (Self::LimitRaised(LimitRaised { limit: wide(*limit) }), None),
            Event::TaskEnded { task_index, end } => (Self::TaskEnded(TaskEnded::of(end, texts)), Some(*task_index)),
            Event::BudgetReached { task_index, cap, needed } => {
                let body = BudgetReached { cap: (*cap).into(), usd: needed.usd, tokens: needed.tokens };
                (Self::BudgetReached(body), Some(*task_index))
            }
            Event::BreakerOpened { circuit, until } => {
                let (model, agent_type, failure) = match circuit {
                    Circuit::Model(model) => (Some(model), None, None),
                    Circuit::Agents(agent_type, kind) => (None, Some(agent_type), Some((*kind).into())),
                };
                let body = BreakerOpened {
                    model: model.map(|model| Cow::Borrowed(&**model)),
                    agent_type: agent_type.map(|agent_type| Cow::Borrowed(&**agent_type)),
                    failure,
                    until: until.map(Time::as_millis),
                };
                (Self::BreakerOpened(body), None)
            }
            Event::TaskReopened { task_index, was, answer } => {
                let body =
                    TaskReopened { was: (*was).into(), answer: answer.as_ref().map(|answer| texts.shared(answer)) };
                (Self::TaskReopened(body), Some(*task_index))
            }
            Event::RunResumed { idle } => (Self::RunResumed(RunResumed { idle: *idle }), None),
            Event::StartsStopped { reason } => {
                (Self::StartsStopped(StartsStopped { reason: texts.text(reason) }), None)
            }
            Event::Cancelled { why, reason } => {
                (Self::Cancelled(Cancelled { why: (*why).into(), reason: texts.text(reason) }), None)
            }
            Event::SessionDeleted { attempt } => {
                (Self::SessionDeleted(SessionDeleted { start: attempt.start_no }), Some(attempt.task_index))
            }
            Event::SessionLeft { attempt, session, reason } => {
                let body = SessionLeft {
                    start: attempt.start_no,
                    session: Cow::Borrowed(&session.key),
                    run_id: Cow::Borrowed(&session.run_id),
                    reason: texts.text(reason),
                };
                (Self::SessionLeft(body), Some(attempt.task_index))
            }
            Event::RunEnded => (Self::RunEnded(RunEnded {}), None),
            Event::TasksAdded { first, tasks } => {
                (Self::TasksAdded(TasksAdded { first: wide(*first), count: wide(tasks.len()) }), None)
            }
            Event::ApprovalAsked { subject } => {
                (Self::ApprovalAsked(ApprovalAsked { subject: texts.owned(subject.to_string().into()) }), None)
            }
            Event::WordGiven { word } => (Self::WordGiven(WordGiven::of(word, texts)), None),
            Event::OutcomeReached { outcome } => {
                (Self::OutcomeReached(OutcomeReached { outcome: texts.owned(outcome.to_string().into()) }), None)
            }
        }
    }

    /// The event of a record of a run that has these tasks by now.
    pub(crate) fn event(
        self,
        task: Option<usize>,
        tasks: &[Task],
        texts: &mut TextsIn<'_>,
    ) -> Result<Event, Unreadable> {
        let about = || task.ok_or_else(|| Unreadable::Content("its task is missing".to_owned()));
        let attempt = |start_no: u32| about().map(|task_index| AttemptRef { task_index, start_no });
        Ok(match self {
            Self::RunStarted(RunStarted { tasks }) => Event::RunStarted { tasks: narrow(tasks)? },
            Self::AttemptPlanned(AttemptPlanned { start, attempt: attempt_no, tier, model, key, usd, tokens }) => {
                Event::AttemptPlanned {
                    attempt: attempt(start)?,
                    attempt_no,
                    tier: narrow(tier)?,
                    model: texts.name(&model),
                    key: key.into(),
                    reserved: Reservation { usd, tokens },
                }
            }
            Self::RuntimeMet(RuntimeMet { boot }) => Event::RuntimeMet { boot: boot.into() },
            Self::AttemptAccepted(AttemptAccepted { start, session, run_id }) => {
                Event::AttemptAccepted { attempt: attempt(start)?, session: named(session, run_id) }
            }
            Self::AttemptStarted(AttemptStarted { start, since }) => {
                Event::AttemptStarted { attempt: attempt(start)?, since: Time::from_millis(since) }
            }
            Self::AttemptRefused(AttemptRefused { start, reason, limit, until }) => Event::AttemptRefused {
                attempt: attempt(start)?,
                reason: texts.string(reason)?,
                limit: narrow(limit)?,
                until: Time::from_millis(until),
            },
            Self::AttemptStopping(AttemptStopping { start, why }) => {
                Event::AttemptStopping { attempt: attempt(start)?, why: why.into() }
            }
            Self::AttemptEnded(body) => {
                let attempt = attempt(body.start)?;
                body.event(attempt, texts)?
            }
            Self::RetryPlanned(RetryPlanned { reason, tier, model, delay }) => Event::RetryPlanned {
                task_index: about()?,
                reason: texts.string(reason)?,
                tier: narrow(tier)?,
                model: texts.name(&model),
                delay,
            },
            Self::LimitRaised(LimitRaised { limit }) => Event::LimitRaised { limit: narrow(limit)? },
            Self::TaskEnded(body) => Event::TaskEnded { task_index: about()?, end: body.end(texts)? },
            Self::BudgetReached(BudgetReached { cap, usd, tokens }) => {
                Event::BudgetReached { task_index: about()?, cap: cap.into(), needed: Reservation { usd, tokens } }
            }
            Self::BreakerOpened(BreakerOpened { model, agent_type, failure, until }) => {
                let circuit = match (model, agent_type, failure) {
                    (Some(model), None, None) => Circuit::Model(texts.name(&model)),
                    (None, Some(agent_type), Some(failure)) => Circuit::Agents(texts.name(&agent_type), failure.into()),
                    (model, agent_type, failure) => {
                        return unfit(format!("`{model:?}`, `{agent_type:?}` and `{failure:?}` name no circuit"));
                    }
                };
                Event::BreakerOpened { circuit, until: until.map(Time::from_millis) }
            }
            Self::TaskReopened(TaskReopened { was, answer }) => {
                Event::TaskReopened { task_index: about()?, was: was.into(), answer: texts.maybe(answer)? }
            }
            Self::RunResumed(RunResumed { idle }) => Event::RunResumed { idle },
            Self::StartsStopped(StartsStopped { reason }) => Event::StartsStopped { reason: texts.string(reason)? },
            Self::Cancelled(Cancelled { why, reason }) => {
                Event::Cancelled { why: why.into(), reason: texts.string(reason)? }
            }
            Self::SessionDeleted(SessionDeleted { start }) => Event::SessionDeleted { attempt: attempt(start)? },
            Self::SessionLeft(SessionLeft { start, session, run_id, reason }) => Event::SessionLeft {
                attempt: attempt(start)?,
                session: named(session, run_id),
                reason: texts.string(reason)?,
            },
            Self::RunEnded(RunEnded {}) => Event::RunEnded,
            Self::TasksAdded(TasksAdded { first, count }) => {
                let first = narrow(first)?;
                let added = first.checked_add(narrow(count)?).and_then(|end| tasks.get(first..end));
                let unfit =
                    || Unreadable::Content(format!("it adds {count} tasks from {first} on, of {}", tasks.len()));
                Event::TasksAdded { first, tasks: added.ok_or_else(unfit)?.into() }
            }
            Self::ApprovalAsked(ApprovalAsked { subject }) => {
                Event::ApprovalAsked { subject: Arc::new(json(subject, texts)?) }
            }
            Self::WordGiven(body) => Event::WordGiven { word: body.word(texts)? },
            Self::OutcomeReached(OutcomeReached { outcome }) => {
                Event::OutcomeReached { outcome: Arc::new(json(outcome, texts)?) }
            }
        })
    }
}

fn named(key: Cow<'_, str>, run_id: Cow<'_, str>) -> Session {
    Session { key: key.into(), run_id: run_id.into() }
}

fn wide(count: usize) -> u64 {
    count as u64
}

fn narrow(count: u64) -> Result<usize, Unreadable> {
    usize::try_from(count).map_err(|_| Unreadable::Content(format!("`{count}` is too large")))
}

pub(super) fn unfit<T>(problem: String) -> Result<T, Unreadable> {
    Err(Unreadable::Content(problem))
}
