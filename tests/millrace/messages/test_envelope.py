from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import ValidationError

from millrace.messages.envelope import ExecutionInput, Message, StepInput, handles

CONTEXT = cast("Any", SimpleNamespace())
CALL = {"run": "r", "execution": "arn:r", "state": {"cause": "e-1", "as_of": "2026-01-05T10:00:00Z", "else": 1}}


class Echo(Message):
    at: Any
    execution: str


@handles(StepInput[ExecutionInput])
def handler(call: StepInput[ExecutionInput]) -> Echo:
    """The execution and its time."""
    return Echo(at=call.state.as_of, execution=call.execution_arn)


def test_a_handler_gets_the_parsed_message_and_returns_json() -> None:
    assert handler(CALL, CONTEXT) == {"at": "2026-01-05T10:00:00Z", "execution": "arn:r"}
    assert handler.__doc__ == "The execution and its time."


def test_an_event_that_does_not_fit_stops_before_the_function() -> None:
    with pytest.raises(ValidationError, match="cause"):
        handler(CALL | {"state": {"as_of": "2026-01-05T10:00:00Z"}}, CONTEXT)
