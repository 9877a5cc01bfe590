"""What a row knows of a later moment: a column with the cell of another column some hours later, as of a promotion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from millrace.contract.schema import Column, Table


def requiring_known(table: Table) -> Table:
    """The table of a row to score: it must hold what is known of later moments, as no later row says it."""
    columns = (replace(column, required=column.required or column.ahead is not None) for column in table.columns)
    return replace(table, columns=tuple(columns))


class Keyed(Protocol):
    """The part of a workload's prediction that is read here."""

    @property
    def key(self) -> tuple[str, ...]: ...

    @property
    def event_time(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class KnownAhead:
    """The columns of a table that hold what is known of later moments, and how they find the rows of those."""

    columns: tuple[Column, ...]
    entity: tuple[str, ...]
    event_time: str

    @classmethod
    def of(cls, table: Table, prediction: Keyed) -> KnownAhead:
        return cls(
            columns=tuple(column for column in table.columns if column.ahead),
            entity=tuple(name for name in prediction.key if name != prediction.event_time),
            event_time=prediction.event_time,
        )

    @property
    def reads(self) -> list[str]:
        """The columns of later rows that `fill` reads; empty if nothing is known of later moments."""
        sources = [column.ahead.column for column in self.columns if column.ahead]
        return list(dict.fromkeys((*self.entity, self.event_time, *sources))) if sources else []

    def fill(self, rows: pa.Table, later: pa.Table) -> pa.Table:
        """`rows` with each missing cell of the columns that it has taken from the entity's row so many hours later.

        A cell of its own stays. `later` has the columns of `reads`; a cell without such a row stays missing."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        from millrace.features.as_of import HOUR_US, NONE, as_of, entity_times

        there = [(column, column.ahead) for column in self.columns if column.name in rows.column_names and column.ahead]
        if not there or not rows.num_rows:
            return rows
        here, others = entity_times([rows, later], entity=self.entity, event_time=self.event_time)
        # A cell ahead is a past at a negative distance, as a label ahead is.
        ahead_T = np.array([-round(ahead.hours * HOUR_US) for _, ahead in there], dtype=np.int64)
        for (column, ahead), index_N in zip(
            there, as_of(here, others, distances_T=ahead_T, tolerance_us=1), strict=True
        ):
            known = later[ahead.column].combine_chunks().take(pa.array(index_N, mask=index_N == NONE))
            own = rows[column.name].combine_chunks()
            place = rows.column_names.index(column.name)
            rows = rows.set_column(place, column.name, pc.coalesce(own, known.cast(own.type)))
        return rows


def misfit(table: Table, labels: Sequence[str], key: Sequence[str], event_time: str) -> tuple[str, str, str] | None:
    """The first column whose `ahead` cannot work: its name, what was expected, what came. None if all can."""
    for column in table.columns:
        if column.ahead is None:
            continue
        name = column.ahead.column
        if name not in table.names or name in (*labels, *key, event_time, column.name):
            return column.name, "ahead of another column, not of the label and not of the key", name
        if source := table.column(name).ahead:
            expected = "ahead of a column with cells of its own"
            return column.name, expected, f"{name}, which is ahead of {source.column}"
        if table.column(name).kind != column.kind:
            return column.name, f"a {table.column(name).kind} as {name}, which it holds of a later row", column.kind
        if event_time not in key:
            return column.name, f"a key with {event_time}, by which later rows are found", ", ".join(key)
        if column.required:
            return column.name, "required: false, as the training takes it from later rows", "required: true"
    return None
