"""The message of the machine `teardown`: the answer of its function."""

from __future__ import annotations

from typing import Literal

from millrace.messages.envelope import Message

TeardownStep = Literal["starters", "running", "endpoints", "versions", "tables"]

TEARDOWN_ERROR = "Teardown"
"""The error of an execution that a teardown stopped. After such an error nothing is restored."""


class TeardownStepDone(Message):
    """The answer of `teardown`: {"found": 2}."""

    found: int
    """Resources that the first step found that found any. The machine calls again until this is 0."""
