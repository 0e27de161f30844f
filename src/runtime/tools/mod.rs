//! Agents behind three callables: one that starts a child session, one that lists sessions, one that reads a session's
//! messages. [`ToolRuntime`] turns actions into calls and answers into reports, and never calls anything itself: who
//! drives it makes each [`Call`] on a thread of its choice and hands the answer back.
//!
//! There is no event that tells an end. One look at the list serves all agents; [`pace`] decides when. Judges nothing:
//! what an end means is decided in [`failure`](crate::core::failure).

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::core::action::{Action, AttemptRef, Report, Session, SpawnOrder};
use crate::core::failure::{Ending, Refusal};
use crate::core::output::abridged;
use crate::core::run::give_back;
use crate::core::time::Time;
use crate::core::usage::{Tokens, Usage};

mod activity;
mod adoption;
mod agent;
mod answer;
mod pace;
mod reading;
mod stopping;
#[cfg(test)]
mod tests;

use foldhash::fast::RandomState as Hasher;

use agent::{Agent, Finding, Phase};
pub use answer::{Child, Reply, Row, SpawnAnswer, Standing};
use pace::Pace;

/// How long the list may fail until the fate of its agents counts as unknown. A gateway that restarts is away for 13 to
/// 57 s.
const LIST_PATIENCE: Duration = Duration::from_secs(60);
/// How long, at the most, a timeout that the list tells is not believed: it may be premature.
const TIMEOUT_DOUBT_MAX: Duration = Duration::from_secs(2);
const TIMEOUT_DOUBT_MIN: Duration = Duration::from_millis(50);
/// Looks that must miss a session, or a label, until it counts as gone.
const MISSES_MAX: u32 = 2;
/// How long after a start without an answer its child may still appear: a busy gateway takes 1 to 3.6 s.
const UNSURE_PATIENCE: Duration = Duration::from_secs(4);
/// Rows of one page of the list: the most that the gateway's own tool gives.
const PAGE_ROWS: usize = 200;
/// Pages of one look. A list that never ends is broken.
const PAGES_MAX: u32 = 1_000;
/// For how long a row must say that an agent works.
const SETTLING: Duration = Duration::from_millis(500);
/// How much of a task's id stands in its label.
const LABEL_ID_CHARS: usize = 40;

/// What the callables can do beside the three things that all can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Abilities {
    /// A child can be given a label, by which it is found again.
    pub label: bool,
    /// A running child can be stopped.
    pub stop: bool,
    /// A session can be deleted.
    pub delete: bool,
}

/// Something to be called, and answered by the method named with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Start a child. [`ToolRuntime::spawned`].
    Spawn {
        /// What is to be started.
        order: SpawnOrder,
        /// Unique; holds the task's id.
        label: Arc<str>,
    },
    /// One page of the list, from this row on. [`ToolRuntime::row`] for each row, then [`ToolRuntime::page`].
    List {
        /// `None` for the first page.
        offset: Option<u64>,
        /// How many rows, at the most.
        limit: usize,
    },
    /// The messages of a session. [`ToolRuntime::replied`].
    History {
        /// Whose.
        attempt: AttemptRef,
        /// The session.
        key: Arc<str>,
    },
    /// The children that can be stopped. [`ToolRuntime::children`].
    Children,
    /// Stop a child. [`ToolRuntime::cancelled`].
    Cancel {
        /// Whose.
        attempt: AttemptRef,
        /// The name that [`Call::Children`] gave it.
        task_id: Arc<str>,
    },
    /// Delete a session. [`ToolRuntime::deleted`].
    Delete {
        /// Whose.
        attempt: AttemptRef,
        /// The session.
        key: Arc<str>,
    },
}

/// A look under way.
#[derive(Debug)]
struct Look {
    no: u32,
    cost: Duration,
    awaited: usize,
    ended: usize,
    /// Agents that no page has shown yet.
    missing: usize,
    pages: u32,
    /// When its latest page was asked for.
    asked_at: Time,
}

