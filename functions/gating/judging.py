"""The gates' verdicts as a message: what the machine, the audit table and people read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from millrace.evaluation.gates.catalogue import passed
from millrace.evaluation.gates.gate import Verdict
from millrace.messages.train import GatesJudged, GateVerdict


def judged(verdicts: Sequence[Verdict]) -> GatesJudged:
    """Whether all passed, each verdict, one sentence per gate."""
    return GatesJudged(
        passed=passed(verdicts),
        verdicts=tuple(GateVerdict(**asdict(verdict)) for verdict in verdicts),
        sentences=tuple(f"{_word(verdict)}: {verdict.name}: {verdict.sentence}" for verdict in verdicts),
    )


def _word(verdict: Verdict) -> str:
    if verdict.is_warning:
        return "passed with a warning"
    return "passed" if verdict.passed else "refused"
