"""A drift job from decisions, labels and baseline to `report.json`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.monitoring.decisions import read_decisions, table_of
from millrace.contract.load import load_contract
from millrace.contract.schema import Contract
from millrace.decisions.outcomes import Labels, Outcome, join, read_labels
from millrace.decisions.record import Decision
from millrace.messages.monitor import (
    REPORT_FILE,
    REQUEST_FILE,
    ErrorReport,
    Finding,
    InputReport,
    Report,
    Request,
    WindowReport,
    read_request,
)
from millrace.monitoring.baseline import BASELINE_FILE, Baseline
from millrace.monitoring.error import ErrorBound, lowest_of
from millrace.monitoring.judgement import judge
from millrace.workload.declaration import Workload, read_workload

if TYPE_CHECKING:
    from jobs.runtime import ProcessingPlaces

ENOUGH = 0.9
"""Share of a window's decisions that must have labels, and be the champion's, before its error is judged."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What every window is judged with."""

    request: Request
    workload: Workload
    contract: Contract
    baseline: Baseline
    labels: Labels


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


def watch(places: ProcessingPlaces) -> None:
    """Write the report on every window that the request asks for."""
    config = places.input("config")
    workload, contract = read_workload(config / "workload.yaml"), load_contract(config)
    known = Known(
        request=read_request((config / REQUEST_FILE).read_bytes()),
        workload=workload,
        contract=contract,
        baseline=Baseline.from_json((places.input("baseline") / BASELINE_FILE).read_bytes()),
        labels=_labels(places.optional("labels"), workload, contract),
    )
    found = read_decisions(places.input("decisions"))
    report = report_on(found.decisions, known, unreadable=found.unreadable)
    (places.output("report") / REPORT_FILE).write_text(report.model_dump_json(indent=1))


def report_on(decisions: list[Decision], known: Known, *, unreadable: int) -> Report:
    """The report on the decisions, each put into the window of its event time."""
    request, baseline = known.request, known.baseline
    inside = [[one for one in decisions if window.start <= one.event_time < window.end] for window in request.windows]
    counted = [_count(rows, known) for rows in inside]
    ratios = _ratios([one.error for one in counted], baseline.error)
    return Report(
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
                error=_error(one, ratio) if window.judge_error else None,
            )
            for window, rows, one, ratio in zip(request.windows, inside, counted, ratios, strict=True)
        ),
    )


def _labels(folder: Path | None, workload: Workload, contract: Contract) -> Labels:
    """The labels of every Parquet file in the folder; none where there is no file."""
    surface = workload.prediction
    paths = sorted(folder.rglob("*.parquet")) if folder else []
    if not paths:
        return Labels(by_id={}, by_key={}, columns=tuple(dict.fromkeys([*surface.key, surface.event_time])))
    table = pa.concat_tables([pq.ParquetFile(path).read() for path in paths])
    return read_labels(table, surface=surface, contract=contract.labels)


def _input(decisions: list[Decision], known: Known) -> InputReport:
    """The judgement of what the model was asked."""
    judgement = judge(known.baseline, table_of(decisions, known.baseline))
    findings = sorted(judgement.findings, key=lambda finding: -finding.ratio)
    return InputReport(
        rows=judgement.rows,
        usual_rows=judgement.usual_rows,
        ratio=judgement.ratio,
        findings=tuple(
            Finding(column=f.column, statistic=f.statistic, value=f.value, bound=f.bound, ratio=f.ratio)
            for f in findings
        ),
    )


def _count(decisions: list[Decision], known: Known) -> Counted:
    surface = known.workload.prediction
    outcomes = join(decisions, known.labels, surface=surface, contract=known.contract.labels)
    labelled = [outcome for outcome in outcomes if outcome.label is not None]
    own = [one for one in labelled if one.decision.model_version == known.request.model_version]
    return Counted(
        answered=len(outcomes), labelled=len(labelled), champions=len(own), error=_share_wrong(own, len(outcomes))
    )


def _share_wrong(own: list[Outcome], answered: int) -> float | None:
    if not own or len(own) < ENOUGH * answered:
        return None
    return sum(outcome.is_wrong for outcome in own) / len(own)


def _ratios(errors: list[float | None], bound: ErrorBound | None) -> list[float | None]:
    """By window: the smallest error of it and the windows right before it, over the bound."""
    if bound is None:
        return [None] * len(errors)
    ratios: list[float | None] = []
    for end in range(1, len(errors) + 1):
        row = [error for error in errors[max(end - bound.windows, 0) : end] if error is not None]
        lowest = lowest_of(row, bound.windows)
        ratios.append(lowest[-1] / bound.bound if lowest else None)
    return ratios


def _error(counted: Counted, ratio: float | None) -> ErrorReport:
    return ErrorReport(
        answered=counted.answered,
        labelled=counted.labelled,
        champions=counted.champions,
        error=counted.error,
        ratio=ratio,
        settled=counted.is_settled,
    )
