"""Lets pyiceberg's filters name columns with a dot in their name.

pyiceberg takes the dot for the path to a field of a struct: a scan or a delete by `No.` then finds no such column. A
contract's columns are never nested, so a name is always the name of a whole column."""

from __future__ import annotations

from typing import Any


def read_names_whole() -> None:
    """Let pyiceberg's filters over Arrow name a column by its whole name. A second call changes nothing."""
    from pyiceberg.io import pyarrow

    # pyiceberg has no setting for it, so one private method of its visitor is replaced.
    pyarrow._ConvertToArrowExpression._get_field_name = _whole_name  # type: ignore[assignment,method-assign]


def _whole_name(_: Any, term: Any) -> str:
    return str(term.ref().field.name)
