"""The gates' verdicts as a message, for the machine, the audit table and people."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from millrace.evaluation.gates.catalogue import passed
from millrace.evaluation.gates.gate import Verdict, unknown
from millrace.evaluation.report import Evaluation, why_outdated
from millrace.evaluation.reuse import ComparedDays
from millrace.messages.train import GatesJudged, GateVerdict, NextStep
from millrace.state.audit import Record
from millrace.state.pointers import Version

CHAMPION = "champion"
"""The name of a verdict that is no gate of workload.yaml. It judges the comparison with the champion, not the model."""


def count_candidates(days: ComparedDays, records: Iterable[Record], *, run: str) -> int:
    """How many models were judged on these days, that of the `run` included.

    Another one counts if it was judged on more than half of them."""
    others = [(one.run, one.details) for one in records if isinstance(one.details, GatesJudged) and one.run != run]
    return 1 + len({other for other, told in others if days.are_shared(told.tested_from, told.tested_to)})


def judged(
    verdicts: Sequence[Verdict], step: NextStep | None, workload: str, *, days: ComparedDays, candidates: int
) -> GatesJudged:
    """The message: whether all gates passed, each verdict, one sentence for each gate, and the step that may help."""
    return GatesJudged(
        passed=passed(verdicts),
        verdicts=tuple(GateVerdict(**asdict(verdict)) for verdict in verdicts),
        sentences=tuple(f"{_word(verdict)}: {verdict.name}: {verdict.sentence}" for verdict in verdicts),
        next_step=step,
        advice=f"{step.sentence}: millrace {shlex.join(step.words)} --workload {workload}" if step else "",
        tested_from=days.begin,
        tested_to=days.end,
        candidates=candidates,
    )


def outdated(report: Evaluation, live: Version | None) -> tuple[Verdict, ...]:
    """A refusing verdict if another version is live now than the one that the model was compared with. Else ()."""
    why = why_outdated(report.beside, live.version if live else "")
    return (unknown(CHAMPION, math.nan, why),) if why else ()


def _word(verdict: Verdict) -> str:
    if verdict.is_warning:
        return "passed with a warning"
    return "passed" if verdict.passed else "refused"
