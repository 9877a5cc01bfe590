"""One line for a run: its machine and what it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from console.queries.executions import Execution
from millrace.names import WorkloadNames

Document = Mapping[str, Any]


def run_title(names: WorkloadNames, machine: str, given: Document) -> str:
    """The subject of an execution with this input, empty when the input does not show it.

    For example `training/1996-05.parquet`, `alarm input-drift`, `version 2`."""
    detail = given.get("detail")
    subject = SUBJECTS.get(machine)
    title = subject(given, detail if isinstance(detail, Mapping) else {}) if subject else ""
    return title.replace(f"{names.prefix}-", "")


def titled(names: WorkloadNames, execution: Execution) -> str:
    """Machine and subject, for example `ingest labels/1997-05.csv`."""
    return f"{execution.machine} {run_title(names, execution.machine, execution.input)}".strip()


def _drop(_: Document, detail: Document) -> str:
    objects = detail.get("objects") or [{}]
    return str(objects[0].get("key", "")).partition("/")[2]


def _score(given: Document, detail: Document) -> str:
    return _drop(given, detail) or "the newest drop"


def _train(given: Document, detail: Document) -> str:
    return str(given.get("reason") or ("first" if "rows_total" in detail else "command"))


def _retrain(given: Document, detail: Document) -> str:
    alarms = [detail["alarmName"]] if "alarmName" in detail else detail.get("alarms", [])
    if alarms:
        return "alarm " + ", ".join(str(alarm) for alarm in alarms)
    return str(given.get("reason") or ("schedule" if "schedule" in detail else "command"))


def _release(given: Document, detail: Document) -> str:
    rollback = given.get("rollback")
    if isinstance(rollback, Mapping):
        return f"back to version {rollback['to']}" if rollback.get("to") else "back to the version before"
    version = detail.get("version") or str(detail.get("package_arn", "")).rpartition("/")[2]
    return f"version {version}" if version else ""


def _monitor(given: Document, _: Document) -> str:
    return f"windows until {str(given['as_of'])[:10]}" if "as_of" in given else ""


SUBJECTS: Mapping[str, Callable[[Document, Document], str]] = {
    "ingest": _drop,
    "score": _score,
    "train": _train,
    "retrain": _retrain,
    "release": _release,
    "monitor": _monitor,
}
