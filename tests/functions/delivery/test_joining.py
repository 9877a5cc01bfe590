"""Every accepted row is answered once, in order, by one model; anything else stops the delivery."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from functions.delivery.joining import Answered, join, read_line
from millrace.contract.arrow import parsed_schema
from millrace.contract.load import load_contract
from millrace.decisions.record import Output
from millrace.errors import AnswerError
from millrace.messages.score import delivered_schema

CONTRACT = load_contract(Path(__file__).resolve().parents[3] / "workloads" / "electricity")
SCHEMA = delivered_schema(CONTRACT)


def accepted(rows: int) -> pa.Table:
    schema = parsed_schema(CONTRACT.table("scoring"))
    columns = {field.name: pa.array(range(rows)).cast(field.type) for field in schema}
    return pa.table(
        {**columns, "_line": pa.array([2 * number + 1 for number in range(rows)], pa.int64())}, schema=schema
    )


def answers(rows: int) -> list[Answered]:
    return [
        Answered(id=str(number), output=Output(value=1, probability=0.75, confidence=0.75), model_version="3")
        for number in range(rows)
    ]


def joined(rows: pa.Table, found: list[Answered]) -> pa.Table:
    batches = join(rows.to_batches(max_chunksize=4), found, schema=SCHEMA, model_version="3")
    return pa.Table.from_batches(batches, schema=SCHEMA)


def test_rows_and_answers_meet() -> None:
    table = joined(accepted(10), answers(10))
    assert table.schema == SCHEMA
    assert table.column("row_number").to_pylist() == list(range(1, 21, 2))
    assert table.column("nswprice").to_pylist() == [float(number) for number in range(10)]
    assert set(table.column("model_version").to_pylist()) == {"3"}


def test_no_rows_make_an_empty_table() -> None:
    assert joined(accepted(0), []).num_rows == 0


def test_the_label_is_not_delivered() -> None:
    assert "class" not in SCHEMA.names


def swapped(found: list[Answered]) -> list[Answered]:
    return [found[1], found[0], *found[2:]]


def of_another_model(found: list[Answered]) -> list[Answered]:
    return [*found[:-1], Answered(id="9", output=found[0].output, model_version="4")]


@pytest.mark.parametrize(
    "change",
    [lambda found: found[:-1], lambda found: found[1:], lambda found: found * 2, swapped, of_another_model],
    ids=["last missing", "first missing", "twice", "swapped", "another model"],
)
def test_anything_else_stops(change: Callable[[list[Answered]], list[Answered]]) -> None:
    with pytest.raises(AnswerError):
        joined(accepted(10), change(answers(10)))


LINE = {"id": "7", "value": 0, "probability": 0.25, "confidence": 0.75, "model_version": "3"}


def test_a_line_is_read() -> None:
    assert read_line(json.dumps(LINE).encode()) == Answered(
        id="7", output=Output(value=0, probability=0.25, confidence=0.75), model_version="3"
    )


@pytest.mark.parametrize(
    "change",
    [{"id": 7}, {"value": 2}, {"value": True}, {"probability": 1.5}, {"confidence": None}, {"model_version": 3}],
)
def test_a_wrong_line_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(AnswerError):
        read_line(json.dumps(LINE | change).encode())


def test_no_json_is_refused() -> None:
    with pytest.raises(AnswerError, match="JSON line"):
        read_line(b"{")
