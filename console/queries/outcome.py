"""The outcome of a run beside its status: SUCCEEDED says that a machine reached its end, not that it accepted a row.

ingest   0 accepted, 11,000 quarantined (type 10,990, range 10)
train    refused by non_inferiority
retrain  not started: cool-down until 1997-06-19
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from console.queries.answers import answer, committed_of, reason_of, source_of
from console.queries.executions import Execution
from console.queries.quarantine import ReasonCount
from millrace.messages.ingest import Ingested
from millrace.messages.monitor import MetricsPublished, NoWindows, WindowsPlanned
from millrace.messages.release import ReleaseStarted
from millrace.messages.retrain import RetrainingDecided, RetrainingReason
from millrace.messages.score import Delivered
from millrace.messages.train import BudgetChecked, BudgetRefusal, GatesJudged, VersionRegistered

NOT_RETRAINED: Mapping[RetrainingReason, str] = {
    RetrainingReason.RUNNING: "another retraining runs",
    RetrainingReason.COOL_DOWN: "cool-down",
    RetrainingReason.RUNS_PER_MONTH: "the month has had its retrainings",
    RetrainingReason.BUDGET: "the budget has no room for it",
    RetrainingReason.NEW_LABELS: "too few new labels",
    RetrainingReason.NO_CHAMPION: "no version is live",
}
NOT_TRAINED: Mapping[BudgetRefusal, str] = {
    BudgetRefusal.CHAMPION_EXISTS: "a version is live already",
    BudgetRefusal.BUSY: "another training runs",
    BudgetRefusal.BUDGET: "the budget has no room for it",
}
NOT_JUDGED: Mapping[NoWindows, str] = {
    NoWindows.NO_CHAMPION: "no version is live",
    NoWindows.NONE_COMPLETE: "no new window is complete",
}
NOT_RELEASED: Mapping[str, str] = {
    "done": "not released: this version or a newer one is or was live",
    "busy": "not released: another release runs",
}
"""By the answer of `start_release`."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of one run."""

    text: str = ""
    """Empty where there is nothing to say, or the machine has no entry in OUTCOMES."""
    is_refused: bool = False
    """The run succeeded without what it was started for: no row accepted, nothing trained, the model not registered."""
    look: tuple[str, ...] = ()
    """Words after `millrace` of the command that shows more: `quarantine --drop training/week.csv`."""
    uri: str = ""
    """Where the run has put its result for others."""


def outcome(execution: Execution, reasons: Sequence[ReasonCount] = ()) -> Outcome:
    """The outcome of an execution; of one that failed or still runs its status, of a failed one also the error.

    `reasons` are those of its quarantined rows, where they were read."""
    if not execution.is_good:
        failure = f", {execution.failure}" if execution.failure else ""
        return Outcome(text=f"{execution.status.lower()}{failure}")
    found = OUTCOMES.get(execution.machine)
    return found(execution, reasons) if found else Outcome()


def quarantined_rows(execution: Execution) -> int:
    """How many rows an execution of `ingest` or `score` has quarantined; 0 for other machines."""
    committed, delivered = committed_of(execution), answer(execution, "delivery", Delivered)
    return committed.rows_quarantined if committed else delivered.quarantined if delivered else 0


def _ingested(execution: Execution, reasons: Sequence[ReasonCount]) -> Outcome:
    ingested, committed = answer(execution, "ingestion", Ingested), committed_of(execution)
    if ingested and ingested.rejected:
        return _rejected(execution, ingested)
    if committed is None:
        return Outcome()
    if committed.duplicate:
        first = committed.alias_of.rpartition("/")[2].partition("?")[0]
        return Outcome(text=f"no row added: the bytes of {first} again")
    accepted = committed.rows_accepted
    text = f"{accepted:,} accepted{_quarantined(committed.rows_quarantined, reasons)}"
    return Outcome(text=text, is_refused=not accepted, look=_look(execution, committed.rows_quarantined))


