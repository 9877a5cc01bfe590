"""RedriveExecution: an execution goes on where it failed, with its own definition and input.

moto has no such operation. Here the program runs again over the journal of what it has done (`journal.py`). As on AWS:
retries count from 0 again and time limits begin anew; `$$.Execution.RedriveCount` and `RedriveTime` change, StartTime
does not; the history goes on with ExecutionRedriven; a call with the same client token is answered as before.
https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from moto.core.exceptions import AWSError
from moto.stepfunctions.exceptions import InvalidArn
from moto.stepfunctions.parser.api import ExecutionStatus, StateMachineType
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext, EventManager

from infra.local.stepfunctions.executions import LocalExecution, Redriven
from infra.local.stepfunctions.journal import scope_of

_TOKEN_LIFE = timedelta(minutes=15)
_TOKENS = 10
"""So many of the last client tokens are remembered."""


class NotRedrivableError(AWSError):
    TYPE = "ExecutionNotRedrivable"
    STATUS = 400


def redrive(execution: LocalExecution, token: str | None = None) -> datetime:
    """The time at which the execution goes on, or went on when the token arrived before.

    Raises NotRedrivableError; InvalidArn for an Express execution."""
    if execution.state_machine.type == StateMachineType.EXPRESS:
        raise InvalidArn(
            f"Invalid Arn: 'Resource type not valid in this context: express': '{execution.execution_arn}'"
        )
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
    # The order matters to those who poll: the new worker has its environment and history before the status is RUNNING
    # again, and `closed` and `ended` are cleared before it can end. The worker of before, if its thread still runs,
    # sees in `Communication.terminated` that its environment is no longer the execution's.
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
    # moto has no way to begin a history in the middle: the list and the next id are set by hand, and the first event
    # of this run links to the last one of the run before.
    events = before.get_event_history()
    env.event_manager._history_event_list.extend(events)
    env.event_manager._event_id_gen._next_id = len(events) + 1
    env.event_history_context = EventHistoryContext(previous_event_id=len(events))
