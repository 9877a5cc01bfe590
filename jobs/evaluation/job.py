"""An evaluation job from model and rows to evaluation.json, predictions and the monitors' baseline."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load

from jobs.evaluation import metrics
from jobs.evaluation.comparison import Comparison, compare
from jobs.evaluation.naive import base_rate_log_loss, naive_accuracy
from jobs.evaluation.report import Champion, Evaluation, Latency
from jobs.evaluation.sample import write_sample
from millrace.artefact.artefact import Artefact, Week, read_archive
from millrace.artefact.inference import Model
from millrace.datasets.read import matrix, read_snapshot, times, truth
from millrace.datasets.split import Split, split, windows
from millrace.errors import ArtefactError, SnapshotError
from millrace.messages.training_run import Run, read_run
from millrace.monitoring import baseline
from millrace.workload.declaration import Workload, read_workload

if TYPE_CHECKING:
    import numpy.typing as npt

    from jobs.runtime import ProcessingPlaces

ARCHIVE = "model.tar.gz"
LATENCY_CALLS = 300


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The pinned rows in the order of event time, and how they are split."""

    table: pa.Table
    times_N: npt.NDArray[np.datetime64]
    y_N: npt.NDArray[np.float32]
    parts: Split


def evaluate(places: ProcessingPlaces, *, champion_version: str) -> None:
    """Write evaluation.json, predictions.parquet and baseline.json.

    Raises ArtefactError when the model was not made from this run's data, contract and configuration."""
    config = places.input("config")
    run, workload = read_run(config / "run.json"), read_workload(config / "workload.yaml")
    archive = places.input("model") / ARCHIVE
    artefact = read_archive(archive)
    _check_origin(artefact, run)
    model = Model(artefact)
    optional = [feature.name for feature in model.description.inputs if feature.optional]
    rows = _read_rows(places.input("data"), config / "schema.json", workload, optional=optional)
    p_T = model.probabilities(matrix(_part(rows.table, rows.parts.test), model.description.inputs))
    champion = places.optional("champion")
    compared = _champion(champion / ARCHIVE, champion_version, rows, p_T, model, workload) if champion else None
    evaluation = _evaluation(model, artefact, rows, p_T, compared, workload, size_bytes=archive.stat().st_size)
    folder = places.output("evaluation")
    (folder / "evaluation.json").write_text(evaluation.to_json())
    _write_predictions(folder / "predictions.parquet", rows, p_T, workload)
    write_sample(folder / "sample.json", _part(rows.table, rows.parts.test), model.description.features, p_T)
    frozen = [[week.error for week in model.weeks] for model in evaluation.walk_forward]
    own = [week.error for week in evaluation.weekly_error]
    watched = baseline.build(rows.table, workload=workload, error_series=[*frozen, own])
    (places.output("baseline") / baseline.BASELINE_FILE).write_text(watched.to_json())


def _check_origin(artefact: Artefact, run: Run) -> None:
    came = artefact.description.digests
    for name, expected, got in (
        ("data", run.data_digest, came.data),
        ("contract", run.contract_digest, came.contract),
        ("config", run.config_digest, came.config),
    ):
        if got != expected:
            raise ArtefactError(f"model.json: digest of {name}: expected the run's {expected}, got {got}")


def _read_rows(folder: Path, schema: Path, workload: Workload, *, optional: Sequence[str]) -> Rows:
    surface, training = workload.prediction, workload.training
    table = read_snapshot(
        folder,
        schema,
        columns=[*surface.features, surface.label],
        event_time=surface.event_time,
        key=surface.key,
        optional=optional,
    )
    times_N = times(table, surface.event_time)
    parts = split(times_N, validation_days=training.validation_days, test_days=training.test_days)
    return Rows(table=table, times_N=times_N, y_N=truth(table, surface.label, surface.positive), parts=parts)


