"""A contract that changes while its table has rows: columns that go, come, or change their type."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from millrace.contract.reasons import Reason
from millrace.contract.rules.allowed import Allowed
from millrace.contract.schema import LINE, Column, Table, parsed_schema
from millrace.contract.violation import QuarantinedRow, RuleViolation
from millrace.datasets import labelled_rows
from millrace.datasets.commits import commit
from millrace.datasets.new_rows import parts, screen
from millrace.datasets.quarantine import PART_CHARACTERS, QuarantineFile
from millrace.datasets.split import earlier_splits, split, windows, without_strays
from millrace.datasets.tables import Lake
from millrace.datasets.versions import pin
from millrace.errors import SnapshotError, WorkloadError
from tests.millrace.datasets.test_commits import committed, rows, source

HOURS = np.arange("1996-12-01", "1996-12-31T06", dtype="datetime64[h]").astype("datetime64[us]")
"""30 days and 6 hours."""


def test_the_last_days_are_for_the_test_and_those_before_for_validation() -> None:
    parts = split(HOURS, validation_days=7, test_days=3)
    assert parts.end == np.datetime64("1997-01-01")
    assert parts.test_from == np.datetime64("1996-12-29")
    assert parts.validation_from == np.datetime64("1996-12-22")
    assert HOURS[parts.train][-1] < parts.validation_from == HOURS[parts.validation][0]
    assert HOURS[parts.validation][-1] < parts.test_from == HOURS[parts.test][0]
    assert parts.train.start == 0
    assert parts.test.stop == len(HOURS)


@pytest.mark.parametrize(("validation", "test"), [(30, 3), (28, 3), (7, 60)])
def test_a_snapshot_that_is_too_short_is_refused(validation: int, test: int) -> None:
    with pytest.raises(SnapshotError, match="got no training rows"):
        split(HOURS, validation_days=validation, test_days=test)


def test_a_gap_where_the_validation_days_should_be_is_refused() -> None:
    gap = HOURS[(np.datetime64("1996-12-20") > HOURS) | (np.datetime64("1996-12-29") <= HOURS)]
    with pytest.raises(SnapshotError, match="got no validation rows"):
        split(gap, validation_days=7, test_days=3)


def test_windows_are_whole_and_end_where_they_should() -> None:
    found = windows(HOURS, start=np.datetime64("1996-12-10"), end=np.datetime64("1996-12-30"), days=7)
    assert [str(window.start) for window in found] == ["1996-12-16", "1996-12-23"]
    assert [window.rows.stop - window.rows.start for window in found] == [168, 168]
    assert HOURS[found[-1].rows][-1] == np.datetime64("1996-12-29T23")


def test_windows_without_rows_are_left_out() -> None:
    gap = HOURS[np.datetime64("1996-12-20") <= HOURS]
    assert len(windows(gap, start=np.datetime64("1996-12-01"), end=np.datetime64("1996-12-29"), days=7)) == 2


def test_a_step_of_a_walk_forward_that_falls_into_a_gap_is_skipped() -> None:
    days = np.arange("2020-01-01", "2020-06-29", dtype="datetime64[D]").astype("datetime64[us]")
    gap = days[(np.datetime64("2020-05-25") > days) | (np.datetime64("2020-06-01") <= days)]
    parts = split(gap, validation_days=7, test_days=7)
    steps = earlier_splits(gap, parts, steps=5, validation_days=7, test_days=7)
    assert [str(step.end) for step in steps] == ["2020-05-25", "2020-06-01", "2020-06-08", "2020-06-15", "2020-06-22"]
    assert [step.parts is None for step in steps] == [False, True, True, False, False]
    said = [step.reason for step in steps if step.parts is None]
    assert ["got no test rows" in said[0], "got no validation rows" in said[1]] == [True, True]
    assert all(step.parts.end == step.end for step in steps if step.parts)


def test_a_walk_forward_needs_a_third_of_the_training_rows() -> None:
    days = np.arange("2020-01-01", "2020-02-10", dtype="datetime64[D]").astype("datetime64[us]")
    parts = split(days, validation_days=5, test_days=5)
    steps = earlier_splits(days, parts, steps=6, validation_days=5, test_days=5)
    assert [step.parts is None for step in steps] == [True, True, False, False, False, False]
    assert steps[0].reason.startswith("less than a third")


def days(*numbers: int) -> np.ndarray:
    return np.array(numbers).astype("datetime64[D]").astype("datetime64[us]")


FAR = 2_932_896
"""9999-12-31, counted from 1970-01-01."""


@pytest.mark.parametrize(
    ("early", "late"),
    [([], [FAR]), ([-719_162], []), ([-719_162], [400, FAR - 100, FAR]), ([], [])],
)
def test_a_few_rows_far_from_all_others_are_left_out(early: list[int], late: list[int]) -> None:
    times_N = days(*early, *range(300), *late)
    near = without_strays(times_N, days=60)
    assert (times_N[near] == days(*range(300))).all()


def test_many_rows_behind_a_gap_stay() -> None:
    times_N = days(*range(300), *range(400, 410))
    assert without_strays(times_N, days=60) == slice(0, 310)
    assert without_strays(days(1, 1000), days=60) == slice(0, 2)


def test_only_the_newest_days_train() -> None:
    whole, newest = (split(HOURS, validation_days=7, test_days=3, train_days=days) for days in (None, 5))
    assert newest.train == slice(whole.train.stop - 5 * 24, whole.train.stop)
    assert (newest.validation, newest.test) == (whole.validation, whole.test)


GONE = ["vicprice", "day_of_week"]


def changed(lake: Lake, **tables: Any) -> Lake:
    return Lake(lake.names, replace(lake.contract, **tables))


def without_columns(lake: Lake) -> Lake:
    table = lake.contract.rows
    for name in GONE:
        table = table.without(name)
    return changed(lake, rows=table)


def with_column(lake: Lake, column: str, **changes: Any) -> Lake:
    columns = tuple(replace(c, **changes) if c.name == column else c for c in lake.contract.rows.columns)
    return changed(lake, rows=replace(lake.contract.rows, columns=columns))


def table(lake: Lake) -> pa.Table:
    return committed(lake).sort_by("timestamp")


def test_rows_come_in_after_columns_went(lake: Lake) -> None:
    commit(lake, "rows", rows(0), source("a"))
    less = without_columns(lake)
    late = commit(less, "rows", rows(24).drop_columns(GONE), source("b"))
    assert (late.rows_added, late.rows_quarantined) == (24, 24), "the keys of the table are compared as before"
    for name in GONE:
        assert [cell is None for cell in table(lake)[name].to_pylist()] == [False] * 48 + [True] * 24
    assert pin(less, "t").rows == 72
    back = commit(lake, "rows", rows(96), source("c"))
    assert back.rows_added == 48
    assert table(lake)["vicprice"].null_count == 24, "a column that comes back is filled again"


def test_a_required_column_that_went_becomes_optional(lake: Lake) -> None:
    commit(lake, "rows", rows(0), source("a"))
    with lake.open("rows").update_schema(allow_incompatible_changes=True) as update:
        update.update_column("vicprice", required=True)
    assert lake.open("rows").schema().find_field("vicprice").required, "the contract has it yet"
    late = commit(without_columns(lake), "rows", rows(48).drop_columns(GONE), source("b"))
    assert late.rows_added == 48
    assert table(lake)["vicprice"].null_count == 48


@pytest.mark.parametrize("first", ["int32", "int64"])
def test_whole_numbers_may_become_wider_and_never_narrower(lake: Lake, first: Any) -> None:
    other = "int64" if first == "int32" else "int32"
    columns = (*lake.contract.rows.columns, Column(name="count", kind=first))
    before = changed(lake, rows=replace(lake.contract.rows, columns=columns))
    counts = pa.array(range(48), pa.int64())
    cells = rows(0).append_column("count", counts.cast({"int32": pa.int32(), "int64": pa.int64()}[first]))
    commit(before, "rows", cells, source("a"))
    after = with_column(before, "count", kind=other)
    commit(after, "rows", rows(48).append_column("count", counts), source("b"))
    found = table(after)["count"]
    assert (found.type, pc.sum(found).as_py()) == (pa.int64(), 2 * sum(range(48)))


def test_a_renamed_column_keeps_its_field_id_and_its_cells(lake: Lake) -> None:
    commit(lake, "rows", rows(0), source("a"))
    first, number = pin(lake, "first"), lake.open("rows").schema().find_field("vicprice").field_id
    renamed = with_column(lake, "vicprice", name="price", formerly="vicprice")
    cells = rows(48).rename_columns([name if name != "vicprice" else "price" for name in rows(48).column_names])
    late = commit(renamed, "rows", cells, source("b"))
    assert (late.rows_added, table(renamed)["price"].null_count) == (48, 0)
    assert renamed.open("rows").schema().find_field("price").field_id == number
    assert pin(renamed, "t").rows == 96
    *_, before = labelled_rows.parts(renamed.open("rows"), ["price"], snapshot=first.snapshot_id)
    assert before["price"].to_pylist() == rows(0)["vicprice"].to_pylist()
    with pytest.raises(WorkloadError, match=r"price: expected no `formerly`: the table has transfer beside price"):
        with_column(renamed, "price", formerly="transfer").open("rows")


AS_OF = datetime(1997, 1, 1, tzinfo=UTC)
TABLE = Table(
    name="t",
    columns=(
        Column(name="k", kind="int64", required=True),
        Column(name="word", kind="string", rules=(Allowed(("a", "b")),)),
        Column(name="text", kind="string"),
    ),
    keys=(("k",),),
)


def written(file: Path, rows: int, group: int) -> Path:
    """Rows of which every fifth has a wrong word, and the last has the key of the first."""
    cells = [
        {"k": n if n < rows - 1 else 0, "word": "c" if n % 5 == 4 else "ab"[n % 2], "text": f"{n:030}", LINE: n + 1}
        for n in range(rows)
    ]
    pq.write_table(pa.Table.from_pylist(cells, schema=parsed_schema(TABLE)), file, row_group_size=group)
    return file


def screened(file: Path, folder: Path, table: Table = TABLE) -> tuple[int, pa.Table, pa.Table]:
    accepted: list[pa.Table] = [parsed_schema(table).empty_table()]
    with QuarantineFile(folder / "refused", drop_id="r", source="s", as_of=AS_OF) as refused:
        rows = screen(file, table, accepted.append, refused)
    return rows, pa.concat_tables(accepted), pq.read_table(folder / "refused")


@pytest.mark.parametrize("group", [1, 7, 1000])
def test_every_row_is_accepted_or_refused(tmp_path: Path, group: int) -> None:
    rows, accepted, refused = screened(written(tmp_path / "parsed", 101, group), tmp_path)
    wrong = [n + 1 for n in range(101) if n % 5 == 4]
    assert refused["line"].to_pylist() == [*wrong, 101]
    assert set(refused["reason"].to_pylist()) == {"allowed", "duplicate_key"}
    assert (rows, accepted.num_rows) == (80, 80)
    assert accepted[LINE].to_pylist() == [n + 1 for n in range(100) if n % 5 != 4]
    assert accepted.schema.equals(parsed_schema(TABLE))


def test_only_texts_of_few_words_come_as_a_dictionary(tmp_path: Path) -> None:
    """A dictionary of texts that all differ would cost more than it saves."""
    kinds = [{field.name: field.type for field in part.schema} for part in parts(written(tmp_path / "p", 9, 4), TABLE)]
    assert [pa.types.is_dictionary(kind["text"]) for kind in kinds] == [False] * 3
    large = next(parts(written(tmp_path / "large", 20_000, 20_000), TABLE))
    assert pa.types.is_dictionary(large.schema.field("word").type)
    assert not pa.types.is_dictionary(large.schema.field("text").type)


def test_an_empty_file(tmp_path: Path) -> None:
    pq.write_table(parsed_schema(TABLE).empty_table(), tmp_path / "parsed")
    assert screened(tmp_path / "parsed", tmp_path)[0] == 0


def test_refused_rows_of_long_texts_are_written_fewer_at_a_time(tmp_path: Path) -> None:
    """By their violations alone, 16,384 rows of a megabyte would be in memory at once."""
    violation = RuleViolation(reason=Reason.RANGE, column="a", expected="1", got="2")
    long = "x" * (PART_CHARACTERS // 2)
    several = [QuarantinedRow(line=line, violations=(violation,), raw=long) for line in range(1, 6)]
    with QuarantineFile(tmp_path / "refused", drop_id="d", source="s", as_of=datetime.now(UTC)) as refused:
        refused.add(several)
    written = pq.read_metadata(tmp_path / "refused")
    assert [written.row_group(number).num_rows for number in range(written.num_row_groups)] == [2, 2, 1]