/// The agents of one run behind callables.
#[derive(Debug)]
pub struct ToolRuntime {
    abilities: Abilities,
    agents: HashMap<AttemptRef, Box<Agent>, Hasher>,
    by_key: HashMap<Arc<str>, AttemptRef, Hasher>,
    /// Starts whose answer was lost: found again by their label.
    by_label: HashMap<Arc<str>, AttemptRef, Hasher>,
    orders: VecDeque<SpawnOrder>,
    urgent: VecDeque<Call>,
    deletes: VecDeque<(AttemptRef, Arc<str>)>,
    later: BTreeSet<(Time, AttemptRef)>,
    reports: VecDeque<Report>,
    notices: VecDeque<String>,
    look: Option<Look>,
    looks: u32,
    /// Whether the latest look had to see more than a short page.
    is_wide: bool,
    /// Looks in a row that saw all sessions and missed somebody.
    whole_looks: u32,
    /// Agents of which somebody asks whether they do anything.
    watched: usize,
    pace: Pace,
    /// Agents whose end a look may show.
    awaited: usize,
    /// Whether the list tells statuses, once a look has shown it.
    tells_status: Option<bool>,
    /// When an agent was last seen to start or to end.
    progress_at: Time,
    list_failures: Option<(u32, Time)>,
    children_asked: bool,
    /// Starts under way that are no longer wanted.
    withdrawn: Vec<AttemptRef>,
    is_hurried: bool,
}

impl ToolRuntime {
    /// No agents yet, and callables with these abilities.
    pub fn new(abilities: Abilities) -> Self {
        Self {
            abilities,
            agents: HashMap::default(),
            by_key: HashMap::default(),
            by_label: HashMap::default(),
            orders: VecDeque::new(),
            urgent: VecDeque::new(),
            deletes: VecDeque::new(),
            later: BTreeSet::new(),
            reports: VecDeque::new(),
            notices: VecDeque::new(),
            look: None,
            looks: 0,
            is_wide: false,
            whole_looks: 0,
            watched: 0,
            pace: Pace::new(),
            awaited: 0,
            tells_status: None,
            progress_at: Time::default(),
            list_failures: None,
            children_asked: false,
            withdrawn: Vec::new(),
            is_hurried: false,
        }
    }

    /// Begins to carry out an action.
    pub fn begin(&mut self, action: Action, now: Time) {
        match action {
            Action::Spawn(order) => self.orders.push_back(order),
            Action::Adopt(adoption) => self.adopt(adoption, now),
            Action::Look(attempt) => self.look_at(attempt, now),
            Action::Stop(attempt) => self.stop(attempt, now),
            Action::Delete { attempt, session } => self.deletes.push_back((attempt, session.key)),
        }
    }

    /// The next report.
    pub fn next_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// Something that a person may want to know.
    pub fn next_notice(&mut self) -> Option<String> {
        self.notices.pop_front()
    }

    /// The next call to make, if there is one now. Calls may overlap.
    pub fn next_call(&mut self, now: Time) -> Option<Call> {
        while let Some(&(time, attempt)) = self.later.first() {
            if time > now {
                break;
            }
            self.later.pop_first();
            self.wake(attempt);
        }
        if let Some(call) = self.urgent.pop_front() {
            return Some(call);
        }
        if self.look.is_none() && self.awaited > 0 && self.pace.is_due(!self.orders.is_empty(), now) {
            self.looks = self.looks.wrapping_add(1);
            let (no, awaited) = (self.looks, self.awaited);
            let cost = Duration::ZERO;
            self.look = Some(Look { no, cost, awaited, ended: 0, missing: awaited, pages: 0, asked_at: now });
            // The latest come first. Where that was not enough, whole pages are asked for.
            let limit = if self.is_wide { PAGE_ROWS } else { (awaited + awaited / 4 + 10).min(PAGE_ROWS) };
            return Some(Call::List { offset: None, limit });
        }
        if let Some(order) = self.orders.pop_front() {
            let label = label(&order);
            self.agents.insert(order.attempt, Box::new(Agent::new(&order, label.clone(), now)));
            return Some(Call::Spawn { order, label });
        }
        give_back(&mut self.orders);
        self.deletes.pop_front().map(|(attempt, key)| Call::Delete { attempt, key })
    }

    /// When there may be a call to make, without anything else happening.
    pub fn next_time(&self, now: Time) -> Option<Time> {
        let has_calls = !(self.urgent.is_empty() && self.orders.is_empty() && self.deletes.is_empty());
        if has_calls || !self.reports.is_empty() {
            return Some(now);
        }
        let look = (self.look.is_none() && self.awaited > 0).then(|| self.pace.due());
        look.into_iter().chain(self.later.first().map(|(time, _)| *time)).min()
    }

