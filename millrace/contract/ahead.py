"""The custom property `ahead` of a column that is known of a later moment, as a promotion is."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """`{column: promo, hours: 24}`: the column holds the cell of `promo` 24 hours later."""

    column: str
    """The column whose later cell is known."""
    hours: float


def read_ahead(value: object) -> Ahead:
    """The property as contract.yaml has it. Raises ValueError with what was expected."""
    match value:
        case {"column": str(column), "hours": int() | float() as hours, **others} if not (
            others or isinstance(hours, bool)
        ):
            if 0 < hours < math.inf:
                return Ahead(column=column, hours=float(hours))
    raise ValueError("a column of this table and hours above 0: {column: promo, hours: 24}")
