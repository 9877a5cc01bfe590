"""The table of all sets: `python -m benchmarks.quality --data FOLDER`; the last line is JSON.

Each set is measured by its own module, with three seeds or five. A floor is the simple model that a deep one must beat;
the rival is the best simple or classical one, which it may only tie. Electricity is not among them: its bar is about a
stream over which models are released and watched.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import conclude

Found = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of a set."""

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


def income(found: Found) -> Iterator[Figure]:
    for place, name in enumerate(("accuracy", "auc")):
        simple = {model: figures[place] for model, figures in found["floors"].items()}
        rivals = {"floor": simple["logistic"], "rival": max(simple.values())}
        yield Figure(of=f"income, {name}", **_of(found, name), **rivals)
    yield Figure(of="income, seconds", **_of(found, "seconds"), less_is_better=True)


def xray(found: Found) -> Iterator[Figure]:
    for recipe, measured in found["recipes"].items():
        for name in measured["bar"]:
            simple = [figures[name] for figures in found["floors"].values()]
            yield Figure(of=f"xray {recipe}, {name}", **_of(measured, name), floor=max(simple), rival=max(simple))
    short = found["recipes"]["short"] | {"bar": {"seconds": found["most_s"]}}
    yield Figure(of="xray short, seconds", **_of(short, "seconds"), less_is_better=True)


def air_quality(found: Found) -> Iterator[Figure]:
    for ahead, measured in found.items():
        if ahead.startswith("t+"):
            for name in measured["bar"]:
                simple = min(figures[name] for figures in measured["floor"].values())
                rivals = {"floor": simple, "rival": simple}
                yield Figure(of=f"air_quality {ahead}, {name}", **_of(measured, name), **rivals, less_is_better=True)


def intents(found: Found) -> Iterator[Figure]:
    for name in ("accuracy", "recall"):
        floor = found["floor"][name]
        yield Figure(of=f"intents, {name}", **_of(found, name), floor=floor, rival=floor)
    yield Figure(of="intents, refused in scope", **_of(found, "refused"), less_is_better=True)


def reviews(found: Found) -> Iterator[Figure]:
    for name, above in found["fused_above"].items():
        bar, spread = found["bar"][name], found["spread"][name]
        yield Figure(of=f"reviews, fused above {name}, auc", mean=above, spread=spread, bar=bar)


SETS: Mapping[str, Callable[[Found], Iterator[Figure]]] = {
    "income": income,
    "xray": xray,
    "air_quality": air_quality,
    "intents": intents,
    "reviews": reviews,
}


def _of(found: Found, name: str) -> dict[str, float]:
    return {part: float(found[part][name]) for part in ("mean", "spread", "bar")}


def measure(name: str, data: Path) -> Found:
    """What the set's own module prints last; raises RuntimeError where it ends before."""
    command = [sys.executable, "-m", f"benchmarks.quality.{name}", "--data", str(data)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode not in (0, 1) or not lines or not lines[-1].startswith("{"):
        raise RuntimeError(f"{name}: expected its figures, it ended with {done.returncode}: {lines[-3:]}")
    print(*lines, sep="\n", flush=True)
    found: Found = json.loads(lines[-1])
    return found


def verdict(figures: list[Figure]) -> dict[str, Any]:
    """How many bars are reached; each floor must be passed as well."""
    below = [figure.of for figure in figures if not figure.is_above_floor]
    missed = [figure.of for figure in figures if not figure.is_reached]
    reached = len(figures) - len(missed)
    return {
        "name": "quality",
        "figure": reached,
        "unit": f"of {len(figures)} bars",
        "below_floor": below,
        "missed": missed,
        "holds": not below and not missed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", action="append", choices=SETS, dest="sets")
    given = parser.parse_args()
    figures = [figure for name in given.sets or SETS for figure in SETS[name](measure(name, given.data))]
    print("| set | floor | rival | ours, half the spread | bar | reached |\n|---|---|---|---|---|---|")
    print(*(figure.line for figure in figures), sep="\n")
    conclude(verdict(figures))


if __name__ == "__main__":
    main()
