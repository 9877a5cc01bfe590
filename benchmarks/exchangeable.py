"""A promised error on rows that are like those it was learnt from: how often it is broken, and how many answers act.

`python -m benchmarks.exchangeable --peers PYTHON [--draws N]`, with `mapie` and `score-select` installed in
PYTHON's environment. Six simulated populations, each drawn 400 times; the true error of every threshold is known. All
methods have the same scores; score-select is quadratic, so it has the first draws alone. The last line is JSON.

The bars, for each population: broken in at most 5 % of the draws, and on average at least the coverage of MAPIE, by its
default and by five sequences. score-select promises the mean error of many selections and so breaks the single promise
more often: its coverage is a bar where it breaks it in at most 5 % of its draws, too. No setting of the search was
chosen on these populations, but on six others: easier, harder, with more rows, of five classes."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import conclude
from benchmarks.peers.selective import thresholds
from millrace.evaluation.measures.selective import RISK, find_threshold

Floats = npt.NDArray[np.float64]
Drawn = tuple[Floats, Floats]
"""The confidence of each row, and the probability that its answer is wrong."""
DRAWS, ROWS, TRUTH, PROMISED = 400, 1000, 1_000_000, 0.05
SLOW_DRAWS, ASKED = 40, 100
"""Draws of score-select, and rows that each of them asks."""


@dataclass(frozen=True, kw_only=True)
class Population:
    draw: Callable[[np.random.Generator, int], Drawn]
    rows: int = ROWS


def two_classes(mean: float, spread: float, *, steep: float = 1.0, most: float = 1.0) -> Population:
    """Two classes whose log-odds are normal; the model's are `steep` times as far from 0.

    However sure it is, an answer is right with a probability of `most` at most."""

    def draw(rng: np.random.Generator, count: int) -> Drawn:
        odds = np.abs(rng.normal(mean, spread, count))
        return 1 / (1 + np.exp(-steep * odds)), 1 - np.minimum(1 / (1 + np.exp(-odds)), most)

    return Population(draw=draw)


def classes(count: int, spread: float) -> Population:
    """So many classes whose log-odds are normal, and probabilities that are true."""

    def draw(rng: np.random.Generator, rows: int) -> Drawn:
        odds = rng.normal(0, spread, (rows, count))
        share = np.exp(odds - odds.max(axis=1, keepdims=True))
        confidence = share.max(axis=1) / share.sum(axis=1)
        return confidence, 1 - confidence

    return Population(draw=draw)


def fewer(rows: int, population: Population) -> Population:
    return Population(draw=population.draw, rows=rows)


JUDGED: Mapping[str, Population] = {
    "well calibrated": two_classes(0, 2.5),
    "too sure": two_classes(0, 2.5, steep=2.0, most=0.97),
    "too modest": two_classes(0, 2.5, steep=0.5),
    "few rows": fewer(500, two_classes(0, 2.5)),
    "rare class": two_classes(-3.2, 1.5),
    "many classes": classes(20, 3.0),
}


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What became of the promise by one method: the share of the draws that break it, and the mean share that acts."""

    broken: float
    coverage: float


class Truth:
    """The true error and coverage of every threshold of a population."""

    def __init__(self, population: Population, rng: np.random.Generator) -> None:
        confidence, wrong = population.draw(rng, TRUTH)
        order = np.argsort(-confidence)
        self._sorted = confidence[order]
        self._error = np.cumsum(wrong[order]) / np.arange(1, TRUTH + 1)

    @property
    def most(self) -> float:
        """The largest coverage that keeps the promise."""
        kept = np.flatnonzero(self._error <= PROMISED)
        return float(kept[-1] + 1) / TRUTH if len(kept) else 0.0

    def kept(self, threshold_D: Floats) -> Kept:
        known = np.where(np.isnan(threshold_D), np.inf, threshold_D)
        used = np.searchsorted(-self._sorted, -known, side="right")
        error = np.where(used > 0, self._error[np.maximum(used, 1) - 1], 0)
        return Kept(broken=float((error > PROMISED).mean()), coverage=float(used.mean() / TRUTH))


def judge(
    population: Population, truth: Truth, rng: np.random.Generator, *, draws: int, peers: Path
) -> dict[str, Kept]:
    """What each method makes of the population, by its name."""
    drawn = [population.draw(rng, population.rows) for _ in range(draws)]
    confidence, share = (np.array(each) for each in zip(*drawn, strict=True))
    wrong = (rng.random(share.shape) < share).astype(np.float64)
    ours = [find_threshold(*one, error=PROMISED, risk=RISK) for one in zip(confidence, wrong, strict=True)]
    methods = {"ours": np.array(ours, np.float64)}
    asked = np.array([population.draw(rng, ASKED)[0] for _ in range(min(draws, SLOW_DRAWS))])
    with tempfile.TemporaryDirectory() as folder:
        methods |= thresholds(
            peers, Path(folder), confidence=confidence, wrong=wrong, asked=asked, error=PROMISED, risk=RISK
        )
    return {name: truth.kept(found) for name, found in methods.items()}


def verdict(*, found: Mapping[str, Mapping[str, Kept]]) -> dict[str, Any]:
    """What each method made of each population, and whether ours holds on all."""
    figures = {name: {method: vars(one) for method, one in methods.items()} for name, methods in found.items()}
    return {"name": "exchangeable", "populations": figures, "holds": all(map(_holds, found.values()))}


def _holds(methods: Mapping[str, Kept]) -> bool:
    ours = methods["ours"]
    valid = [one for one in methods.values() if one.broken <= RISK]
    return ours.broken <= RISK and all(ours.coverage >= one.coverage for one in valid)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", type=Path, required=True, help="the Python with mapie and score-select")
    parser.add_argument("--draws", type=int, default=DRAWS)
    asked = parser.parse_args()
    found = {}
    for seed, (name, population) in enumerate(JUDGED.items()):
        rng = np.random.default_rng(seed)
        truth = Truth(population, rng)
        found[name] = judge(population, truth, rng, draws=asked.draws, peers=asked.peers)
        words = "; ".join(
            f"{method}: broken {one.broken:.2%}, coverage {one.coverage:.3f}" for method, one in found[name].items()
        )
        print(f"{name} (at best {truth.most:.3f}): {words}", flush=True)
    conclude(verdict(found=found))


if __name__ == "__main__":
    main()
