"""The table of a folder's decisions says what its lines say, one by one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.decisions import absorbed
from millrace.decisions.columns import ColumnShape, StoredTable, of_decisions, read_folder
from millrace.decisions.record import Decision, canonical, to_line
from millrace.decisions.store import read_lines
from millrace.tasks.binary import Binary
from tests.millrace.decisions.test_record import DECISION, DECISIONS

SHAPE = ColumnShape(
    cells={"nswprice": "float64", "timestamp": "timestamp", "a": "string", "none": None},
    answer=Binary().answer,
    measures=("x.y",),
)
LATER = replace(DECISION, inferred_at=DECISION.inferred_at + timedelta(seconds=3), latency_ms=3.0)
LINE = to_line(DECISION)


def read(*bodies: list[str], absorbed_bodies: list[list[str]] | None = None) -> StoredTable:
    with TemporaryDirectory() as folder:
        for number, lines in enumerate(bodies):
            Path(folder, f"{number}.jsonl").write_bytes("".join(f"{line}\n" for line in lines).encode())
        for number, lines in enumerate(absorbed_bodies or []):
            path = Path(folder, "absorbed", f"date={number}", "0000.parquet")
            path.parent.mkdir(parents=True)
            parts = (absorbed.table_of(line.encode()) for line in lines)
            absorbed.write_file(path, (part for part in parts if part is not None))
        return read_folder(Path(folder), workload="electricity", shape=SHAPE)


def one_by_one(lines: list[str]) -> StoredTable:
    stored = read_lines(lines)
    return StoredTable(table=of_decisions(stored.decisions, SHAPE), unreadable=stored.unreadable)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(DECISIONS, min_size=1, max_size=12, unique_by=lambda one: (one.id, one.inferred_at)),
    st.integers(0, 12),
    st.booleans(),
)
def test_a_table_says_what_its_lines_say(decisions: list[Decision], first: int, twice: bool) -> None:
    lines = [to_line(one) for one in decisions] * (1 + twice)
    known = one_by_one(lines)
    for found in (read(lines[:first], lines[first:]), read(lines[:first], absorbed_bodies=[lines[first:]])):
        assert found.unreadable == known.unreadable
        assert found.table.column("id").equals(known.table.column("id"))
        for name in known.table.column_names:
            assert found.table.column(name).equals(known.table.column(name)), name


@pytest.mark.parametrize(
    "line",
    [
        "no line",
        "{}",
        LINE.replace('"phase":"live"', '"phase":"dead"'),
        LINE.replace('"fallback":false,', ""),
        LINE.replace("nswprice", "nswprize"),
        LINE.replace('"latency_ms":12.5', '"latency_ms":NaN'),
        LINE.replace('"eventId":"8f507cfc-7"', '"eventId":7'),
        LINE.replace('\\"value\\":1', '\\"value\\":{}'),
        LINE.replace('\\"value\\":1,', ""),
        LINE.replace("1997-01-02T23:30:00.000000Z", "1997-01-02T23:30:00"),
        to_line(replace(DECISION, input="[1]")),
        to_line(replace(DECISION, input='{"a":{}\n{"b":1}}')),
    ],
)
def test_a_line_that_is_no_decision_is_counted_alone(line: str) -> None:
    other = to_line(replace(DECISION, id="other"))
    assert one_by_one([line, other]).unreadable == 1
    for found in (read([line, other]), read([other], absorbed_bodies=[[other, line]])):
        assert found.table.column("id").to_pylist() == ["other"]
    assert read([line, other]).unreadable == 1


@pytest.mark.parametrize(
    "decision",
    [
        replace(DECISION, input=canonical({"nswprice": "much", "timestamp": "soon", "a": 7})),
        replace(DECISION, input=canonical({"nswprice": 1, "timestamp": None, "none": {"deep": 1.0}})),
        replace(DECISION, input='{ "nswprice" : 0.5 }'),
        replace(DECISION, output={"value": "a text", "probability": 0.5}),
        replace(DECISION, output={"value": [1, 2]}),
    ],
)
def test_a_cell_of_another_kind_is_read_as_the_line_alone_is(decision: Decision) -> None:
    lines = [to_line(decision), to_line(replace(DECISION, id="other"))]
    for found in (read(lines), read([], absorbed_bodies=[lines])):
        assert found.table.equals(one_by_one(lines).table)
        assert found.unreadable == 0


def test_of_two_decisions_of_one_time_the_greater_counts() -> None:
    twins = [to_line(replace(DECISION, output={"value": value, "probability": 0.5})) for value in (0, 1)]
    for lines in (twins, twins[::-1]):
        found = read([lines[0]], [lines[1], lines[0]])
        assert found.table.column("output.value").to_pylist() == [1]
        assert found.table.equals(one_by_one(lines).table)
