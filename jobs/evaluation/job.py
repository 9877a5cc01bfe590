"""An evaluation job from model and rows to evaluation.json, predictions and the monitors' baseline.

Axes: N all rows, T test rows, R the recent ones of them, W numbers of an answer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load

from jobs.evaluation.sample import write_sample
from millrace.artefact.artefact import ARCHIVE, Artefact, FrozenModel, read_archive
from millrace.artefact.inference import Model
from millrace.contract.load import load_contract
from millrace.contract.schema import Contract
from millrace.datasets.examples import LABEL, read_examples
from millrace.datasets.split import Split, windows
from millrace.errors import ArtefactError, SnapshotError
from millrace.evaluation import metrics, report
from millrace.evaluation.comparison import compare
from millrace.evaluation.naive.catalogue import naive_figures
from millrace.evaluation.naive.rule import LabelledRows
from millrace.evaluation.sample import SAMPLE_FILE
from millrace.features.catalogue import encode
from millrace.messages.monitor import BASELINE_FILE
from millrace.messages.training_run import Run, read_run
from millrace.monitoring import baseline
from millrace.monitoring.error import drawn_series
from millrace.tasks.answer import arrow_type
from millrace.tasks.task import Task
from millrace.workload.declaration import Workload
from millrace.workload.load import read_workload

if TYPE_CHECKING:
    import numpy.typing as npt

    from jobs.runtime import ProcessingPlaces

    Output = npt.NDArray[np.float32]

LATENCY_CALLS = 300
WARM_UP_CALLS = 20


@dataclass(frozen=True, kw_only=True)
class SplitRows:
    """The pinned rows that have a label, as `Examples` orders and splits them."""

    table: pa.Table
    times_N: npt.NDArray[np.datetime64]
    target_N: npt.NDArray[Any]
    """The labels as the model's task takes them."""
    parts: Split

    @property
    def test(self) -> pa.Table:
        return self.table.slice(self.parts.test.start, self.parts.test.stop - self.parts.test.start)

    @property
    def test_targets(self) -> npt.NDArray[Any]:
        return self.target_N[self.parts.test]


def evaluate(places: ProcessingPlaces, *, champion_version: str, champion_digest: str = "") -> None:
    """Write evaluation.json, predictions.parquet, sample.json and baseline.json.

    Raises ArtefactError when the model was not made from this run's data, contract and configuration, or the champion
    is not the one that was approved."""
    config = places.input("config")
    workload, contract = read_workload(config / "workload.yaml"), load_contract(config)
    archive, champion = places.input("model") / ARCHIVE, places.optional("champion")
    artefact = read_archive(archive)
    _check_origin(artefact, read_run(config / "run.json"))
    model = Model(artefact)
    before = Model(read_archive(champion / ARCHIVE, approved=champion_digest)) if champion else None
    rows = _read_rows(places.input("data"), config / "schema.json", workload, contract, model, before)
    output_TW = _outputs(model, rows.test)
    evaluation = report.Evaluation(
        **_figures(model.description.task, rows, output_TW, workload),
        finite_weights=_are_finite(artefact.weights),
        latency_ms=_latency(model, rows.test),
        size_mb=archive.stat().st_size / 2**20,
        model_digest=artefact.digest,
        champion=_champion(before, champion_version, rows, output_TW, model, workload) if before else None,
        walk_forward=tuple(map(_frozen, artefact.description.walk_forward)),
    )
    folder = places.output("evaluation")
    (folder / report.EVALUATION_FILE).write_text(evaluation.to_json())
    _write_predictions(folder / "predictions.parquet", rows, output_TW, model.description.task, workload)
    write_sample(folder / SAMPLE_FILE, rows.test, model.description, output_TW)
    # What a model that is left alone errs, week by week: the frozen earlier models, and this one on its own test days.
    # Without an order of time nothing is later: windows drawn from the test rows stand for weeks.
    series = [[week.error for week in frozen.weeks] for frozen in evaluation.walk_forward]
    series.append([week.error for week in evaluation.weekly_error])
    if not rows.parts.is_in_time:
        errors_T = model.description.task.errors(output_TW, rows.test_targets)
        series = [drawn_series(errors_T, rows=baseline.rows_of_random_window(rows.table.num_rows))]
    watched = baseline.build(
        rows.table,
        workload=workload,
        features=model.description.features,
        error_series=series,
        is_in_time=rows.parts.is_in_time,
    )
    (places.output("baseline") / BASELINE_FILE).write_text(watched.to_json())


def _check_origin(artefact: Artefact, run: Run) -> None:
    came = artefact.description.digests
    for name, expected, got in (
        ("data", run.data_digest, came.data),
        ("contract", run.contract_digest, came.contract),
        ("config", run.config_digest, came.config),
    ):
        if got != expected:
            raise ArtefactError(f"model.json: digest of {name}: expected the run's {expected}, got {got}")


def _read_rows(
    folder: Path, schema: Path, workload: Workload, contract: Contract, model: Model, champion: Model | None
) -> SplitRows:
    """With the columns of both models: a champion may have been declared with other features."""
    features = model.description.features + (champion.description.features if champion else ())
    found = read_examples(folder, schema, workload=workload, contract=contract, features=features)
    target_N = model.description.task.targets(found.table[LABEL])
    return SplitRows(table=found.table, times_N=found.times_N, target_N=target_N, parts=found.parts)


def _outputs(model: Model, rows: pa.Table) -> Output:
    return model.outputs(encode(model.description.features, rows))


