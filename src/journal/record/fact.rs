//! Facts as format 2 writes them (format 1 is the same without the kinds of runs that grow): a kind, a task's number, and a JSON object with the rest.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Text, TextsIn, TextsOut, Unreadable};
use crate::core::action::{AttemptRef, Session};
use crate::core::budget::{Cap, Reservation};
use crate::core::fact::{Circuit, End, Event, Outcome, Status, StopReason};
use crate::core::failure::FailureKind;
use crate::core::plan::Task;
use crate::core::strategy::Word;
use crate::core::time::Time;
use crate::core::usage::Tokens;

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

/// Declares the bodies, each with what all of them have in common.
macro_rules! bodies {
    ($($Name:ident $(<$life:lifetime>)? { $($(#[$attribute:meta])* $field:ident: $Type:ty),* $(,)? })*) => {
        $(
            #[derive(Debug, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub(crate) struct $Name $(<$life>)? {
                $($(#[$attribute])* $field: $Type,)*
            }
        )*
    };
}

bodies! {
    RunStarted { tasks: u64 }
    AttemptPlanned<'a> {
        start: u32,
        attempt: u32,
        tier: u64,
        #[serde(borrow)]
        model: Cow<'a, str>,
        #[serde(borrow)]
        key: Cow<'a, str>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usd: Option<f64>,
        #[serde(default, skip_serializing_if = "is_zero")]
        tokens: u64,
    }
    RuntimeMet<'a> {
        #[serde(borrow)]
        boot: Cow<'a, str>,
    }
    AttemptAccepted<'a> {
        start: u32,
        #[serde(borrow)]
        session: Cow<'a, str>,
        #[serde(borrow)]
        run_id: Cow<'a, str>,
    }
    AttemptStarted { start: u32, since: u64 }
    AttemptRefused<'a> {
        start: u32,
        #[serde(borrow)]
        reason: Text<'a>,
        limit: u64,
        until: u64,
    }
    AttemptStopping { start: u32, why: Why }
    AttemptEnded<'a> {
        start: u32,
        outcome: OutcomeKind,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        reason: Option<Text<'a>>,
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        model: Option<Cow<'a, str>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens: Option<TokenCounts>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usd: Option<f64>,
        #[serde(default, skip_serializing_if = "is_false")]
        truncated: bool,
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        answer: Option<Text<'a>>,
    }
    RetryPlanned<'a> {
        #[serde(borrow)]
        reason: Text<'a>,
        tier: u64,
        #[serde(borrow)]
        model: Cow<'a, str>,
        delay: Duration,
    }
    LimitRaised { limit: u64 }
    TaskEnded<'a> {
        status: Ended,
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        reason: Option<Text<'a>>,
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        because_of: Option<Cow<'a, str>>,
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        raw: Option<Text<'a>>,
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        output: Option<Output<'a>>,
    }
    BudgetReached {
        cap: Reached,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usd: Option<f64>,
        #[serde(default, skip_serializing_if = "is_zero")]
        tokens: u64,
    }
    BreakerOpened<'a> {
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        model: Option<Cow<'a, str>>,
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        agent_type: Option<Cow<'a, str>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<u64>,
    }
    TaskReopened<'a> {
        was: Ended,
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        answer: Option<Text<'a>>,
    }
    RunResumed { idle: Duration }
    StartsStopped<'a> {
        #[serde(borrow)]
        reason: Text<'a>,
    }
    Cancelled<'a> {
        why: Why,
        #[serde(borrow)]
        reason: Text<'a>,
    }
    SessionDeleted { start: u32 }
    SessionLeft<'a> {
        start: u32,
        #[serde(borrow)]
        session: Cow<'a, str>,
        #[serde(borrow)]
        run_id: Cow<'a, str>,
        #[serde(borrow)]
        reason: Text<'a>,
    }
    RunEnded {}
    TasksAdded { first: u64, count: u64 }
    ApprovalAsked<'a> {
        /// JSON.
        #[serde(borrow)]
        subject: Text<'a>,
    }
    WordGiven<'a> {
        word: WordKind,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approved: Option<bool>,
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        reason: Option<Text<'a>>,
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        task_id: Option<Cow<'a, str>>,
        /// JSON.
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        mark: Option<Text<'a>>,
    }
    OutcomeReached<'a> {
        /// JSON.
        #[serde(borrow)]
        outcome: Text<'a>,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// The value of a completed task.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Output<'a> {
    /// What the agent wrote, read as JSON.
    RawJson,
    /// What the agent wrote, without the space around it.
    RawText,
    /// This JSON.
    Json(#[serde(borrow)] Text<'a>),
    /// This text.
    Text(#[serde(borrow)] Text<'a>),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenCounts {
    input: u64,
    output: u64,
    cache_read: u64,
    cache_write: u64,
    total: u64,
}

/// Declares an enum of names and its way from and to the core's.
macro_rules! names {
    ($Name:ident of $Core:ident: $($Variant:ident),*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub(crate) enum $Name {
            $($Variant,)*
        }

        impl From<$Core> for $Name {
            fn from(it: $Core) -> Self {
                match it {
                    $($Core::$Variant => Self::$Variant,)*
                }
            }
        }

        impl From<$Name> for $Core {
            fn from(it: $Name) -> Self {
                match it {
                    $($Name::$Variant => Self::$Variant,)*
                }
            }
        }
    };
}

names!(Why of StopReason: Idle, Timeout, TaskDeadline, Unneeded, RunDeadline, Cancel);
names!(Failure of FailureKind:
    Busy, Transient, ServerError, Model, Timeout, Output, Truncated, Permanent, Stopped, Question);
names!(Ended of Status: Completed, Failed, Timeout, NeedsInput, Cancelled, Skipped);
names!(Reached of Cap: Usd, Tokens, Attempts, Time, Price);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OutcomeKind {
    Completed,
    Failed,
    NeedsInput,
    Cancelled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WordKind {
    Approval,
    Budget,
    Mark,
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

impl<'a> WordGiven<'a> {
    fn of(word: &'a Word, texts: &mut TextsOut) -> Self {
        let blank = |word| Self { word, approved: None, reason: None, task_id: None, mark: None };
        match word {
            Word::Approval { approved, reason } => {
                Self { approved: Some(*approved), reason: Some(texts.text(reason)), ..blank(WordKind::Approval) }
            }
            Word::Budget { complaint } => {
                Self { reason: complaint.as_ref().map(|complaint| texts.text(complaint)), ..blank(WordKind::Budget) }
            }
            Word::Mark { task, mark } => Self {
                task_id: Some(Cow::Borrowed(task)),
                mark: Some(texts.owned(mark.to_string().into())),
                ..blank(WordKind::Mark)
            },
        }
    }

    fn word(self, texts: &mut TextsIn<'_>) -> Result<Word, Unreadable> {
        let Self { word, approved, reason, task_id, mark } = self;
        match (word, approved, reason, task_id, mark) {
            (WordKind::Approval, Some(approved), Some(reason), None, None) => {
                Ok(Word::Approval { approved, reason: texts.get(reason)? })
            }
            (WordKind::Budget, None, reason, None, None) => Ok(Word::Budget { complaint: texts.maybe(reason)? }),
            (WordKind::Mark, None, None, Some(task_id), Some(mark)) => {
                Ok(Word::Mark { task: task_id.into(), mark: json(mark, texts)? })
            }
            (word, ..) => unfit(format!("its fields do not make the word `{word:?}`")),
        }
    }
}

fn json(text: Text<'_>, texts: &mut TextsIn<'_>) -> Result<Value, Unreadable> {
    Ok(serde_json::from_str(&texts.get(text)?)?)
}

impl AttemptEnded<'_> {
    fn event(self, attempt: AttemptRef, texts: &mut TextsIn<'_>) -> Result<Event, Unreadable> {
        let Self { start: _, outcome, failure, reason, model, tokens, usd, truncated, answer } = self;
        let outcome = match (outcome, failure, reason) {
            (OutcomeKind::Completed, None, None) => Outcome::Completed,
            (OutcomeKind::Failed, Some(kind), Some(reason)) => {
                Outcome::Failed { kind: kind.into(), reason: texts.string(reason)? }
            }
            (OutcomeKind::NeedsInput, None, Some(question)) => {
                Outcome::NeedsInput { question: texts.string(question)? }
            }
            (OutcomeKind::Cancelled, None, None) => Outcome::Cancelled,
            (outcome, _, _) => return unfit(format!("its fields do not make the outcome `{outcome:?}`")),
        };
        Ok(Event::AttemptEnded {
            attempt,
            outcome,
            model_used: model.map(|model| texts.name(&model)),
            tokens: tokens.map(Tokens::from),
            cost: usd,
            truncated,
            answer: texts.maybe(answer)?,
        })
    }
}

impl<'a> TaskEnded<'a> {
    fn of(end: &'a End, texts: &mut TextsOut) -> Self {
        let status = end.status().into();
        let (reason, because_of, raw, output) = match end {
            End::Completed { output, raw } => (None, None, Some(raw), Some(output)),
            End::Failed { reason, raw }
            | End::Timeout { reason, raw }
            | End::Cancelled { reason, raw }
            | End::NeedsInput { question: reason, raw } => (Some(reason), None, raw.as_ref(), None),
            End::Skipped { reason, because_of } => (Some(reason), Some(because_of), None, None),
        };
        Self {
            status,
            reason: reason.map(|reason| texts.text(reason)),
            because_of: because_of.map(|because_of| Cow::Borrowed(&**because_of)),
            // Before its output: it is the text that was written last, with its attempt.
            raw: raw.map(|raw| texts.shared(raw)),
            output: output.zip(raw).map(|(output, raw)| Output::of(output, raw.trim(), texts)),
        }
    }

    fn end(self, texts: &mut TextsIn<'_>) -> Result<End, Unreadable> {
        let Self { status, reason, because_of, raw, output } = self;
        let raw = texts.maybe(raw)?;
        if status == Ended::Completed {
            return match (reason, because_of, raw, output) {
                (None, None, Some(raw), Some(output)) => {
                    Ok(End::Completed { output: Arc::new(output.value(raw.trim(), texts)?), raw })
                }
                _ => unfit("its fields do not make the status `completed`".to_owned()),
            };
        }
        let (Some(reason), None) = (reason, output) else {
            return unfit(format!("its fields do not make the status `{status:?}`"));
        };
        let reason = texts.string(reason)?;
        match (status, because_of) {
            (Ended::Failed, None) => Ok(End::Failed { reason, raw }),
            (Ended::Timeout, None) => Ok(End::Timeout { reason, raw }),
            (Ended::NeedsInput, None) => Ok(End::NeedsInput { question: reason, raw }),
            (Ended::Cancelled, None) => Ok(End::Cancelled { reason, raw }),
            (Ended::Skipped, Some(because_of)) if raw.is_none() => {
                Ok(End::Skipped { reason, because_of: because_of.into() })
            }
            (status, _) => unfit(format!("its fields do not make the status `{status:?}`")),
        }
    }
}

impl<'a> Output<'a> {
    /// The record of a value that an agent gave as `raw`.
    fn of(output: &'a Value, raw: &str, texts: &mut TextsOut) -> Self {
        match output {
            Value::String(text) if text == raw => Self::RawText,
            Value::String(text) => Self::Text(texts.text(text)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                let json = output.to_string();
                if json == raw { Self::RawJson } else { Self::Json(texts.owned(json.into())) }
            }
        }
    }

    fn value(self, raw: &str, texts: &mut TextsIn<'_>) -> Result<Value, Unreadable> {
        Ok(match self {
            Self::RawJson => serde_json::from_str(raw)?,
            Self::RawText => Value::String(raw.to_owned()),
            Self::Json(text) => serde_json::from_str(&texts.string(text)?)?,
            Self::Text(text) => Value::String(texts.string(text)?),
        })
    }
}

impl From<Tokens> for TokenCounts {
    fn from(Tokens { input, output, cache_read, cache_write, total }: Tokens) -> Self {
        Self { input, output, cache_read, cache_write, total }
    }
}

impl From<TokenCounts> for Tokens {
    fn from(TokenCounts { input, output, cache_read, cache_write, total }: TokenCounts) -> Self {
        Self { input, output, cache_read, cache_write, total }
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

fn unfit<T>(problem: String) -> Result<T, Unreadable> {
    Err(Unreadable::Content(problem))
}
