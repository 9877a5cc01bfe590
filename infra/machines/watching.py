"""The phases of a release that watch its version before it goes live, each one group of states.

Shadow? ─> Judge shadow ─> Shadow shown? ─┬─> the next phase, after the last one next_state
                ^                         ├─> Keep the reason ─> Delete what was stopped ─> stopped
                └──── Watch shadow <──────┘
"""

from __future__ import annotations

from itertools import pairwise

from infra.context import Context
from infra.machines import endpoints, states
from infra.machines.endpoints import RELEASE
from infra.machines.paths import Result
from infra.machines.states import State
from millrace.messages.climb import PhaseJudged
from millrace.release.ladder import RUNGS, Rung

PHASE = Result("judge_phase", PhaseJudged)


def watching(context: Context) -> list[Rung]:
    """The rungs of the declared phases before `live`, in their order."""
    return [rung for rung in RUNGS if rung.watches and rung.name in context.workload.rollout.phases]


def first(context: Context, *, next_state: str) -> str:
    """The state that the first phase begins with; `next_state` if none is declared."""
    return next((_ask(rung.name) for rung in watching(context)), next_state)


def phases(context: Context, *, next_state: str, stopped: str) -> dict[str, State]:
    """The states of all of them. `stopped` finds the reason in the answer of `start_release`."""
    found: dict[str, State] = {}
    rungs = watching(context)
    after = [_ask(rung.name) for rung in rungs] + [next_state]
    for rung, (ask, then) in zip(rungs, pairwise(after), strict=True):
        found |= _group(context, rung, ask, next_state=then)
    return found | (_refused(context, stopped) if rungs else {})


def _ask(name: str) -> str:
    return f"{name.capitalize()}?"


def _group(context: Context, rung: Rung, ask: str, *, next_state: str) -> dict[str, State]:
    answer, name = PHASE.path("answer"), rung.name
    return {
        ask: states.choice(
            f"Does the version pass the phase {name}?",
            [(states.is_true(RELEASE.path(f"has_{name}")), f"Judge {name}")],
            otherwise=next_state,
        ),
        f"Judge {name}": states.invoke(
            context.names.function_arn("judge_phase"),
            comment=f"Look at what is known of the version in the phase {name}, and judge it",
            result=PHASE,
            next_state=f"{name.capitalize()} shown?",
            extra={"phase": name, "at.$": "$$.State.EnteredTime"},
        ),
        f"{name.capitalize()} shown?": states.choice(
            "Is there a verdict?",
            [(states.equals(answer, "go_on"), next_state), (states.equals(answer, "stop"), "Keep the reason")],
            otherwise=f"Watch {name}",
        ),
        f"Watch {name}": states.wait(
            "Evidence comes; the live version serves on", seconds=rung.look_s, next_state=f"Judge {name}"
        ),
    }


def _refused(context: Context, stopped: str) -> dict[str, State]:
    return {
        "Keep the reason": {
            "Type": "Pass",
            "Comment": "The refusal says what was shown",
            "InputPath": PHASE.path("because"),
            "ResultPath": RELEASE.path("refusal"),
            "Next": "Delete what was stopped",
        },
        "Delete what was stopped": endpoints.delete(
            context.names.challenger, comment="It has answered; it costs by the hour", next_state=stopped
        ),
    }
