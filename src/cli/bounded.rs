//! A run's results as one JSON document of bounded size, for the shell tool of an agent: what is too long is cut fairly, and
//! named with the command that prints it whole.
//!
//! `OpenClaw` 2026.9.6 shows a model at most 64,000 characters of what a command prints, 32,000 if its context has less than
//! 200,000 tokens, 16,000 below 100,000, and cuts the end off. What a reader needs first therefore stands first.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::journal::JournalFlag;
use super::program::program;
use super::run::{Finished, Kept};
use super::share::{beginning, json_bytes, shares};
use crate::core::fact::End;
use crate::core::output::abridged;
use crate::core::report::TaskReport;
use crate::core::shell::shell_word;
use crate::core::usage::Tokens;
use crate::workflow::summary_fields;

/// How long the document may be unless somebody says otherwise, in bytes: with what stands on standard error beside it, it
/// fits into what a model with a context of 100,000 tokens is shown.
pub(super) const BYTES: usize = 24_000;
/// The shortest that can be asked for: it holds the counts and the commands.
pub(super) const BYTES_MIN: u64 = 4_000;
/// What a text keeps before a result is left out for want of room.
const TEXT_BYTES_MIN: usize = 80;
/// How much of a name is shown that an agent or a gateway chose, in characters.
const WORD_CHARS: usize = 200;
/// How much of a question is shown, in bytes.
const QUESTION_BYTES: usize = 1_000;
/// The parts of the document that what a strategy came to, the questions, and the list of what is left out may take.
const OUTCOME_PART: usize = 4;
const QUESTIONS_PART: usize = 4;
const OMITTED_PART: usize = 6;
/// How much of one field of an outcome is shown where not all of it fits: this part of the document.
const OUTCOME_FIELD_PART: usize = 12;
/// How many of the sessions that stay behind are named.
const SESSIONS_SHOWN: usize = 5;

/// What such a run has come to, in one word.
fn status(finished: &Finished) -> &'static str {
    let is = |wanted: fn(&End) -> bool| finished.reports.iter().any(|report| wanted(&report.end));
    if !finished.is_over() {
        "open"
    } else if finished.exit_code() == 0 {
        "completed"
    } else if finished.is_cut_short() {
        "stopped"
    } else if is(|end| matches!(end, End::NeedsInput { .. })) {
        "needs_input"
    } else if is(|end| matches!(end, End::Completed { .. })) {
        "partial"
    } else {
        "failed"
    }
}

/// The document, in one line of at most `limit` bytes with its line break.
pub(super) fn document(finished: &Finished, limit: usize) -> String {
    let limit = limit - 1;
    let head = head(finished, limit);
    let mut document = Value::Object(head);
    let room = limit.saturating_sub(bytes(&document));
    let fields = Fields::of(finished, room);
    if let Value::Object(document) = &mut document {
        document.insert("results".to_owned(), fields.results.into());
        document.extend(fields.omitted.map(|omitted| ("omitted".to_owned(), omitted)));
    }
    let text = document.to_string();
    if text.len() <= limit {
        return text;
    }
    // Not even the beginning has room: names or paths are very long.
    let id = finished.kept.as_ref().map(|kept| abridged(&kept.id, WORD_CHARS));
    let count = finished.reports.len();
    let totals = json!({"tasks": {"total": count, "completed": finished.completed()}});
    let note = "the rest has no room: give a larger --output-bytes";
    json!({"run_id": id, "status": status(finished), "note": note, "totals": totals, "results": [], "omitted": {"count": count}})
        .to_string()
}

fn bytes(value: &Value) -> usize {
    value.to_string().len()
}

/// Everything before the results, with places for them.
fn head(finished: &Finished, limit: usize) -> Map<String, Value> {
    let mut head = Map::new();
    let mut set = |name: &str, value: Value| head.insert(name.to_owned(), value);
    let id = finished.kept.as_ref().map(|kept| kept.id.as_str());
    set("run_id", json!(id));
    set("status", json!(status(finished)));
    match &finished.kept {
        None => {
            let note = "no journal was kept: what is cut here cannot be printed later";
            set("note", json!(note));
        }
        Some(kept) if !finished.is_over() => {
            set("note", json!("the process that ran it has died; `resume` goes on with it"));
            set("resume", json!(format!("{} --json", kept.resume)));
        }
        Some(_) => {}
    }
    set("totals", totals(finished));
    if let Some(outcome) = &finished.summary.outcome {
        set("outcome", cut_outcome(outcome, limit));
    }
    let (questions, omitted) = questions(finished, limit / QUESTIONS_PART);
    if !questions.is_empty() {
        set("questions", questions.into());
    }
    if omitted > 0 {
        set("questions_omitted", json!(omitted));
    }
    set("results", json!([]));
    head
}

