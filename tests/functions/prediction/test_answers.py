"""The answers of every task on their way from the endpoint to the caller and to the kept decision."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from millrace.contract.load import load_contract
from millrace.decisions.endpoint import read_response, request_body, split_rejected
from millrace.decisions.online import document
from millrace.decisions.record import from_line, to_line
from millrace.decisions.road import Admitted, Answers, Call, check_rows, complete, decide
from millrace.errors import AnswerError, RefusedError
from millrace.features.number import Number
from millrace.functions.prediction.request import wants_explanations
from millrace.serving.rows import RowReader
from millrace.tasks.answer import cells, template
from millrace.tasks.catalogue import TASKS
from millrace.workload.load import load_workload, other_columns
from tests.plant import Plant, plant_output, plant_rows, write_plant

ROW = {"at": "2026-01-01T00:00:00", "site": "a", "load": 1.5, "extra": None, "kind": "fan", "open": True}
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("multiclass", {"value": 3}, "value: expected text"),
    ("multiclass", {"confidence": None}, "confidence: expected a finite number"),
    ("regression", {"value": "much"}, "value: expected a finite number"),
    ("regression", {"watched": [1.0]}, "watched: expected numbers by name"),
]
OUT_OF_RANGE: list[tuple[str, dict[str, Any]]] = [
    ("binary", {"value": 2}),
    ("binary", {"probability": 1.0000001192092896}),
    ("binary", {"value": 10**400}),
    ("regression", {"value": 10**400}),
    ("regression", {"value": math.nan}),
    ("regression", {"watched": {"a": math.inf}}),
    ("regression", {"watched": {"a": True}}),
]
"""Changes of an answer that cost its row the answer, and no other row."""
CALL = Call(ids=["r-0", "r-1"], workload="plant", phase="live", latency_ms=1.0, at=datetime(2026, 1, 2, tzinfo=UTC))


@pytest.fixture(params=TASKS)
def plant(request: pytest.FixtureRequest, tmp_path: Path) -> Plant:
    return write_plant(tmp_path, request.param)


def good_answer(plant: Plant) -> dict[str, Any]:
    """What the container writes for the first row."""
    fields, output_NW = plant.task.answer, plant_output(plant, plant_rows(plant.task.kind, days=1))
    answer: dict[str, Any] = json.loads(f"{{{template(fields) % cells(plant.task.answers(output_NW), fields)[0]}}}")
    return answer


def body(*predictions: dict[str, Any]) -> bytes:
    return json.dumps({"model_version": "7", "predictions": predictions}).encode()


def test_an_answer_reaches_the_caller_and_the_record_by_its_fields(plant: Plant) -> None:
    good = good_answer(plant)
    answer = read_response(body(good), rows=1, task=plant.task)
    assert answer == Answers(model_version="7", outputs=(good,))
    contract = load_contract(plant.folder)
    row = ROW | {column.name: 1.0 for column in contract.label_columns if column.is_input}
    admitted, rejected = check_rows([row], contract.table("scoring"))
    (decision,) = decide(admitted, answer, inputs=[row], prediction_spec=plant.workload.prediction, call=CALL)
    (said,) = document([(admitted[0], decision)], rejected)["predictions"]
    assert {name: said[name] for name in good} == good
    assert from_line(to_line(decision)) == decision
    assert list(from_line(to_line(decision)).output) == [field.name for field in plant.task.answer]


@pytest.mark.parametrize(("task", "change", "said"), BAD)
def test_an_answer_that_is_none_of_the_tasks_is_refused(
    task: str, change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    plant = write_plant(tmp_path, task)
    with pytest.raises(AnswerError, match=said):
        read_response(body(good_answer(plant) | change), rows=1, task=plant.task)


@pytest.mark.parametrize(("task", "change"), OUT_OF_RANGE)
def test_an_answer_out_of_range_costs_its_row_and_no_other(task: str, change: dict[str, Any], tmp_path: Path) -> None:
    plant = write_plant(tmp_path, task)
    good = good_answer(plant)
    refused = {"rejected": {"column": "kind", "expected": "another", "came": "fan"}}
    answer = read_response(body(good, good | change, refused, good), rows=4, task=plant.task)
    assert answer.outputs == (good, good)
    assert sorted(answer.rejected) == [1, 2]
    rows = [Admitted(number=number, cells=ROW) for number in range(4)]
    answered, rejected = split_rejected(rows, answer, load_contract(plant.folder).table("scoring"))
    assert [row.number for row in answered] == [0, 3]
    assert [(row.row, row.reason, row.column) for row in rejected] == [(1, "model", "prediction"), (2, "model", "kind")]


@pytest.mark.parametrize(
    "said",
    [
        b"[" * 100_000,
        b'{"model_version":"7","predictions":[' + b"[" * 950 + b"]" * 950 + b"]}",
        b'{"model_version":"7","predictions":[{"rejected":' + b"[" * 950 + b"]" * 950 + b"}]}",
    ],
    ids=["whole", "prediction", "rejected"],
)
def test_a_deep_answer_is_refused(said: bytes, tmp_path: Path) -> None:
    with pytest.raises(AnswerError):
        read_response(said, rows=1, task=write_plant(tmp_path, "regression").task)


def test_a_row_with_a_deep_cell_is_rejected_whatever_its_depth(tmp_path: Path) -> None:
    """Lambda's own reader takes some depths that are too deep for the text of a message."""
    table, deep = load_contract(write_plant(tmp_path, "regression").folder).table("scoring"), None
    for _ in range(2 * sys.getrecursionlimit()):
        deep = [deep]
        row = ROW | {"load": deep, "colour": deep}
        admitted, rejected = check_rows(complete([row], table, at=CALL.at, ids=CALL.ids), table)
        assert (admitted, [found.reason for found in rejected]) == ([], ["unknown_field"])


