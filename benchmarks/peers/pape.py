"""PAPE's estimate of the error of windows without labels, in an environment of its own.

`PYTHON benchmarks/peers/pape.py FOLDER`, with `lightgbm` installed in PYTHON's environment. NannyML sells PAPE as
a service; its open package (0.13.1) has the older CBPE alone. So PAPE is written here as it was published (Białek et
al. 2024, arXiv 2401.08348, NeurIPS 2025): both models are LightGBM's with its defaults.

1. A classifier tells rows of the window from reference rows; its odds say how many rows each reference row stands for.
2. A regression learns the probability of the label from the model's own probability, on the reference rows so weighted.
3. The error is the mean of what that regression says of the window's rows.

FOLDER has `windows.npz`: `X` and `says`, the features and the probability of each row; `reference`, the places of the
rows with a label, `label`; and the places of each window's rows. The estimates become `estimates.npy`.

Axes: R reference rows, W rows of a window, F features."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Places = npt.NDArray[np.int64]

ROUNDS = 100
LEAST = 1e-6
"""A probability of 0 or 1 says of no row how many it stands for."""


def estimates(
    python: Path, folder: Path, *, X: Floats, says: Floats, reference: Places, label: Floats, windows: Sequence[Places]
) -> Floats:
    """The estimated error of each window."""
    places: dict[str, Any] = {f"window_{number}": one for number, one in enumerate(windows)}
    np.savez(folder / "windows.npz", X=X, says=says, reference=reference, label=label, **places)
    subprocess.run([python, __file__, folder], check=True, stdout=sys.stderr)
    found: Floats = np.load(folder / "estimates.npy")
    return found


def pape(X_RF: Floats, says_R: Floats, label_R: Floats, X_WF: Floats, says_W: Floats) -> float:
    rows, is_window = np.concatenate([X_RF, X_WF]), np.repeat([0.0, 1.0], [len(X_RF), len(X_WF)])
    chance_R = np.clip(_boosted("binary", rows, is_window, X_RF), LEAST, 1 - LEAST)
    weight_R = len(X_RF) / len(X_WF) * chance_R / (1 - chance_R)
    true_W = _boosted("regression", says_R[:, None], label_R, says_W[:, None], weight=weight_R).clip(0, 1)
    return float(np.where(says_W > 0.5, 1 - true_W, true_W).mean())


def _boosted(objective: str, X: Floats, target: Floats, asked: Floats, weight: Floats | None = None) -> Floats:
    import lightgbm

    settings = {"objective": objective, "verbosity": -1, "seed": 0, "num_threads": 1}
    model = lightgbm.train(settings, lightgbm.Dataset(X, target, weight=weight), ROUNDS)
    found: Floats = model.predict(asked)
    return found


def main(folder: Path) -> None:
    with np.load(folder / "windows.npz") as read:
        found = dict(read)
    X, says, reference, label = (found.pop(name) for name in ("X", "says", "reference", "label"))
    of_reference = X[reference], says[reference], label
    # The archive keeps the order in which the windows were written.
    np.save(folder / "estimates.npy", [pape(*of_reference, X[rows], says[rows]) for rows in found.values()])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
