"""An evaluation job: from a model and rows to evaluation.json, predictions and the monitors' baseline.

Axes: N all rows, T test rows, R the most recent test rows, W numbers of an answer.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from safetensors.numpy import load

from millrace.artefact.artefact import ARCHIVE, Artefact, Description, read_archive
from millrace.artefact.batch import write_rows
from millrace.artefact.inference import Model
from millrace.contract.load import load_contract
from millrace.datasets.examples import blocks_of, entities_of
from millrace.datasets.memory import check_memory, rows_of
from millrace.datasets.split import windows
from millrace.decisions.columns import INPUT, OUTPUT
from millrace.errors import ArtefactError, SnapshotError
from millrace.evaluation import report
from millrace.evaluation.agreement import SAMPLE_FILE
from millrace.evaluation.comparison import compare
from millrace.evaluation.environment import ENVIRONMENT_FILE, installed
from millrace.evaluation.evidence import Contender, Estimate, PartFigures, Who
from millrace.evaluation.gates.simple import Simple
from millrace.evaluation.measures.case import AnsweredCase, Case
from millrace.evaluation.measures.catalogue import measure
from millrace.evaluation.measures.contenders import contenders, scores
from millrace.evaluation.measures.costs import costs_of
from millrace.evaluation.measures.selective import automation
from millrace.evaluation.naive.catalogue import figures_of
from millrace.evaluation.naive.rule import NaiveAnswer
from millrace.evaluation.next_step import learning_of
from millrace.evaluation.sample import write_sample
from millrace.evaluation.simple.catalogue import fit_and_answer
from millrace.features.catalogue import columns, encode
from millrace.jobs.evaluation.details import cut_answers, find_mistakes, forecast_examples, truth_by_answer
from millrace.jobs.evaluation.explanations import explanations
from millrace.jobs.evaluation.rows import (
    answered,
    as_sent,
    case_of,
    chosen,
    divided_entity,
    labelled_rows,
    read_split,
)
from millrace.jobs.runtime import ProcessingPlaces
from millrace.messages.monitor import BASELINE_FILE
from millrace.messages.training_run import Run, read_run
from millrace.monitoring import baseline
from millrace.monitoring.answers import LOOKS, held_answers
from millrace.monitoring.error import ErrorBound, bound_of_days, drawn_bound, error_bound
from millrace.monitoring.expected_error import ErrorModel, learn
from millrace.tasks import metrics
from millrace.tasks.answer import arrow_column, has_confidence
from millrace.tasks.binary import EVEN
from millrace.tasks.figures import has_interval
from millrace.workload.declaration import Workload
from millrace.workload.load import read_workload

Output = npt.NDArray[np.float32]

SAMPLE_ROWS = 20
"""The most rows of a sample."""
SAMPLE_BYTES = 3 * 2**20
"""The most bytes of a sample's rows, by the average row. As base64 they fit into one request, of 6 MB at most."""
LATENCY_CALLS = 300
"""Calls of the engine that are timed."""
WARM_UP_CALLS = 20
"""Calls before them, which do not count."""


