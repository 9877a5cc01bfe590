"""The envelope of the messages: how state machines and rules call functions, and where a machine keeps an answer.

A machine calls a function with `StepInput`. The state holds the input of the execution and the answers so far:

    {"run": "train-7f", "execution": "arn:…:train-7f", "state": {"cause": "…", "as_of": "…", "budget": {"answer": {…}}}}

The function returns a message. The machine keeps the message as `StepResult` in its state, under the step's name.
A rule calls a function with `Event`: {"cause": "<id of the event>", "as_of": "1997-06-01T06:00:00Z", "detail": {…}}.
A handler is written from message to message:

    @handles(StepInput[PinnedState])
    def handler(call: StepInput[PinnedState]) -> GatesJudged: ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from millrace.errors import SettingsError
from millrace.timestamps import parse_utc

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

Moment = Annotated[datetime, AfterValidator(lambda at: parse_utc(at.isoformat()))]
"""A time in UTC. A text without an offset counts as UTC."""


class Message(BaseModel):
    """Base of all messages. A message is immutable, and unknown fields in its JSON are ignored.

    Pydantic builds the validator of a class when the class is first used (`defer_build`). So a cold start of a function
    builds only the classes that the function needs. The classes of `workload.yaml` and of the reports do the same."""

    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True)


class ExecutionInput(Message):
    """The input of every execution. Each machine adds its own fields.

    Example: {"cause": "17793124-05d4-b198-2fde-7ededc63b103", "as_of": "1997-06-01T06:00:00Z"}"""

    cause: str
    """What started the execution: mostly the id of an event or of a schedule's call.

    `command`: a command of `millrace`. `console`: a person who gave no cause. After a failed release it is the ARN of
    that release. The sweep calls `cleanup` with `sweep`."""
    as_of: Moment
    """The time that counts as now in the execution."""


StateT = TypeVar("StateT", bound=ExecutionInput)
DetailT = TypeVar("DetailT", bound=Message)
MessageT = TypeVar("MessageT", bound=Message)


class StepInput(Message, Generic[StateT]):
    """One call of a function by a state machine."""

    run: str
    """The name of the calling execution."""
    execution_arn: str = Field(alias="execution")
    """The ARN of the calling execution. Leases and slots have it as their holder."""
    state: StateT
    """The machine's whole state: the input of the execution and the answers of earlier steps."""


class Event(ExecutionInput, Generic[DetailT]):
    """One call of a function by a rule: the event's id is `cause`, its time is `as_of`."""

    detail: DetailT


class StepResult(Message, Generic[MessageT]):
    """The answer of an earlier step. The state has it under the step's name: {"budget": {"answer": {…}}}."""

    answer: MessageT


def read_message(message: type[MessageT], text: str | bytes, where: str) -> MessageT:
    """The message in the text of a file. Raises SettingsError, which names the field, if the text does not fit."""
    try:
        return message.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "(file)"
        raise SettingsError(where=where, field=field, expected=first["msg"], came=first["input"]) from None


InputT = TypeVar("InputT", bound=Message)
Handler = Callable[[Mapping[str, Any], "LambdaContext"], dict[str, Any]]


def handles(message: type[InputT]) -> Callable[[Callable[[InputT], Message]], Handler]:
    """The decorator that makes a Lambda handler of a function from message to message.

    The handler parses the event as `message` and answers the returned message as JSON. It raises pydantic's
    ValidationError if the event does not fit."""

    def decorate(function: Callable[[InputT], Message]) -> Handler:
        @wraps(function)
        def handler(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, Any]:
            return function(message.model_validate(event)).model_dump(mode="json")

        return handler

    return decorate


DELIVERED_WITHIN = timedelta(hours=1)
"""The time from the event to the last attempt of EventBridge. Without this setting a rule tries for a day.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html"""
DELIVERY_RETRIES = 8
"""The most attempts after the first one, within DELIVERED_WITHIN."""
