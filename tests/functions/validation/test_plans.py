"""A plan to score: key, moment and what is known ahead, completed from the table to the whole row."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.contract.ahead import Ahead
from millrace.contract.schema import LINE, Column, Table, parsed_schema
from millrace.datasets.quarantine import QuarantineFile
from millrace.features.history import History
from millrace.features.known_ahead import KnownAhead
from millrace.functions.validation.plans import Plans
from millrace.functions.validation.shards import Shards, stage_with_past

if TYPE_CHECKING:
    from collections.abc import Iterator

START = datetime(2024, 1, 1)  # noqa: DTZ001 the contract's time has no zone
PLANNED = Column(name="promo_in_24h", kind="int64", ahead=Ahead(column="promo", hours=24.0))
TABLE = Table(
    name="rows",
    columns=(
        Column(name="shop", kind="string", required=True),
        Column(name="at", kind="timestamp", required=True),
        Column(name="promo", kind="int64"),
        Column(name="price", kind="float64", required=True),
        Column(name="sold", kind="float64", required=True, is_input=True),
        PLANNED,
    ),
    keys=(("shop", "at"),),
)
PAST = History(name="past", history=("sold",), entity=("shop",), event_time="at", steps=2, every_hours=24.0)
Row = dict[str, Any]


def whole(shop: str, hour: int) -> Row:
    number = hour + 1000 * (shop == "b")
    return {"shop": shop, "at": START + timedelta(hours=hour), "promo": hour % 3, "price": 0.5, "sold": float(number)}


def only(row: Row, *names: str) -> Row:
    return {name: row[name] for name in ("shop", "at", *names)}


def typed(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist([row | {LINE: line} for line, row in enumerate(rows, 1)], schema=parsed_schema(TABLE))


DAYS = [whole(shop, hour) for hour in range(72) for shop in "ab"]
"""Hours of three days of two shops, which the table holds."""
TODAY = [row for row in DAYS if row["at"] >= START + timedelta(hours=48)]
TOMORROW = [whole(shop, hour) for hour in range(72, 96) for shop in "ab"]


def scored(folder: Path, drop: list[Row]) -> tuple[dict[int, Row], list[tuple[int, str, str]]]:
    """By line what the model reads of each row, and of each refused row its line, reason and column."""
    pq.write_table(typed(drop), folder / "parsed", row_group_size=7)
    bodies: list[bytes] = []
    held = typed(DAYS).drop_columns([LINE])
    held = held.set_column(0, "shop", held["shop"].cast(pa.large_string()))

    @contextmanager
    def quarantine() -> Iterator[QuarantineFile]:
        with QuarantineFile(folder / "refused", drop_id="r", source="s", as_of=datetime(2024, 2, 1, tzinfo=UTC)) as one:
            yield one

    done = stage_with_past(
        folder / "parsed",
        TABLE,
        folder / "accepted",
        Shards(lambda _, body: bodies.append(body), ["past", "at", "price", "sold", PLANNED.name], limit=10**6),
        quarantine,
        histories=(PAST,),
        plans=Plans(
            ahead=KnownAhead(columns=(PLANNED,), entity=("shop",), event_time="at"),
            horizon_hours=24,
            read=lambda own: held,
        ),
        read_before=lambda own: held.select(["shop", "at", "sold"]),
    )
    refused = pq.read_table(folder / "refused").to_pylist() if done.refused else []
    rows = [row for body in bodies for row in pa.ipc.open_stream(body).read_all().to_pylist()]
    assert [row["row_number"] for row in rows] == sorted(row["row_number"] for row in rows), "in the drop's order"
    return {row.pop("row_number"): row for row in rows}, [
        (one["line"], one["reason"], one["column_name"]) for one in refused
    ]


@pytest.fixture
def wanted(tmp_path: Path) -> list[Row]:
    """What the model reads of the whole rows of today, with the plan of tomorrow in their own cells."""
    (folder := tmp_path / "whole").mkdir()
    rows = [row | {PLANNED.name: later["promo"]} for row, later in zip(TODAY, TOMORROW, strict=True)]
    found, refused = scored(folder, rows)
    assert not refused
    assert len(found) == 48
    return [*found.values()]


@pytest.mark.parametrize("plan", ["cells of today", "rows of tomorrow"])
def test_a_plan_is_scored_as_the_whole_row(plan: str, wanted: list[Row], tmp_path: Path) -> None:
    """A day of 24 rows for each shop, by the key, the time and the promotion alone."""
    pairs = [*zip(TODAY, TOMORROW, strict=True)]
    drops = {
        "cells of today": [only(row) | {PLANNED.name: later["promo"]} for row, later in pairs],
        "rows of tomorrow": [only(later, "promo") for _, later in pairs],
    }
    found, refused = scored(tmp_path, drops[plan])
    assert not refused
    assert [*found.values()] == wanted


def test_the_drops_own_row_is_scored_once(wanted: list[Row], tmp_path: Path) -> None:
    """With today whole in the drop, tomorrow's rows say what is planned, and have no answer of their own."""
    found, refused = scored(tmp_path, [*TODAY, *(only(row, "promo") for row in TOMORROW)])
    assert [*found.values()] == wanted
    assert refused == [(line, "required", PLANNED.name) for line in range(49, 97)]


def test_a_plan_without_a_row_to_be_told_from_is_refused(tmp_path: Path) -> None:
    late, new = whole("a", 100), whole("c", 72)
    found, refused = scored(tmp_path, [only(late, "promo"), only(new, "promo"), only(new) | {PLANNED.name: 1}])
    assert not found
    assert sorted(refused) == [
        (1, "required", PLANNED.name),
        (2, "required", PLANNED.name),
        (3, "duplicate_key", "shop, at"),
    ]
