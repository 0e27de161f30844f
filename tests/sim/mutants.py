#!/usr/bin/env python3
"""Shows that the simulation suite falls when the machine is broken: at least one small mutant per invariant.

Each mutant is applied alone to a copy of the sources, where `cargo test --test sim` must then fail. A mutant counts as
caught if the invariant that it is listed under is broken, if need be when the suite looks at nothing else.

    python3 tests/sim/mutants.py [--only PART_OF_A_NAME] [--timeout SECONDS] [--target-dir FOLDER]

The exit status is 1 if a mutant survives, 2 if one cannot be applied or built.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUN, STARTS, ENDS = "src/core/run/mod.rs", "src/core/run/starts.rs", "src/core/run/ends.rs"
RESTORE, LIMIT, TIERS = "src/core/run/restore.rs", "src/core/limit.rs", "src/core/hierarchy.rs"
FAILURE, RETRY, USAGE = "src/core/failure.rs", "src/core/retry.rs", "src/core/usage.rs"
PROGRESS, REPORT = "src/core/progress.rs", "src/core/report.rs"
SESSIONS, VERDICT = "src/core/sessions.rs", "src/core/verdict.rs"


@dataclass(frozen=True)
class Mutant:
    """One way to break the machine."""

    invariant: str
    name: str
    file: str
    old: str
    new: str


MUTANTS = [
    # Which agents start, when, and with what.
    Mutant(
        "live_agents_stay_within_the_limit",
        "one agent too many",
        LIMIT,
        "live < self.in_force && self.not_before",
        "live <= self.in_force && self.not_before",
    ),
    Mutant(
        "live_agents_stay_within_the_limit",
        "the limit rises above the caller's bound",
        LIMIT,
        "if self.in_force >= self.bound {",
        "if self.in_force > self.bound {",
    ),
    Mutant(
        "the_limit_follows_what_the_runtime_bears",
        "a refusal does not lower the limit",
        LIMIT,
        "self.in_force = live.clamp(1, self.bound).min(self.in_force);",
        "let _ = live;",
    ),
    Mutant(
        "the_limit_follows_what_the_runtime_bears",
        "the limit rises by two",
        LIMIT,
        "self.in_force += 1;",
        "self.in_force += 2;",
    ),
    Mutant(
        "dependencies_come_first_and_their_outputs_with_them",
        "the last dependency is not waited for",
        ENDS,
        "if *dependencies == 0 {",
        "if *dependencies <= 1 {",
    ),
    Mutant(
        "dependencies_come_first_and_their_outputs_with_them",
        "the first dependency's output is left out",
        STARTS,
        "self.plan.dependencies(index).iter().filter_map(material)",
        "self.plan.dependencies(index).iter().skip(1).filter_map(material)",
    ),
    Mutant(
        "a_task_has_one_agent_at_a_time",
        "a stop is taken for certain at once",
        RUN,
        "self.stop(attempt, StopReason::Timeout, now);",
        "self.stop(attempt, StopReason::Timeout, now);\n"
        "self.ended(attempt, crate::core::failure::Ending::TimedOut.into(), now);",
    ),
    Mutant(
        "a_task_has_one_agent_at_a_time",
        "what would not stop is tried again",
        FAILURE,
        "Self::Unstoppable { reason } => Err(Failure::new(\n                FailureKind::Permanent,",
        "Self::Unstoppable { reason } => Err(Failure::new(\n                FailureKind::Model,",
    ),
    Mutant(
        "higher_priorities_start_first",
        "the lowest priority starts first",
        STARTS,
        "let Some(&(priority, index)) = self.ready.first() else { break };",
        "let Some(&(priority, index)) = self.ready.last() else { break };",
    ),
    Mutant(
        "higher_priorities_start_first",
        "among equals the last given starts first",
        STARTS,
        "let Some(&(priority, index)) = self.ready.first() else { break };",
        "let Some(&(priority, _)) = self.ready.first() else { break };\n"
        "let Some(&(_, index)) = self.ready.iter().rfind(|entry| entry.0 == priority) else { break };",
    ),
    Mutant(
        "delays_are_kept",
        "half the delay is enough",
        ENDS,
        "self.delay_until(index, now + delay);",
        "self.delay_until(index, now + delay / 2);",
    ),
    Mutant(
        "free_room_is_used",
        "one place stays empty",
        STARTS,
        "self.limit.admits(self.live, now)",
        "self.limit.admits(self.live + 1, now)",
    ),
    Mutant(
        "free_room_is_used",
        "nothing wakes a delayed task",
        ENDS,
        "self.timers.insert((time, Timer::Retry(index)));",
        "let _ = time;",
    ),
    Mutant(
        "nothing_starts_once_the_run_is_to_end",
        "a timed-out attempt is retried after a cancel",
        ENDS,
        "if self.cancelled.is_some() && unread.failure.kind != FailureKind::Question {",
        "if self.finished && unread.failure.kind != FailureKind::Question {",
    ),
    Mutant(
        "orders_say_what_was_planned",
        "every order names the first tier's model",
        STARTS,
        "            model: Some(model),",
        "            model: Some(model).and(Some(task.hierarchy.tiers()[0].model.clone())),",
    ),
    Mutant(
        "orders_say_what_was_planned",
        "keys repeat",
        STARTS,
        "let key = random_key(&mut self.random);",
        "let key = random_key(&mut fastrand::Rng::with_seed(u64::from(record.starts)));",
    ),
    # What attempts come to, and what follows them.
    Mutant(
        "attempts_are_bounded_and_numbered",
        "one attempt too many",
        TIERS,
        "if self.attempts >= policy.attempts_max {",
        "if self.attempts > policy.attempts_max {",
    ),
    Mutant(
        "busy_refusals_spend_no_attempt",
        "busy is taken for a broken connection",
        FAILURE,
        "(kind, advice) = if is_busy {",
        "(kind, advice) = if is_busy && message == code {",
    ),
    Mutant(
        "outcomes_are_what_the_world_reported",
        "what may still be running is taken for stopped",
        VERDICT,
        "(Some(_), unread) if unstoppable ||",
        '(Some(_), unread) if unstoppable && cancel_reason == "-" ||',
    ),
    Mutant(
        "outcomes_are_what_the_world_reported",
        "the caller's price is not asked",
        USAGE,
        "(Some(price), Some(tokens), _) => Some(price.of(tokens)),",
        "(Some(_), Some(_), cost) => cost,",
    ),
    Mutant(
        "retries_follow_the_policy",
        "one repeat too many on a tier",
        TIERS,
        "if *count >= max {",
        "if *count > max {",
    ),
    Mutant(
        "retries_follow_the_policy",
        "the counts of a tier are taken to the next",
        TIERS,
        "*self = Self { attempts: self.attempts, tier: self.tier + 1, ..Self::default() };",
        "self.tier += 1;",
    ),
    Mutant(
        "tiers_only_climb",
        "the next tier is not used",
        STARTS,
        "Ok(tier) => tier,",
        "Ok(tier) => tier / 2,",
    ),
    Mutant(
        "objections_go_to_the_same_tier_only",
        "the next tier hears the objection too",
        ENDS,
        "Step::Climb | Step::GiveUp => record.objection = None,",
        "Step::Climb | Step::GiveUp => {}",
    ),
    Mutant(
        "objections_go_to_the_same_tier_only",
        "nobody hears the objection",
        STARTS,
        "&record.replies, record.objection.as_ref())",
        "&record.replies, None)",
    ),
    Mutant(
        "stops_have_their_reason",
        "no grace",
        RUN,
        "self.timers.insert((since + timeout + self.settings.grace, Timer::Timeout(attempt)));",
        "self.timers.insert((since + timeout, Timer::Timeout(attempt)));",
    ),
    Mutant(
        "deadlines_are_kept",
        "time counts from when the start was heard of",
        RUN,
        "self.timers.insert((since + timeout + self.settings.grace, Timer::Timeout(attempt)));",
        "self.timers.insert((now + timeout + self.settings.grace, Timer::Timeout(attempt)));",
    ),
    Mutant(
        "agents_that_show_no_start_are_looked_for",
        "asked about once only",
        RUN,
        "self.act(Action::Look(attempt));\n                    self.look_later(attempt, now);",
        "self.act(Action::Look(attempt));",
    ),
    Mutant(
        "stops_are_waited_for_as_long_as_agreed",
        "half the patience",
        ENDS,
        "now + self.settings.stop_patience, Timer",
        "now + self.settings.stop_patience / 2, Timer",
    ),
    Mutant(
        "stops_are_waited_for_as_long_as_agreed",
        "twice the patience",
        ENDS,
        "now + self.settings.stop_patience, Timer",
        "now + self.settings.stop_patience * 2, Timer",
    ),
    # How tasks end, and what is said of it.
    Mutant(
        "a_task_ends_once",
        "a task with two failed dependencies is skipped twice",
        ENDS,
        "            if matches!(self.records[index].state, State::Ended) {\n                continue;\n            }",
        "",
    ),
    Mutant(
        "nothing_of_a_task_happens_after_its_end",
        "a start is recorded whenever it is heard of",
        RUN,
        "if !matches!(self.phase(attempt), Some(Phase::Ordered | Phase::Accepted)) {\n            return;",
        "if self.phase(attempt) == Some(Phase::Working) {\n            return;",
    ),
    Mutant(
        "ends_tell_the_truth",
        "a timeout is called a failure",
        ENDS,
        "FailureKind::Timeout => End::Timeout { reason, raw },",
        "FailureKind::Timeout => End::Failed { reason, raw },",
    ),
    Mutant(
        "ends_tell_the_truth",
        "a skipped task names the one in between",
        ENDS,
        "if let End::Skipped { .. } = end {\n            return end.clone();\n        }",
        "",
    ),
    Mutant(
        "reports_agree_with_the_world",
        "a refused start stays in the report",
        REPORT,
        "self.attempts[attempt.task_index].pop();",
        "let _ = attempt;",
    ),
    Mutant(
        "progress_agrees_with_a_count",
        "a refusal counts as an attempt",
        PROGRESS,
        "self.refusals += 1;",
        "self.attempts += 1;",
    ),
    # What becomes of the sessions.
    Mutant(
        "sessions_go_or_stay_as_asked",
        "sessions that should stay are deleted",
        SESSIONS,
        "if self.cleanup == Cleanup::Delete && is_known {",
        "if is_known {",
    ),
    Mutant(
        "sessions_go_or_stay_as_asked",
        "a refused deletion is taken for done",
        RUN,
        "                    self.fact(now, Event::SessionLeft { attempt, session, reason });\n                }",
        "                    let _ = (reason, session);\n"
        "                    self.fact(now, Event::SessionDeleted { attempt });\n                }",
    ),
    Mutant(
        "deletions_are_few_at_once",
        "any number of deletions beside agents",
        SESSIONS,
        "if self.waiting.is_empty() || !self.deleting.is_empty() {",
        "if self.waiting.is_empty() {",
    ),
    Mutant(
        "deletions_are_few_at_once",
        "one deletion too many after the agents",
        STARTS,
        "self.sessions.deleting() < self.settings.deletes_max",
        "self.sessions.deleting() <= self.settings.deletes_max",
    ),
    Mutant(
        "everything_is_accounted_for_at_the_end",
        "nobody says which sessions are left",
        STARTS,
        "for (attempt, session) in self.sessions.left() {",
        "for (attempt, session) in self.sessions.left().into_iter().take(0) {",
    ),
    # How the machine behaves as a machine.
    Mutant(
        "actions_rest_on_durable_facts",
        "one fact may be lost",
        RUN,
        "*after > self.facts_durable {",
        "*after > self.facts_durable + 1 {",
    ),
    Mutant(
        "facts_come_in_order_of_time",
        "facts come backwards",
        RUN,
        "self.facts.push_back(fact);",
        "self.facts.push_front(fact);",
    ),
    Mutant(
        "deadlines_lie_ahead",
        "what is due now is not done now",
        RUN,
        "if time > now || self.finished {",
        "if time >= now || self.finished {",
    ),
    Mutant(
        "stale_reports_change_nothing",
        "an acceptance counts each time it is heard of",
        SESSIONS,
        "Entry::Occupied(_) => false,",
        "Entry::Occupied(_) => true,",
    ),
    Mutant(
        "stale_reports_change_nothing",
        "a deletion counts each time it is heard of",
        SESSIONS,
        "self.deleting.remove(&attempt) && self.accepted.get_mut(&attempt).and_then(Option::take).is_some()",
        "self.deleting.remove(&attempt);\nself.deleting.pop_first();\n"
        "self.accepted.get_mut(&attempt).and_then(Option::take).is_some()",
    ),
    Mutant(
        "a_finished_run_is_silent",
        "timers outlive the run",
        STARTS,
        "self.finished = true;\n        self.timers.clear();",
        "self.finished = true;",
    ),
    Mutant(
        "a_run_ends_in_time",
        "the run's deadline is three times as far",
        RUN,
        "(now + machine.settings.run_time_max, Timer::RunDeadline)",
        "(now + machine.settings.run_time_max * 3, Timer::RunDeadline)",
    ),
    Mutant(
        "a_run_ends_in_time",
        "deletions are waited for without end",
        STARTS,
        "now + self.settings.cleanup_patience, Timer",
        "now + self.settings.cleanup_patience * 100, Timer",
    ),
    Mutant(
        "cancelling_twice_ends_at_once",
        "a second cancel is ignored",
        RUN,
        "if self.cancelled == Some(StopReason::Cancel) || self.unended == 0 {\n            for index",
        "if self.unended == 0 {\n            for index",
    ),
    Mutant(
        "every_run_ends",
        "nothing ends the wait for deletions",
        STARTS,
        "self.timers.insert((now + self.settings.cleanup_patience, Timer::CleanupDeadline));",
        "",
    ),
    Mutant(
        "nothing_panics",
        "a tier after the last",
        TIERS,
        "if self.tier + 1 >= hierarchy.tiers.len() {",
        "if self.tier + 1 > hierarchy.tiers.len() {",
    ),
    Mutant(
        "the_same_seed_gives_the_same_run",
        "the machine draws its own randomness",
        RUN,
        "random: fastrand::Rng::with_seed(seed),",
        "random: { let _ = seed; fastrand::Rng::new() },",
    ),
    # What only a scenario promises with numbers.
    Mutant(
        "retry_delays_are_drawn_from_nothing_to_a_cap_that_doubles_from_one_second_to_thirty",
        "delays do not double",
        RETRY,
        "u32::try_from(1_u64 << doublings.min(31))",
        "u32::try_from(1_u64 << doublings.min(0))",
    ),
    Mutant(
        "a_refusal_holds_the_next_start_back_and_a_full_round_without_one_tries_one_more",
        "the limit never rises again",
        LIMIT,
        "if self.completed_since < self.in_force {",
        "if self.completed_since <= self.bound * 1000 {",
    ),
    Mutant(
        "an_order_that_nobody_saw_is_taken_back_by_a_cancel",
        "every order goes out",
        ENDS,
        "let was_waiting = self.take_back(attempt);",
        "let was_waiting = self.finished && self.take_back(attempt);",
    ),
]


@dataclass(frozen=True)
class Verdict:
    """What the suite said: whether it fell, what fell, and the end of its output."""

    fell: bool
    names: list[str]
    tail: str


class BuildError(Exception):
    """A mutant that does not compile tests nothing."""


def copy_sources(to: Path) -> None:
    """Copies what `cargo test --test sim` needs, and what Cargo.toml may name."""
    ignore = shutil.ignore_patterns("target", ".git", "__pycache__", "node_modules", ".venv", "*.so")
    # With fresh times: cargo takes what is older than its last build, here perhaps of a mutant, for built.
    shutil.copytree(ROOT, to, ignore=ignore, copy_function=shutil.copy, dirs_exist_ok=True)


def run(command: list[str], folder: Path, environment: dict[str, str], timeout: float) -> tuple[int | None, str]:
    """The exit status (None if it took too long and was ended with all its children) and all that was printed."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as printed:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=printed, stderr=subprocess.STDOUT, start_new_session=True
        )
        status: int | None
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        printed.seek(0)
        return status, printed.read()


