"""The gates' answer, as the machine and the audit table carry it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from millrace.evaluation.gates.catalogue import passed
from millrace.evaluation.gates.verdict import Verdict
from millrace.messages.envelope import ExecutionInput, Message, StepResult


class Snapshot(Message):
    gate: Literal["baseline", "non_inferiority"]


class Evaluated(ExecutionInput):
    """The state of a train execution after its evaluation."""

    snapshot: StepResult[Snapshot]


def answer(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Whether all passed, each verdict, one sentence per gate; a number that is none becomes null."""
    return {
        "passed": passed(verdicts),
        "verdicts": [{name: _finite(value) for name, value in asdict(verdict).items()} for verdict in verdicts],
        "sentences": [
            f"{'passed' if verdict.passed else 'refused'}: {verdict.name}: {verdict.sentence}" for verdict in verdicts
        ],
    }


def _finite(value: object) -> object:
    """JSON has no NaN and no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
