"""One line for a run: its machine and what the run is about."""

from __future__ import annotations

from collections.abc import Mapping

from console.presenters.catalogue import PRESENTERS
from console.presenters.presenter import Document
from console.queries.executions import Execution
from millrace.names import WorkloadNames


def run_title(names: WorkloadNames, machine: str, given: Document) -> str:
    """What an execution with this input is about; empty if the input does not show it.

    For example `training/1996-05.parquet`, `alarm input-drift`, `version 2`."""
    detail = given.get("detail")
    presenter = PRESENTERS.get(machine)
    title = presenter.subject(given, detail if isinstance(detail, Mapping) else {}) if presenter else ""
    # Names of alarms carry the workload's prefix, which says nothing to a reader of its runs.
    return title.replace(f"{names.prefix}-", "")


def titled(names: WorkloadNames, execution: Execution) -> str:
    """Machine and subject, for example `ingest labels/1997-05.csv`."""
    return f"{execution.machine} {run_title(names, execution.machine, execution.input)}".strip()
