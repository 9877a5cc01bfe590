"""A scoring drop for a model that reads the past: looked up in the drop, then in the table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.validation.shards import Shards, stage_with_past
from millrace.contract.rules.range import Range
from millrace.contract.schema import Column, Table, parsed_schema
from millrace.datasets.quarantine import QuarantineFile
from millrace.features.history import History

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


@pytest.mark.parametrize("in_parts", [False, True])
def test_a_row_gets_its_past_or_its_reason(in_parts: bool, tmp_path: Path) -> None:
    drop = rows(("a", 10, 1.0), ("a", 11, 2.0), ("b", 11, 5.0), ("a", 12, -7.0), ("a", 13, 4.0))
    before = rows(("a", 8, 8.0), ("a", 9, 9.0)).drop_columns(["_line"])
    pq.write_table(drop, tmp_path / "parsed", row_group_size=2 if in_parts else 99)
    bodies: list[bytes] = []
    shards = Shards(lambda number, body: bodies.append(body), ["past", "at", "load"], limit=10**6)

    @contextmanager
    def quarantine() -> Iterator[QuarantineFile]:
        with QuarantineFile(tmp_path / "refused", run="r", source="s", as_of=datetime(2024, 2, 1, tzinfo=UTC)) as file:
            yield file

    done = stage_with_past(
        tmp_path / "parsed",
        TABLE,
        tmp_path / "accepted",
        shards,
        quarantine,
        histories=(PAST,),
        read_before=lambda own: before,
    )
    assert done == (3, 2)
    scored = pa.concat_tables([pa.ipc.open_stream(body).read_all() for body in bodies])
    assert dict(zip(scored["row_number"].to_pylist(), scored["past"].to_pylist(), strict=True)) == {
        1: [8, 9, 1],
        2: [9, 1, 2],
        5: [2, None, 4],
    }
    assert pq.read_table(tmp_path / "accepted")["_line"].to_pylist() == [1, 2, 5]
    refused = pq.read_table(tmp_path / "refused").to_pylist()
    assert [(row["line"], row["reason"]) for row in refused] == [(4, "range"), (3, "history")]
