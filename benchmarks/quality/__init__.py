"""The quality of shipped workloads on whole published sets, each by a module of its own."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import conclude
from millrace.tasks import metrics


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of a set. A floor is the simple model that must be beaten; a rival may only be tied."""

    of: str
    mean: float
    spread: float
    bar: float
    floor: float | None = None
    rival: float | None = None
    less_is_better: bool = False

    @property
    def is_reached(self) -> bool:
        return self._beats(self.bar)

    @property
    def is_above_floor(self) -> bool:
        return self.floor is None or self._beats(self.floor)

    def _beats(self, other: float) -> bool:
        return self.mean <= other if self.less_is_better else self.mean >= other

    @property
    def line(self) -> str:
        known = ["" if value is None else f"{value:.4g}" for value in (self.floor, self.rival)]
        missed = "yes" if self.is_reached else f"misses by {abs(self.mean - self.bar):.2g}"
        bar = f"{'≤' if self.less_is_better else '≥'} {self.bar:g}"
        return f"| {self.of} | {known[0]} | {known[1]} | {self.mean:.4g} ± {self.spread / 2:.2g} | {bar} | {missed} |"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The figures of several trainings of one recipe."""

    mean: Mapping[str, float]
    spread: Mapping[str, float]

    def figure(self, of: str, name: str, bar: float, **more: float | bool) -> Figure:
        return Figure(of=of, mean=self.mean[name], spread=self.spread[name], bar=bar, **more)  # type: ignore[arg-type]


def measured(seeds: Iterable[int], measure: Callable[[int], Mapping[str, float]], *, of: str) -> Measured:
    """Measure once for each seed, and print each."""
    found = []
    for seed in seeds:
        found.append(measure(seed))
        print(f"{of}, {seed}:", {name: round(value, 4) for name, value in found[-1].items()}, flush=True)
    names = list(found[0])
    return Measured(
        mean={name: float(np.mean([one[name] for one in found])) for name in names},
        spread={name: float(np.ptp([one[name] for one in found])) for name in names},
    )


def score(p_N: npt.NDArray[Any], target_N: npt.NDArray[Any]) -> dict[str, float]:
    auc = metrics.auc(p_N, target_N)
    assert auc is not None
    return {"accuracy": float(((p_N >= 0.5) == (target_N > 0.5)).mean()), "auc": auc}


def scores_of(
    models: Mapping[str, Any], x: npt.NDArray[Any], target: npt.NDArray[Any], train: Any, test: Any
) -> dict[str, dict[str, float]]:
    """Of simple models of two classes, fitted on the rows `train`, on the rows `test`."""
    fitted = {name: model.fit(x[train], target[train]) for name, model in models.items()}
    return {name: score(model.predict_proba(x[test])[:, 1], target[test]) for name, model in fitted.items()}


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """With `--data`, the folder of the published sets."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--data", type=Path, required=True)
    return parser


def conclude_set(name: str, figures: list[Figure]) -> None:
    """Print the figures as the last line; exits with 1 where one misses its bar."""
    conclude({"name": name, "figures": [*map(asdict, figures)], "holds": all(one.is_reached for one in figures)})
