"""Starting an execution exactly once, while there is a slot for it."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from functions.intake.events import Start
from millrace.errors import ConflictError
from millrace.names import WorkloadNames
from millrace.state.table import State


def start(states: Any, state: State, names: WorkloadNames, wanted: Start, *, slots: int) -> bool:
    """Whether an execution was started or runs already; False when the object had its execution before.

    `states` is boto3's Step Functions client. Raises ConflictError when every slot is taken: the message comes
    again. The function `cleanup` frees a slot when its execution ends."""
    holder = names.execution_arn(wanted.machine, wanted.name)
    if not state.take_slot(wanted.machine, holder=holder, limit=slots):
        raise ConflictError(f"{names.machine(wanted.machine)}: expected a free slot of {slots}, all are taken")
    try:
        states.start_execution(stateMachineArn=names.machine_arn(wanted.machine), name=wanted.name, input=wanted.input)
    except states.exceptions.ExecutionAlreadyExists:
        return _runs(states, state, holder)
    except (BotoCoreError, ClientError):
        state.free(holder)
        raise
    return True


def _runs(states: Any, state: State, holder: str) -> bool:
    """Whether the execution of this name runs still; the slot of one that has ended was freed, and is again."""
    if states.describe_execution(executionArn=holder)["status"] in ("RUNNING", "PENDING_REDRIVE"):
        return True
    state.free(holder)
    return False
