"""Intents of clinc150 by the workload `intents`: accuracy in scope, and how many out-of-scope sentences are refused.

`python -m benchmarks.quality.intents --data FOLDER`; the folder has `clinc150/clinc150.parquet`. A sentence is
refused where the answer is `oos` or its confidence is below a threshold. The threshold is set so that 4.5 % of the
validation sentences in scope are refused; at most 5 % of those of the test may be.

The floor is TF-IDF and a linear SVM on the same rows, refusing by its largest margin.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.quality import arguments, conclude_set, measured
from benchmarks.quality.trained import Part, train_workload

SEEDS = (0, 1, 2)
ACCURACY, RECALL, MOST_REFUSED = 0.92, 0.77, 0.05
REFUSED_IN_VALIDATION = 0.045
OUT_OF_SCOPE = "oos"


def table(path: Path) -> pa.Table:
    """The published rows as the workload's: an id by part and place, its time a constant."""
    rows = pq.read_table(path)
    parts = pc.if_else(pc.equal(rows["split"], "val"), "validation", rows["split"])
    ids = pa.array([f"{place:05}" for place in range(rows.num_rows)])
    at = pa.array([0] * rows.num_rows, pa.timestamp("us", "UTC"))
    columns = {"id": ids, "at": at, "split": parts, "text": rows["text"], "intent": rows["intent"]}
    return pa.table({name: c if name == "at" else c.cast(pa.string()) for name, c in columns.items()})


def score(classes: list[str], validation: Part, test: Part) -> dict[str, float]:
    """Accuracy in scope, and at the threshold of the validation: recall out of scope, share refused in scope."""
    out = classes.index(OUT_OF_SCOPE)
    surety = [np.where(p.output_NW.argmax(1) == out, 0.0, p.output_NW.max(1)) for p in (validation, test)]
    right = test.output_NW.argmax(1) == test.target_N
    return _figures(right, *surety, validation.target_N == out, test.target_N == out)


def _figures(
    right_N: npt.NDArray[np.bool_],
    held_N: npt.NDArray[Any],
    test_N: npt.NDArray[Any],
    is_held_out_N: npt.NDArray[np.bool_],
    is_out_N: npt.NDArray[np.bool_],
) -> dict[str, float]:
    threshold = np.quantile(held_N[~is_held_out_N], REFUSED_IN_VALIDATION)
    refused_N = test_N < threshold
    return {
        "accuracy": float(right_N[~is_out_N].mean()),
        "recall": float(refused_N[is_out_N].mean()),
        "refused": float(refused_N[~is_out_N].mean()),
    }


def floor(rows: pa.Table) -> dict[str, float]:
    """The same figures of TF-IDF and a linear SVM; out of scope is one of its classes."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    texts, labels = (np.array(rows[name].to_pylist(), object) for name in ("text", "intent"))
    train, held, test = (
        np.array(pc.equal(rows["split"], part).to_pylist()) for part in ("train", "validation", "test")
    )
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(texts[train])
    model = LinearSVC(random_state=0).fit(words.transform(texts[train]), labels[train])
    margins = [model.decision_function(words.transform(texts[part])) for part in (held, test)]
    said = [model.classes_[one.argmax(1)] for one in margins]
    surety = [np.where(names == OUT_OF_SCOPE, -np.inf, one.max(1)) for names, one in zip(said, margins, strict=True)]
    return _figures(said[1] == labels[test], *surety, labels[held] == OUT_OF_SCOPE, labels[test] == OUT_OF_SCOPE)


def main() -> None:
    rows = table(arguments(__doc__).parse_args().data / "clinc150" / "clinc150.parquet")

    def measure(seed: int) -> dict[str, float]:
        trained = train_workload("intents", rows, parameters={"seed": seed})
        classes = [str(name) for name in trained.model.description.task.classes]  # type: ignore[attr-defined]
        return score(classes, trained.validation, trained.test) | {"seconds": trained.seconds}

    found, simple = measured(SEEDS, measure, of="intents"), floor(rows)
    figures = [
        found.figure(f"intents, {name}", name, bar, floor=simple[name], rival=simple[name])
        for name, bar in {"accuracy": ACCURACY, "recall": RECALL}.items()
    ]
    refused = found.figure("intents, refused in scope", "refused", MOST_REFUSED, less_is_better=True)
    conclude_set("intents", [*figures, refused])


if __name__ == "__main__":
    main()
