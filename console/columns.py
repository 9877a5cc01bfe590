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


def column(
    form: Callable[[Any], Any] | None = None, *, heading: str | None = None, first: bool = False, default: Any = MISSING
) -> Any:
    """A field of a dataclass that is a column of tables; its cells are `form` of its values, "" for None.

    Without a heading it is headed by its name. A mark stands `first`, wherever its field does."""
    return field(default=default, metadata={"heading": heading, "form": form or _same, "first": first})


def cells(row: Any) -> dict[str, Any]:
    """The row's cells by heading."""
    declared = [each for each in fields(row) if "form" in each.metadata]
    found = dict[str, Any]()
    for each in sorted(declared, key=lambda each: not each.metadata["first"]):
        heading, value = each.metadata["heading"], getattr(row, each.name)
        found[each.name if heading is None else heading] = "" if value is None else each.metadata["form"](value)
    return found


def table(rows: Iterable[Any]) -> list[Mapping[str, Any]]:
    """The cells of all rows, without the columns that are empty in each of them."""
    found = [cells(row) for row in rows]
    filled = {heading for row in found for heading, cell in row.items() if cell != ""}
    return [{heading: cell for heading, cell in row.items() if heading in filled} for row in found]


def _same(value: Any) -> Any:
    return value