def _figures(task: Task, rows: SplitRows, output_TW: Output, workload: Workload) -> dict[str, Any]:
    """The report's part on the answers themselves."""
    errors_T = task.errors(output_TW, rows.test_targets)
    parts = rows.parts
    return {
        "task": task.kind,
        "rows": report.RowCounts(test=len(errors_T)),
        "split": report.Span(from_=str(parts.test_from), to=str(parts.end)),
        "error": report.ErrorMeaning(name=task.error_name, is_share=task.error_is_share, unit=task.error_unit),
        "metrics": task.metrics(output_TW, rows.test_targets),
        "naive": naive_figures(workload.gates.baseline, _labelled(rows, workload), task),
        "reliability": _reliability(task, output_TW, errors_T),
        "weekly_error": _weeks(rows, errors_T, workload.monitors.window_days),
    }


def _labelled(rows: SplitRows, workload: Workload) -> LabelledRows:
    surface = workload.prediction
    columns = [rows.table[name].to_pylist() for name in surface.key if name != surface.event_time]
    return LabelledRows(
        target_N=rows.target_N,
        times_N=rows.times_N,
        entity_N=list(zip(*columns, strict=True)) if columns else [()] * len(rows.table),
        test=rows.parts.test,
    )


def _reliability(
    task: Task, output_TW: Output, errors_T: npt.NDArray[np.float64]
) -> tuple[metrics.ReliabilityBin, ...]:
    """Of answers that come with a confidence; of two classes it is one half at least."""
    confidence_T = task.answers(output_TW).get("confidence")
    if confidence_T is None:
        return ()
    return metrics.reliability(confidence_T, errors_T == 0, lowest=0.5 if task.objective.width == 1 else 0.0)


def _champion(
    champion: Model, version: str, rows: SplitRows, output_TW: Output, challenger: Model, workload: Workload
) -> report.ChampionComparison:
    """Both models on the recent rows: of the test days, since the challenger has learnt from those before."""
    gate, task, before = workload.gates.non_inferiority, challenger.description.task, champion.description.task
    if before.kind != task.kind:
        problem = f"expected a champion with the task {task.kind}, version {version} has {before.kind}"
        raise ArtefactError(f"{problem}: their errors cannot be compared")
    recent_from = rows.parts.end - np.timedelta64(gate.recent_days, "D")
    times_T = rows.times_N[rows.parts.test]
    first = int(np.searchsorted(times_T, recent_from))
    if first == len(times_T):
        raise SnapshotError(f"expected rows from {recent_from} on to compare with the champion, got none")
    recent = rows.test.slice(first)
    champion_R = before.errors(_outputs(champion, recent), before.targets(recent[LABEL]))
    challenger_R = task.errors(output_TW[first:], rows.test_targets[first:])
    times_R = times_T[first:] if rows.parts.is_in_time else None
    compared = compare(champion_R, challenger_R, times_R, confidence=gate.confidence)
    return report.ChampionComparison(
        model_version=version,
        rows=compared.rows,
        error=compared.champion,
        challenger_error=compared.challenger,
        difference=compared.difference,
        lower_bound=compared.lower_bound,
    )


def _are_finite(weights: bytes) -> bool:
    return all(bool(np.isfinite(value).all()) for value in load(weights).values())


def _latency(model: Model, rows: pa.Table) -> report.CallTime:
    """Of one row at a time through the engine, without HTTP."""
    tensors = encode(model.description.features, rows.slice(0, LATENCY_CALLS + WARM_UP_CALLS))
    count = min(len(rows), LATENCY_CALLS + WARM_UP_CALLS)
    seconds = []
    # A small test part is gone through several times; each call is timed alone, the first ones do not count.
    for number in range(LATENCY_CALLS + WARM_UP_CALLS):
        row = number % count
        one = {name: values[row : row + 1] for name, values in tensors.items()}
        began = time.perf_counter()
        model.outputs(one)
        seconds.append(time.perf_counter() - began)
    p50, p99 = np.quantile(seconds[WARM_UP_CALLS:], [0.5, 0.99]) * 1000
    return report.CallTime(p50=float(p50), p99=float(p99), rows=1)


def _weeks(rows: SplitRows, errors_T: npt.NDArray[np.float64], days: int) -> tuple[report.WindowError, ...]:
    parts = rows.parts
    found = windows(rows.times_N[parts.test], start=parts.test_from, end=parts.end, days=days)
    return tuple(
        report.WindowError(
            from_=str(window.start),
            to=str(window.end),
            rows=window.rows.stop - window.rows.start,
            error=float(errors_T[window.rows].mean()),
        )
        for window in found
    )


def _frozen(model: FrozenModel) -> report.FrozenErrors:
    weeks = (
        report.WindowError(from_=week.start, to=week.end, rows=week.rows, error=week.error) for week in model.weeks
    )
    return report.FrozenErrors(trained_until=model.trained_until, weeks=tuple(weeks))


def _write_predictions(path: Path, rows: SplitRows, output_TW: Output, task: Task, workload: Workload) -> None:
    """The test rows' keys and labels, then the answer's fields, each as `answer_<field>`."""
    surface = workload.prediction
    known: Sequence[str] = list(dict.fromkeys([*surface.key, surface.event_time]))
    table, answers = rows.test.select(known), task.answers(output_TW)
    table = table.append_column(surface.label, rows.test[LABEL])
    for field in task.answer:
        table = table.append_column(f"answer_{field.name}", pa.array(answers[field.name], arrow_type(field.kind)))
    pq.write_table(table, path, write_page_checksum=True)
