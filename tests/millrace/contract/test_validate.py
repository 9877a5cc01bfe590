"""Every row is accepted or refused, the same in one piece, in parts and row by row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.contract.deduplicate import Keys, key_beside, key_of
from millrace.contract.drop_rules import of_cells, of_rows, read_mean
from millrace.contract.kinds import from_base64
from millrace.contract.load import load_contract
from millrace.contract.row import check_row
from millrace.contract.row import unlisted as unlisted_in_row
from millrace.contract.rules.allowed import Allowed
from millrace.contract.rules.length import Length
from millrace.contract.rules.pattern import Pattern
from millrace.contract.rules.range import Range
from millrace.contract.schema import LINE, Column, Contract, Table, parsed_schema
from millrace.contract.validate import Validator, totals_of, unlisted, validate
from millrace.contract.violation import RAW_BYTES, RAW_CHARACTERS, raw_row, raw_rows
from millrace.errors import WorkloadError
from tests.fuzz import examples
from tests.shipped import WORKLOADS

TABLE = Table(
    name="t",
    columns=(
        Column(name="k", kind="int64", required=True),
        Column(name="x", kind="float64", rules=(Range(minimum=0, exclusive_maximum=1),)),
        Column(name="n", kind="int32", rules=(Allowed((1, 3, 4)),)),
        Column(name="s", kind="string", rules=(Length(minimum=1, maximum=3), Pattern("^[a-c]"))),
    ),
    keys=(("k",),),
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "k": st.none() | st.integers(0, 5),
            "x": st.none() | st.floats(-0.5, 1.5) | st.sampled_from([float("nan"), float("inf"), 1.0, 0.0]),
            "n": st.none() | st.integers(0, 5),
            "s": st.none() | st.text("abcd", max_size=4),
        }
    ),
    max_size=12,
)


def table_of(rows: list[dict[str, Any]], table: Table = TABLE) -> pa.Table:
    return pa.Table.from_pylist([row | {LINE: n} for n, row in enumerate(rows, 1)], schema=parsed_schema(table))


@settings(max_examples=examples(300), deadline=None)
@given(rows=ROWS)
def test_no_row_is_lost_and_the_reasons_are_those_of_single_rows(rows: list[dict[str, Any]]) -> None:
    result = validate(table_of(rows), TABLE)
    lines = [*result.accepted[LINE].to_pylist(), *(row.line for row in result.refused)]
    assert sorted(lines) == list(range(1, len(rows) + 1))
    reasons = {row.line: row.reason for row in result.refused}
    taken: set[int] = set()
    for line, row in enumerate(rows, 1):
        problems = check_row(row, TABLE)
        if problems:
            assert reasons[line] == problems[0].reason
        elif row["k"] in taken:
            assert reasons[line] == "duplicate_key"
        else:
            taken.add(row["k"])
            assert line not in reasons


WORDS = replace(TABLE, keys=(("s",), ("k", "s")))


@settings(max_examples=examples(300), deadline=None)
@given(rows=ROWS, size=st.integers(1, 5), table=st.sampled_from([TABLE, WORDS]), words=st.booleans())
def test_in_parts_the_result_is_the_same(rows: list[dict[str, Any]], size: int, table: Table, words: bool) -> None:
    """Also where texts have a dictionary."""
    whole, validator, typed = validate(table_of(rows), table), Validator(table), table_of(rows)
    if words:
        typed = typed.set_column(
            place := typed.schema.get_field_index("s"), "s", typed.column(place).dictionary_encode()
        )
    parts = [validator.judge(typed.slice(at, size)) for at in range(0, len(rows), size)]
    assert [row for part in parts for row in part.refused] == list(whole.refused)
    assert [row for part in parts for row in part.accepted.to_pylist()] == whole.accepted.to_pylist()


@pytest.mark.parametrize("size", [1, 2, 5])
def test_of_two_labels_of_a_key_the_first_counts_whether_or_not_the_table_holds_it(size: int) -> None:
    """Each month's file may have all labels so far: one that was refused in May must not correct the first in June."""
    rows = table_of([{"k": k, "x": x, "n": 1, "s": "a"} for k, x in ((1, 0.5), (1, 0.25), (2, 0.5), (2, 0.25), (3, 0))])
    known = key_beside(rows.take([0, 3]), ("k",), ("x",))
    validator = Validator(TABLE, held=(Keys(columns=("k",), beside=("x",), values=known),))
    found = [validator.judge(rows.slice(at, size)) for at in range(0, 5, size)]
    told = [(row.line, row.violations[0].got) for one in found for row in one.refused]
    assert told == [(1, "1, which the table holds"), (2, "1, first on line 1"), (4, "2, which the table holds")]
    assert [line for one in found for line in one.accepted[LINE].to_pylist()] == [3, 5]


