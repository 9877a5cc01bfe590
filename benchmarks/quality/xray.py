"""Pneumonia on chest X-rays (`pneumoniamnist`) by the workload `xray`: accuracy and AUC on the published test part.

`python -m benchmarks.quality.xray --data FOLDER`; the folder has `pneumoniamnist/pneumoniamnist.parquet`. Two
recipes, each with three seeds: `short` has fewer channels and epochs, and must reach an AUC soon. Validation cannot
rank recipes here (its AUC is .998). The floors are a logistic regression and gradient-boosted trees on the pixels.
Seconds are of the whole job, from channels to artefact.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.quality import Measured, arguments, conclude_set, measured, score, scores_of
from benchmarks.quality.trained import train_workload

SEEDS = (0, 1, 2)
SHAPE = (28, 28)
COMMON: dict[str, Any] = {
    "epochs": 12,
    "patience": 12,
    "batch_size": 64,
    "label_smoothing": 0.05,
    "class_balance": True,
}
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "full": COMMON
    | {"channels": [16, 32, 64], "hidden": 64, "dropout": 0.2, "learning_rate": 0.002, "answer_shift": 1},
    "short": COMMON | {"channels": [8, 16, 32], "hidden": 32, "learning_rate": 0.003, "epochs": 5},
}
"""Hyperparameters in place of the workload's, whose sample is a fifth of the rows."""
BARS: Mapping[str, Mapping[str, float]] = {"full": {"accuracy": 0.92, "auc": 0.97}, "short": {"auc": 0.955}}
MOST_S = 20.0
"""Of the short recipe, on two cores."""


def table(path: Path) -> pa.Table:
    """The published rows as the workload's: PNGs, an id by part and place, a time that is the same for all."""
    rows = pq.read_table(path)
    parts = pc.if_else(pc.equal(rows["split"], "val"), "validation", rows["split"])
    columns = {
        "id": pa.array([f"{place:05}" for place in range(rows.num_rows)]),
        "at": pa.array([0] * rows.num_rows, pa.timestamp("us", "UTC")),
        "split": parts.cast(pa.string()),
        "image": pa.array([_png(cell.as_py()) for cell in rows["image"]], pa.binary()),
        "label": rows["label"].cast(pa.int32()),
    }
    return pa.table(columns)


def _png(samples: bytes) -> bytes:
    from PIL import Image

    file = BytesIO()
    Image.fromarray(np.frombuffer(samples, np.uint8).reshape(SHAPE)).save(file, "PNG")
    return file.getvalue()


def floors(path: Path) -> dict[str, dict[str, float]]:
    """Accuracy and AUC of simple models of the pixels, on the test part."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    rows = pq.read_table(path)
    pixels = np.stack([np.frombuffer(cell.as_py(), np.uint8) for cell in rows["image"]]) / 255
    target = np.array(rows["label"]).astype(np.float32)
    train, test = (np.array(pc.equal(rows["split"], part)) for part in ("train", "test"))
    models = {
        "logistic": LogisticRegression(max_iter=2000),
        "boosted trees": HistGradientBoostingClassifier(random_state=0),
    }
    return scores_of(models, pixels, target, train, test)


def measure(name: str, rows: pa.Table) -> Measured:
    """One recipe over the seeds."""

    def trained(seed: int) -> dict[str, float]:
        found = train_workload("xray", rows, parameters={**RECIPES[name], "seed": seed})
        return score(found.test.output_NW[:, 0], found.test.target_N) | {"seconds": found.seconds}

    return measured(SEEDS, trained, of=name)


def main() -> None:
    """Train both recipes; exits with 1 where a mean misses its bar."""
    path = arguments(__doc__).parse_args().data / "pneumoniamnist" / "pneumoniamnist.parquet"
    rows, simple = table(path), floors(path)
    found = {name: measure(name, rows) for name in RECIPES}
    best = {name: max(one[name] for one in simple.values()) for name in ("accuracy", "auc")}
    figures = [
        found[recipe].figure(f"xray {recipe}, {name}", name, bar, floor=best[name], rival=best[name])
        for recipe, bars in BARS.items()
        for name, bar in bars.items()
    ]
    soon = found["short"].figure("xray short, seconds", "seconds", MOST_S, less_is_better=True)
    conclude_set("xray", [*figures, soon])


if __name__ == "__main__":
    main()
