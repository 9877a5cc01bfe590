"""A drift job: from decisions, labels and a baseline to `report.json`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from millrace.contract.load import load_contract
from millrace.contract.schema import Contract
from millrace.decisions.chain import repeated
from millrace.decisions.columns import read_folder
from millrace.decisions.floor import compared, is_share, newest, together
from millrace.decisions.floor import judge as judge_floor
from millrace.decisions.outcome_columns import Outcomes, join, labels_at, merge
from millrace.decisions.promise import Labelled, follow
from millrace.errors import ArtefactError
from millrace.evaluation.naive.catalogue import measure_of
from millrace.features import catalogue as encoders
from millrace.jobs.monitoring.decisions import served, shape_of, watched
from millrace.jobs.monitoring.label_errors import label_errors
from millrace.jobs.monitoring.labels import Answered, judge_errors, wanted, weighted
from millrace.jobs.monitoring.shifts import shifts
from millrace.jobs.runtime import ProcessingPlaces
from millrace.messages.envelope import read_message
from millrace.messages.monitor import (
    BASELINE_FILE,
    REPORT_FILE,
    REQUEST_FILE,
    FloorFound,
    InputReport,
    MonitorReport,
    MonitorRequest,
    PromiseReport,
    Window,
    WindowReport,
)
from millrace.monitoring.answers import MEAN_SHIFT
from millrace.monitoring.baseline import Baseline
from millrace.monitoring.feedback import feedback
from millrace.monitoring.judgement import finding, judge
from millrace.tasks import catalogue as tasks
from millrace.tasks.answer import CONFIDENCE
from millrace.tasks.task import Task
from millrace.timestamps import micros
from millrace.workload.declaration import Workload
from millrace.workload.load import read_workload


@dataclass(frozen=True, kw_only=True)
class Known:
    """What all windows are judged by."""

    request: MonitorRequest
    workload: Workload
    contract: Contract
    baseline: Baseline
    features: encoders.Features
    """The encoders as they are declared now. What they watch of a column needs nothing that was learnt from rows."""
    labels: pa.Table

    @cached_property
    def task(self) -> Task:
        return tasks.declare(self.workload.prediction, self.contract.label)


def monitor(places: ProcessingPlaces) -> None:
    """Write the report on the windows of the request."""
    config = places.input("config")
    workload, contract = read_workload(config / "workload.yaml"), load_contract(config)
    request = read_message(MonitorRequest, (config / REQUEST_FILE).read_bytes(), REQUEST_FILE)
    known = Known(
        request=request,
        workload=workload,
        contract=contract,
        baseline=_baseline(places.input("baseline") / BASELINE_FILE, approved=request.baseline_digest),
        features=encoders.declare(workload.prediction.features, contract.rows),
        labels=_labels(places.optional("labels")),
    )
    shape = shape_of(known.baseline, known.features, contract.rows, known.task.answer)
    found = read_folder(places.input("decisions"), workload=request.workload, shape=shape)
    report = report_on(found.table, known, unreadable=found.unreadable)
    (places.output("report") / REPORT_FILE).write_text(report.model_dump_json(indent=1))


def _baseline(path: Path, *, approved: str) -> Baseline:
    """The baseline in the file. Raises ArtefactError if its SHA-256 is not `approved`; an empty one is not checked."""
    content = path.read_bytes()
    if approved and (came := hashlib.sha256(content).hexdigest()) != approved:
        raise ArtefactError(f"{BASELINE_FILE}: expected the one that was approved, digest {approved}, got {came}")
    return Baseline.from_json(content)


def report_on(decisions: pa.Table, known: Known, *, unreadable: int) -> MonitorReport:
    """The report on the decisions. Each of them belongs to the window that contains its event time."""
    request, baseline = known.request, known.baseline
    # They are in the order of time.
    at = decisions.column("event_time").cast(pa.int64()).to_numpy()
    ends = [np.searchsorted(at, [micros(window.start), micros(window.end)]) for window in request.windows]
    inside = [decisions.slice(first, end - first) for first, end in ends]
    # Labels are joined with all decisions at once, since the first decision about a row counts; then by window.
    spec = known.workload.prediction
    outcomes = join(decisions, known.labels, prediction_spec=spec, table=known.contract.labels, task=known.task)
    windows = [
        Answered(
            window=window,
            outcomes=outcomes.take((outcomes.times >= micros(window.start)) & (outcomes.times < micros(window.end))),
            champion=request.model_version,
            is_share=known.task.error_is_share,
            is_in_time=known.workload.training.split.by == "time",
            error_model=baseline.error_model,
        )
        for window in request.windows
    ]
    slices = known.workload.gates.slices
    errors = judge_errors(
        windows,
        baseline.error,
        as_of=request.as_of,
        columns=slices.columns if slices else (),
        usual_rows=baseline.rows_per_window,
    )
    judged = [one for one in windows if not one.window.judge_input]
    so_far = [inside[: place + 1] for place in range(len(inside))]
    inputs = [
        _input(rows, known) if one.window.judge_input else None for rows, one in zip(so_far, windows, strict=True)
    ]
    report = MonitorReport(
        workload=request.workload,
        as_of=request.as_of,
        model_version=request.model_version,
        unreadable=unreadable,
        label_hours=spec.horizons[-1],
        windows=tuple(
            WindowReport(
                start=window.start,
                end=window.end,
                decisions=len(rows[-1]),
                input=told,
                error=error if window.judge_error else None,
                wanted=wanted(one, judged, a_day=a_day) if (a_day := _labels_a_day(told, rows, window, known)) else (),
                shifts=shifts(told.findings if told else (), one, spec.feature_columns),
                served=served(rows[-1]) if window.judge_input else None,
            )
            for window, rows, told, one, error in zip(request.windows, so_far, inputs, windows, errors, strict=True)
        ),
    )
    # What is learnt from labels is learnt from windows that no later run judges again: each counts once.
    reached, policy = report.error_cursor, known.workload.policy
    ended = [one for one in windows if one.window.judge_error and reached and one.window.end <= reached]
    settled = merge([outcomes.take(np.array([], np.int64)), *map(weighted, ended)])
    learnt = {
        "promise": _promise(settled, request),
        "floor": _floor(settled, known),
        "feedback": feedback(settled),
        "label_errors": label_errors(
            ended, policy.label_errors_a_day if policy else None, registered_at=request.registered_at
        ),
    }
    return report.model_copy(update=learnt)


def _labels_a_day(told: InputReport | None, rows: Sequence[pa.Table], window: Window, known: Known) -> int:
    """How many labels people are asked for by day; 0 for none. `told` is of the first look at the window.

    They are asked once, and not before the last horizon of each of its rows is past: nobody knows a later row yet.
    A window above its bound asks for as many as a retraining needs of its period, if the workload declares them. If the
    first look came too early, the input is judged again for that: by `rows`, those of the windows up to this one."""
    workload = known.workload
    a_day = (workload.policy.labels_a_day if workload.policy else None) or 0
    ahead = timedelta(hours=workload.prediction.horizons[-1])
    is_due = window.end + ahead <= known.request.as_of
    if not a_day or not is_due or window.asked or not (told or (ahead and window.judge_error)):
        return 0
    ratio = (told or _input(rows, known)).ratio
    if ratio is None or ratio <= 1:
        return a_day
    return max(a_day, math.ceil((workload.retraining.minimum_drifted_labels or 0) / workload.monitors.window_days))


def _floor(settled: Outcomes, known: Known) -> FloorFound | None:
    """Whether the naive rule answers in place of the champion, by the labels that came and those kept from before."""
    policy, now = known.workload.policy, known.request.floor
    if now is None or policy is None or policy.floor is None or not len(settled):
        return None
    task, measure = known.task, measure_of(known.workload.gates.baseline.kind)
    rules = [now.rule] * len(settled) if now.rule else _repeated(settled, known)
    if not (days := together(now.days, compared(settled, rules, task, measure))):
        return None
    found = judge_floor(days, below=now.below, floor=policy.floor, is_share=is_share(task, measure))
    # What is reported is what decided: a few days for the rule, many for the version that would come back.
    decisive = found.days if now.below else newest(found.days, policy.floor.labels)
    labels = sum(one.labels for one in decisive)
    return FloorFound(
        below=found.below,
        before=now.below,
        labels=labels,
        own=sum(one.own for one in decisive) / labels,
        rule=sum(one.rule for one in decisive) / labels,
        days=found.days,
    )


def _repeated(settled: Outcomes, known: Known) -> Iterator[Mapping[str, Any] | None]:
    """What the naive rule, which looks back from each, answers to these outcomes."""
    spec, table = known.workload.prediction, known.contract.labels
    hours = known.workload.gates.baseline.label_hours(spec.horizons)
    for label in labels_at(settled, known.labels, hours=hours, prediction_spec=spec, table=table):
        yield repeated(label if spec.horizons_hours and label else [label], spec, known.task)


def _promise(settled: Outcomes, request: MonitorRequest) -> PromiseReport | None:
    """What follows for the promise from the outcomes."""
    promise = request.promise
    if promise is None:
        return None
    counted = settled.take(settled.known & ~settled.says("reason", "above_bound"))
    acted = counted.says("action", "automated") & ~counted.says("reason", "would_wait")
    said = (counted.answers(CONFIDENCE), acted, counted.errors, counted.weights)
    own = [
        Labelled(confidence=confidence, acted=acted, error=error, weight=weight)
        for confidence, acted, error, weight in zip(*(one.tolist() for one in said), strict=True)
    ]
    threshold = follow(promise.threshold, own, promised=promise.promised_error)
    if not own or threshold is None:
        return None
    errors = [one.error for one in own if one.acted]
    return PromiseReport(
        promised_error=promise.promised_error,
        threshold=threshold,
        before=promise.threshold,
        learnt=len(own),
        acted=len(errors),
        wrong=sum(errors),
    )


def _labels(folder: Path | None) -> pa.Table:
    """The labels of every Parquet file below the folder; empty without a folder or file."""
    paths = sorted(folder.rglob("*.parquet")) if folder else []
    return pa.concat_tables(
        [pq.ParquetFile(path).read() for path in paths] or [pa.table({})], promote_options="permissive"
    )


def _input(windows: Sequence[pa.Table], known: Known) -> InputReport:
    """How the inputs of the last window's decisions, and the champion's answers, compare with the baseline.

    The answers are judged twice, those of this window and those of the windows before it too: a small difference shows
    in many rows. Windows that wait for labels are among them, so it shows the sooner where labels are missing."""
    moves = []
    if (held := known.baseline.answers) is not None:
        is_own = pc.field("model_version") == known.request.model_version
        own = [held.numbers(rows.filter(is_own)) for rows in windows]
        looks = (own[-1], np.concatenate(own)) if len(own) > 1 else (own[-1],)
        moved = (held.shift(rows_NA) for rows_NA in looks)
        moves = [finding(one.column, MEAN_SHIFT, one.value, one.bound) for one in moved if one]
    return judge(known.baseline, watched(windows[-1], known.baseline, known.features), *moves)
