"""Any table becomes a contract that accepts its own rows, or an error that says what is missing."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from hypothesis import event, given, settings
from hypothesis import strategies as st
from pyarrow import csv

from millrace.console.new import writing
from millrace.console.new.declare import _yaml
from millrace.console.new.proposal import Proposal, propose
from millrace.console.new.read import read_source
from millrace.console.new.roles import Choices
from millrace.console.new.writing import write
from millrace.contract.odcs import check_contract
from millrace.contract.schema import Table
from millrace.contract.violation import QuarantinedRow
from millrace.errors import ConfigurationError
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from tests.console.new.conftest import TODAY, written

ROWS = 240
TIMES = st.datetimes(dt.datetime.fromisoformat("1990-01-01"), dt.datetime.fromisoformat("2030-01-01"))
KINDS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    *((kind, st.integers(*bounds)) for kind, bounds in (
        (pa.int8(), (-128, 127)),
        (pa.int32(), (-(2**31), 2**31 - 1)),
        (pa.int64(), (-(2**63), 2**63 - 1)),
        (pa.uint64(), (0, 2**64 - 1)),
    )),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    (pa.float64(), st.floats(0, 1)),
    (pa.decimal128(20, 4), st.decimals(-(10**12), 10**12, places=4)),
    (pa.string(), st.text(max_size=8)),
    (pa.string(), st.sampled_from(["a", "b", "", "NA", "?", "yes", "01", "1", "2024-01-01", "1e5", "inf", "true"])),
    (pa.large_string(), st.sampled_from(["x", "y"])),
    (pa.bool_(), st.booleans()),
    (pa.date32(), st.dates(dt.date.fromisoformat("1990-01-01"), dt.date.fromisoformat("2030-01-01"))),
    (pa.timestamp("ns"), TIMES),
    (pa.timestamp("us", "Europe/Paris"), TIMES),
    (pa.time32("s"), st.times().map(lambda at: at.replace(microsecond=0))),
    (pa.duration("s"), st.integers(0, 10**6)),
    (pa.binary(), st.binary(max_size=4)),
    (pa.list_(pa.int64()), st.lists(st.integers(0, 3), max_size=2)),
    (pa.null(), st.none()),
]  # fmt: skip
NAMES = st.one_of(
    st.sampled_from(["id", "_hidden", "Two words", "a.b", "yes", "null", "1", "x: y", "#"]), st.text(max_size=6)
)


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """A label, a time, a key, and columns of any type: few values each, that come again in a random order."""
    spread = np.random.default_rng(draw(st.integers(0, 99)))
    columns: dict[str, pa.Array] = {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=5, unique_by=str.lower)):
        kind, values = draw(st.sampled_from(KINDS))
        pool = draw(st.lists(st.none() | values, min_size=1, max_size=6))
        columns[name] = pa.array([pool[at] for at in spread.integers(0, len(pool), ROWS)], kind)
    first = dt.datetime.fromisoformat("2020-01-01")
    columns["Label"] = pa.array([("no", "yes")[at] for at in [0, 1, *spread.integers(0, 2, ROWS - 2)]])
    columns["Moment"] = pa.array([first + dt.timedelta(hours=2 * at) for at in range(ROWS)])
    columns["Number"] = pa.array(range(ROWS))
    columns["Size"] = pa.array([float(at % 9) for at in range(ROWS)])
    return pa.table(columns)


@pytest.mark.parametrize("examples", [15, pytest.param(150, marks=pytest.mark.night("by day a tenth of the tables"))])
def test_the_contract_accepts_the_rows_or_says_why_not(examples: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    def one(table: pa.Table) -> None:
        folder = tmp_path_factory.mktemp("any")
        _check(written(folder / "any.parquet", table), folder)

    settings(max_examples=examples, deadline=None)(given(table=tables())(one))()


@pytest.mark.parametrize("examples", [8, pytest.param(80, marks=pytest.mark.night("by day a tenth of the tables"))])
def test_so_does_what_is_left_of_it_in_csv(examples: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    def one(table: pa.Table) -> None:
        _check_csv(table, tmp_path_factory.mktemp("any"))

    settings(max_examples=examples, deadline=None)(given(table=tables())(one))()


def _check_csv(table: pa.Table, folder: Path) -> None:
    plain = [
        name
        for name in table.column_names
        if not (pa.types.is_nested(table[name].type) or pa.types.is_binary(table[name].type))
    ]
    # A line of text with a NUL is no row in CSV: `tests/millrace/files` has it.
    cells = [pc.replace_substring(table[name].cast(pa.string()), "\0", "_") for name in plain]
    csv.write_csv(pa.table(cells, plain), folder / "any.csv")
    _check(folder / "any.csv", folder)


def _check(path: Path, folder: Path) -> None:
    asked = Choices(name="any_table", label="Label", event_time="Moment", key=("Moment",))
    try:
        found = propose(read_source(path), asked, today=TODAY)
    except ConfigurationError as error:
        event(f"refused: {error.field}")
        if error.where != path.name or error.field not in ("columns", "rows", "line 1", "format"):
            raise
        return
    event("proposed")
    assert found.accepted.num_rows + len(found.refused) == ROWS
    assert {row.reason for row in found.refused} <= {"not_finite"}
    with patch.object(writing, "MOST_BYTES", path.stat().st_size // 3):
        here = write(found, folder, folder / "drops", force=False)
    contract = check_fit(load_workload(here.folder), check_contract(here.folder))
    assert contract.rows == found.contract
    _judged_as_drops(here.drops, found, contract.rows)


def _judged_as_drops(drops: tuple[Path, ...], found: Proposal, table: Table) -> None:
    """As the proposal said; a file that is dropped as it is brings the rows that it refused too."""
    from millrace.contract.validate import Validator
    from millrace.files.catalogue import read_drop

    validator, came, refused = Validator(table), 0, list[QuarantinedRow]()
    for drop in drops:
        for part in read_drop(drop, table):
            verdict = validator.judge(part.rows)
            assert not part.unparsable
            refused += verdict.refused
            came += verdict.accepted.num_rows
    assert came == found.accepted.num_rows
    assert len(refused) in (0, len(found.refused))
    assert {row.reason for row in refused} <= {"not_finite"}


@pytest.mark.parametrize("words", [["e\x85"], ["\xa2\x85z", "\x93"], ["\u2028x", "ü"]])
def test_words_are_read_from_a_document_as_they_are(words: list[str]) -> None:
    assert yaml.safe_load(_yaml(words)) == words
