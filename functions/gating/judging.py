"""The gates' verdicts as a message, for the machine, the audit table and people."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from millrace.evaluation.gates.catalogue import passed
from millrace.evaluation.gates.gate import Verdict, unknown
from millrace.evaluation.report import Evaluation, why_outdated
from millrace.messages.train import GatesJudged, GateVerdict, NextStep
from millrace.state.audit import Record
from millrace.state.pointers import Version
from millrace.timestamps import parse_utc

CHAMPION = "champion"
"""The name of a verdict that is no gate of workload.yaml. It judges the comparison with the champion, not the model."""
SHARED = 0.5
"""Two models are judged on the same test days if they share more than this part of them."""


@dataclass(frozen=True, kw_only=True)
class ComparedDays:
    """The test days on which a model is compared with the live version."""

    begin: datetime
    end: datetime

    @classmethod
    def of(cls, report: Evaluation, recent_days: int) -> ComparedDays:
        """The last `recent_days` of the report's test days."""
        begin, end = parse_utc(report.split.from_), parse_utc(report.split.to)
        return cls(begin=max(begin, end - timedelta(days=recent_days)), end=end)

    def share(self, other: GatesJudged) -> float:
        """The share of these days on which the other model was judged too."""
        if other.tested_from is None or other.tested_to is None:
            return 0.0
        both = min(self.end, other.tested_to) - max(self.begin, other.tested_from)
        return both / (self.end - self.begin)


def count_candidates(days: ComparedDays, records: Iterable[Record], *, run: str) -> int:
    """How many models were judged on these days, that of the `run` included.

    Another one counts if it was judged on more than half of them."""
    others = {
        record.run
        for record in records
        if isinstance(record.details, GatesJudged) and record.run != run and days.share(record.details) > SHARED
    }
    return 1 + len(others)


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
