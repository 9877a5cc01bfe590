"""The rows of a table in the types of a contract that has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.expressions import EqualTo

from millrace.contract.csv_form import CsvForm
from millrace.contract.schema import Column
from millrace.datasets import rewriting
from millrace.datasets.commits import commit
from millrace.datasets.known_rows import files_since
from millrace.datasets.labelled_rows import parts
from millrace.datasets.tables import Lake
from millrace.datasets.versions import pin, pinned
from millrace.errors import WorkloadError
from millrace.messages.envelope import StepInput
from millrace.messages.upkeep import RewrittenTable, UpkeepInput
from millrace.workload.load import load_workload
from tests.millrace.datasets.conftest import WORKLOAD
from tests.millrace.datasets.test_commits import rows, source
from tests.millrace.datasets.test_split import changed, table, with_column

PRICES = [float(number) for number in range(47)] + [2.5]


def rewrite(lake: Lake, run: str = "run-1") -> RewrittenTable | None:
    state = UpkeepInput(cause="command", as_of=datetime(1997, 6, 1, tzinfo=UTC), reason="whole prices")
    call = StepInput(run=run, execution="arn", state=state)
    return rewriting.rewrite(lake, "rows", load_workload(WORKLOAD).prediction, call, "user/ann")


@pytest.fixture
def retyped(lake: Lake) -> Callable[..., Lake]:
    """`retyped("float64", cells, kind="int64")`: the table has a column more, and the contract now another kind."""

    def made(first: Any, cells: list[Any], **now: Any) -> Lake:
        columns = (*lake.contract.rows.columns, Column(name="extra", kind=first))
        before = changed(lake, rows=replace(lake.contract.rows, columns=columns))
        part = rows(0, len(cells)).append_column("extra", pa.array(cells))
        commit(before, "rows", part, source("a"))
        return with_column(before, "extra", **now)

    return made


def test_rows_get_the_new_type_or_leave(lake: Lake, retyped: Callable[..., Lake]) -> None:
    other = retyped("float64", PRICES, kind="int64")
    before, former = pin(lake, "t"), table(lake)
    with pytest.raises(WorkloadError, match="millrace contract rewrite"):
        other.open("rows")
    done = rewrite(other)
    assert done == RewrittenTable(table="rows", columns=("extra",), rows=47, reasons=(("type", 1),))
    assert rewrite(other) == done, "the same call again"
    found = table(other)
    assert (found["extra"].type, found["extra"].to_pylist()) == (pa.int64(), list(range(47)))
    assert found.drop_columns("extra").equals(former.drop_columns("extra").slice(0, 47))
    assert pinned(lake, "t") == before
    *_, wanted = parts(other.open("rows"), ["extra"], EqualTo(term="extra", value=2.5), snapshot=before.snapshot_id)
    assert wanted.num_rows == 1
    assert files_since(other.find("rows"), before.snapshot_id) is None
    assert rewrite(other, "run-2") is None


@pytest.mark.parametrize(
    ("first", "cells", "now", "expected", "refused"),
    [
        ("string", ["1,5", "x", None], {"kind": "float64"}, [1.5, None], 1),
        ("string", ["1997-01-02", "2.1."], {"kind": "date"}, [date(1997, 1, 2)], 1),
        ("int64", [2**40, -3], {"kind": "int32"}, [-3], 1),
        ("float64", [1e300, 0.5], {"kind": "float32"}, [0.5], 1),
        ("int32", [0, 1, 2], {"kind": "boolean"}, [False, True], 1),
        ("boolean", [True, None], {"kind": "string", "required": True}, ["true"], 1),
        ("date", [date(1997, 1, 2)], {"kind": "timestamp"}, [datetime(1997, 1, 2)], 0),  # noqa: DTZ001
        ("float64", [0.5], {"kind": "boolean"}, None, 0),
    ],
)
def test_a_cell_is_read_as_that_of_a_drop(
    retyped: Callable[..., Lake], first: str, cells: list[Any], now: dict[str, Any], expected: Any, refused: int
) -> None:
    other = retyped(first, cells, **now)
    other = changed(other, rows=replace(other.contract.rows, csv=CsvForm(decimal=",")))
    if expected is None:
        assert rewrite(other) is None
        return
    done = rewrite(other)
    assert done
    assert (table(other)["extra"].to_pylist(), sum(number for _, number in done.reasons)) == (expected, refused)


@pytest.mark.parametrize("what", rewriting.MOST)
def test_more_than_a_call_can_do_is_refused_before_anything_changes(
    lake: Lake, retyped: Callable[..., Lake], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, before = retyped("float64", PRICES, kind="int64"), table(lake)
    monkeypatch.setitem(rewriting.MOST, what, 0)
    with pytest.raises(WorkloadError) as refused:
        rewrite(other)
    assert (refused.value.field, what in refused.value.expected) == ("extra", True)
    assert table(lake).equals(before)
