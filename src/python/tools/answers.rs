//! What injected callables answer, in all the shapes that runtimes give it: a dict, an object with `get`, JSON text, the
//! gateway's envelope around any of them, or a bare list.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::core::action::Session;
use crate::core::failure::Refusal;
use crate::core::output::{NAME_CHARS, abridged};
use crate::core::usage::Tokens;
use crate::runtime::tools::{Child, Reply, Row, SpawnAnswer, Standing};

/// How many wrappings are taken off at the most.
const WRAPPINGS_MAX: usize = 5;
/// How much of a text `sessions_history` shows, in characters, before the mark of a cut.
const HISTORY_CHARS: usize = 4_000;
/// How much of an answer that cannot be read is shown.
const SHOWN_CHARS: usize = 200;
/// How much of a callable's own words is shown.
const WORDS_CHARS: usize = 2_000;

type Object<'py> = Bound<'py, PyAny>;

/// An answer without its wrappings, or the refusal that was in them.
enum Body<'py> {
    Said(Object<'py>),
    Refused(Refusal),
}

/// A value as an error shows it.
pub(super) fn shown(object: &Object<'_>) -> String {
    let text = object.repr().map_or_else(|_| "something that has no text".to_owned(), |text| text.to_string());
    format!("`{}`", abridged(&text, SHOWN_CHARS))
}

/// An exception as one line: its class and its text.
pub(super) fn raised(py: Python<'_>, error: &PyErr) -> String {
    let class = error.get_type(py).name().map_or_else(|_| "an exception".to_owned(), |name| name.to_string());
    let text = error.value(py).str().map(|text| text.to_string()).unwrap_or_default();
    let shown = if text.is_empty() { class } else { format!("{class}: {text}") };
    abridged(&shown, SHOWN_CHARS * 2)
}

/// The field of that name, unless it is absent or `None`.
pub(super) fn get<'py>(object: &Object<'py>, name: &Bound<'py, PyString>) -> PyResult<Option<Object<'py>>> {
    let found = if let Ok(dict) = object.cast::<PyDict>() {
        dict.get_item(name)?
    } else if let Some(getter) = object.getattr_opt(intern!(object.py(), "get"))? {
        Some(getter.call1((name,))?)
    } else {
        object.getattr_opt(name)?
    };
    Ok(found.filter(|found| !found.is_none()))
}

/// The text of that name, as Python has it.
fn get_str<'py>(object: &Object<'py>, name: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyString>>> {
    Ok(get(object, name)?.and_then(|found| found.cast_into::<PyString>().ok()))
}

/// A text that only matters if it is a known one. One that holds half characters is none.
fn word<'text>(text: &'text Bound<'_, PyString>) -> &'text str {
    text.to_str().unwrap_or_default()
}

/// The same as ours. Half characters, which Python's texts may hold, become whole ones that say nothing.
fn get_text<'py>(object: &Object<'py>, name: &Bound<'py, PyString>) -> PyResult<Option<Arc<str>>> {
    Ok(get_str(object, name)?.map(|text| text.to_string_lossy().into()))
}

/// The same as words that people are shown.
fn get_words<'py>(object: &Object<'py>, name: &Bound<'py, PyString>) -> PyResult<Option<String>> {
    Ok(get_str(object, name)?.map(|text| abridged(&text.to_string_lossy(), WORDS_CHARS)))
}

fn get_count(object: &Object<'_>, name: &Bound<'_, PyString>) -> PyResult<Option<u64>> {
    // Of other numbers, reading the value may run foreign code.
    let is_plain =
        |found: &Object<'_>| found.is_exact_instance_of::<PyInt>() || found.is_exact_instance_of::<PyFloat>();
    let found = get(object, name)?.filter(is_plain);
    Ok(found.and_then(|found| found.extract::<f64>().ok()).filter(|count| *count >= 0.0).map(
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counts are whole and not negative"
        )]
        |count| count as u64,
    ))
}

fn is_true(object: &Object<'_>, name: &Bound<'_, PyString>) -> PyResult<bool> {
    get(object, name)?.map_or(Ok(false), |found| found.is_truthy())
}

