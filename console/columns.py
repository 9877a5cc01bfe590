"""Columns of a query's rows, declared once at the fields of its dataclass: a table, a page and JSON all read them.

@dataclass(frozen=True, kw_only=True)
class CostLine:
    what: str = column()
    usd: float | None = column(usd)     # the format; JSON has the value itself
    source: str = ""                    # in JSON alone
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, field, fields
from typing import Any


def column(form: Callable[[Any], Any] | None = None, *, heading: str = "", default: Any = MISSING) -> Any:
    """A field of a dataclass that is a column of tables; its cells are `form` of its values, "" for None.

    Without a heading it is headed by its name."""
    return field(default=default, metadata={"heading": heading, "form": form or _same})


def cells(row: Any) -> dict[str, Any]:
    """The row's cells by heading."""
    return {
        each.metadata["heading"] or each.name: "" if value is None else each.metadata["form"](value)
        for each in fields(row)
        if "form" in each.metadata
        for value in [getattr(row, each.name)]
    }


def table(rows: Iterable[Any]) -> list[Mapping[str, Any]]:
    """The cells of all rows, without the columns that are empty in each of them."""
    found = [cells(row) for row in rows]
    filled = {heading for row in found for heading, cell in row.items() if cell != ""}
    return [{heading: cell for heading, cell in row.items() if heading in filled} for row in found]


def _same(value: Any) -> Any:
    return value
