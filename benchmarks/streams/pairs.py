"""Streams of pairs that differ, made of electricity's answers of two models: one was trained on the first half of the
past, one on the second.

Blocks of real days are drawn, and a coin per block says which of the two is the challenger, so both are equally good.
For a known gain, that share of the answers that the challenger would have lost is won instead. Of the answers that
differ so many are kept that DIFFER of the requests differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmarks.streams.electricity import stream, trees

A_DAY, WARM_DAYS = 48, 140
DIFFER, NEVER = 0.05, 0.2
"""The share of requests whose answers differ, and of labels that never come."""


class Pair(NamedTuple):
    """Two answers to one request that differ: what a draw of the product reads of them."""

    id: str
    confidences: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Day:
    """One real day: the pairs that differ, seen from either model, and what both answered right."""

    pairs: tuple[tuple[Pair, ...], tuple[Pair, ...]]
    newer_won: list[bool]
    both_right: int


def real_days() -> tuple[list[Day], float]:
    """The days after the warm-up, and the share of requests whose answers differ."""
    (X, y), warm = stream(), WARM_DAYS * A_DAY
    shares = []
    for past in (slice(0, warm // 2), slice(warm // 2, warm)):
        shares.append(trees().fit(X[past], y[past]).predict_proba(X[warm:]))
    sure, right = [share.max(1) for share in shares], [share.argmax(1) == y[warm:] for share in shares]
    differ, days = right[0] != right[1], []
    for start in range(0, len(differ) - A_DAY + 1, A_DAY):
        rows = start + np.flatnonzero(differ[start : start + A_DAY])
        older, newer = sure[0][rows].tolist(), sure[1][rows].tolist()
        pairs = tuple(
            tuple(Pair(id=str(n), confidences=one) for n, one in enumerate(zip(*sides, strict=True)))
            for sides in ((older, newer), (newer, older))
        )
        both = int((right[0] & right[1])[start : start + A_DAY].sum())
        days.append(Day(pairs=(pairs[0], pairs[1]), newer_won=right[1][rows].tolist(), both_right=both))
    return days, float(differ.mean())


class Stream:
    """Real days in drawn blocks, with a coin for each, of one candidate."""

    def __init__(
        self, days: list[Day], rng: np.random.Generator, *, keep: float, coin_days: int, gain: float, missing: str
    ) -> None:
        self._days, self._rng, self._keep = days, rng, keep
        self._coin_days, self._turned, self._missing = coin_days, gain / DIFFER, missing

    def __iter__(self) -> Iterator[tuple[list[Pair], list[bool], list[bool], int]]:
        """Each day's kept pairs, whether the challenger won them, whether they get a label, and what both got right."""
        length, rng, gain = max(self._coin_days, 1), self._rng, self._turned
        while True:
            start, coin = int(rng.integers(len(self._days) - length + 1)), rng.random() < 0.5
            for day in self._days[start : start + length]:
                count, pairs, won, labelled = len(day.newer_won), [], [], []
                for n, (kept, own, turned, comes) in enumerate(rng.random((count, 4)).tolist()):
                    if kept < self._keep:
                        newer = own < 0.5 if self._coin_days == 0 else coin
                        pairs.append(day.pairs[0 if newer else 1][n])
                        won.append(gain > 0 if turned < abs(gain) else day.newer_won[n] == newer)
                        labelled.append(comes >= self._chance(pairs[-1]))
                yield pairs, won, labelled, day.both_right + (count - len(pairs)) // 2

    def _chance(self, pair: Pair) -> float:
        """How probable it is that the label of a pair never comes."""
        if self._missing == "by confidence":
            return 2 * NEVER if pair.confidences[1] < pair.confidences[0] else 0.0
        return NEVER if self._missing == "at random" else 0.0
