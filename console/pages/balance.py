"""What each alarm and each retraining cost, what it brought, and what the labels and the monitors cost, in money."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from millrace.console.presenters.catalogue import outcome, titled
from millrace.console.queries.executions import answer
from millrace.console.queries.money.month import UNIT, Gain, gain_of
from millrace.console.queries.report import WorkloadReport
from millrace.console.queries.runs import parent_of
from millrace.console.words import count
from millrace.messages.retrain import RetrainingDecided


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