RULES = (
    of_rows({"metric": "rowCount", "mustBeBetween": [4, 20]}),
    of_cells({"metric": "nullValues", "mustBeLessThan": 10, "unit": "percent"}, column="x"),
    of_cells({"metric": "invalidValues", "mustBeLessOrEqualTo": 1}, column="x"),
    read_mean("mean of x between 0 and 0.6", {"x": "float64"}),
)


@pytest.mark.parametrize(
    ("cells", "broken"),
    [
        ([0.5] * 11 + [None, 2.0], []),
        ([0.5] * 3, ["rowCount must be between 4 and 20 rows, came 3"]),
        ([0.5] * 9 + [None], ["nullValues of x must be less than 10 percent, came 10"]),
        ([0.5] * 8 + [2.0, 3.0], ["invalidValues of x must be less or equal to 1 rows, came 2"]),
        ([0.75] * 10, ["mean of x must be between 0 and 0.6, came 0.75"]),
    ],
)
def test_a_drop_is_judged_whole_by_its_good_rows_and_how_many_are_bad(cells: list[Any], broken: list[str]) -> None:
    table = replace(TABLE, drop_rules=RULES)
    rows = table_of([{"k": k, "x": x, "n": 1, "s": "a"} for k, x in enumerate(cells)])
    totals = totals_of(Validator(table).judge(rows), table)
    assert [said for rule in RULES if (said := rule.broken(totals))] == broken


def test_a_key_of_several_columns_keeps_them_apart() -> None:
    rows = pa.table({"a": ["a", "ab", None], "b": ["bc", "c", "x"]})
    first, second, third = key_of(rows, ("a", "b")).to_pylist()
    assert first != second
    assert third is None


def test_zero_has_one_key_whatever_its_sign() -> None:
    rows = pa.table({"x": [0.0, -0.0], "y": [1, 1]})
    for columns in (("x",), ("x", "y")):
        first, second = key_of(rows, columns).to_pylist()
        assert str(first) == str(second)
    table = Table(name="t", columns=(Column(name="x", kind="float32"),), keys=(("x",),))
    judged = validate(table_of([{"x": 0.0}, {"x": -0.0}], table), table)
    assert [row.reason for row in judged.refused] == ["duplicate_key"]


LISTED = Table(
    name="rows",
    columns=(
        Column(name="n", kind="int32", rules=(Allowed((1, 3, 4)),)),
        Column(name="kind", kind="string", required=True, rules=(Allowed(("flat", "house")),)),
        Column(name="side", kind="string", rules=(Allowed(("left", "right"), strict=True),)),
        Column(name="label", kind="string", label=True, rules=(Allowed(("yes", "no")),)),
    ),
)
LISTS = Contract(rows=LISTED, labels=LISTED, digest="")


@settings(max_examples=examples(200), deadline=None)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "n": st.none() | st.integers(0, 5),
                "kind": st.sampled_from([None, "flat", "loft"]),
                "side": st.sampled_from([None, "left", "top"]),
            }
        ),
        max_size=12,
    ),
    words=st.booleans(),
)
def test_a_value_outside_of_a_list_is_counted_the_same_in_drops_and_requests(
    rows: list[dict[str, Any]], words: bool
) -> None:
    table = LISTS.table("scoring")
    typed = table_of(rows, table)
    if words:  # as a drop's file holds texts of few values
        typed = typed.set_column(1, "kind", typed["kind"].dictionary_encode())
    result, good = validate(typed, table), [row for row in rows if not check_row(row, table)]
    assert result.accepted.num_rows == len(good)
    found = [one.column for row in good for one in unlisted_in_row(row, table)]
    assert unlisted(result.accepted, table) == {name: found.count(name) for name in dict.fromkeys(found)}


