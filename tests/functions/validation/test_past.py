"""A scoring drop for a model that reads the past: looked up in the drop, then in the table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.contract.rules.range import Range
from millrace.contract.schema import Column, Table, parsed_schema
from millrace.datasets.quarantine import QuarantineFile
from millrace.features.history import History
from millrace.features.known_ahead import KnownAhead
from millrace.functions.validation.plans import Plans
from millrace.functions.validation.shards import Shards, stage_with_past

START = datetime(2024, 1, 1)  # noqa: DTZ001 the contract's time has no zone
PAST = History(name="past", history=("load",), entity=("city",), event_time="at", steps=3, every_hours=1.0)
TABLE = Table(
    name="rows",
    columns=(
        Column(name="city", kind="string", required=True),
        Column(name="at", kind="timestamp", required=True),
        Column(name="load", kind="float64", rules=(Range(minimum=0),)),
    ),
    keys=(("city", "at"),),
)


def rows(*entries: tuple[str, int, float]) -> pa.Table:
    made = [
        {"city": city, "at": START + timedelta(hours=hour), "load": load, "_line": line}
        for line, (city, hour, load) in enumerate(entries, 1)
    ]
    return pa.Table.from_pylist(made, schema=parsed_schema(TABLE))


@dataclass(frozen=True, kw_only=True)
class Staged:
    """What became of a drop."""

    done: tuple[int, int]
    scored: pa.Table
    accepted: pa.Table
    refused: list[dict[str, Any]]


def staged(folder: Path, drop: pa.Table, before: pa.Table | None, *, group: int) -> Staged:
    """The drop in row groups of `group` rows, with what the table knows."""
    pq.write_table(drop, folder / "parsed", row_group_size=group)
    bodies: list[bytes] = []

    @contextmanager
    def quarantine() -> Iterator[QuarantineFile]:
        with QuarantineFile(
            folder / "refused", drop_id="r", source="s", as_of=datetime(2024, 2, 1, tzinfo=UTC)
        ) as file:
            yield file

    done = stage_with_past(
        folder / "parsed",
        TABLE,
        folder / "accepted",
        Shards(lambda number, body: bodies.append(body), ["past", "at", "load"], limit=10**6),
        quarantine,
        histories=(PAST,),
        plans=Plans(
            ahead=KnownAhead(columns=(), entity=("city",), event_time="at"), horizon_hours=0, read=lambda own: None
        ),
        read_before=lambda own: before,
    )
    return Staged(
        done=done,
        scored=pa.concat_tables([pa.ipc.open_stream(body).read_all() for body in bodies]),
        accepted=pq.read_table(folder / "accepted"),
        refused=pq.read_table(folder / "refused").to_pylist(),
    )


@pytest.mark.parametrize("group", [2, 99])
def test_a_row_gets_its_past_or_its_reason(group: int, tmp_path: Path) -> None:
    drop = rows(("a", 10, 1.0), ("a", 11, 2.0), ("b", 11, 5.0), ("a", 12, -7.0), ("a", 13, 4.0))
    before = rows(("a", 8, 8.0), ("a", 9, 9.0)).drop_columns(["_line"])
    found = staged(tmp_path, drop, before, group=group)
    assert (found.done.rows, found.done.refused) == (3, {"range": 1, "history": 1})
    assert dict(zip(found.scored["row_number"].to_pylist(), found.scored["past"].to_pylist(), strict=True)) == {
        1: [8, 9, 1],
        2: [9, 1, 2],
        5: [2, None, 4],
    }
    assert found.accepted["_line"].to_pylist() == [1, 2, 5]
    assert [(row["line"], row["reason"]) for row in found.refused] == [(4, "range"), (3, "history")]


def test_words_that_repeat_are_kept_as_words(tmp_path: Path) -> None:
    """Texts of few values are read as a dictionary; the file of accepted rows has plain ones."""
    found = staged(tmp_path, rows(*(("a", hour, 1.0) for hour in range(500))), None, group=999)
    assert (found.done.rows, found.done.refused) == (498, {"history": 2})
    assert found.accepted["city"].to_pylist() == ["a"] * 498


def test_the_past_comes_from_a_table_of_another_width_of_text(tmp_path: Path) -> None:
    """Iceberg reads text as large strings, the drop's file has plain ones; both are the same city."""
    drop = rows(("a", 10, 1.0), ("b", 10, 5.0))
    before = rows(("a", 8, 8.0), ("a", 9, 9.0)).drop_columns(["_line"])
    large = before.set_column(0, "city", before["city"].cast(pa.large_string()))
    found = staged(tmp_path, drop, large, group=99)
    assert (found.done.rows, found.done.refused) == (1, {"history": 1})
    assert found.scored["past"].to_pylist() == [[8, 9, 1]]
