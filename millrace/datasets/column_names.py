"""Column names with a dot in pyiceberg's filters.

pyiceberg takes the dot in a column's name for the path to a field of a struct: a scan or a delete by `No.` then finds
no such column. A contract's columns are never nested, so that a name is always that of a whole column."""

from __future__ import annotations

from typing import Any


def read_names_whole() -> None:
    """Let pyiceberg's filters over Arrow name a column by its whole name; called again it changes nothing."""
    from pyiceberg.io import pyarrow

    pyarrow._ConvertToArrowExpression._get_field_name = _whole_name  # type: ignore[assignment,method-assign]


def _whole_name(_: Any, term: Any) -> str:
    return str(term.ref().field.name)
