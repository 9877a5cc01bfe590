"""The runs of a workload as a timeline: an entry for each run that matters, and one for each quiet stretch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time

from millrace.console.presenters.catalogue import PRESENTERS, outcome, titled
from millrace.console.presenters.monitor import explain, monitor_run_before
from millrace.console.presenters.presenter import RunSummary, TimelineEntry
from millrace.console.queries.audit import Withdrawal
from millrace.console.queries.executions import Execution, answer
from millrace.console.queries.money.month import UNIT, Gain, gain_of
from millrace.console.queries.monitoring import AlarmRaised
from millrace.console.queries.report import WorkloadReport
from millrace.console.queries.runs import parent_of
from millrace.console.words import count, spelled
from millrace.messages.retrain import RetrainingDecided


def timeline(report: WorkloadReport) -> tuple[TimelineEntry, ...]:
    """The entries in the order of time."""
    return tuple(_with_withdrawals(_in_order(_entries(report)), report.withdrawals))


def _in_order(entries: Iterable[TimelineEntry]) -> Iterator[TimelineEntry]:
    """The entries in the order of their runs, but for those that happened on a later day than their run began."""
    held: list[TimelineEntry] = []
    for entry in entries:
        while held and held[0].at <= entry.at:
            yield held.pop(0)
        if entry.is_later:
            held.append(entry)
        else:
            yield entry
    yield from held


def _with_withdrawals(entries: Iterable[TimelineEntry], withdrawals: Sequence[Withdrawal]) -> Iterator[TimelineEntry]:
    """The entries with the withdrawals between them, each before the first entry that is later."""
    left = list(withdrawals)
    for entry in entries:
        while left and left[0].at < entry.at:
            yield _withdrawal(left.pop(0))
        yield entry
    yield from map(_withdrawal, left)


def _withdrawal(one: Withdrawal) -> TimelineEntry:
    gone = f"{count(one.rows, 'row')} and {count(one.labels, 'label')}"
    return TimelineEntry(at=one.at, what=f"{one.what} withdrawn", detail=f"{gone}: {one.reason}", tone="watch")


def _entries(report: WorkloadReport) -> Iterator[TimelineEntry]:
    """The entries of runs and alarms, in the order of the runs."""
    quiet: list[Execution] = []
    for run in report.runs:
        summary = _summary(run, report)
        raised = [alarm for alarm in report.alarms if alarm.execution_arn == run.arn]
        # Runs without a summary are collected until something happens, then reported together.
        if summary is None:
            quiet.append(run)
        if summary or raised:
            yield from _quiet(quiet, report)
            quiet = []
        yield from (_alarm(alarm, report) for alarm in raised)
        if summary is None:
            continue
        # A run that an alarm started has the alarm as its cause.
        because = next((f"alarm {alarm.name}" for alarm in raised if alarm.starts_retraining), _cause(run, report))
        yield TimelineEntry(
            at=datetime.combine(summary.day, time(), UTC) if summary.day else run.started,
            what=summary.what,
            detail=summary.detail,
            tone=summary.tone,
            because=because,
            seconds=run.seconds,
            is_later=summary.day is not None,
        )
    yield from _quiet(quiet, report)


def _cause(run: Execution, report: WorkloadReport) -> str:
    """What caused the run: the title of the run that started it or put its event, else the schedule of retrainings.
    Empty if neither."""
    parent = parent_of(run.input)
    scheduled = "the schedule" if run.machine == "retrain" and "schedule" in run.input.get("detail", {}) else ""
    return next((titled(report.names, each) for each in report.runs if each.arn == parent), scheduled)


def _summary(run: Execution, report: WorkloadReport) -> RunSummary | None:
    """The summary of a run that matters; None for a run that belongs to a quiet stretch."""
    if run.status == "RUNNING":
        return RunSummary(what=f"{titled(report.names, run)} is running", detail="")
    if not run.is_good:
        return RunSummary(what=f"{titled(report.names, run)}: {run.status.lower()}", detail=run.failure, tone="bad")
    presenter = PRESENTERS.get(run.machine)
    if presenter is None:
        return RunSummary(what=titled(report.names, run), detail=outcome(run).text)
    return presenter.summary(run, report)


def _quiet(stretch: Sequence[Execution], report: WorkloadReport) -> Iterator[TimelineEntry]:
    """One entry for each machine with runs in the stretch, as its presenter sums them up."""
    for machine, presenter in PRESENTERS.items():
        runs = [run for run in stretch if run.machine == machine]
        if runs and (entry := presenter.quiet(runs, report)):
            yield entry


def _alarm(alarm: AlarmRaised, report: WorkloadReport) -> TimelineEntry:
    raiser = monitor_run_before(report, alarm.at)
    return TimelineEntry(
        at=alarm.at,
        what=f"Alarm: {spelled(alarm.name)}",
        detail=explain(alarm.name, raiser, report) if raiser else "",
        tone="bad",
        because=next((titled(report.names, run) for run in report.runs if raiser and run.arn == raiser.arn), ""),
    )


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """One request for a retraining, and what became of it."""

    at: datetime
    because: str
    """`alarm input-drift`."""
    became: str
    """`version 2`, `model refused by calibration`, `not started: cool-down until 1997-06-19`."""
    labels: int
    """Those that had come since the last retraining."""
    is_trained: bool
    """Whether a training followed."""
    usd: float
    """Its jobs at list prices."""
    gain: Gain | None
    """None if nothing was trained, or if it was not compared with a version."""
    answers: int
    """Those in the monitors' windows of the version that it became."""

    @property
    def saved(self) -> float | None:
        """What these answers have saved if the difference on the compared labels holds; None without a price."""
        return self.gain.of(self.answers) if self.gain and self.answers else 0.0

    @property
    def least(self) -> float | None:
        """What they have saved at least, with 95 %."""
        return self.gain.least_of(self.answers) if self.gain and self.answers else 0.0