def _evaluation(
    model: Model,
    artefact: Artefact,
    rows: Rows,
    p_T: npt.NDArray[np.float32],
    champion: Champion | None,
    workload: Workload,
    *,
    size_bytes: int,
) -> Evaluation:
    y_T = rows.y_N[rows.parts.test]
    right_T = metrics.is_right(p_T, y_T, model.description.threshold)
    bins = metrics.reliability(p_T, right_T)
    is_base_rate = workload.gates.baseline.kind == "base_rate"
    return Evaluation(
        rows=len(y_T),
        test_from=str(rows.parts.test_from),
        test_to=str(rows.parts.end),
        accuracy=float(right_T.mean()),
        log_loss=metrics.log_loss(p_T, y_T),
        auc=metrics.auc(p_T, y_T),
        ece=metrics.ece(bins, rows=len(y_T)),
        baseline_accuracy=naive_accuracy(rows.table, workload, rows.parts.test),
        baseline_log_loss=base_rate_log_loss(rows.y_N, rows.parts.test) if is_base_rate else None,
        finite_weights=_are_finite(artefact.weights),
        latency=_latency(model, matrix(_part(rows.table, rows.parts.test), model.description.inputs)),
        size_mb=size_bytes / 2**20,
        champion=champion,
        reliability=bins,
        weekly_error=_weeks(rows, right_T, workload),
        walk_forward=model.description.walk_forward,
    )


def _champion(
    archive: Path,
    version: str,
    rows: Rows,
    p_T: npt.NDArray[np.float32],
    challenger: Model,
    workload: Workload,
) -> Champion:
    """Both models on the recent rows: of the test days, since the challenger has learnt from those before."""
    model = Model(read_archive(archive))
    gate, parts = workload.gates.non_inferiority, rows.parts
    recent_from = parts.end - np.timedelta64(gate.recent_days, "D")
    first = int(np.searchsorted(rows.times_N[parts.test], recent_from))
    y_R, p_R = rows.y_N[parts.test][first:], p_T[first:]
    if not len(y_R):
        raise SnapshotError(f"expected rows from {recent_from} on to compare with the champion, got none")
    champion_R = model.probabilities(matrix(_part(rows.table, parts.test).slice(first), model.description.inputs))
    compared: Comparison = compare(
        metrics.is_right(champion_R, y_R, model.description.threshold),
        metrics.is_right(p_R, y_R, challenger.description.threshold),
        rows.times_N[parts.test][first:],
        confidence=gate.confidence,
    )
    return Champion(model_version=version, comparison=compared)


def _part(table: pa.Table, rows: slice) -> pa.Table:
    return table.slice(rows.start, rows.stop - rows.start)


def _are_finite(weights: bytes) -> bool:
    return all(bool(np.isfinite(value).all()) for value in load(weights).values())


def _latency(model: Model, x_NF: npt.NDArray[np.float32]) -> Latency:
    """Of one row at a time through the engine, without HTTP."""
    seconds = []
    for number in range(LATENCY_CALLS + 20):
        row = x_NF[number % len(x_NF)][None]
        began = time.perf_counter()
        model.probabilities(row)
        seconds.append(time.perf_counter() - began)
    p50, p99 = np.quantile(seconds[20:], [0.5, 0.99]) * 1000
    return Latency(p50_ms=float(p50), p99_ms=float(p99))


def _weeks(rows: Rows, right_T: metrics.Bools, workload: Workload) -> tuple[Week, ...]:
    parts = rows.parts
    found = windows(rows.times_N[parts.test], start=parts.test_from, end=parts.end, days=workload.monitors.window_days)
    return tuple(
        Week(
            start=str(window.start),
            end=str(window.end),
            rows=window.rows.stop - window.rows.start,
            error=float(1 - right_T[window.rows].mean()),
        )
        for window in found
    )


def _write_predictions(path: Path, rows: Rows, p_T: npt.NDArray[np.float32], workload: Workload) -> None:
    """The test rows' keys, labels and probabilities."""
    surface = workload.prediction
    test = _part(rows.table, rows.parts.test).select(
        list(dict.fromkeys([*surface.key, surface.event_time, surface.label]))
    )
    pq.write_table(test.append_column("probability", pa.array(p_T)), path, write_page_checksum=True)
