"""The machine `teardown`: the call of one step and its answer."""

from __future__ import annotations

from typing import Literal

from millrace.messages.envelope import ExecutionInput, Message, StepInput

TeardownStep = Literal["starters", "running", "endpoints", "versions", "tables"]

TEARDOWN_ERROR = "Teardown"
"""The error of executions that a teardown stopped: nothing is brought back after them."""


class TeardownStepInput(StepInput[ExecutionInput]):
    """A machine's call, with the step that it has come to."""

    step: TeardownStep


class TeardownStepDone(Message):
    """Answer of `teardown`."""

    found: int
    """Resources that the step found; 0 ends the step."""
