//! The bodies of facts, and what stands in them: each type is what its JSON is. Those that take more than one step from and
//! to the core's types bring the steps along.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fact::unfit;
use super::{Text, TextsIn, TextsOut, Unreadable};
use crate::core::action::AttemptRef;
use crate::core::budget::Cap;
use crate::core::fact::{End, Event, Outcome, Status, StopReason};
use crate::core::failure::FailureKind;
use crate::core::strategy::Word;
use crate::core::usage::Tokens;

/// Declares the bodies, each with what all of them have in common.
macro_rules! bodies {
    ($($Name:ident $(<$life:lifetime>)? { $($(#[$attribute:meta])* $field:ident: $Type:ty),* $(,)? })*) => {
        $(
            #[derive(Debug, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub(crate) struct $Name $(<$life>)? {
                $($(#[$attribute])* pub(super) $field: $Type,)*
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
pub(crate) struct TokenCounts {
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

impl<'a> WordGiven<'a> {
    pub(super) fn of(word: &'a Word, texts: &mut TextsOut) -> Self {
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

    pub(super) fn word(self, texts: &mut TextsIn<'_>) -> Result<Word, Unreadable> {
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

pub(super) fn json(text: Text<'_>, texts: &mut TextsIn<'_>) -> Result<Value, Unreadable> {
    Ok(serde_json::from_str(&texts.get(text)?)?)
}

impl AttemptEnded<'_> {
    pub(super) fn event(self, attempt: AttemptRef, texts: &mut TextsIn<'_>) -> Result<Event, Unreadable> {
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
    pub(super) fn of(end: &'a End, texts: &mut TextsOut) -> Self {
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

    pub(super) fn end(self, texts: &mut TextsIn<'_>) -> Result<End, Unreadable> {
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
    pub(super) fn of(output: &'a Value, raw: &str, texts: &mut TextsOut) -> Self {
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
