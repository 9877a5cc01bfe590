"""Start a run by hand, as "New execution" in AWS's console does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from console.queries.runs import Run
from millrace.errors import EnvironmentNotFoundError
from millrace.names import WorkloadNames

COMMAND = "command"
"""The `cause` of a run that a person started."""


def start(
    states: Any,
    names: WorkloadNames,
    machine: str,
    *,
    as_of: datetime | None = None,
    more: Mapping[str, Any] | None = None,
) -> Run:
    """The run that was started. `as_of` is the moment that the run counts as now; without it that is its start.

    `more` are further fields of the machine's input. `states` is boto3's Step Functions client.
    Raises EnvironmentNotFoundError if the machine is not deployed."""
    given = {"cause": COMMAND, **({"as_of": as_of.isoformat()} if as_of else {}), **(more or {})}
    try:
        started_execution = states.start_execution(stateMachineArn=names.machine_arn(machine), input=json.dumps(given))
    except states.exceptions.StateMachineDoesNotExist:
        raise EnvironmentNotFoundError(
            f"expected the machine {names.machine(machine)}, got none: is it deployed?"
        ) from None
    arn = started_execution["executionArn"]
    return Run(
        arn=arn,
        machine=machine,
        name=arn.rpartition(":")[2],
        status="RUNNING",
        started=started_execution["startDate"],
        stopped=None,
        redrives=0,
    )
