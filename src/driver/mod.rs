//! The only place that waits: carries facts out of the machine, actions to the runtime, and reports back.
//!
//! It decides nothing. It runs on one thread of tokio, and user code never runs on that thread.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use crate::core::fact::Fact;
use crate::core::run::RunMachine;
use crate::core::strategy::Word;
use crate::core::time::Time;
use crate::runtime::{Contract, Runtime};

mod recorder;
mod stepwise;

pub use recorder::Recorder;
pub use stepwise::{Stepwise, Stopwatch};

/// What time it is, and how to wait.
#[derive(Debug)]
pub enum Clock {
    /// The real time. Monotonic: it starts at the system's time and goes on by the steady clock.
    Real {
        /// The system's time at the start.
        epoch: Time,
        /// The steady clock at the start.
        since: Instant,
    },
    /// A played time.
    Played {
        /// What time it was when it was last set.
        now: Time,
        /// When that was.
        at: Instant,
        /// How much faster than real time it passes; `None` jumps from event to event without waiting.
        speed: Option<f64>,
    },
}

impl Clock {
    /// The real time.
    pub fn real() -> Self {
        Self::Real { epoch: system_time(), since: Instant::now() }
    }

    /// A played time that starts now.
    pub fn played(speed: Option<f64>) -> Self {
        Self::Played { now: system_time(), at: Instant::now(), speed }
    }

    /// What time it is.
    pub fn now(&self) -> Time {
        match self {
            Self::Real { epoch, since } => *epoch + since.elapsed(),
            Self::Played { now, speed: None, .. } => *now,
            Self::Played { now, at, speed: Some(speed) } => {
                // Whole milliseconds, rounded down: it never runs ahead of what is waited for.
                let passed = at.elapsed().mul_f64(*speed).as_millis();
                Time::from_millis(now.as_millis().saturating_add(u64::try_from(passed).unwrap_or(u64::MAX)))
            }
        }
    }

    /// Whether it goes from event to event without waiting.
    const fn jumps(&self) -> bool {
        matches!(self, Self::Played { speed: None, .. })
    }

    /// How long to wait, in real time, until it is `time`.
    fn until(&self, time: Time) -> Duration {
        let span = time.since(self.now());
        match self {
            Self::Real { .. } => span,
            Self::Played { speed: Some(speed), .. } => {
                Duration::try_from_secs_f64(span.as_secs_f64() / speed).unwrap_or(Duration::MAX)
            }
            Self::Played { speed: None, .. } => Duration::ZERO,
        }
    }

    /// It has become `time`, in a played time: a run that goes on does not go back before what has happened.
    pub fn reach(&mut self, time: Time) {
        let reached = self.now().max(time);
        if let Self::Played { now, at, .. } = self {
            (*now, *at) = (reached, Instant::now());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the driver is where a run's time comes from")]
fn system_time() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time::default() + since
}

/// The reason for which a run ends when its handle is dropped.
pub const NOBODY_WAITS: &str = "nobody waits for the run any more";

/// What a driver tells of its run.
#[derive(Debug)]
pub enum Told {
    /// Something happened.
    Fact(Fact),
    /// Something a person should know.
    Warning(String),
}

/// What somebody outside wants of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// It is to end early, for this reason; asked twice, it ends at once.
    End(String),
    /// Its strategy is to be told this.
    Tell(Word),
    /// It is left as it stands, for whoever resumes it from its journal: agents that run go on.
    Leave,
}

/// Drives a run to its end. `wishes` carries what others want of it, and ends the run when it is closed; `tell` is told every fact, in order, as soon as it is one.
pub async fn drive(
    mut machine: RunMachine,
    runtime: &mut impl Runtime,
    mut clock: Clock,
    wishes: &mut UnboundedReceiver<Wish>,
    mut recorder: Recorder,
    tell: &mut impl FnMut(Told),
) {
    let mut is_wanted = true;
    let mut contract = Contract::default();
    loop {
        while let Some(fact) = machine.poll_fact() {
            recorder.take(&fact);
            tell(Told::Fact(fact));
        }
        if machine.waits_for_facts() || machine.is_finished() || recorder.is_due() {
            recorder.write(&mut machine, clock.now(), tell);
        }
        while let Some(action) = machine.poll_action() {
            contract.begun(&action);
            runtime.begin(action, clock.now());
        }
        if machine.is_finished() {
            return;
        }
        let now = clock.now();
        if machine.next_deadline().is_some_and(|deadline| deadline <= now) {
            // Before any report: a flood of them must not hold deadlines back.
            machine.handle_time(now);
            continue;
        }
        // A played time that jumps stands still while somebody is asked: nobody answers in no time at all.
        let stands_still = clock.jumps() && machine.awaits_word();
        let wake = machine.next_deadline().into_iter().chain(runtime.next_time()).min();
        let wake = wake.filter(|_| !stands_still);
        tokio::select! {
            biased;
            wish = wishes.recv(), if is_wanted => match wish {
                Some(Wish::End(reason)) => machine.handle_cancel(&reason, clock.now()),
                Some(Wish::Tell(word)) => machine.handle_word(&word, clock.now()),
                Some(Wish::Leave) => return recorder.leave(tell),
                None => {
                    is_wanted = false;
                    machine.handle_cancel(NOBODY_WAITS, clock.now());
                }
            },
            report = runtime.next_report(now) => {
                contract.reported(&report);
                machine.handle_report(report, clock.now());
            }
            () = until(recorder.next_time()) => {
                recorder.write(&mut machine, clock.now(), tell);
                if let Some(reason) = recorder.stop_request() {
                    machine.handle_cancel(&reason, clock.now());
                }
            }
            time = sleep_until(&clock, wake) => {
                clock.reach(time);
                machine.handle_time(clock.now());
            }
        }
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(clock: &Clock, wake: Option<Time>) -> Time {
    let Some(time) = wake else { return std::future::pending().await };
    let span = clock.until(time);
    if span.is_zero() {
        tokio::task::yield_now().await;
    } else {
        tokio::time::sleep(span).await;
    }
    time
}
