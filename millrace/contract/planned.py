"""The table of a plan: rows of later moments, of which only the key and some columns are known yet."""

from __future__ import annotations

from dataclasses import replace

from millrace.contract.schema import Table


def as_planned(table: Table) -> Table:
    """The table of a file to score as a plan may have it: only the columns of its keys are expected.

    What a plan leaves out is looked up later. Without a column that is known ahead, the table itself."""
    if not any(column.ahead for column in table.columns):
        return table
    keys = {name for key in table.keys for name in key}
    columns = (
        column if column.name in keys else replace(column, required=False, is_input=False) for column in table.columns
    )
    return replace(table, columns=tuple(columns))
