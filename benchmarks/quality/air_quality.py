"""Fine dust of Beijing 1 and 24 hours ahead by the workload `air_quality`, trained on 2010 to 2013 and judged on 2014.

`python -m benchmarks.quality.air_quality --data FOLDER`; the folder has `beijing_pm25/beijing_pm25.parquet`.
Rows count where dust was measured both now and then. The recipe is that of workload.yaml; it was chosen on 2013 alone,
and the last eight weeks of 2013 choose the epoch.

The floor is the better one of "as it is now" and ridge regression on the last 24 hours of every number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.quality import Figure, arguments, conclude_set, measured
from benchmarks.quality.trained import Part, train_workload

SEEDS = (0, 1, 2)
BARS = {24: {"rmse": 81.8, "mae": 58.8}, 1: {"rmse": 20.9, "mae": 11.3}}
"""By hours ahead, µg/m³."""
SHORT = {"epochs": 20, "learning_rate": 0.003, "dropout": 0.1}
"""An hour ahead there is more to learn from each row; the width of the Huber loss suits errors a quarter as large."""
DAYS = {"validation_days": 56, "test_days": 365, "walk_forward_steps": 0}
PAST = 24
NUMBERS = ("pm2.5", "DEWP", "TEMP", "PRES", "Iws", "Is", "Ir")

Floats = npt.NDArray[np.float64]


def figures(said_N: Floats, target_N: Floats) -> dict[str, float]:
    return {"rmse": float(np.sqrt(((said_N - target_N) ** 2).mean())), "mae": float(np.abs(said_N - target_N).mean())}


def judged(test: Part) -> dict[str, float]:
    """Of the hours whose own dust is known."""
    known_N = test.rows["pm2.5"].is_valid().to_numpy()
    return figures(test.output_NW[known_N, 0].astype(np.float64), test.target_N[known_N].astype(np.float64))


def floor(rows: pa.Table, ahead: int) -> dict[str, dict[str, float]]:
    """ "As it is now", and least squares on what was known in the last hours; what is missing counts as the mean."""
    values_NF = np.column_stack([rows[name].cast(pa.float64()).to_numpy() for name in NUMBERS])
    here_N = np.arange(PAST - 1, len(values_NF) - ahead)
    dust_N = values_NF[:, 0]
    here_N = here_N[np.isfinite(dust_N[here_N]) & np.isfinite(dust_N[here_N + ahead])]
    is_test_N = rows["timestamp"].to_numpy()[here_N].astype("datetime64[D]") >= np.datetime64("2013-12-31")
    target_N = dust_N[here_N + ahead]
    x_NF = np.concatenate([values_NF[here_N - back] for back in range(PAST)], axis=1)
    x_NF = np.where(np.isnan(x_NF), np.nanmean(x_NF[~is_test_N], axis=0), x_NF)
    x_NF = (x_NF - x_NF[~is_test_N].mean(0)) / x_NF[~is_test_N].std(0)
    learnt_NF, mean = x_NF[~is_test_N], target_N[~is_test_N].mean()
    scatter_FF = learnt_NF.T @ learnt_NF + 1e-3 * len(learnt_NF) * np.eye(learnt_NF.shape[1])
    weights_F = np.linalg.solve(scatter_FF, learnt_NF.T @ (target_N[~is_test_N] - mean))
    return {
        "as it is now": figures(dust_N[here_N][is_test_N], target_N[is_test_N]),
        "ridge": figures((x_NF @ weights_F + mean)[is_test_N], target_N[is_test_N]),
    }


def reached(rows: pa.Table, ahead: int) -> list[Figure]:
    """Over the seeds, beside floor and bar."""
    prediction: dict[str, Any] = {"label": {"column": "pm2.5", "horizon_hours": ahead}}
    prediction |= {"huber": 0.1} if ahead == 1 else {}
    recipe = SHORT if ahead == 1 else {}

    def measure(seed: int) -> dict[str, float]:
        given: dict[str, Any] = {"parameters": {"seed": seed} | recipe, "prediction": prediction, "training": DAYS}
        trained = train_workload("air_quality", rows, **given)
        return judged(trained.test) | {"seconds": trained.seconds}

    found, simple = measured(SEEDS, measure, of=f"t+{ahead}"), floor(rows, ahead).values()
    least = {name: min(one[name] for one in simple) for name in BARS[ahead]}
    return [
        found.figure(
            f"air_quality t+{ahead}, {name}", name, bar, floor=least[name], rival=least[name], less_is_better=True
        )
        for name, bar in BARS[ahead].items()
    ]


def main() -> None:
    given = arguments(__doc__).parse_args()
    rows = pq.read_table(given.data / "beijing_pm25" / "beijing_pm25.parquet")
    conclude_set("air_quality", [one for ahead in BARS for one in reached(rows, ahead)])


if __name__ == "__main__":
    main()