@dataclass(frozen=True, kw_only=True)
class Balance:
    """All requests for a retraining, and what watching cost."""

    retrainings: tuple[Retraining, ...]
    monitor_runs: int
    monitor_usd: float
    asked: int
    """Labels that people were asked for."""
    label_usd: float
    """What a person's label costs; 0 if the workload does not declare it in US dollars."""
    currency: str

    @property
    def usd(self) -> float:
        return sum(one.usd for one in self.retrainings) + self.monitor_usd + self.asked * self.label_usd

    @property
    def saved(self) -> float | None:
        """None if nobody has declared what an error costs."""
        return _sum(one.saved for one in self.retrainings)

    @property
    def sentence(self) -> str:
        """`Three retrainings and 12 monitor runs cost 0.0021 USD, and saved 0.34 USD (at least -0.62) …`."""
        begun = count(sum(one.is_trained for one in self.retrainings), "retraining").capitalize()
        told = f"{begun} and {count(self.monitor_runs, 'monitor run')} cost {self.usd:.4f} USD"
        least = _sum(one.least for one in self.retrainings)
        if self.saved is None or least is None:
            return f"{told}; what an error costs is not declared (retraining.usd_per_error)."
        price = next((one.gain.price for one in self.retrainings if one.gain), None)
        each = f" at {price:.2f} an error" if price else ""
        return f"{told} and saved {self.saved:.2f} {self.currency}{each} (at least {least:.2f}, with 95 %)."


def balance_of(report: WorkloadReport) -> Balance | None:
    """None if no retraining was ever requested."""
    found = tuple(_retrainings(report))
    if not found:
        return None
    monitored = {run.name for run in report.of("monitor")}
    costs = report.live.evaluation.costs if report.live and report.live.evaluation else None
    return Balance(
        retrainings=found,
        monitor_runs=len(report.monitor_runs),
        monitor_usd=_usd(report, monitored),
        asked=sum(window.wanted for window in report.windows),
        label_usd=costs.review if costs and costs.currency == UNIT else 0.0,
        currency=costs.currency if costs else UNIT,
    )


def _retrainings(report: WorkloadReport) -> Iterator[Retraining]:
    for run in report.of("retrain"):
        guarded = answer(run, "guard", RetrainingDecided)
        if guarded is None:
            continue
        # A refused request has no training.
        trained = [one for one in report.of("train") if parent_of(one.input) == run.arn]
        model = next((one for one in report.models if one.version.run in {each.name for each in trained}), None)
        version = model.version.version if model else None
        yield Retraining(
            at=run.started,
            because=titled(report.names, run).removeprefix("retrain "),
            became=outcome(trained[-1] if trained else run).text,
            labels=guarded.evidence.new_labels,
            is_trained=bool(trained),
            usd=_usd(report, {one.name for one in trained}),
            gain=gain_of(model.evaluation, report.usd_per_error) if model else None,
            answers=sum(one.decisions for one in report.windows if one.version == version),
        )


def _usd(report: WorkloadReport, runs: Iterable[str]) -> float:
    return sum(job.usd for job in report.jobs if job.run in {*runs})


def _sum(amounts: Iterable[float | None]) -> float | None:
    known = [*amounts]
    return None if None in known else sum(amount for amount in known if amount is not None)
