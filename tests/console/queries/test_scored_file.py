"""Each row of a scored file stands beside its answer, or the reason why it has none."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.console.queries.drops import Row, scored_rows
from millrace.contract.load import load_contract
from millrace.contract.schema import LINE
from millrace.files.catalogue import read_drop
from millrace.tasks.task import AnswerField

CONTRACT = load_contract(Path(__file__).resolve().parents[3] / "workloads" / "reviews")
CELLS: list[dict[str, Any]] = [
    {"id": "a", "title": 'two\n"lines"', "age": "31"},
    {"id": "b", "title": "plain", "age": "old"},
    {"id": "c", "title": "last", "age": "50"},
]


def answered(*lines: int) -> pa.Table:
    rows = [{"id": f"{line}", "value": 1, "probability": line / 10, "row_number": line} for line in lines]
    return pa.Table.from_pylist(rows)


def refused(line: int | None) -> Row:
    given = dict.fromkeys(("drop", "source", "key", "expected", "got", "also", "raw", "run"), "")
    at = datetime(2026, 11, 25, tzinfo=UTC)
    return Row(
        **given, feed="scoring", line=line, column="age", reason="type", detail="age: no number", quarantined_at=at
    )


def written(folder: Path, ending: str) -> tuple[Path, list[int]]:
    """The file of CELLS, and the lines in which its rows begin by the reader of drops."""
    path = folder / f"sent.{ending}"
    if ending == "csv":
        quoted = '"two\n""lines"""'
        path.write_text(f"id,title,age\na,{quoted},31\nb,plain,old\nc,last,50\n")
        return path, [2, 4, 5]
    if ending == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in CELLS))
    else:
        pq.write_table(pa.Table.from_pylist(CELLS), path)
    return path, [1, 2, 3]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_row_keeps_its_own_cells_and_its_place(tmp_path: Path, ending: str) -> None:
    path, (first, second, third) = written(tmp_path, ending)
    found = scored_rows(path, CONTRACT, answered(first, third), [refused(second)])
    assert [{name: row[name] for name in CELLS[0]} for row in found] == CELLS
    assert [row["probability"] for row in found] == [first / 10, None, third / 10]
    assert [(row["refused"], row["refused_because"]) for row in found] == [
        (None, None), ("type", "age: no number"), (None, None),
    ]  # fmt: skip


def test_the_lines_are_those_of_the_reader_of_drops(tmp_path: Path) -> None:
    path, lines = written(tmp_path, "csv")
    names = [column.name for column in CONTRACT.table("scoring").columns]
    empty = "," * (len(names) - 2)
    quoted = '"two\n""lines"""'
    path.write_text(f"{','.join(names)}\na,{quoted}{empty}\nb,plain{empty}\n")
    parts = list(read_drop(path, CONTRACT.table("scoring")))
    begun = [line for part in parts for line in (*part.rows[LINE].to_pylist(), *(row.line for row in part.unparsable))]
    assert sorted(begun) == lines[:2]


def test_a_column_of_the_file_named_as_an_answer_stays_as_it_was(tmp_path: Path) -> None:
    (path := tmp_path / "sent.csv").write_text("id,value\na,7\n")
    (row,) = scored_rows(path, CONTRACT, answered(2), [])
    assert (row["value"], row["value_answer"]) == ("7", 1)


@pytest.mark.parametrize(
    "text",
    ['{"id": "a"}\n{"id": \n', f'{{"id": "a"}}\n{"[" * 100_000}\n'],
    ids=["a cut object", "deep lists"],
)
def test_a_broken_record_has_what_could_be_read(text: str, tmp_path: Path) -> None:
    (path := tmp_path / "sent.jsonl").write_text(text)
    found = scored_rows(path, CONTRACT, answered(1), [refused(2)])
    assert [row["id"] for row in found] == ["a", None]


def test_a_record_that_cannot_be_read_costs_no_other(tmp_path: Path) -> None:
    (path := tmp_path / "sent.csv").write_bytes(b"id,title\na,first\n1,x\ry\n")
    found = scored_rows(path, CONTRACT, answered(2), [refused(3)])
    assert [(row["id"], row["refused"]) for row in found] == [("a", None), (None, "type")]


def test_each_step_of_a_forecast_is_a_row_on_request(tmp_path: Path) -> None:
    (path := tmp_path / "sent.jsonl").write_text('{"id": "a", "value": [0]}\n{"id": "b"}\n')
    days = ["2026-11-26T06:00:00Z", "2026-11-27T06:00:00Z"]
    answers = pa.Table.from_pylist(
        [{"value": [1.5, 2.5], "predicted_for": days, "model_version": "3", "row_number": 1}]
    )
    fields = [AnswerField(name=name, kind="text", length=2) for name in ("value", "predicted_for")]
    found = scored_rows(path, CONTRACT, answers, [refused(2)], long=fields)
    assert [(row["id"], row["value_answer"], row["predicted_for"], row["model_version"]) for row in found] == [
        ("a", 1.5, days[0], "3"), ("a", 2.5, days[1], "3"), ("b", None, None, None),
    ]  # fmt: skip
    assert [row["value"] for row in found] == [[0], [0], None], "the file's own lists stay"
