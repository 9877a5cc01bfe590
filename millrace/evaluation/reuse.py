"""Test days on which several candidates are judged: the bounds of each next one lie farther from its figures.

A candidate that is worse by the whole margin passes a bound of 95 % in one of twenty cases. If ten such candidates are
judged on the same days, one of them passes in nearly half of the cases. So the candidate with the number j has the risk
α / (j · (j + 1)): however many come, these sum to α. Its bound is the gate's own, as far from the figure as Student's
quantile at this risk is from that of a single candidate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import NormalDist

from millrace.evaluation.gates.value import ValueEvidence
from millrace.evaluation.report import Comparison, Evaluation
from millrace.timestamps import parse_utc

TAIL = 0.025
"""The risk on each side of a 95 % interval."""
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

    def are_shared(self, begin: datetime | None, end: datetime | None) -> bool:
        """Whether a model that was judged on days from `begin` to `end` was judged on these."""
        if begin is None or end is None:
            return False
        return (min(self.end, end) - max(self.begin, begin)) / (self.end - self.begin) > SHARED


def with_candidates(report: Evaluation, candidates: int, *, risk: float) -> Evaluation:
    """The report with its comparisons with the champion as this candidate is judged by them; 1 is the first.

    `risk` is one minus the confidence of the gate `non_inferiority`."""
    if (champion := report.champion) is None:
        return report
    bound = lower_bound(champion, candidates, risk=risk)
    changes: dict[str, object] = {
        "champion": champion.model_copy(update={"lower_bound": bound, "candidates": candidates})
    }
    if (value := report.of(ValueEvidence)) is not None:
        gain, by = value.gain, factor(candidates, risk=TAIL, blocks=champion.blocks)
        low = gain.value - (gain.value - gain.low) * by
        changes[value.gate] = value.model_copy(update={"gain": gain.model_copy(update={"low": low})})
    return report.model_copy(update=changes)


def lower_bound(compared: Comparison, candidates: int, *, risk: float) -> float:
    """The lower bound of the improvement, as the candidate with this number is judged by it."""
    away = compared.difference - compared.lower_bound
    return compared.difference - away * factor(candidates, risk=risk, blocks=compared.blocks)


def factor(candidates: int, *, risk: float, blocks: int) -> float:
    """How much farther the candidate's bound is than the bootstrap's bound at this risk, of so many blocks.

    A bootstrap of n blocks takes the variance for (n − 1) / n of what it is, and its tails for normal. NaN for a single
    block, which says nothing of the spread: whoever judges by such a bound refuses."""
    if blocks < 2:
        return math.nan
    own = risk / (candidates * (candidates + 1))
    return student(1 - own, blocks - 1) / NormalDist().inv_cdf(1 - risk) * math.sqrt(blocks / (blocks - 1))


def student(p: float, freedom: int) -> float:
    """The quantile of Student's t, within 2 % from nine degrees of freedom on (Abramowitz and Stegun, 26.7.5)."""
    z, v = NormalDist().inv_cdf(p), freedom
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / v + second / v**2 + third / v**3