def _scored(execution: Execution, reasons: Sequence[ReasonCount]) -> Outcome:
    ingested, delivered = answer(execution, "ingestion", Ingested), answer(execution, "delivery", Delivered)
    if ingested and ingested.rejected:
        return _rejected(execution, ingested)
    if delivered is None:
        return Outcome()
    text = f"{delivered.rows:,} predictions delivered{_quarantined(delivered.quarantined, reasons)}"
    look = _look(execution, delivered.quarantined)
    return Outcome(text=text, is_refused=not delivered.rows, look=look, uri=delivered.uri)


def _rejected(execution: Execution, ingested: Ingested) -> Outcome:
    text = f"nothing accepted, the whole file quarantined ({ingested.reason})"
    return Outcome(text=text, is_refused=True, look=_look(execution, 1))


def _quarantined(rows: int, reasons: Sequence[ReasonCount]) -> str:
    """`, 11,000 quarantined (type 10,990, range 10)`."""
    why = ", ".join(f"{one.reason} {one.rows:,}" for one in reasons)
    return f", {rows:,} quarantined{f' ({why})' if why else ''}" if rows else ""


def _look(execution: Execution, quarantined: int) -> tuple[str, ...]:
    return ("quarantine", "--drop", source_of(execution)) if quarantined else ()


def _trained(execution: Execution, _: Sequence[ReasonCount]) -> Outcome:
    budgeted, gated = answer(execution, "budget", BudgetChecked), answer(execution, "gating", GatesJudged)
    registered = answer(execution, "registration", VersionRegistered)
    if budgeted and not budgeted.accepted:
        return _not_trained(execution, budgeted)
    if registered:
        return Outcome(text=f"registered version {registered.version}")
    if gated is None:
        return Outcome()
    refusals = ", ".join(verdict.name for verdict in gated.refusals)
    return Outcome(text=f"refused by {refusals}", is_refused=True, look=("versions",))


def _not_trained(execution: Execution, budgeted: BudgetChecked) -> Outcome:
    """Rows that are ingested while the first training runs, or just after it, start one of their own."""
    reason = budgeted.reason
    is_needless = reason_of(execution) == "first" and reason is not BudgetRefusal.BUDGET
    figures = ""
    if reason is BudgetRefusal.BUDGET:
        figures = f": up to {budgeted.projected_usd:.2f} USD, {budgeted.monthly_usd:.2f} USD a month"
    text = f"not started: {NOT_TRAINED[reason] if reason else 'refused'}{figures}"
    return Outcome(text=text, is_refused=not is_needless, look=("cost",) if figures else ())


def _released(execution: Execution, _: Sequence[ReasonCount]) -> Outcome:
    opened = answer(execution, "start_release", ReleaseStarted)
    if opened is None:
        return Outcome()
    if opened.outcome != "open":
        return Outcome(text=NOT_RELEASED[opened.outcome])
    if "rollback" in execution.input:
        return Outcome(text=f"version {opened.version} is live again")
    return Outcome(text=f"released version {opened.version}")


def _monitored(execution: Execution, _: Sequence[ReasonCount]) -> Outcome:
    planned = answer(execution, "plan_windows", WindowsPlanned)
    published = answer(execution, "publish_metrics", MetricsPublished)
    if published is None:
        why = f": {NOT_JUDGED[planned.reason]}" if planned and planned.reason else ""
        return Outcome(text=f"nothing judged{why}")
    ratios = (("drift", published.input_ratio), ("error", published.error_ratio))
    findings = [f"{name} {ratio:.3g} × its bound" for name, ratio in ratios if ratio is not None]
    return Outcome(text=", ".join([f"{published.judged} windows judged", *findings]))


def _retrained(execution: Execution, _: Sequence[ReasonCount]) -> Outcome:
    guarded = answer(execution, "guard", RetrainingDecided)
    if guarded is None:
        return Outcome()
    if guarded.accepted:
        return Outcome(text=f"accepted, trigger {guarded.trigger}")
    until = f" until {guarded.earliest_next:%Y-%m-%d}" if guarded.earliest_next else ""
    return Outcome(text=f"not started: {NOT_RETRAINED[guarded.reason]}{until}", is_refused=True)


OUTCOMES: Mapping[str, Callable[[Execution, Sequence[ReasonCount]], Outcome]] = {
    "ingest": _ingested,
    "score": _scored,
    "train": _trained,
    "release": _released,
    "monitor": _monitored,
    "retrain": _retrained,
}
"""By machine."""