fn totals(finished: &Finished) -> Value {
    let mut fields = summary_fields(&finished.summary, None);
    let mut take = |name: &str| fields.as_object_mut().and_then(|fields| fields.shift_remove(name)).unwrap_or_default();
    let mut budget = take("budget");
    if let Some(not_started) = budget.get_mut("not_started") {
        *not_started = json!(not_started.as_array().map_or(0, Vec::len));
    }
    let tokens = finished.reports.iter().filter_map(|report| report.tokens()).reduce(Tokens::plus);
    let left = &finished.summary.sessions_left;
    let keys: Vec<String> = left.iter().take(SESSIONS_SHOWN).map(|left| abridged(&left.key, WORD_CHARS)).collect();
    json!({
        "tasks": take("tasks"),
        "attempts": take("attempts"),
        "retries": take("retries"),
        "cost": take("cost").as_f64().map(shown_cost),
        "currency": take("currency"),
        "tokens": tokens.map(|tokens| tokens.total),
        "budget": budget,
        "sessions_left": {"count": left.len(), "session_keys": keys},
        "execution_time": rounded(elapsed(&finished.reports).as_secs_f64()),
        "agent_seconds": rounded(finished.summary.execution_time.as_secs_f64()),
    })
}

/// From the first agent's order to the last one's end.
fn elapsed(reports: &[Arc<TaskReport>]) -> Duration {
    let attempts = || reports.iter().flat_map(|report| &report.attempts);
    let first = attempts().map(|attempt| attempt.ordered).min();
    let last = attempts().filter_map(|attempt| attempt.ended).max();
    first.zip(last).map_or(Duration::ZERO, |(first, last)| last.since(first))
}

/// Without what adding fractions of dollars leaves behind.
fn shown_cost(dollars: f64) -> f64 {
    (dollars * 1e9).round() / 1e9
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1_000.0).round() / 1_000.0
}

/// What a strategy came to, with the beginnings of its texts where it is too long, and the names of what had no room.
fn cut_outcome(outcome: &Value, limit: usize) -> Value {
    let room = limit / OUTCOME_PART;
    let Value::Object(fields) = outcome else { return Value::Null };
    if bytes(outcome) <= room {
        return outcome.clone();
    }
    let (mut shown, mut cut) = (json!({}), Vec::new());
    for (name, value) in fields {
        let field_max = limit / OUTCOME_FIELD_PART;
        let fitting = match value {
            Value::String(text) if json_bytes(text) > field_max => {
                cut.push(json!(name));
                json!(beginning(text, field_max))
            }
            value => value.clone(),
        };
        if bytes(&fitting) <= field_max + 2 && bytes(&shown) + bytes(&fitting) + name.len() + 4 <= room {
            shown[name.as_str()] = fitting;
        } else if !cut.contains(&json!(name)) {
            cut.push(json!(name));
        }
    }
    shown["cut"] = cut.into();
    shown
}

/// What agents ask, each with the command that answers, as far as they fit; and how many do not.
fn questions(finished: &Finished, room: usize) -> (Vec<Value>, usize) {
    let (mut shown, mut omitted, mut left) = (Vec::new(), 0, room);
    for report in &finished.reports {
        let End::NeedsInput { question, .. } = &report.end else { continue };
        let id = finished.task_id(report);
        let answer = finished.kept.as_ref().map(|kept| format!("{} --json", kept.answer(id)));
        let entry = json!({"task_id": id, "question": beginning(question, QUESTION_BYTES), "answer": answer});
        let size = bytes(&entry) + 1;
        if omitted == 0 && size <= left {
            left -= size;
            shown.push(entry);
        } else {
            omitted += 1;
        }
    }
    (shown, omitted)
}

/// A text of a result that may be too long.
struct Text<'a> {
    /// As it is shown whole.
    whole: Value,
    /// Of what the beginning is shown where there is no room.
    plain: Cow<'a, str>,
    /// The bytes that it takes whole.
    size: usize,
}

/// A result whose texts have no room yet.
struct Entry<'a> {
    frame: Map<String, Value>,
    output: Option<Text<'a>>,
    error: Option<Text<'a>>,
    rest: Option<String>,
}

