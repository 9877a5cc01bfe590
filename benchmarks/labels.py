"""Ten labels a day in place of all: how wide the interval of the live error is, and whether the model's own estimate is
withdrawn.

`python -m benchmarks.labels [--electricity FILE]`, with the package `scikit-learn` installed. FILE has the whole
stream of electricity (45,312 rows); without it the shipped part is taken. Of the stream a model of the first 14,736
half hours is asked from its change at 17,424 on.
The last line is JSON. The product's numbers were set on simulated models.

- Interval: at the width that 300 chosen labels give, at least 1.8 times as many are needed that are drawn evenly, of a
  model that says nothing of itself (income). The interval holds the error in 95 % of 1,000 runs on each stream.
- Withdrawal: a third of the answers of one window is turned round (income). Its labels contradict the model in 95 of
  100 runs; without a change in at most 10 of 100, and so under a covariate shift.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from benchmarks import conclude
from benchmarks.streams.electricity import stream, trees
from millrace.monitoring.live_error import LiveError, beyond, choose, live_error, recalibrate

SAMPLES = Path("workloads")
CHANGE, DAY, WEEK, A_DAY = 17_424, 48, 7 * 48, 10
RUNS, COVERED, FEWER, WITHDRAWN, KEPT = 1000, 0.95, 1.8, 0.95, 0.9
Floats = npt.NDArray[np.float64]
Model = tuple[Floats, Floats]
"""What a model expects of each row, and its errors."""


def electricity(path: Path) -> Model:
    """The weeks after the change."""
    X, label = stream(path)
    trained = CHANGE - 8 * WEEK
    says = trees().fit(X[:trained], label[:trained]).predict_proba(X)[:, 1]
    return _cut(says, label, CHANGE, len(label))


def income() -> Model:
    """Rows of income in no order, that a model was not trained on."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    table = pq.read_table(SAMPLES / "income/sample/adult.parquet").to_pandas()
    label = table.pop("income").astype(str).str.contains(">50K|1").to_numpy(np.int64)
    X = table.drop(columns=["id", "split"])
    for name in X.columns:
        if X[name].dtype.kind not in "iuf":
            X[name] = X[name].astype("category").cat.codes
    order = np.random.default_rng(0).permutation(len(label))
    half = len(label) // 2
    model = HistGradientBoostingClassifier(random_state=0).fit(X.iloc[order[:half]], label[order[:half]])
    return _cut(model.predict_proba(X.iloc[order[half:]])[:, 1], label[order[half:]], 0, len(label) - half)


def _cut(says: Floats, label: npt.NDArray[np.int64], first: int, last: int) -> Model:
    said, true = says[first:last], label[first:last]
    return np.minimum(said, 1 - said), ((said > 0.5) != true).astype(float)


def week_of(expected: Floats, error: Floats, by: Floats, random: np.random.Generator) -> tuple[Floats, Floats]:
    """What is known of a week's errors after ten labels a day, and the chances. Rows are chosen by `by`."""
    chance, known = np.zeros(len(error)), np.full(len(error), np.nan)
    for start in range(0, len(error), DAY):
        day = slice(start, start + DAY)
        chances, chosen = choose(by[day], A_DAY, random)
        chance[day], known[day] = np.where(chosen, chances, 0.0), np.where(chosen, error[day], np.nan)
    return known, chance


def weeks(model: Model, random: np.random.Generator) -> list[LiveError]:
    """The weeks as the monitor judges them, with ten labels a day."""
    expected, error = model
    found, by = list[LiveError](), expected
    stretch = np.arange(WEEK) // DAY
    for start in range(0, len(error) - WEEK + 1, WEEK):
        rows = slice(start, start + WEEK)
        known, chance = week_of(expected[rows], error[rows], by[rows], random)
        one = live_error(known, expected[rows], chance, stretch, is_share=True)
        assert one is not None
        found.append(one)
        came = chance > 0  # the next week's rows are chosen by what these labels say
        by = recalibrate(expected, errors_M=known[came], before_M=expected[rows][came], weights_M=1 / chance[came])
    return found


