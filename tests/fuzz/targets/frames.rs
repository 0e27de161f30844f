//! Gateway frames, one to a line: each is read as the answer to every request there is, and what it says of an agent's end
//! is judged in a run.

use std::sync::Arc;

use parallel_agents::core::failure::{Ending, Refusal};
use parallel_agents::core::output::OutputFormat;
use parallel_agents::core::plan::Plan;
use parallel_agents::runtime::gateway::Readings;
use parallel_agents::workflow::{ChildQuery, retold};
use serde_json::{Map, Value};

use super::play::{play, replied, task};
use super::{WORDS_MAX, assert_shows_well};

/// The longest wait that a gateway can talk us into, in seconds.
const WAIT_MAX: u64 = 3_600;

/// See the module.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut ends = Vec::new();
    for frame in text.lines() {
        let read = Readings::of(frame);
        for words in &read.words {
            assert_shows_well(words, WORDS_MAX);
        }
        for wait in &read.waits {
            assert!(wait.as_secs() <= WAIT_MAX, "a wait of {wait:?}");
        }
        for session in &read.sessions {
            assert!(session.key.len() <= frame.len() && session.run_id.len() <= frame.len());
        }
        assert!(read.models.names.iter().all(|name| read.models.may_have(name)), "{:?}", read.models);
        for end in &read.ends {
            check_end(&end.ending, frame);
            assert!(end.partial.as_ref().is_none_or(|text| text.len() <= frame.len()), "{end:?}");
        }
        ends.extend(read.ends);
        retell(frame);
    }
    let mut ends = ends.into_iter();
    let plan = Plan::new(vec![
        task("first", OutputFormat::Json, None, &[]),
        task("second", OutputFormat::Text, None, &["first"]),
    ]);
    let plan = Arc::new(plan.expect("a plan"));
    play(&plan, |_| ends.next().unwrap_or_else(|| replied("{}")));
}

/// What a frame says of sessions that need not be ours is retold to programs, and gets no longer by it.
fn retell(frame: &str) {
    let Ok(mut frame) = serde_json::from_str::<Value>(frame) else { return };
    let Some(payload) = frame.get_mut("payload") else { return };
    let list = payload.pointer_mut("/output/details").map(Value::take).unwrap_or_default();
    let messages = match payload.get_mut("messages").map(Value::take) {
        Some(Value::Array(messages)) => messages,
        Some(_) | None => Vec::new(),
    };
    let (rows, count) = (list.pointer("/sessions").and_then(Value::as_array).map_or(0, Vec::len), messages.len());
    let query = ChildQuery::from_json(Map::new()).expect("a query");
    let (page, history) = retold(&query, list, messages, None);
    assert_eq!(page["count"], rows);
    assert_eq!(history["messages"].as_array().map(Vec::len), Some(count));
}

/// An answer is no longer than the frame that brings it; what else is told, people are shown.
fn check_end(ending: &Ending, frame: &str) {
    match ending {
        Ending::Replied(text) | Ending::Cut(text) => assert!(text.len() <= frame.len(), "{text:?}"),
        Ending::Failed { message: words }
        | Ending::Refused(Refusal { message: words, .. })
        | Ending::Stopped { reason: words }
        | Ending::Lost { reason: words }
        | Ending::Unstoppable { reason: words } => assert_shows_well(words, WORDS_MAX),
        Ending::TimedOut => {}
    }
}
