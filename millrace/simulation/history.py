"""The errors that versions of earlier days would have made on every later day: all that a simulation reads.

`python -m millrace.jobs.training history` makes them, in these folders of a training job:

/input/data/config/contract.yaml, workload.yaml, run.json
/input/data/data/rows.arrow                                 the rows, in the order of event time
/model/history.npz

Axes: K lengths of the training days, V versions, D days. Version v learnt from the days before day v × `step_days`."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

Sums = npt.NDArray[np.float64]

HISTORY_FILE, ROWS_FILE = "history.npz", "rows.arrow"
TRAIN_DAYS, STEP_DAYS = "train_days", "step_days"
"""The hyperparameters of the job: a list of `training.train_days`, and the days from one version to the next."""


@dataclass(frozen=True, kw_only=True)
class LivedHistory:
    """What versions did. A version has errors from its first test day on."""

    first: str
    """The first day, `1996-11-23`: the first test day of version 0."""
    step_days: int
    test_days: int
    """A version could be released so many days after its first test day, once their labels were there."""
    train_days: tuple[int | None, ...]
    """By K; None for all days."""
    rows_D: Sums
    errors_KVD: Sums
    """The sum of a day's errors."""
    costs_KVD: Sums | None
    """The sum of what a day's answers cost by the policy; None if it declares no costs."""
    seconds: float
    """Of a processor: one training, on average."""

    @property
    def versions(self) -> int:
        return int(self.errors_KVD.shape[1])

    @property
    def days(self) -> int:
        return len(self.rows_D)

    def part(self, first: int, last: int) -> LivedHistory:
        """The days from `first`, a multiple of `step_days`, up to `last`, and the versions that learn before `last`."""
        versions, days = slice(first // self.step_days, -(-last // self.step_days)), slice(first, last)
        costs = None if self.costs_KVD is None else self.costs_KVD[:, versions, days]
        return replace(
            self,
            first=str(np.datetime64(self.first) + first),
            rows_D=self.rows_D[days],
            errors_KVD=self.errors_KVD[:, versions, days],
            costs_KVD=costs,
        )

    def write(self, path: Path) -> None:
        said = {"first": self.first, "step_days": self.step_days, "test_days": self.test_days,
                "train_days": self.train_days, "seconds": self.seconds}  # fmt: skip
        costs = np.array([]) if self.costs_KVD is None else self.costs_KVD
        with path.open("wb") as file:
            np.savez_compressed(
                file, said=np.array(json.dumps(said)), rows_D=self.rows_D, errors_KVD=self.errors_KVD, costs_KVD=costs
            )

    @classmethod
    def read(cls, path: Path) -> LivedHistory:
        with np.load(path, allow_pickle=False) as held:
            said = json.loads(str(held["said"]))
            said["train_days"] = tuple(said["train_days"])
            costs = held["costs_KVD"]
            costs_KVD = costs if costs.size else None
            return cls(rows_D=held["rows_D"], errors_KVD=held["errors_KVD"], costs_KVD=costs_KVD, **said)
