"""One line for a run: its machine and subject, and once it has ended its outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from console.queries.answers import answer, committed_of
from console.queries.executions import Execution
from millrace.messages.ingest import Ingested
from millrace.messages.monitor import MetricsPublished, WindowsPlanned
from millrace.messages.release import ReleaseStarted
from millrace.messages.retrain import RetrainingDecided
from millrace.messages.score import Delivered
from millrace.messages.train import BudgetChecked, GatesJudged, VersionRegistered
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


def outcome(execution: Execution) -> str:
    """For example `1,488 rows, 48 quarantined`; of a failed one status and error. Empty when there is none, or the
    machine has no entry in OUTCOMES."""
    if not execution.is_good:
        return execution.status.lower() + (f", {execution.failure}" if execution.failure else "")
    found = OUTCOMES.get(execution.machine)
    return found(execution) if found else ""


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


def _ingested(execution: Execution) -> str:
    ingested, committed = answer(execution, "ingestion", Ingested), committed_of(execution)
    if ingested and ingested.rejected:
        return f"rejected, {ingested.reason}"
    if committed is None:
        return ""
    if committed.duplicate:
        return f"the bytes of {committed.alias_of.rpartition('/')[2].partition('?')[0]} again, no rows"
    return _rows(committed.rows_accepted, committed.rows_quarantined)


def _scored(execution: Execution) -> str:
    ingested, delivered = answer(execution, "ingestion", Ingested), answer(execution, "delivery", Delivered)
    if ingested and ingested.rejected:
        return f"rejected, {ingested.reason}"
    return _rows(delivered.rows, delivered.quarantined) if delivered else ""


def _rows(good: int, quarantined: int) -> str:
    return f"{good:,} rows" + (f", {quarantined:,} quarantined" if quarantined else "")


def _trained(execution: Execution) -> str:
    budgeted, gated = answer(execution, "budget", BudgetChecked), answer(execution, "gating", GatesJudged)
    registered = answer(execution, "registration", VersionRegistered)
    if budgeted and not budgeted.accepted:
        return f"not started, {budgeted.reason}"
    if registered:
        return f"version {registered.version}"
    return f"refused by {', '.join(verdict.name for verdict in gated.refusals)}" if gated else ""


def _released(execution: Execution) -> str:
    opened = answer(execution, "start_release", ReleaseStarted)
    return "" if opened is None or opened.outcome == "open" else opened.outcome


def _monitored(execution: Execution) -> str:
    planned = answer(execution, "plan_windows", WindowsPlanned)
    published = answer(execution, "publish_metrics", MetricsPublished)
    if published is None:
        return f"nothing new{', ' + planned.reason if planned and planned.reason else ''}"
    ratios = (("drift", published.input_ratio), ("error", published.error_ratio))
    findings = [f"{name} {ratio:.3g} × its bound" for name, ratio in ratios if ratio is not None]
    return ", ".join([f"{published.judged} windows judged", *findings])


def _retrained(execution: Execution) -> str:
    guarded = answer(execution, "guard", RetrainingDecided)
    if guarded is None:
        return ""
    if guarded.accepted:
        return f"accepted, trigger {guarded.trigger}"
    until = f" until {guarded.earliest_next:%Y-%m-%d}" if guarded.earliest_next else ""
    return f"refused, {guarded.reason}{until}"


OUTCOMES: Mapping[str, Callable[[Execution], str]] = {
    "ingest": _ingested,
    "score": _scored,
    "train": _trained,
    "release": _released,
    "monitor": _monitored,
    "retrain": _retrained,
}
