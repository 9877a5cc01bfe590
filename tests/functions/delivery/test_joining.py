"""Every accepted row is answered once, in order, by one model; anything else stops the delivery."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from millrace.artefact.batch import answer_schema, read_answers, write_answers, write_stream
from millrace.contract.load import load_contract
from millrace.contract.schema import parsed_schema
from millrace.errors import AnswerError
from millrace.functions.delivery.joining import dated, join
from millrace.messages.score import delivered_schema, delivered_types
from millrace.tasks.binary import Binary
from millrace.tasks.catalogue import TASKS
from millrace.workload.declaration import Prediction
from tests.plant import plant_output, plant_rows, write_plant

CONTRACT = load_contract(Path(__file__).resolve().parents[3] / "workloads" / "electricity")
FIELDS = Binary().answer
HALF = Binary().answers(np.array([[0.5]], np.float32))
AHEAD = {"task": "regression", "key": ["timestamp"], "event_time": "timestamp", "features": ["pm2.5"]}
SCHEMA = delivered_schema(CONTRACT, Binary())


def accepted(rows: int) -> pa.Table:
    schema = parsed_schema(CONTRACT.table("scoring"))
    columns = {field.name: pa.array(range(rows)).cast(field.type) for field in schema}
    return pa.table(
        {**columns, "_line": pa.array([2 * number + 1 for number in range(rows)], pa.int64())}, schema=schema
    )


def answers(rows: int, version: str = "3") -> pa.Table:
    numbers = pa.array([2 * number + 1 for number in range(rows)], pa.int64())
    found = Binary().answers(np.linspace(0, 1, rows, dtype=np.float32)[:, None])
    body = write_answers(numbers, found, model_version=version, fields=FIELDS)
    return read_answers(body, model_version=version, fields=FIELDS)


def joined(rows: pa.Table, found: list[pa.Table], refused: list[pa.Table] | None = None) -> pa.Table:
    refuse = ([] if refused is None else refused).append
    cut = rows.to_batches(max_chunksize=4)
    batches = join(cut, found, fields=FIELDS, schema=SCHEMA, model_version="3", refuse=refuse)
    return pa.Table.from_batches(batches, schema=SCHEMA)


def test_rows_without_an_answer_are_refused_and_the_others_delivered() -> None:
    reason = {"column": "scan", "expected": "PNG data", "came": "45 bytes"}
    body = write_answers(
        pa.array([1, 3, 5, 7, 9], pa.int64()),
        Binary().answers(np.array([[0.1], [0.2], [0.3]], np.float32)),
        model_version="3",
        fields=FIELDS,
        rejected={1: reason, 4: reason},
    )
    refused: list[pa.Table] = []
    table = joined(accepted(7), [read_answers(body, model_version="3", fields=FIELDS), answers(7).slice(5)], refused)
    assert table["row_number"].to_pylist() == [1, 5, 7, 11, 13]
    np.testing.assert_allclose(table["probability"].to_pylist()[:3], [0.1, 0.2, 0.3], rtol=1e-6)
    assert [(row["_line"], row["rejected"]) for part in refused for row in part.to_pylist()] == [
        (3, reason),
        (9, reason),
    ]


@pytest.mark.parametrize("shard", [1, 3, 4, 10])
def test_rows_and_answers_meet_however_they_are_cut(shard: int) -> None:
    whole = answers(10)
    table = joined(accepted(10), [whole.slice(start, shard) for start in range(0, 10, shard)])
    assert table.schema == SCHEMA
    assert table.column("row_number").to_pylist() == list(range(1, 21, 2))
    assert table.column("nswprice").to_pylist() == [float(number) for number in range(10)]
    assert table.column("probability").equals(whole.column("probability"))
    assert table.column("value").to_pylist() == [0] * 5 + [1] * 5
    assert set(table.column("model_version").to_pylist()) == {"3"}


def changed(table: pa.Table, column: str, cells: list[Any]) -> pa.Table:
    at = table.schema.get_field_index(column)
    return table.set_column(at, table.schema.field(at), pa.array(cells, table.schema.field(at).type))


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.slice(0, 9),
        lambda found: found.slice(1),
        lambda found: found.slice(0, 0),
        lambda found: pa.concat_tables([found, found]),
        lambda found: found.take([1, 0, *range(2, 10)]),
        lambda found: changed(found, "confidence", [0.5] * 9 + [None]),
    ],
    ids=["last missing", "first missing", "none", "twice", "swapped", "null"],
)
def test_anything_else_stops(change: Callable[[pa.Table], pa.Table]) -> None:
    with pytest.raises(AnswerError):
        joined(accepted(10), [change(answers(10))])


@pytest.mark.parametrize(
    ("column", "bad"), [("probability", 1.0000001192092896), ("confidence", float("nan")), ("value", 2)]
)
def test_an_answer_out_of_range_costs_its_row_and_no_other(column: str, bad: float) -> None:
    whole, refused = answers(10), list[pa.Table]()
    cells = [bad if at in (0, 6) else cell for at, cell in enumerate(whole[column].to_pylist())]
    table = joined(accepted(10), [changed(whole, column, cells)], refused)
    assert table["row_number"].to_pylist() == [3, 5, 7, 9, 11, 15, 17, 19]
    found = [row for part in refused for row in part.to_pylist()]
    assert [(row["_line"], row["rejected"]["came"]) for row in found] == [(1, repr(bad)), (13, repr(bad))]
    assert all(row["rejected"]["column"] == "prediction" for row in found)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            write_answers(pa.array([1], pa.int64()), HALF, model_version="4", fields=FIELDS),
            "expected model '3', got '4'",
        ),
        (b"\xff\xff\xff\xff\x10\x00\x00\x00garbage", "expected an Arrow stream"),
        (
            write_stream([pa.RecordBatch.from_pylist([], schema=answer_schema("3", FIELDS).remove(1))]),
            "the columns row_number",
        ),
    ],
    ids=["another model", "no stream", "other columns"],
)
def test_what_is_no_answer_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(AnswerError, match=said):
        read_answers(body, model_version="3", fields=FIELDS)


@pytest.mark.parametrize("name", TASKS)
def test_the_answers_of_every_task_are_delivered_by_its_fields(name: str, tmp_path: Path) -> None:
    plant = write_plant(tmp_path, name)
    task, output_NW = plant.task, plant_output(plant, plant_rows(name, days=1).slice(0, 3))
    numbers = pa.array([1, 3, 5], pa.int64())
    body = write_answers(numbers, task.answers(output_NW), model_version="3", fields=task.answer)
    found = read_answers(body, model_version="3", fields=task.answer)
    schema = delivered_schema(CONTRACT, task)
    assert schema.names[len(CONTRACT.table("scoring").columns) :] == list(delivered_types(task))
    batches = join(
        accepted(3).to_batches(), [found], fields=task.answer, schema=schema, model_version="3", refuse=print
    )
    table = pa.Table.from_batches(batches, schema=schema)
    assert table.column("value").to_pylist() == task.answers(output_NW)["value"].tolist()
    first, _, last = found["value"].to_pylist()
    length = task.answer[0].length
    refused: list[pa.Table] = []

    def with_second(cell: Any) -> pa.Table:
        spoilt = changed(found, "value", [first, cell, last])
        batches = join(
            accepted(3).to_batches(),
            [spoilt],
            fields=task.answer,
            schema=schema,
            model_version="3",
            refuse=refused.append,
        )
        return pa.Table.from_batches(batches, schema=schema)

    for missing in [None, [None] * length, first[1:]] if length else [None]:
        with pytest.raises(AnswerError, match="value: expected"):
            with_second(missing)
    if task.answer[0].kind == "number":
        spoilt = [*first[:-1], math.inf] if length else math.inf
        assert with_second(spoilt)["row_number"].to_pylist() == [1, 5]
        assert [row["_line"] for part in refused for row in part.to_pylist()] == [3]


@pytest.mark.parametrize("zone", [None, "UTC"])
@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("pm2.5", None),
        ({"column": "pm2.5", "horizon_hours": 24.5}, "2026-11-26T06:30:00Z"),
        ({"column": "pm2.5", "horizon_hours": [1, 24]}, ["2026-11-25T07:00:00Z", "2026-11-26T06:00:00Z"]),
    ],
)
def test_a_delivered_answer_says_for_when_it_is(label: Any, said: Any, zone: str | None) -> None:
    """In a file as of a request; of a moment beyond Python's calendar nothing is said."""
    prediction = Prediction.model_validate(AHEAD | {"label": label})
    at = datetime(2026, 11, 25, 6, tzinfo=UTC)
    times = pa.array([at, None, at, datetime(9999, 12, 31, 23, tzinfo=UTC)], pa.timestamp("us", zone))
    found = dated(pa.RecordBatch.from_arrays([times], ["timestamp"]), prediction).to_pydict()
    assert prediction.predicted_for(at) == said
    assert found.get("predicted_for") == ([said, None, said, None] if said else None)