/// Takes the wrappings off: JSON text, `{"ok", "result" | "output": {"content", "details"}}`.
fn body<'py>(answer: Object<'py>, known: &Bound<'py, PyString>) -> PyResult<Body<'py>> {
    let py = answer.py();
    let mut inner = answer;
    for _ in 0..WRAPPINGS_MAX {
        if inner.is_exact_instance_of::<PyDict>() && inner.contains(known)? {
            break;
        }
        if let Ok(text) = inner.cast::<PyString>() {
            inner = py.import(intern!(py, "json"))?.call_method1(intern!(py, "loads"), (text,))?;
            continue;
        }
        if inner.is_instance_of::<PyList>() || inner.is_instance_of::<PyTuple>() || inner.is_none() {
            break;
        }
        if get(&inner, intern!(py, "ok"))?.is_some_and(|ok| ok.cast::<PyBool>().is_ok_and(|ok| !ok.is_true())) {
            return refusal(&inner).map(Body::Refused);
        }
        let mut next = None;
        for name in [intern!(py, "result"), intern!(py, "output"), intern!(py, "details")] {
            next = get(&inner, name)?;
            if next.is_some() {
                break;
            }
        }
        if next.is_none()
            && let Some(content) = get(&inner, intern!(py, "content"))?
        {
            next = Some(PyString::new(py, &content_text(&content)?).into_any());
        }
        match next {
            Some(next) => inner = next,
            None => break,
        }
    }
    Ok(Body::Said(inner))
}

fn refusal(answer: &Object<'_>) -> PyResult<Refusal> {
    let py = answer.py();
    let Some(error) = get(answer, intern!(py, "error"))? else {
        return Ok(Refusal { code: "error".to_owned(), message: shown(answer), ..Refusal::default() });
    };
    if let Ok(text) = error.cast::<PyString>() {
        let message = abridged(&text.to_string_lossy(), WORDS_CHARS);
        return Ok(Refusal { code: "error".to_owned(), message, ..Refusal::default() });
    }
    let text = |name| get_text(&error, name);
    Ok(Refusal {
        code: text(intern!(py, "code"))?.or(text(intern!(py, "type"))?).unwrap_or_else(|| "error".into()).to_string(),
        message: get_words(&error, intern!(py, "message"))?.unwrap_or_else(|| shown(&error)),
        retryable: is_true(&error, intern!(py, "retryable"))?,
        ..Refusal::default()
    })
}

/// Reads the answer of `sessions_spawn`.
pub(super) fn spawned(answer: Object<'_>) -> PyResult<SpawnAnswer> {
    let py = answer.py();
    let whole = answer.clone();
    let said = match body(answer, intern!(py, "childSessionKey"))? {
        Body::Said(said) => said,
        Body::Refused(refusal) => return Ok(SpawnAnswer::Refused(refusal)),
    };
    if said.is_none() || said.is_instance_of::<PyList>() {
        return Ok(SpawnAnswer::Unreadable(shown(&whole)));
    }
    let text = |name| get_text(&said, name);
    let status = get_str(&said, intern!(py, "status"))?;
    let status = status.as_ref().map(word);
    let key = match text(intern!(py, "childSessionKey"))? {
        Some(key) => Some(key),
        None => text(intern!(py, "sessionKey"))?,
    };
    match (status, key) {
        (Some(code @ ("forbidden" | "error" | "failed" | "rejected" | "denied")), _) => {
            let code = code.to_owned();
            let message = match get_words(&said, intern!(py, "error"))? {
                Some(error) => error,
                None => get_words(&said, intern!(py, "message"))?.unwrap_or_else(|| shown(&said)),
            };
            Ok(SpawnAnswer::Refused(Refusal { code, message, ..Refusal::default() }))
        }
        (_, Some(key)) => {
            let run_id = text(intern!(py, "runId"))?.unwrap_or_else(|| key.clone());
            let model = named_model(&said, intern!(py, "resolvedProvider"), intern!(py, "resolvedModel"))?;
            Ok(SpawnAnswer::Accepted { session: Session { key, run_id }, model })
        }
        (_, None) => Ok(SpawnAnswer::Unreadable(shown(&whole))),
    }
}