def test_an_explanation_goes_from_the_endpoint_to_the_caller(tmp_path: Path) -> None:
    plant = write_plant(tmp_path, "regression")
    table, prediction_spec = load_contract(plant.folder).table("scoring"), plant.workload.prediction
    why = {"explains": "value", "contributions": [{"column": "load", "contribution": 1.5}]}
    answer = read_response(body({"value": 1.0, "explanation": why}, {"value": 2.0}), rows=2, task=plant.task)
    assert answer.explanations == (why, None)
    admitted = check_rows([ROW, ROW], table)[0]
    decided = decide(admitted, answer, inputs=[ROW, ROW], prediction_spec=prediction_spec, call=CALL)
    found = document(list(zip(admitted, decided, strict=True)), [], {0: why, 1: None})["predictions"]
    assert [one["explanation"] for one in found] == [why, None]
    assert all(
        "explanation" not in one for one in document(list(zip(admitted, decided, strict=True)), [])["predictions"]
    )
    assert "explanation" not in to_line(decided[0])
    for bad in ([1], {"contributions": 1}, {"contributions": [1]}, why | {"explains": [[]]}, {"a": 1}):
        with pytest.raises(AnswerError, match="explanation: expected an object"):
            read_response(body({"value": 1.0, "explanation": bad}), rows=1, task=plant.task)


@pytest.mark.parametrize(
    ("given", "rows", "declared", "said"),
    [
        ({}, 500, True, False),
        ({"explain": False}, 500, False, False),
        ({"explain": True}, 8, True, True),
        ({"explain": True}, 9, True, "1 to 8 rows with explain"),
        ({"explain": True}, 1, False, "a workload that declares explanations"),
        ({"explain": "yes"}, 1, True, "true or false"),
    ],
)
def test_a_caller_asks_for_explanations(given: dict[str, Any], rows: int, declared: bool, said: bool | str) -> None:
    try:
        found: object = wants_explanations(given, rows, declared=declared)
    except RefusedError as error:
        found = error.refusal.expected
    assert found == said


def test_the_endpoint_is_sent_what_no_feature_reads(tmp_path: Path) -> None:
    """A version that took it before, or will after the next release, picks its features from both."""
    plant = write_plant(tmp_path, "regression")
    table = load_contract(plant.folder).table("scoring")
    others = other_columns(load_workload(plant.folder).prediction, table)
    assert {*others, *load_workload(plant.folder).prediction.inputs} == {column.name for column in table.columns}
    admitted = check_rows([ROW], table)[0]
    formers = replace(table, columns=tuple(replace(one, formerly=f"old_{one.name}") for one in table.columns))
    renamed = other_columns(load_workload(plant.folder).prediction, formers)
    assert renamed == others | {f"old_{name}": name for name in table.names}
    body = request_body(admitted, ["load"], others)
    assert json.loads(body)["others"] == [{name: ROW.get(name) for name in others}]
    kept = RowReader((Number(name="load"),)).read(body, "application/json")
    assert kept.values == [(1.5,)]