    /// A start was answered.
    pub fn spawned(&mut self, attempt: AttemptRef, answer: SpawnAnswer, now: Time) {
        let Some(agent) = self.agents.get_mut(&attempt) else { return };
        match answer {
            SpawnAnswer::Accepted { session, model } => {
                agent.model_used = model;
                self.accepted(attempt, session, now);
            }
            SpawnAnswer::Refused(refusal) => self.end(attempt, Ending::Refused(refusal)),
            SpawnAnswer::Unreadable(answer) => {
                let message = format!("`sessions_spawn` answered {answer}, expected `childSessionKey` in a dict");
                self.unsure(attempt, unreadable(message), now);
            }
            SpawnAnswer::Raised(error) => {
                let message = format!("`sessions_spawn` raised {error}");
                self.unsure(attempt, Ending::Failed { message }, now);
            }
            SpawnAnswer::Interrupted if matches!(agent.phase, Phase::Calling { is_overdue: true }) => {
                self.unsure(attempt, Ending::TimedOut, now);
            }
            SpawnAnswer::Interrupted => {
                self.unsure(attempt, Ending::Stopped { reason: "its start was interrupted".to_owned() }, now);
            }
        }
    }

    fn accepted(&mut self, attempt: AttemptRef, session: Session, now: Time) {
        let Some(agent) = self.agents.get_mut(&attempt) else { return };
        if !agent.is_adopted {
            agent.accepted_at = now;
        }
        let is_stopping = agent.is_stopping;
        if !self.hold(attempt, session.clone(), now) {
            return;
        }
        self.reports.push_back(Report::Spawned { attempt, session });
        if is_stopping {
            self.stop_child(attempt, now);
        }
    }

    /// Awaits an agent under its session from now on, unless another agent has that: the attempt has ended then.
    fn hold(&mut self, attempt: AttemptRef, session: Session, now: Time) -> bool {
        if self.by_key.contains_key(&session.key) {
            let message = format!("its session is said to be `{}`, which another agent has", session.key);
            self.end(attempt, unreadable(message));
            return false;
        }
        if let Some(agent) = self.agents.get_mut(&attempt) {
            self.by_key.insert(session.key.clone(), attempt);
            agent.session = Some(session);
            agent.phase = Phase::Awaited;
        }
        self.await_from_now(attempt);
        self.pace.spawned(now);
        true
    }

    /// A start may have happened: its label tells, if it has one. `ending` is what it comes to if it did not.
    fn unsure(&mut self, attempt: AttemptRef, ending: Ending, now: Time) {
        if !self.abilities.label {
            return self.end(attempt, never_known(ending, UNLABELLED));
        }
        let Some(agent) = self.agents.get_mut(&attempt) else { return };
        agent.phase = Phase::Unsure(Box::new(ending));
        self.by_label.insert(agent.label.clone(), attempt);
        self.await_from_now(attempt);
        self.pace.hurry(now);
    }

    /// Whether somebody waits for this session.
    pub fn awaits(&self, key: &str) -> bool {
        self.by_key.contains_key(key)
    }

    /// Whether the look under way has shown every agent: further rows say nothing.
    pub fn has_seen_all(&self) -> bool {
        self.look.as_ref().is_none_or(|look| look.missing == 0)
    }

    /// Whether a row's label matters now.
    pub fn seeks_labels(&self) -> bool {
        !self.by_label.is_empty()
    }