def evaluate(places: ProcessingPlaces, *, champion_version: str, champion_digest: str = "") -> None:
    """Write evaluation.json, sample.jsonl, environment.json and baseline.json.

    Raises ArtefactError if the model was not made from this run's data, contract and configuration, or if the champion
    is not the one that was approved. Raises SnapshotError if the rows do not fit into memory."""
    # The inputs: the run's declaration, the model, and the champion where there is one.
    config = places.input("config")
    workload, contract = read_workload(config / "workload.yaml"), load_contract(config)
    archive, champion = places.input("model") / ARCHIVE, places.optional("champion")
    artefact = read_archive(archive)
    run = read_run(config / "run.json")
    _check_origin(artefact, run)
    model = Model(artefact)
    before = Model(read_archive(champion / ARCHIVE, approved=champion_digest)) if champion else None
    data, schema = places.input("data"), config / "schema.json"
    check_memory(rows_of(data, schema, workload, model.description.features))
    # All answers to the test rows: of the candidate, the naive rule, the champion, and a simple model if the gate
    # `simple` is declared. What decides today, the last of `others`, is what the candidate is compared with.
    every = read_split(data, schema, workload, contract, model, before)
    by_rule = workload.gates.baseline.answer(labelled_rows(every, workload), model.description.task)
    rows, naive = chosen(every, by_rule, workload)
    output_TW, measured = model.with_likeness(encode(model.description.features, rows.test))
    labelled = labelled_rows(rows, workload)
    others = answered(model, before, champion_version, naive, rows, workload)
    case = case_of(model, rows, output_TW, others[-1], workload)
    simple = fit_and_answer(_simple(workload.gates.simple), case)
    parts = [case.answered("beside", f"{part} alone", model.outputs(case.test_tensors, part)) for part in model.parts]
    name = f"this model: {model.description.answers}".removesuffix(": ")
    compared = contenders(case, [*others, *simple[:1], *parts, *simple[1:]], name)
    at = np.datetime64(run.as_of.astimezone(UTC).replace(tzinfo=None))  # as event times are: UTC, without a zone
    evaluation = report.Evaluation(
        **_figures(case, workload),
        rows=report.RowCounts(test=len(case.errors), held_out=every.test.num_rows),
        **measure(workload.gates, case),
        entity=divided_entity(rows, workload, contract),
        naive=figures_of(workload.gates.baseline, naive, labelled, model.description.task),
        intervals=_intervals(case, compared[0]),
        contenders=compared,
        parts=_parts(case, naive),
        examples=forecast_examples(case, workload.prediction),
        truth_by_answer=truth_by_answer(case),
        cut_answers=cut_answers(case, contract.label),
        mistakes=find_mistakes(case),
        age_days=float((at - rows.parts.end) / np.timedelta64(1, "D")),
        finite_weights=all(bool(np.isfinite(value).all()) for value in load(artefact.weights).values()),
        latency_ms=_latency(model, rows.test),
        size_mb=archive.stat().st_size / 1e6,
        model_digest=artefact.digest,
        champion=_champion(others[-1], champion_version, case, workload) if before else None,
        walk_forward=artefact.description.walk_forward,
        seed_errors=artefact.description.seed_errors,
        learning=learning_of(json.loads(artefact.history)),
        automation=automation(workload.policy, case),
        costs=costs_of(workload.policy, case),
        explanations=explanations(model, case, contract, rows=workload.explanations.rows),
    )
    # The files of the evaluation: the figures that the gates judge, and rows for the release's tests.
    folder = places.output("evaluation")
    (folder / report.EVALUATION_FILE).write_text(evaluation.to_json())
    (folder / ENVIRONMENT_FILE).write_text(installed().model_dump_json())
    key = workload.prediction.key
    lines = [*sampled(rows.test, key, model.description, output_TW), *evaluation.shown]
    (folder / SAMPLE_FILE).write_bytes(write_sample(lines))
    # The monitors' baseline rests on all rows; its bound on the error only on rows that no model had seen.
    watched = baseline.build(
        every.table,
        workload=workload,
        features=model.description.features,
        error=_error_bound(evaluation, case, workload),
        is_in_time=rows.parts.is_in_time,
    )
    if not rows.parts.is_in_time:
        entity_T = entities_of(rows.test, workload)
        rate = workload.monitors.false_alarm_rate / LOOKS
        answers = held_answers(case.task.answers(output_TW), measured, entity_T, rate=rate)
        watched = replace(watched, answers=answers)
    if not has_confidence(case.task):
        watched = replace(watched, error_model=_error_model(case, workload))
    (places.output("baseline") / BASELINE_FILE).write_text(watched.to_json())


def _simple(gate: Simple | None) -> dict[str, Who]:
    """The simple models to compare with: that of the gate first, then the linear one if the gate's is stronger."""
    found: dict[str, Who] = {gate.kind: "simple"} if gate else {}
    return found | {"linear": "beside"} if gate and gate.kind != "linear" else found


