"""Completes rows of a plan: what they leave out is in the table, and a later moment is predicted from its earlier row.

Example of the sales a day ahead, of a shop whose rows up to Monday are in the table, with `promo_in_24h` known ahead:

    row of the drop                              is scored as
    Monday, promo_in_24h: 1                      the table's row of Monday, with promo_in_24h: 1
    Tuesday, promo: 1                            the table's row of Monday, with promo_in_24h: 1
    Monday whole, and Tuesday, promo: 1          Monday; Tuesday has no row of its own to be scored from
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.contract.schema import LINE

if TYPE_CHECKING:
    import pyarrow as pa

    from millrace.features.as_of import Integers
    from millrace.features.known_ahead import KnownAhead


@dataclass(frozen=True, kw_only=True)
class Plans:
    """How the rows of one workload are completed."""

    ahead: KnownAhead
    horizon_hours: float
    """How long before its moment a plan is predicted; 0 if a label is that of its row's own moment."""
    read: Callable[[pa.Table], pa.Table | None]
    """Takes rows; gives the table's rows of their times and of `horizon_hours` before, with all columns to score."""

    def complete(self, part: pa.Table, own: pa.Table, known: pa.Table | None) -> pa.Table:
        """`part` with the cells that it lacks, in its order; a row that stays without one is for the caller to refuse.

        `own` has the columns of `ahead.reads` of all rows of the drop, `known` is what `read` gave for them."""
        import pyarrow as pa

        if known is None:
            return self.ahead.fill(part, own)
        # The drop's own rows come last: of two rows at one moment the as-of join takes the last.
        later = pa.concat_tables([known.select(self.ahead.reads), own], promote_options="permissive")
        part = self.ahead.fill(self._with_cells(part, known), later)
        return self._from_earlier(part, own, known, later) if self.horizon_hours else part

    def _with_cells(self, part: pa.Table, known: pa.Table) -> pa.Table:
        """`part` with its missing cells from the table's row of the same key and moment."""
        import pyarrow.compute as pc

        there = known.take(_places(self._find(part, known, hours=0)))
        for place, name in enumerate(part.column_names):
            if name in known.column_names and part[name].null_count:
                cells = there[name].combine_chunks().cast(part.schema.field(name).type)
                part = part.set_column(place, name, pc.coalesce(part[name].combine_chunks(), cells))
        return part

    def _from_earlier(self, part: pa.Table, own: pa.Table, known: pa.Table, later: pa.Table) -> pa.Table:
        """`part` with the table's row of `horizon_hours` before, in place of each row of which nothing ahead is known.

        If the drop has that row itself, it is scored there, and the later row stays as it is."""
        import numpy as np
        import pyarrow as pa

        from millrace.features.as_of import NONE

        index_N = self._find(part, known, hours=self.horizon_hours)
        lacks_N = np.any([*self.ahead.lacking(part).values()], axis=0)
        planned_N = lacks_N & (index_N != NONE) & (self._find(part, own, hours=self.horizon_hours) == NONE)
        if not planned_N.any():
            return part
        earlier = known.take(pa.array(index_N[planned_N])).append_column(LINE, part[LINE].filter(pa.array(planned_N)))
        earlier = self.ahead.fill(earlier.select(part.column_names).cast(part.schema), later)
        # A row that still lacks what is known ahead stays the plan's own, which its refusal then shows.
        order_N = np.arange(part.num_rows)
        whole_P = ~np.any([*self.ahead.lacking(earlier).values()], axis=0)
        order_N[np.flatnonzero(planned_N)[whole_P]] = part.num_rows + np.flatnonzero(whole_P)
        return pa.concat_tables([part, earlier]).take(pa.array(order_N))

    def _find(self, rows: pa.Table, others: pa.Table, *, hours: float) -> Integers:
        """The index into `others` of the same entity's row exactly so long before each row (N); NONE without one."""
        import numpy as np

        from millrace.features.as_of import HOUR_US, as_of, entity_times

        here, there = entity_times([rows, others], entity=self.ahead.entity, event_time=self.ahead.event_time)
        distance_T = np.array([round(hours * HOUR_US)], dtype=np.int64)
        [index_N] = as_of(here, there, distances_T=distance_T, tolerance_us=1)
        return index_N


def _places(index_N: Integers) -> pa.Array:
    """The places for `take`, null where there is none."""
    import pyarrow as pa

    return pa.array(index_N, mask=index_N < 0)
