"""Rehearses a training: finds what training will find in the rows, with the functions that training itself runs."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from millrace.console.new.kinds import LabelKind
from millrace.console.new.spans import Naive
from millrace.contract.load import load_contract
from millrace.contract.schema import LINE
from millrace.datasets.examples import LABEL, Examples, entities_of, examples, horizon_of
from millrace.datasets.split import earlier_splits, windows
from millrace.errors import ConfigurationError, SnapshotError
from millrace.evaluation import bootstrap
from millrace.evaluation.evidence import Measure
from millrace.evaluation.measures.contenders import scores
from millrace.evaluation.naive.catalogue import naive_figures
from millrace.evaluation.naive.rule import LabelledRows, NaiveGate
from millrace.features import catalogue as encoders
from millrace.features.signature import Signature
from millrace.monitoring.error import FEWEST, stretches_of
from millrace.tasks import catalogue as tasks
from millrace.tasks.task import Task
from millrace.workload.declaration import Workload
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload

LAGS_HOURS = (24, 168)
SEASONAL_SHARE = 0.9
"""A seasonal rule needs a row so many hours before at least this share of the test rows."""
STEPS = (2, 4, 6, 8, 12)
"""Steps of the walk forward that are tried. The fewest that let errors be watched are taken."""
USUAL_STEPS = 4
"""Steps of the walk forward if none of STEPS lets errors be watched."""
FEWEST_TESTED = 20
"""Fewest rows of a part."""


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """The rows as a model gets them, and what can be measured on them before a training."""

    examples: Examples
    target_N: npt.NDArray[Any]
    """The task's target for each row of the examples."""
    task: Task
    tensors: Signature
    """What the model reads of a row."""
    rows: tuple[int, int, int]
    """How many rows train, validate and test."""
    calibration_rows: int
    """The validation rows that a promised error rests on: of each entity of a split by group one."""
    naive: Naive
    walk_forward_steps: int
    stretches: int
    """Stretches of as many windows as raise the alarm, on which the bound on the error rests; none below FEWEST."""

    @property
    def watches_errors(self) -> bool:
        """Whether errors are watched at all. Without enough windows for a bound the days of the test rows have to do.

        Rows without times have random windows."""
        parts = self.examples.parts
        has_bound = self.stretches >= FEWEST or not parts.is_in_time
        return has_bound or len(np.unique(bootstrap.days(self.examples.times_N[parts.test]))) > 1


def rehearse(workload_yaml: str, contract_yaml: str, accepted: pa.Table, kind: LabelKind, *, where: str) -> Rehearsal:
    """The rows that this workload would train and test on, and what is measured on them.

    Raises ConfigurationError if training or evaluation would fail: a part has no rows, or its labels are such that no
    model can be judged on them."""
    workload, task, features = declared(workload_yaml, contract_yaml)
    try:
        # What training prints for its log must not mix with the output of this command.
        with redirect_stdout(sys.stderr):
            found = examples(accepted.drop_columns([LINE]), workload=workload, features=features)
    except SnapshotError as error:
        expected = "rows to train on, to validate on and to test on"
        field = "event time"
        if ahead := workload.prediction.horizon_hours:
            field = "--horizon-hours"
            expected = f"hours after which there is another row of the same entity, so that there are {expected}"
            error = SnapshotError(f"{ahead:g} hours: {error}")
        raise ConfigurationError(where=where, field=field, expected=expected, came=str(error)) from None
    _check_parts(found, workload, kind, where)
    target_N = task.targets(found.table[LABEL])
    steps, stretches = _walk_forward(found, workload)
    parts, held = found.parts, found.part(found.parts.validation)
    return Rehearsal(
        examples=found,
        target_N=target_N,
        task=task,
        tensors=encoders.signature(features),
        rows=(_count(parts.train), _count(parts.validation), _count(parts.test)),
        calibration_rows=len({*entities_of(held, workload)})
        if workload.training.split.by == "group"
        else held.num_rows,
        naive=_naive(found, target_N, workload, task, kind),
        walk_forward_steps=steps,
        stretches=stretches,
    )


def _count(part: slice) -> int:
    return int(part.stop - part.start)


def declared(workload_yaml: str, contract_yaml: str) -> tuple[Workload, Task, encoders.Features]:
    """The workload, its task and its features, loaded and checked as synthesis does."""
    # A workload must lie in a folder of its name.
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / workload_yaml.split("\nname: ", 1)[1].split("\n", 1)[0]
        folder.mkdir()
        (folder / "workload.yaml").write_text(workload_yaml)
        (folder / "contract.yaml").write_text(contract_yaml)
        workload = load_workload(folder)
        contract = check_fit(workload, load_contract(folder))
    features = encoders.declare(workload.prediction.features, contract.rows)
    return workload, tasks.declare(workload.prediction, contract.label), features


