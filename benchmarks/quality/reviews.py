"""Reviews of women's clothing by the workload `reviews`: text with columns, either alone, and a linear model, paired.

`python -m benchmarks.quality.reviews --data FOLDER`; the folder has `womens_clothing/womens_clothing.parquet`.
Five splits: the key's hash divides the rows, and each split names them anew (`s0-00017`). On the same test rows the
area under the ROC curve of both networks and of the floor, TF-IDF of 1-2-grams with the columns and a logistic
regression; the paired differences are averaged over the splits. `table` is the network of all inputs on the same rows
without their texts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.quality import arguments, conclude_set, measured, score
from benchmarks.quality.trained import Part, Trained, train_workload
from millrace.features import catalogue as encoders

SPLITS = 5
BELOW_LINEAR = -0.002
"""The networks may be worse by so much than the linear model; text with columns is no worse than text alone."""
COLUMNS = ("positive_feedback_count", "division_name", "department_name", "class_name")
TEXTS = ("title", "review_text")


def table(path: Path, split: int) -> pa.Table:
    """The published rows that have a text, as the workload's."""
    found = pq.read_table(path)
    found = found.filter(pc.is_valid(found["review_text"]))
    columns: dict[str, Any] = {"id": pa.array([f"s{split}-{row:05}" for row in found["row_id"].to_pylist()])}
    columns["at"] = pa.array([0] * found.num_rows, pa.timestamp("us", "UTC"))
    for name in (*TEXTS, "age", *COLUMNS, "recommended_ind"):
        cells = found[name]
        columns[name] = cells.cast(pa.string()) if pa.types.is_large_string(cells.type) else cells
    return pa.table(columns)


def without_texts(trained: Trained) -> float:
    """The area where no row has a text."""
    rows = trained.test
    tensors = encoders.encode(trained.model.description.features, rows.rows)
    tensors |= {name: np.zeros_like(tensors[name]) for name in TEXTS}
    return score(trained.model.outputs(tensors)[:, 0], rows.target_N)["auc"]


def linear(train: pa.Table, test: Part) -> float:
    """The floor's area, fitted on the rows that are not in the test."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import MaxAbsScaler

    def texts(rows: pa.Table) -> list[str]:
        return [f"{row['title'] or ''} {row['review_text']}" for row in rows.select(TEXTS).to_pylist()]

    def cells(rows: pa.Table) -> list[dict[str, Any]]:
        return [
            {name: "" if cell is None else cell for name, cell in row.items()}
            for row in rows.select(COLUMNS).to_pylist()
        ]

    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True).fit(texts(train))
    columns = DictVectorizer().fit(cells(train))
    scaler = MaxAbsScaler().fit(columns.transform(cells(train)))

    def encoded(rows: pa.Table) -> Any:
        return hstack([words.transform(texts(rows)), scaler.transform(columns.transform(cells(rows)))]).tocsr()

    model = LogisticRegression(C=4, max_iter=300).fit(encoded(train), train["recommended_ind"].to_pylist())
    return score(model.decision_function(encoded(test.rows)), test.target_N)["auc"]


def main() -> None:
    path = arguments(__doc__).parse_args().data / "womens_clothing" / "womens_clothing.parquet"
    texts = [{"name": name, "encoder": "text"} for name in TEXTS]

    def measure(split: int) -> dict[str, float]:
        rows = table(path, split)
        fused = train_workload("reviews", rows, parameters={"seed": split})
        alone = train_workload("reviews", rows, parameters={"seed": split}, prediction={"features": texts})
        named = pa.table({name: fused.test.rows[name] for name in TEXTS})
        tested = set(zip(*(named[name].to_pylist() for name in TEXTS), strict=True))
        kept = [pair not in tested for pair in zip(*(rows[name].to_pylist() for name in TEXTS), strict=True)]
        area = score(fused.test.output_NW[:, 0], fused.test.target_N)["auc"]
        return {
            "linear": area - linear(rows.filter(pa.array(kept)), fused.test),
            "text": area - score(alone.test.output_NW[:, 0], alone.test.target_N)["auc"],
            "table": area - without_texts(fused),
            "seconds": fused.seconds,
        }

    found = measured(range(SPLITS), measure, of="reviews, above")
    bars = {"linear": BELOW_LINEAR, "text": 0}
    conclude_set(
        "reviews", [found.figure(f"reviews, fused above {name}, auc", name, bar) for name, bar in bars.items()]
    )


if __name__ == "__main__":
    main()