impl<'a> Entry<'a> {
    fn of(finished: &'a Finished, report: &'a Arc<TaskReport>) -> Self {
        let last = report.attempts.last();
        let word = |text: &str| abridged(text, WORD_CHARS);
        let id = finished.task_id(report);
        let frame = json!({
            "task_id": id,
            "agent_type": word(finished.agent_type(report)),
            "status": report.end.status().name(),
            "output": null,
            "error": null,
            "cost": report.cost().map(shown_cost),
            "model_used": last.and_then(|attempt| attempt.model_used.as_deref()).map(word),
            "session_key": last.and_then(|attempt| attempt.session.as_ref()).map(|session| word(&session.key)),
            "attempts": report.attempts.len(),
            "execution_time": rounded(report.execution_time().as_secs_f64()),
        });
        let output = report.end.output().map(|output| {
            let plain: Cow<'_, str> = match output {
                Value::String(text) => text.as_str().into(),
                other => other.to_string().into(),
            };
            let size = match output {
                Value::String(text) => json_bytes(text) + 2,
                _ => plain.len(),
            };
            Text { whole: output.clone(), plain, size }
        });
        let error = report.end.reason().map(|reason| Text {
            whole: json!(reason),
            plain: reason.into(),
            size: json_bytes(reason) + 2,
        });
        let rest = finished.kept.as_ref().map(|kept| kept.command("output", &[&kept.id, id]));
        Self { frame: frame.as_object().cloned().unwrap_or_default(), output, error, rest }
    }

    fn texts(&self) -> impl Iterator<Item = &Text<'a>> {
        self.output.iter().chain(&self.error)
    }

    /// What it takes without its texts: each has `null` or two quotes already, and what says that they are cut if they are.
    fn frame_bytes(&self, is_cut: bool) -> usize {
        let frame = Value::Object(self.frame.clone());
        let marks = if is_cut { bytes(&Value::Object(self.marks(true, true))) } else { 0 };
        bytes(&frame) + marks + 1
    }

    /// What says that texts are cut.
    fn marks(&self, is_output_cut: bool, is_error_cut: bool) -> Map<String, Value> {
        let mut marks = Map::new();
        if let (true, Some(output)) = (is_output_cut, &self.output) {
            marks.insert("output_bytes".to_owned(), json!(output.plain.len()));
            marks.insert("output_cut".to_owned(), json!(true));
        }
        if let (true, Some(error)) = (is_error_cut, &self.error) {
            marks.insert("error_bytes".to_owned(), json!(error.plain.len()));
            marks.insert("error_cut".to_owned(), json!(true));
        }
        if !marks.is_empty() {
            marks.insert("rest".to_owned(), json!(self.rest));
        }
        marks
    }

    /// With so much of each of its texts.
    fn fill(mut self, shares: &mut impl Iterator<Item = usize>) -> Value {
        let mut are_cut = [false; 2];
        for (place, (name, text)) in [("output", &self.output), ("error", &self.error)].into_iter().enumerate() {
            let Some(text) = text else { continue };
            let share = shares.next().unwrap_or_default();
            are_cut[place] = share < text.size;
            let shown = if are_cut[place] {
                json!(beginning(&text.plain, share.saturating_sub(2)))
            } else {
                text.whole.clone()
            };
            self.frame.insert(name.to_owned(), shown);
        }
        let marks = self.marks(are_cut[0], are_cut[1]);
        self.frame.extend(marks);
        Value::Object(self.frame)
    }
}

/// The results that fit, and what is said of the others.
struct Fields {
    results: Vec<Value>,
    omitted: Option<Value>,
}

impl Fields {
    fn of(finished: &Finished, room: usize) -> Self {
        let mut entries: Vec<Entry<'_>> = finished.reports.iter().map(|report| Entry::of(finished, report)).collect();
        let least = |entry: &Entry<'_>| {
            let is_cut = entry.texts().any(|text| text.size > TEXT_BYTES_MIN);
            entry.frame_bytes(is_cut) + entry.texts().map(|text| text.size.min(TEXT_BYTES_MIN)).sum::<usize>()
        };
        let mut room = room;
        let mut omitted = None;
        if entries.iter().map(least).sum::<usize>() > room {
            // What the others are named in has its own part.
            let others_room = (room / OMITTED_PART).max(bytes(&self::omitted(finished, &finished.reports, 0)) + 20);
            room = room.saturating_sub(others_room);
            let mut left = room;
            let fitting = entries.iter().take_while(|entry| {
                let least = least(entry);
                let fits = least <= left;
                left = left.saturating_sub(least);
                fits
            });
            let count = fitting.count();
            entries.truncate(count);
            omitted = Some(self::omitted(finished, &finished.reports[count..], others_room));
        }
        Self { results: fill(entries, room), omitted }
    }
}

