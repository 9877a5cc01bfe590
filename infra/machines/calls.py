"""One call of an AWS API as a state of a machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.machines import states
from infra.machines.parameters import checked
from infra.machines.states import State


def call(
    action: str,
    comment: str,
    parameters: Mapping[str, Any],
    *,
    next_state: str,
    result: str | None = None,
    selected: Mapping[str, str] | None = None,
) -> State:
    """The task `aws-sdk:<action>`. The fields that `selected` takes of the answer are then at `$.<result>`.

    Raises ConfigurationError if the API does not take the parameters."""
    return checked(
        {
            "Type": "Task",
            "Comment": comment,
            "Resource": states.integration(f"aws-sdk:{action}"),
            "Parameters": dict(parameters),
            **({"ResultSelector": dict(selected)} if selected else {}),
            "ResultPath": f"$.{result or 'called'}",  # never null: CDK would drop it, and the answer the state
            "Retry": [states.retry("States.TaskFailed", interval_s=5, attempts=3)],
            "Next": next_state,
        }
    )
