"""Writes entries to MLflow: one experiment for each workload of a stage, one MLflow run for each training run."""

from __future__ import annotations

import fcntl
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from millrace.functions.tracking.entries import Entry
from millrace.functions.tracking.run_ids import RunIds

RUN_TAG = "millrace_run"
FILE = "sqlite:///"
BATCH = 1000
"""The most metrics that MLflow takes in one call. Beside them it takes 100 parameters and 100 tags."""


class Store:
    """The tracking server or file behind `uri`."""

    def __init__(self, uri: str, *, experiment: str, ids: RunIds) -> None:
        self._ids = ids
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        with warnings.catch_warnings():
            # mlflow 3.17 itself uses sqlalchemy's deprecated "noload", which warns at import. This may go with a later
            # mlflow.
            warnings.simplefilter("ignore")
            from mlflow.tracking import MlflowClient

            with _alone(uri):
                self._client: Any = MlflowClient(tracking_uri=uri)
                self._experiment = self._experiment_id(experiment)

    def write(self, entry: Entry, *, at: datetime) -> str:
        """Write the entry and return the id of its MLflow run. The same entry a second time changes nothing."""
        from mlflow.entities import Metric, Param, RunTag

        run_id = self._run_id(entry.run, at)
        moment_ms = int(at.timestamp() * 1000)
        metrics = [Metric(point.name, point.value, moment_ms, point.step) for point in entry.points]
        params = [Param(name, value) for name, value in entry.parameters.items()]
        tags = [RunTag(name, value) for name, value in entry.tags.items()]
        self._client.log_batch(run_id, params=params, tags=tags)
        # In parts, since MLflow limits the metrics of one call.
        for first in range(0, len(metrics), BATCH):
            self._client.log_batch(run_id, metrics=metrics[first : first + BATCH])
        if entry.finished:
            self._client.set_terminated(run_id, end_time=moment_ms)
        return run_id

    def _experiment_id(self, name: str) -> str:
        """The id of the experiment, which is created if needed.

        Of two events that create it at once, one fails, and Lambda repeats it."""
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))

    def _run_id(self, run: str, at: datetime) -> str:
        return self._ids.find(run) or self._made(run, at)

    def _made(self, run: str, at: datetime) -> str:
        """Create the MLflow run and return its id. If another event was faster, return its run and delete this one."""
        made = self._client.create_run(
            self._experiment, start_time=int(at.timestamp() * 1000), run_name=run, tags={RUN_TAG: run}
        )
        run_id = str(made.info.run_id)
        kept = self._ids.claim(run, run_id)
        if kept != run_id:
            self._client.delete_run(run_id)
        return kept


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Let no other process open the same file while the block runs.

    mlflow creates its tables without a lock. Two processes that create them at once leave them half made for ever. A
    tracking server takes care of that itself, so for its URI nothing is locked."""
    if not uri.startswith(FILE):
        yield
        return
    with Path(f"{uri.removeprefix(FILE)}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
