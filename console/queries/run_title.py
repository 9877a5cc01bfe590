"""What a run is about, in a few words, from its machine and its input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from millrace.names import WorkloadNames

Document = Mapping[str, Any]


def run_title(names: WorkloadNames, machine: str, given: Document) -> str:
    """For example `training/1996-05.parquet`, `alarm input-drift`, `version 2`; empty when the input does not say."""
    detail = given.get("detail")
    tell = ABOUT.get(machine)
    said = tell(given, detail if isinstance(detail, Mapping) else {}) if tell else ""
    return said.replace(f"{names.prefix}-", "")


def _drop(_: Document, detail: Document) -> str:
    return str(detail.get("key", "")).partition("/")[2]


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


ABOUT: Mapping[str, Callable[[Document, Document], str]] = {
    "ingest": _drop,
    "score": _score,
    "train": _train,
    "retrain": _retrain,
    "release": _release,
    "monitor": _monitor,
}
