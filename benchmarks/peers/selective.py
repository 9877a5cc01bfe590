"""MAPIE and score-select on the scores of one population, in an environment of their own: they would move what we stand
on.

`PYTHON benchmarks/peers/selective.py FOLDER`, with `mapie` and `score-select` installed in PYTHON's environment.
FOLDER has `draws.npz`: `confidence` and `wrong` of the rows to learn from (D draws, N rows), `asked`, the confidence of
rows to answer (fewer draws, M rows), and `error` and `risk`. The least confidence that each method uses becomes
`thresholds.npz`, (D), NaN where it uses no answer."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

SEQUENCES = 5


def thresholds(python: Path, folder: Path, **draws: Any) -> dict[str, Floats]:
    """The thresholds of each method by its name."""
    np.savez(folder / "draws.npz", **draws)
    subprocess.run([python, __file__, folder], check=True, stdout=sys.stderr)
    with np.load(folder / "thresholds.npz") as found:
        return dict(found)


def by_mapie(confidence_N: Floats, wrong_N: Floats, *, error: float, risk: float, sequences: int) -> float:
    """The best threshold that controls the precision of the answers that are used: the share of right ones among them.

    Without `sequences` all is MAPIE's default. With them it tests so many fixed sequences, the strictest first."""
    from mapie.risk_control import BinaryClassificationController
    from mapie.risk_control.fwer_control import FWERFixedSequenceTesting

    more: dict[str, Any] = {}
    if sequences:
        more = {
            "list_predict_params": np.linspace(0.99, 0, 100),
            "fwer_method": FWERFixedSequenceTesting(n_starts=sequences),
        }
    controller = BinaryClassificationController(
        lambda rows: np.column_stack([1 - rows[:, 0], rows[:, 0]]),
        risk="precision",
        target_level=1 - error,
        confidence_level=1 - risk,
        **more,
    )
    with warnings.catch_warnings():
        # It warns where no threshold is proved.
        warnings.simplefilter("ignore")
        controller.calibrate(confidence_N[:, None], 1 - wrong_N)
    best = controller.best_predict_param
    return np.nan if best is None else float(best)


def by_score_select(confidence_N: Floats, wrong_N: Floats, asked_M: Floats, *, error: float) -> float:
    """The least confidence among the asked rows that it selects. It promises the mean error of many selections."""
    from SCoRE import SCoRE_SDR

    selected = SCoRE_SDR((wrong_N, 1 - confidence_N), 1 - asked_M, alpha=error, gamma=error)
    return float(asked_M[selected].min()) if len(selected) else np.nan


def main(folder: Path) -> None:
    with np.load(folder / "draws.npz") as read:
        draws = dict(read)
    error, risk = float(draws["error"]), float(draws["risk"])
    rows = list(zip(draws["confidence"], draws["wrong"], strict=True))
    found = {
        name: [by_mapie(*one, error=error, risk=risk, sequences=count) for one in rows]
        for name, count in (("MAPIE", 0), (f"MAPIE, {SEQUENCES} sequences", SEQUENCES))
    }
    asked = draws["asked"]
    found["score-select"] = [
        by_score_select(*one, asked_M, error=error) for one, asked_M in zip(rows[: len(asked)], asked, strict=True)
    ]
    np.savez(folder / "thresholds.npz", **{name: np.array(values) for name, values in found.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
