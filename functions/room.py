"""What a function of a workload finds at its cold start: settings, names, declaration, log, items of state, audit.

    ROOM = Room(Environment.parse(), __name__)

    @ROOM.handles(StepInput[PinnedState])
    def handler(call: StepInput[PinnedState]) -> GatesJudged: ...

A function that reads the declaration has a `WorkloadRoom`; many start without it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import boto3
from aws_lambda_powertools import Logger

from millrace.messages.audit import AuditEvent
from millrace.messages.envelope import ExecutionInput, Handler, InputT, Message, StepInput, handles
from millrace.settings.environment import Environment
from millrace.state.audit import Record, append
from millrace.state.holdings import Leases
from millrace.state.pointers import ReleasePointers
from millrace.state.table import StateTable

if TYPE_CHECKING:
    from millrace.messages.events import BusEvent
    from millrace.workload.declaration import Workload

SettingsT = TypeVar("SettingsT", bound=Environment)


class Room(Generic[SettingsT]):
    """The room of one function. `handler` is the name of its module, `millrace.functions.<function>.handler`.

    All of it is made before the first call, as Lambda runs what is outside of the handler once, at the cold start."""

    def __init__(self, settings: SettingsT, handler: str) -> None:
        self.settings, self.names = settings, settings.names
        self.logger, self.function = Logger(), handler.split(".")[-2]
        self.dynamodb: Any = boto3.client("dynamodb")
        self.state = StateTable(self.dynamodb, self.names)
        self.pointers, self.leases = ReleasePointers(self.state), Leases(self.state)

    def handles(self, message: type[InputT]) -> Callable[[Callable[[InputT], Message]], Handler]:
        """The decorator that makes a Lambda handler of a function from message to message; its log names the call."""
        return lambda function: self.logger.inject_lambda_context(handles(message)(function))

    def audit(
        self, event: AuditEvent, details: Message, call: StepInput[Any], *, as_of: datetime | None = None
    ) -> None:
        """Add a record of this function about the calling execution, by its time if no other is given."""
        self.record(event, details, by=call.execution_arn, as_of=as_of or call.state.as_of, cause=call.state.cause)

    def audit_request(self, event: AuditEvent, details: Message, request: ExecutionInput) -> None:
        """Add a record of this function about the request of a person, who called it without an execution."""
        by = f"{self.names.function_arn(self.function)}:{request.cause}"
        self.record(event, details, by=by, as_of=request.as_of, cause=request.cause)

    def record(self, event: AuditEvent, details: Message, *, by: str, as_of: datetime, cause: str) -> None:
        """Add a record of this function about the execution `by`, or the function that a person called."""
        kept = Record(actor=self.function, execution_arn=by, event=event, as_of=as_of, cause=cause, details=details)
        append(self.dynamodb, table=self.names.platform.audit_table, workload=self.names.workload, record=kept)

    @cached_property
    def events(self) -> Any:
        """boto3's EventBridge client, which few functions need."""
        return boto3.client("events")

    def tell(self, event: type[BusEvent], *, cause: str, run: str = "", **detail: Any) -> None:
        """Put an event of the execution `run` on the stage's bus, without one of this function.

        Raises QueueError if the bus refuses it."""
        from millrace.aws.bus import put_event  # its imports are those of all events

        by = run or self.names.function_arn(self.function)
        put_event(self.events, self.names.platform, event(workload=self.names.workload, run=by, cause=cause, **detail))


class WorkloadRoom(Room[SettingsT]):
    """The room of a function that reads the declaration."""

    def __init__(self, settings: SettingsT, handler: str) -> None:
        from millrace.workload.load import load_workload  # many functions start without it

        super().__init__(settings, handler)
        self.workload: Workload = load_workload(settings.folder)
