"""How far two people agree who answered the same rows, each without the other's answer, under which guideline."""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import numpy as np

from millrace.console.environment import Environment
from millrace.console.queries.reviews import question_of, reviews_of
from millrace.console.words import count
from millrace.decisions.review import LabelValue, agree
from millrace.monitoring.feedback import NORMAL
from millrace.names import WorkloadNames

COMPARED = 1000
"""So many rows are compared: those that a second person has answered last."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What two people have said of the same rows."""

    pairs: Sequence[tuple[LabelValue, LabelValue]]
    tolerance: float | None
    """By how much two numbers may differ that agree, 0 for any other label; None: how far they lie apart is said."""
    left_out: int = 0
    """The rows that were answered under other versions of the guideline."""

    @property
    def share(self) -> float:
        """Of the rows on which both say the same."""
        return sum(agree(*pair, self.tolerance or 0) for pair in self.pairs) / len(self.pairs)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval of the share (1927, doi:10.1080/01621459.1927.10502953), of 95 %."""
        share, n, z = self.share, len(self.pairs), NORMAL
        middle, half = share + z**2 / (2 * n), z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
        return (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa (1960, doi:10.1177/001316446002000104): 1 is full agreement, 0 that of chance.

        Of several labels the mean of theirs; None if both have said one thing only."""
        cells = [[[*one.values()] if isinstance(one, Mapping) else [one] for one in pair] for pair in self.pairs]
        firsts, seconds = (zip(*values, strict=True) for values in zip(*cells, strict=True))
        found = [kappa for kappa in map(_kappa, firsts, seconds) if kappa is not None]
        return mean(found) if found else None

    @property
    def apart(self) -> float:
        """The median difference of two numbers, in the label's unit."""
        firsts, seconds = zip(*self.pairs, strict=True)
        return float(np.median(np.abs(np.subtract(firsts, seconds, dtype=float))))

    @property
    def words(self) -> str:
        """`two people agree on 92% of 50 rows (81 to 97%), kappa 0.84; 3 rows under another guideline left out`."""
        others = f"; {count(self.left_out, 'row')} under another guideline left out" if self.left_out else ""
        return f"{self._words}{others}"

    @property
    def _words(self) -> str:
        if not self.pairs:
            return "no second person has answered yet"
        rows = count(len(self.pairs), "row")
        if self.tolerance is None:
            return f"two people differ by {self.apart:.4g} in the median of {rows}"
        low, high = (100 * one for one in self.interval)
        kappa = "" if self.tolerance or self.kappa is None else f", kappa {self.kappa:.2f}"
        within = f" within {self.tolerance:g}" if self.tolerance else ""
        return f"two people agree{within} on {self.share:.0%} of {rows} ({low:.0f} to {high:.0f}%){kappa}"


def agreement_in_words(environment: Environment, names: WorkloadNames) -> str:
    """The guideline in force, and how far people agree under it; empty without one and where nobody is asked twice."""
    question = question_of(names)
    version = question.guideline.version
    words = [f"guideline {version}"] if version else []
    if question.policy.review.twice:
        found = reviews_of(environment, names).answers.pairs(most=COMPARED)
        pairs = [pair for guideline, pair in found if guideline == version]
        words.append(Agreement(pairs=pairs, tolerance=question.tolerance, left_out=len(found) - len(pairs)).words)
    return ": ".join(words)


def _kappa(firsts: Sequence[Any], seconds: Sequence[Any]) -> float | None:
    times, others = Counter(firsts), Counter(seconds)
    by_chance = sum(times[value] * others[value] for value in times) / len(firsts) ** 2
    same = sum(map(operator.eq, firsts, seconds)) / len(firsts)
    return None if by_chance == 1 else (same - by_chance) / (1 - by_chance)
