"""What a month's runs have reserved of its budget: items `spend#<yyyy-mm>` (usd, and by each run's ARN its part)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal

from millrace.state.table import Attribute, StateTable
from millrace.timestamps import month

PREFIX = "spend#"
KEYS = ("pk", "sk", "usd")
"""Attributes of an item that are no run."""


@dataclass(frozen=True, kw_only=True)
class Spend:
    """What one month's runs have reserved."""

    usd: Decimal
    runs: Mapping[str, Decimal]
    """By the ARN of the execution, or of the job that a person started, what it has reserved."""


class MonthlyBudget:
    """The workload's reservations, in US dollars."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def spent_usd(self, as_of: datetime) -> Decimal:
        """What is reserved in the month of `as_of`."""
        return Decimal(self._table.get(f"{PREFIX}{month(as_of)}").get("usd", {"N": "0"})["N"])

    def months(self) -> dict[str, Spend]:
        """What is reserved by month (yyyy-mm), the oldest first."""
        return {
            name: Spend(
                usd=Decimal(item["usd"]["N"]),
                runs={arn: Decimal(value["N"]) for arn, value in sorted(item.items()) if arn not in KEYS},
            )
            for name, item in self._table.items(PREFIX).items()
        }

    def reserve(self, usd: float, *, arn: str, as_of: datetime, monthly_usd: float) -> bool:
        """Whether `usd` fits the month's budget and is now reserved, once, for the execution or the job of this ARN."""
        key = f"{PREFIX}{month(as_of)}"
        cost = Decimal(str(usd)).quantize(Decimal("0.01"), ROUND_CEILING)
        room = Decimal(str(monthly_usd)) - cost
        values: dict[str, Attribute] = {":usd": {"N": str(cost)}, ":room": {"N": str(room)}}
        # One conditional write, so that two runs at once cannot both take the last of the budget. A condition cannot
        # add: spent + cost <= budget is written spent <= room. A retry finds its run among those that have reserved.
        fits = "(attribute_not_exists(usd) OR usd <= :room) AND attribute_not_exists(#arn)"
        added = "ADD usd :usd SET #arn = :usd"
        if room >= 0 and self._table.update(key, added, values, condition=fits, attributes={"#arn": arn}):
            return True
        return arn in self._table.get(key)