    /// A row of the list. Those that nobody waits for may be left out.
    pub fn row(&mut self, row: &Row<'_>, now: Time) {
        if row.status.is_some() {
            self.tells_status = Some(true);
        }
        let attempt = match self.by_key.get(row.key) {
            Some(attempt) => *attempt,
            None => match row.label.and_then(|label| self.by_label.remove(label)) {
                Some(attempt) => {
                    self.awaited -= 1;
                    let key: Arc<str> = row.key.into();
                    self.accepted(attempt, Session { run_id: key.clone(), key }, now);
                    attempt
                }
                None => return,
            },
        };
        let Some(agent) = self.agents.get_mut(&attempt) else { return };
        let Some(look) = &mut self.look else { return };
        if agent.seen_in != look.no {
            agent.seen_in = look.no;
            agent.misses = 0;
            let was_awaited = agent.is_awaited() && agent.joined_in < look.no;
            look.missing = look.missing.saturating_sub(usize::from(was_awaited));
        }
        if !matches!(agent.phase, Phase::Awaited) {
            return;
        }
        if let Some(tokens) = row.tokens {
            agent.tokens = Some(tokens);
        }
        if let Some(trace) = &mut agent.trace {
            trace.shown(row, now);
        }
        if agent.model_used.is_none() {
            agent.model_used = row.model.map(Into::into);
        }
        let standing = row.standing();
        if standing != Standing::TimedOut {
            agent.timed_out_at = None;
        }
        let finding = match standing {
            Standing::Done => Finding::Done { is_certain: true },
            // It has used tokens: so old programs knew that one had ended. It may be between two turns.
            Standing::SaidSomething if self.tells_status == Some(true) || !agent.may_doubt(now) => return,
            Standing::SaidSomething => Finding::Done { is_certain: false },
            Standing::Failed => Finding::Failed(row.error.map(str::to_owned)),
            Standing::Killed => Finding::Killed,
            Standing::TimedOut => {
                let doubt = (agent.timeout / 4).clamp(TIMEOUT_DOUBT_MIN, TIMEOUT_DOUBT_MAX);
                // The list counts time in a queue, where the agent may still be while others come and go.
                let working_since = agent.started_at.unwrap_or_else(|| self.progress_at.max(agent.accepted_at));
                let since = *agent.timed_out_at.get_or_insert(now);
                let is_certain = now >= (working_since + agent.timeout).max(since) + doubt;
                if !is_certain && !agent.may_doubt(now) {
                    return;
                }
                Finding::TimedOut { is_certain }
            }
            // A list that tells no status at all, in a whole look, does not say either that an agent waits in a queue.
            Standing::Unknown if self.tells_status != Some(false) => {
                agent.running_since = None;
                return;
            }
            Standing::Running | Standing::Unknown => return self.started(attempt, now),
        };
        let is_doubt = matches!(finding, Finding::TimedOut { is_certain: false } | Finding::Done { is_certain: false });
        look.ended += usize::from(!is_doubt);
        self.read(attempt, finding, now);
    }

    fn started(&mut self, attempt: AttemptRef, now: Time) {
        if let Some(agent) = self.agents.get_mut(&attempt)
            && agent.started_at.is_none()
        {
            // A gateway says "running" first of one that then waits in its queue.
            let since = *agent.running_since.get_or_insert(now);
            if now.since(since) < SETTLING.min(agent.timeout / 4) {
                return;
            }
            agent.started_at = Some(since);
            self.progress_at = now;
            self.reports.push_back(Report::Started { attempt, since });
        }
    }

    /// A page has ended. `next` is where the next one begins, if there is one; `cost` is how long it took to get. Of a list
    /// that is not known to be whole, who is not in it may still be under way.
    pub fn page(&mut self, next: Option<u64>, is_whole: bool, cost: Duration, now: Time) {
        self.list_failures = None;
        let Some(look) = &mut self.look else { return };
        look.cost += cost;
        look.pages += 1;
        look.asked_at = now;
        if look.missing > 0
            && look.pages < PAGES_MAX
            && let Some(offset) = next
        {
            self.urgent.push_back(Call::List { offset: Some(offset), limit: PAGE_ROWS });
            return;
        }
        let Some(look) = self.look.take() else { return };
        self.is_wide = look.pages > 1 || look.missing > 0;
        self.pace.looked(look.cost, look.awaited, look.ended, now);
        if look.missing < look.awaited {
            self.tells_status.get_or_insert(false);
        }
        if look.missing > 0 {
            self.whole_looks = if is_whole { self.whole_looks.saturating_add(1) } else { 0 };
            self.missed(look.no, is_whole, now);
        }
    }

    /// Looks for those that a look has not shown, of all sessions or of those that could be had.
    fn missed(&mut self, look_no: u32, is_whole: bool, now: Time) {
        let is_missed = |agent: &Agent| agent.seen_in != look_no && agent.is_awaited() && agent.joined_in < look_no;
        for attempt in self.those(is_missed) {
            let Some(agent) = self.agents.get_mut(&attempt) else { continue };
            agent.misses += 1;
            if agent.misses < MISSES_MAX {
                continue;
            }
            match &agent.phase {
                // The runtime may take it yet.
                Phase::Unsure(_) if now < agent.called_at + UNSURE_PATIENCE => {}
                // The latest pages say nothing of one that may have been started long ago.
                Phase::Unsure(_) if agent.is_adopted && is_whole && self.whole_looks < MISSES_MAX => {}
                Phase::Unsure(ending) => {
                    let is_known = is_whole || !agent.is_adopted;
                    let ending =
                        if is_known { Ending::clone(ending) } else { never_known(Ending::clone(ending), UNSEEN) };
                    self.by_label.remove(&agent.label);
                    self.awaited -= 1;
                    let usage = if is_known { Usage::NOTHING } else { Usage::default() };
                    self.end_with(attempt, ending, usage, None);
                }
                // One that was listed before is gone now; one that never was may still appear.
                Phase::Awaited if agent.was_there(now) || agent.has_had_its_time(now) => {
                    let is_certain = is_whole || agent.has_had_its_time(now);
                    if is_certain || agent.may_doubt(now) {
                        self.read(attempt, Finding::Vanished { is_certain }, now);
                    }
                }
                Phase::Awaited | Phase::Calling { .. } | Phase::Reading { .. } | Phase::TimingOut { .. } => {}
            }
        }
    }

