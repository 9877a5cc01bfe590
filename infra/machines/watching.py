"""The phases of a release that watch its version, each one group of states: before it goes live, and while the version
before stays warm.

Shadow? ─> Judge shadow ─> Shadow shown? ─┬─> the next phase, after the last one next_state
                ^                         ├─> Keep the reason ─> Delete what was stopped ─> stopped
                └──── Watch shadow <──────┘
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from millrace.infra.context import Context
from millrace.infra.iam import step_functions
from millrace.infra.iam.resource import Statement
from millrace.infra.machines import endpoints, states
from millrace.infra.machines.calls import start_execution
from millrace.infra.machines.endpoints import RELEASE
from millrace.infra.machines.paths import Result, path
from millrace.infra.machines.states import State
from millrace.messages.climb import PhaseJudged
from millrace.messages.release import UpdateState
from millrace.release.ladder import RUNGS, Rung

PHASE = Result("judge_phase", PhaseJudged, "Look at what is known of the version in this phase, and judge it")
WARM_POLLS_S = 900
"""Seconds between two looks whether the version before is warm."""
HAS_WARM = RELEASE.path("has_warm")
"""The path that says whether the version before stays warm once this one is live."""


def watching(context: Context) -> list[Rung]:
    """The rungs of the declared phases before `live`, in their order."""
    return [rung for rung in RUNGS[:-1] if rung.name in context.workload.rollout.phases]


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
    return {
        ask: states.whether(
            f"Does the version pass the phase {rung.name}?",
            RELEASE.path(f"has_{rung.name}"),
            yes=f"Judge {rung.name}",
            no=next_state,
        ),
        **_looks(context, rung, {"go_on": next_state, "stop": "Keep the reason"}),
    }


def warm(context: Context, *, next_state: str) -> dict[str, State]:
    """The states after a version went live, that begin with `Is one warm?`. The version before answers copies for its
    declared hours, at the challenger's endpoint; if labels show that it was better, its rollback starts.

    The release has the lease so long. Another one takes it over (`start_release`), and the endpoint with it. A function
    has every version at hand, so nothing is made for it and nothing is deleted."""
    if not context.workload.rollout.warm_hours:
        return {}
    name, hosted = context.names.challenger, context.workload.rollout.has_no_endpoint
    ended = next_state if hosted else "Delete what was warm"
    served = {
        "Warm config": states.put(
            "The version before is served as it was, at the challenger's endpoint",
            "$.warm_config",
            Parameters={"name.$": path(UpdateState, "live_fleet", "config")},
            next_state="Update warm",
        ),
        "Update warm": endpoints.update(
            name, config="warm_config", comment="It answers copies, and is there to come back", next_state="Warm wait"
        ),
        **endpoints.until_in_service(
            context, name, prefix="Warm", config="warm_config", ready="Judge live", failed=ended, poll_s=WARM_POLLS_S
        ),
        ended: endpoints.delete(name, comment="Its hours are over; it costs by the hour", next_state=next_state),
    }
    return {
        "Is one warm?": states.whether(
            "Does the version before stay warm?",
            HAS_WARM,
            yes="Judge live" if hosted else "Warm config",
            no=next_state,
        ),
        **({} if hosted else served),
        **_looks(context, RUNGS[-1], {"go_on": ended, "stop": "Roll back", "overtaken": next_state}),
        "Roll back": start_execution(
            context.names.machine_arn("release"),
            "Labels show that the version before was better: its release takes over from here",
            {
                "cause.$": "$$.Execution.Id",
                "rollback": {
                    "reason.$": PHASE.path("because"),
                    "who": "judge_phase",
                    "to.$": RELEASE.path("previous_version"),
                },
            },
            result="rolls_back",
            next_state="Goes back",
            waits=False,
        ),
        "Goes back": states.succeed("The version was live; another execution brings the one before back"),
    }


def statements(context: Context) -> list[Statement]:
    """The rights of the machine for these states."""
    return (
        [step_functions.machines(context.names, "release").may("StartExecution")]
        if context.workload.rollout.warm_hours
        else []
    )


def _looks(context: Context, rung: Rung, after: Mapping[str, str]) -> dict[str, State]:
    """Judge, wait and judge again, until there is a verdict. `after` has the state that follows each."""
    answer, name = PHASE.path("answer"), rung.name
    return {
        f"Judge {name}": states.invoke(
            context, PHASE, next_state=f"{name.capitalize()} shown?", phase=name, **{"at.$": "$$.State.EnteredTime"}
        ),
        f"{name.capitalize()} shown?": states.choice(
            "Is there a verdict?",
            [(states.equals(answer, verdict), state) for verdict, state in after.items()],
            otherwise=f"Watch {name}",
        ),
        f"Watch {name}": states.wait(
            "Evidence comes; the live version serves on", seconds=rung.look_s, next_state=f"Judge {name}"
        ),
    }


def _refused(context: Context, stopped: str) -> dict[str, State]:
    return {
        "Keep the reason": states.put(
            "The refusal says what was shown",
            RELEASE.path("refusal"),
            InputPath=PHASE.path("because"),
            next_state="Delete what was stopped",
        ),
        "Delete what was stopped": endpoints.delete(
            context.names.challenger, comment="It has answered; it costs by the hour", next_state=stopped
        ),
    }