def run_suite(folder: Path, target: Path, timeout: float, only: str | None = None) -> Verdict:
    """Runs the suite in `folder`; a run that does not end in time has not caught anything."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target), "RUST_BACKTRACE": "0", "CARGO_TERM_COLOR": "never"}
    environment = {name: value for name, value in environment.items() if not name.startswith("SIM_")}
    build = ["test", "--quiet", "--test", "sim"]
    status, output = run(["cargo", *build, "--no-run"], folder, environment, timeout=1800)
    if status != 0:
        raise BuildError(output[-3000:])
    if only is not None:
        environment["SIM_INVARIANT"] = only
        build += ["--", "every_invariant_holds"]
    status, output = run(["cargo", *build], folder, environment, timeout)
    if status is None:
        return Verdict(fell=False, names=[], tail=f"no end within {timeout:.0f} s")
    broken = re.findall(r"invariant `(\w+)` broken", output)
    scenarios = re.findall(r"^    scenarios::(\w+)$", output, re.MULTILINE)
    reached = ["what_must_be_reached"] if "too seldom reached" in output else []
    names = list(dict.fromkeys(broken + scenarios + reached))
    return Verdict(fell=status != 0, names=names, tail=output[-2000:])


def misfits() -> list[str]:
    """Mutants that cannot be applied, each with the reason."""
    texts = {mutant.file: (ROOT / mutant.file).read_text(encoding="utf-8") for mutant in MUTANTS}
    counts = [(mutant, texts[mutant.file].count(mutant.old)) for mutant in MUTANTS]
    return [
        f"mutant `{mutant.name}`: the text to replace occurs {count} times in {mutant.file}: {mutant.old!r}"
        for mutant, count in counts
        if count != 1
    ]


def try_mutant(mutant: Mutant, folder: Path, target: Path, timeout: float) -> tuple[bool, str]:
    """Whether the mutant's own invariant catches it, and what the table says about it."""
    path = folder / mutant.file
    original = path.read_text(encoding="utf-8")
    found = original.count(mutant.old)
    if found != 1:
        raise BuildError(f"the text to replace occurs {found} times in {mutant.file}: {mutant.old!r}")
    path.write_text(original.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        verdict = run_suite(folder, target, timeout)
        if not verdict.fell:
            return False, f"SURVIVED: {verdict.tail.strip().splitlines()[-1]}"
        if mutant.invariant in verdict.names:
            others = [name for name in verdict.names if name != mutant.invariant]
            return True, ", ".join(["itself", *others])
        alone = run_suite(folder, target, timeout, only=mutant.invariant)
        if mutant.invariant in alone.names:
            return True, f"{', '.join(verdict.names)}; alone, itself"
        return False, f"SURVIVED its invariant, caught by {', '.join(verdict.names)}"
    finally:
        path.write_text(original, encoding="utf-8")


def main() -> int:
    """Tries all mutants and prints the table."""
    parser = argparse.ArgumentParser(description="Break the machine, one mutant at a time, and see the suite fall.")
    parser.add_argument("--only", default="", metavar="TEXT", help="only mutants whose name or invariant holds this")
    parser.add_argument("--timeout", type=float, default=120.0, metavar="SECONDS", help="for one run of the suite")
    parser.add_argument("--target-dir", type=Path, default=ROOT / "target" / "mutants", metavar="FOLDER")
    parser.add_argument("--check", action="store_true", help="only see whether every mutant can be applied")
    options = parser.parse_args()
    if options.check:
        stale = misfits()
        print("\n".join(stale) or f"{len(MUTANTS)} mutants can be applied")
        return 2 if stale else 0
    chosen = [mutant for mutant in MUTANTS if options.only in mutant.name or options.only in mutant.invariant]
    target = options.target_dir.resolve()
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        folder = Path(name)
        copy_sources(folder)
        sound = run_suite(folder, target, options.timeout)
        if sound.fell or "test result: ok" not in sound.tail:
            print(f"the suite must hold before anything is broken:\n{sound.tail}", file=sys.stderr)
            return 2
        print("| mutant | invariant | caught by |\n| --- | --- | --- |")
        survivors = 0
        for mutant in chosen:
            try:
                caught, said = try_mutant(mutant, folder, target, options.timeout)
            except BuildError as error:
                print(f"mutant `{mutant.name}`: {error}", file=sys.stderr)
                return 2
            survivors += not caught
            print(f"| {mutant.name} | {mutant.invariant} | {said} |", flush=True)
    print(f"\n{len(chosen) - survivors} of {len(chosen)} mutants caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
