"""How a state machine of ours calls a function, and how a rule does."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict

from millrace.timestamps import moment

Moment = Annotated[datetime, AfterValidator(lambda at: moment(at.isoformat()))]
"""In UTC; a text without an offset is UTC."""


class Part(BaseModel):
    """A reader takes what it needs of the whole and lets the rest by."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Asked(Part):
    """What the state of every execution holds."""

    cause: str
    """Id of the event that started it."""
    as_of: Moment
    """The moment that the execution counts as now."""


StateT = TypeVar("StateT", bound=Asked)
DetailT = TypeVar("DetailT", bound=Part)
AnswerT = TypeVar("AnswerT", bound=Part)


class Invocation(Part, Generic[StateT]):
    """One call from a machine."""

    run: str
    """The execution's name."""
    execution: str
    """Its ARN: the holder of leases and slots."""
    state: StateT


class Envelope(Asked, Generic[DetailT]):
    """One call from a rule: which event, when, what."""

    detail: DetailT


class Answered(Part, Generic[AnswerT]):
    """Where the answer of an earlier function lies in the state."""

    answer: AnswerT
