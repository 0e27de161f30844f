"""Options of an orchestrator: where its agents run, on which models, and how often they are tried."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Gateway:
    """An OpenClaw gateway.

    Args:
        url: `ws://` or `wss://` address. Absent: `OPENCLAW_GATEWAY_URL`, `OPENCLAW_GATEWAY_PORT`, the OpenClaw
            configuration, port 18789 on this machine, in that order.
        token: The gateway's token. Absent: `OPENCLAW_GATEWAY_TOKEN`, then the OpenClaw configuration. Never shown.
        path: `"agent"` starts agents directly. `"spawn"` starts them as children through `sessions_spawn`, which
            the gateway must allow (`gateway.tools.allow`).
        allow_insecure: Allow `ws://` to another machine, where the token and all prompts can be read on the way.
        agent_id: The gateway's agent that the agents belong to. Default `main`.
    """

    url: str | None = None
    token: str | None = field(default=None, repr=False)
    path: Literal["agent", "spawn"] = "agent"
    allow_insecure: bool = False
    agent_id: str | None = None


@dataclass(frozen=True)
class Rehearsal:
    """A run with no AI: latencies, failures and prices are played from a seed. For dry runs and tests.

    Args:
        seed: The same seed plays the same run.
        latency_seconds: The median time an agent takes.
        failure_rate: The share of attempts that fail, from 0 to 1.
        agents_max: How many agents are taken at once before the runtime is busy. `None`: any number.
        speed: How much faster than real time it is played. `None`: without waiting at all.
    """

    seed: int = 0
    latency_seconds: float = 8.0
    failure_rate: float = 0.0
    agents_max: int | None = None
    speed: float | None = None


@dataclass(frozen=True)
class RetryPolicy:
    """How often an attempt is repeated. Delays are drawn evenly between 0 and a cap that doubles (full jitter).

    Args:
        attempts_max: Attempts a task may spend, over all models.
        transient_retries_max: Repeats on one model after a lost connection or a restart.
        server_error_retries_max: Repeats on one model after the provider answered 5xx.
        output_retries_max: Repeats on one model, with the objection in the prompt, after an unusable output.
        retries_share: Retries that the whole run may make, as a share of the tasks that have started: 0.1 is a tenth.
        retries_min: Retries that a run may make whatever the share says.
        delay_first_seconds: The first delay's cap, in seconds.
        delay_max_seconds: The cap that doubling never passes, in seconds.
    """

    attempts_max: int = 8
    transient_retries_max: int = 2
    server_error_retries_max: int = 1
    output_retries_max: int = 1
    retries_share: float = 0.1
    retries_min: int = 50
    delay_first_seconds: float = 1.0
    delay_max_seconds: float = 30.0


@dataclass(frozen=True)
class Budget:
    """What a run may spend. Before an attempt starts, the most that it may use is reserved; at its end it is settled.

    A cap that is reached keeps further attempts from starting and ends nothing else. An attempt that uses more than was
    reserved for it can take a run above a cap; `Orchestrator.report` tells by how much.

    Args:
        usd: US dollars, above 0. The models' prices come from their `Tier`s, or from what the gateway reports.
        tokens: Tokens of all kinds together.
        attempts: Attempts over all tasks; retries count.
        seconds: Time since the run began after which no attempt starts. What runs then is not stopped, unlike at
            `deadline_seconds`.
    """

    usd: float | None = None
    tokens: int | None = None
    attempts: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class CircuitBreaker:
    """When a model, or a type of agent that ends in one kind of failure, is left alone for a while.

    Args:
        failures_max: Tasks that fail in a row and so open a breaker; 0 turns breakers off.
        pause_seconds: How long it stays open before one attempt tries; doubled each time that fails.
        trials_max: Trials in vain after which it stays open for the rest of the run.
    """

    failures_max: int = 5
    pause_seconds: float = 30.0
    trials_max: int = 3


@dataclass(frozen=True)
class Tier:
    """A model of a hierarchy with its price.

    Args:
        model: The model, as the gateway names it: `provider/id`.
        price: US dollars per million tokens, keys `input` and `output`, optionally `cache_read` and `cache_write`.
            Absent: what the gateway reports counts.
    """

    model: str
    price: dict[str, float] | None = None


def models_fields(models: Any) -> Any:
    """`models` as the core reads it: tiers become dicts, anything else stays for the core to judge."""
    if isinstance(models, (list, tuple)):
        return [vars(tier) if isinstance(tier, Tier) else tier for tier in models]
    return models


def option_fields(option: object) -> Any:
    """An option object as a dict; anything else stays for the core to judge."""
    if isinstance(option, (Gateway, Rehearsal, RetryPolicy, Budget, CircuitBreaker)):
        return {name: value for name, value in vars(option).items() if value is not None}
    return option