def interval(model: Model, rows: int, labels: int, *, even: bool, random: np.random.Generator) -> tuple[float, bool]:
    """The width of an interval, and whether it holds the error of the rows."""
    expected, error = model
    pick = random.choice(len(error), rows, replace=False)
    said = np.zeros(rows) if even else expected[pick]
    chance, chosen = choose(said, labels, random)
    known = np.where(chosen, error[pick], np.nan)
    found = live_error(known, said, np.where(chosen, chance, 0.0), np.arange(rows), is_share=True)
    assert found is not None
    return found.high - found.low, found.low <= error[pick].mean() <= found.high


def efficiency(model: Model) -> dict[str, Any]:
    """How many evenly drawn labels are as good as 300 chosen ones, of 20,000 rows."""
    random, rows, labels = np.random.default_rng(3), 20_000, 300
    chosen = [interval(model, rows, labels, even=False, random=random) for _ in range(RUNS)]
    width = float(np.mean([one for one, _ in chosen]))

    def even(many: int) -> float:
        return float(np.mean([interval(model, rows, many, even=True, random=random)[0] for _ in range(100)]))

    low, high = labels, 3 * labels
    while high - low > 5:
        middle = (low + high) // 2
        low, high = (middle, high) if even(middle) > width else (low, middle)
    return {"fewer": high / labels, "covered_income": float(np.mean([held for _, held in chosen]))}


def coverage(path: Path) -> float:
    """Of 1,000 weeks after the change, each chosen by what the week before has shown."""
    expected, error = electricity(path)
    held, random = list[bool](), np.random.default_rng(4)
    truth = [error[start : start + WEEK].mean() for start in range(0, len(error) - WEEK + 1, WEEK)]
    while len(held) < RUNS:
        found = weeks((expected, error), random)
        held += [one.low <= true <= one.high for one, true in zip(found, truth, strict=True)]
    return float(np.mean(held[:RUNS]))


def withdrawal(model: Model) -> dict[str, float]:
    """The share of windows whose labels contradict the model: without a change, with another mix, and with drift."""
    expected, error = model
    random, found = np.random.default_rng(5), {}
    for name in ("none", "covariate", "concept"):
        share = np.ones(len(error))
        if name == "covariate":  # three times as many rows of which the model is unsure
            share[expected > np.quantile(expected, 0.7)] = 3
        seen = list[bool]()
        for _ in range(400):
            pick = random.choice(len(error), 1344, replace=False, p=share / share.sum())
            said, wrong = expected[pick], error[pick]
            if name == "concept":
                wrong = np.where(np.arange(len(wrong)) % 3 == 0, 1 - wrong, wrong)
            known, chance = week_of(said, wrong, said, random)
            seen.append(abs(beyond(known, said, chance, np.arange(len(said))) or 0) > 1)
        found[name] = float(np.mean(seen))
    return found


def verdict(
    *,
    fewer: float,
    covered: Mapping[str, float],
    contradicted: Mapping[str, float],
) -> dict[str, Any]:
    """The figures, and whether they hold."""
    holds = (
        fewer >= FEWER
        and min(covered.values()) >= COVERED
        and contradicted["concept"] >= WITHDRAWN
        and max(contradicted["none"], contradicted["covariate"]) <= 1 - KEPT
    )
    return {
        "name": "labels",
        "fewer": fewer,
        "covered": dict(covered),
        "contradicted": dict(contradicted),
        "holds": holds,
    }


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--electricity", type=Path, default=SAMPLES / "electricity/sample/elec2.parquet")
    path, people = asked.parse_args().electricity, income()
    good = efficiency(people)
    covered = {"income": good["covered_income"], "electricity": coverage(path)}
    conclude(verdict(covered=covered, fewer=good["fewer"], contradicted=withdrawal(people)))


if __name__ == "__main__":
    main()
