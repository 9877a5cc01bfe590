"""The phase `shadow` of a release: the challenger answers copies, and every two hours what is known is judged.

Shadow? ─> Judge phase ─> What now? ─┬─> next_state
               ^                     ├─> Keep the reason ─> Delete what was stopped ─> stopped
               └─── Watch on <───────┘
"""

from __future__ import annotations

from infra.context import Context
from infra.machines import endpoints, states
from infra.machines.endpoints import RELEASE
from infra.machines.paths import Result
from infra.machines.states import State
from millrace.messages.climb import PhaseJudged

PHASE = Result("judge_phase", PhaseJudged)
LOOK_S = 7200
"""Seconds between two looks."""


def shadow(context: Context, *, next_state: str, stopped: str) -> dict[str, State]:
    """The states. `stopped` finds the reason in the answer of `start_release`."""
    answer = PHASE.path("answer")
    return {
        "Shadow?": states.choice(
            "Does the version answer copies first?",
            [(states.is_true(RELEASE.path("has_shadow")), "Judge phase")],
            otherwise=next_state,
        ),
        "Judge phase": states.invoke(
            context.names.function_arn("judge_phase"),
            comment="The challenger answers copies of what the live version has answered; labels that have come decide",
            result=PHASE,
            next_state="What now?",
            extra={"phase": "shadow", "at.$": "$$.State.EnteredTime"},
        ),
        "What now?": states.choice(
            "Do the labels show something?",
            [(states.equals(answer, "go_on"), next_state), (states.equals(answer, "stop"), "Keep the reason")],
            otherwise="Watch on",
        ),
        "Watch on": states.wait(
            "Rows and labels come; nobody gets the challenger's answers", seconds=LOOK_S, next_state="Judge phase"
        ),
        "Keep the reason": {
            "Type": "Pass",
            "Comment": "The refusal says what the labels have shown",
            "InputPath": PHASE.path("because"),
            "ResultPath": RELEASE.path("refusal"),
            "Next": "Delete what was stopped",
        },
        "Delete what was stopped": endpoints.delete(
            context.names.challenger, comment="It has answered; it costs by the hour", next_state=stopped
        ),
    }