/// `provider/model`, where both are told or the second says it all.
fn named_model<'py>(
    object: &Object<'py>,
    provider: &Bound<'py, PyString>,
    model: &Bound<'py, PyString>,
) -> PyResult<Option<Arc<str>>> {
    let Some(model) = get_text(object, model)? else { return Ok(None) };
    let provider = if model.contains('/') { None } else { get_text(object, provider)? };
    let name = provider.map_or_else(|| model.to_string(), |provider| format!("{provider}/{model}"));
    Ok(Some(abridged(&name, NAME_CHARS).into()))
}

/// A page of `sessions_list`: its rows, where the next one begins, and whether there is more.
pub(super) struct Page<'py> {
    pub rows: Vec<Object<'py>>,
    pub next: Option<u64>,
    /// Nothing, where the answer says nothing of it.
    pub has_more: Option<bool>,
}

/// Reads the answer of `sessions_list`.
pub(super) fn page(answer: Object<'_>) -> PyResult<Page<'_>> {
    let py = answer.py();
    let said = match body(answer, intern!(py, "sessions"))? {
        Body::Said(said) => said,
        Body::Refused(refusal) => return Err(PyValueError::new_err(refusal.message)),
    };
    if let Some(rows) = list(&said) {
        return Ok(Page { rows, next: None, has_more: None });
    }
    let rows = get(&said, intern!(py, "sessions"))?.as_ref().and_then(list);
    let Some(rows) = rows else {
        return Err(PyValueError::new_err(format!("it answered {}, expected a list of sessions", shown(&said))));
    };
    let has_more = get(&said, intern!(py, "hasMore"))?.map(|more| more.is_truthy()).transpose()?;
    let next = if has_more == Some(true) { get_count(&said, intern!(py, "nextOffset"))? } else { None };
    Ok(Page { rows, next, has_more })
}

fn list<'py>(object: &Object<'py>) -> Option<Vec<Object<'py>>> {
    match object.cast::<PyList>() {
        Ok(list) => Some(list.iter().collect()),
        Err(_) => object.cast::<PyTuple>().ok().map(|tuple| tuple.iter().collect()),
    }
}

/// A row of the list, read as far as it matters.
pub(super) struct RowText<'py> {
    status: Option<Bound<'py, PyString>>,
    label: Option<Bound<'py, PyString>>,
    tokens: Option<u64>,
    updated: Option<u64>,
    model: Option<Arc<str>>,
    error: Option<String>,
}

impl RowText<'_> {
    pub fn row<'row>(&'row self, key: &'row str) -> Row<'row> {
        Row {
            key,
            status: self.status.as_ref().map(word),
            label: self.label.as_ref().map(word),
            tokens: self.tokens,
            updated: self.updated,
            model: self.model.as_deref(),
            error: self.error.as_deref(),
        }
    }
}

/// The session that a row is about.
pub(super) fn row_key<'py>(row: &Object<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
    let py = row.py();
    let key = match get(row, intern!(py, "key"))? {
        Some(key) => Some(key),
        None => get(row, intern!(py, "sessionKey"))?,
    };
    Ok(key.and_then(|key| key.cast_into::<PyString>().ok()))
}

/// The rest of a row that somebody waits for.
///
/// Its label, and when it was updated, are read only where they matter.
pub(super) fn row_text<'py>(row: &Object<'py>, with_label: bool, with_update: bool) -> PyResult<RowText<'py>> {
    let py = row.py();
    let text = |name| get_str(row, name);
    let status = text(intern!(py, "status"))?;
    let mut error = None;
    if status.as_ref().is_some_and(|status| matches!(word(status), "failed" | "error")) {
        error = get_words(row, intern!(py, "lastRunError"))?;
        if error.is_none() {
            error = get_words(row, intern!(py, "error"))?;
        }
    }
    Ok(RowText {
        status,
        label: if with_label { text(intern!(py, "label"))? } else { None },
        tokens: get_count(row, intern!(py, "totalTokens"))?,
        updated: if with_update { get_count(row, intern!(py, "updatedAt"))? } else { None },
        model: named_model(row, intern!(py, "modelProvider"), intern!(py, "model"))?,
        error,
    })
}

