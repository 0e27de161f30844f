//! The world that a simulated run meets: agents that live and die in it whether or not anybody hears of it, and a
//! post that loses, repeats, delays and reorders what they report.
//!
//! It keeps two promises of a runtime, however badly it behaves: an agent that is reported as ended is dead (unless
//! the report itself says otherwise), and no report comes before its action.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use fastrand::Rng;
use parallel_agents::core::action::{Action, Adoption, AttemptRef, Report, Session, SpawnOrder};
use parallel_agents::core::failure::{Ending, FailureKind};
use parallel_agents::core::plan::{Plan, Task};
use parallel_agents::core::time::Time;
use parallel_agents::core::usage::{Tokens, Usage};

use super::endings::{self, Meaning, Sample};
use super::scene::{Scene, Temper, span};

/// A report, and what it is worth.
#[derive(Debug, Clone)]
pub struct Letter {
    pub report: Report,
    /// Of an end: what it means, and what the attempt cost.
    pub end: Option<(Meaning, Option<f64>)>,
}

/// One agent.
#[expect(clippy::struct_excessive_bools, reason = "each may be so or not, whatever the others are")]
#[derive(Debug)]
pub struct Agent {
    pub session: Session,
    /// It exists and has not ended, whoever knows of it.
    pub alive: bool,
    /// Since when it works.
    works: Option<Time>,
    order: SpawnOrder,
    task: Task,
    /// How it will end, or has ended, if nothing comes between.
    sample: Sample,
    /// Whether its own end was sent.
    told: bool,
    /// Whether it has written the answer that was asked for.
    pub has_answered: bool,
    /// Whether it was ever started.
    exists: bool,
}

impl Agent {
    fn new(order: SpawnOrder, task: Task, sample: Sample) -> Self {
        let session = Session { key: format!("session:{}", order.key).into(), run_id: order.key.clone() };
        Self { session, alive: true, works: None, order, task, sample, told: false, has_answered: false, exists: true }
    }

    /// The order that it was started with.
    pub fn order(&self) -> Option<&SpawnOrder> {
        self.exists.then_some(&self.order)
    }
}

#[derive(Debug)]
enum Happening {
    Works(AttemptRef),
    /// Does something.
    Acts(AttemptRef),
    /// Ends as it was going to.
    Ends(AttemptRef),
    /// Ends because it was stopped.
    Obeys(AttemptRef),
    /// Ends, and nobody hears of it.
    Vanishes(AttemptRef),
    Arrives(Box<Letter>),
}

/// The world.
pub struct World<'scene> {
    scene: &'scene Scene,
    random: Rng,
    agents: BTreeMap<AttemptRef, Agent>,
    due: BinaryHeap<Reverse<(Time, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    count: u64,
}

impl<'scene> World<'scene> {
    pub fn new(scene: &'scene Scene) -> Self {
        Self {
            scene,
            random: Rng::with_seed(scene.seed ^ 0x576f_726c),
            agents: BTreeMap::new(),
            due: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            count: 0,
        }
    }

    /// The agent of an attempt, if it was ever ordered.
    pub fn agent(&self, attempt: AttemptRef) -> Option<&Agent> {
        self.agents.get(&attempt)
    }

    /// All agents that exist and have not ended.
    pub fn alive(&self) -> impl Iterator<Item = AttemptRef> {
        self.agents.iter().filter(|(_, agent)| agent.alive).map(|(attempt, _)| *attempt)
    }

    /// When something happens next.
    pub fn next_time(&self) -> Option<Time> {
        self.due.peek().map(|Reverse((time, _))| *time)
    }

    /// Lets the next thing happen; returns a letter if that is what it is.
    pub fn advance(&mut self) -> Option<Letter> {
        let Reverse((now, number)) = self.due.pop()?;
        match self.happenings.remove(&number)? {
            Happening::Arrives(letter) => return Some(*letter),
            Happening::Works(attempt) => self.works(attempt, now),
            Happening::Acts(attempt) => self.acts(attempt, now),
            Happening::Ends(attempt) => self.ends(attempt, now),
            Happening::Obeys(attempt) => {
                if self.die(attempt) {
                    let stopped = Ending::Stopped { reason: "rpc".to_owned() };
                    self.tell_end(attempt, stopped, Meaning::Fails(FailureKind::Stopped), now);
                }
            }
            Happening::Vanishes(attempt) => {
                self.die(attempt);
            }
        }
        None
    }

    /// Begins to carry out an action.
    pub fn begin(&mut self, action: Action, plan: &Plan, now: Time) {
        match action {
            Action::Spawn(order) => {
                let task = &plan.tasks()[order.attempt.task_index];
                self.spawn(order, task, now);
            }
            Action::Adopt(adoption) => {
                let task = &plan.tasks()[adoption.order.attempt.task_index];
                self.adopt(adoption, task, now);
            }
            Action::Look(attempt) => self.look(attempt, now),
            Action::Stop(attempt) => self.stop(attempt, now),
            Action::Delete { attempt, .. } => self.delete(attempt, now),
        }
    }

