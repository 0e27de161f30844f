//! Any plan and any facts come back as they were.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use parallel_agents::core::action::{AttemptRef, Session};
use parallel_agents::core::budget::{Cap, Reservation};
use parallel_agents::core::fact::{Circuit, End, Event, Fact, Outcome, Status};
use parallel_agents::core::plan::Task;
use parallel_agents::core::strategy::Word;
use parallel_agents::core::time::Time;
use parallel_agents::core::usage::Tokens;

use crate::world::{FAILURES, Folder, STOPS, create, fact, open, plan};

/// Short ones and such as are stored apart, with every character.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => any::<String>(), 1 => ("\\PC{1,20}", 1..200_usize).prop_map(|(part, times)| part.repeat(times))]
}

fn shared() -> impl Strategy<Value = Arc<str>> {
    text().prop_map(Arc::from)
}

fn dollars() -> impl Strategy<Value = f64> {
    proptest::num::f64::POSITIVE | proptest::num::f64::ZERO
}

fn span() -> impl Strategy<Value = Duration> {
    (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
}

fn time() -> impl Strategy<Value = Time> {
    any::<u64>().prop_map(Time::from_millis)
}

fn attempt() -> impl Strategy<Value = AttemptRef> {
    (0..4_usize, any::<u32>()).prop_map(|(task_index, start_no)| AttemptRef { task_index, start_no })
}

fn session() -> impl Strategy<Value = Session> {
    (shared(), shared()).prop_map(|(key, run_id)| Session { key, run_id })
}

fn reservation() -> impl Strategy<Value = Reservation> {
    (proptest::option::of(dollars()), any::<u64>()).prop_map(|(usd, tokens)| Reservation { usd, tokens })
}

fn tokens() -> impl Strategy<Value = Tokens> {
    any::<[u64; 5]>().prop_map(|[input, output, cache_read, cache_write, total]| Tokens {
        input,
        output,
        cache_read,
        cache_write,
        total,
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((any::<String>(), inner), 0..6).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

/// A value and what an agent wrote: often that value, sometimes with something around it.
fn answer() -> impl Strategy<Value = (Arc<Value>, Arc<str>)> {
    (value(), text(), 0..4_u8).prop_map(|(value, text, form)| {
        let raw = match (form, &value) {
            (0, Value::String(written)) => format!("\n{written} "),
            (0, _) => value.to_string(),
            (1, _) => format!(" {value}\n"),
            (2, _) => format!("{value:#}"),
            _ => text,
        };
        (Arc::new(value), raw.into())
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Completed),
        (select(&FAILURES[..]), text()).prop_map(|(kind, reason)| Outcome::Failed { kind, reason }),
        text().prop_map(|question| Outcome::NeedsInput { question }),
        Just(Outcome::Cancelled),
    ]
}

fn end() -> impl Strategy<Value = End> {
    let raw = || proptest::option::of(shared());
    prop_oneof![
        answer().prop_map(|(output, raw)| End::Completed { output, raw }),
        (text(), raw()).prop_map(|(reason, raw)| End::Failed { reason, raw }),
        (text(), raw()).prop_map(|(reason, raw)| End::Timeout { reason, raw }),
        (text(), raw()).prop_map(|(question, raw)| End::NeedsInput { question, raw }),
        (text(), raw()).prop_map(|(reason, raw)| End::Cancelled { reason, raw }),
        (text(), shared()).prop_map(|(reason, because_of)| End::Skipped { reason, because_of }),
    ]
}

fn about_attempts() -> impl Strategy<Value = Event> {
    prop_oneof![
        (attempt(), any::<u32>(), any::<usize>(), shared(), shared(), reservation()).prop_map(
            |(attempt, attempt_no, tier, model, key, reserved)| Event::AttemptPlanned {
                attempt,
                attempt_no,
                tier,
                model,
                key,
                reserved,
            }
        ),
        (attempt(), session()).prop_map(|(attempt, session)| Event::AttemptAccepted { attempt, session }),
        (attempt(), time()).prop_map(|(attempt, since)| Event::AttemptStarted { attempt, since }),
        (attempt(), text(), any::<usize>(), time()).prop_map(|(attempt, reason, limit, until)| Event::AttemptRefused {
            attempt,
            reason,
            limit,
            until,
        }),
        (attempt(), select(&STOPS[..])).prop_map(|(attempt, why)| Event::AttemptStopping { attempt, why }),
        (
            attempt(),
            outcome(),
            proptest::option::of(shared()),
            proptest::option::of(tokens()),
            proptest::option::of(dollars()),
            any::<bool>(),
            proptest::option::of(shared())
        )
            .prop_map(|(attempt, outcome, model_used, tokens, cost, truncated, answer)| Event::AttemptEnded {
                attempt,
                outcome,
                model_used,
                tokens,
                cost,
                truncated,
                answer,
            }),
        attempt().prop_map(|attempt| Event::SessionDeleted { attempt }),
        (attempt(), session(), text()).prop_map(|(attempt, session, reason)| Event::SessionLeft {
            attempt,
            session,
            reason
        }),
    ]
}

fn about_tasks() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..4_usize, text(), any::<usize>(), shared(), span()).prop_map(|(task_index, reason, tier, model, delay)| {
            Event::RetryPlanned { task_index, reason, tier, model, delay }
        }),
        (0..4_usize, end()).prop_map(|(task_index, end)| Event::TaskEnded { task_index, end }),
        (0..4_usize, select(&Cap::ALL[..]), reservation()).prop_map(|(task_index, cap, needed)| Event::BudgetReached {
            task_index,
            cap,
            needed
        }),
        (0..4_usize, select(&Status::ALL[..]), proptest::option::of(shared()))
            .prop_map(|(task_index, was, answer)| Event::TaskReopened { task_index, was, answer }),
    ]
}

fn about_the_run() -> impl Strategy<Value = Event> {
    let circuit = prop_oneof![
        shared().prop_map(Circuit::Model),
        (shared(), select(&FAILURES[..])).prop_map(|(agents, kind)| Circuit::Agents(agents, kind)),
    ];
    prop_oneof![
        any::<usize>().prop_map(|tasks| Event::RunStarted { tasks }),
        shared().prop_map(|boot| Event::RuntimeMet { boot }),
        any::<usize>().prop_map(|limit| Event::LimitRaised { limit }),
        (circuit, proptest::option::of(time())).prop_map(|(circuit, until)| Event::BreakerOpened { circuit, until }),
        span().prop_map(|idle| Event::RunResumed { idle }),
        text().prop_map(|reason| Event::StartsStopped { reason }),
        (select(&STOPS[..]), text()).prop_map(|(why, reason)| Event::Cancelled { why, reason }),
        Just(Event::RunEnded),
    ]
}

fn about_growth() -> impl Strategy<Value = Event> {
    let word = prop_oneof![
        (any::<bool>(), shared()).prop_map(|(approved, reason)| Word::Approval { approved, reason }),
        proptest::option::of(shared()).prop_map(|complaint| Word::Budget { complaint }),
        (shared(), value()).prop_map(|(task, mark)| Word::Mark { task, mark }),
    ];
    let added = (shared(), shared(), any::<i64>(), 0..4_usize).prop_map(|(brief, contract, priority, like)| {
        let like = plan().tasks()[like].clone();
        Task { brief, contract, priority, ..like }
    });
    prop_oneof![
        proptest::collection::vec(added, 0..4)
            .prop_map(|tasks| Event::TasksAdded { first: usize::MAX, tasks: tasks.into() }),
        value().prop_map(|subject| Event::ApprovalAsked { subject: subject.into() }),
        word.prop_map(|word| Event::WordGiven { word }),
        value().prop_map(|outcome| Event::OutcomeReached { outcome: outcome.into() }),
    ]
}

/// Tasks that are added stand behind the others, have ids of their own, and build on any that are there.
fn fit(event: &mut Event, tasks: &mut usize) {
    let Event::TasksAdded { first, tasks: added } = event else { return };
    *first = *tasks;
    let fitted = added.iter().map(|task| {
        let dependencies = (4..*tasks).rev().take(2).map(|index| format!("added {index}")).collect();
        let task = Task { id: format!("added {tasks}").into(), dependencies, ..task.clone() };
        *tasks += 1;
        task
    });
    *added = fitted.collect();
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let event = prop_oneof![about_attempts(), about_tasks(), about_the_run(), about_growth()];
    (any::<u64>(), event).prop_map(|(at, event)| fact(at, event))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_facts_come_back_as_they_were(groups in proptest::collection::vec(proptest::collection::vec(any_fact(), 0..40), 1..4)) {
        let folder = Folder::new();
        let mut log = create(&folder.journal(), "run").expect("a run");
        let (mut facts, mut tasks) = (Vec::new(), plan().tasks().len());
        for mut group in groups {
            for fact in &mut group {
                fit(&mut fact.event, &mut tasks);
                log.append(fact);
            }
            facts.extend(group);
            prop_assert_eq!(log.commit().expect("commits"), facts.len() as u64);
        }
        drop(log);
        let stored = open(&folder.journal()).read("run").expect("a run");
        prop_assert_eq!(stored.facts, facts);
        prop_assert_eq!(stored.plan.tasks().len(), tasks);
        prop_assert_eq!(open(&folder.journal()).runs().expect("runs")[0].tasks, tasks as u64);
    }
}