/// Reads the answer of `sessions_history`: the agent's last text.
pub(super) fn reply(answer: Object<'_>) -> PyResult<Reply> {
    let py = answer.py();
    let said = match body(answer, intern!(py, "messages"))? {
        Body::Said(said) => said,
        Body::Refused(refusal) => return Err(PyValueError::new_err(refusal.message)),
    };
    let messages = match list(&said) {
        Some(messages) => Some(messages),
        None if said.is_none() => Some(Vec::new()),
        None => get(&said, intern!(py, "messages"))?.as_ref().and_then(list),
    };
    let Some(messages) = messages else {
        if get_text(&said, intern!(py, "error"))?.is_some_and(|error| error.starts_with("No session found")) {
            return Ok(Reply::default());
        }
        return Err(PyValueError::new_err(format!("it answered {}, expected a list of messages", shown(&said))));
    };
    let mut reply = Reply::default();
    let mut is_summed = false;
    for message in messages.iter().rev() {
        let role = get_str(message, intern!(py, "role"))?;
        let content = get(message, intern!(py, "content"))?;
        let text = content.as_ref().map_or_else(|| Ok(String::new()), content_text)?;
        match role.as_ref().map(word) {
            Some("assistant") | None => {
                // One that says no more than who said what says nothing of how it came about.
                let is_bare = message.cast::<PyDict>().is_ok_and(|message| message.len() <= 2);
                let is_blank = text.trim().is_empty();
                if is_bare && is_blank {
                    continue;
                }
                if reply.is_aborted {
                    // It was broken off after this one, which is not its own if it only tells of an error.
                    if is_blank || stop_reason(message)?.is_some_and(|stop| stop == "error") {
                        continue;
                    }
                } else if !is_bare {
                    told_of(message, &text, &mut reply)?;
                }
                if !is_bare && !is_summed {
                    is_summed = true;
                    usage(&messages, &mut reply)?;
                }
                if is_blank && reply.failure.is_none() {
                    continue;
                }
                reply.is_cut = text.len() >= HISTORY_CHARS && is_cut_text(&text, message)?;
                reply.text = text;
                break;
            }
            Some("user") => {}
            Some(_) => reply.remark = reply.remark.or(Some(text).filter(|text| !text.trim().is_empty())),
        }
    }
    Ok(reply)
}

/// Reads what an agent's message tells beside its text: the model, and whether the run ended badly.
fn told_of(message: &Object<'_>, text: &str, reply: &mut Reply) -> PyResult<()> {
    let py = message.py();
    reply.model =
        named_model(message, intern!(py, "provider"), intern!(py, "model"))?.filter(|model| model.contains('/'));
    let stop = stop_reason(message)?;
    match stop.as_ref().map(word) {
        Some("error") => {
            let words = get_text(message, intern!(py, "errorMessage"))?.map(|words| words.to_string());
            reply.failure = Some(if text.trim().is_empty() { words.unwrap_or_default() } else { text.to_owned() });
        }
        Some("aborted") => reply.is_aborted = true,
        Some("toolUse") => reply.is_midway = true,
        Some(_) | None => {}
    }
    Ok(())
}

fn stop_reason<'py>(message: &Object<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
    get_str(message, intern!(message.py(), "stopReason"))
}

/// Whether a text is only a beginning. The whole answer's `contentTruncated` says nothing: a gateway sets it always.
fn is_cut_text(text: &str, message: &Object<'_>) -> PyResult<bool> {
    let end = text.trim_end();
    let ends_in_mark = end.ends_with("(truncated)...") || end.ends_with("(truncated)…");
    Ok(ends_in_mark || is_true(message, intern!(message.py(), "truncated"))?)
}

