"""The gates' verdicts as a message, for the machine, the audit table and people."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import asdict

from millrace.evaluation.gates.catalogue import passed
from millrace.evaluation.gates.gate import Verdict, unknown
from millrace.evaluation.report import Evaluation, why_outdated
from millrace.messages.train import GatesJudged, GateVerdict, NextStep
from millrace.state.pointers import Version

CHAMPION = "champion"
"""The name of a verdict that is no gate of workload.yaml. It judges the comparison with the champion, not the model."""


def judged(verdicts: Sequence[Verdict], step: NextStep | None, workload: str) -> GatesJudged:
    """The message: whether all gates passed, each verdict, one sentence for each gate, and the step that may help."""
    return GatesJudged(
        passed=passed(verdicts),
        verdicts=tuple(GateVerdict(**asdict(verdict)) for verdict in verdicts),
        sentences=tuple(f"{_word(verdict)}: {verdict.name}: {verdict.sentence}" for verdict in verdicts),
        next_step=step,
        advice=f"{step.sentence}: millrace {shlex.join(step.words)} --workload {workload}" if step else "",
    )


def outdated(report: Evaluation, live: Version | None) -> tuple[Verdict, ...]:
    """A refusing verdict if another version is live now than the one that the model was compared with. Else ()."""
    why = why_outdated(report.beside, live.version if live else "")
    return (unknown(CHAMPION, math.nan, why),) if why else ()


def _word(verdict: Verdict) -> str:
    if verdict.is_warning:
        return "passed with a warning"
    return "passed" if verdict.passed else "refused"
