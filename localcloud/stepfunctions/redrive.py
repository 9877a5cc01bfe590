"""The operation RedriveExecution: an execution goes on where it failed, with its own definition and input.

moto has no such operation. Here the program runs again over the journal of what it has done (`journal.py`). As on AWS:

- Retries count from 0 again, and time limits begin anew.
- `$$.Execution.RedriveCount` and `$$.Execution.RedriveTime` change, `$$.Execution.StartTime` stays.
- The history goes on with the event ExecutionRedriven.
- A call with the same client token gets the answer of the first one.

https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from moto.core.exceptions import AWSError
from moto.stepfunctions.exceptions import InvalidArn
from moto.stepfunctions.parser.api import ExecutionStatus, StateMachineType
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext, EventManager

from localcloud.stepfunctions.executions import LocalExecution, Redriven
from localcloud.stepfunctions.journal import scope_of

_TOKEN_LIFE = timedelta(minutes=15)
"""How long a client token is known, on the cloud's clock."""
_TOKENS = 10
"""The most client tokens that an execution keeps."""


class NotRedrivableError(AWSError):
    """AWS's answer to a redrive that is not possible; the message says why."""

    TYPE = "ExecutionNotRedrivable"
    STATUS = 400


def redrive(execution: LocalExecution, token: str | None = None) -> datetime:
    """Redrive the execution, and return the time of the redrive on the cloud's clock.

    If the client token is known, nothing happens and the earlier time is returned.

    Raises NotRedrivableError if the execution cannot be redriven, and InvalidArn if it is an Express execution."""
    if execution.state_machine.type == StateMachineType.EXPRESS:
        raise InvalidArn(
            f"Invalid Arn: 'Resource type not valid in this context: express': '{execution.execution_arn}'"
        )
    # One redrive at a time: of two at once the second one finds the execution running, or its token known.
    with execution.redriving:
        now = execution.cloud.clock.now()
        known = execution.redrive_tokens.get(token or "")
        if known is not None and now - known < _TOKEN_LIFE:
            return known
        reason = execution.why_not_redrivable()
        if reason is not None:
            raise NotRedrivableError(f"Execution {execution.execution_arn} invalid for redrive as: {reason}")
        if token:
            kept = [*execution.redrive_tokens.items(), (token, now)][-_TOKENS:]
            execution.redrive_tokens = dict(kept)
        _go_on(execution, now)
        return now


def _go_on(execution: LocalExecution, now: datetime) -> None:
    """Start a new worker over the journal and the history of the run before."""
    # The order matters to whoever polls. The new worker has its environment and history before the status is RUNNING
    # again; `closed` and `ended` are cleared before the worker can end. If the thread of the former worker still runs,
    # it sees in `Communication.terminated` that its environment is no longer the execution's.
    before: Any = execution.env
    execution.earlier_tokens.append(before.callback_pool_manager)
    execution.redrive_count += 1
    execution.redrive_date = now
    execution.stop_date = execution.output = execution.error = execution.cause = None
    worker = execution.make_worker(Redriven)
    env: Any = worker._get_evaluation_environment()
    env.scope = scope_of(before).for_redrive()
    worker.env = env
    _continue_history(before.event_manager, env)
    execution.exec_worker = worker
    execution.exec_status = ExecutionStatus.RUNNING
    execution.closed = False
    execution.ended.clear()
    execution.put_status_event()
    worker.start()


def _continue_history(before: EventManager, env: Any) -> None:
    """Let the history of the new environment begin with the events of the run before.

    Example: 11 events that end with ExecutionFailed. ExecutionRedriven becomes event 12, with previousEventId 11."""
    # moto cannot begin a history in the middle, so its private list and its next id are set by hand. May go when moto
    # has RedriveExecution.
    events = before.get_event_history()
    env.event_manager._history_event_list.extend(events)
    env.event_manager._event_id_gen._next_id = len(events) + 1
    env.event_history_context = EventHistoryContext(previous_event_id=len(events))
