"""AutoGluon on the rows of one table, in an environment of its own: it would move what we stand on.

`PYTHON benchmarks/peers/auto_gluon.py FOLDER`, with `autogluon.tabular[lightgbm,catboost,xgboost]` installed in
PYTHON's environment. FOLDER has `train.parquet`, `test.parquet` and `asked.json`; the answers to the test rows become
`answers.npy`, (T, W)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

LABEL, PRESET = "label", "medium_quality"


def answers(
    python: Path, folder: Path, train: pa.Table, test: pa.Table, *, classes: int, width: int, seconds: float
) -> npt.NDArray[np.float32]:
    """Its answers, (T, `width`): the number, the probability of class 1, or that of each of `classes`.

    Both tables have the column `label`: the number, or the number of the class. `classes` is 0 for a number."""
    import numpy as np
    import pyarrow.parquet as pq

    pq.write_table(train, folder / "train.parquet")
    pq.write_table(test, folder / "test.parquet")
    (folder / "asked.json").write_text(json.dumps({"classes": classes, "width": width, "seconds": seconds}))
    subprocess.run([python, __file__, folder], check=True, stdout=sys.stderr)
    answered: npt.NDArray[np.float32] = np.load(folder / "answers.npy")
    return answered


def main(folder: Path) -> None:
    import numpy as np
    import pandas as pd
    from autogluon.tabular import TabularPredictor

    asked: dict[str, Any] = json.loads((folder / "asked.json").read_text())
    train, test = (pd.read_parquet(folder / f"{name}.parquet") for name in ("train", "test"))
    kind = {0: "regression", 2: "binary"}.get(asked["classes"], "multiclass")
    predictor = TabularPredictor(label=LABEL, problem_type=kind, path=str(folder / "models"), verbosity=0)
    predictor.fit(train, presets=PRESET, time_limit=asked["seconds"], num_cpus=2, ds_args={"enable_ray_logging": False})
    rows = test.drop(columns=[LABEL])
    if kind == "regression":
        np.save(folder / "answers.npy", predictor.predict(rows).to_numpy(np.float32)[:, None])
        return
    p = predictor.predict_proba(rows)
    answered = np.zeros((len(rows), max(2, asked["width"])), np.float32)
    for name in p.columns:
        answered[:, int(name)] = p[name]
    np.save(folder / "answers.npy", answered[:, 1:] if asked["width"] == 1 else answered)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
