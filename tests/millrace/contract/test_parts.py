"""Tags and lists in one cell of a file: each column gets its part, on every road the same."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.contract.parts import read_part
from millrace.contract.row import as_declared, check_row
from millrace.contract.schema import Column, Table
from tests.millrace.files.conftest import as_json_lines, parse, taken

TABLE = Table(
    name="rows",
    columns=(
        Column(name="k", kind="int64"),
        *(
            Column(name=f"hue_{tag}", kind="boolean", part=read_part({"of": "hues", "tag": tag}), missing_words=("NA",))
            for tag in ("red", "blue")
        ),
        *(
            Column(name=f"at_{n}", kind="float64", part=read_part({"of": "path", "place": n, "separator": ","}))
            for n in (1, 2, 3)
        ),
    ),
)
CASES: list[tuple[Any, Any, list[Any]]] = [
    ("red;blue", "[1, 2.5, 3]", [True, True, 1, 2.5, 3]),
    ("blue", "[1]", [False, True, 1, None, None]),
    ("", "[]", [False, False, None, None, None]),
    ("[]", "", [False, False, None, None, None]),
    ("NA", "[-1,2,3]", [None, None, -1, 2, 3]),
    ('["red", "green"]', "(1, 2)", [True, False, 1, 2, None]),
    ("red ; blue;", "[1, 2, 3]", [True, True, 1, 2, 3]),
    ("red;;blue", "[1,,3]", [True, True, 1, None, 3]),
    (";", "[,2,3,]", [False, False, None, 2, 3]),
]


def test_each_column_has_its_part() -> None:
    rows = [{"k": at, "hues": hues, "path": path} for at, (hues, path, _) in enumerate(CASES)]
    wanted = {at: dict(zip(TABLE.names[1:], cells, strict=True)) for at, (_, _, cells) in enumerate(CASES)}
    assert [*taken(rows, TABLE).values()] == [wanted] * 4


def test_zero_and_one_are_false_and_true() -> None:
    table = Table(name="rows", columns=(Column(name="k", kind="int64"), Column(name="damp", kind="boolean")))
    found = taken([{"k": at, "damp": damp} for at, damp in enumerate((1, 0, None))], table)
    assert [*found.values()] == [{0: {"damp": True}, 1: {"damp": False}, 2: {"damp": None}}] * 4


@pytest.mark.parametrize(
    ("hues", "path"), [(3, "[1]"), ("red", "[x]"), ("red", 7), ("red", "[1, 2, 3, 4]"), ("red", [1, 2, 3, 4])]
)
def test_another_cell_is_of_a_wrong_type(hues: Any, path: Any) -> None:
    row = {"k": 0, "hues": hues, "path": path}
    assert {one.reason for one in check_row(as_declared(row, TABLE), TABLE)} == {"type"}
    part = parse(as_json_lines([row]), TABLE)
    assert (part.rows.num_rows, [one.reason for one in part.unparsable]) == (0, ["type"])


def test_a_file_needs_the_cell_or_the_columns() -> None:
    """A request may have the columns themselves, as `to_predict.jsonl` has."""
    row = {"k": 1, "hue_red": True, "hue_blue": 0, "at_1": 1, "at_2": 2, "at_3": None}
    assert check_row(as_declared(row, TABLE), TABLE) == ()
    assert TABLE.without("hue_red").without("hue_blue").name_of.keys() == {"k", "at_1", "at_2", "at_3", "path"}


@pytest.mark.parametrize(
    "value",
    ["x", {}, {"of": "a"}, {"of": "a", "tag": ""}, {"of": "a", "tag": "b", "place": 1}, {"of": "a", "place": 0},
     {"of": "a", "place": True}, {"of": "a", "tag": "b", "separator": "x"}, {"of": 3, "tag": "b"}],
)  # fmt: skip
def test_what_is_no_part_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_part(value)
