"""Income of the 1994 census (`adult`) by the workload `income`: accuracy and AUC on the official test part, five seeds.

`python -m benchmarks.quality.income --data FOLDER`; the folder has `adult/adult.data` and `adult/adult.test`.
Every tenth row of `adult.data` validates. The floors are a logistic regression on the same features, categories as
columns of 0 and 1, and gradient-boosted trees. Seconds are of the whole job, from channels to artefact.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.quality import arguments, conclude_set, measured, score, scores_of
from benchmarks.quality.trained import WORKLOADS, train_workload
from millrace.workload.load import load_workload

SEEDS = (0, 1, 2, 3, 4)
ACCURACY, AUC, MOST_S = 0.869, 0.923, 30.0
NAMES = (
    "age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship", "race",
    "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income",
)  # fmt: skip
NUMBERS = ("age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week")


def table(folder: Path) -> pa.Table:
    """The published rows as the workload's sample has them, and a time that is the same for all."""
    parts = {"train": _read(folder / "adult.data"), "test": _read(folder / "adult.test")}
    ids = [f"{part}-{place:05}" for part, rows in parts.items() for place in range(len(rows))]
    split = ["validation" if place % 10 == 9 else "train" for place in range(len(parts["train"]))]
    rows = [row for part in parts.values() for row in part]
    columns = {"id": pa.array(ids), "at": pa.array([0] * len(rows), pa.timestamp("us", "UTC"))}
    columns["split"] = pa.array(split + ["test"] * len(parts["test"]))
    for place, name in enumerate(NAMES):
        # The labels of the test part end in a full stop; `?` is what is not known.
        cells = pa.array([None if row[place] == "?" else row[place].rstrip(".") for row in rows])
        columns[name] = cells.cast(pa.int32()) if name in NUMBERS else cells
    return pa.table(columns)


def _read(path: Path) -> list[list[str]]:
    """The rows; the test part's first line and the last line of both are none."""
    with path.open() as file:
        return [row for row in csv.reader(file, skipinitialspace=True) if len(row) == len(NAMES)]


def floors(rows: pa.Table) -> dict[str, dict[str, float]]:
    """Accuracy and AUC of simple models of the same features, on the test part."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

    features = [feature.name for feature in load_workload(WORKLOADS / "income").prediction.features]
    words = [place for place, name in enumerate(features) if name not in NUMBERS]
    numbers = [place for place, name in enumerate(features) if name in NUMBERS]
    cells = np.stack(
        [np.array(rows[name].fill_null("?" if name not in NUMBERS else 0), object) for name in features], 1
    )
    is_test = np.array(pc.equal(rows["split"], "test"))
    target = np.array(pc.equal(rows["income"], ">50K")).astype(np.float32)
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), words), (StandardScaler(), numbers), sparse_threshold=0
    )
    codes = make_column_transformer((OrdinalEncoder(), words), remainder="passthrough")
    models = {
        "logistic": make_pipeline(columns, LogisticRegression(max_iter=2000)),
        "boosted trees": make_pipeline(codes, HistGradientBoostingClassifier(random_state=0)),
    }
    return scores_of(models, cells, target, ~is_test, is_test)


def main() -> None:
    """Train once per seed; exits with 1 where a mean misses its bar."""
    rows = table(arguments(__doc__).parse_args().data / "adult")

    def measure(seed: int) -> dict[str, float]:
        trained = train_workload("income", rows, parameters={"seed": seed})
        return score(trained.test.output_NW[:, 0], trained.test.target_N) | {"seconds": trained.seconds}

    found, simple = measured(SEEDS, measure, of="income"), floors(rows)
    figures = [
        found.figure(
            f"income, {name}",
            name,
            bar,
            floor=simple["logistic"][name],
            rival=max(both[name] for both in simple.values()),
        )
        for name, bar in {"accuracy": ACCURACY, "auc": AUC}.items()
    ]
    conclude_set("income", [*figures, found.figure("income, seconds", "seconds", MOST_S, less_is_better=True)])


if __name__ == "__main__":
    main()
