//! When to look. One look serves all agents, so its interval follows how long they take: short enough to find an end
//! soon after it came, long enough that looking stays cheap.

use std::time::Duration;

use crate::core::time::Time;

/// How long agents take, over the interval between two looks: an end is then found after 1/44 of that time on average.
const LOOKS_PER_AGENT: f64 = 22.0;
/// The same while no agent has ended: over the time since the first one was started.
const LOOKS_PER_WAIT: f64 = 10.0;
/// The share of a look that was no use, over the time that must pass before the next: at most a tenth of the time goes
/// into looking.
const PAUSE_PER_COST: f64 = 9.0;
/// How much the latest agent counts in the mean of all.
const WEIGHT: f64 = 0.1;
const INTERVAL_MIN: Duration = Duration::from_millis(5);
const INTERVAL_MAX: Duration = Duration::from_secs(2);
/// How late a look may come while there are agents to be started.
const LATENESS_MAX: Duration = Duration::from_millis(50);
const FAILURE_PAUSE_MIN: Duration = Duration::from_millis(100);
const FAILURE_PAUSE_MAX: Duration = Duration::from_secs(5);

/// The pace of looks.
#[derive(Debug)]
pub(super) struct Pace {
    /// The mean time that agents took, in seconds.
    mean: Option<f64>,
    /// Since when somebody waits without having seen an end.
    waiting_since: Option<Time>,
    latest_spawn: Time,
    due: Time,
}

impl Pace {
    pub fn new() -> Self {
        Self { mean: None, waiting_since: None, latest_spawn: Time::default(), due: Time::default() }
    }

    /// An agent was started.
    pub fn spawned(&mut self, now: Time) {
        self.waiting_since.get_or_insert(now);
        self.latest_spawn = now;
    }

    /// An agent was seen to have ended.
    pub fn ended(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        self.mean = Some(self.mean.map_or(took, |mean| mean + WEIGHT * (took - mean)));
    }

    /// A look took `cost` and saw the end of `ended` of `awaited` agents.
    pub fn looked(&mut self, cost: Duration, awaited: usize, ended: usize, now: Time) {
        let idle = now.since(self.latest_spawn).as_secs_f64();
        let interval = if let Some(mean) = self.mean {
            // Who is still at work after that long is slower than most: its end is worth fewer looks.
            (mean.max(idle - mean) / LOOKS_PER_AGENT).min(INTERVAL_MAX.as_secs_f64())
        } else {
            let waited = self.waiting_since.map_or(0.0, |since| now.since(since).as_secs_f64());
            (waited / LOOKS_PER_WAIT).clamp(INTERVAL_MIN.as_secs_f64(), INTERVAL_MAX.as_secs_f64())
        };
        #[expect(clippy::cast_precision_loss, reason = "counts of agents are small")]
        let useless = 1.0 - ended.min(awaited) as f64 / awaited.max(1) as f64;
        let pause = interval.max(cost.as_secs_f64() * PAUSE_PER_COST * useless);
        // Nobody is left to wait for: whoever is started next is looked for at once.
        self.due = if useless > 0.0 { now + Duration::from_secs_f64(pause) } else { now };
    }

    /// A look failed, for the `count`th time in a row.
    pub fn failed(&mut self, count: u32, now: Time) {
        let pause = FAILURE_PAUSE_MIN.saturating_mul(1 << (count.saturating_sub(1)).min(10));
        self.due = now + pause.min(FAILURE_PAUSE_MAX);
    }

    /// Something is expected to have changed.
    pub fn hurry(&mut self, now: Time) {
        self.due = self.due.min(now);
    }

    /// Whether it is time to look; `busy` says that agents are waiting to be started.
    pub fn is_due(&self, busy: bool, now: Time) -> bool {
        now >= if busy { self.due.max(self.waiting_since.unwrap_or(now)) + LATENESS_MAX } else { self.due }
    }

    /// When the next look is due.
    pub fn due(&self) -> Time {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: Time = Time::from_millis(1_000_000);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn spawned() -> Pace {
        let mut pace = Pace::new();
        pace.spawned(BEGIN);
        pace
    }

    #[test]
    fn the_first_look_is_due_as_soon_as_nothing_is_left_to_start_and_otherwise_within_100_ms() {
        let pace = spawned();
        assert!(pace.is_due(false, BEGIN));
        assert!(!pace.is_due(true, BEGIN));
        assert!(pace.is_due(true, BEGIN + millis(50)));
    }

    #[test]
    fn without_any_end_the_interval_grows_with_the_time_waited() {
        let mut pace = spawned();
        for (waited, interval) in [(0, 5), (40, 5), (1_000, 100), (60_000, 2_000)] {
            let now = BEGIN + millis(waited);
            pace.looked(Duration::ZERO, 1, 0, now);
            assert_eq!(pace.due().since(now), millis(interval), "after {waited} ms");
        }
    }

    #[test]
    fn the_interval_follows_how_long_agents_take() {
        let mut pace = spawned();
        pace.ended(millis(220));
        pace.looked(millis(1), 100, 4, BEGIN + millis(220));
        assert_eq!(pace.due().since(BEGIN + millis(220)), millis(10));
        for _ in 0..100 {
            pace.ended(Duration::from_secs(22));
        }
        pace.looked(millis(1), 100, 4, BEGIN);
        assert_eq!(pace.due().since(BEGIN), millis(1_000));
    }

    #[test]
    fn a_look_that_saw_nothing_is_paid_for_by_nine_times_its_cost() {
        let mut pace = spawned();
        pace.ended(millis(10));
        pace.looked(millis(200), 10, 0, BEGIN);
        assert_eq!(pace.due().since(BEGIN), millis(1_800));
        pace.looked(millis(200), 10, 5, BEGIN);
        assert_eq!(pace.due().since(BEGIN), millis(900));
        pace.looked(millis(200), 10, 10, BEGIN);
        assert_eq!(pace.due(), BEGIN, "nothing is left to be disturbed by the next one");
    }

    #[test]
    fn one_that_is_much_slower_than_the_others_is_looked_at_less_often() {
        let mut pace = spawned();
        pace.ended(millis(200));
        let now = BEGIN + Duration::from_secs(22);
        pace.looked(Duration::ZERO, 1, 0, now);
        assert!(pace.due().since(now) > millis(900), "{:?}", pace.due().since(now));
    }

    #[test]
    fn failures_are_spaced_further_and_further_apart() {
        let mut pace = spawned();
        let pauses = [1, 2, 3, 30].map(|count| {
            pace.failed(count, BEGIN);
            pace.due().since(BEGIN).as_millis()
        });
        assert_eq!(pauses, [100, 200, 400, 5_000]);
        pace.hurry(BEGIN);
        assert!(pace.is_due(false, BEGIN));
    }
}
