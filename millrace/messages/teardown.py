"""The messages of the machine `teardown`: the call of the function for one step, and its answer."""

from __future__ import annotations

from typing import Literal

from millrace.messages.envelope import ExecutionInput, Message, StepInput

TeardownStep = Literal["starters", "running", "endpoints", "versions", "tables"]

TEARDOWN_ERROR = "Teardown"
"""The error of an execution that a teardown stopped. After such an error nothing is restored."""


class TeardownStepInput(StepInput[ExecutionInput]):
    """The machine's call for one step: {"run": "…", "execution": "arn:…", "step": "endpoints", "state": {…}}."""

    step: TeardownStep


class TeardownStepDone(Message):
    """The answer of `teardown`: {"found": 2}."""

    found: int
    """Resources that the step found. The machine repeats the step until this is 0."""
