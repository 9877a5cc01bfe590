"""Rule: loops that wait for something look seldom enough, since an execution ends at 25,000 events.

They must stay below that for as long as they may last. A Retry on an error of the function itself is such a loop. A
Retry on an error of the service is rare and does not count.

https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import networkx

from millrace.infra.rules.assembly import Finding, Machine, Stack, machines

MOST = 25_000
EVENTS = {"Task": 5, "Map": 5, "Parallel": 5}
"""Events of a state: entered, scheduled, started, succeeded, exited. States of other types are entered and exited."""
OF_AN_ATTEMPT = 3
"""Events that each attempt of a Retry adds: scheduled, started, failed."""
BOUNDED_S = {"describeEndpoint": 8 * 3600, "EndpointChangingError": 8 * 3600}
"""Seconds after which a loop on this call or error ends: MaximumExecutionTimeoutInSeconds of a deployment."""
BOUNDED_STATES_S = {"Judge canary": 4 * 24 * 3600, "Labels left?": 1_000 * 10}
"""Seconds after which a loop with this state ends: the most that `rollout.canary.limit_days` may be, and the pauses
between the most portions of labels (MOST_PORTIONS, PAUSE_S of `millrace.messages.train`)."""


@dataclass(frozen=True, kw_only=True)
class Loop:
    """States that lead back to each other, with a Wait among them; or a single state that is tried again."""

    states: frozenset[str]
    lap_s: float
    """Seconds of one lap; 0 without a Wait."""
    events: int
    """Events of one lap."""
    bound_s: float
    """Seconds after which the loop ends by itself; infinite if nothing ends it."""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each machine that may have a full history before its timeout, and for each loop without a Wait."""
    for machine in machines(stacks):
        found = loops_of(machine)
        for loop in found:
            if not loop.lap_s:
                expected = "a Wait of known seconds in every loop"
                yield Finding(where=machine.where, expected=expected, came=sorted(loop.states))
        timeout = machine.definition.get("TimeoutSeconds")
        if timeout is None:
            yield Finding(where=machine.where, expected="TimeoutSeconds", came=None)
        elif (most := longest_history(machine, found, timeout)) > MOST:
            yield Finding(where=machine.where, expected=f"{MOST} events at most within {timeout} s", came=most)


def loops_of(machine: Machine) -> list[Loop]:
    """All loops of the machine."""
    return [*_loops(machine), *_polls(machine)]


def longest_history(machine: Machine, loops: Sequence[Loop], timeout_s: float) -> int:
    """The most events of an execution: each state once, and all of its time in loops, the busiest loops first."""
    # The loop with the most events in a second runs first, for as long as it may. The next one gets the time that is
    # left.
    events = float(sum(_events(state) for state in machine.definition["States"].values()))
    left_s = float(timeout_s)
    for loop in sorted((one for one in loops if one.lap_s), key=lambda one: one.events / one.lap_s, reverse=True):
        spent_s = min(left_s, loop.bound_s)
        events += spent_s / loop.lap_s * loop.events
        left_s -= spent_s
    return round(events)


def _loops(machine: Machine) -> Iterator[Loop]:
    """The loops of states: groups of states that all reach each other, so nested loops count as one."""
    states: Mapping[str, Mapping[str, Any]] = machine.definition["States"]
    steps = networkx.DiGraph((name, after) for name, state in states.items() for after in _next(state))
    for group in networkx.strongly_connected_components(steps):
        if steps.subgraph(group).edges:  # else it is one state that does not follow itself
            yield _loop({name: states[name] for name in group})


def _polls(machine: Machine) -> Iterator[Loop]:
    """The retriers on errors of functions, each as a loop of its own state."""
    for name, state in machine.definition["States"].items():
        for retry in state.get("Retry", ()):
            # An error of a function has the name of a class. AWS's are named `Lambda.Unknown` or `ThrottlingException`.
            ours = [error for error in retry["ErrorEquals"] if error.isidentifier() and error.endswith("Error")]
            if ours:
                yield Loop(
                    states=frozenset({name}),
                    lap_s=retry.get("IntervalSeconds", 1),
                    events=OF_AN_ATTEMPT,
                    bound_s=max(BOUNDED_S.get(error, float("inf")) for error in ours),
                )


def _loop(states: Mapping[str, Mapping[str, Any]]) -> Loop:
    # The shortest Wait and every state of the group make a lap: that is a bound on the events, not their number.
    waits = [state.get("Seconds", 0) for state in states.values() if state["Type"] == "Wait"]
    actions = {str(state.get("Resource", "")).rpartition(":")[2] for state in states.values()}
    bounds = [BOUNDED_S[action] for action in actions & BOUNDED_S.keys()]
    bounds += [BOUNDED_STATES_S[name] for name in states.keys() & BOUNDED_STATES_S.keys()]
    return Loop(
        states=frozenset(states),
        lap_s=min(waits, default=0),
        events=sum(_events(state) for state in states.values()),
        bound_s=min(bounds, default=float("inf")),
    )


def _events(state: Mapping[str, Any]) -> int:
    inner = state.get("ItemProcessor", {}).get("States", {}).values()
    return EVENTS.get(state["Type"], 2) + sum(map(_events, inner))


def _next(state: Mapping[str, Any]) -> set[str]:
    after = [state, *state.get("Choices", []), *state.get("Catch", [])]
    return {one["Next"] for one in after if "Next" in one} | ({state["Default"]} if "Default" in state else set())