def _error_bound(evaluation: report.Evaluation, case: Case, workload: Workload) -> ErrorBound | None:
    """The monitors' bound on the error, or None: the declared one, else from the weekly errors of models after their
    training.

    These models are the frozen ones of earlier days, and this one on its test days. If these are too few weeks, or rows
    without an order of time have none, windows drawn from the test rows stand for them."""
    windows, rate = workload.monitors.error_windows, workload.monitors.false_alarm_rate
    if (declared := workload.monitors.error_bound) is not None:
        return ErrorBound(bound=declared, windows=windows)
    if not case.parts.is_in_time:
        usual = baseline.rows_of_random_window(case.table.num_rows)
        return drawn_bound(case.errors, rows=usual, windows=windows, rate=rate)
    series = [[week.error for week in frozen.weeks] for frozen in evaluation.walk_forward]
    found = error_bound([*series, [week.error for week in evaluation.weekly_error]], windows=windows, rate=rate)
    day_T, days = blocks_of(case, case.parts.test, workload), workload.monitors.window_days
    return found or bound_of_days(case.errors, day_T, days=days, rate=rate, is_share=evaluation.error.is_share)


def _error_model(case: Case, workload: Workload) -> ErrorModel | None:
    """What the errors of the test rows depend on; None if these are too few windows, or days."""
    answers = case.task.answers(case.output_TW)
    table = {OUTPUT + field.name: arrow_column(field, answers[field.name]) for field in case.task.answer}
    table |= {INPUT + name: case.test.column(name) for name in columns(case.features) if name in case.test.column_names}
    if not case.parts.is_in_time:
        return learn(pa.table(table), case.errors, baseline.random_windows(entities_of(case.test, workload))[0])
    moments_s = case.times_N[case.parts.test].astype("datetime64[s]").astype(np.int64)
    spans = (baseline.windows_of(moments_s, days)[0] for days in (workload.monitors.window_days, 1))
    return next(filter(None, (learn(pa.table(table), case.errors, window_T) for window_T in spans)), None)


def _check_origin(artefact: Artefact, run: Run) -> None:
    """Raise ArtefactError if the model was made from other data, another contract or another configuration."""
    came = artefact.description.digests
    for name, expected in run.digests.items():
        if (got := getattr(came, name)) != expected:
            raise ArtefactError(f"model.json: digest of {name}: expected the run's {expected}, got {got}")


def _figures(case: Case, workload: Workload) -> dict[str, Any]:
    """The fields of the report that are on the answers themselves."""
    task, parts, days = case.task, case.parts, workload.monitors.window_days
    weeks = windows(case.times_N[parts.test], start=parts.test_from, end=parts.end, days=days)
    return {
        "task": task.kind,
        "split": report.Span(from_=str(parts.test_from), to=str(parts.end)),
        "error": report.ErrorMeaning(name=task.error_name, is_share=task.error_is_share, unit=task.error_unit),
        "metrics": task.metrics(case.output_TW, case.test_targets),
        "reliability": _reliability(case),
        "weekly_error": tuple(week.error(case.errors) for week in weeks),
    }


def _intervals(case: Case, candidate: Contender) -> dict[str, Estimate]:
    """The interval of each figure of the task that can have one.

    A figure by which contenders are compared has the same interval in both places."""
    found = case.bootstrap.figures(lambda rows: case.task.metrics(case.output_TW[rows], case.test_targets[rows]))
    found |= {name: one for name, one in candidate.scores.items() if name in found}
    return {name: one for name, one in found.items() if has_interval(name)}


def _parts(case: Case, naive: NaiveAnswer) -> tuple[PartFigures, ...]:
    """The figures of each part of the answers, the model's beside the naive rule's."""
    own = case.task.parts(case.output_TW, case.test_targets)
    rules = case.task.parts(naive.output_TW, case.test_targets[naive.rows_T])
    return tuple(PartFigures(name=name, figures=figures, naive=rules[name]) for name, figures in own.items())


