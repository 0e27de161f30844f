//! Ways in which an agent ends, each with what it means. The meaning is known because the sample was made for it, not
//! because anything judged it.

use fastrand::Rng;
use parallel_agents::core::action::{AttemptRef, SpawnOrder};
use parallel_agents::core::failure::{Ending, FailureKind, Refusal};
use parallel_agents::core::output::OutputFormat;
use parallel_agents::core::plan::Task;
use parallel_agents::core::usage::{Tokens, Usage};
use serde_json::{Value, json};

/// What a sample was made to mean.
#[derive(Debug, Clone, PartialEq)]
pub enum Meaning {
    /// This value was asked for and given.
    Answer(Value),
    /// The runtime took no further agent.
    Busy,
    /// Somebody is to answer this.
    Asks(String),
    /// A failure of this kind.
    Fails(FailureKind),
    /// The agent may still be running.
    Unstoppable,
}

/// A sample.
#[derive(Debug, Clone)]
pub struct Sample {
    pub ending: Ending,
    pub meaning: Meaning,
}

fn fails(kind: FailureKind, ending: Ending) -> Sample {
    Sample { ending, meaning: Meaning::Fails(kind) }
}

/// A word that only this attempt's answer holds.
pub fn token(attempt: AttemptRef) -> String {
    format!("word-of-{}-{}!", attempt.task_index, attempt.start_no)
}

/// An answer as it was promised, in one of the dresses that agents put on it.
pub fn answer(random: &mut Rng, task: &Task, attempt: AttemptRef) -> Sample {
    let word = token(attempt);
    let (text, value) = match task.format {
        OutputFormat::Json => {
            let value = json!({"answer": word});
            let text = match random.u8(0..3) {
                0 => value.to_string(),
                1 => format!("```json\n{value}\n```"),
                _ => format!("As you asked:\n{value}\nThat is all."),
            };
            (text, value)
        }
        OutputFormat::Text | OutputFormat::Markdown | OutputFormat::Code => (word.clone(), Value::String(word)),
    };
    let ending = if random.u8(0..16) == 0 { Ending::Cut(text) } else { Ending::Replied(text) };
    Sample { ending, meaning: Meaning::Answer(value) }
}

/// A question instead of an answer.
pub fn question(random: &mut Rng, task: &Task, attempt: AttemptRef) -> Sample {
    let question = format!("which one, {}?", token(attempt));
    let text = match random.u8(0..3) {
        0 if task.format == OutputFormat::Json => json!({"stuck": question}).to_string(),
        1 => format!("I have looked everywhere.\nSTUCK: {question}"),
        _ => format!("STUCK: {question}"),
    };
    Sample { ending: Ending::Replied(text), meaning: Meaning::Asks(question) }
}

/// Kinds of [`failure`].
pub const FAILURES: u8 = 16;

/// An end without the promised answer, of an agent that was started; perhaps in words that others used before.
pub fn failure(random: &mut Rng, kind: u8, task: &Task, attempt: AttemptRef, parrots: bool) -> Sample {
    let failed = |kind, message: &str| fails(kind, Ending::Failed { message: message.to_owned() });
    match kind {
        0..4 if task.format == OutputFormat::Json => unusable(random, task, attempt, parrots),
        0..4 => fails(FailureKind::Model, Ending::Replied(" \n".to_owned())),
        4 | 5 => fails(FailureKind::Model, Ending::Replied(String::new())),
        6 => fails(FailureKind::Timeout, Ending::TimedOut),
        7 => fails(FailureKind::Stopped, Ending::Stopped { reason: "somebody else".to_owned() }),
        8 | 9 => fails(FailureKind::Transient, Ending::Lost { reason: "the connection broke".to_owned() }),
        10 => failed(FailureKind::Transient, "interrupted by a gateway restart"),
        11 | 12 => failed(FailureKind::ServerError, "provider failed: HTTP 503"),
        13 => failed(FailureKind::Model, "provider refused: HTTP 429: rate limited"),
        14 => failed(FailureKind::Model, "something that nobody has seen before"),
        _ => {
            let ending = Ending::Unstoppable { reason: "the gateway lost track of it".to_owned() };
            Sample { ending, meaning: Meaning::Unstoppable }
        }
    }
}

/// A text that holds no usable JSON.
fn unusable(random: &mut Rng, task: &Task, attempt: AttemptRef, parrots: bool) -> Sample {
    let word = token(attempt);
    let text = match random.u8(0..3) {
        _ if parrots => "I would rather talk about something else".to_owned(),
        0 => format!("I would rather talk about {word}"),
        1 if task.schema.is_some() => json!({"reply": word}).to_string(),
        _ => format!("{{\"answer\": \"{word}"),
    };
    if random.u8(0..4) == 0 {
        return fails(FailureKind::Truncated, Ending::Cut(text));
    }
    fails(FailureKind::Output, Ending::Replied(text))
}

/// A refusal because too many run already, in either path's words.
pub fn busy(random: &mut Rng) -> Sample {
    let refusal = if random.bool() {
        Refusal { code: "UNAVAILABLE".to_owned(), retryable: true, ..Refusal::default() }
    } else {
        let message = "sessions_spawn has reached max active children for this session (5/5)";
        Refusal { code: "forbidden".to_owned(), message: message.to_owned(), ..Refusal::default() }
    };
    let retry_after = (random.u8(0..4) == 0).then(|| super::scene::span(random, &[2_000]));
    Sample { ending: Ending::Refused(Refusal { retry_after, ..refusal }), meaning: Meaning::Busy }
}

/// A refusal for any other reason.
pub fn refusal(random: &mut Rng) -> Sample {
    let refused = |kind, code: &str, detail: Option<&str>, message: &str| {
        let refusal = Refusal {
            code: code.to_owned(),
            detail: detail.map(str::to_owned),
            message: message.to_owned(),
            ..Refusal::default()
        };
        fails(kind, Ending::Refused(refusal))
    };
    match random.u8(0..6) {
        0 => refused(FailureKind::Permanent, "TOO_LARGE", None, "payload too large"),
        1 => refused(FailureKind::Permanent, "UNAUTHORIZED", Some("AUTH_TOKEN_MISMATCH"), "unauthorized"),
        2 | 3 => refused(FailureKind::Model, "INVALID_REQUEST", None, "unknown model: provider/none"),
        _ => refused(FailureKind::Transient, "UNAVAILABLE", None, "the gateway is starting"),
    }
}

/// What an attempt used, and what that costs on its tier: a table, so that nothing has to be computed.
pub fn usage(random: &mut Rng, task: &Task, order: &SpawnOrder) -> (Usage, Option<f64>) {
    let tiers = task.hierarchy.tiers();
    let price = tiers.iter().find(|tier| Some(&tier.model) == order.model.as_ref()).and_then(|tier| tier.price);
    let millions = random.u8(1..4);
    let (input, output) = (u64::from(millions) * 1_000_000, 1_000_000);
    let tokens = Tokens { input, output, total: input + output, ..Tokens::default() };
    let priced = price.map(|price| f64::from(millions) * price.input + price.output);
    match random.u8(0..4) {
        0 => (Usage::default(), None),
        1 => (Usage { tokens: None, cost: Some(0.5) }, Some(0.5)),
        2 => (Usage { tokens: Some(tokens), cost: Some(0.0) }, priced),
        _ => (Usage { tokens: Some(tokens), cost: Some(0.25) }, priced.or(Some(0.25))),
    }
}
