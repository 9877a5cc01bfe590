"""How state machines and rules call functions, and the place of a step's answer in a machine's state.

A machine calls a function with `StepInput`:

    {"run": "train-7f", "execution": "arn:…:train-7f", "state": {"cause": "…", "as_of": "…", "budget": {"answer": {…}}}}

The function returns a message; the machine keeps it as `StepResult` under the step's name.

    @handles(StepInput[Evaluated])
    def handler(call: StepInput[Evaluated]) -> Gated: ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from millrace.timestamps import parse_utc

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

Moment = Annotated[datetime, AfterValidator(lambda at: parse_utc(at.isoformat()))]
"""In UTC; a text without an offset is UTC."""


class Message(BaseModel):
    """Base of all messages: immutable, and unknown fields are ignored.

    A class is built when it is first used, here and in what `workload.yaml` and the reports are made of: a cold start
    of a function builds those alone that the function needs."""

    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True)


class ExecutionInput(Message):
    """The input of every execution; each machine adds its own fields."""

    cause: str
    """Id of the event that started the execution; `command` for a command of ours, `console` for an input by hand."""
    as_of: Moment
    """The time that the execution counts as now."""


StateT = TypeVar("StateT", bound=ExecutionInput)
DetailT = TypeVar("DetailT", bound=Message)
MessageT = TypeVar("MessageT", bound=Message)


class StepInput(Message, Generic[StateT]):
    """One call of a function by a state machine."""

    run: str
    """The name of the execution that calls."""
    execution_arn: str = Field(alias="execution")
    """Its ARN: the holder of leases and slots."""
    state: StateT


class Event(ExecutionInput, Generic[DetailT]):
    """One call of a function by a rule: the event's id (`cause`), time (`as_of`) and detail."""

    detail: DetailT


class StepResult(Message, Generic[MessageT]):
    """The answer of an earlier step, in the state under the step's name."""

    answer: MessageT


InputT = TypeVar("InputT", bound=Message)
Handler = Callable[[Mapping[str, Any], "LambdaContext"], dict[str, Any]]


def handles(message: type[InputT]) -> Callable[[Callable[[InputT], Message]], Handler]:
    """Make a function from message to message a Lambda handler.

    The event is parsed as `message` (pydantic's ValidationError when it does not fit); the answer goes out as JSON."""

    def decorate(function: Callable[[InputT], Message]) -> Handler:
        @wraps(function)
        def handler(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, Any]:
            return function(message.model_validate(event)).model_dump(mode="json")

        return handler

    return decorate