/// Sums what the messages say they used, if they say it.
fn usage(messages: &[Object<'_>], reply: &mut Reply) -> PyResult<()> {
    for message in messages {
        let py = message.py();
        let Some(usage) = get(message, intern!(py, "usage"))? else { continue };
        let count = |name| get_count(&usage, name).map(Option::unwrap_or_default);
        let (input, output) = (count(intern!(py, "input"))?, count(intern!(py, "output"))?);
        let (cache_read, cache_write) = (count(intern!(py, "cacheRead"))?, count(intern!(py, "cacheWrite"))?);
        let total = get_count(&usage, intern!(py, "totalTokens"))?;
        let tokens = Tokens::told(input, output, cache_read, cache_write, total);
        reply.tokens = Some(reply.tokens.map_or(tokens, |sum| sum.plus(tokens)));
        if let Some(cost) = get(&usage, intern!(py, "cost"))? {
            let total = get(&cost, intern!(py, "total")).ok().flatten().unwrap_or(cost);
            reply.cost = total.extract::<f64>().ok().map(|dollars| reply.cost.unwrap_or(0.0) + dollars).or(reply.cost);
        }
    }
    Ok(())
}

/// The text of a message: as it is, or in blocks.
fn content_text(content: &Object<'_>) -> PyResult<String> {
    let py = content.py();
    if let Ok(text) = content.cast::<PyString>() {
        return Ok(text.to_string_lossy().into_owned());
    }
    let mut joined = String::new();
    for block in list(content).unwrap_or_default() {
        if let Ok(text) = block.cast::<PyString>() {
            joined.push_str(&text.to_string_lossy());
        } else if get_str(&block, intern!(py, "type"))?.is_none_or(|kind| word(&kind) == "text")
            && let Some(text) = get_str(&block, intern!(py, "text"))?
        {
            joined.push_str(&text.to_string_lossy());
        }
    }
    Ok(joined)
}

/// Reads the answer of `subagents(action="list")`.
pub(super) fn children(answer: Object<'_>) -> PyResult<Vec<Child>> {
    let py = answer.py();
    let said = match body(answer, intern!(py, "tasks"))? {
        Body::Said(said) => said,
        Body::Refused(refusal) => return Err(PyValueError::new_err(refusal.message)),
    };
    let rows = match list(&said) {
        Some(rows) => rows,
        None => get(&said, intern!(py, "tasks"))?.as_ref().and_then(list).unwrap_or_default(),
    };
    let mut children = Vec::with_capacity(rows.len());
    for row in rows {
        // Those that have ended are listed, too, and cannot be stopped any more.
        let status = get_str(&row, intern!(py, "status"))?;
        let status = status.as_ref().map(word);
        if matches!(Row { status, ..Row::default() }.standing(), Standing::Done | Standing::Failed | Standing::Killed) {
            continue;
        }
        if let (Some(label), Some(task_id)) =
            (get_text(&row, intern!(py, "label"))?, get_text(&row, intern!(py, "taskId"))?)
        {
            children.push(Child { label, task_id });
        }
    }
    Ok(children)
}

/// Reads an answer that says only whether something was done.
pub(super) fn done(answer: Object<'_>) -> PyResult<Result<(), String>> {
    let py = answer.py();
    let whole = answer.clone();
    if answer.is_none() {
        return Ok(Ok(()));
    }
    let said = match body(answer, intern!(py, "status"))? {
        Body::Said(said) => said,
        Body::Refused(refusal) => return Ok(Err(refusal.message)),
    };
    let status = if said.is_none() { None } else { get_text(&said, intern!(py, "status"))? };
    let is_refused = matches!(status.as_deref(), Some("error" | "forbidden" | "failed" | "unsupported" | "not_found"));
    // One that has ended meanwhile needs no stop.
    let is_over =
        is_refused && get_text(&said, intern!(py, "reason"))?.is_some_and(|reason| reason.contains("already terminal"));
    Ok(if is_refused && !is_over { Err(shown(&whole)) } else { Ok(()) })
}
