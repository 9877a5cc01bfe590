"""A drift job from decisions, labels and baseline to `report.json`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from jobs.monitoring.decisions import watched
from millrace.contract.load import load_contract
from millrace.contract.schema import Contract
from millrace.decisions.outcomes import Label, Outcome, join
from millrace.decisions.record import Decision
from millrace.decisions.store import read_folder
from millrace.errors import ArtefactError
from millrace.features import catalogue as encoders
from millrace.messages.monitor import (
    BASELINE_FILE,
    REPORT_FILE,
    REQUEST_FILE,
    DriftFinding,
    ErrorReport,
    InputReport,
    MonitorReport,
    MonitorRequest,
    WindowReport,
    read_request,
)
from millrace.monitoring.baseline import Baseline
from millrace.monitoring.error import ErrorBound, lowest_of
from millrace.monitoring.judgement import judge
from millrace.tasks import catalogue as tasks
from millrace.workload.declaration import Workload
from millrace.workload.load import read_workload

if TYPE_CHECKING:
    from jobs.runtime import ProcessingPlaces

ENOUGH = 0.9
"""Share of a window's decisions that must have labels, and be the champion's, before its error is judged."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What every window is judged with."""

    request: MonitorRequest
    workload: Workload
    contract: Contract
    baseline: Baseline
    features: encoders.Features
    """As they are declared now; what is watched of a column needs nothing that was learnt."""
    labels: Sequence[Label]


@dataclass(frozen=True, kw_only=True)
class Counted:
    """One window's outcomes."""

    answered: int
    labelled: int
    champions: int
    error: float | None

    @property
    def is_settled(self) -> bool:
        """A window without decisions has nothing to wait for."""
        return self.labelled >= ENOUGH * self.answered


def monitor(places: ProcessingPlaces) -> None:
    """Write the report on every window of the request."""
    config = places.input("config")
    workload, contract = read_workload(config / "workload.yaml"), load_contract(config)
    request = read_request((config / REQUEST_FILE).read_bytes())
    known = Known(
        request=request,
        workload=workload,
        contract=contract,
        baseline=_baseline(places.input("baseline") / BASELINE_FILE, approved=request.baseline_digest),
        features=encoders.declare(workload.prediction.features, contract.rows),
        labels=_labels(places.optional("labels")),
    )
    found = read_folder(places.input("decisions"))
    report = report_on(found.decisions, known, unreadable=found.unreadable)
    (places.output("report") / REPORT_FILE).write_text(report.model_dump_json(indent=1))


def _baseline(path: Path, *, approved: str) -> Baseline:
    content = path.read_bytes()
    if approved and (came := hashlib.sha256(content).hexdigest()) != approved:
        raise ArtefactError(f"{BASELINE_FILE}: expected the one that was approved, digest {approved}, got {came}")
    return Baseline.from_json(content)


def report_on(decisions: Sequence[Decision], known: Known, *, unreadable: int) -> MonitorReport:
    """The report on the decisions, each put into the window of its event time."""
    request, baseline = known.request, known.baseline
    inside = [[one for one in decisions if window.start <= one.event_time < window.end] for window in request.windows]
    outcomes = _outcomes(decisions, known)
    counted = [
        _count([one for one in outcomes if window.start <= one.decision.event_time < window.end], request.model_version)
        for window in request.windows
    ]
    judged = _judged(counted, baseline.error)
    return MonitorReport(
        workload=request.workload,
        as_of=request.as_of,
        model_version=request.model_version,
        unreadable=unreadable,
        windows=tuple(
            WindowReport(
                start=window.start,
                end=window.end,
                decisions=len(rows),
                input=_input(rows, known) if window.judge_input else None,
                error=_error(one, *figures) if window.judge_error else None,
            )
            for window, rows, one, figures in zip(request.windows, inside, counted, judged, strict=True)
        ),
    )


def _labels(folder: Path | None) -> list[dict[str, Any]]:
    """The labels of every Parquet file in the folder; none where there is no file."""
    paths = sorted(folder.rglob("*.parquet")) if folder else []
    return [label for path in paths for label in pq.ParquetFile(path).read().to_pylist()]


def _input(decisions: list[Decision], known: Known) -> InputReport:
    """The judgement of the model's inputs."""
    judgement = judge(known.baseline, watched(decisions, known.baseline, known.features, known.contract.rows))
    findings = sorted(judgement.findings, key=lambda finding: -finding.ratio)
    return InputReport(
        rows=judgement.rows,
        usual_rows=judgement.usual_rows,
        ratio=judgement.ratio,
        findings=tuple(
            DriftFinding(column=f.column, statistic=f.statistic, value=f.value, bound=f.bound, ratio=f.ratio)
            for f in findings
        ),
    )


def _outcomes(decisions: Sequence[Decision], known: Known) -> list[Outcome]:
    prediction_spec = known.workload.prediction
    task = tasks.declare(prediction_spec, known.contract.label)
    return join(decisions, known.labels, prediction_spec=prediction_spec, table=known.contract.labels, task=task)


def _count(outcomes: list[Outcome], champion: str) -> Counted:
    labelled = [one for one in outcomes if one.error is not None]
    own = [one.error for one in labelled if one.decision.model_version == champion and one.error is not None]
    # The mean is the champion's only if it answered nearly all: with many answers of a challenger or of the fallback,
    # or with many labels still to come, the few would stand for rows that may be different.
    enough = own and len(own) >= ENOUGH * len(outcomes)
    return Counted(
        answered=len(outcomes),
        labelled=len(labelled),
        champions=len(own),
        error=sum(own) / len(own) if enough else None,
    )


def _judged(counted: list[Counted], bound: ErrorBound | None) -> list[tuple[float | None, float | None]]:
    """By window: the smallest error of it and the windows right before it, over their bound; and that bound."""
    if bound is None:
        return [(None, None)] * len(counted)
    found: list[tuple[float | None, float | None]] = []
    for end in range(1, len(counted) + 1):
        # A window whose error is not known leaves the row too short, so that nothing is judged by it.
        row = [one for one in counted[max(end - bound.windows, 0) : end] if one.error is not None]
        lowest = lowest_of([one.error for one in row if one.error is not None], bound.windows)
        limit = bound.of(min(one.champions for one in row)) if row else None
        found.append((lowest[-1] / limit if lowest and limit else None, limit))
    return found


def _error(counted: Counted, ratio: float | None, bound: float | None) -> ErrorReport:
    return ErrorReport(
        answered=counted.answered,
        labelled=counted.labelled,
        champions=counted.champions,
        error=counted.error,
        ratio=ratio,
        bound=bound,
        settled=counted.is_settled,
    )