/// Shares the room that the frames leave among the texts.
fn fill(entries: Vec<Entry<'_>>, room: usize) -> Vec<Value> {
    let sizes: Vec<usize> = entries.iter().flat_map(Entry::texts).map(|text| text.size).collect();
    let mut are_cut: Vec<bool> =
        entries.iter().map(|entry| entry.texts().any(|text| text.size > TEXT_BYTES_MIN)).collect();
    // Whoever is whole needs no marks, which leaves more room for the others: nobody who was whole is cut by it.
    let given = loop {
        let frames: usize = entries.iter().zip(&are_cut).map(|(entry, &is_cut)| entry.frame_bytes(is_cut)).sum();
        let given = shares(&sizes, room.saturating_sub(frames));
        let mut pairs = given.iter().zip(&sizes);
        let next: Vec<bool> = entries
            .iter()
            .map(|entry| pairs.by_ref().take(entry.texts().count()).filter(|(share, size)| share < size).count() > 0)
            .collect();
        if next == are_cut {
            break given;
        }
        are_cut = next;
    };
    let mut given = given.into_iter();
    entries.into_iter().map(|entry| entry.fill(&mut given)).collect()
}

/// How many results have no room, how they ended, which they are as far as that fits, and how all are listed.
fn omitted(finished: &Finished, reports: &[Arc<TaskReport>], room: usize) -> Value {
    let mut statuses: Map<String, Value> = Map::new();
    for report in reports {
        let count = statuses.entry(report.end.status().name()).or_insert(json!(0));
        *count = json!(count.as_u64().unwrap_or_default() + 1);
    }
    let list = finished.kept.as_ref().map(|kept| kept.command("output", &[&kept.id]));
    let mut omitted = json!({"count": reports.len(), "statuses": statuses, "list": list, "task_ids": []});
    let mut left = room.saturating_sub(bytes(&omitted) + ",\"omitted\":".len());
    let ids = reports.iter().map_while(|report| {
        let id = json!(finished.task_id(report));
        let size = bytes(&id) + 1;
        let fits = size <= left;
        left = left.saturating_sub(size);
        fits.then_some(id)
    });
    omitted["task_ids"] = ids.collect();
    omitted
}

/// The command, as a person types it.
pub(super) fn command(name: &str, words: &[&str], journal: &JournalFlag) -> String {
    let mut command = program();
    let mut push = |word: &str| {
        command.push(' ');
        command.push_str(word);
    };
    push(name);
    if let Some(path) = journal.named() {
        push("--journal");
        push(&shell_word(&path.display().to_string()));
    }
    // What begins like an option is none.
    if words.iter().any(|word| word.starts_with('-')) {
        push("--");
    }
    for word in words {
        push(&shell_word(word));
    }
    command
}

