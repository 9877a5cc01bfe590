"""The gates' verdicts as a message: what the machine, the audit table and people read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

from millrace.evaluation.gates.catalogue import passed
from millrace.evaluation.gates.gate import Verdict, unknown
from millrace.evaluation.report import Evaluation, why_outdated
from millrace.messages.train import GatesJudged, GateVerdict
from millrace.state.pointers import Version

CHAMPION = "champion"
"""Not a gate of workload.yaml: it judges the comparison, not the model."""


def judged(verdicts: Sequence[Verdict]) -> GatesJudged:
    """Whether all passed, each verdict, one sentence per gate."""
    return GatesJudged(
        passed=passed(verdicts),
        verdicts=tuple(GateVerdict(**asdict(verdict)) for verdict in verdicts),
        sentences=tuple(f"{_word(verdict)}: {verdict.name}: {verdict.sentence}" for verdict in verdicts),
    )


def outdated(report: Evaluation, live: Version | None) -> tuple[Verdict, ...]:
    """A refusal where the model was evaluated beside another version than the one that is live now; else nothing."""
    why = why_outdated(report.beside, live.version if live else "")
    return (unknown(CHAMPION, math.nan, why),) if why else ()


def _word(verdict: Verdict) -> str:
    if verdict.is_warning:
        return "passed with a warning"
    return "passed" if verdict.passed else "refused"
