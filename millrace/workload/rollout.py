"""How a version goes live: on which instances, and in which phases, in their order.

canary   a part of the new fleet takes its part of the traffic first, watched by the release's alarms
live     the new fleet takes all of it; every rollout ends here
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from millrace.evaluation.gates.gate import Positive
from millrace.workload.section import Section, Stage

Phase = Literal["canary", "live"]
PHASES: tuple[Phase, ...] = get_args(Phase)


def check_order(phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
    """The phases; raises ValueError unless they are some of PHASES in their order, `live` the last."""
    if phases[-1:] != ("live",) or phases != tuple(phase for phase in PHASES if phase in phases):
        raise ValueError(
            f"some of {list(PHASES)} in this order, each at most once, that ends with 'live'; got {list(phases)}"
        )
    return phases


Phases = Annotated[tuple[Phase, ...], AfterValidator(check_order)]
"""The phases of one rollout."""


class Rollout(Section):
    phases: Phases
    instance: dict[Stage, str]
    min_instances: Annotated[int, Field(ge=1)]
    max_instances: Annotated[int, Field(ge=1)]
    invocations_per_instance: Positive
    """Invocations per instance and minute that target tracking holds."""