impl Kept {
    /// The command that does `name` to `words`, of the same journal.
    pub(super) fn command(&self, name: &str, words: &[&str]) -> String {
        command(name, words, &self.journal)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;
    use crate::agents::Registry;
    use crate::core::hierarchy::ModelHierarchy;
    use crate::core::task::TaskDraft;
    use crate::core::time::Time;
    use crate::workflow::{RunSummary, SessionLeft, plan};

    /// A run of tasks with these ids and ends, in a journal at `path` if there is one.
    fn finished(ends: Vec<(String, End)>, path: Option<&str>, outcome: Option<Value>) -> Finished {
        let draft = |(index, (name, _)): (usize, &(String, End))| {
            let task = json!({"task_id": format!("{index} {name}"), "agent_type": "plain", "task_description": "Do it.",
                "output_format": "text"});
            TaskDraft::from_json(index, task).expect("a task")
        };
        let drafts: Vec<TaskDraft> = ends.iter().enumerate().map(draft).collect();
        let plan = plan(drafts, &Registry::builtin(), ModelHierarchy::default()).expect("a plan");
        let left = SessionLeft { task_id: "a".into(), key: "k".repeat(5_000).into(), reason: "why".to_owned() };
        let summary = RunSummary { outcome: outcome.map(Arc::new), sessions_left: vec![left], ..RunSummary::default() };
        let report = |(task_index, (_, end))| {
            let (run_started, ended) = (Time::default(), Time::default());
            Arc::new(TaskReport { task_index, end, attempts: Vec::new(), run_started, ended })
        };
        let reports = ends.into_iter().enumerate().map(report).collect();
        let kept = path.map(|path| JournalFlag::of(Some(PathBuf::from(path))).kept("20261122-032054-30a49f"));
        Finished::made(plan, reports, kept, summary)
    }

    fn text() -> impl Strategy<Value = String> {
        ("[a-zäß€😀\"\\\\\n\u{1}]{0,30}", 0_usize..200).prop_map(|(text, count)| text.repeat(count))
    }

    fn end() -> impl Strategy<Value = End> {
        prop_oneof![
            4 => text().prop_map(|text| End::Completed { output: Arc::new(json!(text)), raw: "".into() }),
            2 => text().prop_map(|text| End::Completed { output: Arc::new(json!({"a": [text, 1.5, null]})), raw: "".into() }),
            2 => text().prop_map(|reason| End::Failed { reason, raw: None }),
            1 => text().prop_map(|question| End::NeedsInput { question, raw: None }),
            1 => text().prop_map(|reason| End::Skipped { reason, because_of: "a".into() }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn every_task_is_told_of_within_the_limit(
            ends in prop::collection::vec(("[a-z' $\\-]{0,180}", end()), 0..80),
            limit in 4_000_usize..40_000,
            path in prop::option::of("/[a-z ]{1,60}"),
            outcome in prop::option::of(text().prop_map(|text| json!({"kind": "join", "met": false, "text": text}))),
        ) {
            let finished = finished(ends, path.as_deref(), outcome);
            let written = document(&finished, limit);
            prop_assert!(written.len() < limit, "{} of {limit}", written.len());
            prop_assert!(!written.contains('\n'));
            let read: Value = serde_json::from_str(&written).expect("JSON");
            let shown = read["results"].as_array().expect("a list");
            let omitted = read["omitted"]["count"].as_u64().unwrap_or_default();
            prop_assert_eq!(shown.len() as u64 + omitted, finished.reports.len() as u64);
            let named = read["omitted"]["task_ids"].as_array().cloned().unwrap_or_default();
            let ids = shown.iter().map(|entry| &entry["task_id"]).chain(&named);
            for (id, report) in ids.zip(&finished.reports) {
                prop_assert_eq!(id, finished.task_id(report));
            }
            for (entry, report) in shown.iter().zip(&finished.reports) {
                if entry["output_cut"].is_null() {
                    prop_assert_eq!(&entry["output"], report.end.output().unwrap_or(&Value::Null));
                } else {
                    let plain = match report.end.output() {
                        Some(Value::String(text)) => text.clone(),
                        other => other.map(ToString::to_string).unwrap_or_default(),
                    };
                    prop_assert!(plain.starts_with(entry["output"].as_str().expect("a text")));
                    prop_assert_eq!(&entry["output_bytes"], plain.len());
                }
            }
            if path.is_some() {
                prop_assert_eq!(&read["run_id"], "20261122-032054-30a49f");
            }
        }
    }

    #[test]
    fn what_fits_is_whole_and_what_does_not_uses_the_room() {
        let texts = |size: usize| {
            (0..10)
                .map(|_| (String::new(), End::Completed { output: Arc::new(json!("x".repeat(size))), raw: "".into() }))
                .collect()
        };
        let small = document(&finished(texts(100), Some("/j"), None), 24_000);
        assert!(!small.contains("output_cut") && !small.contains("rest"));
        let large = document(&finished(texts(100_000), Some("/j"), None), 24_000);
        assert!(large.len() > 23_000, "{}", large.len());
    }

    #[test]
    fn what_has_no_room_at_all_is_counted() {
        let ends = || vec![("a".to_owned(), End::Failed { reason: "why ".repeat(1_000), raw: None })];
        let far = format!("/{}", "folder/".repeat(700));
        let read: Value = serde_json::from_str(&document(&finished(ends(), Some(&far), None), 4_000)).expect("JSON");
        assert_eq!(read["omitted"]["count"], 1);
        assert_eq!(read["status"], "failed");
        let read: Value = serde_json::from_str(&document(&finished(ends(), Some(&far), None), 40_000)).expect("JSON");
        assert_eq!(read["results"][0]["error"], "why ".repeat(1_000));
    }
}
