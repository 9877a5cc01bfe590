"""How state machines and rules call functions, and where a step's answer lies in a machine's state.

A machine calls a function with `StepInput`:

    {"run": "train-7f", "execution": "arn:…:train-7f", "state": {"cause": "…", "as_of": "…", "budget": {"answer": {…}}}}

The function returns a message; the machine keeps it as `StepResult` under the step's name.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict

from millrace.timestamps import moment

Moment = Annotated[datetime, AfterValidator(lambda at: moment(at.isoformat()))]
"""In UTC; a text without an offset is UTC."""


class Message(BaseModel):
    """Base of all messages: immutable, and unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ExecutionInput(Message):
    """The input of every execution; each machine adds its own fields."""

    cause: str
    """Id of the event that started the execution; `console` when a person did."""
    as_of: Moment
    """The time that the execution counts as now."""


StateT = TypeVar("StateT", bound=ExecutionInput)
DetailT = TypeVar("DetailT", bound=Message)
MessageT = TypeVar("MessageT", bound=Message)


class StepInput(Message, Generic[StateT]):
    """One call of a function by a state machine."""

    run: str
    """The execution's name."""
    execution: str
    """The execution's ARN: the holder of leases and slots."""
    state: StateT


class Event(ExecutionInput, Generic[DetailT]):
    """One call of a function by a rule: the event's id (`cause`), time (`as_of`) and detail."""

    detail: DetailT


class StepResult(Message, Generic[MessageT]):
    """The answer of an earlier step, in the state under the step's name."""

    answer: MessageT