    fn temper(&self) -> &'scene Temper {
        &self.scene.temper
    }

    fn happens(&mut self, chance: f64) -> bool {
        chance > 0.0 && self.random.f64() < chance
    }

    fn spawn(&mut self, order: SpawnOrder, task: &Task, now: Time) {
        let attempt = order.attempt;
        let full = self.alive().count() >= self.scene.child_limit(now);
        let refusal = if full {
            Some(endings::busy(&mut self.random))
        } else {
            self.happens(self.temper().refusal).then(|| endings::refusal(&mut self.random))
        };
        let bad = self.happens(self.temper().bad_ending);
        let asks = self.happens(self.temper().question);
        let parrots = self.happens(self.temper().parroting);
        let sample = match refusal.clone() {
            Some(refusal) => refusal,
            None if asks => endings::question(&mut self.random, task, attempt),
            None if bad => {
                let kind = self.temper().one_kind.unwrap_or_else(|| self.random.u8(0..endings::FAILURES));
                endings::failure(&mut self.random, kind, task, attempt, parrots)
            }
            None => endings::answer(&mut self.random, task, attempt),
        };
        let timeout = order.timeout;
        let agent = Agent { alive: refusal.is_none(), ..Agent::new(order, task.clone(), sample) };
        let session = agent.session.clone();
        self.agents.insert(attempt, agent);
        if refusal.is_some() {
            self.tell_own_end(attempt, now);
            return;
        }
        if self.happens(self.temper().silence) {
            // The order was lost, or the agent lives where nobody hears it.
            if self.random.bool() {
                self.die(attempt);
            }
            return;
        }
        let accepted = now + span(&mut self.random, &[0, 50, 500]);
        self.post(Report::Spawned { attempt, session }, None, accepted);
        let waits = self.happens(self.temper().queueing);
        let works = accepted + span(&mut self.random, if waits { &[20_000, 600_000] } else { &[0, 20] });
        self.schedule(works, Happening::Works(attempt));
        if let Some(latency) = self.latency(timeout) {
            self.schedule(works + latency, Happening::Ends(attempt));
        }
    }

    /// Whoever ordered this agent is dead; from now on it is heard of again, if there is one.
    fn adopt(&mut self, adoption: Adoption, task: &Task, now: Time) {
        let attempt = adoption.order.attempt;
        let agent = self.agents.entry(attempt).or_insert_with(|| {
            let ending = Ending::Lost { reason: "it was never started".to_owned() };
            let sample = Sample { ending, meaning: Meaning::Fails(FailureKind::Transient) };
            Agent { alive: false, told: true, exists: false, ..Agent::new(adoption.order, task.clone(), sample) }
        });
        if !agent.alive {
            return self.tell_own_end_late(attempt, now);
        }
        let (session, works) = (agent.session.clone(), agent.works);
        self.post(Report::Spawned { attempt, session }, None, now);
        if let Some(since) = works {
            self.post(Report::Started { attempt, since }, None, now);
        }
    }

    /// The machine has died: nobody hears what is on its way to it.
    pub fn bury(&mut self) {
        self.happenings.retain(|_, happening| !matches!(happening, Happening::Arrives(_)));
    }

    /// How long an agent works; none if for ever.
    fn latency(&mut self, timeout: Duration) -> Option<Duration> {
        if self.happens(self.temper().slowness) {
            let beyond = timeout + self.scene.settings.grace;
            return self.random.bool().then(|| beyond.mul_f64(0.8 + 0.6 * self.random.f64()));
        }
        Some(timeout.mul_f64(self.random.f64()))
    }

    fn works(&mut self, attempt: AttemptRef, now: Time) {
        let Some(agent) = self.agents.get_mut(&attempt).filter(|agent| agent.alive) else { return };
        agent.works = Some(now);
        self.post(Report::Started { attempt, since: now }, None, now);
        self.acts(attempt, now);
    }

    /// Where anybody cares, an agent tells that it does something, until it does nothing more.
    fn acts(&mut self, attempt: AttemptRef, now: Time) {
        let Some(idle_max) = self.scene.settings.idle_max else { return };
        if self.agents.get(&attempt).is_some_and(|agent| agent.alive) {
            self.post(Report::Active { attempt, at: now }, None, now);
            if !self.happens(self.temper().idleness) {
                let soon = now + idle_max.mul_f64(0.1 + self.random.f64());
                self.schedule(soon, Happening::Acts(attempt));
            }
        }
    }

    fn ends(&mut self, attempt: AttemptRef, now: Time) {
        if !self.agents.get(&attempt).is_some_and(|agent| agent.alive) {
            return;
        }
        match self.agents[&attempt].sample.meaning {
            Meaning::Unstoppable => {}
            Meaning::Answer(_) => {
                self.die(attempt);
                if let Some(agent) = self.agents.get_mut(&attempt) {
                    agent.has_answered = true;
                }
            }
            Meaning::Busy | Meaning::Asks(_) | Meaning::Fails(_) => {
                self.die(attempt);
            }
        }
        self.tell_own_end(attempt, now);
    }

    fn die(&mut self, attempt: AttemptRef) -> bool {
        self.agents.get_mut(&attempt).is_some_and(|agent| std::mem::replace(&mut agent.alive, false))
    }

    fn tell_own_end(&mut self, attempt: AttemptRef, now: Time) {
        let Some(agent) = self.agents.get_mut(&attempt) else { return };
        agent.told = true;
        let Sample { ending, meaning } = agent.sample.clone();
        self.tell_end(attempt, ending, meaning, now);
    }

    fn tell_end(&mut self, attempt: AttemptRef, ending: Ending, meaning: Meaning, now: Time) {
        let (usage, cost) = match meaning {
            Meaning::Busy => (Usage::default(), None),
            _ if !self.agents[&attempt].exists => {
                (Usage { tokens: Some(Tokens::default()), cost: Some(0.0) }, Some(0.0))
            }
            Meaning::Answer(_) | Meaning::Asks(_) | Meaning::Fails(_) | Meaning::Unstoppable => {
                let Agent { task, order, .. } = &self.agents[&attempt];
                endings::usage(&mut self.random, task, order)
            }
        };
        let model_used = self.random.bool().then(|| self.agents[&attempt].order.model.clone()).flatten();
        self.post(Report::Ended { attempt, ending, usage, model_used, partial: None }, Some((meaning, cost)), now);
    }

    fn look(&mut self, attempt: AttemptRef, now: Time) {
        let Some(agent) = self.agents.get(&attempt) else { return };
        match (agent.alive, agent.works) {
            (true, Some(since)) => self.post(Report::Started { attempt, since }, None, now),
            (true, None) => self.post(Report::Queued { attempt }, None, now),
            (false, _) => self.tell_own_end_late(attempt, now),
        }
    }

    /// Of an agent that is dead: how it ended, if it was going to say so, else that it is gone.
    fn tell_own_end_late(&mut self, attempt: AttemptRef, now: Time) {
        if self.agents[&attempt].told {
            self.tell_own_end(attempt, now);
        } else {
            let lost = Ending::Lost { reason: "it is gone".to_owned() };
            self.tell_end(attempt, lost, Meaning::Fails(FailureKind::Transient), now);
        }
    }

    fn stop(&mut self, attempt: AttemptRef, now: Time) {
        let Some(agent) = self.agents.get(&attempt) else { return };
        if !agent.alive {
            // Its own end is under way, or was lost: sometimes it is told again.
            if self.random.bool() {
                self.tell_own_end_late(attempt, now);
            }
            return;
        }
        let soon = now + span(&mut self.random, &[0, 200]);
        if !self.happens(self.temper().stubbornness) {
            self.schedule(soon, Happening::Obeys(attempt));
            return;
        }
        match self.random.u8(0..6) {
            0 => {
                // The answer was on its way already.
                let sample = endings::answer(&mut self.random, &self.agents[&attempt].task, attempt);
                if let Some(agent) = self.agents.get_mut(&attempt) {
                    agent.sample = sample;
                }
                self.schedule(soon, Happening::Ends(attempt));
            }
            1 => {
                let ending = Ending::Unstoppable { reason: "the stop was refused".to_owned() };
                self.tell_end(attempt, ending, Meaning::Unstoppable, now);
            }
            2 => self.schedule(soon, Happening::Vanishes(attempt)),
            3 => {
                // So late that nobody waits any more.
                let late = now + self.scene.settings.stop_patience.mul_f64(1.0 + self.random.f64());
                self.schedule(late, Happening::Obeys(attempt));
            }
            4 => self.schedule(soon, Happening::Obeys(attempt)),
            _ => {}
        }
    }

    fn delete(&mut self, attempt: AttemptRef, now: Time) {
        let at = now + span(&mut self.random, &[20, 1_000]);
        if !self.happens(self.temper().bad_delete) {
            self.die(attempt);
            self.post(Report::Deleted { attempt }, None, at);
        } else if self.random.bool() {
            self.post(Report::DeleteFailed { attempt, reason: "forbidden".to_owned() }, None, at);
        }
    }

    /// Sends a report on its way.
    fn post(&mut self, report: Report, end: Option<(Meaning, Option<f64>)>, from: Time) {
        let letter = Box::new(Letter { report, end });
        if self.happens(self.temper().echo) {
            let copies = self.random.u8(1..=2);
            for _ in 0..copies {
                let at = from + span(&mut self.random, &[10, 5_000, 100_000]);
                self.schedule(at, Happening::Arrives(letter.clone()));
            }
        }
        if self.happens(self.temper().loss) {
            return;
        }
        let late = self.happens(self.temper().delay);
        let at = from + span(&mut self.random, if late { &[2_000, 30_000] } else { &[0, 5] });
        self.schedule(at, Happening::Arrives(letter));
    }

    fn schedule(&mut self, at: Time, happening: Happening) {
        self.count += 1;
        self.due.push(Reverse((at, self.count)));
        self.happenings.insert(self.count, happening);
    }
}
