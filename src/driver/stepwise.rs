//! Drives a run whose calls somebody else makes: each step says what to call, takes the answer, and moves facts,
//! actions and reports between the machine and the callables' runtime. It never waits; its caller does, for
//! [`Stepwise::pause`].

use std::time::Duration;

use tokio::time::Instant;

use super::{Clock, Recorder, Told};
use crate::core::action::AttemptRef;
use crate::core::run::RunMachine;
use crate::core::strategy::Word;
use crate::core::time::Time;
use crate::runtime::Contract;
use crate::runtime::tools::{Call, ToolRuntime};

/// How long something takes.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since it was started.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// A run, and the callables that carry it out.
#[derive(Debug)]
pub struct Stepwise {
    machine: RunMachine,
    tools: ToolRuntime,
    clock: Clock,
    contract: Contract,
    recorder: Recorder,
    is_left: bool,
}

impl Stepwise {
    /// Drives `machine` with the callables behind `tools`.
    pub fn new(machine: RunMachine, tools: ToolRuntime, clock: Clock, recorder: Recorder) -> Self {
        Self { machine, tools, clock, contract: Contract::default(), recorder, is_left: false }
    }

    /// The next call to make now, if there is one.
    ///
    /// What waits for the journal waits until there is no other call to make: so many facts are written together.
    pub fn next_call(&mut self, tell: &mut impl FnMut(Told)) -> Option<Call> {
        if self.is_left {
            return None;
        }
        let now = self.clock.now();
        if let Some(reason) = self.recorder.stop_request() {
            self.machine.handle_cancel(&reason, now);
        }
        self.settle(tell, now);
        if !self.machine.is_finished()
            && !self.recorder.is_due()
            && let Some(call) = self.tools.next_call(now)
        {
            return Some(call);
        }
        self.recorder.write(&mut self.machine, now, tell);
        self.settle(tell, now);
        if self.machine.is_finished() {
            self.recorder.write(&mut self.machine, now, tell);
            return None;
        }
        self.tools.next_call(now)
    }

    /// Hands an answer over.
    pub fn answer(&mut self, answer: impl FnOnce(&mut ToolRuntime, Time)) {
        let now = self.clock.now();
        self.answer_at(now, answer);
    }

    /// Hands one of many answers over that came at the same time.
    pub fn answer_at(&mut self, now: Time, answer: impl FnOnce(&mut ToolRuntime, Time)) {
        answer(&mut self.tools, now);
    }

    /// What time it is.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Somebody wants the run to end.
    pub fn cancel(&mut self, reason: &str, tell: &mut impl FnMut(Told)) {
        let now = self.clock.now();
        self.machine.handle_cancel(reason, now);
        self.settle(tell, now);
    }

    /// Somebody tells the run's strategy something.
    pub fn tell(&mut self, word: &Word, tell: &mut impl FnMut(Told)) {
        let now = self.clock.now();
        self.machine.handle_word(word, now);
        self.settle(tell, now);
    }

    /// The run is left as it stands, for whoever resumes it from its journal: agents that run go on.
    pub fn leave(&mut self, tell: &mut impl FnMut(Told)) {
        self.is_left = true;
        self.recorder.leave(tell);
    }

    /// Whether the run is over or was left. All its facts have been observed.
    pub fn is_finished(&self) -> bool {
        self.is_left || self.machine.is_finished()
    }

    /// How long nothing can happen by itself; `None` while only an answer can.
    pub fn pause(&self) -> Option<Duration> {
        let now = self.clock.now();
        let due = self.machine.next_deadline().into_iter().chain(self.tools.next_time(now)).min();
        let due = due.map(|time| time.since(now));
        let record = self.recorder.next_time().map(|time| time.saturating_duration_since(Instant::now()));
        due.into_iter().chain(record).min()
    }

    /// The next thing that a person may want to know.
    pub fn next_notice(&mut self) -> Option<String> {
        self.tools.next_notice()
    }

    /// Whether a look is to be told of this session's row: somebody waits for it, or for one whose key is not known.
    pub fn awaits(&self, key: &str) -> bool {
        self.tools.awaits(key) || self.tools.seeks_labels()
    }

    /// Whether further rows of the look under way say nothing.
    pub fn has_seen_all(&self) -> bool {
        self.tools.has_seen_all()
    }

    /// Whether a row's label matters now.
    pub fn seeks_labels(&self) -> bool {
        self.tools.seeks_labels()
    }

    /// Whether it matters when a row was updated.
    pub fn seeks_updates(&self) -> bool {
        self.tools.seeks_updates()
    }

    /// Attempts whose start is under way and no longer wanted, and whether other calls may hang while agents are to be
    /// stopped.
    pub fn take_withdrawn(&mut self) -> (Vec<AttemptRef>, bool) {
        (self.tools.take_withdrawn(), self.tools.take_hurry())
    }

    /// Carries everything to where it belongs until nothing is left to carry.
    fn settle(&mut self, tell: &mut impl FnMut(Told), now: Time) {
        if self.machine.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.machine.handle_time(now);
        }
        loop {
            while let Some(fact) = self.machine.poll_fact() {
                self.recorder.take(&fact);
                tell(Told::Fact(fact));
            }
            while let Some(action) = self.machine.poll_action() {
                self.contract.begun(&action);
                self.tools.begin(action, now);
            }
            let Some(report) = self.tools.next_report() else { return };
            self.contract.reported(&report);
            self.machine.handle_report(report, now);
        }
    }
}