def _check_parts(found: Examples, workload: Workload, kind: LabelKind, where: str) -> None:
    """Raises ConfigurationError if a part has fewer than FEWEST_TESTED rows, or labels that can judge no model."""
    labels, parts, training = found.table[LABEL].to_pylist(), found.parts, workload.training
    for name, part, days in (
        ("train on", parts.train, ""),
        ("validate on", parts.validation, f" of {training.validation_days} days from {parts.validation_from}"),
        ("test on", parts.test, f" of the last {training.test_days} days, from {parts.test_from}"),
    ):
        came = kind.find_problem(labels[part])
        if not came and part.stop - part.start < FEWEST_TESTED:
            came = f"{part.stop - part.start} rows"
        if came:
            expected = f"{FEWEST_TESTED} rows to {name} with labels that differ"
            said = f"{came} in the part{days if parts.is_in_time else ''}"
            raise ConfigurationError(where=where, field="rows", expected=expected, came=said)


def _walk_forward(found: Examples, workload: Workload) -> tuple[int, int]:
    """How many steps, and how many stretches the bound on the error rests on.

    The steps are the fewest of STEPS with enough stretches, else USUAL_STEPS."""
    if not found.parts.is_in_time:
        return 0, 0
    tried = {steps: _stretches(found, workload, steps) for steps in STEPS}
    enough = [steps for steps, stretches in tried.items() if stretches >= FEWEST]
    steps = min(enough) if enough else USUAL_STEPS
    return steps, tried[steps]


def _stretches(found: Examples, workload: Workload, steps: int) -> int:
    """How many stretches of windows so many steps give."""
    training, parts, monitors = workload.training, found.parts, workload.monitors
    models = earlier_splits(
        found.times_N,
        parts,
        steps=steps,
        horizon=horizon_of(workload.prediction),
        **training.days,
    )
    starts = [parts.test_from, *(model.parts.test_from for model in models if model.parts)]
    # Each model is watched on the windows from its own test days on. Only the number of stretches matters here, so the
    # error of each window is 0.
    weeks = [windows(found.times_N, start=start, end=parts.end, days=monitors.window_days) for start in starts]
    return len(stretches_of([[0.0] * len(series) for series in weeks], monitors.error_windows))


def _naive(found: Examples, target_N: npt.NDArray[Any], workload: Workload, task: Task, kind: LabelKind) -> Naive:
    """The naive rule with the smallest error on the test rows.

    A rule that answers with an earlier label counts only if that label is known at the time of the prediction."""
    prediction, parts = workload.prediction, found.parts
    key, event_time = prediction.key, prediction.event_time
    rows = LabelledRows.of(found.table, target_N, found.times_N, key=key, event_time=event_time, test=parts.test)
    unit = "" if task.error_is_share else task.error_unit
    figures = naive_figures(kind.naive_rule(None), rows, task)
    best = Naive(
        lag_hours=None,
        error=float(figures.metrics["error"] or 0),
        is_share=task.error_is_share,
        unit=unit,
        log_loss=figures.metrics.get("log_loss"),
    )
    horizon = prediction.horizon_hours
    # The label `hours` before the predicted one is known if `hours` is at least the horizon.
    for hours in sorted({*LAGS_HOURS, *([horizon] if horizon else [])}):
        if hours < horizon or not parts.is_in_time:
            continue
        try:
            figures = naive_figures(kind.naive_rule(hours), rows, task)
        except SnapshotError:  # no test row has one so many hours before it
            continue
        error = float(figures.metrics["error"] or 0)
        if figures.rows >= SEASONAL_SHARE * (parts.test.stop - parts.test.start) and error < best.error:
            best = Naive(lag_hours=hours, error=error, is_share=task.error_is_share, unit=unit)
    measure: Measure = "log_loss" if best.has_rare_class else "error"
    deviation = _deviation(kind.naive_rule(best.lag_hours), rows, task, measure)
    return replace(best, rows=_count(parts.test), deviation=deviation)


def _deviation(rule: NaiveGate, rows: LabelledRows, task: Task, measure: Measure) -> float:
    """The standard deviation of the rule's figure from row to row, as a share of its mean; 0 for a rule that is right.

    Only the test rows count, of these the rows that the rule can answer."""
    found = rule.answer(rows, task)
    score_T = scores(task, found.output_TW, rows.target_N[rows.test][found.rows_T])[measure]
    mean = float(score_T.mean())
    return float(score_T.std()) / mean if mean > 0 else 0.0
