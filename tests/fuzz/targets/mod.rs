//! What is fuzzed, target by target: a function over bytes that panics if something read from outside is read badly.
//!
//! The fuzzers of this folder call them with inputs of their own (`make fuzz`), `tests/replay.rs` with the corpus and with
//! what was found (`cargo test`). A further target is a module here, a line in [`ALL`], and a binary in `bins/`.

pub mod answer;
pub mod frames;
pub mod journal;
pub mod plan;
mod play;

/// Panics if something in the input is read badly.
pub type Target = fn(&[u8]);

/// The targets by name; their corpus and findings stand in folders of that name.
pub const ALL: [(&str, Target); 4] =
    [("answer", answer::check), ("frames", frames::check), ("journal", journal::check), ("plan", plan::check)];

/// How long something may be that is shown to people in the words of somebody else, in characters.
const WORDS_MAX: usize = 20_000;

/// That a text may be shown to people: it neither forges lines of a log nor drives a terminal.
fn assert_shows_well(text: &str, chars_max: usize) {
    assert!(!text.contains(char::is_control), "{text:?} holds control characters");
    assert!(text.chars().count() <= chars_max, "{} characters, expected at most {chars_max}: {text:?}", text.len());
}