def _reliability(case: Case) -> tuple[metrics.ReliabilityBin, ...]:
    """How often answers of each confidence are right; empty for answers without a confidence."""
    confidence_T = case.task.answers(case.output_TW).get("confidence")
    if confidence_T is None:
        return ()
    # The confidence in the likelier of two classes is one half at least, so its bins begin there.
    of_likelier = case.task.objective.width == 1 and bool(confidence_T.min() >= EVEN)
    return metrics.reliability(confidence_T, case.errors == 0, lowest=EVEN if of_likelier else 0.0)


def _champion(champion: AnsweredCase, version: str, case: Case, workload: Workload) -> report.ChampionComparison:
    """Both models on the most recent test rows.

    Only test days count, since the challenger has learnt from the days before. Raises SnapshotError if there are no
    recent rows."""
    gate = workload.gates.non_inferiority
    recent_from = case.parts.end - np.timedelta64(gate.recent_days, "D")
    times_T = case.times_N[case.parts.test]
    first = int(np.searchsorted(times_T, recent_from))
    if first == len(times_T):
        raise SnapshotError(f"expected rows from {recent_from} on to compare with the champion, got none")
    champion_R = scores(champion.task, champion.output_TW[first:], champion.target_T[first:])[gate.measure]
    challenger_R = scores(case.task, case.output_TW[first:], case.test_targets[first:])[gate.measure]
    recent = slice(case.parts.test.start + first, case.parts.test.stop)
    compared = compare(champion_R, challenger_R, blocks_of(case, recent, workload), confidence=gate.confidence)
    return report.ChampionComparison(model_version=version, measure=gate.measure, **compared.model_dump())


def _latency(model: Model, rows: pa.Table) -> report.CallTime:
    """The time of a call with one row, through the engine and without HTTP: median and 99th percentile in ms."""
    tensors = encode(model.description.features, rows.slice(0, LATENCY_CALLS + WARM_UP_CALLS))
    count = min(len(rows), LATENCY_CALLS + WARM_UP_CALLS)
    seconds = []
    # If there are fewer test rows than calls, they come several times. Each call is timed by itself.
    for number in range(LATENCY_CALLS + WARM_UP_CALLS):
        row = number % count
        one = {name: values[row : row + 1] for name, values in tensors.items()}
        began = time.perf_counter()
        model.outputs(one)
        seconds.append(time.perf_counter() - began)
    p50, p99 = np.quantile(seconds[WARM_UP_CALLS:], [0.5, 0.99]) * 1000
    return report.CallTime(p50=float(p50), p99=float(p99), rows=1)


def sampled(
    test: pa.Table, key: Sequence[str], model: Description, output_TW: npt.NDArray[np.float32]
) -> Iterator[dict[str, Any]]:
    """Up to SAMPLE_ROWS rows, spread over the test days, as a caller would send them, each with its key and its answer.
    A release sends the rows to the new version, to compare its answers.

    `output_TW` is the model's output for each row of `test`. NaN or infinity in an answer is written as null: the gates
    refuse such a model, so its sample is never used."""
    inputs = test.select(list(model.inputs))
    count = max(1, min(SAMPLE_ROWS, len(test), len(test) * SAMPLE_BYTES // max(inputs.nbytes, 1)))
    chosen = np.unique(np.linspace(0, len(test) - 1, count, dtype=np.int64))
    answers = {name: values.tolist() for name, values in model.task.answers(output_TW[chosen]).items()}
    for number, at in enumerate(chosen.tolist()):
        yield {
            "key": as_sent(test, key, at),
            "row": as_sent(inputs, inputs.column_names, at),
            "answer": {name: _finite(values[number]) for name, values in answers.items()},
            "stream": base64.b64encode(write_rows(inputs.slice(at, 1))).decode(),
        }


def _finite(value: Any) -> Any:
    """The value, with None in place of NaN and infinity, also inside a list."""
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
