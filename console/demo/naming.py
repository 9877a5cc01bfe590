"""What a person calls an execution: what it was about and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from console.demo.answers import answer, committed_of, reason_of, source_of
from console.queries.executions import Execution
from millrace.messages.ingest import Ingested
from millrace.messages.monitor import MetricsPublished, WindowsPlanned
from millrace.messages.release import ReleaseStarted
from millrace.messages.retrain import RetrainingDecided
from millrace.messages.score import Delivered
from millrace.messages.train import BudgetChecked, GatesJudged, VersionRegistered

WORDS = {"cool_down": "cool-down", "new_labels": "too few new labels", "runs_per_month": "too many runs this month",
         "running": "one runs already", "no_champion": "no champion yet"}  # fmt: skip


def name_of(execution: Execution) -> str:
    """One line, for example `ingest labels/1997-05.csv: 1,488 rows, 48 quarantined`."""
    subject, outcome = subject_of(execution), outcome_of(execution)
    return f"{subject}: {outcome}" if outcome else subject


def subject_of(execution: Execution) -> str:
    """What the execution was about: `train (first)`."""
    return f"{execution.machine} {_subject(execution)}".strip()


def outcome_of(execution: Execution) -> str:
    """What came of it: `version 1`; empty where there is nothing to add."""
    if not execution.is_good:
        return execution.status.lower() + (f", {execution.failure}" if execution.failure else "")
    return OUTCOMES[execution.machine](execution)


def is_refused(execution: Execution) -> bool:
    """Whether a gate refused the model, or the guard the retraining."""
    gated, guarded = answer(execution, "gating", GatesJudged), answer(execution, "guard", RetrainingDecided)
    return bool((gated and not gated.passed) or (guarded and not guarded.accepted))


def alarm_name(alarm: str) -> str:
    """`input drift`, of the alarm's whole name."""
    return "input drift" if alarm.endswith("input-drift") else alarm.rpartition("-")[2]


def words(names: Sequence[str]) -> str:
    """The names as a person lists them: `calibration, latency and non-inferiority`."""
    spoken = [name.replace("non_inferiority", "non-inferiority").replace("_", " ") for name in names]
    return " and ".join([", ".join(spoken[:-1]), spoken[-1]] if len(spoken) > 1 else spoken)


def times(ratio: float) -> str:
    """`224` or `0.46`: how many times its bound something is."""
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2f}"


def _subject(execution: Execution) -> str:
    if execution.machine == "train":
        reason = reason_of(execution)
        return f"({reason})" if reason else ""
    if execution.machine == "release":
        opened = answer(execution, "start_release", ReleaseStarted)
        return f"version {opened.version if opened else execution.input.get('detail', {}).get('version', '')}".strip()
    return source_of(execution)


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
    return f"refused by {words([verdict.name for verdict in gated.refusals])}" if gated else ""


def _released(execution: Execution) -> str:
    opened = answer(execution, "start_release", ReleaseStarted)
    return "" if opened is None or opened.outcome == "open" else opened.outcome


def _monitored(execution: Execution) -> str:
    planned, published = (
        answer(execution, "plan_windows", WindowsPlanned),
        answer(execution, "publish_metrics", MetricsPublished),
    )
    if published is None:
        return f"nothing new{', ' + planned.reason if planned and planned.reason else ''}"
    ratios = (("drift", published.input_ratio), ("error", published.error_ratio))
    said = [f"{name} {times(ratio)} × its bound" for name, ratio in ratios if ratio is not None]
    return ", ".join([f"{published.judged} windows judged", *said])


def _retrained(execution: Execution) -> str:
    guarded = answer(execution, "guard", RetrainingDecided)
    if guarded is None:
        return ""
    if guarded.accepted:
        return f"accepted, asked by {guarded.trigger}"
    until = f" until {guarded.earliest_next:%Y-%m-%d}" if guarded.earliest_next else ""
    return f"refused, {WORDS.get(guarded.reason, guarded.reason)}{until}"


OUTCOMES: Mapping[str, Callable[[Execution], str]] = {
    "ingest": _ingested,
    "score": _scored,
    "train": _trained,
    "release": _released,
    "monitor": _monitored,
    "retrain": _retrained,
}