    /// The list could not be had.
    pub fn look_failed(&mut self, error: &str, now: Time) {
        let (count, since) = self.list_failures.map_or((1, now), |(count, since)| (count + 1, since));
        self.list_failures = Some((count, since));
        self.look = None;
        self.pace.failed(count, now);
        if count == 1 {
            self.notices.push_back(format!("`sessions_list` raised {error}; looking again"));
        }
        if now.since(since) < LIST_PATIENCE {
            return;
        }
        for attempt in self.those(Agent::is_awaited) {
            let reason = format!("`sessions_list` has failed for {} s: {error}", LIST_PATIENCE.as_secs());
            self.give_up(attempt, &reason);
        }
    }

    /// The agents of which that is so, in the order of the plan: a run is the same every time.
    fn those(&self, is_so: impl Fn(&Agent) -> bool) -> Vec<AttemptRef> {
        let found = self.agents.iter().filter(|(_, agent)| is_so(agent));
        let mut found: Vec<AttemptRef> = found.map(|(attempt, _)| *attempt).collect();
        found.sort_unstable();
        found
    }

    /// The look was interrupted; it begins anew.
    pub fn look_interrupted(&mut self, now: Time) {
        self.look = None;
        self.pace.hurry(now);
    }

    /// One more agent whose end a look may show; the look under way began without it.
    fn await_from_now(&mut self, attempt: AttemptRef) {
        if let Some(agent) = self.agents.get_mut(&attempt) {
            agent.joined_in = self.looks;
            self.awaited += 1;
        }
    }

    fn end(&mut self, attempt: AttemptRef, ending: Ending) {
        self.end_with(attempt, ending, Usage::default(), None);
    }

    fn end_with(&mut self, attempt: AttemptRef, ending: Ending, usage: Usage, partial: Option<Arc<str>>) {
        let Some(agent) = self.agents.remove(&attempt) else { return };
        if let Some(session) = &agent.session {
            self.by_key.remove(&session.key);
        }
        self.watched -= usize::from(agent.trace.is_some());
        let tokens = agent.tokens.map(|total| Tokens { total, ..Tokens::default() });
        let usage = Usage { tokens: usage.tokens.or(tokens), cost: usage.cost };
        self.reports.push_back(Report::Ended { attempt, ending, usage, model_used: agent.model_used, partial });
    }
}

/// The task's id, in characters that every runtime takes, and enough of the attempt's key to be unique.
fn label(order: &SpawnOrder) -> Arc<str> {
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() || "-_.".contains(character) { character } else { '-' }
    };
    let unique = order.key.get(..13).unwrap_or(&order.key);
    let mut label = String::with_capacity(LABEL_ID_CHARS + 1 + unique.len());
    label.extend(order.task_id.chars().take(LABEL_ID_CHARS).map(plain));
    label.push('-');
    label.push_str(unique);
    label.into()
}

/// The end of an agent whose callable answers what nobody can read.
fn unreadable(message: String) -> Ending {
    Ending::Refused(Refusal { code: "UNREADABLE".to_owned(), message, ..Refusal::default() })
}

/// Why nobody can find out whether a start happened.
const UNLABELLED: &str = "whether it started an agent cannot be found out, since `sessions_spawn` takes no `label`";
const UNSEEN: &str =
    "whether it started an agent cannot be found out, since `sessions_list` does not show all sessions";

/// The end of a start of which nobody can find out whether it happened.
fn never_known(ending: Ending, why: &str) -> Ending {
    match ending {
        Ending::Failed { message } => Ending::Failed { message: format!("{message}; {why}") },
        Ending::Refused(refusal) => {
            Ending::Refused(Refusal { message: format!("{}; {why}", refusal.message), ..refusal })
        }
        Ending::Stopped { reason } | Ending::Lost { reason } => {
            Ending::Unstoppable { reason: format!("{reason}; {why}") }
        }
        Ending::Replied(_) | Ending::Cut(_) | Ending::TimedOut | Ending::Unstoppable { .. } => {
            Ending::Unstoppable { reason: why.to_owned() }
        }
    }
}