@pytest.mark.parametrize(
    ("feed", "reasons"), [("scoring", ["allowed"]), ("training", ["allowed", "allowed", "allowed"])]
)
def test_a_list_is_open_in_rows_to_score_alone(feed: Any, reasons: list[str]) -> None:
    table = LISTS.table(feed)
    row = {"n": 2, "kind": "loft", "side": "top"} | ({"label": "yes"} if feed == "training" else {})
    assert [one.reason for one in check_row(row, table)] == reasons
    result = validate(table_of([row], table), table)
    assert [one.reason for one in result.refused[0].violations] == reasons
    assert [one.column for one in unlisted_in_row(row, table)] == (["n", "kind"] if feed == "scoring" else [])


@pytest.mark.parametrize("length", [100, RAW_CHARACTERS // 6, RAW_CHARACTERS, 2**20])
@pytest.mark.parametrize("character", ["\x01", "x", "😀"])
def test_the_texts_of_a_long_row_are_cut_with_their_length_and_digest(length: int, character: str) -> None:
    """A control character takes six in JSON, and one beyond ASCII makes all take four bytes of memory."""
    cells: dict[str, Any] = {"a": character * length, "n": 1}
    raw = raw_row(cells)
    assert len(raw) <= RAW_CHARACTERS
    assert len(raw.encode()) <= 2 * RAW_CHARACTERS
    kept = json.loads(raw)
    assert kept["n"] == 1
    assert kept["a"] == cells["a"] or kept["a"].partition("… ")[2].startswith(f"{length} characters, sha256 ")
    assert (kept["a"] == cells["a"]) == (len(json.dumps(cells, ensure_ascii=False)) <= RAW_CHARACTERS)


def test_a_row_of_a_thousand_texts_is_bounded_too() -> None:
    raw = raw_row({f"a{at}": "😀" + "\x01" * 200 for at in range(1_000)})
    assert len(raw) < 3 * RAW_CHARACTERS
    assert json.loads(raw)["a7"] == "201 characters"


def test_rows_of_a_table_are_written_as_each_alone() -> None:
    rows = pa.table({"a": ["x" * (RAW_CHARACTERS + 2), "é", None], "b": [b"\0" * (RAW_BYTES + 1), b"", None]})
    assert list(raw_rows(rows)) == [raw_row(row) for row in rows.to_pylist()]


@pytest.mark.parametrize("text", ["AAAA=", "AAAA====", "AB==", "AAB=", "A", "A===", "AA AA", "A-A_"])
def test_text_that_no_bytes_are_written_as_is_no_base64(text: str) -> None:
    """Python's own reader takes the first four."""
    with pytest.raises(ValueError):
        from_base64(text)


def places(document: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value below the document."""
    if before:
        yield before
    for key, value in document.items() if isinstance(document, dict) else enumerate(document):
        if isinstance(value, dict | list):
            yield from places(value, (*before, key))
        else:
            yield (*before, key)


def loads(folder: Path, text: str | bytes) -> bool:
    (folder / "contract.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        load_contract(folder)
    except WorkloadError as error:
        return not error.field
    return True


WHOLE = (WORKLOADS / "air_quality" / "contract.yaml").read_text()


@pytest.mark.parametrize(
    "text",
    [
        *("", "5", "- 1", "schema: 5", "schema: [5]", "schema: !!set {a}", "a: 2020-99-99", "a: " + "9" * 5_000),
        *("[" * 3_000, "a: &a [*a]", "? {a: b}\n: c", "a: b: c", "a: !!python/object:os.system x", b"\xff", b"\0"),
        *("schema:\n- name: rows\n  properties: text", WHOLE + "x: &x [*x]\n", WHOLE + "5: 6\n", "a: {1: 2, b: 3}"),
    ],
)
def test_a_document_that_is_no_contract_names_its_field(text: str | bytes, tmp_path: Path) -> None:
    assert not loads(tmp_path, text)
