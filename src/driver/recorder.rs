//! Between the machine and the journal: facts go in, durability comes back. Without a journal there is nothing to do.
//!
//! A journal that takes no facts (a full disk) is tried again for a while; meanwhile no agent is started and those that run
//! go on. Then the machine is told that it is lost.

use std::time::Duration;

use tokio::time::Instant;

use super::Told;
use crate::core::fact::Fact;
use crate::core::run::RunMachine;
use crate::core::time::Time;
use crate::journal::RunLog;

/// For how long a journal that takes no facts is tried again.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(1);
/// How long facts may wait to be written together while nothing waits for them.
const LINGER: Duration = Duration::from_millis(20);
/// How often it is looked whether somebody else wants the run to end.
const STOP_PAUSE: Duration = Duration::from_secs(1);

/// The journal of one run, if it has one.
#[derive(Debug)]
pub struct Recorder {
    log: Option<RunLog>,
    /// Since when facts wait to be written.
    waiting_since: Option<Instant>,
    failing: Option<Failing>,
    looked_at: Instant,
}

#[derive(Debug)]
struct Failing {
    since: Instant,
    again_at: Instant,
}

impl Recorder {
    /// Writes to `log`.
    pub fn new(log: Option<RunLog>) -> Self {
        Self { log, waiting_since: None, failing: None, looked_at: Instant::now() }
    }

    /// Takes one more fact, to be written with the next ones.
    pub fn take(&mut self, fact: &Fact) {
        if let Some(log) = &mut self.log {
            log.append(fact);
            self.waiting_since.get_or_insert_with(Instant::now);
        }
    }

    /// Whether facts have waited long enough to be written, though nothing waits for them.
    pub fn is_due(&self) -> bool {
        self.failing.is_none() && self.waiting_since.is_some_and(|since| since.elapsed() >= LINGER)
    }

    /// When something is to be done, if nothing else happens.
    pub fn next_time(&self) -> Option<Instant> {
        self.log.as_ref()?;
        let write = match &self.failing {
            Some(failing) => Some(failing.again_at),
            None => self.waiting_since.map(|since| since + LINGER),
        };
        write.into_iter().chain([self.looked_at + STOP_PAUSE]).min()
    }

    /// Writes what waits, and tells the machine through where it is durable.
    pub fn write(&mut self, machine: &mut RunMachine, now: Time, tell: &mut impl FnMut(Told)) {
        let Some(log) = &mut self.log else { return };
        let is_early = self.failing.as_ref().is_some_and(|failing| Instant::now() < failing.again_at);
        if self.waiting_since.is_none() || (is_early && !machine.is_finished()) {
            return;
        }
        match log.commit() {
            Ok(through) => {
                self.waiting_since = None;
                if self.failing.take().is_some() {
                    tell(Told::Warning("the journal takes facts again; nothing was lost".to_owned()));
                }
                machine.handle_persisted(through);
                if machine.is_finished() {
                    // Others may have the run now, whoever still holds its results.
                    self.log = None;
                }
            }
            Err(error) if machine.is_finished() => {
                self.log = None;
                tell(Told::Warning(format!(
                    "{error}; the journal does not hold the run's last facts, resume it later"
                )));
            }
            Err(error) => {
                let at = Instant::now();
                let is_news = self.failing.is_none();
                let failing = self.failing.get_or_insert(Failing { since: at, again_at: at });
                failing.again_at = at + PAUSE;
                let is_lost = failing.since.elapsed() >= PATIENCE;
                if is_news {
                    tell(Told::Warning(format!("{error}; no agent is started until it takes facts again")));
                }
                if is_lost {
                    self.log = None;
                    let reason = format!("the journal could not be written for {} s ({error})", PATIENCE.as_secs());
                    machine.handle_journal_lost(&reason, now);
                }
            }
        }
    }

    /// Writes what waits and gives the run up: others may have it now.
    pub fn leave(&mut self, tell: &mut impl FnMut(Told)) {
        let Some(mut log) = self.log.take() else { return };
        if let Err(error) = log.commit() {
            tell(Told::Warning(format!("{error}; the journal does not hold the run's last facts")));
        }
    }

    /// Why somebody outside wants the run to end, each time that somebody asks.
    pub fn stop_request(&mut self) -> Option<String> {
        let log = self.log.as_mut()?;
        if self.looked_at.elapsed() < STOP_PAUSE {
            return None;
        }
        self.looked_at = Instant::now();
        // A journal that cannot be read now is looked at again.
        log.stop_request().ok().flatten()
    }
}
