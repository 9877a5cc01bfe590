"""What a generated column holds for a row that has nothing there, of a drop or of a request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millrace.contract.schema import Column


def made_id(of: str, place: int | str) -> str:
    """The id of the row at this place, `9f86d081884c7d65-17`; `of` names the object's bytes, or the call."""
    return f"{of}-{place}"


def first_time(column: Column, at: datetime) -> datetime:
    """The moment `at` when the rows came, as the column holds times: in UTC, without a zone where it has none."""
    utc = at.astimezone(UTC)
    return utc if column.kind == "timestamp_utc" else utc.replace(tzinfo=None)


def step(column: Column) -> timedelta:
    """By how much a row's time lies after that of the row before it.

    A microsecond for `row_order`, the least that Iceberg keeps: the rows of one file stay within seconds, and in their
    order."""
    return timedelta(microseconds=1 if column.generated == "row_order" else 0)
